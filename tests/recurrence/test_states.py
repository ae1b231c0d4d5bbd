"""The differentiable functions against a float64 loop under autograd, and what they refuse."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from urnn.recurrence import cell_states, gru, lstm, recurrence, states
from urnn.recurrence.cells import POINT
from urnn.recurrence.cells.base import Cell

RNN = POINT.make("rnn")


def arguments(
    cell: Cell, hidden: int, inputs: int, replicas: int, batch: int, time: int, seed: int = 0
) -> dict[str, Tensor]:
    """Arguments of the functions by name; W is contractive, h_init a state of each trial."""
    random = torch.Generator().manual_seed(seed)
    shapes: dict[str, tuple[int, ...]] = {"x": (replicas, batch, time, inputs)}
    for name, shape in cell.parameter_shapes(hidden, inputs, 1).items():
        if name not in ("C", "d"):
            shapes[name] = (replicas, *shape)
    shapes["h_init"] = (replicas, batch, hidden)
    tensors = {name: torch.randn(shape, generator=random) for name, shape in shapes.items()}
    size = 0.9 if cell.gates == 1 else 2.0
    tensors["W"] *= size / torch.linalg.matrix_norm(tensors["W"], 2)[:, None, None]
    return tensors


def small(cell: Cell, time: int) -> dict[str, Tensor]:
    """Arguments for 6 replicas, of a size and layout that more than one test takes."""
    if cell.gates > 1:
        return arguments(cell, 5, 3, 6, 4, time)
    return arguments(cell, 4, 2, 6, 10, time)


def run(cell: Cell, tensors: dict[str, Tensor]) -> tuple[Tensor, ...]:
    """(states,), or (states, c_last) of a cell that has a cell state; by the cell's function."""
    tensors = dict(tensors)
    x = tensors.pop("x")
    initial = [tensors.pop(name) for name in cell.initial_states]
    return cell_states(cell, x, tensors, *initial)[: len(initial)]


def gradients(
    cell: Cell, tensors: dict[str, Tensor], upstream: tuple[Tensor, ...]
) -> tuple[tuple[Tensor, ...], dict[str, Tensor]]:
    """The results, and the gradients of their product with upstream, by name."""
    leaves = {name: tensor.detach().clone().requires_grad_() for name, tensor in tensors.items()}
    results = run(cell, leaves)
    found = torch.autograd.grad(results, list(leaves.values()), upstream[: len(results)])
    return tuple(r.detach() for r in results), dict(zip(leaves, found, strict=True))


def upstream_of(tensors: dict[str, Tensor], seed: int = 1) -> tuple[Tensor, Tensor]:
    random = torch.Generator().manual_seed(seed)
    replicas, batch, time, _ = tensors["x"].shape
    hidden = tensors["W"].shape[2]
    return (
        torch.randn(replicas, batch, time, hidden, generator=random),
        torch.randn(replicas, batch, hidden, generator=random),
    )


def agree(cell: Cell, tensors: dict[str, Tensor], tolerance: float = 1e-5) -> None:
    upstream = upstream_of(tensors)
    ours, found = gradients(cell, tensors, upstream)
    exact, wanted = gradients(
        cell, {n: t.double() for n, t in tensors.items()}, tuple(u.double() for u in upstream)
    )
    assert found.keys() == wanted.keys() == tensors.keys()
    pairs = {f"result {i}": pair for i, pair in enumerate(zip(ours, exact, strict=True))}
    pairs |= {name: (found[name], wanted[name]) for name in found}
    for name, (mine, right) in pairs.items():
        assert mine.dtype == torch.float32
        assert mine.shape == right.shape, name
        for r in range(len(mine)):
            error = (mine[r] - right[r]).abs().max()
            assert error <= tolerance * right[r].abs().max(), (name, r, float(error))


# few sizes, for each is compiled once; the layouts: models side by side and alone, of one and
# of several vectors
STACKS: list[tuple[str, str, int, int, list[tuple[int, int, int]]]] = [
    ("rnn", "relu", 4, 2, [(6, 10, 40), (7, 20, 9), (9, 10, 1)]),
    ("rnn", "tanh", 3, 2, [(1, 7, 50), (1, 8, 9), (1, 3, 7), (1, 1, 1)]),
    ("rnn", "sigmoid", 33, 5, [(2, 13, 12), (1, 37, 17)]),
    ("rnn", "identity", 1, 1, [(1, 1, 3), (1, 5, 30)]),
    ("rnn", "modrelu", 4, 2, [(6, 10, 20), (1, 7, 9)]),
]
GATED = [(5, 3, [(6, 4, 21), (8, 3, 2)]), (3, 2, [(1, 7, 50), (1, 8, 1)])]
# a cell that is neither of the first two has to do what either of them does
ALL = [stack[2:] for stack in STACKS]
STACKS += [("lstm", "", *sizes) for sizes in GATED]
STACKS += [(name, "", *sizes) for name in list(POINT)[2:] for sizes in (*GATED, *ALL)]


@pytest.mark.parametrize("stack", STACKS, ids=str)
def test_states_and_gradients_are_those_of_float64(stack: Any) -> None:
    name, activation, hidden, inputs, stacks = stack
    cell = POINT.make(name, **({"activation": activation} if activation else {}))
    for sizes in stacks:
        agree(cell, arguments(cell, hidden, inputs, *sizes))


def test_the_named_functions_are_those_of_their_cells() -> None:
    for name, function in (("rnn", recurrence), ("lstm", lstm), ("gru", gru)):
        cell = POINT.make(name)
        tensors = small(cell, 21)
        found = function(**tensors)
        found = found if isinstance(found, tuple) else (found,)
        for mine, right in zip(found, run(cell, tensors), strict=True):
            assert torch.equal(mine, right)
    tanh = POINT.make("rnn", activation="tanh")
    tensors = arguments(tanh, 3, 2, 1, 7, 50)
    assert torch.equal(recurrence(**tensors, activation="tanh"), run(tanh, tensors)[0])


def test_the_layout_takes_the_fewer_vectors() -> None:
    rnn = POINT.make("rnn")
    assert states.layout(rnn, 4, 1, 10).models == 1
    assert states.layout(rnn, 4, 30, 10).models == 8
    assert states.layout(rnn, 20, 30, 10).models == 1


def test_one_initial_state_for_all_trials(plain_cell: Cell) -> None:
    tensors = small(plain_cell, 21)
    tensors["h_init"], batch = tensors["h_init"][:, 0], tensors["x"].shape[1]
    agree(plain_cell, tensors)
    each = tensors | {"h_init": tensors["h_init"][:, None].expand(-1, batch, -1)}
    for shared, repeated in zip(run(plain_cell, tensors), run(plain_cell, each), strict=True):
        assert torch.equal(shared, repeated)


def test_a_replica_has_the_same_bits_in_any_stack(plain_cell: Cell) -> None:
    size = (4, 2, 7, 10) if plain_cell.gates == 1 else (5, 3, 7, 4)
    tensors = arguments(plain_cell, *size, 31)
    upstream = upstream_of(tensors)
    (all_states, *_), found = gradients(plain_cell, tensors, upstream)
    for chosen in ([6, 2, 1, 0, 5, 5], [3, 3, 3, 3, 3, 4]):  # laid out alike
        part = {name: tensor[chosen] for name, tensor in tensors.items()}
        (some, *_), of_some = gradients(plain_cell, part, tuple(u[chosen] for u in upstream))
        assert torch.equal(some, all_states[chosen])
        for name, value in of_some.items():
            assert torch.equal(value, found[name][chosen]), name
    alone = run(plain_cell, {name: tensor[2:3] for name, tensor in tensors.items()})[0]
    if plain_cell.gates == 1:
        assert states.layout(plain_cell, 4, 1, 10) != states.layout(plain_cell, 4, 7, 10)
    assert torch.equal(alone[0], all_states[2])


@pytest.mark.parametrize("where", ["x", "W", "h_init", "upstream"])
@pytest.mark.parametrize("poison", [float("nan"), float("inf")])
def test_nan_and_inf_stay_in_their_replica(plain_cell: Cell, where: str, poison: float) -> None:
    tensors = small(plain_cell, 20)
    upstream = upstream_of(tensors)
    good, right = gradients(plain_cell, tensors, upstream)
    if where == "upstream":
        upstream[0][2, 1, 4] = poison
    else:
        tensors[where][2].view(-1)[1] = poison
    bad, found = gradients(plain_cell, tensors, upstream)
    others = [0, 1, 3, 4, 5]
    for mine, theirs in zip(bad, good, strict=True):
        assert torch.equal(mine[others], theirs[others])
    for name in found:
        assert torch.equal(found[name][others], right[name][others]), name
    if poison != poison:
        shown = found["b"] if where == "upstream" else bad[0]
        assert not shown[2].isfinite().all()


def test_without_gradients_nothing_is_kept_and_the_states_are_the_same(plain_cell: Cell) -> None:
    tensors = small(plain_cell, 19)
    kept, _ = gradients(plain_cell, tensors, upstream_of(tensors))
    plain = run(plain_cell, tensors)
    tensors["W"].requires_grad_()
    with torch.no_grad():
        silent = run(plain_cell, tensors)
    for a, b, c in zip(kept, plain, silent, strict=True):
        assert torch.equal(a, b)
        assert torch.equal(a, c)
        assert not b.requires_grad
        assert not c.requires_grad


def test_gradients_of_some_arguments_and_of_the_last_cell_alone() -> None:
    cell = POINT.make("lstm")
    tensors = arguments(cell, 5, 3, 6, 4, 21)
    upstream = upstream_of(tensors)
    _, wanted = gradients(cell, tensors, (torch.zeros_like(upstream[0]), upstream[1]))
    for name in tensors:
        leaf = tensors[name].clone().requires_grad_()
        c_last = run(cell, tensors | {name: leaf})[1]
        (found,) = torch.autograd.grad(c_last, leaf, upstream[1])
        assert torch.equal(found, wanted[name])


def test_tensors_need_not_be_contiguous() -> None:
    tensors = arguments(RNN, 4, 2, 6, 10, 12)
    upstream = upstream_of(tensors)
    (plain,), right = gradients(RNN, tensors, upstream)
    leaf = tensors["W"].mT.contiguous().requires_grad_()
    x = tensors["x"].transpose(1, 2).contiguous().transpose(1, 2)
    h = recurrence(**(tensors | {"W": leaf.mT, "x": x}))
    assert torch.equal(h, plain)
    h.backward(upstream[0].transpose(0, 2).contiguous().transpose(0, 2))
    assert leaf.grad is not None
    assert torch.equal(leaf.grad.mT, right["W"])
    shared = tensors["x"][:1].expand(6, -1, -1, -1)
    copied = recurrence(**(tensors | {"x": shared.clone()}))
    assert torch.equal(recurrence(**(tensors | {"x": shared})), copied)


def test_second_derivatives_are_those_of_the_loop(plain_cell: Cell) -> None:
    """And the third ones; ReLU has none that is not 0 but for products of parameters."""
    tensors = small(plain_cell, 3)

    def derivatives(dtype: torch.dtype) -> list[Tensor]:
        leaves = {n: t.detach().to(dtype).requires_grad_() for n, t in tensors.items()}
        results = run(plain_cell, leaves)
        value = sum((result.sin().sum() for result in results), torch.zeros(()))
        found = []
        for _ in range(3):
            every = torch.autograd.grad(value, list(leaves.values()), create_graph=True)
            found += every
            value = sum((one.square().sum() for one in every), torch.zeros(()))
        return found

    for ours, exact in zip(derivatives(torch.float32), derivatives(torch.float64), strict=True):
        assert (ours - exact).abs().max() <= 1e-4 * exact.abs().max()


def test_gradcheck_of_the_loop(cell: Cell) -> None:
    tensors = {n: t.double() for n, t in arguments(cell, 2, 1, 2, 2, 3).items()}
    leaves = tuple(t.requires_grad_() for t in tensors.values())
    names = tuple(tensors)
    function: Any = lambda *values: run(cell, dict(zip(names, values, strict=True)))
    assert torch.autograd.gradcheck(function, leaves)
    if cell.gates > 1 or cell.tag == "rnn-tanh":
        assert torch.autograd.gradgradcheck(function, leaves)


def test_other_types_and_an_empty_batch_take_the_loop() -> None:
    tensors = arguments(RNN, 4, 2, 5, 10, 3)
    for dtype in (torch.float64, torch.bfloat16):
        other = recurrence(**{name: tensor.to(dtype) for name, tensor in tensors.items()})
        assert other.dtype == dtype
    empty = tensors | {"x": tensors["x"][:, :0], "h_init": tensors["h_init"][:, :0]}
    assert recurrence(**empty).shape == (5, 0, 3, 4)


def test_what_does_not_fit_is_refused_with_its_name() -> None:
    tensors = arguments(POINT.make("lstm"), 5, 3, 2, 4, 6)
    wrong: list[tuple[str, Any, str]] = [
        ("x", tensors["x"][0], r"x must have the shape \(replicas, batch, time, input\)"),
        ("x", tensors["x"][:, :, :0], "x must have the shape"),
        ("x", tensors["x"].int(), "x must be of a floating point type"),
        ("x", [1.0], "x must be a tensor, but it is list"),
        ("W", tensors["W"][:, :5], r"W must have the shape \(2, 4 n, n\), but it has \(2, 5, 5\)"),
        ("W", tensors["W"][:1], "W must have the shape"),
        ("F", tensors["F"][..., :2], r"F must have the shape \(2, 20, 3\)"),
        ("b", tensors["b"][:, :5], r"b must have the shape \(2, 20\), but it has \(2, 5\)"),
        ("b", tensors["b"].double(), "b must be torch.float32 on cpu as x is"),
        ("b", tensors["b"].to("meta"), "b must be .* but it is torch.float32 on meta"),
        ("h_init", tensors["h_init"][:, :3], r"h_init must have the shape \(2, 5\) or \(2, 4, 5\)"),
        ("c_init", tensors["c_init"][0], "c_init must have the shape"),
        ("c_init", None, "c_init must be a tensor"),
    ]
    for name, value, words in wrong:
        with pytest.raises(ValueError, match=words):
            lstm(**(tensors | {name: value}))
    with pytest.raises(ValueError, match=r"W must have the shape \(2, n, n\)"):
        recurrence(**{name: tensors[name] for name in ("x", "W", "F", "b", "h_init")})
    with pytest.raises(ValueError, match=r"W must have the shape \(2, 3 n, n\)"):
        gru(**{name: tensors[name] for name in ("x", "W", "F", "b", "h_init")}, b_h=tensors["b"])
    plain = arguments(RNN, 4, 2, 2, 4, 6)
    with pytest.raises(ValueError, match="activation: must be one of 'relu'"):
        recurrence(**plain, activation="swish")


def test_modrelu_from_a_zero_state_is_odd() -> None:
    """h(-x) = -h(x): no such network learns the even part of a map."""
    modrelu = POINT.make("rnn", activation="modrelu")
    tensors = arguments(modrelu, 8, 2, 3, 5, 30)
    tensors["b"] *= 0.3
    tensors["h_init"] *= 0
    (states_,) = run(modrelu, tensors)
    (of_minus_x,) = run(modrelu, tensors | {"x": -tensors["x"]})
    torch.testing.assert_close(of_minus_x, -states_)
    assert states_.abs().max() > 0.1


@pytest.mark.parametrize("size", [1e-3, 1e-7, 1e-25])
def test_modrelu_close_to_zero(size: float) -> None:
    """|h| - b rounds to nothing there, and the square of |z| vanishes."""
    modrelu, found = POINT.make("rnn", activation="modrelu"), []
    tensors = arguments(modrelu, 4, 1, 3, 4, 1)
    tensors |= {"x": tensors["x"] * size, "h_init": tensors["h_init"] * 0}
    for dtype in (torch.float32, torch.float64):
        leaves = {n: t.to(dtype).abs().requires_grad_() for n, t in tensors.items() if n in "Fb"}
        (states,) = run(modrelu, {n: t.to(dtype) for n, t in tensors.items()} | leaves)
        (states * torch.arange(4)).sum().backward()
        found.append([states.detach(), *(leaf.grad for leaf in leaves.values())])
    for ours, exact in zip(*found, strict=True):
        torch.testing.assert_close(
            ours.double(), exact, rtol=1e-4, atol=1e-5 * float(exact.abs().max())
        )
