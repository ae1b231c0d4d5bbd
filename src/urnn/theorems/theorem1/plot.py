"""Theorem 1: the converted network is the same map, how many states it has, and its bias is tight.

Source: Emami, Sahraee-Ardakan, Rangan, Fletcher, "Input-Output Equivalence of Unitary and
Contractive RNNs", NeurIPS 2019, Theorem 1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from urnn.figures import drawing, series
from urnn.figures.style import (
    BLACK,
    BLUE,
    DASHED,
    DEFAULT,
    EDGE,
    GREEN,
    GREY,
    OTHERS,
    VERMILLION,
    applied,
)

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from urnn.settings.style import Style

#: what `plot` needs of the file
VARIABLES = ("relative_error", "extra_state", "unitarity_error", "unitary_units", "bias_error")
_BELOW: dict = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.2)}
_TITLES = (
    "(a) Equal up to rounding",
    "(b) States, s: singular values",
    "(c) The bias cannot be smaller",
)
_TICKS = (0, 1e-16, 1e-15, 1e-14, 1e-13)


def plot(dataset: xr.Dataset, style: Style = DEFAULT) -> Figure:
    """(a) errors in float64 against n, (b) N / n against n, (c) error against the extra bias.

    Args:
        dataset: as from ``compute`` of the numbers.
        style: sizes.
    """
    with applied(style):
        figure, panels = drawing.grid(style, 3, 2.2, 0.75)
        _errors(panels[0], dataset)
        _states(panels[1], dataset)
        _bias(panels[2], dataset)
        for panel, title in zip(panels, _TITLES, strict=True):
            panel.set_title(title, loc="left")
            series.note_lines(panel)
        drawing.heading(figure, dataset.attrs["title"], style)
    return figure


def _errors(panel: Axes, dataset: xr.Dataset) -> None:
    """The worst case over everything but n, on an axis that has a zero."""
    sizes = dataset["hidden_units"].values
    for name, label, colour, marker in (
        ("unitarity_error", "‖$W_u^T W_u$ − I‖", BLUE, "o"),
        ("relative_error", "|y − $y_u$| / |y|", VERMILLION, "s"),
        ("extra_state", "extra states", BLACK, "x"),
    ):
        worst = dataset[name].max(("regime", "input_norm", "states")).values
        line = panel.plot(sizes, worst, color=colour, marker=marker, label=label)[0]
        if marker != "x":
            line.set(**EDGE)
    panel.set_yscale("symlog", linthresh=1e-16, linscale=0.8)
    panel.yaxis.set_major_locator(FixedLocator(_TICKS))
    panel.yaxis.set_major_formatter(
        FuncFormatter(lambda y, _: "0" if y == 0 else f"$10^{{{round(np.log10(y))}}}$")
    )
    panel.yaxis.set_minor_locator(NullLocator())
    worst_of_all = float(max(dataset[name].max() for name in VARIABLES[:3]))
    panel.set_ylim(-2e-17, max(2e-13, 2 * worst_of_all))
    panel.set_ylabel("Largest over all cases")
    _sizes(panel, sizes)
    panel.legend(**_BELOW)


def _states(panel: Axes, dataset: xr.Dataset) -> None:
    """One curve for each kind of W; kinds with the same counts share one."""
    sizes = dataset["hidden_units"].values
    doubled = dataset["unitary_units"].sel(states="2n").mean(("regime", "input_norm")).values
    panel.plot(sizes, doubled / sizes, color=GREY, linewidth=5, alpha=0.35, label="2n (the paper)")
    complex_states = dataset["unitary_units"].sel(states="complex").mean(("regime", "input_norm"))
    panel.plot(sizes, complex_states.values / sizes, color=BLACK, marker="x", label="complex: n")
    groups: dict[tuple[float, ...], list[str]] = {}
    minimal = dataset["unitary_units"].sel(states="minimal").mean("input_norm")
    for regime in dataset["regime"].values:
        curve = tuple((minimal.sel(regime=regime).values / sizes).tolist())
        groups.setdefault(curve, []).append(str(regime).replace("-", "−"))
    for (curve, names), (colour, marker) in zip(
        groups.items(), [(BLUE, "o"), (VERMILLION, "s"), (GREEN, "^"), *OTHERS], strict=False
    ):
        words = {"half at 1": "half of s at 1", "exactly 1": "only the largest s at 1"}
        below = [name for name in names if name not in words]
        label = "; ".join(
            [*(["all s < 1"] if below else []), *(words[n] for n in names if n in words)]
        )
        panel.plot(
            sizes,
            curve,
            color=colour,
            marker=marker,
            label=label,
            **EDGE,
        )
    panel.set_ylim(0.95, 2.1)
    panel.set_ylabel("States of the URNN, N / n")
    _sizes(panel, sizes)
    panel.legend(**_BELOW)


def _bias(panel: Axes, dataset: xr.Dataset) -> None:
    fraction, error = dataset["bias_fraction"].values, dataset["bias_error"].values
    panel.plot(fraction, error, color=VERMILLION, label="w = 0.9, f = 1, b = 0.5, x = 1")
    panel.axvline(1, label="the proved bias", **DASHED)
    near = int(np.flatnonzero(error > 1e-9)[-1]) if (error > 1e-9).any() else None
    if near is not None:  # the largest bias that fails
        panel.plot(fraction[near], error[near], "s", color=VERMILLION, **EDGE)
        panel.annotate(
            f"{fraction[near]:g}: {error[near]:.2g}",
            (fraction[near], error[near]),
            xytext=(12, 30),
            textcoords="offset points",
            color=VERMILLION,
            arrowprops={"arrowstyle": "-", "color": VERMILLION, "linewidth": 0.8},
        )
    panel.set_xlabel("Extra bias / proved bias")
    panel.set_ylabel("Largest |y − $y_u$|")
    panel.legend(**_BELOW)


def _sizes(panel: Axes, sizes: np.ndarray) -> None:
    panel.set_xscale("log", base=2)
    panel.xaxis.set_major_locator(FixedLocator(sizes.tolist()))
    panel.xaxis.set_minor_locator(NullLocator())
    panel.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
    panel.set_xlabel("States of the RNN, n")
