"""Lock-step training of a stack of independent replicas (realizations x restarts) of one shape.

What is trained is always a stack: a leading axis R on the vector of parameters. Optimizers are
elementwise; clipping, retraction and divergence act on each replica alone, and every replica draws
from generators of its own, so a replica's result is the same whatever stack it was trained in.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from urnn.losses import LOSSES
from urnn.models import initialise
from urnn.optimizers import OPTIMIZERS, Optimizer, learning_rate
from urnn.recurrence import Backend, Spec, pack, parameter_count, unpack
from urnn.settings.training import Recipe
from urnn.transition.base import Transition

#: why a replica ended: after all epochs, without progress (patience), or with NaN or Inf
ALL_EPOCHS, EARLY, OVERFLOW = 0, 1, 2
#: what is kept of every epoch
HISTORIES = ("loss", "validation_loss", "validation_accuracy", "constraint_error")

#: a replica's random generator for a purpose, "initial" (values) or "order" (of the trials)
Generators = Sequence[Callable[[str], np.random.Generator]]


@dataclass(frozen=True)
class Trained:
    """What training gives; R replicas, K parameters, E epochs."""

    #: (R, K) float32: of the best epoch with the recipe's patience, else where each replica stopped
    parameters: NDArray[np.float32]
    #: (R, P) the values p that the transition made W from
    transition_parameters: NDArray
    #: (R, E) loss of the training trials during the epoch; NaN once a replica has ended
    loss: NDArray[np.float64]
    #: (R, E) the same over the validation trials, after the epoch; NaN without validation
    validation_loss: NDArray[np.float64]
    #: (R, E) share of the validation trials whose class is found; NaN for squared errors
    validation_accuracy: NDArray[np.float64]
    #: (R, E) distance of W from its set after the epoch
    constraint_error: NDArray[np.float64]
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
    generators: Generators,
    backend: Backend,
    validation_trials: int = 0,
    report: Callable[[Progress], None] = lambda progress: None,
    checkpoint: Checkpoint | None = None,
) -> Trained:
    """Train R replicas of one model to minimise the loss of its specification.

    That is the mean of (C h + d - y)^2 over trials, time and outputs, with y (S, N, time, output)
    float32, or the mean over trials of -log softmax(C h + d)[y] at the last step, with labels y
    (S, N) int64. Where y is NaN it is missing, and counts as no error. x (S, N, time, input),
    float32, are the trials of S realizations, of which the last ``validation_trials`` are kept for
    validation; dataset (R,) says which realization a replica learns from.
    ``generators[r](purpose)`` gives the replica's own random generators, for "initial" values and
    for the "order" of the trials.

    A replica whose loss or gradient is no longer finite is stopped with its last parameters and
    marked as diverged, as is one whose last validation loss is not finite; the others go on. With
    the recipe's patience a replica also stops when that many epochs have not lowered its validation
    loss, and the parameters of its best epoch are kept; then it has diverged only if it never had
    any. What is trained is (p, theta without W), where the transition makes W from p: the gradient
    goes through its vjp, and clipping and the optimizer see p. The last batch of an epoch is
    smaller where the batch size does not divide the trials, as in Keras.

    From a checkpoint training goes on as if it had never stopped, with the same bits. A backend
    that has ``epoch(trainer, order, first_batch)`` runs the steps of an epoch itself, all that are
    left or some, and tells the trainer with `Trainer.note_steps`.

    Source: the paper, sections 5.1 and 5.2.
    """
    trainer = Trainer(
        spec, transition, recipe, x, y, dataset, generators, backend, validation_trials
    )
    saved = checkpoint.load() if checkpoint is not None else None
    if saved is not None:
        trainer.restore(saved)
    at_once = getattr(backend, "epoch", None)
    while trainer.epoch < recipe.epochs and trainer.alive.any():
        order = trainer.draw_order()
        while trainer.batch < trainer.batches and trainer.alive.any():
            if checkpoint is not None and checkpoint.due():
                checkpoint.save(trainer.state())
            if at_once is not None:
                at_once(trainer, order, trainer.batch)
            else:
                trainer.step(order)
        trainer.end_epoch()
        report(trainer.progress())
    return trainer.result()


class Trainer:
    """The state of a training, and what a step and the end of an epoch do to it.

    Arrays of the backend: ``theta`` (R, K), the parameters that it computes with, and ``trained``
    (R, P + K - n^2), p and the rest of theta, which the optimizer moves. Everything else is of
    numpy, with one value for each replica. ``epoch`` and ``batch`` say which step is next.
    """

    def __init__(
        self,
        spec: Spec,
        transition: Transition,
        recipe: Recipe,
        x: NDArray[np.float32],
        y: NDArray,
        dataset: Sequence[int],
        generators: Generators,
        backend: Backend,
        validation_trials: int = 0,
    ) -> None:
        self.spec, self.transition, self.recipe, self.backend = spec, transition, recipe, backend
        self.xp = backend.xp
        self.rows = np.asarray(dataset, np.int64)
        self.x, self.y = backend.asarray(x), backend.asarray(y)
        self.used = x.shape[1] - validation_trials
        self.batches = -(-self.used // recipe.batch_size)
        self._start_parameters([make("initial") for make in generators])
        self._orders = [make("order") for make in generators]
        self.optimizer: Optimizer = OPTIMIZERS[recipe.optimizer](self.trained, self.xp)
        self._step = backend.step(spec)

        replicas = len(self.rows)
        self.epoch, self.batch, self._drawn = 0, 0, 0
        self.history = {name: np.full((replicas, recipe.epochs), np.nan) for name in HISTORIES}
        self.ended = np.zeros(replicas, np.int8)
        self.steps_taken = np.zeros(replicas, np.int64)
        self.total = np.zeros(replicas)
        self.lowest = np.full(replicas, np.inf)
        self.kept_epoch = np.full(replicas, -1)
        self.best: dict[str, Any] = {}
        if recipe.patience is not None:
            self.best = {
                "theta": self.xp.zeros_like(self.theta),
                "trained": self.xp.zeros_like(self.trained),
            }
        self._before, self._begin = 0.0, time.perf_counter()
        self._note_alive()

    def _start_parameters(self, randoms: Sequence[np.random.Generator]) -> None:
        """theta and trained, as every replica draws them."""
        spec, xp = self.spec, self.xp
        drawn = [initialise(spec, self.recipe, random, self.transition) for random in randoms]
        values = {name: np.stack([one[name] for one in drawn]) for name in drawn[0]}
        # rounded as the backend's values are; by numpy, which takes each matrix of a stack alone
        p = self.backend.to_numpy(self.backend.asarray(values.pop("p")))
        p = self.backend.asarray(self.transition.enter(p, spec.hidden_units, np))
        W, self._vjp = self.transition.matrix(p, spec.hidden_units, xp)
        self.theta = self.backend.asarray(pack(spec, {"W": self.backend.to_numpy(W), **values}))
        assert self.theta.shape == (len(randoms), parameter_count(spec))
        self.entries = W.shape[1] * W.shape[2]
        self.trained = xp.concatenate([p, self.theta[:, self.entries :]], 1)
        self._size = p.shape[1]

    @property
    def p(self) -> Any:
        """What W is made of, (R, P), a view."""
        return self.trained[:, : self._size]

    @property
    def W(self) -> Any:
        """(R, n, n), or the rows of all gates, a view."""
        return unpack(self.spec, self.theta)["W"]

    def _note_alive(self) -> None:
        """Which replicas still train, for numpy and on the device."""
        self.alive = self.ended == ALL_EPOCHS
        self._active = self.xp.asarray(self.alive, device=self.theta.device)

    def draw_order(self) -> NDArray[np.int64]:
        """The order of the trials (R, used) in the present epoch.

        Each follows from the one before, so those of the epochs before a checkpoint are drawn too.
        """
        while self._drawn <= self.epoch:
            order = np.stack([random.permutation(self.used) for random in self._orders])
            self._drawn += 1
        return order

    def step(self, order: NDArray[np.int64]) -> None:
        """One step of the optimizer, of all replicas that still train."""
        size = self.recipe.batch_size
        chosen = np.ascontiguousarray(order[:, self.batch * size : (self.batch + 1) * size])
        loss, gradient = self._step(self.theta, self.x, self.y, self.rows, chosen)
        gradient = self._gradient_of_trained(gradient)
        # the sum overflows too when an entry is too large for the optimizer to square it
        squares = (gradient * gradient).sum(1)
        finite = np.isfinite(self.backend.to_numpy(loss) + self.backend.to_numpy(squares))
        if not finite[self.alive].all():
            self.ended[self.alive & ~finite] = OVERFLOW
            self._note_alive()
            if not self.alive.any():
                return
        step = self.epoch * self.batches + self.batch
        rate = learning_rate(self.recipe, step, self.recipe.epochs * self.batches)
        self._move(self.optimizer.update(gradient, rate))
        self.steps_taken += self.alive
        self.total += self.backend.to_numpy(loss) * chosen.shape[1]
        self.batch += 1

    def note_steps(
        self, steps: int, ended: NDArray[np.int8], taken: NDArray[np.int64], total: NDArray
    ) -> None:
        """What a backend's `epoch` has done instead of so many calls of `step`.

        It has moved ``theta``, ``trained`` and the optimizer's state; ``ended`` and ``total`` are
        the new ones, and ``taken`` the steps that each replica took.
        """
        self.ended[:], self.total[:] = ended, total
        self.steps_taken += taken
        self.batch += steps
        self._note_alive()

    def _gradient_of_trained(self, gradient: Any) -> Any:
        """The gradient with respect to (p, rest), clipped, from that with respect to theta."""
        if not self.recipe.train_initial_state:
            parts = unpack(self.spec, gradient)
            for name in self.spec.cell.initial_states:
                parts[name][:] = 0
        inner = self._vjp(unpack(self.spec, gradient)["W"])
        gradient = self.xp.concatenate([inner, gradient[:, self.entries :]], 1)
        if self.recipe.clip_norm is not None:
            gradient = _clip(gradient, self.recipe.clip_norm, self.xp)
        return gradient

    def _move(self, change: Any) -> None:
        """Apply the optimizer's change and bring W back into its set.

        What stopped stays as it is, bit by bit, whatever its gradient says.
        """
        xp, p, n = self.xp, self.p, self.spec.hidden_units
        running = self.alive.all()
        if not running:
            change = xp.where(self._active[:, None], change, xp.zeros_like(change))
        moved = self.transition.retract(p, change[:, : self._size], n, xp)
        if moved is not p:
            p[:] = moved if running else xp.where(self._active[:, None], moved, p)
        self.trained[:, self._size :] += change[:, self._size :]
        self._renew()

    def _renew(self) -> None:
        """theta from what is trained."""
        W, self._vjp = self.transition.matrix(self.p, self.spec.hidden_units, self.xp)
        self.theta[:, : self.entries] = W.reshape(len(W), self.entries)
        self.theta[:, self.entries :] = self.trained[:, self._size :]

    def end_epoch(self) -> None:
        """Note the epoch's losses, validate, and end what makes no progress."""
        alive, epoch = self.alive, self.epoch
        error = self.backend.to_numpy(self.transition.constraint_error(self.W, self.xp))
        self.history["loss"][alive, epoch] = self.total[alive] / self.used
        self.history["constraint_error"][alive, epoch] = error[alive]
        if self.used < self.x.shape[1]:
            self._validate()
        self.total[:] = 0
        self.epoch, self.batch = epoch + 1, 0

    def _validate(self) -> None:
        """Loss and accuracy of the validation trials, the best epoch, and the patience."""
        alive, epoch, theta = self.alive, self.epoch, self.theta
        x, y = self.x[:, self.used :], self.y[:, self.used :]
        outputs = self.backend.outputs(self.spec, theta, x, self.rows)
        values, accuracy = LOSSES[self.spec.loss].evaluate(self.backend, outputs, y, self.rows)
        self.history["validation_loss"][alive, epoch] = values[alive]
        self.history["validation_accuracy"][alive, epoch] = accuracy[alive]
        better = alive & (values < self.lowest)
        self.lowest[better], self.kept_epoch[better] = values[better], epoch
        if self.recipe.patience is None:
            return
        improved = self.xp.asarray(better, device=theta.device)[:, None]
        for name, now in (("theta", theta), ("trained", self.trained)):
            self.best[name] = self.xp.where(improved, now, self.best[name])
        waited = epoch - np.maximum(self.kept_epoch, 0)
        self.ended[alive & (waited >= self.recipe.patience)] = EARLY
        self._note_alive()

    def progress(self) -> Progress:
        """Where the training stands after an epoch."""
        left = self._seconds() / self.epoch * (self.recipe.epochs - self.epoch)
        loss = _mean(self.history["loss"][:, self.epoch - 1])
        diverged = int((self.ended == OVERFLOW).sum())
        return Progress(self.epoch, self.recipe.epochs, loss, diverged, left)

    def _seconds(self) -> float:
        return self._before + time.perf_counter() - self._begin

    def _arrays(self) -> dict[str, Any]:
        """What the next step depends on: arrays of the backend by name."""
        best = {f"best_{name}": values for name, values in self.best.items()}
        return {"theta": self.theta, "trained": self.trained, **self.optimizer.state, **best}

    def _numbers(self) -> dict[str, NDArray]:
        """What the next step depends on: arrays of numpy by name."""
        return {
            **self.history,
            "ended": self.ended,
            "taken": self.steps_taken,
            "total": self.total,
            "lowest": self.lowest,
            "kept_epoch": self.kept_epoch,
        }

    def state(self) -> dict[str, NDArray]:
        """Everything that the next step depends on besides the arguments; see `restore`."""
        return {
            **{name: self.backend.to_numpy(values) for name, values in self._arrays().items()},
            **self._numbers(),
            "position": np.array([self.epoch, self.batch, self.optimizer.steps]),
            "seconds": np.array([self._seconds()]),
        }

    def restore(self, saved: Mapping[str, NDArray]) -> None:
        """Go on from a state, with the same bits as if nothing had come between."""
        for name, values in self._arrays().items():
            values[:] = self.backend.asarray(saved[name])
        for name, values in self._numbers().items():
            values[:] = saved[name]
        self.epoch, self.batch, self.optimizer.steps = (int(k) for k in saved["position"])
        self._before = float(saved["seconds"][0])
        _, self._vjp = self.transition.matrix(self.p, self.spec.hidden_units, self.xp)
        self._note_alive()

    def result(self) -> Trained:
        """What the training gives as it stands."""
        kept_epoch, best = self.kept_epoch, self.best
        diverged = kept_epoch < 0
        if self.recipe.patience is None:
            kept_epoch = np.isfinite(self.history["loss"]).sum(1) - 1
            best = {"theta": self.theta, "trained": self.trained}
            diverged = self.ended == OVERFLOW
            if self.used < self.x.shape[1]:
                # finite gradients do not tell of what the last step did
                diverged |= ~np.isfinite(self.history["validation_loss"][:, -1])
        return Trained(
            self.backend.to_numpy(best["theta"]).astype(np.float32),
            self.backend.to_numpy(best["trained"][:, : self._size]),
            **self.history,
            kept_epoch=kept_epoch,
            ended=self.ended,
            diverged=diverged,
            steps=self.steps_taken,
            wall_seconds=self._seconds(),
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


def best_restart(trained_loss: NDArray, validation_loss: NDArray, diverged: NDArray) -> NDArray:
    """The restart to report for each realization, chosen without the test trials.

    All arguments (realization, restart): the losses of the epoch whose parameters are kept, and who
    diverged. The smallest validation loss wins, or the smallest training loss where no restart has
    a validation loss; a diverged restart only where all are. Returns (realization,) int64.
    """
    validated = ~np.isnan(validation_loss).all(axis=1, keepdims=True)
    loss = np.where(validated, validation_loss, trained_loss)
    loss = np.where(diverged | np.isnan(loss), np.inf, loss)
    return np.argmin(loss, axis=1)
