"""model = recurrence x transition x readout: from a row of the config's table to arrays."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from urnn.recurrence import Spec, pack, parameter_shapes, unpack
from urnn.settings.base import ConfigError
from urnn.settings.model import ModelSettings
from urnn.settings.training import Recipe
from urnn.transition import Transition, make
from urnn.transition.direct import orthonormal_columns

#: order of the gates along the first axis of an LSTM's W, F and b, as in torch.nn.LSTM
GATES = ("input", "forget", "cell", "output")
LONG_NAMES = {
    "W": "transition",
    "F": "input matrix",
    "b": "bias of the recurrence",
    "C": "readout matrix",
    "d": "readout bias",
    "h_init": "initial state",
    "c_init": "initial cell state",
}


def specification(
    model: ModelSettings, hidden: int, inputs: int, outputs: int, loss: str = "squared"
) -> Spec:
    """What the recurrence computes for this model.

    Raises:
        ConfigError: the model cannot have this number of hidden units.
    """
    problem = model.size_problem(hidden)
    if problem:
        raise ConfigError(f"hidden_units: {problem}")
    return Spec(model.recurrence, hidden, inputs, outputs, model.activation, loss)


def transition(model: ModelSettings) -> Transition:
    """The set that W is kept in."""
    return make(model.transition, model.is_complex, model.capacity, model.fft)


def trained_numbers(model: ModelSettings, spec: Spec, initial_state: bool) -> int:
    """How many numbers training may choose: those of the set of W, and every other parameter."""
    shapes = parameter_shapes(spec)
    rest = [
        math.prod(shape)
        for name, shape in shapes.items()
        if name != "W" and (initial_state or name not in ("h_init", "c_init"))
    ]
    if spec.cell == "lstm":
        return math.prod(shapes["W"]) + sum(rest)
    return transition(model).degrees_of_freedom(spec.hidden) + sum(rest)


def _glorot_uniform(random: np.random.Generator, rows: int, columns: int) -> NDArray:
    limit = np.sqrt(6 / (rows + columns))
    return random.uniform(-limit, limit, (rows, columns))


def initial_parameters(
    spec: Spec, recipe: Recipe, random: np.random.Generator, transition: Transition | None = None
) -> dict[str, NDArray]:
    """Parameters before training, float32, as Keras initialises them (the authors' setting).

    Recurrent matrix orthogonal (or the identity, by the recipe; an LSTM's four blocks have jointly
    orthonormal columns, or are 0 by the recipe's identity, which the gates do not need), input and
    readout matrices Glorot uniform, biases and states 0, an LSTM's forget bias from the recipe.

    Where the transition makes W from values p, these are here in place of W, float64, drawn as
    their authors do.
    """
    shapes = parameter_shapes(spec)
    values = {name: np.zeros(shape) for name, shape in shapes.items()}
    rows, n = shapes["W"]
    own: dict[str, NDArray] = {}
    if transition is not None and transition.parametrised:
        own["p"] = transition.initial(random, n, recipe.initial_transition)
        del values["W"]
    elif recipe.initial_transition == "identity":
        values["W"] = np.eye(n) if spec.cell == "rnn" else np.zeros((rows, n))
    else:
        values["W"] = orthonormal_columns(random, rows, n)
    values["F"] = _glorot_uniform(random, *shapes["F"])
    values["C"] = _glorot_uniform(random, *shapes["C"])
    if spec.cell == "lstm":
        values["b"][n : 2 * n] = recipe.forget_bias  # gates: input, forget, cell, output
    return own | {name: value.astype(np.float32) for name, value in values.items()}


def _dimensions(spec: Spec) -> dict[str, tuple[str, ...]]:
    gate: tuple[str, ...] = ("gate",) if spec.cell == "lstm" else ()
    dimensions: dict[str, tuple[str, ...]] = {
        "W": (*gate, "hidden", "hidden_previous"),
        "F": (*gate, "hidden", "input"),
        "b": ("pair",) if spec.activation == "modrelu" else (*gate, "hidden"),
        "C": ("output", "hidden"),
        "d": ("output",),
        "h_init": ("hidden",),
        "c_init": ("hidden",),
    }
    return {name: dimensions[name] for name in parameter_shapes(spec)}


def to_variables(spec: Spec, parameters: NDArray, shape: tuple[int, int]) -> dict[str, Any]:
    """Parameters (R, K) as variables of a file, with the dimensions realization and restart."""
    sizes = {
        "gate": len(GATES),
        "hidden": spec.hidden,
        "pair": spec.hidden // 2,
        "hidden_previous": spec.hidden,
        "input": spec.input,
        "output": spec.output,
    }
    values = unpack(spec, parameters)
    return {
        name: (
            ("realization", "restart", *dims),
            values[name].reshape(*shape, *(sizes[dim] for dim in dims)),
            {"long_name": LONG_NAMES[name], "units": "1"},
        )
        for name, dims in _dimensions(spec).items()
    }


def transition_variables(p: NDArray | None, shape: tuple[int, int]) -> dict[str, Any]:
    """The values p (R, P) that W was made from as a variable of a file; none for None.

    W is in the file in any case, so only what trains on or counts parameters needs them.
    """
    if p is None:
        return {}
    long_name = "values that the transition is made from"
    dims = ("realization", "restart", "transition_parameter")
    return {"p": (dims, p.reshape(*shape, -1), {"long_name": long_name, "units": "1"})}


def from_variables(spec: Spec, variables: Mapping[str, Any]) -> NDArray[np.float32]:
    """The inverse of :func:`to_variables`: (R, K) from arrays (R, ...), float32."""
    shapes = parameter_shapes(spec)
    values = {
        name: np.asarray(variables[name]).reshape(-1, *shape) for name, shape in shapes.items()
    }
    return pack(spec, values)
