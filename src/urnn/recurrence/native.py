"""Functions of emitted LLVM IR, compiled for this processor and kept between processes.

A function of a driver is a Python function that emits it. A *kernel* is called from Python; a
*shared* function is called by kernels, compiled once for all of them, in one library for each
module.

A file of the cache holds machine code; its name is a hash of the IR that it was compiled from, of
LLVM's version and of the processor. So it is never stale, whatever was edited: the IR says all. A
file appears under its name only when it is complete: processes that compile the same kernel write
the same file, and those that compile different ones meet nowhere.
"""

from __future__ import annotations

import ctypes
import hashlib
import inspect
import os
from collections.abc import Callable, Iterator
from functools import cache, wraps
from pathlib import Path
from typing import Any, TypeAlias

import llvmlite
import numpy as np
from llvmlite import binding, ir
from numpy.typing import NDArray

from urnn.errors import ArgumentError
from urnn.recurrence import kept
from urnn.recurrence.emitter import (
    DOUBLE,
    FLOAT,
    INT64,
    LANES,
    POINTER,
    Array,
    Emitter,
    Int,
    host_features,
)

#: types of arguments, by the name of their annotation: arrays by what they hold
_ARRAYS = {"Floats": FLOAT, "Strided": FLOAT, "Doubles": DOUBLE, "Integers": INT64}
_DTYPES = {FLOAT: np.dtype(np.float32), DOUBLE: np.dtype(np.float64), INT64: np.dtype(np.int64)}
Floats: TypeAlias = Array
#: float32 in any order, which other arguments tell
Strided: TypeAlias = Array
Doubles: TypeAlias = Array
Integers: TypeAlias = Array
#: one float64
Real: TypeAlias = Any

#: checksum in front of the machine code
_DIGEST = 32


@cache
def processor() -> tuple[str, str]:
    """The processor and its features, as LLVM calls them.

    $URNN_PROCESSOR, such as x86-64-v3 or generic, is there for tests and for results that equal
    another machine's.
    """
    chosen = os.environ.get("URNN_PROCESSOR")
    if chosen:
        return chosen, ""
    features = ",".join(
        f"{'+' if on else '-'}{name}" for name, on in sorted(host_features().items())
    )
    return binding.get_host_cpu_name(), features


@cache
def folder() -> Path:
    """Where kernels are kept: another folder after an update of LLVM or a change of processor."""
    versions = (llvmlite.__version__, *map(str, binding.llvm_version_info))
    key = hashlib.sha256(" ".join((*versions, *processor(), str(LANES))).encode())
    return kept.folder() / key.hexdigest()[:16]


def _target() -> binding.TargetMachine:
    """Where code is compiled to; an engine keeps its own."""
    binding.initialize_native_target()
    binding.initialize_native_asmprinter()
    target = binding.Target.from_default_triple()
    name, features = processor()
    # as it must be for code that is loaded into a running process
    static = target.name.startswith("x86")
    found: binding.TargetMachine = target.create_target_machine(
        cpu=name,
        features=features,
        opt=3,
        reloc="static" if static else "default",
        codemodel="jitdefault",
        jit=True,
    )
    return found


class Kernel:
    """A compiled function: takes numpy arrays and integers, and returns nothing.

    Raises:
        ArgumentError: an array of another type, or not in C order unless it is strided.
    """

    def __init__(self, emit: Callable[..., None]) -> None:
        self._kinds = _kinds(emit)
        module, libraries = _emitted(emit)
        parts = [_machine_code(module, emit.__name__)]
        parts += [_machine_code(_library(name), name.rpartition(".")[2]) for name in libraries]
        #: whether all of its machine code was there
        self.found = all(found for _, found in parts)
        self._engine = binding.create_mcjit_compiler(binding.parse_assembly(""), _target())
        for content, _ in parts:
            self._engine.add_object_file(binding.ObjectFileRef.from_data(content))
        self._engine.finalize_object()
        takes = [ctypes.c_int64 if kind == INT64 else ctypes.c_void_p for kind in self._types()]
        #: the function itself, of integers and addresses
        self.call = ctypes.CFUNCTYPE(None, *takes)(self._engine.get_function_address(_symbol(emit)))

    def _types(self) -> Iterator[Any]:
        for kind in self._kinds.values():
            yield POINTER if kind in _ARRAYS else INT64

    def __call__(self, *arguments: Any) -> None:
        self.call(*self.addresses(*arguments))

    def addresses(self, *arguments: Any) -> list[int]:
        """The arguments as `call` takes them."""
        return [
            address(value, _ARRAYS[kind], name, kind == "Strided") if kind in _ARRAYS else value
            for (name, kind), value in zip(self._kinds.items(), arguments, strict=True)
        ]


def address(array: NDArray, kind: Any, name: str = "an array", strided: bool = False) -> int:
    """Where an array begins.

    Raises:
        ArgumentError: it is of another type, or not in C order unless it may be ``strided``.
    """
    if array.dtype != _DTYPES[kind] or not (strided or array.flags.c_contiguous):
        raise ArgumentError(
            f"{name} must be a C-contiguous {_DTYPES[kind]} array, but it is {array.dtype}"
        )
    return int(array.ctypes.data)


def _kinds(emit: Callable[..., None]) -> dict[str, str]:
    """The arguments of a function that is emitted, and their types: all but the emitter."""
    _, *parameters = inspect.signature(emit).parameters.values()
    return {parameter.name: str(parameter.annotation) for parameter in parameters}


def _type(kind: str) -> Any:
    return POINTER if kind in _ARRAYS else DOUBLE if kind == "Real" else INT64


def _declare(module: ir.Module, emit: Callable[..., None]) -> ir.Function:
    types = [_type(kind) for kind in _kinds(emit).values()]
    return ir.Function(module, ir.FunctionType(ir.VoidType(), types), _symbol(emit))


def _symbol(emit: Callable[..., None]) -> str:
    """The name of a compiled function."""
    return f"{emit.__module__}.{emit.__name__}"


def _define(module: ir.Module, emit: Callable[..., None]) -> None:
    function = _declare(module, emit)
    # the first block holds the room on the stack alone
    entry, body = (function.append_basic_block(name) for name in ("entry", "body"))
    builder = ir.IRBuilder(entry)
    with builder.goto_block(body):
        values = [
            Array(builder, value, _ARRAYS[kind])
            if kind in _ARRAYS
            else Int(builder, value)
            if value.type == INT64
            else value
            for value, kind in zip(function.args, _kinds(emit).values(), strict=True)
        ]
        emit(Emitter(builder, {}), *values)
        builder.ret_void()
    builder.branch(body)


def _emitted(emit: Callable[..., None]) -> tuple[str, list[str]]:
    """The IR of a kernel, and the libraries that it calls."""
    module = ir.Module(_symbol(emit))
    _define(module, emit)
    called = {_LIBRARY_OF[name] for name in module.globals if name in _LIBRARY_OF}
    return str(module), sorted(called)


#: the shared functions of each module, and the module of each one
_SHARED: dict[str, list[Callable[..., None]]] = {}
_LIBRARY_OF: dict[str, str] = {}


def shared(emit: Callable[..., None]) -> Callable[..., None]:
    """A function that emits a call of `emit`, which is compiled once for all kernels.

    What it is called with are the emitter and its arguments; tuples of arguments stand for what is
    in them.
    """
    _SHARED.setdefault(emit.__module__, []).append(emit)
    _LIBRARY_OF[_symbol(emit)] = emit.__module__
    kinds = list(_kinds(emit).values())

    @wraps(emit)
    def call(e: Emitter, *arguments: Any) -> None:
        module = e.builder.module
        function = module.globals.get(_symbol(emit)) or _declare(module, emit)
        values = []
        for value, kind in zip(_flat(arguments), kinds, strict=True):
            if kind in _ARRAYS:
                values.append(value.pointer)
            elif isinstance(value, int):
                values.append(ir.Constant(INT64, value))
            else:
                values.append(value.value if isinstance(value, Int) else value)
        e.builder.call(function, values)

    return call


def _flat(values: tuple[Any, ...]) -> Iterator[Any]:
    for value in values:
        if isinstance(value, tuple):
            yield from _flat(value)
        else:
            yield value


@cache
def _library(name: str) -> str:
    """The IR of the shared functions of a module."""
    module = ir.Module(name)
    for emit in _SHARED[name]:
        _define(module, emit)
    return str(module)


def _machine_code(text: str, name: str) -> tuple[bytes, bool]:
    """The object file of a module of IR, and whether it was kept."""
    path = folder() / f"{name}-{hashlib.sha256(text.encode()).hexdigest()[:32]}"
    try:
        content = path.read_bytes()
    except OSError:
        content = b""
    # a file that was cut short by a crash of the machine is made again
    if hashlib.sha256(content[_DIGEST:]).digest() == content[:_DIGEST]:
        return content[_DIGEST:], True
    compiled = _compile(text)
    kept.keep(path, hashlib.sha256(compiled).digest() + compiled)
    return compiled, False


def _compile(text: str) -> bytes:
    target = _target()
    module = binding.parse_assembly(text)
    module.triple, module.data_layout = target.triple, str(target.target_data)
    module.verify()
    options = binding.create_pipeline_tuning_options(speed_level=3)
    builder = binding.create_pass_builder(target, options)
    passes = builder.getModulePassManager()
    passes.run(module, builder)
    compiled: bytes = target.emit_object(module)
    return compiled
