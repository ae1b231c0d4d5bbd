"""Non-expansive matrices: the closed ball of the spectral norm."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field

from urnn.transition.direct import Direct


class Contractive(Direct):
    r"""\{W : \|W\|_2 \le 1\}, kept by clipping the singular values at 1.

    Source: the paper, section 5.2: W = U S V^T -> U min(S, 1) V^T after every step, which is the
    nearest matrix of the ball in the Frobenius norm.
    """

    transition: Literal["contractive"] = Field("contractive", description="||W|| <= 1")

    cuda: ClassVar[str] = """\
__device__ inline void retract(real* W, real* scratch, double* room) {
  map_singular_values(W, scratch, room, false, [](real s) { return s > 1 ? 1 / s : real(1); });
}
"""

    def project(self, W: Any, xp: Any) -> Any:
        """W with its singular values clipped at 1; inside the ball W stays, bit by bit."""
        U, S, Vh = xp.linalg.svd(W)
        clipped = (U * xp.clip(S, None, 1.0)[:, None, :]) @ Vh
        return xp.where((S[:, 0] > 1)[:, None, None], clipped, W)

    def constraint_error(self, W: Any, xp: Any) -> Any:
        """max(||W||_2 - 1, 0), (R,)."""
        return xp.clip(xp.linalg.svd(W)[1][:, 0] - 1, 0, None)


PLUG = Contractive
