"""As long as no ReLU switches, n_min + mu states suffice: bound (C') is attained.

Where every state that is reached stays positive, the network is affine, and a similarity T keeps
its map if T h stays positive too. T is chosen so that T W T^-1 is a contraction with defect mu.

Source: docs/theorems.md, The linear regime (PROVED, beyond the paper).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from urnn.equivalence.checks import count, matrix
from urnn.equivalence.dilation import completion
from urnn.equivalence.exact import Exact
from urnn.equivalence.multiplicity import largest_multiplicity
from urnn.equivalence.state_bounds import spectral_radius
from urnn.equivalence.stein import stein_sum
from urnn.errors import ArgumentError
from urnn.rnn import RNN

#: terms of the gains that are summed one by one
_EXPLICIT_TERMS = 4096


def _sum_of_gains(rows: NDArray, W: NDArray, F: NDArray) -> NDArray:
    """A bound on sup of rows (h - hbar) over ||x||_inf <= 1, entry by entry: sum_j |rows W^j F| 1.

    The first terms are summed one by one. What follows is bounded by doubling: with s(J) the sum
    of the first J terms for rows = I, s(2 J) <= s(J) + |W^J| s(J).

    Raises:
        ArgumentError: W^J does not fall below 1e-6 for J up to 2^60.
    """
    explicit, power = np.zeros(len(rows)), rows
    for _ in range(_EXPLICIT_TERMS):
        explicit = explicit + np.abs(power @ F).sum(axis=1)
        power = power @ W
        if np.abs(power).max(initial=0.0) == 0:
            return explicit * (1 + 1e-9)
    total, jump = np.abs(F).sum(axis=1), W
    for _ in range(60):
        total = total + np.abs(jump) @ total
        jump = jump @ jump
        decay = float(np.abs(jump).sum(axis=1).max())
        if decay <= 1e-6:  # the rest is a geometric series
            total = total + np.abs(jump) @ np.full(len(W), total.max() / (1 - decay))
            return (explicit + np.abs(power) @ total) * (1 + 1e-9)
    raise ArgumentError("the gains do not sum up: the spectral radius of W is too near 1")


def _aligned(root: NDArray) -> NDArray:
    """L = ``root`` (L^T L = G), reflected so that L 1 is a positive multiple of 1 = (1, ..., 1)."""
    size = len(root)
    reached = root @ np.ones(size)
    normal = reached / np.linalg.norm(reached) - np.ones(size) / np.sqrt(size)
    if np.linalg.norm(normal) < 1e-12:
        return root
    return root - 2 * np.outer(normal, normal @ root) / (normal @ normal)


def _best_gramian(
    W: NDArray, rows: int, attempts: int, generator: np.random.Generator
) -> NDArray | None:
    """G = sum_j (W^T)^j Q^T Q W^j, the best conditioned one over random Q (rows, n), if any is."""
    gramian, condition = None, np.inf
    for _ in range(attempts):
        Q = generator.standard_normal((rows, len(W)))
        candidate = stein_sum(W, Q.T @ Q)
        if candidate is None:
            continue
        values = np.linalg.eigvalsh(candidate)
        if values[0] > 1e-12 * values[-1] and values[-1] / values[0] < condition:
            gramian, condition = candidate, float(values[-1] / values[0])
    return gramian


def _too_few(W: NDArray, extra_states: int) -> ArgumentError:
    """Why no pair (W, Q) was found: the multiplicity, exactly, or else the conditioning."""
    needed = largest_multiplicity(Exact.of(W))
    if extra_states < needed:
        return ArgumentError(
            f"extra_states must be at least {needed}, the largest multiplicity of an eigenvalue of "
            f"W, but it is {extra_states}"
        )
    return ArgumentError(
        "G is too ill conditioned for float64, because eigenvalues of W nearly coincide or lie "
        "near the unit circle: try more extra_states or attempts"
    )


def linear_unitary(
    W: NDArray, F: NDArray, C: NDArray, extra_states: int = 1, attempts: int = 100, seed: int = 0
) -> tuple[RNN, RNN]:
    """(rnn, urnn): W, F, C with ReLUs that stay on for ||x||_inf <= 1, and n + mu unitary states.

    mu = ``extra_states`` is at least the largest geometric multiplicity of an eigenvalue of W. With
    Q (mu, n) random, G = sum_j (W^T)^j Q^T Q W^j = L^T L (Stein's equation G - W^T G W = Q^T Q),
    the block L W L^-1 has defect mu. L is reflected so that L 1 is a multiple of 1 = (1, ..., 1),
    which keeps the new states positive; the mu extra states are switched off by their biases. The
    bias b = (I - W) hbar with h(-1) = hbar = s 1 is so large that both networks stay on.

    Args:
        W, F, C: real, W of spectral radius below 1; the pair (W, Q) must be observable.
        attempts: how many Q are tried; the one with the best conditioned G is kept.

    Raises:
        ArgumentError: spectral radius 1 or more, extra_states below the largest multiplicity, or a
            G too ill conditioned for float64.

    Status: PROVED (docs/theorems.md, The linear regime); measured to 4e-12 (the condition of G,
    about 70, and the distance of the singular values from 1 enter the rounding).
    """
    given = RNN(matrix(W, square=True, real=True), F, np.zeros(len(W)), C)
    W, F, C = given.W, given.F, given.C
    size = len(W)
    count(extra_states, "extra_states")
    count(attempts, "attempts")
    if spectral_radius(W) >= 1:
        raise ArgumentError("the linear regime needs a spectral radius below 1")
    generator = np.random.default_rng(seed)
    gramian = _best_gramian(W, extra_states, attempts, generator)
    if gramian is None:
        raise _too_few(W, extra_states)
    into = _aligned(np.linalg.cholesky((gramian + gramian.T) / 2).T)
    back = np.linalg.inv(into)
    unitary = completion(into @ W @ back, "minimal", tolerance=1e-9)
    extra = len(unitary) - size
    if extra > extra_states:
        raise _too_few(W, extra_states)
    here = _sum_of_gains(np.eye(size), W, F)
    there = _sum_of_gains(into, W, F) / (into @ np.ones(size))
    level = np.full(size, 1.1 * max(here.max(), there.max()))
    b = (np.eye(size) - W) @ level
    rows = unitary[size:, :size] @ into
    off = -(np.abs(rows @ level) + _sum_of_gains(rows, W, F)) - 1e-6
    m, p = F.shape[1], len(C)
    urnn = RNN(
        unitary,
        np.vstack([into @ F, np.zeros((extra, m))]),
        np.append(into @ b, off),
        np.hstack([C @ back, np.zeros((p, extra))]),
        np.append(into @ level, np.zeros(extra)),
    )
    return RNN(W, F, b, C, level), urnn
