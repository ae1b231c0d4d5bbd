"""Stein's equation G - W^T G W = R by doubling: the sum of (W^T)^j R W^j."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

#: 2^60 terms
_DOUBLINGS = 60


def stein_sum(W: NDArray, R: NDArray) -> NDArray | None:
    """G = sum over j >= 0 of (W^T)^j R W^j in float64, symmetric; None if it does not converge."""
    total, power = R, W
    with np.errstate(over="ignore", invalid="ignore"):
        for _ in range(_DOUBLINGS):
            added = power.T @ total @ power
            if not np.isfinite(added).all():
                return None
            total = total + added
            if np.abs(added).max(initial=0.0) <= 1e-18 * np.abs(total).max(initial=0.0):
                return (total + total.T) / 2
            power = power @ power
    return None
