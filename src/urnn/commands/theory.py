"""`python -m urnn theory`: compute the numbers of a theorem's figure."""

from __future__ import annotations

import argparse
from pathlib import Path

from urnn.commands import overwrite_argument, whole
from urnn.settings.base import parse
from urnn.theorems import POINT


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("theorem", choices=list(POINT), help="which theorem")
    parser.add_argument("--settings", default="{}", help="its settings, JSON or @FILE (YAML)")
    parser.add_argument(
        "--seed", type=whole(0), default=2019, help="the run's seed (default: 2019)"
    )
    parser.add_argument("--output", type=Path, required=True, help="NetCDF file to write")
    overwrite_argument(parser)


def run(options: argparse.Namespace) -> None:
    settings = parse(POINT.plug(options.theorem), options.settings, "--settings")
    from urnn import storage

    storage.check_new(options.output, (), options.overwrite)
    dataset = POINT.part_module(options.theorem, "numbers").compute(settings, options.seed)
    dataset.attrs |= storage.provenance(settings.model_dump(), options.seed)
    storage.write(dataset, options.output)
    print(f"{options.theorem}: {', '.join(map(str, dataset.data_vars))}")
