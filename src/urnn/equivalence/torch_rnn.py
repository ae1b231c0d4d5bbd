"""A trained torch.nn.RNN in, an orthogonal torch.nn.RNN with the same outputs out.

relu converts exactly (Theorem 1, diagonal scaling where W is expansive); tanh converts to roundoff
by saturated extra units, never exactly (Theorem 3). torch is imported only when a function is
called.

Source: the project's theory notes 5.3 and 3.2.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from urnn.equivalence.conversion import to_unitary
from urnn.equivalence.state_bounds import state_norm_bound
from urnn.rnn import RNN

if TYPE_CHECKING:
    import torch


class UnitaryTorchRNN(NamedTuple):
    """An orthogonal torch.nn.RNN, how to read it out and how to start it.

    rnn      torch.nn.RNN with as many layers, every weight_hh orthogonal, float64
    readout  torch.nn.Linear without bias: readout(rnn(x, h0)[0]) are the original outputs
    layers   the converted layers as `urnn.RNN`, before padding to a common size
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
        ValueError: a bidirectional module or one that applies dropout between layers in training.
    """
    if module.bidirectional:
        raise ValueError("a bidirectional RNN is not a causal map y = G(x): convert one direction")
    if module.dropout and module.training and module.num_layers > 1:
        raise ValueError("the module drops out between layers: call module.eval() first")
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

    Layer l + 1 reads C h of layer l, which is folded into its weight_ih: F_(l+1) C_l. The last C is
    not part of the module (torch puts out h), nor are the initial states.

    Raises:
        ValueError: layers of different sizes or activations, complex ones, or an activation other
            than relu and tanh.
    """
    import torch

    stack = [layers] if isinstance(layers, RNN) else list(layers)
    first = stack[0]
    if first.activation not in ("relu", "tanh") or np.iscomplexobj(first.W):
        raise ValueError("torch.nn.RNN knows real networks with relu or tanh only")
    if any((a.hidden_units, a.activation) != (first.hidden_units, first.activation) for a in stack):
        raise ValueError("every layer must have the same number of states and the same activation")
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
    """The layer with further states that feed only themselves: W + I, started and kept at rest."""
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

    relu: `to_unitary` per layer, the input bound of layer l + 1 being the bound on the states of
    layer l (2-norm). tanh: ``saturation`` is required; no input bound is, because |h| <= 1.

    Args:
        module: one direction, relu or tanh, any number of layers; computed with in float64.
        input_bound, norm, states, horizon, rescale: as in `to_unitary`.
        initial_bound: initial states h0 of any layer may have ||h0||_2 (tanh: entries) up to this;
            `UnitaryTorchRNN.lift` turns them into initial states of the result.
        saturation: beta for tanh, 20 for roundoff.

    Raises:
        ValueError: what `from_torch` and `to_unitary` refuse, with the number of the layer.

    Status: relu PROVED equal (measured 3e-15 over 300 steps of two expansive layers of 16); tanh
    near-exact (Theorem 3), an error bound is `saturation_error_bound`.
    """
    import torch

    originals = from_torch(module)
    converted: list[RNN] = []
    scales: list[NDArray] = []
    bound = input_bound
    for index, layer in enumerate(originals):
        layer_norm = norm if index == 0 else 2
        may_rescale = rescale and layer.activation == "relu"
        try:
            result = to_unitary(
                layer,
                bound,
                layer_norm,
                states,
                horizon,
                rescale=may_rescale,
                initial_bound=initial_bound,
                saturation=saturation if layer.activation == "tanh" else None,
            )
        except ValueError as error:
            raise ValueError(f"layer {index}: {error}") from error
        size = layer.hidden_units
        scale = 1 / np.diag(result.C[:, :size])  # C was I, so it is D^-1 now
        converted.append(result)
        scales.append(scale)
        if index + 1 < len(originals) and layer.activation == "relu":
            # the states of the original layer, from the coordinates that bound them best; the
            # states that leave a layer go one step further than those that are fed back
            steps = None if horizon is None else horizon + 1
            scaled = RNN(result.W[:size, :size], result.F[:size], result.b[:size], np.eye(size))
            options = (bound, layer_norm, steps)
            here = state_norm_bound(layer, *options, initial_bound)
            there = state_norm_bound(scaled, *options, initial_bound * float(scale.max()))
            reach = min(here, there / float(scale.min()))
            bound = reach if np.isfinite(reach) else None
    total = max(layer.hidden_units for layer in converted)
    padded = [_padded(layer, total) for layer in converted]
    size = originals[0].hidden_units
    result_module = to_torch(padded, batch_first=module.batch_first)
    readout = torch.nn.Linear(total, size, bias=False, dtype=torch.float64)
    with torch.no_grad():
        readout.weight.copy_(torch.tensor(padded[-1].C))
    rest = np.array([layer.h_init[size:] for layer in padded])
    return UnitaryTorchRNN(result_module, readout, converted, np.array(scales), rest)
