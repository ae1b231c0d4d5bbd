"""Settings of the figures of training histories."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from urnn.figures.base import FigureSettings

#: by what is shown: the rest of the caption
_SHOWN = {
    "validation_accuracy": "One line for each size and realization, with a dot at the epoch whose "
    "parameters were kept, which is that of the lowest validation loss, and a cross where an "
    "overflow ended the training (at the lower edge if in the first epoch).",
    "constraint_error": "The distance of W from the set it is kept in (‖WᵀW − I‖₂ where that is "
    "the set of unitary matrices), the largest over the realizations, one line for each size; "
    "zeros are not drawn.",
}


class HistorySettings(FigureSettings):
    """A quantity after each epoch of training."""

    kind: Literal["history"] = Field(description="what the figure shows")
    shows: Literal["validation_accuracy", "constraint_error"] = Field(
        "validation_accuracy",
        description="the quantity; constraint_error: the distance of W from its set",
    )

    caption: ClassVar[str] = "Training, epoch by epoch, one panel for each model."

    @property
    def described(self) -> str:
        """The caption, with what is shown."""
        return f"{self.caption} {_SHOWN[self.shows]}"

    @property
    def metric(self) -> str | None:
        """Only experiments scored by their accuracy have one for validation."""
        return None if self.shows == "constraint_error" else "accuracy"

    def needs(self) -> tuple[str, ...]:
        """The quantity by epoch, and which epoch was kept."""
        return (self.shows, "epoch", "kept_epoch")


PLUG = HistorySettings
