"""What figure 4 of the paper claims, and what a run's accuracies say of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from urnn import verdict
from urnn.figures.accuracy.findings import Lead, lead
from urnn.verdict import Agreement, Claim, Quantity

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr


def claims(
    scores: Mapping[str, xr.Dataset], published: pd.DataFrame | None, figure: str | None
) -> list[Claim]:
    """On the one model that may need more hidden units, against each of the others.

    Args:
        scores: by experiment, of one; without exactly one such model there is no claim.
        published: the curves of the figure, if the data are those of the paper.
        figure: its name.
    """
    ((source, dataset),) = scores.items()
    factors = {str(m): int(dataset["state_factor"].sel(model=m)) for m in dataset["model"].values}
    unitary = [model for model, factor in factors.items() if factor > 1]
    if len(unitary) != 1:
        return []
    (model,) = unitary
    labels = {m: str(dataset["model_label"].sel(model=m).item()) for m in factors}
    data = str(dataset.attrs.get("task_title", source))
    found = []
    for other in factors:
        if other != model:
            one = lead(dataset, model, other)
            if one.sizes:
                theirs = _published(published, model, other, one.sizes)
                names = (labels[model], labels[other])
                of = f"accuracy[{model}] − accuracy[{other}]"
                found.append(_claim(one, theirs, source, figure, names, (data, of)))
    return found


def _published(published: pd.DataFrame | None, model: str, other: str, sizes: list[int]) -> float:
    """The published mean difference at the same sizes."""
    if published is None or not {model, other} <= {*published}:
        return float("nan")
    return float((published[model] - published[other]).reindex(sizes).mean())


def _claim(
    one: Lead,
    theirs: float,
    source: str,
    figure: str | None,
    names: tuple[str, str],
    words: tuple[str, str],
) -> Claim:
    """One comparison; of the words, the data and what is subtracted."""
    (ours, other), (data, of) = names, words
    evidence: list[str | Quantity] = [
        f"{data}: ahead at ",
        verdict.quantity(one.ahead, source, f"sizes at which the mean of {of} is above 0", 0),
        " of ",
        verdict.quantity(len(one.sizes), source, f"sizes of {of}", 0),
        " size" if len(one.sizes) == 1 else " sizes",
    ]
    if one.realizations:
        mean = f"the mean over all sizes and over the realizations that have them of {of}"
        evidence += [
            "; mean difference ",
            verdict.quantity(one.mean, source, mean, 3, True),
            " (",
            *verdict.interval(one.lower, one.upper, source, mean, 3),
            "; realizations: ",
            verdict.quantity(one.realizations, source, f"the realizations in {mean}", 0),
            ")",
        ]
    if figure is not None and np.isfinite(theirs):
        evidence += ["; published ", verdict.quantity(theirs, figure, f"the same {of}", 3, True)]
    agreement, reason = _agreement(one)
    return {
        "claim": f"The {ours} classifies images, pixel by pixel, better than the {other} with the "
        "same number of hidden units (figure 4: permuted MNIST).",
        "evidence": [*evidence, "."],
        "agreement": agreement,
        "reason": reason if figure is not None else "other data than the paper's",
    }


def _agreement(one: Lead) -> tuple[Agreement, str]:
    """By the interval, and by the sizes where it tells."""
    agreement, reason = verdict.above(one.lower, one.upper)
    if agreement != "open" and one.ahead not in (0, len(one.sizes)):
        return "in part", "not at every size"
    return agreement, reason
