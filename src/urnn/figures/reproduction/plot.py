"""Our scores less the published ones: rows of data, columns of models, ways side by side."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from urnn.figures import drawing
from urnn.figures.reproduction import deviations
from urnn.figures.style import BLUE, DASHED, DEFAULT, GREY, ORANGE, SKY_BLUE, VERMILLION, applied

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
        height = style.height * (0.25 + 0.5 * len(scores))
        figure = Figure(figsize=(style.width, height), layout="constrained")
        panels = figure.subplots(len(scores), len(models), sharex=True, sharey=True, squeeze=False)
        for row, (label, dataset) in zip(panels, scores.items(), strict=True):
            row[0].set_ylabel(f"{drawing.plain(label)}\nTest R² − published")
            for panel, model in zip(row, models, strict=True):
                panel.axhline(0, zorder=1.5, **DASHED)
                if model in curves[label]:
                    drawn.append(_draw(panel, dataset, model, curves[label][model]))
                elif curves[label]:
                    panel.text(
                        0.5, 0.7, "not run", color=GREY, ha="center", transform=panel.transAxes
                    )
        for panel, model in zip(panels[0], models, strict=True):
            panel.set_title(names[model])
        for panel in panels[-1]:
            panel.set_xlabel("Hidden units")
        differences = pd.concat([pd.DataFrame({"x": [], "value": []}), *drawn])
        drawing.size_ticks(panels[0][0], differences["x"])
        _split_scale(panels[0][0], differences["value"])
        first = next(iter(scores.values()))
        figure.suptitle(
            f"Distance from the published curves: {', '.join(drawing.circumstances(first))}"
        )
        used = {label: label for rows in drawn for label in rows["group"].unique()}
        drawing.legend(figure, drawing.handles({n: n for n in _LOOKS if n in used}, _LOOKS))
    return figure


def _draw(panel: Axes, scores: xr.Dataset, model: str, curve: pd.Series) -> pd.DataFrame:
    """The ways of a model side by side; returns the means and medians: group, x, value."""
    parts = []
    for way in _SHOWN:
        values = deviations.values(scores, way, 0.0)  # here nothing depends on what stalled
        if values is not None:
            taken = values.sel(model=[model], hidden_units=curve.index.values)
            rows = drawing.table(taken).assign(group=way.short, statistic=way.statistic)
            parts.append(rows.assign(value=rows["value"] - rows["x"].map(curve)))
    everything = pd.concat(parts)
    step = 0.75 * drawing.step_aside(everything["x"], len(_LOOKS))
    for statistic, rows in everything.groupby("statistic"):
        drawing.means(
            panel,
            rows,
            _LOOKS,
            step=step,
            estimator=statistic,
            interval=deviations.INTERVALS[str(statistic)],
            linewidth=0.6,
        )
    return (
        everything.groupby(["group", "x"])
        .apply(lambda rows: rows["value"].agg(rows["statistic"].iloc[0]))
        .rename("value")
        .reset_index()
    )


def _split_scale(panel: Axes, differences: pd.Series[float]) -> None:
    """Linear within +-0.01, logarithmic beyond, as far as the differences go."""
    reach = max(2 * _LINEAR, 1.5 * float(np.abs(differences).max()) if len(differences) else 0.0)
    drawing.split_scale(panel, _LINEAR, [t for t in (0.005, _LINEAR, 0.05, 0.2, 1) if t <= reach])
    panel.set_ylim(-reach, min(reach, 0.2))
