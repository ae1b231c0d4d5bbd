"""All unitary matrices by multiplicative Cayley steps: the full-capacity uRNN of Wisdom et al."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from urnn.matrices import haar_unitary, orthonormal_columns, real_form, unitarity_error
from urnn.transition.base import RealOrComplex, Transition

if TYPE_CHECKING:
    from numpy.random import Generator
    from numpy.typing import NDArray


class FullCapacity(RealOrComplex, Transition):
    r"""U(m), complex for n = 2m hidden units, or O(n), real; p = vec U (real, imaginary parts).

    A step with the optimizer's change C of U goes along the manifold:

        U <- (I + A / 2)^{-1} (I - A / 2) U,  A = U C^H - C U^H,

    which for a gradient step C = -r G is the authors' A = r (G U^H - U G^H); with RMSProp it is
    their normalised step. A is skew-Hermitian, so the factor is unitary. It descends:
    dL = -||G - U G^H U||^2 r / 2 to first order. The authors write G^H U - U^H G, which is this
    for states as rows. One Newton-Schulz iteration U <- U (3 I - U^H U) / 2 removes the rounding of
    each step, which would add up (ours; in exact arithmetic it changes nothing).

    Source: Wisdom et al. 2016 (arXiv:1611.00035), equation 6; Tagare 2011.
    """

    transition: Literal["full_capacity"] = Field(
        "full_capacity", description="all unitary matrices, by Cayley steps (Wisdom et al.)"
    )

    complex_by_default: ClassVar[bool] = True
    state_factor: ClassVar[int] = 2

    def degrees_of_freedom(self, hidden_units: int) -> int:
        """m^2, the dimension of U(m), or n (n - 1) / 2 of O(n)."""
        m = self.order(hidden_units)
        return m * m if self.is_complex else m * (m - 1) // 2

    def initialise(self, random: Generator, hidden_units: int, start: str) -> NDArray:
        """Haar, or the identity; (P,) float64."""
        import numpy as np

        m = self.order(hidden_units)
        if not self.is_complex:
            U = np.eye(m) if start == "identity" else orthonormal_columns(random, m, m)
            return U.ravel()
        U = np.eye(m) + 0j if start == "identity" else haar_unitary(random, m)
        return np.stack([U.real, U.imag]).ravel()

    def _form(self, p: Any, xp: Any) -> Any:
        if not self.is_complex:
            n = round(p.shape[1] ** 0.5)
            return p.reshape(-1, n, n)
        m = round((p.shape[1] // 2) ** 0.5)
        parts = p.reshape(-1, 2, m, m)
        return real_form(parts[:, 0], parts[:, 1], xp)

    def matrix(self, p: Any, units: int, xp: Any) -> tuple[Any, Callable[[Any], Any]]:
        """W (R, n, n) of p (R, P), and the function from dL/dW to dL/dp: sums of entries."""

        def vjp(gradient: Any) -> Any:
            if not self.is_complex:
                return gradient.reshape(p.shape)
            R, n, _ = gradient.shape
            g = gradient.reshape(R, n // 2, 2, n // 2, 2)
            real = g[:, :, 0, :, 0] + g[:, :, 1, :, 1]
            imaginary = g[:, :, 1, :, 0] - g[:, :, 0, :, 1]
            return xp.stack([real, imaginary], 1).reshape(p.shape)

        return self._form(p, xp), vjp

    def retract(self, p: Any, change: Any, hidden_units: int, xp: Any) -> Any:
        """The Cayley step of the change (R, P); a new array."""
        W, C = self._form(p, xp), self._form(change, xp)
        half = 0.5 * (W @ C.mT)
        half = half - half.mT
        unit = xp.eye(W.shape[-1], dtype=W.dtype, device=W.device)
        W = xp.linalg.solve(unit + half, (unit - half) @ W)
        W = W @ (1.5 * unit - 0.5 * (W.mT @ W))
        if not self.is_complex:
            return W.reshape(p.shape)
        return xp.stack([W[:, ::2, ::2], W[:, 1::2, ::2]], 1).reshape(p.shape)

    def constraint_error(self, W: Any, xp: Any) -> Any:
        """||W^T W - I||_2, (R,)."""
        return unitarity_error(W, xp)


PLUG = FullCapacity
