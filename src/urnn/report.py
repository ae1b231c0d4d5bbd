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
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict

import jinja2
import yaml

from urnn import published, scoring, signals, storage
from urnn.errors import ArgumentError
from urnn.figures.findings import NONE, Findings, interval, number

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

    from urnn.figures.base import FigureSettings

#: Packages whose version is stated, where they are installed.
PACKAGES = (
    "numpy",
    "llvmlite",
    "torch",
    "scipy",
    "xarray",
    "netCDF4",
    "matplotlib",
    "seaborn",
    "pydantic",
    "snakemake",
)
_MEDIA_TYPES = {".svg": "image/svg+xml", ".png": "image/png"}
#: How scores are written in a heading; others have their names.
_SIGNS = {"r2": "R²", "r2_centred": "centred R²"}


class FigureEntry(TypedDict):
    """A figure of the page; the caption is plain text, a blank line starts a new paragraph."""

    name: str
    path: str | Path
    caption: str
    title: str
    #: what stands below the caption
    findings: Findings


def render(
    scores: Mapping[str, xr.Dataset],
    figures: Sequence[FigureEntry],
    configuration: Mapping[str, Any],
    benchmarks: Mapping[str, Iterable[str | Path]],
    shown_by: Mapping[str, Sequence[FigureSettings]],
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
        shown_by: by experiment, the figures that show it; the first of them that has published
            curves adds the published columns to the table of scores.
        title: of the page.
        date: of the page; now by default, or the time in SOURCE_DATE_EPOCH (seconds) where that
            is set, so that a page can be made twice with the same bytes.

    Raises:
        ArgumentError: a figure is neither .svg nor .png, or the scores do not fit `summarise`.
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
        seed=plain.get("seed", NONE),
        measured=bool(scores) and all(signals.of(dataset.attrs) for dataset in scores.values()),
        experiments=[
            _experiment(name, dataset, shown_by.get(name, ())) for name, dataset in scores.items()
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
        raise ArgumentError(f"figures: the path must end in .svg or .png, but it is {str(path)!r}")
    data = base64.b64encode(path.read_bytes()).decode("ascii")
    paragraphs = [" ".join(part.split()) for part in figure["caption"].split("\n\n")]
    return {
        "name": figure["name"],
        "title": figure["title"],
        "source": f"data:{_MEDIA_TYPES[path.suffix]};base64,{data}",
        "paragraphs": [part for part in paragraphs if part],
        "sentences": figure["findings"]["sentences"],
        "tables": figure["findings"]["tables"],
    }


def _typeset(text: str) -> str:
    for ascii_form, sign in (("R^2", "R²"), ("+-", "±"), ("<=", "≤")):
        text = text.replace(ascii_form, sign)
    return text


def _experiment(name: str, scores: xr.Dataset, figures: Sequence[FigureSettings]) -> dict[str, Any]:
    """The table of one experiment, a list of models with their rows, and what was found."""
    summary = scoring.summarise(scores)
    metric = scoring.metric(scores)
    compared = [f.curves for f in figures if f.curves and f.metric in (None, metric)]
    curves = published.load(compared[0]) if compared else None
    models = []
    for model in map(str, summary["model"].values):
        of_model = summary.sel(model=model)
        curve = None if curves is None or model not in curves else curves[model]
        rows = [
            _row(
                of_model.sel(hidden_units=size),
                metric,
                curve,
                scores.sel(model=model, hidden_units=size),
            )
            for size in summary["hidden_units"].values
        ]
        label = str(of_model["model_label"].item()) if "model_label" in of_model else model
        models.append({"label": label, "rows": [row for row in rows if row is not None]})
    return {
        "name": name,
        "facts": _facts(scores, summary),
        "models": [model for model in models if model["rows"]],
        "score": _SIGNS.get(metric, metric),
        "has_constraint": "constraint_error" in scores,
        "has_centred": f"{metric}_centred_mean" in summary,
        "has_optimum": f"{metric}_optimal_mean" in summary,
        "published": None if curves is None else _typeset(curves.attrs["comment"]),
        "figure": compared[0] if compared else None,
    }


def _facts(scores: xr.Dataset, summary: xr.Dataset) -> list[tuple[str, str]]:
    """What holds for a whole experiment: labels and values."""
    attributes = scores.attrs
    facts = [("Realizations", str(scores.sizes["realization"]))]
    for key, label, unit in (
        ("snr_db", "Signal-to-noise ratio", " dB"),
        ("epochs", "Epochs, at most", ""),
        ("seed", "Seed", ""),
        ("computed_by", "Trained by", ""),
    ):
        if key in attributes:
            value = attributes[key]
            text = f"{value:g}" if isinstance(value, float) else str(value)
            facts.append((label, text + unit))
    for name in scoring.SCORES:
        if f"{name}_optimal_mean" in summary:
            optimum = float(summary[f"{name}_optimal_mean"])
            facts.append((f"Optimal {_SIGNS.get(name, name)}", number(optimum)))
    made_with = _other_versions(attributes.get("versions", "{}"))
    if made_with:
        facts.append(("Made with", made_with))
    diverged, averaged = int(summary["diverged"].sum()), int(summary["averaged"].sum())
    facts.append(("Trainings that diverged", f"{diverged} of {diverged + averaged}"))
    return facts


def _row(
    cell: xr.Dataset, metric: str, curve: pd.Series | None, scores: xr.Dataset
) -> dict[str, Any] | None:
    """One (model, hidden units), summarised and as scored; None where nothing was trained."""
    averaged, diverged = int(cell["averaged"]), int(cell["diverged"])
    if averaged + diverged == 0:
        return None
    size = cell["hidden_units"].item()
    mean = float(cell[f"{metric}_mean"])
    lower, upper = (float(bound) for bound in cell[f"{metric}_interval"].values)
    error = float(scores["constraint_error"].max()) if "constraint_error" in scores else math.nan
    theirs = math.nan if curve is None or size not in curve.index else float(curve[size])
    return {
        "hidden_units": size,
        "mean": number(mean),
        "interval": interval(lower, upper),
        "centred": number(float(cell.get(f"{metric}_centred_mean", math.nan))),
        "optimum": number(float(cell.get(f"{metric}_optimal_mean", math.nan))),
        "published": number(theirs),
        "difference": number(mean - theirs, sign=True),
        "averaged": averaged,
        "diverged": diverged,
        "parameters": str(int(scores["parameters"])) if "parameters" in scores else NONE,
        "constraint_error": f"{error:.1g}" if math.isfinite(error) else NONE,
    }


def _versions() -> list[tuple[str, str]]:
    python, *others = storage.versions(PACKAGES).items()
    return [python, ("platform", platform.platform()), *others]


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
        "seconds": f"{sum(times):.1f}" if times else NONE,
        "longest": f"{max(times):.1f}" if times else NONE,
        "memory": f"{max(memory):.0f}" if memory else NONE,
    }
