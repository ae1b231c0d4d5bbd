"""Settings of the figures of the gap to the optimum."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from urnn.figures.base import FigureSettings
from urnn.published import OfR2


class GapSettings(FigureSettings):
    """The gap to the optimum of several experiments side by side, on a log scale."""

    kind: Literal["gap"] = Field(description="what the figure shows")
    published: OfR2 | None = Field(None, description="published curves drawn beside ours")

    caption: ClassVar[str] = (
        "The gap to the optimum, on a logarithmic scale, one panel for each model: the R² of a "
        "perfect model on the same noisy data minus that of the trained model, averaged over the "
        "realizations whose training did not diverge. Bars are 95 % intervals of this "
        "mean, paired by realization. A triangle at the lower edge marks a mean gap of at most "
        "0.00001: the optimum is reached. Grey: the published curves, subtracted from the "
        "published optimum."
    )
    several: ClassVar[bool] = True
    needs_optimum: ClassVar[bool] = True

    @property
    def metric(self) -> str:
        """R^2, whose optimum is known."""
        return "r2"

    def needs(self) -> tuple[str, ...]:
        """The scores; that of a perfect model is asked for by the plot, which says why."""
        return ("r2", "diverged")


PLUG = GapSettings
