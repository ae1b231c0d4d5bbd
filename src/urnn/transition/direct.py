"""What the sets have in common whose trained values are the entries of W itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar

from urnn.matrices import orthonormal_columns
from urnn.transition.base import Transition

if TYPE_CHECKING:
    from numpy.random import Generator
    from numpy.typing import NDArray


class Direct(Transition):
    """p = vec W (R, n^2): the optimizer moves W, and then W is projected back to the set."""

    direct: ClassVar[bool] = True
    #: C++ of `retract(W, scratch, room)`, which projects W after the optimizer's change, for
    #: `urnn.recurrence.gpu`; in the primitives of its matrices.cuh, by all threads of a block
    cuda: ClassVar[str]

    def degrees_of_freedom(self, hidden_units: int) -> int:
        """n^2, the dimension of the set."""
        return hidden_units * hidden_units

    def initialise(self, random: Generator, hidden_units: int, start: str) -> NDArray:
        """An orthogonal W, Haar, or the identity; (n^2,) float32."""
        import numpy as np

        if start == "identity":
            return np.eye(hidden_units, dtype=np.float32).ravel()
        return orthonormal_columns(random, hidden_units, hidden_units).ravel().astype(np.float32)

    def enter(self, p: Any, hidden_units: int, xp: Any) -> Any:
        """The projection of p."""
        return self.retract(p, xp.zeros_like(p), hidden_units, xp)

    def matrix(self, p: Any, hidden_units: int, xp: Any) -> tuple[Any, Callable[[Any], Any]]:
        """W, a view of p, and the vjp, which only reshapes; rows of several gates are rows of W."""
        W = p.reshape(len(p), -1, hidden_units)
        return W, lambda gradient: gradient.reshape(p.shape)

    def retract(self, p: Any, change: Any, hidden_units: int, xp: Any) -> Any:
        """project(W + change); p has the sum afterwards."""
        p += change
        return self.project(p.reshape(-1, hidden_units, hidden_units), xp).reshape(p.shape)

    def project(self, W: Any, xp: Any) -> Any:
        """The stack W (R, n, n), each matrix replaced by the nearest one of the set."""
        raise NotImplementedError
