"""Figures 2 and 3: test R^2 against hidden units, and against hidden units with URNN's halved.

Source: Emami, Sahraee-Ardakan, Rangan, Fletcher, "Input-Output Equivalence of Unitary and
Contractive RNNs", NeurIPS 2019, figures 2 and 3.
"""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, MaxNLocator
from numpy.typing import NDArray

from urnn import scoring
from urnn.figures.style import DEFAULT, GREY, Style, divergence_note, step_aside

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr
    from matplotlib.axes import Axes

#: More x ticks than this and they are chosen by matplotlib instead of being the sizes.
_MOST_TICKS = 16
_EDGE: dict[str, Any] = {"markeredgecolor": "white", "markeredgewidth": 0.6}
_OPTIMUM: dict[str, Any] = {"color": GREY, "linestyle": (0, (5, 3)), "linewidth": 1.1}


def plot(
    scores: xr.Dataset, published: pd.DataFrame | None = None, style: Style = DEFAULT
) -> Figure:
    """Mean test R^2 of every model, with its interval, the optimum and the published curves.

    Left against hidden units, right against adjusted hidden units: divided by the model's
    ``state_factor``, which is 2 for a unitary model, since a URNN may need 2n states where another
    RNN needs n (Theorems 1 and 2). The error bars are 95 % bootstrap intervals of the mean over
    realizations (`urnn.scoring.summarise`). Points too far below the others to be shown without
    squashing these stand as arrows with their value at the lower edge.

    Args:
        scores: r2, diverged (model, hidden_units, realization) and r2_optimal (realization), with
            the coordinates model_label and state_factor (model); see `urnn.scoring.summarise`.
            The attributes snr_db and epochs go into the title where they are there.
        published: columns by model name over the index hidden units, as from
            `urnn.published.load`; a column without a model in the scores is not drawn.
        style: colours and sizes.

    Raises:
        ValueError: a variable or a coordinate is missing, or there is a dim that two panels cannot
            show.
    """
    if scores.sizes.get("recipe") == 1:
        scores = scores.squeeze("recipe", drop=True)
    extra = set(scores["r2"].dims) - {"model", "hidden_units", "realization"}
    if extra:
        raise ValueError(f"scores: choose one {' and one '.join(sorted(map(str, extra)))} first")
    for name in ("model_label", "state_factor"):
        if name not in scores.coords:
            raise ValueError(f"scores must have the coordinate {name}(model)")
    summary = scoring.summarise(scores)
    models = [str(name) for name in summary["model"].values]
    # a dollar sign in a label is a dollar sign, not the start of a formula
    labels = {
        m: str(summary["model_label"].sel(model=m).item()).replace("$", r"\$") for m in models
    }
    factors = {m: float(summary["state_factor"].sel(model=m).item()) for m in models}
    looks = style.of(models)
    curves = {m: published[m].dropna() for m in models if published is not None and m in published}
    optimum = float(summary["r2_optimal_mean"]) if "r2_optimal_mean" in summary else None
    bottom, top = _y_range(summary, curves, optimum)

    with style.applied():
        figure = Figure(figsize=(style.width, style.height), layout="constrained")
        panels = figure.subplots(1, 2, sharey=True)
        for panel, adjusted in zip(panels, (False, True), strict=True):
            if optimum is not None:
                panel.axhline(optimum, zorder=1.5, **_OPTIMUM)
            sizes: set[float] = set()
            spread = _spread(summary, factors if adjusted else dict.fromkeys(models, 1.0))
            for i, model in enumerate(models):
                factor = factors[model] if adjusted else 1.0
                if model in curves:
                    _draw_published(panel, curves[model], factor, looks[model][0], style)
                shift = spread * (i - (len(models) - 1) / 2)
                of_model = summary.sel(model=model)
                sizes |= _draw_ours(panel, of_model, factor, shift, looks[model], bottom, i)
            _set_x_ticks(panel, sorted(sizes), aside=spread * (len(models) - 1) / 2)
        panels[0].set_ylim(bottom, top)
        panels[0].set_ylabel("Test R²")
        panels[0].set_xlabel("Hidden units")
        panels[1].set_xlabel(f"Adjusted hidden units{_adjustment(labels, factors)}")
        panels[0].set_title("(a)", loc="left")
        panels[1].set_title("(b)", loc="left")
        figure.suptitle(_title(scores))
        intervals = bool(summary["r2_interval"].notnull().any())
        handles, columns = _legend_handles(
            models, labels, looks, optimum, intervals, bool(curves), style
        )
        figure.legend(handles=handles, loc="outside lower center", ncols=columns)
        note = divergence_note(summary, labels)
        if note:
            panels[0].annotate(
                note,
                (0, 1.0),
                xytext=(24, 5),
                xycoords="axes fraction",
                textcoords="offset points",
                fontsize=0.75 * style.scale * style.font_size,
                color=GREY,
            )
    return figure


def _draw_published(
    panel: Axes, curve: pd.Series, factor: float, colour: str, style: Style
) -> None:
    panel.plot(
        curve.index.to_numpy(float) / factor,
        curve.to_numpy(),
        color=colour,
        linewidth=style.scale * style.published_line_width,
        alpha=style.published_alpha,
        zorder=1.8,
        label=f"published {curve.name}",
    )


def _draw_ours(
    panel: Axes,
    of_model: xr.Dataset,
    factor: float,
    shift: float,
    look: tuple[str, str],
    bottom: float,
    rank: int,
) -> set[float]:
    """Draw one model's curve; the sizes (adjusted by the factor) that it has a point at."""
    of_model = of_model.sortby("hidden_units")
    means = of_model["r2_mean"].values
    seen = np.isfinite(means)
    x = of_model["hidden_units"].values.astype(float)[seen] / factor
    y = means[seen]
    bounds = of_model["r2_interval"].transpose("bound", "hidden_units").values[:, seen]
    below = y < bottom
    colour, marker = look
    panel.errorbar(
        x + shift,
        np.where(below, np.nan, y),
        # no bar without an interval (one realization), and none at an arrow
        yerr=np.where(below, 0, np.nan_to_num(np.abs(bounds - y))),
        color=colour,
        marker=marker,
        elinewidth=1.1,
        capsize=2.2,
        zorder=3,
        label=f"ours {of_model['model'].item()}",
        **_EDGE,
    )
    for k in np.flatnonzero(below):
        panel.annotate(
            (f"{y[k]:.2f}" if abs(y[k]) < 100 else f"{y[k]:.0e}").replace("-", "−"),
            (x[k] + shift, 0),
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
    return set(x.tolist())


def _spread(summary: xr.Dataset, factors: dict[str, float]) -> float:
    """The step aside of each model from the next, so that error bars do not hide one another."""
    sizes = summary["hidden_units"].values.astype(float)
    x = np.concatenate([sizes / factor for factor in factors.values()])
    return step_aside(x, len(factors))


def _set_x_ticks(panel: Axes, sizes: list[float], aside: float) -> None:
    """Ticks at the sizes, and room for the models set aside from the outermost ones."""
    if len(sizes) > _MOST_TICKS:
        panel.xaxis.set_major_locator(MaxNLocator(integer=True))
    else:
        panel.xaxis.set_major_locator(FixedLocator(sizes))
        panel.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
    if sizes:
        margin = max(0.05 * ((sizes[-1] - sizes[0]) or 1), 1.5 * aside)
        panel.set_xlim(sizes[0] - margin, sizes[-1] + margin)


def _y_range(
    summary: xr.Dataset, curves: dict[str, pd.Series], optimum: float | None
) -> tuple[float, float]:
    """A range that shows the published curves and ours, but for points far below the others.

    Far is more than four times as far below the top as three quarters of our points are, and
    more than twice as far as the lowest published point.
    """
    means = summary["r2_mean"].values.ravel()
    bounds = summary["r2_interval"].values.ravel()
    ours: NDArray = np.concatenate([means, bounds])
    ours = ours[np.isfinite(ours)]
    theirs = np.concatenate([[], *(curve.to_numpy() for curve in curves.values())])
    ceiling = [] if optimum is None else [optimum]
    everything = np.concatenate([ours, theirs, ceiling])
    if everything.size == 0:
        return 0.0, 1.0
    high = float(everything.max())
    reach = 2 * float((high - theirs).max()) if theirs.size else 0.0
    finite_means = means[np.isfinite(means)]
    if finite_means.size:
        reach = max(reach, 4 * float(np.quantile(high - finite_means, 0.75)))
    shown = everything[everything >= high - reach - 1e-12]
    span = max(high - float(shown.min()), 1e-3)
    return high - 1.06 * span, high + 0.06 * span


def _adjustment(labels: dict[str, str], factors: dict[str, float]) -> str:
    share = {
        m: "half" if factor == 2 else f"1/{factor:g}"
        for m, factor in factors.items()
        if factor != 1
    }
    if len(share) > 2 and len(set(share.values())) == 1:  # too many to name
        return f" (unitary models: {next(iter(share.values()))})"
    return f" ({', '.join(f'{labels[m]}: {text}' for m, text in share.items())})" if share else ""


def _title(scores: xr.Dataset) -> str:
    parts = []
    if "snr_db" in scores.attrs:
        parts.append(f"SNR {float(scores.attrs['snr_db']):g} dB")
    count = scores.sizes["realization"]
    parts.append(f"{count} realization{'s' if count != 1 else ''}")
    if "epochs" in scores.attrs:
        epochs = int(scores.attrs["epochs"])
        # models may have recipes of their own, with fewer
        parts.append(f"at most {epochs} epoch{'s' if epochs != 1 else ''}")
    return "Synthetic data: " + ", ".join(parts)


def _legend_handles(
    models: list[str],
    labels: dict[str, str],
    looks: dict[str, tuple[str, str]],
    optimum: float | None,
    intervals: bool,
    published: bool,
    style: Style,
) -> tuple[list[Line2D], int]:
    """The models in the upper row, in the lower one what the kinds of line are; and the columns."""
    upper = [
        Line2D([], [], color=looks[m][0], marker=looks[m][1], label=labels[m], **_EDGE)
        for m in models
    ]
    ours = "This run, 95 % interval" if intervals else "This run"
    lower = [Line2D([], [], color=GREY, marker="o", label=ours, **_EDGE)]
    if published:
        width, alpha = style.scale * style.published_line_width, style.published_alpha
        lower.append(Line2D([], [], color=GREY, linewidth=width, alpha=alpha, label="Published"))
    if optimum is not None:
        lower.append(Line2D([], [], label=f"Optimum {optimum:.4f}", **_OPTIMUM))
    if len(upper) > 5:  # more than fit into a row
        return [*upper, *lower], 4
    # matplotlib fills a legend column by column
    pairs = itertools.zip_longest(upper, lower)
    handles = [handle for pair in pairs for handle in pair if handle is not None]
    return handles, max(len(upper), len(lower))
