"""model = cell x transition x readout: from its settings to arrays, and from arrays to files."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from urnn.errors import ConfigError
from urnn.matrices import orthonormal_columns
from urnn.recurrence import Spec, pack, parameter_shapes, unpack
from urnn.settings.model import Model
from urnn.settings.training import Recipe
from urnn.transition.base import Transition


def specification(
    model: Model, hidden_units: int, input_size: int, output_size: int, loss: str = "squared"
) -> Spec:
    """What the recurrence computes for this model.

    Raises:
        ConfigError: the model cannot have this number of hidden units.
    """
    problem = model.size_problem(hidden_units)
    if problem:
        raise ConfigError(f"hidden_units: {problem}")
    return Spec(model.cell_plug, hidden_units, input_size, output_size, loss)


def trained_numbers(model: Model, spec: Spec, initial_state: bool) -> int:
    """How many numbers training may choose: those of the set of W, and every other parameter."""
    shapes = parameter_shapes(spec)
    kept = () if initial_state else spec.cell.initial_states
    rest = sum(math.prod(shape) for name, shape in shapes.items() if name not in ("W", *kept))
    if spec.cell.takes_transition:
        return model.transition_plug.degrees_of_freedom(spec.hidden_units) + rest
    return math.prod(shapes["W"]) + rest


def initialise(
    spec: Spec, recipe: Recipe, random: np.random.Generator, transition: Transition
) -> dict[str, NDArray]:
    """Parameters before training, as Keras initialises them (the authors' setting).

    p, what the transition makes W from, is drawn as its source does: for the sets that are trained
    directly it is W, orthogonal or the identity, by the recipe. The W of a cell with several gates
    has jointly orthonormal columns, or is 0 by the recipe's identity, which the gates do not need.
    Input and readout matrices are Glorot uniform, biases and states 0 but for what the cell says.
    float32, but for a p of other values than W.
    """
    shapes = parameter_shapes(spec)
    n, start = spec.hidden_units, recipe.initial_transition
    values = {name: np.zeros(shape) for name, shape in shapes.items() if name != "W"}
    if spec.cell.takes_transition:
        p = transition.initialise(random, n, start)
    elif start == "identity":
        p = np.zeros(shapes["W"], np.float32).ravel()
    else:
        p = orthonormal_columns(random, *shapes["W"]).ravel().astype(np.float32)
    for name in ("F", "C"):
        values[name] = _glorot_uniform(random, *shapes[name])
    spec.cell.initialise(values, n, recipe.forget_bias)
    return {"p": p} | {name: value.astype(np.float32) for name, value in values.items()}


def _glorot_uniform(random: np.random.Generator, rows: int, columns: int) -> NDArray:
    limit = np.sqrt(6 / (rows + columns))
    return random.uniform(-limit, limit, (rows, columns))


def to_variables(spec: Spec, parameters: NDArray, shape: tuple[int, int]) -> dict[str, Any]:
    """Parameters (R, K) as variables of a file, with the dimensions realization and restart."""
    sizes = {
        "gate": spec.cell.gates,
        "hidden": spec.hidden_units,
        "pair": spec.hidden_units // 2,
        "hidden_previous": spec.hidden_units,
        "input": spec.input_size,
        "output": spec.output_size,
    }
    values = unpack(spec, parameters)
    return {
        name: (
            ("realization", "restart", *dims),
            values[name].reshape(*shape, *(sizes[dim] for dim in dims)),
            {"long_name": spec.cell.long_names[name], "units": "1"},
        )
        for name, dims in spec.cell.dimensions.items()
    }


def from_variables(spec: Spec, variables: Mapping[str, Any]) -> NDArray[np.float32]:
    """The inverse of :func:`to_variables`: (R, K) from arrays (R, ...), float32."""
    shapes = parameter_shapes(spec)
    values = {
        name: np.asarray(variables[name]).reshape(-1, *shape) for name, shape in shapes.items()
    }
    return pack(spec, values)
