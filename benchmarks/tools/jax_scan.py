"""JAX: lax.scan, its gradient and the optimizer in one jit; one model, or many by vmap."""

from __future__ import annotations

from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks import cases
from benchmarks.cases import Case
from benchmarks.tools import Run, Variants, timed

_UNROLLED = (1, 8)


def variants(case: Case) -> Variants:
    """One model or all at once; the scan unrolled; F x of all time steps before it, or in it."""
    for models in sorted({1, case.replicas}):
        for unrolled in _UNROLLED:
            for hoisted in (True, False) if unrolled == 1 else (True,):
                where = "before" if hoisted else "in"
                yield (
                    f"{models} models, unroll {unrolled}, F x {where} the scan",
                    partial(_run, case, models, unrolled, hoisted),
                )


def variants_on_gpu(case: Case) -> Variants:
    """The same where JAX computes on a GPU.

    Raises:
        RuntimeError: it does not.
    """
    if jax.default_backend() != "gpu":
        raise RuntimeError("JAX sees no GPU; pip install 'jax[cuda13]'")
    yield from variants(case)


def _run(case: Case, models: int, unrolled: int, hoisted: bool) -> Run:
    sets: Any
    x, y, sets = cases.data(case, models)
    last = case.loss == "cross_entropy"
    X, Y, sets = jnp.asarray(x), jnp.asarray(y), jnp.asarray(sets)
    initial = [
        # transposed, as the products below take them
        {name: value.T for name, value in values.items() if not name.endswith("_init")}
        for values in cases.initial(case, models)
    ]
    parameters = {name: jnp.stack([values[name] for values in initial]) for name in initial[0]}

    def loss_of(p: Any, x: Any, y: Any) -> Any:
        inputs = x.swapaxes(0, 1)
        states = _states(case, p, inputs, unrolled, hoisted)
        if last:
            scores = states[-1] @ p["C"] + p["d"]
            return -jnp.take_along_axis(jax.nn.log_softmax(scores), y[:, None], 1).mean()
        return ((states @ p["C"] + p["d"] - y.swapaxes(0, 1)) ** 2).mean()

    def update(p: Any, state: Any, dataset: Any, chosen: Any, X: Any, Y: Any) -> Any:
        loss, gradient = jax.value_and_grad(loss_of)(p, X[dataset, chosen], Y[dataset, chosen])
        p, state = _optimized(case, p, state, gradient)
        if case.model == "urnn":
            U, _, Vh = jnp.linalg.svd(p["W"])
            p["W"] = U @ Vh
        return p, state, loss

    zeros = jax.tree.map(jnp.zeros_like, parameters)
    state = (zeros, jax.tree.map(jnp.copy, zeros), jnp.zeros(models))
    if models == 1:
        parameters, state = jax.tree.map(lambda array: array[0], (parameters, state))
        sets, function = sets[0], update
    else:
        function = jax.vmap(update, in_axes=(0, 0, 0, 0, None, None))
    compiled = jax.jit(function, donate_argnums=(0, 1))
    batches = cases.minibatches(case, models)
    held: dict[str, Any] = {"parameters": parameters, "state": state}

    def step() -> None:
        chosen = next(batches) if models > 1 else next(batches)[0]
        held["parameters"], held["state"], held["loss"] = compiled(
            held["parameters"], held["state"], sets, chosen, X, Y
        )

    step()
    loss = float(np.ravel(held["loss"])[0])
    return Run(loss, models, timed(models, step, lambda: jax.block_until_ready(held)))


def _states(case: Case, p: Any, x: Any, unrolled: int, hoisted: bool) -> Any:
    """The states (time, batch, hidden) for x (time, batch, input)."""
    if hoisted:
        x = x @ p["F"] + p["b"]

    def driven(x: Any) -> Any:
        return x if hoisted else x @ p["F"] + p["b"]

    def before_gates(h: Any, x: Any) -> Any:
        return h @ p["W"] + driven(x)

    def rnn(h: Any, x: Any) -> Any:
        h = jnp.maximum(before_gates(h, x), 0)
        return h, h

    def lstm(carry: Any, x: Any) -> Any:
        h, c = carry
        i, f, g, o = jnp.split(before_gates(h, x), 4, -1)
        c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
        h = jax.nn.sigmoid(o) * jnp.tanh(c)
        return (h, c), h

    def gru(h: Any, x: Any) -> Any:
        parts = zip(*(jnp.split(v, 3, -1) for v in (driven(x), h @ p["W"] + p["b_h"])), strict=True)
        (r_x, r_h), (z_x, z_h), (n_x, n_h) = parts
        z = jax.nn.sigmoid(z_x + z_h)
        n = jnp.tanh(n_x + jax.nn.sigmoid(r_x + r_h) * n_h)
        h = n + z * (h - n)
        return h, h

    zero = jnp.zeros((x.shape[1], case.hidden))
    cells: dict[str, Any] = {"lstm": (lstm, (zero, zero)), "gru": (gru, zero)}
    cell, start = cells.get(case.model, (rnn, zero))
    return jax.lax.scan(cell, start, x, unroll=unrolled)[1]


def _optimized(case: Case, p: Any, state: Any, gradient: Any) -> tuple[Any, Any]:
    """Parameters and state after a step of Adam or RMSProp, with Keras's constants."""
    mean, square, count = state
    count = count + 1
    if case.optimizer == "adam":
        mean = jax.tree.map(lambda m, g: m + 0.1 * (g - m), mean, gradient)
        square = jax.tree.map(lambda v, g: v + 0.001 * (g * g - v), square, gradient)
        rate = cases.LEARNING_RATE * jnp.sqrt(1 - 0.999**count) / (1 - 0.9**count)
        direction = mean
    else:
        square = jax.tree.map(lambda v, g: v + 0.1 * (g * g - v), square, gradient)
        rate, direction = cases.LEARNING_RATE, gradient
    p = jax.tree.map(
        lambda value, d, v: value - rate * d / (jnp.sqrt(v) + 1e-7), p, direction, square
    )
    return p, (mean, square, count)
