"""The micro-kernels that all cells share, with explicit vectors of float32 and register tiles.

LLVM vectorises the forward pass well by itself, but not the reduction of the gradient of W over
time and batch; with explicit vectors and register tiles both run near the machine's peak.

Layout: arrays are float32, C order, and an offset counts elements. A row holds VECTORS * LANES
lanes, a lane being one trial of one model: MODELS models share a vector, and a lane's number is
trial * MODELS + model. Weights lie side by side for the models of a vector, [..., MODELS], and one
load repeats them through its lanes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from urnn.recurrence.emitter import LANES, REGISTERS, Emitter, Offset

#: accumulators of an outer product's tile; more of them compile slowly and gain nothing
_LARGEST_TILE = 25


def micro_kernel(arguments: str) -> Callable[[Callable[[Emitter], None]], Callable[..., None]]:
    """Make a part of a kernel of what emits it: it is called with an emitter and its arguments.

    They are the attributes of the emitter that it is emitted with.
    """
    names = arguments.split()

    def decorate(emit: Callable[[Emitter], None]) -> Callable[..., None]:
        def part(e: Emitter, *values: Any) -> None:
            emit(Emitter(e.builder, dict(zip(names, values, strict=True))))

        part.__name__, part.__doc__ = emit.__name__, emit.__doc__
        return part

    return decorate


@micro_kernel("source begin target values ahead vectors")
def fill_lanes(e: Emitter) -> None:
    """target[k, lane] = source[begin[lane] + k] for every lane of a row and k < values.

    begin is int64. It asks for the values that lie ``ahead`` too. What is left of `values` after
    whole vectors is not filled.
    """
    row = e.times(e.vectors, LANES)
    with e.loop(e.values // LANES, LANES) as first, e.loop(e.vectors, LANES) as lanes:
        starts = [e.begin[e.plus(lanes, lane)] for lane in range(LANES)]
        for start in starts:  # more streams than the processor follows by itself
            e.prefetch(e.source, first, start, e.ahead)
        rows = [e.load(e.source, first, start) for start in starts]
        for k, column in enumerate(e.transposed(rows)):
            e.store(column, e.target, e.times(e.plus(first, k), row), lanes)


@micro_kernel("C d H h Y y weight_of_lane E error loss HIDDEN OUTPUT VECTORS MODELS TILE")
def readout_error(e: Emitter) -> None:
    """E = w (C H[h] + d - Y[y]) and loss += w (C H[h] + d - Y[y])^2, w the weight of a lane.

    Both 0 where Y is NaN.
    """
    total = e.variable(e.load(e.loss, 0))

    def tile(first: Offset, rows: int) -> None:
        def start(i: int, v: int) -> Any:
            target = e.load(e.Y, e.y, e.at(first, i, v))
            return e.builder.fsub(e.weight(e.d, e.plus(first, i)), target)

        sums = e.accumulators(rows, start)
        e.add_product(sums, first, e.C, e.HIDDEN, e.H, e.h)
        for i, places in enumerate(sums):
            for v, place in enumerate(places):
                target = e.load(e.Y, e.y, e.at(first, i, v))
                error = e.where("==", target, target, e.get(place), e.constant(0))
                weighted = e.builder.fmul(error, e.load(e.weight_of_lane, v * LANES))
                e.accumulate(total, weighted, error)
                e.store(weighted, e.E, e.error, e.at(first, i, v))

    e.tiles(e.OUTPUT, e.TILE, tile)
    e.store(e.get(total), e.loss, 0)


@micro_kernel("C d H h Y y HIDDEN OUTPUT VECTORS MODELS TILE")
def readout(e: Emitter) -> None:
    """Y[y] = C H[h] + d."""

    def tile(first: Offset, rows: int) -> None:
        sums = e.accumulators(rows, lambda i, v: e.weight(e.d, e.plus(first, i)))
        e.add_product(sums, first, e.C, e.HIDDEN, e.H, e.h)
        for i, places in enumerate(sums):
            for v, place in enumerate(places):
                e.store(e.get(place), e.Y, e.y, e.at(first, i, v))

    e.tiles(e.OUTPUT, e.TILE, tile)


# reductions over a chunk of time steps and the vectors of a row, into [..., L] sums of L = LANES


def _outer_tile(rows: int, columns: int) -> tuple[int, int]:
    """Rows and columns of a register tile of an outer product: the one with the fewest loads."""
    tiles = [(i, j) for i in range(1, rows + 1) for j in range(1, columns + 1)]
    fitting = [(i, j) for i, j in tiles if i * j + i + 1 <= REGISTERS and i * j <= _LARGEST_TILE]
    return min(fitting, key=lambda t: (-(-rows // t[0]) * columns + -(-columns // t[1]) * rows, t))


@micro_kernel("total A a B b steps ROWS COLUMNS VECTORS")
def add_outer(e: Emitter) -> None:
    """total[i, j] += sum over steps and vectors of A[a, i] B[b, j]; total (ROWS, COLUMNS, L)."""
    tile_rows, tile_columns = _outer_tile(e.ROWS, e.COLUMNS)

    def row_tile(first_row: Offset, rows: int) -> None:
        def column_tile(first_column: Offset, columns: int) -> None:
            def at(i: int, j: int) -> Offset:
                row = e.times(e.plus(first_row, i), e.COLUMNS)
                return e.times(e.plus(row, first_column, j), LANES)

            sums = [
                [e.variable(e.load(e.total, at(i, j))) for j in range(columns)] for i in range(rows)
            ]
            with e.loop(e.steps) as step:
                left = e.plus(e.a, e.times(step, e.ROWS * e.row), e.times(first_row, e.row))
                right = e.plus(e.b, e.times(step, e.COLUMNS * e.row), e.times(first_column, e.row))
                for v in range(e.VECTORS):
                    lefts = [e.load(e.A, left, i * e.row + v * LANES) for i in range(rows)]
                    for j in range(columns):
                        value = e.load(e.B, right, j * e.row + v * LANES)
                        for i in range(rows):
                            e.accumulate(sums[i][j], lefts[i], value)
            for i in range(rows):
                for j in range(columns):
                    e.store(e.get(sums[i][j]), e.total, at(i, j))

        e.tiles(e.COLUMNS, tile_columns, column_tile)

    e.tiles(e.ROWS, tile_rows, row_tile)


@micro_kernel("total A a steps ROWS VECTORS")
def add_rows(e: Emitter) -> None:
    """total[i] += sum over steps and vectors of A[a, i]; total (ROWS, LANES)."""
    e.add_rows(e.total, e.A, e.a, e.ROWS)


@micro_kernel("total WT D later HIDDEN AHEAD VECTORS MODELS")
def initial_state_gradient(e: Emitter) -> None:
    """total[i] += sum over vectors of (W^T D[later])[i]; total (HIDDEN, LANES), D (AHEAD, row)."""
    with e.loop(e.HIDDEN) as i:
        total = e.variable(e.load(e.total, e.times(i, LANES)))
        with e.loop(e.AHEAD) as j:
            weight = e.weight(e.WT, e.plus(e.times(i, e.AHEAD), j))
            for v in range(e.VECTORS):
                e.accumulate(total, weight, e.load(e.D, e.later, e.times(j, e.row), v * LANES))
        e.store(e.get(total), e.total, e.times(i, LANES))
