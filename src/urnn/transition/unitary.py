"""Unitary (orthogonal, since W is real) matrices."""

from __future__ import annotations

from typing import Any


class Unitary:
    r"""O(n) = \{W \in R^{n \times n} : W^T W = I\}, kept by the polar projection.

    Source: the paper, section 5.1: W = U S V^T -> U V^T after every step, which is the nearest
    orthogonal matrix in the Frobenius norm.
    """

    state_factor = 2

    def project(self, W: Any, xp: Any) -> Any:
        """U V^T of W = U S V^T."""
        U, _, Vh = xp.linalg.svd(W)
        return U @ Vh

    def violation(self, W: Any, xp: Any) -> Any:
        """||W^T W - I||_2 = max_i |s_i^2 - 1|, (R,)."""
        S = xp.linalg.svd(W)[1]
        return xp.maximum(S[:, 0] ** 2 - 1, 1 - S[:, -1] ** 2)  # S is sorted
