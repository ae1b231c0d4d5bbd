"""`python -m benchmarks`: measure, print tables, store the rounds, draw the figure."""

from __future__ import annotations

import argparse
import datetime
import json
import math
import os
import platform
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from contextlib import ExitStack, suppress
from importlib import metadata
from pathlib import Path
from typing import Any

from benchmarks import cases, summary
from benchmarks.cases import Case
from benchmarks.summary import Measurement
from benchmarks.tools import PEERS, TOOLS
from benchmarks.worker import ROOT, ToolError, Worker
from urnn import storage
from urnn.report import provenance

#: what every case of the comparison is measured with, besides the peers
OURS = ("urnn", "urnn, one model", "urnn, kernel", "peak")
GROWTH = ("time", "batch", "hidden", "replicas")
#: relative difference of a tool's first loss from ours; float32 gives 1e-6
_SAME_LOSS = 1e-3
_PACKAGES = ("jax", "jaxlib", "keras")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the benchmark; see `--help`."""
    options = _parser().parse_args(arguments)
    rounds = options.rounds or (2 if options.quick else 9)
    seconds = options.seconds or (0.02 if options.quick else 0.5)
    available = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    pinned = available[-1:] if options.core is None else [options.core]
    peers = _installed(options.tools)
    output = options.output or _default_output(options.quick)

    measurements: list[Measurement] = []
    about = about_here(pinned, rounds, seconds)

    def keep(found: Iterable[Measurement]) -> None:
        """Stored after every case, so that an interrupted run is not lost."""
        measurements.extend(found)
        stored = {**about, "measurements": [m.stored() for m in measurements]}
        storage.write_text(json.dumps(stored, indent=1, allow_nan=False) + "\n", output)

    with ExitStack() as stack:
        workers = {
            module: stack.enter_context(Worker(pinned))
            for module in dict.fromkeys(_process(tool) for tool in (*OURS, *peers))
        }
        for case in cases.compared(options.quick):
            if options.models and case.model not in options.models:
                continue
            print(f"{case.name} ...", flush=True)
            keep(_compared(workers, (*OURS, *peers), case, rounds, seconds))
        growing = {} if options.models else cases.growing(options.quick)
        for axis, grown in growing.items():
            print(f"growth with {axis} ...", flush=True)
            keep(_grown(workers["ours"], axis, grown, rounds, seconds))
    if options.models:
        print("growth, two at once and the figure: left out, only some models were asked for")
    elif len(available) > 1:
        print("two at once ...", flush=True)
        cores = [*pinned, next(number for number in available if number not in pinned)]
        keep(_at_once(cores, cases.at_once(options.quick), rounds, seconds))
    else:
        print("two at once: left out, there is one processor or no way to choose one")

    print(tables(measurements))
    print(f"stored in {output}")
    for path in options.figure or (() if options.quick or options.models else _FIGURES):
        from benchmarks import figure

        figure.draw(output, path)
        print(f"drawn in {path}")


_FIGURES = (ROOT / "docs" / "benchmark.png", ROOT / "docs" / "benchmark.svg")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="few small cases, to see that it runs")
    parser.add_argument(
        "--tools", nargs="*", choices=PEERS, default=PEERS, help="peers; none after it: ours alone"
    )
    parser.add_argument(
        "--models",
        nargs="+",
        choices=list(dict.fromkeys(c.model for c in cases.compared(False))),
        help="compare these models alone, nothing else",
    )
    parser.add_argument("--rounds", type=int, help="times that everything is measured (9)")
    parser.add_argument("--seconds", type=float, help="of a tool's turn in a round (0.5)")
    parser.add_argument("--core", type=int, help="the processor to run on (the last)")
    parser.add_argument("--output", type=Path, help="file of the results, .json")
    parser.add_argument("--figure", type=Path, nargs="*", help="files of the figure, .png or .svg")
    return parser


def tables(measurements: Sequence[Measurement]) -> str:
    """All that was measured, for people; median [quartiles] of the rounds."""
    parts = {measurement.part for measurement in measurements}
    found = []
    if "comparison" in parts:
        found.append(summary.comparison_table(measurements))
    found += [summary.growth_table(measurements, axis) for axis in GROWTH if axis in parts]
    if "at once" in parts:
        found.append(summary.at_once_table(measurements))
    rates = [rate for m in measurements if m.tool == "peak" for rate in summary.peak_rates(m)]
    low, median, high = summary.quartiles(rates)
    found.append(f"FMA peak of one core: {median:.0f} [{low:.0f}, {high:.0f}] GFLOP/s")
    return "\n\n" + "\n\n".join(found) + "\n"


def _process(tool: str) -> str:
    """The process a tool belongs to; the peak is measured in ours."""
    return "ours" if tool in OURS else tool


def _installed(chosen: Iterable[str]) -> tuple[str, ...]:
    found = []
    for name in chosen:
        if TOOLS[name].installed:
            found.append(name)
        else:
            print(f"{name}: left out, not installed; pip install -e '.[benchmark]'")
    return tuple(found)


def _compared(
    workers: dict[str, Worker], tools: Iterable[str], case: Case, rounds: int, seconds: float
) -> list[Measurement]:
    """All tools on one case, one after the other in every round."""
    prepared: dict[str, dict[str, Any]] = {}
    for tool in tools:
        if _process(tool) not in workers:
            continue
        try:
            prepared[tool] = workers[_process(tool)].prepare(tool, case, seconds / 5)
        except ToolError as error:
            if tool in OURS:
                raise
            print(f"  {tool}: left out, {error}")
            continue
        loss, ours = prepared[tool]["loss"], prepared["urnn"]["loss"]
        if loss is not None and not math.isclose(loss, ours, rel_tol=_SAME_LOSS):
            print(f"  {tool}: left out, its first loss is {loss:.6g} and ours {ours:.6g}")
            del prepared[tool]
    turns = {
        tool: measure_turn(workers[_process(tool)], answer["number"], seconds)
        for tool, answer in prepared.items()
    }
    times = _rounds(turns, rounds)
    for worker in workers.values():
        _forget(worker)
    return [
        Measurement("comparison", tool, prepared[tool]["variant"], case, values)
        for tool, values in times.items()
    ]


def _grown(
    worker: Worker, axis: str, grown: Iterable[Case], rounds: int, seconds: float
) -> list[Measurement]:
    """Our training on every case, one after the other in every round, and the peak."""
    prepared = {
        (tool, case): worker.prepare(tool, case, seconds / 5)
        for case in grown
        for tool in ("urnn", "peak")
    }
    turns = {
        key: measure_turn(worker, answer["number"], seconds) for key, answer in prepared.items()
    }
    times = _rounds(turns, rounds)
    _forget(worker)
    return [
        Measurement(axis, tool, prepared[tool, case]["variant"], case, values)
        for (tool, case), values in times.items()
    ]


def _at_once(cores: Sequence[int], case: Case, rounds: int, seconds: float) -> list[Measurement]:
    """One training, two in two processes, and two in two threads of one."""
    with Worker(cores[:1]) as first, Worker(cores[1:2]) as second, Worker(cores[:2]) as both:
        pair = (first, second)
        numbers = {worker: worker.prepare("urnn", case, seconds / 5)["number"] for worker in pair}
        threads = both.prepare("urnn, two threads", case, seconds / 5)["number"]

        def processes() -> float:
            for worker in pair:
                worker.ask(measure=numbers[worker], seconds=seconds)
            return sum(worker.answer()["milliseconds"] for worker in pair) / len(pair)

        turns = {
            "1 process": measure_turn(first, numbers[first], seconds),
            "2 processes": processes,
            "2 threads": measure_turn(both, threads, seconds),
        }
        times = _rounds(turns, rounds)
    return [Measurement("at once", name, "", case, values) for name, values in times.items()]


def measure_turn(worker: Worker, number: int, seconds: float) -> Callable[[], float]:
    """A function that times a prepared training: milliseconds per step and model."""

    def measure() -> float:
        worker.ask(measure=number, seconds=seconds)
        return worker.answer()["milliseconds"]

    return measure


def _rounds(turns: dict[Any, Callable[[], float]], rounds: int) -> dict[Any, list[float]]:
    """Everyone's times; every round starts with another one, so that no place is the best."""
    times: dict[Any, list[float]] = {name: [] for name in turns}
    names = list(turns)
    for number in range(rounds):
        start = number % len(names)
        for name in names[start:] + names[:start]:
            if name not in times:
                continue
            try:
                times[name].append(turns[name]())
            except ToolError as error:
                if name not in PEERS:
                    raise
                print(f"  {name}: left out, {error}")
                del times[name]
    return times


def _forget(worker: Worker) -> None:
    # a process that has ended was reported, and has nothing to forget
    with suppress(ToolError):
        worker.ask(forget=True)
        worker.answer()


def about_here(cores: list[int], rounds: int, seconds: float) -> dict[str, Any]:
    """Machine, versions, date and commit."""
    from llvmlite import binding

    versions = storage.versions()
    for package in _PACKAGES:
        try:
            versions[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "commit": _git("rev-parse", "HEAD"),
        "changed": bool(_git("status", "--porcelain", "--untracked-files=no")),
        "machine": {
            "processor": provenance.processor(),
            "architecture": binding.get_host_cpu_name(),
            "processors": os.cpu_count(),
            "system": platform.platform(),
        },
        "pinned_to": cores,
        "rounds": rounds,
        "seconds_of_a_turn": seconds,
        "versions": versions,
    }


def _git(*arguments: str) -> str:
    try:
        done = subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True)
    except OSError:
        return ""
    return done.stdout.strip()


def _default_output(quick: bool) -> Path:
    from llvmlite import binding

    name = f"{datetime.date.today().isoformat()}-{binding.get_host_cpu_name()}"
    return ROOT / "benchmarks" / "results" / ("quick.json" if quick else f"{name}.json")


if __name__ == "__main__":
    try:
        main()
    except (ToolError, storage.DataError) as error:
        sys.exit(f"benchmarks: {error}")
