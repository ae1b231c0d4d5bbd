"""Theorem 3: with a sigmoid or a tanh the error falls with bias and states, never to 0.

Source: Emami, Sahraee-Ardakan, Rangan, Fletcher, "Input-Output Equivalence of Unitary and
Contractive RNNs", NeurIPS 2019, Theorem 3.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.ticker import FixedLocator, LogLocator, MaxNLocator, NullLocator

from urnn.figures import drawing, series
from urnn.figures.style import (
    BLACK,
    BLUE,
    DASHED,
    DEFAULT,
    EDGE,
    GREEN,
    GREY,
    ORANGE,
    PURPLE,
    SKY_BLUE,
    VERMILLION,
    applied,
)

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from urnn.settings.style import Style

#: what `plot` needs of the file
VARIABLES = (
    "float64_error",
    "exact_error",
    "relu_error",
    "chain_error",
    "fit_error",
    "delay_error",
    "horizon",
)
_BELOW: dict[str, Any] = {"loc": "upper center", "bbox_to_anchor": (0.5, -0.17)}
_LOOKS = {"sigmoid": (BLUE, "o", "−β"), "tanh": (VERMILLION, "s", "−2β")}
_ROUNDOFF = float(np.finfo(float).eps)


def plot(dataset: xr.Dataset, style: Style = DEFAULT) -> Figure:
    """(a) error against the bias, (b) against the states, (c) of the delay chain against time.

    Args:
        dataset: as from ``compute`` of the numbers.
        style: sizes.
    """
    with applied(style):
        figure, panels = drawing.grid(style, 3, 2.2, 0.9)
        _against_bias(panels[0], dataset)
        _against_states(panels[1], dataset)
        _against_time(panels[2], dataset)
        for panel in panels:
            panel.set_yscale("log")
            panel.yaxis.set_minor_locator(NullLocator())
            panel.yaxis.set_major_locator(LogLocator(numticks=9))
            series.note_lines(panel)
        lowest = float(np.log10(dataset["exact_error"].min()))
        if lowest < -40:
            panels[0].yaxis.set_major_locator(FixedLocator([10.0**-k for k in range(0, 121, 20)]))
        panels[0].set_ylim(10 ** (lowest - 3), 10 ** max(2.0, -0.04 * lowest))
        drawing.heading(figure, dataset.attrs["title"], style)
    return figure


def _against_bias(panel: Axes, dataset: xr.Dataset) -> None:
    bias = dataset["bias"].values.astype(float)
    for activation in dataset["activation"].values:
        colour, marker, exponent = _LOOKS[str(activation)]
        of = dataset.sel(activation=activation)
        panel.plot(bias, of["exact_error"].values, color=colour, label=f"{activation}, 120 digits")
        float64 = of["float64_error"].values
        panel.plot(
            bias[float64 > 0],
            float64[float64 > 0],
            color=colour,
            marker=marker,
            linestyle="none",
            label=f"{activation}, float64",
            **EDGE,
        )
        exact = of["exact_error"].values
        panel.annotate(
            f"∝ $e^{{{exponent}}}$",
            (bias[3 * len(bias) // 4], exact[3 * len(bias) // 4]),
            xytext=(3, 3),
            textcoords="offset points",
            ha="left",
            va="bottom",
            color=colour,
        )
    relu = float(dataset["relu_error"])
    panel.axhline(
        max(relu, _ROUNDOFF),
        color=BLACK,
        linewidth=1.1,
        linestyle=":",
        label="ReLU: 0 (drawn at ε)" if relu == 0 else f"ReLU: {relu:.0e}",
    )
    panel.set_title("(a) N = 2, larger bias", loc="left")
    panel.set_xlabel("Size of the extra bias, β")
    panel.set_ylabel("Largest |y − $y_u$|")
    panel.legend(**_BELOW)


def _against_states(panel: Axes, dataset: xr.Dataset) -> None:
    states = dataset["chain_units"].values
    for activation in dataset["activation"].values:
        colour, marker, _ = _LOOKS[str(activation)]
        panel.plot(
            states,
            dataset["chain_error"].sel(activation=activation).values,
            color=colour,
            marker=marker,
            label=f"{activation} chain",
            **EDGE,
        )
    start = float(dataset["chain_error"].sel(activation="sigmoid")[0])
    panel.plot(states, start * 0.25 ** (states - states[0]), label="1/4 per state", **DASHED)
    for cap, colour, marker in zip(dataset["cap"].values, (GREEN, ORANGE), "^v", strict=False):
        panel.plot(
            dataset["fit_units"].values,
            # a larger network contains the smaller ones: the best with N states or fewer
            np.minimum.accumulate(dataset["fit_error"].sel(cap=cap).values),
            color=colour,
            marker=marker,
            label=f"best fit (rms), {'any bias' if cap == 'none' else f'|b| ≤ {cap}'}",
            **EDGE,
        )
    panel.set_title("(b) More states", loc="left")
    panel.set_ylabel("Error")
    panel.set_xlabel("States of the URNN, N")
    panel.xaxis.set_major_locator(MaxNLocator(integer=True))
    panel.legend(**_BELOW)


def _against_time(panel: Axes, dataset: xr.Dataset) -> None:
    looks = ((PURPLE, "D"), (SKY_BLUE, "P"), (BLACK, "x"))
    time = dataset["time"].values
    for length, (colour, marker) in zip(dataset["chain_length"].values, looks, strict=False):
        error = dataset["delay_error"].sel(chain_length=length).values
        panel.plot(
            time,
            np.maximum(error, 1e-17),
            color=colour,
            marker=marker,
            label=f"sigmoid, L = {length}",
        )
        last = float(dataset["horizon"].sel(chain_length=length))
        if last <= time[-1]:
            panel.axvline(last + 0.5, color=colour, linestyle=":", linewidth=1.1)
    panel.plot([], [], color=GREY, linestyle=":", label="no URNN is exact beyond")
    panel.set_title("(c) Delay chain, length L", loc="left")
    panel.set_xlabel("Time step, k")
    panel.set_ylabel("Largest |y − $y_u$| at k")
    panel.xaxis.set_major_locator(MaxNLocator(integer=True))
    panel.legend(**_BELOW)
