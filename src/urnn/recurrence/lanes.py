"""How replicas and trials lie in the lanes of vectors, and the kernels that bring values there.

Small models share vectors, with two trials of each, so that a batch of 10 fills five vectors;
larger ones run alone, a vector holding trials only. A *row* of vectors holds a *group* of models
with a *tile* of the batch; tiles are taken one after the other. A place is a tuple of int64
(group, tile, vectors, models), for Numba compiles a function again for every value of an integer
that it knows: half the time of a kernel.

Parameters lie in lanes in the order of theta, the models of a group side by side, [..., models];
their gradients are summed per lane, [..., LANES]. A table int64 (parameter, 4) says where each one
is: its start in theta, its rows, columns and gates. The rows of gates, gate-major in theta, are
unit-major in lanes, so that a unit's gates lie together.
"""

from __future__ import annotations

import math
from collections import namedtuple
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from urnn.recurrence import vector
from urnn.recurrence.cache import kept_kernel
from urnn.recurrence.cells.base import Cell
from urnn.recurrence.vector import LANES, REGISTERS

#: hidden units from which a model fills vectors alone
ALONE_FROM = 16
#: models in a vector below that
_SHARED = LANES // 2


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
        return max(20 // self.vectors, 4)


def layout(cell: Cell, hidden_units: int, batch: int) -> Layout:
    """The layout for a number of hidden units and of trials in a batch.

    It follows from these alone, never from the number of replicas, so that each one's sums have the
    same order in every stack. A small cell that keeps values beside its states for the way back has
    rows of one vector: with five they would leave the cache.
    """
    models = _SHARED if hidden_units < ALONE_FROM else 1
    trials = LANES // models
    most = (1 if cell.kept else 5) if models > 1 else (4 if REGISTERS > 16 else 2)
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


def starts(cell: Cell, sizes: tuple[int, int, int]) -> NDArray[np.int64]:
    """Where each of `Parameters` starts in theta.

    b_h and c_init are b and h_init for a cell that has none: kernels of such a cell read neither.
    """
    found, start = {}, 0
    for name, shape in cell.parameter_shapes(*sizes).items():
        found[name] = start
        start += math.prod(shape)
    found = {"b_h": found["b"], "c_init": found["h_init"]} | found
    return np.array([found[name] for name in Parameters._fields], np.int64)


@kept_kernel
def floats(size):
    return np.empty(size, np.float32)


@kept_kernel
def views(buffer, at, factor):
    """The parameters in a buffer, which has ``factor`` values for each one of theta."""
    at = at * factor
    return Parameters(
        buffer[at[0] :], buffer[at[1] :], buffer[at[2] :], buffer[at[3] :],
        buffer[at[4] :], buffer[at[5] :], buffer[at[6] :], buffer[at[7] :],
    )  # fmt: skip


# Loops of our own: Numba compiles the message of an assignment whose shapes do not fit for longer
# than all of these.


@kept_kernel
def fill(target, value):
    """target[:] = value"""
    for k in range(len(target)):
        target[k] = value


@kept_kernel
def copy(source, target):
    """target[:] = the first values of source"""
    for k in range(len(target)):
        target[k] = source[k]


@kept_kernel
def add(source, target):
    """target += source"""
    for k in range(len(target)):
        target[k] += source[k]


@kept_kernel
def load(theta, table, group, models, weights):
    """The parameters of a group, rows of theta, to their lanes; the last replica fills it up."""
    for model in range(models):
        replica = min(group * models + model, len(theta) - 1)
        for k in range(len(table)):
            start, rows, columns, gates = table[k, 0], table[k, 1], table[k, 2], table[k, 3]
            units = rows // gates
            for row in range(rows):
                packed = (row % units) * gates + row // units
                for column in range(columns):
                    value = theta[replica, start + row * columns + column]
                    weights[(start + packed * columns + column) * models + model] = value


@kept_kernel
def unload(sums, table, group, models, gradient):
    """The gradients of a group from their lanes to its rows of gradient (R, K): undoes `load`.

    The lanes of a model are added in float64.
    """
    for replica in range(group * models, min((group + 1) * models, len(gradient))):
        for k in range(len(table)):
            start, rows, columns, gates = table[k, 0], table[k, 1], table[k, 2], table[k, 3]
            units = rows // gates
            for row in range(rows):
                packed = (row % units) * gates + row // units
                for column in range(columns):
                    value = 0.0
                    at = (start + packed * columns + column) * LANES
                    for lane in range(replica % models, LANES, models):
                        value += sums[at + lane]
                    gradient[replica, start + row * columns + column] = value


@kept_kernel
def transpose(weights, rows, columns, models, target):
    """target (columns, rows, models) from weights (rows, columns, models)."""
    for row in range(rows):
        for column in range(columns):
            for model in range(models):
                value = weights[(row * columns + column) * models + model]
                target[(column * rows + row) * models + model] = value


@kept_kernel
def gather(source, dataset, trials, first, steps, place, target):
    """Time steps of a tile to its lanes: target (steps * size, row), source (S, N, time, size).

    dataset (R,) and trials (R, B) say which trials. Lanes without a trial or a model repeat the
    first one, whose values cannot overflow alone.
    """
    group, tile, vectors, models = place
    replicas, batch = trials.shape
    _, number, length, size = source.shape
    row, values = vectors * LANES, steps * size
    begin = np.empty(row, np.int64)
    for lane in range(row):
        replica = group * models + lane % models
        if replica >= replicas:
            replica = group * models
        item = (tile * row + lane) // models
        trial = dataset[replica] * number + trials[replica, item if item < batch else 0]
        begin[lane] = (trial * length + first) * size
    flat = source.reshape(-1)
    vector.fill_lanes(flat, begin, target, values, vectors)
    for lane in range(row):
        for k in range(values // LANES * LANES, values):
            target[k * row + lane] = flat[begin[lane] + k]


@kept_kernel
def release(source, place, target):
    """Values of a tile from its lanes to target (R, batch, time, size): undoes `gather`."""
    group, tile, vectors, models = place
    replicas, batch, length, size = target.shape
    row, values = vectors * LANES, length * size
    flat = target.reshape(-1)
    whole = values // LANES * LANES
    stride = np.uint64(row)
    trials = row // models
    items = min(trials, batch - tile * trials)
    for replica in range(group * models, min((group + 1) * models, replicas)):
        begin = (replica * batch + tile * trials) * values
        for first in range(0, whole, LANES):
            for item in range(items):
                lane = item * models + replica % models
                start, at = np.uint64(begin + item * values + first), np.uint64(first * row + lane)
                for k in range(LANES):
                    flat[start + np.uint64(k)] = source[at + np.uint64(k) * stride]
        for item in range(items):
            lane = item * models + replica % models
            for k in range(whole, values):
                flat[begin + item * values + k] = source[k * row + lane]


@kept_kernel
def silence(target, values, batch, place):
    """Zeros in the lanes that no trial of the batch has: no gradient enters there."""
    _, tile, vectors, models = place
    row = vectors * LANES
    for lane in range(row):
        if (tile * row + lane) // models >= batch:
            for k in range(values):
                target[k * row + lane] = 0


@kept_kernel
def spread(initial, units, place, target):
    """A value (unit, models) of every model to all its lanes: target (unit, row)."""
    _, _, vectors, models = place
    row = vectors * LANES
    for unit in range(units):
        for lane in range(row):
            target[unit * row + lane] = initial[unit * models + lane % models]


@kept_kernel
def put_cell(source, units, row, kept, target):
    """The cell state (unit, row) to its place, the last of the kept values (unit, kept, row)."""
    for unit in range(units):
        for lane in range(row):
            target[(unit * kept + kept - 1) * row + lane] = source[unit * row + lane]


@kept_kernel
def take_cell(source, units, row, kept, target):
    """The cell state (unit, row) from the kept values: undoes `put_cell`."""
    for unit in range(units):
        for lane in range(row):
            target[unit * row + lane] = source[(unit * kept + kept - 1) * row + lane]
