"""Exact multiplicities of the eigenvalues of a rational matrix, on and off the unit circle.

A float64 matrix has eigenvalues that no float64 need hold, so their multiplicities are read from
polynomials: the characteristic polynomial is split into square-free factors q by the multiplicity
of the roots, and dim ker q(W) is the sum of dim ker(W - lambda I) over the roots of q. Roots on the
unit circle are counted by Sturm's theorem.
"""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from math import lcm
from typing import Any

import numpy as np
from numpy.typing import NDArray

from urnn.equivalence.exact import PRIME, Exact, rank_modulo, residues

#: |lambda| this near 1 counts as 1
UNIT_CIRCLE = 1e-7
#: rational coefficients, lowest power first, without a leading zero; [] is 0
Polynomial = list[Fraction]


def _trimmed(coefficients: Polynomial) -> Polynomial:
    while coefficients and coefficients[-1] == 0:
        coefficients = coefficients[:-1]
    return coefficients


def _monic(polynomial: Polynomial) -> Polynomial:
    return [value / polynomial[-1] for value in polynomial]


def _divided(numerator: Polynomial, divisor: Polynomial) -> tuple[Polynomial, Polynomial]:
    """(quotient, remainder)."""
    rest = list(numerator)
    quotient = [Fraction(0)] * max(0, len(rest) - len(divisor) + 1)
    for shift in reversed(range(len(quotient))):
        factor = rest[shift + len(divisor) - 1] / divisor[-1]
        quotient[shift] = factor
        for power, value in enumerate(divisor):
            rest[shift + power] -= factor * value
    return _trimmed(quotient), _trimmed(rest)


def _common(first: Polynomial, second: Polynomial) -> Polynomial:
    """The greatest common divisor, monic."""
    while second:
        first, second = second, _divided(first, second)[1]
        second = _monic(second) if second else second
    return _monic(first)


def _derivative(polynomial: Polynomial) -> Polynomial:
    return [power * value for power, value in enumerate(polynomial)][1:]


def _value(polynomial: Polynomial, at: Fraction) -> Fraction:
    total = Fraction(0)
    for coefficient in reversed(polynomial):
        total = total * at + coefficient
    return total


def characteristic_polynomial(W: Exact) -> Polynomial:
    """det(x I - W), monic, by Faddeev and LeVerrier."""
    size, numbers = len(W.numerators), W.numerators
    identity = np.eye(size, dtype=np.int64).astype(object)
    coefficients, power = [1], identity
    for step in range(1, size + 1):
        product = numbers @ power
        coefficients.append(-sum(int(product[i, i]) for i in range(size)) // step)
        power = product + coefficients[-1] * identity
    return [
        Fraction(value, W.denominator ** (size - index))
        for index, value in enumerate(reversed(coefficients))
    ]


def _simple_modulo(W: Exact) -> bool:
    """Whether all eigenvalues are simple modulo a prime, which proves that they are simple.

    The resultant of the characteristic polynomial and its derivative, an integer, is not 0 there.
    """
    size, numbers = len(W.numerators), residues(W.numerators)
    identity = np.eye(size, dtype=np.int64)
    coefficients, power = [1], identity
    for step in range(1, size + 1):
        product = numbers @ power % PRIME
        coefficients.append(int(-np.trace(product) * pow(step, -1, PRIME) % PRIME))
        power = (product + coefficients[-1] * identity) % PRIME
    slopes = [(size - i) * value % PRIME for i, value in enumerate(coefficients[:-1])]
    sylvester = np.zeros((2 * size - 1, 2 * size - 1), dtype=np.int64)
    for row in range(size - 1):
        sylvester[row, row : row + size + 1] = coefficients
    for row in range(size):
        sylvester[size - 1 + row, row : row + size] = slopes
    return rank_modulo(sylvester) == len(sylvester)


def square_free_factors(polynomial: Polynomial) -> list[tuple[Polynomial, int]]:
    """[(q, i), ...]: the roots of q are those of multiplicity i, each once (Yun's algorithm)."""
    slope = _derivative(polynomial)
    shared = _common(polynomial, slope)
    rest, other = _divided(polynomial, shared)[0], _divided(slope, shared)[0]
    factors = []
    multiplicity = 1
    while len(rest) > 1:
        difference = _trimmed(
            [
                a - b
                for a, b in zip(
                    _padded(other, len(rest)), _padded(_derivative(rest), len(rest)), strict=True
                )
            ]
        )
        factor = _common(rest, difference) if difference else _monic(rest)
        if len(factor) > 1:
            factors.append((factor, multiplicity))
        rest = _divided(rest, factor)[0]
        other = _divided(difference, factor)[0] if difference else []
        multiplicity += 1
    return factors


def _padded(polynomial: Polynomial, length: int) -> Polynomial:
    return polynomial + [Fraction(0)] * (length - len(polynomial))


def _sign_changes(chain: list[Polynomial], at: int) -> int:
    signs = [value > 0 for value in (_value(p, Fraction(at)) for p in chain) if value != 0]
    return sum(a != b for a, b in pairwise(signs))


def roots_on_the_circle(polynomial: Polynomial) -> int:
    """How many roots of a square-free polynomial with rational coefficients have |x| = 1.

    They are roots of the greatest common divisor with the reversed polynomial. Without 1 and -1
    that is x^m w(x + 1/x), and its roots on the circle are pairs, one for each root of w in
    (-2, 2).
    """
    shared = _common(polynomial, _trimmed(polynomial[::-1]))
    count = 0
    for root in (1, -1):
        if _value(shared, Fraction(root)) == 0:
            shared = _divided(shared, [Fraction(-root), Fraction(1)])[0]
            count += 1
    half = (len(shared) - 1) // 2
    if half == 0:
        return count
    # x^k + x^-k as a polynomial in y = x + 1/x
    powers: list[Polynomial] = [[Fraction(2)], [Fraction(0), Fraction(1)]]
    for _ in range(half - 1):
        shifted = [Fraction(0), *powers[-1]]
        powers.append(
            [a - b for a, b in zip(shifted, _padded(powers[-2], len(shifted)), strict=True)]
        )
    w = [Fraction(0)] * (half + 1)
    w[0] = shared[half]
    for k in range(1, half + 1):
        for power, value in enumerate(powers[k]):
            w[power] += shared[half + k] * value
    chain = [w, _derivative(w)]
    while len(chain[-1]) > 1:
        remainder = _divided(chain[-2], chain[-1])[1]
        if not remainder:
            break
        chain.append([-value / abs(remainder[-1]) for value in remainder])
    return count + 2 * (_sign_changes(chain, -2) - _sign_changes(chain, 2))


def polynomial_of(W: Exact, polynomial: Polynomial) -> Exact:
    """A positive multiple of q(W), of the same rank."""
    scale = lcm(*(value.denominator for value in polynomial))
    result = Exact.identity(len(W.numerators)).times(polynomial[-1] * scale)
    for value in reversed(polynomial[:-1]):
        result = result @ W + Exact.identity(len(W.numerators)).times(value * scale)
    return result.reduced()


def _split(polynomial: Polynomial, guesses: list[Fraction]) -> list[Polynomial]:
    """Factors of a square-free polynomial: roots among the guesses, off the circle, the rest."""
    factors = []
    for guess in guesses:
        if len(polynomial) > 2 and _value(polynomial, guess) == 0:
            factors.append([-guess, Fraction(1)])
            polynomial = _divided(polynomial, factors[-1])[0]
    reciprocal = _common(polynomial, _trimmed(polynomial[::-1]))
    off = _divided(polynomial, reciprocal)[0]
    return [*factors, *(factor for factor in (off, reciprocal) if len(factor) > 1)]


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


def _passed_over(factor: Polynomial) -> int:
    """How many roots of a square-free polynomial are on the unit circle, or too near it."""
    try:
        floats = np.array([float(value) for value in reversed(factor)])
    except OverflowError:
        return len(factor) - 1
    near = int(is_near_the_circle(np.roots(floats)).sum())
    return max(near, roots_on_the_circle(factor))


def all_eigenvalues_on_the_circle(W: Exact) -> bool:
    """Whether all eigenvalues of a square rational matrix have |lambda| = 1, exactly."""
    if abs(W.determinant()) != 1:
        return False
    return all(
        len(factor) - 1 == roots_on_the_circle(factor)
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
            degree, passed_over = len(factor) - 1, _passed_over(factor)
            if passed_over >= degree:
                continue
            kernel = degree
            if multiplicity > 1:
                kernel = size - polynomial_of(W, factor).rank()
            best = max(best, -((multiplicity * passed_over - kernel) // (degree - passed_over)))
    return best
