"""`urnn.nn` against torch.nn: results, gradients, parameters, and what is refused."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor

import urnn.nn

KINDS: dict[str, tuple[Any, Any, dict[str, Any]]] = {
    "tanh": (urnn.nn.RNN, torch.nn.RNN, {}),
    "relu": (urnn.nn.RNN, torch.nn.RNN, {"nonlinearity": "relu"}),
    "lstm": (urnn.nn.LSTM, torch.nn.LSTM, {}),
    "gru": (urnn.nn.GRU, torch.nn.GRU, {}),
}


def modules(kind: str, inputs: int, hidden: int, **options: Any) -> tuple[Any, Any]:
    """(ours, torch's), both made from the same seed."""
    ours, theirs, more = KINDS[kind]
    made = []
    for module in (ours, theirs):
        torch.manual_seed(7)
        made.append(module(inputs, hidden, **options, **more))
    return made[0], made[1]


def results(module: Any, x: Tensor, initial: tuple[Tensor, ...]) -> dict[str, Tensor]:
    """All results and all gradients of a fixed random combination of the results, by name."""
    x = x.clone().requires_grad_()
    initial = tuple(state.clone().requires_grad_() for state in initial)
    module.zero_grad()
    hx = None if not initial else initial if isinstance(module, torch.nn.LSTM) else initial[0]
    output, last = module(x) if hx is None else module(x, hx)
    last = last if isinstance(last, tuple) else (last,)
    random = torch.Generator().manual_seed(3)
    loss = sum((r * torch.randn(r.shape, generator=random)).sum() for r in (output, *last))
    loss.backward()
    found = {"output": output, "input": x.grad}
    found |= {f"last {i}": state for i, state in enumerate(last)}
    found |= {f"initial {i}": state.grad for i, state in enumerate(initial)}
    return found | {name: parameter.grad for name, parameter in module.named_parameters()}


def agree(ours: Any, theirs: Any, x: Tensor, initial: tuple[Tensor, ...] = ()) -> None:
    mine, right = results(ours, x, initial), results(theirs, x, initial)
    assert mine.keys() == right.keys()
    for name, value in right.items():
        assert mine[name].shape == value.shape, name
        assert mine[name].dtype == value.dtype
        error = (mine[name] - value).abs().max()
        assert error <= 1e-5 * value.abs().max(), (name, float(error))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("bias", [True, False])
def test_results_and_gradients_are_torchs(kind: str, batch_first: bool, bias: bool) -> None:
    ours, theirs = modules(kind, 2, 3, batch_first=batch_first, bias=bias)
    random = torch.Generator().manual_seed(0)
    states = 2 if kind == "lstm" else 1
    for batch, time in ((7, 30), (1, 1), (8, 9), (5, 50)):
        shape = (batch, time, 2) if batch_first else (time, batch, 2)
        x = torch.randn(shape, generator=random)
        initial = tuple(torch.randn(1, batch, 3, generator=random) for _ in range(states))
        agree(ours, theirs, x)
        agree(ours, theirs, x, initial)
    single = torch.randn(20, 2, generator=random)
    initial = tuple(torch.randn(1, 3, generator=random) for _ in range(states))
    agree(ours, theirs, single)
    agree(ours, theirs, single, initial)
    for module in (ours, theirs):
        assert module(x)[0].is_contiguous() or batch_first


@pytest.mark.parametrize(
    ("kind", "hidden", "batch"),
    [
        ("relu", 33, 11),
        ("tanh", 1, 17),
        ("lstm", 17, 21),
        ("gru", 33, 11),
        ("gru", 1, 17),
        ("gru", 17, 21),
    ],
)
def test_larger_and_smallest_sizes(kind: str, hidden: int, batch: int) -> None:
    ours, theirs = modules(kind, 5, hidden)
    agree(ours, theirs, torch.randn(31, batch, 5, generator=torch.Generator().manual_seed(0)))


@pytest.mark.parametrize("kind", KINDS)
def test_parameters_are_torchs(kind: str) -> None:
    for bias in (True, False):
        ours, theirs = modules(kind, 2, 3, bias=bias)
        assert list(ours.state_dict()) == list(theirs.state_dict())
        for name, value in theirs.state_dict().items():
            assert torch.equal(ours.state_dict()[name], value)
        for source, target in ((ours, theirs), (theirs, ours)):
            with torch.no_grad():
                for parameter in source.parameters():
                    parameter.mul_(0.7)
            target.load_state_dict(source.state_dict())
            agree(ours, theirs, torch.ones(5, 4, 2))
    assert repr(ours) == repr(theirs)
    assert isinstance(ours, type(theirs))
    agree(copy.deepcopy(ours), theirs, torch.ones(5, 4, 2))


class Readout(torch.nn.Module):
    """A linear map of the output of a recurrent layer."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = torch.nn.Linear(3, 1)

    def forward(self, result: tuple[Tensor, Any]) -> Tensor:
        return self.linear(result[0])


@pytest.mark.parametrize("kind", KINDS)
def test_training_in_a_sequential_model(kind: str) -> None:
    random = torch.Generator().manual_seed(0)
    x, y = torch.randn(8, 30, 2, generator=random), torch.randn(8, 30, 1, generator=random)
    losses = []
    for layer in modules(kind, 2, 3, batch_first=True):
        torch.manual_seed(1)
        model = torch.nn.Sequential(layer, Readout())
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
        run = []
        for _ in range(5):
            optimizer.zero_grad()
            loss = torch.nn.functional.mse_loss(model(x), y)
            loss.backward()
            optimizer.step()
            run.append(float(loss.detach()))
        losses.append(run)
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)
    assert losses[0][-1] < losses[0][0]


@pytest.mark.parametrize("kind", KINDS)
def test_float64_takes_the_loop(kind: str) -> None:
    ours, theirs = modules(kind, 2, 3, dtype=torch.float64, batch_first=True)
    agree(ours, theirs, torch.randn(2, 4, 2, dtype=torch.float64))
    with torch.no_grad():
        assert ours(torch.ones(0, 4, 2, dtype=torch.float64))[0].shape == (0, 4, 3)


def test_unsupported_constructor_arguments_are_named() -> None:
    for layer in (urnn.nn.RNN, urnn.nn.LSTM, urnn.nn.GRU):
        with pytest.raises(ValueError, match=r"num_layers must be 1 in urnn\.nn, but it is 2"):
            layer(2, 3, 2)
        with pytest.raises(ValueError, match="dropout must be 0"):
            layer(2, 3, dropout=0.5)
        with pytest.raises(ValueError, match="bidirectional must be False"):
            layer(2, 3, bidirectional=True)
    with pytest.raises(ValueError, match="proj_size must be 0"):
        urnn.nn.LSTM(2, 3, proj_size=1)
    with pytest.raises(ValueError, match="nonlinearity must be tanh or relu"):
        urnn.nn.RNN(2, 3, nonlinearity="sigmoid")


def test_wrong_inputs_are_named() -> None:
    rnn, lstm = urnn.nn.RNN(2, 3), urnn.nn.LSTM(2, 3, batch_first=True)
    gru = urnn.nn.GRU(2, 3)
    x = torch.zeros(5, 4, 2)
    wrong: list[tuple[Any, tuple[Any, ...], str]] = [
        (rnn, (x[..., :1],), r"input must have the shape \(time, batch, 2\) or \(time, 2\)"),
        (lstm, (x[None],), r"input must have the shape \(batch, time, 2\)"),
        (rnn, (x[:0],), "at least one time step"),
        (rnn, (x.double(),), "input must be torch.float32 on cpu, but it is torch.float64"),
        (rnn, (torch.nn.utils.rnn.pack_sequence([x[0]]),), "must be a tensor, .*PackedSequence"),
        (rnn, (x, torch.zeros(1, 5, 3)), r"hx must have the shape \(1, 4, 3\), .* \(1, 5, 3\)"),
        (rnn, (x, torch.zeros(1, 4, 3).double()), "hx must be torch.float32"),
        (gru, (x, torch.zeros(1, 5, 3)), r"hx must have the shape \(1, 4, 3\), .* \(1, 5, 3\)"),
        (lstm, (x, torch.zeros(1, 5, 3)), r"hx must be \(h_0, c_0\), but it is Tensor"),
        (lstm, (x, (torch.zeros(1, 5, 3), torch.zeros(1, 4, 3))), "c_0 must have the shape"),
        (lstm, (x, (torch.zeros(1, 5, 3), None)), r"c_0 must .* NoneType"),
    ]
    for module, inputs, words in wrong:
        with pytest.raises(ValueError, match=words):
            module(*inputs)
