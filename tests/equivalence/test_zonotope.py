"""Zonotopes around the states: they hold, are never above the norm bound, and often far below."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from urnn import RNN
from urnn.equivalence import (
    completion,
    slowly_varying_transition,
    state_norm_bound,
    to_unitary,
    zonotope_limits,
)
from urnn.errors import ArgumentError


@settings(max_examples=25, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    size=st.integers(1, 6),
    norm=st.sampled_from([2, np.inf]),
    horizon=st.integers(1, 60),
    initial=st.sampled_from([0.0, 5.0]),
)
def test_the_limits_hold(seed, size, norm, horizon, initial, make_rnn, vertices):
    generator = np.random.default_rng(seed)
    rnn = make_rnn(generator, size, ("0.9", "exactly 1", "1 - 1e-8")[seed % 3])
    rows = generator.standard_normal((4, size))
    limits = zonotope_limits(rows, rnn, 1.5, norm, horizon, initial)
    reach = state_norm_bound(rnn, 1.5, norm, horizon, initial)
    assert (limits <= np.linalg.norm(np.maximum(rows, 0), axis=1) * reach * (1 + 1e-9)).all()
    x = vertices(generator, (20, max(horizon - 1, 1), 2), 1.5, norm)
    x[:10] = x[:10, :1]  # constant inputs go furthest
    starts = [rnn.h_init]
    if initial:
        starts += list(initial * vertices(generator, (3, size), 1.0, 2))
    for h in starts:
        fed_back = RNN(rnn.W, rnn.F, rnn.b, rnn.C, h).states(x)[:, : horizon - 1]
        if horizon > 1:
            assert (np.maximum(fed_back @ rows.T, 0).max((0, 1)) <= limits).all()


def test_a_network_that_never_switches_is_exact():
    # all units on: the support of the reachable set is a sum of |rows W^j F| 1
    generator = np.random.default_rng(0)
    W = 0.9 * np.linalg.qr(generator.standard_normal((3, 3)))[0]
    F = generator.standard_normal((3, 2))
    rnn = RNN(W, F, (np.eye(3) - W) @ np.full(3, 1e3), np.eye(3), np.full(3, 1e3))
    rows = generator.standard_normal((2, 3))
    gains = sum(np.abs(rows @ np.linalg.matrix_power(W, j) @ F).sum(axis=1) for j in range(30))
    exact = np.maximum(rows @ np.full(3, 1e3) + gains, 0)
    found = zonotope_limits(rows, rnn, 1.0, np.inf, 31)
    assert found == pytest.approx(exact, rel=1e-9)


@pytest.mark.parametrize("norm", [2, np.inf])
def test_what_is_left_out_of_many_columns_is_counted(norm):
    """All units on, and 400 steps, more than are kept: the exact bound is a sum as above."""
    generator = np.random.default_rng(0)
    W = 0.999 * np.linalg.qr(generator.standard_normal((3, 3)))[0]
    F, rest = generator.standard_normal((3, 2)), np.full(3, 1e6)
    rnn = RNN(W, F, (np.eye(3) - W) @ rest, np.eye(3), rest)
    rows = generator.standard_normal((20, 3))
    rows = rows[rows @ rest > 0]
    dual = 2 if norm == 2 else 1
    powers = [np.linalg.matrix_power(W, j) for j in range(400)]
    exact = sum(np.linalg.norm(rows @ power @ F, dual, axis=1) for power in powers)
    found = zonotope_limits(rows, rnn, 1.0, norm, 401) - rows @ rest
    assert (exact <= found).all() and (found <= 3 * exact).all()


def test_the_bias_of_a_slow_network_is_far_smaller():
    """At ||W|| = 0.9999 the norm bound counts on 10,000 steps that all push one way."""
    for seed in (1, 3):
        generator = np.random.default_rng(seed)
        W = slowly_varying_transition(generator, 4, 0.001)
        F, b = generator.standard_normal((4, 2)), generator.standard_normal(4)
        rnn = RNN(W, F, b, np.eye(4))
        forever, urnn, tight = (
            to_unitary(rnn, 1.0, np.inf, **options)
            for options in ({}, {"horizon": 100}, {"horizon": 100, "tight": True})
        )
        assert np.array_equal(urnn.W, tight.W)
        assert (forever.b[4:] <= urnn.b[4:]).all() and (urnn.b[4:] <= tight.b[4:]).all()
        assert forever.b[4:].sum() < 100 * tight.b[4:].sum()
        assert urnn.b[4:].sum() < 4 * tight.b[4:].sum()
        x = generator.choice([-1.0, 1.0], (20, 100, 2))
        x[:2] = [[[1.0, 1.0]], [[1.0, -1.0]]]
        assert not tight.states(x)[..., 4:].any()
        assert np.abs(tight(x) - rnn(x)).max() <= 1e-13 * np.abs(rnn(x)).max()
        reached = np.maximum(rnn.states(x)[:, :-1] @ tight.W[4:, :4].T, 0).max((0, 1)).sum()
        assert -tight.b[4:].sum() < 10 * reached


def test_many_columns_are_reduced():
    generator = np.random.default_rng(2)
    W = completion(np.array([[0.3]]))
    rnn = RNN(0.99 * W, np.ones((2, 1)), [-0.2, 0.1], np.eye(2))
    for norm in (2, np.inf):
        limits = zonotope_limits(np.eye(2), rnn, 1.0, norm, 400)
        x = generator.choice([-1.0, 1.0], (50, 399, 1))
        x[:2] = [[[1.0]], [[-1.0]]]
        assert (rnn.states(x).max((0, 1)) <= limits).all()
        assert (limits <= state_norm_bound(rnn, 1.0, norm, 400)).all()


def test_what_it_needs():
    rnn = RNN([[0.5]], [[1]], [0], [[1]])
    for options in ({"horizon": 5}, {"input_bound": 1.0}, {}):
        with pytest.raises(ArgumentError, match="tight=True needs"):
            to_unitary(rnn, tight=True, **options)
    with pytest.raises(ArgumentError, match="real ReLU networks"):
        zonotope_limits(np.eye(1), RNN([[0.5j]], [[1]], [0], [[1]]), 1.0)
    with pytest.raises(ArgumentError, match="horizon"):
        zonotope_limits(np.eye(1), rnn, 1.0, 2, 0)
