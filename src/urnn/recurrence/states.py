"""Compiled kernels of the states alone: forward, and backward from the gradients of all states.

The sweep forward and the reduction are those of `cpu`, but there is no readout and no loss: what
comes back through time is whatever a caller's own loss gives. Used by `urnn.recurrence.operators`;
arrays are float32 in C order, R replicas and B trials of each:

    x (R, B, time, input), states (R, time, B, n), initial and last states (R, B, 1, n),
    theta (R, K): W, F, b and the other parameters of the gates, one after the other.

The states have time first, as torch's layers give them out. x and the gradients of the states may
be in any order that `_in_rows` does not have to copy.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from urnn.recurrence import Spec, lanes, memory, vector
from urnn.recurrence.cells.base import Cell
from urnn.recurrence.emitter import LANES, Array, Emitter, Int, Offset
from urnn.recurrence.lanes import Layout, Parameters, Room
from urnn.recurrence.native import Floats, Integers, Kernel, Strided
from urnn.recurrence.sweeps import (
    ALL,
    TWO,
    backward_step,
    chunks_back,
    forward_sweep,
    reduction,
)


def layout(cell: Cell, hidden_units: int, replicas: int, batch: int) -> Layout:
    """The layout that takes fewer vectors: models side by side, or each of them alone.

    States are the same bits in both; gradients differ in rounding, by the order of their sums.
    """
    alone = max(hidden_units, lanes.ALONE_FROM)
    layouts = [lanes.layout(cell, units, batch) for units in (hidden_units, alone)]
    return min(layouts, key=lambda p: (-(-replicas // p.models) * p.vectors * p.tiles, p.models))


def gate_parameters(cell: Cell) -> list[str]:
    """The names of the parameters that theta has here, in their order."""
    names = [name for name in cell.dimensions if name not in cell.initial_states]
    return [name for name in names if name not in ("C", "d")]


@cache
def _table(cell: Cell, hidden_units: int, inputs: int) -> NDArray[np.int64]:
    """Where the parameters lie, see `urnn.recurrence.lanes`."""
    return lanes.table(cell, (hidden_units, inputs, 1), gate_parameters(cell))


def _starts(cell: Cell, hidden_units: int, inputs: int) -> Parameters:
    """Where each of them starts in theta; C's is their number."""
    return lanes.starts(cell, (hidden_units, inputs, 1))


def _forward_room(cell: Cell, hidden_units: int, inputs: int, layout: Layout) -> Room:
    """What `forward` needs room for, besides the inputs."""
    count = _starts(cell, hidden_units, inputs).C
    return Room(weights=count * layout.models, c=hidden_units * layout.vectors * LANES)


@cache
def _forward(cell: Cell, hidden_units: int, inputs: int, layout: Layout) -> Kernel:
    """The kernel of `forward`."""
    HIDDEN, INPUT = hidden_units, inputs
    VECTORS, MODELS, TRIALS = layout.vectors, layout.models, layout.trials
    STARTS, PARAMETERS = _starts(cell, HIDDEN, INPUT), len(gate_parameters(cell))
    STATE, ROW, CELL = HIDDEN * VECTORS * LANES, VECTORS * LANES, cell.has_cell_state
    VALUES, KEPT = cell.kept, cell.kept * STATE

    def forward(
        e: Emitter,
        theta: Floats,
        x: Strided,
        of_x: Integers,
        h_init: Floats,
        c_init: Floats,
        dataset: Integers,
        trials: Integers,
        replicas: Offset,
        batch: Offset,
        length: Offset,
        table: Integers,
        keep: Int,
        states: Floats,
        c_last: Floats,
        H_kept: Floats,
        A_kept: Floats,
        room: Floats,
    ) -> None:
        work = _forward_room(cell, HIDDEN, INPUT, layout).views(room)
        weights, X = lanes.views(work.weights, STARTS, MODELS), work.rest
        tiles = e.parts(batch, VECTORS * TRIALS)
        initial, of_states = (lanes.by_step(batch, t, HIDDEN) for t in (1, length))
        slots = e.either(keep.equals(0), TWO, ALL)
        with e.loop(e.parts(replicas, MODELS)) as group:
            lanes.load(e, theta, STARTS.C, replicas, table, PARAMETERS, group, MODELS, work.weights)
            with e.loop(tiles) as tile:
                place, which = (group, tile, VECTORS, MODELS), (dataset, trials, replicas, batch)
                first = (group * tiles + tile) * (length + 1) * keep
                H, A = H_kept[first * STATE :], A_kept[first * KEPT :]
                lanes.gather(e, x, _strides(of_x, INPUT), which, length, place, X)
                lanes.gather(e, h_init, initial, which, 1, place, H)
                if CELL:
                    lanes.gather(e, c_init, initial, which, 1, place, work.c)
                    lanes.put_cell(e, work.c, HIDDEN, ROW, VALUES, A)
                sizes = (HIDDEN, INPUT, 0)
                forward_sweep(e, cell, sizes, layout, weights, X, H, A, X, length, ALL, slots)
                lanes.release(e, H[STATE:], place, replicas, batch, of_states, length, states)
                if CELL:
                    last = A[(length & slots) * KEPT :]
                    lanes.take_cell(e, last, HIDDEN, ROW, VALUES, work.c)
                    lanes.release(e, work.c, place, replicas, batch, initial, 1, c_last)

    return Kernel(forward)


def _back_through_time(
    e: Emitter,
    cell: Cell,
    sizes: tuple[int, int, int],
    layout: Layout,
    given: tuple[Any, ...],
    wanted: Offset,
    sums: Parameters,
    work: Emitter,
    states: tuple[Array, Array, Array, Array],
) -> None:
    """The time steps of a tile, last to first: adds to sums, leaves D, carried and DX.

    given: the gradients of the states, their strides, those of the last cell state, which trials,
    the place and the number of time steps.
    """
    HIDDEN, INPUT, _ = sizes
    CHUNK, TILE = layout.chunk, layout.tile()
    VECTORS, MODELS, ROWS = layout.vectors, layout.models, cell.gates * HIDDEN
    STATE, IN, AHEAD = (size * VECTORS * LANES for size in (HIDDEN, INPUT, ROWS))
    KEPT, LAST = cell.kept * STATE, CHUNK * AHEAD
    step = backward_step(cell, given=True)
    d_states, of_states, dc_last, which, place, length = given
    (*_, batch), (X, H, A, DX) = which, states
    D, G, DI = work.D, work.G, work.DI if cell.split else work.D
    lanes.fill(e, D[LAST:], AHEAD, e.double(0.0))
    lanes.fill(e, work.carried, STATE, e.double(0.0))
    if cell.has_cell_state:
        last = lanes.by_step(batch, 1, HIDDEN)
        lanes.gather(e, dc_last, last, which, 1, place, work.carried)
        lanes.silence(e, work.carried, HIDDEN, batch, place)
    strides = _strides(of_states, HIDDEN)
    bring = lanes.finder(e, d_states, strides, which, place)
    with chunks_back(e, length, CHUNK) as (begin, steps):
        bring(begin, steps, -CHUNK * strides[2], G)
        lanes.silence(e, G, steps * HIDDEN, batch, place)
        with e.loop(steps) as passed:
            k = steps - 1 - passed
            t = begin + k
            later = e.either(passed.equals(0), LAST, (k + 1) * AHEAD)
            step(
                e, work.WT, D, later, k * AHEAD, DI, H, t * STATE, (t + 1) * STATE,
                A, t * KEPT, (t + 1) * KEPT, work.carried,
                HIDDEN, ROWS, VECTORS, MODELS, TILE, G, k * STATE,
            )  # fmt: skip
            with e.when(wanted >= 1):
                vector.readout(
                    e, work.FT, work.nothing, DI, k * AHEAD, DX, t * IN,
                    ROWS, INPUT, VECTORS, MODELS, TILE,
                )  # fmt: skip
        reduction(e, cell, sizes, layout, sums, D, DI, H, A, X, begin, steps)
        lanes.copy(e, D, AHEAD, D[LAST:])


def _backward_room(cell: Cell, hidden_units: int, inputs: int, layout: Layout) -> Room:
    """What `backward` needs room for, besides the inputs and their gradients."""
    count, rows = _starts(cell, hidden_units, inputs).C, cell.gates * hidden_units
    row, models = layout.vectors * LANES, layout.models
    chunk = layout.chunk * rows * row
    return Room(
        weights=count * models,
        sums=count * LANES,
        WT=rows * hidden_units * models,
        FT=rows * inputs * models,
        nothing=max(hidden_units, inputs) * models,
        G=layout.chunk * hidden_units * row,
        D=chunk + rows * row,
        DI=chunk if cell.split else 0,
        DH=hidden_units * row,
        carried=hidden_units * row,
    )


def _initial_gradients(
    e: Emitter,
    cell: Cell,
    hidden_units: int,
    layout: Layout,
    work: Emitter,
    place: tuple[Any, ...],
    which: tuple[Any, ...],
    dh_init: Array,
    dc_init: Array,
) -> None:
    """The gradients of the initial states of a tile, from D of the first step and carried."""
    rows, (*_, replicas, batch) = cell.gates * hidden_units, which
    row = layout.vectors * LANES
    first = layout.chunk * rows * row
    vector.readout(
        e, work.WT, work.nothing, work.D, first, work.DH, 0,
        rows, hidden_units, layout.vectors, layout.models, layout.tile(),
    )  # fmt: skip
    initial = lanes.by_step(batch, 1, hidden_units)
    if cell.has_cell_state:
        lanes.release(e, work.carried, place, replicas, batch, initial, 1, dc_init)
    elif cell.carried:
        lanes.add(e, work.carried, hidden_units * row, work.DH)
    lanes.release(e, work.DH, place, replicas, batch, initial, 1, dh_init)


@cache
def _backward(cell: Cell, hidden_units: int, inputs: int, layout: Layout) -> Kernel:
    """The kernel of `backward`."""
    HIDDEN, INPUT, ROWS = hidden_units, inputs, cell.gates * hidden_units
    VECTORS, MODELS, TRIALS = layout.vectors, layout.models, layout.trials
    STARTS, PARAMETERS = _starts(cell, HIDDEN, INPUT), len(gate_parameters(cell))
    COUNT, NOTHING = STARTS.C, max(HIDDEN, INPUT) * MODELS
    STATE, IN, KEPT = (k * VECTORS * LANES for k in (HIDDEN, INPUT, cell.kept * HIDDEN))

    def backward(
        e: Emitter,
        theta: Floats,
        x: Strided,
        of_x: Integers,
        dataset: Integers,
        trials: Integers,
        replicas: Offset,
        batch: Offset,
        length: Offset,
        table: Integers,
        H_kept: Floats,
        A_kept: Floats,
        d_states: Strided,
        of_states: Integers,
        dc_last: Floats,
        wanted: Offset,
        gradient: Floats,
        dh_init: Floats,
        dc_init: Floats,
        dx: Floats,
        room: Floats,
    ) -> None:
        work = _backward_room(cell, HIDDEN, INPUT, layout).views(room)
        weights = lanes.views(work.weights, STARTS, MODELS)
        sums = lanes.views(work.sums, STARTS, LANES)
        X, DX = work.rest, work.rest[length * IN :]
        which = (dataset, trials, replicas, batch)
        lanes.fill(e, work.nothing, NOTHING, e.double(0.0))
        tiles = e.parts(batch, VECTORS * TRIALS)
        with e.loop(e.parts(replicas, MODELS)) as group:
            lanes.load(e, theta, COUNT, replicas, table, PARAMETERS, group, MODELS, work.weights)
            for W, columns, WT in ((weights.W, HIDDEN, work.WT), (weights.F, INPUT, work.FT)):
                lanes.transpose(e, W, ROWS, columns, MODELS, WT)
            lanes.fill(e, work.sums, COUNT * LANES, e.double(0.0))
            with e.loop(tiles) as tile:
                place = (group, tile, VECTORS, MODELS)
                first = (group * tiles + tile) * (length + 1)
                H, A = H_kept[first * STATE :], A_kept[first * KEPT :]
                lanes.gather(e, x, _strides(of_x, INPUT), which, length, place, X)
                given = (d_states, of_states, dc_last, which, place, length)
                _back_through_time(
                    e, cell, (HIDDEN, INPUT, 0), layout, given, wanted, sums, work,
                    (X, H, A, DX),
                )  # fmt: skip
                _initial_gradients(e, cell, HIDDEN, layout, work, place, which, dh_init, dc_init)
                with e.when(wanted >= 1):
                    of_dx = lanes.by_trial(batch, length, INPUT)
                    lanes.release(e, DX, place, replicas, batch, of_dx, length, dx)
            lanes.unload(e, work.sums, table, PARAMETERS, group, MODELS, COUNT, replicas, gradient)

    return Kernel(backward)


def _which(replicas: int, batch: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Every replica's own trials, all of them, as `urnn.recurrence.lanes.gather` takes them."""
    return np.arange(replicas), np.ascontiguousarray(np.tile(np.arange(batch), (replicas, 1)))


def _in_rows(values: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Values (R, B, time, size), and their strides of a replica, a trial and a step, in floats.

    Copied where a run of values without a gap would leave vectors half filled.
    """
    size = values.shape[-1]
    last, before = values.strides[-1], values.strides[-2]
    rows = last == values.itemsize and (before == size * last or size % LANES == 0)
    found = values if rows else np.ascontiguousarray(values)
    return found, np.array(found.strides[:3]) // found.itemsize


def _strides(strides: Array, size: int) -> tuple[Any, ...]:
    """The strides of `_in_rows`, as `urnn.recurrence.lanes.gather` takes them."""
    return strides[0], strides[1], strides[2], size


def kept_rows(spec: Spec, replicas: int, batch: int) -> tuple[int, int]:
    """How many tiles there are, and the length of a row of H for one of their time steps."""
    shape = layout(spec.cell, spec.hidden_units, replicas, batch)
    return -(-replicas // shape.models) * shape.tiles, spec.hidden_units * shape.vectors * LANES


def forward(
    spec: Spec, theta: NDArray, x: NDArray, initial: tuple[NDArray, ...], keep: bool
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """(states, c_last (R, B, 1, n), H, A): what the states are, and what `backward` needs of them.

    Arrays as in the module's docstring, x (R, B, time, input) in any order; ``initial`` are the
    states that the cell has, h first. H and A are in the layout of the vectors: all states, and all
    values that the cell keeps. Unless ``keep``, they are room for one tile, of no use to
    `backward`. c_last is empty for a cell without a cell state.
    """
    replicas, batch, length, inputs = x.shape
    cell, n = spec.cell, spec.hidden_units
    shape = layout(cell, n, replicas, batch)
    tiles, state = kept_rows(spec, replicas, batch)
    tiles = tiles if keep else 1
    H = memory.empty(tiles * (length + 1) * state)
    A = memory.empty((tiles * (length + 1) if keep else 2) * cell.kept * state)
    states = memory.empty(replicas, length, batch, n)
    has_cell = len(initial) > 1
    c_last = np.empty(initial[0].shape if has_cell else (0, 0, 0, 0), np.float32)
    values = length * inputs * shape.vectors * LANES
    _forward(cell, n, inputs, shape)(
        theta, *_in_rows(x), initial[0], initial[1] if has_cell else c_last,
        *_which(replicas, batch), replicas, batch, length, _table(cell, n, inputs),
        int(keep), states, c_last, H, A,
        memory.empty(_forward_room(cell, n, inputs, shape).size + values),
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

    x and d_states are (R, B, time, size) in any order, and dx in C order.

    H and A come from `forward`; each gradient has the shape of what it belongs to. dc_init is empty
    for a cell without a cell state, and dx unless it is ``wanted``.
    """
    replicas, batch, length, inputs = x.shape
    cell, n = spec.cell, spec.hidden_units
    shape = layout(cell, n, replicas, batch)
    dh_init = np.empty((replicas, batch, 1, n), np.float32)
    dc_init = np.empty((0, 0, 0, 0) if dc_last is None else dh_init.shape, np.float32)
    dx = memory.empty(*(x.shape if wanted else (0, 0, 0, 0)))
    gradient = np.empty_like(theta)
    values = (2 if wanted else 1) * length * inputs * shape.vectors * LANES
    _backward(cell, n, inputs, shape)(
        theta, *_in_rows(x), *_which(replicas, batch), replicas, batch, length,
        _table(cell, n, inputs), H, A, *_in_rows(d_states), dc_init if dc_last is None else dc_last,
        int(wanted), gradient, dh_init, dc_init, dx,
        memory.empty(_backward_room(cell, n, inputs, shape).size + values),
    )  # fmt: skip
    return gradient, dh_init, dc_init, dx
