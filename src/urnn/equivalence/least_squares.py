"""Levenberg and Marquardt's method on a stack of least-squares problems, in lock step.

Each problem minimises the squares |r(p)|^2 of some residuals over its parameters p. A step solves

    (J^T J + damping D) step = -J^T r,       J the Jacobian of r, D the largest diagonal of J^T J
                                             seen so far

and is taken if it lowers the squares; the damping falls where the linear model predicts well and
rises where it does not. No problem's result depends on the others in the stack.

Source: Marquardt 1963; More 1978 (D); Nielsen 1999 (how the damping moves).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

#: at the start; where it stops falling; and where no step of any length lowers the squares
_DAMPING, _LEAST_DAMPING, _MOST_DAMPING = 1e-2, 1e-12, 1e10
#: of a diagonal entry of J^T J to the largest, so that a parameter without effect stays where it is
_LEAST_SCALE = 1e-4
#: a step that lowers the squares by less than this share ends a problem
_CONVERGED = 1e-10


class Normal(NamedTuple):
    """What a step needs of k problems with p parameters each."""

    #: |r|^2 (k,)
    squares: NDArray
    #: J^T r (k, p)
    gradient: NDArray
    #: J^T J (k, p, p)
    matrix: NDArray


#: (parameters (k, p), which problems of the stack they belong to (k,)) -> their normal equations
Problems = Callable[[NDArray, NDArray], Normal]


def minimised(problems: Problems, start: NDArray, iterations: int) -> tuple[NDArray, NDArray]:
    """(parameters (k, p), squares (k,)) after at most so many steps from ``start`` (k, p)."""
    points, members = start.copy(), np.arange(len(start))
    at = problems(points, members)
    squares, scale = at.squares.copy(), np.zeros_like(points)
    damping, growth = np.full(len(start), _DAMPING), np.full(len(start), 2.0)
    for _ in range(iterations):
        scale = np.maximum(scale, np.diagonal(at.matrix, axis1=1, axis2=2))
        floor = _LEAST_SCALE * scale.max(1, keepdims=True) + np.finfo(float).tiny
        step = _step(at, damping[:, None] * np.maximum(scale, floor))
        tried = problems(points[members] + step, members)
        lowered = at.squares - tried.squares
        model = 2 * at.gradient + (at.matrix @ step[..., None])[..., 0]
        gain = lowered / np.maximum(-(model * step).sum(1), np.finfo(float).tiny)
        better = lowered > 0
        points[members[better]] += step[better]
        squares[members] = np.where(better, tried.squares, at.squares)
        converged = (better & (lowered <= _CONVERGED * at.squares)) | (damping >= _MOST_DAMPING)
        at = Normal(*(_chosen(better, *pair) for pair in zip(tried, at, strict=True)))
        factor = np.maximum(1 / 3, 1 - (2 * np.minimum(gain, 1) - 1) ** 3)
        damping = np.clip(damping * np.where(better, factor, growth), _LEAST_DAMPING, _MOST_DAMPING)
        growth = np.where(better, 2.0, 2 * growth)
        if converged.all():
            break
        if converged.any():
            kept = ~converged
            members, scale = members[kept], scale[kept]
            damping, growth = damping[kept], growth[kept]
            at = Normal(*(values[kept] for values in at))
    return points, squares


def _step(at: Normal, added: NDArray) -> NDArray:
    """The step (k, p) whose normal equations have ``added`` (k, p) on their diagonal."""
    matrix = at.matrix + added[..., None] * np.eye(added.shape[1])
    step: NDArray = -np.linalg.solve(matrix, at.gradient[..., None])[..., 0]
    return step


def _chosen(condition: NDArray, first: NDArray, second: NDArray) -> NDArray:
    """first[i] where condition[i], else second[i]."""
    return np.where(condition.reshape(-1, *[1] * (first.ndim - 1)), first, second)
