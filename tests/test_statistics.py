"""Paired comparisons: against their definitions, and on scores whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from urnn import statistics
from urnn.errors import DataError

SIZES = [2, 4, 8]


def make_scores(rnn: np.ndarray, urnn: np.ndarray, optimum: float = 0.99) -> xr.Dataset:
    """Scores (hidden_units, realization) of an RNN and a URNN; NaN: diverged."""
    r2 = np.stack([rnn, urnn])
    dims = ("model", "hidden_units", "realization")
    return xr.Dataset(
        {
            "r2": (dims, r2),
            "diverged": (dims, np.isnan(r2).astype(np.int8)),
            "r2_optimal": ("realization", np.full(r2.shape[2], optimum)),
        },
        coords={
            "model": ["rnn", "urnn"],
            "hidden_units": SIZES[: r2.shape[1]],
            "realization": np.arange(r2.shape[2]),
            "state_factor": ("model", [1, 2]),
            "model_label": ("model", ["RNN", "URNN"]),
        },
        attrs={"snr_db": 20.0},
    )


def noisy(*means: float, spread: float = 1e-4, realizations: int = 20, seed: int = 0) -> np.ndarray:
    random = np.random.default_rng(seed)
    return np.array(means)[:, None] + spread * random.standard_normal((len(means), realizations))


@given(st.integers(0, 2**32 - 1), st.floats(-0.02, 0.02))
def test_difference_is_antisymmetric_and_follows_a_shift(seed: int, shift: float) -> None:
    random = np.random.default_rng(seed)
    a, b = random.normal(0.9, 0.01, (2, 12))
    there, back = (statistics.paired_difference(*pair, 0.005) for pair in ((a, b), (b, a)))
    assert there.mean == pytest.approx(-back.mean, abs=1e-15)
    assert there.p_value == pytest.approx(back.p_value)
    assert there.lower <= there.mean <= there.upper
    moved = statistics.paired_difference(a + shift, b, 0.005)
    assert moved.mean == pytest.approx(there.mean + shift)
    assert moved.upper - moved.lower == pytest.approx(there.upper - there.lower)


def test_equivalence_holds_its_level_and_has_power() -> None:
    """At a true difference of exactly the margin it says "equal" in 5 % of the cases, not more."""
    random = np.random.default_rng(0)
    said = {0.0: 0, 0.005: 0}
    for true in said:
        for _ in range(2000):
            d = true + 0.002 * random.standard_normal(15)
            a = random.normal(0.9, 0.05, 15)
            # the interval is not needed here, and it is most of the time
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(statistics, "mean_interval", lambda values: (0.0, 0.0))
                said[true] += statistics.paired_difference(a + d, a, 0.005).equivalent
    assert said[0.0] == 2000
    assert 60 < said[0.005] < 145


def test_edges_of_a_paired_difference() -> None:
    same = statistics.paired_difference([0.5, 0.6], [0.5, 0.6], 0.001)
    assert (same.mean, same.p_value, same.equivalent, same.pairs) == (0, 0, True, 2)
    apart = statistics.paired_difference([0.5, 0.75], [0.25, 0.5], 0.001)
    assert (apart.mean, apart.p_value, apart.equivalent) == (0.25, 1, False)
    missing = statistics.paired_difference([0.5, np.nan, 0.5], [0.4, 0.4, np.nan], 0.001)
    assert missing.pairs == 1 and np.isnan(missing.mean) and not missing.equivalent
    with pytest.raises(ValueError, match="one shape"):
        statistics.paired_difference([0.5], [0.5, 0.6], 0.1)
    with pytest.raises(ValueError, match="margin must be positive, but it is 0"):
        statistics.paired_difference([0.5], [0.5], 0)


def test_reference_is_compared_with_as_many_and_with_twice_as_many() -> None:
    scores = make_scores(noisy(0.9, 0.98, 0.99), noisy(0.8, 0.9, 0.98, seed=1))
    rows = {(r.factor, r.hidden_units): r.difference for r in statistics.comparisons(
        scores, "rnn", 0.005)}  # fmt: skip
    assert {*rows} == {(1, 2), (1, 4), (1, 8), (2, 2), (2, 4)}
    assert rows[1, 4].mean == pytest.approx(0.08, abs=1e-3) and not rows[1, 4].equivalent
    assert rows[2, 4].mean == pytest.approx(0.0, abs=1e-3) and rows[2, 4].equivalent
    with pytest.raises(ValueError, match="'gru' is not among the models scored: rnn, urnn"):
        statistics.comparisons(scores, "gru", 0.005)


def test_smallest_sizes_and_their_ratio() -> None:
    nan = np.nan
    rnn = np.array([[0.9, 0.98, 0.9, 0.9], [0.98, 0.98, 0.98, 0.9], [0.98, 0.98, 0.98, nan]])
    urnn = np.array([[0.9, 0.9, 0.9, 0.9], [0.9, 0.98, 0.9, 0.9], [0.98, 0.98, 0.9, 0.9]])
    scores = make_scores(rnn, urnn)
    sizes = statistics.smallest_sizes(scores, 0.011)
    inf = np.inf
    np.testing.assert_array_equal(sizes, [[4, 2, 4, inf], [8, 4, inf, inf]])
    ratio = statistics.state_ratio(sizes, "urnn", "rnn")
    assert ratio.mean == pytest.approx(2) and ratio.median == 2
    assert np.isnan(ratio.lower) and np.isnan(ratio.upper)  # of two values
    assert (ratio.both, ratio.only_reference, ratio.only_model, ratio.neither) == (2, 1, 0, 1)
    assert np.isnan(statistics.state_ratio(sizes.isel(realization=[3]), "urnn", "rnn").mean)
    # the order of the sizes in the file does not matter
    shuffled = scores.isel(hidden_units=[2, 0, 1])
    np.testing.assert_array_equal(statistics.smallest_sizes(shuffled, 0.011), sizes)


@pytest.mark.parametrize(
    ("urnn", "median"), [([4, np.inf, np.inf], np.inf), ([2, 4, 8, np.inf], 2), ([8, 2, 4], 2)]
)
def test_the_median_ratio_counts_what_is_censored(urnn: list[float], median: float) -> None:
    """Of an even number of ratios it is the lower of the middle two."""
    values = np.array([np.full(len(urnn), 2.0), urnn])
    sizes = xr.DataArray(values, {"model": ["rnn", "urnn"]}, ("model", "realization"))
    assert statistics.state_ratio(sizes, "urnn", "rnn").median == median


def test_gap_is_paired_with_each_realizations_optimum() -> None:
    scores = make_scores(noisy(0.98), noisy(0.98))
    drift = np.linspace(-0.01, 0.01, 20)
    scores["r2"] = scores["r2"] + xr.DataArray(drift, dims="realization")
    scores["r2_optimal"] = scores["r2_optimal"] + xr.DataArray(drift, dims="realization")
    mean, lower, upper = statistics.gap_to_optimum(scores, "rnn", 2)
    assert lower <= mean <= upper and upper - lower < 2e-4  # not the spread of the optimum
    assert mean == pytest.approx(0.01, abs=1e-4)
    scores["diverged"][:] = 1
    assert np.isnan(statistics.gap_to_optimum(scores, "rnn", 2)).all()


def test_stalled_is_worse_than_a_smaller_one_of_the_same_model() -> None:
    nan = np.nan
    rnn = np.array([[0.9, 0.9, 0.9], [0.95, nan, 0.89], [0.9, 0.87, 0.95]])
    scores = make_scores(rnn, np.full_like(rnn, 0.5))
    expected = [[False] * 3, [False] * 3, [True, True, False]]
    np.testing.assert_array_equal(statistics.stalled(scores, 0.02).sel(model="rnn"), expected)
    shuffled = scores.isel(hidden_units=[2, 0, 1])
    np.testing.assert_array_equal(
        statistics.stalled(shuffled, 0.02).sel(model="rnn"), np.array(expected)[[2, 0, 1]]
    )
    found = statistics.failures(scores, 0.02)
    assert [part.count for part in found["rnn"]] == [1, 2] and found["rnn"][0].trainings == 9
    assert [part.count for part in found["urnn"]] == [0, 0]


def test_wilsons_interval() -> None:
    # Newcombe, Statistics in Medicine 17, 1998, table I: 81 of 263
    part = statistics.share(81, 263)
    assert (round(part.lower, 4), round(part.upper, 4)) == (0.2553, 0.3662)
    assert statistics.share(0, 30).lower == 0 and statistics.share(0, 30).upper > 0.1
    assert np.isnan(statistics.share(0, 0).share)


def test_what_needs_the_optimum_says_so() -> None:
    scores = make_scores(noisy(0.9, 0.98), noisy(0.8, 0.9)).drop_vars("r2_optimal")
    for ask in (
        lambda: statistics.gaps(scores),
        lambda: statistics.gap_to_optimum(scores, "rnn", 2),
        lambda: statistics.smallest_sizes(scores, 0.01),
    ):
        with pytest.raises(DataError, match="the score of a perfect model is not known"):
            ask()
    assert len(statistics.comparisons(scores, "rnn", 0.005)) == 3
    assert statistics.failures(scores, 0.02)["rnn"][1].count == 0


def test_geometric_mean_and_interval() -> None:
    assert statistics.geometric_mean([1.0, 4.0]) == pytest.approx(2)
    assert np.isnan(statistics.geometric_mean([]))
    lower, upper = statistics.geometric_interval([1.0, 4.0, 2.0])
    assert lower * upper == pytest.approx(4) and 0 < lower < 1  # t of three values, in logarithms
    lower, upper = statistics.geometric_interval([1.0, 4.0, 2.0] * 5)
    assert 1 < lower < 2 < upper < 4
    assert np.isnan(statistics.geometric_interval([2.0])).all()
