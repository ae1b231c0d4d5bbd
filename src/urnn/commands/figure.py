"""`python -m urnn figure`: draw a figure from scores."""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from pathlib import Path

from pydantic import Field

from urnn.commands import overwrite_argument
from urnn.errors import ConfigError
from urnn.figures import POINT
from urnn.figures.base import labelled
from urnn.settings.base import Settings, parse
from urnn.settings.style import Style


class Labels(Settings):
    """Names in a figure."""

    models: dict[str, str] = Field(default_factory=dict, description="by model")
    experiments: list[str] = Field(
        default_factory=list, description="of the files, in their order; none: their folders"
    )


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("scores", type=Path, nargs="+", help="NetCDF files of scores")
    parser.add_argument(
        "--settings",
        default="{}",
        help=f'what it shows, JSON such as {{"kind": "KIND"}}; kinds: {", ".join(POINT)}',
    )
    parser.add_argument(
        "--labels",
        default="{}",
        help='names in the legend, JSON: {"models": {NAME: LABEL}, "experiments": [LABEL, ...]}',
    )
    parser.add_argument("--style", default="{}", help="style settings, JSON or @FILE (YAML)")
    parser.add_argument(
        "--output",
        type=Path,
        nargs="+",
        required=True,
        help="files to write: .svg or .png the figure, .csv the numbers that it shows, .md what it "
        "says in sentences and tables",
    )
    drawn_arguments(parser)


def drawn_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of a second drawing, and of files that are there."""
    parser.add_argument(
        "--narrow", type=Path, help="file to write: .svg or .png, for a screen of half the width"
    )
    overwrite_argument(parser)


def check_drawn(options: argparse.Namespace, inputs: Iterable[Path]) -> None:
    """Refuse to draw over a file of the user; raises ConfigError."""
    from urnn.storage import check_new

    for path in options.output:
        check_new(path, inputs, options.overwrite)
    if options.narrow:
        check_new(options.narrow, inputs, options.overwrite, "--narrow")


def run(options: argparse.Namespace) -> None:
    style = parse(Style, options.style, "--style")
    settings = parse(POINT.union(), options.settings, "--settings")
    labels = parse(Labels, options.labels, "--labels")
    names = labels.experiments or [path.parent.name for path in options.scores]
    if len(options.scores) > 1 and not settings.several:
        raise ConfigError(f"scores: a figure of kind {settings.kind} shows one file, not several")
    if len(names) != len(options.scores) or len({*names}) != len(names):
        raise ConfigError("--labels.experiments: give one name for each file, all distinct")
    from urnn import published, storage
    from urnn.figures.findings import markdown
    from urnn.figures.style import save_all

    check_drawn(options, options.scores)
    scores = {
        name: settings.chosen(labelled(storage.read(path, settings.needs()), labels.models))
        for name, path in zip(names, options.scores, strict=True)
    }
    curves = published.load(settings.curves) if settings.curves else None
    words = [path for path in options.output if path.suffix == ".md"]
    for path in words:
        storage.write_text(markdown(settings.findings(scores, curves)), path)
    plot = POINT.part_module(settings.kind, "plot").plot
    drawn = [path for path in options.output if path not in words]
    if drawn or options.narrow:
        save_all(lambda look: plot(scores, settings, curves, look), drawn, options.narrow, style)
