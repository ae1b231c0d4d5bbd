"""`RNN`, `LSTM` and `GRU`: torch.nn's modules of one layer, on the compiled kernels.

    RNN:   h_t = phi(W_hh h_{t-1} + b_hh + W_ih x_t + b_ih), phi = tanh or relu
    LSTM:  as `urnn.recurrence.function.lstm`, with W = W_hh, F = W_ih, b = b_ih + b_hh
    GRU:   as `urnn.recurrence.function.gru`, with W = W_hh, F = W_ih, b = b_ih, b_h = b_hh

They are torch's classes with another forward: constructor, initialisation, state_dict and
results are torch's, the results within float32 rounding. float32 on the CPU or an NVIDIA GPU takes
the kernels, everything else a loop in torch. The equations are those of torch.nn.RNN, LSTM and GRU
(https://pytorch.org/docs/stable/nn.html#recurrent-layers).
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from urnn.errors import ArgumentError
from urnn.recurrence.function import gru, lstm, recurrence


class _OneLayer:
    """What is torch's but for the number of layers; comes before torch's class among the bases.

    Raises:
        ArgumentError: more than one layer, dropout, or two directions.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        device: Any = None,
        dtype: Any = None,
        **own: Any,
    ) -> None:
        _refuse(num_layers=(num_layers, 1), dropout=(dropout, 0), bidirectional=(bidirectional, 0))
        options = {"bias": bias, "batch_first": batch_first, "device": device, "dtype": dtype}
        super().__init__(input_size, hidden_size, **options, **own)  # type: ignore[call-arg]


class RNN(_OneLayer, torch.nn.RNN):
    """torch.nn.RNN of one layer and one direction.

    Raises:
        ArgumentError: more than one layer, dropout, two directions, or an unknown nonlinearity.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        *rest: Any,
        **options: Any,
    ) -> None:
        if nonlinearity not in ("tanh", "relu"):
            raise ArgumentError(f"nonlinearity must be tanh or relu, but it is {nonlinearity!r}")
        options["nonlinearity"] = nonlinearity
        super().__init__(input_size, hidden_size, num_layers, *rest, **options)

    def forward(self, input: Any, hx: Any = None) -> Any:
        """(output, h_n) as torch.nn.RNN, for T steps, B trials, m inputs and n hidden units.

        Args:
            input: (T, B, m), (B, T, m) with batch_first, or (T, m) of one trial.
            hx: h_0 (1, B, n), or (1, n) of one trial; zeros when it is None.

        Returns:
            output (T, B, n), (B, T, n) or (T, n), and h_n in the shape of h_0.

        Raises:
            ArgumentError: a shape, type or device does not fit; a PackedSequence.
        """
        x, (h,) = _arranged(self, input, {"hx": hx}, hx is None)
        states = recurrence(x, *_weights(self), _bias(self), h, activation=self.nonlinearity)
        return _as_torch(self, states, input), _last(states[:, :, -1], input)


class LSTM(_OneLayer, torch.nn.LSTM):
    """torch.nn.LSTM of one layer and one direction, without projection.

    Raises:
        ArgumentError: more than one layer, dropout, two directions, or a projection.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        _refuse(proj_size=(proj_size, 0))
        super().__init__(
            input_size,
            hidden_size,
            num_layers,
            bias,
            batch_first,
            dropout,
            bidirectional,
            device,
            dtype,
        )

    def forward(self, input: Any, hx: Any = None) -> Any:
        """(output, (h_n, c_n)) as torch.nn.LSTM, for T steps, B trials, m inputs, n hidden units.

        Args:
            input: (T, B, m), (B, T, m) with batch_first, or (T, m) of one trial.
            hx: (h_0, c_0), each (1, B, n), or (1, n) of one trial; zeros when it is None.

        Returns:
            output (T, B, n), (B, T, n) or (T, n), and h_n and c_n in the shape of h_0.

        Raises:
            ArgumentError: a shape, type or device does not fit; a PackedSequence.
        """
        if hx is not None and not (isinstance(hx, tuple | list) and len(hx) == 2):
            raise ArgumentError(f"hx must be (h_0, c_0), but it is {type(hx).__name__}")
        h_0, c_0 = (None, None) if hx is None else hx
        x, (h, c) = _arranged(self, input, {"h_0": h_0, "c_0": c_0}, hx is None)
        states, c_last = lstm(x, *_weights(self), _bias(self), h, c)
        last = _last(states[:, :, -1], input), _last(c_last, input)
        return _as_torch(self, states, input), last


class GRU(_OneLayer, torch.nn.GRU):
    """torch.nn.GRU of one layer and one direction.

    Raises:
        ArgumentError: more than one layer, dropout, or two directions.
    """

    def forward(self, input: Any, hx: Any = None) -> Any:
        """(output, h_n) as torch.nn.GRU; arguments, results and errors as of `RNN`."""
        x, (h,) = _arranged(self, input, {"hx": hx}, hx is None)
        states = gru(x, *_weights(self), *_biases(self), h)
        return _as_torch(self, states, input), _last(states[:, :, -1], input)


def _refuse(**arguments: tuple[Any, Any]) -> None:
    """Refuse arguments of torch's constructors that are not supported."""
    for name, (value, only) in arguments.items():
        if value != only:
            only = bool(only) if name == "bidirectional" else only
            raise ArgumentError(f"{name} must be {only} in urnn.nn, but it is {value!r}")


def _arranged(
    module: Any, input: Any, initial: dict[str, Any], zero: bool
) -> tuple[Tensor, list[Tensor]]:
    """x (1, B, T, m) and initial states (1, B, n), zeros if `zero`, from torch's arguments."""
    if not isinstance(input, Tensor):
        raise ArgumentError(f"input must be a tensor, but it is {type(input).__name__}")
    m, n = module.input_size, module.hidden_size
    order = "(batch, time, " if module.batch_first else "(time, batch, "
    if input.ndim not in (2, 3) or input.shape[-1] != m:
        raise ArgumentError(
            f"input must have the shape {order}{m}) or (time, {m}), but it has {tuple(input.shape)}"
        )
    _same("input", input, module.weight_hh_l0)
    x = input[None] if input.ndim == 2 else input if module.batch_first else input.transpose(0, 1)
    if x.shape[1] == 0:
        shape = tuple(input.shape)
        raise ArgumentError(f"input must have at least one time step, but it has {shape}")
    shape = (1, n) if input.ndim == 2 else (1, x.shape[0], n)
    states = []
    for name, state in initial.items():
        if zero:
            state = x.new_zeros(shape)
        if not isinstance(state, Tensor) or tuple(state.shape) != shape:
            given = tuple(state.shape) if isinstance(state, Tensor) else type(state).__name__
            raise ArgumentError(f"{name} must have the shape {shape}, but it has {given}")
        _same(name, state, input)
        states.append(state.reshape(1, x.shape[0], n))
    return x[None], states


def _same(name: str, tensor: Tensor, other: Tensor) -> None:
    if (tensor.dtype, tensor.device) != (other.dtype, other.device):
        raise ArgumentError(
            f"{name} must be {other.dtype} on {other.device}, "
            f"but it is {tensor.dtype} on {tensor.device}"
        )


def _weights(module: Any) -> tuple[Tensor, Tensor]:
    """W and F of a stack of one replica."""
    return module.weight_hh_l0[None], module.weight_ih_l0[None]


def _biases(module: Any) -> tuple[Tensor, Tensor]:
    """The biases of the input's and the recurrent side, zeros without."""
    if module.bias:
        return module.bias_ih_l0[None], module.bias_hh_l0[None]
    zero = module.weight_hh_l0.new_zeros(1, len(module.weight_hh_l0))
    return zero, zero


def _bias(module: Any) -> Tensor:
    """Their sum, for a cell that has one bias."""
    of_input, recurrent = _biases(module)
    return of_input + recurrent


def _as_torch(module: Any, states: Tensor, input: Tensor) -> Tensor:
    """The states (1, B, T, n) in the order of torch's output."""
    if input.ndim == 2:
        return states[0, 0]
    return states[0] if module.batch_first else states[0].transpose(0, 1).contiguous()


def _last(state: Tensor, input: Tensor) -> Tensor:
    """The last state (1, B, n) in torch's shape: (1, n) of one trial, contiguous."""
    return (state[:, 0] if input.ndim == 2 else state).contiguous()
