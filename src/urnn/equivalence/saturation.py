"""Nearly equal unitary networks for contractive tanh and sigmoid networks.

Theorem 3 excludes equality. But an extra unit with the bias -beta saturates, at about
-1 + 2 e^(-2 beta) (tanh) or e^(-beta) (sigmoid), and its distance from -1 or 0 falls exponentially
with beta. So with 2n states the infimum of the error is 0; in float64 the error is at roundoff from
beta = 20 (tanh) or 40 (sigmoid) on.

Source: docs/theorems.md, Saturation. The error bound is PROVED; the rates are measured.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from urnn.equivalence.checks import network, number
from urnn.equivalence.dilation import completion
from urnn.equivalence.state_bounds import (
    check_input_set,
    drive_entries,
    lengths,
    norm_tolerance,
    powers,
    spectral_norm,
)
from urnn.errors import ArgumentError
from urnn.rnn import RNN


class Saturation(NamedTuple):
    """A unit with the pre-activation -beta is at most residue e^(-rate beta) from resting."""

    resting: float
    rate: float
    residue: float
    lipschitz: float


#: the activations that saturate
SATURATING = {
    "sigmoid": Saturation(0.0, 1.0, 1.0, 0.25),
    "tanh": Saturation(-1.0, 2.0, 2.0, 1.0),
}


_SMALLEST = float(np.finfo(np.float64).smallest_subnormal)


def _facts(rnn: RNN) -> Saturation:
    if network(rnn).activation not in SATURATING:
        raise ArgumentError(
            f"saturation is for tanh and sigmoid networks, not for {rnn.activation}"
        )
    return SATURATING[rnn.activation]


def saturated_unitary(
    rnn: RNN, saturation: float, states: str = "minimal", initial_bound: float = 0.0
) -> RNN:
    """An orthogonal network whose map differs by at most `saturation_error_bound`.

    W_u is the completion of W. Every extra unit has a pre-activation of at most -beta, with beta =
    ``saturation``, because all states are bounded (by 1, and by |h(-1)| at the start). So no input
    bound is needed:

        tanh     b_x = -beta - sum_j |[W_21 W_22]_ij| s_j,   b_1 += W_12 1,   h_x(-1) = -1
        sigmoid  b_x = -beta - sum_j |[W_21 W_22]_ij| s_j,                    h_x(-1) =  0

    with s_j = max(1, |h_j(-1)|, initial_bound): the result may also be started at [h; h_x(-1)] with
    any |h_j| up to ``initial_bound``. (Sigmoid states that start at h(-1) >= 0 need only the
    positive entries of the sum.)

    Returns:
        A network with n + rank(I - W^T W) ("minimal") or 2n states, W_u orthogonal, float64.

    Raises:
        ArgumentError: an activation other than tanh and sigmoid, an expansive W, saturation < 0. A
            positive diagonal scaling cannot help here: it does not leave the map unchanged.

    Status: near, not equal (Theorem 3); the error bound is PROVED (docs/theorems.md, Saturation).
    """
    resting = _facts(rnn).resting
    number(saturation, "saturation", least=0)
    number(initial_bound, "initial_bound", least=0)
    size = rnn.hidden_units
    W = completion(rnn.W, states)
    extra = len(W) - size
    largest = np.maximum(np.abs(rnn.h_init), max(1.0, initial_bound))
    lower = W[size:]
    if rnn.activation == "sigmoid" and initial_bound == 0 and rnn.h_init.min() >= 0:
        lower = np.maximum(lower, 0)  # no state is ever negative
    reach = np.abs(lower) @ np.concatenate([largest, np.ones(extra)])
    bias = np.concatenate([rnn.b - resting * W[:size, size:].sum(axis=1), -saturation - reach])
    return rnn.replace(
        W=W,
        F=np.vstack([rnn.F, np.zeros((extra, rnn.input_size))]),
        b=bias,
        C=np.hstack([rnn.C, np.zeros((rnn.output_size, extra))]),
        h_init=np.concatenate([rnn.h_init, np.full(extra, resting)]),
    )


def saturation_error_bound(
    rnn: RNN,
    saturation: float,
    states: str = "minimal",
    input_bound: float | None = None,
    norm: float = 2,
    horizon: int | None = None,
) -> float:
    """A bound on ||h(k) - h_u(k)||_2 for `saturated_unitary` with the same ``states``, for all k:

        (l (||W_12|| sqrt(d) r + 2 g) + a) / (1 - l rho),

    or, for k < T = ``horizon``, with 1 + l rho + ... + (l rho)^(T-1) in place of 1 / (1 - l rho).
    r = 2 e^(-2 beta), l = 1 (tanh) or r = e^(-beta), l = 1/4 (sigmoid); inf for tanh at rho = 1.
    g and a are the rounding of pre-activations and activations in float64. They are counted if
    ``input_bound`` says how large the inputs are (``norm`` 2 or numpy.inf). Without it the bound is
    for all inputs, in exact arithmetic: g = a = 0. Multiply by ||C||_2 for the outputs.

    Raises:
        ArgumentError: an activation other than tanh and sigmoid, an expansive W, or numbers that
            are out of range.

    Status: PROVED: e(k) <= l (rho e(k-1) + ||W_12|| sqrt(d) r + 2 g) + a (docs/theorems.md,
    Saturation).
    """
    _, rate, residue, lipschitz = _facts(rnn)
    number(saturation, "saturation", least=0)
    check_input_set(input_bound, norm)
    W = completion(rnn.W, states)
    size = rnn.hidden_units
    extra = len(W) - size
    if extra == 0:  # the network itself
        return 0.0
    rho = min(spectral_norm(rnn.W) * (1 + norm_tolerance(size)), 1.0)
    gain = lipschitz * spectral_norm(W[:size, size:]) * np.sqrt(extra)
    step = gain * residue * np.exp(-rate * saturation)
    if input_bound is not None:
        eps = float(np.finfo(np.float64).eps)
        largest = np.append(np.maximum(np.abs(rnn.h_init), 1.0), np.ones(extra))
        drive = np.abs(drive_entries(rnn, input_bound, norm) - rnn.b) + 2 * np.abs(rnn.b)
        terms = len(W) + rnn.input_size + 3
        rounding = terms * eps * lengths(2 * np.abs(W[:size]) @ largest + drive)
        step = step + lipschitz * 2 * float(rounding) + 4 * eps * np.sqrt(size)
    # never 0: Theorem 3
    return max(float(step * powers(lipschitz * rho, horizon)), _SMALLEST)
