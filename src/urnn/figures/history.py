"""A quantity over the epochs of training, one panel for each model."""

from __future__ import annotations

from typing import TYPE_CHECKING

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from urnn.figures.style import DEFAULT, Style, data_name

if TYPE_CHECKING:
    import xarray as xr


#: what can be shown: the label of the axis, and its scale
SHOWN = {
    "validation_accuracy": ("Validation accuracy", "linear"),
    "violation": ("Distance of W from set", "log"),
}


def plot(scores: xr.Dataset, shows: str = "validation_accuracy", style: Style = DEFAULT) -> Figure:
    """A quantity after each epoch; the darker the line, the more hidden units.

    The validation accuracy has a line for each realization, with a dot at the epoch kept; it ends
    where early termination, an overflow or the number of epochs ended the training. Of the
    violation, ||W^T W - I||_2 for a unitary set, the largest over the realizations is drawn, on a
    log scale where zero has no place.

    Args:
        scores: the quantity (model, hidden_units, realization, epoch) and kept_epoch without
            the last dim, with the coordinate model_label (model) and the attribute task.
        shows: the name of the quantity, of `SHOWN`.
        style: colours and sizes.
    """
    ylabel, scale = SHOWN[shows]
    sizes = np.sort(scores["hidden_units"].values)
    models = [str(name) for name in scores["model"].values]
    colours = dict(
        zip(sizes, mpl.colormaps["viridis_r"](np.linspace(0.1, 1, len(sizes))), strict=True)
    )
    columns = min(len(models), 4)
    rows = -(-len(models) // columns)
    with style.applied():
        height = (0.25 + 0.55 * rows) * style.height
        figure = Figure(figsize=(style.width, height), layout="constrained")
        panels = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False).ravel()
        for panel, model in zip(panels, models, strict=False):
            for size in sizes:
                cell = scores.sel(model=model, hidden_units=size)
                if shows == "violation":
                    largest = cell[shows].max("realization")
                    panel.plot(
                        cell["epoch"],
                        largest.where(largest > 0),
                        color=colours[size],
                        linewidth=style.scale,
                    )
                    continue
                for s in range(cell.sizes["realization"]):
                    one = cell.isel(realization=s)
                    values = one[shows].values
                    panel.plot(one["epoch"], values, color=colours[size], linewidth=style.scale)
                    kept = int(one["kept_epoch"])
                    if kept and np.isfinite(values[kept - 1]):
                        panel.plot(kept, values[kept - 1], "o", color=colours[size], markersize=3)
            label = str(scores["model_label"].sel(model=model).item()).replace("$", r"\$")
            panel.set_title(label, loc="left")
            panel.xaxis.set_major_locator(MaxNLocator(integer=True))
            panel.set_yscale(scale)
        for panel in panels[len(models) :]:
            panel.set_visible(False)
        for panel in panels[max(len(models) - columns, 0) : len(models)]:
            panel.set_xlabel("Epoch")
            panel.tick_params(labelbottom=True)  # also above an empty place
        for panel in panels[::columns]:
            panel.set_ylabel(ylabel)
        figure.suptitle(f"{data_name(scores)}: how training went")
        handles = [Line2D([], [], color=colours[size], label=f"{size}") for size in sizes]
        figure.legend(
            handles=handles, loc="outside lower center", ncols=len(sizes), title="Hidden units"
        )
    return figure
