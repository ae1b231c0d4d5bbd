"""`python -m benchmarks.transitions`: what it costs to keep W in each set, beside the recurrence.

The time of a whole training step per model, as in the other benchmarks, for every transition, at
16 and 64 hidden units, batch 16, 64 time steps, 4 models at once: median of rounds in which all
take turns.
"""

from __future__ import annotations

import json
import statistics
from functools import partial
from typing import Any

import numpy as np

from urnn import models, training
from urnn.recurrence import backend
from urnn.seeds import generator
from urnn.settings.base import validated
from urnn.settings.model import AnyModel, Model
from urnn.settings.training import Recipe

OPTIONS: dict[str, dict[str, Any]] = {
    "free": {},
    "contractive": {"transition": "contractive"},
    "unitary": {"transition": "unitary"},
    "arjovsky": {"transition": "arjovsky", "activation": "modrelu"},
    "eunn": {"transition": "eunn", "activation": "modrelu"},
    "eunn, capacity 2": {"transition": "eunn", "capacity": 2, "activation": "modrelu"},
    "eunn, FFT": {"transition": "eunn", "fft": True, "activation": "modrelu"},
    "full_capacity": {"transition": "full_capacity", "activation": "modrelu"},
    "eunn, ReLU": {"transition": "eunn"},
    "full_capacity, ReLU": {"transition": "full_capacity"},
    "eunn, real": {"transition": "eunn", "field": "real"},
    "full_capacity, real": {"transition": "full_capacity", "field": "real"},
    "matrix_exp": {"transition": "matrix_exp"},
    "cayley": {"transition": "cayley"},
    "householder": {"transition": "householder"},
}
MODELS: dict[str, Model] = {
    name: validated(AnyModel, options, name) for name, options in OPTIONS.items()
}
SIZES = (16, 64)
REPLICAS, BATCH, STEPS, ROUNDS = 4, 16, 40, 5


def milliseconds(settings: Model, hidden_units: int) -> float:
    """Of one training step of one model."""
    random = np.random.default_rng(0)
    x = random.random((1, BATCH * STEPS, 64, 1), np.float32)
    labels = random.integers(0, 10, (1, BATCH * STEPS))
    trained = training.train(
        models.specification(settings, hidden_units, 1, 10, "cross_entropy"),
        settings.transition_plug,
        Recipe(epochs=1, batch_size=BATCH, optimizer="rmsprop", learning_rate=1e-6),
        x,
        labels,
        [0] * REPLICAS,
        [partial(generator, 0, "benchmark", r) for r in range(REPLICAS)],
        backend("cpu"),
    )
    return 1e3 * trained.wall_seconds / STEPS / REPLICAS


def main() -> None:
    """Measure and print a table in Markdown, and the numbers of every round as JSON."""
    times: dict[str, dict[int, list[float]]] = {name: {n: [] for n in SIZES} for name in MODELS}
    for turn in range(ROUNDS + 1):
        for name, settings in MODELS.items():
            for n in SIZES:
                value = milliseconds(settings, n)
                if turn:  # the first compiles and imports
                    times[name][n].append(value)
    print("| transition |", " | ".join(f"{n} units, ms | x free" for n in SIZES), "|")
    print("| --- |", " | ".join("--- | ---" for _ in SIZES), "|")
    for name in MODELS:
        cells = []
        for n in SIZES:
            median = statistics.median(times[name][n])
            cells.append(f"{median:.3g} | {median / statistics.median(times['free'][n]):.2g}")
        print(f"| `{name}` |", " | ".join(cells), "|")
    print(json.dumps(times))


if __name__ == "__main__":
    main()
