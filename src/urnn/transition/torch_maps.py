"""The orthogonal and unitary parametrisations of torch, by torch's own code."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from urnn.transition.direct import orthonormal_columns
from urnn.transition.parametrised import Parametrised, haar_unitary

if TYPE_CHECKING:
    from torch import Tensor


class TorchMap(Parametrised):
    r"""U = B f(X), m x m, complex for n = 2m hidden units or real for n = m.

        matrix_exp   f = exp(A)                        A = X - X^H, X lower triangular
        cayley       f = (I - A / 2)^{-1} (I + A / 2)
        householder  f = H_1 H_2 ... H_n S             H_k = I - t v v^T, v = e_k + column k of X

    B, the initial matrix, stays; f starts at I: the trivialisation that is torch's default.
    p = (entries of X, B), real and imaginary parts after each other; X is the strict lower
    triangle, and for complex exponents its imaginary diagonal too.

    Source: `torch.nn.utils.parametrizations.orthogonal`; Lezcano-Casado 2019 (arXiv:1909.09501).
    """

    stacked = False  # torch's products of matrices are not the same bits in every stack

    def __init__(self, name: str, complex_valued: bool = False) -> None:
        self.name, self.complex = name, complex_valued
        self._map: Any = None

    def _order(self, units: int) -> int:
        return units // 2 if self.complex else units

    def size(self, units: int) -> int:
        """The trained values and the entries of B."""
        m = self._order(units)
        return self.degrees_of_freedom(units) + (2 * m * m if self.complex else m * m)

    def degrees_of_freedom(self, units: int) -> int:
        """m^2, the dimension of U(m), or n (n - 1) / 2 of SO(n): det W stays what it was."""
        m = self._order(units)
        return m * m if self.complex else m * (m - 1) // 2

    def initial(self, random: np.random.Generator, units: int, start: str) -> NDArray:
        """X = 0, and B Haar or the identity; (P,) float64."""
        m = self._order(units)
        zeros = np.zeros(self.degrees_of_freedom(units))
        if not self.complex:
            B = np.eye(m) if start == "identity" else orthonormal_columns(random, m, m)
            return np.concatenate([zeros, B.ravel()])
        U = np.eye(m) + 0j if start == "identity" else haar_unitary(random, m)
        return np.concatenate([zeros, U.real.ravel(), U.imag.ravel()])

    def product(self, p: Tensor, units: int) -> tuple[Tensor, Tensor | None]:
        """U (R, m, m)."""
        import torch

        kind = p.dtype
        p = p.double()  # the exponential of a large X loses digits in float32
        m, free = self._order(units), self.degrees_of_freedom(units)
        rows, columns = torch.tril_indices(m, m, -1, device=p.device)
        diagonal = torch.arange(m, device=p.device)
        lower, base = len(rows), p[:, free:].detach()
        X = p.new_zeros(len(p), m, m)
        X[:, rows, columns] = p[:, :lower]
        B = base.unflatten(1, (-1, m, m))
        if self.complex:
            Y = p.new_zeros(len(p), m, m)
            Y[:, rows, columns] = p[:, lower : 2 * lower]
            Y[:, diagonal, diagonal] = p[:, 2 * lower : free]
            X, start = torch.complex(X, Y), torch.complex(B[:, 0], B[:, 1])
        else:
            start = B[:, 0]
            if self.name == "householder":
                X[:, diagonal, diagonal] = -1  # signs S, which make f(0) = I
        U = start @ self._torch_map()(X)
        return (U.real.to(kind), U.imag.to(kind)) if self.complex else (U.to(kind), None)

    def _torch_map(self) -> Any:
        """torch's function from X to f(X), taken from a module that it parametrises."""
        if self._map is None:
            import torch

            module = torch.nn.Module()
            kind = torch.complex64 if self.complex else torch.float32
            module.weight = torch.nn.Parameter(torch.eye(2, dtype=kind))
            orthogonal = torch.nn.utils.parametrizations.orthogonal
            orthogonal(module, "weight", self.name, use_trivialization=False)
            self._map = dict(module.named_modules())["parametrizations.weight.0"]
        return self._map
