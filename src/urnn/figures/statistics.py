"""RNN against URNN over the realizations: paired differences, sizes enough, and their ratio."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator, PercentFormatter

from urnn import statistics
from urnn.figures.style import DEFAULT, GREY, ORANGE, PURPLE, Style

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.axes import Axes

    from urnn.settings.figures import StatisticsSettings

_EDGE: dict[str, Any] = {"markeredgecolor": "white", "markeredgewidth": 0.6}


def plot(scores: xr.Dataset, settings: StatisticsSettings, style: Style = DEFAULT) -> Figure:
    """Three panels on the models that may need more states, by `urnn.statistics`.

    (a) Mean of r2 of the reference with n hidden units less that of the model with n and with twice
    as many, with its 95 % bootstrap interval; the band is +-margin, a filled marker says that the
    two are equal within it (two one-sided tests, 5 %). (b) Share of the realizations that come
    within the margin of the optimum with at most so many hidden units. (c) How many times the
    hidden units of the reference the model needs to come within a margin, against the margin.

    Args:
        scores: as for `urnn.figures.r2.plot`.
        settings: the reference, the margins.
        style: colours and sizes.

    Raises:
        ValueError: the reference is not among the models.
    """
    others = statistics.challengers(scores, settings.reference)
    names = {
        str(m): str(scores["model_label"].sel(model=m).item()).replace("$", r"\$")
        for m in scores["model"].values
    }
    with style.applied():
        figure = Figure(figsize=(style.width, 0.9 * style.height), layout="constrained")
        panels = figure.subplots(1, 3)
        _differences(panels[0], scores, settings, names)
        _sizes(panels[1], scores, settings, names, style)
        _ratios(panels[2], scores, settings, others, names)
        for panel, letter in zip(panels, "abc", strict=True):
            panel.set_title(f"({letter})", loc="left")
        noise = f"SNR {float(scores.attrs['snr_db']):g} dB, " if "snr_db" in scores.attrs else ""
        figure.suptitle(f"Paired over realizations: {noise}{scores.sizes['realization']} of them")
    return figure


def _differences(
    panel: Axes, scores: xr.Dataset, settings: StatisticsSettings, names: dict[str, str]
) -> None:
    rows = statistics.comparisons(scores, settings.reference, settings.margin)
    panel.axhspan(-settings.margin, settings.margin, color="#EDEDED", zorder=0.5, linewidth=0)
    panel.axhline(0, color=GREY, linewidth=0.8, zorder=0.6)
    kinds = list(dict.fromkeys((row.model, row.factor) for row in rows))
    for i, (model, factor) in enumerate(kinds):
        chosen = [row for row in rows if (row.model, row.factor) == (model, factor)]
        n = np.array([row.hidden_units for row in chosen], float) + 0.25 * (i - 0.5)
        mean, lower, upper = np.array(
            [(r.difference.mean, r.difference.lower, r.difference.upper) for r in chosen]
        ).T
        colour, marker = ((ORANGE, "o"), (PURPLE, "s"), (GREY, "D"), ("black", "^"))[i % 4]
        label = f"{names[model]} of n" if factor == 1 else f"{names[model]} of {factor}n"
        panel.errorbar(
            n, mean, yerr=[mean - lower, upper - mean], color=colour, capsize=2.2, elinewidth=1.1
        )
        equal = np.array([row.difference.equivalent for row in chosen])
        for which, face in ((equal, colour), (~equal, "white")):
            panel.plot(
                n[which], mean[which], linestyle="", marker=marker, color=colour, zorder=3,
                markerfacecolor=face,
            )  # fmt: skip
        panel.plot([], [], color=colour, marker=marker, label=label)
    # linear within the margin, where equality is decided, and logarithmic beyond it
    panel.set_yscale("symlog", linthresh=settings.margin, linscale=1.5)
    panel.yaxis.set_minor_locator(NullLocator())
    reach = max(
        [settings.margin]
        + [abs(b) for r in rows for b in (r.difference.lower, r.difference.upper) if np.isfinite(b)]
    )
    shown = [settings.margin * 10**k for k in range(6) if settings.margin * 10**k <= 1.2 * reach]
    panel.yaxis.set_major_locator(FixedLocator(sorted([-t for t in shown] + [0, *shown])))
    panel.yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:g}".replace("-", "−")))
    panel.set_ylim(-1.3 * reach, 1.3 * reach)
    panel.set_xlabel("Hidden units n")
    panel.set_ylabel(f"R² of {names[settings.reference]}(n) − R²")
    panel.xaxis.set_major_locator(FixedLocator(sorted({row.hidden_units for row in rows})))
    if kinds:
        _legend(panel, len(kinds))


def _legend(panel: Axes, columns: int) -> None:
    panel.legend(
        loc="upper center",
        bbox_to_anchor=(0.5, -0.17),
        ncols=min(columns, 3),
        handlelength=1.2,
        columnspacing=0.9,
        handletextpad=0.4,
    )


def _sizes(
    panel: Axes,
    scores: xr.Dataset,
    settings: StatisticsSettings,
    names: dict[str, str],
    style: Style,
) -> None:
    smallest = statistics.smallest_sizes(scores, settings.margin)
    sizes = np.sort(scores["hidden_units"].values)
    looks = style.of(list(names))
    for model, name in names.items():
        enough = [float((smallest.sel(model=model) <= n).mean()) for n in sizes]
        colour, marker = looks[model]
        panel.plot(sizes, enough, color=colour, marker=marker, label=name, clip_on=False, **_EDGE)
    panel.set_ylim(0, 1)
    panel.yaxis.set_major_formatter(PercentFormatter(1))
    panel.xaxis.set_major_locator(FixedLocator(sizes.tolist()))
    panel.set_xlabel("Hidden units, at most")
    panel.set_ylabel(f"Realizations within {settings.margin:g} of the optimum")
    _legend(panel, len(names))


def _ratios(
    panel: Axes,
    scores: xr.Dataset,
    settings: StatisticsSettings,
    others: list[str],
    names: dict[str, str],
) -> None:
    compared: list[list[str]] = [[] for _ in settings.margins]
    for i, model in enumerate(others):
        for k, margin in enumerate(settings.margins):
            sizes = statistics.smallest_sizes(scores, margin)
            ratio = statistics.state_ratio(sizes, model, settings.reference)
            compared[k].append(str(ratio.both))
            if not ratio.both:
                continue
            x = k + 0.15 * i
            panel.errorbar(
                x,
                ratio.mean,
                yerr=[[ratio.mean - ratio.lower], [ratio.upper - ratio.mean]],
                color=(PURPLE, ORANGE, GREY)[i % 3],
                marker="s",
                capsize=2.2,
                elinewidth=1.1,
                **_EDGE,
            )
    for level, style in ((1, "-"), (2, "--")):
        panel.axhline(level, color=GREY, linewidth=0.8, linestyle=style, zorder=0.6)
    panel.set_ylim(0.6, max(2.2, panel.get_ylim()[1]))
    panel.set_xlim(-0.5, len(settings.margins) - 0.5)
    panel.xaxis.set_major_locator(FixedLocator(list(range(len(settings.margins)))))
    panel.set_xticklabels(
        [
            f"{margin:g}\n({', '.join(counts)})"
            for margin, counts in zip(settings.margins, compared, strict=True)
        ]
    )
    panel.set_xlabel("Margin to the optimum\n(realizations compared)")
    which = names[others[0]] if len(others) == 1 else "Model"
    panel.set_ylabel(f"Hidden units, {which} / {names[settings.reference]}")
