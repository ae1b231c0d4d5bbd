"""The report page: verdict, figures, scores, costs and how it was made, in one HTML file."""

from __future__ import annotations

import base64
import hashlib
import json
import math
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, NotRequired, TypedDict

import jinja2
import yaml

from urnn import published, scoring, signals
from urnn.figures.findings import NONE, Findings, interval, number
from urnn.report import protocol, provenance, stages
from urnn.report.drawings import Drawings
from urnn.verdict import Claim, Quantity

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

    from urnn.figures.base import FigureSettings

#: How scores are written in a heading; others have their names.
SIGNS = {"r2": "R²", "r2_centred": "centred R²"}
#: How an agreement is marked, for those who see no colours.
_MARKS = {"agrees": "✓", "in part": "≈", "differs": "✗", "open": "?"}


class FigureEntry(TypedDict):
    """A figure of the page; the caption is plain text, a blank line starts a new paragraph."""

    name: str
    path: str | Path
    caption: str
    title: str
    #: what stands below the caption
    findings: Findings
    #: whether it is that of a theorem
    theorem: NotRequired[bool]
    #: the same drawn for narrow screens
    narrow: NotRequired[Path]
    #: its numbers, a CSV file
    numbers: NotRequired[Path]
    #: files that stand beside the page, by suffix, as links
    links: NotRequired[Mapping[str, str]]


class Missing(NamedTuple):
    """What a page would have and a partial run has not made."""

    what: str
    #: the file that is not there, which the workflow makes
    file: str


@dataclass(frozen=True)
class Verdict:
    """The claims that the results bear on, and where their numbers come from."""

    #: with the name of the figure or theorem that each stands at
    claims: Sequence[tuple[str, Claim]] = ()
    #: by source of a quantity: its file
    files: Mapping[str, str] = field(default_factory=dict)


def render(
    scores: Mapping[str, xr.Dataset],
    figures: Sequence[FigureEntry],
    configuration: Mapping[str, Any],
    benchmarks: Mapping[str, Iterable[str | Path]],
    shown_by: Mapping[str, Sequence[FigureSettings]],
    *,
    verdict: Verdict | None = None,
    missing: Sequence[Missing] = (),
    differences: Sequence[protocol.Difference] = (),
    compared: Mapping[str, Any] | None = None,
    title: str = "Unitary and contractive recurrent networks",
    date: datetime | None = None,
) -> str:
    """The page as one HTML document that loads nothing: no network, no other file.

    Figures are drawings in the page, whose points say their values; their ids get prefixes, so that
    two cannot clash. What the script adds (choice of curves, downloads of drawings) is not needed
    to read it. Everything that comes from the arguments is escaped. The document is well-formed
    XML too.

    Args:
        scores: by experiment, as `urnn.scoring.summarise` takes them.
        figures: drawn files (.svg) with their words, in the order of the page.
        configuration: the merged configuration; what YAML cannot express is shown as text.
        benchmarks: by stage, Snakemake's benchmark files (TSV); stages in the order of the page.
        shown_by: by experiment, the figures that show it; the first of them that has published
            curves adds the published columns to the table of scores.
        verdict: the claims and our evidence.
        missing: what a partial run has not made.
        differences: of the configuration from what the paper says.
        compared: another folder of results, see `urnn.report.comparison.side_by_side`, with its
            "name".
        title: of the page.
        date: of the page; now by default, or the time in SOURCE_DATE_EPOCH (seconds) where that
            is set, so that a page can be made twice with the same bytes.

    Raises:
        ArgumentError: the scores do not fit `summarise`.
        DataError: a figure is no SVG file.
        FileNotFoundError: a figure or a benchmark file is missing.
    """
    drawings = Drawings()
    embedded = [_embedded(figure, drawings) for figure in figures]
    return _filled(
        title=title,
        date=date or _now(),
        verdict=_verdict(verdict or Verdict(), {figure["name"] for figure in figures}),
        missing=missing,
        compared=compared,
        measured=bool(scores) and all(signals.of(dataset.attrs) for dataset in scores.values()),
        experiments=[_experiment(n, dataset, shown_by.get(n, ())) for n, dataset in scores.items()],
        theorems=[figure for figure in embedded if figure["theorem"]],
        figures=[figure for figure in embedded if not figure["theorem"]],
        differences=differences,
        stages=stages.costs(benchmarks),
        graph=stages.drawing(),
        shared=drawings.shared() if embedded else "",
        **_made(configuration),
    )


def _now() -> datetime:
    epoch = os.environ.get("SOURCE_DATE_EPOCH")
    return datetime.fromtimestamp(float(epoch), UTC) if epoch else datetime.now(UTC)


def _filled(**values: Any) -> str:
    """The template with its style, its script and these values."""
    # what a reader of HTML and one of XML both take as the text of the script
    script = f"//<![CDATA[\n{_part('page.js')}\n//]]>"
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode("ascii")
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    template = environment.from_string(_part("page.html.jinja"))
    return template.render(script=script, script_digest=digest, style=_part("page.css"), **values)


def _made(configuration: Mapping[str, Any]) -> dict[str, Any]:
    """How the page was made: settings, code, machine."""
    plain = json.loads(json.dumps(configuration, default=str))
    settings = yaml.safe_dump(
        plain, sort_keys=False, allow_unicode=True, width=90, default_flow_style=None
    )
    versions = provenance.versions()
    return {
        "seed": plain.get("seed", NONE),
        "configuration": settings,
        "configuration_link": _data_link(settings, "application/yaml"),
        "versions": versions,
        "version": dict(versions).get("urnn", NONE),
        "commit": provenance.commit(),
        "machine": provenance.machine(),
    }


def _part(name: str) -> str:
    return resources.files("urnn.report").joinpath(name).read_text(encoding="utf-8")


def _data_link(text: str, kind: str) -> str:
    return f"data:{kind};base64,{base64.b64encode(text.encode()).decode('ascii')}"


def _verdict(verdict: Verdict, shown: set[str]) -> dict[str, Any]:
    """The claims as rows, and how many there are of each agreement."""
    rows = []
    for name, claim in verdict.claims:
        parts = [
            {
                "text": part.text,
                "value": repr(part.value),
                "file": verdict.files.get(part.source, part.source),
                "of": part.of,
            }
            if isinstance(part, Quantity)
            else part
            for part in claim["evidence"]
        ]
        rows.append(
            {**claim, "evidence": parts, "at": name if name in shown else None, "name": name}
            | {"mark": _MARKS[claim["agreement"]]}
        )
    counts = {kind: sum(row["agreement"] == kind for row in rows) for kind in _MARKS}
    return {"rows": rows, "counts": {kind: n for kind, n in counts.items() if n}}


def _embedded(figure: FigureEntry, drawings: Drawings) -> dict[str, Any]:
    paragraphs = [" ".join(part.split()) for part in figure["caption"].split("\n\n")]
    paragraphs = [part for part in paragraphs if part]
    label = f"{figure['title']}. {' '.join(paragraphs)}"
    name = figure["name"]
    place = "".join(sign if sign.isalnum() or sign in "-_" else "-" for sign in name)
    drawn = {"wide": drawings.inlined(Path(figure["path"]), f"{place}-wide-", label, "wide")}
    narrow, numbers = figure.get("narrow"), figure.get("numbers")
    if narrow is not None:
        drawn["narrow"] = drawings.inlined(narrow, f"{place}-narrow-", label, "narrow")
    return {
        "name": name,
        "place": f"figure-{place}",
        "title": figure["title"],
        "theorem": figure.get("theorem", False),
        "drawings": drawn,
        "links": figure.get("links", {}),
        "numbers": None
        if numbers is None
        else _data_link(numbers.read_text(encoding="utf-8"), "text/csv"),
        "paragraphs": paragraphs,
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
        "score": SIGNS.get(metric, metric),
        "has_constraint": "constraint_error" in scores,
        "has_centred": f"{metric}_centred_mean" in summary,
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
            facts.append((f"Optimal {SIGNS.get(name, name)}", number(optimum)))
    made_with = _other_versions(attributes.get("trained_with", attributes.get("versions", "{}")))
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
        "published": number(theirs),
        "difference": number(mean - theirs, sign=True),
        "averaged": averaged,
        "diverged": diverged,
        "parameters": str(int(scores["parameters"])) if "parameters" in scores else NONE,
        "constraint_error": f"{error:.1g}" if math.isfinite(error) else NONE,
    }


def _other_versions(recorded: str) -> str:
    """The versions in a file's attribute (JSON) that are not those of this machine."""
    here = dict(provenance.versions())
    try:
        there = dict(json.loads(recorded))
    except (TypeError, ValueError):
        return str(recorded)
    return ", ".join(
        f"{name} {version}"
        for name, version in there.items()
        if name in here and here[name] != str(version)
    )
