"""What both compiled drivers do with a tile: forward through time, and a reduction on the way back;
and the kernels of one time step of a cell, wrapped for Numba.

In lanes: X (time, input, row), H (time + 1, unit, row) the states with the initial one first,
A (time + 1, unit, kept, row) what a cell keeps of each step, D (step, gate row, row) the gradients
of a chunk's sums and DI those of the input's side, which is D but for a cell whose sums are split.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np

from urnn.recurrence import vector
from urnn.recurrence.cache import part_of_kernel
from urnn.recurrence.cells.base import Cell
from urnn.recurrence.lanes import Layout
from urnn.recurrence.vector import LANES, micro_kernel

_FORWARD = "W F b b_h X x H before after A kept_before kept_after HIDDEN INPUT VECTORS MODELS TILE"
_BACKWARD = (
    "WT b D later now DI H before h A kept_before kept_after carried "
    "HIDDEN ROWS VECTORS MODELS TILE"
)
#: every slot of time, or two that take turns: t & mask is the slot of time t
ALL, TWO = np.int64(-1), np.int64(1)


@cache
def backward_step(cell: Cell, given: bool) -> Any:
    """One step back of a cell, from the gradients of all states where they are given.

    Else it is from the readout's: C^T E[error], of OUTPUT outputs; 0 leaves it out.
    """
    more = "G upstream" if given else "CT E error OUTPUT"
    return micro_kernel(f"{_BACKWARD} {more}", cell)(cell.emit_backward)


@cache
def forward_sweep(
    cell: Cell, hidden_units: int, input_size: int, layout: Layout, output_size: int = 0
) -> Any:
    """A part (weights, X, H, A, Y, length, all_states, all_kept) of the states of a tile.

    weights are `lanes.Parameters`. The masks say whether all of H and A is kept; a
    readout of ``output_size`` goes to Y (time, output, row), or there is none.
    """
    HIDDEN, INPUT, OUTPUT = hidden_units, input_size, output_size
    VECTORS, MODELS = layout.vectors, layout.models
    TILE, UNIT_TILE = layout.tile(), layout.tile(cell.accumulators)
    STATE, IN, OUT = (size * VECTORS * LANES for size in (HIDDEN, INPUT, OUTPUT))
    KEPT = cell.kept * STATE
    step = micro_kernel(_FORWARD, cell)(cell.emit_forward)

    def forward(weights, X, H, A, Y, length, all_states, all_kept):
        W, F, b, b_h = weights.W, weights.F, weights.b, weights.b_h
        for t in range(length):
            before, after = (t & all_states) * STATE, ((t + 1) & all_states) * STATE
            kept_before, kept_after = (t & all_kept) * KEPT, ((t + 1) & all_kept) * KEPT
            step(
                W, F, b, b_h, X, t * IN, H, before, after, A, kept_before, kept_after,
                HIDDEN, INPUT, VECTORS, MODELS, UNIT_TILE,
            )  # fmt: skip
            if OUTPUT:
                vector.readout(
                    weights.C, weights.d, H, after, Y, t * OUT,
                    HIDDEN, OUTPUT, VECTORS, MODELS, TILE,
                )  # fmt: skip

    return part_of_kernel(forward)


@cache
def reduction(cell: Cell, hidden_units: int, input_size: int, layout: Layout) -> Any:
    """A part (sums, D, DI, H, X, begin, steps): += the gradients of a chunk of time steps.

    sums are the gradients of `lanes.Parameters`; the chunk starts at step ``begin``.
    """
    HIDDEN, INPUT, VECTORS = hidden_units, input_size, layout.vectors
    ROWS, SPLIT = cell.gates * HIDDEN, int(cell.split)
    STATE, IN = HIDDEN * VECTORS * LANES, INPUT * VECTORS * LANES
    add_bias = micro_kernel("total D H h steps HIDDEN ROWS VECTORS", cell)(cell.emit_bias_gradient)

    def reduce(sums, D, DI, H, X, begin, steps):
        vector.add_outer(sums.W, D, 0, H, begin * STATE, steps, ROWS, HIDDEN, VECTORS)
        vector.add_outer(sums.F, DI, 0, X, begin * IN, steps, ROWS, INPUT, VECTORS)
        add_bias(sums.b, DI, H, (begin + 1) * STATE, steps, HIDDEN, ROWS, VECTORS)
        if SPLIT:
            vector.add_rows(sums.b_h, D, 0, steps, ROWS, VECTORS)

    return part_of_kernel(reduce)
