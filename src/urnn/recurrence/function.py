"""The states of a stack of recurrent networks as differentiable functions of torch tensors.

    recurrence:  h_t = phi(W h_{t-1} + F x_t + b),  h_{-1} = h_init
    lstm:        i, f, g, o = sigmoid, sigmoid, tanh, sigmoid of the parts of W h_{t-1} + F x_t + b
                 c_t = f c_{t-1} + i g,  h_t = o tanh(c_t),  h_{-1} = h_init,  c_{-1} = c_init

R replicas of one shape, each with its own parameters and its own trials. float32 tensors on the CPU
take the compiled kernels of `urnn.recurrence.states`, whose backward pass is back-propagation
through time (Werbos 1990, doi:10.1109/5.58337); their first call for a shape compiles for a few
seconds. All other types and devices take a loop in torch under autograd.

A replica reads no other: a NaN or Inf in one stays there, and a replica's states are the same bits
whatever the others are.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from urnn.recurrence import Spec
from urnn.recurrence.reference import next_lstm_states, next_states


def recurrence(
    x: Tensor, W: Tensor, F: Tensor, b: Tensor, h_init: Tensor, activation: str = "relu"
) -> Tensor:
    """All states (R, batch, time, n) of h_t = phi(W h_{t-1} + F x_t + b).

    Differentiable, once on the kernels, with respect to every tensor.

    Args:
        x: (R, batch, time, m); an expanded one serves all replicas the same trials.
        W: (R, n, n).
        F: (R, n, m).
        b: (R, n); with modrelu (R, n / 2).
        h_init: (R, n), or (R, batch, n) for a state of each trial.
        activation: phi, "relu", "tanh", "sigmoid" or "identity"; or "modrelu", where units 2k and
            2k + 1 are the real and imaginary part of a complex state, as `urnn.recurrence` says.

    Returns:
        The states, of the type and on the device of x.

    Raises:
        ValueError: an unknown activation; a tensor's shape, type or device does not fit.
        RuntimeError: from autograd, when a gradient of the kernels is differentiated again.
    """
    return _states("rnn", activation, x, W, F, b, h_init, None)[0]


def lstm(
    x: Tensor, W: Tensor, F: Tensor, b: Tensor, h_init: Tensor, c_init: Tensor
) -> tuple[Tensor, Tensor]:
    """All states (R, batch, time, n) and the last cell state (R, batch, n) of an LSTM.

    Hochreiter and Schmidhuber (1997, doi:10.1162/neco.1997.9.8.1735) with the forget gate of Gers
    et al. (2000), as torch.nn.LSTM. Differentiable, once on the kernels, with respect to every
    tensor.

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
        ValueError: a tensor's shape, type or device does not fit.
        RuntimeError: from autograd, when a gradient of the kernels is differentiated again.
    """
    return _states("lstm", "tanh", x, W, F, b, h_init, c_init)


def _states(
    cell: str,
    activation: str,
    x: Tensor,
    W: Tensor,
    F: Tensor,
    b: Tensor,
    h_init: Tensor,
    c_init: Tensor | None,
) -> tuple[Tensor, Tensor]:
    """(states, c_last) where their arguments say; c_last of an rnn is empty."""
    pairs = activation == "modrelu"
    hidden = _check(4 if cell == "lstm" else 1, pairs, x, W, F, b, h_init, c_init)
    spec = Spec(cell, hidden, x.shape[3], hidden, activation)  # read out are the states themselves
    batch = x.shape[1]
    h = h_init if h_init.ndim == 3 else h_init[:, None].expand(-1, batch, -1)
    c = c_init
    if c is not None and c.ndim == 2:
        c = c[:, None].expand(-1, batch, -1)
    if x.dtype != torch.float32 or x.device.type != "cpu" or batch == 0:
        return _loop(spec, x, W, F, b, h, c)
    differentiable = [x, W, F, b, h] if c is None else [x, W, F, b, h, c]
    keep = torch.is_grad_enabled() and any(tensor.requires_grad for tensor in differentiable)
    return _Kernels.apply(spec, keep, x, W, F, b, h, c)


def _loop(
    spec: Spec, x: Tensor, W: Tensor, F: Tensor, b: Tensor, h: Tensor, c: Tensor | None
) -> tuple[Tensor, Tensor]:
    """The loop over time in torch, differentiable as often as one likes."""
    if c is not None:
        return next_lstm_states(x, W, F, b, h, c)
    return next_states(spec.activation, x, W, F, b, h), x.new_empty(0)


class _Kernels(torch.autograd.Function):
    """(states, c_last) by the compiled kernels; see `urnn.recurrence.states`."""

    @staticmethod
    def forward(
        ctx: Any,
        spec: Spec,
        keep: bool,
        x: Tensor,
        W: Tensor,
        F: Tensor,
        b: Tensor,
        h_init: Tensor,
        c_init: Tensor | None,
    ) -> tuple[Tensor, Tensor]:
        from urnn.recurrence import states

        x, W, F = x.contiguous(), W.contiguous(), F.contiguous()
        c = None if c_init is None else _array(c_init[:, :, None])
        results = states.forward(
            spec, _array(x), _array(W), _array(F), _array(b), _array(h_init[:, :, None]), c, keep
        )
        h, c_last, H, A = map(torch.from_numpy, results)
        if keep:
            ctx.save_for_backward(x, W, F, b, h_init, c_init, H, A)
            ctx.spec = spec
        if c_init is None:
            ctx.mark_non_differentiable(c_last)
            return h, c_last
        return h, c_last[:, :, 0]

    @staticmethod
    def backward(ctx: Any, d_states: Tensor, dc_last: Tensor) -> tuple[Tensor | None, ...]:
        wanted = ctx.needs_input_grad[2]
        *gradients, dc_init, dx = _Gradients.apply(
            ctx.spec, wanted, d_states, dc_last, *ctx.saved_tensors
        )
        lstm = ctx.spec.cell == "lstm"
        return None, None, dx if wanted else None, *gradients, dc_init if lstm else None


class _Gradients(torch.autograd.Function):
    """The backward pass of `_Kernels`, a function of its own to refuse a second derivative.

    torch's once_differentiable sees only whether what comes from above is differentiated again,
    not the parameters that the gradients depend on as well, and would take those for constants.
    """

    @staticmethod
    def forward(
        ctx: Any,
        spec: Spec,
        wanted: bool,
        d_states: Tensor,
        dc_last: Tensor,
        x: Tensor,
        W: Tensor,
        F: Tensor,
        b: Tensor,
        h_init: Tensor,
        c_init: Tensor | None,
        H: Tensor,
        A: Tensor,
    ) -> tuple[Tensor, ...]:
        from urnn.recurrence import states

        dW, dF, db, dh_init, dc_init, dx = map(
            torch.from_numpy,
            states.backward(
                spec,
                _array(x),
                _array(W),
                _array(F),
                _array(b),
                _array(H),
                _array(A),
                _array(d_states),
                None if c_init is None else _array(dc_last[:, :, None]),
                wanted,
            ),
        )
        return dW, dF, db, dh_init[:, :, 0], dc_init[:, :, 0] if c_init is not None else dc_init, dx

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> Any:
        raise RuntimeError(
            "the compiled kernels of urnn.recurrence give no second derivatives; "
            "float64 tensors take a loop that does"
        )


def _array(tensor: Tensor) -> Any:
    """The tensor as numpy's array in C order, its own memory where it is so already."""
    return tensor.detach().resolve_neg().contiguous().numpy()


def _check(
    gates: int,
    pairs: bool,
    x: Tensor,
    W: Tensor,
    F: Tensor,
    b: Tensor,
    h_init: Tensor,
    c_init: Tensor | None,
) -> int:
    """Refuse what does not fit; returns the number of hidden units.

    Raises:
        ValueError: names the argument, what it must be, and what it is.
    """
    tensors = {"x": x, "W": W, "F": F, "b": b, "h_init": h_init}
    if gates > 1:
        tensors["c_init"] = c_init  # type: ignore[assignment]
    for name, tensor in tensors.items():
        if not isinstance(tensor, Tensor):
            raise ValueError(f"{name} must be a tensor, but it is {type(tensor).__name__}")
    if not x.dtype.is_floating_point:
        raise ValueError(f"x must be of a floating point type, but it is {x.dtype}")
    if x.ndim != 4 or 0 in (x.shape[0], *x.shape[2:]):
        wanted = "(replicas, batch, time, input), of replicas, steps and inputs at least one"
        raise ValueError(f"x must have the shape {wanted}, but it has {tuple(x.shape)}")
    replicas, batch, _, inputs = x.shape
    hidden = W.shape[-1] if W.ndim == 3 else 0
    if hidden == 0 or tuple(W.shape) != (replicas, gates * hidden, hidden):
        wanted = f"({replicas}, {'4 n' if gates > 1 else 'n'}, n)"
        raise ValueError(f"W must have the shape {wanted}, but it has {tuple(W.shape)}")
    rows = gates * hidden
    states: list[tuple[int, ...]] = [(replicas, hidden), (replicas, batch, hidden)]
    shapes: dict[str, list[tuple[int, ...]]] = {
        "F": [(replicas, rows, inputs)],
        "b": [(replicas, rows // 2 if pairs else rows)],
    }
    shapes |= {name: states for name in ("h_init", "c_init") if name in tensors}
    for name, shapes_of_it in shapes.items():
        if tuple(tensors[name].shape) not in shapes_of_it:
            raise ValueError(
                f"{name} must have the shape {' or '.join(map(str, shapes_of_it))}, "
                f"but it has {tuple(tensors[name].shape)}"
            )
    for name, tensor in tensors.items():
        if (tensor.dtype, tensor.device) != (x.dtype, x.device):
            raise ValueError(
                f"{name} must be {x.dtype} on {x.device} as x is, "
                f"but it is {tensor.dtype} on {tensor.device}"
            )
    return hidden
