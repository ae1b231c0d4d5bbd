"""Tighter biases over a finite horizon: zonotopes around the states, step by step.

The norm bound assumes that every step pushes the state in the worst direction. A zonotope

    { c + sum_j B_j u_j + G v : ||u_j||_2 <= 1, |v_i| <= 1 }

keeps the directions: W and F act on it exactly, and a unit whose sign is certain is exact too. A
unit that may switch is enclosed by the strip around relu on [l, u] of slope u / (u - l), with a new
column of G for its width (Singh, Gehr, Mirman, Puschel and Vechev, "Fast and effective robustness
certification", 2018). Where there are too many columns, the smallest are replaced by a box.

Source: docs/theorems.md, Tighter biases over a horizon (PROVED).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from urnn.equivalence.checks import count, real_relu_network
from urnn.equivalence.state_bounds import (
    MARGIN,
    check_input_set,
    drive_norm,
    lengths,
    norm_tolerance,
    spectral_norm,
)
from urnn.rnn import RNN

#: columns of G and blocks B_j, as multiples of n and in all
_COLUMNS, _BLOCKS = 12, 256


@dataclass(frozen=True)
class Zonotope:
    """c (n,), balls (blocks, n, m), box (n, columns); slack bounds the rounding so far, 2-norm."""

    centre: NDArray
    balls: NDArray
    box: NDArray
    slack: float

    def support(self, rows: NDArray) -> NDArray:
        """sup of rows h over the zonotope, entry by entry; rows (d, n) -> (d,)."""
        spread = np.linalg.norm(rows @ self.balls, axis=-1).sum(axis=0)
        spread = spread + np.abs(rows @ self.box).sum(axis=1)
        return rows @ self.centre + spread * (1 + 1e-12) + lengths(rows) * self.slack

    def radius(self) -> NDArray:
        """Half the width of each entry."""
        spread = np.linalg.norm(self.balls, axis=-1).sum(axis=0) + np.abs(self.box).sum(axis=1)
        return spread * (1 + 1e-12) + self.slack


def _start(rnn: RNN, initial_bound: float) -> Zonotope:
    n, m = rnn.F.shape
    balls, box = np.zeros((0, n, m)), np.zeros((n, 0))
    if initial_bound > 0:  # a box around the ball, and around h(-1)
        radius = max(initial_bound, float(lengths(rnn.h_init)))
        return Zonotope(np.zeros(n), balls, radius * np.eye(n), 0.0)
    return Zonotope(rnn.h_init, balls, box, 0.0)


def _reduced(zonotope: Zonotope) -> Zonotope:
    """The same with fewer columns: the smallest are enclosed in a box."""
    size = len(zonotope.centre)
    balls, box = zonotope.balls, zonotope.box
    widths = np.zeros(size)
    if len(balls) > _BLOCKS:
        order = np.argsort(np.abs(balls).max(axis=(1, 2)))
        small, large = order[: len(balls) // 2], np.sort(order[len(balls) // 2 :])
        widths += np.linalg.norm(balls[small], axis=-1).sum(axis=0)
        balls = balls[large]
    if box.shape[1] > 2 * _COLUMNS * size:
        order = np.argsort(np.abs(box).sum(axis=0))
        small, large = order[: -_COLUMNS * size], order[-_COLUMNS * size :]
        widths += np.abs(box[:, small]).sum(axis=1)
        box = box[:, large]
    if not widths.any():
        return Zonotope(zonotope.centre, balls, box, zonotope.slack)
    box = np.hstack([box, np.diag(widths * (1 + 1e-12))])
    return Zonotope(zonotope.centre, balls, box, zonotope.slack)


def _driven(zonotope: Zonotope, rnn: RNN, drive: NDArray, norm: float, growth: float) -> Zonotope:
    """The pre-activations W h + F x + b; drive = M F, growth >= ||W||_2."""
    balls, box = rnn.W @ zonotope.balls, rnn.W @ zonotope.box
    if norm == 2:
        balls = np.concatenate([balls, drive[None]])
    else:
        box = np.hstack([box, drive])
    centre = rnn.W @ zonotope.centre + rnn.b
    moved = Zonotope(centre, balls, box, 0.0)
    # one product of n terms and sums over all columns
    terms = len(centre) + len(balls) + box.shape[1] + 4
    scale = float(np.linalg.norm(np.abs(rnn.W) @ (np.abs(zonotope.centre) + zonotope.radius())))
    scale += float(np.linalg.norm(np.abs(rnn.b) + moved.radius()))
    slack = growth * zonotope.slack + terms * float(np.finfo(np.float64).eps) * scale
    return Zonotope(centre, balls, box, slack)


def _rectified(zonotope: Zonotope, largest: float) -> Zonotope:
    """relu of the pre-activations, none of which is above ``largest``."""
    radius = zonotope.radius()
    low = zonotope.centre - radius
    high = np.minimum(zonotope.centre + radius, largest + zonotope.slack)
    slope = np.where(low >= 0, 1.0, 0.0)
    crossing = (low < 0) & (high > 0)
    slope[crossing] = high[crossing] / (high - low)[crossing]
    width = np.where(crossing, -slope * low / 2, 0.0)
    added = np.diag(width)[:, crossing] * (1 + 1e-12)
    return Zonotope(
        slope * zonotope.centre + width,
        slope[:, None] * zonotope.balls,
        np.hstack([slope[:, None] * zonotope.box, added]),
        zonotope.slack,
    )


def zonotope_limits(
    rows: NDArray,
    rnn: RNN,
    input_bound: float,
    norm: float = 2,
    horizon: int = 100,
    initial_bound: float = 0.0,
) -> NDArray:
    """A bound on sup (rows h(k))_i over k = 0 to horizon - 2, ||x|| <= input_bound; rounded up.

    rows (d, n) -> (d,), float64. Never above the norm bound: at each step the smallest of the
    zonotope's, the box's and the norm bound's value is taken. A step takes about 12 n columns and
    256 m, times n^2 operations.

    Raises:
        ArgumentError: not a real ReLU network, or an input set or a horizon that is none.

    Status: PROVED (docs/theorems.md, Tighter biases over a horizon).
    """
    rnn = real_relu_network(rnn, "zonotopes around the states")
    check_input_set(input_bound, norm)
    zonotope, drive = _start(rnn, initial_bound), input_bound * rnn.F
    positive = np.maximum(rows, 0)
    limits = np.zeros(len(rows))
    growth = spectral_norm(rnn.W) * (1 + norm_tolerance(rnn.hidden_units))
    pushed = drive_norm(rnn, input_bound, norm)
    largest = max(initial_bound, float(lengths(rnn.h_init)))
    with np.errstate(over="ignore", invalid="ignore"):
        for _ in range(count(horizon, "horizon") - 1):
            largest = (growth * largest + pushed) * (1 + 1e-15)
            moved = _driven(zonotope, rnn, drive, norm, growth)
            zonotope = _reduced(_rectified(moved, largest))
            top = np.clip(moved.centre + moved.radius(), 0, largest)
            candidates = np.stack(
                [zonotope.support(rows), positive @ top, lengths(positive) * largest]
            )
            limits = np.maximum(limits, np.nanmin(candidates, axis=0))
    return limits * (1 + MARGIN)
