"""Settings of the figures of how well published curves are reproduced."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from urnn.figures.base import FEW, FigureSettings
from urnn.published import OfR2
from urnn.settings.base import Count, Name, PositiveNumber

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

    from urnn.figures.findings import Findings
    from urnn.verdict import Claim


class ReproductionSettings(FigureSettings):
    """Our scores less the published ones, for each way in which those may have come about."""

    kind: Literal["reproduction"] = Field(description="what the figure shows")
    published: OfR2 = Field(description="published curves that ours are compared with")
    same: dict[Name, Name] = Field(
        default_factory=dict,
        description="models compared with the curve of another, by name; the others have their own",
    )
    smallest: Count = Field(
        4, description="fewest hidden units that enter the root mean square difference"
    )
    stalled: PositiveNumber = Field(
        0.02,
        description="a training stalled if the same model with fewer units scored higher by more",
    )

    caption: ClassVar[str] = (
        "Test R² minus the published value, read off the figure by pixel position; zero, the "
        "dashed line, is exact agreement, and the scale is linear within ±0.01 and logarithmic "
        "beyond. One row for each kind of data, one column for each model. The published figure "
        "does not say how its points were made from the trainings, so each row shows several ways: "
        "the mean or the median over the realizations, of the score after the last epoch or at the "
        "epoch with the lowest loss on the test trials (which the released script validates on), "
        "where trainings that overflowed are left out (the tables have other treatments). Bars are "
        "95 % intervals over our realizations, the widest bars for the first way; the published "
        f"values have an uncertainty of their own, about as large. {FEW} A triangle on the edge of "
        "a panel: a bar, or a realization, lies beyond it. A size at which every training diverged "
        "has no marker."
    )
    several: ClassVar[bool] = True

    @property
    def metric(self) -> str:
        """R^2."""
        return "r2"

    def needs(self) -> tuple[str, ...]:
        """The scores; those after each epoch are used where there are any."""
        return ("r2", "diverged")

    def findings(
        self, scores: Mapping[str, xr.Dataset], published: pd.DataFrame | None
    ) -> Findings:
        """Which way comes nearest to the published curves, and every point of the figures."""
        from urnn.figures.reproduction import findings

        return findings.describe(scores, self, published)

    def claims(
        self, scores: Mapping[str, xr.Dataset], published: pd.DataFrame | None
    ) -> list[Claim]:
        """Whether the published curves can be reproduced."""
        from urnn.figures.reproduction import claims

        return claims.claims(scores, self, published)


PLUG = ReproductionSettings
