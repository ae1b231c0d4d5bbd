"""Figure 4, from made-up scores."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from urnn import scoring
from urnn.figures import series, style
from urnn.figures.accuracy import plot as accuracy
from urnn.figures.accuracy.settings import AccuracySettings
from urnn.figures.style import looks
from urnn.training import EARLY, OVERFLOW

SETTINGS = AccuracySettings(kind="accuracy")


def test_means_and_published_curves(make_accuracies) -> None:
    scores = make_accuracies(realizations=5)
    published = pd.DataFrame(
        {"urnn": [0.6, 0.7, 0.8], "stranger": [0.1] * 3}, index=scores["hidden_units"].values
    )
    figure = accuracy.plot({"a": scores}, SETTINGS, published)
    (panel,) = figure.axes
    assert panel.get_xlabel() == "Hidden units"
    assert panel.get_ylabel() == "Test accuracy"
    assert figure.get_suptitle() == "Permuted MNIST: 5 realizations, at most 5 epochs"
    summary = scoring.summarise(scores)
    ours = [container.lines[0] for container in panel.containers]
    for line, container, model in zip(ours, panel.containers, scores["model"].values, strict=True):
        expected = scores["accuracy"].sel(model=model).mean("realization").values
        np.testing.assert_allclose(line.get_ydata(orig=False), expected)
        (bars,) = container.lines[2]
        ends = [segment[:, 1] for segment in bars.get_segments()]
        expected = summary["accuracy_interval"].sel(model=model).transpose("hidden_units", "bound")
        np.testing.assert_allclose(np.array(ends, float), expected.values)
    curves = [line for line in panel.lines if line.get_label() == "Published"]
    assert [line.get_color() for line in curves] == [looks(["urnn"])["urnn"][0]]  # no stranger
    assert list(curves[0].get_ydata()) == [0.6, 0.7, 0.8]
    words = [text.get_text() for text in figure.legends[0].get_texts()]
    assert words == ["URNN", "Published", "RNN"]
    assert not panel.texts


def test_what_diverged_is_counted(make_accuracies) -> None:
    scores = make_accuracies()
    scores["diverged"][1, 2, :] = 1
    scores["accuracy"][1, 2, :] = np.nan
    (panel,) = accuracy.plot({"a": scores}, SETTINGS).axes
    (said,) = panel.texts
    assert said.get_text() == "all ×2" and said.xy == (48, 0)


def test_an_overflow_after_the_epoch_kept_is_marked(make_accuracies, tmp_path) -> None:
    scores = make_accuracies(realizations=3)
    scores["ended"].loc[{"model": "rnn", "hidden_units": 32}] = [OVERFLOW, EARLY, OVERFLOW]
    scores["ended"].loc[{"model": "urnn", "hidden_units": 16}] = OVERFLOW
    scores["diverged"].loc[{"model": "urnn", "hidden_units": 16, "realization": 0}] = 1
    figure = accuracy.plot({"a": scores}, SETTINGS)
    means = scoring.reported(scores, "accuracy").mean("realization").to_series()
    said = {text.get_text(): text.xy for text in figure.axes[0].texts}
    assert said["†2"] == (32, pytest.approx(means["rnn", 32]))
    assert said["×1 †2"] == (16, pytest.approx(means["urnn", 16]))
    words = [text.get_text() for text in figure.legends[0].get_texts()]
    assert {"Diverged, left out", "Overflowed after the epoch kept"} <= {*words}
    numbers = series.table(figure).set_index(["series", "x"])
    assert numbers.loc[("RNN", 32), ["diverged", "overflowed"]].tolist() == [0, 2]
    assert numbers.loc[("URNN", 16), ["diverged", "overflowed"]].tolist() == [1, 2]
    style.save(figure, tmp_path / "figure.svg")
    assert "3 realizations; 2 later overflows" in (tmp_path / "figure.svg").read_text("utf-8")
    # scores of before do not say how trainings ended
    (panel,) = accuracy.plot({"a": scores.drop_vars("ended")}, SETTINGS).axes
    assert [text.get_text() for text in panel.texts] == ["×1"]


def test_many_models_have_the_marks_too(make_accuracies) -> None:
    scores = make_accuracies(models=tuple("abcdefg"))
    scores["ended"].loc[{"model": "c", "hidden_units": 32, "realization": 1}] = OVERFLOW
    figure = accuracy.plot({"a": scores}, SETTINGS)
    panels = figure.axes
    (said,) = figure.legends[0].get_texts()
    assert said.get_text() == "Overflowed after the epoch kept"
    assert [[text.get_text() for text in panel.texts] for panel in panels[:3]] == [[], ["†1"], []]


def test_the_data_have_a_name_in_the_title(make_accuracies) -> None:
    scores = make_accuracies(realizations=1)
    del scores.attrs["task_title"]
    figure = accuracy.plot({"a": scores}, SETTINGS)
    assert figure.get_suptitle() == "permuted_mnist: 1 realization, at most 5 epochs"
