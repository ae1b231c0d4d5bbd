"""The unitary evolution of Arjovsky, Shah and Bengio: a product of simple unitary matrices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from pydantic import Field

from urnn.transition.parametrised import Parametrised

if TYPE_CHECKING:
    from numpy.random import Generator
    from numpy.typing import NDArray
    from torch import Tensor


class Arjovsky(Parametrised):
    r"""U = D_3 R_2 F^{-1} D_2 \Pi R_1 F D_1, complex m x m, for n = 2m hidden units.

    D = diag(exp(i w)), R = I - 2 v v^H / ||v||^2, F the unitary DFT, \Pi a permutation that is
    drawn once and then stays, (\Pi h)_k = h_{\pi(k)}. p = (w_1, w_2, w_3, v_1, v_2, \pi): 7m
    trained values, v as m real and m imaginary parts, and the m indices of \pi.

    Source: Arjovsky, Shah, Bengio 2016 (arXiv:1511.06464), equation 6.
    """

    transition: Literal["arjovsky"] = Field(
        "arjovsky", description="product of simple unitary matrices (Arjovsky et al.); complex"
    )

    @property
    def is_complex(self) -> bool:
        """Always, through its Fourier transform."""
        return True

    def degrees_of_freedom(self, hidden_units: int) -> int:
        """7m."""
        return 7 * hidden_units // 2

    def initialise(self, random: Generator, hidden_units: int, start: str) -> NDArray:
        r"""w uniform in (-pi, pi), v in (-1, 1), as the authors; (8m,) float64.

        The identity: w = 0, \Pi = I and v_2 = F^{-1} v_1, whose two reflections cancel.
        """
        import numpy as np

        m = hidden_units // 2
        w, v = random.uniform(-np.pi, np.pi, 3 * m), random.uniform(-1, 1, (2, 2, m))
        order = random.permutation(m)
        if start == "identity":
            w, order = np.zeros(3 * m), np.arange(m)
            second = np.fft.ifft(v[0, 0] + 1j * v[0, 1], norm="ortho")
            v[1] = second.real, second.imag
        return np.concatenate([w, v.ravel(), order])

    def product(self, p: Tensor, hidden_units: int) -> tuple[Tensor, Tensor]:
        """U (R, m, m), from the right: F D_1 first; in real arithmetic, by elements.

        torch's complex products and products of matrices are not the same bits in every stack.
        """
        import torch

        m = hidden_units // 2
        D1, D2, D3 = ((w.cos(), w.sin()) for w in p[:, : 3 * m].split(m, 1))
        v1, v2 = p[:, 3 * m : 7 * m].unflatten(1, (2, 2, m)).unbind(1)
        order = p[:, 7 * m :].detach().round().long()[:, :, None]
        k = torch.arange(m, dtype=torch.float64)
        angle = -2 * torch.pi / m * (k[:, None] * k % m)
        scale = m**-0.5
        F = [(scale * part).to(p) for part in (angle.cos(), angle.sin())]
        U = _reflect(v1, _times(F, [D[:, None, :] for D in D1]))
        U = [torch.take_along_dim(part, order, 1) for part in U]
        U = _times([D[:, :, None] for D in D2], U)
        inverse = F[0][:, :, None], -F[1][:, :, None]
        U = [part.sum(2) for part in _times(inverse, [part[:, None] for part in U])]
        real, imaginary = _times([D[:, :, None] for D in D3], _reflect(v2, U))
        return real, imaginary


def _times(a: Sequence[Tensor], b: Sequence[Tensor]) -> list[Tensor]:
    """The complex product a b of (real, imaginary) pairs, by elements."""
    return [a[0] * b[0] - a[1] * b[1], a[0] * b[1] + a[1] * b[0]]


def _reflect(v: Tensor, U: Sequence[Tensor]) -> list[Tensor]:
    """(I - 2 v v^H / ||v||^2) U of v (R, 2, m) and U, pairs of (R, m, m)."""
    column = v[:, 0, :, None], v[:, 1, :, None]
    along = [part.sum(1, keepdim=True) for part in _times((column[0], -column[1]), U)]
    scale = 2 / v.square().sum((1, 2))[:, None, None]
    taken = _times(column, [scale * part for part in along])
    return [part - less for part, less in zip(U, taken, strict=True)]


PLUG = Arjovsky
