"""`urnn export`: a trained model for other programs, in the units of its record."""

from __future__ import annotations

import importlib.util
import inspect
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from urnn import storage
from urnn.errors import ConfigError, DataError
from urnn.trained import Replica


class Network(torch.nn.Module):
    """y = C h + d of a layer of torch.nn, from its initial states; inputs and outputs in units.

    The scaling of a record, (u - mean) / std and back, is in F, b, C and d. ``forward`` maps x
    (batch, time, input) to y (batch, time, output), float32.

    Raises:
        DataError: torch.nn has no layer with the equations of the model's cell.
    """

    def __init__(self, replica: Replica) -> None:
        super().__init__()
        spec = replica.spec
        layer = spec.cell.torch_layer(spec.input_size, spec.hidden_units)
        if layer is None:
            raise DataError(
                f"torch.nn has no layer with the equations of the cell {spec.cell.tag}; "
                "export to csv, with the parameters by their names in the equations"
            )
        self.rnn = layer
        self.readout = torch.nn.Linear(spec.hidden_units, spec.output_size)
        values = replica.parameters_in_units
        for name in spec.cell.initial_states:
            self.register_buffer(name, torch.tensor(values[name], dtype=torch.float32))
        zeros = np.zeros_like(values["b"])
        weights = {
            "rnn.weight_hh_l0": values["W"],
            "rnn.weight_ih_l0": values["F"],
            "rnn.bias_ih_l0": values["b"],
            "rnn.bias_hh_l0": values.get("b_h", zeros),
            "readout.weight": values["C"],
            "readout.bias": values["d"],
        }
        with torch.no_grad():
            for name, value in weights.items():
                self.get_parameter(name).copy_(torch.tensor(value))
        self._states = spec.cell.initial_states

    def forward(self, x: Tensor) -> Tensor:
        """y (batch, time, output) of x (batch, time, input)."""
        start = tuple(self.get_buffer(name).expand(1, x.shape[0], -1) for name in self._states)
        start = tuple(state.contiguous() for state in start)
        y: Tensor = self.readout(self.rnn(x, start if len(start) > 1 else start[0])[0])
        return y


def _to_torch(replica: Replica, output: Path) -> str:
    network = Network(replica)
    storage.replace(output, lambda path: torch.save(network.state_dict(), path))
    layer = network.rnn
    kind = type(layer).__name__
    more = f', nonlinearity="{layer.nonlinearity}"' if kind == "RNN" else ""
    return (
        "a state_dict of two layers, "
        f"rnn = torch.nn.{kind}({layer.input_size}, {layer.hidden_size}{more}, batch_first=True) "
        f"and readout = torch.nn.Linear({layer.hidden_size}, {network.readout.out_features}), "
        f"and of {' and '.join(replica.spec.cell.initial_states)}"
    )


def _to_onnx(replica: Replica, output: Path) -> str:
    network = Network(replica).eval()
    x = torch.zeros(1, 2, replica.spec.input_size)
    axes = {"x": {0: "batch", 1: "time"}, "y": {0: "batch", 1: "time"}}

    # the other exporter of torch cannot take a recurrent layer of any length (torch 2.13)
    known = inspect.signature(torch.onnx.export).parameters
    options: dict[str, Any] = {"dynamo": False} if "dynamo" in known else {}  # not in torch 2.4

    def write(path: Path) -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            torch.onnx.export(
                network, (x,), str(path), input_names=["x"], output_names=["y"],
                dynamic_axes=axes, **options,
            )  # fmt: skip

    if importlib.util.find_spec("onnx") is None:
        raise ConfigError("--to: onnx needs the package onnx; pip install onnx")
    storage.replace(output, write)
    return "a graph from x (batch, time, input) to y (batch, time, output)"


def _to_csv(replica: Replica, output: Path) -> str:
    """A line for each number: the parameter, its row and its column, counted from 0."""
    lines = ["parameter,row,column,value"]
    for name, value in replica.parameters_in_units.items():
        table = np.atleast_2d(value.T).T  # a vector is one column
        for (row, column), entry in np.ndenumerate(table):
            lines.append(f"{name},{row},{column},{float(entry)!r}")
    storage.write_text("\n".join(lines) + "\n", output)
    return "parameters by their names in the equations"


#: by what `--to` says: writes a file and says what is in it
FORMATS: dict[str, Callable[[Replica, Path], str]] = {
    "torch": _to_torch,
    "onnx": _to_onnx,
    "csv": _to_csv,
}
