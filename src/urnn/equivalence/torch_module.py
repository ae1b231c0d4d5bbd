"""The converted network as a torch module that takes the place of the original torch.nn.RNN.

Source: docs/theorems.md, Networks of torch.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from urnn.equivalence.state_dict import read_state_dict
from urnn.errors import ArgumentError, DataError
from urnn.rnn import RNN

_GUARDS = (None, "raise", "count")
#: attributes that a file keeps besides the state_dict
_KEPT = ("hidden_units", "input_bound", "norm", "batch_first", "guard")


class UnitaryTorchRNN(torch.nn.Module):
    """Orthogonal layers with the outputs of the torch.nn.RNN that they were made from.

    ``forward`` takes and returns what that module does, but for a PackedSequence, in its
    coordinates: the extra states are added and started inside, and taken away again. dtype and
    device follow ``.to``; state_dict holds everything. In a dtype of fewer digits the biases of
    the extra states are larger by the root of its rounding unit, so that relu's extra states
    stay exactly 0 there too.

    Attributes:
        layers: torch.nn.RNN of one layer each, weight_hh orthogonal up to the rounding of dtype
        networks: the same as `urnn.RNN` in float64; not part of state_dict
        readout: torch.nn.Linear, y = C h + d of the outputs h, or None; not used by forward
        left_bound: how many input vectors x(k) were outside the bound so far, or not finite; int64
            buffer, counted if ``guard`` is set

    Args:
        networks: converted layers, each with C = [D^-1 0].
        hidden_units: n, the states of the original.
        input_bound: ||x(k)|| at most this, in the ``norm`` 2 or inf; None: any input.
        batch_first: as in torch.nn.RNN.
        guard: "raise" an ArgumentError at an input outside the bound, "count" it, or None.
        readout: (C, d) of the original network, or None.

    Raises:
        ArgumentError: an unknown guard.
    """

    left_bound: Tensor

    def __init__(
        self,
        networks: list[RNN],
        hidden_units: int,
        input_bound: float | None,
        norm: float,
        batch_first: bool,
        guard: str | None,
        readout: tuple[NDArray, NDArray] | None = None,
    ) -> None:
        super().__init__()
        if guard not in _GUARDS:
            raise ArgumentError(f'guard must be "raise", "count" or None, but it is {guard!r}')
        self.networks, self.hidden_units = networks, hidden_units
        self.input_bound, self.norm, self.guard = input_bound, norm, guard
        self.batch_first = batch_first
        self.layers = torch.nn.ModuleList(_layer(network, batch_first) for network in networks)
        for index, network in enumerate(networks):
            scale = 1 / np.diag(network.C[:, :hidden_units])
            self.register_buffer(f"scale_l{index}", torch.tensor(scale))
            self.register_buffer(f"rest_l{index}", torch.tensor(network.h_init[hidden_units:]))
        self.readout = None if readout is None else _linear(*readout)
        self.register_buffer("left_bound", torch.zeros((), dtype=torch.int64))

    def _apply(self, fn: Any, recurse: bool = True) -> Self:
        """As torch's; then, if the dtype has fewer digits, larger biases of relu's extra states."""
        before = self._eps()
        result = super()._apply(fn, recurse)
        if self._eps() > before:
            room = 1 + self._eps() ** 0.5
            with torch.no_grad():
                for layer in self.layers:
                    if layer.nonlinearity == "relu":
                        layer.get_parameter("bias_ih_l0")[self.hidden_units :] *= room
        return result

    def _eps(self) -> float:
        return float(torch.finfo(self.layers[0].get_parameter("weight_hh_l0").dtype).eps)

    def save(self, path: str | Path) -> None:
        """Write the state_dict, and what `load` needs besides it, whole or not at all.

        torch.load(path, weights_only=True) gives the dictionary.

        Raises:
            DataError: the file cannot be written.
        """
        from urnn import storage

        kept = {name: getattr(self, name) for name in _KEPT}
        for name in ("input_bound", "norm"):  # of numpy they would not be loaded again
            kept[name] = None if kept[name] is None else float(kept[name])
        kept |= {"nonlinearity": self.layers[0].nonlinearity, "state_dict": self.state_dict()}
        storage.replace(Path(path), lambda name: torch.save(kept, name))

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """The module that `save` wrote, in the dtype it had, on the CPU.

        Raises:
            DataError: no such file, or one that holds something else.
        """
        kept = read_state_dict(path)
        try:
            values, nonlinearity = kept["state_dict"], kept["nonlinearity"]
            options = {name: kept[name] for name in _KEPT}
            networks, readout = _networks(values, options["hidden_units"], nonlinearity)
            module = cls(networks, readout=readout, **options)
            module = module.to(values["layers.0.weight_hh_l0"].dtype)
            module.load_state_dict(values)
        except (KeyError, TypeError, AttributeError, ValueError, RuntimeError) as error:
            raise DataError(f"{path} is not what UnitaryTorchRNN.save wrote: {error}") from error
        return module

    def forward(self, input: Tensor, hx: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """(output, h_n) as torch.nn.RNN, for L layers, T steps, B trials, m inputs and n states.

        Args:
            input: (T, B, m), (B, T, m) with batch_first, or (T, m) of one trial.
            hx: h_0 (L, B, n), or (L, n) of one trial, not larger than the initial_bound of the
                conversion, or reached by the network itself; zeros when it is None.

        Returns:
            output (T, B, n), (B, T, n) or (T, n), and h_n in the shape of h_0.

        Raises:
            ArgumentError: a shape that does not fit, no tensor (a PackedSequence), or an input
                outside the bound if guard is "raise".
        """
        hx = self._checked(input, hx)
        output, last = input, []
        n = self.hidden_units
        for index, layer in enumerate(self.layers):
            scale, rest = getattr(self, f"scale_l{index}"), getattr(self, f"rest_l{index}")
            start = torch.cat([hx[index] * scale, rest.expand(*hx.shape[1:-1], len(rest))], -1)
            states, final = layer(output, start[None])
            output = states[..., :n] / scale
            last.append(final[0][..., :n] / scale)
        return output, torch.stack(last)

    def _checked(self, input: Tensor, hx: Tensor | None) -> Tensor:
        """hx, or zeros; the shapes and, with a guard, the inputs are checked."""
        m = self.layers[0].input_size
        if not isinstance(input, Tensor) or input.ndim not in (2, 3) or input.shape[-1] != m:
            what = tuple(input.shape) if isinstance(input, Tensor) else type(input).__name__
            raise ArgumentError(
                f"input must be a tensor (time, batch, {m}), (batch, time, {m}) with batch_first, "
                f"or (time, {m}), but it is {what}"
            )
        trials = () if input.ndim == 2 else (input.shape[0 if self.batch_first else 1],)
        shape = (len(self.layers), *trials, self.hidden_units)
        if hx is None:
            hx = input.new_zeros(shape)
        if tuple(hx.shape) != shape:
            raise ArgumentError(f"hx must have the shape {shape}, but it has {tuple(hx.shape)}")
        if self.guard is not None and self.input_bound is not None:
            order = 2 if self.norm == 2 else float("inf")
            sizes = torch.linalg.vector_norm(input.detach(), order, dim=-1)
            # an input at the bound may be rounded
            largest = self.input_bound * (1 + 4 * m * torch.finfo(sizes.dtype).eps)
            outside = (~(sizes <= largest)).sum()
            self.left_bound += outside
            if self.guard == "raise" and outside > 0:
                raise ArgumentError(
                    f"{int(outside)} input vectors are outside the bound {self.input_bound:g} that "
                    f"the network was converted for (the largest has {float(sizes.max()):g}): "
                    "convert it again with a larger input_bound"
                )
        return hx


def _linear(C: NDArray, d: NDArray) -> torch.nn.Linear:
    """y = C h + d, float64."""
    linear = torch.nn.Linear(C.shape[1], C.shape[0], dtype=torch.float64)
    with torch.no_grad():
        linear.weight.copy_(torch.tensor(C))
        linear.bias.copy_(torch.tensor(d))
    return linear


def _networks(
    values: Mapping[str, Tensor], hidden_units: int, nonlinearity: str
) -> tuple[list[RNN], tuple[NDArray, NDArray] | None]:
    """The networks and the readout of a state_dict."""
    arrays = {name: value.double().numpy() for name, value in values.items()}
    networks = []
    for index in range(sum(name.startswith("scale_l") for name in arrays)):
        kinds = ("weight_hh", "weight_ih", "bias_ih")
        W, F, b = (arrays[f"layers.{index}.{kind}_l0"] for kind in kinds)
        C = np.eye(hidden_units, len(W)) / np.append(
            arrays[f"scale_l{index}"], np.ones(len(W) - hidden_units)
        )
        h_init = np.append(np.zeros(hidden_units), arrays[f"rest_l{index}"])
        networks.append(RNN(W, F, b, C, h_init, nonlinearity))
    if "readout.weight" not in arrays:
        return networks, None
    return networks, (arrays["readout.weight"], arrays["readout.bias"])


def _layer(network: RNN, batch_first: bool) -> torch.nn.RNN:
    """A torch.nn.RNN of one layer, float64, with the parameters of a network."""
    layer = torch.nn.RNN(
        network.input_size,
        network.hidden_units,
        nonlinearity=network.activation,
        batch_first=batch_first,
        dtype=torch.float64,
    )
    with torch.no_grad():
        values = {"weight_hh": network.W, "weight_ih": network.F, "bias_ih": network.b}
        for name, value in values.items():
            layer.get_parameter(f"{name}_l0").copy_(torch.tensor(value))
        layer.get_parameter("bias_hh_l0").zero_()
    return layer
