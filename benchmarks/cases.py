"""What is measured: sizes, data and initial values, the same for every tool, and their FLOPs."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from urnn.models import initialise
from urnn.recurrence import Spec, parameter_shapes
from urnn.recurrence.cells import POINT as CELLS
from urnn.settings.training import Recipe
from urnn.transition import POINT as TRANSITIONS
from urnn.transition.base import Transition

#: so small that no weight moves far, whatever the data, and no training diverges
LEARNING_RATE = 1e-6
#: more realizations than this share data sets, so that memory is not what is measured
_DATASETS = 8


@dataclass(frozen=True)
class Case:
    """A model with its minibatch: one optimizer step of it is what is timed."""

    task: str
    #: a cell, or urnn: an rnn whose W is projected onto the orthogonal matrices
    model: str
    hidden: int
    time: int
    batch: int
    inputs: int
    outputs: int
    #: squared, of all time steps; or cross_entropy, of the last one
    loss: str
    optimizer: str
    #: models that are trained at once, by the tools that can
    replicas: int
    #: optimizer steps of an epoch
    steps: int

    @property
    def spec(self) -> Spec:
        """What the recurrence computes."""
        cell = CELLS.make("rnn" if self.model == "urnn" else self.model)
        return Spec(cell, self.hidden, self.inputs, self.outputs, self.loss)

    @property
    def transition(self) -> Transition:
        """The set that W is kept in."""
        return TRANSITIONS.make("unitary" if self.model == "urnn" else "free")

    @property
    def flop(self) -> int:
        """Floating point operations of one step of one model: 2 for each fused multiply-add.

        Forward W h, F x and C h; backward W^T dz and C^T e; and the gradients of W, F and C, for
        G n rows of W (G = 4 gates of an LSTM, 3 of a GRU, else 1), m inputs, p outputs, T time
        steps and B trials: T B (6 G n^2 + 4 G n m) + S B 6 p n, where S = T time steps are read
        out, or one. Biases, activations, loss, optimizer and projection are not counted.
        """
        rows = self.hidden * self.spec.cell.gates
        recurrence = self.time * self.batch * rows * (6 * self.hidden + 4 * self.inputs)
        read = 1 if self.loss == "cross_entropy" else self.time
        return recurrence + read * self.batch * 6 * self.outputs * self.hidden

    @property
    def name(self) -> str:
        """For people."""
        return f"{self.task} {self.model} {self.hidden}"


def synthetic(model: str, hidden: int) -> Case:
    """The paper's synthetic systems, section 5.1."""
    return Case("synthetic", model, hidden, 1000, 10, 2, 2, "squared", "adam", 30, 70)


def permuted_mnist(model: str, hidden: int) -> Case:
    """Permuted MNIST, pixel by pixel; its models are large, so few of them are enough."""
    return Case("permuted MNIST", model, hidden, 784, 64, 1, 10, "cross_entropy", "rmsprop", 4, 4)


def compared(quick: bool) -> list[Case]:
    """The cases of the comparison with other tools."""
    if quick:
        few = [synthetic("urnn", 4), synthetic("gru", 4), permuted_mnist("lstm", 16)]
        return [dataclasses.replace(case, time=40, replicas=3, steps=4) for case in few]
    return [
        *(synthetic(model, n) for model in ("rnn", "urnn", "lstm", "gru") for n in (2, 4, 8, 14)),
        *(permuted_mnist(model, n) for model in ("rnn", "lstm", "gru") for n in (16, 64, 96)),
    ]


def on_gpu(quick: bool) -> list[Case]:
    """The cases of a GPU: those of the paper, in stacks of 30 to 6,300 models."""
    if quick:
        return [dataclasses.replace(synthetic("rnn", 4), time=20, replicas=3, steps=2)]
    stacks = [
        dataclasses.replace(synthetic(model, n), replicas=replicas)
        for model in ("rnn", "urnn", "lstm", "gru")
        for n in (4, 14)
        for replicas in (30, 150, 6300)
    ]
    return [*stacks, *(permuted_mnist(model, n) for model in ("rnn", "lstm") for n in (16, 64, 96))]


def growing(quick: bool) -> dict[str, list[Case]]:
    """Cases by what grows in them, the others being 8 synthetic models of 8 hidden units."""
    values: dict[str, tuple[int, ...]] = {
        "time": (20, 40) if quick else (125, 250, 500, 1000, 2000, 4000),
        "batch": () if quick else (2, 5, 10, 20, 40, 80),
        "hidden": () if quick else (2, 4, 8, 14, 16, 32, 64, 96),
        "replicas": (1, 2) if quick else (1, 2, 4, 8, 16, 32),
    }
    models = ("rnn",) if quick else ("rnn", "lstm")
    return {
        axis: [_grown(model, axis, size) for model in models for size in sizes]
        for axis, sizes in values.items()
        if sizes
    }


def _grown(model: str, axis: str, size: int) -> Case:
    change: dict[str, Any] = {axis: size}
    return dataclasses.replace(_start(model), **change)


def at_once(quick: bool) -> Case:
    """The case of which one or two trainings run at once."""
    return dataclasses.replace(_start("rnn"), time=40) if quick else _start("rnn")


def _start(model: str) -> Case:
    return dataclasses.replace(synthetic(model, 8), replicas=8, steps=20)


def recipe(case: Case, epochs: int = 1) -> Recipe:
    """How the model is trained: without clipping, schedule and validation."""
    return Recipe(
        optimizer="adam" if case.optimizer == "adam" else "rmsprop",
        learning_rate=LEARNING_RATE,
        epochs=epochs,
        batch_size=case.batch,
    )


def generators(replicas: int) -> list[Callable[[str], np.random.Generator]]:
    """The replicas' random generators, by purpose, as `urnn.training.train` takes them."""
    return [partial(_generator, replica) for replica in range(replicas)]


def _generator(replica: int, purpose: str) -> np.random.Generator:
    return np.random.default_rng([replica, *purpose.encode()])


def initial(case: Case, replicas: int) -> list[dict[str, NDArray[np.float32]]]:
    """Initial parameters of every replica, by their names in the equations."""
    found = []
    for make in generators(replicas):
        values = initialise(case.spec, recipe(case), make("initial"), case.transition)
        W = values.pop("p").reshape(parameter_shapes(case.spec)["W"])
        found.append({"W": W, **values})
    return found


def data(case: Case, replicas: int) -> tuple[NDArray[np.float32], NDArray[Any], NDArray[np.int64]]:
    """x (S, N, time, input); y (S, N, time, output) or labels (S, N); and the set of each replica.

    Random numbers: what they are does not change the time of a step. The first set is the same
    however many there are.
    """
    sets, trials = min(replicas, _DATASETS), case.batch * case.steps
    x = np.random.default_rng(0).standard_normal((sets, trials, case.time, case.inputs), np.float32)
    which = np.arange(replicas) % sets
    random = np.random.default_rng(1)
    if case.loss == "cross_entropy":
        return x, random.integers(case.outputs, size=(sets, trials)), which
    y = random.standard_normal((sets, trials, case.time, case.outputs), np.float32)
    return x, y, which


def minibatches(case: Case, replicas: int = 1) -> Iterator[NDArray[np.int64]]:
    """Trials (replicas, batch) without end: the first ones, then epochs in random order."""
    random = np.random.default_rng(1)
    order = np.tile(np.arange(case.batch * case.steps), (replicas, 1))
    while True:
        for first in range(0, order.shape[1], case.batch):
            yield np.ascontiguousarray(order[:, first : first + case.batch])
        order = random.permuted(order, axis=1)
