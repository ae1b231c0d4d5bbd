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
from torch import Tensor
from torch.nn.functional import pad

from urnn.devices import DRIVER_VARIABLE
from urnn.errors import ArgumentError
from urnn.recurrence import Backend, Spec, parameter_count
from urnn.recurrence.cells.base import Cell
from urnn.recurrence.gpu.backend import GpuBackend
from urnn.recurrence.gpu.driver import Driver
from urnn.recurrence.kernels import plain
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

    def outputs(self, spec: Spec, theta: Any, x: Any, dataset: np.ndarray) -> Tensor:
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


class StatesOnGpu:
    """`urnn.recurrence.kernels.Kernels` of a GPU; one tensor is kept, the other is empty."""

    time_first = False

    def __init__(self, backend: GpuBackend) -> None:
        self.backend, self.dtype = backend, backend.driver.dtype

    def _theta(self, spec: Spec, theta: Tensor) -> Tensor:
        """With the parameters that the states do not depend on, all 0, behind the others."""
        theta = plain(theta)
        return pad(theta, (0, parameter_count(spec) - theta.shape[1]))

    def forward(
        self,
        spec: Spec,
        keep: bool,
        theta: Tensor,
        x: Tensor,
        h_init: Tensor,
        c_init: Tensor | None,
    ) -> tuple[Tensor, Tensor | None, Tensor, Tensor]:
        """See `Kernels.forward`."""
        given = [h_init] if c_init is None else [h_init, c_init]
        initial = torch.stack([plain(state) for state in given], dim=2)
        h, last, kept = self.backend.states(spec, self._theta(spec, theta), plain(x), initial, keep)
        return h, None if c_init is None else last, kept, kept.new_empty(0)

    def backward(
        self,
        spec: Spec,
        theta: Tensor,
        x: Tensor,
        kept: tuple[Tensor, Tensor],
        d_states: Tensor,
        dc_last: Tensor | None,
        wanted: bool,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
        """See `Kernels.backward`."""
        of_last = None if dc_last is None else plain(dc_last)
        gradient, of_initial, dx = self.backend.pull(
            spec, self._theta(spec, theta), plain(x), kept[0], plain(d_states), of_last, wanted
        )
        dh, *dc = (part.contiguous() for part in of_initial.unbind(2))
        return gradient[:, : theta.shape[1]].contiguous(), dx, dh, dc[0] if dc else None

    def kept_shapes(
        self, spec: Spec, replicas: int, batch: int, length: Any
    ) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
        """See `Kernels.kept_shapes`."""
        return self.backend.kept_shape(spec, replicas, batch, length), (0,)

    def layout(self, spec: Spec, replicas: int, batch: int) -> Any:
        """See `Kernels.layout`."""
        return self.backend.states_layout(spec, batch)


def state_kernels(cell: Cell, device: torch.device) -> StatesOnGpu | None:
    """The kernels for tensors on a GPU, or None where torch's loop must do, which is said once."""
    return _state_kernels(device) if has_kernels(cell) else None


@cache
def _state_kernels(device: torch.device) -> StatesOnGpu | None:
    try:
        return StatesOnGpu(GpuBackend(_driver(str(device))))
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
    nvrtc: Any = importlib.import_module("urnn.recurrence.gpu.nvrtc")
    found: Any = nvrtc.NvrtcDriver(device)
    # whether NVRTC is there and knows this GPU, before a training relies on it
    nvrtc.machine_code('extern "C" __global__ void nothing() {}\n', found.architecture)
    driver = found
    return driver


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
