"""What the functions of this package accept: each check returns the value or says what is wrong."""

from __future__ import annotations

from numbers import Integral, Real
from typing import Any

import numpy as np
from numpy.typing import NDArray

from urnn.errors import ArgumentError
from urnn.rnn import RNN


def network(value: Any) -> RNN:
    """A `urnn.RNN`."""
    if not isinstance(value, RNN):
        raise ArgumentError(
            f"the network must be a urnn.RNN, but it is a {type(value).__name__}; from_torch makes "
            "one of each layer of a torch.nn.RNN"
        )
    return value


def real_relu_network(value: Any, subject: str) -> RNN:
    """A `urnn.RNN` that is real and has ReLUs; ``subject`` says in the plural what asks for it."""
    rnn = network(value)
    if rnn.activation != "relu" or np.iscomplexobj(rnn.W):
        kind = "complex" if np.iscomplexobj(rnn.W) else rnn.activation
        raise ArgumentError(f"{subject} are defined for real ReLU networks, but this is {kind}")
    return rnn


def matrix(value: Any, name: str = "W", *, square: bool = False, real: bool = False) -> NDArray:
    """A finite matrix, float64 or complex128, not empty."""
    wanted = "a square matrix" if square else "a matrix"
    try:
        array = np.asarray(value)
        array = array.astype(np.complex128 if np.iscomplexobj(array) else np.float64)
    except (TypeError, ValueError) as error:
        raise ArgumentError(f"{name} must be {wanted} of numbers: {error}") from error
    if array.ndim != 2 or array.size == 0 or (square and array.shape[0] != array.shape[1]):
        raise ArgumentError(f"{name} must be {wanted}, but its shape is {array.shape}")
    if not np.isfinite(array).all():
        raise ArgumentError(f"{name} has a NaN or an Inf: replace it by a finite number")
    if real and np.iscomplexobj(array):
        raise ArgumentError(f"{name} must be real, but it is complex")
    return array


def number(value: Any, name: str, least: float = -np.inf, below: float = np.inf) -> float:
    """A finite real number, at least ``least`` and less than ``below``."""
    if not isinstance(value, Real) or not least <= float(value) < below or np.isinf(float(value)):
        limits = [f"at least {least:g}"] if least > -np.inf else []
        limits += [f"below {below:g}"] if below < np.inf else []
        raise ArgumentError(
            f"{name} must be {' and '.join(['a finite number', *limits])}, but it is {value!r}"
        )
    return float(value)


def count(value: Any, name: str, least: int = 1) -> int:
    """A whole number, at least ``least``."""
    if not isinstance(value, Integral) or isinstance(value, bool) or value < least:
        raise ArgumentError(f"{name} must be a whole number, at least {least}, but it is {value!r}")
    return int(value)


def vector(value: Any, name: str, size: int) -> NDArray:
    """``size`` finite real numbers, float64."""
    try:
        array = np.asarray(value, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ArgumentError(f"{name} must be {size} real numbers: {error}") from error
    if array.shape != (size,) or not np.isfinite(array).all():
        raise ArgumentError(
            f"{name} must be {size} finite real numbers, but its shape is {array.shape}"
            if array.shape != (size,)
            else f"{name} has a NaN or an Inf: replace it by a finite number"
        )
    return array
