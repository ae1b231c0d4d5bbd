"""`python -m urnn report`: write the report page."""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from urnn.config import Config, load
from urnn.errors import ConfigError
from urnn.figures.base import labelled
from urnn.settings.base import values_of
from urnn.theorems import POINT as THEOREMS

if TYPE_CHECKING:
    import xarray as xr

    from urnn.report import FigureEntry


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--config", required=True, help="the merged configuration, JSON or @FILE (YAML)"
    )
    parser.add_argument("--results", type=Path, default=Path("results"), help="folder of scores")
    parser.add_argument(
        "--figures", type=Path, default=Path("reports/figures"), help="folder of figures"
    )
    parser.add_argument("--output", type=Path, required=True, help="HTML file to write")


def run(options: argparse.Namespace) -> None:
    values = values_of(options.config, "--config")
    if not isinstance(values, dict):
        raise ConfigError("--config: expected a mapping of keys to values")
    config = load(values)
    from urnn import report, storage

    labels = {name: model.label for name, model in config.models.items()}
    scores = {
        name: labelled(storage.read(options.results / name / "scores.nc", ("diverged",)), labels)
        for name in config.experiments
    }
    figures = _figures(config, options.figures, scores)
    shown_by = {
        name: [figure for figure in config.figures.values() if name in figure.sources]
        for name in config.experiments
    }
    drawn = [figure["name"] for figure in figures]
    benchmarks = _benchmarks(config.experiments, drawn, options.results / "benchmarks")
    page = report.render(scores, figures, values, benchmarks, shown_by)
    storage.write_text(page, options.output)


def _figures(config: Config, folder: Path, scores: Mapping[str, xr.Dataset]) -> list[FigureEntry]:
    """The figures of the configuration, then those of the theorems."""
    from urnn import published

    entries: list[FigureEntry] = []
    for name, figure in config.figures.items():
        labels = config.labels(name)["experiments"]
        shown = {
            label: figure.chosen(scores[source])
            for label, source in zip(labels, figure.sources, strict=True)
        }
        curves = published.load(figure.curves) if figure.curves else None
        entries.append(
            {
                "name": name,
                "path": folder / f"{name}.svg",
                "caption": figure.text,
                "title": f"{_title(name)}: {', '.join(figure.sources)}",
                "findings": figure.findings(shown, curves),
            }
        )
    for name in THEOREMS if config.theory else ():
        plug = THEOREMS.plug(name)
        entries.append(
            {
                "name": name,
                "path": folder / f"{name}.svg",
                "caption": plug.caption,
                "title": plug.title,
                "findings": {"sentences": [], "tables": []},
            }
        )
    return entries


def _title(name: str) -> str:
    """figure2-tuned: Figure 2 tuned."""
    words = re.sub(r"^figure(?=\d)", "figure ", name).replace("-", " ")
    return words[:1].upper() + words[1:]


def _benchmarks(
    experiments: Iterable[str], figures: Iterable[str], folder: Path
) -> dict[str, list[Path]]:
    """By stage, the benchmark files of the jobs that made what is on the page."""
    files = {
        stage: sorted(
            path for name in experiments for path in (folder / stage).glob(f"{name}/**/*.tsv")
        )
        for stage in ("data", "train", "score")
    }
    for stage in ("theory", "figure"):
        files[stage] = [
            path for path in sorted((folder / stage).glob("*.tsv")) if path.stem in figures
        ]
    return {stage: paths for stage, paths in files.items() if paths}
