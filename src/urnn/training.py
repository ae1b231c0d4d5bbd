"""Lock-step training of a stack of independent replicas (realizations x restarts) of one shape.

What is trained is always a stack: a leading axis R on the vector of parameters. Optimizers are
elementwise; clipping, projection and divergence act on each replica alone, and every replica draws
from generators of its own, so a replica's result is the same whatever stack it was trained in.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from urnn.models import initial_parameters
from urnn.optimizers import OPTIMIZERS, learning_rate
from urnn.recurrence import Backend, Spec, pack, parameter_count, unpack
from urnn.settings.training import Recipe
from urnn.transition import Transition

#: why a replica ended: after all epochs, without progress (patience), or with NaN or Inf
ALL_EPOCHS, EARLY, OVERFLOW = 0, 1, 2


@dataclass(frozen=True)
class Trained:
    """What training gives; R replicas, K parameters, E epochs."""

    #: (R, K) float32: of the best epoch with the recipe's patience, else where each replica stopped
    parameters: NDArray[np.float32]
    #: (R, P) the values that the transition made W from, or None where it is W that is trained
    transition_parameters: NDArray | None
    #: (R, E) loss of the training trials during the epoch; NaN once a replica has ended
    loss: NDArray[np.float64]
    #: (R, E) the same over the validation trials, after the epoch; NaN without validation
    validation_loss: NDArray[np.float64]
    #: (R, E) share of the validation trials whose class is found; NaN for squared errors
    validation_accuracy: NDArray[np.float64]
    #: (R, E) distance of W from its set after the epoch
    violation: NDArray[np.float64]
    #: (R,) epoch, from 0, whose parameters are kept
    kept_epoch: NDArray[np.int64]
    #: (R,) ALL_EPOCHS, EARLY or OVERFLOW
    ended: NDArray[np.int8]
    #: (R,) whether NaN or Inf left nothing to keep
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


class Checkpoint(Protocol):
    """Where a training leaves its state, so that another process can go on from there."""

    def load(self) -> Mapping[str, NDArray] | None:
        """The state of a training of the same inputs, or None to begin anew."""
        ...

    def due(self) -> bool:
        """Whether the state is to be saved now; asked after every step."""
        ...

    def save(self, state: Mapping[str, NDArray]) -> None:
        """Keep the state; an exception raised here ends the training."""
        ...


# what overflows is found and stopped by name, so numpy need not warn
@np.errstate(over="ignore", invalid="ignore", divide="ignore")
def train(
    spec: Spec,
    transition: Transition,
    recipe: Recipe,
    x: NDArray[np.float32],
    y: NDArray,
    dataset: Sequence[int],
    generators: Sequence[Callable[[str], np.random.Generator]],
    backend: Backend,
    validation_trials: int = 0,
    report: Callable[[Progress], None] = lambda progress: None,
    checkpoint: Checkpoint | None = None,
) -> Trained:
    """Train R replicas of one model to minimise the loss of its specification.

    That is the mean of (C h + d - y)^2 over trials, time and outputs, with y (S, N, time, output)
    float32, or the mean over trials of -log softmax(C h + d)[y] at the last step, with labels y
    (S, N) int64. x (S, N, time, input), float32, are the trials of S realizations, of which the
    last ``validation_trials`` are kept for validation; dataset (R,) says which realization a
    replica learns from. ``generators[r](purpose)`` gives the replica's own random generators, for
    "initial" values and for the "order" of the trials.

    A replica whose loss or gradient is no longer finite is stopped with its last parameters and
    marked as diverged; the others go on. With the recipe's patience a replica also stops when that
    many epochs have not lowered its validation loss, and the parameters of its best epoch are kept;
    then it has diverged only if it never had any. What is trained is theta, or, where the
    transition makes W from values p, (p, theta without W): the gradient goes through the
    transition's pullback, and clipping and the optimizer see p. The last batch of an epoch is
    smaller where the batch size does not divide the trials, as in Keras.

    From a checkpoint training goes on as if it had never stopped, with the same bits.

    Source: the paper, sections 5.1 and 5.2.
    """
    begin = time.perf_counter()
    xp = backend.xp
    replicas, trials = len(dataset), x.shape[1]
    used = trials - validation_trials
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
    if drawn is None:
        p[:] = transition.move(p, xp.zeros_like(p), xp)
    orders = [make("order") for make in generators]
    optimizer = OPTIMIZERS[recipe.optimizer](trained, xp)
    step = backend.step(spec)
    x_device, y_device = backend.asarray(x), backend.asarray(y)

    batches = -(-used // recipe.batch_size)
    steps = recipe.epochs * batches
    history = {
        name: np.full((replicas, recipe.epochs), np.nan)
        for name in ("loss", "validation_loss", "validation_accuracy", "violation")
    }
    ended = np.zeros(replicas, np.int8)
    taken = np.zeros(replicas, np.int64)
    total = np.zeros(replicas)
    lowest = np.full(replicas, np.inf)
    kept_epoch = np.full(replicas, -1)
    best = {"theta": theta, "trained": trained}
    if recipe.patience is not None:
        best = {name: xp.zeros_like(values) for name, values in best.items()}
    first_epoch, first_batch, before = 0, 0, 0.0

    def state(epoch: int, batch: int) -> dict[str, NDArray]:
        """Everything that the next step depends on beside the arguments."""
        arrays = {"theta": theta, "trained": trained, **optimizer.state}
        if recipe.patience is not None:
            arrays |= {f"best_{name}": values for name, values in best.items()}
        return {
            **{name: backend.to_numpy(values) for name, values in arrays.items()},
            **history,
            **{"ended": ended, "taken": taken, "total": total, "lowest": lowest},
            "kept_epoch": kept_epoch,
            "position": np.array([epoch, batch, optimizer.steps]),
            "seconds": np.array([before + time.perf_counter() - begin]),
        }

    saved = checkpoint.load() if checkpoint is not None else None
    if saved is not None:
        first_epoch, first_batch, optimizer.steps = (int(k) for k in saved["position"])
        before = float(saved["seconds"][0])
        for name, values in [("theta", theta), ("trained", trained), *optimizer.state.items()]:
            values[:] = backend.asarray(saved[name])
        if recipe.patience is not None:
            for name, values in best.items():
                values[:] = backend.asarray(saved[f"best_{name}"])
        for name, values in history.items():
            values[:] = saved[name]
        ended[:], taken[:], total[:] = saved["ended"], saved["taken"], saved["total"]
        lowest[:], kept_epoch[:] = saved["lowest"], saved["kept_epoch"]
    if drawn is not None:
        W[:], pullback = transition.matrix(p, spec.hidden, xp)
    alive = ended == ALL_EPOCHS
    active = xp.asarray(alive, device=theta.device)

    for epoch in range(recipe.epochs):
        # drawn for the epochs before a checkpoint too: each follows from the one before
        order = np.stack([random.permutation(used) for random in orders])
        if epoch < first_epoch:
            continue
        if not alive.any():
            break
        start = first_batch if epoch == first_epoch else 0
        if start == 0:
            total[:] = 0
        for batch in range(start, batches):
            if checkpoint is not None and checkpoint.due():
                checkpoint.save(state(epoch, batch))
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
                ended[alive & ~finite] = OVERFLOW
                alive = ended == ALL_EPOCHS
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
        history["loss"][alive, epoch] = total[alive] / used
        violation = backend.to_numpy(transition.violation(W, xp))
        history["violation"][alive, epoch] = violation[alive]
        if validation_trials:
            values, accuracy = validate(
                backend, spec, theta, x_device[:, used:], y_device[:, used:], rows
            )
            history["validation_loss"][alive, epoch] = values[alive]
            history["validation_accuracy"][alive, epoch] = accuracy[alive]
            better = alive & (values < lowest)
            lowest[better], kept_epoch[better] = values[better], epoch
            if recipe.patience is not None:
                improved = xp.asarray(better, device=theta.device)[:, None]
                best["theta"] = xp.where(improved, theta, best["theta"])
                best["trained"] = xp.where(improved, trained, best["trained"])
                waited = epoch - np.maximum(kept_epoch, 0)
                ended[alive & (waited >= recipe.patience)] = EARLY
                alive = ended == ALL_EPOCHS
                active = xp.asarray(alive, device=theta.device)
        elapsed = before + time.perf_counter() - begin
        report(
            Progress(
                epoch + 1,
                recipe.epochs,
                _mean(history["loss"][:, epoch]),
                int((ended == OVERFLOW).sum()),
                elapsed / (epoch + 1) * (recipe.epochs - epoch - 1),
            )
        )
    diverged = ended == OVERFLOW
    if recipe.patience is None:
        kept_epoch = np.isfinite(history["loss"]).sum(1) - 1
        best = {"theta": theta, "trained": trained}
    else:
        diverged &= kept_epoch < 0
    return Trained(
        backend.to_numpy(best["theta"]).astype(np.float32),
        None if drawn is None else backend.to_numpy(best["trained"][:, :size]),
        history["loss"],
        history["validation_loss"],
        history["validation_accuracy"],
        history["violation"],
        kept_epoch,
        ended,
        diverged,
        taken,
        before + time.perf_counter() - begin,
    )


def _mean(values: NDArray) -> float:
    """Of the values that are not NaN; NaN without any."""
    finite = values[~np.isnan(values)]
    return float(finite.mean()) if finite.size else float("nan")


def _clip(gradient: Any, largest_norm: float, xp: Any) -> Any:
    """Each row of gradient (R, K) scaled down to the largest norm, where it is longer."""
    # relative to the largest entry, so that no square overflows before the norm is known
    scale = xp.clip(xp.amax(xp.abs(gradient), 1), 1e-30, None)[:, None]
    norm = xp.sqrt(((gradient / scale) ** 2).sum(1))[:, None]
    return gradient / scale * xp.clip(largest_norm / norm, None, scale)


def validate(
    backend: Backend,
    spec: Spec,
    theta: NDArray,
    x: NDArray,
    y: NDArray,
    dataset: NDArray[np.int64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The loss (R,) of each replica on x (S, B, time, input), and its accuracy (R,).

    The loss is that of `train`; the accuracy, the share of labels y (S, B) that have the highest
    score, is NaN for squared errors, y (S, B, time, output).
    """
    outputs = backend.outputs(spec, theta, x, dataset)
    if spec.loss == "squared":
        error = outputs - y[dataset]
        loss = backend.to_numpy((error * error).mean((1, 2, 3))).astype(np.float64)
        return loss, np.full(len(loss), np.nan)
    scores, labels = backend.to_numpy(outputs), backend.to_numpy(y[dataset])
    return cross_entropy(scores, labels), accuracy(scores, labels)


def cross_entropy(scores: NDArray, labels: NDArray[np.int64]) -> NDArray[np.float64]:
    """(R,): mean over the trials of -log softmax(scores)[label]; (R, B, class), (R, B)."""
    scores = scores.astype(np.float64)
    scores = scores - scores.max(2, keepdims=True)
    own = np.take_along_axis(scores, labels[:, :, None], 2)[:, :, 0]
    return (np.log(np.exp(scores).sum(2)) - own).mean(1)


def accuracy(scores: NDArray, labels: NDArray[np.int64]) -> NDArray[np.float64]:
    """(R,): share of the trials whose label has the highest score; (R, B, class), (R, B)."""
    return (scores.argmax(2) == labels).mean(1)


def best_restart(trained_loss: NDArray, validation_loss: NDArray, diverged: NDArray) -> NDArray:
    """The restart to report for each realization, chosen without the test trials.

    All arguments (realization, restart): the losses of the epoch whose parameters are kept, and who
    diverged. The smallest validation loss wins, or the smallest training loss where there is no
    validation; a diverged restart only where all are. Returns (realization,) int64.
    """
    loss = np.where(np.isnan(validation_loss), trained_loss, validation_loss)
    loss = np.where(diverged | np.isnan(loss), np.inf, loss)
    return np.argmin(loss, axis=1)
