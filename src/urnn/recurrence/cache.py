"""Compiled kernels, kept between processes: a file for each, never stale, safe to write at once.

Numba's own cache (cache=True) does not do, for three reasons that were all seen to happen:

- its key is the file that holds the function, which an edit of the emitters in another file leaves
  as it is, and the old kernel runs;
- the sizes of a kernel share one index, which two processes that compile at the same time overwrite
  for each other, and a third one gets the kernel of another size without a word;
- where its folder cannot be written, it takes __pycache__ instead, with the first fault.

Here a file's name is a hash of all that its content follows from: the code of the function and of
what it calls (`urnn.closure`), the sizes, types, versions and the processor. So an edit of a cell
compiles that cell's kernels again, and an edit of a comment none. There is no index, and a file
appears under its name only when it is complete: processes that compile the same kernel write the
same file, and those that compile different ones meet nowhere.
"""

from __future__ import annotations

import hashlib
import pickle
import sys
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import llvmlite
import numba
import numpy as np
from llvmlite import binding
from numba.core.caching import _Cache
from numba.core.compiler import CompileResult
from numba.core.serialize import dumps

from urnn import closure
from urnn.recurrence import kept
from urnn.recurrence.vector import LANES

#: for all kernels; no bounds are checked in them, so their callers must
OPTIONS: dict[str, Any] = {"error_model": "numpy", "boundscheck": False, "nogil": True}


@cache
def folder() -> Path:
    """Where kernels are kept: another folder after any update or change of processor."""
    processor = f"{binding.get_host_cpu_name()} {binding.get_host_cpu_features().flatten()}"
    versions = (sys.version, numba.__version__, llvmlite.__version__, np.__version__)
    key = hashlib.sha256(" ".join((*versions, processor, str(LANES))).encode())
    return kept.folder() / key.hexdigest()[:16]


def _content(function: Callable) -> tuple[tuple[Any, ...], set[str]]:
    """What a kernel is, besides code, and the modules of the code.

    Its closure holds integers, micro-kernels and other kernels, and nothing else.
    """
    parts: list[Any] = [function.__module__, function.__qualname__]
    modules = {function.__module__}
    for variable in function.__closure__ or ():
        value: Any = variable.cell_contents
        if isinstance(value, int):
            parts.append(value)
        elif hasattr(value, "py_func"):
            part, of_part = _content(value.py_func)
            parts.append(part)
            modules |= of_part
        else:
            parts.append(value.key)
            modules |= value.modules
    return tuple(parts), modules


@cache
def _code(modules: frozenset[str]) -> str:
    """A digest of the code behind modules; of this package alone, which tests go beyond."""
    ours = {name for name in modules if name.split(".")[0] == closure.ROOT.name}
    return closure.digest(__name__, *ours)


class KernelCache(_Cache):
    """What Numba asks before it compiles `function`, and tells afterwards."""

    def __init__(self, function: Callable) -> None:
        self.function = function

    @property
    def cache_path(self) -> str:
        return str(folder())

    def enable(self) -> None: ...

    def disable(self) -> None: ...

    def flush(self) -> None: ...

    def path(self, signature: Any, codegen: Any) -> Path:
        """The file of a compiled function."""
        content, modules = _content(self.function)
        key = (content, _code(frozenset(modules)), signature, codegen.magic_tuple())
        digest = hashlib.sha256(repr(key).encode()).hexdigest()
        return folder() / f"{self.function.__name__}-{digest[:32]}"

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        target_context.refresh()
        try:
            content = pickle.loads(self.path(sig, target_context.codegen()).read_bytes())
        except (OSError, EOFError, pickle.UnpicklingError):
            return None  # not there, or cut short by a crash of the machine: compiled again
        return CompileResult._rebuild(target_context, *content)

    def save_overload(self, sig: Any, data: Any) -> None:
        kept.keep(self.path(sig, data.codegen), dumps(data._reduce()))


def kept_kernel(function: Callable) -> Any:
    """`function` compiled by Numba and kept; the functions it calls are compiled into it.

    Numba tells functions of one name apart by a number, which starts again in every process: of two
    kernels of different sizes, kept by two processes, a third one would link one into the callers
    of both. So what tells them apart becomes a part of the name.
    """
    if function.__closure__:
        content = repr(_content(function)[0])
        function.__qualname__ += f"-{hashlib.sha256(content.encode()).hexdigest()[:16]}"
    dispatcher = numba.njit(**OPTIONS)(function)
    dispatcher._cache = KernelCache(function)
    return dispatcher


def part_of_kernel(function: Callable) -> Any:
    """`function` as a part of the kernels that call it, compiled as if its lines were theirs.

    Compiled by itself, as the small functions are that many kernels share, a part that belongs to
    one kernel would be compiled twice.
    """
    return numba.njit(inline="always", **OPTIONS)(function)
