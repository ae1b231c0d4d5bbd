"""What figure 4 of the paper claims, and what a run's accuracies say of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from urnn import verdict
from urnn.scoring import reported
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
    means = reported(dataset, "accuracy").mean("realization")
    labels = {m: str(dataset["model_label"].sel(model=m).item()) for m in factors}
    data = str(dataset.attrs.get("task_title", source))
    found = []
    for other in factors:
        if other != model:
            ahead = (means.sel(model=model) - means.sel(model=other)).dropna("hidden_units")
            if ahead.size:
                theirs = _published(published, model, other, ahead["hidden_units"].values.tolist())
                names = (labels[model], labels[other])
                of = f"accuracy[{model}] − accuracy[{other}]"
                found.append(_claim(ahead, theirs, source, figure, names, (data, of)))
    return found


def _published(published: pd.DataFrame | None, model: str, other: str, sizes: list[int]) -> float:
    """The published mean difference at the same sizes."""
    if published is None or not {model, other} <= {*published}:
        return float("nan")
    return float((published[model] - published[other]).reindex(sizes).mean())


def _claim(
    ahead: xr.DataArray,
    theirs: float,
    source: str,
    figure: str | None,
    names: tuple[str, str],
    words: tuple[str, str],
) -> Claim:
    """One comparison; of the words, the data and what is subtracted."""
    (ours, other), (data, of) = names, words
    count = int((ahead > 0).sum())
    evidence: list[str | Quantity] = [
        f"{data}: ahead at ",
        verdict.quantity(count, source, f"sizes at which the mean of {of} is above 0", 0),
        " of ",
        verdict.quantity(ahead.size, source, f"sizes of {of}", 0),
        " sizes; mean difference ",
        verdict.quantity(float(ahead.mean()), source, f"mean over all sizes of {of}", 3, True),
    ]
    if figure is not None and np.isfinite(theirs):
        evidence += ["; published ", verdict.quantity(theirs, figure, f"the same {of}", 3, True)]
    agreement: Agreement = "in part"
    if count in (0, ahead.size):
        agreement = "agrees" if count else "differs"
    return {
        "claim": f"The {ours} classifies images, pixel by pixel, better than the {other} of as "
        "many hidden units (figure 4: permuted MNIST).",
        "evidence": [*evidence, "."],
        "agreement": agreement,
        "reason": "" if figure is not None else "other data than the paper's",
    }
