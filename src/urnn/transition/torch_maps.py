"""The orthogonal and unitary parametrisations of torch, by torch's own code."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar

from urnn.matrices import haar_unitary, orthonormal_columns
from urnn.transition.parametrised import Parametrised

if TYPE_CHECKING:
    from numpy.random import Generator
    from numpy.typing import NDArray
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

    The subclass's name for the key ``transition`` is torch's name of the map.
    """

    stacked: ClassVar[bool] = False  # torch's products of matrices differ between stacks
    #: diagonal of X, chosen so that f(0) = I
    diagonal: ClassVar[int] = 0

    def degrees_of_freedom(self, hidden_units: int) -> int:
        """m^2, the dimension of U(m), or n (n - 1) / 2 of SO(n): det W stays what it was."""
        m = self.order(hidden_units)
        return m * m if self.is_complex else m * (m - 1) // 2

    def initialise(self, random: Generator, hidden_units: int, start: str) -> NDArray:
        """X = 0, and B Haar or the identity; (P,) float64."""
        import numpy as np

        m = self.order(hidden_units)
        zeros = np.zeros(self.degrees_of_freedom(hidden_units))
        if not self.is_complex:
            B = np.eye(m) if start == "identity" else orthonormal_columns(random, m, m)
            return np.concatenate([zeros, B.ravel()])
        U = np.eye(m) + 0j if start == "identity" else haar_unitary(random, m)
        return np.concatenate([zeros, U.real.ravel(), U.imag.ravel()])

    def product(self, p: Tensor, hidden_units: int) -> tuple[Tensor, Tensor | None]:
        """U (R, m, m)."""
        import torch

        kind = p.dtype
        p = p.double()  # the exponential of a large X loses digits in float32
        m, free = self.order(hidden_units), self.degrees_of_freedom(hidden_units)
        rows, columns = torch.tril_indices(m, m, -1, device=p.device)
        diagonal = torch.arange(m, device=p.device)
        lower, base = len(rows), p[:, free:].detach()
        X = p.new_zeros(len(p), m, m)
        X[:, rows, columns] = p[:, :lower]
        B = base.unflatten(1, (-1, m, m))
        if self.is_complex:
            Y = p.new_zeros(len(p), m, m)
            Y[:, rows, columns] = p[:, lower : 2 * lower]
            Y[:, diagonal, diagonal] = p[:, 2 * lower : free]
            X, start = torch.complex(X, Y), torch.complex(B[:, 0], B[:, 1])
        else:
            start = B[:, 0]
            if self.diagonal:
                X[:, diagonal, diagonal] = self.diagonal
        U = start @ _torch_map(self.transition, self.is_complex)(X)
        return (U.real.to(kind), U.imag.to(kind)) if self.is_complex else (U.to(kind), None)


@cache
def _torch_map(name: str, is_complex: bool) -> Any:
    """torch's function from X to f(X), taken from a module that it parametrises."""
    import torch

    module = torch.nn.Module()
    kind = torch.complex64 if is_complex else torch.float32
    module.weight = torch.nn.Parameter(torch.eye(2, dtype=kind))
    torch.nn.utils.parametrizations.orthogonal(module, "weight", name, use_trivialization=False)
    return dict(module.named_modules())["parametrizations.weight.0"]
