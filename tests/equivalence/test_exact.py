"""Rational matrices and multiplicities against numpy, and where float64 cannot decide."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from urnn.equivalence.exact import Exact
from urnn.equivalence.multiplicity import (
    all_eigenvalues_on_the_circle,
    characteristic_polynomial,
    coefficients,
    is_diagonalisable,
    largest_multiplicity,
    polynomial,
    roots_on_the_circle,
    square_free_factors,
)

quick = settings(max_examples=60, deadline=None)
seeds = st.integers(0, 2**32 - 1)


@quick
@given(seed=seeds, rows=st.integers(1, 6), columns=st.integers(1, 6), inner=st.integers(0, 6))
def test_rank_products_and_solutions(seed, rows, columns, inner):
    generator = np.random.default_rng(seed)
    left = generator.integers(-4, 5, (rows, inner)) / 8
    right = generator.integers(-4, 5, (inner, columns)) * 2.0 ** generator.integers(-60, 60)
    product = Exact.of(left) @ Exact.of(right) if inner else Exact.of(np.zeros((rows, columns)))
    assert product.rank() == np.linalg.matrix_rank(left @ right)
    assert len(product.independent_columns()) == product.rank()
    square = generator.standard_normal((rows, rows))
    found = Exact.of(square).solve(Exact.of(left)) if inner else None
    if found is not None:
        assert (Exact.of(square) @ found - Exact.of(left)).is_zero()
    assert float(Exact.of(square).determinant()) == pytest.approx(np.linalg.det(square), rel=1e-9)
    symmetric = square + square.T + generator.normal() * np.eye(rows)
    positive = np.linalg.eigvalsh(symmetric)[0] > 0
    assert Exact.of(symmetric).is_positive_definite() == positive


def test_what_float64_ranks_cannot_tell():
    nearly = np.array([[1.0, 1.0], [1.0, 1 + 2**-52]])
    assert np.linalg.matrix_rank(nearly) == 1
    assert Exact.of(nearly).rank() == 2
    assert Exact.of(np.diag([1e-300, 1e300, 5e-324])).rank() == 3
    assert Exact.of(np.outer([1e-200, 3e200], [7.0, 0.1])).rank() <= 2
    assert Exact.of(np.outer([0.1, 0.7], [1.0, 2.0])).rank() == 1
    assert Exact.of(np.zeros((2, 3))).rank() == 0
    assert Exact.of(np.array([[2.0, 4.0], [1.0, 2.0]])).solve(Exact.identity(2)) is None


@quick
@given(seed=seeds, size=st.integers(1, 6))
def test_the_characteristic_polynomial(seed, size):
    W = np.random.default_rng(seed).standard_normal((size, size))
    found = [float(value) for value in coefficients(characteristic_polynomial(Exact.of(W)))]
    assert found == pytest.approx(np.poly(W), rel=1e-8, abs=1e-8)


def test_square_free_factors():
    def product(*roots):
        result = polynomial([1])
        for root in roots:
            result *= polynomial([1, -root])
        return result

    factors = {
        multiplicity: factor
        for factor, multiplicity in square_free_factors(product(1, 2, 2, 3, 3, 3, 5))
    }
    assert factors == {1: product(1, 5), 2: product(2), 3: product(3)}
    assert square_free_factors(product(4)) == [(product(4), 1)]


@pytest.mark.parametrize(
    ("roots", "on"),
    [
        ([1, -1, 0.5], 2),
        ([0.6 + 0.8j, 0.6 - 0.8j, 0, 3], 2),  # 5 (0.6 + 0.8i) is rational
        ([2, 0.5], 0),
        ([1j, -1j, 2, 0.5, -1], 3),
        ([0.25], 0),
    ],
)
def test_the_roots_on_the_circle(roots, on):
    values = [Fraction(round(v * 5**4), 5**4) for v in np.real(np.poly(roots))]
    assert roots_on_the_circle(polynomial(values)) == on


def test_multiplicities():
    generator = np.random.default_rng(0)

    def mu(W):
        return largest_multiplicity(Exact.of(W))

    assert mu(np.diag([0.5, 0.5, 0.3])) == 2
    assert mu(np.diag([0.5, 0.5 + 1e-9, 0.5 + 2e-9])) == 1
    assert mu(np.array([[0.5, 1.0], [0.0, 0.5]])) == 1
    assert mu(np.kron(np.eye(3), generator.standard_normal((3, 3)))) == 3  # irrational eigenvalues
    assert mu(np.kron(np.eye(2), np.array([[0.0, 0.5], [-0.5, 0.0]]))) == 2  # complex ones
    assert mu(np.eye(3)) == 0
    assert mu(np.eye(4)[[1, 2, 3, 0]]) == 0
    assert mu(np.diag([1.0, 1.0, 0.5])) == 1
    assert mu(np.diag([0.5, 0.5, 2.0, 2.0, 1.0, 1.0, 1.0])) == 2
    assert mu(np.linalg.qr(generator.standard_normal((5, 5)))[0]) == 0  # orthogonal up to rounding
    assert mu(np.diag([0.5, 0.5, 0.25, 0.25]) + np.diag([0, 0, 1.0], 1)) == 2
    assert mu(np.zeros((3, 3))) == 3


def test_the_unit_circle_and_diagonalisability():
    turn = np.eye(3)[[1, 2, 0]]
    for W, on, diagonalisable in (
        (turn, True, True),
        (np.array([[1.0, 1.0], [0.0, 1.0]]), True, False),
        (np.diag([2.0, 0.5]), False, True),
        (0.5 * turn, False, True),
    ):
        assert all_eigenvalues_on_the_circle(Exact.of(W)) == on
        assert is_diagonalisable(Exact.of(W)) == diagonalisable
