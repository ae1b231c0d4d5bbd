"""Theorem 3 in numbers: errors against the bias, the number of states and time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from urnn.equivalence.conversion import to_unitary
from urnn.equivalence.delay_chain import delay_chain
from urnn.equivalence.fits import fit_sigmoid
from urnn.equivalence.horizon import exact_horizon
from urnn.equivalence.invariance import restart
from urnn.equivalence.sigmoid import (
    centred_chain,
    errors_against_bias,
    exact_errors_against_bias,
    scalar_witness,
)
from urnn.rnn import RNN
from urnn.theorems.datasets import coordinate, variable

if TYPE_CHECKING:
    from urnn.theorems.theorem3.settings import Theorem3Settings

ACTIVATIONS = ("sigmoid", "tanh")
TRIALS, STEPS = 32, 200
#: time steps in arithmetic of many digits
EXACT_STEPS = 20
FIT_TRIALS, FIT_STEPS = 100, 12
LENGTHS, TIMES = (1, 2, 8), range(16)


def compute(settings: Theorem3Settings, seed: int) -> xr.Dataset:
    """Errors of the unitary networks near a sigmoid and a tanh network.

    Variables: float64_error and exact_error(activation, bias) of the saturated pair, w = 0.5,
    f = 1, b = 0, the exact one in 120 digits and positive throughout; relu_error, the same network
    with ReLU converted by Theorem 1; chain_error(activation, chain_units), the centred chain with
    bounded biases; fit_error(cap, fit_units), the best fit found (f = 2) with |b| <= bias_cap and
    without; delay_error(chain_length, time), the chain of L links whose first link starts at rest
    and which is exact up to step L, for the sigmoid network started at 0.5; and
    horizon(chain_length), the last step at which any real URNN of its size can be exact.
    """
    random = np.random.default_rng(seed)
    x = random.uniform(-2, 2, (TRIALS, STEPS, 1))
    fit_inputs = random.uniform(-2, 2, (FIT_TRIALS, FIT_STEPS, 1))
    biases = np.arange(0, settings.largest_bias + 1e-9, 4).tolist()
    chain_units = range(2, settings.largest_chain + 1)
    caps = (f"{settings.bias_cap:g}", "none")
    return xr.Dataset(
        {
            **_near_equality(x, biases, chain_units),
            "fit_error": variable(
                ("cap", "fit_units"),
                _fit_errors(settings, fit_inputs, seed),
                "root mean square error of the best fit found",
                "measured: an upper bound on the least error",
            ),
            "delay_error": variable(
                ("chain_length", "time"),
                _delay_errors(x),
                "max |y - y_u| of the delay chain",
                "0 up to the length of the chain: proved",
            ),
            "horizon": variable(
                ("chain_length",),
                [exact_horizon(length + 1, float(scalar_witness().W[0, 0])) for length in LENGTHS],
                "last step at which a URNN with L + 1 states can be exact",
                "proved",
            ),
        },
        coords={
            "activation": coordinate("activation", ACTIVATIONS, "activation"),
            "bias": coordinate("bias", biases, "size of the extra bias, beta"),
            "chain_units": coordinate("chain_units", chain_units, "states of the chain, N"),
            "cap": coordinate("cap", caps, "largest bias allowed"),
            "fit_units": coordinate("fit_units", settings.fit_units, "states of the URNN, N"),
            "chain_length": coordinate("chain_length", LENGTHS, "length of the chain, L"),
            "time": coordinate("time", TIMES, "time step, k"),
        },
        attrs={"title": settings.title, "seed": seed},
    )


def _near_equality(x: NDArray, biases: list[float], chain_units: range) -> dict[str, Any]:
    """Errors of the constructions: saturated pair, converted ReLU network, centred chain."""
    witnesses = [scalar_witness(activation=activation) for activation in ACTIVATIONS]
    few = x[0, :EXACT_STEPS, 0]
    float64 = [errors_against_bias(witness, biases, x) for witness in witnesses]
    exact = [
        [float(error) for error in exact_errors_against_bias(witness, biases, few)]
        for witness in witnesses
    ]
    relu = RNN([[0.5]], [[1.0]], [0.0], [[1.0]])
    chain = [
        [np.abs(centred_chain(witness, N)(x) - witness(x)).max() for N in chain_units]
        for witness in witnesses
    ]
    against_bias = ("activation", "bias")
    never = "never 0: proved; its size: measured"
    return {
        "float64_error": variable(against_bias, float64, "max |y - y_u| in float64", "measured"),
        "exact_error": variable(against_bias, exact, "max |y - y_u| in 120 digits", never),
        "relu_error": variable(
            (),
            np.abs(to_unitary(relu, 2.0)(x) - relu(x)).max(),
            "max |y - y_u| of the ReLU network",
            "0 in exact arithmetic: proved",
        ),
        "chain_error": variable(
            ("activation", "chain_units"), chain, "max |y - y_u| of the centred chain", never
        ),
    }


def _fit_errors(settings: Theorem3Settings, x: NDArray, seed: int) -> list[list[float]]:
    """Root mean square errors of the best fits to a steep sigmoid network, (cap, N)."""
    steep = scalar_witness(gain=2.0)
    caps = (settings.bias_cap, None)
    fits = [
        fit_sigmoid(steep, N, caps, x, settings.restarts, settings.iterations, seed)
        for N in settings.fit_units
    ]
    return [[fit.error for fit in of_cap] for of_cap in zip(*fits, strict=True)]


def _delay_errors(x: NDArray) -> list[NDArray]:
    """The largest error of the delay chain at each time step, for each length."""
    started = restart(scalar_witness(), [0.5])
    chains = [delay_chain(started, L, expected_state=started.h_init) for L in LENGTHS]
    errors = [np.abs(chain(x) - started(x)).max(axis=(0, 2)) for chain in chains]
    return [error[: len(TIMES)] for error in errors]
