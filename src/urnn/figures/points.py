"""Points of a figure: means with intervals, realizations, what diverged, what leaves the panel."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedFormatter, FixedLocator
from matplotlib.transforms import ScaledTranslation

from urnn.errors import ArgumentError
from urnn.figures import drawing, series
from urnn.figures.style import BARS, EDGE, GREY, scale, tint
from urnn.scoring import ended_by_overflow, mean_interval, quartiles

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes
    from matplotlib.collections import LineCollection
    from matplotlib.figure import Figure

    from urnn.settings.style import Style

#: colour and marker by group
Looks = Mapping[str, tuple[str, str]]


class Overflows(NamedTuple):
    """How many trainings overflowed."""

    #: before there was an epoch to keep; they diverged, and are left out
    diverged: int
    #: after the epoch that is kept; they are in, but ended early
    later: int

    @property
    def mark(self) -> str:
        """What stands beside a point."""
        signs = {"×": self.diverged, "†": self.later}
        return " ".join(f"{sign}{count}" for sign, count in signs.items() if count)


#: of a (group, x), where any overflowed
Overflowed = Mapping[tuple[str, float], Overflows]
_NONE = Overflows(0, 0)
#: The fewest realizations whose mean has an interval in a figure; of fewer, each is drawn.
INTERVAL_FROM = 5
#: arguments of `means` by `urnn.figures.base.Averaged.statistic`, and what the bars are called
AVERAGES: dict[str, dict[str, Any]] = {
    "mean": {"estimator": "mean", "interval": mean_interval},
    "median": {"estimator": "median", "interval": quartiles},
}
BAR_NAMES = {"mean": "95 % interval", "median": "middle half"}
#: a realization
_SMALL: dict[str, Any] = {
    "linestyle": "",
    "markersize": 2.6,
    "markeredgewidth": 0,
    "alpha": 0.6,
    "zorder": 2.5,
}


def table(values: xr.DataArray) -> pd.DataFrame:
    """Values (model, hidden_units, realization) as rows: group (the model), x (its size), value.

    Raises:
        ArgumentError: there are other dims.
    """
    dims = ("model", "hidden_units", "realization")
    if {*values.dims} != {*dims}:
        raise ArgumentError(f"scores must have the dims {', '.join(dims)}, but have {values.dims}")
    names, sizes, _ = np.meshgrid(*(values[dim].values for dim in dims), indexing="ij")
    rows = pd.DataFrame(
        {
            "group": names.ravel().astype(str),
            "x": sizes.ravel().astype(float),
            "value": values.transpose(*dims).values.ravel().astype(float),
        }
    )
    return rows.dropna()


def averages(
    rows: pd.DataFrame,
    estimator: Any = "mean",
    interval: Callable[[Any], tuple[float, float]] | None = mean_interval,
) -> pd.DataFrame:
    """One row for each group and x: value, lower, upper, lowest, highest, realizations.

    Args:
        rows: columns group, x and value; a row for each realization.
        estimator: the mean, by its name or as a function of the values.
        interval: (lower, upper) of the values; None: no bars. There is none of fewer than
            `INTERVAL_FROM` values.
    """
    cells = rows.groupby(["group", "x"])["value"]

    def bounds(values: pd.Series[float]) -> tuple[float, float]:
        enough = interval is not None and len(values) >= INTERVAL_FROM
        return interval(values) if enough and interval is not None else (np.nan, np.nan)

    found = cells.agg(estimator).rename("value").reset_index()
    pairs = [bounds(values) for _, values in cells]
    found["lower"], found["upper"] = zip(*pairs, strict=True) if pairs else ((), ())
    return found.assign(
        lowest=cells.min().to_numpy(),
        highest=cells.max().to_numpy(),
        realizations=cells.size().to_numpy(),
    )


def means(
    panel: Axes,
    rows: pd.DataFrame,
    looks: Looks,
    names: Mapping[str, str],
    *,
    lowest: float = -np.inf,
    estimator: Any = "mean",
    interval: Callable[[Any], tuple[float, float]] | None = mean_interval,
    overflowed: Overflowed | None = None,
    title: str = "",
    labels: Sequence[str] = (),
    **line: Any,
) -> pd.DataFrame:
    """Draw the mean of each group at each x, joined by a line, and its interval as a bar.

    Every point stands at its value of x. Where bars of several groups meet, the first group has the
    widest. Where there are too few realizations for an interval, each is a small marker.

    Args:
        panel: where to draw.
        rows: columns group, x and value; a row for each realization.
        looks: (colour, marker) by group.
        names: what the groups are called.
        lowest: a mean below this is not drawn and leaves a gap in the line.
        estimator, interval: as for `averages`.
        overflowed: how many trainings did at a (group, x); written beside the point.
        title: of the panel in the CSV file, if its own is not enough.
        labels: what the places 0, 1, ... of a categorical x are called in the CSV file.
        line: properties of the lines.

    Returns:
        The means that are not drawn: group, x where they would stand, value.
    """
    points = averages(rows, estimator, interval)
    hidden = points["value"] < lowest
    shown = points.assign(value=points["value"].where(~hidden))
    overflowed = overflowed or {}
    for rank, group in enumerate(looks):
        of_group = shown[shown["group"] == group].sort_values("x")
        if of_group.empty:
            continue
        place = rank / max(len(looks) - 1, 1)
        drawn, bars = _bars(panel, of_group, place, looks[group], names[group], line)
        table = _told(points.loc[of_group.index], overflowed, labels)
        series.note(panel, drawn, names[group], "this run", table, title=title)
        series.attach(drawn, *bars)
        few = rows["x"].isin(of_group["x"][of_group["realizations"].between(2, INTERVAL_FROM - 1)])
        if interval is not None:
            of_few = rows[few & (rows["group"] == group) & (rows["value"] >= lowest)]
            series.attach(drawn, *_realizations(panel, of_few, looks[group]))
    _mark_overflows(panel, points, hidden, overflowed, looks)
    return points[hidden]


def _told(points: pd.DataFrame, overflowed: Overflowed, labels: Sequence[str]) -> pd.DataFrame:
    """The points of a group as the CSV file has them."""
    places = points[["group", "x"]].itertuples(index=False, name=None)
    counts = [overflowed.get(place, _NONE) for place in places]
    table = points.rename(columns={"value": "y"}).drop(columns="group")
    if labels:
        table["x"] = [labels[round(x)] for x in table["x"]]
    return table.assign(
        diverged=[count.diverged for count in counts], overflowed=[one.later for one in counts]
    )


def _bars(
    panel: Axes,
    points: pd.DataFrame,
    place: float,
    look: tuple[str, str],
    name: str,
    line: Mapping[str, Any],
) -> tuple[Line2D, tuple[LineCollection, ...]]:
    """A line through the points and a bar at each; place: 0 for the first group, 1 for the last."""
    value = points["value"].to_numpy()
    reach = [value - points["lower"].to_numpy(), points["upper"].to_numpy() - value]
    colour, marker = look
    container = panel.errorbar(
        points["x"],
        value,
        yerr=np.maximum(reach, 0),
        color=colour,
        marker=marker,
        label=f"_{name}",
        ecolor=tint(colour),
        elinewidth=(3.4 - 2.2 * place) * BARS["elinewidth"],
        capsize=0,
        **{"zorder": 3 + 0.1 * place, **EDGE, **line},
    )
    for bars in container.lines[2]:  # below all curves
        bars.set_zorder(1.6 + 0.1 * place)
    return container.lines[0], container.lines[2]


def _realizations(panel: Axes, rows: pd.DataFrame, look: tuple[str, str]) -> list[Line2D]:
    """Each realization as a small marker of its group's look."""
    return (
        panel.plot(rows["x"], rows["value"], color=look[0], marker=look[1], **_SMALL)
        if len(rows)
        else []
    )


def _mark_overflows(
    panel: Axes,
    points: pd.DataFrame,
    hidden: pd.Series[bool],
    overflowed: Overflowed,
    looks: Looks,
) -> None:
    """How many trainings overflowed, beside each point, or at the lower edge if none is drawn."""
    places = points[~hidden].set_index(["group", "x"])["value"]
    below = points[hidden].set_index(["group", "x"]).index
    for (group, x), count in overflowed.items():
        if group not in looks:
            continue
        there = (group, x) in places.index
        panel.update_datalim([(x, 0)], updatey=False)
        panel.autoscale_view(scaley=False)
        rank = list(looks).index(group)
        panel.annotate(
            count.mark if there or (group, x) in below else f"all {count.mark}",
            (x, places.loc[(group, x)] if there else 0),
            xycoords="data" if there else ("data", "axes fraction"),
            xytext=(4, -9) if there else (0, 3 + 8 * rank),
            textcoords="offset points",
            ha="left" if there else "center",
            color=looks[group][0],
            fontsize="x-small",
            zorder=5,
        )


def overflows(scores: xr.Dataset) -> Overflowed:
    """How many trainings of a model with so many hidden units overflowed, where any did.

    Scores without the variable ``ended`` tell only of those that diverged.
    """
    diverged = scores["diverged"].fillna(0) == 1
    later = ended_by_overflow(scores) & ~diverged
    found = {}
    for model in scores["model"].values:
        for size in scores["hidden_units"].values:
            at = {"model": model, "hidden_units": size}
            counts = Overflows(int(diverged.sel(at).sum()), int(later.sel(at).sum()))
            if counts != _NONE:
                found[str(model), float(size)] = counts
    return found


def overflow_marks(counts: Iterable[Overflows], style: Style) -> list[Line2D]:
    """What stands in a legend for the marks that there are."""
    marks = "".join(count.mark for count in counts)
    found = []
    for sign, label in (
        ("×", "Diverged, left out"),
        ("†", "Overflowed after the epoch kept"),
    ):
        if sign in marks:
            look: dict[str, Any] = {"marker": f"${sign}$", "color": GREY, "linestyle": ""}
            found.append(Line2D([], [], label=label, markersize=4.5 * scale(style), **look))
    return found


def mark_cut_bars(*panels: Axes) -> None:
    """Mark bars, or realizations, beyond a panel by a triangle on its edge; of several, a pile.

    To be called when nothing changes the limits any more.
    """
    for panel in panels:
        stacked: dict[tuple[float, int], int] = {}
        low, high = sorted(panel.get_ylim())
        for of in series.noted(panel):
            if "lower" not in of.points:
                continue
            colour = of.line.get_color()
            inside = of.points[of.points["y"].between(low, high)]
            few = inside["realizations"] < INTERVAL_FROM
            ends = inside.assign(
                lower=inside["lower"].where(~few, inside["lowest"]),
                upper=inside["upper"].where(~few, inside["highest"]),
            )
            for x, lower, upper in zip(*(ends[c] for c in ("x", "lower", "upper")), strict=True):
                for edge, cut in ((0, lower < low), (1, upper > high)):
                    if cut:
                        level = stacked[x, edge] = stacked.get((x, edge), -1) + 1
                        series.attach(of.line, edge_mark(panel, float(x), edge, level, colour))


def edge_mark(panel: Axes, x: float, edge: int, level: int, colour: Any) -> Line2D:
    """A triangle on the lower (0) or upper (1) edge, the level-th from there."""
    shift = ScaledTranslation(0, (1, -1)[edge] * 5 * level / 72, panel.figure.dpi_scale_trans)
    (mark,) = panel.plot(
        [x],
        [edge],
        "v^"[edge],
        color=colour,
        markersize=4.2,
        markeredgecolor="white",
        markeredgewidth=0.4,
        transform=panel.get_xaxis_transform() + shift,
        clip_on=False,
        zorder=6,
    )
    return mark


def rows_of_all(
    rows: pd.DataFrame,
    looks: Looks,
    names: Mapping[str, str],
    score: str,
    style: Style,
    overflowed: Overflowed,
    **how: Any,
) -> tuple[Figure, list[Axes]]:
    """A figure with a panel for each size, in which each model has a row: see `rows_of_models`."""
    sizes = sorted({*rows["x"], *(size for _, size in overflowed)})
    height = 0.1 + 0.06 * len(looks)
    figure, panels = drawing.grid(style, max(len(sizes), 1), 2.6, height, sharex=True, sharey=True)
    for panel, size in zip(panels, sizes, strict=False):
        of_size = {model: count for (model, n), count in overflowed.items() if n == size}
        rows_of_models(panel, rows[rows["x"] == size], looks, names, score, of_size, **how)
        panel.set_title(f"{size:g} hidden {'unit' if size == 1 else 'units'}", loc="left")
    for panel in panels:
        panel.set_xlabel(score)
        panel.tick_params(labelbottom=True)
    return figure, panels


def rows_of_models(
    panel: Axes,
    rows: pd.DataFrame,
    looks: Looks,
    names: Mapping[str, str],
    score: str,
    overflowed: Mapping[str, Overflows],
    **how: Any,
) -> None:
    """The mean of each model in a row of its own, with its interval.

    The y axis names the models: for more of them than lines can be told apart. The rows are those
    of `means`, of one size; overflowed is by model, and ``how`` is for `averages`. In the CSV file
    x is the size and y the score, the mean.
    """
    points = averages(rows, **how).set_index("group", drop=False)
    for place, (group, (colour, marker)) in enumerate(looks.items()):
        count = overflowed.get(group, _NONE)
        if count != _NONE:
            there = group in points.index
            panel.annotate(
                count.mark if there else f"all {count.mark}",
                (points["value"][group] if there else 0.5, place),
                xycoords="data" if there else ("axes fraction", "data"),
                xytext=(4, 3),
                textcoords="offset points",
                color=colour,
            )
        if group not in points.index:
            continue
        one = points.loc[[group]]
        value = one["value"].to_numpy()
        reach = [value - one["lower"].to_numpy(), one["upper"].to_numpy() - value]
        container = panel.errorbar(
            value,
            [place],
            xerr=np.maximum(reach, 0),
            color=colour,
            marker=marker,
            ecolor=tint(colour),
            elinewidth=2 * BARS["elinewidth"],
            **{"zorder": 3, **EDGE},
        )
        values = rows["value"][rows["group"] == group]
        if 1 < len(values) < INTERVAL_FROM:
            panel.plot(values, [place] * len(values), color=colour, marker=marker, **_SMALL)
        table = one.rename(columns={"value": "y"})
        table = table.assign(diverged=count.diverged, overflowed=count.later)
        labels = "Hidden units", score
        series.note(panel, container.lines[0], names[group], "this run", table, labels=labels)
    panel.set_ylim(len(looks) - 0.5, -0.5)
    panel.yaxis.set_major_locator(FixedLocator(range(len(looks))))
    panel.yaxis.set_major_formatter(FixedFormatter([names[group] for group in looks]))
    panel.grid(axis="x")


def add_published(
    panel: Axes,
    style: Style,
    curve: pd.Series[float],
    look: tuple[str, str],
    name: str,
    title: str = "",
) -> None:
    """Draw a published curve of a model: its index is x."""
    x, y = curve.index.to_numpy(float), curve.to_numpy(float)
    line = drawing.published_line(style, x, y, *look)
    panel.add_line(line)
    points = pd.DataFrame({"x": x, "y": y})
    series.note(panel, line, f"{name}, published", "published", points, title=title)
