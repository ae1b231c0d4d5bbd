"""Keras on JAX: SimpleRNN, LSTM or GRU, Dense and train_on_batch, the authors' way; one model."""

from __future__ import annotations

from functools import partial
from typing import Any

import keras
import numpy as np

from benchmarks import cases
from benchmarks.cases import Case
from benchmarks.tools import Run, Variants, timed


class Orthogonal(keras.constraints.Constraint):
    """W = U S V^T -> U V^T after every step."""

    def __call__(self, w: Any) -> Any:
        U, _, Vh = keras.ops.svd(w)
        return keras.ops.matmul(U, Vh)


def variants(case: Case) -> Variants:
    """The step compiled, or not."""
    for jit in (True, False):
        yield f"jit {'on' if jit else 'off'}", partial(_run, case, jit)


def _run(case: Case, jit: bool) -> Run:
    x, y, _ = cases.data(case, 1)
    last = case.loss == "cross_entropy"
    model = _model(case, last)
    optimizer: Any = (
        keras.optimizers.Adam(cases.LEARNING_RATE)
        if case.optimizer == "adam"
        else keras.optimizers.RMSprop(cases.LEARNING_RATE, rho=0.9)
    )
    loss: Any = (
        keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        if last
        else keras.losses.MeanSquaredError()
    )
    model.compile(optimizer, loss, jit_compile=jit)
    batches = cases.minibatches(case)

    def step() -> Any:
        chosen = next(batches)[0]
        return model.train_on_batch(x[0, chosen], y[0, chosen])

    # train_on_batch waits for the loss that it returns
    first = float(np.ravel(step())[0])
    return Run(first, 1, timed(1, step, lambda: None))


def _model(case: Case, last: bool) -> Any:
    keras.utils.clear_session()
    layer = _layer(case, return_sequences=not last)
    readout = keras.layers.Dense(case.outputs)
    model = keras.Sequential([keras.layers.Input((case.time, case.inputs)), layer, readout])
    values = cases.initial(case, 1)[0]
    layer.set_weights(_weights(values))
    readout.set_weights([values["C"].T, values["d"]])
    return model


def _layer(case: Case, return_sequences: bool) -> Any:
    if case.model == "lstm":
        return keras.layers.LSTM(case.hidden, return_sequences=return_sequences)
    if case.model == "gru":
        return keras.layers.GRU(case.hidden, return_sequences=return_sequences)
    return keras.layers.SimpleRNN(
        case.hidden,
        activation="relu",
        return_sequences=return_sequences,
        recurrent_constraint=Orthogonal() if case.model == "urnn" else None,
    )


def _weights(values: dict[str, Any]) -> list[Any]:
    """Kernel, recurrent kernel and bias in Keras's order."""
    if "b_h" not in values:
        return [values["F"].T, values["W"].T, values["b"]]
    # a GRU has its gates in the order z, r, n, and both biases in one array
    F, W, b, b_h = (
        np.concatenate([part[1], part[0], part[2]])
        for part in (np.split(values[name], 3) for name in ("F", "W", "b", "b_h"))
    )
    return [F.T, W.T, np.stack([b, b_h])]
