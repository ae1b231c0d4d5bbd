"""The multiplicative Cayley steps of Wisdom et al."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import ortho_group, unitary_group

from urnn.matrices import real_form
from urnn.transition import POINT


@pytest.mark.parametrize("field", ["complex", "real"])
def test_the_cayley_step_is_the_sources_stays_unitary_and_descends(
    field: str, stack: Callable[..., NDArray], as_complex: Callable[[NDArray], NDArray]
) -> None:
    transition, units = POINT.make("full_capacity", field=field), 8
    random = np.random.default_rng(0)
    p = stack(transition, units, 2)
    W, _ = transition.matrix(p, units, np)
    target = ortho_group.rvs(units, random_state=random)
    if field == "complex":
        U = unitary_group.rvs(units // 2, random_state=random)
        target = real_form(U.real[None], U.imag[None], np)[0]
    losses = []
    for step in range(200):
        W, vjp = transition.matrix(p, units, np)
        losses.append(((W - target) ** 2).sum((1, 2)))
        gradient = vjp(2 * (W - target))
        p = transition.retract(p, -0.02 * gradient, units, np)
        if step == 0:
            U = as_complex(W) if field == "complex" else W
            G = gradient.reshape(2, -1, units // 2, units // 2)
            G = G[:, 0] + 1j * G[:, 1] if field == "complex" else gradient.reshape(W.shape)
            A = 0.02 * (G @ U.conj().mT - U @ G.conj().mT)
            one = np.eye(U.shape[-1])
            expected = np.linalg.solve(one + A / 2, (one - A / 2) @ U)
            W, _ = transition.matrix(p, units, np)
            moved = as_complex(W) if field == "complex" else W
            np.testing.assert_allclose(moved, expected, atol=1e-13)
        W, _ = transition.matrix(p, units, np)
        assert transition.constraint_error(W, np).max() < 1e-13
    assert np.all(np.diff(losses, axis=0) < 1e-12)
    if field == "complex":  # U(m) is connected; O(n) is not, so a real target may be out of reach
        assert np.all(losses[-1] < 1e-3 * losses[0])


def test_numbers_of_parameters_are_the_dimensions() -> None:
    assert POINT.make("full_capacity").degrees_of_freedom(16) == 8 * 8
    assert POINT.make("full_capacity", field="real").degrees_of_freedom(16) == 16 * 15 // 2
