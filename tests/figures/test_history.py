"""Histories of training, from made-up scores."""

from __future__ import annotations

import numpy as np
import pytest

from urnn.figures import series
from urnn.figures.history import plot as history
from urnn.figures.history.settings import HistorySettings
from urnn.settings.style import Style
from urnn.training import OVERFLOW

ACCURACY = HistorySettings(kind="history")
ERROR = HistorySettings(kind="history", shows="constraint_error")


def test_every_training_and_the_epoch_kept(make_accuracies) -> None:
    scores = make_accuracies()
    figure = history.plot({"a": scores}, ACCURACY)
    assert figure.get_suptitle() == "Permuted MNIST: validation accuracy after each epoch"
    assert [panel.get_title("left") for panel in figure.axes] == ["URNN", "RNN"]
    assert figure.axes[0].get_ylabel() == "Validation accuracy"
    for panel, model in zip(figure.axes, ("urnn", "rnn"), strict=True):
        of_model = scores.sel(model=model)
        expected = [
            of_model["validation_accuracy"].sel(hidden_units=n, realization=r).values.tolist()
            for n in (16, 32, 48)
            for r in range(2)
        ]
        assert [line.get_ydata().tolist() for line in panel.lines] == expected
        (dots,) = panel.collections
        best = [[1 + int(np.argmax(values)), max(values)] for values in expected]
        np.testing.assert_allclose(dots.get_offsets(), best)


def test_no_dot_where_no_epoch_was_kept(make_accuracies) -> None:
    scores = make_accuracies()
    scores["kept_epoch"][:, 0] = 0
    scores["validation_accuracy"][:, 0] = np.nan
    panel = history.plot({"a": scores}, ACCURACY).axes[0]
    assert len(panel.lines) == len(panel.collections[0].get_offsets()) == 4


def test_a_cross_where_an_overflow_ended_the_training(make_accuracies) -> None:
    scores = make_accuracies()
    assert figure_words(scores) == "Hidden units\n(dot: epoch kept)"
    at = {"model": "urnn", "hidden_units": 32, "realization": 1}
    scores["ended"].loc[at] = OVERFLOW
    scores["validation_accuracy"].loc[at][{"epoch": slice(3, None)}] = np.nan
    first = {"model": "urnn", "hidden_units": 48, "realization": 0}  # in its first epoch
    scores["ended"].loc[first] = OVERFLOW
    scores["validation_accuracy"].loc[first] = np.nan
    scores["kept_epoch"].loc[first] = 0
    assert "cross: ended by an overflow" in figure_words(scores)
    figure = history.plot({"a": scores}, ACCURACY)
    crosses = [[line for line in panel.lines if line.get_marker() == "x"] for panel in figure.axes]
    assert [len(of_panel) for of_panel in crosses] == [2, 0]
    places = {tuple(map(float, line.get_xydata()[0])): line for line in crosses[0]}
    end = float(scores["validation_accuracy"].sel(at).sel(epoch=3))
    assert {*places} == {(3.0, end), (1.0, 0.0)}
    assert places[1.0, 0.0].get_transform() == figure.axes[0].get_xaxis_transform()
    numbers = series.table(figure)
    ends = numbers[numbers["overflowed"] == 1]
    assert ends[["series", "x"]].values.tolist() == [["32 units, realization 1", 3]]


def figure_words(scores) -> str:
    """What stands above the legend."""
    return history.plot({"a": scores}, ACCURACY).legends[0].get_title().get_text()


def test_the_constraint_error_leaves_zeros_out(make_accuracies) -> None:
    scores = make_accuracies()
    scores["constraint_error"][1] = 0
    scores["constraint_error"][0, 0, :, 2] = 0
    figure = history.plot({"a": scores}, ERROR)
    panels = figure.axes
    assert figure.get_suptitle() == "Permuted MNIST: distance of W from its set after each epoch"
    assert panels[0].get_ylabel() == "Constraint error"
    for line, size in zip(panels[0].lines, (16, 32, 48), strict=True):
        largest = scores["constraint_error"].sel(model="urnn", hidden_units=size)
        np.testing.assert_array_equal(line.get_ydata(), largest.max("realization"))
    assert not panels[1].lines
    for panel in panels:
        assert panel.get_yscale() == "log"
        assert not np.isfinite(panel.yaxis.get_transform().transform([0.0]))  # not drawn


def test_darker_is_larger_and_every_panel_has_its_epochs(make_accuracies) -> None:
    scores = make_accuracies(models=tuple("abcde"))
    figure = history.plot({"a": scores}, ERROR)
    figure.draw_without_rendering()
    shown = [panel for panel in figure.axes if panel.get_visible()]
    assert len(shown) == 5
    lightness = [sum(line.get_color()[:3]) for line in shown[0].lines]
    assert lightness == sorted(lightness, reverse=True)
    labels = [panel.xaxis.label for panel in shown]
    assert [label.get_text() for label in labels] == 5 * ["Epoch"]
    assert all(label.get_visible() for label in labels)
    assert figure.legends[0].get_title().get_text() == "Hidden units"


@pytest.mark.parametrize("width", [Style().width, 0.5 * Style().width])
def test_twenty_sizes_have_a_legend_inside_the_picture(make_accuracies, width) -> None:
    scores = make_accuracies(sizes=range(4, 84, 4))
    figure = history.plot({"a": scores}, ACCURACY, style=Style(width=width))
    figure.draw_without_rendering()
    legend = figure.legends[0].get_window_extent()
    assert legend.x0 >= 0 and legend.x1 <= figure.bbox.x1
    assert all(panel.get_window_extent().y0 > legend.y1 for panel in figure.axes)
