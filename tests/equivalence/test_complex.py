"""A real network as a complex unitary one with as many states, and what that means for Theorem 2.

URNN_FULL_CHECKS=1 runs all 500 systems.
"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.equivalence.full import cases
from urnn import RNN
from urnn.equivalence import (
    bounded_witness,
    scaled_identity_witness,
    steady_state_bound,
    to_unitary,
    two_step_bound,
    unitarity_error,
)
from urnn.errors import ArgumentError

REGIMES = ("0.9", "1 - 1e-8", "all near 1", "half at 1", "exactly 1")


def assert_complex_equivalent(rnn: RNN, urnn: RNN, x: np.ndarray) -> float:
    y, states = rnn(x), urnn.states(x)
    assert urnn.hidden_units == rnn.hidden_units and np.iscomplexobj(urnn.W)
    assert np.array_equal(states.imag, np.zeros(states.shape)), "a state left the reals"
    error = np.abs(y - states @ urnn.C.T - urnn.d).max() / max(np.abs(y).max(), 1e-300)
    assert error <= 1e-13
    assert unitarity_error(urnn.W) <= 1e-13
    return float(error)


@pytest.mark.parametrize("norm", [2, np.inf])
def test_random_systems(norm, make_rnn, vertices):
    worst = 0.0
    for trial in range(cases(250, 50)):
        generator = np.random.default_rng([trial, 3, norm == 2])
        size = (1, 2, 3, 5, 8, 13, 32)[trial % 7]
        regime = REGIMES[trial % 5]
        rnn = make_rnn(generator, size, regime, int(generator.integers(1, 4)), start=3.0)
        horizon = 60 if regime in ("half at 1", "exactly 1") else None
        urnn = to_unitary(rnn, 1.5, norm, "complex", horizon)
        x = vertices(generator, (3, 60, rnn.input_size), 1.5, norm)
        x[0] = x[0, 0]
        worst = max(worst, assert_complex_equivalent(rnn, urnn, x))
    print("largest relative error", worst)


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 2**32 - 1), size=st.integers(1, 6))
def test_in_other_coordinates(seed, size, make_rnn, vertices):
    generator = np.random.default_rng(seed)
    rnn = make_rnn(generator, size)
    scale = np.exp(generator.uniform(-0.02, 0.02, size))
    x = vertices(generator, (2, 50, 2), 1.0, 2)
    assert_complex_equivalent(rnn, to_unitary(rnn, 1.0, 2, "complex", scale=scale), x)
    wide = RNN(4 * np.triu(rnn.W, 1) + 0.3 * np.eye(size), rnn.F, rnn.b, rnn.C)
    assert_complex_equivalent(wide, to_unitary(wide, 1.0, 2, "complex", rescale=True), x)


def test_the_witnesses_have_complex_equivalents_with_n_states():
    generator = np.random.default_rng(0)
    for size in (1, 2, 5):
        for witness, bound in (
            (bounded_witness(size), two_step_bound(bounded_witness(size), np.zeros((3, size)))),
            (
                scaled_identity_witness(size, 0.6, 0.5),
                steady_state_bound(scaled_identity_witness(size, 0.6, 0.5), np.zeros(size)),
            ),
        ):
            urnn = to_unitary(witness, states="complex")  # no input bound: Im Z <= 0
            x = generator.uniform(-1, 1, (2, 40, size))
            assert_complex_equivalent(witness, urnn, x)
            assert bound.states == 2 * size
            assert bound.complex_states == size == urnn.hidden_units


def test_a_complex_network_is_a_real_one_of_twice_the_size():
    generator = np.random.default_rng(1)
    rnn = to_unitary(scaled_identity_witness(2, 0.5, 0.5), states="complex")
    W = np.block([[rnn.W.real, -rnn.W.imag], [rnn.W.imag, rnn.W.real]])
    real = RNN(
        W,
        np.vstack([rnn.F.real, rnn.F.imag]),
        np.append(rnn.b.real, rnn.b.imag),
        np.hstack([rnn.C.real, -rnn.C.imag]),
    )
    x = generator.uniform(-1, 1, (40, 2))
    assert np.abs(real(x) - rnn(x).real).max() < 1e-14
    assert steady_state_bound(real, np.zeros(2)).states == 4


def test_the_initial_state_and_the_bias_are_needed():
    generator = np.random.default_rng(2)
    W = np.array([[0.5, 0.4], [-0.3, 0.2]])
    rnn = RNN(W, np.eye(2), [0.5, 0.2], np.eye(2), [30.0, -40.0])
    urnn = to_unitary(rnn, 1.0, np.inf, "complex")
    x = generator.choice([-1.0, 1.0], (4, 50, 2))
    assert_complex_equivalent(rnn, urnn, x)
    bare = RNN(urnn.W, urnn.F, urnn.b.real, urnn.C, urnn.h_init)
    assert np.abs(bare(x) - rnn(x)).max() > 0.01


def test_refusals():
    W = np.array([[0.5, 0.4], [-0.3, 0.2]])
    with pytest.raises(ArgumentError, match="input_bound"):
        to_unitary(RNN(W, np.eye(2), [0, 0], np.eye(2)), states="complex")
    with pytest.raises(ArgumentError, match="real ReLU networks, but this is complex"):
        to_unitary(RNN(W + 0j, np.eye(2), [0, 0], np.eye(2)), 1.0, states="complex")
    with pytest.raises(ArgumentError, match="real ReLU networks, but this is modrelu"):
        modrelu = RNN(W, np.eye(2), [0, 0], np.eye(2), activation="modrelu")
        to_unitary(modrelu, 1.0, states="complex")
    with pytest.raises(ArgumentError, match="horizon"):
        W = np.array([[0.82, 0.24], [0.24, 0.68]])  # eigenvalues 1 and 1/2
        to_unitary(RNN(W, np.eye(2), [0, 0], np.eye(2)), 1.0, states="complex")
