"""Figure 4 and the histories, from made-up scores."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from urnn.figures import accuracy, history
from urnn.figures.style import MODELS, OTHERS, Style

SIZES = [16, 32, 48]
EPOCHS = 5


def make_scores(models=("urnn", "rnn"), realizations: int = 2) -> xr.Dataset:
    rng = np.random.default_rng(0)
    dims = ("model", "hidden_units", "realization")
    shape = (len(models), len(SIZES), realizations)
    values = rng.uniform(0.5, 0.9, (*shape, EPOCHS))
    return xr.Dataset(
        {
            "accuracy": (dims, values.max(3)),
            "diverged": (dims, np.zeros(shape, np.int8)),
            "kept_epoch": (dims, values.argmax(3) + 1),
            "validation_accuracy": ((*dims, "epoch"), values),
            "violation": ((*dims, "epoch"), 1e-7 * values),
        },
        coords={
            "model": list(models),
            "hidden_units": SIZES,
            "realization": np.arange(realizations),
            "epoch": np.arange(1, EPOCHS + 1),
            "model_label": ("model", [m.upper() for m in models]),
            "state_factor": ("model", [1] * len(models)),
        },
        attrs={"task": "permuted_mnist", "epochs": EPOCHS},
    )


def test_accuracy_shows_means_and_published_curves():
    scores = make_scores()
    published = pd.DataFrame({"urnn": [0.6, 0.7, 0.8], "stranger": [0.1] * 3}, index=SIZES)
    figure = accuracy.plot(scores, published)
    (panel,) = figure.axes
    assert panel.get_xlabel() == "Hidden units"
    assert panel.get_ylabel() == "Test accuracy"
    assert figure.get_suptitle() == "Permuted MNIST: 2 realizations, at most 5 epochs"
    ours = [container.lines[0] for container in panel.containers]
    for line, model in zip(ours, scores["model"].values, strict=True):
        expected = scores["accuracy"].sel(model=model).mean("realization").values
        np.testing.assert_allclose(line.get_ydata(), expected)
    labels = {line.get_label() for line in panel.lines}
    assert "published urnn" in labels
    assert "published stranger" not in labels
    assert panel.get_title("left") == ""


def test_accuracy_counts_what_diverged():
    scores = make_scores()
    scores["diverged"][1, 2, :] = 1
    scores["accuracy"][1, 2, :] = np.nan
    (panel,) = accuracy.plot(scores).axes
    assert panel.get_title("left") == "Diverged trainings, left out: RNN (2 of 6)"


def test_history_draws_every_training_and_the_epoch_kept():
    scores = make_scores()
    figure = history.plot(scores)
    assert [panel.get_title("left") for panel in figure.axes] == ["URNN", "RNN"]
    assert figure.axes[0].get_ylabel() == "Validation accuracy"
    lines = [line for line in figure.axes[0].lines if len(line.get_xdata()) > 1]
    dots = [line for line in figure.axes[0].lines if len(line.get_xdata()) == 1]
    assert len(lines) == len(dots) == len(SIZES) * 2
    for line, dot in zip(lines, dots, strict=True):
        assert max(line.get_ydata()) == dot.get_ydata()[0]


def test_history_of_the_distance_leaves_zeros_out():
    scores = make_scores()
    scores["violation"][1] = 0
    panels = history.plot(scores, "violation").axes
    assert panels[0].get_yscale() == "log"
    assert panels[0].get_ylabel() == "Distance of W from set"
    for line, size in zip(panels[0].lines, SIZES, strict=True):
        largest = scores["violation"].sel(model="urnn", hidden_units=size).max("realization")
        np.testing.assert_array_equal(line.get_ydata(), largest)
    assert all(np.isnan(line.get_ydata()).all() for line in panels[1].lines)


@pytest.mark.parametrize("count", [1, 11, 40])
def test_every_model_has_a_look_of_its_own(count: int):
    names = [*MODELS, *(f"model{i}" for i in range(count))]
    looks = Style().of(names)
    assert len(set(looks.values())) == len(names)
    assert len(set(OTHERS)) == len(OTHERS)
