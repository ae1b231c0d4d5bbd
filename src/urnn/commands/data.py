"""`python -m urnn data`: make realizations of a task's data."""

from __future__ import annotations

import argparse
from pathlib import Path

from urnn import tasks
from urnn.commands import overwrite_argument, whole
from urnn.errors import ConfigError
from urnn.settings.base import parse


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--task",
        default="{}",
        help="the task and its settings, JSON or @FILE (YAML), such as "
        f'\'{{"task": "NAME", ...}}\'; tasks: {", ".join(tasks.POINT)}',
    )
    parser.add_argument(
        "--seed", type=whole(0), default=2019, help="the run's seed (default: 2019)"
    )
    parser.add_argument(
        "--realization", type=whole(0), required=True, nargs="+", help="numbers of the realizations"
    )
    parser.add_argument(
        "--output",
        type=Path,
        required=True,
        nargs="+",
        help="NetCDF files to write, one for each realization",
    )
    overwrite_argument(parser)


def run(options: argparse.Namespace) -> None:
    task = parse(tasks.POINT.union(), options.task, "--task")
    numbers, paths = options.realization, options.output
    if len(numbers) != len(paths):
        raise ConfigError(
            f"--output: name one file for each realization, {len(numbers)} and not {len(paths)}"
        )
    from urnn import storage

    for path in paths:
        storage.check_new(path, (), options.overwrite)
    generate = tasks.POINT.part_module(task.task, "generate").generate
    datasets = generate(task, options.seed, numbers)
    for number, path, dataset in zip(numbers, paths, datasets, strict=True):
        dataset.attrs |= {
            "task": task.task,
            "task_title": task.title,
            "loss": task.loss,
            "realization": number,
            **storage.provenance(task.identity(), options.seed),
        }
        storage.write(dataset, path, task.compressed)
