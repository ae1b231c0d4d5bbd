"""The readable backend: its gradients, and its states beside torch's own layers."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from urnn.recurrence import Spec, backend, unpack
from urnn.recurrence.cells import POINT
from urnn.recurrence.reference import forward


def test_gradcheck(cell: Any, problems: SimpleNamespace) -> None:
    spec = Spec(cell, 4, 2, 2)
    theta, x, _, _, _ = problems.usable(spec, 2, 2, 5, 0)
    inputs = (
        torch.tensor(theta, dtype=torch.float64, requires_grad=True),
        torch.tensor(x[:, :2], dtype=torch.float64, requires_grad=True),
    )
    assert torch.autograd.gradcheck(lambda t, x: forward(spec, t, x), inputs)


LAYERS: dict[str, tuple[Any, dict[str, Any], str, dict[str, Any]]] = {
    "relu": (torch.nn.RNN, {"nonlinearity": "relu"}, "rnn", {"activation": "relu"}),
    "tanh": (torch.nn.RNN, {"nonlinearity": "tanh"}, "rnn", {"activation": "tanh"}),
    "lstm": (torch.nn.LSTM, {}, "lstm", {}),
    "gru": (torch.nn.GRU, {}, "gru", {}),
}


@pytest.mark.parametrize("kind", LAYERS)
def test_the_states_are_those_of_torchs_layers(kind: str, problems: SimpleNamespace) -> None:
    layer, options, name, own = LAYERS[kind]
    theirs = layer(2, 5, batch_first=True, dtype=torch.float64, **options)
    spec = Spec(POINT.make(name, **own), 5, 2, 3)
    theta, x, _, _, _ = problems.problem(spec, 1, 4, 12)
    parts = unpack(spec, torch.tensor(theta, dtype=torch.float64))
    with torch.no_grad():
        theirs.weight_hh_l0.copy_(parts["W"][0])
        theirs.weight_ih_l0.copy_(parts["F"][0])
        theirs.bias_ih_l0.copy_(parts["b"][0])
        theirs.bias_hh_l0.copy_(parts["b_h"][0]) if "b_h" in parts else theirs.bias_hh_l0.zero_()
        inputs = torch.tensor(x[0], dtype=torch.float64)
        initial = tuple(
            parts[name].expand(len(inputs), -1)[None].contiguous()
            for name in spec.cell.initial_states
        )
        states, _ = theirs(inputs, initial if len(initial) > 1 else initial[0])
    y = backend("reference").outputs(spec, theta, x, np.zeros(1, np.int64))
    torch.testing.assert_close(y[0], states @ parts["C"][0].T + parts["d"][0])
