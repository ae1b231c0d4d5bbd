"""An orthogonal network for any activation, exact for a finite number of steps.

What W loses leaves through G V_d^T h, passes down a chain of L units for each of its d dimensions,
and comes back only after L steps (Egervary's dilation).

Source: docs/theorems.md, The delay chain (PROVED, beyond the paper).
"""

from __future__ import annotations

import numpy as np

from urnn.equivalence.checks import count, network
from urnn.equivalence.state_bounds import norm_tolerance
from urnn.errors import ArgumentError
from urnn.rnn import ACTIVATIONS, RNN


def delay_chain(
    rnn: RNN, length: int, centre: float = 0.0, expected_state: float | np.ndarray = 0.0
) -> RNN:
    """n + d L states, W_u orthogonal, outputs equal to those of ``rnn`` for k = 0 to L - 1 or L.

        h' <- W h + U_d G c_L,   c_1 <- G V_d^T h - S_d c_L,   c_i <- c_(i-1)

    with d = rank(I - W^H W) units in each of the L links.

    Every chain unit rests at c = phi(centre); what disturbs the first link reaches the output after
    L steps. No bound on the inputs is needed.

    Args:
        rnn: any activation but modReLU (whose b is a threshold), ||W||_2 <= 1, real or complex.
        length: L >= 1.
        centre: the pre-activation at which the chain rests. The later error shrinks with the slope
            of phi there: a factor 1/4 per unit of a sigmoid chain centred at 0 (measured).
        expected_state: a value (or (n,)) around which h moves; it centres the first link. With
            h(-1) itself the first link starts at rest, and the outputs are equal at k = L too.

    Raises:
        ArgumentError: an expansive W, length < 1, or modReLU.

    Status: PROVED (docs/theorems.md, The delay chain); `exact_horizon` says when it is the best.
    """
    network(rnn)
    count(length, "length")
    if rnn.activation == "modrelu":
        raise ArgumentError("the chain needs an additive bias, which modReLU does not have")
    size = rnn.hidden_units
    tolerance = norm_tolerance(size)
    left, singular, right = np.linalg.svd(rnn.W)
    if singular[0] > 1 + tolerance:
        raise ArgumentError(f"W is expansive: ||W||_2 = {singular[0]:.6g} > 1")
    used = np.flatnonzero(1 - singular > tolerance)
    extra = len(used)
    if extra == 0:
        return rnn
    kept = np.minimum(singular[used], 1.0)
    gain = np.sqrt((1 - kept) * (1 + kept))
    total = size + extra * length
    head, tail = slice(size, size + extra), slice(total - extra, total)
    W = np.zeros((total, total), rnn.W.dtype)
    W[:size, :size] = rnn.W
    W[:size, tail] = left[:, used] * gain
    W[head, :size] = gain[:, None] * right[used]
    W[head, tail] = -np.diag(kept)
    W[size + extra :, size:-extra] = np.eye(extra * (length - 1))
    zero = np.zeros((), rnn.W.dtype)
    rest = ACTIVATIONS[rnn.activation](zero + centre, zero)
    b = np.full(total, centre - rest, rnn.W.dtype)
    b[:size] = rnn.b - W[:size, tail].sum(axis=1) * rest
    b[head] = centre + kept * rest - W[head, :size] @ np.broadcast_to(expected_state, size)
    h_init = np.full(total, rest, rnn.W.dtype)
    h_init[:size] = rnn.h_init
    F = np.zeros((total, rnn.input_size), rnn.F.dtype)
    F[:size] = rnn.F
    C = np.zeros((rnn.output_size, total), rnn.C.dtype)
    C[:, :size] = rnn.C
    return rnn.replace(W=W, F=F, b=b, C=C, h_init=h_init)
