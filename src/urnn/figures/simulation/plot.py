"""Measured signals beside what the models simulate, and the models' R^2 against their size."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.lines import Line2D

from urnn import scoring, signals
from urnn.figures import drawing, points, series
from urnn.figures.findings import counted
from urnn.figures.simulation.findings import SCORE, choices
from urnn.figures.style import DEFAULT, GREY, applied, looks

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from urnn.figures.simulation.settings import SimulationSettings
    from urnn.settings.style import Style

#: samples of the stretch that is drawn
_SHOWN = 200
#: an R^2 is far below the others if further from the best than this many times the lower quarter
_FAR = 2.0


def plot(
    scores: Mapping[str, xr.Dataset],
    settings: SimulationSettings,
    published: pd.DataFrame | None = None,
    style: Style = DEFAULT,
) -> Figure:
    """R^2 about the mean against the hidden units (a), and a stretch of the test (b).

    Args:
        scores: of one experiment on records: r2_centred, diverged (model, hidden_units,
            realization), simulated (model, hidden_units, sample, output) and measured (sample,
            output), with the coordinates model_label and state_factor (model), and if known the
            attribute signals.
        settings: of this kind.
        published: not used.
        style: sizes.

    Raises:
        ArgumentError: there are several experiments.
    """
    dataset = drawing.one(scores)
    names = drawing.labels(dataset)
    look = looks(names)
    with applied(style):
        ratios: dict[str, Any] = {} if drawing.is_narrow(style) else {"width_ratios": (2, 3)}
        figure, (left, right) = drawing.grid(style, 2, 2.4, 0.75, **ratios)
        rows = points.table(scoring.reported(dataset, SCORE))
        _against_size(left, rows, look, names, points.overflows(dataset))
        drawing.size_ticks(left, dataset["hidden_units"].values.tolist())
        shown = _stretch(right, dataset, settings, look, names)
        for panel, letter in zip((left, right), "ab", strict=True):
            panel.set_title(f"({letter})", loc="left")
        drawing.heading(figure, drawing.title(dataset), style)
        measured = Line2D([], [], color=GREY, marker=".", linestyle="", label="Measured")
        drawing.legend(figure, drawing.handles(names, look), [measured, *shown])
    return figure


def _against_size(
    panel: Axes,
    rows: pd.DataFrame,
    look: points.Looks,
    names: Mapping[str, str],
    overflowed: points.Overflowed,
) -> None:
    """Every realization, and the means; what is far below the others stands at the lower edge."""
    means = rows.groupby(["group", "x"])["value"].mean()
    points.means(panel, rows, look, names, interval=None, overflowed=overflowed)
    for group, of_group in rows.groupby("group"):
        colour, marker = look[str(group)]
        panel.plot(
            of_group["x"],
            of_group["value"],
            marker,
            color=colour,
            markersize=3,
            alpha=0.5,
            zorder=2,
        )
    panel.set(xlabel="Hidden units", ylabel="Centred test R² in simulation")
    if len(means) < 3:
        return
    best = float(means.max())
    lowest = best - max(_FAR * (best - float(means.quantile(0.25))), 1e-3)
    if rows["value"].min() >= lowest:
        return
    highest = float(rows["value"].max())
    panel.set_ylim(lowest, highest + 0.05 * (highest - lowest))
    below = rows[rows["value"] < lowest].drop_duplicates(["group", "x"])
    stacked: Counter[float] = Counter()
    for group, x in below[["group", "x"]].itertuples(index=False):
        points.edge_mark(panel, x, 0, stacked[x], look[group][0])
        stacked[x] += 1


def _stretch(
    panel: Axes,
    dataset: xr.Dataset,
    settings: SimulationSettings,
    look: points.Looks,
    names: Mapping[str, str],
) -> list[Line2D]:
    """The first output after the warm-up, measured and simulated; what the legend says of it."""
    described = signals.of(dataset.attrs)
    first, step = (described.warm_up, described.sample_time) if described else (0, None)
    rows = slice(first, first + _SHOWN)
    measured = dataset["measured"].values[rows, 0]
    time = (first + np.arange(len(measured))) * (step or 1)
    (dots,) = panel.plot(time, measured, ".", color=GREY, markersize=3, zorder=2)
    series.note_line(panel, dots, "Measured", "reference")
    handles = []
    for unitary, one in choices(dataset, settings.margin).items():
        values = dataset["simulated"].sel(model=one.model, hidden_units=one.hidden_units)
        line: dict[str, Any] = {"linestyle": "-" if unitary else "--", "color": look[one.model][0]}
        label = f"{names[one.model]}, {counted(one.hidden_units, 'unit')}"
        (drawn,) = panel.plot(time, values.values[rows, 0], linewidth=1.2, zorder=3, **line)
        series.note_line(panel, drawn, label)
        handles.append(Line2D([], [], label=label, **line))
    panel.set(
        xlabel="Time" if step else "Sample", ylabel=drawing.plain(str(dataset["output"].values[0]))
    )
    return handles
