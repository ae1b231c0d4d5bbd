"""Just below 2n states: arbitrarily near, at the price of weights; and what the price must be.

For W = rho I, F = C = I equality takes 2n states, but n + 1 come as near as one likes with
||F_u|| ||C_u|| large. The bound (D) says how large; at a fixed scale the best error is known in
closed form.

Source: the project's theory notes 2.5 (PROVED where said so, beyond the paper).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from urnn.equivalence.state_bounds import MARGIN
from urnn.rnn import RNN


def all_pass_cascade(chain: int, rho: float) -> NDArray:
    """Q, orthogonal, (k + 1, k + 1): the product of the reflections [rho g; g -rho] in (i, k + 1).

    Its leading k x k block is upper triangular with rho on the diagonal and
    g^2 (-rho)^(j-i-1) above it, and has the singular values 1, ..., 1, rho^k: a defect of 1.
    PROVED. g = sqrt(1 - rho^2).

    Raises:
        ValueError: chain < 1 or |rho| > 1.
    """
    if chain < 1 or abs(rho) > 1:
        raise ValueError(f"chain must be at least 1 and |rho| at most 1, not {chain} and {rho}")
    leak = np.sqrt((1 - rho) * (1 + rho))
    product = np.eye(chain + 1)
    for unit in range(chain):
        reflection = np.eye(chain + 1)
        pair = np.ix_([unit, chain], [unit, chain])
        reflection[pair] = [[rho, leak], [leak, -rho]]
        product = product @ reflection
    return product


def cascade_unitary(
    hidden_units: int,
    chains: int,
    rho: float,
    ratio: float,
    bias: ArrayLike = 0.0,
    input_bound: float = 1.0,
) -> RNN:
    """A URNN with n + d states (d = ``chains``) near h = relu(rho h + x + b), y = h, h(-1) = 0.

    d all-pass cascades of length ceil(n / d) or less, each in the coordinates
    D = diag(1, ratio^-1, ratio^-2, ...): F_u = [D; 0], C_u = [D^-1 0]. As D^-1 B D = rho I + O(1 /
    ratio) and positive scalings are identities of ReLU, the map is O(1 / ratio) near, kinks
    included, at the weight budget ||F_u||_2 ||C_u||_2 = ratio^(ceil(n/d) - 1). d = n is exact.
    For ||x||_inf <= input_bound; the biases of the extra states are set for that.

    Raises:
        ValueError: chains outside 1 to n, rho outside [0, 1), or ratio < 1.

    Status: PROVED that the error tends to 0 as ratio grows: the cliff at 2n states is no floor.
    The bias of an extra state covers the states of the exact network with a factor 4, and 1 more.
    """
    if not 1 <= chains <= hidden_units:
        raise ValueError(f"chains must be 1 to {hidden_units}, but it is {chains}")
    if not 0 <= rho < 1 or ratio < 1:
        raise ValueError("rho must lie in [0, 1) and ratio must be at least 1")
    offsets = np.broadcast_to(np.asarray(bias, dtype=float), hidden_units)
    reach = (input_bound * np.sqrt(hidden_units) + np.linalg.norm(offsets)) / (1 - rho)
    total = hidden_units + chains
    W, scale, b = np.zeros((total, total)), np.zeros(hidden_units), np.zeros(total)
    for chain, units in enumerate(np.array_split(np.arange(hidden_units), chains)):
        block = all_pass_cascade(len(units), rho)
        members = np.append(units, hidden_units + chain)
        W[np.ix_(members, members)] = block
        scale[units] = float(ratio) ** -np.arange(len(units))
        b[hidden_units + chain] = -4 * reach * (np.abs(block[-1, :-1]) @ scale[units]) - 1
    b[:hidden_units] = scale * offsets
    extra = np.zeros((chains, hidden_units))
    return RNN(
        W,
        np.vstack([np.diag(scale), extra]),
        b,
        np.hstack([np.diag(1 / scale), extra.T]),
        np.zeros(total),
    )


def weight_budget(rnn: RNN) -> float:
    """R = ||F||_2 ||C||_2, which a positive scaling of the whole state leaves as it is."""
    return float(np.linalg.norm(rnn.F, 2) * np.linalg.norm(rnn.C, 2))


def weight_budget_bound(rho: float, budget: ArrayLike, first_error: ArrayLike = 0.0) -> NDArray:
    """(D): with N < 2n states and eps0 < 1, eps1 + rho eps0 >= (1 - rho)(1 - eps0)^2 / R.

    eps0 = ||J0 - I||_2 (``first_error``), eps1 = ||J1 - rho I||_2, R = ``budget``; returns the
    right side, broadcast. On an input region of radius r around the cell, an error eps of a
    Jacobian is an output error of r eps or more.

    Raises:
        ValueError: rho or first_error outside [0, 1), or a budget that is not positive.

    Status: PROVED under the pattern condition of (B); sharp to the factor 1 + rho at N = 2n - 1
    (theory notes 2.5).
    """
    budget, first_error = np.asarray(budget, dtype=float), np.asarray(first_error, dtype=float)
    if not 0 <= rho < 1 or np.any(budget <= 0) or np.any((first_error < 0) | (first_error >= 1)):
        raise ValueError("rho and first_error must lie in [0, 1), and the budget must be positive")
    return (1 - rho) * (1 - first_error) ** 2 / budget


def jacobian_errors(rnn: RNN, rho: float, active: ArrayLike | None = None) -> tuple[float, float]:
    """(eps0, eps1) of a URNN against rho I: ||C D F - I||_2 and ||C D W D F - rho I||_2.

    ``active`` is the diagonal of D; default: the units with b >= 0 or a row of F, that is all but
    the extra states of `cascade_unitary`.

    Raises:
        ValueError: the network has another number of inputs than of outputs.
    """
    if rnn.input_size != rnn.output_size:
        raise ValueError("the Jacobians must be square to be compared with rho I")
    if active is None:
        active = np.any(rnn.F != 0, axis=1) | (rnn.b >= 0)
    on = np.asarray(active, dtype=float)
    eye = np.eye(rnn.input_size)
    read, driven = rnn.C * on, on[:, None] * rnn.F
    first = np.linalg.norm(read @ driven - eye, 2)
    second = np.linalg.norm(read @ rnn.W @ driven - rho * eye, 2)
    return float(first), float(second)


def fixed_scale_distance(W: NDArray, states: int) -> tuple[float, float]:
    """The distance of W from the n x n corners of (N, N) unitary matrices, N = ``states``.

    With the singular values t_1 >= ... >= t_n of W, all at most 1, and q = max(0, 2n - N):
    Frobenius sqrt(sum_(i<=q) (1 - t_i)^2), operator norm 1 - t_q (0 for q = 0). It is the least
    error of J1 at F_u = [I; 0], C_u = [I 0]. For rho I: (1 - rho) sqrt(2n - N), and 1 - rho.

    Returns:
        (Frobenius, operator).

    Raises:
        ValueError: an expansive W, or N < n.

    Status: PROVED (Mirsky; the corners are the contractions with 2n - N singular values at 1).
    """
    size = len(W)
    singular = np.linalg.svd(W, compute_uv=False)
    if singular[0] > 1 + MARGIN or states < size:
        raise ValueError("W must be a contraction, and states at least its size")
    missing = 1 - np.minimum(singular[: max(0, 2 * size - states)], 1)
    return float(np.linalg.norm(missing)), float(missing.max(initial=0.0))
