"""Settings of the figures: of each kind, and of the look of all."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from urnn.settings.base import Name, PositiveNumber, Settings


class Style(Settings):
    """One style for all figures."""

    context: Literal["paper", "notebook", "talk", "poster"] = Field(
        "paper", description="seaborn's scale of lines and labels"
    )
    width: PositiveNumber = Field(7.2, description="width of a figure, inches")
    height: PositiveNumber = Field(3.8, description="height of a figure, inches")
    dots_per_inch: Annotated[int, Field(ge=50, le=1200)] = Field(200, description="of PNG files")


def _falling(values: list[float]) -> list[float]:
    if values != sorted(set(values), reverse=True):
        raise ValueError("each margin must be smaller than the one before")
    return values


class R2Settings(Settings):
    """Test R^2 against hidden units and adjusted hidden units."""

    kind: Literal["r2"] = Field("r2", description="what the figure shows")
    published: Literal["figure2", "figure3"] | None = Field(
        None, description="published curves drawn lightly beside ours"
    )


class GapSettings(Settings):
    """What is missing to the optimum, of several experiments side by side, on a log scale."""

    kind: Literal["gap"] = Field(description="what the figure shows")
    published: Literal["figure2", "figure3"] | None = Field(
        None, description="published curves drawn beside ours"
    )


class StatisticsSettings(Settings):
    """Paired comparisons of the models that may need more states with one that does not."""

    kind: Literal["statistics"] = Field(description="what the figure shows")
    reference: Name = Field("rnn", description="the model that the others are compared with")
    margin: PositiveNumber = Field(
        0.005, description="differences of R^2 up to this count as none in the equivalence test"
    )
    margins: Annotated[list[PositiveNumber], Field(min_length=1), AfterValidator(_falling)] = Field(
        [0.02, 0.01, 0.005, 0.002, 0.001],
        description="how near to the optimum the smallest size must come, from far to near",
    )
    stalled: PositiveNumber = Field(
        0.02,
        description="a training stalled if fewer units of the same model scored higher by more",
    )


class AccuracySettings(Settings):
    """Test accuracy against hidden units."""

    kind: Literal["accuracy"] = Field(description="what the figure shows")
    published: Literal["figure4"] | None = Field(
        None, description="published curves drawn lightly beside ours"
    )


class HistorySettings(Settings):
    """How training went, epoch by epoch."""

    kind: Literal["history"] = Field(description="what the figure shows")
    shows: Literal["validation_accuracy", "violation"] = Field(
        "validation_accuracy", description="the quantity; violation: the distance of W from its set"
    )


#: by kind, the settings that a figure of it has besides its experiments
KINDS: dict[str, type[Settings]] = {
    "r2": R2Settings,
    "gap": GapSettings,
    "statistics": StatisticsSettings,
    "accuracy": AccuracySettings,
    "history": HistorySettings,
}


def with_kind(values: Any) -> Any:
    """A figure is one of R^2 where it does not say otherwise."""
    if isinstance(values, dict) and "kind" not in values:
        return {"kind": "r2", **values}
    return values
