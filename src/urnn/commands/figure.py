"""`python -m urnn figure`: draw a figure from scores."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from urnn.settings.base import ConfigError, Settings, near, parse
from urnn.settings.figures import KINDS, StatisticsSettings, Style, with_kind


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("scores", type=Path, nargs="+", help="NetCDF files of scores")
    parser.add_argument(
        "--settings",
        default="{}",
        help=f'what it shows, JSON such as {{"kind": "gap"}}; kinds: {", ".join(KINDS)}',
    )
    parser.add_argument(
        "--labels",
        default="{}",
        help='names in the legend, JSON: {"models": {NAME: LABEL}, "experiments": [LABEL, ...]}',
    )
    parser.add_argument("--style", default="{}", help="style settings, JSON or @FILE (YAML)")
    parser.add_argument(
        "--output", type=Path, nargs="+", required=True, help="files to write, .svg or .png"
    )


def run(options: argparse.Namespace) -> None:
    look_settings = parse(Style, options.style, "--style")
    settings = _settings(options.settings)
    labels = _mapping(options.labels, "--labels")
    names = labels.get("experiments", [path.parent.name for path in options.scores])
    several = settings.model_dump()["kind"] == "gap"
    if len(options.scores) > 1 and not several:
        raise ConfigError("scores: a figure of this kind shows one file's")
    if len({*names}) != len(options.scores):
        raise ConfigError("--labels: experiments needs one name, all distinct, for each file")
    from urnn import published, storage
    from urnn.figures import style

    kind = settings.model_dump()["kind"]
    needs = {
        "accuracy": ("accuracy", "diverged"),
        "history": (settings.model_dump().get("shows", ""), "epoch", "kept_epoch"),
    }.get(kind, ("r2", "diverged", "r2_optimal", "state_factor"))
    opened = []
    for path in options.scores:
        scores = storage.read(path, needs)
        models = [str(name) for name in scores["model"].values]
        shown = [labels.get("models", {}).get(name, name) for name in models]
        opened.append(scores.assign_coords(model_label=("model", shown)))
    look = style.Style(**look_settings.model_dump())
    curves = settings.model_dump().get("published")
    curves = published.load(curves) if curves else None
    if several:
        from urnn.figures import gap

        figure = gap.plot(dict(zip(names, opened, strict=True)), curves, look)
    elif isinstance(settings, StatisticsSettings):
        from urnn.figures import statistics

        figure = statistics.plot(opened[0], settings, look)
    elif kind == "accuracy":
        from urnn.figures import accuracy

        figure = accuracy.plot(opened[0], curves, look)
    elif kind == "history":
        from urnn.figures import history

        figure = history.plot(opened[0], settings.model_dump()["shows"], look)
    else:
        from urnn.figures import r2

        figure = r2.plot(opened[0], curves, look)
    for path in options.output:
        style.save(figure, path, look)


def _mapping(text: str, name: str) -> dict[str, Any]:
    try:
        values = json.loads(text)
    except ValueError as error:
        raise ConfigError(f"{name}: expected JSON, but got {text[:80]!r} ({error})") from None
    if not isinstance(values, dict):
        raise ConfigError(f"{name}: expected a JSON mapping, but got {text[:80]!r}")
    return values


def _settings(text: str) -> Settings:
    values = with_kind(_mapping(text, "--settings"))
    kind = values["kind"]
    if kind not in KINDS:
        raise ConfigError(
            f"--settings: kind must be one of {', '.join(KINDS)}, but it is {kind!r}"
            f"{near(kind, KINDS)}"
        )
    return parse(KINDS[kind], json.dumps(values), "--settings")
