"""The gap to the optimum against hidden units: experiments side by side, on a log scale."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter

from urnn import statistics
from urnn.errors import ArgumentError, DataError
from urnn.figures import drawing
from urnn.figures.style import BLUE, DEFAULT, GREEN, ORANGE, VERMILLION, applied

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes

    from urnn.figures.gap.settings import GapSettings
    from urnn.settings.style import Style

#: colour and marker of the experiments, in their order
_LOOKS = ((ORANGE, "D"), (BLUE, "o"), (GREEN, "^"), (VERMILLION, "s"))
#: of a published curve, whose colour is no experiment's
_THEIRS: dict[str, Any] = {"marker": "x", "alpha": 1}
#: a gap below this cannot be told from none
_FLOOR = 1e-5


def plot(
    scores: Mapping[str, xr.Dataset],
    settings: GapSettings,
    published: pd.DataFrame | None = None,
    style: Style = DEFAULT,
) -> Figure:
    """Mean or median of r2_optimal - r2 over the realizations, one panel for each model.

    The bars are 95 % intervals of that paired mean (`urnn.statistics.gaps`), or the middle half of
    the realizations. A point below 1e-5 stands as a triangle at the lower edge: no gap to the
    optimum is left. Published curves are subtracted from the optimum that was published with them.

    Args:
        scores: by label, r2, diverged (model, hidden_units, realization) and r2_optimal
            (realization), with the coordinate model_label (model); at most four.
        settings: of this kind.
        published: as from `urnn.published.load`.
        style: sizes.

    Raises:
        ArgumentError: there are no scores, or more than four, or a coordinate is missing.
        DataError: the optimum of an experiment is not known.
    """
    if not 1 <= len(scores) <= len(_LOOKS):
        raise ArgumentError(
            f"scores: from 1 to {len(_LOOKS)} experiments, but there are {len(scores)}"
        )
    unknown = [label for label, dataset in scores.items() if "r2_optimal" not in dataset]
    if unknown:
        raise DataError(f"{', '.join(unknown)}: there is no gap to show, {statistics.NO_OPTIMUM}")
    look = dict(zip(scores, _LOOKS, strict=False))
    names = {m: n for dataset in scores.values() for m, n in drawing.labels(dataset).items()}
    rows = pd.concat(
        drawing.table(statistics.gaps(dataset))
        .rename(columns={"group": "model"})
        .assign(group=label)
        for label, dataset in scores.items()
    )
    step = drawing.step_aside(rows["x"], len(look))
    curves = drawing.curves_of(published, names)
    with applied(style):
        figure = Figure(figsize=(style.width, style.height), layout="constrained")
        panels = figure.subplots(1, len(names), sharey=True, squeeze=False)[0]
        for i, (panel, (model, name)) in enumerate(zip(panels, names.items(), strict=True)):
            if model in curves and published is not None:
                gap = published.attrs["optimal"] - curves[model]
                panel.add_line(drawing.published_line(style, gap.index, gap, **_THEIRS))
            of_model, how = rows[rows["model"] == model], drawing.AVERAGES[settings.statistic]
            hidden = drawing.means(panel, of_model, look, step=step, lowest=_FLOOR, **how)
            _triangles(panel, hidden, look)
            panel.set_title(f"({chr(ord('a') + i)}) {name}", loc="left")
            panel.set(xlabel="Hidden units", ylabel="")
            drawing.size_ticks(panel, rows["x"])
        _log_scale(panels[0], rows, settings.statistic)
        first = next(iter(scores.values()))
        figure.suptitle(f"Gap to the optimum: {', '.join(drawing.circumstances(first))}")
        groups = drawing.handles({label: drawing.plain(label) for label in scores}, look)
        theirs = [drawing.published_line(style, **_THEIRS)] if curves else []
        drawing.legend(figure, [*theirs, *groups], columns=1 + len(_LOOKS))
    return figure


def _triangles(panel: Axes, hidden: pd.DataFrame, look: drawing.Looks) -> None:
    """Means that have reached the optimum, at the lower edge."""
    for label, x in hidden[["group", "x"]].itertuples(index=False):
        panel.plot(
            x,
            0.02,
            color=look[label][0],
            marker="v",
            transform=panel.get_xaxis_transform(),
            clip_on=False,
        )


def _log_scale(panel: Axes, rows: pd.DataFrame, statistic: str) -> None:
    """A logarithmic axis down to half the smallest point that can be told from none.

    Set after everything is drawn, for seaborn averages what it draws on the scale of the axis.
    """
    points = rows.groupby(["model", "group", "x"])["value"].agg(statistic)
    smallest = points[points >= _FLOOR].min() if (points >= _FLOOR).any() else 1e-3
    panel.set_yscale("log")
    panel.set_ylim(bottom=max(float(smallest) / 2, _FLOOR))
    panel.yaxis.set_minor_formatter(NullFormatter())
    panel.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:g}"))
    panel.set_ylabel("Optimal R² − test R²" + (", median" if statistic == "median" else ""))
