"""The orthogonal (unitary) matrix that has a given contraction as its leading block.

W is the leading n x n block of an N x N unitary matrix if and only if ||W||_2 <= 1 and
rank(I - W^H W) <= N - n. Two completions are built here: from the singular value decomposition
(Halmos), and around a given factor of I - W^H W.

Source: the paper, Theorem 1 (2n states); docs/theorems.md, Completion (PROVED).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from urnn.equivalence.checks import matrix
from urnn.equivalence.state_bounds import norm_tolerance, spectral_norm
from urnn.errors import ArgumentError
from urnn.matrices import unitarity_error


def defect_rank(W: ArrayLike, tolerance: float | None = None) -> int:
    """d = rank(I - W^H W), the number of singular values of W below 1 - tolerance (4 n eps)."""
    W = matrix(W, square=True)
    tolerance = norm_tolerance(len(W)) if tolerance is None else tolerance
    return int((1 - np.linalg.svd(W, compute_uv=False) > tolerance).sum())


def completion(W: ArrayLike, states: str = "minimal", tolerance: float | None = None) -> NDArray:
    """W_u, unitary, whose leading block is W itself, from the SVD W = U S V^H.

        W_u = [ W            U_d G  ]
              [ E G V_d^H   -E S_d  ],     G = sqrt((1 - S_d)(1 + S_d)),  E = diag(+-1)

    over the d indices with s_i < 1 ("minimal", (n + d, n + d)) or over all n of them ("2n").
    The signs E (real W only) are chosen such that the positive part of each row of the lower left
    block is the shorter one: a smaller bias then switches that state off. Singular values within
    ``tolerance`` (default 4 n eps) of 1 count as 1, which adds at most 2 tolerance to the unitarity
    error.

    Returns:
        float64, or complex128 for a complex W. ||W_u^H W_u - I||_2 is below 1e-13 (measured, n up
        to 128, singular values clustered at 1 included).

    Raises:
        ArgumentError: W is not a square matrix of finite numbers or is expansive, or ``states`` is
            unknown.

    Status: PROVED; d is the fewest extra states of any such completion (docs/theorems.md,
    Completion).
    """
    W = matrix(W, square=True)
    if states not in ("minimal", "2n"):
        raise ArgumentError(f'states must be "minimal" or "2n", but it is {states!r}')
    size = len(W)
    tolerance = norm_tolerance(size) if tolerance is None else tolerance
    left, singular, right = np.linalg.svd(W)
    if singular[0] > 1 + tolerance:
        raise ArgumentError(
            f"W is expansive: ||W||_2 = {singular[0]:.6g} > 1, but no block of a unitary matrix is"
        )
    singular = np.minimum(singular, 1.0)
    used = np.arange(size) if states == "2n" else np.flatnonzero(1 - singular > tolerance)
    gain = np.sqrt((1 - singular[used]) * (1 + singular[used]))
    rows = right[used]
    signs = np.ones(len(used))
    if not np.iscomplexobj(W):
        positive = np.linalg.norm(np.maximum(rows, 0), axis=1)
        negative = np.linalg.norm(np.maximum(-rows, 0), axis=1)
        signs = np.where(positive <= negative, 1.0, -1.0)
    lower_left = (signs * gain)[:, None] * rows
    lower_right = -np.diag(signs * singular[used]).astype(W.dtype)
    return np.block([[W, left[:, used] * gain], [lower_left, lower_right]])


def completion_around(W: ArrayLike, factor: ArrayLike) -> NDArray:
    """W_u, unitary, with the first block column [W; -factor], where factor^H factor = I - W^H W.

    W (n, n), factor (r, n) -> (n + r, n + r); the other columns come from a full QR.

    Raises:
        ArgumentError: the columns of [W; -factor] are not orthonormal (to 1e-12).

    Status: PROVED (docs/theorems.md, Completion).
    """
    W, factor = matrix(W, square=True), matrix(factor, "factor")
    size = len(W)
    if factor.shape[1] != size:
        raise ArgumentError(f"factor must have {size} columns, but its shape is {factor.shape}")
    first = np.vstack([W, -factor])
    if unitarity_error(first) > 1e-12:
        raise ArgumentError("factor^H factor is not I - W^H W: the columns are not orthonormal")
    basis = np.linalg.qr(first, mode="complete")[0]
    return np.hstack([first, basis[:, size:]])


def _pivoted_cholesky(gram: NDArray, order: str, tolerance: float) -> NDArray:
    """Rows K with K^T K = gram (symmetric, >= 0), pivots by size or by index."""
    rest = gram.copy()
    rows: list[NDArray] = []
    for _ in range(len(gram)):
        diagonal = np.diag(rest)
        left = np.flatnonzero(diagonal > tolerance)
        if len(left) == 0:
            break
        pivot = {"largest": int(np.argmax(diagonal)), "first": left[0], "last": left[-1]}[order]
        row = rest[pivot] / np.sqrt(rest[pivot, pivot])
        rest = rest - np.outer(row, row)
        rest[pivot] = 0
        rest[:, pivot] = 0
        rows.append(row)
    return np.array(rows).reshape(len(rows), len(gram))


def nonnegative_factor(W: ArrayLike, states: str = "minimal") -> NDArray | None:
    """K >= 0 entrywise with K^T K = I - W^H W, (r, n), or None when the search finds none.

    With -K below W the extra pre-activations -K h are never positive, whatever the inputs are: no
    input bound is needed. r is d = rank(I - W^H W), padded with zero rows to n for states "2n".

    The search can miss a factor (to decide whether a matrix is completely positive is NP-hard). It
    tries Cholesky factors in three orders of the pivots, and the symmetric square root. That is
    enough for every W with W^H W diagonal, and where I - W^H W = v v^T with v of one sign.

    Status: PROVED that a factor suffices (docs/theorems.md, Without a bound on the inputs); None
    proves nothing, unless I - W^H W has a negative entry.
    """
    W = matrix(W, square=True)
    size = len(W)
    tolerance = 4 * norm_tolerance(size)
    gram = np.eye(size) - W.conj().T @ W
    if np.iscomplexobj(gram):
        if np.abs(gram.imag).max() > tolerance:
            return None
        gram = gram.real
    gram = (gram + gram.T) / 2
    if gram.min() < -tolerance:
        return None
    candidates = [
        _pivoted_cholesky(gram, order, tolerance) for order in ("largest", "first", "last")
    ]
    values, vectors = np.linalg.eigh(gram)
    if values[0] > tolerance or states == "2n":
        candidates.append((vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T)
    for factor in candidates:
        if factor.size and factor.min() < -tolerance:
            continue
        factor = np.maximum(factor, 0)
        if spectral_norm(factor.T @ factor - gram) > 4 * tolerance:
            continue
        missing = size - len(factor) if states == "2n" else 0
        if len(factor) + missing == 0:
            continue  # I - W^H W is 0 up to the tolerance, and gives no state to add
        return np.vstack([factor, np.zeros((missing, size))])
    return None
