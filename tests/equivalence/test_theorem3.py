"""Theorem 3: the error of a saturated pair never reaches 0, and it falls at the stated rate."""

import numpy as np
import pytest

from urnn import RNN
from urnn.equivalence import (
    ERROR_SLOPE,
    centred_chain,
    completion,
    defect_rank,
    delay_chain,
    errors_against_bias,
    exact_errors_against_bias,
    logarithmic_slope,
    saturated_pair,
    saturated_unitary,
    saturation_error_bound,
    scalar_witness,
    to_unitary,
    unitarity_error,
)

X = np.random.default_rng(0).uniform(-2, 2, (32, 300, 1))
SHORT = np.random.default_rng(1).uniform(-2, 2, 20)
MEASURED_AT_100 = {"sigmoid": 1.9e-44, "tanh": 2.8e-86}


@pytest.mark.parametrize("activation", ["sigmoid", "tanh"])
def test_the_exact_error_is_positive_at_bias_100_and_has_the_slope(activation):
    witness = scalar_witness(activation=activation)
    biases = [20, 40, 60, 80, 100]
    errors = exact_errors_against_bias(witness, biases, SHORT)
    assert all(error > 0 for error in errors)
    assert errors[-1] < 1e-40
    assert float(errors[-1]) == pytest.approx(MEASURED_AT_100[activation], rel=0.5)
    slope = logarithmic_slope(biases, errors)
    assert slope == pytest.approx(ERROR_SLOPE[activation], rel=0.02)


@pytest.mark.parametrize(
    ("activation", "biases"), [("sigmoid", np.arange(8, 25, 2)), ("tanh", np.arange(5, 13))]
)
def test_the_float64_error_has_the_slope_and_then_vanishes(activation, biases):
    witness = scalar_witness(activation=activation)
    errors = errors_against_bias(witness, biases, X)
    slope = logarithmic_slope(biases, errors)
    assert slope == pytest.approx(ERROR_SLOPE[activation], rel=0.02)
    # roundoff, which says nothing about equality
    assert errors_against_bias(witness, [60.0], X)[0] <= 1e-15
    exact = exact_errors_against_bias(witness, biases[-1:], X[0, :20, 0])
    assert float(exact[0]) == pytest.approx(errors_against_bias(witness, biases[-1:], X)[0], rel=2)


def test_the_exact_arithmetic_agrees_with_float64_where_both_can_see():
    for activation in ERROR_SLOPE:
        witness = scalar_witness(0.5, 1.5, 0.2, activation)
        exact = exact_errors_against_bias(witness, [3.0, 6.0], SHORT)
        floats = errors_against_bias(witness, [3.0, 6.0], SHORT[:, None])
        assert floats == pytest.approx([float(error) for error in exact], rel=1e-6)


def test_relu_has_an_exact_pair_where_the_sigmoid_has_none():
    relu = RNN([[0.5]], [[1.0]], [0.0], [[1.0]])
    assert np.abs(to_unitary(relu)(X) - relu(X)).max() <= 1e-15
    with pytest.raises(ValueError, match="Theorem 3"):
        to_unitary(scalar_witness(), 2.0)


def test_the_centred_chain_gains_a_factor_4_per_state():
    witness = scalar_witness()
    states = np.arange(3, 21, 3)
    y = witness(X)
    errors = []
    for count in states:
        chain = centred_chain(witness, int(count))
        assert chain.hidden_units == count
        assert unitarity_error(chain.W) <= 1e-14
        assert np.abs(chain.b).max() < 1.1  # bounded biases
        errors.append(np.abs(chain(X) - y).max())
    rate = np.exp(logarithmic_slope(states, errors))
    assert 0.24 < rate < 0.26
    tanh = scalar_witness(activation="tanh")
    slow = [np.abs(centred_chain(tanh, N)(X) - tanh(X)).max() for N in (5, 20)]
    assert slow[1] > 0.2 * slow[0]  # a tanh chain at slope 1 gains almost nothing


@pytest.mark.parametrize("activation", ["relu", "tanh", "sigmoid", "identity"])
@pytest.mark.parametrize("length", [1, 3, 8, 15])
def test_the_chain_is_exact_before_its_length_and_not_after(activation, length, make_rnn):
    generator = np.random.default_rng(length)
    for _ in range(5):
        rnn = make_rnn(generator, 3, activation=activation, start=1.0)
        rnn = RNN(rnn.W, rnn.F, np.abs(rnn.b), rnn.C, np.abs(rnn.h_init), activation)
        chain = delay_chain(rnn, length)
        assert chain.hidden_units == 3 + defect_rank(rnn.W) * length
        assert unitarity_error(chain.W) <= 1e-14
        x = 3 * generator.standard_normal((16, 30, 2))
        y = rnn(x)
        errors = np.abs(chain(x) - y).max(axis=(0, 2)) / np.abs(y).max()
        assert errors[:length].max() <= 1e-13
        assert errors[length] > 1e-12


@pytest.mark.parametrize("centre", [0.0, -1.0, 2.0])
def test_any_centre_keeps_the_chain_exact(centre, make_rnn):
    generator = np.random.default_rng(3)
    for kind, activation in (("real", "sigmoid"), ("complex", "relu")):
        rnn = make_rnn(generator, 3, "half at 1", activation=activation, kind=kind, start=1.0)
        chain = delay_chain(rnn, 6, centre, 0.6)
        x = generator.standard_normal((4, 6, 2))
        assert np.abs(chain(x) - rnn(x)).max() <= 1e-13 * np.abs(rnn(x)).max()
        assert unitarity_error(chain.W) <= 1e-14


@pytest.mark.parametrize("activation", ["tanh", "sigmoid"])
def test_saturation_stays_within_its_error_bound(activation, make_rnn):
    generator = np.random.default_rng(4)
    for trial in range(20):
        rnn = make_rnn(generator, 1 + trial % 6, activation=activation, start=1.0)
        x = 5 * generator.standard_normal((4, 100, 2))
        h = rnn.states(x)
        for saturation in (1.0, 3.0, 6.0):
            urnn = saturated_unitary(rnn, saturation)
            assert unitarity_error(urnn.W) <= 1e-13
            gap = np.linalg.norm(urnn.states(x)[..., : rnn.hidden_units] - h, axis=-1).max()
            assert 0 < gap <= saturation_error_bound(rnn, saturation)
        near = to_unitary(rnn, saturation=40.0, states="2n")
        assert near.hidden_units == 2 * rnn.hidden_units
        assert np.abs(near(x) - rnn(x)).max() <= 1e-14 * max(1.0, np.abs(rnn(x)).max())


def test_saturation_refuses_what_it_cannot_do():
    tanh = RNN([[0.5]], [[1.0]], [0.0], [[1.0]], activation="tanh")
    with pytest.raises(ValueError, match="scaling"):
        to_unitary(tanh, saturation=20, rescale=True)
    with pytest.raises(ValueError, match="saturation is for"):
        to_unitary(RNN([[0.5]], [[1.0]], [0.0], [[1.0]]), saturation=20)
    with pytest.raises(ValueError, match="expansive"):
        to_unitary(RNN([[1.5]], [[1.0]], [0.0], [[1.0]], activation="tanh"), saturation=20)


def test_the_witness_excludes_what_the_theorem_excludes():
    for weight, gain in ((1.0, 1.0), (-1.0, 1.0), (0.5, 0.0)):
        with pytest.raises(ValueError, match="Theorem 3 needs"):
            scalar_witness(weight, gain)
    with pytest.raises(ValueError, match="activation"):
        scalar_witness(activation="relu")
    with pytest.raises(ValueError, match="scalar"):
        saturated_pair(scalar_witness(1.5), 3.0)
    pair = saturated_pair(scalar_witness(), 3.0)
    assert np.abs(pair.W[0] - completion(np.array([[0.5]]))[0]).max() <= 1e-15
    assert unitarity_error(pair.W) <= 1e-15
