"""Settings of the figures of measured signals beside what the models simulate."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from urnn.figures.base import FigureSettings
from urnn.settings.base import PositiveNumber

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

    from urnn.figures.findings import Findings
    from urnn.figures.simulation.findings import Choice
    from urnn.verdict import Claim


class SimulationSettings(FigureSettings):
    """Test R^2 in simulation against hidden units, and a stretch of the test as it was measured."""

    kind: Literal["simulation"] = Field(description="what the figure shows")
    margin: PositiveNumber = Field(
        0.05,
        description="a network is enough when its error, the root of 1 - R^2 about the mean, is "
        "above the lowest by at most this share",
    )

    caption: ClassVar[str] = (
        "Models of measured signals, tested on records that they were not trained on. A model is "
        "given the inputs alone and simulates the outputs from the first sample on; it never sees "
        "measured outputs. The warm-up at the start of a record does not count. (a) R² about the "
        "mean (centred, so that a constant output has 0) against the number of hidden units: a "
        "small marker for each realization (they differ in initial values and in the windows kept "
        "for validation), and a line through the means. A triangle at the lower edge: a value lies "
        "below it. (b) The first of the outputs in the first test record, after the warm-up, as "
        "measured and as simulated by the smallest unitary and the smallest other network "
        "that are enough: their error, the root of 1 − R², is above the lowest by at most the "
        "margin, 5 % unless the configuration says otherwise."
    )

    @property
    def metric(self) -> str:
        """R^2."""
        return "r2"

    def needs(self) -> tuple[str, ...]:
        """The scores, the errors in units of the record, and the stretch."""
        return ("r2", "r2_centred", "rmse", "diverged", "state_factor", "simulated", "measured")

    def findings(
        self, scores: Mapping[str, xr.Dataset], published: pd.DataFrame | None
    ) -> Findings:
        """Whether a unitary network is enough, and how many states it costs."""
        from urnn.figures.simulation import findings

        (dataset,) = scores.values()
        return findings.describe(dataset, self)

    def choices(self, scores: xr.Dataset) -> dict[bool, Choice]:
        """The smallest unitary network (True) and the smallest other one that are enough."""
        from urnn.figures.simulation import findings

        return findings.choices(scores, self.margin)

    def claims(
        self, scores: Mapping[str, xr.Dataset], published: pd.DataFrame | None
    ) -> list[Claim]:
        """Whether a unitary network is enough."""
        from urnn.figures.simulation import claims

        return claims.claims(scores, self)


PLUG = SimulationSettings
