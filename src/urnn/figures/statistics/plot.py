"""RNN against URNN over the realizations: paired differences, sizes enough, and their ratio."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, PercentFormatter

from urnn import statistics
from urnn.figures import drawing, points, series
from urnn.figures.style import BLACK, DEFAULT, GREY, ORANGE, OTHERS, PURPLE, applied, looks

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes

    from urnn.figures.statistics.settings import StatisticsSettings
    from urnn.settings.style import Style

#: colours and markers of comparisons, in their order
_LOOKS = ((ORANGE, "o"), (PURPLE, "s"), (GREY, "D"), (BLACK, "^"))


def plot(
    scores: Mapping[str, xr.Dataset],
    settings: StatisticsSettings,
    published: pd.DataFrame | None = None,
    style: Style = DEFAULT,
) -> Figure:
    """Three panels on the models that may need more states, by `urnn.statistics`.

    (a) Mean of r2 of the reference with n hidden units less that of the model with n and with twice
    as many, with its 95 % interval; the band is +-margin, a filled marker says that the
    two are equal within it (two one-sided tests, 5 %). (b) Share of the realizations that come
    within the margin of the optimum with at most so many hidden units. (c) How many times the
    hidden units of the reference the model needs to come within a margin, against the margin.
    Without an optimum there is panel (a) alone, and without such a model panel (b).

    Args:
        scores: of one experiment, as for `urnn.figures.r2.plot`.
        settings: the reference, the margins.
        published: not drawn.
        style: sizes.

    Raises:
        ArgumentError: there are several experiments, or the reference is not among the models.
    """
    dataset = drawing.one(scores)
    names = drawing.labels(dataset)
    letters, missing = _panels(dataset, settings)
    with applied(style):
        if len(letters) > 1:
            figure, panels = drawing.grid(style, len(letters), 2.2, 0.65)
        else:
            width, height = drawing.single(style)
            figure = Figure(figsize=(width, 0.9 * height), layout="constrained")
            panels = [figure.subplots()]
        for panel, letter in zip(panels, letters, strict=True):
            draw = {"a": _differences, "b": _sizes, "c": _ratios}[letter]
            draw(panel, dataset, settings, names)
            panel.set_title(f"({letter})", loc="left")
        drawing.note(panels[0], missing, style)
        told = f"Paired comparison: {', '.join(drawing.circumstances(dataset))}"
        drawing.heading(figure, told, style)
    return figure


def _panels(scores: xr.Dataset, settings: StatisticsSettings) -> tuple[str, str]:
    """The letters of the panels that can be drawn, and why the others cannot."""
    others = statistics.challengers(scores, settings.reference)
    if "r2_optimal" not in scores:
        return "a", "No (b) and (c): the optimum is not known"
    return ("abc", "") if others else ("b", "No (a) and (c): there is no unitary model")


def _differences(
    panel: Axes, scores: xr.Dataset, settings: StatisticsSettings, names: dict[str, str]
) -> None:
    compared = statistics.comparisons(scores, settings.reference, settings.margin)
    compared = [row for row in compared if row.difference.pairs > 1]
    kinds = dict.fromkeys(_kind(row, names) for row in compared)
    look = dict(zip(kinds, itertools.chain(_LOOKS, OTHERS), strict=False))
    margin = settings.margin
    panel.axhspan(-margin, margin, color="#EDEDED", zorder=0.5, linewidth=0)
    panel.axhline(0, color=GREY, linewidth=0.8, zorder=0.6)
    rows = _rows((_kind(c, names), c.hidden_units, c.difference.values) for c in compared)
    points.means(panel, rows, look, dict(zip(kinds, kinds, strict=True)))
    for kind in kinds:  # hollow where equality was not shown
        open_rows = [c for c in compared if _kind(c, names) == kind and not c.difference.equivalent]
        colour, marker = look[kind]
        (hollow,) = panel.plot(
            [c.hidden_units for c in open_rows],
            [c.difference.mean for c in open_rows],
            marker,
            color=colour,
            markerfacecolor="white",
            zorder=4,
        )
        for of in series.noted(panel):
            if of.name == series.unescaped(kind):
                series.attach(of.line, hollow)
    bounds = [b for c in compared for b in _reach(c.difference) if np.isfinite(b)]
    reach = max([margin, *map(abs, bounds)])
    ticks = [margin * 10**k for k in range(6) if margin * 10**k <= 1.2 * reach]
    drawing.split_scale(panel, margin, ticks)
    panel.set_ylim(-1.3 * reach, 1.3 * reach)
    panel.set(xlabel="Hidden units n", ylabel=f"R² of {names[settings.reference]}(n) − R²")
    drawing.size_ticks(panel, [c.hidden_units for c in compared])
    points.mark_cut_bars(panel)
    _legend(panel, dict(zip(kinds, kinds, strict=True)), look)


def _reach(of: statistics.PairedDifference) -> list[float]:
    """What is drawn of a comparison: its mean, and its interval or each pair."""
    drawn = [of.lower, of.upper] if of.pairs >= points.INTERVAL_FROM else of.values.tolist()
    return [of.mean, *drawn]


def _kind(row: statistics.Comparison, names: dict[str, str]) -> str:
    """A comparison's model and size, such as "URNN of 2n"."""
    return f"{names[row.model]} of {'' if row.factor == 1 else row.factor}n"


def _rows(groups: Iterable[tuple[str, float, np.ndarray]]) -> pd.DataFrame:
    """Rows for `urnn.figures.points.means`, of (group, x, values)."""
    rows = [(group, float(x), float(value)) for group, x, values in groups for value in values]
    return pd.DataFrame(rows, columns=["group", "x", "value"])


def _legend(panel: Axes, names: Mapping[str, str], look: points.Looks) -> None:
    """Below the panel, in as few columns as its width asks for."""
    place = panel.get_subplotspec()
    width = panel.figure.bbox.width / (1 if place is None else place.get_gridspec().ncols)
    for columns in range(min(len(names), 3), 0, -1):
        made = panel.legend(
            handles=drawing.handles(names, look),
            loc="upper center",
            bbox_to_anchor=(0.5, -0.17),
            ncols=columns,
            handlelength=1.2,
            columnspacing=0.9,
            handletextpad=0.4,
        )
        if made.get_window_extent().width <= width:
            break


def _sizes(
    panel: Axes, scores: xr.Dataset, settings: StatisticsSettings, names: dict[str, str]
) -> None:
    smallest = statistics.smallest_sizes(scores, settings.margin)
    sizes = sorted(scores["hidden_units"].values.tolist())
    enough = [(m, n, smallest.sel(model=m).values <= n) for m in names for n in sizes]
    look = looks(names)
    points.means(panel, _rows(enough), look, names, interval=None, clip_on=False)
    panel.set_ylim(0, 1)
    panel.yaxis.set_major_formatter(PercentFormatter(1))
    drawing.size_ticks(panel, sizes)
    panel.set_xlabel("Hidden units, at most")
    panel.set_ylabel(f"Realizations within {settings.margin:g} of the optimum")
    _legend(panel, names, look)


def _ratios(
    panel: Axes, scores: xr.Dataset, settings: StatisticsSettings, names: dict[str, str]
) -> None:
    others = statistics.challengers(scores, settings.reference)
    found = {
        (model, place): statistics.state_ratio(
            statistics.smallest_sizes(scores, margin), model, settings.reference
        )
        for model in others
        for place, margin in enumerate(settings.margins)
    }
    look = {model: pair for model, pair in looks(names).items() if model in others}
    points.means(
        panel,
        _rows(
            # the margins are categories, so models may stand side by side
            (model, place + 0.15 * (others.index(model) - (len(others) - 1) / 2), ratio.values)
            for (model, place), ratio in found.items()
        ),
        look,
        names,
        estimator=statistics.geometric_mean,
        interval=statistics.geometric_interval,
        linestyle="",
        labels=[f"{margin:g}" for margin in settings.margins],
    )
    for level, line in ((1, "-"), (2, "--")):
        panel.axhline(level, color=GREY, linewidth=0.8, linestyle=line, zorder=0.6)
    panel.set_ylim(0.6, max(2.2, panel.get_ylim()[1]))
    panel.set_xlim(-0.5, len(settings.margins) - 0.5)
    panel.xaxis.set_major_locator(FixedLocator(list(range(len(settings.margins)))))
    counts = [
        ", ".join(str(found[model, place].both) for model in others)
        for place in range(len(settings.margins))
    ]
    panel.set_xticklabels(
        [f"{m:g}\n({count})" for m, count in zip(settings.margins, counts, strict=True)]
    )
    panel.set_xlabel("Margin to the optimum\n(realizations compared)")
    which = names[others[0]] if len(others) == 1 else "Model"
    panel.set_ylabel(f"Hidden units, {which} / {names[settings.reference]}")
