"""The readable backend: a torch loop over time, with autograd; any device, float64 on the CPU."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor

from urnn.errors import ArgumentError
from urnn.recurrence import Spec, check_step, unpack
from urnn.recurrence.cells.base import Cell


def states(
    cell: Cell, parameters: Mapping[str, Tensor], x: Tensor, initial: Sequence[Tensor]
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """All states (R, B, time, n), and the last ones of all kinds (R, B, n).

    x (R, B, time, m); the initial states (R, B, n) are those that the cell has, h first.
    """
    found = []
    # every time step's F x in one product
    drive = cell.drive(parameters, x)
    now = tuple(initial)
    for t in range(x.shape[2]):
        now = cell.step(parameters, drive[:, :, t], now)
        found.append(now[0])
    return torch.stack(found, dim=2), now


def forward(spec: Spec, theta: Tensor, x: Tensor) -> Tensor:
    """y (R, B, time, output) of replicas theta (R, K), each on its own x (R, B, time, input).

    For the loss "cross_entropy" of the last state alone: (R, B, output). The equations are those of
    the cell; differentiable in theta and x.
    """
    parameters = unpack(spec, theta)
    initial = [
        parameters[name][:, None].expand(-1, x.shape[1], -1) for name in spec.cell.initial_states
    ]
    h, _ = states(spec.cell, parameters, x, initial)
    if spec.loss == "cross_entropy":
        return h[:, :, -1] @ parameters["C"].mT + parameters["d"][:, None]
    return h @ parameters["C"].mT[:, None] + parameters["d"][:, None, None]


def losses(spec: Spec, outputs: Tensor, y: Tensor) -> Tensor:
    """The loss of each replica, (R,); y as the outputs, or labels (R, B) int64.

    A missing target, NaN, counts as no error.
    """
    if spec.loss == "cross_entropy":
        every = torch.nn.functional.cross_entropy(outputs.mT, y, reduction="none")
        return every.mean(1)
    return torch.where(y.isnan(), 0, outputs - y).square().mean(dim=(1, 2, 3))


class TorchBackend:
    """The torch loop on a device: float64 for "reference", float32 for a GPU.

    Raises:
        ArgumentError: torch does not know the device, or this machine does not have it.
    """

    xp: ModuleType = torch

    def __init__(self, device: str) -> None:
        self.name = device
        self.dtype = torch.float64 if device == "reference" else torch.float32
        try:
            self.device = torch.device("cpu" if device == "reference" else device)
            torch.empty(0, device=self.device)
        except (RuntimeError, AssertionError) as error:
            there = ["cpu", "reference"]
            there += [f"cuda:{i}" for i in range(torch.cuda.device_count())]
            there += ["mps"] if torch.backends.mps.is_available() else []
            reason = str(error).splitlines()[0]
            raise ArgumentError(
                f"device {device!r} is not available here ({reason}); one of {', '.join(there)}"
            ) from None

    def asarray(self, values: Any) -> Tensor:
        labels = (
            np.issubdtype(values.dtype, np.integer) if isinstance(values, np.ndarray) else False
        )
        kind = torch.int64 if labels else self.dtype
        return torch.as_tensor(values, dtype=kind, device=self.device)

    def to_numpy(self, array: Tensor) -> Any:
        return array.detach().cpu().numpy()

    def step(self, spec: Spec) -> Any:
        def run(
            theta: Tensor, x: Tensor, y: Tensor, dataset: np.ndarray, trials: np.ndarray
        ) -> tuple[Tensor, Tensor]:
            check_step(spec, theta, x, y, dataset, trials)
            sets = torch.as_tensor(dataset, device=self.device)[:, None]
            chosen = torch.as_tensor(trials, device=self.device)
            theta = theta.detach().requires_grad_()
            loss = losses(spec, forward(spec, theta, x[sets, chosen]), y[sets, chosen])
            # replicas share nothing, so the gradient of the sum holds each one's own
            (gradient,) = torch.autograd.grad(loss.sum(), theta)
            # by way of the host, for MPS has no float64
            return loss.detach().cpu().double(), gradient

        return run

    def outputs(self, spec: Spec, theta: Any, x: Any, dataset: np.ndarray) -> Tensor:
        theta, x = self.asarray(theta), self.asarray(x)
        check_step(spec, theta, x, None, dataset, None)
        with torch.no_grad():
            return forward(spec, theta, x[torch.as_tensor(dataset, device=self.device)])
