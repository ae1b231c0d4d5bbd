"""Settings of the synthetic slowly varying systems (paper, section 5.1)."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from urnn.settings.base import Count, PositiveNumber, Settings


class SyntheticSettings(Settings):
    """The true systems, their trials and their calibration. Defaults are the paper's."""

    hidden_units: Count = Field(4, description="states of the true system")
    input_size: Count = Field(2, description="inputs, iid standard Gaussian")
    output_size: Count = Field(2, description="outputs")
    epsilon: Annotated[float, Field(gt=0, lt=1)] = Field(
        0.01, description="W = I - epsilon A^T A / ||A||^2: the time constant is 1/epsilon steps"
    )
    time_steps: Annotated[int, Field(ge=2)] = Field(1000, description="steps of a trial")
    trials: Annotated[int, Field(ge=2)] = Field(1000, description="trials of a realization")
    test_ratio: Annotated[float, Field(gt=0, lt=1)] = Field(
        0.3, description="share of the trials kept for the test"
    )
    on_fraction: Annotated[float, Field(gt=0, lt=1)] = Field(
        0.6, description="share of the time that each hidden unit is on"
    )
    on_tolerance: PositiveNumber = Field(
        0.01, description="largest deviation from on_fraction that the calibration accepts"
    )
    calibration_trials: Count = Field(100, description="trials of the bias calibration")
    calibration_rounds: Count = Field(100, description="rounds of the bias calibration")

    @property
    def test_trials(self) -> int:
        """Trials of the test split, rounded to the nearest, never none and never all."""
        return min(max(round(self.trials * self.test_ratio), 1), self.trials - 1)

    @property
    def training_trials(self) -> int:
        """Trials that a model is trained on."""
        return self.trials - self.test_trials

    @property
    def scored_trials(self) -> list[int]:
        """How many trials are tested at once; those of a validation are the recipe's choice."""
        return [self.test_trials]

    @property
    def sizes(self) -> tuple[int, int]:
        """Inputs and outputs of a model."""
        return self.input_size, self.output_size

    #: what a model of this task minimises, see `urnn.recurrence`
    loss: ClassVar[str] = "squared"

    @property
    def numbers(self) -> int:
        """Size of a realization's trials, about, as a count of its numbers."""
        return self.trials * self.time_steps * (self.input_size + 2 * self.output_size)
