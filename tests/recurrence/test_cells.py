"""The facts of the cells: parameters, their order and their names in files."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from urnn.recurrence import Spec, parameter_shapes
from urnn.recurrence.cells import POINT

SHAPES: dict[str, dict[str, tuple[int, ...]]] = {
    "rnn": {"W": (4, 4), "F": (4, 2), "b": (4,), "C": (3, 4), "d": (3,), "h_init": (4,)},
    "lstm": {
        "W": (16, 4), "F": (16, 2), "b": (16,), "C": (3, 4), "d": (3,),
        "h_init": (4,), "c_init": (4,),
    },
    "gru": {
        "W": (12, 4), "F": (12, 2), "b": (12,), "b_h": (12,), "C": (3, 4), "d": (3,),
        "h_init": (4,),
    },
}  # fmt: skip


@pytest.mark.parametrize("name", SHAPES)
def test_parameters_by_name_in_the_order_of_theta(name: str) -> None:
    shapes = parameter_shapes(Spec(POINT.make(name), 4, 2, 3))
    assert list(shapes.items()) == list(SHAPES[name].items())


def test_a_bias_for_each_pair() -> None:
    cell = POINT.make("rnn", activation="modrelu")
    assert parameter_shapes(Spec(cell, 4, 2, 3)) == SHAPES["rnn"] | {"b": (2,)}
    assert cell.dimensions["b"] == ("pair",)
    assert cell.size_problem(4) is None
    problem = "modrelu acts on pairs of hidden units, but their number is 5"
    assert cell.size_problem(5) == problem


def test_every_parameter_has_dimensions_and_a_long_name(cell: Any) -> None:
    shapes = cell.parameter_shapes(4, 2, 3)
    sizes = {"gate": cell.gates, "hidden": 4, "hidden_previous": 4, "pair": 2}
    sizes |= {"input": 2, "output": 3}
    assert list(cell.dimensions) == list(cell.long_names) == list(shapes)
    for name, shape in shapes.items():
        assert np.prod(shape) == np.prod([sizes[dim] for dim in cell.dimensions[name]])
    assert len(set(cell.long_names.values())) == len(shapes)
    assert len(cell.gate_names) == (cell.gates if cell.gates > 1 else 0)
    assert cell.takes_transition == (cell.gates == 1)


def test_the_forget_gate_has_a_bias_of_its_own_before_training(plain_cell: Any) -> None:
    shapes = plain_cell.parameter_shapes(2, 1, 1)
    values = {name: np.zeros(shape) for name, shape in shapes.items()}
    plain_cell.initialise(values, 2, 1.5)
    special = {name: value.tolist() for name, value in values.items() if value.any()}
    forget = {"b": [0, 0, 1.5, 1.5, 0, 0, 0, 0]}
    assert special == (forget if "forget" in plain_cell.gate_names else {})


def test_hard_sigmoid_gates_are_those_of_keras_and_shut_completely() -> None:
    """One unit by hand: c = clip(0.2 f + 0.5) c + clip(0.2 i + 0.5) tanh(g)."""
    cell = POINT.make("lstm", gate_activation="hard_sigmoid")
    parameters = {"W": torch.zeros(1, 4, 1, dtype=torch.float64)}
    h, c = (torch.full((1, 1, 1), value, dtype=torch.float64) for value in (0.0, 0.7))
    for i, f, o, expected in [(1.0, -1.0, 0.5, (0.7, 0.3, 0.6)), (3, -3, -3, (1, 0, 0))]:
        drive = torch.tensor([[[i, f, 0.4, o]]], dtype=torch.float64)
        h_after, c_after = cell.step(parameters, drive, (h, c))
        gate_i, gate_f, gate_o = expected
        assert c_after.item() == pytest.approx(gate_f * 0.7 + gate_i * np.tanh(0.4), abs=1e-15)
        assert h_after.item() == pytest.approx(gate_o * np.tanh(c_after.item()), abs=1e-15)


def test_cells_of_other_gates_have_other_kernels() -> None:
    tags = {POINT.make("lstm", gate_activation=name).tag for name in ("sigmoid", "hard_sigmoid")}
    assert tags == {"lstm", "lstm-hard_sigmoid"}
