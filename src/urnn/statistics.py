"""What scores of the same realizations say about two models: differences, sizes, failed trainings.

Everything is paired: the models of an experiment were trained and scored on the same realizations,
and a realization enters a comparison only if neither training diverged. All functions take scores
as `urnn.scoring.summarise` does: r2, diverged (model, hidden_units, realization), state_factor
(model) and, where the optimum is known, r2_optimal (realization).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from urnn.errors import ArgumentError, DataError
from urnn.scoring import mean_interval, reported

if TYPE_CHECKING:
    import xarray as xr

#: Why something cannot be said, as a part of a sentence.
NO_OPTIMUM = "for the scores have no r2_optimal: the score of a perfect model is not known"


@dataclass(frozen=True)
class PairedDifference:
    """Mean of the differences over pairs, without units."""

    mean: float
    #: 95 % interval of the mean
    lower: float
    upper: float
    #: of the hypothesis that the mean differs from zero by the margin or more
    p_value: float
    #: whether p_value is below 0.05: equal within the margin
    equivalent: bool
    pairs: int
    #: the differences themselves, (pairs,)
    values: NDArray[np.float64] = field(repr=False, compare=False)


def paired_difference(first: ArrayLike, second: ArrayLike, margin: float) -> PairedDifference:
    """Mean of first - second, its `mean_interval`, and whether it is within +-margin.

    Equivalence is tested by two one-sided paired t-tests: p is the larger of the p-values of
    "mean <= -margin" and "mean >= margin", so a large p says nothing but that equality was not
    shown. Pairs with a NaN are left out; with fewer than two, all but ``pairs`` is NaN,
    and with two the interval.

    Args:
        first, second: one score per realization, (realization,), in the same order.
        margin: the largest difference that counts as none, in the unit of the scores, above 0.

    Raises:
        ArgumentError: the shapes differ or margin is not positive.

    Source: Schuirmann, "A comparison of the two one-sided tests procedure and the power approach",
    J. Pharmacokinetics and Biopharmaceutics 15, 1987.
    """
    a, b = np.asarray(first, float), np.asarray(second, float)
    if a.ndim != 1 or a.shape != b.shape:
        raise ArgumentError(f"the scores must have one shape (realization,): {a.shape}, {b.shape}")
    if not margin > 0:
        raise ArgumentError(f"margin must be positive, but it is {margin}")
    d = (a - b)[np.isfinite(a - b)]
    if d.size < 2:
        nan = float("nan")
        return PairedDifference(nan, nan, nan, nan, False, d.size, d)
    mean = float(d.mean())
    if np.ptp(d) == 0:  # no variation, no t: the mean is known exactly
        p = 0.0 if abs(mean) < margin else 1.0
    else:
        above = stats.ttest_1samp(d, -margin, alternative="greater").pvalue
        below = stats.ttest_1samp(d, margin, alternative="less").pvalue
        p = float(max(above, below))
    return PairedDifference(mean, *mean_interval(d), p, p < 0.05, d.size, d)


@dataclass(frozen=True)
class Comparison:
    """reference(hidden_units) against model(factor hidden_units): score of the first - second."""

    reference: str
    model: str
    factor: int
    hidden_units: int
    difference: PairedDifference


def comparisons(scores: xr.Dataset, reference: str, margin: float) -> list[Comparison]:
    """The reference of n hidden units against every model that may need more, of n and of more.

    Those are the models with a ``state_factor`` f above 1 (a URNN: 2, by theorems 1 and 2); with
    f n hidden units they can do what the reference can with n. Sizes not trained are left out.
    """
    found = []
    sizes = [int(n) for n in scores["hidden_units"].values]
    r2 = reported(scores, "r2")
    for model in challengers(scores, reference):
        for factor in (1, int(scores["state_factor"].sel(model=model))):
            for n in sizes:
                if factor * n in sizes:
                    ours = r2.sel(model=reference, hidden_units=n).values
                    theirs = r2.sel(model=model, hidden_units=factor * n).values
                    difference = paired_difference(ours, theirs, margin)
                    found.append(Comparison(reference, model, factor, n, difference))
    return found


def gaps(scores: xr.Dataset) -> xr.DataArray:
    """(model, hidden_units, realization): r2_optimal - r2, NaN where the training diverged.

    The optimum is that of each realization's own noise. A gap can be below 0: the score of one data
    set fluctuates.

    Raises:
        DataError: the optimum is not known.
    """
    if "r2_optimal" not in scores:
        raise DataError(f"the gap to the optimum cannot be computed, {NO_OPTIMUM}")
    return scores["r2_optimal"] - reported(scores, "r2")


def gap_to_optimum(scores: xr.Dataset, model: str, hidden_units: int) -> tuple[float, float, float]:
    """Mean of the `gaps` over the realizations, and its 95 % interval.

    NaN where every training diverged.
    """
    gap = gaps(scores).sel(model=model, hidden_units=hidden_units).values
    gap = gap[np.isfinite(gap)]
    if gap.size == 0:
        return (float("nan"),) * 3
    return float(gap.mean()), *mean_interval(gap)


def smallest_sizes(scores: xr.Dataset, margin: float) -> xr.DataArray:
    """(model, realization): the fewest hidden units whose r2 is within the margin of the optimum.

    Inf where no size that was trained came so near (censored: it would take more, or a better
    training); a diverged training counts as not near.

    Raises:
        DataError: the optimum is not known.
    """
    import xarray as xr

    if "r2_optimal" not in scores:
        raise DataError(f"no size can be compared with the optimum, {NO_OPTIMUM}")
    near = reported(scores, "r2") >= scores["r2_optimal"] - margin
    sizes = scores["hidden_units"].astype(float)
    return xr.where(near, sizes, np.inf).min("hidden_units").transpose("model", "realization")


def geometric_mean(values: ArrayLike) -> float:
    """exp(mean(log values)) of positive values (realization,); NaN of none."""
    logs = np.log(np.asarray(values, float))
    return float(np.exp(logs.mean())) if logs.size else float("nan")


def geometric_interval(values: ArrayLike) -> tuple[float, float]:
    """The 95 % interval of the `geometric_mean`; NaN of fewer than three values."""
    lower, upper = np.exp(mean_interval(np.log(np.asarray(values, float))))
    return float(lower), float(upper)


@dataclass(frozen=True)
class StateRatio:
    """How many times the hidden units of the reference a model needs, over realizations."""

    #: geometric mean over realizations where both came near, and its 95 % interval
    mean: float
    lower: float
    upper: float
    #: median over realizations where at least one came near; the other's size is then infinite
    median: float
    #: realizations where both came near, only the reference, only the model, neither
    both: int
    only_reference: int
    only_model: int
    neither: int
    #: the ratios of the realizations where both came near, (both,)
    values: NDArray[np.float64] = field(repr=False, compare=False)


def state_ratio(sizes: xr.DataArray, model: str, reference: str) -> StateRatio:
    """The ratio of `smallest_sizes` of a model and a reference, paired by realization.

    The geometric mean leaves out what is censored, so beside it stands the median, which does not.
    """
    top, bottom = (sizes.sel(model=name).values for name in (model, reference))
    a, b = np.isfinite(top), np.isfinite(bottom)
    both = top[a & b] / bottom[a & b]
    known = a | b
    median = float("nan")
    if known.any():
        # the lower of the middle two, so that no average with infinity is taken
        ratios = np.sort(top[known] / bottom[known])
        median = float(ratios[(ratios.size - 1) // 2])
    return StateRatio(
        geometric_mean(both),
        *geometric_interval(both),
        median,
        both=both.size,
        only_reference=int((b & ~a).sum()),
        only_model=int((a & ~b).sum()),
        neither=int((~a & ~b).sum()),
        values=both,
    )


def stalled(scores: xr.Dataset, distance: float) -> xr.DataArray:
    """(model, hidden_units, realization) bool: trainings that ended where fewer units did better.

    A training stalled if its r2 is lower by more than the distance than that of the same model
    with fewer hidden units on the same realization: the larger model contains the smaller one, so
    its training failed, not its expressiveness. The smallest size can thus not be found stalled,
    nor can a training that diverged.
    """
    r2 = reported(scores, "r2").sortby("hidden_units")
    axis = r2.get_axis_num("hidden_units")
    best = np.fmax.accumulate(r2.values, axis=axis)
    failed = r2.copy(data=r2.values < best - distance)
    return failed.sel(hidden_units=scores["hidden_units"])


@dataclass(frozen=True)
class Share:
    """A count of trainings, and the share with its 95 % Wilson interval."""

    count: int
    trainings: int
    share: float
    lower: float
    upper: float


def share(count: int, trainings: int) -> Share:
    """count / trainings with Wilson's interval; NaN for no trainings.

    Source: Wilson, "Probable inference, the law of succession, and statistical inference", J. Am.
    Stat. Assoc. 22, 1927.
    """
    if trainings == 0:
        return Share(0, 0, float("nan"), float("nan"), float("nan"))
    interval = stats.binomtest(count, trainings).proportion_ci(0.95, method="wilson")
    return Share(count, trainings, count / trainings, float(interval.low), float(interval.high))


def failures(scores: xr.Dataset, distance: float) -> dict[str, tuple[Share, Share]]:
    """By model: the shares of trainings that diverged and that `stalled`, all sizes together.

    One training is counted per realization and size, the one that is reported; of restarts that
    were not chosen nothing is said.
    """
    diverged = scores["diverged"].fillna(0).astype(bool)
    failed = stalled(scores, distance)
    known = reported(scores, "r2").notnull()
    found = {}
    for name in scores["model"].values:
        trained = int((known | diverged).sel(model=name).sum())
        counts = (int(flag.sel(model=name).sum()) for flag in (diverged, failed))
        over, low = (share(count, trained) for count in counts)
        found[str(name)] = (over, low)
    return found


def challengers(scores: xr.Dataset, reference: str) -> list[str]:
    """The models that may need more hidden units than the reference for the same map.

    Raises:
        ArgumentError: the reference is not among the models.
    """
    if reference not in scores["model"].values:
        names = ", ".join(map(str, scores["model"].values))
        raise ArgumentError(f"the reference {reference!r} is not among the models scored: {names}")
    return [
        str(name)
        for name in scores["model"].values
        if name != reference and int(scores["state_factor"].sel(model=name)) > 1
    ]
