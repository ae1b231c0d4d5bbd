"""Theorem 3: no finite real URNN equals a contractive sigmoid RNN, but 2n states come ever nearer.

The witness is scalar: h(k) = sig(w h(k-1) + f x(k) + b), y = h, with f != 0 and |w| != 1. Float64
cannot show the theorem, since the error of a saturated pair falls below the last bit. The slope of
the error against the bias can, and so can arithmetic with many digits.

Source: the paper, Theorem 3; docs/theorems.md, No unitary equivalent and Saturation.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import mpmath
import numpy as np
from numpy.typing import ArrayLike, NDArray

from urnn.equivalence.checks import count, network, number
from urnn.equivalence.delay_chain import delay_chain
from urnn.equivalence.saturation import SATURATING
from urnn.errors import ArgumentError
from urnn.rnn import RNN

#: d log(error) / d beta of a saturated pair: the residue is e^-beta, or 2 e^(-2 beta).
ERROR_SLOPE = {activation: -facts.rate for activation, facts in SATURATING.items()}


def _require_known(activation: str) -> None:
    if activation not in SATURATING:
        raise ArgumentError(f'activation must be "sigmoid" or "tanh", but it is {activation!r}')


def scalar_witness(
    weight: float = 0.5, gain: float = 1.0, bias: float = 0.0, activation: str = "sigmoid"
) -> RNN:
    """h(k) = phi(w h(k-1) + f x(k) + b), y = h, h(-1) = 0: no finite real URNN has this map.

    Not even on some non-empty open set of inputs, for all k. activation "sigmoid" or "tanh".

    Raises:
        ArgumentError: another activation, or |weight| = 1 or gain = 0, which the theorem excludes.

    Status: PROVED (docs/theorems.md, No unitary equivalent). `exact_horizon` says for how many
    steps a URNN with N states can agree.
    """
    _require_known(activation)
    if abs(number(weight, "weight")) == 1 or number(gain, "gain") == 0:
        raise ArgumentError("Theorem 3 needs |weight| != 1 and gain != 0")
    return RNN([[weight]], [[gain]], [bias], [[1.0]], [0.0], activation)


def saturated_pair(witness: RNN, bias: float) -> RNN:
    """The URNN with 2 states and the extra bias -``bias`` for a scalar contractive ``witness``.

        W_u = [w g; g -w],  g = sqrt(1 - w^2),  b_u = (b - g c, -bias),  h_u(-1) = (h(-1), c)

    with the resting value c = 0 (sigmoid) or -1 (tanh).

    Raises:
        ArgumentError: the witness is not scalar, not contractive, or neither sigmoid nor tanh.

    Status: near, never equal (Theorem 3, see `scalar_witness`). The error is e^(-bias) or
    e^(-2 bias) up to a constant factor (measured).
    """
    _require_known(network(witness).activation)
    weight = float(witness.W[0, 0])
    if witness.hidden_units != 1 or abs(weight) >= 1:
        raise ArgumentError("the witness must be scalar with |w| < 1")
    resting = SATURATING[witness.activation].resting
    leak = np.sqrt((1 - weight) * (1 + weight))
    return witness.replace(
        W=[[weight, leak], [leak, -weight]],
        F=[[witness.F[0, 0]], [0.0]],
        b=[witness.b[0] - leak * resting, -bias],
        C=[[witness.C[0, 0], 0.0]],
        h_init=[witness.h_init[0], resting],
    )


def centred_chain(witness: RNN, states: int, expected_state: float = 0.6) -> RNN:
    """The scalar witness with N = ``states`` >= 2 and bounded biases: `delay_chain` centred at 0.

    Each sigmoid unit of the chain has the slope 1/4, so each state multiplies the error by about
    1/4 (measured: 0.243 to 0.255); a tanh chain has the slope 1 and gains almost nothing.

    Raises:
        ArgumentError: fewer than 2 states, or a witness that is expansive.
    """
    count(states, "states", least=2)
    expected = expected_state if witness.activation == "sigmoid" else 0.0
    return delay_chain(witness, states - 1, centre=0.0, expected_state=expected)


def errors_against_bias(witness: RNN, biases: ArrayLike, x: ArrayLike) -> NDArray:
    """max |y - y_u| in float64 for each extra bias of `saturated_pair`, on the inputs x.

    biases (B,), x (..., time, 1) -> (B,). Reaches exactly 0.0 at large biases: roundoff, not
    equality (compare `exact_errors_against_bias`).
    """
    y = witness(x)
    pairs = [saturated_pair(witness, float(bias)) for bias in np.ravel(biases)]
    return np.array([np.abs(pair(x) - y).max() for pair in pairs])


def exact_errors_against_bias(
    witness: RNN, biases: ArrayLike, x: ArrayLike, digits: int = 120
) -> list[mpmath.mpf]:
    """max_k |y(k) - y_u(k)| of `saturated_pair` in arithmetic of ``digits`` digits.

    biases (B,), x (time,) -> B numbers, all positive as long as the digits suffice (the error is
    about e^(-bias), or e^(-2 bias) for tanh). The leak sqrt(1 - w^2) is computed at that precision,
    so W_u is orthogonal to that precision.

    Raises:
        ArgumentError: as `saturated_pair`.
    """
    saturated_pair(witness, 0.0)  # raises where there is no such pair
    inputs = np.ravel(np.asarray(x, dtype=float))
    results = []
    with mpmath.workdps(digits):
        weight, gain, offset, start = (
            mpmath.mpf(float(value))
            for value in (witness.W[0, 0], witness.F[0, 0], witness.b[0], witness.h_init[0])
        )
        leak = mpmath.sqrt(1 - weight**2)
        resting = mpmath.mpf(SATURATING[witness.activation].resting)
        readout = abs(mpmath.mpf(float(witness.C[0, 0])))

        def phi(z: mpmath.mpf) -> mpmath.mpf:
            return mpmath.tanh(z) if witness.activation == "tanh" else 1 / (1 + mpmath.exp(-z))

        for bias in np.ravel(np.asarray(biases, dtype=float)):
            state, first, second, error = start, start, resting, mpmath.mpf(0)
            for value in inputs:
                drive = gain * mpmath.mpf(value) + offset
                state = phi(weight * state + drive)
                first, second = (
                    phi(weight * first + leak * (second - resting) + drive),
                    phi(leak * first - weight * second - mpmath.mpf(bias)),
                )
                error = max(error, readout * abs(state - first))
            results.append(error)
    return results


def logarithmic_slope(biases: ArrayLike, errors: Sequence[Any] | NDArray) -> float:
    """The least-squares slope of log(error) against the bias; `ERROR_SLOPE` is the expected one.

    Raises:
        ArgumentError: an error that is not positive.
    """
    values = [float(mpmath.log(error)) if error > 0 else np.nan for error in errors]
    if not np.isfinite(values).all():
        raise ArgumentError("every error must be positive to have a logarithm")
    return float(np.polyfit(np.asarray(biases, dtype=float), values, 1)[0])
