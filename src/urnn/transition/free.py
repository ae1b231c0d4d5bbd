"""Any matrix: R^{n x n}."""

from __future__ import annotations

from typing import Any


class Free:
    r"""\{W \in R^{n \times n}\}: nothing to keep."""

    state_factor = 1

    def project(self, W: Any, xp: Any) -> Any:
        """W itself."""
        return W

    def violation(self, W: Any, xp: Any) -> Any:
        """Zeros (R,)."""
        return xp.zeros_like(W[:, 0, 0])
