"""What holds for every set of transitions, with every variant of its options."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from urnn.errors import ConfigError
from urnn.matrices import real_form
from urnn.optimizers import OPTIMIZERS
from urnn.transition import POINT
from urnn.transition.base import Transition

Stack = Callable[..., NDArray]
#: sets whose members are unitary
NOT_UNITARY = ("free", "contractive")


def test_every_set_is_tested(sets: dict[str, Transition]) -> None:
    assert {name.split(",")[0] for name in sets} == set(POINT)
    with pytest.raises(ConfigError, match="transition must be one of free"):
        POINT.make("unit")


@pytest.mark.parametrize("units", [4, 8, 12])
def test_every_p_gives_a_member_and_the_identity_is_there(
    name: str, transition: Transition, units: int, stack: Stack, as_complex: Callable
) -> None:
    if transition.size_problem(units):
        pytest.skip("the set has no member of this size")
    p = stack(transition, units)
    assert p.shape == (3, len(transition.initialise(np.random.default_rng(0), units, "identity")))
    W, _ = transition.matrix(p, units, np)
    assert W.shape == (3, units, units) and W.dtype == np.float64
    assert transition.constraint_error(W, np).shape == (3,)
    assert transition.constraint_error(W, np).max() < 1e-13
    if name not in NOT_UNITARY:
        np.testing.assert_allclose(W.mT @ W, np.broadcast_to(np.eye(units), W.shape), atol=1e-13)
    assert len({matrix.tobytes() for matrix in W}) == 3
    if transition.is_complex:
        U = as_complex(W)
        np.testing.assert_array_equal(W, real_form(U.real, U.imag, np))
    for dtype, tolerance in [(np.float32, 1e-6), (np.float64, 1e-14)]:
        start = transition.initialise(np.random.default_rng(1), units, "identity")[None]
        W, _ = transition.matrix(start.astype(dtype), units, np)
        assert W.dtype == dtype
        np.testing.assert_allclose(W[0], np.eye(units), atol=tolerance)


def test_rounded_values_enter_the_set(name: str, transition: Transition, stack: Stack) -> None:
    units = 8
    p = stack(transition, units).astype(np.float32)
    entered = transition.enter(p.copy(), units, np)
    assert entered.shape == p.shape and entered.dtype == np.float32
    W, _ = transition.matrix(entered, units, np)
    assert transition.constraint_error(W, np).max() < 1e-5
    np.testing.assert_allclose(entered, p, atol=1e-6)


def test_the_vjp_is_the_gradient(name: str, transition: Transition, stack: Stack) -> None:
    units = 8
    p = stack(transition, units)
    random = np.random.default_rng(1)
    W, vjp = transition.matrix(p, units, np)
    outer = random.standard_normal(W.shape)
    gradient = vjp(outer)
    assert gradient.shape == p.shape and gradient.dtype == np.float64
    fixed = 4 if name == "arjovsky" else 0  # the permutation is whole numbers
    changes = []
    for k in range(p.shape[1] - fixed):
        step = np.zeros_like(p)
        step[:, k] = 1e-6
        both = [transition.matrix(p + sign * step, units, np)[0] for sign in (1, -1)]
        changes.append(((both[0] - both[1]) * outer).sum((1, 2)) / 2e-6)
    expected = np.stack(changes, 1)
    if name.split(",")[0] in ("matrix_exp", "cayley", "householder"):
        expected[:, transition.degrees_of_freedom(units) :] = 0  # the base is not trained
    np.testing.assert_allclose(gradient[:, : expected.shape[1]], expected, atol=2e-8)
    assert not gradient[:, expected.shape[1] :].any()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_row_is_the_same_bits_in_every_stack_and_nan_stays_alone(
    transition: Transition, dtype: Any, stack: Stack
) -> None:
    units = 8
    p = stack(transition, units, 7).astype(dtype)
    outer = np.random.default_rng(1).standard_normal((7, units, units)).astype(dtype)

    def all_of(p: NDArray, outer: NDArray) -> list[NDArray]:
        W, vjp = transition.matrix(p, units, np)
        gradient = vjp(outer)
        return [W, gradient, transition.retract(p.copy(), -dtype(0.1) * gradient, units, np)]

    expected = all_of(p, outer)
    for rows in (slice(0, 1), slice(6, 7), slice(2, 5), slice(None, None, -1)):
        for whole, part in zip(expected, all_of(p[rows], outer[rows]), strict=True):
            np.testing.assert_array_equal(whole[rows], part)
    outer[3] = np.nan
    others = [0, 1, 2, 4, 5, 6]
    if transition.direct:  # no NaN reaches a projection: the training stops its replica before
        W, vjp = transition.matrix(p, units, np)
        spoilt = [W, vjp(outer)]
    else:
        spoilt = all_of(p, outer)
    for clean, other in zip(expected, spoilt, strict=False):
        np.testing.assert_array_equal(clean[others], other[others])


def test_in_the_set_after_a_thousand_steps(name: str, transition: Transition) -> None:
    units = 4 if not transition.size_problem(4) else 6
    random = np.random.default_rng(0)
    for dtype, tolerance in [(np.float32, 1e-5), (np.float64, 1e-12)]:
        p = transition.initialise(random, units, "orthogonal")[None].astype(dtype)
        optimizer = OPTIMIZERS["rmsprop"](p, np)
        for _ in range(1000):
            W, vjp = transition.matrix(p, units, np)
            gradient = vjp(random.standard_normal(W.shape).astype(dtype))
            p = transition.retract(p, optimizer.update(gradient, 0.01).astype(dtype), units, np)
        W, _ = transition.matrix(p, units, np)
        assert W.dtype == dtype
        assert transition.constraint_error(W.astype(float), np) < tolerance
        if name not in NOT_UNITARY:
            error = W.astype(float).mT @ W.astype(float) - np.eye(units)
            assert np.linalg.norm(error, 2, axis=(1, 2)) < tolerance


def test_as_many_directions_as_degrees_of_freedom(
    name: str, transition: Transition, stack: Stack
) -> None:
    """The rank of dW/dp, which the formula bounds; Arjovsky's scales of v do nothing."""
    units = 24 if name == "arjovsky" else 8
    p = stack(transition, units, 1)
    entries = units * units
    _, vjp = transition.matrix(np.repeat(p, entries, 0), units, np)
    pulled = vjp(np.eye(entries).reshape(entries, units, units))
    rank = np.linalg.matrix_rank(pulled, tol=1e-9)
    # p is W, or U; the steps, not p, stay in the set
    if transition.direct or name.startswith("full_capacity"):
        assert rank == p.shape[1]
    elif name == "arjovsky":
        assert 4 * units // 2 < rank < transition.degrees_of_freedom(units)
    else:
        assert rank <= transition.degrees_of_freedom(units)
        if "fft" not in name and "capacity" not in name:
            assert rank == transition.degrees_of_freedom(units)


def test_torch_tensors_give_the_same_as_numpy(transition: Transition, stack: Stack) -> None:
    torch = pytest.importorskip("torch")
    units = 8
    p = stack(transition, units)
    outer = np.random.default_rng(1).standard_normal((3, units, units))
    results = []
    for xp, array in ((np, np.asarray), (torch, torch.tensor)):
        W, vjp = transition.matrix(array(p.copy()), units, xp)
        gradient = vjp(array(outer))
        error = transition.constraint_error(W, xp)
        # W may be a view of p, which the retraction moves
        found = [np.asarray(part).copy() for part in (W, gradient, error)]
        moved = transition.retract(array(p.copy()), -0.1 * gradient, units, xp)
        entered = transition.enter(array(p.copy()), units, xp)
        results.append([*found, np.asarray(moved), np.asarray(entered)])
    for ours, theirs in zip(*results, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-13)


def test_a_complex_set_has_an_even_number_of_hidden_units(transition: Transition) -> None:
    problem = transition.size_problem(5)
    if transition.is_complex:
        assert problem is not None
        assert problem.startswith(f"a complex {transition.transition} needs an even number, two")
        assert problem.endswith("but it is 5")
        assert (transition.order(8), transition.size_problem(16)) == (4, None)
    else:
        assert problem is None or "power of two" in problem
        assert transition.order(8) == 8


def test_the_gradient_of_the_loss_descends(transition: Transition, stack: Stack) -> None:
    """A small step against the gradient of L(W) = ||W - T||^2 / 2 lowers L."""
    units = 8
    p = stack(transition, units)
    target = np.random.default_rng(3).standard_normal((units, units))
    W, vjp = transition.matrix(p, units, np)
    before = ((W - target) ** 2).sum((1, 2))
    moved = transition.retract(p.copy(), -1e-4 * vjp(W - target), units, np)
    after = ((transition.matrix(moved, units, np)[0] - target) ** 2).sum((1, 2))
    assert np.all(after < before)
