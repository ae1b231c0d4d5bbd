"""The readable backend: a torch loop over time, with autograd; any device, float64 on the CPU."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import numpy as np
import torch
from torch import Tensor

from urnn.recurrence import Spec, check_step, unpack

_ACTIVATIONS: dict[str, Any] = {
    "relu": torch.relu,
    "tanh": torch.tanh,
    "sigmoid": torch.sigmoid,
    "identity": lambda z: z,
}


def forward(spec: Spec, theta: Tensor, x: Tensor) -> Tensor:
    """y (R, B, time, output) of replicas theta (R, K), each on its own x (R, B, time, input).

    The equations are those of `urnn.recurrence`; differentiable in theta and x.
    """
    parameters = unpack(spec, theta)
    W, C = parameters["W"].mT, parameters["C"].mT
    batch = x.shape[1]
    # every time step's F x + b in one product
    drive = x @ parameters["F"].mT[:, None] + parameters["b"][:, None, None]
    h = parameters["h_init"][:, None].expand(-1, batch, -1)
    states = []
    if spec.cell == "lstm":
        c = parameters["c_init"][:, None].expand(-1, batch, -1)
        for t in range(x.shape[2]):
            i, f, g, o = (drive[:, :, t] + h @ W).chunk(4, dim=-1)
            c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
            h = torch.sigmoid(o) * torch.tanh(c)
            states.append(h)
    else:
        phi = _ACTIVATIONS[spec.activation]
        for t in range(x.shape[2]):
            h = phi(drive[:, :, t] + h @ W)
            states.append(h)
    return torch.stack(states, dim=2) @ C[:, None] + parameters["d"][:, None, None]


class TorchBackend:
    """The torch loop on a device: float64 for "reference", float32 for a GPU.

    Raises:
        ValueError: torch does not know the device, or this machine does not have it.
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
            reason = str(error).splitlines()[0]
            raise ValueError(
                f"device {device!r} is not available here ({reason}); one of {', '.join(there)}"
            ) from None

    def asarray(self, values: Any) -> Tensor:
        return torch.as_tensor(values, dtype=self.dtype, device=self.device)

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
            error = forward(spec, theta, x[sets, chosen]) - y[sets, chosen]
            loss = (error * error).mean(dim=(1, 2, 3))
            # replicas share nothing, so the gradient of the sum holds each one's own
            (gradient,) = torch.autograd.grad(loss.sum(), theta)
            return loss.detach().double(), gradient

        return run

    def outputs(self, spec: Spec, theta: Any, x: Any, dataset: np.ndarray) -> Tensor:
        theta, x = self.asarray(theta), self.asarray(x)
        check_step(spec, theta, x, None, dataset, None)
        with torch.no_grad():
            return forward(spec, theta, x[torch.as_tensor(dataset, device=self.device)])
