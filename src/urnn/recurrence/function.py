"""The states of a stack of recurrent networks as differentiable functions of torch tensors.

    recurrence:  h_t = phi(W h_{t-1} + F x_t + b),  h_{-1} = h_init
    lstm:        i, f, g, o = sigmoid, sigmoid, tanh, sigmoid of the parts of W h_{t-1} + F x_t + b
                 c_t = f c_{t-1} + i g,  h_t = o tanh(c_t),  h_{-1} = h_init,  c_{-1} = c_init
    gru:         r, z = sigmoid of the first two parts of W h_{t-1} + b_h + F x_t + b
                 n = tanh(F_n x_t + b_n + r (W_n h_{t-1} + b_hn)),  h_t = (1 - z) n + z h_{t-1}

`cell_states` is the function of any cell. R replicas of one shape, each with its own parameters and
its own trials. float32 tensors on the CPU or on an NVIDIA GPU take compiled kernels, whose backward
pass is back-propagation through time (Werbos 1990, doi:10.1109/5.58337); their first call for a
shape compiles for a few seconds. On a GPU they run on the current stream. All other types and
devices take a loop in torch under autograd, and so do second derivatives. See
`urnn.recurrence.operators` for torch.compile and torch.func.

A replica reads no other: a NaN or Inf in one stays there, and a replica's states are the same bits
whatever the others are.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any

import torch
from torch import Tensor

from urnn.errors import ArgumentError
from urnn.recurrence import reference
from urnn.recurrence.cells import POINT
from urnn.recurrence.cells.base import Cell
from urnn.recurrence.operators import key_of, stack_states, takes_kernels


def recurrence(
    x: Tensor, W: Tensor, F: Tensor, b: Tensor, h_init: Tensor, activation: str = "relu"
) -> Tensor:
    """All states (R, batch, time, n) of h_t = phi(W h_{t-1} + F x_t + b).

    Differentiable with respect to every tensor.

    Args:
        x: (R, batch, time, m); an expanded one serves all replicas the same trials.
        W: (R, n, n).
        F: (R, n, m).
        b: (R, n); with modrelu (R, n / 2).
        h_init: (R, n), or (R, batch, n) for a state of each trial.
        activation: phi, by its name in `urnn.recurrence.activations`; modrelu takes units 2k and
            2k + 1 as the real and imaginary part of a complex state.

    Returns:
        The states, of the type and on the device of x.

    Raises:
        ArgumentError: a tensor's shape, type or device does not fit.
        ConfigError: an unknown activation; both are ValueErrors.
    """
    assert POINT.default is not None
    cell = _cell(POINT.default, activation=activation)
    return cell_states(cell, x, {"W": W, "F": F, "b": b}, h_init)[0]


def lstm(
    x: Tensor, W: Tensor, F: Tensor, b: Tensor, h_init: Tensor, c_init: Tensor
) -> tuple[Tensor, Tensor]:
    """All states (R, batch, time, n) and the last cell state (R, batch, n) of an LSTM.

    Hochreiter and Schmidhuber (1997, doi:10.1162/neco.1997.9.8.1735) with the forget gate of Gers
    et al. (2000), as torch.nn.LSTM. Differentiable with respect to every tensor.

    Args:
        x: (R, batch, time, m); an expanded one serves all replicas the same trials.
        W: (R, 4 n, n), rows in the order i, f, g, o as torch's weight_hh_l0.
        F: (R, 4 n, m).
        b: (R, 4 n).
        h_init: (R, n), or (R, batch, n) for a state of each trial.
        c_init: (R, n) or (R, batch, n).

    Returns:
        The states and the last cell state, of the type and on the device of x.

    Raises:
        ArgumentError: a tensor's shape, type or device does not fit.
    """
    # a function is named after its cell
    parameters = {"W": W, "F": F, "b": b}
    return cell_states(_cell(lstm.__name__), x, parameters, h_init, c_init)


def gru(x: Tensor, W: Tensor, F: Tensor, b: Tensor, b_h: Tensor, h_init: Tensor) -> Tensor:
    """All states (R, batch, time, n) of a GRU.

    Cho et al. (2014, arXiv:1406.1078), with the reset gate behind W_n as in torch.nn.GRU.
    Differentiable with respect to every tensor.

    Args:
        x: (R, batch, time, m); an expanded one serves all replicas the same trials.
        W: (R, 3 n, n), rows in the order r, z, n as torch's weight_hh_l0.
        F: (R, 3 n, m).
        b: (R, 3 n), the bias of the input's side, torch's bias_ih_l0.
        b_h: (R, 3 n), the bias of the recurrent side, torch's bias_hh_l0.
        h_init: (R, n), or (R, batch, n) for a state of each trial.

    Returns:
        The states, of the type and on the device of x.

    Raises:
        ArgumentError: a tensor's shape, type or device does not fit.
    """
    parameters = {"W": W, "F": F, "b": b, "b_h": b_h}
    return cell_states(_cell(gru.__name__), x, parameters, h_init)[0]


@cache
def _cell(name: str, **options: Any) -> Cell:
    return POINT.make(name, **options)


def cell_states(
    cell: Cell, x: Tensor, parameters: Mapping[str, Tensor], *initial: Tensor
) -> tuple[Tensor, Tensor]:
    """All states (R, batch, time, n) of any cell, and its last cell state (R, batch, n).

    Differentiable with respect to every tensor.

    Args:
        cell: with its options.
        x: (R, batch, time, m).
        parameters: (R, ...) by name, with the shapes of the cell, but for the readout's C and d.
        initial: the initial states that the cell has, each (R, n) or (R, batch, n).

    Returns:
        The states and the last cell state, of the type and on the device of x; the latter is empty
        for a cell that has none.

    Raises:
        ArgumentError: a tensor's shape, type or device does not fit.
    """
    _check(cell, x, dict(parameters), dict(zip(cell.initial_states, initial, strict=True)))
    batch = x.shape[1]
    starts = [s if s.ndim == 3 else s[:, None].expand(-1, batch, -1) for s in initial]
    key = key_of(cell)
    if not takes_kernels(key, x):
        states, last = reference.states(cell, parameters, x, starts)
        return states, last[1] if len(last) > 1 else x.new_empty(0)
    rows = [parameters[name].flatten(1) for name in cell.dimensions if name in parameters]
    h, *c = starts
    return stack_states(key, torch.cat(rows, 1), x, h, c[0] if c else None)


def _check(
    cell: Cell, x: Tensor, parameters: dict[str, Tensor], initial: dict[str, Tensor]
) -> None:
    """Refuse what does not fit.

    Raises:
        ArgumentError: names the argument, what it must be, and what it is.
    """
    tensors = {"x": x, **parameters, **initial}
    for name, tensor in tensors.items():
        if not isinstance(tensor, Tensor):
            raise ArgumentError(f"{name} must be a tensor, but it is {type(tensor).__name__}")
    if not x.dtype.is_floating_point:
        raise ArgumentError(f"x must be of a floating point type, but it is {x.dtype}")
    if x.ndim != 4 or 0 in (x.shape[0], *x.shape[2:]):
        wanted = "(replicas, batch, time, input), of replicas, steps and inputs at least one"
        raise ArgumentError(f"x must have the shape {wanted}, but it has {tuple(x.shape)}")
    replicas, batch, _, inputs = x.shape
    W = parameters["W"]
    hidden = W.shape[-1] if W.ndim == 3 else 0
    if hidden == 0 or tuple(W.shape) != (replicas, cell.gates * hidden, hidden):
        rows = f"{cell.gates} n" if cell.gates > 1 else "n"
        wanted = f"({replicas}, {rows}, n)"
        raise ArgumentError(f"W must have the shape {wanted}, but it has {tuple(W.shape)}")
    shapes = cell.parameter_shapes(hidden, inputs, 1)
    allowed = {name: [(replicas, *shapes[name])] for name in parameters}
    allowed |= {name: [(replicas, hidden), (replicas, batch, hidden)] for name in initial}
    for name, shapes_of_it in allowed.items():
        if tuple(tensors[name].shape) not in shapes_of_it:
            raise ArgumentError(
                f"{name} must have the shape {' or '.join(map(str, shapes_of_it))}, "
                f"but it has {tuple(tensors[name].shape)}"
            )
    for name, tensor in tensors.items():
        if (tensor.dtype, tensor.device) != (x.dtype, x.device):
            raise ArgumentError(
                f"{name} must be {x.dtype} on {x.device} as x is, "
                f"but it is {tensor.dtype} on {tensor.device}"
            )
