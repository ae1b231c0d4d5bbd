"""Theorem 1 in numbers: random networks converted, and how small the extra bias may be."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from urnn.equivalence.conversion import network_around, to_unitary
from urnn.rnn import RNN
from urnn.theorems.datasets import REGIMES, contraction, coordinate, variable

if TYPE_CHECKING:
    from urnn.theorems.theorem1.settings import Theorem1Settings

NORMS = {"2": 2, "inf": np.inf}
STATES = ("minimal", "2n", "complex")
#: fractions of the proved bias: 0.9 to 1.1, and one part in a thousand below it
FRACTIONS = sorted([0.999, *(0.9 + 0.005 * step for step in range(41))])


def compute(settings: Theorem1Settings, seed: int) -> xr.Dataset:
    """The errors of random conversions, and of a bias below the proved one.

    Variables over (regime, input_norm, states, hidden_units): relative_error, extra_state and
    unitarity_error, each the largest over the systems, and unitary_units, their mean N. For the
    scalar network w = 0.9, f = 1, b = 0.5 at the constant input 1: bias_error(bias_fraction), the
    error of the output when the extra bias is that fraction of the proved value. For the complex
    network with n states, extra_state is the largest imaginary part of a state.
    """
    sizes = settings.hidden_units
    results = _conversions(sizes, settings.systems, settings.steps, seed)
    dims = ("regime", "input_norm", "states", "hidden_units")
    proved = "the error is 0 in exact arithmetic: proved; its rounding: measured"
    return xr.Dataset(
        {
            "relative_error": variable(dims, results[0], "max |y - y_u| / max |y|", proved),
            "extra_state": variable(
                dims, results[1], "largest extra state or imaginary part", "0: proved"
            ),
            "unitarity_error": variable(
                dims, results[2], "||W_u^T W_u - I||_2", "0 in exact arithmetic: proved"
            ),
            "unitary_units": variable(
                dims, results[3], "states of the URNN, mean", "n + rank(I - W^T W), 2n or n: proved"
            ),
            "bias_error": variable(
                ("bias_fraction",),
                _bias_errors(),
                "max |y - y_u| with a fraction of the extra bias, scalar network",
                "0 from 1 on: proved; above 0 below 1: measured",
            ),
        },
        coords={
            "regime": coordinate("regime", REGIMES, "singular values of W"),
            "input_norm": coordinate("input_norm", list(NORMS), "norm of the input bound"),
            "states": coordinate("states", STATES, "construction"),
            "hidden_units": coordinate("hidden_units", sizes, "states of the RNN, n"),
            "bias_fraction": coordinate("bias_fraction", FRACTIONS, "fraction of the bias"),
        },
        attrs={"title": settings.title, "seed": seed},
    )


def _conversions(sizes: list[int], systems: int, steps: int, seed: int) -> NDArray:
    """(4, regime, norm, states, size): the three largest errors, and the mean N."""
    results = np.zeros((4, len(REGIMES), len(NORMS), len(STATES), len(sizes)))
    for row, column, place in np.ndindex(len(REGIMES), len(NORMS), len(sizes)):
        random = np.random.default_rng([seed, row, column, sizes[place]])
        norm = list(NORMS.values())[column]
        drawn = [_drawn(random, sizes[place], REGIMES[row], norm, steps) for _ in range(systems)]
        horizon = steps if REGIMES[row] in ("half at 1", "exactly 1") else None
        results[:, row, column, :, place] = _converted(drawn, norm, horizon)
    return results


def _drawn(
    random: np.random.Generator, size: int, regime: str, norm: float, steps: int
) -> tuple[RNN, NDArray]:
    """A random system, and inputs (4, steps, input) of the norm 1."""
    inputs = int(random.integers(1, 5))
    rnn = RNN(
        contraction(random, size, regime),
        random.standard_normal((size, inputs)),
        random.standard_normal(size),
        random.standard_normal((2, size)),
        3 * random.standard_normal(size),
    )
    if norm == 2:
        x = random.standard_normal((4, steps, inputs))
        x /= np.linalg.norm(x, axis=-1, keepdims=True)
    else:
        x = random.choice([-1.0, 1.0], (4, steps, inputs))
    return rnn, x


def _converted(drawn: list[tuple[RNN, NDArray]], norm: float, horizon: int | None) -> NDArray:
    """(4, states): relative error, largest extra state and unitarity error, and the mean N."""
    rnns, inputs = [rnn for rnn, _ in drawn], [x for _, x in drawn]
    size, C = rnns[0].hidden_units, np.array([rnn.C for rnn in rnns]).swapaxes(1, 2)
    y = _states(rnns, inputs) @ C
    largest = np.maximum(np.abs(y).max((0, 2, 3)), np.finfo(float).tiny)
    results = np.zeros((4, len(STATES)))
    for column, states in enumerate(STATES):
        urnns = [to_unitary(rnn, 1.0, norm, states, horizon) for rnn in rnns]
        h = _states(urnns, inputs)
        # C_u = [C 0]
        error = np.abs(y - h[..., :size] @ C).max((0, 2, 3)) / largest
        added = h.imag if states == "complex" else h[..., size:]
        results[:, column] = (
            error.max(),
            np.abs(added).max(initial=0.0),
            max(_unitarity(urnn.W) for urnn in urnns),
            np.mean([urnn.hidden_units for urnn in urnns]),
        )
    return results


def _unitarity(W: NDArray) -> float:
    """||W^H W - I||_2 of the product itself, for W comes from singular values."""
    return float(np.abs(np.linalg.eigvalsh(W.conj().T @ W - np.eye(len(W)))).max())


def _states(rnns: list[RNN], inputs: list[NDArray]) -> NDArray:
    """The states of ReLU networks, (time, network, trial, N), in one stack: `RNN.states` of each.

    N is that of the largest network; the others have units without weights, which stay at 0.
    """
    size = max(rnn.hidden_units for rnn in rnns)
    (trials, steps, _), dtype = inputs[0].shape, rnns[0].W.dtype
    W, b = np.zeros((len(rnns), size, size), dtype), np.zeros((len(rnns), 1, size), dtype)
    h = np.zeros((len(rnns), trials, size), dtype)
    states = np.zeros((steps, len(rnns), trials, size), dtype)
    for index, (rnn, x) in enumerate(zip(rnns, inputs, strict=True)):
        n = rnn.hidden_units
        W[index, :n, :n], b[index, 0, :n], h[index, :, :n] = rnn.W.T, rnn.b, rnn.h_init
        states[:, index, :, :n] = np.moveaxis(x @ rnn.F.T, 1, 0)
    for state in states:  # holds F x, and then h
        z = h @ W
        z += state
        z += b
        # of a complex network the real and the imaginary parts, CReLU
        np.maximum(z.view(np.float64), 0, out=state.view(np.float64))
        h = state
    return states


def _bias_errors() -> list[float]:
    """The error of the scalar network at each of the `FRACTIONS`."""
    rnn = RNN([[0.9]], [[1.0]], [0.5], [[1.0]])
    leak = np.sqrt((1 - 0.9) * (1 + 0.9))
    full = network_around(rnn, [[0.9, leak], [leak, -0.9]], input_bound=1.0)
    x = np.ones((2000, 1))
    trials = [full.replace(b=[0.5, fraction * full.b[1]]) for fraction in FRACTIONS]
    h = _states(trials, [x[None]] * len(trials))[..., 0]  # C_u = [1 0]
    errors: list[float] = np.abs(h - rnn(x)[:, :, None]).max((0, 2)).tolist()
    return errors
