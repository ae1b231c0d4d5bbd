"""`python -m urnn data`: make one realization of a task's data."""

from __future__ import annotations

import argparse
from pathlib import Path

from urnn import tasks
from urnn.settings.base import parse


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--task",
        default="{}",
        help="the task and its settings, JSON or @FILE (YAML), such as "
        f'\'{{"task": "NAME", ...}}\'; tasks: {", ".join(tasks.POINT)}',
    )
    parser.add_argument("--seed", type=int, default=2019, help="the run's seed (default: 2019)")
    parser.add_argument("--realization", type=int, required=True, help="number of the realization")
    parser.add_argument("--output", type=Path, required=True, help="NetCDF file to write")


def run(options: argparse.Namespace) -> None:
    task = parse(tasks.POINT.union(), options.task, "--task")
    from urnn import storage

    generate = tasks.POINT.part_module(task.task, "generate").generate
    dataset = generate(task, options.seed, options.realization)
    dataset.attrs |= {
        "task": task.task,
        "task_title": task.title,
        "loss": task.loss,
        "realization": options.realization,
        **storage.provenance(task.identity(), options.seed),
    }
    storage.write(dataset, options.output, task.compressed)
