"""How large can the states of a contractive RNN become? Bounds that switch extra states off.

The construction of Theorem 1 adds states whose pre-activation is (K h)_i - beta_i. They stay at
exactly 0 if and only if beta_i >= sup_k (K h(k))_i, so all that is needed is a bound on that
supremum which can be computed. There are two, and the smaller one is taken in each entry:

norm bound       ||h(k)||_2 <= rho ||h(k-1)||_2 + B, rho = ||W||_2, which gives R with
                 sup (K h)_i <= ||(K_i)_+||_2 R (ReLU states are not negative);
entrywise bound  h(k) <= u with u >= (W_+ u + c)_+, c_i = sup_x (F x + b)_i, which gives
                 sup (K h)_i <= (K_i)_+ u. It needs a spectral radius of W_+ below 1, not a norm.

A complex network with CReLU is bounded in its real form (`urnn.matrices.real_form`); for modReLU
moduli take the place of positive parts.

Source: docs/theorems.md, The bias of the extra states (PROVED). The norm bound is the one behind
Theorem 1 of the paper, the entrywise bound goes beyond it.
"""

from __future__ import annotations

from itertools import product
from numbers import Real

import numpy as np
from numpy.typing import NDArray

from urnn.equivalence.checks import count, number
from urnn.errors import ArgumentError
from urnn.matrices import real_form
from urnn.rnn import RNN

#: Relative margin by which every bound is rounded up. Rounding in a product of up to 4,000 terms
#: stays below it, so the extra states are exactly 0 in floating point as well.
MARGIN = 1e-12
#: Up to this many inputs the vertices of the sup-norm ball are enumerated (2^m evaluations).
MAX_ENUMERATED_INPUTS = 10
#: powers of a matrix that may bound its spectral radius, before its eigenvalues are computed
_POWERS = 10
#: Activations for which the states of Theorem 1 can be switched off exactly.
HOMOGENEOUS = frozenset({"relu", "modrelu"})


def norm_tolerance(size: int) -> float:
    """4 n eps: how far a computed singular value of a contraction may be from the true one."""
    return 4 * size * float(np.finfo(np.float64).eps)


def lengths(rows: NDArray) -> NDArray:
    """The 2-norm of each row (rows, n), or of one vector; squares neither under- nor overflow."""
    largest = np.abs(rows).max(axis=-1, initial=0.0)
    usable = (largest > 0) & np.isfinite(largest)
    scale = np.where(usable, largest, 1.0)
    return np.asarray(scale * np.linalg.norm(rows / scale[..., None], axis=-1))


def spectral_norm(matrix: NDArray) -> float:
    """||matrix||_2, the largest singular value."""
    return float(np.linalg.norm(matrix, 2))


def spectral_radius(matrix: NDArray) -> float:
    """max |lambda| over the eigenvalues of a square matrix."""
    return float(np.abs(np.linalg.eigvals(matrix)).max())


def radius_below(matrix: NDArray, limit: float) -> bool:
    """Whether the spectral radius of a matrix with no negative entry is below the limit.

    For any v > 0 it lies between the smallest and the largest of (P v)_i / v_i (Collatz,
    Wielandt); where some powers of P do not decide it that way, the eigenvalues do.
    """
    vector = np.ones(len(matrix))
    for _ in range(_POWERS):
        following = matrix @ vector
        if not (following > 0).all() or not np.isfinite(following).all():
            break
        ratios = following / vector
        if ratios.max() < limit or ratios.min() >= limit:
            return bool(ratios.max() < limit)
        vector = following / following.max()
    return spectral_radius(matrix) < limit


def powers(rho: float, horizon: int | None) -> float:
    """1 + rho + ... + rho^(T-1), T = ``horizon``; None: the whole series, inf for rho >= 1."""
    if horizon is None:
        return 1 / (1 - rho) if rho < 1 else float(np.inf)
    steps = count(horizon, "horizon")
    if rho in (0, 1):
        return float(steps) if rho else 1.0
    with np.errstate(over="ignore"):
        return float(np.expm1(steps * np.log(rho)) / (rho - 1))


def in_reals(array: NDArray) -> NDArray:
    """A complex matrix in its real form, a vector as (Re z_0, Im z_0, ...); real arrays as is."""
    if not np.iscomplexobj(array):
        return array
    if array.ndim == 1:
        return np.stack([array.real, array.imag], -1).ravel()
    return real_form(array.real[None], array.imag[None], np)[0]


def _positive(array: NDArray) -> NDArray:
    return np.maximum(array, 0)


def _thresholds(rnn: RNN) -> NDArray:
    """b in the form that the bounds use: real thresholds (modReLU) or the real form (ReLU)."""
    return rnn.b.real if rnn.activation == "modrelu" else in_reals(rnn.b)


def off_gain(rows: NDArray, activation: str) -> NDArray:
    """What multiplies the bound on the states: K_+, or |K| for modReLU.

    rows (d, n) -> (d, n); for complex rows and CReLU (2d, 2n), in real form.
    """
    return np.abs(rows) if activation == "modrelu" else _positive(in_reals(rows))


def check_input_set(input_bound: float | None, norm: float) -> None:
    """ArgumentError unless norm is 2 or inf and input_bound is None or a finite number >= 0."""
    if not isinstance(norm, Real) or norm not in (2, np.inf):
        raise ArgumentError(f"norm must be 2 or numpy.inf, but it is {norm!r}")
    if input_bound is not None:
        number(input_bound, "input_bound", least=0)


@np.errstate(over="ignore", invalid="ignore")
def drive_entries(rnn: RNN, input_bound: float, norm: float = 2) -> NDArray:
    """c_i = sup (F x + b)_i over ||x|| <= input_bound: M ||F_i||_2 + b_i or M ||F_i||_1 + b_i.

    Real, (n,); (2n,) in real form for CReLU, where the modulus bounds each part. PROVED; each entry
    is attained by some x.
    """
    row_norms = lengths(rnn.F) if norm == 2 else np.abs(rnn.F).sum(axis=1)
    thresholds = _thresholds(rnn)
    return input_bound * np.repeat(row_norms, len(thresholds) // len(row_norms)) + thresholds


@np.errstate(over="ignore", invalid="ignore")
def drive_norm(rnn: RNN, input_bound: float, norm: float = 2) -> float:
    """B >= sup ||(F x + b)_+||_2 over ||x|| <= input_bound, the least of several bounds.

    M ||F||_2 + ||b_+|| (times sqrt(m) for the sup norm), ||c_+|| with c of `drive_entries`,
    M || |F| 1 || + ||b_+|| for the sup norm, and for a real ReLU network with at most
    `MAX_ENUMERATED_INPUTS` inputs the exact maximum over the vertices of the sup-norm ball (the
    function is convex in x). PROVED (docs/theorems.md, The bias of the extra states).
    """
    switched_on = float(lengths(_positive(_thresholds(rnn))))
    candidates = [float(lengths(_positive(drive_entries(rnn, input_bound, norm))))]
    if norm == 2:
        candidates.append(spectral_norm(rnn.F) * input_bound + switched_on)
    else:
        root = np.sqrt(rnn.input_size)
        candidates.append(spectral_norm(rnn.F) * input_bound * root + switched_on)
        row_sums = np.abs(rnn.F).sum(axis=1)
        candidates.append(input_bound * float(lengths(row_sums)) + switched_on)
        is_real = rnn.activation == "relu" and not np.iscomplexobj(rnn.W)
        if is_real and rnn.input_size <= MAX_ENUMERATED_INPUTS:
            vertices = np.array(list(product((-input_bound, input_bound), repeat=rnn.input_size)))
            reached = _positive(vertices @ rnn.F.T + rnn.b)
            candidates.append(float(lengths(reached).max()))
    return min(candidates) * (1 + MARGIN)


@np.errstate(over="ignore", invalid="ignore")
def state_norm_bound(
    rnn: RNN,
    input_bound: float | None,
    norm: float = 2,
    horizon: int | None = None,
    initial_bound: float = 0.0,
) -> float:
    """R >= sup ||h(k)||_2 over the states that are fed back (k = 0, 1, ..., horizon - 2).

    With r = max(||h(-1)||, initial_bound), rho = ||W||_2 and B of `drive_norm`:

        ||h(k)|| <= rho^(k+1) r + B (1 - rho^(k+1)) / (1 - rho)      (rho < 1)
        ||h(k)|| <= r + (k + 1) B                                    (rho = 1, finite horizon)

    The sequence is monotone, so its supremum is at one end. rho is rounded up by `norm_tolerance`.

    Returns:
        R, or inf where this bound gives nothing: no input bound, an expansive W, or ||W|| = 1
        without a horizon.

    Status: PROVED (docs/theorems.md, The bias of the extra states, Norm 1); the bound is attained
    by the scalar network w = 0.9, f = 1, b = 0.5 at the constant input 1.
    """
    check_input_set(input_bound, norm)
    if horizon is not None and count(horizon, "horizon") == 1:
        return 0.0
    rho = spectral_norm(rnn.W)
    tolerance = norm_tolerance(rnn.hidden_units)
    if input_bound is None or rho > 1 + tolerance:
        return np.inf
    rho = min(rho + tolerance, 1.0)
    start = max(float(lengths(rnn.h_init)), initial_bound)
    drive = drive_norm(rnn, input_bound, norm)
    first = rho * start + drive
    if rho < 1:
        last = drive / (1 - rho)
        if horizon is not None:
            decay = np.exp((horizon - 1) * np.log1p(-(1 - rho)))
            last = decay * start + last * (1 - decay)
    else:
        last = np.inf if drive > 0 else start
        if horizon is not None:
            last = start + (horizon - 1) * drive
    return float(max(first, last)) * (1 + MARGIN)


@np.errstate(over="ignore", invalid="ignore")
def entrywise_state_bound(
    rnn: RNN, input_bound: float | None, norm: float = 2, initial_bound: float = 0.0
) -> NDArray | None:
    """u >= h(k) entrywise for all k >= 0 (|h(k)| <= u for modReLU), or None.

    With P = W_+ (|W| for modReLU), c of `drive_entries` and u0 a bound on h(0),

        u = u0 + (I - P)^(-1) (P u0 + c - u0)_+       satisfies  u >= u0  and  u >= (P u + c)_+ ,

    so h(k) <= u follows by induction. It exists when the spectral radius of P is below 1, also
    where ||W|| = 1.

    Returns:
        u, real (n,), in real form (2n,) for CReLU; None without an input bound, for an activation
        other than ReLU and modReLU, or for a spectral radius of 1 or more.

    Status: PROVED (docs/theorems.md, The bias of the extra states).
    """
    check_input_set(input_bound, norm)
    if input_bound is None or rnn.activation not in HOMOGENEOUS:
        return None
    dominating = off_gain(rnn.W, rnn.activation)
    size = len(dominating)
    if not radius_below(dominating, 1 - norm_tolerance(size)):
        return None
    entries = drive_entries(rnn, input_bound, norm)
    if rnn.activation == "modrelu":
        first, rows = np.abs(rnn.W @ rnn.h_init), rnn.W
    else:
        rows = in_reals(rnn.W)
        first = rows @ in_reals(rnn.h_init)
    elsewhere = initial_bound * lengths(rows)
    start = _positive(np.maximum(first, elsewhere) + entries)
    if not np.isfinite(start).all():
        return None
    missing = _positive(dominating @ start + entries - start)
    bound = start + _positive(np.linalg.solve(np.eye(size) - dominating, missing))
    holds = dominating @ bound + entries <= bound + 1e-9 * (1 + bound)
    return bound * (1 + MARGIN) if holds.all() else None


def _product(gain: NDArray, bound: float | NDArray) -> NDArray:
    """gain times a scalar or vector bound, where 0 times inf is 0: a state that is not used."""
    if np.ndim(bound) == 1:
        return gain @ np.asarray(bound)
    return np.array([length * bound if length > 0 else 0.0 for length in lengths(gain)])


@np.errstate(over="ignore", invalid="ignore")
def later_limits(
    rows: NDArray,
    rnn: RNN,
    input_bound: float | None,
    norm: float = 2,
    horizon: int | None = None,
    initial_bound: float = 0.0,
) -> NDArray:
    """sup over k >= 0 of (rows h(k))_i: the least of the norm and the entrywise bound.

    Rows without a positive entry need no bound at all: their limit is 0 whatever the inputs are.
    rows (d, n) -> (d,), (2d,) in real form for CReLU; inf where no bound is known. PROVED
    (docs/theorems.md, The bias of the extra states).
    """
    gain = off_gain(rows, rnn.activation)
    limits = _product(gain, state_norm_bound(rnn, input_bound, norm, horizon, initial_bound))
    entrywise = entrywise_state_bound(rnn, input_bound, norm, initial_bound)
    return limits if entrywise is None else np.minimum(limits, _product(gain, entrywise))


@np.errstate(over="ignore", invalid="ignore")
def initial_limits(rows: NDArray, rnn: RNN, initial_bound: float = 0.0) -> NDArray:
    """sup of (rows h)_i and 0, over h = h(-1) and ||h||_2 <= initial_bound; rounded up.

    rows (d, n) -> (d,), (2d,) in real form for CReLU. PROVED by the Cauchy-Schwarz inequality.
    """
    if rnn.activation == "modrelu":
        values, sizes = np.abs(rows @ rnn.h_init), lengths(rows)
        rounding = np.abs(rows) @ np.abs(rnn.h_init)
    else:
        real_rows, start = in_reals(rows), in_reals(rnn.h_init)
        values, sizes = real_rows @ start, lengths(real_rows)
        rounding = np.abs(real_rows) @ np.abs(start)
    values = values + norm_tolerance(rnn.hidden_units) * rounding
    return np.maximum(_positive(values), sizes * initial_bound)
