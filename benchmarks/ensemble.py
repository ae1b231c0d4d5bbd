"""`python -m benchmarks.ensemble`: an ensemble of recurrent layers, forward and backward.

100 modules of 16 units, batch 10, 200 steps, 2 inputs, float32, all gradients of the parameters:
urnn.nn under torch.func.vmap, a loop over modules of torch.nn (its LSTM with oneDNN and without),
and JAX's vmap of scan where JAX can be imported. The median of rounds in which all take turns; one
thread.
"""

from __future__ import annotations

import argparse
import copy
import json
import os
import statistics
from collections.abc import Callable
from typing import Any

for _variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_variable, "1")
os.environ.setdefault(
    "XLA_FLAGS", "--xla_cpu_multi_thread_eigen=false intra_op_parallelism_threads=1"
)

import torch  # noqa: E402
from torch.func import functional_call, stack_module_state  # noqa: E402

import urnn.nn  # noqa: E402
from benchmarks.turns import seconds  # noqa: E402

INPUTS = 2


def ours(name: str, members: int, hidden: int, x: torch.Tensor) -> Callable[[], float]:
    """urnn.nn under vmap: one stack."""
    torch.manual_seed(0)
    layers = [getattr(urnn.nn, name)(INPUTS, hidden) for _ in range(members)]
    parameters, _ = stack_module_state(layers)
    base = copy.deepcopy(layers[0]).to("meta")
    run = torch.vmap(lambda p, x: functional_call(base, p, (x,))[0], in_dims=(0, None))

    def step() -> float:
        loss = run(parameters, x).square().mean((1, 2, 3)).sum()
        torch.autograd.grad(loss, list(parameters.values()))
        return float(loss.detach())

    return step


def torchs(name: str, members: int, hidden: int, x: torch.Tensor) -> Callable[[], float]:
    """torch.nn, one module after the other."""
    torch.manual_seed(0)
    layers = [getattr(torch.nn, name)(INPUTS, hidden) for _ in range(members)]

    def step() -> float:
        total = 0.0
        for layer in layers:
            loss = layer(x)[0].square().mean()
            torch.autograd.grad(loss, list(layer.parameters()))
            total += float(loss.detach())
        return total

    return step


def jax_scan(name: str, members: int, hidden: int, x: torch.Tensor) -> Callable[[], float] | None:
    """JAX's vmap of scan with torch's parameters, in one jit; None without JAX."""
    try:
        import jax
        from jax import numpy as jnp
    except ImportError:
        return None
    torch.manual_seed(0)
    layers = [getattr(torch.nn, name)(INPUTS, hidden) for _ in range(members)]
    stacked, _ = stack_module_state(layers)
    values = {
        key.removesuffix("_l0"): jnp.asarray(v.detach().numpy()) for key, v in stacked.items()
    }
    data = jnp.asarray(x.numpy())

    def cell(p: Any, state: Any, drive: Any) -> Any:
        h, c = state
        own = h @ p["weight_hh"].T + p["bias_hh"]
        if name == "RNN":
            h = jnp.tanh(drive + own)
        elif name == "LSTM":
            i, f, g, o = jnp.split(drive + own, 4, -1)
            c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
            h = jax.nn.sigmoid(o) * jnp.tanh(c)
        else:
            (r, z, n), (r_h, z_h, n_h) = jnp.split(drive, 3, -1), jnp.split(own, 3, -1)
            z = jax.nn.sigmoid(z + z_h)
            h = (1 - z) * jnp.tanh(n + jax.nn.sigmoid(r + r_h) * n_h) + z * h
        return (h, c), h

    def loss(p: Any) -> Any:
        start = jnp.zeros((x.shape[1], hidden))
        drive = data @ p["weight_ih"].T + p["bias_ih"]
        return (jax.lax.scan(lambda s, d: cell(p, s, d), (start, start), drive)[1] ** 2).mean()

    both = jax.jit(jax.vmap(jax.value_and_grad(loss)))

    def step() -> float:
        found, gradients = both(values)
        jax.block_until_ready(gradients)
        return float(found.sum())

    return step


def without_onednn(name: str, members: int, hidden: int, x: torch.Tensor) -> Any:
    """The loop over modules of torch.nn without oneDNN, which only its LSTM uses."""
    if name != "LSTM":
        return None
    step = torchs(name, members, hidden, x)

    def plain() -> float:
        with torch.backends.mkldnn.flags(enabled=False):
            return step()

    return plain


TOOLS: dict[str, Any] = {
    "urnn.nn, vmap": ours,
    "torch.nn, loop": torchs,
    "torch.nn, loop, no oneDNN": without_onednn,
    "JAX, vmap": jax_scan,
}


def main() -> None:
    """Measure and print a table in Markdown, and the seconds of every round as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    for option, default in (("members", 100), ("hidden", 16), ("batch", 10), ("time", 200)):
        parser.add_argument(f"--{option}", type=int, default=default)
    parser.add_argument("--budget", type=float, default=10.0, help="seconds for each layer")
    parser.add_argument("--layers", nargs="+", default=["LSTM", "GRU", "RNN"])
    given = parser.parse_args()
    torch.set_num_threads(1)
    x = torch.randn(given.time, given.batch, INPUTS, generator=torch.Generator().manual_seed(0))
    print("| layer |", " | ".join(f"{tool}, ms" for tool in TOOLS), "|")
    print("| --- |" + " --- |" * len(TOOLS))
    kept = {}
    for name in given.layers:
        made = {tool: make(name, given.members, given.hidden, x) for tool, make in TOOLS.items()}
        steps = {tool: step for tool, step in made.items() if step is not None}
        kept[name] = seconds(steps, given.budget)
        median = {tool: 1e3 * statistics.median(values) for tool, values in kept[name].items()}
        first = next(iter(median.values()))
        cells = [
            f"{median[tool]:.3g} ({median[tool] / first:.3g} x)" if tool in median else ""
            for tool in TOOLS
        ]
        print(f"| {name} |", " | ".join(cells), "|")
    print(json.dumps(kept))


if __name__ == "__main__":
    main()
