"""`urnn predict`: simulate the outputs of a record with a trained model."""

from __future__ import annotations

import argparse
from pathlib import Path

from urnn.commands import overwrite_argument


def arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("model", type=Path, help="file of trained models, as `urnn fit` writes them")
    add(
        "record",
        type=Path,
        help="file with the model's inputs, and to compare, its outputs",
    )
    add("--output", type=Path, required=True, help="CSV file to write")
    add(
        "--rows", default=":", metavar="FIRST:LAST",
        help="rows of the record, counted from 0, the last one left out (default: all)",
    )  # fmt: skip
    add("--realization", type=int, help="of several in the file (default: the first)")
    overwrite_argument(parser)


def run(options: argparse.Namespace) -> None:
    from urnn import prediction, storage

    first, last = prediction.rows(options.rows)
    storage.check_new(options.output, (options.model, options.record), options.overwrite)
    prediction.run(options.model, options.record, options.output, first, last, options.realization)
