"""Theorem 2: no lower bound exceeds the true number of states, and each is attained somewhere."""

import numpy as np
import pytest

from tests.equivalence.full import cases
from tests.equivalence.networks import orthogonal, random_urnn
from urnn import RNN
from urnn.equivalence import (
    activation_patterns,
    all_pass_cascade,
    cascade_unitary,
    completion,
    eigenvalue_bound,
    fixed_scale_distance,
    jacobian_errors,
    linear_unitary,
    realization_bound,
    scaled_identity_witness,
    slowly_varying_transition,
    to_unitary,
    two_step_jacobians,
    unitarity_error,
    weight_budget,
    weight_budget_bound,
)


def test_the_eigenvalue_bound_needs_equal_patterns():
    # misread without its condition, (B) would exceed the true number of states of this URNN
    generator = np.random.default_rng(1)
    exceeded = 0
    for _ in range(200):
        urnn = random_urnn(generator)
        x = 2 * generator.standard_normal((3, urnn.input_size))
        jacobians = two_step_jacobians(urnn, x, 0)
        rank = np.linalg.matrix_rank
        naive = 2 * rank(jacobians.first) - rank(jacobians.across)
        exceeded += naive > urnn.hidden_units
        if not np.array_equal(jacobians.first, jacobians.second):
            assert eigenvalue_bound(urnn, x, 0).states == 0
    assert exceeded > 0


def structured_urnn(generator: np.random.Generator, kind: int) -> tuple[RNN, np.ndarray]:
    """A URNN and an activation pattern; kinds with repeated eigenvalues make (C) tight."""
    if kind == 0:
        W = orthogonal(generator, int(generator.integers(1, 9)))
        pattern = generator.random(len(W)) < 0.7
    elif kind == 1:
        copies = int(generator.integers(1, 4))
        W = np.kron(completion(np.array([[generator.uniform(0, 0.95)]])), np.eye(copies))
        pattern = np.arange(2 * copies) < copies
    elif kind == 2:
        size = int(generator.integers(1, 5))
        A = generator.standard_normal((size, size))
        W = completion(A * generator.uniform(0.2, 1) / np.linalg.norm(A, 2))
        pattern = np.arange(len(W)) < size
    else:
        copies = int(generator.integers(1, 4))
        W = np.kron(np.eye(copies), orthogonal(generator, 3))
        pattern = np.tile([True, True, False], copies)
    m, p = (int(generator.integers(1, 5)) for _ in range(2))
    F, C = generator.standard_normal((len(W), m)), generator.standard_normal((p, len(W)))
    return RNN(W, F, np.zeros(len(W)), C), pattern


def test_the_realization_bound_never_exceeds_the_states():
    generator = np.random.default_rng(2)
    tight = 0
    total = cases(3000, 200)
    for trial in range(total):
        urnn, pattern = structured_urnn(generator, trial % 4)
        bound = realization_bound(urnn, pattern)
        assert bound.states == bound.minimal_states + bound.multiplicity
        assert bound.states <= urnn.hidden_units
        tight += bound.states == urnn.hidden_units
    assert tight > total / 3


def test_the_paper_like_system_is_certified_5_states_and_has_them():
    generator = np.random.default_rng(5)
    for trial in range(5):
        W = slowly_varying_transition(generator, 4, 0.5)
        F, C = generator.standard_normal((4, 2)), generator.standard_normal((2, 4))
        bound = realization_bound(RNN(W, F, np.zeros(4), C))
        assert (bound.states, bound.minimal_states, bound.multiplicity) == (5, 4, 1)
        rnn, urnn = linear_unitary(W, F, C, seed=trial, attempts=40)
        x = generator.choice([-1.0, 1.0], (8, 200, 2))
        assert urnn.hidden_units == 5
        assert rnn.states(x).min() > 0
        states = urnn.states(x)
        assert states[..., :4].min() > 0
        assert not states[..., 4:].any()
        y = rnn(x)
        assert np.abs(y - states @ urnn.C.T - urnn.d).max() <= 1e-10 * np.abs(y).max()
        assert unitarity_error(urnn.W) <= 1e-13


def test_the_linear_regime_needs_enough_extra_states():
    with pytest.raises(ValueError, match=r"multiplicity|defect"):
        linear_unitary(0.5 * np.eye(3), np.eye(3), np.eye(3), extra_states=1, attempts=20)


def test_the_cascade():
    for rho in (0.0, 0.3, 0.9):
        for chain in (1, 2, 5):
            Q = all_pass_cascade(chain, rho)
            block = Q[:-1, :-1]
            assert unitarity_error(Q) <= 1e-14
            assert np.abs(np.tril(block, -1)).max() <= 1e-15
            assert np.diag(block) == pytest.approx(np.full(chain, rho))
            singular = np.linalg.svd(block, compute_uv=False)
            assert singular == pytest.approx(np.append(np.ones(chain - 1), rho**chain))
            above = np.diag(block, 1)
            assert above == pytest.approx(np.full(chain - 1, 1 - rho**2))


def test_fewer_than_2n_states_come_arbitrarily_near():
    generator = np.random.default_rng(6)
    bias = 0.3 * generator.standard_normal(4)
    x = generator.uniform(-1, 1, (16, 200, 4))
    y = scaled_identity_witness(4, 0.7, bias)(x)
    assert (y == 0).mean() > 0.1  # units do switch
    for chains, longest in ((1, 4), (2, 2), (3, 2)):
        errors = []
        for exponent in (8, 20, 32):
            urnn = cascade_unitary(4, chains, 0.7, 2.0**exponent, bias)
            assert urnn.hidden_units == 4 + chains
            assert unitarity_error(urnn.W) <= 1e-14
            assert weight_budget(urnn) == 2.0 ** (exponent * (longest - 1))
            states = urnn.states(x)
            assert not states[..., 4:].any()
            errors.append(np.abs(y - states @ urnn.C.T - urnn.d).max())
        # the error falls as 1 / ratio
        assert errors[0] / errors[1] == pytest.approx(2.0**12, rel=0.05)
        assert errors[1] / errors[2] == pytest.approx(2.0**12, rel=0.05)
    assert np.array_equal(cascade_unitary(4, 4, 0.7, 2.0, bias)(x), y)


def test_the_weight_budget_bound_holds():
    generator = np.random.default_rng(7)
    ratios = []
    for _ in range(3000):
        n = int(generator.integers(1, 5))
        size = int(generator.integers(n, 2 * n))
        rho = generator.uniform(0, 0.95)
        F = generator.standard_normal((size, n)) * np.exp(2 * generator.standard_normal(n))
        C = np.linalg.pinv(F) * (1 + 0.1 * generator.standard_normal())
        C = C + generator.standard_normal() * np.linalg.svd(F.T)[2][n:].sum(axis=0)
        urnn = RNN(orthogonal(generator, size), F, np.zeros(size), C)
        first, second = jacobian_errors(urnn, rho, np.ones(size))
        if first < 1:
            ratios.append(
                (second + rho * first) / weight_budget_bound(rho, weight_budget(urnn), first)
            )
    assert len(ratios) > 2000
    assert min(ratios) >= 1 - 1e-9


@pytest.mark.parametrize("rho", [0.1, 0.5, 0.9, 0.99])
def test_the_weight_budget_bound_is_nearly_tight_for_the_cascade(rho):
    for size in (2, 3, 4):
        for ratio in (1.0, 2.0, 10.0, 1e4):
            urnn = cascade_unitary(size, 1, rho, ratio)
            first, second = jacobian_errors(urnn, rho)
            bound = weight_budget_bound(rho, weight_budget(urnn), first)
            tightness = (second + rho * first) / bound
            assert tightness >= 1 - 1e-9
            if size == 2:
                assert tightness == pytest.approx(1 + rho, rel=1e-6)
    assert weight_budget_bound(rho, 4.0) == pytest.approx((1 - rho) / 4)


def test_with_2n_states_the_bound_is_void():
    urnn = to_unitary(scaled_identity_witness(3, 0.6))
    assert max(jacobian_errors(urnn, 0.6, np.arange(6) < 3)) == 0


def test_the_distance_at_a_fixed_scale():
    assert fixed_scale_distance(0.6 * np.eye(3), 4) == pytest.approx((0.4 * np.sqrt(2), 0.4))
    assert fixed_scale_distance(0.6 * np.eye(3), 6) == (0.0, 0.0)
    generator = np.random.default_rng(8)
    for _ in range(300):  # no corner of an orthogonal matrix is nearer
        size = int(generator.integers(1, 5))
        states = int(generator.integers(size, 2 * size + 1))
        A = generator.standard_normal((size, size))
        W = 0.9 * A / np.linalg.norm(A, 2)
        corner = orthogonal(generator, states)[:size, :size]
        frobenius, operator = fixed_scale_distance(W, states)
        assert np.linalg.norm(W - corner) >= frobenius - 1e-12
        assert np.linalg.norm(W - corner, 2) >= operator - 1e-12
        left, singular, right = np.linalg.svd(W)  # and this one attains both
        singular[: 2 * size - states] = 1
        nearest = (left * singular) @ right
        assert len(completion(nearest)) <= states
        assert np.linalg.norm(W - nearest) == pytest.approx(frobenius, abs=1e-12)
        assert np.linalg.norm(W - nearest, 2) == pytest.approx(operator, abs=1e-12)


def test_refusals():
    with pytest.raises(ValueError, match="rho"):
        scaled_identity_witness(2, 1.0)
    with pytest.raises(ValueError, match="real ReLU"):
        activation_patterns(RNN([[0.5]], [[1]], [0], [[1]], activation="tanh"), np.zeros((2, 1)))
    with pytest.raises(ValueError, match="step"):
        two_step_jacobians(scaled_identity_witness(2, 0.5), np.zeros((3, 2)), 2)
    with pytest.raises(ValueError, match="budget"):
        weight_budget_bound(0.5, 0.0)
    with pytest.raises(ValueError, match="chains"):
        cascade_unitary(3, 4, 0.5, 2.0)
