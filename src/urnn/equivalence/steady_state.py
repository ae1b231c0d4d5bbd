"""Theorem 2, bound (E): what the gains of the last and of a constant input say about N.

Nothing is assumed of the URNN; the network itself must have a steady state, which is found in
float64 and then proved: the fixed point is solved for in rational numbers, and convergence to it
follows from I - W^T W > 0, or from a Lyapunov function and the orbit of h(-1).

Source: docs/theorems.md, Bound (E) (PROVED, beyond the paper).
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import ArrayLike, NDArray

from urnn.equivalence.checks import real_relu_network, vector
from urnn.equivalence.exact import Exact
from urnn.equivalence.minimality import LowerBound
from urnn.equivalence.multiplicity import (
    is_near_the_circle,
    largest_multiplicity,
    rational_guesses,
)
from urnn.equivalence.state_bounds import norm_tolerance, spectral_norm
from urnn.equivalence.stein import stein_sum
from urnn.errors import ArgumentError
from urnn.rnn import RNN

#: time steps after which the search for a steady state ends
_LONGEST = 10_000


@dataclass(frozen=True)
class AtRest:
    """g = relu(W g + c), exactly.

    on              the units with a positive pre-activation, indices
    state           their g, (on, 1)
    pre_activations of the other units, (off, 1): negative, or 0 where no input arrives
    """

    on: NDArray
    state: Exact
    pre_activations: Exact


def krylov_basis(W: Exact, F: Exact) -> Exact:
    """Columns that are a basis of the span of F, W F, W^2 F, ..."""
    basis = F[:, F.independent_columns()]
    while 0 < basis.shape[1] < len(W.numerators):
        longer = basis.beside(W @ basis)
        columns = longer.independent_columns()
        if len(columns) == basis.shape[1]:
            break
        basis = longer[:, columns].reduced()
    return basis


def _verified(W: Exact, drive: Exact, F: Exact, on: NDArray) -> AtRest | None:
    """The fixed point with exactly the units ``on`` on, if there is one, strictly."""
    off = np.setdiff1d(np.arange(len(W.numerators)), on)
    inner = W[on, :][:, on]
    state = (Exact.identity(len(on)) - inner).solve(drive[on, :])
    if state is None or (state.signs() <= 0).any():
        return None
    pre_activations = W[off, :][:, on] @ state + drive[off, :]
    signs = pre_activations.signs()[:, 0]
    if (signs > 0).any():
        return None
    idle = off[signs == 0]
    if len(idle):
        arriving = W[idle, :][:, on] @ krylov_basis(inner, F[on, :])
        if not (F[idle, :].is_zero() and arriving.is_zero()):
            return None
    return AtRest(on, state, pre_activations)


def pattern_at_rest(
    floats: tuple[NDArray, NDArray, NDArray], W: Exact, drive: Exact, F: Exact
) -> AtRest:
    """The fixed point of h -> relu(W h + c) that the orbit of h(-1) leads to, proved to be one.

    floats: W, c and h(-1) in float64. That the orbit converges is not shown here.

    Raises:
        ArgumentError: no fixed point is found, or a pre-activation is 0 there.
    """
    transition, constant, h = floats
    for step in range(_LONGEST):
        z = transition @ h + constant
        if not np.isfinite(z).all():
            break
        if step & (step - 1) == 0:  # at the powers of 2
            found = _verified(W, drive, F, np.flatnonzero(z > 0))
            if found is not None:
                return found
        h = np.maximum(z, 0)
    raise ArgumentError(
        "no steady state with pre-activations other than 0 was found: the state does not converge, "
        "or converges to a kink of a ReLU; try another x"
    )


def _contracts(rnn: RNN) -> bool:
    """Whether ||W||_2 < 1, exactly: then every constant input leads to its one fixed point."""
    W = Exact.of(rnn.W)
    return (Exact.identity(rnn.hidden_units) - W.T @ W).is_positive_definite()


def _shrinking_ball(A: NDArray, rows: NDArray, sizes: NDArray) -> tuple[NDArray, float] | None:
    """(P, r) with P > A^T P A, and |rows d| < sizes on the ball d^T P d <= r^2; None if none is."""
    if len(A) == 0:
        return A, np.inf
    P = stein_sum(A, np.eye(len(A)))
    if P is None:
        return None
    lyapunov, gain = Exact.of(P), Exact.of(A)
    decrease = lyapunov - gain.T @ lyapunov @ gain
    if not (lyapunov.is_positive_definite() and decrease.is_positive_definite()):
        return None
    slopes = np.sqrt(np.einsum("ij,ji->i", rows, np.linalg.solve(P, rows.T)))
    used = slopes > 0
    # half of it leaves room for rounding
    return P, 0.5 * float((sizes[used] / slopes[used]).min(initial=np.inf))


def _reaches(rnn: RNN, x: NDArray, at_rest: AtRest) -> bool:
    """Whether the orbit of h(-1) under x, and those under inputs near x, converge to the state.

    With P > A^T P A, A = the part of W among the units that are on, balls in the norm of P shrink;
    the orbit must enter one in which no unit switches. Its rounding errors are bounded.
    """
    on = at_rest.on
    off = np.setdiff1d(np.arange(rnn.hidden_units), on)
    A, state = rnn.W[np.ix_(on, on)], at_rest.state.as_floats()[:, 0]
    margins = at_rest.pre_activations.as_floats()[:, 0]
    idle = off[margins == 0]
    if rnn.W[idle].any():
        return False
    rows = np.vstack([A, rnn.W[np.ix_(off, on)]])
    found = _shrinking_ball(A, rows, np.append(state, np.abs(margins)))
    if found is None:
        return False
    P, inside = found
    return _enters(rnn, x, (on, off[margins != 0]), state, P, inside)


def _enters(
    rnn: RNN,
    x: NDArray,
    units: tuple[NDArray, NDArray],
    state: NDArray,
    P: NDArray,
    inside: float,
) -> bool:
    """Whether the orbit, with its rounding error, is at some step in the P-ball of that radius."""
    on, off = units
    norm = spectral_norm(rnn.W) * (1 + norm_tolerance(rnn.hidden_units))
    unit = (rnn.hidden_units + rnn.input_size + 3) * float(np.finfo(np.float64).eps)
    largest = float(np.sqrt(np.linalg.norm(P, 2))) if len(on) else 0.0
    constant = rnn.F @ x + rnn.b
    scale = np.linalg.norm(np.abs(rnn.F) @ np.abs(x) + np.abs(rnn.b))
    weight = float(np.linalg.norm(rnn.W))
    h, error = rnn.h_init, 0.0
    for _ in range(_LONGEST):
        z = rnn.W @ h + constant
        error = norm * error + unit * (weight * float(np.linalg.norm(h)) + float(scale))
        if not error < inside:
            return False
        h = np.maximum(z, 0)
        gap = h[on] - state
        distance = float(np.sqrt(max(gap @ P @ gap, 0.0))) + 2 * largest * error
        if (z[off] < -2 * error).all() and distance < inside:
            return True
    return False


def steady_state(rnn: RNN, x: ArrayLike) -> AtRest:
    """The steady state under the constant input x (m,), with a proof that inputs near x have one.

    Raises:
        ArgumentError: the network is not a real ReLU network, x has another size, no steady state
            is found, or convergence to it cannot be proved.
    """
    rnn = real_relu_network(rnn, "bounds at a steady state")
    constant = vector(x, "x", rnn.input_size)
    W, F = Exact.of(rnn.W), Exact.of(rnn.F)
    drive = F @ Exact.of(constant[:, None]) + Exact.of(rnn.b[:, None])
    floats = (rnn.W, rnn.F @ constant + rnn.b, rnn.h_init)
    at_rest = pattern_at_rest(floats, W, drive, F)
    if not _contracts(rnn) and not _reaches(rnn, constant, at_rest):
        raise ArgumentError(
            "there is a steady state, but that h(-1) leads to it could not be proved: choose "
            "another x, or another h(-1) by restart(rnn, h)"
        )
    return at_rest


def _kernel_beyond(J0: Exact, S: Exact, guesses: list[Fraction]) -> int:
    """max over |lambda| != 1 of dim ker(J0 - (1 - lambda) S), less dim ker [J0; S]."""
    inputs = J0.shape[1]
    least = min(
        (J0 - S.times(1 - value)).rank()
        for value in [Fraction(0), Fraction(1, 3), *guesses]
        if not is_near_the_circle(float(value))
    )
    if S.shape == (inputs, inputs):
        ratio = S.solve(J0)
        if ratio is not None:  # lambda is an eigenvalue of I - S^-1 J0
            least = min(least, inputs - largest_multiplicity(Exact.identity(inputs) - ratio))
    return J0.above(S).rank() - least


def steady_state_bound(rnn: RNN, x: ArrayLike) -> LowerBound:
    """(E): a bound on the states of every real URNN with the map near the constant input x.

        N >= rank [J0 S] + dim ker(J0 - (1 - lambda) S) - dim ker [J0; S],   |lambda| != 1,

    with D the pattern of the steady state under x (m,), J0 = C D F (gain of the last input) and
    S = C (I - D W)^-1 D F (gain of the constant input); the largest over lambda. It is 2n for
    h(k) = relu(rho h(k-1) + x(k) + b), y = h, -1 < rho < 1, at any x with x + b > 0.

    lambda is 0, a rational number near a real eigenvalue of D W D, or, where S is square and
    invertible, any eigenvalue of I - S^-1 J0, exactly.

    Raises:
        ArgumentError: the network is not a real ReLU network, x has another size, no steady state
            without a pre-activation of 0 is found, or convergence to it cannot be proved.

    Status: PROVED (docs/theorems.md, Bound (E)) for every input set that contains x in its
    interior. Nothing is assumed of the URNN but that it is real.
    """
    at_rest = steady_state(rnn, x)
    on = at_rest.on
    F, C = Exact.of(rnn.F)[on, :], Exact.of(rnn.C)[:, on]
    W = Exact.of(rnn.W)[on, :][:, on]
    moved = (Exact.identity(len(on)) - W).solve(F)
    assert moved is not None  # the steady state was solved for with this matrix
    J0, S = C @ F, (C @ moved).reduced()
    states = J0.beside(S).rank() + _kernel_beyond(J0, S, rational_guesses(W))
    return LowerBound(states, "the maps agree on an open set of inputs that contains x", "proved")
