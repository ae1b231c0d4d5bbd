"""The processor's peak: fused multiply-adds of float32 that do not wait for each other.

Numba compiles the kernel from LLVM IR, as it does those of urnn: no compiler is needed.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numba
from llvmlite import ir
from numba.core import cgutils, types
from numba.core.extending import intrinsic

from benchmarks.cases import Case
from benchmarks.tools import PEAK_FLOP, Run, Variants, timed

#: accumulators; 4 cycles of latency times 2 units need 8, and 16 registers hold 12 beside the rest
_CHAINS = 12


def variants(case: Case) -> Variants:
    """Vectors of 8 and of 16 float32; the case is not looked at."""
    for lanes in (8, 16):
        yield f"{lanes} lanes", partial(_run, lanes)


def _run(lanes: int) -> Run:
    kernel = _kernel(lanes)
    count = PEAK_FLOP // (2 * _CHAINS * lanes)
    kernel(count, 0.9999, 1e-4)
    return Run(None, 1, timed(1, lambda: kernel(count, 0.9999, 1e-4), lambda: None))


def _kernel(lanes: int) -> Any:
    """A function (count, factor, addend) that does count rounds of a <- a factor + addend."""
    vector = ir.VectorType(ir.FloatType(), lanes)

    def chains(typing_context: Any, count: Any, factor: Any, addend: Any) -> Any:
        def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
            kind = ir.FunctionType(vector, [vector] * 3)
            fma = cgutils.get_or_insert_function(builder.module, kind, f"llvm.fma.v{lanes}f32")
            places = [cgutils.alloca_once(builder, vector) for _ in range(_CHAINS)]
            for number, place in enumerate(places):
                builder.store(ir.Constant(vector, [float(1 + number)] * lanes), place)
            a, b = (_repeated(builder, value, vector) for value in values[1:])
            with cgutils.for_range(builder, values[0]):
                for place in places:
                    builder.store(builder.call(fma, [builder.load(place), a, b]), place)
            total = ir.Constant(vector, [0.0] * lanes)
            for place in places:
                total = builder.fadd(total, builder.load(place))
            # every lane is used, or LLVM would drop those that are not
            return _sum(builder, total, lanes)

        return types.float32(types.intp, types.float32, types.float32), generate

    emitted: Any = intrinsic(chains)

    def kernel(count, factor, addend):
        return emitted(count, numba.float32(factor), numba.float32(addend))

    return numba.njit(nogil=True)(kernel)


def _repeated(builder: Any, value: Any, vector: Any) -> Any:
    result = ir.Constant(vector, ir.Undefined)
    for lane in range(vector.count):
        result = builder.insert_element(result, value, ir.Constant(ir.IntType(32), lane))
    return result


def _sum(builder: Any, vector: Any, lanes: int) -> Any:
    total = ir.Constant(ir.FloatType(), 0.0)
    for lane in range(lanes):
        part = builder.extract_element(vector, ir.Constant(ir.IntType(32), lane))
        total = builder.fadd(total, part)
    return total
