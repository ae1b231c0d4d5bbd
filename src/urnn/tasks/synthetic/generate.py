"""Synthetic slowly varying systems: true contractive ReLU RNNs and their noisy outputs.

Source: the paper, section 5.1. W = I - epsilon A^T A / ||A||_2^2 with A iid Gaussian has its
eigenvalues in [1 - epsilon, 1], so the time constant is about 1/epsilon steps; F, C and b are iid
standard Gaussian, and b is then moved until every hidden unit is on for a given share of the time.
The authors' released script differs in two things, which are settings: it does not divide by
||A||_2^2, and its outputs have a bias d.
"""

from __future__ import annotations

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from urnn.errors import CalibrationError
from urnn.matrices import slowly_varying_transition
from urnn.rnn import RNN
from urnn.seeds import generator
from urnn.tasks.split import SPLIT, variable
from urnn.tasks.synthetic.settings import Synthetic, System

#: a state above this counts as on (the authors' scripts)
ON_THRESHOLD = 1e-3
#: gain of one round of the bias calibration: b <- b - gain (on - wanted)
CALIBRATION_GAIN = 0.1


def draw_system(settings: System, random: np.random.Generator) -> RNN:
    """A contractive ReLU RNN before its calibration; ||W||_2 < 1 and h(-1) = 0.

    Raises:
        CalibrationError: W is not contractive, which it can be only without division by the norm.
    """
    n, m, p = settings.hidden_units, settings.input_size, settings.output_size
    W = slowly_varying_transition(
        random, n, settings.epsilon, divide_by_norm=settings.divide_by_norm
    )
    norm = np.linalg.norm(W, 2)
    if norm >= 1 and not settings.divide_by_norm:
        raise CalibrationError(
            f"the true system is not contractive, ||W||_2 = {norm:.4g}: with "
            f"system.divide_by_norm: false, system.epsilon: {settings.epsilon} is too large for "
            f"{n} hidden units. Choose a smaller epsilon."
        )
    F = random.standard_normal((n, m))
    C = random.standard_normal((p, n))
    return RNN(W, F, random.standard_normal(n), C)


def on_fraction(states: NDArray) -> NDArray:
    """Share of trials and steps at which each unit is on: states (trial, time, n) -> (n,)."""
    return (states > ON_THRESHOLD).mean(axis=(0, 1))


def calibrate(system: RNN, x: NDArray, settings: System, rounds: int) -> RNN:
    """Rounds of b <- b - 0.1 (on - wanted) on the trials x (trial, time, input)."""
    b = np.array(system.b)
    for _ in range(rounds):
        moved = system.replace(b=b)
        b -= CALIBRATION_GAIN * (on_fraction(moved.states(x)) - settings.on_fraction)
    return system.replace(b=b)


def refine(system: RNN, x: NDArray, settings: System, rounds: int) -> RNN:
    """Further rounds of the calibration, until every unit is within the tolerance or none is left.

    A unit that hardly sees the input reacts so strongly to its bias that the fixed gain makes it
    jump from always on to always off; here a unit's gain is halved whenever it overshoots.
    """
    b = np.array(system.b)
    gain = np.full_like(b, CALIBRATION_GAIN)
    before = np.zeros_like(b)
    for _ in range(rounds):
        moved = system.replace(b=b)
        excess = on_fraction(moved.states(x)) - settings.on_fraction
        if np.all(np.abs(excess) <= settings.on_tolerance):
            return moved
        gain = np.where(excess * before < 0, gain / 2, gain)
        b, before = b - gain * excess, excess
    return system.replace(b=b)


def true_system(
    settings: System, seed: int, realization: int
) -> tuple[RNN, NDArray[np.float32], NDArray[np.float64]]:
    """The calibrated system of a realization, its inputs x (trial, time, input) and its states.

    The same at every signal-to-noise ratio, and independent of how many other realizations are
    made. The biases are calibrated as in the paper, on trials of their own; where a unit's share on
    the realization's trials still misses the tolerance, as many rounds again refine it on those.

    Raises:
        CalibrationError: the units cannot be brought to the wanted share of time on.
    """
    steps, m = settings.time_steps, settings.input_size
    trials = settings.calibration_trials, steps, m
    x_calibration = _random(seed, realization, "calibration").standard_normal(trials)
    system = draw_system(settings, _random(seed, realization, "system"))
    system = calibrate(system, x_calibration, settings, settings.calibration_rounds)

    # float32 first: the true system sees exactly the inputs that the file holds
    random = _random(seed, realization, "inputs")
    x = random.standard_normal((settings.trials, steps, m), dtype=np.float32)
    system = refine(system, x, settings, settings.calibration_rounds)
    states = system.states(x)
    on = on_fraction(states)
    if not np.all(np.abs(on - settings.on_fraction) <= settings.on_tolerance):
        raise CalibrationError(
            f"realization {realization}: the units are on {np.round(on, 3)} of the time, wanted "
            f"{settings.on_fraction} within {settings.on_tolerance}. Allow more with "
            "system.on_tolerance or system.calibration_rounds."
        )
    if settings.output_bias:
        d = _random(seed, realization, "output_bias").standard_normal(settings.output_size)
        system = system.replace(d=d)
    return system, x, states


def generate(task: Synthetic, seed: int, realization: int) -> xr.Dataset:
    """One realization: a true system, its trials, and its outputs with noise.

    y_clean = C h + d. Noise is Gaussian with the variance mean(y_clean^2) 10^(-snr_db/10), the mean
    over trials, steps and outputs.

    Raises:
        CalibrationError: see `true_system`.
    """
    system, x, states = true_system(task.system, seed, realization)
    y_clean = states @ system.C.T + system.d
    noise_variance = float(np.mean(y_clean**2) * 10 ** (-task.snr_db / 10))
    noise = _random(seed, realization, "noise").standard_normal(y_clean.shape)
    y = y_clean + np.sqrt(noise_variance) * noise
    trials = len(x)
    split = np.full(trials, SPLIT["train"], np.int8)
    split[trials - task.test_trials :] = SPLIT["test"]  # trials are exchangeable

    def named(dims: tuple[str, ...], values: NDArray, long_name: str) -> tuple:
        return dims, values, {"long_name": long_name, "units": "1"}

    outputs = ("trial", "time", "output")
    return xr.Dataset(
        {
            "x": named(("trial", "time", "input"), x, "input of the system"),
            "y": named(outputs, y.astype(np.float32), "output of the system with noise"),
            "y_clean": named(
                outputs, y_clean.astype(np.float32), "output of the system without noise"
            ),
            "split": variable(split),
            "W": named(("hidden", "hidden_previous"), system.W, "transition of the true system"),
            "F": named(("hidden", "input"), system.F, "input matrix of the true system"),
            "b": named(("hidden",), system.b, "bias of the true system"),
            "C": named(("output", "hidden"), system.C, "output matrix of the true system"),
            "d": named(("output",), system.d, "output bias of the true system"),
            "h_init": named(("hidden",), system.h_init, "initial state of the true system"),
        },
        coords={
            "trial": np.arange(trials, dtype=np.int32),
            "time": named(("time",), np.arange(x.shape[1], dtype=np.int32), "time step"),
        },
        attrs={
            "title": "Trials of a slowly varying system with noise at the output",
            "snr_db": float(task.snr_db),
            "noise_variance": noise_variance,
            "on_fraction": on_fraction(states),
        },
    )


def _random(seed: int, realization: int, purpose: str) -> np.random.Generator:
    return generator(seed, "synthetic", realization, purpose)
