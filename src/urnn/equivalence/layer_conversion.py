"""Layer by layer to a unitary network, with what each layer's error does to the next.

Source: docs/theorems.md, Networks of torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from urnn.equivalence.checks import count, number
from urnn.equivalence.conversion import to_unitary
from urnn.equivalence.projection import (
    NEAR_ONE,
    nearest_contraction,
    projected,
    projection_error_bound,
)
from urnn.equivalence.saturation import saturation_error_bound
from urnn.equivalence.state_bounds import check_input_set, norm_tolerance, powers, spectral_norm
from urnn.equivalence.torch_rnn import state_reach
from urnn.errors import ArgumentError
from urnn.rnn import RNN


@dataclass(frozen=True)
class LayerConversion:
    """A layer and its unitary network, both with the states as outputs (C = I, C_u = [D^-1 0]).

    way          "equal"; "scaled", equal with D other than I; "projected", W moved by float32
                 rounding; "saturated", tanh; "projected, saturated"
    error_bound  on the 2-norm of the difference of the states, over the steps of the conversion
    """

    original: RNN
    unitary: RNN
    way: str
    error_bound: float


class NotConvertible(ArgumentError):
    """A layer that no construction converts."""


@dataclass(frozen=True)
class Plan:
    """What a conversion is for.

    input_bound, norm, horizon  as in `to_unitary`
    saturation                  of tanh, as in `to_unitary`
    usual_steps                 for which errors are bounded without a horizon, and which are
                                measured if it is not shorter
    """

    input_bound: float | None
    norm: float
    horizon: int | None
    saturation: float
    usual_steps: int

    def __post_init__(self) -> None:
        check_input_set(self.input_bound, self.norm)
        number(self.saturation, "saturation", least=0)
        if self.horizon is not None:
            count(self.horizon, "horizon")
        count(self.usual_steps, "steps")

    @property
    def steps(self) -> int:
        """For which errors are bounded."""
        return self.usual_steps if self.horizon is None else self.horizon

    @property
    def measured(self) -> int:
        """On which they are measured."""
        return min(self.steps, self.usual_steps)

    @property
    def reach(self) -> float:
        """The size of the inputs to measure on: the bound, or 1."""
        return 1.0 if self.input_bound is None else self.input_bound

    def convert(self, layers: Sequence[RNN]) -> list[LayerConversion]:
        """Each layer; what bounds the states of one bounds the inputs of the next.

        Raises:
            NotConvertible: a layer has no equivalent that is known.
            ArgumentError: a bound or a horizon is missing.
        """
        over = self.steps
        bound, over_steps, norm, error = self.input_bound, self.input_bound, self.norm, 0.0
        converted: list[LayerConversion] = []
        for index, layer in enumerate(layers):
            try:
                unitary, project = self._unitary(layer, bound, norm)
            except ArgumentError as refusal:
                raise self._refusal(index, layer, bound, refusal) from refusal
            own, way = self._own_error(layer, unitary, project, over_steps, norm)
            passed = _gain(layer, unitary, over) * error if error > 0 else 0.0
            error = own + passed
            converted.append(LayerConversion(layer, unitary, way, error))
            if index == len(layers) - 1:
                break
            used = projected(layer) if project else layer
            if layer.activation == "relu":
                bound = state_reach(used, unitary, bound, norm, self.horizon, 0.0)
                over_steps = state_reach(used, unitary, over_steps, norm, over, 0.0)
            else:
                bound = over_steps = float(np.sqrt(layer.hidden_units))
            norm = 2
        return converted

    def _unitary(self, layer: RNN, bound: float | None, norm: float) -> tuple[RNN, bool]:
        """The unitary network, and whether W was projected for it."""
        options: dict[str, Any] = {"saturation": self.saturation}
        if layer.activation == "relu":
            options = {"rescale": True, "horizon": self.horizon}
        singular = np.linalg.svd(layer.W, compute_uv=False)
        near = np.abs(singular - 1) <= NEAR_ONE
        # all near 1: n states instead of 2n with very large biases
        attempts = [True] if near.all() else [False, True] if near[0] else [False]
        for project in attempts:
            try:
                found = to_unitary(layer, bound, norm, project=project, **options)
                return found, project and nearest_contraction(layer.W).distance > 0
            except ArgumentError as error:
                reason = error
        raise reason

    def _refusal(
        self, index: int, layer: RNN, bound: float | None, refusal: ArgumentError
    ) -> ArgumentError:
        """Whether a bound is missing, or the layer has no equivalent."""
        if bound is None and layer.activation == "relu":
            try:
                self._unitary(layer, 1.0, 2)
            except ArgumentError:
                pass
            else:
                if self.input_bound is None:
                    return ArgumentError(f"layer {index}: {refusal}")
                return ArgumentError(
                    f"layer {index}: no bound on the states of layer {index - 1} is known for all "
                    "times, so none on its inputs: give a finite horizon=..."
                )
        if self.input_bound is None and layer.activation == "relu":
            return ArgumentError(
                f"layer {index}: {refusal}. A network near it is for bounded inputs: give "
                "input_bound=..."
            )
        norm = spectral_norm(layer.W)
        near_one = 1 - norm_tolerance(layer.hidden_units) <= norm <= 1 + NEAR_ONE
        if near_one and self.horizon is None and layer.activation == "relu":
            return NotConvertible(
                f"layer {index}: ||W||_2 is 1 up to rounding, and no bound on the states is known "
                "for all times; with a horizon, for a finite number of steps, it converts"
            )
        return NotConvertible(f"layer {index}: {refusal}")

    def _own_error(
        self,
        layer: RNN,
        unitary: RNN,
        project: bool,
        bound: float | None,
        norm: float,
    ) -> tuple[float, str]:
        """A bound on the difference of the states for equal inputs, and the way of conversion."""
        error, ways = 0.0, []
        if project:
            error += projection_error_bound(layer, bound, norm, self.steps)
            ways.append("projected")
        if layer.activation != "relu" and unitary.hidden_units > layer.hidden_units:
            used = projected(layer) if project else layer
            error += saturation_error_bound(
                used, self.saturation, input_bound=bound, norm=norm, horizon=self.steps
            )
            ways.append("saturated")
        elif not np.all(_scale(layer, unitary) == 1):
            ways.append("scaled")
        return error, ", ".join(ways) or "equal"


def _scale(layer: RNN, unitary: RNN) -> NDArray:
    """The diagonal of D, from C = I and C_u = [D^-1 0]."""
    n = layer.hidden_units
    return np.diag(layer.C) / np.diag(unitary.C[:, :n])


def _gain(layer: RNN, unitary: RNN, steps: int) -> float:
    """A bound on the difference of the states, for inputs that differ by up to 1 at each step.

    ||F|| (1 + rho + ... + rho^(steps-1)), or the same for the states D h; PROVED.
    """
    scale = _scale(layer, unitary)[:, None]
    with np.errstate(over="ignore"):
        here = spectral_norm(layer.F) * powers(spectral_norm(layer.W), steps)
        there = powers(spectral_norm(scale * layer.W / scale.T), steps)
        there *= spectral_norm(scale * layer.F) / scale.min()
    return min(here, float(there))
