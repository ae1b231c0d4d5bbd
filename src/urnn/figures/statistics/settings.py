"""Settings of the figures of paired comparisons."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import AfterValidator, Field

from urnn.figures.base import FigureSettings
from urnn.settings.base import Name, PositiveNumber

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

    from urnn.figures.findings import Findings
    from urnn.verdict import Claim


def _falling(values: list[float]) -> list[float]:
    if values != sorted(set(values), reverse=True):
        raise ValueError("each margin must be smaller than the one before")
    return values


class StatisticsSettings(FigureSettings):
    """Paired comparisons of one model with those that may need more hidden units."""

    kind: Literal["statistics"] = Field(description="what the figure shows")
    reference: Name = Field("rnn", description="the model that the others are compared with")
    margin: PositiveNumber = Field(
        0.005, description="differences of R^2 up to this count as none in the equivalence test"
    )
    margins: Annotated[list[PositiveNumber], Field(min_length=1), AfterValidator(_falling)] = Field(
        [0.02, 0.01, 0.005, 0.002, 0.001],
        description="distances from the optimum within which a size is enough, from far to near",
    )
    stalled: PositiveNumber = Field(
        0.02,
        description="a training stalled if the same model with fewer units scored higher by more",
    )

    caption: ClassVar[str] = (
        "(a) Test R² of the reference model with n hidden units minus that of the unitary model "
        "with n and with 2n, paired by realization: means with 95 % intervals. The axis is linear "
        "within ±margin, the grey band, and logarithmic beyond; differences within the band count "
        "as none. Where a marker is filled, two one-sided paired "
        "t-tests show that the models are equal within the margin. With fewer than five pairs "
        "each pair is drawn as a small marker, without an interval. Where bars overlap, the widest "
        "are of the first comparison. (b) Share of realizations in which a model comes within the "
        "margin of the optimum with at most the given number of hidden units. (c) Hidden units "
        "that the unitary model needs to come within a given margin of the optimum, divided by "
        "those that the reference needs: geometric mean and 95 % interval over the realizations "
        "in which both do; their number is given below each margin, and the markers are "
        "those of (b). Dashed: a factor of two, which is enough for a contractive ReLU network "
        "(theorem 1) if training finds it."
    )

    @property
    def metric(self) -> str:
        """R^2."""
        return "r2"

    def needs(self) -> tuple[str, ...]:
        """The scores, and which models may need more hidden units than the reference."""
        return ("r2", "diverged", "state_factor")

    def problems(self, models: list[str]) -> list[tuple[str, str]]:
        """The reference must be one of the models."""
        if self.reference in models:
            return []
        where = " and ".join(self.sources) or "the experiment"
        return [
            (
                "reference",
                f"{self.reference!r} is not a model of {where}, which has {', '.join(models)}",
            )
        ]

    def findings(
        self, scores: Mapping[str, xr.Dataset], published: pd.DataFrame | None
    ) -> Findings:
        """What the comparisons say."""
        from urnn.figures.statistics import findings

        (dataset,) = scores.values()
        return findings.describe(dataset, self)

    def claims(
        self, scores: Mapping[str, xr.Dataset], published: pd.DataFrame | None
    ) -> list[Claim]:
        """How many times the hidden units a model needs."""
        from urnn.figures.statistics import claims

        return claims.claims(scores, self)


PLUG = StatisticsSettings
