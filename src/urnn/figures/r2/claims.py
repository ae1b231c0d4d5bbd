"""What figures 2 and 3 of the paper claim, and what a run's scores say of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from urnn import statistics, verdict
from urnn.figures.findings import counted
from urnn.scoring import mean_interval, reported
from urnn.verdict import Agreement, Claim, Quantity

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

#: differences of R^2 up to this count as none
MARGIN = 0.005
#: the size that is compared, where it was trained: neither hopeless nor done
MIDDLE = 4
#: fewest hidden units that enter the root mean square difference
_SMALLEST = 4
#: intervals that reach further on average hold any curve, and so say nothing
_NARROW = 0.02


def claims(
    scores: Mapping[str, xr.Dataset], published: pd.DataFrame | None, figure: str | None
) -> list[Claim]:
    """On as many and twice as many hidden units, and on the published curves.

    Args:
        scores: by experiment, of one.
        published: the curves of the figure.
        figure: its name; without it there is no claim.
    """
    if published is None or figure is None:
        return []
    ((source, dataset),) = scores.items()
    there = [str(m) for m in dataset["model"].values if m in published]
    plain = [m for m in there if int(dataset["state_factor"].sel(model=m)) == 1]
    found = []
    for reference in plain[:1]:
        for row in _rows(dataset.sel(model=there), reference):
            found.append(_comparison(row, source, dataset, published, figure))
    return [*found, *_curves(source, dataset, published, there, figure)]


def _rows(dataset: xr.Dataset, reference: str) -> list[statistics.Comparison]:
    """Of each model that may need more units, with as many and with more, one size."""
    rows = statistics.comparisons(dataset, reference, MARGIN)
    found = []
    for model in statistics.challengers(dataset, reference):
        of_model = [row for row in rows if row.model == model]
        both = {row.hidden_units for row in of_model if row.factor > 1}
        if both:
            size = MIDDLE if MIDDLE in both else min(both)
            found += [row for row in of_model if row.hidden_units == size]
    return found


def _comparison(
    row: statistics.Comparison,
    source: str,
    dataset: xr.Dataset,
    published: pd.DataFrame,
    figure: str,
) -> Claim:
    n, larger, d = row.hidden_units, row.factor * row.hidden_units, row.difference
    ours, theirs = (
        str(dataset["model_label"].sel(model=m).item()) for m in (row.reference, row.model)
    )
    told = f"R² of {ours}({n}) − {theirs}({larger})"
    of = f"the mean over the realizations of r2[{row.reference}, {n}] − r2[{row.model}, {larger}]"
    evidence: list[str | Quantity] = [
        f"{told}: ",
        verdict.quantity(d.mean, source, of, sign=True),
        " (",
        *verdict.interval(d.lower, d.upper, source, of),
        "; ",
        verdict.quantity(d.pairs, source, f"the realizations in {of}", 0),
        " system" if d.pairs == 1 else " systems",
    ]
    at_paper = _at(published, row.reference, n) - _at(published, row.model, larger)
    if np.isfinite(at_paper):
        of = f"the published {row.reference}({n}) − {row.model}({larger})"
        evidence += ["; published ", verdict.quantity(at_paper, figure, of, sign=True)]
    said = _said(figure)
    if row.factor == 1:
        units = counted(n, "hidden unit")
        claim = f"With {units} each, the {theirs} scores lower than the {ours} ({said})."
        agreement, reason = verdict.above(d.lower, d.upper)
    else:
        claim = (
            f"With {larger} hidden units, the {theirs} scores as high as the {ours} with {n} "
            f"({said})."
        )
        agreement, reason = verdict.below(d.lower, d.upper, MARGIN)
    return {
        "claim": claim,
        "evidence": [*evidence, ")."],
        "agreement": agreement,
        "reason": reason,
    }


def _said(figure: str) -> str:
    return figure.replace("figure", "figure ")


def _at(published: pd.DataFrame, model: str, size: int) -> float:
    return float(published[model].get(size, np.nan)) if model in published else np.nan


def _curves(
    source: str, dataset: xr.Dataset, published: pd.DataFrame, models: list[str], figure: str
) -> list[Claim]:
    """Whether the means of a run are those of the published curves."""
    r2 = reported(dataset, "r2")
    parts: list[list[str | Quantity]] = []
    inside = points = 0
    widths = []
    for model in models:
        curve = published[model].dropna()
        sizes = [n for n in r2["hidden_units"].values.tolist() if n in curve and n >= _SMALLEST]
        held, off = 0, []
        reaches: list[float] = []
        for n in sizes:
            values = r2.sel(model=model, hidden_units=n).values
            values = values[np.isfinite(values)]
            if len(values):
                lower, upper = mean_interval(values)
                held += lower <= curve[n] <= upper
                off.append(values.mean() - curve[n])
                reaches.append((upper - lower) / 2)
        if not off:
            continue
        label = str(dataset["model_label"].sel(model=model).item())
        of = f"the means of r2[{model}] from {_SMALLEST} hidden units on"
        rms = float(np.sqrt(np.mean(np.square(off))))
        parts.append(
            [
                f"{label} ",
                verdict.quantity(rms, source, f"root mean square, less the published, of {of}"),
                " (",
                verdict.quantity(held, source, f"published values in the intervals of {of}", 0),
                " of ",
                verdict.quantity(len(off), source, f"how many are {of}", 0),
                " inside)",
            ]
        )
        inside, points = inside + held, points + len(off)
        widths.append(float(np.mean(reaches)))
    if not points:
        return []
    agreement, reason = _agreement(inside / points, widths)
    return [
        {
            "claim": f"The scores agree with those of {_said(figure)}.",
            "evidence": [
                "Root mean square difference of our means from the published values, from "
                f"{_SMALLEST} hidden units on, and how many of those lie inside our 95 % "
                "intervals: ",
                *verdict.joined(parts),
                ".",
            ],
            "agreement": agreement,
            "reason": reason,
        }
    ]


def _agreement(inside: float, widths: list[float]) -> tuple[Agreement, str]:
    """By the share of published values inside our intervals, and the mean width of a model's."""
    if not np.isfinite(widths).all():
        return "open", "too few realizations"
    if inside < 0.5:
        return "differs", "most lie outside"
    if not max(widths) <= _NARROW:
        return "open", "the intervals are too wide to tell"
    return ("agrees", "") if inside >= 0.9 else ("in part", "some lie outside")
