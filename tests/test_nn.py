"""`urnn.nn` against torch.nn: results, gradients, parameters, and who computes."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.utils.rnn import pack_sequence

import urnn.nn
from urnn.nn import layers
from urnn.recurrence import kernels as compiled
from urnn.recurrence.vector import LANES

pytestmark = pytest.mark.usefixtures("by_kernels")

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
    hx = None if not initial else initial if len(initial) == 2 else initial[0]
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
    assert isinstance(ours, torch.nn.RNNBase)
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
def test_float64_takes_torchs_forward(kind: str) -> None:
    ours, theirs = modules(kind, 2, 3, dtype=torch.float64, batch_first=True)
    agree(ours, theirs, torch.randn(2, 4, 2, dtype=torch.float64))
    with torch.no_grad():
        assert ours(torch.ones(0, 4, 2, dtype=torch.float64))[0].shape == (0, 4, 3)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("bidirectional", [False, True])
def test_layers_directions_and_dropout(kind: str, batch_first: bool, bidirectional: bool) -> None:
    """Dropout draws what torch draws."""
    options = {"batch_first": batch_first, "bidirectional": bidirectional, "bias": batch_first}
    random = torch.Generator().manual_seed(0)
    ways = 2 if bidirectional else 1
    for number, dropout in ((1, 0.0), (3, 0.0), (3, 0.4)):
        pair = modules(kind, 2, 3, num_layers=number, dropout=dropout, **options)
        x = torch.randn(6, 5, 2, generator=random)
        shape = (number * ways, 6 if batch_first else 5, 3)
        states = 2 if kind == "lstm" else 1
        initial = tuple(torch.randn(shape, generator=random) for _ in range(states))
        for given in ((), initial):
            found = []
            for module in pair:
                torch.manual_seed(3)
                found.append(results(module, x, given))
            for name, value in found[1].items():
                torch.testing.assert_close(found[0][name], value, rtol=1e-4, atol=1e-5, msg=name)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("lengths", [[7, 5, 5, 2, 1], [2, 7, 1, 5, 5]])
def test_trials_of_unequal_lengths(kind: str, bidirectional: bool, lengths: list[int]) -> None:
    """Packed: outputs, last states, gradients, indices, and the trials that dropout takes."""
    ordered = lengths[0] == 7
    random = torch.Generator().manual_seed(0)
    number = 2 if kind == "lstm" else 1
    for layers_, dropout, bias in ((1, 0.0, True), (2, 0.4, False)):
        options = {"num_layers": layers_, "dropout": dropout, "bias": bias}
        pair = modules(kind, 2, 3, bidirectional=bidirectional, **options)
        x = torch.randn(7, 5, 2, generator=random)
        shape = (layers_ * (2 if bidirectional else 1), 5, 3)
        initial = [torch.randn(shape, generator=random) for _ in range(number)]
        for hx in ([], initial):
            found = []
            for module in pair:
                leaves = [one.clone().requires_grad_() for one in (x, *hx)]
                packed = torch.nn.utils.rnn.pack_padded_sequence(
                    leaves[0], torch.tensor(lengths), enforce_sorted=ordered
                )
                given = tuple(leaves[1:]) if number == 2 else leaves[1] if hx else None
                torch.manual_seed(1)
                output, last = module(packed, given or None if number == 2 else given)
                last = last if number == 2 else (last,)
                value = output.data.sin().sum() + torch.cat(last).cos().sum()
                gradients = torch.autograd.grad(value, [*leaves, *module.parameters()])
                indices = [one for one in output[1:] if one is not None]
                found.append([output.data, *last, *gradients, *indices])
            torch.testing.assert_close(found[0], found[1], rtol=1e-4, atol=1e-5)


def takes(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A list that grows with every call of the kernels, or of torch's forward."""
    calls: list[str] = []
    forward = compiled.OnCpu.forward

    def kernels(*arguments: Any) -> Any:
        calls.append("kernels")
        return forward(*arguments)

    def torchs(original: Any) -> Any:
        return lambda *arguments: (calls.append("torch"), original(*arguments))[1]

    monkeypatch.setattr(compiled.OnCpu, "forward", kernels)
    for name, original in layers._FORWARD.items():
        monkeypatch.setitem(layers._FORWARD, name, torchs(original))
    return calls


@pytest.mark.parametrize("kind", KINDS)
def test_who_computes(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """float32 the kernels, a call for each layer; all else torch, with torch's results."""
    calls = takes(monkeypatch)
    ours, theirs = modules(kind, 2, 3, num_layers=2, bidirectional=True)
    x = torch.randn(5, 4, 2)
    packed = torch.nn.utils.rnn.pack_padded_sequence(x, torch.tensor([5, 4, 4, 2]))
    cases: list[tuple[Any, str]] = [(x, "kernels"), (x[:, 0], "kernels"), (packed, "kernels")]
    cases += [(x[:, :0], "torch")]
    for given, who in cases:
        calls.clear()
        found, wanted = ours(given), theirs(given)
        assert set(calls) == {who}
        torch.testing.assert_close(found[1], wanted[1])
        output, right = (r[0].data if r[0] is packed else r[0] for r in (found, wanted))
        torch.testing.assert_close(output[0], right[0])
    calls.clear()
    with torch.autocast("cpu", torch.bfloat16):
        torch.testing.assert_close(ours(x), theirs(x))
    for dtype in (torch.float64, torch.bfloat16):
        torch.testing.assert_close(ours.to(dtype)(x.to(dtype)), theirs.to(dtype)(x.to(dtype)))
    assert set(calls) == {"torch"}


@pytest.mark.parametrize("kind", KINDS)
def test_torch_computes_where_it_is_faster(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Outside of a range of hidden units, time steps and filled lanes; packed trials too."""
    calls = takes(monkeypatch)
    ours, theirs = modules(kind, 2, 3)
    x = torch.randn(5, LANES, 2)
    packed = torch.nn.utils.rnn.pack_padded_sequence(x, torch.tensor([5] * LANES))
    for number, value in {"hidden_units": (3, 2), "steps": (5, 6), "filled": (0.9, 1.1)}.items():
        for limit, who in zip(value, ("kernels", "torch"), strict=True):
            wanted = layers.Range(3, 5, 0.9)._replace(**{number: limit})
            monkeypatch.setattr(layers, "PLAIN", wanted)
            for given in (x, packed):
                calls.clear()
                found, right = ours(given)[0], theirs(given)[0]
                assert calls == [who]
                torch.testing.assert_close(found[0], right[0])


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")
def test_forward_mode_and_tracing_are_torchs() -> None:
    for kind in ("tanh", "gru"):
        ours, theirs = modules(kind, 2, 3)
        x = torch.randn(5, 4, 2)
        for found, wanted in zip(
            *(torch.func.jvp(lambda x, m=m: m(x)[0], (x,), (x,)) for m in (ours, theirs)),
            strict=True,
        ):
            torch.testing.assert_close(found, wanted)
    torch.testing.assert_close(torch.jit.trace(ours, (x,))(x), theirs(x))


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
def test_torchscript_takes_torchs_module() -> None:
    class Model(torch.nn.Module):
        """A scripted model of a layer."""

        def __init__(self, layer: Any) -> None:
            super().__init__()
            self.layer = layer

        def forward(self, x: Tensor) -> Tensor:
            return self.layer(x)[0]

    for kind in ("tanh", "lstm", "gru"):
        ours, theirs = modules(kind, 2, 3)
        x = torch.randn(5, 4, 2)
        torch.testing.assert_close(torch.jit.script(Model(ours))(x), theirs(x)[0])


def test_orthogonal_weights_of_torch() -> None:
    """torch.nn.utils.parametrizations, whose weight is a property of the module."""
    ours, theirs = modules("tanh", 2, 3)
    for module in (ours, theirs):
        torch.nn.utils.parametrizations.orthogonal(module, "weight_hh_l0")
    W = ours.weight_hh_l0
    assert (W @ W.mT - torch.eye(3)).abs().max() < 1e-5
    theirs.load_state_dict(ours.state_dict())
    x = torch.randn(5, 4, 2)
    torch.testing.assert_close(ours(x), theirs(x))
    ours(x)[0].sum().backward()
    assert all(parameter.grad.abs().max() > 0 for parameter in ours.parameters())


@pytest.mark.parametrize("kind", KINDS)
def test_results_may_be_changed_in_place(kind: str) -> None:
    """Neither result is a view of the other, nor of anything that autograd guards."""
    layer, _ = modules(kind, 3, 8)
    x = torch.randn(120, 16, 3)
    output, last = layer(x)
    before = output.detach().clone()
    for state in last if kind == "lstm" else (last,):
        state[:, 0] = 0
    torch.testing.assert_close(output.detach(), before, rtol=0, atol=0)
    output += 1
    (output.sum() + state.sum()).backward()
    changed = layer.weight_hh_l0.grad
    layer.weight_hh_l0.grad = None
    output, last = layer(x)
    parts = last if kind == "lstm" else (last,)
    (output.sum() + parts[-1][:, 1:].sum()).backward()
    torch.testing.assert_close(layer.weight_hh_l0.grad, changed)
    parts[0].detach_()


def test_padded_steps_of_a_growing_relu_are_no_nan() -> None:
    ours, theirs = modules("relu", 1, 4, bias=False)
    with torch.no_grad():
        ours.weight_hh_l0.copy_(1.5 * torch.eye(4))
        ours.weight_ih_l0.fill_(1)
    theirs.load_state_dict(ours.state_dict())
    packed = pack_sequence([torch.zeros(300, 1)] + [torch.rand(10, 1) for _ in range(15)])
    for module in (ours, theirs):
        module(packed)[0].data.square().mean().backward()
    assert torch.isfinite(ours.weight_hh_l0.grad).all()
    torch.testing.assert_close(ours.weight_hh_l0.grad, theirs.weight_hh_l0.grad)


@pytest.mark.parametrize("kind", KINDS)
def test_shapes_on_the_meta_device(kind: str) -> None:
    ours, _ = modules(kind, 3, 8, device="meta")
    assert ours(torch.randn(60, 16, 3, device="meta"))[0].shape == (60, 16, 8)
