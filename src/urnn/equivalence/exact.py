"""Matrices of rational numbers, with exact ranks and solutions: how the lower bounds are decided.

A float64 is a rational number, so the rank of a matrix of them is a fact, not a matter of a
tolerance. Sums and products are exact too; ranks, determinants and solutions come from sympy's
fraction-free elimination. A full rank is often seen faster modulo a prime, where a rank can only be
smaller.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from math import gcd
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

if TYPE_CHECKING:
    from sympy.polys.matrices import DomainMatrix

#: products of two residues, summed up to 2,000 times, fit in int64
PRIME = 67_108_859


@dataclass(frozen=True)
class Exact:
    """numerators / denominator: a matrix (rows, columns) of rational numbers.

    numerators   integers of any size (object array)
    denominator  one positive integer for all of them
    """

    numerators: NDArray
    denominator: int = 1

    @staticmethod
    def of(matrix: ArrayLike) -> Exact:
        """The exact value of a matrix of finite real numbers (float64 or integers)."""
        mantissas, exponents = np.frexp(np.atleast_2d(np.asarray(matrix, dtype=np.float64)))
        whole = np.ldexp(mantissas, 53).astype(np.int64).astype(object)
        powers = exponents.astype(object) - 53
        lowest = min(0, *powers.flat) if powers.size else 0
        shifted = np.array(
            [
                int(value) << int(power - lowest)
                for value, power in zip(whole.flat, powers.flat, strict=True)
            ],
            dtype=object,
        ).reshape(whole.shape)
        return Exact(shifted, 1 << -lowest).reduced()

    @staticmethod
    def identity(size: int) -> Exact:
        """The identity matrix."""
        return Exact(np.eye(size, dtype=np.int64).astype(object))

    def reduced(self) -> Exact:
        """The same matrix without a factor that all of its numbers share."""
        common = gcd(self.denominator, *(int(value) for value in self.numerators.flat))
        if common <= 1:
            return self
        return Exact(self.numerators // common, self.denominator // common)

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, columns)."""
        rows, columns = self.numerators.shape
        return rows, columns

    @property
    def T(self) -> Exact:
        """The transpose."""
        return Exact(self.numerators.T, self.denominator)

    def __getitem__(self, index: Any) -> Exact:
        return Exact(self.numerators[index], self.denominator)

    def __matmul__(self, other: Exact) -> Exact:
        if 0 in (*self.shape, *other.shape):
            return Exact(np.full((self.shape[0], other.shape[1]), 0, dtype=object))
        product = self.numerators @ other.numerators
        return Exact(product, self.denominator * other.denominator)

    def __add__(self, other: Exact) -> Exact:
        total = self.numerators * other.denominator + other.numerators * self.denominator
        return Exact(total, self.denominator * other.denominator)

    def __sub__(self, other: Exact) -> Exact:
        return self + other.times(-1)

    def times(self, factor: int | Fraction) -> Exact:
        """factor times the matrix."""
        ratio = Fraction(factor)
        return Exact(self.numerators * ratio.numerator, self.denominator * ratio.denominator)

    def beside(self, other: Exact) -> Exact:
        """[self other]."""
        left, right = (
            self.numerators * other.denominator,
            other.numerators * self.denominator,
        )
        return Exact(np.hstack([left, right]), self.denominator * other.denominator)

    def above(self, other: Exact) -> Exact:
        """[self; other]."""
        return self.T.beside(other.T).T

    def signs(self) -> NDArray:
        """-1, 0 or 1 for each entry, int64."""
        return np.array([(v > 0) - (v < 0) for v in self.numerators.flat], dtype=np.int64).reshape(
            self.shape
        )

    def is_zero(self) -> bool:
        """Whether every entry is 0."""
        return not self.signs().any()

    def rank(self) -> int:
        """The rank, exact."""
        nonzero = self.signs() != 0
        numbers = self.numerators[nonzero.any(axis=1)][:, nonzero.any(axis=0)]
        if numbers.size == 0:
            return 0
        if rank_modulo(residues(numbers)) == min(numbers.shape):
            return min(numbers.shape)
        return len(_pivots(numbers))

    def independent_columns(self) -> list[int]:
        """The first columns that span the column space."""
        return _pivots(self.numerators)

    def determinant(self) -> Fraction:
        """The determinant of a square matrix."""
        return Fraction(
            int(of_sympy(self.numerators).det()), self.denominator ** len(self.numerators)
        )

    def as_floats(self) -> NDArray:
        """The nearest float64 of each entry; infinite where there is none."""

        def nearest(value: int) -> float:
            try:
                return value / self.denominator
            except OverflowError:
                return np.inf if value > 0 else -np.inf

        return np.array([nearest(int(v)) for v in self.numerators.flat]).reshape(self.shape)

    def is_positive_definite(self) -> bool:
        """Whether all leading principal minors of a symmetric matrix are positive (Sylvester)."""
        rest, previous = self.numerators.copy(), 1
        for step in range(len(rest)):
            pivot = rest[step, step]
            if pivot <= 0:
                return False
            below = rest[step + 1 :]
            below[:] = (pivot * below - np.outer(below[:, step], rest[step])) // previous
            previous = pivot
        return True

    def solve(self, right: Exact) -> Exact | None:
        """X with self X = right, for a square matrix; None if it is singular."""
        from sympy.polys.matrices.exceptions import DMNonInvertibleMatrixError

        try:
            solution, divisor = of_sympy(self.numerators).solve_den(of_sympy(right.numerators))
        except DMNonInvertibleMatrixError:
            return None
        numerators = np.array(solution.to_list(), dtype=object).reshape(right.shape)
        factor = self.denominator if divisor > 0 else -self.denominator
        return Exact(numerators * factor, abs(int(divisor)) * right.denominator).reduced()


def of_sympy(numbers: NDArray) -> DomainMatrix:
    """Integers as sympy's matrix, whose elimination is fraction-free."""
    from sympy import ZZ
    from sympy.polys.matrices import DomainMatrix

    return DomainMatrix([[ZZ(int(v)) for v in row] for row in numbers], numbers.shape, ZZ)


def residues(numbers: NDArray) -> NDArray:
    """Integers modulo `PRIME`, int64."""
    return np.array([int(value) % PRIME for value in numbers.flat], dtype=np.int64).reshape(
        numbers.shape
    )


def rank_modulo(numbers: NDArray) -> int:
    """The rank of residues modulo `PRIME`: at most the rank of the integers."""
    rest = numbers.copy()
    rank = 0
    for column in range(rest.shape[1]):
        usable = np.flatnonzero(rest[rank:, column])
        if len(usable) == 0:
            continue
        rest[[rank, rank + usable[0]]] = rest[[rank + usable[0], rank]]
        inverse = pow(int(rest[rank, column]), -1, PRIME)
        factors = rest[rank + 1 :, column] * inverse % PRIME
        rest[rank + 1 :] = (rest[rank + 1 :] - np.outer(factors, rest[rank])) % PRIME
        rank += 1
        if rank == len(rest):
            break
    return rank


def determinant_modulo(numbers: NDArray) -> int:
    """The determinant of a square matrix of residues modulo `PRIME`: that of the integers there."""
    rest, result = numbers.copy(), 1
    for step in range(len(rest)):
        usable = np.flatnonzero(rest[step:, step])
        if len(usable) == 0:
            return 0
        if usable[0] > 0:
            rest[[step, step + usable[0]]] = rest[[step + usable[0], step]]
            result = -result
        pivot = int(rest[step, step])
        result = result * pivot % PRIME
        factors = rest[step + 1 :, step] * pow(pivot, -1, PRIME) % PRIME
        rest[step + 1 :] = (rest[step + 1 :] - np.outer(factors, rest[step])) % PRIME
    return result % PRIME


def is_reachable_modulo(W: Exact, F: Exact) -> bool:
    """Whether F, W F, W^2 F, ... span everything modulo `PRIME`, and so in the rationals too."""
    transition, block = residues(W.numerators), residues(F.numerators)
    blocks = [block]
    for _ in range(len(transition) - 1):
        block = transition @ block % PRIME
        blocks.append(block)
    return rank_modulo(np.hstack(blocks)) == len(transition)


def _pivots(numbers: NDArray) -> list[int]:
    """The pivot columns of the row echelon form."""
    return list(of_sympy(numbers).rref_den()[2])
