"""`python -m urnn kernels`: compile what trainings and scores of one shape will run."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from urnn.commands import whole
from urnn.losses import LOSSES, Squared
from urnn.recurrence import cells
from urnn.settings.base import parse


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--cell",
        default="{}",
        help="the cell and its options, JSON or @FILE (YAML), such as "
        f'\'{{"cell": "NAME"}}\'; cells: {", ".join(cells.POINT)}',
    )
    parser.add_argument(
        "--loss", choices=list(LOSSES), default=Squared.name, help="what is minimised"
    )
    parser.add_argument("--hidden-units", type=whole(1), required=True, help="size of the model")
    parser.add_argument("--input-size", type=whole(1), required=True, help="number of inputs")
    parser.add_argument("--output-size", type=whole(1), required=True, help="number of outputs")
    parser.add_argument(
        "--batches", type=whole(1), nargs="+", required=True, help="sizes of the minibatches"
    )
    parser.add_argument(
        "--trials",
        type=whole(1),
        nargs="+",
        required=True,
        help="numbers of trials that are scored",
    )
    parser.add_argument("--output", type=Path, required=True, help="file that says what is there")


def run(options: argparse.Namespace) -> None:
    cell = parse(cells.POINT.union(), options.cell, "--cell")
    from urnn import storage
    from urnn.recurrence import Spec
    from urnn.recurrence.cpu import compile_kernels

    sizes = options.hidden_units, options.input_size, options.output_size
    spec = Spec(cell, *sizes, options.loss)
    compile_kernels(spec, options.batches, options.trials)
    there = {
        "kernel": spec.name,
        "cell": cell.model_dump(),
        "batches": options.batches,
        "trials": options.trials,
    }
    storage.write_text(json.dumps(there, indent=1) + "\n", options.output)
