"""The order of the models by test accuracy, and how certain it is."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from urnn.figures.findings import NONE, Findings, Table, interval, listed, number
from urnn.scoring import mean_interval, reported

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr


class Lead(NamedTuple):
    """How far the accuracy of one model is above that of another of as many hidden units."""

    #: of the sizes at which both were scored, on how many the mean of the differences is above 0
    ahead: int
    sizes: list[int]
    #: over the realizations that have all these sizes, of the mean difference over the sizes; NaN
    #: without such a realization
    mean: float
    #: its 95 % interval; NaN of fewer than three realizations
    lower: float
    upper: float
    realizations: int


def lead(scores: xr.Dataset, model: str, other: str) -> Lead:
    """accuracy[model] - accuracy[other], paired by realization.

    A realization enters at a size if neither training diverged. The interval is over realizations,
    for the sizes are those that were chosen and no sample.

    Args:
        scores: accuracy, diverged (model, hidden_units, realization).
        model, other: two of the models.
    """
    accuracy = reported(scores, "accuracy")
    difference = (accuracy.sel(model=model) - accuracy.sel(model=other)).dropna(
        "hidden_units", how="all"
    )
    above = int((difference.mean("realization") > 0).sum())
    sizes = difference["hidden_units"].values.tolist()
    values = difference.dropna("realization").mean("hidden_units").values if sizes else np.empty(0)
    if not values.size:
        return Lead(above, sizes, float("nan"), float("nan"), float("nan"), 0)
    return Lead(above, sizes, float(values.mean()), *mean_interval(values), values.size)


def describe(scores: xr.Dataset, published: pd.DataFrame | None) -> Findings:
    """The models in the order of their mean accuracy, each against the next.

    Args:
        scores: of one experiment, with the coordinate model_label.
        published: columns by model name over the index hidden units.
    """
    labels = {
        str(m): str(scores["model_label"].sel(model=m).item()) for m in scores["model"].values
    }
    means = reported(scores, "accuracy").mean("realization").dropna("model", how="all")
    means = means.dropna("hidden_units")  # all models are compared at the same sizes
    sizes = means["hidden_units"].values.tolist()
    average = means.mean("hidden_units").to_series().sort_values(ascending=False)
    names = [str(name) for name in average.index]
    if len(names) < 2 or not sizes:
        return {"sentences": [], "tables": []}
    compared = scores.sel(hidden_units=sizes)
    leads = [lead(compared, a, b) for a, b in itertools.pairwise(names)]
    theirs = None if published is None else published.reindex(sizes).mean()
    return {
        "sentences": [_sentence([labels[name] for name in names], leads, sizes)],
        "tables": [_table(average, leads, labels, theirs)],
    }


def _sentence(names: list[str], leads: list[Lead], sizes: list[int]) -> str:
    over = f"with {listed(sizes)} hidden unit{'s' if sizes != [1] else ''}"
    order = f"From the highest mean test accuracy {over} to the lowest: {'; '.join(names)}."
    if not any(np.isfinite(one.lower) for one in leads):
        return f"{order} There are too few realizations to say how certain this order is."
    pairs = zip(names, names[1:], leads, strict=False)
    certain = [f"{a} over {b}" for a, b, one in pairs if one.lower > 0]
    which = "; ".join(certain) if certain else "none"
    return f"{order} The 95 % interval of the difference lies above 0 for: {which}."


def _table(
    average: pd.Series[float],
    leads: list[Lead],
    labels: dict[str, str],
    theirs: pd.Series[float] | None,
) -> Table:
    """A row for each model; of the published curves, their means."""
    rows = []
    for (name, mean), one in zip(average.items(), [*leads, None], strict=True):
        row = [labels[str(name)], number(float(mean), 3)]
        if theirs is not None:
            row.append(number(float(theirs.get(name, np.nan)), 3))
        if one is None:
            row += [NONE] * 4
        else:
            row += [
                number(one.mean, 3, True),
                interval(one.lower, one.upper, 3, True),
                f"{one.ahead} of {len(one.sizes)}",
                str(one.realizations),
            ]
        rows.append(row)
    beside = ["Published mean"] if theirs is not None else []
    return {
        "caption": "Mean test accuracy over these sizes, and its difference from that of the next "
        "model, paired by realization, with the 95 % interval over the realizations that have "
        "every size (Student's t below ten, else bootstrap; – below three).",
        "head": [
            "Model", "Mean", *beside, "Lead over the next", "95 % interval",
            "Sizes ahead of the next",
            "Realizations",
        ],
        "rows": rows,
    }  # fmt: skip
