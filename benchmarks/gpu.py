"""`python -m benchmarks.gpu`: our training step on a GPU beside cuDNN's layers of torch, and JAX.

Milliseconds per optimizer step of a whole stack of models. torch.nn trains one model after the
other, so its time is that of one model times their number; JAX trains all by vmap, if that is
faster. What a machine does not have is left out, and a line says why.
"""

from __future__ import annotations

import argparse
import json
import math
from collections.abc import Iterable, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from benchmarks import cases
from benchmarks.__main__ import about_here, measure_turn
from benchmarks.cases import Case
from benchmarks.summary import Measurement, quartiles
from benchmarks.tools import TOOLS
from benchmarks.worker import ToolError, Worker
from urnn import devices, storage

#: columns; the first is what the others are compared with
TOOLS_HERE = ("urnn, GPU", "urnn", "torch.nn, GPU", "JAX, GPU")
#: on a core, a step of more models takes minutes, and as long for each of them
_MOST_ON_A_CORE = 30
#: relative difference of a tool's first loss from ours
_SAME_LOSS = 1e-3


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the benchmark; see `--help`.

    Raises:
        ConfigError: there is no GPU.
    """
    options = _parser().parse_args(arguments)
    devices.resolve("cuda")
    rounds = options.rounds or (1 if options.quick else 5)
    seconds = options.seconds or (0.02 if options.quick else 0.5)
    measurements: list[Measurement] = []
    about = about_here([], rounds, seconds)
    with ExitStack() as stack:
        # JAX takes the GPU by itself, if it is built for one
        workers = {
            tool: stack.enter_context(Worker((), JAX_PLATFORMS=""))
            for tool in options.tools
            if TOOLS[tool].installed
        }
        for case in cases.on_gpu(options.quick):
            print(f"{case.name}, {case.replicas} models ...", flush=True)
            measurements += _measured(workers, case, rounds, seconds)
            if options.output:
                stored = {**about, "measurements": [m.stored() for m in measurements]}
                storage.write_text(json.dumps(stored, indent=1) + "\n", options.output)
    print(table(measurements))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one small case, to see that it runs")
    parser.add_argument(
        "--tools", nargs="+", choices=TOOLS_HERE, default=list(TOOLS_HERE), help="columns"
    )
    parser.add_argument("--rounds", type=int, help="times that everything is measured (5)")
    parser.add_argument("--seconds", type=float, help="of a tool's turn in a round (0.5)")
    parser.add_argument("--output", type=Path, help="file of the results, .json")
    return parser


def _measured(
    workers: dict[str, Worker], case: Case, rounds: int, seconds: float
) -> list[Measurement]:
    """All tools on one case; one that fails is left out."""
    found: list[Measurement] = []
    ours: float | None = None
    for tool, worker in workers.items():
        if tool == "urnn" and case.replicas > _MOST_ON_A_CORE:
            continue
        try:
            prepared: dict[str, Any] = worker.prepare(tool, case, seconds / 5)
            ours = prepared["loss"] if ours is None else ours
            if not math.isclose(prepared["loss"], ours, rel_tol=_SAME_LOSS):
                raise ToolError(f"its first loss is {prepared['loss']:.6g} and ours {ours:.6g}")
            turn = measure_turn(worker, prepared["number"], seconds)
            times = [turn() for _ in range(rounds)]
            worker.ask(forget=True)
            worker.answer()
        except ToolError as error:
            print(f"  {tool}: left out, {error}")
            continue
        found.append(Measurement("gpu", tool, prepared["variant"], case, times))
    return found


def table(measurements: Iterable[Measurement]) -> str:
    """A row for each case: milliseconds per step of all its models; medians of the rounds."""
    found: dict[Case, dict[str, float]] = {}
    for measurement in measurements:
        step = quartiles(measurement.milliseconds)[1] * measurement.case.replicas
        found.setdefault(measurement.case, {})[measurement.tool] = step
    heads = ("urnn, GPU", "urnn, core", "cuDNN", "JAX, GPU")
    lines = [
        "\nms per step of all models",
        "",
        f"{'':<24}{'models':>8}" + "".join(f"{head:>12}" for head in heads),
    ]
    for case, times in found.items():
        cells = (f"{times[tool]:.4g}" if tool in times else "-" for tool in TOOLS_HERE)
        lines.append(
            f"{case.name:<24}{case.replicas:>8}" + "".join(f"{cell:>12}" for cell in cells)
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
