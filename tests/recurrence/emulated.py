"""The GPU kernels on a CPU: a driver that compiles them with g++, every thread of a block a fiber.

See emulator/emulator.hpp. `Emulator` is a `urnn.recurrence.gpu.driver.Driver`, so that
``GpuBackend(Emulator())`` runs what a GPU would run, launch by launch.
"""

from __future__ import annotations

import ctypes
import hashlib
import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch

from urnn.recurrence import Spec
from urnn.recurrence.gpu.driver import Arguments
from urnn.recurrence.gpu.layouts import Layout
from urnn.recurrence.gpu.sources import source

FOLDER = Path(__file__).parent / "emulator"
#: rounds as a GPU does: what is not written as a fused product is not fused
FLAGS = ("-std=c++17", "-O1", "-march=native", "-ffp-contract=off", "-w", "-shared", "-fPIC")
#: blocks that run at once; few, so that blocks take several items each
RESIDENT = 3


def compiler() -> str:
    """g++, or the test is skipped."""
    found = shutil.which("g++")
    if found is None:
        pytest.skip("the emulator needs g++")
    return found


@cache
def _folder() -> Path:
    """Where compiled kernels are kept: for the session, or longer in $URNN_EMULATOR_CACHE."""
    kept = os.environ.get("URNN_EMULATOR_CACHE")
    if kept:
        Path(kept).mkdir(parents=True, exist_ok=True)
        return Path(kept)
    made = tempfile.TemporaryDirectory(prefix="urnn-emulator-")
    _kept_alive.append(made)
    return Path(made.name)


_kept_alive: list[Any] = []


@cache
def library(text: str) -> ctypes.CDLL:
    """The compiled source."""
    name = hashlib.sha256(repr((FLAGS, text)).encode()).hexdigest()[:24]
    path = _folder() / f"{name}.so"
    if not path.exists():
        unfinished = path.with_suffix(f".{os.getpid()}.so")
        command = [compiler(), *FLAGS, "-x", "c++", "-", "-o", str(unfinished)]
        result = subprocess.run(command, input=text, capture_output=True, text=True)
        assert result.returncode == 0, result.stderr[:3000]
        unfinished.replace(path)
    loaded = ctypes.CDLL(str(path))
    loaded.size_of_arguments.restype = ctypes.c_ulong
    assert loaded.size_of_arguments() == ctypes.sizeof(Arguments)
    return loaded


class Stuck(AssertionError):
    """Some threads wait at a barrier that others never come to."""


@dataclass
class EmulatedKernel:
    """A compiled kernel, with the way its threads are ordered."""

    driver: Emulator
    name: str
    threads: int
    loaded: ctypes.CDLL
    resident: int = RESIDENT

    def __call__(self, given: Arguments, blocks: int) -> None:
        self.driver.launches.append((self.name, blocks))
        left_out = self.driver.left_out if self.driver.without in (None, self.name) else -1
        launch = getattr(self.loaded, f"launch_{self.name}")
        launch.restype = ctypes.c_bool
        if not launch(ctypes.byref(given), blocks, self.threads, self.driver.seed, left_out):
            raise Stuck(f"threads of {self.name} wait for others that have ended")

    @property
    def barriers(self) -> int:
        """Barriers in the source, numbered from 0."""
        return int(self.loaded.barriers())


@dataclass
class Emulator:
    """A driver; ``seed`` says in which order threads run (0: ascending, 1: descending)."""

    dtype: torch.dtype = torch.float32
    seed: int = 2
    #: the number of a barrier that is left out, and of which kernel alone
    left_out: int = -1
    without: str | None = None
    device: torch.device = field(default_factory=lambda: torch.device("cpu"))
    #: every launch: the kernel's name and how many blocks
    launches: list[tuple[str, int]] = field(default_factory=list)

    def program(
        self,
        kernels: tuple[str, ...],
        spec: Spec,
        layout: Layout,
        moves: tuple[str, str] = ("", ""),
    ) -> dict[str, EmulatedKernel]:
        device, launch = (
            (FOLDER / name).read_text(encoding="utf-8") for name in ("emulator.hpp", "launch.hpp")
        )
        entries = "".join(f"ENTRY({name})\n" for name in kernels)
        text = source(kernels, spec, layout, device, self.dtype == torch.float64, moves)
        loaded = library(f"{text}{launch}{entries}")
        return {name: EmulatedKernel(self, name, layout.threads, loaded) for name in kernels}

    def empty(self, *shape: int) -> torch.Tensor:
        return torch.full(shape, float("nan"), dtype=self.dtype)

    def free_bytes(self) -> int:
        return 1 << 30
