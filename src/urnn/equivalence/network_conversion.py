"""The verdict for a trained network of one or more layers: its unitary equivalent, or why none.

A network that is not convertible gets a diagnosis, a contractive network near it with its measured
error, and the unitary equivalent of that one.

Source: docs/theorems.md, Networks of torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from urnn.equivalence.layer_conversion import LayerConversion, NotConvertible, Plan
from urnn.equivalence.nearest_network import (
    Deviation,
    clipped,
    deviation,
    random_inputs,
    refitted,
)
from urnn.equivalence.scaling import DiagonalScaling, best_scaling
from urnn.equivalence.state_bounds import (
    norm_tolerance,
    spectral_norm,
    spectral_radius,
)
from urnn.equivalence.state_dict import NONLINEARITIES
from urnn.errors import ArgumentError
from urnn.rnn import RNN

if TYPE_CHECKING:
    from urnn.equivalence.torch_module import UnitaryTorchRNN

#: trials of random inputs that a conversion is measured on
TRIALS = 16


@dataclass(frozen=True)
class Diagnosis:
    """What W says of a layer; scaling is that of `best_scaling` for an expansive W, else None."""

    norm: float
    spectral_radius: float
    scaling: DiagonalScaling | None


@dataclass(frozen=True)
class Conversion:
    """The verdict for a network; see `convert_network`.

    diagnoses    of W, layer by layer
    layers       the converted ones; of ``nearest`` if the network is not convertible
    readout      (C, d) of the converted network, from the states of the last original layer
    reason       why the network is not convertible, or None
    nearest      the contractive layers that were converted instead, or None
    error_bound  on ||y - y_u||_2, over plan.steps steps; 0 where equality is proved, inf where no
                 bound is known; None if the network is not convertible. Without an input bound
                 (tanh) it is one of exact arithmetic, and rounding of float64 comes on top
    random       measured on ``seed``'s random inputs, over plan.measured steps; given: on the
                 caller's; clipped: of the clipped network without the refit
    """

    diagnoses: list[Diagnosis]
    layers: list[LayerConversion]
    readout: tuple[NDArray, NDArray]
    reason: str | None
    nearest: list[RNN] | None
    error_bound: float | None
    random: Deviation
    given: Deviation | None
    clipped: Deviation | None
    plan: Plan
    seed: int

    @property
    def convertible(self) -> bool:
        """Whether the unitary network has the map of the original, as far as `error_bound` says."""
        return self.reason is None

    @cached_property
    def networks(self) -> list[RNN]:
        """The unitary layers; the last one has the outputs of the original."""
        return _read([layer.unitary for layer in self.layers], self.readout)

    def module(self, batch_first: bool = True, guard: str | None = None) -> UnitaryTorchRNN:
        """The unitary layers as a module in float64, its ``readout`` that of the network.

        Raises:
            ArgumentError: h(-1) of a layer is not 0, or an unknown guard.
        """
        from urnn.equivalence.torch_module import UnitaryTorchRNN

        if any(layer.original.h_init.any() for layer in self.layers):
            raise ArgumentError("a torch module starts at h(-1) = 0, but this network does not")
        size = self.layers[0].original.hidden_units
        unitary = [layer.unitary for layer in self.layers]
        readout = None if _is_plain(self.readout) else self.readout
        inputs = self.plan.input_bound, self.plan.norm
        return UnitaryTorchRNN(unitary, size, *inputs, batch_first, guard, readout)


def diagnose(rnn: RNN) -> Diagnosis:
    """||W||_2, the spectral radius, and for an expansive W of a ReLU network `best_scaling`."""
    norm = spectral_norm(rnn.W)
    expansive = norm > 1 + norm_tolerance(rnn.hidden_units) and rnn.activation == "relu"
    return Diagnosis(norm, spectral_radius(rnn.W), best_scaling(rnn.W) if expansive else None)


def convert_network(
    layers: Sequence[RNN],
    input_bound: float | None = None,
    norm: float = 2,
    *,
    horizon: int | None = None,
    saturation: float = 20.0,
    inputs: ArrayLike | None = None,
    steps: int = 2000,
    iterations: int = 300,
    seed: int = 0,
) -> Conversion:
    """The unitary network with the map of the ``layers``, or of a contractive network near them.

    A layer converts by `to_unitary`: as it is, after a diagonal scaling (ReLU), with W projected
    where only float32 rounding keeps it from being unitary or contractive, or saturated (tanh). If
    one does not, each is `clipped` and the network `refitted`, with the readout unless C = I.

    Args:
        layers: of `from_torch`, or one `urnn.RNN`: real, all relu or all tanh, of one size.
        input_bound, norm, horizon: as in `to_unitary`; saturation: beta for tanh.
        inputs: of the caller, (time, input) or (trial, time, input), to measure on as well as on
            random_inputs(m, input_bound or 1, norm, TRIALS, steps or a shorter horizon, seed).
        iterations: of `refitted`, which draws other inputs.

    Raises:
        ArgumentError: layers of another kind, or a bound or horizon that is missing.

    Status: `Conversion.error_bound` PROVED (docs/theorems.md, Networks of torch), else measured.
    """
    plan = Plan(input_bound, norm, horizon, saturation, steps)
    originals, readout = _folded(layers)
    diagnoses = [diagnose(layer) for layer in originals]
    x = random_inputs(originals[0].input_size, plan.reach, norm, TRIALS, plan.measured, seed)
    record = None if inputs is None else _record(inputs, x.shape[-1])[:, :horizon]
    reason = start = nearest = bound = None
    try:
        converted = plan.convert(originals)
        bound = spectral_norm(readout[0]) * converted[-1].error_bound
    except NotConvertible as refusal:
        reason = str(refusal)
        start = _read(list(map(clipped, originals, (d.scaling for d in diagnoses))), readout)
        fit = (iterations, seed + 1, not _is_plain(readout))
        nearest = refitted(start, layers, plan.reach, norm, *fit)
        bare, readout = _split(nearest, readout)
        converted = plan.convert(bare)
    networks = _read([layer.unitary for layer in converted], readout)
    return Conversion(
        diagnoses,
        converted,
        readout,
        reason,
        nearest=nearest,
        error_bound=bound,
        random=deviation(layers, networks, x),
        given=None if record is None else deviation(layers, networks, record),
        clipped=None if start is None else deviation(layers, start, x),
        plan=plan,
        seed=seed,
    )


def _folded(layers: Sequence[RNN]) -> tuple[list[RNN], tuple[NDArray, NDArray]]:
    """The layers with C = I and d = 0, and C and d of the last one.

    Raises:
        ArgumentError: layers that are no networks, do not fit together, or are not of one kind.
    """
    stack = list(layers)
    if not stack or not all(isinstance(layer, RNN) for layer in stack):
        raise ArgumentError("layers must be a list of urnn.RNN with at least one")
    kinds = {(layer.hidden_units, layer.activation) for layer in stack}
    if len(kinds) > 1:
        raise ArgumentError("the layers must have one number of states and one activation")
    if stack[0].activation not in NONLINEARITIES or any(np.iscomplexobj(a.W) for a in stack):
        raise ArgumentError("only real networks with relu or tanh are converted")
    for index in range(1, len(stack)):
        if stack[index].input_size != stack[index - 1].output_size:
            raise ArgumentError(
                f"layer {index} has {stack[index].input_size} inputs, but layer {index - 1} has "
                f"{stack[index - 1].output_size} outputs"
            )
    n = stack[0].hidden_units
    folded = []
    for index, layer in enumerate(stack):
        F, b = layer.F, layer.b
        if index > 0:
            F, b = F @ stack[index - 1].C, b + F @ stack[index - 1].d
        folded.append(layer.replace(F=F, b=b, C=np.eye(n), d=np.zeros(n)))
    return folded, (stack[-1].C, stack[-1].d)


def _is_plain(readout: tuple[NDArray, NDArray]) -> bool:
    """Whether the outputs are the states."""
    C, d = readout
    return C.shape[0] == C.shape[1] and np.array_equal(C, np.eye(len(C))) and not d.any()


def _read(layers: list[RNN], readout: tuple[NDArray, NDArray]) -> list[RNN]:
    """The layers, the last one with the outputs C (C_last h) + d."""
    if _is_plain(readout):
        return layers
    last = layers[-1].replace(C=readout[0] @ layers[-1].C, d=readout[1])
    return [*layers[:-1], last]


def _split(
    layers: list[RNN], readout: tuple[NDArray, NDArray]
) -> tuple[list[RNN], tuple[NDArray, NDArray]]:
    """Refitted layers without their readout, and that; the last C stays if it is a scaling."""
    if _is_plain(readout):
        return layers, readout
    last = layers[-1]
    n = last.hidden_units
    return [*layers[:-1], last.replace(C=np.eye(n), d=np.zeros(n))], (last.C, last.d)


def _record(inputs: ArrayLike, input_size: int) -> NDArray:
    """Inputs (trial, time, input), finite."""
    try:
        x = np.asarray(inputs, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ArgumentError(f"inputs must be an array of numbers: {error}") from error
    if x.ndim == 2:
        x = x[None]
    if x.ndim != 3 or x.shape[-1] != input_size or 0 in x.shape:
        raise ArgumentError(
            f"inputs must have the shape (time, {input_size}) or (trial, time, {input_size}), but "
            f"they have {x.shape}"
        )
    if not np.isfinite(x).all():
        raise ArgumentError("inputs have a NaN or an Inf")
    return x
