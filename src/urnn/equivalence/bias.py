"""The biases that switch extra states off, and the network that has them.

An extra state with the pre-activation (K h)_i - beta_i stays at 0 if beta_i >= sup_k (K h(k))_i,
over k >= -1 and all admitted inputs.

Source: docs/theorems.md, The bias of the extra states (PROVED).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from urnn.equivalence.checks import count, number
from urnn.equivalence.state_bounds import (
    MARGIN,
    check_input_set,
    initial_limits,
    later_limits,
    norm_tolerance,
    spectral_norm,
)
from urnn.equivalence.zonotope import zonotope_limits
from urnn.errors import ArgumentError
from urnn.rnn import RNN

#: more than the rounding of sums of subnormal numbers, per term
_SUBNORMAL = 2 * float(np.finfo(np.float64).smallest_subnormal)


@dataclass(frozen=True)
class Admitted:
    """Which inputs and initial states a conversion is for, and for how many steps.

    input_bound    M with ||x(k)|| <= M, or None: any input
    norm           of that bound, 2 or inf
    horizon        the number of steps, or None: all of them
    initial_bound  ||h(-1)||_2 may also be anything up to this
    tight          bound the states by zonotopes as well
    """

    input_bound: float | None = None
    norm: float = 2
    horizon: int | None = None
    initial_bound: float = 0.0
    tight: bool = False

    def __post_init__(self) -> None:
        check_input_set(self.input_bound, self.norm)
        number(self.initial_bound, "initial_bound", least=0)
        if self.horizon is not None:
            count(self.horizon, "horizon")
        if self.tight and (self.horizon is None or self.input_bound is None):
            raise ArgumentError("tight=True needs a finite horizon=... and an input_bound=...")


def limits(rows: NDArray, rnn: RNN, scaled: RNN, scale: NDArray, admitted: Admitted) -> NDArray:
    """sup over k >= -1 of rows D h(k), rounded up: the least of all bounds that are known.

    rows (d, n) act on the scaled states D h, D = diag(scale), of ``scaled``; the states of ``rnn``
    are bounded as well. (d,), (2d,) in real form for CReLU; inf where no bound is known.
    """
    inputs = (admitted.input_bound, admitted.norm, admitted.horizon)
    original_rows = rows * scale
    at_start = initial_limits(original_rows, rnn, admitted.initial_bound)
    later = later_limits(original_rows, rnn, *inputs, admitted.initial_bound)
    if scaled is not rnn:
        reach = admitted.initial_bound * float(scale.max())
        later = np.minimum(later, later_limits(rows, scaled, *inputs, reach))
    if admitted.tight and admitted.input_bound is not None and admitted.horizon is not None:
        tighter = zonotope_limits(
            original_rows,
            rnn,
            admitted.input_bound,
            admitted.norm,
            admitted.horizon,
            admitted.initial_bound,
        )
        later = np.fmin(later, tighter)
    found = np.maximum(at_start, later)
    terms = rows.shape[1] + rnn.input_size + 2
    return np.where(found > 0, found + terms * _SUBNORMAL, found)


def with_extra_states(rnn: RNN, W: NDArray, off: NDArray) -> RNN:
    """The network with W_u = W, extra states at 0 and extra biases -off, rounded away from 0."""
    extra = len(W) - rnn.hidden_units
    bias = 0.0 - off * (1 + MARGIN)  # 0.0 - 0.0 is 0.0, where -0.0 would be a bias of minus zero
    if rnn.activation != "modrelu" and np.iscomplexobj(rnn.W):
        bias = bias[::2] + 1j * bias[1::2]
    return rnn.replace(
        W=W,
        F=np.vstack([rnn.F, np.zeros((extra, rnn.input_size))]),
        b=np.concatenate([rnn.b, bias]),
        C=np.hstack([rnn.C, np.zeros((rnn.output_size, extra))]),
        h_init=np.concatenate([rnn.h_init, np.zeros(extra)]),
    )


def refusal(rnn: RNN, input_bound: float | None) -> ArgumentError:
    """Why no bound on the states is known, and what helps."""
    norm = spectral_norm(rnn.W)
    if input_bound is None and rnn.activation == "modrelu":
        return ArgumentError(
            "the extra states need a bound on the inputs, since the states of modReLU have no "
            "sign: give input_bound=... with norm=2 or numpy.inf"
        )
    if input_bound is None:
        return ArgumentError(
            "the extra states need a bound on the inputs: give input_bound=... with norm=2 or "
            "numpy.inf. (It is not needed where I - W^H W = K^H K with K >= 0 entrywise, or where "
            "W is unitary; neither was found here)"
        )
    if norm < 1 - norm_tolerance(rnn.hidden_units):
        return ArgumentError(
            f"||W||_2 = {norm:.6g} is below 1, but the bound on the states is too large for "
            "float64: divide x, b and h(-1) by one large number (`homogeneity`), which divides "
            "the outputs by it, or give F in other units"
        )
    return ArgumentError(
        f"||W||_2 = {norm:.15g} is not below 1, so no bound on the states is known: give a finite "
        "horizon=..., or rescale=True to look for a positive diagonal D with ||D W D^-1||_2 < 1. "
        "In general the states of such a network are not bounded"
    )
