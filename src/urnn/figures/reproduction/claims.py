"""Whether the published curves can be reproduced in some way."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from urnn import verdict
from urnn.figures.findings import counted
from urnn.figures.reproduction.findings import distances, nearest
from urnn.verdict import Agreement, Claim, Quantity

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

    from urnn.figures.reproduction.settings import ReproductionSettings


def claims(
    scores: Mapping[str, xr.Dataset],
    settings: ReproductionSettings,
    published: pd.DataFrame | None,
) -> list[Claim]:
    """The nearest data and way, and whether the distance is within chance."""
    if published is None:
        return []
    figure = settings.published.replace("figure", "figure ")
    found = distances(scores, settings, published)
    if not found:
        return []
    source, way = nearest(found, settings)
    dataset = scores[source]
    parts: list[list[str | Quantity]] = []
    near, enough = [], True
    for model, one in found[source, way].items():
        label = str(dataset["model_label"].sel(model=model).item())
        of = f"the {way.label}, of r2[{model}] from {settings.smallest} hidden units on"
        told: list[str | Quantity] = [
            f"{label} ",
            verdict.quantity(one.rms, source, f"root mean square, less the published, of {of}"),
        ]
        if np.isfinite(one.chance):
            chance = verdict.quantity(one.chance, source, f"what chance gives of {of}")
            told += [" (by chance ", chance, ")"]
        parts.append(told)
        near.append(one.lower <= one.chance)
        enough = enough and bool(np.isfinite(one.lower))
    agreement: Agreement = "agrees" if all(near) else "in part" if any(near) else "differs"
    reason = "" if all(near) else "more than chance for some models"
    if not enough:
        agreement, reason = "open", "too few realizations"
    return [
        {
            "claim": f"The scores agree with those of {figure}, for at least one way of making its "
            "points.",
            "evidence": [
                f"Nearest are {source}, {way.label}; root mean square difference from "
                f"{counted(settings.smallest, 'hidden unit')} on: ",
                *verdict.joined(parts),
                ".",
            ],
            "agreement": agreement,
            "reason": reason,
        }
    ]
