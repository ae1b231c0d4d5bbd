"""Synthetic slowly varying systems: true contractive ReLU RNNs and their noisy outputs.

Source: the paper, section 5.1. W = I - epsilon A^T A / ||A||_2^2 with A iid Gaussian has its
eigenvalues in [1 - epsilon, 1], so the time constant is about 1/epsilon steps; F, C and b are iid
standard Gaussian, and b is then moved until every hidden unit is on for a given share of the time.
The authors' released script differs in two things, which are settings: it does not divide by
||A||_2^2, and its outputs have a bias d.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

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


def calibrate(systems: Sequence[RNN], x: NDArray, settings: System, rounds: int) -> list[RNN]:
    """Rounds of b <- b - 0.1 (on - wanted), of each system on its trials x[i] (trial, time, input).

    All in one stack, which changes none of them: they depend on the states by counts alone.
    """
    W, b, h_init = (np.array([getattr(s, name) for s in systems]) for name in ("W", "b", "h_init"))
    # units before trials, the order that is fastest for few units: (time, system, n, trial)
    drive = np.stack(
        [s.F @ np.moveaxis(trials, 0, -1) for s, trials in zip(systems, x, strict=True)], 1
    )
    for _ in range(rounds):
        b -= CALIBRATION_GAIN * (_on_fractions(W, b, h_init, drive) - settings.on_fraction)
    return [system.replace(b=bias) for system, bias in zip(systems, b, strict=True)]


def _on_fractions(W: NDArray, b: NDArray, h_init: NDArray, drive: NDArray) -> NDArray:
    """`on_fraction` (system, n) under F x = drive (time, system, n, trial)."""
    steps, systems, n, trials = drive.shape
    with_bias = np.concatenate([W, b[:, :, None]], 2)
    h = np.ones((systems, n + 1, trials))
    h[:, :n] = h_init[:, :, None]
    z, on = np.empty((systems, n, trials)), np.empty((systems, n, steps, trials), bool)
    for step in range(steps):
        np.matmul(with_bias, h, out=z)
        z += drive[step]
        np.greater(z, ON_THRESHOLD, out=on[:, :, step])
        np.maximum(z, 0, out=h[:, :n])
    counts = [np.count_nonzero(unit) for unit in on.reshape(systems * n, -1)]
    return np.reshape(counts, (systems, n)) / (steps * trials)


def refine(
    system: RNN, x: NDArray, settings: System, rounds: int
) -> tuple[RNN, NDArray[np.float64], NDArray[np.float64]]:
    """Further rounds of the calibration, until every unit is within the tolerance or none is left.

    A unit that hardly sees the input reacts so strongly to its bias that the fixed gain makes it
    jump from always on to always off; here a unit's gain is halved whenever it overshoots.

    Returns:
        The system, its states on the trials, and its share of the time on.
    """
    b = np.array(system.b)
    gain = np.full_like(b, CALIBRATION_GAIN)
    before = np.zeros_like(b)
    for remaining in range(rounds, -1, -1):
        moved = system.replace(b=b)
        states = moved.states(x)
        on = on_fraction(states)
        excess = on - settings.on_fraction
        if not remaining or np.all(np.abs(excess) <= settings.on_tolerance):
            break
        gain = np.where(excess * before < 0, gain / 2, gain)
        b, before = b - gain * excess, excess
    return moved, states, on


@dataclass(frozen=True)
class TrueSystem:
    """A calibrated system, its inputs x (trial, time, input), states and share of the time on."""

    network: RNN
    x: NDArray[np.float32]
    states: NDArray[np.float64]
    on_fraction: NDArray[np.float64]


def calibrated_systems(settings: System, seed: int, realizations: Sequence[int]) -> list[RNN]:
    """The systems of some realizations, with biases calibrated on trials of their own.

    Raises:
        CalibrationError: see `draw_system`.
    """
    trials = settings.calibration_trials, settings.time_steps, settings.input_size
    x = [_random(seed, r, "calibration").standard_normal(trials) for r in realizations]
    systems = [draw_system(settings, _random(seed, r, "system")) for r in realizations]
    return calibrate(systems, np.array(x), settings, settings.calibration_rounds)


def true_system(system: RNN, settings: System, seed: int, realization: int) -> TrueSystem:
    """A calibrated system on the realization's trials.

    The same at every signal-to-noise ratio, and independent of how many other realizations are
    made. The biases are calibrated as in the paper, on trials of their own; where a unit's share on
    the realization's trials still misses the tolerance, as many rounds again refine it on those.

    Raises:
        CalibrationError: the units cannot be brought to the wanted share of time on.
    """
    # float32 first: the true system sees exactly the inputs that the file holds
    random = _random(seed, realization, "inputs")
    shape = settings.trials, settings.time_steps, settings.input_size
    x = random.standard_normal(shape, dtype=np.float32)
    system, states, on = refine(system, x, settings, settings.calibration_rounds)
    if not np.all(np.abs(on - settings.on_fraction) <= settings.on_tolerance):
        raise CalibrationError(
            f"realization {realization}: the units are on {np.round(on, 3)} of the time, wanted "
            f"{settings.on_fraction} within {settings.on_tolerance}. Allow more with "
            "system.on_tolerance or system.calibration_rounds."
        )
    if settings.output_bias:
        d = _random(seed, realization, "output_bias").standard_normal(settings.output_size)
        system = system.replace(d=d)
    return TrueSystem(system, x, states, on)


def generate(task: Synthetic, seed: int, realizations: Sequence[int]) -> Iterator[xr.Dataset]:
    """Each realization: a true system, its trials, and its outputs with noise.

    y_clean = C h + d. Noise is Gaussian with the variance mean(y_clean^2) 10^(-snr_db/10), the mean
    over trials, steps and outputs.

    Raises:
        CalibrationError: see `true_system`.
    """
    systems = calibrated_systems(task.system, seed, realizations)
    for system, realization in zip(systems, realizations, strict=True):
        true = true_system(system, task.system, seed, realization)
        yield _dataset(task, true, _random(seed, realization, "noise"))


def _dataset(task: Synthetic, true: TrueSystem, random: np.random.Generator) -> xr.Dataset:
    """The dataset of a realization; ``random`` draws the noise."""
    system, x = true.network, true.x
    y_clean = true.states @ system.C.T + system.d
    noise_variance = float(np.mean(y_clean**2) * 10 ** (-task.snr_db / 10))
    noise = random.standard_normal(y_clean.shape)
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
            "on_fraction": true.on_fraction,
        },
    )


def _random(seed: int, realization: int, purpose: str) -> np.random.Generator:
    return generator(seed, "synthetic", realization, purpose)
