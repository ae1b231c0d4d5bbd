"""Unitary (orthogonal, since W is real) matrices."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field

from urnn.matrices import unitarity_error
from urnn.transition.direct import Direct

#: ||W^T W - I||_F below which Newton-Schulz starts; above, singular values are computed
_NEAR = 0.5
#: from |e| < 1/2 of an eigenvalue e of W^T W - I: 0.22, 0.038, 1.1e-3, 9.6e-7, 6.9e-13
_ITERATIONS = 5


class Unitary(Direct):
    r"""O(n) = \{W \in R^{n \times n} : W^T W = I\}, kept by the polar projection.

    Source: the paper, section 5.1: W = U S V^T -> U V^T after every step, which is the nearest
    orthogonal matrix in the Frobenius norm.
    """

    transition: Literal["unitary"] = Field("unitary", description="W^T W = I, by projection")

    state_factor: ClassVar[int] = 2

    cuda: ClassVar[str] = f"""\
__device__ inline void retract(real* W, real* scratch, double* room) {{
  real *gram = scratch, *next = scratch + ENTRIES;
  auto unit = [](int k) {{ return k / HIDDEN == k % HIDDEN ? real(1) : real(0); }};
  multiply<true>(W, W, gram, [](int, real sum) {{ return sum; }});
  const real error = over_entries(room, [&](int k) {{
    const real e = gram[k] - unit(k);
    return e * e;
  }});
  if (!(error < real({_NEAR**2}))) {{
    map_singular_values(W, scratch, room, true, [](real s) {{ return s > 0 ? 1 / s : real(0); }});
    return;
  }}
  for (int iteration = 0; iteration < {_ITERATIONS}; ++iteration) {{
    multiply<true>(W, W, gram, [&](int k, real sum) {{
      return real(1.5) * unit(k) - real(0.5) * sum;
    }});
    multiply<false>(W, gram, next, [](int, real sum) {{ return sum; }});
    for (int k = threadIdx.x; k < ENTRIES; k += blockDim.x) W[k] = next[k];
    BLOCK_BARRIER;
  }}
}}
"""

    def degrees_of_freedom(self, hidden_units: int) -> int:
        """n (n - 1) / 2, the dimension of O(n)."""
        return hidden_units * (hidden_units - 1) // 2

    def project(self, W: Any, xp: Any) -> Any:
        """The polar factor U V^T of W = U S V^T.

        By Newton-Schulz, X <- X (3 I - X^T X) / 2, where W is near: there every singular value is
        in (0.7, 1.3), and an eigenvalue e of X^T X - I becomes e^2 (e - 3) / 4 (Bjorck and Bowie
        1971, doi:10.1137/0708036). By the singular value decomposition elsewhere. Each matrix takes
        its own way, with the same number of iterations, whatever the others are.
        """
        unit = xp.eye(W.shape[-1], dtype=W.dtype, device=W.device)
        gram = W.mT @ W
        error = ((gram - unit) ** 2).sum((1, 2))
        near = error < _NEAR**2
        X = xp.where(near[:, None, None], W, unit)
        for _ in range(_ITERATIONS):
            X = X @ (1.5 * unit - 0.5 * (X.mT @ X))
        if not near.all():
            U, _, Vh = xp.linalg.svd(W[~near])
            X[~near] = U @ Vh
        return X

    def constraint_error(self, W: Any, xp: Any) -> Any:
        """||W^T W - I||_2, (R,)."""
        return unitarity_error(W, xp)


PLUG = Unitary
