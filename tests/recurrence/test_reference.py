"""The readable backend: its gradients, and its states beside torch's own layers."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from urnn.recurrence import Spec, backend, unpack
from urnn.recurrence.cells import POINT
from urnn.recurrence.reference import forward, losses


def test_gradcheck(cell: Any, problems: SimpleNamespace) -> None:
    spec = Spec(cell, 4, 2, 2)
    theta, x, _, _, _ = problems.usable(spec, 2, 2, 5, 0)
    inputs = (
        torch.tensor(theta, dtype=torch.float64, requires_grad=True),
        torch.tensor(x[:, :2], dtype=torch.float64, requires_grad=True),
    )
    assert torch.autograd.gradcheck(lambda t, x: forward(spec, t, x), inputs)


def test_a_missing_target_counts_as_no_error(problems: SimpleNamespace) -> None:
    spec = Spec(POINT.make("rnn"), 4, 2, 2)
    theta, x, y, dataset, trials = problems.problem(spec, 2, 3, 6)
    y[:, :, ::2] = np.nan
    loss, gradient = problems.step(backend("reference"), spec, (theta, x, y, dataset, trials))
    leaf = torch.tensor(theta, dtype=torch.float64, requires_grad=True)
    chosen = [np.take(x[s], row, axis=0) for s, row in zip(dataset, trials, strict=True)]
    given = [np.take(y[s], row, axis=0) for s, row in zip(dataset, trials, strict=True)]
    outputs = forward(spec, leaf, torch.tensor(np.stack(chosen), dtype=torch.float64))
    there = np.isfinite(np.stack(given))
    assert 0.3 < there.mean() <= 0.5
    total = torch.zeros(2, dtype=torch.float64)
    for place in np.argwhere(there):
        at = tuple(int(k) for k in place)
        total[at[0]] = total[at[0]] + (outputs[at] - float(np.stack(given)[at])) ** 2
    expected = total / there[0].size
    np.testing.assert_allclose(loss, expected.detach().numpy(), rtol=1e-12)
    (wanted,) = torch.autograd.grad(expected.sum(), leaf)
    np.testing.assert_allclose(gradient, wanted.numpy(), rtol=1e-9, atol=1e-12)
    every = torch.full_like(outputs, torch.nan)
    assert losses(spec, outputs, every).tolist() == [0, 0]


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
