"""Faults that an attempt to break the conversions found; each test failed before its repair."""

import numpy as np
import pytest

from tests.equivalence.full import cases
from urnn import RNN
from urnn.equivalence import (
    best_scaling,
    completion,
    completion_around,
    defect_rank,
    delay_chain,
    dual_lower_bound,
    exact_horizon,
    fewest_states_scaling,
    fixed_scale_distance,
    homogeneity,
    linear_unitary,
    nearest_contraction,
    network_around,
    no_unitary_equivalent,
    nonnegative_factor,
    projection_error_bound,
    realization_bound,
    saturated_unitary,
    saturation_error_bound,
    scalar_witness,
    state_norm_bound,
    steady_state_bound,
    to_unitary,
    two_step_bound,
    unitarity_error,
)
from urnn.equivalence.linear_regime import _sum_of_gains
from urnn.errors import ArgumentError


def relative_error(rnn: RNN, urnn: RNN, x: np.ndarray) -> float:
    y = rnn(x)
    return float(np.abs(urnn(x) - y).max() / max(np.abs(y).max(), 1e-300))


def test_complex_inputs_to_a_converted_real_network():
    rnn = RNN([[0.5, 0.3], [-0.3, 0.4]], np.eye(2), [0.1, 0.2], np.eye(2))
    generator = np.random.default_rng(0)
    x = generator.standard_normal((50, 2)) + 1j * generator.standard_normal((50, 2))
    x /= np.linalg.norm(x, axis=-1, keepdims=True)
    for real in (rnn, to_unitary(rnn, 1.0)):  # was wrong by 0.33
        with pytest.raises(ArgumentError, match="x is complex, but the network is real"):
            real(x)
    # given as a complex network it is converted for complex inputs
    rnn = RNN(rnn.W + 0j, rnn.F, rnn.b, rnn.C)
    urnn = to_unitary(rnn, 1.0)
    assert relative_error(rnn, urnn, x) < 1e-13
    assert not urnn.states(x)[:, 2:].any()


@pytest.mark.parametrize("W", [0.5 * np.eye(2) + 0j, np.diag([1, 0.5]) + 0j])
def test_complex_networks_that_need_no_input_bound(W):
    rnn = RNN(W, np.eye(2), [0.3 + 0.1j, -0.2], np.eye(2), [1 + 1j, -2])
    generator = np.random.default_rng(1)
    x = np.exp(3 * generator.standard_normal((40, 2))) * np.exp(6j * generator.random((40, 2)))
    urnn = to_unitary(rnn)  # was a bare matmul error
    assert relative_error(rnn, urnn, x) < 1e-13
    assert not urnn.states(x)[:, 2:].any()
    assert unitarity_error(urnn.W) < 1e-14


def test_the_sum_of_the_gains_goes_to_its_end():
    W = np.array([[1 - 1e-6, 0.02], [0.0, 0.5]])
    rnn, urnn = linear_unitary(W, np.eye(2), np.eye(2))
    gains = np.linalg.solve(np.eye(2) - W, np.ones(2))  # W >= 0: the worst input is constant
    found = _sum_of_gains(np.eye(2), W, np.eye(2))
    assert (gains <= found).all() and (found <= 1.001 * gains).all()  # was 10 times too small
    assert (rnn.h_init >= gains).all()
    for network in (rnn, urnn):  # the steady state under the worst input is on
        on = slice(2)
        inner = np.eye(2) - network.W[on, on]
        assert (np.linalg.solve(inner, network.b[on] - network.F[on].sum(axis=1)) > 0).all()


@pytest.mark.skipif(cases(1, 0) == 0, reason="2.5e6 steps: URNN_FULL_CHECKS=1")
def test_the_linear_regime_over_millions_of_steps():
    W = np.array([[1 - 1e-6, 0.02], [0.0, 0.5]])
    rnn, urnn = linear_unitary(W, np.eye(2), np.eye(2))
    worst, largest = 0.0, 0.0
    for _ in range(25):
        x = -np.ones((100_000, 2))
        h, u = rnn.states(x), urnn.states(x)
        worst = max(worst, np.abs(h @ rnn.C.T - u @ urnn.C.T).max())
        largest = max(largest, np.abs(h).max())
        rnn = RNN(rnn.W, rnn.F, rnn.b, rnn.C, h[-1])
        urnn = RNN(urnn.W, urnn.F, urnn.b, urnn.C, u[-1])
    assert worst <= 1e-6 * largest  # was 2.3 %


@pytest.mark.parametrize("size", [8, 64])
def test_an_orthogonal_w_from_float32(size):
    generator = np.random.default_rng(2)
    Q = np.linalg.qr(generator.standard_normal((size, size)))[0].astype(np.float32)
    W = Q.astype(np.float64) * (1 + 6e-8)
    rnn = RNN(
        W, generator.standard_normal((size, 2)), generator.standard_normal(size), np.eye(size)
    )
    with pytest.raises(ArgumentError, match="project=True"):
        to_unitary(rnn, 1.0)
    urnn = to_unitary(rnn, 1.0, np.inf, horizon=200, project=True)
    assert urnn.hidden_units == size and unitarity_error(urnn.W) < 1e-13
    assert nearest_contraction(W).distance < 1e-6
    x = generator.uniform(-1, 1, (3, 200, 2))
    change = np.linalg.norm(urnn.states(x) - rnn.states(x), axis=-1).max()
    assert 0 < change <= projection_error_bound(rnn, 1.0, np.inf, 200) < 1
    tanh = RNN(rnn.W, rnn.F, rnn.b, rnn.C, activation="tanh")
    assert to_unitary(tanh, project=True).hidden_units == size


def test_a_clipped_w_from_float32():
    generator = np.random.default_rng(3)
    A = generator.standard_normal((8, 8)) / 2
    left, singular, right = np.linalg.svd(A.astype(np.float32))
    W = ((left * np.minimum(singular, 1)) @ right).astype(np.float64) * (1 + 6e-8)
    rnn = RNN(W, np.ones((8, 1)), np.zeros(8), np.eye(8))
    clipped = int((singular >= 1).sum())
    assert 0 < clipped < 8
    urnn = to_unitary(rnn, 1.0, horizon=50, project=True)
    assert urnn.hidden_units == 16 - clipped
    x = generator.uniform(-1, 1, (50, 1))
    change = np.linalg.norm(urnn.states(x)[:, :8] - rnn.states(x), axis=-1).max()
    assert change <= projection_error_bound(rnn, 1.0, 2, 50) < 1e-3
    with pytest.raises(ArgumentError, match="no rounding"):
        nearest_contraction(1.1 * np.eye(2))
    assert nearest_contraction(0.5 * np.eye(2)) == (pytest.approx(0.5 * np.eye(2)), 0.0)
    assert projection_error_bound(RNN([[0.5]], [[1]], [0], [[1]]), 1.0) == 0
    with pytest.raises(ArgumentError, match="threshold above 0"):
        projection_error_bound(RNN([[1.0]], [[1]], [0.1], [[1]], activation="modrelu"), 1.0)
    assert projection_error_bound(RNN([[1 + 1e-7]], [[1]], [0], [[1]]), 1.0) == np.inf


@pytest.mark.parametrize("activation", ["tanh", "sigmoid"])
def test_the_projection_error_bound_of_saturating_networks(activation):
    generator = np.random.default_rng(5)
    Q = np.linalg.qr(generator.standard_normal((8, 8)))[0]
    parts = (generator.standard_normal((8, 1)), np.zeros(8), np.eye(8), np.full(8, 4.0))
    rnn = RNN(Q * (1 + 9e-6), *parts, activation)
    x = generator.uniform(-1, 1, (200, 1))
    change = rnn.states(x) - rnn.replace(W=nearest_contraction(rnn.W).W).states(x)
    error = np.linalg.norm(change, axis=-1)
    for steps in (1, 2, 200):
        bound = projection_error_bound(rnn, None, horizon=steps)
        assert 0 < error[:steps].max() <= bound
    at_rest = projection_error_bound(rnn, None)
    assert np.isfinite(at_rest) == (activation == "sigmoid") and at_rest >= bound
    with pytest.raises(ArgumentError, match="no bound on the states of identity"):
        projection_error_bound(RNN(rnn.W, *parts, "identity"), 1.0)


@pytest.mark.parametrize("horizon", [np.nan, 2.5, 0, -3, True, "5", np.inf])
def test_a_horizon_is_a_number_of_steps(horizon):
    rnn = RNN(np.eye(2) * [1.0, 0.5], np.eye(2), np.zeros(2), np.eye(2))
    with pytest.raises(ArgumentError, match="horizon must be a whole number"):
        to_unitary(rnn, 1.0, horizon=horizon)
    with pytest.raises(ArgumentError, match="horizon must be a whole number"):
        state_norm_bound(rnn, 1.0, horizon=horizon)


@pytest.mark.parametrize("exponent", [-165, -200, -300, -318, 150, 290])
@pytest.mark.parametrize("what", ["F", "b", "h_init", "all"])
def test_numbers_whose_squares_under_or_overflow(exponent, what):
    generator = np.random.default_rng(4)
    size = 10.0**exponent
    W = np.array([[0.5, -0.6], [0.3, 0.5]])
    parts = {
        "F": generator.standard_normal((2, 2)),
        "b": generator.standard_normal(2),
        "h_init": 3 * generator.standard_normal(2),
    }
    factors = {name: size if what in (name, "all") else 0.0 for name in parts}
    scaled = {name: factors[name] * part for name, part in parts.items()}
    rnn = RNN(W, scaled["F"], scaled["b"], np.eye(2), scaled["h_init"])
    for states in ("minimal", "complex"):
        urnn = to_unitary(rnn, 1.0, np.inf, states)
        x = generator.choice([-1.0, 1.0], (4, 60, 2))
        u = urnn.states(x)
        assert not (u.imag if states == "complex" else u[..., 2:]).any()
        assert relative_error(rnn, urnn, x) <= 1e-13  # was 0.1
    assert state_norm_bound(rnn, 1.0, np.inf) >= np.abs(rnn.states(x)).max()


def test_the_saturation_bound_counts_what_the_network_has():
    # a singular value that counts as 1 still has its extra unit with 2n states
    rnn = RNN([[1 - 2e-16]], [[1.0]], [0.0], [[1.0]], activation="tanh")
    assert defect_rank(rnn.W) == 0
    generator = np.random.default_rng(5)
    x = generator.uniform(-2, 2, (4, 50, 1))
    urnn = saturated_unitary(rnn, 0.1, "2n")
    error = np.abs(urnn.states(x)[..., :1] - rnn.states(x)).max()
    assert 0 < error <= saturation_error_bound(rnn, 0.1, "2n")  # was 0 for an error of 1e-8
    assert saturation_error_bound(rnn, 0.1) == 0  # the network itself
    # never 0 in exact arithmetic, and with the rounding where the inputs are bounded
    half = RNN([[0.5]], [[1.0]], [0.0], [[1.0]], activation="tanh")
    assert saturation_error_bound(half, 1e6) > 0
    for weight in (0.5, 1 - 1e-9):
        rnn = RNN([[weight]], [[1e6]], [1e10], [[1.0]], activation="tanh")
        x = -1e4 + generator.uniform(-1e-6, 1e-6, (4, 300, 1))
        urnn = saturated_unitary(rnn, 40.0)
        error = np.abs(urnn.states(x)[..., :1] - rnn.states(x)).max()
        assert error <= saturation_error_bound(rnn, 40.0, input_bound=1e4 + 1)
    assert error > saturation_error_bound(rnn, 40.0)  # exact arithmetic only


def contraction(activation="relu", **changes):
    parts = {
        "W": np.array([[0.5, 0.3], [-0.3, 0.4]]),
        "F": np.eye(2),
        "b": np.array([0.1, 0.2]),
        "C": np.eye(2),
    }
    return RNN(**(parts | changes), activation=activation)


def test_refusals_name_the_true_reason():
    large = contraction(F=np.full((2, 2), 1e308))
    with pytest.raises(ArgumentError, match="too large for float64"):
        to_unitary(large, 10.0)  # was: norm 0.59 is not below 1
    with pytest.raises(ArgumentError, match="modReLU have no sign"):
        to_unitary(contraction("modrelu"))
    with pytest.raises(ArgumentError, match="extra_states must be at least 2"):
        linear_unitary(0.5 * np.eye(2), np.eye(2), np.eye(2))
    with pytest.raises(ArgumentError, match="ill conditioned"):  # simple eigenvalues
        linear_unitary(np.diag(0.5 + 1e-9 * np.arange(4)), np.eye(4), np.eye(4), attempts=5)
    for scale in ([1], [1.0, -1.0], [1.0, np.nan], ["a", "b"], np.ones((2, 1))):
        with pytest.raises(ArgumentError, match="scale must be 2 positive finite numbers"):
            to_unitary(contraction(), 1.0, scale=scale)
    assert to_unitary(homogeneity(contraction(), 1e-200), 1e-200).hidden_units == 4


@pytest.mark.parametrize("bad", [[[0.5]], None, "network", np.eye(2), 3])
def test_what_is_no_network(bad):
    for attempt in (
        to_unitary,
        realization_bound,
        no_unitary_equivalent,
        lambda rnn: two_step_bound(rnn, np.zeros((3, 2))),
        lambda rnn: steady_state_bound(rnn, np.zeros(2)),
        lambda rnn: network_around(rnn, np.eye(4), 1.0),
        lambda rnn: delay_chain(rnn, 3),
        lambda rnn: saturated_unitary(rnn, 3.0),
        lambda rnn: saturation_error_bound(rnn, 3.0),
        lambda rnn: projection_error_bound(rnn, 3.0),
    ):
        with pytest.raises(ArgumentError, match="the network must be a"):
            attempt(bad)


@pytest.mark.parametrize(
    ("W", "words"),
    [
        (np.full((2, 2), np.nan), "NaN"),
        (np.array([[np.inf, 0], [0, 1]]), "Inf"),
        (np.zeros((2, 3)), "shape is"),
        (np.zeros((0, 0)), "shape is"),
        ("text", "matrix of numbers"),
        ([[1, 2], [3]], "matrix of numbers"),
        (None, "square matrix"),
    ],
)
def test_what_is_no_square_matrix(W, words):
    for attempt in (
        completion,
        defect_rank,
        nonnegative_factor,
        best_scaling,
        fewest_states_scaling,
        nearest_contraction,
        lambda W: completion_around(W, np.eye(2)),
        lambda W: dual_lower_bound(W, np.eye(2)),
        lambda W: fixed_scale_distance(W, 4),
        lambda W: linear_unitary(W, np.eye(2), np.eye(2)),
    ):
        with pytest.raises(ArgumentError, match=words):  # was "SVD did not converge"
            attempt(W)


def test_parameters_that_are_no_numbers():
    for change in ({"W": "text"}, {"F": [[1, 2], [3]]}, {"b": [{}, 1]}, {"C": {}}):
        with pytest.raises(ArgumentError, match=f"{next(iter(change))} must be"):
            contraction(**change)
    with pytest.raises(ArgumentError, match="x must be an array of numbers"):
        contraction()([["a", "b"]])
    for options in ({"input_bound": [1, 2]}, {"input_bound": "1"}, {"input_bound": np.nan}):
        with pytest.raises(ArgumentError, match="input_bound must be a finite number"):
            to_unitary(contraction(), **options)
    for norm in ("2", [2, 2], None, np.nan):
        with pytest.raises(ArgumentError, match="norm must be"):
            to_unitary(contraction(), 1.0, norm)
    with pytest.raises(ArgumentError, match="initial_bound must be"):
        to_unitary(contraction(), 1.0, initial_bound=np.nan)
    with pytest.raises(ArgumentError, match="saturation must be"):
        to_unitary(contraction("tanh"), saturation="20")
    with pytest.raises(ArgumentError, match="states must be a whole number"):
        exact_horizon(2.5, 0.5)
    with pytest.raises(ArgumentError, match="weight"):
        scalar_witness(np.nan)
