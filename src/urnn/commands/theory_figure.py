"""`python -m urnn theory_figure`: draw the figure of a theorem from its numbers."""

from __future__ import annotations

import argparse
from pathlib import Path

from urnn.commands.figure import check_drawn, drawn_arguments
from urnn.settings.base import parse
from urnn.settings.style import Style
from urnn.theorems import POINT


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("theorem", choices=list(POINT), help="which theorem")
    parser.add_argument("numbers", type=Path, help="NetCDF file of `python -m urnn theory`")
    parser.add_argument("--style", default="{}", help="style settings, JSON or @FILE (YAML)")
    parser.add_argument(
        "--output",
        type=Path,
        nargs="+",
        required=True,
        help="files to write: .svg or .png the figure, .csv the numbers that it shows",
    )
    drawn_arguments(parser)


def run(options: argparse.Namespace) -> None:
    look = parse(Style, options.style, "--style")
    from urnn import storage
    from urnn.figures import style

    check_drawn(options, [options.numbers])
    theorem = POINT.part_module(options.theorem, "plot")
    numbers = storage.read(options.numbers, theorem.VARIABLES, ("title",))
    style.save_all(lambda of: theorem.plot(numbers, of), options.output, options.narrow, look)
