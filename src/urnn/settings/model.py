"""Settings of a model: which recurrence, which set its transition lives in."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from urnn.settings.base import Settings


class ModelSettings(Settings):
    """model = recurrence x transition x readout (linear, with a bias)."""

    recurrence: Literal["rnn", "lstm"] = Field("rnn", description="h = phi(W h + F x + b), or LSTM")
    transition: Literal["free", "contractive", "unitary"] = Field(
        "free", description="the set that W lives in: any matrix, ||W|| <= 1, or W^T W = I"
    )
    activation: Literal["relu", "tanh", "sigmoid", "identity"] = Field(
        "relu", description="phi of the recurrence rnn; LSTM has its own"
    )

    @model_validator(mode="after")
    def _lstm_has_no_choice(self) -> ModelSettings:
        if self.recurrence == "lstm" and (self.transition, self.activation) != ("free", "relu"):
            raise ValueError(
                "an lstm has its own gates: leave transition and activation out of this model"
            )
        return self
