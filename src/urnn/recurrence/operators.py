"""The states of a stack of networks as operators of torch: `urnn::states` and its backward pass.

    urnn::states           theta, x, h_init, c_init -> all states, last cell state, what is kept
    urnn::states_backward  the same, what is kept and upstream gradients -> gradients of the four

theta (R, K) holds the parameters of the gates, one after the other; x (R, B, time, m); initial and
last states (R, B, n), empty for a cell without a cell state. A cell goes in as the text of its
settings, for an operator takes no Python object. Both have shapes for torch.compile and
torch.export, and a rule for torch.func.vmap: a batch of stacks is a larger stack. The backward pass
is differentiable too, by torch's loop over time, to every order.

float32 on the CPU or an NVIDIA GPU takes compiled kernels; `takes_kernels` says where.
"""

from __future__ import annotations

import contextlib
import json
import logging
import math
import time
from collections.abc import Iterator
from functools import cache
from typing import Any

import torch
from torch import Tensor

from urnn.errors import ArgumentError
from urnn.recurrence import Spec, reference
from urnn.recurrence.cells import POINT
from urnn.recurrence.cells.base import Cell
from urnn.recurrence.kernels import (
    KERNELS,
    Kernels,
    find_kernels,
    takes_size,
    usable_kernels,
)

logger = logging.getLogger("urnn")


_CELLS: dict[str, Cell] = {}


@cache
def key_of(cell: Cell) -> str:
    """The text by which an operator knows a cell."""
    key = json.dumps(cell.model_dump(), sort_keys=True)
    name = cell.model_dump().get(POINT.key)
    if name not in POINT.names or type(cell) is not POINT.plug(name):
        # somebody's own, which another process does not know
        key += f" of {type(cell).__module__}.{type(cell).__qualname__}"
    _CELLS.setdefault(key, cell)
    return key


def cell_of(key: str) -> Cell:
    """The cell of a text, also of another process.

    Raises:
        ConfigError: there is no such cell.
    """
    if key not in _CELLS:
        options = json.loads(key)
        _CELLS[key] = POINT.make(options.pop(POINT.key), **options)
    return _CELLS[key]


@cache
def _spec_of(key: str, hidden_units: int, input_size: int) -> Spec:
    # what is read out does not matter
    return Spec(cell_of(key), hidden_units, input_size, 1)


@cache
def _entries(key: str, hidden_units: int, input_size: int) -> int:
    """K, the number of the gates' parameters."""
    cell = cell_of(key)
    shapes = cell.parameter_shapes(hidden_units, input_size, 1)
    others = ("C", "d", *cell.initial_states)
    return sum(math.prod(shape) for name, shape in shapes.items() if name not in others)


def _spec(key: str, x: Tensor, h_init: Tensor) -> Spec:
    return _spec_of(key, int(h_init.shape[-1]), int(x.shape[-1]))


def takes_kernels(key: str, x: Tensor) -> bool:
    """Whether kernels compute a cell's states for such an x (..., batch, time, m)."""
    if x.device.type not in KERNELS or 0 in x.shape:
        return False
    if torch.compiler.is_compiling():
        # the operator itself takes the loop where a GPU has no kernels
        return x.dtype == torch.float32
    kernels = find_kernels(cell_of(key), x.device)
    return kernels is not None and x.dtype == kernels.dtype


def loop(
    cell: Cell, theta: Tensor, x: Tensor, h_init: Tensor, *c_init: Tensor
) -> tuple[Tensor, ...]:
    """All states and, of a cell that has one, the last cell state, by torch's loop over time."""
    shapes = cell.parameter_shapes(h_init.shape[-1], x.shape[-1], 1)
    names = [name for name in shapes if name not in ("C", "d", *cell.initial_states)]
    parts = theta.split([math.prod(shapes[name]) for name in names], dim=1)
    parameters = {
        name: part.reshape(len(theta), *shapes[name])
        for name, part in zip(names, parts, strict=True)
    }
    states, last = reference.states(cell, parameters, x, (h_init, *c_init))
    return states, *last[1:]


_SEEN: set[tuple[Any, ...]] = set()


@contextlib.contextmanager
def _said(what: str, kernels: Kernels, spec: Spec, x: Tensor) -> Iterator[None]:
    """Say once for a size that its kernels are compiled, and how long the first call took."""
    replicas, batch = x.shape[:2]
    # without a hash of the settings, which takes longer than a small kernel
    size: tuple[Any, ...] = (what, x.device, id(spec), replicas, batch)
    if size in _SEEN:
        yield
        return
    _SEEN.add(size)
    compiled = (what, x.device, spec, kernels.layout(spec, replicas, batch))
    if compiled in _SEEN:
        yield
        return
    _SEEN.add(compiled)
    name = f"{what} kernel of {spec.cell.tag}, {spec.hidden_units} hidden units"
    logger.info("the %s, is compiled for this size on %s, or loaded", name, x.device)
    begin = time.perf_counter()
    yield
    logger.info("the %s, is ready after %.1f s", name, time.perf_counter() - begin)


def _check(cell: str, spec: Spec, theta: Tensor, x: Tensor, h_init: Tensor, c_init: Tensor) -> None:
    """Refuse what the kernels would read out of bounds.

    Raises:
        ArgumentError: names the tensor, the shape it must have, and what it has.
    """
    replicas, batch = x.shape[:2]
    state = (replicas, batch, spec.hidden_units)
    wanted = {
        "theta": (replicas, _entries(cell, spec.hidden_units, spec.input_size)),
        "h_init": state,
    }
    given = {"theta": theta, "h_init": h_init}
    if spec.cell.has_cell_state:
        wanted["c_init"], given["c_init"] = state, c_init
    for name, shape in wanted.items():
        if tuple(given[name].shape) != shape:
            raise ArgumentError(
                f"{name} must have the shape {shape}, but it has {tuple(given[name].shape)}"
            )


# the operators


def _forward(
    theta: Tensor, x: Tensor, h_init: Tensor, c_init: Tensor, cell: str, keep: bool
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """All states (R, B, time, n), the last cell state (R, B, n), and two tensors that are kept."""
    spec = _spec(cell, x, h_init)
    has_cell, none = spec.cell.has_cell_state, x.new_empty(0)
    kernels = usable_kernels(spec, x)
    if kernels is None:
        found = loop(spec.cell, theta, x, h_init, *([c_init] if has_cell else []))
        return found[0], found[1].clone() if has_cell else none, x.new_empty(0), x.new_empty(0)
    _check(cell, spec, theta, x, h_init, c_init)
    with _said("forward", kernels, spec, x):
        states, last, *kept = kernels.forward(
            spec, keep, theta, x, h_init, c_init if has_cell else None
        )
    return states, none if last is None else last, kept[0], kept[1]


# schemas in words: torch before 2.5 reads no annotations that are text
states_op = torch.library.custom_op(
    "urnn::states",
    _forward,
    mutates_args=(),
    schema="(Tensor theta, Tensor x, Tensor h_init, Tensor c_init, str cell, bool keep)"
    " -> (Tensor, Tensor, Tensor, Tensor)",
)


@states_op.register_fake
def _(
    theta: Tensor, x: Tensor, h_init: Tensor, c_init: Tensor, cell: str, keep: bool
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    replicas, batch, length, _ = x.shape
    shapes: tuple[tuple[Any, ...], tuple[Any, ...]] = ((0,), (0,))
    states = x.new_empty(replicas, batch, length, h_init.shape[-1])
    spec = _spec(cell, x, h_init)
    kernels = find_kernels(spec.cell, x.device)
    if kernels is not None and x.dtype == kernels.dtype and takes_size(kernels, spec, x):
        if kernels.time_first:
            states = x.new_empty(replicas, length, batch, h_init.shape[-1]).transpose(1, 2)
        if keep:
            shapes = kernels.kept_shapes(spec, int(replicas), int(batch), length)
    kept_1, kept_2 = (x.new_empty(shape) for shape in shapes)
    return states, c_init.new_empty(c_init.shape), kept_1, kept_2


def _backward(
    theta: Tensor,
    x: Tensor,
    h_init: Tensor,
    c_init: Tensor,
    kept_1: Tensor,
    kept_2: Tensor,
    d_states: Tensor,
    dc_last: Tensor,
    cell: str,
    wanted: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Gradients of theta, x (empty unless it is wanted), h_init and c_init.

    The states are computed again where nothing was kept.
    """
    spec = _spec(cell, x, h_init)
    has_cell, none = spec.cell.has_cell_state, x.new_empty(0)
    kernels = usable_kernels(spec, x)
    if kernels is None:
        given = [theta, x, h_init, *([c_init] if has_cell else [])]
        upstream = [d_states, *([dc_last] if has_cell else [])]
        found = list(_gradients(spec.cell, given, upstream))
        return found[0], found[1] if wanted else none, found[2], [*found, x.new_empty(0)][3]
    _check(cell, spec, theta, x, h_init, c_init)
    kept = kept_1, kept_2
    if not kept_1.numel():
        initial = (h_init, c_init if has_cell else None)
        with _said("forward", kernels, spec, x):
            kept = kernels.forward(spec, True, theta, x, *initial)[2:]
    with _said("backward", kernels, spec, x):
        d_theta, dx, dh, dc = kernels.backward(
            spec, theta, x, kept, d_states, dc_last if has_cell else None, wanted
        )
    return d_theta, dx if wanted else none, dh, x.new_empty(0) if dc is None else dc


states_backward_op = torch.library.custom_op(
    "urnn::states_backward",
    _backward,
    mutates_args=(),
    schema="(Tensor theta, Tensor x, Tensor h_init, Tensor c_init, Tensor kept_1, Tensor kept_2,"
    " Tensor d_states, Tensor dc_last, str cell, bool wanted) -> (Tensor, Tensor, Tensor, Tensor)",
)


@states_backward_op.register_fake
def _(
    theta: Tensor, x: Tensor, h_init: Tensor, c_init: Tensor, kept_1: Tensor, kept_2: Tensor,
    d_states: Tensor, dc_last: Tensor, cell: str, wanted: bool,
) -> tuple[Tensor, Tensor, Tensor, Tensor]:  # fmt: skip
    shapes = theta.shape, x.shape if wanted else (0,), h_init.shape, c_init.shape
    first, second, third, fourth = (x.new_empty(shape) for shape in shapes)
    return first, second, third, fourth


# their derivatives


def _keep_for_backward(ctx: Any, inputs: Any, output: Any) -> None:
    theta, x, h_init, c_init, ctx.cell, _ = inputs
    ctx.save_for_backward(theta, x, h_init, c_init, *output[2:])
    ctx.set_materialize_grads(False)
    ctx.mark_non_differentiable(*output[2:], *([] if c_init.numel() else [output[1]]))


def _states_gradient(ctx: Any, d_states: Any, dc_last: Any, *_: Any) -> tuple[Any, ...]:
    theta, x, h_init, c_init, *kept = ctx.saved_tensors
    if d_states is None:
        d_states = x.new_zeros(*x.shape[:3], h_init.shape[-1])
    if dc_last is None:
        dc_last = torch.zeros_like(c_init)
    needs = ctx.needs_input_grad
    found = _states_backward(
        theta, x, h_init, c_init, *kept, d_states, dc_last, ctx.cell, bool(needs[1])
    )
    return *(part if need else None for part, need in zip(found, needs, strict=False)), None, None


def _gradients(cell: Cell, given: list[Tensor], upstream: list[Tensor]) -> tuple[Tensor, ...]:
    """Of theta, x and the initial states by the loop; differentiable to every order."""
    found: tuple[Tensor, ...]
    pull: Any = torch.func.vjp(lambda *values: loop(cell, *values), *given)[1]
    found = pull(tuple(upstream))
    return found


def _keep_for_second(ctx: Any, inputs: Any, output: Any) -> None:
    theta, x, h_init, c_init, _, _, d_states, dc_last, ctx.cell, _ = inputs
    ctx.save_for_backward(theta, x, h_init, c_init, d_states, dc_last)
    ctx.set_materialize_grads(False)


def _second_gradient(ctx: Any, *upstream: Any) -> tuple[Any, ...]:
    """The gradients of the gradients, of theta, x, the initial states and what was upstream."""
    theta, x, h_init, c_init, d_states, dc_last = ctx.saved_tensors
    cell = cell_of(ctx.cell)
    number = 2 + len(cell.initial_states)
    given = [theta, x, h_init, c_init][:number]
    outer = [d_states, dc_last][: number - 2]
    # of x there is none unless its gradient was wanted
    weights = [
        torch.zeros_like(one) if weight is None or weight.shape != one.shape else weight
        for one, weight in zip(given, upstream, strict=False)
    ]
    pull: Any = torch.func.vjp(
        lambda *values: _gradients(cell, list(values[:number]), list(values[number:])),
        *given, *outer,
    )[1]  # fmt: skip
    found = list(pull(tuple(weights)))
    initial, above = found[2:number], found[number:]
    initial, above = ([*part, None][:2] for part in (initial, above))
    return *found[:2], *initial, None, None, *above, None, None


states_op.register_autograd(_states_gradient, setup_context=_keep_for_backward)
states_backward_op.register_autograd(_second_gradient, setup_context=_keep_for_second)


# a batch of stacks is a larger stack


def _joined(size: int, tensors: tuple[Tensor, ...], dims: tuple[int | None, ...]) -> list[Tensor]:
    """Each of the tensors with the batch's axis and the replicas' as one; empty ones stay."""
    found = []
    for tensor, dim in zip(tensors, dims, strict=True):
        if dim is None and tensor.ndim == 1:
            found.append(tensor)
            continue
        moved = tensor.expand(size, *tensor.shape) if dim is None else tensor.movedim(dim, 0)
        found.append(moved[0] if moved.ndim == 2 else moved.flatten(0, 1))
    return found


def _parted(size: int, tensors: tuple[Tensor, ...]) -> tuple[list[Tensor], list[int | None]]:
    """The reverse, with the axis of each."""
    dims = [None if tensor.ndim == 1 else 0 for tensor in tensors]
    parts = [
        t if d is None else t.unflatten(0, (size, -1)) for t, d in zip(tensors, dims, strict=True)
    ]
    return parts, dims


def _states_vmap(info: Any, dims: Any, *inputs: Any) -> Any:
    *tensors, cell, keep = inputs
    joined = _joined(info.batch_size, tuple(tensors), dims[:4])
    # what requires a gradient outside of vmap does not show inside
    keep |= torch.is_grad_enabled() and any(tensor.requires_grad for tensor in joined)
    states, last, *kept = _states(*joined, cell, keep)
    parts, of_parts = _parted(info.batch_size, (states, last))
    # what is kept is of the whole stack, and only the rule of the backward pass reads it
    return (*parts, *kept), (*of_parts, None, None)


def _backward_vmap(info: Any, dims: Any, *inputs: Any) -> Any:
    size = info.batch_size
    *given, kept_1, kept_2, d_states, dc_last, cell, wanted = inputs
    if all(dim is None for dim in dims[:4]):
        # many gradients of one stack: it is another stack now
        kept_1, kept_2 = kept_1.new_empty(0), kept_2.new_empty(0)
    joined = _joined(size, tuple(given), dims[:4])
    upstream = _joined(size, (d_states, dc_last), dims[6:8])
    found = _states_backward(*joined, kept_1, kept_2, *upstream, cell, wanted)
    parts, of_parts = _parted(size, found)
    return tuple(parts), tuple(of_parts)


# since torch 2.5; before, they are vmapped as functions alone, outside of torch.compile
if hasattr(states_op, "register_vmap"):
    states_op.register_vmap(_states_vmap)
    states_backward_op.register_vmap(_backward_vmap)


# torch.func.grad takes no operator with a formula of its own, but it takes a function with one;
# outside of torch.compile a function also takes half of an operator's time


def _is_watched(tensors: tuple[Any, ...]) -> bool:
    """Whether a mode, a tracer or a class of tensors must see the operator itself."""
    return (
        torch.compiler.is_compiling()
        or torch._C._len_torch_dispatch_stack() > 0
        or any(type(tensor) not in (Tensor, torch.nn.Parameter) for tensor in tensors)
    )


class _States(torch.autograd.Function):
    """`urnn::states` as a function."""

    @staticmethod
    def forward(*inputs: Any) -> Any:
        return states_op(*inputs) if _is_watched(inputs[:4]) else _forward(*inputs)

    setup_context = staticmethod(_keep_for_backward)
    backward = staticmethod(_states_gradient)
    vmap = staticmethod(_states_vmap)


class _StatesBackward(torch.autograd.Function):
    """`urnn::states_backward` as a function."""

    @staticmethod
    def forward(*inputs: Any) -> Any:
        return states_backward_op(*inputs) if _is_watched(inputs[:8]) else _backward(*inputs)

    setup_context = staticmethod(_keep_for_second)
    backward = staticmethod(_second_gradient)
    vmap = staticmethod(_backward_vmap)


def in_func() -> bool:
    """Whether a transform of torch.func is at work, outside of torch.compile."""
    return not torch.compiler.is_compiling() and torch._C._are_functorch_transforms_active()


def _called(function: Any, operator: Any, kernels: Any, tensors: int, inputs: Any) -> Any:
    """The operator of ``inputs``, of which so many are tensors, or what does the same faster."""
    if in_func():
        return function.apply(*inputs)
    if _is_watched(inputs[:tensors]):
        return operator(*inputs)
    needed = torch.is_grad_enabled() and any(one.requires_grad for one in inputs[:tensors])
    return function.apply(*inputs) if needed else kernels(*inputs)


def _states(*inputs: Any) -> Any:
    return _called(_States, states_op, _forward, 4, inputs)


def _states_backward(*inputs: Any) -> Any:
    # a gradient is needed with create_graph
    return _called(_StatesBackward, states_backward_op, _backward, 8, inputs)


def stack_states(
    key: str, theta: Tensor, x: Tensor, h_init: Tensor, c_init: Tensor | None
) -> tuple[Tensor, Tensor]:
    """All states and the last cell state, empty without one, by `urnn::states`; differentiable."""
    c = x.new_empty(0) if c_init is None else c_init
    if torch.jit.is_tracing() or torch.onnx.is_in_onnx_export():
        # other runtimes know torch's operators alone
        states, *last = loop(cell_of(key), theta, x, h_init, *([] if c_init is None else [c_init]))
        return states, last[0] if last else c
    given = (theta, x, h_init) if c_init is None else (theta, x, h_init, c)
    # an exported program is of every batch, and the layout of what is kept is of one
    exporting = getattr(torch.compiler, "is_exporting", lambda: False)()
    keep = not exporting and torch.is_grad_enabled() and any(one.requires_grad for one in given)
    states, last, _, _ = _states(theta, x, h_init, c, key, keep)
    return states, last
