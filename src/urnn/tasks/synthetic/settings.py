"""Settings of the synthetic slowly varying systems (paper, section 5.1)."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from urnn.settings.base import Count, PositiveNumber, Settings
from urnn.tasks.base import Task


class System(Settings):
    """The true systems, their trials and their calibration. Defaults are the poster's.

    The authors' released script has ``divide_by_norm: false`` and ``output_bias: true``.
    """

    hidden_units: Count = Field(4, description="states of the true system")
    input_size: Count = Field(2, description="inputs, iid standard Gaussian")
    output_size: Count = Field(2, description="outputs")
    epsilon: Annotated[float, Field(gt=0, lt=1)] = Field(
        0.01, description="W = I - epsilon A^T A / ||A||^2: the time constant is 1/epsilon steps"
    )
    divide_by_norm: bool = Field(
        True,
        description="true: W as above, the poster's formula. false: W = I - epsilon A^T A, the "
        "authors' released script, with shorter time constants",
    )
    output_bias: bool = Field(
        False,
        description="false: y = C h, the poster's formula. true: y = C h + d with d iid standard "
        "Gaussian, the authors' released script; d counts as signal in the noise variance",
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


class Synthetic(Task):
    """Slowly varying systems; a realization is a true system with its trials."""

    task: Literal["synthetic"] = Field("synthetic", description="where the data comes from")
    system: System = Field(
        default_factory=lambda: System(), description="the true systems and their trials"
    )
    snr_db: Annotated[float, Field(ge=-100, le=200)] = Field(
        description="signal-to-noise ratio at the output, dB"
    )

    title: ClassVar[str] = "Synthetic data"
    loss: ClassVar[str] = "squared"
    knows_optimum: ClassVar[bool] = True

    @property
    def test_trials(self) -> int:
        """Trials of the test split, rounded to the nearest, never none and never all."""
        trials = self.system.trials
        return min(max(round(trials * self.system.test_ratio), 1), trials - 1)

    @property
    def training_trials(self) -> int:
        """Trials that a model is trained on."""
        return self.system.trials - self.test_trials

    @property
    def sizes(self) -> tuple[int, int]:
        """Inputs and outputs of the systems."""
        return self.system.input_size, self.system.output_size

    @property
    def numbers(self) -> int:
        """Inputs, and outputs with and without noise."""
        system = self.system
        values = system.input_size + 2 * system.output_size
        return system.trials * system.time_steps * values


PLUG = Synthetic
