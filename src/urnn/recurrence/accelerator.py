"""The backend of a GPU: the compiled kernels, or torch's loop where they cannot run.

`urnn.recurrence.backend` imports this module by name, so that an edit of what is behind it concerns
no result of a CPU; see `urnn.devices.code`.
"""

from __future__ import annotations

import importlib
import os
import warnings
from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from urnn.devices import DRIVER_VARIABLE
from urnn.errors import ArgumentError
from urnn.recurrence import Backend, Spec
from urnn.recurrence.cells.base import Cell
from urnn.recurrence.gpu.backend import GpuBackend
from urnn.recurrence.gpu.driver import Driver
from urnn.recurrence.reference import TorchBackend

if TYPE_CHECKING:
    from urnn.training import Trainer


class LoopOnGpu(TorchBackend):
    """Torch's loop on a GPU."""

    def computed_by(self, spec: Spec) -> str:
        """What computes, for files."""
        return f"torch on {_gpu(self.device)}"


class KernelsOrLoop(GpuBackend):
    """The compiled kernels, and torch's loop for a cell that has no C++ of its own."""

    def __init__(self, driver: Driver) -> None:
        super().__init__(driver)
        self._loop = LoopOnGpu(str(driver.device))

    def computed_by(self, spec: Spec) -> str:
        """What computes, for files."""
        if not has_kernels(spec.cell):
            return self._loop.computed_by(spec)
        return f"CUDA kernels on {_gpu(self.driver.device)}"

    def step(self, spec: Spec) -> Any:
        """See `urnn.recurrence.Backend.step`."""
        if has_kernels(spec.cell):
            return super().step(spec)
        _warn(f"the cell {spec.cell.tag} has no C++ (`Cell.cuda`)")
        return self._loop.step(spec)

    def outputs(self, spec: Spec, theta: Any, x: Any, dataset: np.ndarray) -> torch.Tensor:
        """See `urnn.recurrence.Backend.outputs`."""
        if has_kernels(spec.cell):
            return super().outputs(spec, theta, x, dataset)
        return self._loop.outputs(spec, theta, x, dataset)

    def epoch(self, trainer: Trainer, order: np.ndarray, first: int) -> None:
        """See `GpuBackend.epoch`."""
        if has_kernels(trainer.spec.cell):
            super().epoch(trainer, order, first)
        else:
            trainer.step(order)


def has_kernels(cell: Cell) -> bool:
    """Whether a cell has the C++ of its step."""
    return type(cell).cuda is not Cell.cuda


def make(device: str) -> Backend:
    """The backend of "cuda" or "cuda:N": the kernels, or with a warning torch's loop.

    Raises:
        ArgumentError: this machine does not have the device.
    """
    if os.environ.get(DRIVER_VARIABLE):
        return KernelsOrLoop(_driver(device))
    loop = LoopOnGpu(device)  # refuses what is not there
    try:
        return KernelsOrLoop(_driver(device))
    except ArgumentError as error:
        _warn(str(error))
        return loop


@cache
def kernels(device: torch.device) -> GpuBackend | None:
    """The kernels for tensors on a device, or None where torch's loop must do; one for each device.

    A reason other than that the device is no GPU is said once.
    """
    if device.type != "cuda":
        return None
    try:
        return GpuBackend(_driver(str(device)))
    except ArgumentError as error:
        _warn(str(error))
        return None


def _driver(device: str) -> Driver:
    """The driver of a device, or the one that a test names.

    Raises:
        ArgumentError: the kernels cannot be compiled or launched there; it says why.
    """
    named = os.environ.get(DRIVER_VARIABLE)
    if named:
        module, _, attribute = named.partition(":")
        driver: Driver = getattr(importlib.import_module(module), attribute)()
        return driver
    if torch.version.cuda is None:
        raise ArgumentError(f"{device} is not NVIDIA's, and only they have NVRTC")
    # by name, so that what is not there is found when a GPU is asked for
    found: Driver = importlib.import_module("urnn.recurrence.gpu.nvrtc").NvrtcDriver(device)
    return found


def _gpu(device: torch.device) -> str:
    """The name of a GPU; a test's driver is none."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else f"no GPU ({device})"


def _warn(reason: str) -> None:
    warnings.warn(
        f"{reason}: torch's loop over time runs in place of the compiled kernels, "
        "correct and much slower",
        RuntimeWarning,
        stacklevel=3,
    )
