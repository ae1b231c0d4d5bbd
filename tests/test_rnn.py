"""y = G(x, Theta) against a loop written from the equation, and its errors."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from urnn import RNN
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
    b, C, h = (random.standard_normal(shape) for shape in (n, (p, n), n))
    x = random.standard_normal((2, 3, T, m))
    y = RNN(W, F, b, C, h, activation)(x)
    assert y.shape == (2, 3, T, p)
    for index in np.ndindex(2, 3):
        state = h
        for k in range(T):
            state = np.array([SCALAR[activation](z) for z in W @ state + F @ x[index][k] + b])
            np.testing.assert_allclose(y[index][k], C @ state, rtol=1e-9, atol=1e-12)


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


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"W": np.ones((2, 3))}, r"W must have the shape"),
        ({"F": np.ones((3, 1))}, r"F must have the shape \(2, m\), but it has \(3, 1\)"),
        ({"b": np.ones((2, 1))}, r"b must have the shape \(2\)"),
        ({"C": np.ones((1, 3))}, r"C must have the shape \(p, 2\)"),
        ({"h_init": np.ones(3)}, r"h_init must have the shape"),
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
