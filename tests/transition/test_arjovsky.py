"""The product of Arjovsky, Shah and Bengio."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from urnn.transition import POINT


def test_the_product_is_the_explicit_one(
    stack: Callable[..., NDArray], as_complex: Callable[[NDArray], NDArray]
) -> None:
    transition, m = POINT.make("arjovsky"), 5
    p = stack(transition, 2 * m)
    W, _ = transition.matrix(p, 2 * m, np)
    F = np.exp(-2j * np.pi / m * np.outer(np.arange(m), np.arange(m))) / np.sqrt(m)
    for row, U in zip(p, as_complex(W), strict=True):
        D1, D2, D3 = (np.diag(np.exp(1j * w)) for w in row[: 3 * m].reshape(3, m))
        parts = row[3 * m : 7 * m].reshape(2, 2, m)
        v = [real + 1j * imaginary for real, imaginary in parts]
        R1, R2 = (np.eye(m) - 2 * np.outer(a, a.conj()) / np.vdot(a, a) for a in v)
        order = row[7 * m :].astype(int)
        assert sorted(order) == list(range(m))
        P = np.eye(m)[order]
        np.testing.assert_allclose(U, D3 @ R2 @ F.conj().T @ D2 @ P @ R1 @ F @ D1, atol=1e-14)


def test_number_of_parameters_is_the_sources_formula() -> None:
    transition = POINT.make("arjovsky")
    assert transition.degrees_of_freedom(16) == 7 * 8
    # and the permutation, which is not trained
    assert len(transition.initialise(np.random.default_rng(0), 16, "orthogonal")) == 8 * 8
