"""What the numbers of Theorem 1 say of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from urnn import verdict
from urnn.verdict import Claim

if TYPE_CHECKING:
    import xarray as xr

#: what `claims` needs of the file
VARIABLES = ("relative_error", "unitary_units")
#: a relative error up to this is rounding of float64
_ROUNDING = 1e-9


def claims(numbers: xr.Dataset, source: str) -> list[Claim]:
    """How equal the converted networks are, and how many states they have."""
    error = float(numbers["relative_error"].max())
    ratio = (numbers["unitary_units"] / numbers["hidden_units"]).sel(states=["2n", "minimal"])
    most = float(ratio.max())
    holds = error <= _ROUNDING and most <= 2
    return [
        {
            "claim": "Theorem 1: every contractive ReLU network has a unitary one with the same "
            "input-output map and at most 2n states.",
            "evidence": [
                "Random networks of ",
                verdict.quantity(numbers.sizes["hidden_units"], source, "the sizes", 0),
                " sizes, of ",
                verdict.quantity(numbers.sizes["regime"], source, "the kinds of W", 0),
                " kinds with ",
                verdict.quantity(numbers.sizes["input_norm"], source, "the input bounds", 0),
                " input bounds each, converted: largest relative error ",
                verdict.small(error, source, "largest relative_error"),
                ", at most ",
                verdict.quantity(most, source, "largest unitary_units / hidden_units", 2),
                " n states.",
            ],
            "agreement": "agrees" if holds else "differs",
            "reason": "proved; the error is rounding" if holds else "more than rounding",
        }
    ]
