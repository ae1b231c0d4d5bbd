"""Our scores less the published ones: rows of data, columns of models, ways side by side."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from urnn.figures import drawing, points
from urnn.figures.reproduction import deviations
from urnn.figures.style import BLUE, DEFAULT, ORANGE, SKY_BLUE, VERMILLION, applied

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes

    from urnn.figures.reproduction.settings import ReproductionSettings
    from urnn.settings.style import Style

#: the ways that are drawn, by what they are called: colours and markers
_SHOWN = [way for way in deviations.WAYS if way.treatment == deviations.LEFT_OUT]
_LOOKS = {
    way.short: look
    for way, look in zip(
        _SHOWN, [(BLUE, "o"), (SKY_BLUE, "X"), (VERMILLION, "s"), (ORANGE, "P")], strict=True
    )
}
#: characters above a panel of a narrow figure
_NARROW = 22
#: the scale is linear within it
_LINEAR = 0.01


def plot(
    scores: Mapping[str, xr.Dataset],
    settings: ReproductionSettings,
    published: pd.DataFrame | None = None,
    style: Style = DEFAULT,
) -> Figure:
    """Test R^2 less the published value, against hidden units, for each `deviations.Way`.

    The bars are 95 % intervals of the mean or the median over the realizations whose
    training did not overflow.

    Args:
        scores: by label, r2, diverged (model, hidden_units, realization) and, for the ways that
            need it, r2_by_epoch (..., epoch), with the coordinate model_label (model).
        settings: of this kind.
        published: as from `urnn.published.load`; without it there is nothing to compare with.
        style: sizes.
    """
    curves = {
        label: {} if published is None else deviations.curves(dataset, published, settings.same)
        for label, dataset in scores.items()
    }
    names = {m: n for dataset in scores.values() for m, n in drawing.labels(dataset).items()}
    models = list(dict.fromkeys(m for of_data in curves.values() for m in of_data)) or [*names]
    drawn: list[pd.DataFrame] = []
    with applied(style):
        figure, panels = _panels(style, list(scores), models, names)
        for label, dataset in scores.items():
            for model in models:
                panel = panels[label, model]
                drawing.optimum_line(panel, 0)
                if model in curves[label]:
                    title = f"{label}: {names[model]}"
                    drawn.append(_draw(panel, dataset, model, curves[label][model], title))
                elif curves[label]:
                    drawing.remark(panel, "not run")
        differences = pd.concat([pd.DataFrame({"x": [], "value": []}), *drawn])
        first = panels[next(iter(scores)), models[0]]
        compared = [curve.index for of_data in curves.values() for curve in of_data.values()]
        drawing.size_ticks(first, np.concatenate([[], *compared]))
        _split_scale(first, differences["value"])
        points.mark_cut_bars(*panels.values())
        told = ", ".join(drawing.circumstances(*scores.values()))
        drawing.heading(figure, f"Distance from the published curves: {told}", style)
        used = {label: label for rows in drawn for label in rows["group"].unique()}
        drawing.legend(figure, drawing.handles({n: n for n in _LOOKS if n in used}, _LOOKS))
    return figure


def _panels(
    style: Style, data: list[str], models: list[str], names: Mapping[str, str]
) -> tuple[Figure, dict[tuple[str, str], Axes]]:
    """By data and model: rows of data and columns of models, or all one after another if narrow."""
    keys = [(label, model) for label in data for model in models]
    shared: dict[str, Any] = {"sharex": True, "sharey": True}
    if drawing.is_narrow(style):
        figure, panels = drawing.grid(style, len(keys), 1.75, 0.5, **shared)
        for panel, (label, model) in zip(panels, keys, strict=True):
            above = textwrap.fill(f"{drawing.plain(label)}:", _NARROW)
            name = textwrap.fill(names[model], _NARROW)
            panel.set_title(f"{above}\n{name}", fontsize="medium")
    else:
        figure = Figure(
            figsize=(style.width, style.height * (0.25 + 0.5 * len(data))), layout="constrained"
        )
        panels = list(figure.subplots(len(data), len(models), squeeze=False, **shared).ravel())
        for panel, model in zip(panels, models, strict=False):
            panel.set_title(drawing.fitted(panel, names[model], style))
    for panel, (label, _) in zip(panels, keys, strict=True):
        place = panel.get_subplotspec()
        if place is None or place.is_last_row():
            panel.set_xlabel("Hidden units")
        if drawing.starts_row(panel):
            row = drawing.wrapped(drawing.plain(label), 0.6 * style.height, style)
            row = "" if drawing.is_narrow(style) else f"{row}\n"
            panel.set_ylabel(f"{row}Test R² − published")
    return figure, dict(zip(keys, panels, strict=True))


def _draw(
    panel: Axes, scores: xr.Dataset, model: str, curve: pd.Series, title: str
) -> pd.DataFrame:
    """The ways of a model; returns the means and medians: group, x, value."""
    parts = []
    for way in _SHOWN:
        values = deviations.values(scores, way, 0.0)  # here nothing depends on what stalled
        if values is not None:
            taken = values.sel(model=[model], hidden_units=curve.index.values)
            rows = points.table(taken).assign(group=way.short, statistic=way.statistic)
            parts.append(rows.assign(value=rows["value"] - rows["x"].map(curve)))
    everything = pd.concat(parts)
    if everything.empty:
        drawing.remark(panel, "all diverged")
    found = []
    for statistic in ("mean", "median"):
        rows = everything[everything["statistic"] == statistic]
        points.means(
            panel,
            rows,
            _LOOKS,
            {way: way for way in _LOOKS},
            estimator=statistic,
            interval=deviations.INTERVALS[statistic],
            title=title,
            linewidth=0.6,
        )
        found.append(points.averages(rows, statistic, None))
    return pd.concat(found)


def _split_scale(panel: Axes, differences: pd.Series[float]) -> None:
    """Linear within +-0.01, logarithmic beyond, as far as the differences go."""
    reach = max(2 * _LINEAR, 1.5 * float(np.abs(differences).max()) if len(differences) else 0.0)
    drawing.split_scale(panel, _LINEAR, [t for t in (0.005, _LINEAR, 0.05, 0.2, 1) if t <= reach])
    panel.set_ylim(-reach, min(reach, 0.2))
