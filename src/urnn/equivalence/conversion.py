"""Theorem 1 as a program: the unitary RNN with the same input-output map as a contractive one.

Source: the paper, Theorem 1; docs/theorems.md, Theorem 1 and Saturation.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from urnn.equivalence.bias import Admitted, limits, refusal, with_extra_states
from urnn.equivalence.checks import network
from urnn.equivalence.complex_conversion import complex_unitary
from urnn.equivalence.dilation import completion, completion_around, nonnegative_factor
from urnn.equivalence.fewest_states import attained_tolerance, fewest_states_scaling
from urnn.equivalence.invariance import positive_scaling
from urnn.equivalence.projection import NEAR_ONE, projected
from urnn.equivalence.saturation import SATURATING, saturated_unitary
from urnn.equivalence.scaling import best_scaling
from urnn.equivalence.state_bounds import HOMOGENEOUS, norm_tolerance, spectral_norm
from urnn.errors import ArgumentError
from urnn.rnn import RNN

#: The ||D W D^-1|| that a rescue aims at: with 1 / (1 - 0.999) the biases are still modest.
_RESCUE_TARGET = 0.999
_STATES = ("minimal", "2n", "fewest", "complex")


def _rounded(norm: float) -> ArgumentError:
    return ArgumentError(
        f"||W||_2 = 1 + {norm - 1:.2g}, as rounding in float32 leaves it: project=True moves its "
        "largest singular values to 1, and projection_error_bound says what that changes"
    )


def _rescue(rnn: RNN) -> NDArray:
    scaling = best_scaling(rnn.W, target=_RESCUE_TARGET)
    if scaling.norm < 1 - norm_tolerance(rnn.hidden_units):
        return scaling.scale
    if spectral_norm(rnn.W) <= 1 + NEAR_ONE:
        raise _rounded(spectral_norm(rnn.W))
    reason = (
        f"a dual certificate proves that none goes below {scaling.lower_bound:.6g}"
        if scaling.lower_bound >= 1
        else f"the best one found reaches {scaling.norm:.6g}, and none goes below "
        f"{scaling.lower_bound:.6g}"
    )
    raise ArgumentError(
        f"W cannot be rescued: ||W||_2 = {spectral_norm(rnn.W):.6g} and no positive diagonal D "
        f"with ||D W D^-1||_2 < 1 was found; {reason}"
    )


def _scale_for(
    rnn: RNN, states: str, horizon: int | None, rescale: bool, scale: ArrayLike | None
) -> NDArray:
    """The diagonal D of the coordinates in which W is completed."""
    if scale is not None:
        try:
            factors = np.asarray(scale, dtype=float)
        except (TypeError, ValueError):
            factors = np.zeros(0)
        positive = np.isfinite(factors) & (factors > 0)
        if factors.shape != (rnn.hidden_units,) or not positive.all():
            raise ArgumentError(
                f"scale must be {rnn.hidden_units} positive finite numbers, one for each state"
            )
        return factors
    if states == "fewest":
        return fewest_states_scaling(rnn.W)[0]
    norm = spectral_norm(rnn.W)
    tolerance = norm_tolerance(rnn.hidden_units)
    if norm <= 1 + tolerance and not (rescale and norm > 1 - tolerance and horizon is None):
        return np.ones(rnn.hidden_units)
    if not rescale and norm <= 1 + NEAR_ONE:
        raise _rounded(norm)
    if not rescale:
        raise ArgumentError(
            f"W is expansive: ||W||_2 = {norm:.6g} > 1, and Theorem 1 needs a contraction. "
            "rescale=True looks for a positive diagonal D with ||D W D^-1||_2 < 1, which leaves "
            "the map of a ReLU network unchanged (best_scaling(W) shows how far that goes)"
        )
    if norm > 1 + tolerance:
        return _rescue(rnn)
    scaling = best_scaling(rnn.W, target=_RESCUE_TARGET)  # ||W|| = 1: a scaling may help, or not
    return scaling.scale if scaling.norm < 1 - tolerance else np.ones(rnn.hidden_units)


def _saturated(
    rnn: RNN, saturation: float, states: str, initial_bound: float, for_relu: bool
) -> RNN:
    """`saturated_unitary`, unless an option was given that is for ReLU networks only."""
    if for_relu:
        raise ArgumentError(
            "tanh and sigmoid allow no scaling of the states, no complex states and no tight "
            "biases: drop that option"
        )
    return saturated_unitary(rnn, saturation, states, initial_bound)


def _without_extra_states(rnn: RNN) -> RNN:
    """The network itself, if it is unitary, where the extra states could not be switched off."""
    if len(completion(rnn.W)) == rnn.hidden_units:
        return rnn
    remedy = (
        "saturation=20 returns an orthogonal network that agrees to about roundoff"
        if rnn.activation in SATURATING
        else "a linear unit cannot be switched off by its bias"
    )
    raise ArgumentError(
        f"a contractive {rnn.activation} network has no exact equivalent by this construction "
        f"(Theorem 3 for the sigmoid and tanh): {remedy}; delay_chain(rnn, length) is exact "
        "for a finite number of steps"
    )


def network_around(
    rnn: RNN,
    W: ArrayLike,
    input_bound: float | None = None,
    norm: float = 2,
    horizon: int | None = None,
    initial_bound: float = 0.0,
) -> RNN:
    """The network of Theorem 1 around any W_u (N, N) whose leading n x n block is rnn.W.

    `to_unitary` chooses the completion itself; here it is the caller's, for example
    diag(I, Q1) W_u diag(I, Q2) with any orthogonal Q1, Q2 of the extra states (unitary ones, if the
    network is complex), which leaves the map unchanged. The other arguments are those of
    `to_unitary`. The map is the same whether or not W_u is unitary.

    Raises:
        ArgumentError: the leading block of W_u is not rnn.W, W_u is complex and rnn is not, no
            bound on the states is known, or the activation is neither ReLU nor modReLU.

    Status: PROVED (docs/theorems.md, The bias of the extra states).
    """
    matrix = np.asarray(W)
    size = network(rnn).hidden_units
    square = matrix.ndim == 2 and matrix.shape[0] == matrix.shape[1] > size
    admitted = Admitted(input_bound, norm, horizon, initial_bound)
    if not square or not np.array_equal(matrix[:size, :size], rnn.W):
        raise ArgumentError(f"W must be square, with rnn.W as its leading {size} x {size} block")
    if np.iscomplexobj(matrix) and not np.iscomplexobj(rnn.W):
        raise ArgumentError("W must be real, as the network is")
    if rnn.activation not in HOMOGENEOUS:
        raise ArgumentError(
            f"the extra states of a {rnn.activation} network cannot be switched off"
        )
    off = limits(matrix[size:, :size], rnn, rnn, np.ones(size), admitted)
    if not np.isfinite(off).all():
        raise refusal(rnn, input_bound)
    return with_extra_states(rnn, matrix, off)


def to_unitary(
    rnn: RNN,
    input_bound: float | None = None,
    norm: float = 2,
    states: str = "minimal",
    horizon: int | None = None,
    *,
    rescale: bool = False,
    scale: ArrayLike | None = None,
    initial_bound: float = 0.0,
    saturation: float | None = None,
    project: bool = False,
    tight: bool = False,
) -> RNN:
    """The unitary RNN with the same input-output map as the contractive ``rnn``.

        W_u = [W, W_12; W_21, W_22] unitary,  F_u = [F; 0],  b_u = [b; -beta],  C_u = [C 0],
        h_u(-1) = [h(-1); 0],  d_u = d,       beta_i >= sup_k (W_21 h(k))_i .

    The extra states are exactly 0 at every step, in floating point too, so the first n states are
    those of ``rnn``. The result of a real network is for real inputs; `RNN` refuses complex ones.

    Args:
        rnn: ReLU or modReLU, real or complex (a complex ReLU is CReLU), ||W||_2 <= 1. Any
            activation if W is already unitary. tanh and sigmoid only with ``saturation``.
        input_bound: M with ||x(k)|| <= M for every k. Not needed where W is unitary, or where
            I - W^H W = K^H K with K >= 0 entrywise is found (`nonnegative_factor`).
        norm: of that bound, 2 or numpy.inf.
        states: "minimal", n + rank(I - W^H W); "2n", as in the paper; "fewest", n + d with the
            scaling of `fewest_states_scaling` (real W); "complex", n: for real ReLU networks, CReLU
            and W_u = U (S +- i sqrt(I - S^2)) V^T, with states that stay real.
        horizon: the number of steps T for which the maps must agree. Needed for ||W||_2 = 1,
            unless the entrywise bound or a scaling applies.
        rescale: look for a positive diagonal D with ||D W D^-1||_2 < 1 where ||W||_2 < 1 fails.
        scale: that D, positive (n,), if known. The first n states of the result are D h.
        initial_bound: the result may be started at [D h; 0] for any h with ||h||_2 up to this.
        saturation: beta >= 0: for tanh and sigmoid, return the nearly equal `saturated_unitary`.
        project: take `nearest_contraction` of W, for a W that was orthogonal or clipped in float32;
            that changes the states by at most `projection_error_bound`.
        tight: smaller biases from zonotopes around the states (real ReLU; needs a horizon).

    ||W_u^H W_u - I||_2 and the relative error are below 1e-13 (measured, n up to 64).

    Raises:
        ArgumentError: W is expansive, no bound on the states is known, the input bound is missing,
            or no exact equivalent is known. The message names the remedy.

    Status: PROVED for ReLU, CReLU and modReLU (docs/theorems.md, Theorem 1 and Real and complex);
    near, not equal, with ``saturation``. modReLU with a threshold above 0 is discontinuous at 0.
    """
    rnn = projected(network(rnn)) if project else network(rnn)
    admitted = Admitted(input_bound, norm, horizon, initial_bound, tight)
    if states not in _STATES:
        raise ArgumentError(f"states must be one of {', '.join(_STATES)}, but it is {states!r}")
    if saturation is not None:
        for_relu = rescale or scale is not None or tight or states in ("fewest", "complex")
        return _saturated(rnn, saturation, states, initial_bound, for_relu)
    if rnn.activation not in HOMOGENEOUS:
        return _without_extra_states(rnn)
    return _converted(rnn, _scale_for(rnn, states, horizon, rescale, scale), states, admitted)


def _converted(rnn: RNN, factors: NDArray, states: str, admitted: Admitted) -> RNN:
    """The network in the coordinates D h, D = diag(factors), with its extra states."""
    scaled = rnn if np.all(factors == 1) else positive_scaling(rnn, factors)
    if states == "complex":
        return complex_unitary(rnn, scaled, factors, admitted)
    size, block = rnn.hidden_units, "2n" if states == "2n" else "minimal"
    tolerance = attained_tolerance(size) if states == "fewest" else None
    matrix = completion(scaled.W, block, tolerance)
    off = limits(matrix[size:, :size], rnn, scaled, factors, admitted)
    if not np.isfinite(off).all():
        factor = nonnegative_factor(scaled.W, block)
        if factor is not None:
            factor = factor.astype(scaled.W.dtype)
            matrix = completion_around(scaled.W, factor)
            off = limits(-factor, rnn, scaled, factors, admitted)
    if not np.isfinite(off).all():
        raise refusal(scaled, admitted.input_bound)
    return with_extra_states(scaled, matrix, off)
