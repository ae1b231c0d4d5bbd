"""A W that is orthogonal or clipped up to float32 rounding: the nearest contraction, and its price.

Training in float32 leaves singular values of 1 +- 1e-7. Such a W is no contraction, and no theorem
applies to it as it is. `nearest_contraction` moves those singular values to 1, and
`projection_error_bound` says how much that can change the states.

Source: docs/theorems.md, W with rounding (PROVED).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from urnn.equivalence.checks import matrix, network
from urnn.equivalence.saturation import SATURATING
from urnn.equivalence.state_bounds import (
    HOMOGENEOUS,
    MARGIN,
    lengths,
    norm_tolerance,
    powers,
    spectral_norm,
    state_norm_bound,
)
from urnn.errors import ArgumentError
from urnn.rnn import RNN

#: singular values this near 1 count as 1: about 80 times the rounding unit of float32
NEAR_ONE = 1e-5


class Projection(NamedTuple):
    """W, its largest singular values moved to 1, and how far: ||W - W'||_2."""

    W: NDArray
    distance: float


def nearest_contraction(W: ArrayLike) -> Projection:
    """W' = U s' V^H with s' = 1 where s is within 1e-5 of 1, else s' = s; ||W'||_2 <= 1.

    float64 or complex128. W itself, and 0, where no singular value is that near 1 without being 1.

    Raises:
        ArgumentError: not a square matrix of finite numbers, or a singular value above 1 + 1e-5.
    """
    given = matrix(W, square=True)
    left, singular, right = np.linalg.svd(given)
    if singular[0] > 1 + NEAR_ONE:
        raise ArgumentError(
            f"W is expansive: ||W||_2 = {singular[0]:.8g} is more than {NEAR_ONE:g} above 1, which "
            "is no rounding; rescale=True looks for a diagonal scaling"
        )
    change = np.where(np.abs(singular - 1) <= NEAR_ONE, 1 - singular, 0.0)
    change[np.abs(change) <= norm_tolerance(len(given))] = 0.0
    if not change.any():
        return Projection(given, 0.0)
    return Projection(given + (left * change) @ right, float(np.abs(change).max()))


def projected(rnn: RNN) -> RNN:
    """The network with `nearest_contraction` of its W.

    Raises:
        ArgumentError: as `nearest_contraction`.
    """
    return rnn.replace(W=nearest_contraction(network(rnn).W).W)


def projection_error_bound(
    rnn: RNN, input_bound: float | None, norm: float = 2, horizon: int | None = None
) -> float:
    """A bound on ||h(k) - h'(k)||_2 between ``rnn`` and its projection, for k = 0 to horizon - 1:

        l d R (1 + l rho + ... + (l rho)^(T-1)),   d = ||W - W'||_2, rho = ||W||_2, T = horizon,

    with R >= ||h'(k)||_2 (`state_norm_bound`; for tanh and sigmoid sqrt(n), and no input bound is
    needed) and the Lipschitz constant l of the activation (1/4 for the sigmoid, else 1). Without a
    horizon l d R / (1 - l rho), inf for l rho >= 1. Multiply by ||C||_2 for the outputs.

    Raises:
        ArgumentError: the identity, a modReLU threshold above 0, or as `nearest_contraction`.

    Status: PROVED (docs/theorems.md, W with rounding).
    """
    rnn = network(rnn)
    if rnn.activation not in HOMOGENEOUS and rnn.activation not in SATURATING:
        raise ArgumentError(f"there is no bound on the states of {rnn.activation} networks")
    if rnn.activation == "modrelu" and rnn.b.real.max() > 0:
        raise ArgumentError(
            "modReLU with a threshold above 0 is discontinuous at 0: a small change of W can have "
            "a large effect, and there is no bound"
        )
    distance = nearest_contraction(rnn.W).distance
    if distance == 0:
        return 0.0
    slope, reach = 1.0, float(np.sqrt(rnn.hidden_units))
    if rnn.activation in SATURATING:
        slope = SATURATING[rnn.activation].lipschitz
    else:
        reach = state_norm_bound(projected(rnn), input_bound, norm, horizon)
    rho = slope * spectral_norm(rnn.W) * (1 + norm_tolerance(rnn.hidden_units))
    reach = max(reach, float(lengths(rnn.h_init)))
    return float(slope * distance * reach * powers(rho, horizon)) * (1 + MARGIN)
