"""What several kinds of figure share: layout, titles, ticks, legends, published curves."""

from __future__ import annotations

import itertools
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

from urnn.errors import ArgumentError
from urnn.figures.style import DASHED, EDGE, FONT_SIZE, GREY, scale
from urnn.scoring import trainings
from urnn.settings.style import Style

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes

#: More models than this are drawn in rows of their own, for no reader can tell so many lines apart.
MOST_LINES = 6
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


def grid(
    style: Style, count: int, least: float, height: float, most: int = 4, **subplots: Any
) -> tuple[Figure, list[Axes]]:
    """A figure of so many panels, in as many columns as its width allows.

    Args:
        style: width and height of a figure.
        count: of the panels.
        least: inches that a panel takes at least; where two do not fit, they stand one above the
            other.
        height: of a row, as a share of the style's height; a figure has a quarter of it besides.
        most: columns at most.
        subplots: as for matplotlib's function.
    """
    columns = max(1, min(count, most, int(style.width / least + 1e-9)))
    rows = -(-count // columns)
    size = (style.width, (0.25 + height * rows) * style.height)
    figure = Figure(figsize=size, layout="constrained")
    panels = list(figure.subplots(rows, columns, squeeze=False, **subplots).ravel())
    for panel in panels[count:]:
        panel.set_visible(False)
    return figure, panels[:count]


def starts_row(panel: Axes) -> bool:
    """Whether it is the first panel of a row, which has the label of y."""
    place = panel.get_subplotspec()
    return place is None or place.is_first_col()


def single(style: Style) -> tuple[float, float]:
    """The size of a figure of one panel, inches."""
    return (style.width if is_narrow(style) else 0.75 * style.width), style.height


def is_narrow(style: Style) -> bool:
    """Whether the figure is for a narrow screen."""
    return style.width < 0.75 * Style().width * scale(style)


def heading(figure: Figure, text: str, style: Style) -> None:
    """The title of the figure, in as many lines as its width asks for."""
    # a character takes about half of the size of the font
    characters = int(style.width * 72 / (0.58 * 1.15 * FONT_SIZE * scale(style)))
    figure.suptitle("\n".join(textwrap.wrap(text, characters)))


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
    style: Style, x: Any = (), y: Any = (), colour: str = GREY, marker: str = "o"
) -> Line2D:
    """A published curve, thin and dotted, with hollow markers: no line of ours, in grey too.

    Without points, what stands for it in a legend.
    """
    return Line2D(
        x,
        y,
        color=colour,
        marker=marker,
        markersize=3.4 * scale(style),
        markerfacecolor="white",
        markeredgewidth=0.9 * scale(style),
        linewidth=1.1 * scale(style),
        linestyle=(0, (1, 1.3)),
        zorder=1.8,
        label="Published",
    )


def optimum_line(panel: Axes, value: float) -> None:
    """The score of a perfect model, across the panel."""
    panel.axhline(value, zorder=1.5, **DASHED)


def data_name(scores: xr.Dataset) -> str:
    """What the data of an experiment are called in a title."""
    return str(scores.attrs.get("task_title", scores.attrs.get("task", "Synthetic data")))


def circumstances(scores: xr.Dataset) -> list[str]:
    """For a title: the signal-to-noise ratio, if any, and the number of realizations."""
    counts = trainings(scores).values
    counts = counts[counts > 0]
    fewest, most = (int(counts.min()), int(counts.max())) if counts.size else (0, 0)
    told = f"{most}" if fewest == most else f"{fewest} to {most}"
    noise = [f"SNR {float(scores.attrs['snr_db']):g} dB"] if "snr_db" in scores.attrs else []
    return [*noise, f"{told} realization{'s' if most != 1 else ''}"]


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


def handles(names: Mapping[str, str], looks: Mapping[str, tuple[str, str]]) -> list[Line2D]:
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
    follow them. A narrow figure has two columns at most.
    """
    entries = [*groups, *kinds]
    narrow = figure.get_figwidth() < 0.75 * Style().width
    if narrow:
        columns = min(columns, 2)
    elif len(groups) <= columns:
        # matplotlib fills a legend column by column
        pairs = itertools.zip_longest(groups, kinds)
        entries = [handle for pair in pairs for handle in pair if handle is not None]
        columns = max(len(groups), len(kinds))
    made = figure.legend(handles=entries, loc="outside lower center", ncols=columns, title=heading)
    made.get_title().set_multialignment("center")
