"""Unitary matrices: the real form, the distance from the set, and how they are drawn."""

from __future__ import annotations

import numpy as np
import pytest

from urnn.matrices import (
    haar_unitary,
    orthonormal_columns,
    real_form,
    slowly_varying_transition,
    unitarity_error,
)


def test_the_real_form_keeps_products_and_interleaves() -> None:
    random = np.random.default_rng(0)
    U, V = random.standard_normal((2, 4, 3, 3)) + 1j * random.standard_normal((2, 4, 3, 3))
    form = lambda X: real_form(X.real, X.imag, np)
    np.testing.assert_allclose(form(U) @ form(V), form(U @ V))
    np.testing.assert_array_equal(form(U.conj().mT), form(U).mT)
    z = random.standard_normal((4, 3, 1)) + 1j * random.standard_normal((4, 3, 1))
    pairs = lambda z: np.stack([z.real, z.imag], 2).reshape(4, 6, 1)
    np.testing.assert_allclose(form(U) @ pairs(z), pairs(U @ z))
    np.testing.assert_array_equal(form(U)[:, ::2, ::2] + 1j * form(U)[:, 1::2, ::2], U)


def test_the_real_form_is_the_same_in_torch() -> None:
    torch = pytest.importorskip("torch")
    real, imaginary = np.random.default_rng(0).standard_normal((2, 4, 3, 3))
    found = real_form(torch.tensor(real), torch.tensor(imaginary), torch)
    np.testing.assert_array_equal(found, real_form(real, imaginary, np))


@pytest.mark.parametrize("shape", [(5, 5), (3, 5, 5), (2, 3, 7, 4), (1, 1)])
@pytest.mark.parametrize("complex_valued", [False, True])
def test_the_unitarity_error_is_the_norm(shape: tuple[int, ...], complex_valued: bool) -> None:
    random = np.random.default_rng(0)
    W = random.standard_normal(shape) + complex_valued * 1j * random.standard_normal(shape)
    W = W if complex_valued else W.real
    gram = W.conj().mT @ W - np.eye(shape[-1])
    expected = np.linalg.norm(gram, 2, axis=(-2, -1))
    error = unitarity_error(W)
    assert error.shape == shape[:-2]
    np.testing.assert_allclose(error, expected, rtol=1e-12)
    np.testing.assert_array_equal(unitarity_error(W, np), error)
    U = np.linalg.qr(W)[0]
    assert np.max(unitarity_error(U)) < 1e-14


def test_random_matrices_are_unitary_and_uniform() -> None:
    random = np.random.default_rng(0)
    U = np.stack([haar_unitary(random, 3) for _ in range(4000)])
    Q = np.stack([orthonormal_columns(random, 3, 3) for _ in range(4000)])
    assert (U.dtype, Q.dtype) == (np.complex128, np.float64)
    assert max(unitarity_error(U).max(), unitarity_error(Q).max()) < 1e-14
    # by Haar's measure: E|U_ij|^2 = 1/m, E tr U = 0, and E|tr U|^2 = 1
    for drawn in (U, Q):
        np.testing.assert_allclose((abs(drawn) ** 2).mean(0), np.full((3, 3), 1 / 3), atol=0.03)
        trace = np.trace(drawn, axis1=1, axis2=2)
        assert abs(trace.mean()) < 0.05
        assert (abs(trace) ** 2).mean() == pytest.approx(1, abs=0.1)


def test_more_rows_than_columns_are_jointly_orthonormal() -> None:
    Q = orthonormal_columns(np.random.default_rng(0), 8, 3)
    assert Q.shape == (8, 3)
    np.testing.assert_allclose(Q.T @ Q, np.eye(3), atol=1e-14)


def test_a_slowly_varying_transition_has_its_eigenvalues_below_one() -> None:
    for seed in range(20):
        W = slowly_varying_transition(np.random.default_rng(seed), 4, 0.01)
        eigenvalues = np.linalg.eigvalsh(W)
        np.testing.assert_allclose(W, W.T, atol=1e-15)
        assert eigenvalues.min() == pytest.approx(0.99, abs=1e-12)
        assert eigenvalues.max() < 1
