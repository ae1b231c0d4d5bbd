"""The stages of the workflow: what each is made from, and what its jobs cost."""

from __future__ import annotations

import csv
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from urnn.figures.findings import NONE

#: Each rule, and the rules whose files it needs; without those that another of them needs too.
GRAPH: dict[str, tuple[str, ...]] = {
    "data": (),
    "kernels": (),
    "theory": (),
    "train": ("data", "kernels"),
    "score": ("train",),
    "figure": ("score",),
    "theory_figure": ("theory",),
    "report": ("figure", "theory_figure"),
}
#: Where the page draws them: column of a grid of six, and row.
_PLACES = {
    "data": (1, 0),
    "kernels": (3, 0),
    "theory": (5, 0),
    "train": (2, 1),
    "score": (2, 2),
    "figure": (2, 3),
    "theory_figure": (5, 3),
    "report": (3.5, 4),
}
_COLUMN, _ROW, _BOX = 62, 66, (104, 36)


def drawing() -> dict[str, Any]:
    """The graph in units of a drawing: boxes with their middles, and lines between them."""
    middle = {
        name: (column * _COLUMN, row * _ROW + _BOX[1] / 2 + 2)
        for name, (column, row) in _PLACES.items()
    }
    half = _BOX[1] / 2
    return {
        "width": 6 * _COLUMN,
        "height": 4 * _ROW + _BOX[1] + 4,
        "box": _BOX,
        "nodes": [{"name": name, "x": x, "y": y} for name, (x, y) in middle.items()],
        "edges": [
            {
                "x1": middle[source][0],
                "y1": middle[source][1] + half,
                "x2": middle[name][0],
                "y2": middle[name][1] - half,
            }
            for name, needed in GRAPH.items()
            for source in needed
        ],
    }


def costs(benchmarks: Mapping[str, Iterable[str | Path]]) -> list[dict[str, Any]]:
    """Of each stage, and of all: jobs, wall-clock and processor seconds, largest memory.

    Args:
        benchmarks: by stage, Snakemake's benchmark files (TSV).
    """
    stages = []
    everything: dict[str, list[float]] = {"s": [], "cpu_time": [], "max_rss": []}
    jobs = 0
    for stage, paths in benchmarks.items():
        found: dict[str, list[float]] = {name: [] for name in everything}
        count = 0
        for path in paths:
            count += 1
            with open(path, encoding="utf-8", newline="") as file:
                for record in csv.DictReader(file, delimiter="\t"):
                    # Snakemake writes NA or - for what it could not measure in a very short job
                    for name, values in found.items():
                        values += _measured(record.get(name))
        stages.append(_stage(stage, count, found))
        for name, values in found.items():
            everything[name] += values
        jobs += count
    if stages:
        stages.append(_stage("all", jobs, everything))
    return stages


def _measured(text: str | None) -> list[float]:
    try:
        value = float(text or "")
    except ValueError:
        return []
    return [value] if math.isfinite(value) else []


def _stage(name: str, jobs: int, found: Mapping[str, list[float]]) -> dict[str, Any]:
    times, processor, memory = found["s"], found["cpu_time"], found["max_rss"]
    return {
        "name": name,
        "jobs": jobs,
        "seconds": f"{sum(times):.1f}" if times else NONE,
        "longest": f"{max(times):.1f}" if times else NONE,
        "processor": f"{sum(processor):.1f}" if processor else NONE,
        "memory": f"{max(memory):.0f}" if memory else NONE,
    }
