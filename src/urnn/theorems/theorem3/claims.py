"""What the numbers of Theorem 3 say of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from urnn import verdict
from urnn.verdict import Claim

if TYPE_CHECKING:
    import xarray as xr

#: what `claims` needs of the file
VARIABLES = ("exact_error", "relu_error")


def claims(numbers: xr.Dataset, source: str) -> list[Claim]:
    """How small the error of a sigmoid or a tanh becomes, and that it stays above 0."""
    error = numbers["exact_error"]
    positive = int((error > 0).sum())
    return [
        {
            "claim": "Theorem 3: with a sigmoid no finite unitary network has the same map.",
            "evidence": [
                "Computed with 120 digits, the error is above 0 in ",
                verdict.quantity(positive, source, "how often exact_error is above 0", 0),
                " of ",
                verdict.quantity(error.size, source, "how many exact_error there are", 0),
                " cases; the smallest is ",
                verdict.small(float(error.min()), source, "least exact_error"),
                ". With a ReLU it is ",
                verdict.small(float(numbers["relu_error"]), source, "relu_error"),
                ".",
            ],
            "agreement": "agrees" if positive == error.size else "differs",
            "reason": "proved; near, never equal",
        }
    ]
