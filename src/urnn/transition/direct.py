"""What the sets have in common whose trained values are the entries of W itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray


def orthonormal_columns(random: np.random.Generator, rows: int, columns: int) -> NDArray:
    """A real matrix of orthonormal columns, uniform over all of them (Haar); float64."""
    Q, R = np.linalg.qr(random.standard_normal((rows, columns)))
    return Q * np.sign(np.diag(R))  # without the signs it would not be uniform


class Direct:
    """p = vec W (R, n^2): the optimizer moves W, and then W is projected back to the set."""

    parametrised = False
    state_factor = 1

    def size(self, units: int) -> int:
        """n^2, the entries of W."""
        return units * units

    def degrees_of_freedom(self, units: int) -> int:
        """n^2, the dimension of the set."""
        return units * units

    def initial(self, random: np.random.Generator, units: int, start: str) -> NDArray:
        """An orthogonal W, Haar, or the identity; (n^2,) float64."""
        if start == "identity":
            return np.eye(units).ravel()
        return orthonormal_columns(random, units, units).ravel()

    def matrix(self, p: Any, units: int, xp: Any) -> tuple[Any, Callable[[Any], Any]]:
        """W, a view of p, and the pullback, which only reshapes."""
        return p.reshape(-1, units, units), lambda gradient: gradient.reshape(p.shape)

    def move(self, p: Any, change: Any, xp: Any) -> Any:
        """project(W + change); p has the sum afterwards."""
        p += change
        n = round(p.shape[1] ** 0.5)
        return self.project(p.reshape(-1, n, n), xp).reshape(p.shape)

    def project(self, W: Any, xp: Any) -> Any:
        """The stack W (R, n, n), each matrix replaced by the nearest one of the set."""
        raise NotImplementedError
