"""Settings of the figures of test R^2."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from urnn.figures.base import MARKS, PUBLISHED, Averaged, FigureSettings
from urnn.published import OfR2

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

    from urnn.verdict import Claim


class R2Settings(FigureSettings, Averaged):
    """Test R^2 against hidden units and adjusted hidden units."""

    kind: Literal["r2"] = Field("r2", description="what the figure shows")
    published: OfR2 | None = Field(None, description="published curves drawn lightly beside ours")

    caption: ClassVar[str] = (
        "Test R² of recurrent networks. The title gives the data (synthetic data are the outputs "
        "of random contractive ReLU systems, one system for each realization), the "
        "signal-to-noise ratio, the number of realizations and the largest number of epochs. (a) "
        "Against the number of hidden units; (b) against the adjusted number, where the hidden "
        "units of unitary networks (URNN) count half. {points} "
        f"{MARKS} An arrow with a value marks a point that lies below the panel. Dashed: the R² of "
        f"a perfect model on the same noisy data. {PUBLISHED} With more than six models, each "
        "has a row, and each size a panel."
    )

    @property
    def described(self) -> str:
        """The caption, with the average that is drawn."""
        return self.caption.format(points=self.points)

    @property
    def metric(self) -> str:
        """R^2."""
        return "r2"

    def needs(self) -> tuple[str, ...]:
        """The scores, and how many hidden units count as one adjusted hidden unit."""
        return ("r2", "diverged", "state_factor")

    def claims(
        self, scores: Mapping[str, xr.Dataset], published: pd.DataFrame | None
    ) -> list[Claim]:
        """On as many and twice as many hidden units, and on the published curves."""
        from urnn.figures.r2 import claims

        return claims.claims(scores, published, self.curves)


PLUG = R2Settings
