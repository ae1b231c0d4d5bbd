"""Exact multiplicities of the eigenvalues of a rational matrix, on and off the unit circle.

A float64 matrix has eigenvalues that no float64 need hold, so their multiplicities are read from
polynomials: the characteristic polynomial is split into square-free factors q by the multiplicity
of the roots, and dim ker q(W) is the sum of dim ker(W - lambda I) over the roots of q. Roots on the
unit circle are counted by Sturm's theorem. Polynomials are sympy's, which is imported when one is
made.
"""

from __future__ import annotations

from collections.abc import Iterable
from fractions import Fraction
from math import lcm
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from urnn.equivalence.exact import (
    PRIME,
    Exact,
    determinant_modulo,
    of_sympy,
    rank_modulo,
    residues,
)

if TYPE_CHECKING:
    from sympy import Poly

#: |lambda| this near 1 counts as 1
UNIT_CIRCLE = 1e-7


def polynomial(coefficients: Iterable[Any]) -> Poly:
    """A polynomial over the rational numbers, from its coefficients, highest power first."""
    from sympy import QQ, Poly, Symbol

    return Poly(list(coefficients), Symbol("x"), domain=QQ)


def coefficients(of: Poly) -> list[Fraction]:
    """Its coefficients, highest power first."""
    return [Fraction(int(value.p), int(value.q)) for value in of.all_coeffs()]


def _value(of: Poly, at: Fraction) -> Fraction:
    total = Fraction(0)
    for coefficient in coefficients(of):
        total = total * at + coefficient
    return total


def _reciprocal_part(of: Poly) -> Poly:
    """The factor of the roots whose inverses are roots too."""
    return of.gcd(polynomial(of.all_coeffs()[::-1]))


def characteristic_polynomial(W: Exact) -> Poly:
    """det(x I - W)."""
    whole = of_sympy(W.numerators).charpoly()
    return polynomial(Fraction(int(c), W.denominator**power) for power, c in enumerate(whole))


def _simple_modulo(W: Exact) -> bool:
    """Whether all eigenvalues are simple modulo a prime, which proves that they are simple.

    The resultant of the characteristic polynomial and its derivative, an integer, is not 0 there.
    """
    size, numbers = len(W.numerators), residues(W.numerators)
    identity = np.eye(size, dtype=np.int64)
    values, power = [1], identity
    for step in range(1, size + 1):
        product = numbers @ power % PRIME
        values.append(int(-np.trace(product) * pow(step, -1, PRIME) % PRIME))
        power = (product + values[-1] * identity) % PRIME
    slopes = [(size - i) * value % PRIME for i, value in enumerate(values[:-1])]
    sylvester = np.zeros((2 * size - 1, 2 * size - 1), dtype=np.int64)
    for row in range(size - 1):
        sylvester[row, row : row + size + 1] = values
    for row in range(size):
        sylvester[size - 1 + row, row : row + size] = slopes
    return rank_modulo(sylvester) == len(sylvester)


def square_free_factors(of: Poly) -> list[tuple[Poly, int]]:
    """[(q, i), ...]: the roots of q are those of multiplicity i, each once; q monic."""
    return [(factor.monic(), multiplicity) for factor, multiplicity in of.sqf_list()[1]]


def roots_on_the_circle(of: Poly) -> int:
    """How many roots of a square-free polynomial with rational coefficients have |x| = 1.

    They are roots of the greatest common divisor with the reversed polynomial. Without 1 and -1
    that is x^m w(x + 1/x), and its roots on the circle are pairs, one for each root of w in
    (-2, 2).
    """
    shared = _reciprocal_part(of)
    count = 0
    for root in (1, -1):
        if _value(shared, Fraction(root)) == 0:
            shared = shared.quo(polynomial([1, -root]))
            count += 1
    half = shared.degree() // 2
    if half == 0:
        return count
    # x^k + x^-k as a polynomial in y = x + 1/x
    y = polynomial([1, 0])
    before, power = polynomial([2]), y
    middle = shared.all_coeffs()[half::-1]
    w = polynomial([middle[0]])
    for value in middle[1:]:
        w += power * value
        before, power = power, y * power - before
    return count + 2 * int(w.count_roots(-2, 2))  # neither end is a root


def polynomial_of(W: Exact, of: Poly) -> Exact:
    """A positive multiple of q(W) for a q with a positive leading coefficient; of the same rank."""
    values = coefficients(of)
    scale = lcm(*(value.denominator for value in values))
    identity = Exact.identity(len(W.numerators))
    result = identity.times(values[0] * scale)
    for value in values[1:]:
        result = result @ W + identity.times(value * scale)
    return result.reduced()


def _split(of: Poly, guesses: list[Fraction]) -> list[Poly]:
    """Factors of a square-free polynomial: roots among the guesses, off the circle, the rest."""
    factors = []
    for guess in guesses:
        if of.degree() > 1 and _value(of, guess) == 0:
            factors.append(polynomial([1, -guess]))
            of = of.quo(factors[-1])
    reciprocal = _reciprocal_part(of)
    off = of.quo(reciprocal)
    return [*factors, *(factor for factor in (off, reciprocal) if factor.degree() > 0)]


def rational_guesses(matrix: Exact) -> list[Fraction]:
    """Rational numbers near the real eigenvalues, for exact tests; distinct."""
    numbers = matrix.as_floats()
    if numbers.size == 0 or not np.isfinite(numbers).all():
        return []
    guesses = []
    for value in np.linalg.eigvals(numbers):
        if abs(value.imag) <= 1e-6 * max(1.0, abs(value.real)):
            exact = Fraction(float(value.real))
            guesses += [exact, exact.limit_denominator(1000), exact.limit_denominator(10**6)]
    return list(dict.fromkeys(guesses))


def is_near_the_circle(values: Any) -> NDArray:
    """Whether |lambda| is within 1e-7 of 1; such eigenvalues are not counted in a bound."""
    return np.abs(np.abs(values) - 1) <= UNIT_CIRCLE


def _passed_over(factor: Poly) -> int:
    """How many roots of a square-free polynomial are on the unit circle, or too near it."""
    try:
        floats = np.array([float(value) for value in coefficients(factor)])
    except OverflowError:
        return int(factor.degree())
    near = int(is_near_the_circle(np.roots(floats)).sum())
    return max(near, roots_on_the_circle(factor))


def all_eigenvalues_on_the_circle(W: Exact) -> bool:
    """Whether all eigenvalues of a square rational matrix have |lambda| = 1, exactly."""
    # |det W| = 1 holds modulo a prime too, where it is seen at once that it does not
    whole = pow(W.denominator, len(W.numerators), PRIME)
    if determinant_modulo(residues(W.numerators)) not in (whole, -whole % PRIME):
        return False
    if abs(W.determinant()) != 1:
        return False
    return all(
        factor.degree() == roots_on_the_circle(factor)
        for factor, _ in square_free_factors(characteristic_polynomial(W))
    )


def is_diagonalisable(W: Exact) -> bool:
    """Whether a square rational matrix is diagonalisable over the complex numbers, exactly."""
    kernels = 0
    for factor, _ in square_free_factors(characteristic_polynomial(W)):
        kernels += len(W.numerators) - polynomial_of(W, factor).rank()
    return kernels == len(W.numerators)


def largest_multiplicity(W: Exact) -> int:
    """mu = max over |lambda| != 1 of dim ker(W - lambda I), or less.

    W: square. Never more than mu. Less where |lambda| is within 1e-7 of 1: a W that was rounded
    from an orthogonal one has such eigenvalues. And less where eigenvalues that belong to one
    rational factor have different multiplicities; then their mean is rounded up.
    """
    size = len(W.numerators)
    if size == 0:
        return 0
    if _simple_modulo(W):
        near = is_near_the_circle(np.linalg.eigvals(W.as_floats()))
        return int(not near.all() and not all_eigenvalues_on_the_circle(W))
    best = 0
    for repeated, multiplicity in square_free_factors(characteristic_polynomial(W)):
        for factor in _split(repeated, rational_guesses(W)):
            degree, passed_over = int(factor.degree()), _passed_over(factor)
            if passed_over >= degree:
                continue
            kernel = degree
            if multiplicity > 1:
                kernel = size - polynomial_of(W, factor).rank()
            best = max(best, -((multiplicity * passed_over - kernel) // (degree - passed_over)))
    return best
