"""Compiled kernels of the states alone: forward, and backward from the gradients of all states.

The sweep forward and the reduction are those of `cpu`, but there is no readout and no loss: what
comes back through time is whatever a caller's own loss gives. Used by `urnn.recurrence.operators`;
arrays are float32 in C order, R replicas and B trials of each:

    x (R, B, time, input), states (R, B, time, n), initial and last states (R, B, 1, n),
    theta (R, K): W, F, b and the other parameters of the gates, one after the other.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from urnn.recurrence import Spec, lanes, vector
from urnn.recurrence.cache import kept_kernel, part_of_kernel
from urnn.recurrence.cells.base import Cell
from urnn.recurrence.lanes import Layout
from urnn.recurrence.sweeps import ALL, TWO, backward_step, forward_sweep, reduction
from urnn.recurrence.vector import LANES


def layout(cell: Cell, hidden_units: int, replicas: int, batch: int) -> Layout:
    """The layout that takes fewer vectors: models side by side, or each of them alone.

    States are the same bits in both; gradients differ in rounding, by the order of their sums.
    """
    alone = max(hidden_units, lanes.ALONE_FROM)
    layouts = lanes.layout(cell, hidden_units, batch), lanes.layout(cell, alone, batch)
    return min(layouts, key=lambda p: (-(-replicas // p.models) * p.vectors * p.tiles, p.models))


def gate_parameters(cell: Cell) -> list[str]:
    """The names of the parameters that theta has here, in their order."""
    names = [name for name in cell.dimensions if name not in cell.initial_states]
    return [name for name in names if name not in ("C", "d")]


@cache
def _places(cell: Cell, hidden_units: int, inputs: int) -> tuple[NDArray, NDArray]:
    """Where the parameters lie, see `urnn.recurrence.lanes`."""
    sizes = hidden_units, inputs, 1
    return lanes.table(cell, sizes, gate_parameters(cell)), lanes.starts(cell, sizes)


@cache
def _forward(cell: Cell, hidden_units: int, inputs: int, layout: Layout) -> Any:
    """The kernel of `forward`."""
    HIDDEN, INPUT = hidden_units, inputs
    VECTORS, MODELS, TRIALS = layout.vectors, layout.models, layout.trials
    COUNT = int(_places(cell, HIDDEN, INPUT)[1][4])
    STATE, IN, CELL = (
        HIDDEN * VECTORS * LANES,
        INPUT * VECTORS * LANES,
        len(cell.initial_states) - 1,
    )
    VALUES, KEPT = cell.kept, cell.kept * STATE
    sweep = forward_sweep(cell, HIDDEN, INPUT, layout)

    def forward(
        theta, x, h_init, c_init, dataset, trials, table, at, keep, states, c_last, H_kept, A_kept
    ):  # fmt: skip
        replicas, batch, length, _ = x.shape
        buffer = lanes.floats(COUNT * MODELS)
        weights = lanes.views(buffer, at, np.int64(MODELS))
        X, c = lanes.floats(length * IN), lanes.floats(STATE)
        tiles = -(-batch // (VECTORS * TRIALS))
        one, units, row = np.int64(1), np.int64(HIDDEN), np.int64(VECTORS * LANES)
        for group in range(-(-replicas // MODELS)):
            lanes.load(theta, table, group, np.int64(MODELS), buffer)
            for tile in range(tiles):
                place = (group, tile, np.int64(VECTORS), np.int64(MODELS))
                first = (group * tiles + tile) * (length + 1) if keep else 0
                H, A = H_kept[first * STATE :], A_kept[first * KEPT :]
                lanes.gather(x, dataset, trials, one - 1, length, place, X)
                lanes.gather(h_init, dataset, trials, one - 1, one, place, H)
                if CELL:
                    lanes.gather(c_init, dataset, trials, one - 1, one, place, c)
                    lanes.put_cell(c, units, row, np.int64(VALUES), A)
                slots = ALL if keep else TWO
                sweep(weights, X, H, A, X, length, ALL, slots)
                lanes.release(H[STATE:], place, states)
                if CELL:
                    lanes.take_cell(A[(length & slots) * KEPT :], units, row, np.int64(VALUES), c)
                    lanes.release(c, place, c_last)

    return kept_kernel(forward)


@cache
def _back_through_time(cell: Cell, hidden_units: int, inputs: int, layout: Layout) -> Any:
    """A part for the time steps of a tile, last to first: adds to sums, leaves D, carried, DX."""
    HIDDEN, INPUT, CHUNK, TILE = hidden_units, inputs, layout.chunk, layout.tile()
    VECTORS, MODELS, ROWS = layout.vectors, layout.models, cell.gates * HIDDEN
    STATE, IN, AHEAD = (size * VECTORS * LANES for size in (HIDDEN, INPUT, ROWS))
    KEPT, LAST = cell.kept * STATE, CHUNK * AHEAD
    step = backward_step(cell, given=True)
    reduce = reduction(cell, HIDDEN, INPUT, layout)

    def back(d_states, dataset, trials, place, wanted, weights, kept, sums, work):
        WT, FT, b, nothing = weights
        X, H, A = kept
        G, D, DI, DX, carried = work
        lanes.fill(D[LAST:], np.float32(0))
        stop = d_states.shape[2]
        while stop > 0:
            begin = max(0, stop - CHUNK)
            steps = stop - begin
            lanes.gather(d_states, dataset, trials, begin, steps, place, G)
            lanes.silence(G, steps * HIDDEN, trials.shape[1], place)
            for k in range(steps - 1, -1, -1):
                t = begin + k
                later = LAST if k == steps - 1 else (k + 1) * AHEAD
                step(
                    WT, b, D, later, k * AHEAD, DI, H, t * STATE, (t + 1) * STATE,
                    A, t * KEPT, (t + 1) * KEPT, carried,
                    HIDDEN, ROWS, VECTORS, MODELS, TILE, G, k * STATE,
                )  # fmt: skip
                if wanted:
                    vector.readout(
                        FT, nothing, DI, k * AHEAD, DX, t * IN, ROWS, INPUT, VECTORS, MODELS, TILE
                    )
            reduce(sums, D, DI, H, X, begin, steps)
            lanes.copy(D, D[LAST:])
            stop = begin

    return part_of_kernel(back)


@cache
def _backward(cell: Cell, hidden_units: int, inputs: int, layout: Layout) -> Any:
    """The kernel of `backward`."""
    HIDDEN, INPUT = hidden_units, inputs
    VECTORS, MODELS, TRIALS, TILE = layout.vectors, layout.models, layout.trials, layout.tile()
    COUNT, ROWS = int(_places(cell, HIDDEN, INPUT)[1][4]), cell.gates * HIDDEN
    CARRIED, CELL, SPLIT = int(cell.carried), len(cell.initial_states) - 1, int(cell.split)
    STATE, IN, AHEAD = (size * VECTORS * LANES for size in (HIDDEN, INPUT, ROWS))
    KEPT, LAST, GIVEN = cell.kept * STATE, layout.chunk * AHEAD, layout.chunk * STATE
    NOTHING = max(HIDDEN, INPUT) * MODELS
    back = _back_through_time(cell, HIDDEN, INPUT, layout)

    def backward(
        theta, x, dataset, trials, table, at, H_kept, A_kept, d_states, dc_last, wanted,
        gradient, dh_init, dc_init, dx,
    ):  # fmt: skip
        replicas, batch, length, _ = x.shape
        one, units, models = np.int64(1), np.int64(HIDDEN), np.int64(MODELS)
        buffer, sum_buffer = lanes.floats(COUNT * MODELS), lanes.floats(COUNT * LANES)
        weights = lanes.views(buffer, at, models)
        sums = lanes.views(sum_buffer, at, np.int64(LANES))
        WT, FT = lanes.floats(ROWS * HIDDEN * MODELS), lanes.floats(ROWS * INPUT * MODELS)
        nothing = np.zeros(NOTHING, np.float32)
        X, G, D = lanes.floats(length * IN), lanes.floats(GIVEN), lanes.floats(LAST + AHEAD)
        DI, DX = lanes.floats(LAST) if SPLIT else D, lanes.floats(length * IN if wanted else 0)
        DH, carried = lanes.floats(STATE), lanes.floats(STATE)
        work, transposed = (G, D, DI, DX, carried), (WT, FT, weights.b, nothing)
        tiles = -(-batch // (VECTORS * TRIALS))
        for group in range(-(-replicas // MODELS)):
            lanes.load(theta, table, group, models, buffer)
            lanes.transpose(weights.W, np.int64(ROWS), units, models, WT)
            lanes.transpose(weights.F, np.int64(ROWS), np.int64(INPUT), models, FT)
            lanes.fill(sum_buffer, np.float32(0))
            for tile in range(tiles):
                place = (group, tile, np.int64(VECTORS), models)
                first = (group * tiles + tile) * (length + 1)
                kept = (X, H_kept[first * STATE :], A_kept[first * KEPT :])
                lanes.gather(x, dataset, trials, one - 1, length, place, X)
                lanes.fill(carried, np.float32(0))
                if CELL:
                    lanes.gather(dc_last, dataset, trials, one - 1, one, place, carried)
                    lanes.silence(carried, units, batch, place)
                back(
                    d_states, dataset, trials, place, wanted, transposed, kept, sums, work,
                )  # fmt: skip
                vector.readout(WT, nothing, D, LAST, DH, 0, ROWS, HIDDEN, VECTORS, MODELS, TILE)
                if CELL:
                    lanes.release(carried, place, dc_init)
                elif CARRIED:
                    lanes.add(carried, DH)
                lanes.release(DH, place, dh_init)
                if wanted:
                    lanes.release(DX, place, dx)
            lanes.unload(sum_buffer, table, group, models, gradient)

    return kept_kernel(backward)


def _which(replicas: int, batch: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Every replica's own trials, all of them, as `urnn.recurrence.lanes.gather` takes them."""
    return np.arange(replicas), np.ascontiguousarray(np.tile(np.arange(batch), (replicas, 1)))


def kept_rows(spec: Spec, replicas: int, batch: int) -> tuple[int, int]:
    """How many tiles there are, and the length of a row of H for one of their time steps."""
    shape = layout(spec.cell, spec.hidden_units, replicas, batch)
    return -(-replicas // shape.models) * shape.tiles, spec.hidden_units * shape.vectors * LANES


def forward(
    spec: Spec, theta: NDArray, x: NDArray, initial: tuple[NDArray, ...], keep: bool
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """(states, c_last (R, B, 1, n), H, A): what the states are, and what `backward` needs of them.

    Arrays as in the module's docstring; ``initial`` are the states that the cell has, h first. H
    and A are in the layout of the vectors: all states, and all values that the cell keeps. Unless
    ``keep``, they are room for one tile, of no use to `backward`. c_last is empty for a cell
    without a cell state.
    """
    replicas, batch, length, inputs = x.shape
    cell, n = spec.cell, spec.hidden_units
    shape = layout(cell, n, replicas, batch)
    tiles, state = kept_rows(spec, replicas, batch)
    tiles = tiles if keep else 1
    H = np.empty(tiles * (length + 1) * state, np.float32)
    A = np.empty((tiles * (length + 1) if keep else 2) * cell.kept * state, np.float32)
    states = np.empty((replicas, batch, length, n), np.float32)
    has_cell = len(initial) > 1
    c_last = np.empty(initial[0].shape if has_cell else (0, 0, 0, 0), np.float32)
    _forward(cell, n, inputs, shape)(
        theta, x, initial[0], initial[1] if has_cell else c_last, *_which(replicas, batch),
        *_places(cell, n, inputs), keep, states, c_last, H, A,
    )  # fmt: skip
    return states, c_last, H, A


def backward(
    spec: Spec,
    theta: NDArray,
    x: NDArray,
    H: NDArray,
    A: NDArray,
    d_states: NDArray,
    dc_last: NDArray | None,
    wanted: bool,
) -> tuple[NDArray[np.float32], ...]:
    """(dtheta, dh_init, dc_init, dx) from the gradients of all states and of the last cell state.

    H and A come from `forward`; each gradient has the shape of what it belongs to. dc_init is empty
    for a cell without a cell state, and dx unless it is ``wanted``.
    """
    replicas, batch, _, inputs = x.shape
    cell, n = spec.cell, spec.hidden_units
    dh_init = np.empty((replicas, batch, 1, n), np.float32)
    dc_init = np.empty((0, 0, 0, 0) if dc_last is None else dh_init.shape, np.float32)
    dx = np.empty(x.shape if wanted else (0, 0, 0, 0), np.float32)
    gradient = np.empty_like(theta)
    _backward(cell, n, inputs, layout(cell, n, replicas, batch))(
        theta, x, *_which(replicas, batch), *_places(cell, n, inputs), H, A, d_states,
        dc_init if dc_last is None else dc_last, wanted, gradient, dh_init, dc_init, dx,
    )  # fmt: skip
    return gradient, dh_init, dc_init, dx
