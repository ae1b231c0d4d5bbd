"""Theorem 2: how many states must a URNN have? Witnesses, lower bounds, and what each one needs.

J0(k) = dy(k)/dx(k) and J1(k) = dy(k+1)/dx(k) are what a map shows of itself near one sequence of
inputs. A URNN with N states, activation patterns D_k and the same map has J0(k) = C_u D_k F_u and
J1(k) = C_u D_(k+1) W_u D_k F_u, with W_u real and orthogonal. Three lower bounds on N follow:

(A)  N >= rank J0(k) + rank J0(k+1) - rank J1(k)               always
(B)  N >= 2 rank J0 - rank(J1 - lambda J0), |lambda| != 1      where D_(k+1) F_u = D_k F_u
(C)  N >= n_min + max dim ker(W_min - lambda I), |lambda| != 1 where both networks are linear

Source: the paper, Theorem 2; docs/theorems.md, Theorem 2. The ranks are decided in float64 against
a tolerance, so on float data a bound is evidence, not a proof in exact arithmetic. The tolerances
err towards a smaller bound.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from urnn.errors import ArgumentError
from urnn.rnn import RNN

#: Relative tolerance of a rank decision.
RANK_TOLERANCE = 1e-9
#: Tolerance for a rank that adds to a bound, and for one that is subtracted from it.
_ADDED, _SUBTRACTED = 1e-8, 1e-12
#: |lambda| this near 1 counts as 1, where W_u - lambda I may be singular.
_UNIT_CIRCLE = 1e-7


@dataclass(frozen=True)
class LowerBound:
    """No URNN with fewer than ``states`` states has the map, under ``condition``.

    states     the bound
    condition  what must hold for the bound to apply to the whole map
    status     "proved" or "conditional", up to float64 rank decisions
    """

    states: int
    condition: str
    status: str


def rank(matrix: NDArray, scale: float | None = None, tolerance: float = RANK_TOLERANCE) -> int:
    """The number of singular values above tolerance * scale (default: the largest of them)."""
    if matrix.size == 0:
        return 0
    singular = np.linalg.svd(matrix, compute_uv=False)
    threshold = tolerance * (singular[0] if scale is None else scale)
    return int((singular > max(threshold, np.finfo(float).tiny)).sum())


# ---------------------------------------------------------------------------------- the witnesses


def bounded_witness(hidden_units: int, input_bound: float = 1.0) -> RNN:
    """Witness A: W = 0, F = C = I, b = M: for sup-norm inputs up to M, (A) gives N >= 2n.

    y(k) = x(k) + M for all of these inputs, so J0 = I and J1 = 0. Theorem 1 attains 2n. The bound
    uses no more of W_u than that it is invertible. PROVED, for every open set of such inputs and
    every real URNN (docs/theorems.md, Bound (A)).
    """
    eye = np.eye(hidden_units)
    return RNN(0 * eye, eye, np.full(hidden_units, float(input_bound)), eye)


def scaled_identity_witness(hidden_units: int, rho: float, bias: ArrayLike = 0.0) -> RNN:
    """Witness B: W = rho I, F = C = I, 0 <= rho < 1: (B) and (C) give N >= 2n.

    Status: PROVED for inputs from all of R^n, where 2n states suffice even without an input bound.
    For bounded inputs PROVED if the state of the URNN converges under some constant input x with
    x + b > 0, and otherwise open in docs/theorems.md, Bound (B).

    Raises:
        ArgumentError: rho outside [0, 1).
    """
    if not 0 <= rho < 1:
        raise ArgumentError(f"rho must lie in [0, 1), but it is {rho}")
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
    inputs = np.asarray(x)
    if rnn.activation != "relu" or np.iscomplexobj(rnn.W):
        raise ArgumentError("activation patterns are defined for real ReLU networks")
    if inputs.ndim != 2:
        raise ArgumentError(f"x must have the shape (time, input), but it has {inputs.shape}")
    return rnn.states(inputs) > 0


def two_step_jacobians(rnn: RNN, x: ArrayLike, step: int) -> TwoStepJacobians:
    """C D_k F, C D_(k+1) F and C D_(k+1) W D_k F at k = step along the inputs x (time, input).

    They are the derivatives of the map if no pre-activation is 0, so for almost every x.

    Raises:
        ArgumentError: as `activation_patterns`, or step + 1 lies beyond the inputs.
    """
    patterns = activation_patterns(rnn, x)
    if not 0 <= step < len(patterns) - 1:
        raise ArgumentError(f"step must lie in 0 to {len(patterns) - 2}, but it is {step}")
    now, then = patterns[step], patterns[step + 1]
    driven = now[:, None] * rnn.F
    read = rnn.C * then
    return TwoStepJacobians(rnn.C @ driven, read @ rnn.F, read @ rnn.W @ driven)


def two_step_bound(rnn: RNN, x: ArrayLike) -> LowerBound:
    """(A): N >= rank J0(k) + rank J0(k+1) - rank J1(k), the largest over all k of the inputs x.

    It holds for every real URNN that has the map on a neighbourhood of x, whatever its patterns
    are. x (time, input), generic.

    Status: PROVED (docs/theorems.md, Bound (A)), up to float64 ranks.
    """
    best = 0
    scale = float(np.linalg.norm(rnn.C, 2) * np.linalg.norm(rnn.F, 2))
    for step in range(len(np.asarray(x)) - 1):
        jacobians = two_step_jacobians(rnn, x, step)
        first, second = (
            rank(matrix, scale, _ADDED) for matrix in (jacobians.first, jacobians.second)
        )
        best = max(best, first + second - rank(jacobians.across, scale, _SUBTRACTED))
    return LowerBound(best, "the maps agree near these inputs", "proved")


def eigenvalue_bound(
    rnn: RNN, x: ArrayLike, step: int, eigenvalues: ArrayLike | None = None
) -> LowerBound:
    """(B): N >= 2 rank J0 - rank(J1 - lambda J0), the largest over lambda off the unit circle.

    At k = step of the inputs x (time, input). The candidates lambda are 0 and the eigenvalues of W,
    or ``eigenvalues``. Where J0(k) and J0(k+1) differ the condition cannot hold, and only N >= 0 is
    returned.

    Status: conditional. PROVED where D_(k+1) F_u = D_k F_u for the URNN. That holds for the inputs
    t eta, t s eta with generic eta and large t, s (if all inputs are allowed), and near the limit
    state of a URNN that converges under a constant input (docs/theorems.md, Bound (B)).
    """
    condition = (
        "the URNN switches no unit that the input reaches between the two steps "
        "(inputs from all of R^n can be chosen so)"
    )
    jacobians = two_step_jacobians(rnn, x, step)
    scale = float(np.linalg.norm(rnn.C, 2) * np.linalg.norm(rnn.F, 2))
    if np.abs(jacobians.first - jacobians.second).max() > RANK_TOLERANCE * scale:
        return LowerBound(0, condition, "conditional")
    candidates = np.linalg.eigvals(rnn.W) if eigenvalues is None else np.ravel(eigenvalues)
    candidates = np.append(candidates, 0.0)
    allowed = candidates[np.abs(np.abs(candidates) - 1) > _UNIT_CIRCLE]
    ranks = [
        rank(jacobians.across - value * jacobians.first, scale, _SUBTRACTED) for value in allowed
    ]
    states = 2 * rank(jacobians.first, scale, _ADDED) - min(ranks)
    return LowerBound(max(states, 0), condition, "conditional")


def _reachable_basis(W: NDArray, F: NDArray, tolerance: float) -> NDArray:
    """An orthonormal basis of the span of F, W F, W^2 F, ..."""

    def new_directions(block: NDArray, threshold: float) -> NDArray:
        left, singular, _ = np.linalg.svd(block, full_matrices=False)
        return left[:, singular > threshold]

    size = float(np.linalg.norm(F))
    if size == 0:
        return np.zeros((len(W), 0))
    basis = new_directions(F / size, tolerance)
    while basis.shape[1] < len(W):
        image = W @ basis
        for _ in range(2):
            image = image - basis @ (basis.conj().T @ image)
        added = new_directions(image, tolerance)
        if added.shape[1] == 0:
            break
        basis = np.linalg.qr(np.hstack([basis, added]))[0]
    return basis


def minimal_realization(
    W: NDArray, F: NDArray, C: NDArray, tolerance: float = RANK_TOLERANCE
) -> tuple[NDArray, NDArray, NDArray]:
    """(W, F, C) with the fewest states and the same Markov parameters C W^j F.

    The reachable and then the observable part, by orthogonal projections; possibly 0 states.
    """
    reach = _reachable_basis(W, F, tolerance)
    W, F, C = reach.conj().T @ W @ reach, reach.conj().T @ F, C @ reach
    if len(W) == 0:
        return W, F, C
    seen = _reachable_basis(W.conj().T, C.conj().T, tolerance)
    return seen.conj().T @ W @ seen, seen.conj().T @ F, C @ seen


@dataclass(frozen=True)
class RealizationBound(LowerBound):
    """(C) with its two parts: states = minimal_states + multiplicity."""

    minimal_states: int
    multiplicity: int


def realization_bound(
    rnn: RNN, pattern: ArrayLike | None = None, tolerance: float = 1e-8
) -> RealizationBound:
    """(C): N >= n_min + mu, mu = max over |lambda| != 1 of dim ker(W_min - lambda I).

    (W_min, F_min, C_min) is a minimal realization of (D W D, D F, C D), D = diag(``pattern``)
    (default: all units on). The bound on a map is the largest over its patterns.

    Status: conditional: PROVED where the activation patterns of the network and of the URNN are
    constant over a window (docs/theorems.md, Bound (C)), and attained there (`linear_unitary`). It
    says something about ReLU URNNs only through such a window. The ranks are decided in float64:
    evidence, not an exact proof.
    """
    on = np.ones(rnn.hidden_units) if pattern is None else np.asarray(pattern, dtype=float)
    condition = "both networks keep their activation patterns over a window of 2 n_min steps"
    W, _, _ = minimal_realization(on[:, None] * rnn.W * on, on[:, None] * rnn.F, rnn.C * on)
    multiplicity = 0
    for value in np.linalg.eigvals(W) if len(W) else []:
        if abs(abs(value) - 1) > _UNIT_CIRCLE:
            gaps = np.linalg.svd(W - value * np.eye(len(W)), compute_uv=False)
            multiplicity = max(multiplicity, int((gaps < tolerance).sum()))
    return RealizationBound(len(W) + multiplicity, condition, "conditional", len(W), multiplicity)
