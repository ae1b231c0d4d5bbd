"""The distance from published curves: each way of making a point, its interval, its explanation."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest

from urnn import published, storage
from urnn.__main__ import main
from urnn.figures import POINT
from urnn.figures.reproduction import deviations, findings, plot
from urnn.figures.reproduction.deviations import Way

SETTINGS = POINT.make("reproduction", published="figure2", smallest=4, same={"lstm_keras": "lstm"})
CURVES = published.load("figure2")
LEFT_OUT, COUNTED, FAILED_LEFT_OUT = deviations.TREATMENTS
LAST = Way("last", "mean", LEFT_OUT)


@pytest.fixture
def scores(make_scores):
    """An RNN of two sizes on three realizations, four epochs; the third overflowed with 8 units."""
    by_epoch = np.array(
        [
            [[0.5, 0.9, 0.8, 0.7], [0.2, 0.4, 0.6, 0.8], [0.1, 0.2, 0.3, 0.4]],
            [[0.5, 0.6, 0.7, 0.9], [0.9, 0.8, 0.7, 0.6], [0.95, 0.2, np.nan, np.nan]],
        ]
    )[None]
    made = make_scores(("rnn",), sizes=(4, 8), r2=by_epoch[..., -1])
    made = made.assign(r2_by_epoch=((*made["r2"].dims, "epoch"), by_epoch))
    return made.assign_coords(epoch=[1, 2, 3, 4])


@pytest.mark.parametrize(
    ("way", "four", "eight"),
    [
        (LAST, [0.7, 0.8, 0.4], [0.9, 0.6, np.nan]),
        (Way("last", "mean", COUNTED), [0.7, 0.8, 0.4], [0.9, 0.6, 0.2]),
        (Way("best", "mean", LEFT_OUT), [0.9, 0.8, 0.4], [0.9, 0.9, np.nan]),
        (Way("best", "median", COUNTED), [0.9, 0.8, 0.4], [0.9, 0.9, 0.95]),
        (Way("last", "mean", FAILED_LEFT_OUT), [0.7, 0.8, 0.4], [0.9, np.nan, np.nan]),
        (Way("best", "mean", FAILED_LEFT_OUT), [0.9, 0.8, 0.4], [0.9, 0.9, np.nan]),
    ],
)
def test_what_a_way_takes_of_each_training(scores, way, four, eight) -> None:
    found = deviations.values(scores, way, 0.02).sel(model="rnn")
    np.testing.assert_array_equal(found.sel(hidden_units=4), four)
    np.testing.assert_array_equal(found.sel(hidden_units=8), eight)


def test_only_ways_that_the_scores_allow_and_that_differ(scores) -> None:
    assert list(deviations.ways(scores, 0.02)) == deviations.WAYS and deviations.WAYS[0] == LAST
    without = deviations.ways(scores.drop_vars("r2_by_epoch"), 0.02)
    assert {(way.epoch, way.treatment) for way in without} == {
        ("last", LEFT_OUT),
        ("last", FAILED_LEFT_OUT),
    }
    held = deviations.ways(scores.sel(hidden_units=[4]), 0.02)
    assert {way.treatment for way in held} == {LEFT_OUT}


def test_the_distance_is_the_root_mean_square_over_the_sizes(make_scores) -> None:
    off = np.array([0.5, 0.003, -0.004])  # the first size is below the smallest
    theirs = CURVES["rnn"][[2, 4, 8]].to_numpy()
    scatter = np.repeat([-1.0, 0, 1], 4)
    r2 = (theirs + off)[None, :, None] + 1e-3 * scatter
    made = make_scores(("rnn",), sizes=(2, 4, 8), r2=r2)
    curve = deviations.curves(made, CURVES, {})["rnn"]
    found = deviations.distance(made["r2"].sel(model="rnn"), curve, "mean", 4)
    assert found.rms == pytest.approx(np.sqrt((0.003**2 + 0.004**2) / 2), rel=1e-6)
    assert 0 <= found.lower < found.rms and found.points == 2 and found.inside == 0
    # the variance of a mean of twelve is 2/36 e-6, of a difference of two such means twice that
    assert found.chance == pytest.approx(np.sqrt(2 * 2 / 36) * 1e-3, rel=0.05)
    few = deviations.distance(made["r2"].sel(model="rnn")[:, ::4], curve, "mean", 4)
    assert few.rms == pytest.approx(found.rms)
    assert np.isnan([few.lower, few.upper, few.chance]).all()
    (claim,) = SETTINGS.claims({"a": made.isel(realization=[0, 4, 8])}, CURVES)
    assert (claim["agreement"], claim["reason"]) == ("open", "too few realizations")


def test_the_interval_makes_up_for_the_scatter_of_our_means() -> None:
    """Of 100 experiments with a known true distance, most intervals hold it."""
    curve, true = pd.Series(np.zeros(6), index=range(4, 10)), 0.5
    held, means = 0, []
    for seed in range(100):
        sample = true + np.random.default_rng(seed).standard_normal((6, 30))
        made = xr_of(sample, curve)
        found = deviations.distance(made, curve, "mean", 4)
        held += found.lower <= true <= found.upper
        means.append(found.rms)
    assert held >= 85
    assert np.mean(means) > true  # the root mean square alone is too large


def xr_of(sample, curve):
    import xarray as xr

    dims = ("hidden_units", "realization")
    return xr.DataArray(sample, dims=dims, coords={"hidden_units": curve.index.values})


def test_a_miss_is_traced_to_stalled_trainings_or_unexplained(make_scores) -> None:
    scatter = 1e-4 * np.random.default_rng(0).standard_normal(20)
    rnn = CURVES["rnn"][[4, 6, 8]].to_numpy()[:, None] + scatter
    rnn[1] += 0.003  # higher than published
    rnn[2, [3, 17]] = 0.9  # stalled
    made = make_scores(("rnn",), sizes=(4, 6, 8), r2=[rnn])
    found = list(deviations.points(made, CURVES, {}, deviations.values(made, LAST, 0.02), 0.02))
    assert [point.hidden_units for point in found] == [4, 6, 8]
    assert [point.inside for point in found] == [True, False, False]
    assert [point.explained for point in found] == [False, False, True]
    assert found[2].stalled == [3, 17] and found[2].without == pytest.approx(0.988, abs=1e-4)
    text = findings.describe({"a": made}, SETTINGS, CURVES)
    cells = [row[-1] for row in text["tables"][1]["rows"]]
    assert cells[:2] == ["–", "unexplained"]
    assert cells[2].startswith("stalled: 3, 17; without 0.98")
    assert (
        "contains 1 of 3 published values. It misses 2: our mean lies below 1 of them; 1 is traced "
        "to stalled trainings, without which the interval reaches the published value, and the "
        "rest is unexplained." in text["sentences"][2]
    )


@pytest.mark.parametrize(
    ("ours", "without", "words"),
    [
        ([], [], ""),
        ([0.8], [0.8], " It misses one: our mean lies below it, and this is not traced to "
         "stalled trainings, so it is unexplained."),
        ([0.95], [0.95], " It misses one: our mean lies above it, and this is not traced to "
         "stalled trainings, so it is unexplained."),
        ([0.8], [0.9], " It misses one: our mean lies below it, and this is traced to stalled "
         "trainings, without which the interval reaches the published value."),
        ([0.95, 0.96], [0, 0], " It misses 2: our mean lies below none of them; none is traced to "
         "stalled trainings, so they are unexplained."),
        ([0.8, 0.7], [0.9, 0.9], " It misses 2: our mean lies below all of them; all are traced to "
         "stalled trainings, without which the interval reaches the published value."),
    ],
)  # fmt: skip
def test_every_number_of_misses_reads_well(ours, without, words) -> None:
    rows = [
        deviations.Point("rnn", 4, 0.9, mean, mean, mean, [1], left, left, left, 0)
        for mean, left in zip(ours, without, strict=True)
    ]
    said = findings._sentence_on_points("a", LAST, rows).partition("published value")[2]
    said = said.removeprefix("s").removeprefix(".")
    assert said.startswith(words) and (words or not said)


def test_the_nearest_data_and_way_are_named(make_scores) -> None:
    scatter = 1e-5 * np.random.default_rng(0).standard_normal(20)

    def made(shift: float):
        r2 = [CURVES[m][[4, 8]].to_numpy()[:, None] + shift + scatter for m in ("rnn", "lstm")]
        hard = np.array(r2[1]) - 0.02
        return make_scores(("rnn", "lstm", "lstm_keras"), sizes=(4, 8), r2=[*r2, hard])

    both = {"near": made(0.001), "far": made(0.004)}  # and nothing stalls or overflows
    found = findings.describe(both, SETTINGS, CURVES)
    assert found["sentences"][0].startswith(
        "Nearest to the published curves, from 4 hidden units on, is “near” with the mean of the "
        "last epoch, overflowed left out: root mean square difference 0.0010 over the curves of "
        "RNN "
    )
    assert "The others come no nearer than: “far” 0.0040. Ways that" in found["sentences"][0]
    assert found["sentences"][1].startswith(
        "Each curve alone comes nearest with: RNN 0.0010 (“near”, mean of the last epoch, "
        "overflowed "
    )
    table = found["tables"][0]
    assert [row[:4] for row in table["rows"][:4]] == [
        ["near", "mean of the last epoch, overflowed left out", *of_model]
        for of_model in (
            ["RNN", "0.0010"],
            ["LSTM", "0.0010"],
            ["lstm_keras", "0.0190"],
            # the LSTM nearest to the curve counts, not the one with other gates
            ["all curves", "0.0010"],
        )
    ]
    assert all(len(row) == len(table["head"]) for row in table["rows"])
    assert findings.describe(both, SETTINGS, CURVES[[]])["tables"] == []


def test_the_epoch_after_which_the_mean_is_nearest(scores) -> None:
    theirs = pd.Series([0.53, 0.55], index=[4, 8])  # what the means are after epoch 3 is .567, .7
    assert deviations.nearest_epoch(scores, "rnn", theirs, 4) == (
        2,
        pytest.approx(np.sqrt(((0.5 - 0.53) ** 2 + (1.6 / 3 - 0.55) ** 2) / 2)),
    )
    assert deviations.nearest_epoch(scores, "rnn", pd.Series([0.8], index=[8]), 4)[0] == 1
    said = findings.describe({"a": scores}, SETTINGS, CURVES)["sentences"][2]
    assert said.startswith(
        "“a”: over the 4 epochs, the mean is nearest to the published curve for "
    )


def test_the_figure_shows_each_way_against_zero(scores) -> None:
    other = scores.isel(realization=[0]).assign_attrs(snr_db=15.0)
    told = plot.plot({"a": scores, "b": other}, SETTINGS, CURVES).get_suptitle()
    assert told == "Distance from the published curves: SNR 20 and 15 dB, 1 to 3 realizations"
    assert "fewer than five realizations" in SETTINGS.text
    figure = plot.plot({"a": scores, "b": scores}, SETTINGS, CURVES)
    assert [panel.get_ylabel() for panel in figure.axes] == [
        "a\nTest R² − published", "b\nTest R² − published",
    ]  # fmt: skip
    lines = [line for line in figure.axes[0].lines if line.get_marker() not in ("", "None", None)]
    drawn = {
        tuple(np.round(np.asarray(line.get_ydata(), float), 6))
        for line in lines
        if len(line.get_ydata()) == 2
    }
    last = (np.mean([0.7, 0.8, 0.4]) - CURVES["rnn"][4], 0.75 - CURVES["rnn"][8])
    assert tuple(np.round(last, 6)) in drawn
    legend = [text.get_text() for text in figure.legends[0].get_texts()]
    assert legend == [
        "Mean, last epoch", "Median, last epoch", "Mean, best epoch", "Median, best epoch",
    ]  # fmt: skip


def test_the_command_writes_the_words_too(scores, tmp_path) -> None:
    path = tmp_path / "experiment/scores.nc"
    storage.write(scores.drop_vars("model_label"), path)
    settings = json.dumps({"kind": "reproduction", "published": "figure2"})
    output = tmp_path / "words.md"
    assert main(["figure", str(path), "--settings", settings, "--output", str(output)]) == 0
    text = output.read_text()
    assert text.startswith("Nearest to the published curves") and "| rnn | 8 | 0.9880 |" in text
    assert [p.name for p in tmp_path.iterdir() if p.suffix] == ["words.md"]


def test_a_model_whose_trainings_all_diverged_is_left_out(make_scores) -> None:
    made = make_scores(("rnn", "urnn"), sizes=(4, 8))
    made = made.assign(r2_by_epoch=made["r2"].expand_dims(epoch=[1, 2], axis=-1).copy())
    for name in ("r2", "r2_by_epoch"):
        made[name][0] = np.nan
    made["diverged"][0] = 1
    rnn, urnn = plot.plot({"a": made}, SETTINGS, CURVES).axes
    assert [text.get_text() for text in rnn.texts] == ["all diverged"] and not urnn.texts
    found = findings.describe({"a": made}, SETTINGS, CURVES)
    assert "the curves of URNN" in found["sentences"][0]
    assert any("published curve for URNN after" in said for said in found["sentences"])
    for data, words in (
        (made.sel(model=["rnn"]), "Every training that could be compared"),
        (make_scores(("gru",)), "No model has a published curve."),
        (make_scores(("rnn",), sizes=(2,)), "No size that was trained and published has 4 "),
    ):
        (said,) = findings.describe({"a": data}, SETTINGS, CURVES)["sentences"]
        assert said.startswith(words)
