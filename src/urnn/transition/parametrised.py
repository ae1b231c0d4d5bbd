"""Unitary matrices as differentiable functions of free values p: what their sets have in common.

A complex matrix U (m x m) runs in its real form W (2m x 2m), `urnn.matrices.real_form`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar

from urnn.matrices import real_form, unitarity_error
from urnn.transition.base import Transition

if TYPE_CHECKING:
    from torch import Tensor


class Parametrised(Transition):
    """W = f(p), unitary for every p, with torch's autograd for the vjp.

    A subclass gives ``degrees_of_freedom``, ``initialise`` and ``product``. Entries of p that
    ``product`` does not differentiate have the gradient 0, so every optimizer leaves them. torch is
    imported only when a matrix is made: the other sets do without.
    """

    state_factor: ClassVar[int] = 2
    #: whether `product` gives a row the same bits in every stack; else rows are computed one by one
    stacked: ClassVar[bool] = True

    def product(self, p: Tensor, hidden_units: int) -> tuple[Tensor, Tensor | None]:
        """Real and imaginary part (None: real) of the matrices (R, m, m) for n units."""
        raise NotImplementedError

    def matrix(self, p: Any, hidden_units: int, xp: Any) -> tuple[Any, Callable[[Any], Any]]:
        """W (R, n, n) of p (R, P), and the function from dL/dW to dL/dp; in p's dtype."""
        import torch

        values = torch.tensor(xp.ascontiguousarray(p)) if xp is not torch else p.detach().clone()
        # a row of its own memory: products of matrices may depend on the alignment too
        rows = [values] if self.stacked else [row.clone() for row in values.split(1)]
        made = []
        # a caller may have switched autograd off
        with torch.enable_grad():
            for row in rows:
                real, imaginary = self.product(row.requires_grad_(), hidden_units)
                made.append(real if imaginary is None else real_form(real, imaginary, torch))

        def vjp(gradient: Any) -> Any:
            # a copy: a gradient may be a view of a buffer
            outer = (
                torch.tensor(xp.ascontiguousarray(gradient))
                if xp is not torch
                else gradient.clone()
            )
            outers = [outer] if self.stacked else [part.clone() for part in outer.split(1)]
            # of a number: to compare the shapes of a given gradient, torch imports sympy first
            with torch.enable_grad():
                numbers = [(W * part).sum() for W, part in zip(made, outers, strict=True)]
            pairs = zip(numbers, rows, strict=True)
            inner = torch.cat([torch.autograd.grad(*pair)[0] for pair in pairs])
            return inner if xp is torch else inner.numpy()

        W = torch.cat([part.detach() for part in made])
        return (W if xp is torch else W.numpy()), vjp

    def retract(self, p: Any, change: Any, hidden_units: int, xp: Any) -> Any:
        """p + change, in place: every p gives a unitary W."""
        p += change
        return p

    def constraint_error(self, W: Any, xp: Any) -> Any:
        """||W^T W - I||_2, (R,)."""
        return unitarity_error(W, xp)
