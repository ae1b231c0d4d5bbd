"""Near-exact unitary equivalents of contractive tanh and sigmoid networks.

Theorem 3 forbids an exact one. But an extra unit with the bias -beta saturates, at
-1 + 2 e^(-2 beta) (tanh) or e^(-beta) (sigmoid), and what remains of it fades exponentially with
beta: with 2n states the infimum of the error is 0, and in float64 the error is at roundoff from
beta = 20 or 40 on.

Source: the project's theory notes 3.2. The error bound is PROVED here; the rates are measured.
"""

from __future__ import annotations

import numpy as np

from urnn.equivalence.dilation import completion
from urnn.equivalence.state_bounds import spectral_norm
from urnn.rnn import RNN

#: activation -> (resting value, decay rate of the residue with beta, residue at beta 0, Lipschitz)
_RESTING = {"tanh": (-1.0, 2.0, 2.0, 1.0), "sigmoid": (0.0, 1.0, 1.0, 0.25)}


def _require_saturating(rnn: RNN) -> None:
    if rnn.activation not in _RESTING:
        raise ValueError(f"saturation is for tanh and sigmoid networks, not for {rnn.activation}")


def saturated_unitary(
    rnn: RNN, saturation: float, states: str = "minimal", initial_bound: float = 0.0
) -> RNN:
    """An orthogonal network whose map differs by at most `saturation_error_bound`.

    W_u is the completion of W. Every extra unit has a pre-activation of at most -beta, -saturation,
    as all states are bounded (by 1, and by |h(-1)| at the start), so no input bound is needed:

        tanh     b_x = -beta - sum_j |[W_21 W_22]_ij| s_j,   b_1 += W_12 1,   h_x(-1) = -1
        sigmoid  b_x = -beta - sum_j |[W_21 W_22]_ij| s_j,                    h_x(-1) =  0

    with s_j = max(1, |h_j(-1)|, initial_bound): the result may also be started at [h; h_x(-1)] with
    any |h_j| up to ``initial_bound``. (Sigmoid states that start at h(-1) >= 0 need only the
    positive entries of the sum.)

    Returns:
        A network with n + rank(I - W^T W) ("minimal") or 2n states, W_u orthogonal, float64.

    Raises:
        ValueError: an activation other than tanh and sigmoid, an expansive W, saturation < 0. A
            positive diagonal scaling cannot help here: tanh keeps its map only under signed
            permutations.

    Status: not an equality (Theorem 3 says there is none); error bound PROVED, theory notes 3.2.
    """
    _require_saturating(rnn)
    if not (np.isfinite(saturation) and saturation >= 0):
        raise ValueError(f"saturation must be finite and not negative, but it is {saturation!r}")
    resting = _RESTING[rnn.activation][0]
    size = rnn.hidden_units
    W = completion(rnn.W, states)
    extra = len(W) - size
    largest = np.maximum(np.abs(rnn.h_init), max(1.0, initial_bound))
    lower = W[size:]
    if rnn.activation == "sigmoid" and initial_bound == 0 and rnn.h_init.min() >= 0:
        lower = np.maximum(lower, 0)  # no state is ever negative
    reach = np.abs(lower) @ np.concatenate([largest, np.ones(extra)])
    bias = np.concatenate([rnn.b - resting * W[:size, size:].sum(axis=1), -saturation - reach])
    return RNN(
        W,
        np.vstack([rnn.F, np.zeros((extra, rnn.input_size))]),
        bias,
        np.hstack([rnn.C, np.zeros((rnn.output_size, extra))]),
        np.concatenate([rnn.h_init, np.full(extra, resting)]),
        rnn.activation,
    )


def saturation_error_bound(rnn: RNN, saturation: float) -> float:
    """sup over all inputs and all k of ||h(k) - h_u(k)||_2 for `saturated_unitary`, at most this.

        l ||W_12|| sqrt(d) r / (1 - l rho)

    r = 2 e^(-2 beta), l = 1 (tanh) or r = e^(-beta), l = 1/4 (sigmoid); inf for tanh at rho = 1.
    Multiply by ||C||_2 for the outputs. In exact arithmetic: rounding comes on top.

    Raises:
        ValueError: an activation other than tanh and sigmoid, or an expansive W.

    Status: PROVED: e(k) <= l (rho e(k-1) + ||W_12|| ||residue||), since the bound on the residue
    needs only that states are bounded by 1.
    """
    _require_saturating(rnn)
    _, rate, residue, lipschitz = _RESTING[rnn.activation]
    W = completion(rnn.W)
    size = rnn.hidden_units
    extra = len(W) - size
    if extra == 0:
        return 0.0
    gap = 1 - lipschitz * min(spectral_norm(rnn.W), 1.0)
    gain = lipschitz * spectral_norm(W[:size, size:]) * np.sqrt(extra)
    return float(gain * residue * np.exp(-rate * saturation) / gap) if gap > 0 else float(np.inf)
