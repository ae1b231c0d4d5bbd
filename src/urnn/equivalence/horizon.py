"""Theorem 3 in its strong forms: for how long a URNN can agree, and which networks are excluded.

Source: docs/theorems.md, A finite horizon and Almost every network (PROVED, beyond the paper).
"""

from __future__ import annotations

from typing import NamedTuple

import mpmath
import numpy as np

from urnn.equivalence.checks import count, network, number
from urnn.equivalence.exact import Exact
from urnn.equivalence.multiplicity import (
    all_eigenvalues_on_the_circle,
    is_diagonalisable,
    is_near_the_circle,
)
from urnn.equivalence.saturation import SATURATING
from urnn.errors import ArgumentError
from urnn.rnn import RNN


def exact_horizon(states: int, weight: float) -> int:
    """The last step K at which a real URNN with N = ``states`` can agree with a scalar network:

        K <= (N - 1) + N floor(ln N / (2 |ln |w||)),      K <= N - 1 for w = 0,

    if it has the map of h(k) = phi(w h(k-1) + f x(k) + b), y = h, at k = 0 to K on an open set of
    inputs; phi sigmoid or tanh, f != 0, w = ``weight``.

    Raises:
        ArgumentError: N is no positive whole number, or |w| = 1, which Theorem 3 excludes.

    Status: PROVED (docs/theorems.md, A finite horizon). Attained for |w| < 1 and N < 1 / w^2, by
    `delay_chain` with expected_state = h(-1); otherwise sharpness is not known.
    """
    N = count(states, "states")
    if abs(number(weight, "weight")) == 1:
        raise ArgumentError("Theorem 3 needs |weight| != 1")
    if weight == 0:
        return N - 1
    with mpmath.workdps(60):
        runs = mpmath.log(N) / (2 * abs(mpmath.log(abs(mpmath.mpf(float(weight))))))
        # N may be a power of w^2, and the quotient a whole number
        whole = int(mpmath.floor(runs + mpmath.mpf(10) ** -40))
    return N - 1 + N * whole


class Exclusion(NamedTuple):
    """Whether it is proved that no finite real URNN has the map, and why, or why not."""

    proved: bool
    reason: str


def no_unitary_equivalent(rnn: RNN) -> Exclusion:
    """Whether Theorem 3 for n units applies: no finite real URNN has the map of ``rnn``.

    On no non-empty open set of inputs, for all k, whatever b and h(-1) are. The conditions: sigmoid
    or tanh; the rows of F are not 0 and differ up to their signs; no column of C is 0; and W is not
    diagonalisable with all eigenvalues of modulus 1 (true of every contractive W). They are decided
    exactly, and hold for almost every (W, F, C). Eigenvalues within 1e-7 of the circle count as on
    it, since W may be rounded.

    Raises:
        ArgumentError: an activation other than sigmoid and tanh.

    Status: PROVED where the result says so (docs/theorems.md, Almost every network). Otherwise
    nothing is claimed.
    """
    if network(rnn).activation not in SATURATING:
        raise ArgumentError(
            f"the theorem is about sigmoid and tanh networks, not about {rnn.activation}"
        )
    rows = [tuple(sign * row + 0.0) for row in rnn.F for sign in (1.0, -1.0)]  # no -0.0
    if not rnn.F.any(axis=1).all():
        return Exclusion(False, "a row of F is 0: the theorem is about units that x reaches")
    if len(set(rows)) < len(rows):
        return Exclusion(False, "two rows of F are equal up to their sign")
    if not rnn.C.any(axis=0).all():
        return Exclusion(False, "a column of C is 0: the output does not see that unit")
    W = Exact.of(rnn.W)
    on_the_circle = all_eigenvalues_on_the_circle(W)
    if on_the_circle and not is_diagonalisable(W):
        return Exclusion(True, "all eigenvalues of W have modulus 1, but W is not diagonalisable")
    if on_the_circle or is_near_the_circle(np.linalg.eigvals(rnn.W)).all():
        return Exclusion(False, "all eigenvalues of W have modulus 1, up to rounding, as in a URNN")
    return Exclusion(True, "W has an eigenvalue off the unit circle")
