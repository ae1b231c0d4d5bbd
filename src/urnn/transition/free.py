"""Any matrix: R^{n x n}."""

from __future__ import annotations

from typing import Any

from urnn.transition.direct import Direct


class Free(Direct):
    r"""\{W \in R^{n \times n}\}: nothing to keep."""

    def move(self, p: Any, change: Any, xp: Any) -> Any:
        """p + change, in place; an LSTM's four blocks too."""
        p += change
        return p

    def project(self, W: Any, xp: Any) -> Any:
        """W itself."""
        return W

    def violation(self, W: Any, xp: Any) -> Any:
        """Zeros (R,)."""
        return xp.zeros_like(W[:, 0, 0])
