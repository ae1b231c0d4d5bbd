"""How replicas and trials lie in the lanes of vectors, and the kernels that bring values there.

Small models share vectors, eight of them in each, with one trial of each model or with two, by the
width of a vector; larger ones run alone, a vector holding trials only. A *row* of vectors holds a
*group* of models with a *tile* of the batch; tiles are taken one after the other. A place is the
group, the tile, and the numbers of vectors and of models.

Parameters lie in lanes in the order of theta, the models of a group side by side, [..., models];
their gradients are summed per lane, [..., LANES]. A table int64 (parameter, 4) says where each one
is: its start in theta, its rows, columns and gates. The rows of gates, gate-major in theta, are
unit-major in lanes, so that a unit's gates lie together.
"""

from __future__ import annotations

import math
from collections import namedtuple
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from urnn.recurrence import vector
from urnn.recurrence.cells.base import Cell
from urnn.recurrence.emitter import INT64, LANES, LINE, REGISTERS, Array, Emitter, Int, Offset
from urnn.recurrence.native import Floats, Integers, Real, shared

#: hidden units from which a model fills vectors alone
ALONE_FROM = 16
#: time steps that are brought to their lanes at once, so that each trial fills whole cache lines
BLOCK = LINE
#: values of a trial ahead of which more of them are fetched; they may lie far out in memory
_FETCHED = 4 * LANES
#: models in a vector below that, and lanes of their rows
_SHARED, _ROW = 8, 16
#: lanes of longer rows, where those would be one vector, and the units from which they are faster:
#: each weight that is read serves more trials, but the states leave the cache
_LONG_ROW, _LONG_FROM = 80, 8


@dataclass(frozen=True)
class Layout:
    """How a batch is laid out in vectors; what a kernel is compiled for besides the sizes."""

    #: models in a vector, and trials of each
    models: int
    trials: int
    #: vectors of a row
    vectors: int
    #: rows of trials that the batch takes, one after the other
    tiles: int = field(compare=False)

    def tile(self, accumulators: int = 1) -> int:
        """Hidden units of a register tile, with so many sums for each of them.

        Sums x vectors + vectors + 1 registers. Units with one sum come in pairs, at most 16.
        """
        units = max((REGISTERS - 1 - self.vectors) // (accumulators * self.vectors), 1)
        return units if accumulators > 1 else max(min(units, 16) // 2 * 2, 1)

    @property
    def chunk(self) -> int:
        """Time steps whose gradients of sums are kept before they are reduced."""
        return BLOCK if self.models > 1 else max(20 // self.vectors, 4)


def layout(cell: Cell, hidden_units: int, batch: int) -> Layout:
    """The layout for a cell, its hidden units and the trials in a batch.

    It follows from these alone, never from the number of replicas, so that each one's sums have the
    same order in every stack. Rows of models that share vectors are short, so that all time steps
    of a tile stay in the cache; but a cell that keeps nothing besides its states has fewer of them.
    """
    models = _SHARED if hidden_units < ALONE_FROM else 1
    trials = LANES // models
    if models == 1:
        most = 4 if REGISTERS > 16 else 2
    elif LANES == _ROW and cell.kept == 0 and hidden_units >= _LONG_FROM:
        most = _LONG_ROW // LANES
    else:
        most = _ROW // LANES
    vectors = -(-batch // trials)
    tiles = -(-vectors // most)
    return Layout(models, trials, -(-vectors // tiles), tiles)


def table(cell: Cell, sizes: tuple[int, int, int], names: Iterable[str]) -> NDArray[np.int64]:
    """Where the named parameters are, one after the other: see the module's docstring."""
    shapes, dimensions = cell.parameter_shapes(*sizes), cell.dimensions
    found, start = [], 0
    for name in names:
        rows, *columns = shapes[name]
        gates = cell.gates if dimensions[name][0] == "gate" else 1
        found.append((start, rows, math.prod(columns), gates))
        start += math.prod(shapes[name])
    return np.array(found, np.int64)


#: the parameters of a group in lanes, or their gradients
Parameters = namedtuple("Parameters", "W F b b_h C d h_init c_init")


def starts(cell: Cell, sizes: tuple[int, int, int]) -> Parameters:
    """Where each of `Parameters` starts in theta.

    b_h and c_init are b and h_init for a cell that has none: kernels of such a cell read neither.
    """
    found, start = {}, 0
    for name, shape in cell.parameter_shapes(*sizes).items():
        found[name] = start
        start += math.prod(shape)
    found = {"b_h": found["b"], "c_init": found["h_init"]} | found
    return Parameters(*(found[name] for name in Parameters._fields))


def views(buffer: Array, starts: Parameters, factor: int) -> Parameters:
    """The parameters in a buffer, which has ``factor`` values for each one of theta."""
    return Parameters(*(buffer[start * factor :] for start in starts))


class Room:
    """Shares out a buffer of float32; every part of it starts at a cache line."""

    def __init__(self, **sizes: int) -> None:
        self._starts: dict[str, int] = {}
        #: floats of all parts
        self.size = 0
        for name, size in sizes.items():
            self._starts[name] = self.size
            self.size += -(-size // LINE) * LINE

    def views(self, buffer: Array) -> Emitter:
        """The parts by name, as attributes, and what is left of the buffer as ``rest``."""
        parts = {name: buffer[start:] for name, start in self._starts.items()}
        return Emitter(buffer.builder, parts | {"rest": buffer[self.size :]})


# The functions that all kernels share. In them, sizes are known when they run.


@shared
def fill(e: Emitter, target: Floats, count: Offset, value: Real) -> None:
    """The first ``count`` of target = value."""
    with e.loop(count) as k:
        target[k] = value


@shared
def copy(e: Emitter, source: Floats, count: Offset, target: Floats) -> None:
    """The first ``count`` of target = those of source."""
    with e.loop(count) as k:
        target[k] = source[k]


@shared
def add(e: Emitter, source: Floats, count: Offset, target: Floats) -> None:
    """The first ``count`` of target += those of source."""
    with e.loop(count) as k:
        target[k] = e.builder.fadd(target[k], source[k])


@contextmanager
def _each_parameter(
    e: Emitter, table: Array, parameters: Offset
) -> Iterator[tuple[Offset, Offset]]:
    """Where every value is in theta, and in lanes."""
    with e.loop(parameters) as k:
        start, rows, columns, gates = (table[k * 4 + field] for field in range(4))
        units = rows // gates
        with e.loop(rows) as row, e.loop(columns) as column:
            packed = (row % units) * gates + row // units
            yield start + row * columns + column, start + packed * columns + column


@shared
def load(
    e: Emitter,
    theta: Floats,
    count: Offset,
    replicas: Offset,
    table: Integers,
    parameters: Offset,
    group: Offset,
    models: Offset,
    weights: Floats,
) -> None:
    """The parameters of a group, rows of theta (replicas, count), to their lanes.

    The last replica fills it up.
    """
    with e.loop(models) as model:
        row = theta[e.minimum(group * models + model, replicas - 1) * count :]
        with _each_parameter(e, table, parameters) as (place, lane):
            weights[lane * models + model] = row[place]


@shared
def unload(
    e: Emitter,
    sums: Floats,
    table: Integers,
    parameters: Offset,
    group: Offset,
    models: Offset,
    count: Offset,
    replicas: Offset,
    gradient: Floats,
) -> None:
    """The gradients of a group from their lanes to its rows of gradient (replicas, count).

    Undoes `load`; the lanes of a model are added in float64.
    """
    with e.loop(e.minimum(models, replicas - group * models)) as model:
        row = gradient[(group * models + model) * count :]
        with _each_parameter(e, table, parameters) as (place, lane):
            total = e.variable(e.double(0.0))
            with e.loop(LANES // models) as trial:
                value = sums[lane * LANES + trial * models + model]
                e.put(e.builder.fadd(e.get(total), e.double(value)), total)
            row[place] = e.get(total)


@shared
def transpose(
    e: Emitter, weights: Floats, rows: Offset, columns: Offset, models: Offset, target: Floats
) -> None:
    """target (columns, rows, models) from weights (rows, columns, models)."""
    with e.loop(rows) as row, e.loop(columns) as column, e.loop(models) as model:
        value = weights[(row * columns + column) * models + model]
        target[(column * rows + row) * models + model] = value


@contextmanager
def each_lane(e: Emitter, tile: Offset, vectors: Offset, models: Offset) -> Iterator[Any]:
    """Every lane of a row, the number of its trial in the batch, and of its model in the group."""
    row = vectors * LANES
    with e.loop(row) as lane:
        yield lane, (tile * row + lane) // models, lane % models


@contextmanager
def each_trial(e: Emitter, which: tuple[Any, ...], place: tuple[Any, ...]) -> Iterator[Any]:
    """Every lane of a row, its data set, and its trial there.

    ``which`` are dataset (R,), trials (R, B), R and B; the place is a group, a tile, and vectors
    and models of the layout. Lanes without a trial or a model repeat the first one, whose values
    cannot overflow alone.
    """
    (dataset, trials, replicas, batch), (group, tile, vectors, models) = which, place
    with each_lane(e, tile, vectors, models) as (lane, item, model):
        replica = group * models + model
        replica = e.either(replica < replicas, replica, group * models)
        item = e.either(item < batch, item, 0)
        yield lane, dataset[replica], trials[replica * batch + item]


def by_trial(number: Offset, length: Offset, size: Offset) -> tuple[Offset, ...]:
    """Strides of (sets, number, length, size) in C order: a set, a trial, a step; and the size."""
    return number * length * size, length * size, size, size


def by_step(number: Offset, length: Offset, size: Offset) -> tuple[Offset, ...]:
    """The same of (sets, length, number, size), where time comes before trials."""
    return number * length * size, size, number * size, size


@shared
def find(
    e: Emitter,
    of_set: Offset,
    of_trial: Offset,
    dataset: Integers,
    trials: Integers,
    replicas: Offset,
    batch: Offset,
    group: Offset,
    tile: Offset,
    vectors: Offset,
    models: Offset,
    begin: Integers,
) -> None:
    """Where the trial of every lane of a row begins, by the strides of a set and of a trial."""
    which, place = (dataset, trials, replicas, batch), (group, tile, vectors, models)
    with each_trial(e, which, place) as (lane, its_set, trial):
        begin[lane] = its_set * of_set + trial * of_trial


@shared
def gather_from(
    e: Emitter,
    source: Floats,
    begin: Integers,
    of_step: Int,
    size: Offset,
    first: Offset,
    steps: Offset,
    ahead: Offset,
    vectors: Offset,
    target: Floats,
) -> None:
    """Time steps of the trials that begin there to their lanes: target (steps * size, row).

    It asks for the values ``ahead`` of them, which will be gathered next.
    """
    row = vectors * LANES
    runs, values = _runs(e, of_step, size, steps)
    whole = values // LANES * LANES
    with e.loop(runs) as run:
        of, to = source[(first + run) * of_step :], target[run * values * row :]
        vector.fill_lanes(e, of, begin, to, values, ahead, vectors)
        with e.loop(row) as lane, e.loop(values - whole) as k:
            to[(whole + k) * row + lane] = of[begin[lane] + whole + k]


#: (first, steps, ahead, target): time steps of a tile to target, see `gather_from`
Bring = Callable[[Offset, Offset, Offset, Array], None]


def finder(
    e: Emitter,
    source: Array,
    strides: tuple[Any, ...],
    which: tuple[Any, ...],
    place: tuple[Any, ...],
) -> Bring:
    """Finds the trials of a tile once; what it returns brings some of their time steps at a time.

    The strides are those of `by_trial`; `each_trial` says which trials.
    """
    (*starts, of_step, size), (_, _, vectors, _) = strides, place
    begin = e.stack(vectors * LANES, INT64)
    find(e, *starts, which, place, begin)

    def bring(first: Offset, steps: Offset, ahead: Offset, target: Array) -> None:
        gather_from(e, source, begin, of_step, size, first, steps, ahead, vectors, target)

    return bring


def gather(
    e: Emitter,
    source: Array,
    strides: tuple[Any, ...],
    which: tuple[Any, ...],
    steps: Offset,
    place: tuple[Any, ...],
    target: Array,
) -> None:
    """The first time steps of a tile to its lanes: target (steps * size, row); see `finder`."""
    finder(e, source, strides, which, place)(0, steps, _FETCHED, target)


def _runs(e: Emitter, of_step: Int, size: Offset, steps: Offset) -> tuple[Offset, Offset]:
    """How many runs of values without a gap a trial has, and the values of a run."""
    packed = of_step.equals(size)
    return e.either(packed, 1, steps), e.either(packed, steps * size, size)


@shared
def release(
    e: Emitter,
    source: Floats,
    group: Offset,
    tile: Offset,
    vectors: Offset,
    models: Offset,
    replicas: Offset,
    batch: Offset,
    of_set: Offset,
    of_trial: Offset,
    of_step: Int,
    size: Offset,
    steps: Offset,
    target: Floats,
) -> None:
    """Time steps of a tile from its lanes to a target with such strides: undoes `gather`."""
    row = vectors * LANES
    trials = row // models
    items = e.minimum(trials, batch - tile * trials)
    runs, values = _runs(e, of_step, size, steps)
    whole = values // LANES
    with e.loop(e.minimum(models, replicas - group * models)) as model, e.loop(runs) as run:
        begin = (group * models + model) * of_set + tile * trials * of_trial + run * of_step
        out, lanes = target[begin:], source[run * values * row + model :]
        with e.loop(whole, LANES) as first, e.loop(items) as item:
            to, of = out[item * of_trial + first :], lanes[first * row + item * models :]
            for k in range(LANES):
                to[k] = of[row * k]
        with e.loop(items) as item, e.loop(values - whole * LANES) as k:
            place = whole * LANES + k
            out[item * of_trial + place] = lanes[place * row + item * models]


@shared
def silence(
    e: Emitter,
    target: Floats,
    values: Offset,
    batch: Offset,
    group: Offset,
    tile: Offset,
    vectors: Offset,
    models: Offset,
) -> None:
    """Zeros in the lanes that no trial of the batch has: no gradient enters there."""
    row = vectors * LANES
    lanes = each_lane(e, tile, vectors, models)
    with lanes as (lane, item, _), e.when(item >= batch), e.loop(values) as k:
        target[k * row + lane] = e.double(0.0)


@shared
def spread(
    e: Emitter,
    initial: Floats,
    units: Offset,
    group: Offset,
    tile: Offset,
    vectors: Offset,
    models: Offset,
    target: Floats,
) -> None:
    """A value (unit, models) of every model to all its lanes: target (unit, row)."""
    row = vectors * LANES
    with e.loop(units) as unit, e.loop(row) as lane:
        target[unit * row + lane] = initial[unit * models + lane % models]


@shared
def put_cell(
    e: Emitter, source: Floats, units: Offset, row: Offset, kept: Offset, target: Floats
) -> None:
    """The cell state (unit, row) to its place, the last of the kept values (unit, kept, row)."""
    with e.loop(units) as unit, e.loop(row) as lane:
        target[(unit * kept + kept - 1) * row + lane] = source[unit * row + lane]


@shared
def take_cell(
    e: Emitter, source: Floats, units: Offset, row: Offset, kept: Offset, target: Floats
) -> None:
    """The cell state (unit, row) from the kept values: undoes `put_cell`."""
    with e.loop(units) as unit, e.loop(row) as lane:
        target[unit * row + lane] = source[(unit * kept + kept - 1) * row + lane]
