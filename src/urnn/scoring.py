"""How good a model is: R^2 as the paper defines it, its optimum, intervals over realizations.

Source: Emami, Sahraee-Ardakan, Rangan, Fletcher, "Input-Output Equivalence of Unitary and
Contractive RNNs", NeurIPS 2019, section 5. Everything is accumulated in float64.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from urnn.errors import ArgumentError

if TYPE_CHECKING:
    import xarray as xr

#: The scores that `summarise` averages, where a dataset has them.
SCORES = ("r2", "r2_centred", "accuracy")
#: The scores of a perfect model, one per realization.
OPTIMA = ("r2_optimal", "r2_centred_optimal")
#: The fewest values whose mean has a bootstrap interval in figures and tables.
BOOTSTRAP_FROM = 10


def _real(value: ArrayLike, name: str) -> NDArray[np.float64]:
    array = np.asarray(value)
    if array.dtype.kind not in "biuf":
        raise ArgumentError(f"{name} must hold real numbers, but its type is {array.dtype}")
    if array.size == 0:
        raise ArgumentError(f"{name} is empty: its shape is {array.shape}")
    array = array.astype(np.float64)
    if not np.isfinite(array).all():
        raise ArgumentError(f"{name} has a NaN or an Inf")
    return array


def _pair(
    y: ArrayLike, other: ArrayLike, name: str
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    outputs, others = _real(y, "y"), _real(other, name)
    if outputs.shape != others.shape:
        raise ArgumentError(
            f"{name} must have the shape of y, {outputs.shape}, but has {others.shape}"
        )
    scale = np.abs(outputs).max()
    if scale == 0:
        raise ArgumentError("y is zero everywhere, so R^2 is not defined")
    # in units of the largest output, so that squares neither overflow nor vanish
    with np.errstate(over="ignore"):
        return outputs / scale, others / scale


def _r2(y: NDArray[np.float64], y_hat: NDArray[np.float64]) -> float:
    with np.errstate(over="ignore"):
        return float(1 - np.mean(np.square(y - y_hat)) / np.mean(np.square(y)))


def _r2_centred(y: NDArray[np.float64], y_hat: NDArray[np.float64]) -> float:
    if y.ndim < 2:
        raise ArgumentError(f"y must have the shape (..., time, output), but it has {y.shape}")
    axes = tuple(range(y.ndim - 1))
    first = y[(0,) * len(axes)]
    if (y == first).all():
        raise ArgumentError("y is constant in every output, so the centred R^2 is not defined")
    with np.errstate(over="ignore"):
        residual = np.mean(np.square(y - y_hat))
    return float(1 - residual / np.mean(np.square(y - y.mean(axis=axes))))


def r2(y: ArrayLike, y_hat: ArrayLike) -> float:
    """R^2 = 1 - mean((y - y_hat)^2) / mean(y^2), both means over all trials, steps and outputs.

    This is the paper's score: its optimum at a signal-to-noise ratio of S dB is
    1 / (1 + 10^(-S/10)), which is so for the mean square of y and not for its variance. A perfect
    prediction scores 1, y_hat = 0 scores 0, and there is no lower end.

    Args:
        y: measured outputs, (trial, time, output) or any other shape.
        y_hat: predicted outputs, the same shape and unit.

    Raises:
        ArgumentError: the shapes differ, an array is empty or has a NaN or Inf, or y is all zero;
            the message names the argument.

    Source: the paper, section 5 and the optimum lines of figures 2 and 3.
    """
    return _r2(*_pair(y, y_hat, "y_hat"))


def r2_centred(y: ArrayLike, y_hat: ArrayLike) -> float:
    """R^2 = 1 - sum((y - y_hat)^2) / sum((y - m)^2), m the mean of each output.

    The customary coefficient of determination, with the outputs pooled: m is taken over trials and
    time, the sums over trials, time and outputs. Predicting the mean scores 0. It is at most `r2`,
    because the sum of squares about the mean is at most that about zero.

    Args:
        y: measured outputs, (..., time, output).
        y_hat: predicted outputs, the same shape and unit.

    Raises:
        ArgumentError: as for `r2`, and when y is constant in every output or has fewer than two
            axes.
    """
    return _r2_centred(*_pair(y, y_hat, "y_hat"))


def r2_optimal(y: ArrayLike, y_clean: ArrayLike) -> float:
    """The `r2` of a perfect model on these noisy data: 1 - mean((y - y_clean)^2) / mean(y^2).

    Its expectation is 1 / (1 + 10^(-S/10)) at S dB of mean(y_clean^2) over the noise power. A model
    can pass it by chance, by the order of the fluctuations of the noise.

    Args:
        y: measured outputs, (trial, time, output) or any other shape.
        y_clean: the same outputs before the noise was added.

    Raises:
        ArgumentError: as for `r2`.
    """
    return _r2(*_pair(y, y_clean, "y_clean"))


def r2_centred_optimal(y: ArrayLike, y_clean: ArrayLike) -> float:
    """The `r2_centred` of a perfect model on these noisy data.

    Args:
        y: measured outputs, (..., time, output).
        y_clean: the same outputs before the noise was added.

    Raises:
        ArgumentError: as for `r2_centred`.
    """
    return _r2_centred(*_pair(y, y_clean, "y_clean"))


def accuracy(label: ArrayLike, scores: ArrayLike) -> float:
    """Share of the trials whose label has the highest score.

    Args:
        label: the classes, (trial,), whole numbers from 0.
        scores: of each class, (trial, class).
    """
    return float((np.asarray(scores).argmax(1) == np.asarray(label)).mean())


_FUNCTIONS: dict[str, Callable[[ArrayLike, ArrayLike], float]] = {
    "r2": r2,
    "r2_centred": r2_centred,
    "r2_optimal": r2_optimal,
    "r2_centred_optimal": r2_centred_optimal,
    "accuracy": accuracy,
}


def compute(names: Iterable[str], y: ArrayLike, other: ArrayLike) -> dict[str, float]:
    """The named scores of outputs, or for the optima of the outputs without noise, against y.

    Where y is NaN, it is missing and does not count.
    """
    return {name: _FUNCTIONS[name](*_counted(name, y, other)) for name in names}


def _counted(name: str, y: ArrayLike, other: ArrayLike) -> tuple[ArrayLike, ArrayLike]:
    """y and the other outputs, made equal where y is missing, by what adds nothing to the score."""
    outputs = np.asarray(y)
    if outputs.dtype.kind != "f" or not np.isnan(outputs).any():
        return y, other
    # the mean of each output leaves the sums about it as they are, and 0 those about zero
    centred = "centred" in name
    neutral = np.nanmean(outputs, tuple(range(outputs.ndim - 1)), dtype=float) if centred else 0.0
    missing = np.isnan(outputs)
    return np.where(missing, neutral, outputs), np.where(missing, neutral, np.asarray(other))


def rmse(y: ArrayLike, y_hat: ArrayLike) -> NDArray[np.float64]:
    """Of each output, the root of the mean of (y - y_hat)^2 where y is not NaN, in its unit.

    Both (..., output); returns (output,), NaN where an output has no value.
    """
    squares = np.square(np.asarray(y, float) - np.asarray(y_hat, float))
    axes = tuple(range(squares.ndim - 1))
    counts = np.isfinite(squares).sum(axes)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(np.sqrt(np.nansum(squares, axes) / counts))


def optima(
    names: Iterable[str], y: NDArray, y_clean: NDArray | None
) -> dict[str, NDArray[np.float64]]:
    """The named scores of the outputs without noise on each realization, (realization,).

    Both arrays with the realizations first; nothing is known where y_clean is None.
    """
    if y_clean is None:
        return {}
    pairs = list(zip(y, y_clean, strict=True))
    return {name: np.array([_FUNCTIONS[name](*pair) for pair in pairs]) for name in names}


def bootstrap_interval(
    values: ArrayLike,
    level: float = 0.95,
    resamples: int = 10_000,
    seed: int = 0,
    statistic: Callable[..., NDArray] = np.mean,
) -> tuple[float, float]:
    """Percentile bootstrap interval of the mean: the (1 -+ level) / 2 quantiles of resampled means.

    Deterministic: the same values, in whatever order, and the same seed give the same interval.
    With a handful of values it is narrower than its level says (about sqrt((n - 1) / n) of the
    normal interval), and with fewer than two there is none.

    Args:
        values: one score per realization, (realization,).
        level: the probability the interval is to have, between 0 and 1.
        resamples: how many times the realizations are drawn with replacement.
        seed: of the draw.
        statistic: numpy's function of another one than the mean, such as np.median.

    Returns:
        (lower, upper) in the unit of the values; (NaN, NaN) for fewer than two values.

    Raises:
        ArgumentError: values is not one-dimensional or has a NaN or Inf, level is not between 0 and
            1, or resamples is below 1.

    Source: Efron, Tibshirani, "An Introduction to the Bootstrap", 1993, chapter 13.
    """
    sample = np.asarray(values, dtype=np.float64)
    if sample.ndim != 1:
        raise ArgumentError(f"values must have the shape (realization,), but it has {sample.shape}")
    if not np.isfinite(sample).all():
        raise ArgumentError("values has a NaN or an Inf; leave diverged realizations out first")
    if not 0 < level < 1:
        raise ArgumentError(f"level must be between 0 and 1, but it is {level}")
    if resamples < 1:
        raise ArgumentError(f"resamples must be at least 1, but it is {resamples}")
    n = sample.size
    if n < 2:
        return float("nan"), float("nan")
    sample = np.sort(sample)
    centre = sample[n // 2]  # equal values then have an interval of exactly no width
    drawn = np.random.default_rng(seed).integers(n, size=(resamples, n))
    resampled = statistic((sample - centre)[drawn], axis=1)
    lower, upper = centre + np.quantile(resampled, [(1 - level) / 2, (1 + level) / 2])
    return float(lower), float(upper)


def mean_interval(
    values: ArrayLike, level: float = 0.95, resamples: int = 10_000, seed: int = 0
) -> tuple[float, float]:
    """An interval of the mean that the sample can carry.

    From ten values on the `bootstrap_interval`; for three to nine, where that is too narrow,
    Student's mean -+ t_{n-1} s / sqrt(n); for fewer there is none, (NaN, NaN). Arguments and errors
    are those of `bootstrap_interval`.
    """
    from scipy import stats

    lower, upper = bootstrap_interval(values, level, resamples, seed)
    sample = np.sort(np.asarray(values, dtype=np.float64))
    if sample.size >= BOOTSTRAP_FROM:
        return lower, upper
    if sample.size < 3:
        return float("nan"), float("nan")
    centre = sample[sample.size // 2]  # equal values then have an interval of exactly no width
    mean, error = centre + (sample - centre).mean(), stats.sem(sample - centre)
    reach = float(stats.t.ppf((1 + level) / 2, sample.size - 1) * error)
    return float(mean - reach), float(mean + reach)


def quartiles(values: ArrayLike) -> tuple[float, float]:
    """The bounds of the middle half of the values; (NaN, NaN) of fewer than three."""
    sample = np.asarray(values, dtype=np.float64)
    if sample.size < 3:
        return float("nan"), float("nan")
    lower, upper = np.quantile(sample, [0.25, 0.75])
    return float(lower), float(upper)


def metric(scores: xr.Dataset) -> str:
    """The score that figures and tables show: the first of `SCORES` that there is.

    Raises:
        ArgumentError: there is none.
    """
    present = [name for name in SCORES if name in scores]
    if not present:
        raise ArgumentError(f"scores must have one of {', '.join(SCORES)}")
    return present[0]


def reported(scores: xr.Dataset, name: str) -> xr.DataArray:
    """A score as it enters means and figures: NaN where the training diverged."""
    return scores[name].where(~_diverged(scores))


def ended_by_overflow(scores: xr.Dataset) -> xr.DataArray:
    """Which trainings an overflow ended, also one after the epoch that is kept.

    By the flags of the variable ``ended``; nowhere, where the file has none.
    """
    if "ended" not in scores:
        return scores["kept_epoch" if "kept_epoch" in scores else "diverged"].isin(())
    flags = scores["ended"].attrs
    meanings = dict(zip(flags["flag_meanings"].split(), flags["flag_values"], strict=True))
    return scores["ended"] == meanings["overflow"]


def _diverged(scores: xr.Dataset) -> xr.DataArray:
    return scores["diverged"].fillna(0).astype(bool)


def trainings(scores: xr.Dataset) -> xr.DataArray:
    """(model, hidden_units): on how many realizations a model of this size was trained.

    A training that diverged counts. Where not all sizes have equally many realizations, those that
    were not trained are NaN in ``diverged``; a file without it is asked for any score.
    """
    return _trained(scores).sum("realization", dtype=np.int64)


def _trained(scores: xr.Dataset) -> xr.DataArray:
    """Which were trained: all with a score, and those that diverged."""
    trained = _diverged(scores)
    for name in SCORES:
        if name in scores:
            trained = trained | scores[name].notnull()
    return trained


def summarise(
    scores: xr.Dataset, level: float = 0.95, resamples: int = 10_000, seed: int = 0
) -> xr.Dataset:
    """Mean and interval of every score over the realizations, by the rule for divergence.

    The rule: a realization marked in ``diverged`` is left out of the mean and the interval of its
    (model, hidden_units), and counted. What was not trained, NaN in ``diverged`` too, is left out
    of both. No other may be missing, so nothing is lost silently; only a (model, hidden_units) that
    was not trained at all, NaN throughout, stays NaN with 0 averaged.

    Args:
        scores: with dim ``realization``, ``diverged(model, hidden_units, realization)`` and at
            least one of ``r2``, ``r2_centred``, ``accuracy`` over the same dims (others are kept);
            ``r2_optimal(realization)`` and ``r2_centred_optimal`` if the optimum is known.
        level, resamples, seed: see `mean_interval`.

    Returns:
        For each score s of the dataset ``s_mean`` and ``s_interval`` with the further dim
        ``bound`` ("lower", "upper"); ``s_mean`` of each optimum, over all realizations;
        ``averaged`` and ``diverged``, the numbers of realizations averaged and left out. Scores
        are without units. Coordinates (but for ``realization``) and attributes are kept.

    Raises:
        ArgumentError: a variable or the dim is missing, or a score is NaN or Inf and its
            realization is not marked as diverged; the message says which.
    """
    import xarray as xr

    metric(scores)  # at least one
    present = [name for name in SCORES if name in scores]
    if "diverged" not in scores:
        raise ArgumentError("scores must have the variable diverged")
    if "realization" not in scores["diverged"].dims:
        raise ArgumentError("scores must have the dim realization")
    diverged, trained = _diverged(scores), _trained(scores)
    untrained = scores["diverged"].isnull() & ~trained
    result: dict[str, xr.DataArray] = {}
    for name in present:
        _check_complete(scores[name], diverged | untrained, trained.any("realization"))
        result |= _mean_and_interval(scores[name], diverged | untrained, level, resamples, seed)
    result |= _optima(scores)
    result["averaged"] = (trained & ~diverged).sum("realization", dtype=np.int64)
    result["averaged"].attrs = {"long_name": "number of realizations averaged", "units": "1"}
    result["diverged"] = diverged.sum("realization", dtype=np.int64)
    result["diverged"].attrs = {
        "long_name": "number of realizations left out because training diverged",
        "units": "1",
    }
    kept = {name: coord for name, coord in scores.coords.items() if "realization" not in coord.dims}
    return xr.Dataset(result, coords=kept, attrs=dict(scores.attrs))


def _check_complete(score: xr.DataArray, diverged: xr.DataArray, trained: xr.DataArray) -> None:
    """Refuse a score that is missing where training did not diverge."""
    import xarray as xr

    wrong = ~xr.apply_ufunc(np.isfinite, score) & ~diverged & trained
    if wrong.any():
        first = wrong.where(wrong, drop=True).isel(dict.fromkeys(wrong.dims, 0))
        where = ", ".join(f"{dim} {first[dim].item()}" for dim in wrong.dims)
        raise ArgumentError(
            f"scores: {score.name} is NaN or Inf but not marked as diverged in {int(wrong.sum())} "
            f"place(s), the first at {where}"
        )


def _mean_and_interval(
    score: xr.DataArray, diverged: xr.DataArray, level: float, resamples: int, seed: int
) -> dict[str, xr.DataArray]:
    """The two of one score, by their names."""
    import xarray as xr

    def of_one(values: NDArray[np.float64], left_out: NDArray[np.bool_]) -> NDArray[np.float64]:
        kept = values[~left_out]
        if kept.size == 0 or np.isnan(values).all():
            return np.full(3, np.nan)
        return np.array([kept.mean(), *mean_interval(kept, level, resamples, seed)])

    name = score.name
    both = xr.apply_ufunc(
        of_one,
        score.astype(float),
        diverged,
        input_core_dims=[["realization"], ["realization"]],
        output_core_dims=[["statistic"]],
        vectorize=True,
    )
    mean = both.isel(statistic=0).assign_attrs(
        long_name=f"mean test {name} over the realizations that did not diverge", units="1"
    )
    bounds = both.isel(statistic=slice(1, 3)).rename(statistic="bound")
    bounds = bounds.assign_coords(bound=["lower", "upper"]).assign_attrs(
        long_name=f"{100 * level:g} % interval of {name}_mean", units="1"
    )
    return {f"{name}_mean": mean, f"{name}_interval": bounds}


def _optima(scores: xr.Dataset) -> dict[str, xr.DataArray]:
    """The means of the optima that are known."""
    found = {}
    for name in OPTIMA:
        if name in scores:
            if not np.isfinite(scores[name]).all():
                raise ArgumentError(f"scores: {name} has a NaN or an Inf")
            found[f"{name}_mean"] = scores[name].mean("realization", keep_attrs=True)
    return found
