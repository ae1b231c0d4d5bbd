"""`python -m benchmarks.layers`: a layer of urnn.nn beside the same of torch.nn.

One layer, batch 32, 200 steps, 8 inputs, float32, one thread. First table: forward with all
gradients of the parameters, and forward without gradients; torch's LSTM runs on oneDNN where that
is installed, as it does for its users. Second table: a training step that keeps W orthogonal, by
Adam, of `urnn.nn.UnitaryRNN`, and of torch.nn.RNN with torch's parametrization and with geotorch's.
Of every size the median of rounds in which all take turns.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
from collections.abc import Callable
from typing import Any

for _variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(_variable, "1")

import torch  # noqa: E402

import urnn.nn  # noqa: E402
from benchmarks.turns import seconds  # noqa: E402

INPUTS = 8


def trained(layer: Any, x: torch.Tensor) -> Callable[[], float]:
    """Forward, and the gradients of the parameters from a gradient of the output.

    Without a loss, which both would have, and which takes longer than a small layer.
    """
    parameters = list(layer.parameters())
    upstream = torch.randn(
        *x.shape[:2], layer.hidden_size, generator=torch.Generator().manual_seed(1)
    )

    def step() -> float:
        gradients = torch.autograd.grad(layer(x)[0], parameters, upstream)
        return float(gradients[-1].square().sum())

    return step


def applied(layer: Any, x: torch.Tensor) -> Callable[[], float]:
    """Forward alone."""

    def step() -> float:
        with torch.no_grad():
            return float(layer(x)[0][-1].square().sum())

    return step


def unitary(layer: Any, x: torch.Tensor) -> Callable[[], float]:
    """A step of Adam from a gradient of the output, with what keeps W orthogonal."""
    optimizer = torch.optim.Adam(layer.parameters(), lr=1e-4)
    upstream = torch.randn(
        *x.shape[:2], layer.hidden_size, generator=torch.Generator().manual_seed(1)
    )

    def step() -> float:
        optimizer.zero_grad()
        layer(x)[0].backward(upstream)
        optimizer.step()
        urnn.nn.retract_(layer)
        return 0.0  # their W differ

    return step


def by_torch(hidden: int) -> Any:
    """torch.nn.RNN with torch's parametrization, from the exponential of a matrix."""
    return torch.nn.utils.parametrizations.orthogonal(torch.nn.RNN(INPUTS, hidden), "weight_hh_l0")


def by_geotorch(hidden: int) -> Any:
    """torch.nn.RNN with geotorch's parametrization, or None without geotorch."""
    try:
        import geotorch
    except ImportError:
        return None
    layer = torch.nn.RNN(INPUTS, hidden)
    geotorch.orthogonal(layer, "weight_hh_l0")
    return layer


ORTHOGONAL: dict[str, Callable[[int], Any]] = {
    "urnn.nn.UnitaryRNN": lambda hidden: urnn.nn.UnitaryRNN(INPUTS, hidden),
    "torch.nn.RNN, torch's parametrization": by_torch,
    "torch.nn.RNN, geotorch": by_geotorch,
}

WAYS = {"forward and backward": trained, "forward, no_grad": applied}


def main() -> None:
    """Measure and print a table in Markdown, and the medians in seconds as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--layers", nargs="+", default=["RNN", "LSTM", "GRU"])
    parser.add_argument("--hidden", nargs="+", type=int, default=[4, 16, 64, 128, 256, 512, 1024])
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS))
    for option, default in (("batch", 32), ("time", 200)):
        parser.add_argument(f"--{option}", type=int, default=default)
    parser.add_argument("--budget", type=float, default=1.0, help="seconds for each cell")
    given = parser.parse_args()
    torch.set_num_threads(1)
    x = torch.randn(given.time, given.batch, INPUTS, generator=torch.Generator().manual_seed(0))
    kept: dict[str, dict[str, float]] = {}
    print("| layer | pass |", " | ".join(map(str, given.hidden)), "|", flush=True)
    print("| --- | --- |" + " --- |" * len(given.hidden))
    for name in given.layers:
        for way in given.ways:
            cells = []
            for hidden in given.hidden:
                torch.manual_seed(0)
                theirs = getattr(torch.nn, name)(INPUTS, hidden)
                ours = getattr(urnn.nn, name)(INPUTS, hidden)
                ours.load_state_dict(theirs.state_dict())
                steps = {"ours": WAYS[way](ours, x), "theirs": WAYS[way](theirs, x)}
                times = seconds(steps, given.budget)
                median = {tool: statistics.median(values) for tool, values in times.items()}
                kept[f"{name}, {way}, {hidden}"] = median
                ratio = median["theirs"] / median["ours"]
                cells.append(f"{1e3 * median['ours']:.3g} ms ({ratio:.3g} x)")
            print(f"| {name} | {way} |", " | ".join(cells), "|", flush=True)
    kept |= orthogonal(x, given.hidden, given.budget)
    print(json.dumps(kept))


def orthogonal(x: torch.Tensor, sizes: list[int], budget: float) -> dict[str, dict[str, float]]:
    """Print the second table; its medians in seconds."""
    kept = {}
    print("\n| hidden units |", " | ".join(ORTHOGONAL), "|", flush=True)
    print("| --- |" + " --- |" * len(ORTHOGONAL))
    for hidden in sizes:
        torch.manual_seed(0)
        layers = {tool: make(hidden) for tool, make in ORTHOGONAL.items()}
        steps = {tool: unitary(layer, x) for tool, layer in layers.items() if layer is not None}
        median = {tool: statistics.median(s) for tool, s in seconds(steps, budget).items()}
        kept[f"orthogonal, {hidden}"] = median
        first = next(iter(median.values()))
        cells = [f"{1e3 * s:.3g} ms ({s / first:.3g} x)" for s in median.values()]
        print(f"| {hidden} |", " | ".join(cells), "|", flush=True)
    return kept


if __name__ == "__main__":
    main()
