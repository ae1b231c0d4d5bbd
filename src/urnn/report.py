"""The report page: figures, scores, configuration, versions and run times in one HTML file."""

from __future__ import annotations

import base64
import csv
import json
import math
import os
import platform
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from importlib import metadata, resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

import jinja2
import yaml

from urnn import findings, scoring
from urnn import published as published_curves
from urnn.findings import number as _number

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

    from urnn.settings.figures import StatisticsSettings

#: Packages whose version is stated, where they are installed.
PACKAGES = (
    "urnn",
    "numpy",
    "numba",
    "torch",
    "scipy",
    "xarray",
    "netCDF4",
    "matplotlib",
    "pydantic",
    "snakemake",
)
_MEDIA_TYPES = {".svg": "image/svg+xml", ".png": "image/png"}
_NONE = "–"


class FigureEntry(TypedDict):
    """A figure of the page; the caption is plain text, a blank line starts a new paragraph."""

    name: str
    path: str | Path
    caption: str
    title: str


def render(
    scores: Mapping[str, xr.Dataset],
    figures: Sequence[FigureEntry],
    configuration: Mapping[str, Any],
    benchmarks: Mapping[str, Iterable[str | Path]],
    published: Mapping[str, str],
    statistics: Mapping[str, StatisticsSettings] | None = None,
    *,
    title: str = "Unitary and contractive recurrent networks",
    date: datetime | None = None,
) -> str:
    """The page as one HTML document that loads nothing: no network, no scripts, no other file.

    Figures are embedded as images, so that the ids inside two SVGs cannot clash. Everything that
    comes from the arguments is escaped. The document is well-formed XML too.

    Args:
        scores: by experiment, as `urnn.scoring.summarise` takes them.
        figures: drawn files (.svg or .png) with their words, in the order of the page.
        configuration: the merged configuration; what YAML cannot express is shown as text.
        benchmarks: by stage, Snakemake's benchmark files (TSV); stages in the order of the page.
        published: by experiment, the name of the published figure it is compared with
            (`urnn.published.NAMES`); an experiment without one has no published columns.
        statistics: by experiment, how its models are compared in words and tables; an experiment
            without has none.
        title: of the page.
        date: of the page; now by default, or the time in SOURCE_DATE_EPOCH (seconds) where that
            is set, so that a page can be made twice with the same bytes.

    Raises:
        ValueError: a figure is neither .svg nor .png, or the scores do not fit `summarise`.
        FileNotFoundError: a figure or a benchmark file is missing.
    """
    if date is None:
        epoch = os.environ.get("SOURCE_DATE_EPOCH")
        date = datetime.fromtimestamp(float(epoch), UTC) if epoch else datetime.now(UTC)
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    source = resources.files("urnn").joinpath("page.html.jinja").read_text(encoding="utf-8")
    plain = json.loads(json.dumps(configuration, default=str))
    return environment.from_string(source).render(
        title=title,
        date=date.strftime("%Y-%m-%d %H:%M %Z").strip(),
        seed=plain.get("seed", _NONE),
        experiments=[
            _experiment(name, dataset, published.get(name), (statistics or {}).get(name))
            for name, dataset in scores.items()
        ],
        figures=[_embedded(figure) for figure in figures],
        configuration=yaml.safe_dump(
            plain, sort_keys=False, allow_unicode=True, width=90, default_flow_style=None
        ),
        versions=_versions(),
        stages=_stages(benchmarks),
    )


def _embedded(figure: FigureEntry) -> dict[str, Any]:
    path = Path(figure["path"])
    if path.suffix not in _MEDIA_TYPES:
        raise ValueError(f"figures: the path must end in .svg or .png, but it is {str(path)!r}")
    data = base64.b64encode(path.read_bytes()).decode("ascii")
    paragraphs = [" ".join(part.split()) for part in figure["caption"].split("\n\n")]
    return {
        "name": figure["name"],
        "title": figure["title"],
        "source": f"data:{_MEDIA_TYPES[path.suffix]};base64,{data}",
        "paragraphs": [part for part in paragraphs if part],
    }


def _typeset(text: str) -> str:
    for ascii_form, sign in (("R^2", "R²"), ("+-", "±"), ("<=", "≤")):
        text = text.replace(ascii_form, sign)
    return text


def _experiment(
    name: str, scores: xr.Dataset, figure: str | None, comparison: StatisticsSettings | None
) -> dict[str, Any]:
    """The table of one experiment: a list of models, each with its rows."""
    if scores.sizes.get("recipe") == 1:
        scores = scores.squeeze("recipe", drop=True)
    summary = scoring.summarise(scores)
    metric = "r2" if "r2" in scores else "accuracy"
    curves = published_curves.load(figure) if figure else None
    models = []
    for model in summary["model"].values:
        of_model = summary.sel(model=model)
        curve = None if curves is None or str(model) not in curves else curves[str(model)]
        label = str(of_model["model_label"].item()) if "model_label" in of_model else str(model)
        rows = [
            _row(
                of_model.sel(hidden_units=size),
                metric,
                curve,
                scores.sel(model=model, hidden_units=size),
            )
            for size in summary["hidden_units"].values
        ]
        models.append({"label": label, "rows": [row for row in rows if row is not None]})
    attributes = scores.attrs
    facts = [("Realizations", str(scores.sizes["realization"]))]
    for key, label, unit in (
        ("snr_db", "Signal-to-noise ratio", " dB"),
        ("epochs", "Epochs", ""),
        ("seed", "Seed", ""),
    ):
        if key in attributes:
            value = attributes[key]
            text = f"{value:g}" if isinstance(value, float) else str(value)
            facts.append((label, text + unit))
    for key, label in (("r2", "Optimal R²"), ("r2_centred", "Optimal centred R²")):
        if f"{key}_optimal_mean" in summary:
            facts.append((label, _number(float(summary[f"{key}_optimal_mean"]))))
    made_with = _other_versions(attributes.get("versions", "{}"))
    if made_with:
        facts.append(("Made with", made_with))
    diverged, averaged = int(summary["diverged"].sum()), int(summary["averaged"].sum())
    facts.append(("Trainings that diverged", f"{diverged} of {diverged + averaged}"))
    return {
        "name": name,
        "facts": facts,
        "models": [model for model in models if model["rows"]],
        "score": "R²" if metric == "r2" else "accuracy",
        "has_set": "violation" in scores,
        "has_centred": "r2_centred_mean" in summary,
        "has_optimum": f"{metric}_optimal_mean" in summary,
        "published": None if curves is None else _typeset(curves.attrs["comment"]),
        "figure": figure,
        "findings": _findings(scores, curves, comparison),
    }


def _findings(
    scores: xr.Dataset, curves: pd.DataFrame | None, comparison: StatisticsSettings | None
) -> dict[str, Any]:
    """Sentences and tables on an experiment; none without a comparison."""
    if comparison is None:
        return {"sentences": [], "tables": []}
    found = findings.compare(scores, comparison)
    if curves is not None:
        more = findings.deviations(scores, curves, comparison.stalled)
        found = {key: found[key] + more[key] for key in found}
    return found


def _row(cell: xr.Dataset, metric: str, curve: Any, scores: xr.Dataset) -> dict[str, Any] | None:
    """One (model, hidden units), summarised and as scored; None where nothing was trained."""
    averaged, diverged = int(cell["averaged"]), int(cell["diverged"])
    if averaged + diverged == 0:
        return None
    size = cell["hidden_units"].item()
    mean = float(cell[f"{metric}_mean"])
    lower, upper = (float(bound) for bound in cell[f"{metric}_interval"].values)
    violation = float(scores["violation"].max()) if "violation" in scores else math.nan
    theirs = math.nan if curve is None or size not in curve.index else float(curve[size])
    return {
        "hidden_units": size,
        "mean": _number(mean),
        "interval": f"{_number(lower)} to {_number(upper)}" if math.isfinite(lower) else _NONE,
        "centred": _number(float(cell.get("r2_centred_mean", math.nan))),
        "optimum": _number(float(cell.get(f"{metric}_optimal_mean", math.nan))),
        "published": _number(theirs),
        "difference": _number(mean - theirs, sign=True),
        "averaged": averaged,
        "diverged": diverged,
        "parameters": str(int(scores["parameters"])) if "parameters" in scores else _NONE,
        "violation": f"{violation:.1g}" if math.isfinite(violation) else _NONE,
    }


def _versions() -> list[tuple[str, str]]:
    found = [("python", platform.python_version()), ("platform", platform.platform())]
    for package in PACKAGES:
        try:
            found.append((package, metadata.version(package)))
        except metadata.PackageNotFoundError:
            continue
    return found


def _other_versions(recorded: str) -> str:
    """The versions in a file's attribute (JSON) that are not those of this machine."""
    here = dict(_versions())
    try:
        there = dict(json.loads(recorded))
    except (TypeError, ValueError):
        return str(recorded)
    return ", ".join(
        f"{name} {version}"
        for name, version in there.items()
        if name in here and here[name] != str(version)
    )


def _stages(benchmarks: Mapping[str, Iterable[str | Path]]) -> list[dict[str, Any]]:
    """Jobs, seconds (summed over jobs) and largest memory (MiB) of each stage, and their total."""
    stages = []
    every_time: list[float] = []
    every_memory: list[float] = []
    jobs = 0
    for stage, paths in benchmarks.items():
        times: list[float] = []
        memory: list[float] = []
        count = 0
        for path in paths:
            count += 1
            with open(path, encoding="utf-8", newline="") as file:
                for record in csv.DictReader(file, delimiter="\t"):
                    # Snakemake writes NA or - for what it could not measure in a very short job
                    times += _measured(record.get("s"))
                    memory += _measured(record.get("max_rss"))
        stages.append(_stage(stage, count, times, memory))
        every_time += times
        every_memory += memory
        jobs += count
    if stages:
        stages.append(_stage("all", jobs, every_time, every_memory))
    return stages


def _measured(text: str | None) -> list[float]:
    try:
        value = float(text or "")
    except ValueError:
        return []
    return [value] if math.isfinite(value) else []


def _stage(name: str, jobs: int, times: list[float], memory: list[float]) -> dict[str, Any]:
    return {
        "name": name,
        "jobs": jobs,
        "seconds": f"{sum(times):.1f}" if times else _NONE,
        "longest": f"{max(times):.1f}" if times else _NONE,
        "memory": f"{max(memory):.0f}" if memory else _NONE,
    }
