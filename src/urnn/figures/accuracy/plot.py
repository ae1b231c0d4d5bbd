"""Figure 4: test accuracy against hidden units.

Source: Emami, Sahraee-Ardakan, Rangan, Fletcher, "Input-Output Equivalence of Unitary and
Contractive RNNs", NeurIPS 2019, figure 4.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from matplotlib.figure import Figure

from urnn import scoring
from urnn.figures import drawing, points
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

    The bars are 95 % intervals of the mean over realizations, where there are at least five; of
    fewer, each is drawn. More than six models have a row each, in one panel for each size.

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
    look = looks(names)
    rows = points.table(scoring.reported(dataset, "accuracy"))
    overflowed = points.overflows(dataset)
    with applied(style):
        if len(names) > drawing.MOST_LINES:
            figure, _ = points.rows_of_all(rows, look, names, "Test accuracy", style, overflowed)
            marks = points.overflow_marks(overflowed.values(), style)
            drawing.legend(figure, [], marks)
        else:
            figure = _against_units(dataset, published, (names, look, rows, overflowed), style)
        drawing.heading(figure, drawing.title(dataset), style)
    return figure


def _against_units(
    dataset: xr.Dataset,
    published: pd.DataFrame | None,
    models: tuple[dict[str, str], points.Looks, pd.DataFrame, points.Overflowed],
    style: Style,
) -> Figure:
    """A line for each model; of the models, names, looks, rows and what diverged."""
    names, look, rows, overflowed = models
    curves = drawing.curves_of(published, names)
    figure = Figure(figsize=drawing.single(style), layout="constrained")
    panel = figure.subplots()
    for model, curve in curves.items():
        points.add_published(panel, style, curve, look[model], names[model])
    points.means(panel, rows, look, names, overflowed=overflowed)
    panel.set(xlabel="Hidden units", ylabel="Test accuracy")
    theirs = [size for curve in curves.values() for size in curve.index]
    drawing.size_ticks(panel, dataset["hidden_units"].values, theirs)
    points.mark_cut_bars(panel)
    kinds = [drawing.published_line(style)] if curves else []
    kinds += points.overflow_marks(overflowed.values(), style)
    drawing.legend(figure, drawing.handles(names, look), kinds, columns=3)
    return figure
