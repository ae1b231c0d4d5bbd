"""Emits LLVM IR: integers, arrays, loops, and arithmetic with explicit vectors of float32.

Only generic operations are emitted (<8 x float> or <16 x float> arithmetic, llvm.fma,
llvm.prefetch), so LLVM maps them to whatever vectors the processor has, or to scalars.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from llvmlite import binding, ir

from urnn.errors import ArgumentError


def host_features() -> dict[str, bool]:
    """What this processor can do; nothing where LLVM cannot tell."""
    try:
        return dict(binding.get_host_cpu_features())
    except RuntimeError:
        return {}


#: processors that split a vector of 16 floats in two; with 8, batches leave fewer lanes empty
_HALVING = ("znver4",)


def _vectors() -> tuple[int, int]:
    """Lanes of a vector, and how many vectors the registers of this processor hold.

    $URNN_LANES, 8 or 16, is there for tests and for results that equal another machine's.
    """
    chosen = os.environ.get("URNN_LANES")
    if chosen not in (None, "8", "16"):
        raise ArgumentError(f"URNN_LANES must be 8 or 16, but it is {chosen!r}")
    wide = host_features().get("avx512f", False)
    at_once = wide and binding.get_host_cpu_name() not in _HALVING
    lanes = int(chosen or (16 if at_once else 8))
    return lanes, 32 if wide else 16


LANES, REGISTERS = _vectors()
FLOAT, DOUBLE, INT32, INT64 = ir.FloatType(), ir.DoubleType(), ir.IntType(32), ir.IntType(64)
VECTOR = ir.VectorType(FLOAT, LANES)
POINTER = ir.PointerType()

#: columns up to which a loop over them is unrolled
_UNROLLED = 4
#: time steps ahead of which the backward pass fetches the states that it walks down
_PREFETCHED = 2
#: floats of a cache line
LINE = 16
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


class Int:
    """An integer that is known when the kernel runs; integers known before stay Python's.

    Divisions are of numbers that are not negative.
    """

    __slots__ = ("builder", "value")

    def __init__(self, builder: Any, value: Any) -> None:
        self.builder, self.value = builder, value

    def _do(self, operation: str, left: Offset, right: Offset) -> Int:
        emit = getattr(self.builder, operation)
        return Int(self.builder, emit(_value(left), _value(right)))

    def __add__(self, other: Offset) -> Int:
        return self if isinstance(other, int) and other == 0 else self._do("add", self, other)

    __radd__ = __add__

    def __mul__(self, other: Offset) -> Offset:
        if isinstance(other, int) and other in (0, 1):
            return self if other else 0
        return self._do("mul", self, other)

    __rmul__ = __mul__

    def __sub__(self, other: Offset) -> Int:
        return self._do("sub", self, other)

    def __rsub__(self, other: Offset) -> Int:
        return self._do("sub", other, self)

    def __floordiv__(self, other: Offset) -> Int:
        return self._do("udiv", self, other)

    def __rfloordiv__(self, other: Offset) -> Int:
        return self._do("udiv", other, self)

    def __mod__(self, other: Offset) -> Int:
        return self._do("urem", self, other)

    def __and__(self, other: Offset) -> Int:
        return self if isinstance(other, int) and other == -1 else self._do("and_", self, other)

    __rand__ = __and__

    def _compare(self, comparison: str, other: Offset) -> Any:
        return self.builder.icmp_signed(comparison, self.value, _value(other))

    def __lt__(self, other: Offset) -> Any:
        return self._compare("<", other)

    def __gt__(self, other: Offset) -> Any:
        return self._compare(">", other)

    def __ge__(self, other: Offset) -> Any:
        return self._compare(">=", other)

    def equals(self, other: Offset) -> Any:
        """Whether they are the same: a condition for `Emitter.when` and `Emitter.either`."""
        return self._compare("==", other)


Offset = int | Int


def _value(offset: Offset) -> Any:
    return ir.Constant(INT64, offset) if isinstance(offset, int) else offset.value


class Array:
    """Values of one type in memory. array[i] reads, array[i] = v writes, array[i:] is a view."""

    __slots__ = ("builder", "kind", "pointer")

    def __init__(self, builder: Any, pointer: Any, kind: Any) -> None:
        self.builder, self.pointer, self.kind = builder, pointer, kind

    def address(self, offset: Offset) -> Any:
        """The pointer to a value."""
        if isinstance(offset, int) and offset == 0:
            return self.pointer
        return self.builder.gep(self.pointer, [_value(offset)], source_etype=self.kind)

    def __getitem__(self, place: Any) -> Any:
        if isinstance(place, slice):
            return Array(self.builder, self.address(place.start or 0), self.kind)
        found = self.builder.load(self.address(place), typ=self.kind)
        return Int(self.builder, found) if self.kind == INT64 else found

    def __setitem__(self, place: Offset, value: Any) -> None:
        if isinstance(value, Offset):
            value = _value(value)
        elif value.type != self.kind:
            value = self.builder.fptrunc(value, self.kind)
        self.builder.store(value, self.address(place))


class Emitter:
    """Emits the body of one function, or a part of it; ``values`` by name are its attributes.

    Names in capitals are integers that are known now.
    """

    #: of the processor; cells are light, and reach them through the emitter alone
    LANES, REGISTERS = LANES, REGISTERS

    def __init__(self, builder: Any, values: dict[str, Any]) -> None:
        self.builder = builder
        self.__dict__.update(values)

    def __getattr__(self, name: str) -> Any:  # for the type checker: set in __init__
        raise AttributeError(name)

    # offsets

    def plus(self, *parts: Offset) -> Offset:
        known = sum(part for part in parts if isinstance(part, int))
        return sum((part for part in parts if isinstance(part, Int)), start=0) + known

    def times(self, part: Offset, factor: Offset) -> Offset:
        return part * factor

    def half(self, part: Offset) -> Offset:
        return part // 2

    def minimum(self, a: Offset, b: Offset) -> Offset:
        """The smaller one."""
        if isinstance(a, int) and isinstance(b, int):
            return min(a, b)
        return self.either(a < b, a, b)

    def parts(self, count: Offset, size: int) -> Offset:
        """How many parts of at most ``size`` a count has."""
        return (count + (size - 1)) // size

    def either(self, condition: Any, yes: Offset, no: Offset) -> Int:
        """One of two integers."""
        return Int(self.builder, self.builder.select(condition, _value(yes), _value(no)))

    # memory

    def stack(self, count: Offset, kind: Any) -> Array:
        """Room for a few values while the function runs; in a loop their number must be known."""
        if isinstance(count, Int):
            return Array(self.builder, self.builder.alloca(kind, count.value), kind)
        with self.builder.goto_entry_block():
            return Array(self.builder, self.builder.alloca(kind, count), kind)

    def load(self, base: Array, *offset: Offset) -> Any:
        value = self.builder.load(base.address(self.plus(*offset)), typ=VECTOR)
        value.align = 4  # rows need not start at a multiple of a vector's size
        return value

    def store(self, value: Any, base: Array, *offset: Offset) -> None:
        self.builder.store(value, base.address(self.plus(*offset)), align=4)

    def weight(self, base: Array, index: Offset) -> Any:
        """A weight of every model, repeated for its trials."""
        few = ir.VectorType(FLOAT, self.MODELS)
        if self.MODELS == 1:
            undefined = ir.Constant(few, ir.Undefined)
            values = self.builder.insert_element(undefined, base[index], ir.Constant(INT32, 0))
        else:
            values = self.builder.load(base.address(self.times(index, self.MODELS)), typ=few)
            values.align = 4
        lanes = ir.VectorType(INT32, LANES)
        repeated = ir.Constant(lanes, [lane % self.MODELS for lane in range(LANES)])
        return self.builder.shuffle_vector(values, ir.Constant(few, ir.Undefined), repeated)

    def prefetch(self, base: Array, *offset: Offset) -> None:
        """Ask for a cache line; an address outside the array is harmless."""
        read, keep, data = (ir.Constant(INT32, value) for value in (0, 3, 1))
        kind = ir.FunctionType(ir.VoidType(), [POINTER, INT32, INT32, INT32])
        self._call("llvm.prefetch.p0", kind, base.address(self.plus(*offset)), read, keep, data)

    def _call(self, name: str, kind: Any, *values: Any) -> Any:
        module = self.builder.module
        function = module.globals.get(name) or ir.Function(module, kind, name)
        return self.builder.call(function, values)

    # arithmetic

    def constant(self, value: float) -> Any:
        return ir.Constant(VECTOR, [float(value)] * LANES)

    def double(self, value: Any) -> Any:
        """A single number or integer as float64."""
        if isinstance(value, float):
            return ir.Constant(DOUBLE, value)
        if isinstance(value, Offset):
            return self.builder.sitofp(_value(value), DOUBLE)
        return self.builder.fpext(value, DOUBLE)

    def of_double(self, function: str, value: Any) -> Any:
        """exp or log of a float64."""
        return self._call(f"llvm.{function}.f64", ir.FunctionType(DOUBLE, [DOUBLE]), value)

    def fma(self, a: Any, b: Any, c: Any) -> Any:
        """a b + c, rounded once."""
        return self._call(f"llvm.fma.v{LANES}f32", ir.FunctionType(VECTOR, [VECTOR] * 3), a, b, c)

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
        b, least, kind = self.builder, self.constant(1e-30), ir.FunctionType(VECTOR, [VECTOR])
        sizes = [self._call(f"llvm.fabs.v{LANES}f32", kind, part) for part in (re, im)]
        # relative to the larger part, so that no square overflows or vanishes
        largest = self.where("<", sizes[0], sizes[1], sizes[1], sizes[0])
        largest = self.where("<", largest, least, least, largest)
        x, y = (b.fdiv(size, largest) for size in sizes)
        square = self.fma(x, x, b.fmul(y, y))
        modulus = b.fmul(largest, self._call(f"llvm.sqrt.v{LANES}f32", kind, square))
        return self.where("<", modulus, least, least, modulus)

    # accumulators; LLVM turns these variables into registers

    def variable(self, value: Any) -> Any:
        place = self.stack(1, value.type)
        self.builder.store(value, place.pointer)
        return place

    def get(self, place: Any) -> Any:
        return self.builder.load(place.pointer, typ=place.kind)

    def put(self, value: Any, place: Any) -> None:
        self.builder.store(value, place.pointer)

    def accumulate(self, place: Any, a: Any, b: Any) -> None:
        self.put(self.fma(a, b, self.get(place)), place)

    # what runs, and how often

    @contextmanager
    def when(self, condition: Any) -> Iterator[None]:
        """Only where a condition holds."""
        with self.builder.if_then(condition):
            yield

    @contextmanager
    def loop(self, count: Offset, step: int = 1, start: Offset = 0) -> Iterator[Any]:
        """start, start + step, start + 2 step, ...: count of them."""
        b = self.builder
        begin, body, end = (b.append_basic_block(name) for name in ("begin", "body", "end"))
        before = b.block
        b.branch(begin)
        b.position_at_end(begin)
        index = b.phi(INT64)
        index.add_incoming(ir.Constant(INT64, 0), before)
        b.cbranch(b.icmp_signed("<", index, _value(count)), body, end)
        b.position_at_end(body)
        yield Int(b, index) * step + start
        index.add_incoming(b.add(index, ir.Constant(INT64, 1), flags=("nuw", "nsw")), b.block)
        b.branch(begin)
        b.position_at_end(end)

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
        mask = ir.Constant(ir.VectorType(INT32, LANES), lanes)
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
        if vector == 0 or (index * self.row + vector * LANES) % LINE == 0:
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
                        self.put(self.builder.fadd(self.get(sums[i]), value), sums[i])
            for i in range(rows):
                self.store(self.get(sums[i]), total, places[i])

        self.tiles(count, 8, tile)
