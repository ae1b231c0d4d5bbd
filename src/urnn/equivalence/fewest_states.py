"""Fewer than n + rank(I - W^T W) states: a diagonal scaling that makes the defect singular.

d_diag = min { rank(G - W^T G W) : G > 0 diagonal, G - W^T G W >= 0 }. With D = G^(1/2) the network
(D W D^-1, D F, D b, C D^-1) has the same map, and n + d_diag states suffice.

Source: docs/theorems.md, Fewer extra states (beyond the paper). Status: the number of states that a
returned scaling gives is enough (PROVED); that no scaling gives fewer is measured. The lower bound
N >= n + d_diag is PROVED for URNNs each of whose units is off or a copy of one state, and open for
the others.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from urnn.equivalence.checks import matrix
from urnn.equivalence.dilation import defect_rank
from urnn.equivalence.scaling import best_scaling
from urnn.errors import ArgumentError

#: How near 1, per state, a singular value must be to count as 1; it adds at most twice as much to
#: the unitarity error of the result.
_ATTAINED = 2e-15
_SMALLEST_WEIGHT = 1e-6
#: where the barrier ends, and by what its strength falls when a point is near enough to its minimum
_LEAST_STRENGTH, _WEAKENING = 1e-6, 0.01
#: a decrement this small says that whole Newton steps converge
_CONVERGING = 0.25
_NEWTON_STEPS, _POLISHING_STEPS = 200, 30
#: eigenvalues of the slack, of weights with the mean 1, that may be 0 at the corner nearby
_NEAR_SINGULAR = 1e-3


def generic_defect(hidden_units: int) -> int:
    """n - r with the largest r such that r (r + 1) / 2 <= n - 1: the defect to expect.

    A diagonal G has n - 1 free ratios, for r (r + 1) / 2 equations. A count, not a proof.
    """
    corank = 0
    while (corank + 1) * (corank + 2) // 2 <= hidden_units - 1:
        corank += 1
    return hidden_units - corank


def _slack(W: NDArray, weights: NDArray) -> NDArray:
    """G - W^T G W, G = diag(weights); W (..., n, n), weights (..., n)."""
    moved: NDArray = np.eye(W.shape[-1]) * weights[..., None, :] - _transposed(W) @ (
        weights[..., None] * W
    )
    return moved


def _transposed(stack: NDArray) -> NDArray:
    return stack.swapaxes(-1, -2)


def _diagonal(stack: NDArray) -> NDArray:
    return np.diagonal(stack, axis1=-2, axis2=-1)


def _interior(W: NDArray, weights: NDArray) -> bool:
    return bool(weights.min() > _SMALLEST_WEIGHT) and bool(
        np.linalg.eigvalsh(_slack(W, weights))[0] > 0
    )


def _extreme_points(W: NDArray, objectives: NDArray, start: NDArray) -> NDArray:
    """min objective . g over {g >= 0, sum g = n, diag(g) - W^T diag(g) W >= 0}, a stack of them.

    W (k, n, n), objectives and start (k, n). The log barrier objective . g / strength - log det
    (slack) - sum log g is self-concordant: a Newton step, of length 1 / (1 + decrement) until it
    converges, stays inside (Nesterov and Nemirovskii 1994), so that no line search is needed.
    """
    weights, strength = start.copy(), np.ones(len(start))
    open_ = np.arange(len(start))  # those that are not finished
    for _ in range(_NEWTON_STEPS):
        g, t = weights[open_], strength[open_]
        step, decrement = _newton_step(W[open_], objectives[open_] / t[:, None], g)
        length = np.where(decrement < _CONVERGING, 1.0, 1 / (1 + decrement))
        weights[open_] = g + length[:, None] * step
        near = decrement < _CONVERGING
        strength[open_] = np.where(near, t * _WEAKENING, t)
        open_ = open_[~near | (t > _LEAST_STRENGTH)]
        if not len(open_):
            break
    return weights


def _newton_step(W: NDArray, slope: NDArray, weights: NDArray) -> tuple[NDArray, NDArray]:
    """(step (k, n), decrement (k,)) of slope . g - log det (slack) - sum log g on sum g = n."""
    inverse = np.linalg.inv(_slack(W, weights))
    mixed = inverse @ _transposed(W)
    pushed = W @ mixed
    gap = weights - _SMALLEST_WEIGHT
    gradient = slope - _diagonal(inverse) + _diagonal(pushed) - 1 / gap
    hessian = inverse**2 - mixed**2 - _transposed(mixed) ** 2 + pushed**2
    hessian += np.eye(weights.shape[-1]) / gap[:, None] ** 2
    solved = np.linalg.solve(hessian, np.stack([gradient, np.ones_like(gradient)], -1))
    multiplier = solved[..., 0].sum(1) / solved[..., 1].sum(1)
    step = multiplier[:, None] * solved[..., 1] - solved[..., 0]
    return step, np.sqrt(np.maximum(-(gradient * step).sum(1), 0))


def _polished(W: NDArray, weights: NDArray, corank: int) -> NDArray:
    """Newton on V^T (G - W^T G W) V = 0 over the ``corank`` smallest eigenvectors V.

    W (n, n), weights (k, n).
    """
    upper = np.triu_indices(corank)
    ones = np.ones((len(weights), 1, len(W)))
    for _ in range(_POLISHING_STEPS):
        slack = _slack(W, weights)
        vectors = np.linalg.eigh(slack)[1][..., :corank]
        moved = W @ vectors
        derivative = (
            vectors[..., upper[0]] * vectors[..., upper[1]]
            - moved[..., upper[0]] * moved[..., upper[1]]
        )
        equations = np.concatenate([_transposed(derivative), ones], 1)
        residual = -(_transposed(vectors) @ slack @ vectors)[:, upper[0], upper[1]]
        residual = np.concatenate([residual, np.zeros((len(weights), 1))], 1)
        step = (np.linalg.pinv(equations) @ residual[..., None])[..., 0]
        weights = weights + step
        if (np.abs(step).max(1) < 1e-16 * np.abs(weights).max(1)).all():
            break
    return weights


def attained_tolerance(size: int) -> float:
    """2e-15 n: singular values this near 1 count as 1 after a scaling to fewest states."""
    return _ATTAINED * size


def attained_defect(W: NDArray, scale: NDArray) -> int | None:
    """rank(I - M^T M) of M = D W D^-1 if ||M|| is at most 1 up to rounding, else None."""
    tolerance = attained_tolerance(len(W))
    singular = np.linalg.svd(scale[:, None] * W / scale, compute_uv=False)
    if singular[0] > 1 + tolerance:
        return None
    return int((singular < 1 - tolerance).sum())


def fewest_states_scaling(W: ArrayLike, attempts: int = 40, seed: int = 0) -> tuple[NDArray, int]:
    """(D, d): a positive diagonal with ||D W D^-1|| = 1 (to 2e-15 n) and defect d, d small.

    Minimising random linear functions over {G diagonal, tr G = n, G - W^T G W >= 0} leads to the
    corners of that set; Newton's method makes them exact. W (n, n) real, contractive or made so by
    a diagonal. Each attempt costs some products of n^3 operations; meant for n up to about 20.

    Returns:
        D (n,) with geometric mean 1, and d = rank(I - M^T M), M = D W D^-1. If nothing better is
        found, or ||W|| = 1 and no diagonal makes it smaller, the D of the start and its d.

    Raises:
        ArgumentError: W is complex, or no positive diagonal makes it a strict contraction.

    Status: an upper bound on d_diag (module docstring). Measured: the count of `generic_defect` is
    reached for most Gaussian W with n <= 5, less often for the paper's W_g, and missed by 1 or 2
    for n = 7 to 11.
    """
    return fewest_states_scalings([W], attempts, seed)[0]


def fewest_states_scalings(
    matrices: Sequence[ArrayLike], attempts: int = 40, seed: int = 0
) -> list[tuple[NDArray, int]]:
    """`fewest_states_scaling` of each of some matrices of one size, in one stack: far faster.

    Raises:
        ArgumentError: as `fewest_states_scaling`.
    """
    checked = [_real(W) for W in matrices]
    starts = [_start(W) for W in checked]
    found = [_without_search(W, start) for W, start in zip(checked, starts, strict=True)]
    searched = [
        index
        for index, (_, defect) in enumerate(found)
        if starts[index] is not None and defect > generic_defect(len(checked[index]))
    ]
    if searched:
        size = len(checked[0])
        objectives = np.random.default_rng(seed).standard_normal((attempts, size))
        objectives /= np.linalg.norm(objectives, axis=1, keepdims=True)
        corners = _corners(
            np.repeat([checked[index] for index in searched], attempts, 0),
            np.tile(objectives, (len(searched), 1)),
            np.repeat([starts[index] for index in searched], attempts, 0),
        )
        for index, weights in zip(searched, np.split(corners, len(searched)), strict=True):
            found[index] = _best_corner(checked[index], weights, found[index])
    return [(scale / np.exp(np.log(scale).mean()), defect) for scale, defect in found]


def _real(value: ArrayLike) -> NDArray:
    W = matrix(value, square=True)
    if np.iscomplexobj(W):
        raise ArgumentError("the search for the fewest states takes a real W")
    return W


def _without_search(W: NDArray, start: NDArray | None) -> tuple[NDArray, int]:
    """(D, d) of the start; D = I where ||W|| = 1 leaves no interior to search in."""
    if start is None:
        return np.ones(len(W)), defect_rank(W)
    scale = np.sqrt(start)
    defect = attained_defect(W, scale)
    return scale, len(W) if defect is None else defect


def _corners(W: NDArray, objectives: NDArray, start: NDArray) -> NDArray:
    """`_extreme_points`, where one that cannot be resolved stays at its start."""
    try:
        return _extreme_points(W, objectives, start)
    except np.linalg.LinAlgError:
        if len(W) == 1:
            return start
        halves = zip(*(np.array_split(stack, 2) for stack in (W, objectives, start)), strict=True)
        return np.concatenate([_corners(*half) for half in halves])


def _start(W: NDArray) -> NDArray | None:
    """Weights where G - W^T G W > 0, or None if there are none because ||W|| = 1."""
    start = np.ones(len(W))
    if _interior(W, start):
        return start
    scaling = best_scaling(W, target=0.999)
    start = scaling.scale**2
    start = start / start.mean()
    if _interior(W, start):
        return start
    if attained_defect(W, np.ones(len(W))) is not None:
        return None
    raise ArgumentError(
        "no positive diagonal makes W a strict contraction: the smallest norm lies between "
        f"{scaling.lower_bound:.6g} and {scaling.norm:.6g}"
    )


def _best_corner(W: NDArray, weights: NDArray, best: tuple[NDArray, int]) -> tuple[NDArray, int]:
    """(D, d) of the exact weights near some of these, weights (k, n), if d is below the best's."""
    size = len(W)
    smallest = np.linalg.eigvalsh(_slack(W, weights))
    for corank in range(size, 0, -1):
        if size - corank >= best[1]:
            break
        near = weights[smallest[:, corank - 1] < _NEAR_SINGULAR]
        if not len(near):
            continue
        candidates = _polished(W, near, corank)
        for candidate in candidates[(candidates > 0).all(1)]:
            scale = np.sqrt(candidate)
            defect = attained_defect(W, scale)
            if defect is not None and defect < best[1]:
                best = scale, defect
    return best
