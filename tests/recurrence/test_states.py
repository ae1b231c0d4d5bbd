"""The differentiable functions against a float64 loop under autograd, and what they refuse."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import pytest
import torch
from torch import Tensor

from urnn.recurrence import ACTIVATIONS, lstm, recurrence, states
from urnn.recurrence.vector import LANES

NAMES = ("x", "W", "F", "b", "h_init", "c_init")


def arguments(
    kind: str, hidden: int, inputs: int, replicas: int, batch: int, time: int, seed: int = 0
) -> dict[str, Tensor]:
    """Arguments of the functions by name; W is contractive, h_init one state for every trial.

    kind is lstm, rnn or modrelu.
    """
    random = torch.Generator().manual_seed(seed)
    rows = 4 * hidden if kind == "lstm" else hidden
    shapes = {
        "x": (replicas, batch, time, inputs),
        "W": (replicas, rows, hidden),
        "F": (replicas, rows, inputs),
        "b": (replicas, rows // 2 if kind == "modrelu" else rows),
        "h_init": (replicas, batch, hidden),
        "c_init": (replicas, hidden),
    }
    tensors = {name: torch.randn(shape, generator=random) for name, shape in shapes.items()}
    size = 2.0 if kind == "lstm" else 0.9
    tensors["W"] *= size / torch.linalg.matrix_norm(tensors["W"], 2)[:, None, None]
    if kind != "lstm":
        del tensors["c_init"]
    return tensors


def small(kind: str, time: int) -> dict[str, Tensor]:
    """Arguments for 6 replicas, of a size and layout that more than one test takes."""
    if kind == "lstm":
        return arguments("lstm", 5, 3, 6, 4, time)
    return arguments("rnn", 4, 2, 6, 10, time)


def run(kind: str, tensors: dict[str, Tensor]) -> tuple[Tensor, ...]:
    """(states,), or (states, c_last) where kind is lstm; else kind is an activation."""
    if kind == "lstm":
        return lstm(**tensors)
    return (recurrence(**tensors, activation=kind),)


def gradients(
    kind: str, tensors: dict[str, Tensor], upstream: tuple[Tensor, ...]
) -> tuple[tuple[Tensor, ...], dict[str, Tensor]]:
    """The results, and the gradients of their product with upstream, by name."""
    leaves = {name: tensor.detach().clone().requires_grad_() for name, tensor in tensors.items()}
    results = run(kind, leaves)
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


def agree(kind: str, tensors: dict[str, Tensor], tolerance: float = 1e-5) -> None:
    upstream = upstream_of(tensors)
    ours, found = gradients(kind, tensors, upstream)
    exact, wanted = gradients(
        kind, {n: t.double() for n, t in tensors.items()}, tuple(u.double() for u in upstream)
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
@pytest.mark.parametrize(
    ("kind", "hidden", "inputs", "stacks"),
    [
        ("relu", 4, 2, [(6, 10, 40), (7, 20, 9), (9, 10, 1)]),
        ("tanh", 3, 2, [(1, 7, 50), (1, 8, 9), (1, 3, 7), (1, 1, 1)]),
        ("sigmoid", 33, 5, [(2, 13, 12), (1, 37, 17)]),
        ("identity", 1, 1, [(1, 1, 3), (1, 5, 30)]),
        ("modrelu", 4, 2, [(6, 10, 20), (1, 7, 9)]),
        ("lstm", 5, 3, [(6, 4, 21), (8, 3, 2)]),
        ("lstm", 3, 2, [(1, 7, 50), (1, 8, 1)]),
    ],
    ids=str,
)
def test_states_and_gradients_are_those_of_float64(
    kind: str, hidden: int, inputs: int, stacks: list[tuple[int, int, int]]
) -> None:
    for stack in stacks:
        agree(kind, arguments(kind, hidden, inputs, *stack))


def test_the_layout_takes_the_fewer_vectors() -> None:
    assert states.layout("rnn", 4, 1, 10).models == 1
    assert states.layout("rnn", 4, 30, 10).models == LANES // 2
    assert states.layout("rnn", 20, 30, 10).models == 1


@pytest.mark.parametrize("kind", ["relu", "lstm"])
def test_one_initial_state_for_all_trials(kind: str) -> None:
    tensors = small(kind, 21)
    tensors["h_init"], batch = tensors["h_init"][:, 0], tensors["x"].shape[1]
    agree(kind, tensors)
    each = tensors | {"h_init": tensors["h_init"][:, None].expand(-1, batch, -1)}
    for shared, repeated in zip(run(kind, tensors), run(kind, each), strict=True):
        assert torch.equal(shared, repeated)


def test_a_replica_has_the_same_bits_in_any_stack() -> None:
    tensors = arguments("rnn", 4, 2, 7, 10, 31)
    upstream = upstream_of(tensors)
    (all_states,), found = gradients("relu", tensors, upstream)
    for chosen in ([6, 2, 1, 0, 5, 5], [3, 3, 3, 3, 3, 4]):  # laid out alike
        part = {name: tensor[chosen] for name, tensor in tensors.items()}
        (some,), of_some = gradients("relu", part, (upstream[0][chosen],))
        assert torch.equal(some, all_states[chosen])
        for name, value in of_some.items():
            assert torch.equal(value, found[name][chosen]), name
    alone = run("relu", {name: tensor[2:3] for name, tensor in tensors.items()})[0]
    assert states.layout("rnn", 4, 1, 10) != states.layout("rnn", 4, 7, 10)
    assert torch.equal(alone[0], all_states[2])


@pytest.mark.parametrize("kind", ["relu", "lstm"])
@pytest.mark.parametrize("where", ["x", "W", "h_init", "upstream"])
@pytest.mark.parametrize("poison", [float("nan"), float("inf")])
def test_nan_and_inf_stay_in_their_replica(kind: str, where: str, poison: float) -> None:
    tensors = small(kind, 20)
    upstream = upstream_of(tensors)
    good, right = gradients(kind, tensors, upstream)
    if where == "upstream":
        upstream[0][2, 1, 4] = poison
    else:
        tensors[where][2].view(-1)[1] = poison
    bad, found = gradients(kind, tensors, upstream)
    others = [0, 1, 3, 4, 5]
    for mine, theirs in zip(bad, good, strict=True):
        assert torch.equal(mine[others], theirs[others])
    for name in found:
        assert torch.equal(found[name][others], right[name][others]), name
    if poison != poison:
        shown = found["b"] if where == "upstream" else bad[0]
        assert not shown[2].isfinite().all()


def test_without_gradients_nothing_is_kept_and_the_states_are_the_same() -> None:
    for kind in ("relu", "lstm"):
        tensors = small(kind, 19)
        kept, _ = gradients(kind, tensors, upstream_of(tensors))
        plain = run(kind, tensors)
        tensors["W"].requires_grad_()
        with torch.no_grad():
            silent = run(kind, tensors)
        for a, b, c in zip(kept, plain, silent, strict=True):
            assert torch.equal(a, b)
            assert torch.equal(a, c)
            assert not b.requires_grad
            assert not c.requires_grad


def test_gradients_of_some_arguments_and_of_the_last_cell_alone() -> None:
    tensors = arguments("lstm", 5, 3, 6, 4, 21)
    upstream = upstream_of(tensors)
    _, wanted = gradients("lstm", tensors, (torch.zeros_like(upstream[0]), upstream[1]))
    for name in NAMES:
        leaf = tensors[name].clone().requires_grad_()
        c_last = run("lstm", tensors | {name: leaf})[1]
        (found,) = torch.autograd.grad(c_last, leaf, upstream[1])
        assert torch.equal(found, wanted[name])


def test_tensors_need_not_be_contiguous() -> None:
    tensors = arguments("rnn", 4, 2, 6, 10, 12)
    upstream = upstream_of(tensors)
    (plain,), right = gradients("relu", tensors, upstream)
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


def test_no_second_derivative_from_the_kernels() -> None:
    tensors = arguments("rnn", 4, 2, 6, 10, 3)
    for name in tensors:
        leaf = tensors[name].clone().requires_grad_()
        h = recurrence(**(tensors | {name: leaf}))
        (first,) = torch.autograd.grad(h.sum(), leaf, create_graph=True)
        with pytest.raises(RuntimeError, match="no second derivatives"):
            first.sum().backward()


@pytest.mark.parametrize("kind", [*ACTIVATIONS, "lstm"])
def test_gradcheck_of_the_loop(kind: str) -> None:
    tensors = {n: t.double() for n, t in arguments(kind, 2, 1, 2, 2, 3).items()}
    leaves = tuple(t.requires_grad_() for t in tensors.values())
    names = tuple(tensors)
    function: Any = lambda *values: run(kind, dict(zip(names, values, strict=True)))
    assert torch.autograd.gradcheck(function, leaves)
    if kind in ("tanh", "lstm"):
        assert torch.autograd.gradgradcheck(function, leaves)


def test_other_types_and_an_empty_batch_take_the_loop() -> None:
    tensors = arguments("rnn", 4, 2, 5, 10, 3)
    for dtype in (torch.float64, torch.bfloat16):
        other = recurrence(**{name: tensor.to(dtype) for name, tensor in tensors.items()})
        assert other.dtype == dtype
    empty = tensors | {"x": tensors["x"][:, :0], "h_init": tensors["h_init"][:, :0]}
    assert recurrence(**empty).shape == (5, 0, 3, 4)


def test_what_does_not_fit_is_refused_with_its_name() -> None:
    tensors = arguments("lstm", 5, 3, 2, 4, 6)
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
        recurrence(**{name: tensors[name] for name in NAMES[:5]})
    plain = arguments("rnn", 4, 2, 2, 4, 6)
    with pytest.raises(ValueError, match="activation must be one of relu"):
        recurrence(**plain, activation="swish")


def test_the_package_stays_light() -> None:
    script = (
        "import sys, urnn.recurrence as r; "
        "assert not {'torch', 'numba'} & set(sys.modules); "
        "from urnn.recurrence import recurrence, lstm; assert 'numba' not in sys.modules; "
        "r.nothing"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert "has no attribute 'nothing'" in result.stderr


def test_modrelu_from_a_zero_state_is_odd() -> None:
    """h(-x) = -h(x): no such network learns the even part of a map."""
    tensors = arguments("modrelu", 8, 2, 3, 5, 30)
    tensors["b"] *= 0.3
    tensors["h_init"] *= 0
    (states_,) = run("modrelu", tensors)
    (of_minus_x,) = run("modrelu", tensors | {"x": -tensors["x"]})
    torch.testing.assert_close(of_minus_x, -states_)
    assert states_.abs().max() > 0.1
