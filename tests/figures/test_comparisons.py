"""The gap to the optimum and the paired statistics, from made-up scores."""

from __future__ import annotations

import numpy as np
import pytest
from made_up import SIZES, make_scores

from urnn import published, statistics
from urnn.figures import gap
from urnn.figures import statistics as comparison
from urnn.settings.figures import StatisticsSettings

SETTINGS = StatisticsSettings(kind="statistics")


def test_gap_shows_every_recipe_beside_the_published_curve() -> None:
    ours, other = make_scores(), make_scores(models=("rnn", "urnn"))
    figure = gap.plot({"recipe a": ours, "recipe b": other}, published.load("figure2"))
    assert [axes.get_title(loc="left") for axes in figure.axes] == [
        "(a) RNN",
        "(b) URNN",
        "(c) LSTM",
    ]
    assert all(axes.get_yscale() == "log" for axes in figure.axes)
    assert [len(axes.containers) for axes in figure.axes] == [2, 2, 1]
    drawn = figure.axes[1].containers[0].lines[0]
    expected = [statistics.gap_to_optimum(ours, "urnn", n)[0] for n in SIZES]
    np.testing.assert_allclose(drawn.get_ydata(), expected)
    words = [text.get_text() for text in figure.legends[0].get_texts()]
    assert words == ["Published", "recipe a", "recipe b"]
    grey = figure.axes[0].lines[0]
    assert grey.get_ydata()[0] == pytest.approx(0.9901 - 0.9155)


def test_gap_marks_what_has_reached_the_optimum() -> None:
    scores = make_scores()
    scores["r2"].loc[{"model": "urnn", "hidden_units": 14}] = 0.991
    figure = gap.plot({"a": scores})
    marks = [line for line in figure.axes[1].lines if line.get_marker() == "v"]
    assert [float(line.get_xdata()[0]) for line in marks] == [14]
    with pytest.raises(ValueError, match="from 1 to 4 experiments, but there are 5"):
        gap.plot({str(i): scores for i in range(5)})


def test_statistics_draws_what_the_module_computes() -> None:
    scores = make_scores(realizations=6)
    figure = comparison.plot(scores, SETTINGS)
    a, b, c = figure.axes
    rows = statistics.comparisons(scores, "rnn", SETTINGS.margin)
    for container, factor in zip(a.containers, (1, 2), strict=True):
        expected = [r.difference.mean for r in rows if r.factor == factor]
        np.testing.assert_allclose(container.lines[0].get_ydata(), expected)
    assert [text.get_text() for text in a.get_legend().get_texts()] == ["URNN of n", "URNN of 2n"]
    sizes = statistics.smallest_sizes(scores, SETTINGS.margin)
    for line, model in zip(b.lines, ("rnn", "urnn", "lstm"), strict=True):
        expected = [(sizes.sel(model=model) <= n).mean().item() for n in SIZES]
        np.testing.assert_allclose(line.get_ydata(), expected)
    assert len(c.get_xticklabels()) == len(SETTINGS.margins)
    assert c.get_ylabel() == "Hidden units, URNN / RNN"


def test_statistics_without_a_model_to_compare_and_with_everything_diverged() -> None:
    comparison.plot(make_scores(models=("rnn", "lstm")), SETTINGS).draw_without_rendering()
    scores = make_scores()
    scores["r2"][:] = np.nan
    scores["diverged"][:] = 1
    comparison.plot(scores, SETTINGS).draw_without_rendering()
    gap.plot({"a": scores}).draw_without_rendering()
