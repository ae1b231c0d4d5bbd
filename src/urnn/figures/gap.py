"""What is missing to the optimum against hidden units: experiments side by side, on a log scale."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, NullFormatter

from urnn import statistics
from urnn.figures.style import BLUE, DEFAULT, GREEN, GREY, ORANGE, VERMILLION, Style

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

#: colour and marker of the experiments, in their order
_LOOKS = ((ORANGE, "D"), (BLUE, "o"), (GREEN, "^"), (VERMILLION, "s"))
#: nothing below this is told apart from the optimum
_FLOOR = 1e-5


def plot(
    scores: Mapping[str, xr.Dataset],
    published: pd.DataFrame | None = None,
    style: Style = DEFAULT,
) -> Figure:
    """Mean of r2_optimal - r2 over the realizations, one panel for each model.

    The bars are 95 % bootstrap intervals of that paired mean (`urnn.statistics.gap_to_optimum`). A
    mean at or below 1e-5 stands as an arrow at the lower edge: no distance to the optimum is left.
    Published curves are subtracted from the optimum that was published with them.

    Args:
        scores: by label, scores as for `urnn.figures.r2.plot`; at most four.
        published: as from `urnn.published.load`.
        style: colours and sizes.

    Raises:
        ValueError: there are no scores or more than four.
    """
    if not 1 <= len(scores) <= len(_LOOKS):
        raise ValueError(
            f"scores: from 1 to {len(_LOOKS)} experiments, but there are {len(scores)}"
        )
    models: dict[str, str] = {}
    for dataset in scores.values():
        for name in dataset["model"].values:
            models[str(name)] = str(dataset["model_label"].sel(model=name).item())
    gaps = {
        (label, model): _gaps(dataset, model)
        for label, dataset in scores.items()
        for model in models
        if model in dataset["model"].values
    }
    with style.applied():
        figure = Figure(figsize=(style.width, style.height), layout="constrained")
        panels = figure.subplots(1, len(models), sharey=True, squeeze=False)[0]
        for panel, (model, name), letter in zip(panels, models.items(), "abcdefgh", strict=False):
            sizes: set[int] = set()
            if published is not None and model in published:
                curve = published[model].dropna()
                missing = published.attrs["optimal"] - curve
                panel.plot(curve.index, missing, color=GREY, linewidth=1, marker="x", zorder=2)
                sizes |= {int(n) for n in curve.index}
            for i, label in enumerate(scores):
                if (label, model) not in gaps:
                    continue
                colour, marker = _LOOKS[i]
                n, mean, lower, upper = gaps[label, model]
                sizes |= {int(size) for size in n}
                seen = mean > _FLOOR
                low = np.clip(lower[seen], _FLOOR / 10, None)
                panel.errorbar(
                    n[seen] + 0.15 * i,
                    mean[seen],
                    yerr=np.nan_to_num([mean[seen] - low, upper[seen] - mean[seen]]),
                    color=colour,
                    marker=marker,
                    elinewidth=1.1,
                    capsize=2.2,
                    zorder=3,
                    markeredgecolor="white",
                    markeredgewidth=0.6,
                    label=f"{label} {model}",
                )
                for size in n[~seen & np.isfinite(mean)]:
                    panel.plot(
                        size + 0.15 * i,
                        0.02,
                        color=colour,
                        marker="v",
                        transform=panel.get_xaxis_transform(),
                        clip_on=False,
                    )
            panel.set_title(f"({letter}) {name}".replace("$", r"\$"), loc="left")
            panel.set_xlabel("Hidden units")
            panel.xaxis.set_major_locator(FixedLocator([n for n in sorted(sizes) if n % 2 == 0]))
        low = [values[1][values[1] > _FLOOR] for values in gaps.values()]
        smallest = min((float(part.min()) for part in low if part.size), default=1e-3)
        panels[0].set_yscale("log")
        panels[0].set_ylim(bottom=max(smallest / 2, _FLOOR))
        panels[0].yaxis.set_minor_formatter(NullFormatter())
        panels[0].yaxis.set_major_formatter(FuncFormatter(lambda y, _: f"{y:g}"))
        panels[0].set_ylabel("Optimal R² − test R²")
        first = next(iter(scores.values()))
        count = max(dataset.sizes["realization"] for dataset in scores.values())
        noise = f"SNR {float(first.attrs['snr_db']):g} dB, " if "snr_db" in first.attrs else ""
        figure.suptitle(f"What is missing to the optimum: {noise}{count} realizations")
        handles = [
            Line2D([], [], color=_LOOKS[i][0], marker=_LOOKS[i][1], label=label.replace("$", r"\$"))
            for i, label in enumerate(scores)
        ]
        if published is not None:
            handles.insert(
                0, Line2D([], [], color=GREY, linewidth=1, marker="x", label="Published")
            )
        figure.legend(handles=handles, loc="outside lower center", ncols=len(handles))
    return figure


def _gaps(scores: xr.Dataset, model: str) -> tuple[np.ndarray, ...]:
    """Sizes, mean gaps and their bounds; NaN where nothing is left to average."""
    sizes = sorted(int(n) for n in scores["hidden_units"].values)
    rows = [(n, *statistics.gap_to_optimum(scores, model, n)) for n in sizes]
    table = np.array(rows, float)
    return tuple(table[np.isfinite(table[:, 1])].T)
