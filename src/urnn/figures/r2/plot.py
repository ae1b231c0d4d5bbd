"""Figures 2 and 3: test R^2 against hidden units, and against hidden units with URNN's halved.

Source: Emami, Sahraee-Ardakan, Rangan, Fletcher, "Input-Output Equivalence of Unitary and
Contractive RNNs", NeurIPS 2019, figures 2 and 3.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from urnn import scoring
from urnn.errors import ArgumentError
from urnn.figures import drawing, points
from urnn.figures.style import DASHED, DEFAULT, EDGE, GREY, applied, looks

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr
    from matplotlib.axes import Axes

    from urnn.figures.r2.settings import R2Settings
    from urnn.settings.style import Style


def plot(
    scores: Mapping[str, xr.Dataset],
    settings: R2Settings,
    published: pd.DataFrame | None = None,
    style: Style = DEFAULT,
) -> Figure:
    """Test R^2 of every model, with its interval, the optimum and the published curves.

    Left against hidden units, right against adjusted hidden units: divided by the model's
    ``state_factor``, which is 2 for a unitary model, since a URNN may need 2n states where another
    RNN needs n (Theorems 1 and 2). Points are means over the realizations with 95 % intervals, or
    medians with the middle half of the realizations; of fewer than five realizations, each is
    drawn. Points too far below the others to be shown without squashing them stand as arrows with
    their value at the lower edge. More than six models have a row each, in one panel for each size.

    Args:
        scores: of one experiment: r2, diverged (model, hidden_units, realization) and, if the
            optimum is known, r2_optimal (realization), with the coordinates model_label and
            state_factor (model); see `urnn.scoring.summarise`. The attributes snr_db and epochs go
            into the title where they are there.
        settings: of this kind.
        published: columns by model name over the index hidden units, as from
            `urnn.published.load`; a column without a model in the scores is not drawn.
        style: sizes.

    Raises:
        ArgumentError: there are several experiments, or a variable or a coordinate is missing.
    """
    dataset = drawing.one(scores)
    names = drawing.labels(dataset)
    if "state_factor" not in dataset.coords:
        raise ArgumentError("scores must have the coordinate state_factor(model)")
    summary, look = scoring.summarise(dataset), looks(names)
    rows = points.table(scoring.reported(dataset, "r2"))
    optimum = float(summary["r2_optimal_mean"]) if "r2_optimal_mean" in summary else None
    overflowed = points.overflows(dataset)
    score = "Median test R²" if settings.statistic == "median" else "Test R²"
    with applied(style):
        if len(names) > drawing.MOST_LINES:
            average = points.AVERAGES[settings.statistic]
            figure, panels = points.rows_of_all(
                rows, look, names, score, style, overflowed, **average
            )
            for panel in panels:
                if optimum is not None:
                    panel.axvline(optimum, zorder=1.5, **DASHED)
            kinds = _kinds_of_line(optimum, "", False, style)[1:]
            kinds += points.overflow_marks(overflowed.values(), style)
            drawing.legend(figure, [], kinds)
        else:
            figure = _against_units(
                dataset, settings, published, (names, look, rows, overflowed), style
            )
        drawing.heading(figure, drawing.title(dataset), style)
    return figure


def _against_units(
    dataset: xr.Dataset,
    settings: R2Settings,
    published: pd.DataFrame | None,
    models: tuple[dict[str, str], points.Looks, pd.DataFrame, points.Overflowed],
    style: Style,
) -> Figure:
    """The two panels; of the models, names, looks, rows and what overflowed."""
    names, look, rows, overflowed = models
    factors = {m: float(dataset["state_factor"].sel(model=m).item()) for m in names}
    curves = drawing.curves_of(published, names)
    optimum = float(dataset["r2_optimal"].mean()) if "r2_optimal" in dataset else None
    bottom, top = _y_range(rows, settings.statistic, curves, optimum)
    figure, panels = drawing.grid(style, 2, 2.4, 0.75, sharey=True)
    for panel, factor in zip(panels, (dict.fromkeys(names, 1.0), factors), strict=True):
        for model, curve in curves.items():
            scaled = curve.set_axis(curve.index.to_numpy(float) / factor[model])
            points.add_published(panel, style, scaled, look[model], names[model])
        here = {(m, n / factor[m]): count for (m, n), count in overflowed.items()}
        of_panel = rows.assign(x=rows["x"] / rows["group"].map(factor).astype(float))
        _draw(panel, of_panel, names, look, settings.statistic, bottom, here)
        sizes = [n / factor[m] for m in names for n in dataset["hidden_units"].values]
        theirs = [n / factor[m] for m, curve in curves.items() for n in curve.index]
        drawing.size_ticks(panel, sizes, theirs)
    for panel, letter in zip(panels, "ab", strict=True):
        if optimum is not None:
            drawing.optimum_line(panel, optimum)
        panel.set_title(f"({letter})", loc="left")
        if drawing.starts_row(panel):
            panel.set_ylabel("Median test R²" if settings.statistic == "median" else "Test R²")
    panels[0].set(ylim=(bottom, top), xlabel="Hidden units")
    adjusted = f"Adjusted hidden units{_adjustment(names, factors)}"
    panels[1].set_xlabel(drawing.fitted(panels[1], adjusted, style))
    points.mark_cut_bars(*panels)
    counts = scoring.trainings(dataset).values
    bars = points.BAR_NAMES[settings.statistic] if (counts >= points.INTERVAL_FROM).any() else ""
    kinds = _kinds_of_line(optimum, bars, bool(curves), style)
    kinds += points.overflow_marks(overflowed.values(), style)
    drawing.legend(figure, drawing.handles(names, look), kinds)
    return figure


def _draw(
    panel: Axes,
    rows: pd.DataFrame,
    names: Mapping[str, str],
    look: points.Looks,
    statistic: str,
    bottom: float,
    overflowed: points.Overflowed,
) -> None:
    """Our points in one panel, and arrows to those below it."""
    average = points.AVERAGES[statistic]
    hidden = points.means(panel, rows, look, names, lowest=bottom, overflowed=overflowed, **average)
    for model, x, value in hidden[["group", "x", "value"]].itertuples(index=False):
        _arrow(panel, x, value, look[model][0], list(look).index(model))


def _arrow(panel: Axes, x: float, value: float, colour: str, rank: int) -> None:
    """A mean below the panel."""
    panel.annotate(
        (f"{value:.2f}" if abs(value) < 100 else f"{value:.0e}").replace("-", "−"),
        (x, 0),
        xycoords=("data", "axes fraction"),
        xytext=(0, 14 + 9 * rank),  # the labels of neighbours one above the other
        textcoords="offset points",
        ha="center",
        va="bottom",
        color=colour,
        fontsize="x-small",
        arrowprops={"arrowstyle": "-|>", "color": colour, "shrinkA": 0, "shrinkB": 1},
        zorder=4,
    )


def _y_range(
    rows: pd.DataFrame, statistic: str, curves: Mapping[str, pd.Series], optimum: float | None
) -> tuple[float, float]:
    """A range that shows the published curves and ours, except for points far below the others.

    Far is more than four times as far below the top as three quarters of our points are, and
    more than twice as far as the lowest published point.
    """
    averages = points.averages(rows, **points.AVERAGES[statistic])
    means = averages["value"].to_numpy()
    few = averages[averages["realizations"] < points.INTERVAL_FROM]
    bounds = [averages[["lower", "upper"]], few[["lowest", "highest"]]]
    ours: NDArray = np.concatenate([means, *(np.ravel(values) for values in bounds)])
    ours = ours[np.isfinite(ours)]
    theirs = np.concatenate([[], *(curve.to_numpy() for curve in curves.values())])
    ceiling = [] if optimum is None else [optimum]
    everything = np.concatenate([ours, theirs, ceiling])
    if everything.size == 0:
        return 0.0, 1.0
    high = float(everything.max())
    reach = 2 * float((high - theirs).max()) if theirs.size else 0.0
    if means.size:
        reach = max(reach, 4 * float(np.quantile(high - means, 0.75)))
    shown = everything[everything >= high - reach - 1e-12]
    span = max(high - float(shown.min()), 1e-3)
    return high - 1.06 * span, high + 0.06 * span


def _adjustment(names: Mapping[str, str], factors: Mapping[str, float]) -> str:
    share = {
        m: "half" if factor == 2 else f"1/{factor:g}"
        for m, factor in factors.items()
        if factor != 1
    }
    if len(share) > 2 and len(set(share.values())) == 1:  # too many to name
        return f" (unitary models: {next(iter(share.values()))})"
    return f" ({', '.join(f'{names[m]}: {text}' for m, text in share.items())})" if share else ""


def _kinds_of_line(optimum: float | None, bars: str, published: bool, style: Style) -> list[Line2D]:
    """What the legend says besides the models."""
    ours = f"This run, {bars}" if bars else "This run"
    kinds = [Line2D([], [], color=GREY, marker="o", label=ours, **EDGE)]
    if published:
        kinds.append(drawing.published_line(style))
    if optimum is not None:
        kinds.append(Line2D([], [], label=f"Optimum {optimum:.4f}", **DASHED))
    return kinds
