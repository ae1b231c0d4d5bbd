"""`urnn.nn.UnitaryRNN` and `urnn.nn.constrain`: the sets, the optimizers, and other libraries."""

from __future__ import annotations

import copy
import logging
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import urnn.nn
from tests.transition.conftest import FAMILY
from urnn.errors import ArgumentError
from urnn.models import initialise
from urnn.nn.constraints import FromParameters
from urnn.recurrence import Spec, backend, operators, unpack
from urnn.recurrence.cells import POINT as CELLS
from urnn.settings.training import Recipe
from urnn.training import train
from urnn.transition.base import Transition

pytestmark = pytest.mark.usefixtures("by_kernels")

NONLINEARITIES = ["tanh", "relu", "modrelu"]


def options_of(transition: Transition) -> dict[str, Any]:
    """The arguments that choose a set."""
    return {key: value for key, value in transition.model_dump().items() if value is not None}


@pytest.fixture(params=FAMILY)
def options(request: pytest.FixtureRequest) -> dict[str, Any]:
    return options_of(FAMILY[request.param])


def step(model: Any, optimizer: Any, x: Tensor) -> None:
    optimizer.zero_grad()
    (model(x)[0] - 1).square().mean().backward()
    optimizer.step()


def test_the_constraint_holds_over_a_training(options: dict[str, Any]) -> None:
    """1000 steps of Adam, with weight decay."""
    model = urnn.nn.UnitaryRNN(2, 4, nonlinearity="relu", **options)
    trained(model, "weight_hh_l0", 1000)


def test_it_holds_in_all_layers_and_directions(options: dict[str, Any]) -> None:
    model = urnn.nn.UnitaryRNN(2, 4, 2, "relu", bidirectional=True, **options)
    trained(model, "weight_hh_l1_reverse", 50)


def trained(model: Any, weight: str, steps: int) -> None:
    """The constraint holds in all of a model after some steps, in which a weight has moved."""
    torch.manual_seed(0)
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.01)
    before = getattr(model, weight).detach().clone()
    x = torch.randn(4, 3, 2)
    for _ in range(steps):
        step(model, optimizer, x)
        urnn.nn.retract_(model)
    assert model.constraint_error() < 1e-5
    if len(model.get_parameter(original(model)).flatten()) > 0:
        assert (getattr(model, weight) - before).abs().max() > 0.01


def original(model: Any) -> str:
    """The name of the parameter that an optimizer moves."""
    names = dict(model.named_parameters())
    return next(name for name in names if "weight_hh_l0" in name and "reverse" not in name)


@pytest.mark.parametrize("nonlinearity", NONLINEARITIES)
def test_results_are_those_of_the_equation(nonlinearity: str, options: dict[str, Any]) -> None:
    torch.manual_seed(0)
    model = urnn.nn.UnitaryRNN(2, 4, nonlinearity=nonlinearity, **options)
    assert model.constraint_error() < 1e-5
    if nonlinearity == "modrelu":
        torch.nn.init.normal_(model.modrelu_bias_l0, std=0.1)
    x, h = torch.randn(5, 3, 2), torch.randn(1, 3, 4)
    output, last = model(x, h)
    single, _ = model(x[:, 0], h[:, 0])
    torch.testing.assert_close(single, output[:, 0])
    cell = CELLS.make("rnn", activation=nonlinearity)
    state, W, F = h[0], model.weight_hh_l0, model.weight_ih_l0
    for t in range(5):
        z = x[t] @ F.mT + state @ W.mT
        if nonlinearity == "modrelu":
            state = cell.phi.torch(z, model.modrelu_bias_l0)
        else:
            state = cell.phi.torch(z + model.bias_ih_l0 + model.bias_hh_l0, z)
        torch.testing.assert_close(output[t], state, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(last[0], state, rtol=1e-5, atol=1e-5)
    double = model.double()(x.double(), h.double())[0]
    torch.testing.assert_close(double.float(), output, rtol=1e-4, atol=1e-5)
    assert torch.autograd.gradcheck(model, (x[:2, :2].double().requires_grad_(),))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_packed_trials_of_modrelu(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    model = urnn.nn.UnitaryRNN(2, 4, 2, "modrelu", bidirectional=True, dtype=dtype)
    trials = [torch.randn(length, 2, dtype=dtype) for length in (3, 7, 1)]
    output, last = model(torch.nn.utils.rnn.pack_sequence(trials, enforce_sorted=False))
    padded, _ = torch.nn.utils.rnn.pad_packed_sequence(output)
    for k, trial in enumerate(trials):
        alone, end = model(trial)
        torch.testing.assert_close(padded[: len(trial), k], alone)
        torch.testing.assert_close(last[:, k], end)


def test_state_dict_copies_and_drawing_again(options: dict[str, Any]) -> None:
    torch.manual_seed(0)
    model, other = (urnn.nn.UnitaryRNN(2, 4, nonlinearity="relu", **options) for _ in range(2))
    x = torch.randn(5, 3, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    handle = urnn.nn.retract_after(optimizer, model)
    for _ in range(3):
        step(model, optimizer, x)
    handle.remove()
    other.load_state_dict(model.state_dict())
    for each in (other, copy.deepcopy(model)):
        torch.testing.assert_close(each(x), model(x), rtol=0, atol=0)
    # and their next steps are the same
    for each in (model, other):
        step(each, torch.optim.SGD(each.parameters(), lr=0.1), x)
        urnn.nn.retract_(each)
    torch.testing.assert_close(other(x), model(x), rtol=0, atol=0)
    assert f"transition={options['transition']}" in repr(model)
    torch.manual_seed(1)
    model.reset_parameters()
    assert model.constraint_error() < 1e-5
    names = set(torch.nn.RNN(2, 4).state_dict())
    assert (set(model.state_dict()) == names) == FAMILY_IS_DIRECT[options["transition"]]


FAMILY_IS_DIRECT = {t.model_dump()["transition"]: t.direct for t in FAMILY.values()}


def workflow(
    spec: Spec, transition: Transition, recipe: Recipe, x: Any, y: Any
) -> dict[str, np.ndarray]:
    """Parameters by name after a training by `urnn.training`."""
    seeds = {"initial": 1, "order": 2}
    generators = [lambda purpose: np.random.default_rng(seeds[purpose])]
    result = train(spec, transition, recipe, x, y, [0], generators, backend("cpu"))
    return unpack(spec, result.parameters)


@pytest.mark.parametrize("nonlinearity", ["relu", "modrelu"])
def test_a_training_is_the_workflows(nonlinearity: str, options: dict[str, Any]) -> None:
    """RMSprop, which is written alike in torch and in Keras; one of torch's two biases stays 0."""
    transition = next(t for t in FAMILY.values() if options_of(t) == options)
    spec = Spec(CELLS.make("rnn", activation=nonlinearity), 4, 2, 1)
    recipe = Recipe(optimizer="rmsprop", learning_rate=0.003, epochs=3, batch_size=4)
    random = np.random.default_rng(0)
    x, y = (random.standard_normal((1, 12, 10, k)).astype(np.float32) for k in (2, 1))
    found = workflow(spec, transition, recipe, x, y)
    values = {
        name: torch.as_tensor(value)
        for name, value in initialise(spec, recipe, np.random.default_rng(1), transition).items()
    }
    layer = urnn.nn.UnitaryRNN(2, 4, nonlinearity=nonlinearity, batch_first=True, **options)
    readout = torch.nn.Linear(4, 1)
    state = layer.state_dict()
    p = torch.as_tensor(transition.enter(values["p"].numpy()[None].astype(np.float32), 4, np)[0])
    name = original(layer)
    count = state[name].numel()
    state[name] = p[:count].view_as(state[name])
    if count < len(p):
        state[name.replace("original", "0.fixed")] = p[count:]
    bias = "modrelu_bias_l0" if nonlinearity == "modrelu" else "bias_ih_l0"
    state |= {"weight_ih_l0": values["F"], bias: values["b"]}
    if nonlinearity != "modrelu":
        state["bias_hh_l0"] = torch.zeros(4)
        layer.bias_hh_l0.requires_grad_(False)
    layer.load_state_dict(state)
    readout.load_state_dict({"weight": values["C"], "bias": values["d"]})
    model = torch.nn.ModuleDict({"layer": layer, "readout": readout})
    optimizer = torch.optim.RMSprop(model.parameters(), lr=0.003, alpha=0.9, eps=1e-7)
    urnn.nn.retract_after(optimizer, model)
    order = np.random.default_rng(2)
    inputs, targets = torch.as_tensor(x[0]), torch.as_tensor(y[0])
    for _ in range(3):
        for trials in torch.as_tensor(order.permutation(12)).split(4):
            optimizer.zero_grad()
            output = readout(layer(inputs[trials])[0])
            torch.nn.functional.mse_loss(output, targets[trials]).backward()
            optimizer.step()
    ours = {"W": layer.weight_hh_l0, "F": layer.weight_ih_l0, "b": getattr(layer, bias)}
    ours |= {"C": readout.weight, "d": readout.bias}
    for name, value in ours.items():
        np.testing.assert_allclose(value.detach(), found[name][0], rtol=1e-3, atol=2e-5)


class OwnCell(torch.nn.Module):
    """A user's cell."""

    def __init__(self) -> None:
        super().__init__()
        self.recurrent = torch.nn.Parameter(torch.randn(4, 4))

    def forward(self, h: Tensor) -> Tensor:
        return (h @ self.recurrent.mT).sin()


def test_a_cell_of_ones_own(options: dict[str, Any]) -> None:
    torch.manual_seed(0)
    cell = OwnCell()
    W = cell.recurrent.detach().clone()
    assert urnn.nn.constrain(cell, "recurrent", **options) is cell
    assert urnn.nn.constraint_error(cell) < 1e-5
    if options["transition"] == "unitary":
        U, _, Vh = torch.linalg.svd(W)
        torch.testing.assert_close(cell.recurrent.detach(), U @ Vh, rtol=1e-4, atol=1e-5)
    optimizer = torch.optim.SGD(cell.parameters(), lr=0.1, momentum=0.9)
    urnn.nn.retract_after(optimizer, cell)
    for _ in range(10):
        optimizer.zero_grad()
        cell(torch.ones(2, 4)).sum().backward()
        optimizer.step()
    assert urnn.nn.constraint_error(cell) < 1e-5


def test_identity_and_a_weight_of_torchs_own_layers() -> None:
    for transition in ("unitary", "cayley", "eunn", "full_capacity", "arjovsky"):
        layer = urnn.nn.constrain(torch.nn.RNN(2, 4), "weight_hh_l0", transition, "identity")
        torch.testing.assert_close(layer.weight_hh_l0.detach(), torch.eye(4), rtol=0, atol=1e-6)
        layer(torch.zeros(3, 1, 2))[0].sum().backward()


def test_what_cannot_be_is_refused() -> None:
    with pytest.raises(ValueError, match=r"weight_hh_l0 must be a real square matrix.*\(16, 4\)"):
        urnn.nn.constrain(torch.nn.LSTM(2, 4), "weight_hh_l0", "unitary")
    with pytest.raises(ValueError, match="recurrence must be a real square matrix, but it is None"):
        urnn.nn.constrain(OwnCell(), "recurrence", "unitary")
    with pytest.raises(ValueError, match="needs an even number"):
        urnn.nn.UnitaryRNN(2, 3, transition="arjovsky")
    with pytest.raises(ValueError, match="modrelu needs an even hidden_size, but it is 3"):
        urnn.nn.UnitaryRNN(2, 3, nonlinearity="modrelu")
    with pytest.raises(ValueError, match="transition must be one of"):
        urnn.nn.UnitaryRNN(2, 4, transition="unitry")
    with pytest.raises(ValueError, match="start must be one of orthogonal, identity, but it is"):
        urnn.nn.UnitaryRNN(2, 4, start="Identity")
    with pytest.raises(ValueError, match="must be one of tanh, relu, modrelu, but it is 'swish'"):
        urnn.nn.UnitaryRNN(2, 4, nonlinearity="swish")
    model = urnn.nn.UnitaryRNN(2, 4, nonlinearity="modrelu", transition="cayley")
    for wrong in (torch.zeros(2), torch.zeros(3, 2, 1), torch.zeros(0, 2, 2)):
        with pytest.raises((ValueError, RuntimeError)):
            model(wrong)
    with pytest.raises(ValueError, match="packed input or hx is of another shape"):
        model(torch.nn.utils.rnn.pack_sequence([torch.zeros(3, 1)]))
    with pytest.raises((ValueError, RuntimeError), match="hidden size"):
        model(torch.zeros(3, 2, 2), torch.zeros(1, 3, 4))
    with pytest.raises(NotImplementedError, match="cayley cannot be assigned"):
        model.weight_hh_l0 = torch.eye(4)
    assert isinstance(model.parametrizations.weight_hh_l0[0], FromParameters)
    for again in ("cayley", "unitary"):
        with pytest.raises(ArgumentError, match="weight_hh_l0 is constrained or parametrized alr"):
            urnn.nn.constrain(model, "weight_hh_l0", again)


def test_a_diverged_weight_stays_as_it_is() -> None:
    model = urnn.nn.UnitaryRNN(2, 4)
    with torch.no_grad():
        model.weight_hh_l0[0, 0] = float("nan")
    urnn.nn.retract_(model)
    assert model.weight_hh_l0.isnan().sum() == 1


@pytest.mark.parametrize("transition", ["unitary", "cayley", "eunn", "arjovsky", "full_capacity"])
def test_an_ensemble_of_unitary_layers(transition: str) -> None:
    """Trained as one, and as its members are; parametrised layers have a class each in torch."""
    torch.manual_seed(0)
    members = [
        torch.nn.Sequential(urnn.nn.UnitaryRNN(2, 4, nonlinearity="modrelu", transition=transition))
        for _ in range(3)
    ]
    parameters, buffers = torch.func.stack_module_state(members)
    base = copy.deepcopy(members[0])
    x = torch.randn(5, 3, 2)

    def run(parameters: Any, buffers: Any) -> Tensor:
        return torch.func.functional_call(base, (parameters, buffers), (x,))[0]

    optimizer = torch.optim.RMSprop(parameters.values(), lr=0.01)
    urnn.nn.retract_after(optimizer, base, {**parameters, **buffers})
    for _ in range(3):
        optimizer.zero_grad()
        output = torch.vmap(run)(parameters, buffers)
        (output - 1).square().mean((1, 2, 3)).sum().backward()
        optimizer.step()
    for k, member in enumerate(members):
        alone = torch.optim.RMSprop(member.parameters(), lr=0.01)
        urnn.nn.retract_after(alone, member)
        for _ in range(3):
            step(member, alone, x)
        for name, parameter in member.named_parameters():
            torch.testing.assert_close(parameters[name][k], parameter, rtol=1e-4, atol=1e-5)
        assert urnn.nn.constraint_error(member) < 1e-5


def test_a_unitary_layer_in_one_graph(options: dict[str, Any]) -> None:
    torch.manual_seed(0)
    model = urnn.nn.UnitaryRNN(2, 4, nonlinearity="modrelu", **options)
    x = torch.randn(5, 3, 2)
    torch.compiler.reset()
    compiled = torch.compile(model, fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(x), model(x))
    leaves = list(model.parameters())
    found, wanted = (torch.autograd.grad(each(x)[0].sum(), leaves) for each in (compiled, model))
    torch.testing.assert_close(found, wanted)


def test_constraints_of_another_library() -> None:
    geotorch = pytest.importorskip("geotorch")
    torch.manual_seed(0)
    for layer in (urnn.nn.RNN(2, 4), urnn.nn.UnitaryRNN(2, 4, transition="free")):
        geotorch.orthogonal(layer, "weight_hh_l0")
        optimizer = torch.optim.SGD(layer.parameters(), lr=0.1)
        for _ in range(5):
            step(layer, optimizer, torch.randn(5, 3, 2))
        W = layer.weight_hh_l0
        assert (W @ W.mT - torch.eye(4)).abs().max() < 1e-5


def test_prepare_and_what_is_said_once(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    # as in a new process: another test may have met one of these sizes
    monkeypatch.setattr(operators, "_SEEN", set())
    caplog.set_level(logging.INFO, "urnn")
    model = torch.nn.Sequential(urnn.nn.LSTM(3, 5, 2, bidirectional=True), torch.nn.Linear(2, 2))
    urnn.nn.prepare(model, batch=6)
    said = [record.message for record in caplog.records if record.name == "urnn"]
    # two kernels of two sizes, each at its begin and its end
    assert len(said) == 8
    assert "5 hidden units" in said[0]
    assert said[1].endswith(" s")
    model[0](torch.zeros(7, 6, 3))[0].sum().backward()
    assert len([record for record in caplog.records if record.name == "urnn"]) == 8
    assert all(parameter.grad is None for parameter in model[1].parameters())


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_narrow_types_are_retracted_in_float32(options: dict[str, Any], dtype: torch.dtype) -> None:
    layer = urnn.nn.UnitaryRNN(3, 8, **options).to(dtype)
    urnn.nn.retract_(layer)
    assert layer.constraint_error() < 0.05
    assert layer.weight_hh_l0.dtype == dtype


@pytest.mark.filterwarnings("ignore:.*torch.jit:DeprecationWarning")
@pytest.mark.filterwarnings("ignore::torch.jit.TracerWarning")
def test_modrelu_is_traced_by_torch_and_not_scripted() -> None:
    layer = urnn.nn.UnitaryRNN(3, 8, nonlinearity="modrelu").eval()
    x = torch.randn(2, 30, 4, 3)
    with torch.no_grad():
        traced = torch.jit.trace(layer, x[0])
        torch.testing.assert_close(traced(x[1])[0], layer(x[1])[0], rtol=1e-5, atol=1e-5)
    with pytest.raises(ArgumentError, match="knows no modrelu"):
        torch.jit.script(layer)


def test_made_on_the_meta_device() -> None:
    with torch.device("meta"):
        layer = urnn.nn.UnitaryRNN(3, 8)
    layer.to_empty(device="cpu").reset_parameters()
    assert layer.constraint_error() < 1e-5
