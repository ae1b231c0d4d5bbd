"""The recurrence: outputs, loss and gradients of a stack of replicas; one contract, two backends.

    rnn:   h_t = phi(W h_{t-1} + F x_t + b)
    lstm:  i, f, g, o = gates of W h_{t-1} + F x_t + b (sigmoid, sigmoid, tanh, sigmoid)
           c_t = f c_{t-1} + i g,  h_t = o tanh(c_t)
    both:  y_t = C h_t + d,  h_{-1} = h_init,  c_{-1} = c_init

phi is elementwise, or modrelu: units 2k and 2k + 1 are the real and imaginary part of a complex
state, and each pair of z = W h_{t-1} + F x_t becomes max(|z| + b_k, 0) z / |z|; b has a value for
each pair and is not added to z (Arjovsky, Shah, Bengio 2016, equation 8).

The loss is the mean squared error of all y_t ("squared"), or the cross-entropy of softmax(y_T) at
the last time step T with a label ("cross_entropy").

R replicas of one model of one shape are computed together; their parameters are the rows of theta
(R, K). `reference` is a readable loop in torch, for every device and float64, and the oracle of
the tests; `cpu` is compiled by Numba, in float32. This module is light: each backend is imported
when it is asked for.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any, Protocol

CELLS = ("rnn", "lstm")
ACTIVATIONS = ("relu", "tanh", "sigmoid", "identity", "modrelu")
LOSSES = ("squared", "cross_entropy")


@dataclass(frozen=True)
class Spec:
    """What is computed: the cell ("rnn" or "lstm"), its sizes, an rnn's activation, and the loss.

    Raises:
        ValueError: an unknown cell, activation or loss, a size below 1, or an odd number of hidden
            units with modrelu.
    """

    cell: str
    hidden: int
    input: int
    output: int
    activation: str = "relu"
    loss: str = "squared"

    def __post_init__(self) -> None:
        if self.cell not in CELLS:
            raise ValueError(f"cell must be one of {', '.join(CELLS)}, but it is {self.cell!r}")
        if self.activation not in ACTIVATIONS:
            known = ", ".join(ACTIVATIONS)
            raise ValueError(f"activation must be one of {known}, but it is {self.activation!r}")
        if self.loss not in LOSSES:
            raise ValueError(f"loss must be one of {', '.join(LOSSES)}, but it is {self.loss!r}")
        for name in ("hidden", "input", "output"):
            size = getattr(self, name)
            if not hasattr(size, "__index__") or size < 1:
                raise ValueError(f"{name} must be an integer and at least 1, but it is {size!r}")
            # a kernel is compiled for Python's integers, not for numpy's
            object.__setattr__(self, name, operator.index(size))
        if self.activation == "modrelu" and (self.cell == "lstm" or self.hidden % 2):
            raise ValueError("modrelu is for an rnn with an even number of hidden units")


def parameter_shapes(spec: Spec) -> dict[str, tuple[int, ...]]:
    """Shapes by name, in the order of theta; an LSTM's rows are gates i, f, g, o as in torch."""
    n, m, p = spec.hidden, spec.input, spec.output
    rows = 4 * n if spec.cell == "lstm" else n
    shapes: dict[str, tuple[int, ...]] = {
        "W": (rows, n),
        "F": (rows, m),
        "b": (n // 2 if spec.activation == "modrelu" else rows,),
        "C": (p, n),
        "d": (p,),
        "h_init": (n,),
    }
    return shapes | {"c_init": (n,)} if spec.cell == "lstm" else shapes


def parameter_count(spec: Spec) -> int:
    """K, the length of a row of theta."""
    return sum(math.prod(shape) for shape in parameter_shapes(spec).values())


def pack(spec: Spec, parameters: Mapping[str, Any]) -> Any:
    """theta (R, K) from arrays or tensors (R, ...) by name; they are copied.

    Raises:
        ValueError: a parameter is missing or has another shape.
    """
    parts = []
    for name, shape in parameter_shapes(spec).items():
        if name not in parameters:
            raise ValueError(f"parameters lack {name}")
        value = parameters[name]
        if tuple(value.shape[1:]) != shape:
            raise ValueError(
                f"{name} must have the shape (replicas, {', '.join(map(str, shape))}), "
                f"but it has {tuple(value.shape)}"
            )
        parts.append(value.reshape(value.shape[0], -1))
    if type(parts[0]).__module__.startswith("torch"):
        import torch

        return torch.cat(parts, dim=1)
    import numpy as np

    return np.concatenate(parts, axis=1)


def unpack(spec: Spec, theta: Any) -> dict[str, Any]:
    """The parameters by name, (R, ...), as views: writing to one writes to theta (R, K)."""
    views, start = {}, 0
    for name, shape in parameter_shapes(spec).items():
        size = math.prod(shape)
        # splitting the last axis never copies, neither in numpy nor in torch
        views[name] = theta[:, start : start + size].reshape(theta.shape[0], *shape)
        start += size
    return views


class Backend(Protocol):
    """Where a stack is computed. Arrays are numpy's or torch's, by ``xp``."""

    name: str
    xp: ModuleType

    def asarray(self, values: Any) -> Any:
        """A numpy array in the backend's floating point type, or labels as int64, on its device."""
        ...

    def to_numpy(self, array: Any) -> Any:
        """The array of this backend as numpy's."""
        ...

    def step(self, spec: Spec) -> Any:
        """A function (theta, x, y, dataset, trials) -> (loss, gradient).

        theta (R, K); x (S, N, time, input) and y (S, N, time, output): trials of S datasets;
        dataset (R,) int64: which one a replica learns from; trials (R, B) int64: its minibatch.
        loss (R,) float64 is the mean of (C h + d - y)^2 over batch, time and outputs; or, with
        labels y (S, N) int64, the mean of -log softmax(C h + d)[y] over the batch, of the last
        state. gradient (R, K) is its gradient with respect to all parameters, h_init and c_init
        included. Both may be buffers that the next call writes to. Each row is the same bits
        whatever the other rows are, and a NaN or Inf in one replica touches no other.

        Raises:
            ValueError: shapes that do not fit or indices out of range; the message names which.
        """
        ...

    def outputs(self, spec: Spec, theta: Any, x: Any, dataset: Any) -> Any:
        """y (R, B, time, output) for x (S, B, time, input) and dataset (R,); raises as `step`.

        For the loss "cross_entropy" of the last state alone: (R, B, output).
        """
        ...


def backend(device: str) -> Backend:
    """The backend for a device: "cpu", "reference" (torch, float64), "cuda" or "cuda:N" (torch).

    Raises:
        ValueError: an unknown device, or one that this machine does not have.
    """
    if device == "cpu":
        from urnn.recurrence.cpu import CpuBackend

        return CpuBackend()
    from urnn.recurrence.reference import TorchBackend

    return TorchBackend(device)


def check_step(spec: Spec, theta: Any, x: Any, y: Any, dataset: Any, trials: Any) -> None:
    """Refuse what a kernel would read out of bounds; y and trials are None for outputs alone.

    Raises:
        ValueError: names the argument, the shape or range it must have, and what it has.
    """
    named = {"theta": theta, "x": x, "y": y, "dataset": dataset, "trials": trials}
    for name, array in named.items():
        if array is not None and not hasattr(array, "dtype"):
            raise ValueError(f"{name} must be an array, but it is {type(array).__name__}")
    replicas = theta.shape[0] if theta.ndim == 2 else -1
    sets, number = x.shape[:2] if x.ndim == 4 else (-1, -1)
    length = x.shape[2] if x.ndim == 4 else -1
    check_shape("theta", theta, ("replicas", parameter_count(spec)))
    check_shape("x", x, ("datasets", "trials", "time", spec.input))
    check_indices("dataset", dataset, (replicas,), sets)
    if trials is not None:
        check_indices("trials", trials, (replicas, "batch"), number)
    if y is not None and spec.loss == "cross_entropy":
        check_indices("y", y, (sets, number), spec.output)
    elif y is not None:
        check_shape("y", y, (sets, number, length, spec.output))


def check_shape(name: str, array: Any, wanted: tuple[Any, ...]) -> None:
    """Refuse an array of another shape; a word stands for any size but 0.

    Raises:
        ValueError: names the argument, the shape it must have, and what it has.
    """
    shape = tuple(array.shape)
    fits = len(shape) == len(wanted) and all(
        size > 0 if isinstance(dim, str) else size == dim
        for size, dim in zip(shape, wanted, strict=True)
    )
    if not fits:
        raise ValueError(
            f"{name} must have the shape ({', '.join(map(str, wanted))}), but it has {shape}"
        )


def check_indices(name: str, array: Any, wanted: tuple[Any, ...], limit: int) -> None:
    """Refuse indices of another shape or type, or out of range.

    Raises:
        ValueError: names the argument, what it must be, and what it is.
    """
    check_shape(name, array, wanted)
    if str(array.dtype).rpartition(".")[2] != "int64":
        raise ValueError(f"{name} must be int64, but it is {array.dtype}")
    if array.min() < 0 or array.max() >= limit:
        raise ValueError(
            f"{name} must be at least 0 and below {limit}, "
            f"but it goes from {int(array.min())} to {int(array.max())}"
        )


def __getattr__(name: str) -> Any:
    """`recurrence` and `lstm` of `urnn.recurrence.function`, imported when they are asked for."""
    if name in ("recurrence", "lstm"):
        from urnn.recurrence import function

        return getattr(function, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
