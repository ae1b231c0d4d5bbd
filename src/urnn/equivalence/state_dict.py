"""The layers of a torch.nn.RNN from its parameters: a state_dict, or a file that holds one.

Which activation a network has is not among its parameters, so the caller says it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import numpy as np
from numpy.typing import NDArray

from urnn.errors import ArgumentError, DataError
from urnn.rnn import RNN

#: the activations of torch.nn.RNN
NONLINEARITIES = ("relu", "tanh")
#: under these names checkpoints keep a state_dict beside other things
_NESTED = ("state_dict", "model_state_dict")
_NAME = re.compile(r"((?:.*\.)?)(weight|bias)_(ih|hh|hr)_l(\d+)(_reverse)?")
_EQUATION = "h(k) = phi(W h(k-1) + F x(k) + b)"


def from_state_dict(
    state_dict: Mapping[str, Any],
    nonlinearity: str | None,
    readout: str | None = None,
    prefix: str | None = None,
) -> list[RNN]:
    """The layers of the torch.nn.RNN with these parameters, float64, h(-1) = 0.

    W = weight_hh, F = weight_ih, b = bias_ih + bias_hh, C = I and d = 0; with a readout the last
    layer has C = its weight and d = its bias.

    Args:
        state_dict: names and tensors or arrays, or a checkpoint with them under "state_dict" or
            "model_state_dict".
        nonlinearity: "relu" or "tanh".
        readout: the name of a linear layer that reads the last states, such as "fc".
        prefix: the name of the recurrent network among others, such as "rnn" or "encoder.rnn". It
            is found where there is only one; given, the parameters outside of it are left out.

    Raises:
        ArgumentError: no activation, no network or several, an LSTM, a GRU or a bidirectional
            network, parameters that are missing or belong to neither network nor readout, or wrong
            shapes.
    """
    tensors = _unwrapped(state_dict)
    chosen = _only_prefix(tensors) if prefix is None else _dotted(prefix)
    own = {name[len(chosen) :]: name for name in tensors if name.startswith(chosen)}
    matched = {short: _NAME.fullmatch(short) for short in own}
    parts = {short: own[short] for short, match in matched.items() if match and not match[1]}
    layers = _layers({short: tensors[name] for short, name in parts.items()}, nonlinearity)
    known = set(parts.values())
    if readout is not None:
        layers = _with_readout(layers, tensors, readout)
        known |= {f"{readout}.weight", f"{readout}.bias"}
    others = [name for name in tensors if name not in known]
    if others and prefix is None:
        raise ArgumentError(
            f"{_listed(others)}: of neither the recurrent network nor a readout; name a linear "
            "readout by readout (--readout), or the recurrent network, to be converted alone, by "
            f"prefix (--prefix {_shown(chosen)})"
        )
    return layers


def read_state_dict(path: str | Path) -> Mapping[str, Any]:
    """What a .safetensors file or a file of torch.save holds; only tensors are ever unpickled.

    Raises:
        DataError: no such file, an unreadable one, one that holds Python objects, or a .safetensors
            file without the package safetensors.
    """
    path = Path(path)
    if not path.is_file():
        raise DataError(f"{path} is a folder" if path.is_dir() else f"{path} does not exist")
    if path.suffix.lower() == ".safetensors":
        return _read_safetensors(path)
    import torch

    try:
        found = torch.load(path, map_location="cpu", weights_only=True)
    except PermissionError:
        raise
    except UnpicklingError as error:
        if "GLOBAL" not in str(error):
            raise DataError(f"{path} is damaged, or not a file of torch.save") from error
        raise DataError(
            f"{path} holds Python objects, which could run any code when they are loaded; save "
            "the tensors alone: torch.save(module.state_dict(), path)"
        ) from error
    except Exception as error:  # torch.load has no error class of its own for a damaged file
        raise DataError(f"{path} is damaged, or not a file of torch.save") from error
    if not isinstance(found, Mapping):
        raise DataError(
            f"{path} holds a {type(found).__name__}, not a state_dict: "
            "torch.save(module.state_dict(), path)"
        )
    return found


def _read_safetensors(path: Path) -> Mapping[str, Any]:
    try:
        from safetensors.torch import load_file
    except ImportError:
        raise DataError(
            f"{path} needs the package safetensors: pip install safetensors, or save the network "
            "by torch.save(module.state_dict(), path)"
        ) from None
    try:
        tensors: Mapping[str, Any] = load_file(path)
    except PermissionError:
        raise
    except Exception as error:  # SafetensorError is not among the errors that its stubs name
        raise DataError(f"{path} is damaged, or not a .safetensors file: {error}") from error
    return tensors


def _unwrapped(state_dict: Mapping[str, Any]) -> Mapping[str, Any]:
    for name in _NESTED:
        if isinstance(state_dict.get(name), Mapping):
            return _unwrapped(state_dict[name])
    return {str(name): value for name, value in state_dict.items()}


def _dotted(prefix: str) -> str:
    return f"{prefix}." if prefix and not prefix.endswith(".") else prefix


def _shown(prefix: str) -> str:
    return prefix.rstrip(".") or "''"


def _listed(names: Iterable[str]) -> str:
    """The first names, in words."""
    first, more = list(names)[:4], len(list(names)) - 4
    return ", ".join(first) + (f" and {more} more" if more > 0 else "")


def _only_prefix(tensors: Mapping[str, Any]) -> str:
    """What the names of the one recurrent network begin with."""
    found = [match for match in map(_NAME.fullmatch, tensors) if match]
    prefixes = list(dict.fromkeys(match[1] for match in found))
    if any("parametrizations." in name for name in tensors):
        raise ArgumentError(
            "the weights are parametrized: load them into the module and convert that, or call "
            "torch.nn.utils.parametrize.remove_parametrizations before saving"
        )
    if not prefixes:
        inside = [name for name, value in tensors.items() if isinstance(value, Mapping)]
        remedy = f"; save the state_dict under {inside[0]!r} alone" if inside else ""
        raise ArgumentError(
            "there is no torch.nn.RNN: no name ends in weight_hh_l0, but there is "
            f"{_listed(tensors) or 'nothing'}{remedy}"
        )
    if len(prefixes) > 1:
        names = _listed(map(_shown, prefixes))
        raise ArgumentError(
            f"there are {len(prefixes)} recurrent networks, {names}: choose one by prefix "
            "(--prefix)"
        )
    return prefixes[0]


def _activation(nonlinearity: str | None) -> str:
    if nonlinearity not in NONLINEARITIES:
        given = "" if nonlinearity is None else f"; it is {nonlinearity!r}"
        raise ArgumentError(
            "a state_dict does not say which activation its network has: give nonlinearity "
            f"(--nonlinearity) as relu or tanh{given}"
        )
    return nonlinearity


def _layers(parts: Mapping[str, Any], nonlinearity: str | None) -> list[RNN]:
    """The layers from the parameters of one network, named as torch.nn.RNN does."""
    if not parts:
        raise ArgumentError("there is no torch.nn.RNN under that prefix")
    if any(name.endswith("_reverse") for name in parts):
        raise ArgumentError(
            "the network is bidirectional, which is not a causal map y = G(x): convert one "
            "direction"
        )
    count = 1 + max(int(name.rpartition("_l")[2]) for name in parts)
    values = {name: _array(name, value) for name, value in parts.items()}
    for name in values:
        if name.startswith("weight_hh"):
            _require_plain_shape(values[name], name, name.replace("_hh", "_hr") in values)
    activation = _activation(nonlinearity)  # asked for when the cell is known to have one
    layers: list[RNN] = []
    for index in range(count):
        for kind in ("weight_hh", "weight_ih"):
            if f"{kind}_l{index}" not in values:
                raise ArgumentError(f"{kind}_l{index} is missing")
        W, F = values[f"weight_hh_l{index}"], values[f"weight_ih_l{index}"]
        biases = [values.get(f"bias_{kind}_l{index}") for kind in ("ih", "hh")]
        given = [bias for bias in biases if bias is not None]
        if len(given) == 1:
            raise ArgumentError(f"bias_ih_l{index} or bias_hh_l{index} is missing")
        for kind, bias in zip(("ih", "hh"), given, strict=False):
            if bias.shape != (len(W),):
                raise ArgumentError(
                    f"bias_{kind}_l{index} must have the shape {(len(W),)}, but it has {bias.shape}"
                )
        if layers and F.shape[1:] != (layers[-1].hidden_units,):
            raise ArgumentError(
                f"weight_ih_l{index} has the shape {F.shape}, but the layer before it has "
                f"{layers[-1].hidden_units} states"
            )
        try:
            b = given[0] + given[1] if given else np.zeros(len(W))
            layers.append(RNN(W, F, b, np.eye(len(W)), activation=activation))
        except ValueError as error:
            raise ArgumentError(f"layer {index}: {error}") from error
    return layers


def _array(name: str, value: Any) -> NDArray:
    """A tensor or an array as float64."""
    if hasattr(value, "detach"):  # of torch, bfloat16 too, which numpy does not have
        real = value.is_floating_point() and not value.is_sparse
        array = value.detach().cpu().double().numpy() if real else np.array("")
    else:
        array = np.asarray(value)
    if array.dtype.kind != "f":
        raise ArgumentError(f"{name} must be a tensor of real numbers in floating point")
    return array.astype(np.float64)


def _require_plain_shape(W: NDArray, name: str, projected: bool) -> None:
    """Refuse the gates of LSTM and GRU, whose rows are stacked in weight_hh."""
    if W.ndim != 2 or 0 in W.shape:
        raise ArgumentError(f"{name} must be a matrix, but its shape is {W.shape}")
    gates = {1: None, 3: "a GRU", 4: "an LSTM"}.get(len(W) // W.shape[1])
    if projected:
        gates = "an LSTM"
    if gates:
        raise ArgumentError(f"{name} is of {gates}, which is not {_EQUATION}")
    if len(W) != W.shape[1]:
        raise ArgumentError(f"{name} must be square, but its shape is {W.shape}")


def _with_readout(layers: list[RNN], tensors: Mapping[str, Any], readout: str) -> list[RNN]:
    """The layers, the last one with y = weight h + bias."""
    name, n = f"{readout}.weight", layers[-1].hidden_units
    if name not in tensors:
        fitting = [
            key.removesuffix(".weight")
            for key, value in tensors.items()
            if key.endswith(".weight") and tuple(getattr(value, "shape", ()))[1:] == (n,)
        ]
        there = f"only {_listed(fitting)}" if fitting else "no linear layer"
        raise ArgumentError(f"there is no {name}; {there} reads {n} states")
    C = _array(name, tensors[name])
    if C.ndim != 2 or C.shape[1] != n:
        raise ArgumentError(f"{name} must have {n} columns, but its shape is {C.shape}")
    bias = tensors.get(f"{readout}.bias")
    d = np.zeros(len(C)) if bias is None else _array(f"{readout}.bias", bias)
    return [*layers[:-1], layers[-1].replace(C=C, d=d)]
