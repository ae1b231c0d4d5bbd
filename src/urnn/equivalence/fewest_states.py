"""Fewer than n + rank(I - W^T W) states: a diagonal scaling that makes the defect singular.

d_diag = min { rank(G - W^T G W) : G > 0 diagonal, G - W^T G W >= 0 }. With D = G^(1/2) the network
(D W D^-1, D F, D b, C D^-1) has the same map, and n + d_diag states suffice.

Source: docs/theorems.md, Fewer extra states (beyond the paper). Status: the number of states that a
returned scaling gives is enough (PROVED); that no scaling gives fewer is measured. The lower bound
N >= n + d_diag is PROVED for URNNs each of whose units is off or a copy of one state, and open for
the others.
"""

from __future__ import annotations

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


def generic_defect(hidden_units: int) -> int:
    """n - r with the largest r such that r (r + 1) / 2 <= n - 1: the defect to expect.

    A diagonal G has n - 1 free ratios, for r (r + 1) / 2 equations. A count, not a proof.
    """
    corank = 0
    while (corank + 1) * (corank + 2) // 2 <= hidden_units - 1:
        corank += 1
    return hidden_units - corank


def _slack(W: NDArray, weights: NDArray) -> NDArray:
    return np.diag(weights) - (W.T * weights) @ W


def _interior(W: NDArray, weights: NDArray) -> bool:
    return bool(weights.min() > _SMALLEST_WEIGHT) and bool(
        np.linalg.eigvalsh(_slack(W, weights))[0] > 0
    )


def _extreme_point(W: NDArray, objective: NDArray, start: NDArray) -> NDArray:
    """min objective . g over {g >= 0, sum g = n, diag(g) - W^T diag(g) W >= 0}: log barrier."""
    size = len(W)
    weights = start / start.mean()

    def barrier(g: NDArray, strength: float) -> float:
        if not _interior(W, g):
            return np.inf
        logdet = np.linalg.slogdet(_slack(W, g))[1]
        return float(objective @ g / strength - logdet - np.log(g - _SMALLEST_WEIGHT).sum())

    strength = 1.0
    while strength > 1e-9:
        for _ in range(60):
            inverse = np.linalg.inv(_slack(W, weights))
            mixed = inverse @ W.T
            pushed = W @ mixed
            gap = weights - _SMALLEST_WEIGHT
            gradient = objective / strength - np.diag(inverse) + np.diag(pushed) - 1 / gap
            hessian = inverse**2 - mixed**2 - mixed.T**2 + pushed**2 + np.diag(1 / gap**2)
            system = np.block(
                [[hessian, np.ones((size, 1))], [np.ones((1, size)), np.zeros((1, 1))]]
            )
            step = np.linalg.solve(system, np.append(-gradient, 0.0))[:size]
            decrease, length, value = -gradient @ step, 1.0, barrier(weights, strength)
            while barrier(weights + length * step, strength) > value - 1e-4 * length * decrease:
                length /= 2
                if length < 1e-10:
                    break
            if length < 1e-10:
                break
            weights = weights + length * step
            if decrease < 1e-10:
                break
        strength /= 5
    return weights


def _polished(W: NDArray, weights: NDArray, corank: int) -> NDArray:
    """Newton on V^T (G - W^T G W) V = 0 over the ``corank`` smallest eigenvectors V."""
    upper = np.triu_indices(corank)
    for _ in range(30):
        vectors = np.linalg.eigh(_slack(W, weights))[1][:, :corank]
        moved = W @ vectors
        derivative = np.einsum("ia,ib->iab", vectors, vectors) - np.einsum(
            "ia,ib->iab", moved, moved
        )
        equations = np.vstack([derivative[:, upper[0], upper[1]].T, np.ones(len(W))])
        residual = np.append(-(vectors.T @ _slack(W, weights) @ vectors)[upper], 0.0)
        step = np.linalg.lstsq(equations, residual, rcond=None)[0]
        weights = weights + step
        if np.abs(step).max() < 1e-16 * np.abs(weights).max():
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
    W = matrix(W, square=True)
    if np.iscomplexobj(W):
        raise ArgumentError("the search for the fewest states takes a real W")
    size = len(W)
    start = _start(W)
    if start is None:
        return np.ones(size), defect_rank(W)  # ||W|| = 1: no interior to search in
    best_weights = start
    best = attained_defect(W, np.sqrt(start))
    best_defect = size if best is None else best
    generator = np.random.default_rng(seed)
    for _ in range(attempts):
        if best_defect <= generic_defect(size):
            break
        objective = generator.standard_normal(size)
        try:
            weights = _extreme_point(W, objective / np.linalg.norm(objective), start)
            better = _better_corner(W, weights, best_defect)
        except np.linalg.LinAlgError:  # a corner that the barrier could not resolve
            continue
        if better is not None:
            best_weights, best_defect = better
    scale = np.sqrt(best_weights)
    return scale / np.exp(np.log(scale).mean()), best_defect


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


def _better_corner(W: NDArray, weights: NDArray, defect: int) -> tuple[NDArray, int] | None:
    """Exact weights near these with a smaller defect, and that defect, if there are any."""
    size = len(W)
    smallest = np.linalg.eigvalsh(_slack(W, weights))
    for corank in range(size, size - defect, -1):
        if smallest[corank - 1] > 1e-3:
            continue
        candidate = _polished(W, weights, corank)
        if candidate.min() <= 0:
            continue
        found = attained_defect(W, np.sqrt(candidate))
        if found is not None and found < defect:
            return candidate, found
    return None
