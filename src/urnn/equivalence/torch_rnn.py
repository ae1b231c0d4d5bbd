"""A trained torch.nn.RNN in, an orthogonal module with the same outputs out.

relu converts exactly (Theorem 1, with a diagonal scaling where W is expansive); tanh converts up to
roundoff by saturated extra units, never exactly (Theorem 3). torch is imported only when a function
is called.

Source: docs/theorems.md, Networks of torch and Saturation.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from urnn.equivalence.conversion import to_unitary
from urnn.equivalence.projection import projected
from urnn.equivalence.state_bounds import state_norm_bound
from urnn.equivalence.state_dict import from_state_dict, read_state_dict
from urnn.errors import ArgumentError, DataError
from urnn.rnn import RNN

if TYPE_CHECKING:
    import torch

    from urnn.equivalence.torch_module import UnitaryTorchRNN


def _require_plain(module: Any) -> None:
    import torch

    # those of `urnn.nn` too, which are no torch.nn.RNN
    kinds = ("RNN_RELU", "RNN_TANH")
    if not isinstance(module, torch.nn.RNNBase) or module.mode not in kinds:
        raise ArgumentError(
            f"the module must be a torch.nn.RNN with relu or tanh, but it is a "
            f"{type(module).__name__}, which is not h(k) = phi(W h(k-1) + F x(k) + b)"
        )


def from_torch(
    source: torch.nn.RNN | Mapping[str, Any] | str | Path,
    nonlinearity: str | None = None,
    readout: str | None = None,
    prefix: str | None = None,
) -> list[RNN]:
    """The layers of a torch.nn.RNN as `urnn.RNN`s with C = I and h(-1) = 0, in float64.

    W = weight_hh, F = weight_ih, b = bias_ih + bias_hh; each layer reads the one before it.

    Args:
        source: the module; or its state_dict, a .pt or .pth file (torch.save) or a .safetensors
            file, for which the other arguments are (`from_state_dict`).
        nonlinearity: "relu" or "tanh", which a state_dict does not say.
        readout: the name of a linear layer, which becomes C and d of the last layer.
        prefix: the name of the recurrent network among others.

    Raises:
        ArgumentError: no torch.nn.RNN, a bidirectional one, or one that applies dropout between its
            layers; what `from_state_dict` refuses.
        DataError: a file that cannot be read; the file is named in errors of its content too.
    """
    if isinstance(source, str | Path):
        tensors = read_state_dict(source)
        try:
            return from_state_dict(tensors, nonlinearity, readout, prefix)
        except ArgumentError as error:
            raise DataError(f"{source}: {error}") from error
    if isinstance(source, Mapping):
        return from_state_dict(source, nonlinearity, readout, prefix)
    _require_plain(source)
    if source.bidirectional:
        raise ArgumentError(
            "a bidirectional RNN is not a causal map y = G(x): convert one direction"
        )
    if source.dropout and source.training and source.num_layers > 1:
        raise ArgumentError("the module drops out between layers: call module.eval() first")
    if nonlinearity not in (None, source.nonlinearity) or readout is not None or prefix is not None:
        raise ArgumentError(
            f"the module is a torch.nn.RNN with {source.nonlinearity}: nonlinearity, readout and "
            "prefix are for a state_dict"
        )
    # by attribute, since a parametrized weight has another name in the state_dict
    kinds = ["weight_ih", "weight_hh", *(["bias_ih", "bias_hh"] if source.bias else [])]
    names = [f"{kind}_l{layer}" for layer in range(source.num_layers) for kind in kinds]
    return from_state_dict({name: getattr(source, name) for name in names}, source.nonlinearity)


def to_torch(layers: RNN | list[RNN], batch_first: bool = False) -> torch.nn.RNN:
    """A torch.nn.RNN (float64) whose hidden states are those of the stacked networks.

    Layer l + 1 reads C h + d of layer l, so its weight_ih is F_(l+1) C_l and its bias is
    b_(l+1) + F_(l+1) d_l. The last C and d are not part of the module (torch returns h), and
    neither are the initial states.

    Raises:
        ArgumentError: no `urnn.RNN`, layers of different sizes or activations, complex ones, or an
            activation other than relu and tanh.
    """
    import torch

    stack = list(layers) if isinstance(layers, list | tuple) else [layers]
    if not stack or not all(isinstance(layer, RNN) for layer in stack):
        raise ArgumentError("layers must be a urnn.RNN, or a list of them with at least one")
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
            F, b = layer.F, layer.b
            if index > 0:
                F, b = F @ stack[index - 1].C, b + F @ stack[index - 1].d
            values = {"weight_hh": layer.W, "weight_ih": F, "bias_ih": b}
            for name, value in values.items():
                getattr(module, f"{name}_l{index}").copy_(torch.tensor(value))
            getattr(module, f"bias_hh_l{index}").zero_()
    return module


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
    project: bool = False,
    tight: bool = False,
    guard: str | None = None,
    dtype: torch.dtype | None = None,
) -> UnitaryTorchRNN:
    """The orthogonal recurrent module with the outputs of a trained ``module``, layer by layer.

    relu: `to_unitary` for each layer; the input bound of layer l + 1 is the bound on the states of
    layer l (2-norm). tanh: ``saturation`` is needed; an input bound is not, because |h| <= 1. The
    result takes and returns what ``module`` does, but for a PackedSequence, and starts itself.

    Args:
        module: one direction, relu or tanh, any number of layers; converted in float64.
        input_bound, norm, states, horizon, rescale, project, tight: as in `to_unitary`, but not
            states="complex".
        initial_bound: initial states hx of any layer may have ||hx||_2 (tanh: entries) up to this.
        saturation: beta for tanh, 20 for roundoff in float64.
        guard: "raise" or "count" inputs that leave the bound (`UnitaryTorchRNN`); None: neither.
        dtype: of the result; default: that of ``module``. It is on the device of ``module``.

    Raises:
        ArgumentError: what `from_torch` and `to_unitary` refuse, with the number of the layer.

    Status: relu PROVED equal (measured 3e-15 over 300 steps of two expansive layers of 16); tanh
    near, not equal (Theorem 3), with the error bound `saturation_error_bound`.
    """
    from urnn.equivalence.torch_module import UnitaryTorchRNN

    originals = from_torch(module)
    if states == "complex":
        raise ArgumentError('torch.nn.RNN has no complex states: use to_unitary for "complex"')
    options = {
        **{"states": states, "horizon": horizon, "initial_bound": initial_bound},
        "project": project,
    }
    if originals[0].activation == "relu":
        options |= {"rescale": rescale, "tight": tight}
    else:
        options |= {"saturation": saturation}
    converted = _stack(originals, input_bound, norm, options)
    # by attribute: a weight with a parametrization is no parameter of this name
    size = originals[0].hidden_units
    weight: Any = module.weight_hh_l0
    unitary = UnitaryTorchRNN(converted, size, input_bound, norm, module.batch_first, guard)
    return unitary.to(device=weight.device, dtype=dtype or weight.dtype)


def _stack(
    originals: list[RNN], bound: float | None, norm: float, options: dict[str, Any]
) -> list[RNN]:
    """Each layer converted, with the bound on the states of the one before as its input bound."""
    converted: list[RNN] = []
    for index, layer in enumerate(originals):
        try:
            result = to_unitary(layer, bound, norm, **options)
        except ArgumentError as error:
            raise ArgumentError(f"layer {index}: {error}") from error
        converted.append(result)
        if options["project"]:
            layer = projected(layer)  # the next layer reads the states of the projection
        if layer.activation == "relu":
            reach = (options["horizon"], options["initial_bound"])
            bound = state_reach(layer, result, bound, norm, *reach)
        norm = 2
    return converted


def state_reach(
    layer: RNN,
    converted: RNN,
    bound: float | None,
    norm: float,
    horizon: int | None,
    initial_bound: float,
) -> float | None:
    """A bound on ||h(k)||_2 of a ReLU layer, from the coordinates that give the smaller one.

    ``converted`` is its equivalent with C = [D^-1 0]. None where no bound is known. PROVED, as
    `state_norm_bound`, for h and for D h.
    """
    size = layer.hidden_units
    scale = 1 / np.diag(converted.C[:, :size])
    # the states that leave a layer go one step further than those that are fed back
    steps = None if horizon is None else horizon + 1
    scaled = RNN(
        converted.W[:size, :size],
        converted.F[:size],
        converted.b[:size],
        np.eye(size),
        converted.h_init[:size],
    )
    here = state_norm_bound(layer, bound, norm, steps, initial_bound)
    there = state_norm_bound(scaled, bound, norm, steps, initial_bound * float(scale.max()))
    reach = min(here, there / float(scale.min()))
    return reach if np.isfinite(reach) else None
