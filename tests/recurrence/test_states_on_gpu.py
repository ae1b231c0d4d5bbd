"""`urnn.recurrence.recurrence`, `lstm`, `gru` and `urnn.nn` on a GPU's kernels, in the emulator."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

import urnn.nn
from tests.recurrence.emulated import Emulator
from urnn.recurrence import function, reference
from urnn.recurrence import kernels as compiled
from urnn.recurrence.accelerator import StatesOnGpu, state_kernels
from urnn.recurrence.cells import POINT
from urnn.recurrence.cells.base import Cell
from urnn.recurrence.gpu.backend import GpuBackend


@pytest.fixture
def on_gpu(monkeypatch: pytest.MonkeyPatch) -> Callable[[torch.dtype], Emulator]:
    """A function after which tensors of a type on the CPU take the GPU's kernels."""

    def use(dtype: torch.dtype) -> Emulator:
        driver = Emulator(dtype)
        kernels = StatesOnGpu(GpuBackend(driver))
        monkeypatch.setitem(compiled.KERNELS, "cpu", lambda cell, device: kernels)
        return driver

    return use


CASES: list[tuple[str, dict[str, Any], int]] = [
    ("rnn", {"activation": "tanh"}, 3),
    ("rnn", {"activation": "modrelu"}, 4),
    ("lstm", {}, 3),
    ("gru", {}, 17),
]


def problem(cell: Cell, n: int) -> dict[str, Tensor]:
    """3 replicas, 5 trials of 7 steps; x is expanded, so that its memory is not what it seems."""
    random = torch.Generator().manual_seed(n)
    shapes = {name: (3, *shape) for name, shape in cell.parameter_shapes(n, 2, 1).items()}
    tensors = {
        name: torch.randn(shape, generator=random, dtype=torch.float64) / 2
        for name, shape in shapes.items()
        if name not in ("C", "d")
    }
    tensors["h_init"] = torch.randn(3, 5, n, generator=random, dtype=torch.float64)
    x = torch.randn(1, 5, 7, 2, generator=random, dtype=torch.float64)
    return {"x": x, **tensors}


def results(cell: Cell, leaves: dict[str, Tensor], loop: bool) -> list[Tensor]:
    """States, last cell state and the gradients of some function of both."""
    given = {name: leaf.detach().requires_grad_() for name, leaf in leaves.items()}
    x = given["x"].expand(3, -1, -1, -1)
    initial = [given[name] for name in cell.initial_states]
    parameters = {k: v for k, v in given.items() if k not in ("x", *cell.initial_states)}
    if loop:
        starts = [s if s.ndim == 3 else s[:, None].expand(-1, 5, -1) for s in initial]
        h, last = reference.states(cell, parameters, x, starts)
        c = last[1] if len(last) > 1 else h.new_empty(0)
    else:
        h, c = function.cell_states(cell, x, parameters, *initial)
    value = h.sin().sum() + (c.cos().sum() if len(initial) > 1 else 0)
    return [h, c.reshape(-1), *torch.autograd.grad(value, list(given.values()))]


@pytest.mark.parametrize(("name", "options", "n"), CASES, ids=[f"{c[0]}-{c[2]}" for c in CASES])
def test_states_and_every_gradient_are_those_of_the_loop(
    name: str, options: dict[str, Any], n: int, on_gpu: Any
) -> None:
    cell = POINT.make(name, **options)
    leaves = problem(cell, n)
    expected = results(cell, leaves, loop=True)
    driver = on_gpu(torch.float64)
    for ours, theirs in zip(results(cell, leaves, loop=False), expected, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-11, atol=1e-11)
    assert [kernel for kernel, _ in driver.launches] == ["states", "pull", "join"]


def test_without_gradients_nothing_is_kept(on_gpu: Any) -> None:
    cell = POINT.make("rnn", activation="tanh")
    leaves = problem(cell, 3)
    driver = on_gpu(torch.float64)
    parameters = {k: leaves[k] for k in ("W", "F", "b")}
    h, _ = function.cell_states(
        cell, leaves["x"].expand(3, -1, -1, -1), parameters, leaves["h_init"]
    )
    assert not h.requires_grad
    assert [kernel for kernel, _ in driver.launches] == ["states"]


@pytest.mark.usefixtures("by_kernels")
def test_the_modules_are_torchs(on_gpu: Any) -> None:
    torch.manual_seed(0)
    for name in ("RNN", "LSTM", "GRU"):
        theirs = getattr(torch.nn, name)(2, 3)
        ours = getattr(urnn.nn, name)(2, 3)
        ours.load_state_dict(theirs.state_dict())
        x = torch.randn(7, 5, 2)
        expected = theirs(x)[0]
        expected.square().sum().backward()
        driver = on_gpu(torch.float32)
        found = ours(x)[0]
        found.square().sum().backward()
        assert [kernel for kernel, _ in driver.launches] == ["states", "pull", "join"]
        torch.testing.assert_close(found, expected)
        for (key, ours_), (_, theirs_) in zip(
            ours.named_parameters(), theirs.named_parameters(), strict=True
        ):
            torch.testing.assert_close(ours_.grad, theirs_.grad, rtol=1e-4, atol=1e-5, msg=key)


@pytest.mark.parametrize("name", ["RNN", "LSTM", "GRU"])
def test_an_ensemble_and_a_compiled_layer_are_one_launch(name: str, on_gpu: Any) -> None:
    torch.manual_seed(0)
    members = [getattr(urnn.nn, name)(2, 3) for _ in range(4)]
    parameters, _ = torch.func.stack_module_state(members)
    x = torch.randn(7, 5, 2)
    wanted = [member(x)[0] for member in members]
    exact = [torch.autograd.grad(each.sin().sum(), members[0].weight_hh_l0) for each in wanted[:1]]
    driver = on_gpu(torch.float32)
    output = torch.vmap(lambda p: torch.func.functional_call(members[0], p, (x,))[0])(parameters)
    output.sin().sum().backward()
    assert [kernel for kernel, _ in driver.launches] == ["states", "pull", "join"]
    torch.testing.assert_close(output, torch.stack(wanted), rtol=1e-5, atol=1e-5)
    found = parameters["weight_hh_l0"].grad
    assert found is not None
    torch.testing.assert_close(found[0], exact[0][0], rtol=1e-4, atol=1e-5)
    torch.compiler.reset()
    driver.launches.clear()
    compiled = torch.compile(members[1], fullgraph=True, backend="aot_eager")
    result = compiled(x)[0]
    result.sin().sum().backward()
    assert [kernel for kernel, _ in driver.launches] == ["states", "pull", "join"]
    torch.testing.assert_close(result, wanted[1], rtol=1e-5, atol=1e-5)


def test_other_types_take_the_loop(on_gpu: Any) -> None:
    driver = on_gpu(torch.float32)
    cell = POINT.make("lstm")
    leaves = problem(cell, 3)
    for ours, theirs in zip(
        results(cell, leaves, loop=False), results(cell, leaves, loop=True), strict=True
    ):
        assert torch.equal(ours, theirs)
    assert driver.launches == []


def test_second_derivatives_are_those_of_the_loop(on_gpu: Any) -> None:
    cell = POINT.make("rnn", activation="tanh")
    leaves = {name: leaf.requires_grad_() for name, leaf in problem(cell, 3).items()}

    def second() -> Tensor:
        parameters = {k: leaves[k] for k in ("W", "F", "b")}
        x = leaves["x"].expand(3, -1, -1, -1)
        h, _ = function.cell_states(cell, x, parameters, leaves["h_init"])
        (first,) = torch.autograd.grad(h.sum(), leaves["W"], create_graph=True)
        return torch.autograd.grad(first.square().sum(), leaves["W"])[0]

    exact = second()
    driver = on_gpu(torch.float64)
    torch.testing.assert_close(second(), exact, rtol=1e-11, atol=1e-11)
    assert driver.launches


def test_a_gpu_without_kernels_takes_the_loop_and_says_so_once() -> None:
    class Plain(Cell):
        """A cell without C++."""

        cell: str = "plain"

    gpu = torch.device("cuda:7")
    assert state_kernels(Plain(), gpu) is None
    if torch.version.cuda is None:
        with pytest.warns(RuntimeWarning, match=r"cuda:7 is not NVIDIA's.*torch's loop"):
            assert state_kernels(POINT.make("lstm"), gpu) is None
        assert state_kernels(POINT.make("lstm"), gpu) is None  # without a further word
