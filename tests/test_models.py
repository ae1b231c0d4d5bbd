"""model = cell x transition x readout: sizes, initial values, counts, and the way to files."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from urnn import models
from urnn.errors import ConfigError
from urnn.recurrence import Spec, cells, pack, parameter_count, parameter_shapes, unpack
from urnn.settings.base import parse, validated
from urnn.settings.model import AnyModel, Model, code_of
from urnn.settings.training import Recipe
from urnn.transition import POINT as TRANSITIONS

#: what a bias is before training where it is not 0, by cell: one value for each gate
BIASES = {"lstm": [0, 1, 0, 0]}
FREE = TRANSITIONS.make("free")


def make(**options: Any) -> Model:
    made = validated(AnyModel, options, "model")
    assert isinstance(made, Model)
    return made


def test_a_model_has_the_options_of_its_cell_and_of_its_transition() -> None:
    default = parse(AnyModel, "{}", "--model")
    assert default.definition() == {"cell": "rnn", "activation": "relu", "transition": "free"}
    eunn = make(transition="eunn", activation="modrelu", capacity=2)
    assert eunn.cell_plug == cells.POINT.make("rnn", activation="modrelu")
    assert eunn.transition_plug == TRANSITIONS.make("eunn", capacity=2)
    assert eunn.definition() == {
        "cell": "rnn", "activation": "modrelu",
        "transition": "eunn", "field": None, "capacity": 2, "fft": False,
    }  # fmt: skip
    for name in cells.POINT:
        model = make(cell=name)
        assert model.cell_plug == cells.POINT.make(name)
        assert model.transition_plug == FREE
        if not model.cell_plug.takes_transition:
            assert model.definition() == cells.POINT.make(name).model_dump()
            with pytest.raises(ConfigError, match=r"unknown key; .*; transition is a key of rnn$"):
                make(cell=name, transition="free")


def test_the_definition_makes_the_same_model() -> None:
    """A file of trained models has it, and scores are made from it."""
    for model in (make(cell="lstm"), make(transition="eunn", fft=True), make(activation="tanh")):
        again = validated(AnyModel, model.definition(), "model")
        assert again == model and again.definition() == model.definition()


def test_the_code_of_a_model_is_its_plugs() -> None:
    assert code_of(make()) == ["urnn.recurrence.cells.rnn", "urnn.transition.free"]
    assert code_of(make(transition="eunn"))[1] == "urnn.transition.eunn"
    assert code_of(make(cell="lstm")) == ["urnn.recurrence.cells.lstm", "urnn.transition.free"]


@pytest.mark.parametrize(
    ("options", "hidden_units", "words"),
    [
        ({"transition": "eunn", "capacity": 9}, 4, "hidden_units: a capacity of 9 is more than"),
        ({"transition": "arjovsky"}, 5, "hidden_units: a complex arjovsky needs an even number"),
        ({"activation": "modrelu"}, 5, "hidden_units: .*modrelu acts on pairs of hidden units"),
    ],
)
def test_sizes_that_a_model_cannot_have(
    options: dict[str, Any], hidden_units: int, words: str
) -> None:
    with pytest.raises(ConfigError, match=f"^{words}"):
        models.specification(make(**options), hidden_units, 2, 2)


def test_the_specification_has_the_sizes_and_the_loss() -> None:
    model = make(activation="tanh", transition="unitary")
    spec = models.specification(model, 6, 2, 3, "cross_entropy")
    assert spec == Spec(cells.POINT.make("rnn", activation="tanh"), 6, 2, 3, "cross_entropy")


@pytest.mark.parametrize("name", cells.POINT.names)
def test_initial_values_are_keras_ones(name: str) -> None:
    spec = Spec(name, 6, 2, 3)
    values = models.initialise(spec, Recipe(), np.random.default_rng(0), FREE)
    shapes = parameter_shapes(spec)
    W = values.pop("p").reshape(shapes["W"])
    assert {key: value.shape for key, value in values.items()} == {
        key: shape for key, shape in shapes.items() if key != "W"
    }
    assert all(value.dtype == np.float32 for value in (W, *values.values()))
    np.testing.assert_allclose(W.T @ W, np.eye(6), atol=1e-6)
    rows = len(values["F"])
    assert np.abs(values["F"]).max() <= np.sqrt(6 / (rows + 2))
    assert np.abs(values["C"]).max() <= np.sqrt(6 / (6 + 3))
    gates = values["b"].reshape(-1, 6)
    expected = BIASES.get(name, [0] * spec.cell.gates)
    np.testing.assert_array_equal(gates, np.repeat(np.transpose([expected]), 6, axis=1))
    for key in {*values} - {"F", "C", "b"}:
        assert not values[key].any()


def test_initial_values_by_the_recipe() -> None:
    random = np.random.default_rng(0)
    identity = Recipe(initial_transition="identity")
    W = models.initialise(Spec("rnn", 6, 2, 3), identity, random, FREE)["p"]
    np.testing.assert_array_equal(W.reshape(6, 6), np.eye(6))
    for name in cells.POINT:  # a cell with gates starts without its recurrent side
        if not cells.POINT.make(name).takes_transition:
            assert not models.initialise(Spec(name, 6, 2, 3), identity, random, FREE)["p"].any()
    forget = models.initialise(Spec("lstm", 6, 2, 3), Recipe(forget_bias=2.5), random, FREE)
    np.testing.assert_array_equal(forget["b"].reshape(4, 6)[1], 2.5)


@pytest.mark.parametrize("name", TRANSITIONS.names)
def test_p_is_drawn_as_the_transition_says(name: str) -> None:
    transition = TRANSITIONS.make(name)
    spec = Spec("rnn", 8, 2, 3)
    drawn = models.initialise(spec, Recipe(), np.random.default_rng(5), transition)["p"]
    expected = transition.initialise(np.random.default_rng(5), 8, "orthogonal")
    np.testing.assert_array_equal(drawn, expected)
    assert drawn.dtype == expected.dtype


def test_what_training_may_choose_is_counted() -> None:
    n, m, p = 8, 2, 3
    rest = n * m + n + p * n + p  # F, b, C, d
    for options, expected in [
        ({}, n * n + rest),
        ({"transition": "unitary"}, n * (n - 1) // 2 + rest),
        ({"transition": "eunn"}, n * n // 4 + rest),
        ({"activation": "modrelu", "transition": "arjovsky"}, 7 * n // 2 + rest - n // 2),
        ({"cell": "lstm"}, 4 * (n * n + n * m + n) + p * n + p),
        ({"cell": "gru"}, 3 * (n * n + n * m + 2 * n) + p * n + p),
    ]:
        model = make(**options)
        spec = models.specification(model, n, m, p)
        states = n * len(spec.cell.initial_states)
        assert models.trained_numbers(model, spec, False) == expected
        assert models.trained_numbers(model, spec, True) == expected + states
        if model.transition_plug == FREE:
            assert parameter_count(spec) == expected + states


@pytest.mark.parametrize(
    "spec", [Spec(name, 4, 2, 1) for name in cells.POINT], ids=lambda s: s.name
)
def test_parameters_go_to_files_and_back(spec: Spec) -> None:
    random = np.random.default_rng(0)
    parameters = pack(
        spec,
        {
            name: random.standard_normal((6, *shape)).astype(np.float32)
            for name, shape in parameter_shapes(spec).items()
        },
    )
    variables = models.to_variables(spec, parameters, (3, 2))
    assert list(variables) == list(parameter_shapes(spec))
    for name, (dims, values, attributes) in variables.items():
        assert dims[:2] == ("realization", "restart") and values.shape[:2] == (3, 2)
        assert len(dims) == values.ndim and attributes["long_name"] and attributes["units"] == "1"
        assert math.prod(values.shape[2:]) == math.prod(parameter_shapes(spec)[name])
    # rows are the gates, one after the other
    W = variables["W"][1].reshape(6, -1, 4)
    np.testing.assert_array_equal(W, unpack(spec, parameters)["W"])
    flat = {name: value.reshape(6, *value.shape[2:]) for name, (_, value, _) in variables.items()}
    np.testing.assert_array_equal(models.from_variables(spec, flat), parameters)


def test_the_dimensions_of_the_parameters_in_files() -> None:
    dims = {
        name: models.to_variables(
            spec := Spec(name, 4, 2, 1), np.zeros((1, parameter_count(spec)), np.float32), (1, 1)
        )
        for name in cells.POINT
    }
    assert dims["rnn"]["W"][0][2:] == ("hidden", "hidden_previous")
    for name in ("lstm", "gru"):
        assert dims[name]["W"][0][2:] == ("gate", "hidden", "hidden_previous")
        assert dims[name]["F"][0][2:] == ("gate", "hidden", "input")
        assert dims[name]["W"][1].shape[2] == {"lstm": 4, "gru": 3}[name]
    pairs = Spec(cells.POINT.make("rnn", activation="modrelu"), 4, 2, 1)
    zeros = np.zeros((1, parameter_count(pairs)), np.float32)
    names, values, _ = models.to_variables(pairs, zeros, (1, 1))["b"]
    assert names[2:] == ("pair",) and values.shape == (1, 1, 2)
