"""Theorem 1: the unitary network is the same map, and the construction needs all that it states."""

import numpy as np
import pytest

from urnn import RNN
from urnn.equivalence import (
    best_scaling,
    completion,
    completion_around,
    defect_rank,
    dual_lower_bound,
    entrywise_state_bound,
    fewest_states_scaling,
    generic_defect,
    network_around,
    nonnegative_factor,
    projection_error_bound,
    state_norm_bound,
    to_unitary,
    unitarity_error,
)
from urnn.equivalence.fewest_states import fewest_states_scalings
from urnn.equivalence.projection import projected
from urnn.equivalence.state_bounds import powers, radius_below
from urnn.errors import ArgumentError

STEPS = 100
SIZES = (1, 2, 3, 4, 5, 6, 8, 10, 12, 16, 24, 32, 48, 64)
# regime -> whether it needs a finite horizon
REGIMES = {
    "0.9": False,
    "1 - 1e-8": False,
    "all near 1": False,
    "half at 1": True,
    "exactly 1": True,
}
LEAK = np.sqrt((1 - 0.9) * (1 + 0.9))


def assert_equivalent(rnn: RNN, urnn: RNN, x: np.ndarray, rounding: float = 1e-13) -> None:
    y, states = rnn(x), urnn.states(x)
    n = rnn.hidden_units
    assert not states[..., n:].any(), "an extra state left 0"
    assert np.abs(y - states @ urnn.C.T - urnn.d).max() <= rounding * np.abs(y).max()
    assert unitarity_error(urnn.W) <= rounding


@pytest.mark.parametrize("norm", [2, np.inf])
@pytest.mark.parametrize("regime", REGIMES)
def test_two_thousand_random_systems(regime, norm, make_rnn, vertices):
    generator = np.random.default_rng([len(regime), ord(regime[0]), norm == 2])
    for trial in range(200):
        size = SIZES[trial % len(SIZES)]
        inputs = int(generator.integers(1, 5))
        start = (0.1, 3.0, 100.0)[trial % 3]
        rnn = make_rnn(generator, size, regime, inputs, start=start)
        bound = float(np.exp(generator.normal()))
        states = ("minimal", "2n")[trial % 2]
        horizon = STEPS if REGIMES[regime] else None
        urnn = to_unitary(rnn, bound, norm, states, horizon)
        extra = size if states == "2n" else defect_rank(rnn.W)
        assert urnn.hidden_units == size + extra
        x = vertices(generator, (3, STEPS, inputs), bound, norm)
        x[0] = x[0, 0]  # a constant input: the one that drives a state furthest
        assert_equivalent(rnn, urnn, x)
        fed_back = rnn.states(x)[:, :-1]
        reached = np.linalg.norm(fed_back, axis=-1).max()
        assert reached <= state_norm_bound(rnn, bound, norm, horizon)
        entrywise = entrywise_state_bound(rnn, bound, norm)
        assert entrywise is None or (fed_back <= entrywise).all()


@pytest.mark.parametrize("activation", ["relu", "modrelu"])
@pytest.mark.parametrize("norm", [2, np.inf])
def test_complex_networks(activation, norm, make_rnn):
    generator = np.random.default_rng(5)
    for trial in range(100):
        size = 1 + trial % 8
        regime = ("0.9", "half at 1", "all near 1")[trial % 3]
        rnn = make_rnn(generator, size, regime, 2, activation, "complex")
        x = generator.standard_normal((3, STEPS, 2)) + 1j * generator.standard_normal((3, STEPS, 2))
        length = np.linalg.norm(x, axis=-1, keepdims=True) if norm == 2 else np.abs(x)
        horizon = STEPS if REGIMES[regime] else None
        urnn = to_unitary(rnn, 1.5, norm, horizon=horizon)
        assert urnn.hidden_units == size + defect_rank(rnn.W)
        assert_equivalent(rnn, urnn, 1.5 * x / length)
        entrywise = entrywise_state_bound(rnn, 1.5, norm)
        if entrywise is not None:
            h = rnn.states(1.5 * x / length)
            if activation == "modrelu":
                parts = np.abs(h)
            else:  # the real form: real and imaginary part of each unit in turn
                parts = np.stack([h.real, h.imag], -1).reshape(*h.shape[:-1], -1)
            assert (parts <= entrywise).all()


def test_real_modrelu_states_of_both_signs(make_rnn, vertices):
    generator = np.random.default_rng(6)
    for _ in range(30):
        rnn = make_rnn(generator, 4, activation="modrelu")
        assert (rnn.states(vertices(generator, (9, 2), 2.0, np.inf)) < 0).any()
        assert_equivalent(
            rnn, to_unitary(rnn, 2.0, np.inf), vertices(generator, (3, 60, 2), 2.0, np.inf)
        )


def test_the_bias_is_tight_in_the_scalar_case():
    # w = .9, f = 1, b = .5, x = 1, with the sign that needs a bias: h tends to R = 15
    rnn = RNN([[0.9]], [[1.0]], [0.5], [[1.0]])
    urnn = network_around(rnn, [[0.9, LEAK], [LEAK, -0.9]], input_bound=1.0)
    assert -urnn.b[1] == pytest.approx(15 * LEAK, rel=1e-10)
    x = np.ones((2000, 1))
    assert np.abs(urnn(x) - rnn(x)).max() <= 1e-13 * 15
    assert not urnn.states(x)[:, 1].any()
    short = RNN(urnn.W, urnn.F, [0.5, 0.999 * urnn.b[1]], urnn.C)
    assert np.abs(short(x) - rnn(x)).max() == pytest.approx(2.7, abs=0.1)


def test_the_bias_must_count_the_initial_state():
    rnn = RNN([[0.9]], [[1.0]], [0.0], [[1.0]], [50.0])
    W = [[0.9, LEAK], [LEAK, -0.9]]
    urnn = network_around(rnn, W, input_bound=1.0)
    assert -urnn.b[1] == pytest.approx(50 * LEAK, rel=1e-10)
    assert_equivalent(rnn, urnn, np.ones((60, 1)))
    without = network_around(RNN(rnn.W, rnn.F, rnn.b, rnn.C), W, input_bound=1.0)
    started = RNN(W, without.F, without.b, without.C, [50.0, 0.0])
    assert np.abs(started(np.ones((60, 1))) - rnn(np.ones((60, 1)))).max() > 1


def test_a_horizon_covers_its_steps_and_no_more():
    rnn = RNN([[0.9]], [[1.0]], [0.5], [[1.0]])
    urnn = network_around(rnn, [[0.9, LEAK], [LEAK, -0.9]], 1.0, horizon=5)
    extra = urnn.states(np.ones((9, 1)))[:, 1]
    assert not extra[:5].any()
    assert extra[5] > 0


def test_initial_states_up_to_a_bound(make_rnn, vertices):
    generator = np.random.default_rng(7)
    for trial in range(30):
        rnn = make_rnn(generator, 5)
        urnn = to_unitary(rnn, 1.0, initial_bound=40.0)
        h = vertices(generator, (5,), 40.0, 2)
        if trial % 2:  # the start that pushes one extra state hardest
            row = urnn.W[5 + trial % (urnn.hidden_units - 5), :5]
            h = 39.999 * row / np.linalg.norm(row)
        moved = RNN(rnn.W, rnn.F, rnn.b, rnn.C, h)
        x = vertices(generator, (3, STEPS, 2), 1.0, 2)
        reached = moved.states(x)
        bound = state_norm_bound(rnn, 1.0, initial_bound=40.0)
        assert np.linalg.norm(reached, axis=-1).max() <= bound
        assert bound >= 0.9 * 40  # it counts the first step from a state as long as that
        entrywise = entrywise_state_bound(rnn, 1.0, initial_bound=40.0)
        assert entrywise is None or (reached <= entrywise).all()
        lifted = RNN(urnn.W, urnn.F, urnn.b, urnn.C, np.append(h, np.zeros(urnn.hidden_units - 5)))
        assert_equivalent(moved, lifted, x)


def test_any_turn_of_the_extra_states_is_the_same_map(make_rnn, vertices):
    generator = np.random.default_rng(8)
    for _ in range(30):
        rnn = make_rnn(generator, 5)
        turns = [np.eye(10), np.eye(10)]
        for turn in turns:
            turn[5:, 5:] = np.linalg.qr(generator.standard_normal((5, 5)))[0]
        W = turns[0] @ completion(rnn.W, "2n") @ turns[1]
        W[:5, :5] = rnn.W
        urnn = network_around(rnn, W, 1.0)
        assert_equivalent(rnn, urnn, vertices(generator, (3, STEPS, 2), 1.0, 2))


def test_the_fewest_extra_states_of_a_completion(make_rnn):
    generator = np.random.default_rng(9)
    for size in (1, 2, 5, 16):
        W = make_rnn(generator, size, "half at 1").W
        assert defect_rank(W) == size - (size + 1) // 2
        assert len(completion(W)) == size + defect_rank(W)
        assert len(completion(W, "2n")) == 2 * size
        assert np.array_equal(completion(W)[:size, :size], W)
    assert len(completion(np.eye(3))) == 3
    assert len(completion(np.zeros((3, 3)))) == 6


@pytest.mark.parametrize("rho", [0.0, 0.5, 0.99])
def test_no_input_bound_for_the_scaled_identity(rho):
    generator = np.random.default_rng(10)
    for size in (1, 3, 8):
        rnn = RNN(rho * np.eye(size), np.eye(size), generator.standard_normal(size), np.eye(size))
        urnn = to_unitary(rnn)
        assert urnn.hidden_units == 2 * size
        huge = np.exp(20 * generator.standard_normal((STEPS, size)))
        x = huge * generator.choice([-1.0, 1.0], huge.shape)
        assert_equivalent(rnn, urnn, x)


def test_no_input_bound_with_a_given_factor():
    generator = np.random.default_rng(11)
    for rows in (1, 3, 7):
        K = np.abs(generator.standard_normal((rows, 5)))
        K /= 1.05 * np.linalg.norm(K, 2)
        values, vectors = np.linalg.eigh(np.eye(5) - K.T @ K)
        turn = np.linalg.qr(generator.standard_normal((5, 5)))[0]
        W = turn @ (vectors * np.sqrt(values)) @ vectors.T
        F, C = generator.standard_normal((5, 3)), generator.standard_normal((2, 5))
        h = generator.standard_normal(5)  # also where K h(-1) < 0: a bias for one step
        rnn = RNN(W, F, generator.standard_normal(5), C, h)
        urnn = network_around(rnn, completion_around(W, K))
        signs = generator.choice([-1.0, 1.0], (STEPS, 3))
        assert_equivalent(rnn, urnn, signs * np.exp(10 * generator.standard_normal((STEPS, 3))))
    K = np.array([[0.1, 0.5, 0.2]])  # a defect of rank 1 with one sign is found by itself
    values, vectors = np.linalg.eigh(np.eye(3) - K.T @ K)
    W = (vectors * np.sqrt(values)) @ vectors.T
    assert nonnegative_factor(W) == pytest.approx(K)
    assert to_unitary(RNN(W, np.eye(3), np.zeros(3), np.eye(3))).hidden_units == 4


def test_no_factor_where_the_defect_has_a_negative_entry():
    K = np.array([[0.3, -0.4]])
    values, vectors = np.linalg.eigh(np.eye(2) - K.T @ K)
    W = (vectors * np.sqrt(values)) @ vectors.T
    assert nonnegative_factor(W) is None
    with pytest.raises(ValueError, match="input_bound"):
        to_unitary(RNN(W, np.eye(2), np.zeros(2), np.eye(2)))


def growing_network() -> RNN:
    """||W|| = 1, where the state that feeds the extra unit has no bound (about k^(1/3))."""
    g, a = np.array([1, 1, 1, 1]) / 2, np.array([1, 1, -1, -1]) / 2
    p, q = np.array([1, -1, 0, 0]) / np.sqrt(2), np.array([0, 0, 1, -1]) / np.sqrt(2)
    angle = (np.sqrt(5) - 1) * np.pi
    turn = np.cos(angle) * (np.outer(p, p) + np.outer(q, q))
    turn += np.sin(angle) * (np.outer(q, p) - np.outer(p, q))
    W = np.outer(g, g) + turn + 0.5 * np.outer(a, a)
    return RNN(W, np.eye(4), np.zeros(4), np.eye(4))


def test_norm_one_needs_a_horizon(vertices):
    rnn = growing_network()
    with pytest.raises(ValueError, match="horizon"):
        to_unitary(rnn, 1.0)
    with pytest.raises(ValueError, match="horizon"):
        to_unitary(rnn, 1.0, rescale=True)
    urnn = to_unitary(rnn, 1.0, horizon=200)
    assert urnn.hidden_units == 5
    assert_equivalent(rnn, urnn, vertices(np.random.default_rng(0), (4, 200, 4), 1.0, 2))


def test_norm_one_with_an_entrywise_bound_needs_none(vertices):
    W = np.array([[0.0, 1.0, 0.0], [-0.5, 0.0, 0.5], [0.2, 0.0, -0.3]])
    W = W / np.linalg.norm(W, 2)
    rnn = RNN(W, np.eye(3), [0.3, -0.2, 0.1], np.eye(3), [2.0, -1.0, 3.0])
    assert state_norm_bound(rnn, 1.0) == np.inf
    assert entrywise_state_bound(rnn, 1.0) is not None
    x = vertices(np.random.default_rng(1), (8, 500, 3), 1.0, np.inf)
    assert_equivalent(rnn, to_unitary(rnn, 1.0, np.inf), x)


def test_expansive_networks_are_rescued_by_a_diagonal(vertices):
    generator = np.random.default_rng(12)
    for size in (4, 8, 16, 32):
        for _ in range(3):
            A = generator.standard_normal((size, size))
            A *= 0.8 / np.linalg.norm(A, 2)
            D = np.exp(generator.permutation(np.linspace(-3, 3, size)))
            W = D[:, None] * A / D
            F, b = generator.standard_normal((size, 2)), generator.standard_normal(size)
            C, h = generator.standard_normal((2, size)), generator.standard_normal(size)
            rnn = RNN(W, F, b, C, h)
            with pytest.raises(ValueError, match=r"expansive.*rescale=True"):
                to_unitary(rnn, 1.0)
            urnn = to_unitary(rnn, 1.0, np.inf, rescale=True)
            x = vertices(generator, (4, 200, 2), 1.0, np.inf)
            assert_equivalent(rnn, urnn, x)
            scaling = best_scaling(W)
            assert scaling.norm <= 0.8 + 1e-4
            assert scaling.lower_bound <= scaling.norm <= scaling.lower_bound * (1 + 2e-3)


def test_a_stable_network_that_no_diagonal_rescues():
    W = np.array([[0.9, 0.9], [-0.9, 0.0]])
    assert np.abs(np.linalg.eigvals(W)).max() < 1
    scaling = best_scaling(W)
    assert scaling.norm == pytest.approx(1.456231, abs=1e-6)
    assert scaling.certificate is not None
    assert dual_lower_bound(W, scaling.certificate) == pytest.approx(scaling.norm, rel=1e-5)
    with pytest.raises(ValueError, match=r"dual certificate proves that none goes below 1\.456"):
        to_unitary(RNN(W, np.eye(2), np.zeros(2), np.eye(2)), 1.0, rescale=True)


def test_the_dual_bound_holds_for_every_diagonal():
    generator = np.random.default_rng(13)
    for _ in range(200):
        size = int(generator.integers(1, 7))
        W, root = generator.standard_normal((2, size, size))
        if generator.random() < 0.5:
            W = W + 1j * generator.standard_normal((size, size))
            root = root + 1j * generator.standard_normal((size, size))
        D = np.exp(2 * generator.standard_normal(size))
        norm = np.linalg.norm(D[:, None] * W / D, 2)
        assert dual_lower_bound(W, root @ root.conj().T) <= norm * (1 + 1e-12)
    with pytest.raises(ValueError, match="semidefinite"):
        dual_lower_bound(np.eye(2), np.array([[1.0, 2.0], [2.0, 1.0]]))


def test_nonnegative_and_triangular_scale_to_the_spectral_radius():
    generator = np.random.default_rng(14)
    W = np.exp(1.5 * generator.standard_normal((8, 8)))
    W *= 0.95 / np.abs(np.linalg.eigvals(W)).max()
    assert best_scaling(W).norm == pytest.approx(0.95, abs=1e-9)
    W = np.triu(3 * generator.standard_normal((8, 8)), 1) + np.diag(np.linspace(-0.9, 0.5, 8))
    assert best_scaling(W).norm == pytest.approx(0.9, abs=1e-6)
    assert best_scaling(W, target=0.99).scale.max() < 1e20


def test_fewer_states_by_a_diagonal(make_rnn, vertices):
    generator = np.random.default_rng(15)
    assert [generic_defect(n) for n in (1, 2, 3, 4, 5, 7, 8, 11)] == [1, 1, 2, 2, 3, 4, 5, 7]
    counts = []
    for trial in range(8):
        rnn = make_rnn(generator, 4)
        D, defect = fewest_states_scaling(rnn.W, seed=trial)
        singular = np.linalg.svd(D[:, None] * rnn.W / D, compute_uv=False)
        assert singular[0] <= 1 + 1e-13
        assert (singular < 1 - 1e-12).sum() == defect
        urnn = to_unitary(rnn, 1.0, np.inf, states="fewest")
        assert_equivalent(rnn, urnn, vertices(generator, (4, 300, 2), 1.0, np.inf))
        counts.append(urnn.hidden_units)
    assert max(counts) <= 7  # never the 2n = 8
    assert counts.count(6) >= 6  # measured: 29 of 30 Gaussian W


def test_fewest_states_of_many_matrices_are_those_of_each():
    generator = np.random.default_rng(16)
    stack = [0.9 * W / np.linalg.norm(W, 2) for W in generator.standard_normal((4, 5, 5))]
    # no attempt helps the first, and there is nothing to search in the second
    stack = [0.6 * np.eye(5), np.linalg.qr(stack[0])[0], *stack]
    together = fewest_states_scalings(stack, attempts=5, seed=1)
    assert [defect for _, defect in together][:2] == [5, 0]
    for W, (D, defect) in zip(stack, together, strict=True):
        alone = fewest_states_scaling(W, attempts=5, seed=1)
        assert alone[1] == defect
        assert alone[0] == pytest.approx(D, rel=1e-9)


def test_where_the_spectral_radius_lies():
    generator = np.random.default_rng(17)
    for size in (1, 2, 5, 40):
        for matrix in np.maximum(generator.standard_normal((6, size, size)), 0):
            radius = np.abs(np.linalg.eigvals(matrix)).max()
            assert radius_below(matrix, radius + 1e-9)
            assert not radius_below(matrix, radius - 1e-9)
    # periodic, nilpotent and zero: no power of these decides
    shift = np.eye(3)[[1, 2, 0]]
    assert not radius_below(shift, 1.0) and radius_below(0.5 * shift, 1.0)
    assert radius_below(np.triu(1e9 * np.ones((3, 3)), 1), 1.0)
    assert radius_below(np.zeros((2, 2)), 1.0)
    assert not radius_below(np.full((2, 2), 1e150), 1.0)


def test_fewest_states_where_the_norm_is_one(make_rnn):
    rnn = growing_network()
    D, defect = fewest_states_scaling(rnn.W)
    assert defect == 1
    assert (D == 1).all()
    assert to_unitary(rnn, 1.0, states="fewest", horizon=10).hidden_units == 5
    with pytest.raises(ValueError, match="no positive diagonal"):
        fewest_states_scaling(np.array([[0.9, 0.9], [-0.9, 0.0]]))


def test_refusals_name_the_reason():
    contraction = 0.5 * np.eye(2) + np.array([[0.0, 0.3], [-0.3, 0.0]])

    def network(W, activation):
        return RNN(W, np.eye(2), np.zeros(2), np.eye(2), activation=activation)

    tilted = np.array([[0.5, 0.4], [0.4, -0.3]])
    with pytest.raises(ValueError, match="input_bound"):
        to_unitary(network(tilted, "relu"))
    with pytest.raises(ValueError, match="saturation"):
        to_unitary(network(contraction, "tanh"), 1.0)
    with pytest.raises(ValueError, match="Theorem 3"):
        to_unitary(network(contraction, "sigmoid"), 1.0)
    with pytest.raises(ValueError, match="linear unit"):
        to_unitary(network(contraction, "identity"), 1.0)
    with pytest.raises(ValueError, match="expansive"):
        to_unitary(network(2 * np.eye(2), "relu"), 1.0)
    with pytest.raises(ValueError, match="norm must be"):
        to_unitary(network(contraction, "relu"), 1.0, 1)
    with pytest.raises(ValueError, match="input_bound must be a finite number"):
        to_unitary(network(contraction, "relu"), np.inf)
    with pytest.raises(ValueError, match="states must be"):
        to_unitary(network(contraction, "relu"), 1.0, states="n")
    with pytest.raises(ValueError, match="leading"):
        network_around(network(contraction, "relu"), np.eye(4), 1.0)


def test_a_unitary_network_is_returned_for_any_activation():
    turn = np.array([[0.6, 0.8], [-0.8, 0.6]])
    for activation in ("relu", "tanh", "sigmoid", "identity"):
        rnn = RNN(turn, np.eye(2), np.zeros(2), np.eye(2), activation=activation)
        assert to_unitary(rnn).hidden_units == 2


@pytest.mark.parametrize("size", [12, 40])
def test_a_cascade_is_scaled_to_its_spectral_radius(size: int) -> None:
    """Entries of the best D lie many powers of ten apart."""
    W = 0.9 * np.eye(size) + np.diag(np.full(size - 1, 0.2), 1)
    scaling = best_scaling(W, target=0.95)
    assert 0.9 - 1e-12 <= scaling.lower_bound <= scaling.norm <= 0.95
    scaling = best_scaling(W)
    assert 0.9 - 1e-12 <= scaling.lower_bound <= scaling.norm <= 0.95


@pytest.mark.parametrize("size", [10, 20])
def test_a_w_that_is_contractive_by_rounding_alone_asks_for_a_bound(size: int) -> None:
    Q = np.linalg.qr(np.random.default_rng(0).standard_normal((size, size)))[0]
    rnn = RNN(Q * (1 - 6 * size * 2.22e-16), np.eye(size), np.zeros(size), np.eye(size))
    with pytest.raises(ArgumentError, match="input_bound"):
        to_unitary(rnn)


def test_a_complex_completion_of_a_real_network_is_refused() -> None:
    rnn = RNN(0.5 * np.eye(2), np.eye(2), np.zeros(2), np.eye(2))
    W = to_unitary(rnn, input_bound=1.0).W
    phases = np.diag([1, 1, 1j, -1j])
    with pytest.raises(ArgumentError, match="W must be real, as the network is"):
        network_around(rnn, phases @ W, input_bound=1.0)


@pytest.mark.parametrize("rho", [0.0, 1e-300, 0.3, 1 - 1e-12, 1.0, 1 + 1e-12, 1.01])
def test_sums_of_powers(rho: float) -> None:
    for steps in (1, 2, 50, 1000):
        expected = float(np.sum(rho ** np.arange(steps)))
        assert powers(rho, steps) == pytest.approx(expected, rel=1e-11)
    assert powers(1.01, 10**9) == np.inf and powers(1.0, 10**9) == 10**9


@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_the_price_of_a_projection_counts_the_initial_state(activation: str) -> None:
    """||h(-1)|| is far above all later states, and b keeps the first of them from saturating."""
    W = (1 + 1e-6) * np.linalg.qr(np.random.default_rng(0).standard_normal((3, 3)))[0]
    start = np.array([3e3, -4e3, 5e3])
    rnn = RNN(W, np.eye(3), 0.1 - W @ start, np.eye(3), start, activation)
    x = np.zeros((1, 3))
    difference = np.linalg.norm(rnn.states(x) - projected(rnn).states(x))
    assert 1e-3 < difference <= projection_error_bound(rnn, 1.0, horizon=1)
