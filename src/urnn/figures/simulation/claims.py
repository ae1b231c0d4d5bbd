"""Whether a unitary network is enough for measured signals, with at most twice the states."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from urnn import scoring, verdict
from urnn.figures.simulation.findings import NOTHING, SCORE, Choice, choices, enough_from
from urnn.verdict import Agreement, Claim, Quantity

if TYPE_CHECKING:
    import xarray as xr

    from urnn.figures.simulation.settings import SimulationSettings


def claims(scores: Mapping[str, xr.Dataset], settings: SimulationSettings) -> list[Claim]:
    """The smallest unitary and the smallest other network that are enough."""
    ((source, dataset),) = scores.items()
    found = choices(dataset, settings.margin)
    if len(found) < 2:
        return []
    best = float(scoring.reported(dataset, SCORE).mean("realization").max())
    least = enough_from(best, settings.margin)
    unitary, other = found[True], found[False]
    agreement: Agreement = "open"
    reason = "no unitary network of these sizes is enough"
    if best < NOTHING:
        reason = "no network explains the outputs"
    elif unitary.r2 >= least:
        twice = other.r2 < least or unitary.hidden_units <= 2 * other.hidden_units
        agreement, reason = ("agrees", "") if twice else ("in part", "with more than twice")
    return [
        {
            "claim": "A unitary network with at most twice the states is enough (theorem 1, of "
            "contractive ReLU networks).",
            "evidence": [
                *_told(unitary, dataset, source, _which("unitary network", settings)),
                " is the smallest unitary network that is enough, or else the best one; the "
                "smallest (or best) other network is ",
                *_told(other, dataset, source, _which("other network", settings)),
                ".",
            ],
            "agreement": agreement,
            "reason": reason,
        }
    ]


def _which(kind: str, settings: SimulationSettings) -> str:
    """A choice in words that say how it is made."""
    return (
        f"the smallest {kind} with an error within {settings.margin:g} of the lowest, "
        "or else the best"
    )


def _told(one: Choice, dataset: xr.Dataset, source: str, which: str) -> list[str | Quantity]:
    label = str(dataset["model_label"].sel(model=one.model).item())
    return [
        f"{label} with ",
        verdict.quantity(one.hidden_units, source, f"hidden units of {which}", 0),
        f" hidden unit{'s' if one.hidden_units != 1 else ''} (centred R² ",
        verdict.quantity(one.r2, source, f"mean {SCORE} of {which}"),
        ")",
    ]
