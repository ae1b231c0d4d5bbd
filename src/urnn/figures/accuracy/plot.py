"""Figure 4: test accuracy against hidden units.

Source: Emami, Sahraee-Ardakan, Rangan, Fletcher, "Input-Output Equivalence of Unitary and
Contractive RNNs", NeurIPS 2019, figure 4.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from matplotlib.figure import Figure

from urnn import scoring
from urnn.figures import drawing
from urnn.figures.style import DEFAULT, applied, looks

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

    from urnn.figures.accuracy.settings import AccuracySettings
    from urnn.settings.style import Style


def plot(
    scores: Mapping[str, xr.Dataset],
    settings: AccuracySettings,
    published: pd.DataFrame | None = None,
    style: Style = DEFAULT,
) -> Figure:
    """Mean test accuracy of every model, with its interval, and the published curves.

    The bars are 95 % intervals of the mean over realizations, where there are several.

    Args:
        scores: of one experiment: accuracy, diverged (model, hidden_units, realization), with the
            coordinate model_label (model) and the attributes task_title and epochs; see
            `urnn.scoring.summarise`.
        settings: of this kind.
        published: columns by model name over the index hidden units; a column without a model in
            the scores is not drawn.
        style: sizes.

    Raises:
        ArgumentError: there are several experiments, or a variable or a coordinate is missing.
    """
    dataset = drawing.one(scores)
    names = drawing.labels(dataset)
    look, summary = looks(names), scoring.summarise(dataset)
    rows = drawing.table(scoring.reported(dataset, "accuracy"))
    curves = drawing.curves_of(published, names)
    sizes = dataset["hidden_units"].values.tolist()
    with applied(style):
        figure = Figure(figsize=(0.75 * style.width, style.height), layout="constrained")
        panel = figure.subplots()
        for model, curve in curves.items():
            line = drawing.published_line(style, curve.index, curve, look[model][0])
            panel.add_line(line)
        drawing.means(panel, rows, look, step=drawing.step_aside(sizes, len(look)))
        panel.set(xlabel="Hidden units", ylabel="Test accuracy")
        drawing.size_ticks(panel, sizes)
        drawing.note(panel, drawing.divergence(summary, names), style)
        figure.suptitle(drawing.title(dataset))
        kinds = [drawing.published_line(style)] if curves else []
        drawing.legend(figure, drawing.handles(names, look), kinds, columns=3)
    return figure
