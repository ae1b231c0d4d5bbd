"""`urnn export`: write a trained model for other programs: torch, ONNX or CSV."""

from __future__ import annotations

import argparse
from pathlib import Path

from urnn.commands import overwrite_argument


def arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("model", type=Path, help="file of trained models")
    add("--to", choices=["torch", "onnx", "csv"], required=True, help="what is written")
    add("--output", type=Path, required=True, help="file to write")
    add("--realization", type=int, help="of several in the file (default: the first)")
    overwrite_argument(parser)


def run(options: argparse.Namespace) -> None:
    from urnn import exporting, storage, trained

    storage.check_new(options.output, (options.model,), options.overwrite)
    replica = trained.read(options.model, options.realization)
    told = exporting.FORMATS[options.to](replica, options.output)
    print(f"{options.output}: {told}")
