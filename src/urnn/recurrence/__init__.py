"""The recurrence: outputs, loss and gradients of a stack of replicas; one contract, three backends.

    h_t = cell(h_{t-1}, x_t), as the files in `cells` say: the plain recurrence, an LSTM, ...
    y_t = C h_t + d,  h_{-1} = h_init, and c_{-1} = c_init of a cell that has a cell state

The loss is the mean squared error of all y_t ("squared"), or the cross-entropy of softmax(y_T) at
the last time step T with a label ("cross_entropy").

R replicas of one model of one shape are computed together; their parameters are the rows of theta
(R, K). `reference` is a readable loop in torch, for every device and float64, and the oracle of
the tests; `cpu` is compiled by LLVM, in float32; `gpu` by NVRTC, in float32. This module is light:
each backend is imported when it is asked for.
"""

from __future__ import annotations

import importlib
import math
import operator
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from types import ModuleType
from typing import Any, Protocol

from urnn.errors import ArgumentError
from urnn.recurrence.cells import POINT
from urnn.recurrence.cells.base import Cell

LOSSES = ("squared", "cross_entropy")


@dataclass(frozen=True)
class Spec:
    """What is computed: the cell with its options, the sizes, and the loss.

    The name of a cell stands for the cell with its default options.

    Raises:
        ConfigError: an unknown cell.
        ArgumentError: an unknown loss, a size below 1, or a number of hidden units that the cell
            cannot have. Both are ValueErrors.
    """

    cell: Cell
    hidden_units: int
    input_size: int
    output_size: int
    loss: str = "squared"

    def __post_init__(self) -> None:
        if not isinstance(self.cell, Cell):
            object.__setattr__(self, "cell", POINT.make(self.cell))
        if self.loss not in LOSSES:
            raise ArgumentError(f"loss must be one of {', '.join(LOSSES)}, but it is {self.loss!r}")
        for name in ("hidden_units", "input_size", "output_size"):
            size = getattr(self, name)
            if not hasattr(size, "__index__") or size < 1:
                raise ArgumentError(f"{name} must be an integer and at least 1, but it is {size!r}")
            # a kernel is compiled for Python's integers, not for numpy's
            object.__setattr__(self, name, operator.index(size))
        problem = self.cell.size_problem(self.hidden_units)
        if problem:
            raise ArgumentError(f"hidden_units: {problem}")

    @property
    def name(self) -> str:
        """All of it as a part of a file's name, such as rnn-relu-squared-4-2-2."""
        sizes = (self.hidden_units, self.input_size, self.output_size)
        return "-".join((self.cell.tag, self.loss, *map(str, sizes)))


def parameter_shapes(spec: Spec) -> dict[str, tuple[int, ...]]:
    """Shapes by name, in the order of theta; rows of gates are in the order of the cell's."""
    return spec.cell.parameter_shapes(spec.hidden_units, spec.input_size, spec.output_size)


def parameter_count(spec: Spec) -> int:
    """K, the length of a row of theta."""
    return sum(math.prod(shape) for shape in parameter_shapes(spec).values())


def pack(spec: Spec, parameters: Mapping[str, Any]) -> Any:
    """theta (R, K) from arrays or tensors (R, ...) by name; they are copied.

    Raises:
        ArgumentError: a parameter is missing or has another shape.
    """
    parts = []
    for name, shape in parameter_shapes(spec).items():
        if name not in parameters:
            raise ArgumentError(f"parameters lack {name}")
        value = parameters[name]
        if tuple(value.shape[1:]) != shape:
            raise ArgumentError(
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
    # splitting the last axis never copies, neither in numpy nor in torch
    return {
        name: theta[:, columns].reshape(theta.shape[0], *shape)
        for name, columns, shape in _columns(spec)
    }


@cache
def _columns(spec: Spec) -> list[tuple[str, slice, tuple[int, ...]]]:
    """The parameters by name, where each is in a row of theta, and its shape."""
    found, start = [], 0
    for name, shape in parameter_shapes(spec).items():
        found.append((name, slice(start, start + math.prod(shape)), shape))
        start += math.prod(shape)
    return found


class Backend(Protocol):
    """Where a stack is computed. Arrays are numpy's or torch's, by ``xp``.

    A backend may also have a method ``epoch``, which takes all steps of an epoch at once; the
    trainer asks for it with getattr, and calls `step` where there is none.
    """

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
        state. gradient (R, K) is its gradient with respect to all parameters, the initial states
        included. Both may be buffers that the next call writes to. Each row is the same bits
        whatever the other rows are, and a NaN or Inf in one replica touches no other.

        Raises:
            ArgumentError: shapes that do not fit or indices out of range; the message names which.
        """
        ...

    def outputs(self, spec: Spec, theta: Any, x: Any, dataset: Any) -> Any:
        """y (R, B, time, output) for x (S, B, time, input) and dataset (R,); raises as `step`.

        For the loss "cross_entropy" of the last state alone: (R, B, output).
        """
        ...


def backend(device: str) -> Backend:
    """The backend for a device, such as "cpu", "cuda" or "auto"; see `urnn.devices`.

    "cpu": kernels compiled by LLVM; "cuda" or "cuda:N": a GPU, by compiled kernels, or by torch's
    loop where they cannot run; "auto": the GPU if kernels run on one, else the CPU; "reference":
    torch's loop in float64; "mps", and any other device that torch has: the loop in float32.

    Raises:
        ArgumentError: an unknown device, or one that this machine does not have.
    """
    if device == "auto":
        from urnn.devices import resolve

        device = resolve(device)
    if device == "cpu":
        from urnn.recurrence.cpu import CpuBackend

        return CpuBackend()
    if device.startswith("cuda"):
        # by name: results of a CPU do not come from its code, see `urnn.devices.code`
        found: Backend = importlib.import_module("urnn.recurrence.accelerator").make(device)
        return found
    from urnn.recurrence.reference import TorchBackend

    return TorchBackend(device)


def check_step(spec: Spec, theta: Any, x: Any, y: Any, dataset: Any, trials: Any) -> None:
    """Refuse what a kernel would read out of bounds; y and trials are None for outputs alone.

    Raises:
        ArgumentError: names the argument, the shape or range it must have, and what it has.
    """
    named = {"theta": theta, "x": x, "y": y, "dataset": dataset, "trials": trials}
    for name, array in named.items():
        if array is not None and not hasattr(array, "dtype"):
            raise ArgumentError(f"{name} must be an array, but it is {type(array).__name__}")
    replicas = theta.shape[0] if theta.ndim == 2 else -1
    sets, number = x.shape[:2] if x.ndim == 4 else (-1, -1)
    length = x.shape[2] if x.ndim == 4 else -1
    check_shape("theta", theta, ("replicas", parameter_count(spec)))
    check_shape("x", x, ("datasets", "trials", "time", spec.input_size))
    check_indices("dataset", dataset, (replicas,), sets)
    if trials is not None:
        check_indices("trials", trials, (replicas, "batch"), number)
    if y is not None and spec.loss == "cross_entropy":
        check_indices("y", y, (sets, number), spec.output_size)
    elif y is not None:
        check_shape("y", y, (sets, number, length, spec.output_size))


def check_shape(name: str, array: Any, wanted: tuple[Any, ...]) -> None:
    """Refuse an array of another shape; a word stands for any size but 0.

    Raises:
        ArgumentError: names the argument, the shape it must have, and what it has.
    """
    shape = tuple(array.shape)
    fits = len(shape) == len(wanted) and all(
        size > 0 if isinstance(dim, str) else size == dim
        for size, dim in zip(shape, wanted, strict=True)
    )
    if not fits:
        raise ArgumentError(
            f"{name} must have the shape ({', '.join(map(str, wanted))}), but it has {shape}"
        )


def check_indices(name: str, array: Any, wanted: tuple[Any, ...], limit: int) -> None:
    """Refuse indices of another shape or type, or out of range.

    Raises:
        ArgumentError: names the argument, what it must be, and what it is.
    """
    check_shape(name, array, wanted)
    if not _is_int64(array.dtype):
        raise ArgumentError(f"{name} must be int64, but it is {array.dtype}")
    if array.min() < 0 or array.max() >= limit:
        raise ArgumentError(
            f"{name} must be at least 0 and below {limit}, "
            f"but it goes from {int(array.min())} to {int(array.max())}"
        )


@cache
def _is_int64(dtype: Any) -> bool:
    # numpy's name of a type takes longer than a step of a small model
    return str(dtype).rpartition(".")[2] == "int64"


def __getattr__(name: str) -> Any:
    """The functions of `urnn.recurrence.function`, imported when they are asked for."""
    # they are named after their cells, but for that of the plain recurrence
    if name in {"recurrence", "cell_states", *POINT} - {POINT.default}:
        from urnn.recurrence import function

        return getattr(function, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
