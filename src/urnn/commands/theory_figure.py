"""`python -m urnn theory_figure`: draw the figure of a theorem from its numbers."""

from __future__ import annotations

import argparse
from pathlib import Path

from urnn.settings.base import parse
from urnn.settings.figures import Style


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("theorem", choices=["theorem1", "theorem2", "theorem3"], help="which one")
    parser.add_argument("numbers", type=Path, help="NetCDF file of `python -m urnn theory`")
    parser.add_argument("--style", default="{}", help="style settings, JSON or @FILE (YAML)")
    parser.add_argument(
        "--output", type=Path, nargs="+", required=True, help="files to write, .svg or .png"
    )


def run(options: argparse.Namespace) -> None:
    settings = parse(Style, options.style, "--style")
    from urnn import storage
    from urnn.figures import style, theorem1, theorem2, theorem3

    drawing = {"theorem1": theorem1, "theorem2": theorem2, "theorem3": theorem3}[options.theorem]
    dataset = storage.read(options.numbers, drawing.VARIABLES)
    look = style.Style(**settings.model_dump())
    figure = drawing.plot(dataset, look)
    for path in options.output:
        style.save(figure, path, look)
