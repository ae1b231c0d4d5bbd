"""Settings of the figures of test accuracy."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from urnn.figures.base import MARKS, PUBLISHED, FigureSettings
from urnn.published import OfAccuracy

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

    from urnn.figures.findings import Findings
    from urnn.verdict import Claim


class AccuracySettings(FigureSettings):
    """Test accuracy against hidden units."""

    kind: Literal["accuracy"] = Field(description="what the figure shows")
    published: OfAccuracy | None = Field(
        None, description="published curves drawn lightly beside ours"
    )

    caption: ClassVar[str] = (
        "Test accuracy of recurrent networks that classify a sequence after its last step; an "
        "image is read one pixel per step, in a fixed random order. The title gives the data, "
        "the number of realizations and the largest number of epochs. Markers are means over the "
        "realizations whose training did not diverge; bars are 95 % intervals of these means "
        f"(Student's t below ten realizations, else bootstrap). {MARKS} {PUBLISHED} "
        "These curves are for permuted MNIST. With more than six models, each model has its own "
        "row, and each size its own panel."
    )

    @property
    def metric(self) -> str:
        """The share of the test trials that are classified correctly."""
        return "accuracy"

    def needs(self) -> tuple[str, ...]:
        """The scores."""
        return ("accuracy", "diverged")

    def findings(
        self, scores: Mapping[str, xr.Dataset], published: pd.DataFrame | None
    ) -> Findings:
        """The order of the models, and how certain it is."""
        from urnn.figures.accuracy import findings

        (dataset,) = scores.values()
        return findings.describe(dataset, published)

    def claims(
        self, scores: Mapping[str, xr.Dataset], published: pd.DataFrame | None
    ) -> list[Claim]:
        """Which model classifies best."""
        from urnn.figures.accuracy import claims

        return claims.claims(scores, published, self.curves)


PLUG = AccuracySettings
