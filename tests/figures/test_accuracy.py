"""Figure 4, from made-up scores."""

from __future__ import annotations

import numpy as np
import pandas as pd

from urnn import scoring
from urnn.figures.accuracy import plot as accuracy
from urnn.figures.accuracy.settings import AccuracySettings
from urnn.figures.style import looks

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


def test_the_data_have_a_name_in_the_title(make_accuracies) -> None:
    scores = make_accuracies(realizations=1)
    del scores.attrs["task_title"]
    figure = accuracy.plot({"a": scores}, SETTINGS)
    assert figure.get_suptitle() == "permuted_mnist: 1 realization, at most 5 epochs"
