"""Settings of the figures of the gap to the optimum."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from urnn.figures.base import MARKS, Averaged, FigureSettings
from urnn.published import OfR2


class GapSettings(FigureSettings, Averaged):
    """The gap to the optimum of several experiments side by side, on a log scale."""

    kind: Literal["gap"] = Field(description="what the figure shows")
    published: OfR2 | None = Field(None, description="published curves drawn beside ours")

    caption: ClassVar[str] = (
        "The gap to the optimum on a logarithmic scale, one panel for each model: the R² of a "
        "perfect model on the same noisy data minus that of the trained model, realization by "
        "realization. {points} "
        f"{MARKS} A large triangle at the lower edge marks a gap of at most 0.00001: the optimum "
        "is reached. Grey and dotted, where shown: the published curves, subtracted from the "
        "published optimum."
    )
    several: ClassVar[bool] = True
    needs_optimum: ClassVar[bool] = True

    @property
    def described(self) -> str:
        """The caption, with the average that is drawn."""
        return self.caption.format(points=self.points)

    @property
    def metric(self) -> str:
        """R^2, whose optimum is known."""
        return "r2"

    def needs(self) -> tuple[str, ...]:
        """The scores; that of a perfect model is asked for by the plot, which says why."""
        return ("r2", "diverged")


PLUG = GapSettings
