"""urnn: `urnn.training.train` as the workflow calls it, and the step of its CPU backend alone."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from benchmarks import cases
from benchmarks.cases import Case
from benchmarks.tools import Run, Variants, timed
from urnn.recurrence import backend, pack
from urnn.training import train

#: minibatches that the bare kernel goes through
_MINIBATCHES = 16


def training(case: Case) -> Variants:
    """`train` on all replicas."""
    yield f"{case.replicas} models", lambda: _training(case, case.replicas)


def training_on_gpu(case: Case) -> Variants:
    """`train` on all replicas on a GPU."""
    yield f"{case.replicas} models", lambda: _training(case, case.replicas, "cuda")


def training_one_model(case: Case) -> Variants:
    """`train` on one replica."""
    yield "1 model", lambda: _training(case, 1)


def training_in_two_threads(case: Case) -> Variants:
    """`train` on all replicas, twice at once, in threads of one process."""

    def build() -> Run:
        runs = [_training(case, case.replicas) for _ in range(2)]
        pool = ThreadPoolExecutor(len(runs))

        def seconds(count: int) -> float:
            return float(np.mean(list(pool.map(lambda run: run.seconds(count), runs))))

        return Run(runs[0].loss, case.replicas, seconds)

    yield f"{case.replicas} models in each", build


def kernel(case: Case) -> Variants:
    """Gathering, forward, backward and reduction of all replicas, without the optimizer."""

    def build() -> Run:
        step, loss = _step(case, case.replicas)
        return Run(loss, case.replicas, timed(case.replicas, step, lambda: None))

    yield f"{case.replicas} models", build


def _step(case: Case, replicas: int) -> tuple[Callable[[], None], float]:
    """The backend's step on one minibatch after the other, and the first loss."""
    cpu = backend("cpu")
    x, y, dataset = cases.data(case, replicas)
    initial = cases.initial(case, replicas)
    stacked = {name: np.stack([values[name] for values in initial]) for name in initial[0]}
    theta, step = cpu.asarray(pack(case.spec, stacked)), cpu.step(case.spec)
    few = list(itertools.islice(cases.minibatches(case, replicas), _MINIBATCHES))
    loss = float(step(theta, x, y, dataset, few[0])[0][0])
    batches = itertools.cycle(few)
    return lambda: step(theta, x, y, dataset, next(batches)), loss


def _training(case: Case, replicas: int, device: str = "cpu") -> Run:
    x, y, dataset = cases.data(case, replicas)
    if device != "cpu" and not hasattr(backend(device), "driver"):
        raise RuntimeError("the compiled kernels do not run on this GPU: see python -m urnn doctor")
    # the data are the same for one replica and for many, so this loss is everyone's
    _, loss = _step(case, 1)

    def seconds(count: int) -> float:
        epochs = -(-count // case.steps)
        ends: list[float] = []
        trained = train(
            case.spec,
            case.transition,
            cases.recipe(case, 1 + epochs),
            x,
            y,
            dataset.tolist(),
            cases.generators(replicas),
            backend(device),
            report=lambda progress: ends.append(time.perf_counter()),
        )
        if trained.diverged.any():
            raise RuntimeError("a training diverged, and its steps are not what is measured")
        # the first epoch has the set-up in it
        return (ends[-1] - ends[0]) / (epochs * case.steps * replicas)

    return Run(loss, replicas, seconds)
