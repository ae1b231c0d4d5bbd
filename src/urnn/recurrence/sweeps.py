"""What both compiled drivers do with a tile: forward through time, and a reduction on the way back;
and the kernels of one time step of a cell.

In lanes: X (time, input, row), H (time + 1, unit, row) the states with the initial one first,
A (time + 1, unit, kept, row) what a cell keeps of each step, D (step, gate row, row) the gradients
of a chunk's sums and DI those of the input's side, which is D but for a cell whose sums are split.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from urnn.recurrence import vector
from urnn.recurrence.cells.base import Cell
from urnn.recurrence.emitter import LANES, Array, Emitter, Offset
from urnn.recurrence.lanes import Layout, Parameters
from urnn.recurrence.vector import micro_kernel

_FORWARD = "W F b b_h X x H before after A kept_before kept_after HIDDEN INPUT VECTORS MODELS TILE"
_BACKWARD = (
    "WT D later now DI H before h A kept_before kept_after carried HIDDEN ROWS VECTORS MODELS TILE"
)
#: every slot of time, or two that take turns: t & mask is the slot of time t
ALL, TWO = -1, 1


def backward_step(cell: Cell, given: bool) -> Callable[..., None]:
    """One step back of a cell, from the gradients of all states where they are given.

    Else it is from the readout's: C^T E[error], of OUTPUT outputs; 0 leaves it out.
    """
    more = "G upstream" if given else "CT E error OUTPUT"
    return micro_kernel(f"{_BACKWARD} {more}")(cell.emit_backward)


def forward_sweep(
    e: Emitter,
    cell: Cell,
    sizes: tuple[int, int, int],
    layout: Layout,
    weights: Parameters,
    X: Array,
    H: Array,
    A: Array,
    Y: Array,
    steps: Offset,
    all_states: Offset,
    all_kept: Offset,
    begin: Offset = 0,
) -> None:
    """The states of a tile, and its readout to Y (time, output, row), unless it has no outputs.

    So many steps from ``begin`` on; sizes are those of units, inputs and outputs. The masks say
    whether all of H and A is kept.
    """
    HIDDEN, INPUT, OUTPUT = sizes
    VECTORS, MODELS = layout.vectors, layout.models
    TILE, UNIT_TILE = layout.tile(), layout.tile(cell.accumulators)
    STATE, IN, OUT = (size * VECTORS * LANES for size in (HIDDEN, INPUT, OUTPUT))
    KEPT = cell.kept * STATE
    step = micro_kernel(_FORWARD)(cell.emit_forward)
    with e.loop(steps, start=begin) as t:
        before, after = (t & all_states) * STATE, (t + 1 & all_states) * STATE
        kept_before, kept_after = (t & all_kept) * KEPT, (t + 1 & all_kept) * KEPT
        step(
            e, weights.W, weights.F, weights.b, weights.b_h, X, t * IN, H, before, after,
            A, kept_before, kept_after, HIDDEN, INPUT, VECTORS, MODELS, UNIT_TILE,
        )  # fmt: skip
        if OUTPUT:
            vector.readout(
                e, weights.C, weights.d, H, after, Y, t * OUT,
                HIDDEN, OUTPUT, VECTORS, MODELS, TILE,
            )  # fmt: skip


def reduction(
    e: Emitter,
    cell: Cell,
    sizes: tuple[int, int, int],
    layout: Layout,
    sums: Parameters,
    D: Array,
    DI: Array,
    H: Array,
    A: Array,
    X: Array,
    begin: Offset,
    steps: Offset,
) -> None:
    """sums += the gradients of `lanes.Parameters` of a chunk of time steps from ``begin`` on."""
    HIDDEN, INPUT, _ = sizes
    VECTORS, ROWS = layout.vectors, cell.gates * HIDDEN
    STATE, IN = HIDDEN * VECTORS * LANES, INPUT * VECTORS * LANES
    add_bias = micro_kernel("total D A kept steps HIDDEN ROWS VECTORS")(cell.emit_bias_gradient)
    vector.add_outer(e, sums.W, D, 0, H, begin * STATE, steps, ROWS, HIDDEN, VECTORS)
    vector.add_outer(e, sums.F, DI, 0, X, begin * IN, steps, ROWS, INPUT, VECTORS)
    kept = (begin + 1) * cell.kept * STATE
    add_bias(e, sums.b, DI, A, kept, steps, HIDDEN, ROWS, VECTORS)
    if cell.split:
        vector.add_rows(e, sums.b_h, D, 0, steps, ROWS, VECTORS)


@contextmanager
def chunks_back(e: Emitter, length: Offset, chunk: int) -> Iterator[tuple[Offset, Offset]]:
    """The chunks of time steps, last to first: the first step of each, and how many it has."""
    with e.loop(e.parts(length, chunk)) as passed:
        stop = length - passed * chunk
        begin = e.either(stop < chunk, 0, stop - chunk)
        yield begin, stop - begin
