"""`python -m urnn report`: write the report page."""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from typing import Any

from urnn.config import AccuracyFigure, R2Figure, StatisticsFigure, load
from urnn.settings.base import ConfigError

_THEOREMS = {
    "theorem1": "the same map with at most 2n states",
    "theorem2": "2n states to be equal, fewer to come near",
    "theorem3": "near, never equal, with sigmoid and tanh",
}


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--config", required=True, help="the merged configuration, JSON or @FILE (YAML)"
    )
    parser.add_argument("--results", type=Path, default=Path("results"), help="folder of scores")
    parser.add_argument(
        "--figures", type=Path, default=Path("reports/figures"), help="folder of figures"
    )
    parser.add_argument(
        "--captions", type=Path, default=Path("workflow/report"), help="folder of captions"
    )
    parser.add_argument("--output", type=Path, required=True, help="HTML file to write")


def _title(name: str) -> str:
    """figure2-tuned: Figure 2 tuned."""
    words = re.sub(r"^figure(?=\d)", "figure ", name).replace("-", " ")
    return words[:1].upper() + words[1:]


def _values(text: str) -> dict[str, Any]:
    import yaml  # JSON is YAML

    try:
        values = yaml.safe_load(Path(text[1:]).read_text() if text.startswith("@") else text)
    except yaml.YAMLError as error:
        raise ConfigError(f"--config: neither JSON nor YAML: {error}") from None
    if not isinstance(values, dict):
        raise ConfigError("--config: expected a mapping of keys to values")
    return values


def run(options: argparse.Namespace) -> None:
    values = _values(options.config)
    config = load(values)
    from urnn import report, storage

    scores = {}
    for name in config.experiments:
        dataset = storage.read(options.results / name / "scores.nc", ("diverged",))
        labels = [config.models[str(model)].label for model in dataset["model"].values]
        scores[name] = dataset.assign_coords(model_label=("model", labels))
    figures: list[report.FigureEntry] = [
        {
            "name": name,
            "path": options.figures / f"{name}.svg",
            "caption": (options.captions / f"{figure.kind}.rst").read_text(encoding="utf-8"),
            "title": f"{_title(name)}: {', '.join(figure.sources)}",
        }
        for name, figure in config.figures.items()
    ]
    theorems = ["theorem1", "theorem2", "theorem3"] if config.theory else []
    for name in theorems:
        text = (options.captions / f"{name}.rst").read_text(encoding="utf-8")
        title = f"{name.replace('theorem', 'Theorem ')}: {_THEOREMS[name]}"
        path = options.figures / f"{name}.svg"
        figures.append({"name": name, "path": path, "caption": text, "title": title})
    folder = options.results / "benchmarks"
    benchmarks = {
        stage: sorted(
            path
            for name in config.experiments
            for path in (folder / stage).glob(f"{name}/**/*.tsv")
        )
        for stage in ("data", "train", "score")
    }
    benchmarks["theory"] = [folder / "theory" / f"{name}.tsv" for name in theorems]
    benchmarks["figure"] = [
        path
        for path in sorted((folder / "figure").glob("*.tsv"))
        if path.stem in config.figures or path.stem in theorems
    ]
    page = report.render(
        scores,
        figures,
        values,
        {stage: files for stage, files in benchmarks.items() if files},
        {
            f.experiment: f.published
            for f in config.figures.values()
            if isinstance(f, R2Figure | AccuracyFigure) and f.published
        },
        {f.experiment: f for f in config.figures.values() if isinstance(f, StatisticsFigure)},
    )
    storage.write_text(page, options.output)
