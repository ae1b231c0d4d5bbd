"""The operators of `urnn.recurrence.operators`: torch.compile, torch.export and torch.func."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.func import functional_call, stack_module_state

import urnn.nn
from urnn.recurrence import kernels as compiled
from urnn.recurrence import operators
from urnn.recurrence.cells.base import Cell

pytestmark = pytest.mark.usefixtures("by_kernels")

LAYERS = ["RNN", "LSTM", "GRU"]


@pytest.fixture
def stacks(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, int]]:
    """A list that grows with every call of a kernel: which one, and for how many replicas."""
    calls: list[tuple[str, int]] = []

    def counted(name: str) -> Any:
        original = getattr(compiled.OnCpu, name)

        def call(self: Any, spec: Any, *rest: Any) -> Any:
            theta = rest[1] if name == "forward" else rest[0]
            calls.append((name, len(theta)))
            return original(self, spec, *rest)

        return call

    for name in ("forward", "backward"):
        monkeypatch.setattr(compiled.OnCpu, name, counted(name))
    return calls


def ensemble(name: str, number: int, hidden: int) -> tuple[list[Any], Any, dict[str, Tensor]]:
    """Modules, one without memory that stands for all, and their stacked parameters."""
    torch.manual_seed(0)
    members = [getattr(urnn.nn, name)(2, hidden) for _ in range(number)]
    parameters, _ = stack_module_state(members)
    return members, copy.deepcopy(members[0]).to("meta"), parameters


@pytest.mark.parametrize("name", LAYERS)
def test_an_ensemble_is_one_stack(name: str, stacks: list[tuple[str, int]]) -> None:
    """100 modules of 16 units, batch 10, 200 steps, as torch computes one after the other."""
    members, base, parameters = ensemble(name, 100, 16)
    x = torch.randn(200, 10, 2)
    run = torch.vmap(lambda p, x: functional_call(base, p, (x,))[0], in_dims=(0, None))
    output = run(parameters, x)
    output.sin().mean((1, 2, 3)).sum().backward()
    assert stacks == [("forward", 100), ("backward", 100)]
    for k, member in enumerate(members):
        theirs = getattr(torch.nn, name)(2, 16)
        theirs.load_state_dict(member.state_dict())
        wanted = theirs(x)[0]
        wanted.sin().mean().backward()
        assert (output[k] - wanted).abs().max() <= 1e-5
        for key, parameter in theirs.named_parameters():
            grads = parameters[key].grad
            assert grads is not None and parameter.grad is not None
            assert (grads[k] - parameter.grad).abs().max() <= 1e-5


def test_a_member_is_the_same_bits_alone() -> None:
    members, base, parameters = ensemble("LSTM", 9, 4)
    x = torch.randn(20, 3, 2)
    run = torch.vmap(lambda p, x: functional_call(base, p, (x,))[0], in_dims=(0, None))
    output = run(parameters, x)
    for k, member in enumerate(members):
        assert torch.equal(output[k], member(x)[0])
    part = run({name: value[2:5] for name, value in parameters.items()}, x)
    assert torch.equal(part, output[2:5])


@pytest.mark.parametrize("name", LAYERS)
def test_transforms_compose(name: str, stacks: list[tuple[str, int]]) -> None:
    members, base, parameters = ensemble(name, 5, 3)
    parameters = {key: value.detach() for key, value in parameters.items()}
    x = torch.randn(6, 4, 2)

    def of_last(last: Any) -> Tensor:
        return torch.cat(last if isinstance(last, tuple) else (last,)).cos().sum()

    def loss(parameters: dict[str, Tensor], x: Tensor) -> Tensor:
        output, last = functional_call(base, parameters, (x,))
        return output.sin().sum() + of_last(last)

    own = []
    for member in members:
        output, last = member(x)
        value = output.sin().sum() + of_last(last)
        own.append(torch.autograd.grad(value, list(member.parameters())))
    wanted = dict(zip(parameters, map(torch.stack, zip(*own, strict=True)), strict=True))
    stacks.clear()
    each = torch.vmap(torch.func.grad(loss), (0, None))(parameters, x)
    assert stacks == [("forward", 5), ("backward", 5)]
    whole = torch.func.grad(lambda p: torch.vmap(loss, (0, None))(p, x).sum())(parameters)
    torch.testing.assert_close(each, wanted, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(whole, wanted, rtol=1e-5, atol=1e-5)
    # a gradient of each trial, and every member on every trial
    first = {key: value[0] for key, value in parameters.items()}
    trials = torch.vmap(torch.func.grad(loss), (None, 1))(first, x)
    alone = torch.func.grad(loss)(first, x[:, 2])
    for key, value in trials.items():
        torch.testing.assert_close(value[2], alone[key])
    every = torch.vmap(torch.vmap(loss, (None, 1)), (0, None))(parameters, x)
    torch.testing.assert_close(every[3, 2], loss({k: v[3] for k, v in parameters.items()}, x[:, 2]))


def test_jacobians_and_hessians() -> None:
    torch.manual_seed(0)
    layer = urnn.nn.GRU(2, 3)
    x = torch.randn(4, 2)
    found = torch.func.jacrev(lambda x: layer(x)[0][-1])(x)
    torch.testing.assert_close(
        found, torch.autograd.functional.jacobian(lambda x: layer(x)[0][-1], x)
    )
    value: Any = lambda x: layer(x)[0].sin().sum()
    found = torch.func.jacrev(torch.func.grad(value))(x)
    exact = torch.autograd.functional.hessian(value, x)
    torch.testing.assert_close(found, exact, rtol=1e-4, atol=1e-5)


def test_other_types_are_vmapped_by_the_loop(stacks: list[tuple[str, int]]) -> None:
    members, base, _ = ensemble("LSTM", 3, 4)
    parameters, _ = stack_module_state([member.double() for member in members])
    x = torch.randn(6, 4, 2, dtype=torch.float64)
    run = torch.vmap(lambda p, x: functional_call(base, p, (x,))[0], in_dims=(0, None))
    output = run(parameters, x)
    assert stacks == []
    torch.testing.assert_close(output[1], members[1](x)[0])
    (found,) = torch.autograd.grad(output[1].sin().sum(), parameters["weight_hh_l0"])
    (wanted,) = torch.autograd.grad(members[1](x)[0].sin().sum(), members[1].weight_hh_l0)
    torch.testing.assert_close(found[1], wanted)


@pytest.mark.parametrize("name", LAYERS)
def test_compiled_in_one_graph(name: str, stacks: list[tuple[str, int]]) -> None:
    torch.manual_seed(0)
    layer = getattr(urnn.nn, name)(2, 3, num_layers=2, bidirectional=True, dropout=0.0)
    torch.compiler.reset()
    compiled = torch.compile(layer, fullgraph=True, backend="aot_eager")
    for x in (torch.randn(6, 5, 2), torch.randn(9, 3, 2)):
        stacks.clear()
        output, last = compiled(x)
        found = torch.autograd.grad(output.sin().sum(), list(layer.parameters()))
        assert stacks == 2 * [("forward", 2)] + 2 * [("backward", 2)]
        wanted, right = layer(x)
        torch.testing.assert_close((output, last), (wanted, right))
        exact = torch.autograd.grad(wanted.sin().sum(), list(layer.parameters()))
        torch.testing.assert_close(found, exact)
    with torch.no_grad():
        torch.testing.assert_close(compiled(x)[0], wanted.detach())


@pytest.mark.skipif(
    not hasattr(operators.states_op, "register_vmap"), reason="needs register_vmap (torch 2.5)"
)
def test_a_compiled_ensemble_is_one_stack(stacks: list[tuple[str, int]]) -> None:
    members, base, parameters = ensemble("LSTM", 4, 3)
    x = torch.randn(6, 5, 2)
    run = torch.vmap(lambda p, x: functional_call(base, p, (x,))[0], in_dims=(0, None))
    output = torch.compile(run, fullgraph=True, backend="aot_eager")(parameters, x)
    output.sum().backward()
    assert stacks == [("forward", 4), ("backward", 4)]
    torch.testing.assert_close(output[2], members[2](x)[0])


@pytest.mark.skipif(
    not hasattr(torch.compiler, "is_exporting"), reason="torch 2.7 says that it exports"
)
@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize("name", LAYERS)
def test_exported_for_every_length_and_batch(name: str, strict: bool) -> None:
    layer = getattr(urnn.nn, name)(2, 3, num_layers=2, bidirectional=True)
    sizes = {0: torch.export.Dim("time", min=2), 1: torch.export.Dim("batch", min=2)}
    program = torch.export.export(
        layer, (torch.randn(6, 5, 2),), dynamic_shapes={"input": sizes}, strict=strict
    )
    x = torch.randn(11, 3, 2)
    torch.testing.assert_close(program.module()(x), layer(x))
    assert any("urnn.states" in str(node.target) for node in program.graph.nodes)


def test_what_torch_checks_of_an_operator(plain_cell: Cell) -> None:
    """Schema, shapes, no aliases, autograd, and the same in torch.compile."""
    shapes = plain_cell.parameter_shapes(3, 2, 1)
    entries = sum(
        torch.Size(shape).numel()
        for name, shape in shapes.items()
        if name not in ("C", "d", *plain_cell.initial_states)
    )
    theta = torch.randn(2, entries, requires_grad=True)
    x = torch.randn(2, 4, 5, 2, requires_grad=True)
    h = torch.randn(2, 4, 3, requires_grad=True)
    c = torch.randn(2, 4, 3) if len(plain_cell.initial_states) > 1 else torch.empty(0)
    key = operators.key_of(plain_cell)
    torch.library.opcheck(operators.states_op, (theta, x, h, c, key, False))
    # what is kept has room that nothing is written to, so its values are not compared
    shapes_alone = ("test_schema", "test_autograd_registration", "test_faketensor")
    torch.library.opcheck(operators.states_op, (theta, x, h, c, key, True), test_utils=shapes_alone)
    given = [tensor.detach() for tensor in (theta, x, h, c)]
    states, last, *kept = operators.states_op(*given, key, True)
    for wanted in (True, False):
        torch.library.opcheck(
            operators.states_backward_op, (*given, *kept, states, last, key, wanted)
        )


def test_a_cell_is_known_by_its_text(cell: Cell, monkeypatch: pytest.MonkeyPatch) -> None:
    key = operators.key_of(cell)
    monkeypatch.setattr(operators, "_CELLS", {})
    assert operators.cell_of(key) == cell


def test_no_memory_and_no_gradients() -> None:
    """Fake tensors, and inference mode."""
    layer = urnn.nn.LSTM(2, 3)
    x = torch.randn(5, 4, 2)
    with torch.inference_mode():
        torch.testing.assert_close(layer(x)[0], layer(x)[0].clone())
    with torch._subclasses.FakeTensorMode():
        fake = urnn.nn.LSTM(2, 3)
        output, (h_n, c_n) = fake(torch.empty(5, 4, 2))
        output.sum().backward()
    assert output.shape == (5, 4, 3)
    assert h_n.shape == c_n.shape == (1, 4, 3)
