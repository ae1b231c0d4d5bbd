"""A trained torch.nn.RNN in, an orthogonal torch.nn.RNN with the same outputs out.

relu converts exactly (Theorem 1, with a diagonal scaling where W is expansive); tanh converts up to
roundoff by saturated extra units, never exactly (Theorem 3). torch is imported only when a function
is called.

Source: docs/theorems.md, Networks of torch and Saturation.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from urnn.equivalence.conversion import to_unitary
from urnn.equivalence.state_bounds import state_norm_bound
from urnn.errors import ArgumentError
from urnn.rnn import RNN

if TYPE_CHECKING:
    import torch


class UnitaryTorchRNN(NamedTuple):
    """An orthogonal torch.nn.RNN, how to read its outputs and how to start it.

    rnn      torch.nn.RNN with as many layers, every weight_hh orthogonal, float64
    readout  torch.nn.Linear without bias: readout(rnn(x, h0)[0]) are the original outputs
    layers   the converted layers as `urnn.RNN`, before they are padded to a common size
    scales   (layers, n): the diagonal D of each layer; the first n states are D h
    rest     (layers, N - n): the extra initial states, 0 for relu and -1 for tanh
    """

    rnn: torch.nn.RNN
    readout: torch.nn.Linear
    layers: list[RNN]
    scales: NDArray
    rest: NDArray

    def lift(self, h0: torch.Tensor) -> torch.Tensor:
        """Initial states (layers, ..., n) of the original -> (layers, ..., N) of `rnn`."""
        import torch

        shape = (len(self.layers), *[1] * (h0.ndim - 2), -1)
        scales = torch.as_tensor(self.scales).reshape(shape)
        rest = torch.as_tensor(self.rest).reshape(shape)
        scaled = h0.to(torch.float64) * scales
        return torch.cat([scaled, rest.expand(*h0.shape[:-1], rest.shape[-1])], dim=-1)


def from_torch(module: torch.nn.RNN) -> list[RNN]:
    """The layers of a torch.nn.RNN as `urnn.RNN`s with C = I and h(-1) = 0, in float64.

    W = weight_hh, F = weight_ih, b = bias_ih + bias_hh; each layer reads the one before it.

    Raises:
        ArgumentError: a bidirectional module, or one that applies dropout between its layers.
    """
    if module.bidirectional:
        raise ArgumentError(
            "a bidirectional RNN is not a causal map y = G(x): convert one direction"
        )
    if module.dropout and module.training and module.num_layers > 1:
        raise ArgumentError("the module drops out between layers: call module.eval() first")
    layers = []
    for layer in range(module.num_layers):
        W, F = (
            getattr(module, f"weight_{kind}_l{layer}").detach().cpu().double().numpy()
            for kind in ("hh", "ih")
        )
        b = np.zeros(len(W))
        if module.bias:
            for kind in ("hh", "ih"):
                b = b + getattr(module, f"bias_{kind}_l{layer}").detach().cpu().double().numpy()
        layers.append(RNN(W, F, b, np.eye(len(W)), activation=module.nonlinearity))
    return layers


def to_torch(layers: RNN | list[RNN], batch_first: bool = False) -> torch.nn.RNN:
    """A torch.nn.RNN (float64) whose hidden states are those of the stacked networks.

    Layer l + 1 reads C h of layer l, so its weight_ih is F_(l+1) C_l. The last C is not part of the
    module (torch returns h), and neither are the initial states.

    Raises:
        ArgumentError: layers of different sizes or activations, complex ones, or an activation
            other than relu and tanh.
    """
    import torch

    stack = [layers] if isinstance(layers, RNN) else list(layers)
    first = stack[0]
    if first.activation not in ("relu", "tanh") or np.iscomplexobj(first.W):
        raise ArgumentError("torch.nn.RNN has only real networks with relu or tanh")
    if any((a.hidden_units, a.activation) != (first.hidden_units, first.activation) for a in stack):
        raise ArgumentError(
            "every layer must have the same number of states and the same activation"
        )
    module = torch.nn.RNN(
        first.input_size,
        first.hidden_units,
        len(stack),
        nonlinearity=first.activation,
        batch_first=batch_first,
        dtype=torch.float64,
    )
    with torch.no_grad():
        for index, layer in enumerate(stack):
            F = layer.F if index == 0 else layer.F @ stack[index - 1].C
            values = {"weight_hh": layer.W, "weight_ih": F, "bias_ih": layer.b}
            for name, value in values.items():
                getattr(module, f"{name}_l{index}").copy_(torch.tensor(value))
            getattr(module, f"bias_hh_l{index}").zero_()
    return module


def _padded(layer: RNN, states: int) -> RNN:
    """The layer with further states that stay at 0: diag(W, I), no input and no output."""
    more = states - layer.hidden_units
    size = layer.hidden_units
    W = np.eye(states)
    W[:size, :size] = layer.W
    rows = np.zeros((more, layer.input_size))
    columns = np.zeros((layer.output_size, more))
    return RNN(
        W,
        np.vstack([layer.F, rows]),
        np.append(layer.b, np.zeros(more)),
        np.hstack([layer.C, columns]),
        np.append(layer.h_init, np.zeros(more)),
        layer.activation,
    )


def to_unitary_torch(
    module: torch.nn.RNN,
    input_bound: float | None = None,
    norm: float = 2,
    states: str = "minimal",
    horizon: int | None = None,
    *,
    rescale: bool = True,
    initial_bound: float = 0.0,
    saturation: float | None = None,
) -> UnitaryTorchRNN:
    """The orthogonal torch.nn.RNN with the outputs of a trained ``module``, layer by layer.

    relu: `to_unitary` for each layer; the input bound of layer l + 1 is the bound on the states of
    layer l (2-norm). tanh: ``saturation`` is needed; an input bound is not, because |h| <= 1.

    Args:
        module: one direction, relu or tanh, any number of layers; converted in float64.
        input_bound, norm, states, horizon, rescale: as in `to_unitary`.
        initial_bound: initial states h0 of any layer may have ||h0||_2 (tanh: entries) up to this;
            `UnitaryTorchRNN.lift` turns them into initial states of the result.
        saturation: beta for tanh, 20 for roundoff.

    Raises:
        ArgumentError: what `from_torch` and `to_unitary` refuse, with the number of the layer.

    Status: relu PROVED equal (measured 3e-15 over 300 steps of two expansive layers of 16); tanh
    near, not equal (Theorem 3), with the error bound `saturation_error_bound`.
    """
    originals = from_torch(module)
    converted: list[RNN] = []
    bound = input_bound
    for index, layer in enumerate(originals):
        layer_norm = norm if index == 0 else 2
        is_relu = layer.activation == "relu"
        try:
            result = to_unitary(
                layer,
                bound,
                layer_norm,
                states,
                horizon,
                rescale=rescale and is_relu,
                initial_bound=initial_bound,
                saturation=None if is_relu else saturation,
            )
        except ArgumentError as error:
            raise ArgumentError(f"layer {index}: {error}") from error
        converted.append(result)
        if is_relu:
            bound = _reach(layer, result, bound, layer_norm, horizon, initial_bound)
    return _assembled(converted, originals[0].hidden_units, module.batch_first)


def _scale(converted: RNN, hidden_units: int) -> NDArray:
    """D of a converted layer: its C was I, so now it is [D^-1 0]."""
    return 1 / np.diag(converted.C[:, :hidden_units])


def _reach(
    layer: RNN,
    converted: RNN,
    bound: float | None,
    norm: float,
    horizon: int | None,
    initial_bound: float,
) -> float | None:
    """A bound on the states of a layer, from the coordinates that give the smaller one."""
    size = layer.hidden_units
    scale = _scale(converted, size)
    # the states that leave a layer go one step further than those that are fed back
    steps = None if horizon is None else horizon + 1
    scaled = RNN(converted.W[:size, :size], converted.F[:size], converted.b[:size], np.eye(size))
    here = state_norm_bound(layer, bound, norm, steps, initial_bound)
    there = state_norm_bound(scaled, bound, norm, steps, initial_bound * float(scale.max()))
    reach = min(here, there / float(scale.min()))
    return reach if np.isfinite(reach) else None


def _assembled(converted: list[RNN], hidden_units: int, batch_first: bool) -> UnitaryTorchRNN:
    """One torch module of the converted layers, padded to the size of the largest."""
    import torch

    total = max(layer.hidden_units for layer in converted)
    padded = [_padded(layer, total) for layer in converted]
    module = to_torch(padded, batch_first=batch_first)
    readout = torch.nn.Linear(total, hidden_units, bias=False, dtype=torch.float64)
    with torch.no_grad():
        readout.weight.copy_(torch.tensor(padded[-1].C))
    scales = np.array([_scale(layer, hidden_units) for layer in converted])
    rest = np.array([layer.h_init[hidden_units:] for layer in padded])
    return UnitaryTorchRNN(module, readout, converted, scales, rest)
