"""What the numbers of the theorems share: described variables, and random contractive matrices."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

#: what is done to the singular values of a random W, by name
REGIMES = ("0.9", "1 - 1e-8", "1 - 1e-12", "half at 1", "exactly 1")


def variable(
    dims: Sequence[str], values: NDArray | Sequence | float, long_name: str, status: str
) -> tuple[Sequence[str], NDArray, dict[str, str]]:
    """A variable without a unit, and whether it is proved, conditional, measured or open."""
    attributes = {"long_name": long_name, "units": "1", "status": status}
    return dims, np.asarray(values), attributes


def coordinate(name: str, values: Sequence, long_name: str) -> tuple[str, list, dict[str, str]]:
    """A coordinate: numbers without a unit, or words."""
    attributes = {"long_name": long_name}
    if not isinstance(values[0], str):
        attributes["units"] = "1"
    return name, list(values), attributes


def contraction(random: np.random.Generator, hidden_units: int, regime: str) -> NDArray:
    """A random W (n, n) with ||W||_2 <= 1; ``regime`` sets its singular values, see `REGIMES`."""
    left, singular, right = np.linalg.svd(random.standard_normal((hidden_units, hidden_units)))
    values = {
        "0.9": 0.9 * singular / singular[0],
        "1 - 1e-8": (1 - 1e-8) * singular / singular[0],
        "1 - 1e-12": 1 - 1e-12 * random.uniform(0.95, 1, hidden_units),
        "half at 1": np.where(
            np.arange(hidden_units) < (hidden_units + 1) // 2, 1, random.uniform(0, 0.99)
        ),
        "exactly 1": singular / singular[0],
    }[regime]
    return (left * values) @ right
