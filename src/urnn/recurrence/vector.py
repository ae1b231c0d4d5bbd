"""Micro-kernels of the CPU backend: LLVM IR with explicit vectors of float32, called from Numba.

Numba vectorises the forward pass well by itself, but not the reduction of the gradient of W over
time and batch; with explicit vectors and register tiles both run near the machine's peak. Only
generic LLVM operations are emitted (<8 x float> or <16 x float> arithmetic, llvm.fma,
llvm.prefetch), so LLVM maps them to whatever vectors the processor has, or to scalars.

Layout: arrays are float32, C order, and an offset counts elements. A row holds VECTORS * LANES
lanes, a lane being one trial of one model: MODELS models share a vector, and a lane's number is
trial * MODELS + model. Weights lie side by side for the models of a vector, [..., MODELS], and one
load repeats them through its lanes.
"""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from llvmlite import binding, ir
from numba.core import cgutils, types
from numba.core.extending import intrinsic

from urnn.errors import ArgumentError


def _vectors() -> tuple[int, int]:
    """Lanes of a vector, and how many vectors the registers of this processor hold.

    $URNN_LANES, 8 or 16, is there for tests and for results that equal another machine's.
    """
    chosen = os.environ.get("URNN_LANES")
    if chosen not in (None, "8", "16"):
        raise ArgumentError(f"URNN_LANES must be 8 or 16, but it is {chosen!r}")
    wide = binding.get_host_cpu_features().get("avx512f", False)
    lanes = int(chosen or (16 if wide else 8))
    return lanes, 32 if wide else 16


LANES, REGISTERS = _vectors()
_VECTOR = ir.VectorType(ir.FloatType(), LANES)
_FLOAT, _INT32, _INT64 = ir.FloatType(), ir.IntType(32), ir.IntType(64)
_BYTE_POINTER = ir.IntType(8).as_pointer()

#: columns up to which a loop over them is unrolled
_UNROLLED = 4
#: time steps ahead of which the backward pass fetches the states that it walks down
_PREFETCHED = 2
#: vectors ahead of which a trial's values are fetched, which may lie far out in memory
_GATHERED = 4
#: accumulators of an outer product's tile; more of them compile slowly and gain nothing
_LARGEST_TILE = 25
#: floats of a cache line
_LINE = 16
#: tanh(x) = x P(x^2) / Q(x^2) for |x| < 7.9, relative error below 1.3e-7
_TANH_P = (0.9999998695030362, 0.129344228611915, 0.0029604786883304303, 1.1531890560260793e-05)
_TANH_Q = (
    1.0,
    0.4626764965114621,
    0.023854105867337053,
    0.00024001277480067743,
    2.4925629941710795e-07,
)
_TANH_LIMIT = 7.9

Offset = Any  # a Python int or an LLVM value: offsets that are known stay constants


class Emitter:
    """Emits the body of one micro-kernel. Its arguments are attributes: pointers, values, ints."""

    #: of the processor; cells are light, and reach them through the emitter alone
    LANES, REGISTERS = LANES, REGISTERS

    def __init__(self, context: Any, builder: Any, signature: Any, arguments: Any, names: Any):
        self.builder = builder
        for name, kind, value in zip(names, signature.args, arguments, strict=True):
            if isinstance(kind, types.Array):
                setattr(self, name, context.make_array(kind)(context, builder, value).data)
            elif isinstance(kind, types.IntegerLiteral) and name.isupper():
                setattr(self, name, kind.literal_value)
            else:
                setattr(self, name, context.cast(builder, value, kind, types.int64))

    def __getattr__(self, name: str) -> Any:  # for the type checker: set in __init__
        raise AttributeError(name)

    # offsets

    def plus(self, *parts: Offset) -> Offset:
        total = sum(part for part in parts if isinstance(part, int))
        values = [part for part in parts if not isinstance(part, int)]
        if not values:
            return total
        result = values[0]
        for value in values[1:]:
            result = self.builder.add(result, value)
        return self.builder.add(result, ir.Constant(_INT64, total)) if total else result

    def times(self, part: Offset, factor: int) -> Offset:
        if isinstance(part, int):
            return part * factor
        return part if factor == 1 else self.builder.mul(part, ir.Constant(_INT64, factor))

    def half(self, part: Offset) -> Offset:
        if isinstance(part, int):
            return part // 2
        return self.builder.lshr(part, ir.Constant(_INT64, 1))

    def _address(self, base: Any, offset: Offset, kind: Any) -> Any:
        offset = ir.Constant(_INT64, offset) if isinstance(offset, int) else offset
        return self.builder.bitcast(self.builder.gep(base, [offset]), kind.as_pointer())

    # memory

    def load(self, base: Any, *offset: Offset) -> Any:
        value = self.builder.load(self._address(base, self.plus(*offset), _VECTOR))
        value.align = 4  # rows need not start at a multiple of a vector's size
        return value

    def store(self, value: Any, base: Any, *offset: Offset) -> None:
        self.builder.store(value, self._address(base, self.plus(*offset), _VECTOR)).align = 4

    def weight(self, base: Any, index: Offset) -> Any:
        """A weight of every model, repeated for its trials."""
        if self.MODELS == 1:
            scalar = self.builder.load(self._address(base, index, _FLOAT))
            scalar.align = 4
            few = ir.VectorType(_FLOAT, 1)
            undefined = ir.Constant(few, ir.Undefined)
            values = self.builder.insert_element(undefined, scalar, ir.Constant(_INT32, 0))
        else:
            few = ir.VectorType(_FLOAT, self.MODELS)
            place = self._address(base, self.times(index, self.MODELS), few)
            values = self.builder.load(place)
            values.align = 4
        lanes = ir.VectorType(_INT32, LANES)
        repeated = ir.Constant(lanes, [lane % self.MODELS for lane in range(LANES)])
        return self.builder.shuffle_vector(values, ir.Constant(few, ir.Undefined), repeated)

    def prefetch(self, base: Any, *offset: Offset) -> None:
        """Ask for a cache line; an address outside the array is harmless."""
        kind = ir.FunctionType(ir.VoidType(), [_BYTE_POINTER, _INT32, _INT32, _INT32])
        function = cgutils.get_or_insert_function(self.builder.module, kind, "llvm.prefetch.p0")
        address = self._address(base, self.plus(*offset), ir.IntType(8))
        read, keep, data = (ir.Constant(_INT32, value) for value in (0, 3, 1))
        self.builder.call(function, [address, read, keep, data])

    # arithmetic

    def constant(self, value: float) -> Any:
        return ir.Constant(_VECTOR, [float(value)] * LANES)

    def fma(self, a: Any, b: Any, c: Any) -> Any:
        """a b + c, rounded once."""
        kind = ir.FunctionType(_VECTOR, [_VECTOR] * 3)
        function = cgutils.get_or_insert_function(
            self.builder.module, kind, f"llvm.fma.v{LANES}f32"
        )
        return self.builder.call(function, [a, b, c])

    def where(self, comparison: str, a: Any, b: Any, yes: Any, no: Any) -> Any:
        """`yes` where a <comparison> b, `no` elsewhere and where one of them is NaN."""
        return self.builder.select(self.builder.fcmp_ordered(comparison, a, b), yes, no)

    def tanh(self, x: Any, half: bool = False) -> Any:
        """tanh(x), or tanh(x / 2) / 2 with the factors folded into the coefficients."""
        b, k = self.builder, self.constant
        scale, limit = (0.25, 2 * _TANH_LIMIT) if half else (1.0, _TANH_LIMIT)
        # comparisons that are false for NaN keep it
        x = self.where(">", x, k(limit), k(limit), x)
        x = self.where("<", x, k(-limit), k(-limit), x)
        p = [k(c * scale**i * scale) for i, c in enumerate(_TANH_P)]
        q = [k(c * scale**i) for i, c in enumerate(_TANH_Q)]
        y = b.fmul(x, x)
        y2 = b.fmul(y, y)
        numerator = self.fma(self.fma(p[3], y, p[2]), y2, self.fma(p[1], y, p[0]))
        high = self.fma(self.fma(q[4], y, q[3]), y, q[2])
        denominator = self.fma(high, y2, self.fma(q[1], y, q[0]))
        return b.fdiv(b.fmul(x, numerator), denominator)

    def sigmoid(self, x: Any) -> Any:
        """1 / (1 + exp(-x)) = 1/2 + tanh(x / 2) / 2."""
        return self.builder.fadd(self.tanh(x, half=True), self.constant(0.5))

    def modulus(self, re: Any, im: Any) -> Any:
        """|re + i im|, at least 1e-30, so that it can be divided by."""
        b, least = self.builder, self.constant(1e-30)
        square = self.fma(re, re, b.fmul(im, im))
        kind = ir.FunctionType(_VECTOR, [_VECTOR])
        function = cgutils.get_or_insert_function(b.module, kind, f"llvm.sqrt.v{LANES}f32")
        modulus = b.call(function, [square])
        return self.where("<", modulus, least, least, modulus)

    # accumulators; LLVM turns these variables into registers

    def variable(self, value: Any) -> Any:
        place = cgutils.alloca_once(self.builder, _VECTOR)
        self.builder.store(value, place)
        return place

    def get(self, place: Any) -> Any:
        return self.builder.load(place)

    def accumulate(self, place: Any, a: Any, b: Any) -> None:
        self.builder.store(self.fma(a, b, self.get(place)), place)

    # loops

    @contextmanager
    def loop(self, count: Offset, step: int = 1) -> Iterator[Any]:
        """0, step, 2 step, ...: count of them."""
        count = ir.Constant(_INT64, count) if isinstance(count, int) else count
        with cgutils.for_range(self.builder, count, intp=_INT64) as loop:
            yield self.times(loop.index, step)

    def repeat(self, count: int, body: Callable[[Offset], None]) -> None:
        """body(0), ..., body(count - 1), unrolled when there are few."""
        if count <= _UNROLLED:
            for index in range(count):
                body(index)
        else:
            with self.loop(count) as index:
                body(index)

    def tiles(self, count: int, size: int, body: Callable[[Offset, int], None]) -> None:
        """body(first, size) over tiles of rows; the last one is smaller where it has to be."""
        whole, rest = divmod(count, size)
        if whole == 1:
            body(0, size)
        elif whole:
            with self.loop(whole, size) as first:
                body(first, size)
        if rest:
            body(whole * size, rest)

    def transposed(self, rows: list[Any]) -> list[Any]:
        """Lane i of row j becomes lane j of row i; as many rows as lanes."""
        distance = 1
        while distance < LANES:
            for first in range(LANES):
                if first & distance:
                    continue
                a, b = rows[first], rows[first + distance]
                low, high = [], []
                for lane in range(LANES):
                    right = lane & distance
                    low.append(LANES + lane - distance if right else lane)
                    high.append(LANES + lane if right else lane + distance)
                rows[first] = self._shuffle(a, b, low)
                rows[first + distance] = self._shuffle(a, b, high)
            distance *= 2
        return rows

    def _shuffle(self, a: Any, b: Any, lanes: list[int]) -> Any:
        mask = ir.Constant(ir.VectorType(_INT32, LANES), lanes)
        return self.builder.shuffle_vector(a, b, mask)

    # the common parts of the kernels

    @property
    def row(self) -> int:
        return self.VECTORS * LANES

    def at(self, first: Offset, index: int, vector: int) -> Offset:
        """Offset of a vector in row first + index."""
        return self.plus(self.times(self.plus(first, index), self.row), vector * LANES)

    def value(self, unit: Offset, values: int, index: int, vector: int) -> Offset:
        """Offset of a vector of one of the values that every unit has."""
        return self.plus(self.times(unit, values * self.row), index * self.row + vector * LANES)

    def prefetch_states(
        self, base: Any, at: Offset, place: Offset, vector: int, values: int, index: int = 0
    ) -> None:
        """Ask for what a backward pass will need some steps on, of `values` values of each unit."""
        if vector == 0 or (index * self.row + vector * LANES) % _LINE == 0:
            self.prefetch(base, at, place, -_PREFETCHED * values * self.HIDDEN * self.row)

    def accumulators(
        self, rows: int, start: Callable[[int, int], Any], vectors: range | None = None
    ) -> list[list[Any]]:
        """Places for `rows` rows of all vectors, or of some, with their first values."""
        vectors = vectors or range(self.VECTORS)
        return [[self.variable(start(i, v)) for v in vectors] for i in range(rows)]

    def add_product(
        self,
        sums: list[list[Any]],
        first: Offset,
        matrix: Any,
        columns: int,
        source: Any,
        at: Offset,
        vectors: range | None = None,
    ) -> None:
        """sums[i, v] += sum_j matrix[first + i, j] source[at + j, v]."""
        vectors = vectors or range(self.VECTORS)

        def column(j: Offset) -> None:
            values = [self.load(source, at, self.times(j, self.row), v * LANES) for v in vectors]
            for i, places in enumerate(sums):
                index = self.plus(self.times(self.plus(first, i), columns), j)
                weight = self.weight(matrix, index)
                for place, value in zip(places, values, strict=True):
                    self.accumulate(place, weight, value)

        self.repeat(columns, column)

    def state_gradient(self, first: Offset, units: int) -> list[list[Any]]:
        """The loss's gradient with respect to a tile of h, without what is carried.

        G[upstream] + W^T D[later] where the gradients of all states are given, else
        C^T E[error] + W^T D[later].
        """
        if hasattr(self, "G"):
            sums = self.accumulators(
                units, lambda i, v: self.load(self.G, self.upstream, self.at(first, i, v))
            )
        else:
            zero = self.constant(0)
            sums = self.accumulators(units, lambda i, v: zero)
            self.add_product(sums, first, self.CT, self.OUTPUT, self.E, self.error)
        self.add_product(sums, first, self.WT, self.ROWS, self.D, self.later)
        return sums

    def each_part(self, sums: int, body: Callable[[Offset, int, range], None]) -> None:
        """body(first, units, vectors) over tiles of hidden units with so many sums for each.

        Of the vectors as many at once as fit: those sums of a unit, its state, and a weight.
        """
        most = (self.REGISTERS - 1) // (sums + 1)

        def tile(first: Offset, units: int) -> None:
            for start in range(0, self.VECTORS, most):
                body(first, units, range(start, min(start + most, self.VECTORS)))

        self.tiles(self.HIDDEN, self.TILE, tile)

    def each_gradient(self, body: Callable[[Offset, int, Any], None]) -> None:
        """body(unit, vector, gradient of its state) over all hidden units, on the way back."""

        def tile(first: Offset, units: int) -> None:
            for i, places in enumerate(self.state_gradient(first, units)):
                for v, place in enumerate(places):
                    body(self.plus(first, i), v, self.get(place))

        self.tiles(self.HIDDEN, self.TILE, tile)

    def add_rows(self, total: Any, source: Any, at: Offset, count: int) -> None:
        """total[i] += sum over steps and vectors of source[at, i], i < count; total (count, L)."""

        def tile(first: Offset, rows: int) -> None:
            places = [self.times(self.plus(first, i), LANES) for i in range(rows)]
            sums = [self.variable(self.load(total, place)) for place in places]
            with self.loop(self.steps) as step:
                start = self.plus(
                    at, self.times(step, count * self.row), self.times(first, self.row)
                )
                for v in range(self.VECTORS):
                    for i in range(rows):
                        value = self.load(source, start, i * self.row + v * LANES)
                        self.builder.store(self.builder.fadd(self.get(sums[i]), value), sums[i])
            for i in range(rows):
                self.store(self.get(sums[i]), total, places[i])

        self.tiles(count, 8, tile)


def micro_kernel(arguments: str, cell: Any = None) -> Callable[[Callable[[Emitter], None]], Any]:
    """Make a function that emits IR callable from Numba; capitals are compile-time constants.

    For a method of a cell the cell is given too: kernels are kept by its options and its code.
    """
    names = arguments.split()

    def decorate(emit: Callable[[Emitter], None]) -> Any:
        def typed(typing_context: Any, *kinds: Any) -> Any:
            def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
                emit(Emitter(context, builder, signature, values, names))
                return context.get_dummy_value()

            return types.void(*kinds), generate

        parameters = [
            inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD)
            for name in ("typing_context", *names)
        ]
        typed.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        typed.__name__, typed.__doc__ = emit.__name__, emit.__doc__
        kernel: Any = intrinsic(prefer_literal=True)(typed)
        kernel.modules = {emit.__module__, type(cell).__module__}
        kernel.key = (emit.__module__, emit.__qualname__, arguments, repr(cell))
        return kernel

    return decorate


@micro_kernel("source begin target values vectors")
def fill_lanes(e: Emitter) -> None:
    """target[k, lane] = source[begin[lane] + k] for every lane of a row and k < values.

    begin is int64. What is left of `values` after whole vectors is not filled.
    """
    b, row = e.builder, e.times(e.vectors, LANES)
    whole = b.udiv(e.values, ir.Constant(_INT64, LANES))
    with e.loop(whole, LANES) as first, e.loop(e.vectors, LANES) as lanes:
        starts = [b.load(b.gep(e.begin, [e.plus(lanes, lane)])) for lane in range(LANES)]
        for start in starts:  # more streams than the processor follows by itself
            e.prefetch(e.source, first, start, _GATHERED * LANES)
        rows = [e.load(e.source, first, start) for start in starts]
        for k, column in enumerate(e.transposed(rows)):
            e.store(column, e.target, b.mul(e.plus(first, k), row), lanes)


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
