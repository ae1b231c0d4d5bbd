"""Settings of a model: which recurrence, which set its transition lives in."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from urnn.settings.base import Count, Settings

#: transitions that may be complex, and whether they are where nothing is said
_COMPLEX = {
    "arjovsky": True,
    "eunn": True,
    "full_capacity": True,
    "matrix_exp": False,
    "cayley": False,
}


class ModelSettings(Settings):
    """model = recurrence x transition x readout (linear, with a bias).

    Hidden units are real states everywhere: a complex model with n of them has n / 2 complex units,
    so that n counts the same state in every model.
    """

    recurrence: Literal["rnn", "lstm"] = Field("rnn", description="h = phi(W h + F x + b), or LSTM")
    transition: Literal[
        "free",
        "contractive",
        "unitary",
        "arjovsky",
        "eunn",
        "full_capacity",
        "matrix_exp",
        "cayley",
        "householder",
    ] = Field(
        "free",
        description="the set that W lives in: any matrix, ||W|| <= 1, W^T W = I, or a unitary one "
        "of the references (docs/transitions.md)",
    )
    field: Literal["real", "complex"] | None = Field(
        None,
        description="numbers of a transition that has both; n hidden units are n / 2 complex ones; "
        "null: as its source (eunn, full_capacity: complex; matrix_exp, cayley: real)",
    )
    capacity: Count | None = Field(
        None, description="layers of rotations of eunn; null: as many as reach every rotation"
    )
    fft: bool = Field(False, description="eunn in FFT style, with log2 of its size layers")
    activation: Literal["relu", "tanh", "sigmoid", "identity", "modrelu"] = Field(
        "relu",
        description="phi of the recurrence rnn; modrelu acts on pairs of units, which are complex "
        "ones of a complex transition; LSTM has its own",
    )

    @property
    def is_complex(self) -> bool:
        """Whether W is the real form of a complex matrix."""
        if self.field is None:
            return _COMPLEX.get(self.transition, False)
        return self.field == "complex"

    def size_problem(self, hidden_units: int) -> str | None:
        """Why this model cannot have so many hidden units, or None."""
        size = hidden_units // 2 if self.is_complex else hidden_units
        if self.is_complex and hidden_units % 2:
            return (
                f"a complex {self.transition} needs an even number, two for each complex unit, "
                f"but it is {hidden_units}"
            )
        if self.activation == "modrelu" and hidden_units % 2:
            return f"modrelu acts on pairs of hidden units, but their number is {hidden_units}"
        units = "complex units" if self.is_complex else "units"
        if self.fft and size & (size - 1):
            return f"the FFT style of eunn needs a power of two of {units}, but it has {size}"
        if self.capacity is not None and self.capacity > size:
            return (
                f"a capacity of {self.capacity} is more than the {size} {units} of eunn, and "
                "reaches no more: at most that many, or null"
            )
        return None

    @model_validator(mode="after")
    def _options_fit(self) -> ModelSettings:
        if self.recurrence == "lstm":
            given = (self.transition, self.activation, self.field, self.capacity, self.fft)
            if given != ("free", "relu", None, None, False):
                raise ValueError(
                    "an lstm has its own gates: leave transition, its options and activation out "
                    "of this model"
                )
        if self.transition != "eunn" and (self.capacity is not None or self.fft):
            raise ValueError(
                f"capacity and fft are for eunn, but the transition is {self.transition}"
            )
        if self.fft and self.capacity is not None:
            raise ValueError(
                "the FFT style has a capacity of its own: give capacity or fft, not both"
            )
        if self.field == "complex" and self.transition not in _COMPLEX:
            raise ValueError(f"{self.transition} is real only; complex: {', '.join(_COMPLEX)}")
        if self.field == "real" and self.transition == "arjovsky":
            raise ValueError("arjovsky is complex only, through its Fourier transform")
        return self
