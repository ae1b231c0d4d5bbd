"""A contractive network near one that has no contractive equivalent, and how near it is.

W is clipped in the best diagonal coordinates, and then all parameters are refitted to simulated
outputs of the original, by Adam with that projection after every step. torch is imported only when
a function is called.

Status: measured. That no contractive network is nearer is not claimed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from urnn.equivalence.checks import count
from urnn.equivalence.invariance import positive_scaling
from urnn.equivalence.scaling import DiagonalScaling, best_scaling
from urnn.equivalence.state_bounds import spectral_norm
from urnn.rnn import RNN

if TYPE_CHECKING:
    import torch

#: 1 - the largest ||W|| of a nearest network; biases grow with its inverse
MARGIN = 1e-3
#: the largest ratio of diagonal coordinates; where more would help, the fit does not follow
_LARGEST_SCALE = 1e4
_LEARNING_RATE = 0.01
#: trials to fit, trials to choose the best step by, and their longest time
_TRIALS, _VALIDATION_TRIALS, _LONGEST = 32, 16, 200
#: steps of the optimizer between two looks at the validation trials
_LOOK = 20


@dataclass(frozen=True)
class Deviation:
    """How far the outputs of two networks are apart on the same inputs.

    relative_rmse  sqrt(mean (y' - y)^2 / mean y^2)
    largest        max |y' - y|
    largest_output max |y|
    trials, steps  how many were compared; steps end where y overflows
    """

    relative_rmse: float
    largest: float
    largest_output: float
    trials: int
    steps: int


def outputs(layers: Sequence[RNN], x: NDArray) -> NDArray:
    """What the last layer puts out; each layer reads the outputs of the one before it.

    x (..., time, input) -> (..., time, output).
    """
    with np.errstate(over="ignore", invalid="ignore"):
        for layer in layers:
            x = layer(x)
    return x


def finite_steps(y: NDArray) -> int:
    """How many steps of y (trial, time, output) come before the first that is not finite."""
    bad = ~np.isfinite(y).all(axis=(0, 2))
    return int(bad.argmax()) if bad.any() else y.shape[1]


def deviation(expected: Sequence[RNN], found: Sequence[RNN], x: NDArray) -> Deviation:
    """The `Deviation` of the layers ``found`` from those ``expected`` on x (trial, time, input)."""
    y = outputs(expected, x)
    steps = finite_steps(y)
    y, near = y[:, :steps], outputs(found, x[:, :steps])
    if steps == 0:
        return Deviation(np.inf, np.inf, np.inf, len(x), 0)
    size = float(np.abs(y).max())
    scale = size if size > 0 else 1.0  # so that no square over- or underflows
    gap = (near - y) / scale
    if size > 0:
        rmse = float(np.sqrt(np.mean(gap**2) / np.mean((y / scale) ** 2)))
    else:
        rmse = np.nan if gap.any() else 0.0
    return Deviation(rmse, float(np.abs(gap).max()) * scale, size, len(x), steps)


def random_inputs(
    input_size: int, input_bound: float, norm: float, trials: int, steps: int, seed: int
) -> NDArray:
    """Inputs with ||x(k)|| <= input_bound, (trial, time, input), float64.

    Half of the trials are drawn uniformly from the ball of that norm (2 or inf), a quarter from its
    boundary (the vertices, for inf), and a quarter are constant there, which drives states far.
    """
    random = np.random.default_rng(seed)
    shape = (trials, steps, input_size)
    if norm == np.inf:
        x, edge = random.uniform(-1, 1, shape), random.choice([-1.0, 1.0], shape)
    else:
        edge = random.standard_normal(shape)
        edge /= np.linalg.norm(edge, axis=-1, keepdims=True)
        x = edge * random.uniform(0, 1, (trials, steps, 1)) ** (1 / input_size)
    x[1::4] = edge[1::4]
    x[3::4] = edge[3::4, :1]
    return input_bound * x


def clipped(layer: RNN, scaling: DiagonalScaling | None = None, margin: float = MARGIN) -> RNN:
    """The layer with the singular values of D W D^-1 clipped at 1 - margin, in coordinates D h.

    D is that of ``scaling``, by default `best_scaling`, for ReLU, its entries within 1e4 of each
    other, and I for tanh. A layer with ||W||_2 <= 1 - margin is returned as it is.
    """
    if spectral_norm(layer.W) <= 1 - margin:
        return layer
    if layer.activation == "relu":
        scale = (best_scaling(layer.W) if scaling is None else scaling).scale
        layer = positive_scaling(layer, np.maximum(scale, scale.max() / _LARGEST_SCALE))
    left, singular, right = np.linalg.svd(layer.W)
    return layer.replace(W=(left * np.minimum(singular, 1 - margin)) @ right)


def refitted(
    layers: Sequence[RNN],
    target: Sequence[RNN],
    input_bound: float,
    norm: float = 2,
    iterations: int = 300,
    seed: int = 0,
    fit_readout: bool = False,
    margin: float = MARGIN,
) -> list[RNN]:
    """The layers with W, F and b refitted to the outputs of ``target`` on random bounded inputs.

    Adam on mean (y' - y)^2 over 32 trials of up to 200 steps, with the singular values of each W
    clipped at 1 - margin after every step; what fits 16 other trials best is kept, the start
    included. With ``fit_readout`` C and d of the last layer are fitted as well. The h(-1) stay.

    Raises:
        ArgumentError: what `to_torch` refuses.
    """
    import torch

    from urnn.equivalence.torch_rnn import to_torch

    count(iterations, "iterations", least=0)
    sizes = (layers[0].input_size, input_bound, norm)
    trials = (_TRIALS + _VALIDATION_TRIALS, _LONGEST)
    x = random_inputs(*sizes, *trials, seed)
    y = outputs(target, x)
    steps = finite_steps(y)
    scale = float(np.abs(y[:, :steps]).max(initial=0.0))
    fit = _Fit(to_torch(list(layers), batch_first=True), layers, fit_readout, margin)
    if scale == 0:  # nothing to fit
        return fit.layers(fit.state())
    inputs, wanted = torch.tensor(x[:, :steps]), torch.tensor(y[:, :steps] / scale)
    best, state = np.inf, fit.state()
    optimizer = torch.optim.Adam(fit.parameters, lr=_LEARNING_RATE)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, max(iterations, 1))
    for iteration in range(iterations + 1):
        if iteration % _LOOK == 0 or iteration == iterations:
            with torch.no_grad():
                loss = float(fit.loss(inputs[_TRIALS:], wanted[_TRIALS:], scale))
            if loss < best:
                best, state = loss, fit.state()
            if not np.isfinite(loss):
                break
        if iteration < iterations:
            optimizer.zero_grad()
            fit.loss(inputs[:_TRIALS], wanted[:_TRIALS], scale).backward()
            torch.nn.utils.clip_grad_norm_(fit.parameters, 1.0)
            optimizer.step()
            schedule.step()
            fit.project()
    return fit.layers(state)


class _Fit:
    """What is fitted: a torch.nn.RNN, and the C and d that read its states."""

    def __init__(
        self, module: torch.nn.RNN, layers: Sequence[RNN], fit_readout: bool, margin: float
    ) -> None:
        import torch

        self.module, self.origin, self.margin = module, layers, margin
        last = layers[-1]
        self.C, self.d = (torch.tensor(np.array(v)) for v in (last.C, last.d))
        self.start = torch.tensor(np.stack([layer.h_init for layer in layers]))[:, None]
        self.parameters: list[torch.Tensor] = [
            value for name, value in module.named_parameters() if not name.startswith("bias_hh")
        ]
        if fit_readout:
            self.parameters += [self.C.requires_grad_(), self.d.requires_grad_()]
        self.transitions = [
            module.get_parameter(f"weight_hh_l{index}") for index in range(len(layers))
        ]

    def loss(self, x: Any, wanted: Any, scale: float) -> Any:
        """mean (y' - y)^2 / mean y^2, in units of ``scale``."""
        states = self.module(x, self.start.expand(-1, len(x), -1).contiguous())[0]
        gap = (states @ self.C.mT + self.d) / scale - wanted
        return (gap**2).mean() / (wanted**2).mean()

    def project(self) -> None:
        """Clip the singular values of each W."""
        import torch

        with torch.no_grad():
            for W in self.transitions:
                left, singular, right = torch.linalg.svd(W)
                if singular[0] > 1 - self.margin:
                    W.copy_((left * singular.clamp(max=1 - self.margin)) @ right)

    def state(self) -> list[NDArray]:
        """C, d, and W, F, b of each layer, as they are now."""
        kinds = ("weight_hh", "weight_ih", "bias_ih")
        names = [f"{kind}_l{index}" for index in range(len(self.origin)) for kind in kinds]
        values = [self.C, self.d, *(self.module.get_parameter(name) for name in names)]
        return [value.detach().numpy().copy() for value in values]

    def layers(self, state: list[NDArray]) -> list[RNN]:
        """The layers with these parameters; C = I but in the last one."""
        C, d, *values = state
        n = self.origin[0].hidden_units
        found = []
        for index, layer in enumerate(self.origin):
            W, F, b = values[3 * index : 3 * index + 3]
            found.append(RNN(W, F, b, np.eye(n), layer.h_init, layer.activation))
        return [*found[:-1], found[-1].replace(C=C, d=d)]
