"""The gap to the optimum against hidden units: experiments side by side, on a log scale."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import pandas as pd
from matplotlib.ticker import FuncFormatter, NullFormatter

from urnn import statistics
from urnn.errors import ArgumentError, DataError
from urnn.figures import drawing, points
from urnn.figures.style import BLUE, DEFAULT, GREEN, GREY, ORANGE, VERMILLION, applied

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

    from urnn.figures.gap.settings import GapSettings
    from urnn.settings.style import Style

#: colour and marker of the experiments, in their order
_LOOKS = ((ORANGE, "D"), (BLUE, "o"), (GREEN, "^"), (VERMILLION, "s"))
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
    _check(scores)
    look = dict(zip(scores, _LOOKS, strict=False))
    names = {m: n for dataset in scores.values() for m, n in drawing.labels(dataset).items()}
    rows = pd.concat(
        points.table(statistics.gaps(dataset))
        .rename(columns={"group": "model"})
        .assign(group=label)
        for label, dataset in scores.items()
    )
    titles = {label: drawing.plain(label) for label in scores}
    curves = drawing.curves_of(published, names)
    sizes = [size for dataset in scores.values() for size in dataset["hidden_units"].values]
    with applied(style):
        figure, panels = drawing.grid(style, len(names), 1.75, 0.75, sharey=True)
        for i, (panel, (model, name)) in enumerate(zip(panels, names.items(), strict=True)):
            if model in curves and published is not None:
                gap = published.attrs["optimal"] - curves[model]
                points.add_published(panel, style, gap, (GREY, "x"), name)
            of_model, how = rows[rows["model"] == model], points.AVERAGES[settings.statistic]
            overflowed = _overflowed(scores, model)
            hidden = points.means(
                panel, of_model, look, titles, lowest=_FLOOR, overflowed=overflowed, **how
            )
            _triangles(panel, hidden, look)
            title = f"({chr(ord('a') + i)}) {name}"
            panel.set_title(drawing.fitted(panel, title, style), loc="left")
            panel.set(xlabel="Hidden units", ylabel="")
            drawing.size_ticks(panel, sizes, curves.get(model, pd.Series()).index)
        _log_scale(panels, rows, settings.statistic)
        points.mark_cut_bars(*panels)
        _words(figure, scores, drawing.handles(titles, look), bool(curves), style)
    return figure


def _check(scores: Mapping[str, xr.Dataset]) -> None:
    """Refuse scores that cannot be drawn."""
    if not 1 <= len(scores) <= len(_LOOKS):
        raise ArgumentError(
            f"scores: from 1 to {len(_LOOKS)} experiments, but there are {len(scores)}"
        )
    unknown = [label for label, dataset in scores.items() if "r2_optimal" not in dataset]
    if unknown:
        raise DataError(f"{', '.join(unknown)}: there is no gap to show, {statistics.NO_OPTIMUM}")


def _words(
    figure: Figure,
    scores: Mapping[str, xr.Dataset],
    groups: list[Line2D],
    published: bool,
    style: Style,
) -> None:
    """The title and the legend."""
    told = f"Gap to the optimum: {', '.join(drawing.circumstances(*scores.values()))}"
    drawing.heading(figure, told, style)
    theirs = [drawing.published_line(style, marker="x")] if published else []
    marks = [count for dataset in scores.values() for count in points.overflows(dataset).values()]
    kinds = points.overflow_marks(marks, style)
    drawing.legend(figure, [*theirs, *groups], kinds, columns=1 + len(_LOOKS))


def _overflowed(scores: Mapping[str, xr.Dataset], model: str) -> points.Overflowed:
    """By experiment and size: how many trainings of a model overflowed."""
    return {
        (label, size): count
        for label, dataset in scores.items()
        for (of, size), count in points.overflows(dataset).items()
        if of == model
    }


def _triangles(panel: Axes, hidden: pd.DataFrame, look: points.Looks) -> None:
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


def _log_scale(panels: Sequence[Axes], rows: pd.DataFrame, statistic: str) -> None:
    """A logarithmic axis down to half the smallest point that can be told from none."""
    means = rows.groupby(["model", "group", "x"])["value"].agg(statistic)
    smallest = means[means >= _FLOOR].min() if (means >= _FLOOR).any() else 1e-3
    panel = panels[0]
    panel.set_yscale("log")
    panel.set_ylim(bottom=max(float(smallest) / 2, _FLOOR))
    panel.yaxis.set_minor_formatter(NullFormatter())
    panel.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:g}"))
    for panel in panels:
        if drawing.starts_row(panel):
            panel.set_ylabel("Optimal R² − test R²" + (", median" if statistic == "median" else ""))
