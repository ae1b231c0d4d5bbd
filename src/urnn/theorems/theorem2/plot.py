"""Theorem 2: how near fewer than 2n states come, with which weights, and how many are needed.

Source: Emami, Sahraee-Ardakan, Rangan, Fletcher, "Input-Output Equivalence of Unitary and
Contractive RNNs", NeurIPS 2019, Theorem 2.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, MaxNLocator, NullLocator
from numpy.typing import NDArray

from urnn.figures import drawing, series
from urnn.figures.style import (
    BARS,
    BLACK,
    BLUE,
    DASHED,
    DEFAULT,
    EDGE,
    GREEN,
    GREY,
    ORANGE,
    OTHERS,
    PURPLE,
    SKY_BLUE,
    VERMILLION,
    applied,
)

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes

    from urnn.settings.style import Style

#: what `plot` needs of the file
VARIABLES = ("best_error", "jacobian_error", "cascade_budget", "cascade_error", "needed")
_BOUND: dict[str, Any] = {**DASHED, "linewidth": 1.3}
_LOOKS = (
    (BLUE, "o"),
    (VERMILLION, "s"),
    (GREEN, "^"),
    (PURPLE, "D"),
    (ORANGE, "v"),
    (SKY_BLUE, "P"),
    (BLACK, "X"),
)
#: The counts, from above; a lower bound points upwards.
_COUNTS = (
    ("doubled", "2n (the paper)", GREY, "_"),
    ("minimal", "n + rank(I − $W^T W$)", BLUE, "o"),
    ("scaled", "n + d, best scaling found", VERMILLION, "s"),
    ("needed", "needed, bounds (C′) and (E)", GREEN, "^"),
)


def least_error(rho: float, budgets: NDArray) -> NDArray:
    """The least l2 error of the impulse response that (D) allows, for fewer than 2n states.

    The error e has e^2 >= eps0^2 + eps1^2, and (D) is
    eps1 + rho eps0 >= (1 - rho) (1 - eps0)^2 / R: the least e over eps0 in [0, 1], below 1.
    """
    eps0 = np.concatenate([[0], np.geomspace(1e-9, 1, 5000)])[:, None]
    eps1 = np.maximum((1 - rho) * (1 - eps0) ** 2 / budgets - rho * eps0, 0)
    return np.hypot(eps0, eps1).min(axis=0)


def plot(dataset: xr.Dataset, style: Style = DEFAULT) -> Figure:
    """(a) best error and (b) Jacobian error against the budget; (c) to (e) the state counts.

    Args:
        dataset: as from ``compute`` of the numbers.
        style: sizes.
    """
    with applied(style):
        narrow = drawing.is_narrow(style)
        height = (3.7 if narrow else 1.7) * style.height
        figure = Figure(figsize=(style.width, height), layout="constrained")
        layout = "a;b;c;d;e" if narrow else "aaabbb;ccddee"
        panels: dict[str, Axes] = figure.subplot_mosaic(layout)
        _best_fits(panels["a"], dataset)
        _jacobians(panels["b"], dataset)
        for letter, system in zip("cde", dataset["system"].values, strict=True):
            _counts(panels[letter], dataset.sel(system=system), str(system))
            panels[letter].sharey(panels["c"])
        handles, labels = panels["c"].get_legend_handles_labels()
        columns = 2 if narrow else len(_COUNTS)
        figure.legend(handles, labels, loc="outside lower center", ncols=columns)
        for panel in panels.values():
            series.note_lines(panel)
        drawing.heading(figure, dataset.attrs["title"], style)
    return figure


def _many(first: int = 0) -> Iterator[tuple[str, str]]:
    """Colours and markers, as many as there are curves."""
    return itertools.chain(_LOOKS[first:], (look for look in OTHERS if look not in _LOOKS))


def _rho(dataset: xr.Dataset) -> float:
    return float(dataset.attrs["cliff_rho"])


def _best_fits(panel: Axes, dataset: xr.Dataset) -> None:
    n, budgets = int(dataset.attrs["cliff_hidden_units"]), dataset["budget"].values.astype(float)
    for look, states in zip(_many(), dataset["unitary_units"].values, strict=False):
        name = f"N = {states}" + (" = n" if states == n else " = 2n" if states == 2 * n else "")
        errors = np.maximum(dataset["best_error"].sel(unitary_units=states).values, 1e-12)
        panel.plot(budgets, errors, color=look[0], marker=look[1], label=name, **EDGE)
    fine = np.geomspace(budgets[0], budgets[-1], 100) if len(budgets) > 1 else budgets
    panel.plot(fine, least_error(_rho(dataset), fine), label="bound (D), N < 2n", **_BOUND)
    panel.set_title("(a) Best fit found", loc="left")
    panel.set_ylabel("ℓ² error of the impulse response")
    _log(panel, budgets)
    panel.legend(loc="center right", bbox_to_anchor=(1, 0.42))


def _jacobians(panel: Axes, dataset: xr.Dataset) -> None:
    n, rho = int(dataset.attrs["cliff_hidden_units"]), _rho(dataset)
    budgets = dataset["budget"].values.astype(float)
    reach = [budgets[0], budgets[-1]]
    for look, chains in zip(_many(3), dataset["chains"].values, strict=False):
        cascade = dataset.sel(chains=chains)
        seen = cascade["cascade_error"].values > 0
        if not seen.any() or n + chains >= 2 * n:
            continue
        budget = cascade["cascade_budget"].values[seen]
        reach[1] = max(reach[1], budget.max())
        panel.plot(
            budget,
            cascade["cascade_error"].values[seen],
            color=look[0],
            marker="D",
            label=f"all-pass cascade, N = {n + chains}",
            **EDGE,
        )
    for look, states in zip(_many(), dataset["unitary_units"].values, strict=False):
        if n < states < 2 * n:
            fit = dataset["jacobian_error"].sel(unitary_units=states).values
            panel.plot(
                budgets,
                fit,
                color=look[0],
                marker=look[1],
                linestyle="none",
                label=f"best fits of (a), N = {states}",
                **EDGE,
            )
    fine = np.geomspace(reach[0], reach[1], 100) if reach[1] > reach[0] else np.array(reach[:1])
    panel.plot(fine, (1 - rho) / fine, label="(1 − ρ) / R: bound (D) at $ε_0$ = 0", **_BOUND)
    panel.set_title("(b) The larger the weights, the smaller the error", loc="left")
    panel.set_ylabel("Jacobian error, $ε_1 + ρ ε_0$")
    _log(panel, None)
    panel.legend(loc="upper right")


def _log(panel: Axes, budgets: NDArray | None) -> None:
    panel.set_xscale("log", base=2)
    panel.set_yscale("log")
    panel.yaxis.set_minor_locator(NullLocator())
    if budgets is not None:
        panel.xaxis.set_major_locator(FixedLocator(budgets.tolist()))
    else:
        panel.xaxis.set_major_locator(LogLocator(base=4))
    panel.xaxis.set_minor_locator(NullLocator())
    panel.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
    panel.set_xlabel("Weight budget, R = ‖$F_u$‖ ‖$C_u$‖")


def _counts(panel: Axes, dataset: xr.Dataset, system: str) -> None:
    sizes = dataset["hidden_units"].values
    for name, label, colour, marker in _COUNTS:
        counts = dataset[name]
        mean = counts.mean("realization").values
        low, high = counts.min("realization").values, counts.max("realization").values
        if name == "doubled":
            panel.plot(sizes, mean, color=colour, linewidth=5, alpha=0.35, label=label)
            continue
        panel.errorbar(
            sizes,
            mean,
            yerr=np.stack([mean - low, high - mean]),
            color=colour,
            marker=marker,
            label=label,
            **EDGE,
            **BARS,
        )
    letter = {
        "paper": "(c) Slowly varying W",
        "Gaussian": "(d) Gaussian W, ‖W‖ = 0.9",
        "scaled identity": f"(e) W = {_rho(dataset):g} I",
    }
    panel.set_title(letter.get(system, system), loc="left")
    panel.set_xlabel("States of the RNN, n")
    panel.set_ylabel("States of the URNN, N")
    panel.xaxis.set_major_locator(FixedLocator(sizes.tolist()))
    panel.yaxis.set_major_locator(MaxNLocator(integer=True))
