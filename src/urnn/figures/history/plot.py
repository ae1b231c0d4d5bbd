"""A quantity over the epochs of training, one panel for each model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from urnn.figures import drawing, series
from urnn.figures.findings import counted
from urnn.figures.style import DEFAULT, applied, scale
from urnn.scoring import ended_by_overflow

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from urnn.figures.history.settings import HistorySettings
    from urnn.settings.style import Style

#: of the legend, at most
_COLUMNS = 10
#: what can be shown: the words of the title and of the axis
SHOWN = {
    "validation_accuracy": ("validation accuracy after each epoch", "Validation accuracy"),
    "constraint_error": ("distance of W from its set after each epoch", "Constraint error"),
}


def plot(
    scores: Mapping[str, xr.Dataset],
    settings: HistorySettings,
    published: pd.DataFrame | None = None,
    style: Style = DEFAULT,
) -> Figure:
    """A quantity after each epoch; the darker the line, the more hidden units.

    The validation accuracy has a line for each realization, with a dot at the epoch kept; it ends
    where early termination, an overflow or the number of epochs ended the training. A cross at its
    end stands for an overflow; of a training without a whole epoch, it is at the lower edge. Of
    the constraint error, ||W^T W - I||_2 for a unitary set, the largest over the realizations is
    drawn, on a log scale where zero has no place.

    Args:
        scores: of one experiment: the quantity (model, hidden_units, realization, epoch) and
            kept_epoch and, if known, ended without the last dim, with the coordinate model_label
            (model) and the attribute task_title.
        settings: the quantity.
        published: not drawn.
        style: sizes.

    Raises:
        ArgumentError: there are several experiments, or a coordinate is missing.
    """
    dataset = drawing.one(scores)
    names = drawing.labels(dataset)
    sizes = sorted(int(size) for size in dataset["hidden_units"].values)
    shades = sns.color_palette("viridis_r", as_cmap=True)(np.linspace(0.1, 1, len(sizes)))
    colours = dict(zip(sizes, map(tuple, shades.tolist()), strict=True))
    words, ylabel = SHOWN[settings.shows]
    with applied(style):
        figure, panels = drawing.grid(style, len(names), 1.75, 0.55, sharex=True, sharey=True)
        draw = _constraint_errors if settings.shows == "constraint_error" else _accuracies
        line = {"palette": colours, "linewidth": scale(style), "legend": False}
        for panel, (model, name) in zip(panels, names.items(), strict=True):
            draw(panel, dataset.sel(model=model), line)
            panel.set_title(drawing.fitted(panel, name, style), loc="left")
            first = drawing.starts_row(panel)
            panel.set_ylabel(ylabel if first else "")
            panel.set_xlabel("Epoch", visible=True)
            panel.xaxis.set_major_locator(MaxNLocator(integer=True))
            panel.tick_params(labelbottom=True)
        if settings.shows == "constraint_error":
            # only now, because seaborn computes on the scale of the axis; zeros leave gaps
            panels[0].set_yscale("log", nonpositive="mask")
        drawing.heading(figure, f"{drawing.data_name(dataset)}: {words}", style)
        entries = [Line2D([], [], color=colours[size], label=f"{size}") for size in sizes]
        above = _heading(dataset, settings)
        drawing.legend(
            figure, entries, columns=_COLUMNS, narrow_columns=_COLUMNS // 2, heading=above
        )
    return figure


def _heading(dataset: xr.Dataset, settings: HistorySettings) -> str:
    """What stands above the legend."""
    marks = [] if settings.shows == "constraint_error" else ["dot: epoch kept"]
    if marks and ended_by_overflow(dataset).any():
        marks.append("cross: ended by an overflow")
    return f"Hidden units\n({', '.join(marks)})" if marks else "Hidden units"


def _rows(values: xr.DataArray) -> pd.DataFrame:
    """Values as rows, with a column for each dim; those that there are."""
    return values.rename("value").to_dataframe().reset_index().dropna(subset=["value"])


def _accuracies(panel: Axes, of_model: xr.Dataset, line: dict[str, Any]) -> None:
    """A line for each training, a dot at the epoch kept, and a cross where an overflow ended it."""
    rows = _rows(of_model["validation_accuracy"])
    overflowed = _overflowed(of_model)
    _crosses_without_epoch(panel, overflowed - {*_trainings(rows)}, line["palette"])
    if rows.empty:
        return
    cells = list(rows.groupby(["hidden_units", "realization"]))
    sns.lineplot(
        rows,
        x="epoch",
        y="value",
        hue="hidden_units",
        units="realization",
        estimator=None,
        ax=panel,
        **line,
    )
    lines = panel.lines[-len(cells) :]
    for drawn, ((size, realization), of_training) in zip(lines, cells, strict=True):
        points = of_training[["epoch", "value"]].set_axis(["x", "y"], axis=1).assign(overflowed=0)
        if (size, realization) in overflowed:
            points.iloc[-1, -1] = 1
            x, y = points.iloc[-1][["x", "y"]]
            _cross(panel, x, y, line["palette"][size])
        name = f"{counted(size, 'unit')}, realization {realization}"
        series.note(panel, drawn, name, "this run", points)
    kept = of_model["kept_epoch"].to_series().rename("epoch").reset_index()
    dots = rows.merge(kept, on=["hidden_units", "realization", "epoch"])
    panel.scatter(
        dots["epoch"], dots["value"], s=9, c=dots["hidden_units"].map(line["palette"]), zorder=3
    )


def _trainings(rows: pd.DataFrame) -> set[tuple[int, int]]:
    """(hidden units, realization) of the rows."""
    return {*rows[["hidden_units", "realization"]].itertuples(index=False, name=None)}


def _overflowed(of_model: xr.Dataset) -> set[tuple[int, int]]:
    """(hidden units, realization) of the trainings that an overflow ended, as far as is known."""
    ended = ended_by_overflow(of_model).rename("overflow").to_dataframe().reset_index()
    return _trainings(ended[ended["overflow"]])


def _cross(panel: Axes, x: float, y: float, colour: Any, **place: Any) -> None:
    panel.plot(x, y, "x", color=colour, markersize=5, markeredgewidth=1.2, zorder=4, **place)


def _crosses_without_epoch(panel: Axes, trainings: set[tuple[int, int]], palette: Any) -> None:
    """Of trainings that overflowed in the first epoch, at the lower edge."""
    place = {"transform": panel.get_xaxis_transform(), "clip_on": False}
    for size, _ in sorted(trainings):
        _cross(panel, 1, 0, palette[size], **place)


def _constraint_errors(panel: Axes, of_model: xr.Dataset, line: dict[str, Any]) -> None:
    """For each size the largest over the realizations."""
    rows = _rows(of_model["constraint_error"])
    if (rows["value"] > 0).any():
        sns.lineplot(
            rows,
            x="epoch",
            y="value",
            hue="hidden_units",
            estimator="max",
            errorbar=None,
            ax=panel,
            **line,
        )
        for drawn, size in zip(panel.lines, sorted({*rows["hidden_units"]}), strict=True):
            series.note_line(panel, drawn, counted(size, "unit"))
