"""The tools that are compared: a module for each, that builds the trainings to be timed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib import import_module, util
from typing import Any

from benchmarks.cases import Case


@dataclass(frozen=True)
class Run:
    """A training that is ready to be timed."""

    #: mean loss of the first minibatch at the initial values of the first replica; not of peak
    loss: float | None
    #: models that a step trains at once
    models: int
    #: seconds that one optimizer step of one model takes, from a number of steps or a few more
    seconds: Callable[[int], float]


#: ways to set a tool up for a case, by name; the fastest one counts
Variants = Iterator[tuple[str, Callable[[], Run]]]


@dataclass(frozen=True)
class Tool:
    """Where a tool is."""

    #: module of this package; its tools share a process
    module: str
    #: function (case) -> Variants in it
    function: str
    #: packages without which it is left out
    packages: tuple[str, ...] = ()

    @property
    def installed(self) -> bool:
        """Whether its packages are there; they are not imported."""
        return all(util.find_spec(package) for package in self.packages)

    def variants(self, case: Case) -> Variants:
        """Imports the tool."""
        return getattr(import_module(f"benchmarks.tools.{self.module}"), self.function)(case)


TOOLS = {
    "urnn": Tool("ours", "training"),
    "urnn, one model": Tool("ours", "training_one_model"),
    "urnn, kernel": Tool("ours", "kernel"),
    "urnn, two threads": Tool("ours", "training_in_two_threads"),
    "peak": Tool("peak", "variants"),
    "torch.nn": Tool("torch_nn", "variants", ("torch",)),
    "JAX": Tool("jax_scan", "variants", ("jax",)),
    "Keras": Tool("keras_layers", "variants", ("keras", "jax")),
    "urnn, GPU": Tool("ours", "training_on_gpu"),
    "torch.nn, GPU": Tool("torch_nn", "variants_on_gpu", ("torch",)),
    "JAX, GPU": Tool("jax_scan", "variants_on_gpu", ("jax",)),
}
PEERS = ("torch.nn", "JAX", "Keras")
#: floating point operations of what counts as one step of the peak, whatever its vectors' width
PEAK_FLOP = 38_400_000


def timed(models: int, step: Callable[[], Any], wait: Callable[[], Any]) -> Callable[[int], float]:
    """`Run.seconds` from a function that takes one step, and one that waits for the last."""

    def seconds(count: int) -> float:
        begin = time.perf_counter()
        for _ in range(count):
            step()
        wait()
        return (time.perf_counter() - begin) / count / models

    return seconds
