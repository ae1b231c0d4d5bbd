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


def modrelu(z: Tensor, bias: Tensor) -> Tensor:
    """max(|z_k| + bias_k, 0) z_k / |z_k| of pairs z (..., 2 n) and bias (..., n); 0 where z_k is 0.

    Source: Arjovsky, Shah, Bengio 2016, equation 8.
    """
    pairs = z.unflatten(-1, (-1, 2))
    square = pairs.square().sum(-1)
    zero = square == 0
    modulus = torch.where(zero, torch.ones_like(square), square).sqrt()
    scale = torch.where(zero, torch.zeros_like(square), torch.relu(modulus + bias) / modulus)
    return (scale.unsqueeze(-1) * pairs).flatten(-2)


def next_states(activation: str, x: Tensor, W: Tensor, F: Tensor, b: Tensor, h: Tensor) -> Tensor:
    """All states (R, B, time, n) of an rnn from h (R, B, n) on; x (R, B, time, m)."""
    states = []
    # every time step's F x + b in one product
    drive = x @ F.mT[:, None]
    if activation == "modrelu":
        for t in range(x.shape[2]):
            h = modrelu(drive[:, :, t] + h @ W.mT, b[:, None])
            states.append(h)
    else:
        drive = drive + b[:, None, None]
        phi = _ACTIVATIONS[activation]
        for t in range(x.shape[2]):
            h = phi(drive[:, :, t] + h @ W.mT)
            states.append(h)
    return torch.stack(states, dim=2)


def next_lstm_states(
    x: Tensor, W: Tensor, F: Tensor, b: Tensor, h: Tensor, c: Tensor
) -> tuple[Tensor, Tensor]:
    """All states (R, B, time, n) of an lstm from h and c (R, B, n) on, and the last cell state."""
    states = []
    drive = x @ F.mT[:, None] + b[:, None, None]
    for t in range(x.shape[2]):
        i, f, g, o = (drive[:, :, t] + h @ W.mT).chunk(4, dim=-1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        h = torch.sigmoid(o) * torch.tanh(c)
        states.append(h)
    return torch.stack(states, dim=2), c


def forward(spec: Spec, theta: Tensor, x: Tensor) -> Tensor:
    """y (R, B, time, output) of replicas theta (R, K), each on its own x (R, B, time, input).

    For the loss "cross_entropy" of the last state alone: (R, B, output). The equations are those of
    `urnn.recurrence`; differentiable in theta and x.
    """
    parameters = unpack(spec, theta)
    W, F, b = parameters["W"], parameters["F"], parameters["b"]
    h = parameters["h_init"][:, None].expand(-1, x.shape[1], -1)
    if spec.cell == "lstm":
        c = parameters["c_init"][:, None].expand_as(h)
        states, _ = next_lstm_states(x, W, F, b, h, c)
    else:
        states = next_states(spec.activation, x, W, F, b, h)
    if spec.loss == "cross_entropy":
        return states[:, :, -1] @ parameters["C"].mT + parameters["d"][:, None]
    return states @ parameters["C"].mT[:, None] + parameters["d"][:, None, None]


def losses(spec: Spec, outputs: Tensor, y: Tensor) -> Tensor:
    """The loss of each replica, (R,); y as the outputs, or labels (R, B) int64."""
    if spec.loss == "cross_entropy":
        every = torch.nn.functional.cross_entropy(outputs.mT, y, reduction="none")
        return every.mean(1)
    return (outputs - y).square().mean(dim=(1, 2, 3))


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
            return loss.detach().double(), gradient

        return run

    def outputs(self, spec: Spec, theta: Any, x: Any, dataset: np.ndarray) -> Tensor:
        theta, x = self.asarray(theta), self.asarray(x)
        check_step(spec, theta, x, None, dataset, None)
        with torch.no_grad():
            return forward(spec, theta, x[torch.as_tensor(dataset, device=self.device)])
