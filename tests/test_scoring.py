"""R^2, its optimum, intervals, and the rule for diverged realizations."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from urnn import scoring

shapes = st.tuples(st.integers(1, 4), st.integers(2, 6), st.integers(1, 3))
seeds = st.integers(0, 2**32 - 1)


def outputs(seed: int, shape: tuple[int, ...], mean: float = 0.0) -> np.ndarray:
    return np.random.default_rng(seed).normal(mean, 1, shape)


@given(seeds, shapes)
def test_a_perfect_prediction_scores_one(seed, shape):
    y = outputs(seed, shape)
    assert scoring.r2(y, y) == scoring.r2_centred(y, y) == 1


@given(seeds, shapes, st.floats(-5, 5))
def test_zero_scores_zero_and_the_mean_scores_zero_centred(seed, shape, mean):
    y = outputs(seed, shape, mean)
    assert scoring.r2(y, np.zeros(shape)) == 0
    means = np.broadcast_to(y.mean(axis=(0, 1)), shape)
    assert scoring.r2_centred(y, means) == pytest.approx(0, abs=1e-12)


@given(seeds, shapes)
def test_r2_is_the_definition(seed, shape):
    y, y_hat = outputs(seed, shape, 1.0), outputs(seed + 1, shape)
    rest = np.sum((y - y_hat) ** 2)
    assert scoring.r2(y, y_hat) == pytest.approx(1 - rest / np.sum(y**2))
    about_mean = sum(np.sum((y[..., k] - y[..., k].mean()) ** 2) for k in range(shape[-1]))
    assert scoring.r2_centred(y, y_hat) == pytest.approx(1 - rest / about_mean)
    assert scoring.r2_centred(y, y_hat) <= scoring.r2(y, y_hat) + 1e-12


@given(seeds, shapes, st.floats(-100, 100).filter(lambda s: abs(s) > 0.01), seeds)
def test_unit_and_order_of_trials_and_steps_do_not_matter(seed, shape, scale, order):
    y, y_hat = outputs(seed, shape, 1.0), outputs(seed + 1, shape)
    shuffle = np.random.default_rng(order)
    trials, steps = shuffle.permutation(shape[0]), shuffle.permutation(shape[1])
    for score in (scoring.r2, scoring.r2_centred):
        changed = score(scale * y[trials][:, steps], scale * y_hat[trials][:, steps])
        assert changed == pytest.approx(score(y, y_hat), rel=1e-9)


@given(seeds, shapes, st.floats(-5, 5))
def test_the_centred_score_does_not_see_an_offset(seed, shape, offset):
    y, y_hat = outputs(seed, shape), outputs(seed + 1, shape)
    moved = scoring.r2_centred(y + offset, y_hat + offset)
    assert moved == pytest.approx(scoring.r2_centred(y, y_hat), rel=1e-6)


@pytest.mark.parametrize("scale", [1e-200, 1e200])
def test_no_overflow_and_no_underflow(scale):
    y, y_hat = outputs(0, (2, 5, 2)), outputs(1, (2, 5, 2))
    assert scoring.r2(scale * y, scale * y_hat) == pytest.approx(scoring.r2(y, y_hat))


def test_float32_is_accumulated_in_float64():
    y = np.full((300, 1000, 2), 0.1, np.float32)
    y_hat = y * np.float32(1.01)
    exact = 1 - np.mean((y - y_hat.astype(float)) ** 2) / np.mean(y.astype(float) ** 2)
    assert scoring.r2(y, y_hat) == pytest.approx(exact, abs=1e-13)


@pytest.mark.parametrize("snr_db", [0.0, 15.0, 20.0])
def test_the_optimum_is_that_of_the_published_lines(snr_db):
    rng = np.random.default_rng(1)
    y_clean = rng.standard_normal((100, 1000, 2)) + 2
    power = np.mean(y_clean**2) * 10 ** (-snr_db / 10)
    y = y_clean + rng.normal(0, np.sqrt(power), y_clean.shape)
    expected = 1 / (1 + 10 ** (-snr_db / 10))
    spread = (1 - expected) * np.sqrt(2 / y.size)
    assert scoring.r2_optimal(y, y_clean) == pytest.approx(expected, abs=6 * spread)
    assert scoring.r2_centred_optimal(y, y_clean) < scoring.r2_optimal(y, y_clean)


GOOD = np.ones((2, 3, 1))


@pytest.mark.parametrize("score", [scoring.r2, scoring.r2_centred])
@pytest.mark.parametrize(
    ("y", "y_hat", "words"),
    [
        (GOOD, np.ones((2, 3)), "y_hat must have the shape of y"),
        (GOOD, np.ones((1, 3, 1)), "y_hat must have the shape of y"),
        (np.full((2, 3, 1), np.nan), GOOD, "y has a NaN"),
        (GOOD, np.full((2, 3, 1), np.inf), "y_hat has a NaN or an Inf"),
        (np.ones((0, 3, 1)), np.ones((0, 3, 1)), "y is empty"),
        (np.zeros((2, 3, 1)), GOOD, "y is zero everywhere"),
        (GOOD * 1j, GOOD, "y must hold real numbers"),
        (GOOD, np.array([["a"]]), "y_hat must hold real numbers"),
    ],
)
def test_wrong_arrays_are_named(score, y, y_hat, words):
    with pytest.raises(ValueError, match=words):
        score(y, y_hat)


def test_other_wrong_arrays():
    with pytest.raises(ValueError, match="y_clean has a NaN"):
        scoring.r2_optimal(GOOD, GOOD * np.nan)
    with pytest.raises(ValueError, match="constant"):
        scoring.r2_centred(GOOD, GOOD)
    with pytest.raises(ValueError, match="time, output"):
        scoring.r2_centred(np.arange(3.0), np.arange(3.0))


samples = arrays(float, st.integers(2, 12), elements=st.floats(-10, 10, width=32))


@settings(max_examples=30, deadline=None)
@given(samples, seeds)
def test_the_interval_is_deterministic_and_within_the_values(values, seed):
    lower, upper = scoring.bootstrap_interval(values, resamples=500, seed=seed)
    again = scoring.bootstrap_interval(values[::-1], resamples=500, seed=seed)
    assert (lower, upper) == again
    assert values.min() - 1e-12 <= lower <= upper <= values.max() + 1e-12


def test_the_interval_of_equal_values_has_no_width():
    assert scoring.bootstrap_interval([0.1] * 7) == (0.1, 0.1)


def test_a_higher_level_is_wider():
    values = outputs(3, (30,))
    narrow = scoring.bootstrap_interval(values, level=0.5)
    wide = scoring.bootstrap_interval(values, level=0.99)
    assert wide[0] < narrow[0] < values.mean() < narrow[1] < wide[1]


def test_the_interval_covers_the_mean_as_often_as_it_says():
    trials = outputs(4, (400, 30), mean=2.0)
    bounds = [
        scoring.bootstrap_interval(row, resamples=1000, seed=i) for i, row in enumerate(trials)
    ]
    covered = np.mean([lower <= 2 <= upper for lower, upper in bounds])
    assert 0.90 < covered < 0.98  # 0.95, a little less for 30 values; 400 trials: +-0.022


def test_the_interval_agrees_with_scipy():
    from scipy import stats

    values = outputs(5, (30,))
    theirs = stats.bootstrap(
        (values,), np.mean, method="percentile", n_resamples=50_000, rng=1
    ).confidence_interval
    ours = scoring.bootstrap_interval(values, resamples=50_000)
    assert ours == pytest.approx(tuple(theirs), abs=0.01)


@pytest.mark.parametrize("values", [[], [0.5]])
def test_no_interval_of_fewer_than_two(values):
    assert np.isnan(scoring.bootstrap_interval(values)).all()


def test_a_small_sample_has_the_wider_interval_of_students_t():
    from scipy import stats

    values = outputs(6, (30,))
    for size in (10, 30):
        some = values[:size]
        assert scoring.mean_interval(some) == scoring.bootstrap_interval(some)
    assert np.isnan(scoring.mean_interval(values[:2])).all()
    for size in (3, 5, 9):
        few = values[:size]
        theirs = stats.ttest_1samp(few, 0).confidence_interval(0.95)
        assert scoring.mean_interval(few) == pytest.approx(tuple(theirs), abs=1e-12)
    assert scoring.mean_interval([0.1] * 5) == (0.1, 0.1)
    trials = outputs(7, (400, 3), mean=2.0)
    bounds = [scoring.mean_interval(row) for row in trials]
    covered = np.mean([lower <= 2 <= upper for lower, upper in bounds])
    assert 0.92 < covered < 0.98


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"values": [0.1, np.nan]}, "NaN"),
        ({"values": [[0.1, 0.2]]}, "shape"),
        ({"values": [0.1, 0.2], "level": 95}, "level"),
        ({"values": [0.1, 0.2], "resamples": 0}, "resamples"),
    ],
)
def test_wrong_arguments_of_the_interval(arguments, words):
    with pytest.raises(ValueError, match=words):
        scoring.bootstrap_interval(**arguments)


def make_scores(realizations: int = 5) -> xr.Dataset:
    rng = np.random.default_rng(0)
    dims = ("model", "hidden_units", "realization")
    r2 = 0.95 + 0.01 * rng.standard_normal((2, 3, realizations))
    diverged = np.zeros(r2.shape, np.int8)
    diverged[0, 1, 2] = 1
    diverged[1, 2, :] = 1
    r2[diverged == 1] = np.nan
    return xr.Dataset(
        {
            "r2": (dims, r2),
            "r2_centred": (dims, r2 - 0.01),
            "diverged": (dims, diverged),
            "r2_optimal": ("realization", np.linspace(0.990, 0.991, realizations)),
        },
        coords={
            "model": ["rnn", "urnn"],
            "hidden_units": [2, 4, 8],
            "realization": np.arange(realizations),
            "model_label": ("model", ["RNN", "URNN"]),
        },
        attrs={"experiment": "e"},
    )


def test_diverged_realizations_are_left_out_and_counted():
    scores = make_scores()
    summary = scoring.summarise(scores)
    assert summary["averaged"].values.tolist() == [[5, 4, 5], [5, 5, 0]]
    assert summary["diverged"].values.tolist() == [[0, 1, 0], [0, 0, 5]]
    cell = {"model": "rnn", "hidden_units": 4}
    kept = scores["r2"].sel(cell).dropna("realization").values
    assert float(summary["r2_mean"].sel(cell)) == kept.mean()
    interval = summary["r2_interval"].sel(cell)
    assert interval["bound"].values.tolist() == ["lower", "upper"]
    assert tuple(interval.values) == scoring.mean_interval(kept)
    gone = summary.sel(model="urnn", hidden_units=8)
    assert np.isnan(gone["r2_mean"]) and np.isnan(gone["r2_interval"]).all()
    assert float(summary["r2_optimal_mean"]) == pytest.approx(0.9905)
    assert summary["model_label"].values.tolist() == ["RNN", "URNN"]
    assert summary.attrs == {"experiment": "e"}


def test_a_finite_score_of_a_diverged_realization_is_left_out_too():
    scores = make_scores()
    filled = scores.assign(r2=scores["r2"].fillna(-1e9))
    xr.testing.assert_equal(
        scoring.summarise(filled)["r2_mean"], scoring.summarise(scores)["r2_mean"]
    )


def test_a_missing_score_is_never_silent():
    scores = make_scores()
    scores["r2"][0, 2, 3] = np.nan
    with pytest.raises(ValueError, match="model rnn, hidden_units 8, realization 3"):
        scoring.summarise(scores)


def test_without_an_optimum_there_is_no_mean_of_it():
    scores = make_scores()
    summary = scoring.summarise(scores.drop_vars("r2_optimal"))
    assert "r2_optimal_mean" not in summary
    xr.testing.assert_identical(summary, scoring.summarise(scores).drop_vars("r2_optimal_mean"))


def test_what_is_reported_and_which_score_is_shown():
    scores = make_scores()
    scores["r2"][0, 1, 2] = -1e9  # diverged
    reported = scoring.reported(scores, "r2")
    np.testing.assert_array_equal(reported.isnull(), scores["diverged"] == 1)
    assert scoring.metric(scores) == "r2"
    assert scoring.metric(scores.rename(r2="accuracy")) == "r2_centred"
    assert scoring.metric(scores.rename(r2="accuracy").drop_vars("r2_centred")) == "accuracy"


def test_a_size_that_was_not_trained_stays_empty():
    scores = make_scores()
    for name in ("r2", "r2_centred"):
        scores[name][0, 0] = np.nan
    summary = scoring.summarise(scores)
    assert summary["averaged"].values[0, 0] == summary["diverged"].values[0, 0] == 0
    assert np.isnan(summary["r2_mean"].values[0, 0])


def test_realizations_that_were_not_trained_are_left_out_of_one_size():
    scores = make_scores()
    scores["diverged"] = scores["diverged"].astype(float)
    for name in ("r2", "r2_centred", "diverged"):
        scores[name][0, 0, 1:] = np.nan
    summary = scoring.summarise(scores)
    assert summary["averaged"].values[0, 0] == 1 and summary["diverged"].values[0, 0] == 0
    assert summary["r2_mean"].values[0, 0] == scores["r2"].values[0, 0, 0]
    counts = scoring.trainings(scores)
    assert counts.values[0, 0] == 1
    assert (counts.values.ravel()[1:] == scores.sizes["realization"]).all()


def test_further_dims_are_kept():
    scores = make_scores()
    both = xr.concat([scores, scores], xr.IndexVariable("rate", ["a", "b"]), data_vars="minimal")
    both = both.assign(
        {name: scores[name].expand_dims(rate=["a", "b"]) for name in ("r2", "diverged")}
    )
    summary = scoring.summarise(both)
    alone = scoring.summarise(scores)["r2_mean"]
    for rate in ("a", "b"):
        of_rate = summary["r2_mean"].sel(rate=rate, drop=True)
        xr.testing.assert_equal(of_rate.transpose(*alone.dims), alone)


@pytest.mark.parametrize(
    ("broken", "words"),
    [
        (lambda s: s.drop_vars(["r2", "r2_centred"]), "one of r2"),
        (lambda s: s.drop_vars("diverged"), "diverged"),
        (lambda s: s.isel(realization=0), "realization"),
        (lambda s: s.assign(r2_optimal=s["r2_optimal"] * np.nan), "r2_optimal"),
    ],
)
def test_scores_that_do_not_fit(broken, words):
    with pytest.raises(ValueError, match=words):
        scoring.summarise(broken(make_scores()))
