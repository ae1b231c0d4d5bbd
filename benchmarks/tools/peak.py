"""The processor's peak: fused multiply-adds of float32 that do not wait for each other.

LLVM compiles the kernel as it does those of urnn: no other compiler is needed.
"""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from llvmlite import ir

from benchmarks.cases import Case
from benchmarks.tools import PEAK_FLOP, Run, Variants, timed
from urnn.recurrence.emitter import Emitter, Offset
from urnn.recurrence.native import Floats, Kernel

#: accumulators; 4 cycles of latency times 2 units need 8, and 16 registers hold 12 beside the rest
_CHAINS = 12


def variants(case: Case) -> Variants:
    """Vectors of 8 and of 16 float32; the case is not looked at."""
    for lanes in (8, 16):
        yield f"{lanes} lanes", partial(_run, lanes)


def _run(lanes: int) -> Run:
    kernel = _kernel(lanes)
    count = PEAK_FLOP // (2 * _CHAINS * lanes)
    numbers = np.array([0.9999, 1e-4, 0], np.float32)
    kernel(count, numbers)
    return Run(None, 1, timed(1, lambda: kernel(count, numbers), lambda: None))


def _kernel(lanes: int) -> Any:
    """A kernel (count, numbers) that does count rounds of a <- a numbers[0] + numbers[1]."""
    vector = ir.VectorType(ir.FloatType(), lanes)

    def chains(e: Emitter, count: Offset, numbers: Floats) -> None:
        b = e.builder
        kind = ir.FunctionType(vector, [vector] * 3)
        fma = ir.Function(b.module, kind, f"llvm.fma.v{lanes}f32")
        sums = [
            e.variable(ir.Constant(vector, [float(1 + number)] * lanes))
            for number in range(_CHAINS)
        ]
        factor, addend = (_repeated(b, numbers[k], vector) for k in range(2))
        with e.loop(count):
            for a in sums:
                e.put(b.call(fma, [e.get(a), factor, addend]), a)
        total = ir.Constant(vector, [0.0] * lanes)
        for a in sums:
            total = b.fadd(total, e.get(a))
        # every lane is used, or LLVM would drop those that are not
        numbers[2] = _sum(b, total, lanes)

    return Kernel(chains)


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
