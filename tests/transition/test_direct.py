"""Sets that are trained as W itself: free, and the projections to unitary and contractive."""

from __future__ import annotations

import numpy as np
import pytest

from urnn.transition import POINT
from urnn.transition.direct import Direct

DIRECT = [name for name in POINT if POINT.plug(name).direct]
PROJECTED = ("unitary", "contractive")


def direct(name: str) -> Direct:
    made = POINT.make(name)
    assert isinstance(made, Direct)
    return made


def test_which_sets_are_direct() -> None:
    assert DIRECT == ["free", "contractive", "unitary"]


@pytest.mark.parametrize("name", PROJECTED)
def test_a_projection_is_the_nearest_matrix(name: str) -> None:
    random = np.random.default_rng(0)
    W = random.standard_normal((20, 5, 5))
    transition = direct(name)
    projected = transition.project(W, np)
    assert transition.constraint_error(projected, np).max() < 1e-14
    distance = np.linalg.norm(W - projected, axis=(1, 2))
    for _ in range(50):  # no other member of the set is nearer
        other = transition.project(random.standard_normal(W.shape), np)
        assert np.all(np.linalg.norm(W - other, axis=(1, 2)) >= distance)


@pytest.mark.parametrize("name", PROJECTED)
def test_what_is_inside_stays(name: str) -> None:
    transition = direct(name)
    W = transition.project(np.random.default_rng(0).standard_normal((20, 5, 5)), np)
    np.testing.assert_allclose(transition.project(W, np), W, atol=1e-14)


def test_inside_the_ball_nothing_moves_bit_by_bit() -> None:
    W = np.random.default_rng(0).standard_normal((20, 5, 5))
    inside = 0.1 * W / np.linalg.norm(W, 2, axis=(1, 2))[:, None, None]
    np.testing.assert_array_equal(direct("contractive").project(inside, np), inside)


@pytest.mark.parametrize("scale", [1e-3, 0.05, 0.3, 1, 30])
def test_the_polar_factor_by_both_ways(scale: float) -> None:
    """Newton-Schulz near the set, singular values elsewhere: U V^T of W = U S V^T."""
    random = np.random.default_rng(0)
    Q = np.linalg.qr(random.standard_normal((20, 6, 6)))[0]
    W = Q + scale * random.standard_normal(Q.shape)
    U, _, Vh = np.linalg.svd(W)
    found = direct("unitary").project(W, np)
    # the factor is as sensitive as the smallest singular value is small
    smallest = np.linalg.svd(W)[1][:, -1]
    difference = np.abs(found - U @ Vh).max((1, 2))
    assert np.all(difference < 1e-13 / np.minimum(smallest, 1))


def test_contraction_clips_the_singular_values() -> None:
    W = np.random.default_rng(0).standard_normal((20, 5, 5))
    U, S, Vh = np.linalg.svd(W)
    found = direct("contractive").project(W, np)
    np.testing.assert_allclose(found, (U * np.minimum(S, 1)[:, None]) @ Vh, atol=1e-14)
    errors = direct("contractive").constraint_error(W, np)
    np.testing.assert_allclose(errors, np.maximum(S[:, 0] - 1, 0), atol=1e-14)


def test_a_free_matrix_is_only_moved() -> None:
    transition = direct("free")
    W = np.random.default_rng(0).standard_normal((3, 5, 5))
    p = W.reshape(3, 25).copy()
    assert transition.retract(p, np.ones_like(p), 5, np) is p
    np.testing.assert_array_equal(p, W.reshape(3, 25) + 1)
    assert not transition.constraint_error(W, np).any()


def test_the_blocks_of_several_gates_are_free_too() -> None:
    """An LSTM's W has the rows of four gates; p is still all of it."""
    transition = direct("free")
    p = np.random.default_rng(0).standard_normal((2, 4 * 3 * 3))
    W, vjp = transition.matrix(p, 3, np)
    assert W.shape == (2, 12, 3) and W.base is p
    np.testing.assert_array_equal(vjp(W), p)
    np.testing.assert_array_equal(transition.enter(p.copy(), 3, np), p)


@pytest.mark.parametrize("name", DIRECT)
def test_initial_values_are_orthogonal_or_the_identity(name: str) -> None:
    transition = direct(name)
    p = transition.initialise(np.random.default_rng(0), 6, "orthogonal")
    assert p.dtype == np.float32 and p.shape == (36,)
    W = p.reshape(6, 6).astype(float)
    np.testing.assert_allclose(W.T @ W, np.eye(6), atol=1e-6)
    identity = transition.initialise(np.random.default_rng(0), 6, "identity")
    np.testing.assert_array_equal(identity.reshape(6, 6), np.eye(6))


def test_numbers_of_parameters_are_the_dimensions() -> None:
    n = 16
    counts = [POINT.make(name).degrees_of_freedom(n) for name in DIRECT]
    assert counts == [n * n, n * n, n * (n - 1) // 2]
