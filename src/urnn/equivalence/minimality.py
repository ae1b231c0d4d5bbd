"""Theorem 2: how many states must a URNN have? The witnesses, and bounds from two steps.

J0(k) = dy(k)/dx(k) and J1(k) = dy(k+1)/dx(k) are what a map shows of itself near one sequence of
inputs. A URNN with N states, activation patterns D_k and the same map has J0(k) = C_u D_k F_u and
J1(k) = C_u D_(k+1) W_u D_k F_u, with W_u real and orthogonal. Two lower bounds on N follow:

(A)  N >= rank J0(k) + rank J0(k+1) - rank J1(k)               always
(B)  N >= 2 rank J0 - rank(J1 - lambda J0), |lambda| != 1      where D_(k+1) F_u = D_k F_u

Bounds (C') and (E) are in `urnn.equivalence.realization` and `urnn.equivalence.steady_state`. All
of them are about real URNNs, and all ranks are exact (`urnn.equivalence.exact`): the float64
parameters are taken as the rational numbers that they are.

Source: the paper, Theorem 2; docs/theorems.md, Theorem 2.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import ArrayLike, NDArray

from urnn.equivalence.checks import real_relu_network
from urnn.equivalence.exact import Exact
from urnn.equivalence.multiplicity import (
    is_near_the_circle,
    largest_multiplicity,
    rational_guesses,
)
from urnn.equivalence.state_bounds import norm_tolerance, spectral_norm
from urnn.errors import ArgumentError
from urnn.rnn import RNN


@dataclass(frozen=True)
class LowerBound:
    """No real URNN with fewer than ``states`` states has the map, under ``condition``.

    states     the bound on the states of real URNNs
    condition  what must hold for the bound to apply to the whole map
    status     "proved" or "conditional"
    """

    states: int
    condition: str
    status: str

    @property
    def complex_states(self) -> int:
        """No complex URNN with CReLU and fewer than this many states has the map: half, rounded up.

        Such a network with N states is a real one with 2 N.
        """
        return (self.states + 1) // 2


# ---------------------------------------------------------------------------------- the witnesses


def bounded_witness(hidden_units: int, input_bound: float = 1.0) -> RNN:
    """Witness A: W = 0, F = C = I, b = M: for sup-norm inputs up to M, (A) gives N >= 2n.

    y(k) = x(k) + M for all of these inputs, so J0 = I and J1 = 0. Theorem 1 attains 2n. The bound
    uses no more of W_u than that it is invertible. PROVED, for every open set of such inputs and
    every real URNN (docs/theorems.md, Bound (A)). A complex one has n states (`to_unitary` with
    states="complex").
    """
    eye = np.eye(hidden_units)
    return RNN(0 * eye, eye, np.full(hidden_units, float(input_bound)), eye)


def scaled_identity_witness(hidden_units: int, rho: float, bias: ArrayLike = 0.0) -> RNN:
    """Witness B: W = rho I, F = C = I, -1 < rho < 1: a real URNN needs 2n states.

    On every input set with an interior point x for which x + b > 0; 2n suffice on bounded inputs,
    and for rho >= 0 without a bound on the inputs too.

    Status: PROVED (docs/theorems.md, Bound (E)); `steady_state_bound` computes it.

    Raises:
        ArgumentError: rho outside (-1, 1).
    """
    if not -1 < rho < 1:
        raise ArgumentError(f"rho must lie in (-1, 1), but it is {rho}")
    eye = np.eye(hidden_units)
    return RNN(rho * eye, eye, np.broadcast_to(bias, hidden_units), eye)


# ----------------------------------------------------------------------- Jacobians and the bounds


@dataclass(frozen=True)
class TwoStepJacobians:
    """dy(k)/dx(k), dy(k+1)/dx(k+1) and dy(k+1)/dx(k), each (p, m), near one input sequence."""

    first: NDArray
    second: NDArray
    across: NDArray


def activation_patterns(rnn: RNN, x: ArrayLike) -> NDArray:
    """The diagonals of D_0, D_1, ...: which units are on, (time, hidden), for inputs (time, input).

    Raises:
        ArgumentError: the network is not a real ReLU network, or x is not (time, input).
    """
    rnn = real_relu_network(rnn, "activation patterns")
    return rnn.states(_one_sequence(x)) > 0


def _one_sequence(x: ArrayLike) -> NDArray:
    inputs = np.asarray(x)
    if inputs.ndim != 2:
        raise ArgumentError(f"x must have the shape (time, input), but it has {inputs.shape}")
    return inputs


def decided_steps(rnn: RNN, x: ArrayLike) -> tuple[NDArray, NDArray]:
    """(patterns, decided): which units are on, and at which steps that holds near x as well.

    A step is decided if each pre-activation is further from 0 than its rounding error can be, or
    does not depend on the inputs near x at all. patterns (time, hidden), decided (time,), bool.

    Rounding errors: e(k) <= |W| e(k-1) + g (|W| |h| + |F| |x| + |b|), entry by entry and in the
    2-norm, g = (n + m + 3) eps.
    """
    patterns = activation_patterns(rnn, x)
    inputs = np.asarray(x, dtype=np.float64)
    gain, norm = np.abs(rnn.W), spectral_norm(rnn.W) * (1 + norm_tolerance(rnn.hidden_units))
    rows = np.linalg.norm(rnn.W, axis=1)
    unit = (rnn.hidden_units + rnn.input_size + 3) * float(np.finfo(np.float64).eps)
    h, error, length = rnn.h_init, np.zeros(rnn.hidden_units), 0.0
    driven = rnn.F.any(axis=1)
    reached = np.zeros(rnn.hidden_units, dtype=bool)
    decided = np.zeros(len(inputs), dtype=bool)
    for step, now in enumerate(inputs):
        z = rnn.W @ h + rnn.F @ now + rnn.b
        rounding = unit * (gain @ np.abs(h) + np.abs(rnn.F) @ np.abs(now) + np.abs(rnn.b)) + 1e-300
        error = np.minimum(gain @ error, rows * length) + rounding
        length = norm * length + float(np.linalg.norm(rounding))
        certain = np.abs(z) > 2 * error
        reached = driven | (rnn.W[:, reached] != 0).any(axis=1)
        decided[step] = (certain | ~reached).all()
        reached = reached & ((z > 0) | ~certain)
        h = np.maximum(z, 0)
    return patterns, decided


def _undecided(step: int) -> ArgumentError:
    return ArgumentError(
        f"at step {step} or the next one a pre-activation is 0 or too near to tell its sign, and "
        "the map may have no derivative there: take another x, or change it slightly"
    )


def _jacobians(rnn: RNN, now: NDArray, then: NDArray) -> tuple[Exact, Exact, Exact]:
    """C D_k F, C D_(k+1) F and C D_(k+1) W D_k F for the patterns D_k, D_(k+1), exactly."""
    F, C = Exact.of(rnn.F), Exact.of(rnn.C)
    across = C[:, then] @ Exact.of(rnn.W)[then][:, now] @ F[now]
    return C[:, now] @ F[now], C[:, then] @ F[then], across


def _jacobians_at(rnn: RNN, x: ArrayLike, step: int) -> tuple[Exact, Exact, Exact]:
    patterns, decided = decided_steps(rnn, x)
    if not 0 <= step < len(patterns) - 1:
        raise ArgumentError(f"step must lie in 0 to {len(patterns) - 2}, but it is {step}")
    if not decided[step : step + 2].all():
        raise _undecided(step)
    return _jacobians(rnn, patterns[step], patterns[step + 1])


def two_step_jacobians(rnn: RNN, x: ArrayLike, step: int) -> TwoStepJacobians:
    """C D_k F, C D_(k+1) F and C D_(k+1) W D_k F at k = step along the inputs x (time, input).

    The derivatives of the map there, float64.

    Raises:
        ArgumentError: as `activation_patterns`, step + 1 lies beyond the inputs, or at one of the
            two steps a pre-activation is 0 or within rounding of it.
    """
    return TwoStepJacobians(*(jacobian.as_floats() for jacobian in _jacobians_at(rnn, x, step)))


def two_step_bound(rnn: RNN, x: ArrayLike) -> LowerBound:
    """(A): N >= rank J0(k) + rank J0(k+1) - rank J1(k), the largest over the steps k of x.

    It holds for every real URNN that has the map on a neighbourhood of x, whatever its patterns
    are. x (time, input). Steps at which a pre-activation is 0, or within rounding of it, are left
    out.

    Raises:
        ArgumentError: as `activation_patterns`, fewer than two steps, or every step is left out.

    Status: PROVED (docs/theorems.md, Bound (A)); the ranks are exact.
    """
    patterns, decided = decided_steps(rnn, x)
    if len(patterns) < 2:
        raise ArgumentError(f"x must have at least two time steps, but it has {len(patterns)}")
    usable = np.flatnonzero(decided[:-1] & decided[1:])
    if len(usable) == 0:
        raise _undecided(0)
    best = 0
    pairs = {(patterns[k].tobytes(), patterns[k + 1].tobytes()): k for k in usable}
    for step in pairs.values():
        first, second, across = _jacobians(rnn, patterns[step], patterns[step + 1])
        best = max(best, first.rank() + second.rank() - across.rank())
    return LowerBound(best, "the maps agree near these inputs", "proved")


def _complex_rank(first: Exact, second: Exact, value: complex) -> int:
    """rank(first - value second), for a complex value: half of that of the real form."""
    real = first - second.times(Fraction(value.real))
    if value.imag == 0:
        return real.rank()
    imaginary = second.times(Fraction(value.imag))
    return real.beside(imaginary).above(imaginary.times(-1).beside(real)).rank() // 2


def eigenvalue_bound(
    rnn: RNN, x: ArrayLike, step: int, eigenvalues: ArrayLike | None = None
) -> LowerBound:
    """(B): N >= 2 rank J0 - rank(J1 - lambda J0), the largest over lambda off the unit circle.

    At k = step of the inputs x (time, input). lambda is 0, any of ``eigenvalues``, or by default a
    rational number near a real eigenvalue of W; where J0 is square and invertible, every eigenvalue
    of J0^-1 J1 is tried, exactly. Where J0(k) and J0(k+1) differ the condition cannot hold, and
    only N >= 0 is returned.

    Raises:
        ArgumentError: as `two_step_jacobians`.

    Status: conditional. PROVED where D_(k+1) F_u = D_k F_u for the URNN. That holds for the inputs
    t eta, t s eta with generic eta and large t, s (if all inputs are allowed), and near the limit
    state of a URNN that converges under a constant input (docs/theorems.md, Bound (B)).
    """
    condition = (
        "the URNN switches no unit that the input reaches between the two steps "
        "(inputs from all of R^m can be chosen so)"
    )
    first, second, across = _jacobians_at(rnn, x, step)
    if not (first - second).is_zero():
        return LowerBound(0, condition, "conditional")
    candidates: list[complex | Fraction] = [Fraction(0)]
    if eigenvalues is None:
        candidates += rational_guesses(Exact.of(rnn.W))
    else:
        candidates += [complex(value) for value in np.ravel(eigenvalues)]
    size = first.rank()
    least = min(
        across.rank() if value == 0 else _complex_rank(across, first, value)  # type: ignore[arg-type]
        for value in candidates
        if not is_near_the_circle(complex(value))
    )
    if first.shape == (size, size) and eigenvalues is None:
        inverse = first.solve(across)
        if inverse is not None:
            least = min(least, size - largest_multiplicity(inverse))
    return LowerBound(max(2 * size - least, 0), condition, "conditional")
