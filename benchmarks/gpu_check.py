"""`python -m benchmarks.gpu_check`: everything that is to be run where there is a GPU, in order.

The doctor; the benchmark with its GPU columns; compute-sanitizer, where it is installed; and the
full configurations, timed. Each part has a log in the folder of results, a part that fails does not
stop the others, and summary.json says what passed and how long it took.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from benchmarks.worker import ROOT
from urnn import devices, storage

#: tools of compute-sanitizer; racecheck sees what the emulator's orders of threads may miss
_SANITIZERS = ("memcheck", "racecheck", "synccheck")
CONFIGURATIONS = ("config/paper.yaml", "config/mnist.yaml")


@dataclass(frozen=True)
class Part:
    """A command to run."""

    name: str
    command: list[str]


@dataclass(frozen=True)
class Outcome:
    """What became of it."""

    name: str
    status: int
    seconds: float


def main(arguments: Sequence[str] | None = None) -> int:
    """Run all parts; the exit status is 1 if one failed.

    Raises:
        ConfigError: there is no GPU.
    """
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu_check", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="config/test.yaml, and small cases")
    parser.add_argument("--output", type=Path, default=ROOT / "reports/gpu", help="folder of logs")
    options = parser.parse_args(arguments)
    devices.resolve("cuda")
    outcomes = [_run(part, options.output) for part in parts(options.output, options.quick)]
    summary = json.dumps([asdict(outcome) for outcome in outcomes], indent=1)
    storage.write_text(summary + "\n", options.output / "summary.json")
    for outcome in outcomes:
        word = "passed" if outcome.status == 0 else f"FAILED ({outcome.status})"
        print(f"{outcome.name:<28} {word:<14} {outcome.seconds:8.0f} s")
    if shutil.which("compute-sanitizer") is None:
        print("compute-sanitizer: left out, not installed; it comes with the CUDA toolkit")
    return int(any(outcome.status for outcome in outcomes))


def parts(output: Path, quick: bool) -> Iterator[Part]:
    """The commands, in order: those that find faults before those that take long."""
    python = sys.executable
    doctor = [python, "-m", "urnn", "doctor"]
    yield Part("doctor", doctor)
    yield Part("doctor-json", [*doctor, "--json", "--no-times"])
    sanitizer = shutil.which("compute-sanitizer")
    for tool in _SANITIZERS if sanitizer else ():
        # memory of its own for every tensor, so that a step outside is seen
        checked = ["env", "PYTORCH_NO_CUDA_MEMORY_CACHING=1"]
        checked += [str(sanitizer), "--tool", tool, "--error-exitcode", "1"]
        yield Part(f"sanitizer-{tool}", [*checked, *doctor, "--device", "cuda", "--no-times"])
    benchmark = [python, "-m", "benchmarks.gpu", "--output", str(output / "benchmark.json")]
    yield Part("benchmark", [*benchmark, *(["--quick"] if quick else [])])
    for path in ("config/test.yaml",) if quick else CONFIGURATIONS:
        snakemake = [python, "-m", "snakemake", "--cores", str(os.cpu_count() or 1)]
        command = [*snakemake, "--configfile", path, "--config", "device=cuda"]
        yield Part(f"workflow-{Path(path).stem}", command)


def _run(part: Part, output: Path) -> Outcome:
    """Run a part; what it prints goes to a log and, while it runs, nowhere else."""
    output.mkdir(parents=True, exist_ok=True)
    log = output / f"{part.name}.log"
    print(f"{part.name}: {log} ...", flush=True)
    begin = time.monotonic()
    with log.open("w") as file:
        done = subprocess.run(part.command, cwd=ROOT, stdout=file, stderr=subprocess.STDOUT)
    return Outcome(part.name, done.returncode, round(time.monotonic() - begin, 1))


if __name__ == "__main__":
    sys.exit(main())
