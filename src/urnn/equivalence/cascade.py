"""Fewer than 2n states: how near they come, and how large their weights must then be.

For W = rho I, F = C = I equality takes a real URNN with 2n states, but n + 1 come as near as one
likes if ||F_u|| ||C_u|| may be large. Bound (D) says how large; at a fixed scale the least error is
known in closed form.

Source: docs/theorems.md, The all-pass cascade, Bound (D), The error at a fixed scale (beyond the
paper).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from urnn.equivalence.checks import matrix
from urnn.equivalence.state_bounds import MARGIN
from urnn.errors import ArgumentError
from urnn.rnn import RNN


def all_pass_cascade(chain: int, rho: float) -> NDArray:
    """Q, orthogonal, (k + 1, k + 1): the product of the reflections [rho g; g -rho] in (i, k + 1).

    Its leading k x k block is upper triangular with rho on the diagonal and
    g^2 (-rho)^(j-i-1) above it, and has the singular values 1, ..., 1, |rho|^k: a defect of 1.
    g = sqrt(1 - rho^2). PROVED (docs/theorems.md, The all-pass cascade).

    Raises:
        ArgumentError: chain < 1 or |rho| > 1.
    """
    if chain < 1 or abs(rho) > 1:
        raise ArgumentError(f"chain must be at least 1 and |rho| at most 1, not {chain} and {rho}")
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
    D = diag(1, ratio^-1, ratio^-2, ...): F_u = [D; 0], C_u = [D^-1 0]. D^-1 B D is
    rho I + O(1 / ratio), and a positive scaling does not change the map of a ReLU network. So the
    error is O(1 / ratio), also where units switch, and ||F_u||_2 ||C_u||_2 =
    ratio^(ceil(n/d) - 1). d = n is exact. For ||x||_inf <= input_bound; the biases of the extra
    states are set for that.

    Raises:
        ArgumentError: chains outside 1 to n, rho outside [0, 1), or ratio < 1.

    Status: PROVED that the error tends to 0 as ratio grows (docs/theorems.md, The all-pass
    cascade). The bias of an extra state covers 4 times the bound on the states of the exact
    network, and 1 more.
    """
    if not 1 <= chains <= hidden_units:
        raise ArgumentError(f"chains must be 1 to {hidden_units}, but it is {chains}")
    if not 0 <= rho < 1 or ratio < 1:
        raise ArgumentError("rho must lie in [0, 1) and ratio must be at least 1")
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
    """R = ||F||_2 ||C||_2, which multiplying the whole state by a number does not change."""
    return float(np.linalg.norm(rnn.F, 2) * np.linalg.norm(rnn.C, 2))


def weight_budget_bound(rho: float, budget: ArrayLike, first_error: ArrayLike = 0.0) -> NDArray:
    """(D): eps1 + rho eps0 >= (1 - rho)(1 - eps0)^2 / R for N < 2n real states, eps0 < 1.

    eps0 = ||J0 - I||_2 (``first_error``), eps1 = ||J1 - rho I||_2, R = ``budget``; returns the
    right side, broadcast.

    Raises:
        ArgumentError: rho or first_error outside [0, 1), or a budget that is not positive.

    Status: PROVED under the condition of (B), and sharp up to the factor 1 + rho at N = 2n - 1
    (docs/theorems.md, Bound (D)).
    """
    budget, first_error = np.asarray(budget, dtype=float), np.asarray(first_error, dtype=float)
    if not 0 <= rho < 1 or np.any(budget <= 0) or np.any((first_error < 0) | (first_error >= 1)):
        raise ArgumentError(
            "rho and first_error must lie in [0, 1), and the budget must be positive"
        )
    return (1 - rho) * (1 - first_error) ** 2 / budget


def jacobian_errors(rnn: RNN, rho: float, active: ArrayLike | None = None) -> tuple[float, float]:
    """(eps0, eps1) of a URNN against rho I: ||C D F - I||_2 and ||C D W D F - rho I||_2.

    ``active`` is the diagonal of D; default: the units with b >= 0 or a non-zero row of F, which
    are all but the extra states of `cascade_unitary`.

    Raises:
        ArgumentError: the network has another number of inputs than of outputs.
    """
    if rnn.input_size != rnn.output_size:
        raise ArgumentError("the Jacobians must be square to be compared with rho I")
    if active is None:
        active = np.any(rnn.F != 0, axis=1) | (rnn.b >= 0)
    on = np.asarray(active, dtype=float)
    eye = np.eye(rnn.input_size)
    read, driven = rnn.C * on, on[:, None] * rnn.F
    first = np.linalg.norm(read @ driven - eye, 2)
    second = np.linalg.norm(read @ rnn.W @ driven - rho * eye, 2)
    return float(first), float(second)


def fixed_scale_distance(W: ArrayLike, states: int) -> tuple[float, float]:
    """The distance of W from the leading n x n blocks of (N, N) unitary matrices, N = ``states``.

    With the singular values t_1 >= ... >= t_n of W, all at most 1, and q = max(0, 2n - N):
    Frobenius norm sqrt(sum_(i<=q) (1 - t_i)^2), operator norm 1 - t_q (0 for q = 0). It is the
    least error of J1 at F_u = [I; 0], C_u = [I 0]. For rho I: (1 - rho) sqrt(2n - N), and 1 - rho.

    Returns:
        (Frobenius, operator).

    Raises:
        ArgumentError: an expansive W, or N < n.

    Status: PROVED (docs/theorems.md, The error at a fixed scale).
    """
    W = matrix(W, square=True)
    size = len(W)
    singular = np.linalg.svd(W, compute_uv=False)
    if singular[0] > 1 + MARGIN or states < size:
        raise ArgumentError("W must be a contraction, and states at least its size")
    missing = 1 - np.minimum(singular[: max(0, 2 * size - states)], 1)
    return float(np.linalg.norm(missing)), float(missing.max(initial=0.0))
