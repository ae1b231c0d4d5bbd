"""`python -m urnn figure`: draw test R^2 against hidden units from scores."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from urnn.settings.base import ConfigError, parse
from urnn.settings.figures import Style


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("scores", type=Path, help="NetCDF file of an experiment's scores")
    parser.add_argument("--published", default="", help="published figure to draw lightly beside")
    parser.add_argument("--labels", default="{}", help="names of the models in the legend, JSON")
    parser.add_argument("--style", default="{}", help="style settings, JSON or @FILE (YAML)")
    parser.add_argument(
        "--output", type=Path, nargs="+", required=True, help="files to write, .svg or .png"
    )


def run(options: argparse.Namespace) -> None:
    settings = parse(Style, options.style, "--style")
    try:
        labels = dict(json.loads(options.labels))
    except (ValueError, TypeError) as error:
        raise ConfigError(f"--labels: expected JSON like {{'rnn': 'RNN'}}: {error}") from None
    from urnn import published, storage
    from urnn.figures import r2, style

    scores = storage.read(options.scores, ("r2", "diverged", "r2_optimal", "state_factor"))
    names = [str(name) for name in scores["model"].values]
    scores = scores.assign_coords(model_label=("model", [labels.get(n, n) for n in names]))
    look = style.Style(**settings.model_dump())
    curves = published.load(options.published) if options.published else None
    figure = r2.plot(scores, curves, look)
    for path in options.output:
        style.save(figure, path, look)
