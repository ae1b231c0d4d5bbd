"""Settings of a training run, the recipe. Defaults are the paper's (Keras where it is silent)."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from urnn.settings.base import Count, PositiveNumber, Settings


class Recipe(Settings):
    """How one model is trained: minimise the loss of its task."""

    optimizer: Literal["adam", "rmsprop"] = Field("adam", description="update rule, Keras's form")
    learning_rate: PositiveNumber = Field(0.01, description="of the first step")
    schedule: Literal["constant", "cosine"] = Field(
        "constant", description="learning rate over the steps; cosine ends at 0"
    )
    clip_norm: PositiveNumber | None = Field(
        None, description="largest gradient norm of a replica; null clips nothing"
    )
    epochs: Count = Field(100, description="passes over the training trials")
    batch_size: Count = Field(10, description="trials of a step")
    restarts: Count = Field(
        1, description="trainings from different initial values; the best by validation is used"
    )
    validation_ratio: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.0,
        description="share of the training trials kept for validation, which chooses the restart "
        "and the epoch; 0: by training loss. Tasks of images have their own validation images",
    )
    validate_on_test: bool = Field(
        False,
        description="validate on the test trials themselves, as the authors' released scripts do. "
        "All training trials are trained on; what validation chooses (with restarts or patience) "
        "has then seen the test",
    )
    initial_transition: Literal["orthogonal", "identity"] = Field(
        "orthogonal",
        description="W before training (an LSTM's: four blocks with joint orthonormal columns)",
    )
    patience: Count | None = Field(
        None,
        description="epochs without a lower validation loss after which training ends, with the "
        "parameters of the best epoch; null: all epochs, and the last parameters",
    )
    forget_bias: float = Field(1.0, description="an LSTM's forget gate before training")
    train_initial_state: bool = Field(False, description="also train h(-1); otherwise it stays 0")

    def validation_trials(self, trials: int) -> int:
        """How many of the training trials are kept for validation: at least one, if any are."""
        return max(round(trials * self.validation_ratio), 1) if self.validation_ratio else 0
