"""y = G(x, Theta) against a loop written from the equation, and its errors."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from urnn import RNN
from urnn.errors import DataError
from urnn.recurrence import activations
from urnn.rnn import ACTIVATIONS

SCALAR = {
    "relu": lambda z: max(z, 0.0),
    "tanh": np.tanh,
    "sigmoid": lambda z: 1 / (1 + np.exp(-z)),
    "identity": lambda z: z,
}


@given(
    st.sampled_from(sorted(SCALAR)),
    st.integers(1, 5),
    st.integers(1, 3),
    st.integers(1, 3),
    st.integers(0, 6),
    st.integers(0, 2**32 - 1),
)
def test_against_the_equation(activation: str, n: int, m: int, p: int, T: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    W, F = random.standard_normal((n, n)) / n, random.standard_normal((n, m))
    b, C, h, d = (random.standard_normal(shape) for shape in (n, (p, n), n, p))
    x = random.standard_normal((2, 3, T, m))
    y = RNN(W, F, b, C, h, activation, d=d)(x)
    assert y.shape == (2, 3, T, p)
    for index in np.ndindex(2, 3):
        state = h
        for k in range(T):
            state = np.array([SCALAR[activation](z) for z in W @ state + F @ x[index][k] + b])
            np.testing.assert_allclose(y[index][k], C @ state + d, rtol=1e-9, atol=1e-12)


def test_complex_activations() -> None:
    z = np.array([3 + 4j, -3 + 4j, 0j])
    zero = np.zeros(3)
    np.testing.assert_array_equal(ACTIVATIONS["relu"](z, zero), [3 + 4j, 4j, 0])
    np.testing.assert_allclose(ACTIVATIONS["modrelu"](z, zero - 1), z * 0.8)
    np.testing.assert_array_equal(ACTIVATIONS["modrelu"](z, zero - 9), 0)
    rnn = RNN(np.array([[1j]]), [[1]], [-1], [[1]], activation="modrelu")
    assert rnn.W.dtype == np.complex128
    np.testing.assert_allclose(rnn(np.array([[2.0], [0.0]]))[:, 0], [1, 0])


@pytest.mark.parametrize("name", ACTIVATIONS)
def test_the_activations_are_those_of_the_recurrence(name: str) -> None:
    assert set(ACTIVATIONS) == set(activations.ACTIVATIONS)
    phi = activations.ACTIVATIONS[name]
    random = np.random.default_rng(0)
    if phi.pairs:
        z, b = random.standard_normal((5, 3, 2)), random.standard_normal(3)
        ours = ACTIVATIONS[name](z[..., 0] + 1j * z[..., 1], b)
        ours = np.stack([ours.real, ours.imag], -1).reshape(5, 6)
        theirs = phi.torch(torch.tensor(z.reshape(5, 6)), torch.tensor(b))
    else:  # b was added before
        z, b = random.standard_normal((5, 6)), random.standard_normal(6)
        ours, theirs = ACTIVATIONS[name](z, b), phi.torch(torch.tensor(z + b), torch.tensor(b))
    np.testing.assert_allclose(ours, theirs.numpy(), rtol=1e-12, atol=1e-15)


def test_sigmoid_of_large_numbers_does_not_overflow() -> None:
    rnn = RNN([[0]], [[1]], [0], [[1]], activation="sigmoid")
    with np.errstate(over="raise", divide="raise", invalid="raise"):
        np.testing.assert_array_equal(rnn(np.array([[1e4], [0.0]]))[:, 0], [1, 0.5])


def test_parameters_are_copies_that_cannot_change() -> None:
    W = np.eye(2) / 2
    rnn = RNN(W, np.ones((2, 1)), np.zeros(2), np.ones((1, 2)))
    W[0, 0] = 9
    assert rnn.W[0, 0] == 0.5
    with pytest.raises(ValueError, match="read-only"):
        rnn.W[0, 0] = 9
    assert (rnn.hidden_units, rnn.input_size, rnn.output_size) == (2, 1, 1)


def test_d_is_zero_by_default_and_adds_to_every_output() -> None:
    rnn = RNN(np.eye(2) / 2, np.ones((2, 1)), np.zeros(2), np.ones((1, 2)))
    x = np.random.default_rng(0).standard_normal((4, 1))
    np.testing.assert_array_equal(rnn.d, [0])
    np.testing.assert_array_equal(rnn.replace(d=[3.0])(x), rnn(x) + 3)
    np.testing.assert_array_equal(rnn.replace(d=[3.0]).states(x), rnn.states(x))


@pytest.mark.parametrize("name", ["W", "F", "b", "C", "h_init", "d"])
def test_one_parameter_is_replaced_and_the_others_stay(name: str) -> None:
    random = np.random.default_rng(0)
    shapes = {"W": (2, 2), "F": (2, 3), "b": 2, "C": (1, 2), "h_init": 2, "d": 1}
    rnn = RNN(**{n: random.standard_normal(s) for n, s in shapes.items()}, activation="tanh")
    changed = rnn.replace(**{name: getattr(rnn, name) + 1})
    assert changed.activation == "tanh"
    for other in shapes:
        np.testing.assert_array_equal(
            getattr(changed, other), getattr(rnn, other) + (other == name)
        )


@settings(deadline=None)  # the first file takes long
@given(
    activation=st.sampled_from(sorted(ACTIVATIONS)),
    kind=st.sampled_from(["real", "complex"]),
    sizes=st.tuples(*[st.integers(1, 4)] * 3),
    seed=st.integers(0, 2**32 - 1),
)
def test_what_was_saved_is_loaded_with_the_same_bits(
    tmp_path_factory: pytest.TempPathFactory,
    activation: str,
    kind: str,
    sizes: tuple[int, int, int],
    seed: int,
) -> None:
    n, m, p = sizes
    random = np.random.default_rng(seed)
    shapes = {"W": (n, n), "F": (n, m), "b": n, "C": (p, n), "h_init": n, "d": p}
    unit = 1j if kind == "complex" and activation in ("relu", "identity", "modrelu") else 1
    rnn = RNN(
        **{a: unit * random.standard_normal(s) for a, s in shapes.items()}, activation=activation
    )
    path = tmp_path_factory.mktemp("rnn") / "network.npz"
    rnn.save(path)
    assert [file.name for file in path.parent.iterdir()] == ["network.npz"]
    back = RNN.load(path)
    assert back.activation == activation
    for name in shapes:
        np.testing.assert_array_equal(getattr(back, name), getattr(rnn, name))
        assert getattr(back, name).dtype == getattr(rnn, name).dtype


def test_files_that_hold_no_network_are_named_and_stay(tmp_path: Path) -> None:
    rnn = RNN(np.eye(2), np.ones((2, 1)), np.zeros(2), np.ones((1, 2)))
    whole = tmp_path / "network.npz"
    rnn.save(whole)
    for name, content in {
        "cut.npz": whole.read_bytes()[:300],
        "text.npz": b"W = 1",
        "empty.npz": b"",
    }.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(DataError, match=rf"{name} cannot be read as a network"):
            RNN.load(tmp_path / name)
        assert (tmp_path / name).read_bytes() == content
    np.savez(tmp_path / "other.npz", W=np.eye(2))
    with pytest.raises(DataError, match=r"other.npz is not a network that RNN.save wrote: .*F"):
        RNN.load(tmp_path / "other.npz")
    values = {n: getattr(rnn, n) * np.nan for n in ("W", "F", "b", "C", "h_init", "d")}
    np.savez(tmp_path / "nan.npz", **values, activation="relu")
    with pytest.raises(DataError, match=r"nan.npz cannot be read as a network: W has a NaN"):
        RNN.load(tmp_path / "nan.npz")
    with open(tmp_path / "array.npz", "wb") as file:
        np.save(file, np.eye(2))
    with pytest.raises(DataError, match=r"array.npz cannot be read as a network"):
        RNN.load(tmp_path / "array.npz")
    with pytest.raises(DataError, match=r"missing.npz does not exist"):
        RNN.load(tmp_path / "missing.npz")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"W": np.ones((2, 3))}, r"W must have the shape"),
        ({"F": np.ones((3, 1))}, r"F must have the shape \(2, m\), but it has \(3, 1\)"),
        ({"b": np.ones((2, 1))}, r"b must have the shape \(2\)"),
        ({"C": np.ones((1, 3))}, r"C must have the shape \(p, 2\)"),
        ({"C": np.ones(2)}, r"C must have the shape \(p, 2\)"),
        ({"h_init": np.ones(3)}, r"h_init must have the shape"),
        ({"d": np.ones(2)}, r"d must have the shape \(1\), but it has \(2,\)"),
        ({"d": [np.inf]}, "d has a NaN or an Inf"),
        ({"d": [1j], "activation": "tanh"}, "no complex form"),
        ({"W": np.full((2, 2), np.nan)}, "W has a NaN"),
        ({"activation": "swish"}, "one of relu"),
        ({"W": 1j * np.eye(2), "activation": "tanh"}, "no complex form"),
    ],
)
def test_wrong_parameters_are_named(change: dict, words: str) -> None:
    parameters = {"W": np.eye(2), "F": np.ones((2, 1)), "b": np.zeros(2), "C": np.ones((1, 2))}
    with pytest.raises(ValueError, match=words):
        RNN(**(parameters | change))


def test_wrong_inputs_are_named() -> None:
    rnn = RNN(np.eye(2), np.ones((2, 3)), np.zeros(2), np.ones((1, 2)))
    for x in (np.ones(3), np.ones((5, 2))):
        with pytest.raises(ValueError, match=r"x must have the shape \(\.\.\., time, 3\)"):
            rnn(x)
