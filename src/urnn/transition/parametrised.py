"""Unitary matrices as differentiable functions of free values p: what their sets have in common.

A complex matrix U (m x m) runs in its real form W (2m x 2m), whose units 2k and 2k + 1 are the
real and imaginary part of complex unit k, as modrelu has them: entry a + i b is [[a, -b], [b, a]].
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from urnn.transition.unitary import unitarity_error

if TYPE_CHECKING:
    from torch import Tensor


def real_form(real: Any, imaginary: Any, xp: Any) -> Any:
    """W (R, 2m, 2m) of U = real + i imaginary, both (R, m, m); ||W x|| = ||U z||, interleaved."""
    R, m, _ = real.shape
    first = xp.stack([real, -imaginary], -1).reshape(R, m, 2 * m)
    second = xp.stack([imaginary, real], -1).reshape(R, m, 2 * m)
    return xp.stack([first, second], 2).reshape(R, 2 * m, 2 * m)


def haar_unitary(random: np.random.Generator, size: int) -> NDArray:
    """A complex unitary matrix, uniform over all of them (Haar); complex128."""
    normal = random.standard_normal((2, size, size))
    Q, R = np.linalg.qr(normal[0] + 1j * normal[1])
    return Q * (np.diag(R) / np.abs(np.diag(R)))


class Parametrised:
    """W = f(p), unitary for every p, with torch's autograd for the pullback.

    A subclass gives ``size``, ``degrees_of_freedom``, ``initial`` and ``product``. Entries of p
    that ``product`` does not differentiate have the gradient 0, so every optimizer leaves them.
    torch is imported only when a matrix is made: the other sets do without.
    """

    parametrised = True
    state_factor = 2

    #: whether `product` gives a row the same bits in every stack; else rows are computed one by one
    stacked = True

    def product(self, p: Tensor, units: int) -> tuple[Tensor, Tensor | None]:
        """Real and imaginary part (None: real) of the matrices (R, m, m) for n units."""
        raise NotImplementedError

    def matrix(self, p: Any, units: int, xp: Any) -> tuple[Any, Callable[[Any], Any]]:
        """W (R, n, n) of p (R, P), and the function from dL/dW to dL/dp; in p's dtype."""
        import torch

        values = torch.tensor(np.ascontiguousarray(p)) if xp is not torch else p.detach().clone()
        # a row of its own memory: products of matrices may depend on the alignment too
        rows = [values] if self.stacked else [row.clone() for row in values.split(1)]
        made = []
        # a caller may have switched autograd off
        with torch.enable_grad():
            for row in rows:
                real, imaginary = self.product(row.requires_grad_(), units)
                made.append(real if imaginary is None else real_form(real, imaginary, torch))

        def pullback(gradient: Any) -> Any:
            # a copy: a gradient may be a view of a buffer
            outer = (
                torch.tensor(np.ascontiguousarray(gradient))
                if xp is not torch
                else gradient.clone()
            )
            outers = [outer] if self.stacked else [part.clone() for part in outer.split(1)]
            inner = torch.cat(
                [torch.autograd.grad(*each)[0] for each in zip(made, rows, outers, strict=True)]
            )
            return inner if xp is torch else inner.numpy()

        W = torch.cat([part.detach() for part in made])
        return (W if xp is torch else W.numpy()), pullback

    def move(self, p: Any, change: Any, xp: Any) -> Any:
        """p + change, in place: every p gives a unitary W."""
        p += change
        return p

    def violation(self, W: Any, xp: Any) -> Any:
        """||W^T W - I||_2, (R,)."""
        return unitarity_error(W, xp)
