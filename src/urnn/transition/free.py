"""Any matrix: R^{n x n}."""

from __future__ import annotations

from typing import Any, ClassVar, Literal

from pydantic import Field

from urnn.transition.direct import Direct


class Free(Direct):
    r"""\{W \in R^{n \times n}\}: nothing to keep."""

    transition: Literal["free"] = Field("free", description="any W")

    cuda: ClassVar[str] = "__device__ inline void retract(real*, real*, double*) {}\n"

    def retract(self, p: Any, change: Any, hidden_units: int, xp: Any) -> Any:
        """p + change, in place; the blocks of a cell with several gates too."""
        p += change
        return p

    def constraint_error(self, W: Any, xp: Any) -> Any:
        """Zeros (R,)."""
        return xp.zeros_like(W[:, 0, 0])


PLUG = Free
