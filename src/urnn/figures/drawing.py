"""What several kinds of figure share: layout, titles, ticks, legends, published curves."""

from __future__ import annotations

import itertools
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator, NullLocator

from urnn.errors import ArgumentError
from urnn.figures.findings import counted, listed
from urnn.figures.style import DASHED, EDGE, FONT_SIZE, GREY, scale
from urnn.scoring import trainings
from urnn.settings.style import Style

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes

#: More models than this are drawn in rows of their own, for no reader can tell so many lines apart.
MOST_LINES = 6
#: width of a character, as a share of the size of the font
_CHARACTER = 0.58
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
    figure.suptitle(wrapped(text, style.width / 1.15, style))


def wrapped(text: str, width: float, style: Style) -> str:
    """Text in lines of at most so many inches."""
    characters = int(width * 72 / (_CHARACTER * FONT_SIZE * scale(style)))
    return "\n".join(textwrap.wrap(text, max(characters, 1)))


def fitted(panel: Axes, text: str, style: Style) -> str:
    """The title of a panel, or its label of x, in as many lines as its width asks for."""
    place = panel.get_subplotspec()
    columns = 1 if place is None else place.get_gridspec().ncols
    return wrapped(text, 0.85 * style.width / columns, style)


class _Apart(FixedLocator):
    """Ticks with room for their labels, the largest first."""

    def __init__(self, panel: Axes, ticks: Iterable[float]) -> None:
        self.panel, self.ticks = panel, sorted(ticks)
        super().__init__(self.ticks)
        self.character = _CHARACTER * mpl.rcParams["xtick.labelsize"]  # points

    def __call__(self) -> list[float]:
        points = 72 / self.panel.figure.dpi
        places = self.panel.get_xaxis_transform()
        kept: list[float] = []
        left = np.inf
        for tick in reversed(self.ticks):
            place = points * places.transform((tick, 0))[0]
            half = 0.5 * self.character * len(f"{tick:g}")
            if place + half < left:
                kept.append(tick)
                left = place - half - 1
        return kept[::-1]


def size_ticks(panel: Axes, sizes: Iterable[float], published: Iterable[float] = ()) -> None:
    """Ticks at the sizes, unless there are too many, and at published ones with no size near."""
    ticks = {*map(float, sizes)}
    near = (max(ticks) - min(ticks)) / 12 if ticks else 0.0
    ticks |= {x for x in published if all(abs(x - size) > near for size in ticks)}
    if len(ticks) > _MOST_TICKS:
        panel.xaxis.set_major_locator(MaxNLocator(integer=True))
    else:
        panel.xaxis.set_major_locator(_Apart(panel, ticks))
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


def circumstances(*experiments: xr.Dataset) -> list[str]:
    """For a title: the signal-to-noise ratio, if all have one, and the number of realizations."""
    counts = np.concatenate([trainings(scores).values.ravel() for scores in experiments])
    counts = counts[counts > 0]
    fewest, most = (int(counts.min()), int(counts.max())) if counts.size else (0, 0)
    told = "" if fewest == most else f"{fewest} to "
    ratios = [scores.attrs.get("snr_db") for scores in experiments]
    known = dict.fromkeys(f"{float(ratio):g}" for ratio in ratios if ratio is not None)
    noise = [] if None in ratios else [f"SNR {listed(known)} dB"]
    return [*noise, f"{told}{counted(most, 'realization')}"]


def title(scores: xr.Dataset) -> str:
    """The data, their circumstances, and the largest number of epochs."""
    parts = circumstances(scores)
    if "epochs" in scores.attrs:
        # models may have recipes of their own, with fewer
        parts.append(f"at most {counted(int(scores.attrs['epochs']), 'epoch')}")
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


def remark(panel: Axes, text: str) -> None:
    """Why there is nothing in a panel."""
    panel.text(0.5, 0.7, text, color=GREY, ha="center", transform=panel.transAxes)


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
    narrow_columns: int = 2,
    heading: str | None = None,
) -> None:
    """A legend below the panels: the groups in the upper row, in the lower one the kinds of line.

    Groups that do not fit into a row of so many columns fill the columns one by one, and the kinds
    follow them. A narrow figure has its own most, and every figure as few as its words ask for.
    """
    narrow = figure.get_figwidth() < 0.75 * Style().width
    entries = [*groups, *kinds]
    most = min(columns, len(entries), narrow_columns if narrow else columns)
    ways = [(entries, fewer) for fewer in range(most, 0, -1)]
    if entries and not narrow and len(groups) <= columns:
        # matplotlib fills a legend column by column
        pairs = itertools.zip_longest(groups, kinds)
        entries = [handle for pair in pairs for handle in pair if handle is not None]
        ways.insert(0, (entries, max(len(groups), len(kinds))))
    for entries, count in ways:
        made = figure.legend(
            handles=entries, loc="outside lower center", ncols=count, title=heading
        )
        made.get_title().set_multialignment("center")
        if count == 1 or made.get_window_extent().width <= figure.bbox.width:
            break
        made.remove()
