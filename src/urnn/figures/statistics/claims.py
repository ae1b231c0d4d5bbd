"""How many times the hidden units of another network a unitary one needs on these systems."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from urnn import statistics, verdict
from urnn.verdict import Claim, Quantity

if TYPE_CHECKING:
    import xarray as xr

    from urnn.figures.statistics.settings import StatisticsSettings


def claims(scores: Mapping[str, xr.Dataset], settings: StatisticsSettings) -> list[Claim]:
    """On each model that may need more hidden units than the reference."""
    ((source, dataset),) = scores.items()
    if "r2_optimal" not in dataset:
        return []
    found = []
    sizes = statistics.smallest_sizes(dataset, settings.margin)
    for model in statistics.challengers(dataset, settings.reference):
        ratio = statistics.state_ratio(sizes, model, settings.reference)
        if not ratio.both + ratio.only_reference:
            continue
        factor = int(dataset["state_factor"].sel(model=model))
        theirs, ours = (
            str(dataset["model_label"].sel(model=m).item()) for m in (model, settings.reference)
        )
        of = (
            "the geometric mean over the realizations of the fewest hidden units within "
            f"{settings.margin:g} of the optimum, {model} / {settings.reference}"
        )
        agreement, reason = verdict.below(ratio.lower, ratio.upper, factor)
        if ratio.only_reference and agreement != "differs":
            agreement, reason = "open", f"no size of the {theirs} was enough on some systems"
        evidence: list[str | Quantity] = [
            f"Both come within {settings.margin:g} of the optimum on ",
            verdict.quantity(ratio.both, source, f"the realizations in {of}", 0),
            " of ",
            verdict.quantity(dataset.sizes["realization"], source, "the realizations", 0),
            f" system{'s' if dataset.sizes['realization'] != 1 else ''}, the {ours} alone on ",
            verdict.quantity(ratio.only_reference, source, f"those left out of {of}", 0),
        ]
        if ratio.both:
            evidence += [
                f"; where both do, the {theirs} needs ",
                verdict.quantity(ratio.mean, source, of, 2),
                f" times the hidden units of the {ours} (",
                *verdict.interval(ratio.lower, ratio.upper, source, of, 2, False),
                ")",
            ]
        found.append(
            Claim(
                claim=f"Trained to come as near to the optimum, the {theirs} needs at most "
                f"{factor} times the hidden units of the {ours} (theorem 1 says so of contractive "
                "ReLU networks, and nothing of training).",
                evidence=[*evidence, "."],
                agreement=agreement,
                reason=reason,
            )
        )
    return found
