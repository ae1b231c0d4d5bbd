"""A process that times the tools of one module, on its own processors and with one thread.

The parent asks in lines of JSON and waits for the answer, so one process at a time is busy, but
for trainings that are asked for at once.
"""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any

from benchmarks.cases import Case
from benchmarks.tools import TOOLS, Run

ROOT = Path(__file__).parents[1]
#: one thread in whatever library; a processor's features are used as the library finds them
_ENVIRONMENT = {
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "XLA_FLAGS": "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1",
    "JAX_PLATFORMS": "cpu",
    "KERAS_BACKEND": "jax",
    "PYTHONWARNINGS": "ignore",
}


class ToolError(RuntimeError):
    """A tool cannot do a case; the message is its own."""


class Worker:
    """The parent's side of a process; it ends with the ``with`` block."""

    def __init__(self, cores: Iterable[int], **environment: str) -> None:
        """On these processors, with further environment variables."""
        path = os.pathsep.join([str(ROOT), str(ROOT / "src"), os.environ.get("PYTHONPATH", "")])
        self.process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.worker", *map(str, cores)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={
                **os.environ,
                **_ENVIRONMENT,
                "PYTHONPATH": path.rstrip(os.pathsep),
                **environment,
            },
        )

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *error: object) -> None:
        assert self.process.stdin and self.process.stdout
        with suppress(BrokenPipeError):  # its end was reported where it was met
            self.process.stdin.close()
        self.process.stdout.close()
        self.process.wait()

    def prepare(self, tool: str, case: Case, seconds: float) -> dict[str, Any]:
        """Build the training and choose its fastest variant: number, variant, loss, milliseconds.

        Raises:
            ToolError: the tool failed.
        """
        self.ask(prepare=tool, case=dataclasses.asdict(case), seconds=seconds)
        return self.answer()

    def ask(self, **question: Any) -> None:
        """Send a question; ``answer`` returns what comes back."""
        assert self.process.stdin
        try:
            self.process.stdin.write(json.dumps(question) + "\n")
            self.process.stdin.flush()
        except BrokenPipeError:
            raise ToolError("its process has ended") from None

    def answer(self) -> dict[str, Any]:
        """Wait for the answer to the oldest question.

        Raises:
            ToolError: the tool failed.
        """
        assert self.process.stdout
        line = self.process.stdout.readline()
        if not line:
            raise ToolError(f"its process has ended with status {self.process.wait()}")
        answer = json.loads(line)
        if "error" in answer:
            raise ToolError(answer["error"])
        return answer


def _fastest(tool: str, case: Case, seconds: float) -> tuple[str, Run, float]:
    """The fastest variant of a tool: its name, the training, and seconds per step and model."""
    best: tuple[str, Run, float] | None = None
    problems = []
    for name, build in TOOLS[tool].variants(case):
        try:
            run = build()
            first = run.seconds(1)  # what is compiled later than the first step is compiled here
            took = run.seconds(_steps(run, first, seconds))
        except Exception as error:
            problems.append(f"{name}: {type(error).__name__}: {error}")
            continue
        if best is None or took < best[2]:
            best = (name, run, took)
    if best is None:
        raise ToolError("; ".join(problems) or "no variant")
    return best


def _steps(run: Run, each: float, seconds: float) -> int:
    return max(1, round(seconds / max(each * run.models, 1e-9)))


def main() -> None:
    """Answer questions until they end."""
    cores = set(map(int, sys.argv[1:]))
    if cores and hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, cores)
    # what a library prints must not come between the answers
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    runs: dict[int, tuple[Run, float]] = {}
    number = 0
    for line in sys.stdin:
        question = json.loads(line)
        try:
            answer: dict[str, Any] = {}
            if "prepare" in question:
                case, tool = Case(**question["case"]), question["prepare"]
                name, run, each = _fastest(tool, case, question["seconds"])
                number += 1
                runs[number] = run, each
                answer = {"number": number, "variant": name, "loss": run.loss}
            elif "measure" in question:
                run, each = runs[question["measure"]]
                each = run.seconds(_steps(run, each, question["seconds"]))
                runs[question["measure"]] = run, each
                answer = {"milliseconds": 1000 * each}
            elif "forget" in question:
                runs.clear()
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
