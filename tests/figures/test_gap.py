"""The gap to the optimum, from made-up scores."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from urnn import published, statistics
from urnn.errors import DataError
from urnn.figures import series
from urnn.figures.gap import plot as gap
from urnn.figures.gap.settings import GapSettings

SETTINGS = GapSettings(kind="gap")
SIZES = [2, 4, 6, 8, 10, 12, 14]


def test_every_recipe_stands_beside_the_published_curve(make_scores) -> None:
    ours = make_scores(realizations=6)
    other = make_scores(models=("rnn", "urnn"), realizations=6)
    scores = {"recipe a": ours, "recipe b": other}
    figure = gap.plot(scores, SETTINGS, published.load("figure2"))
    assert [axes.get_title(loc="left") for axes in figure.axes] == [
        "(a) RNN",
        "(b) URNN",
        "(c) LSTM",
    ]
    assert figure.get_suptitle() == "Gap to the optimum: SNR 20 dB, 6 realizations"
    assert all(axes.get_yscale() == "log" for axes in figure.axes)
    assert [len(axes.containers) for axes in figure.axes] == [2, 2, 1]
    drawn = figure.axes[1].containers[0].lines[0]
    expected = np.array([statistics.gap_to_optimum(ours, "urnn", n) for n in SIZES])
    np.testing.assert_allclose(drawn.get_ydata(orig=False), expected[:, 0])
    (bars,) = figure.axes[1].containers[0].lines[2]
    ends = np.array([segment[:, 1] for segment in bars.get_segments()])
    np.testing.assert_allclose(ends, expected[:, 1:], rtol=1e-9)
    words = [text.get_text() for text in figure.legends[0].get_texts()]
    assert words == ["Published", "recipe a", "recipe b"]
    grey = figure.axes[0].lines[0]
    assert grey.get_ydata(orig=False)[0] == pytest.approx(0.9901 - 0.9155)


def test_the_title_says_what_all_share(make_scores) -> None:
    pair = {"a": make_scores(realizations=6), "b": make_scores().assign_attrs(snr_db=15.0)}
    told = gap.plot(pair, SETTINGS).get_suptitle()
    assert told == "Gap to the optimum: SNR 20 and 15 dB, 4 to 6 realizations"
    del pair["b"].attrs["snr_db"]
    assert gap.plot(pair, SETTINGS).get_suptitle() == "Gap to the optimum: 4 to 6 realizations"


def test_marks_are_explained_and_a_size_that_diverged_has_a_tick(make_scores) -> None:
    scores = make_scores(models=("rnn", "urnn"))
    assert len(gap.plot({"a": scores}, SETTINGS).legends[0].get_texts()) == 1
    for name, value in (("r2", np.nan), ("diverged", 1)):
        scores[name].loc[{"hidden_units": 8}] = value
    figure = gap.plot({"a": scores}, SETTINGS)
    said = [text.get_text() for text in figure.legends[0].get_texts()]
    assert said == ["a", "Diverged, left out"]
    assert list(figure.axes[0].get_xticks()) == SIZES
    figure = gap.plot({"a": scores.sel(hidden_units=[4])}, SETTINGS, published.load("figure2"))
    assert {2, 4, 14} <= {*figure.axes[0].get_xticks()}


def test_long_names_are_not_cut_off(make_scores) -> None:
    long = "Recurrent network with learning rate 0.1"
    scores = make_scores()
    scores["model_label"] = ("model", [f"{i} {long}" for i in range(3)])
    figure = gap.plot({f"{i} {long}": scores for i in range(4)}, SETTINGS)
    figure.draw_without_rendering()
    legend = figure.legends[0].get_window_extent()
    assert legend.x0 >= 0 and legend.x1 <= figure.bbox.x1
    boxes = [panel._left_title.get_window_extent() for panel in figure.axes]
    assert all(left.x1 < right.x0 for left, right in itertools.pairwise(boxes))
    assert boxes[-1].x1 <= figure.bbox.x1
    assert series.table(figure)["panel"].iloc[0] == f"(a) 0 {long}"


def test_what_has_reached_the_optimum_is_marked(make_scores) -> None:
    scores = make_scores()
    scores["r2"].loc[{"model": "urnn", "hidden_units": 14}] = 0.991
    figure = gap.plot({"a": scores}, SETTINGS)
    marks = [line for line in figure.axes[1].lines if line.get_marker() == "v"]
    assert [float(line.get_xdata()[0]) for line in marks] == [14]
    assert figure.axes[0].get_ylim()[0] >= 1e-5
    with pytest.raises(ValueError, match="from 1 to 4 experiments, but there are 5"):
        gap.plot({str(i): scores for i in range(5)}, SETTINGS)


def test_an_experiment_without_an_optimum_is_refused(make_scores) -> None:
    scores = {"known": make_scores(), "unknown": make_scores().drop_vars("r2_optimal")}
    with pytest.raises(
        DataError, match=r"^unknown: there is no gap .* the score of a perfect model"
    ):
        gap.plot(scores, SETTINGS)


def test_everything_diverged(make_scores) -> None:
    scores = make_scores()
    scores["r2"][:] = np.nan
    scores["diverged"][:] = 1
    gap.plot({"a": scores}, SETTINGS).draw_without_rendering()
