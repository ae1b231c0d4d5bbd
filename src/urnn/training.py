"""Lock-step training of a stack of independent replicas (realizations x restarts) of one shape.

What is trained is always a stack: a leading axis R on the vector of parameters. Optimizers are
elementwise; clipping, projection and divergence act on each replica alone, and every replica draws
from generators of its own, so a replica's result is the same whatever stack it was trained in.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from urnn.models import initial_parameters
from urnn.optimizers import OPTIMIZERS, learning_rate
from urnn.recurrence import Backend, Spec, pack, parameter_count, unpack
from urnn.settings.training import Recipe
from urnn.transition import Transition


@dataclass(frozen=True)
class Trained:
    """What training gives; R replicas, K parameters, E epochs."""

    #: (R, K) float32, where each replica stopped
    parameters: NDArray[np.float32]
    #: (R, P) float32, the values p that W was made from; None where W itself was trained
    transition_parameters: NDArray[np.float32] | None
    #: (R, E) mean squared error of the training trials during the epoch; NaN after a divergence
    loss: NDArray[np.float64]
    #: (R, E) the same over the validation trials, after the epoch; NaN without validation
    validation_loss: NDArray[np.float64]
    #: (R,) whether the loss or a gradient became NaN or Inf, which stopped the replica
    diverged: NDArray[np.bool_]
    #: (R,) optimizer steps taken
    steps: NDArray[np.int64]
    wall_seconds: float


@dataclass(frozen=True)
class Progress:
    """Where a training stands after an epoch."""

    epoch: int
    epochs: int
    loss: float
    diverged: int
    seconds_left: float


# what overflows is found and stopped by name, so numpy need not warn
@np.errstate(over="ignore", invalid="ignore", divide="ignore")
def train(
    spec: Spec,
    transition: Transition,
    recipe: Recipe,
    x: NDArray[np.float32],
    y: NDArray[np.float32],
    dataset: Sequence[int],
    generators: Sequence[Callable[[str], np.random.Generator]],
    backend: Backend,
    report: Callable[[Progress], None] = lambda progress: None,
) -> Trained:
    """Train R replicas of one model to minimise mean (C h + d - y)^2 over trials, time and outputs.

    x (S, N, time, input) and y (S, N, time, output), float32, are the training trials of S
    realizations; dataset (R,) says which one a replica learns from. ``generators[r](purpose)``
    gives the replica's own random generators, for "initial" values and for the "order" of the
    trials. The last round(N validation_ratio) trials are kept for validation.

    A replica whose loss or gradient is no longer finite is stopped with its last parameters and
    marked as diverged; the others go on. What is trained is theta, or, where the transition makes W
    from values p, (p, theta without W): the gradient goes through the transition's pullback, and
    clipping and the optimizer see p. The last batch of an epoch is smaller where the batch size
    does not divide the trials, as in Keras.

    Source: the paper, section 5.1.
    """
    begin = time.perf_counter()
    xp = backend.xp
    replicas, trials = len(dataset), x.shape[1]
    kept = round(trials * recipe.validation_ratio)
    used = trials - kept
    rows = np.asarray(dataset, np.int64)

    initial = [initial_parameters(spec, recipe, make("initial"), transition) for make in generators]
    stacked = {name: np.stack([values[name] for values in initial]) for name in initial[0]}
    drawn = backend.asarray(stacked.pop("p")) if transition.parametrised else None
    if drawn is not None:
        stacked["W"] = backend.to_numpy(transition.matrix(drawn, spec.hidden, xp)[0])
    theta = backend.asarray(pack(spec, stacked))
    assert theta.shape == (replicas, parameter_count(spec))
    W = unpack(spec, theta)["W"]
    entries = W.shape[1] * W.shape[2]
    # what is trained: p and the rest of theta; p is the first part of theta itself where it is W
    trained, size = theta, entries
    if drawn is not None:
        trained, size = xp.concatenate([drawn, theta[:, entries:]], 1), drawn.shape[1]
    p, rest = trained[:, :size], trained[:, size:]
    if drawn is not None:
        W[:], pullback = transition.matrix(p, spec.hidden, xp)
    else:
        p[:] = transition.move(p, xp.zeros_like(p), xp)
    orders = [make("order") for make in generators]
    optimizer = OPTIMIZERS[recipe.optimizer](trained, xp)
    step = backend.step(spec)
    x_device, y_device = backend.asarray(x), backend.asarray(y)

    batches = -(-used // recipe.batch_size)
    steps = recipe.epochs * batches
    loss = np.full((replicas, recipe.epochs), np.nan)
    validation_loss = np.full((replicas, recipe.epochs), np.nan)
    alive = np.ones(replicas, bool)
    active = xp.asarray(alive, device=theta.device)
    taken = np.zeros(replicas, np.int64)
    for epoch in range(recipe.epochs):
        order = np.stack([random.permutation(used) for random in orders])
        total = np.zeros(replicas)
        for batch in range(batches):
            chosen = np.ascontiguousarray(
                order[:, batch * recipe.batch_size : (batch + 1) * recipe.batch_size]
            )
            step_loss, gradient = step(theta, x_device, y_device, rows, chosen)
            if not recipe.train_initial_state:
                gradients = unpack(spec, gradient)
                for name in gradients.keys() & {"h_init", "c_init"}:
                    gradients[name][:] = 0
            if drawn is not None:
                inner = pullback(unpack(spec, gradient)["W"])
                gradient = xp.concatenate([inner, gradient[:, entries:]], 1)
            if recipe.clip_norm is not None:
                gradient = _clip(gradient, recipe.clip_norm, xp)
            # the sum overflows too when an entry is too large for the optimizer to square it
            squares = (gradient * gradient).sum(1)
            finite = np.isfinite(backend.to_numpy(step_loss) + backend.to_numpy(squares))
            if not finite[alive].all():
                alive &= finite
                if not alive.any():
                    break
                active = xp.asarray(alive, device=theta.device)
            rate = learning_rate(recipe, epoch * batches + batch, steps)
            change = optimizer.update(gradient, rate)
            # what stopped stays as it is, bit by bit, whatever its gradient says
            running = alive.all()
            if not running:
                change = xp.where(active[:, None], change, xp.zeros_like(change))
            moved = transition.move(p, change[:, :size], xp)
            if moved is not p:
                p[:] = moved if running else xp.where(active[:, None], moved, p)
            rest += change[:, size:]
            if drawn is not None:
                W[:], pullback = transition.matrix(p, spec.hidden, xp)
                theta[:, entries:] = rest
            taken += alive
            total += backend.to_numpy(step_loss) * chosen.shape[1]
        loss[alive, epoch] = total[alive] / used
        if kept:
            validation = mean_squared_error(
                backend, spec, theta, x_device[:, used:], y_device[:, used:], rows
            )
            validation_loss[alive, epoch] = validation[alive]
        elapsed = time.perf_counter() - begin
        report(
            Progress(
                epoch + 1,
                recipe.epochs,
                float(loss[alive, epoch].mean()) if alive.any() else float("nan"),
                int((~alive).sum()),
                elapsed / (epoch + 1) * (recipe.epochs - epoch - 1),
            )
        )
        if not alive.any():
            break
    return Trained(
        backend.to_numpy(theta).astype(np.float32),
        None if drawn is None else backend.to_numpy(p).astype(np.float32),
        loss,
        validation_loss,
        ~alive,
        taken,
        time.perf_counter() - begin,
    )


def _clip(gradient: Any, largest_norm: float, xp: Any) -> Any:
    """Each row of gradient (R, K) scaled down to the largest norm, where it is longer."""
    # relative to the largest entry, so that no square overflows before the norm is known
    scale = xp.clip(xp.amax(xp.abs(gradient), 1), 1e-30, None)[:, None]
    norm = xp.sqrt(((gradient / scale) ** 2).sum(1))[:, None]
    return gradient / scale * xp.clip(largest_norm / norm, None, scale)


def mean_squared_error(
    backend: Backend,
    spec: Spec,
    theta: NDArray,
    x: NDArray,
    y: NDArray,
    dataset: NDArray[np.int64],
) -> NDArray[np.float64]:
    """(R,): mean over trials, time and outputs of the squared error of each replica."""
    error = backend.outputs(spec, theta, x, dataset) - y[dataset]
    return backend.to_numpy((error * error).mean((1, 2, 3))).astype(np.float64)


def best_restart(trained_loss: NDArray, validation_loss: NDArray, diverged: NDArray) -> NDArray:
    """The restart to report for each realization, chosen without the test trials.

    All arguments (realization, restart): the losses after the last epoch, and who diverged. The
    smallest validation loss wins, or the smallest training loss where there is no validation; a
    diverged restart only where all are. Returns (realization,) int64.
    """
    loss = np.where(np.isnan(validation_loss), trained_loss, validation_loss)
    loss = np.where(diverged | np.isnan(loss), np.inf, loss)
    return np.argmin(loss, axis=1)
