"""What several kinds of figure share: means with intervals, published curves, notes, legends."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

from urnn.errors import ArgumentError
from urnn.figures.style import BARS, EDGE, FONT_SIZE, GREY, scale
from urnn.scoring import mean_interval, quartiles

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from urnn.settings.style import Style

#: colour and marker by group
Looks = Mapping[str, tuple[str, str]]
#: arguments of `means` by `urnn.figures.base.Averaged.statistic`, and what the bars are called
AVERAGES: dict[str, dict[str, Any]] = {
    "mean": {"estimator": "mean", "interval": mean_interval},
    "median": {"estimator": "median", "interval": quartiles},
}
BAR_NAMES = {"mean": "95 % interval", "median": "middle half"}
#: More x ticks than this and matplotlib chooses them; else they are the sizes.
_MOST_TICKS = 16


def one(scores: Mapping[str, xr.Dataset]) -> xr.Dataset:
    """The dataset of a figure that shows one experiment.

    Raises:
        ArgumentError: there is none or more than one.
    """
    if len(scores) != 1:
        raise ArgumentError(f"scores: the figure shows one experiment, but there are {len(scores)}")
    return next(iter(scores.values()))


def labels(scores: xr.Dataset) -> dict[str, str]:
    """What the models are called, by name; a dollar sign does not start a formula.

    Raises:
        ArgumentError: there is no coordinate model_label.
    """
    if "model_label" not in scores.coords:
        raise ArgumentError("scores must have the coordinate model_label(model)")
    names = map(str, scores["model"].values)
    return {name: plain(str(scores["model_label"].sel(model=name).item())) for name in names}


def plain(text: str) -> str:
    """Text in which matplotlib sees no formula."""
    return text.replace("$", r"\$")


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


def means(
    panel: Axes,
    rows: pd.DataFrame,
    looks: Looks,
    *,
    step: float = 0.0,
    lowest: float = -np.inf,
    estimator: Any = "mean",
    interval: Callable[[Any], tuple[float, float]] | None = mean_interval,
    **line: Any,
) -> pd.DataFrame:
    """Draw the mean of each group at each x, joined by a line, and its interval as a bar.

    Args:
        panel: where to draw.
        rows: columns group, x and value; a row for each realization.
        looks: (colour, marker) by group.
        step: each group is drawn so far beside the one before, in the order of looks.
        lowest: a mean below this is not drawn and leaves a gap in the line.
        estimator: the mean, by its name or as a function of the values.
        interval: (lower, upper) of the values; None: no bars. The default is the 95 %
            interval, none for a single value.
        line: properties of the lines.

    Returns:
        The means that are not drawn: group, x where they would stand, value.
    """
    order = list(looks)
    middle = (len(order) - 1) / 2
    aside = rows["group"].map({group: step * (i - middle) for i, group in enumerate(order)})
    rows = rows.assign(x=rows["x"] + aside.astype(float))
    mean: pd.Series[float] = rows.groupby(["group", "x"])["value"].transform(estimator)
    hidden = rows.assign(value=mean)[mean < lowest].drop_duplicates(["group", "x"])
    rows = rows[mean >= lowest]
    if rows.empty:
        return hidden
    sns.lineplot(
        rows,
        x="x",
        y="value",
        hue="group",
        style="group",
        hue_order=order,
        style_order=order,
        palette={group: colour for group, (colour, _) in looks.items()},
        markers={group: marker for group, (_, marker) in looks.items()},
        dashes=False,
        estimator=estimator,
        errorbar=interval,
        err_style="bars",
        err_kws={**BARS, "zorder": 2.9},
        legend=False,
        ax=panel,
        **{"zorder": 3, **EDGE, **line},
    )
    _leave_gaps(panel, hidden, looks)
    return hidden


def _leave_gaps(panel: Axes, hidden: pd.DataFrame, looks: Looks) -> None:
    """Break the lines of groups where a mean is not drawn: seaborn joins its neighbours."""
    for line in panel.lines:
        for group, rows in hidden.groupby("group"):
            if (line.get_color(), line.get_marker()) == looks[str(group)]:
                seen = pd.Series(np.asarray(line.get_ydata()), np.asarray(line.get_xdata()))
                seen = seen.reindex(sorted({*seen.index, *rows["x"]}))
                line.set_data(seen.index.to_numpy(), seen.to_numpy())


def step_aside(x: Iterable[float], groups: int) -> float:
    """How far each group stands beside the one before, so that no bar hides another."""
    places = np.unique(np.fromiter(x, float))
    # three groups side by side take little of the way to the next point; many, less than half
    share = min(0.06, 0.4 / max(groups - 1, 1))
    return share * float(np.diff(places).min()) if len(places) > 1 else 0.0


def size_ticks(panel: Axes, sizes: Iterable[float]) -> None:
    """Ticks at the sizes, unless there are too many."""
    ticks = sorted({*sizes})
    if len(ticks) > _MOST_TICKS:
        panel.xaxis.set_major_locator(MaxNLocator(integer=True))
    else:
        panel.xaxis.set_major_locator(FixedLocator(ticks))
        panel.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))


def split_scale(panel: Axes, linear: float, ticks: Iterable[float]) -> None:
    """A scale of y that is linear within +-linear and logarithmic beyond; ticks on both sides."""
    panel.set_yscale("symlog", linthresh=linear, linscale=1.5)
    panel.yaxis.set_minor_locator(NullLocator())
    panel.yaxis.set_major_locator(
        FixedLocator(sorted({0.0, *(s * t for t in ticks for s in (-1, 1))}))
    )
    panel.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:g}".replace("-", "−")))


def curves_of(published: pd.DataFrame | None, models: Iterable[str]) -> dict[str, pd.Series]:
    """The published curves of models that are among ours, by model; sizes without a point left out.

    A curve's index is its hidden units.
    """
    if published is None:
        return {}
    return {model: published[model].dropna() for model in models if model in published}


def published_line(
    style: Style,
    x: Any = (),
    y: Any = (),
    colour: str = GREY,
    marker: str = "",
    alpha: float = 0.55,
) -> Line2D:
    """A published curve, thin and light; without points, what stands for it in a legend."""
    return Line2D(
        x,
        y,
        color=colour,
        marker=marker,
        linewidth=scale(style),
        alpha=alpha,
        zorder=1.8,
        label="Published",
    )


def data_name(scores: xr.Dataset) -> str:
    """What the data of an experiment are called in a title."""
    return str(scores.attrs.get("task_title", scores.attrs.get("task", "Synthetic data")))


def circumstances(scores: xr.Dataset) -> list[str]:
    """For a title: the signal-to-noise ratio, if any, and the number of realizations."""
    count = scores.sizes["realization"]
    noise = [f"SNR {float(scores.attrs['snr_db']):g} dB"] if "snr_db" in scores.attrs else []
    return [*noise, f"{count} realization{'s' if count != 1 else ''}"]


def title(scores: xr.Dataset) -> str:
    """The data, their circumstances, and the largest number of epochs."""
    parts = circumstances(scores)
    if "epochs" in scores.attrs:
        epochs = int(scores.attrs["epochs"])
        # models may have recipes of their own, with fewer
        parts.append(f"at most {epochs} epoch{'s' if epochs != 1 else ''}")
    return f"{data_name(scores)}: {', '.join(parts)}"


def note(panel: Axes, text: str, style: Style) -> None:
    """A small remark above a panel, beside its letter if it has one."""
    if text:
        panel.annotate(
            text,
            (0, 1),
            xytext=(24 if panel.get_title("left") else 0, 5),
            xycoords="axes fraction",
            textcoords="offset points",
            fontsize=0.75 * scale(style) * FONT_SIZE,
            color=GREY,
        )


def divergence(summary: xr.Dataset, names: Mapping[str, str]) -> str:
    """How many trainings of which models are left out of the means; empty where none."""
    left_out = []
    for model, label in names.items():
        of_model = summary.sel(model=model)
        diverged = int(of_model["diverged"].sum())
        if diverged:
            total = diverged + int(of_model["averaged"].sum())
            left_out.append(f"{label} ({diverged} of {total})")
    return f"Diverged trainings, left out: {', '.join(left_out)}" if left_out else ""


def handles(names: Mapping[str, str], looks: Looks) -> list[Line2D]:
    """What stands for groups in a legend: their labels and looks, by group."""
    return [
        Line2D([], [], color=looks[group][0], marker=looks[group][1], label=label, **EDGE)
        for group, label in names.items()
    ]


def legend(
    figure: Figure,
    groups: Sequence[Line2D],
    kinds: Sequence[Line2D] = (),
    columns: int = 4,
    heading: str | None = None,
) -> None:
    """A legend below the panels: the groups in the upper row, in the lower one the kinds of line.

    Groups that do not fit into a row of so many columns fill the columns one by one, and the kinds
    follow them.
    """
    entries = [*groups, *kinds]
    if len(groups) <= columns:
        # matplotlib fills a legend column by column
        pairs = itertools.zip_longest(groups, kinds)
        entries = [handle for pair in pairs for handle in pair if handle is not None]
        columns = max(len(groups), len(kinds))
    figure.legend(handles=entries, loc="outside lower center", ncols=columns, title=heading)
