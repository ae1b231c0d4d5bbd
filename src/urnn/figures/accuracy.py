"""Figure 4: test accuracy against hidden units.

Source: Emami, Sahraee-Ardakan, Rangan, Fletcher, "Input-Output Equivalence of Unitary and
Contractive RNNs", NeurIPS 2019, figure 4.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator

from urnn import scoring
from urnn.figures.style import DEFAULT, GREY, Style, data_name, divergence_note, step_aside

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr


def plot(
    scores: xr.Dataset, published: pd.DataFrame | None = None, style: Style = DEFAULT
) -> Figure:
    """Mean test accuracy of every model, with its interval, and the published curves.

    The bars are 95 % bootstrap intervals of the mean over realizations, where there are several.

    Args:
        scores: accuracy, diverged (model, hidden_units, realization), with the coordinate
            model_label (model) and the attribute task; see `urnn.scoring.summarise`.
        published: columns by model name over the index hidden units; a column without a model in
            the scores is not drawn.
        style: colours and sizes.
    """
    summary = scoring.summarise(scores)
    models = [str(name) for name in summary["model"].values]
    labels = {
        m: str(summary["model_label"].sel(model=m).item()).replace("$", r"\$") for m in models
    }
    looks = style.of(models)
    sizes = summary["hidden_units"].values.astype(float)
    with style.applied():
        figure = Figure(figsize=(0.75 * style.width, style.height), layout="constrained")
        panel = figure.subplots()
        step = step_aside(sizes, len(models))
        for i, model in enumerate(models):
            colour, marker = looks[model]
            if published is not None and model in published:
                curve = published[model].dropna()
                panel.plot(
                    curve.index,
                    curve,
                    color=colour,
                    linewidth=style.scale * style.published_line_width,
                    alpha=style.published_alpha,
                    label=f"published {model}",
                )
            of_model = summary.sel(model=model)
            mean = of_model["accuracy_mean"].values
            bounds = of_model["accuracy_interval"].transpose("bound", "hidden_units").values
            panel.errorbar(
                sizes + step * (i - (len(models) - 1) / 2),
                mean,
                yerr=np.nan_to_num(np.abs(bounds - mean)),
                color=colour,
                marker=marker,
                capsize=2.2,
                elinewidth=1.1,
                zorder=3,
                markeredgecolor="white",
                markeredgewidth=0.6,
                label=f"ours {model}",
            )
        panel.set_xlabel("Hidden units")
        panel.set_ylabel("Test accuracy")
        panel.set_title(
            divergence_note(summary, labels),
            loc="left",
            fontsize=0.75 * style.scale * style.font_size,
            color=GREY,
        )
        panel.xaxis.set_major_locator(FixedLocator(sizes.tolist()))
        count = scores.sizes["realization"]
        figure.suptitle(
            f"{data_name(scores)}: {count} realization{'s' if count != 1 else ''}, "
            f"at most {int(scores.attrs['epochs'])} epochs"
        )
        handles = [
            Line2D([], [], color=looks[m][0], marker=looks[m][1], label=labels[m]) for m in models
        ]
        if published is not None:
            handles.append(
                Line2D(
                    [], [], color=GREY, linewidth=1, alpha=style.published_alpha, label="Published"
                )
            )
        figure.legend(handles=handles, loc="outside lower center", ncols=3)
    return figure
