"""Theorem 1 in numbers: random networks converted, and how small the extra bias may be."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from urnn.equivalence.conversion import network_around, to_unitary
from urnn.equivalence.state_bounds import spectral_norm
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
    shape = (len(REGIMES), len(NORMS), len(STATES), len(sizes))
    results = np.zeros((4, *shape))
    for cell in np.ndindex(*shape):
        size = sizes[cell[3]]
        # the states option is not in the seed: all options convert the same systems
        random = np.random.default_rng([seed, cell[0], cell[1], size])
        case = (REGIMES[cell[0]], list(NORMS.values())[cell[1]], STATES[cell[2]])
        found = np.array([_converted(random, size, *case, steps) for _ in range(systems)])
        results[:, *cell] = [*found[:, :3].max(axis=0), found[:, 3].mean()]
    return results


def _converted(
    random: np.random.Generator, size: int, regime: str, norm: float, states: str, steps: int
) -> tuple[float, float, float, int]:
    """(relative error, largest extra state, unitarity error, N) of one random system."""
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
    horizon = steps if regime in ("half at 1", "exactly 1") else None
    urnn = to_unitary(rnn, 1.0, norm, states, horizon)
    y, h = rnn(x), urnn.states(x)
    error = np.abs(y - h @ urnn.C.T).max() / max(np.abs(y).max(), np.finfo(float).tiny)
    added = h.imag if states == "complex" else h[..., size:]
    extra = np.abs(added).max(initial=0.0)
    # W_u comes from singular values; here the product itself is formed
    unitarity = spectral_norm(urnn.W.conj().T @ urnn.W - np.eye(urnn.hidden_units))
    return float(error), float(extra), unitarity, urnn.hidden_units


def _bias_errors() -> list[float]:
    """The error of the scalar network at each of the `FRACTIONS`."""
    rnn = RNN([[0.9]], [[1.0]], [0.5], [[1.0]])
    leak = np.sqrt((1 - 0.9) * (1 + 0.9))
    full = network_around(rnn, [[0.9, leak], [leak, -0.9]], input_bound=1.0)
    x = np.ones((2000, 1))
    trials = [RNN(full.W, full.F, [0.5, fraction * full.b[1]], full.C) for fraction in FRACTIONS]
    return [np.abs(trial(x) - rnn(x)).max() for trial in trials]
