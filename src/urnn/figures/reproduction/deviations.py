"""How far our scores are from published curves, for each way in which those may have come about."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from itertools import product
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from urnn.scoring import BOOTSTRAP_FROM, bootstrap_interval, mean_interval, reported

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

#: of the bootstrap
_RESAMPLES, _SEED = 10_000, 0


@dataclass(frozen=True)
class Way:
    """How a point of a curve is made from the trainings of a model of one size."""

    #: "last": the score after the last epoch; "best": after the epoch of the lowest test loss
    epoch: str
    #: "mean" or "median" over the realizations
    statistic: str
    #: one of `TREATMENTS`
    treatment: str

    @property
    def short(self) -> str:
        """For legends."""
        return f"{self.statistic.capitalize()}, {self.epoch} epoch"

    @property
    def label(self) -> str:
        """For sentences and tables."""
        return f"{self.statistic} of the {self.epoch} epoch, {self.treatment}"


#: of trainings that overflowed: they are left out, or count with a score of an epoch before; or
#: those that stalled are left out too
LEFT_OUT, COUNTED, FAILED_LEFT_OUT = TREATMENTS = (
    "overflowed left out",
    "overflowed counted",
    "overflowed and stalled left out",
)


def _median_interval(values: ArrayLike) -> tuple[float, float]:
    """95 % percentile bootstrap interval of the median; none of fewer than ten values."""
    if np.size(values) < BOOTSTRAP_FROM:
        return float("nan"), float("nan")
    return bootstrap_interval(values, statistic=np.median)


#: by statistic
INTERVALS = {"mean": mean_interval, "median": _median_interval}

#: the first is what figures 2 and 3 show
WAYS = [
    Way(epoch, statistic, treatment)
    for epoch, treatment, statistic in product(("last", "best"), TREATMENTS, ("mean", "median"))
]


def values(scores: xr.Dataset, way: Way, distance: float) -> xr.DataArray | None:
    """(model, hidden_units, realization): what a way takes of each training, NaN if nothing.

    None where it needs the scores after each epoch and the file has none: `r2_by_epoch` is there if
    the recipe validates on the test trials. A training stalled as in `urnn.statistics.stalled`, by
    more than the distance.
    """
    if way.treatment == FAILED_LEFT_OUT:
        kept = values(scores, replace(way, treatment=LEFT_OUT), distance)
        return None if kept is None else kept.where(~stalled_in(scores, kept, distance))
    if way.epoch == "last" and way.treatment == LEFT_OUT:
        return reported(scores, "r2")
    if "r2_by_epoch" not in scores:
        return None
    by_epoch = scores["r2_by_epoch"]
    if way.epoch == "best":
        chosen = by_epoch.max("epoch")
    else:
        count = by_epoch.notnull().sum("epoch")  # an overflow leaves NaN to the end
        chosen = by_epoch.isel(epoch=(count - 1).clip(0))
    return chosen if way.treatment == COUNTED else chosen.where(scores["diverged"] == 0)


def stalled_in(scores: xr.Dataset, taken: xr.DataArray, distance: float) -> xr.DataArray:
    """Which trainings stalled, by the values taken of them."""
    from urnn.statistics import stalled

    return stalled(scores.assign(r2=taken, diverged=taken.isnull()), distance)


def ways(scores: xr.Dataset, distance: float) -> dict[Way, xr.DataArray]:
    """The `values` of the ways that these scores allow, without those that only repeat another."""
    happened = {
        LEFT_OUT: True,
        COUNTED: bool(scores["diverged"].any()),
        FAILED_LEFT_OUT: bool(stalled_in(scores, reported(scores, "r2"), distance).any()),
    }
    taken = {way: values(scores, way, distance) for way in WAYS if happened[way.treatment]}
    return {way: found for way, found in taken.items() if found is not None}


def curves(
    scores: xr.Dataset, published: pd.DataFrame, same: Mapping[str, str]
) -> dict[str, pd.Series]:
    """By model: the published curve that it is compared with, at the sizes that both have."""
    found = {}
    sizes = scores["hidden_units"].values
    for model in map(str, scores["model"].values):
        name = same.get(model, model)
        if name in published:
            curve = published[name].dropna()
            found[model] = curve[curve.index.isin(sizes)]
    return {model: curve for model, curve in found.items() if len(curve)}


@dataclass(frozen=True)
class Distance:
    """How far the points of a model are from its published curve."""

    #: root mean square of the differences over the sizes
    rms: float
    #: 95 % interval of what it would be with ever so many realizations
    lower: float
    upper: float
    #: what it would be by chance, if the published points were means of as many other realizations
    chance: float
    #: points whose own interval contains the published value
    inside: int
    points: int


def distance(of_model: xr.DataArray, curve: pd.Series, statistic: str, smallest: int) -> Distance:
    """The distance of a curve from the values (hidden_units, realization) of a model.

    Realizations are resampled for all sizes together, for one system is behind all of them. The
    root mean square r of noisy differences is too large: its expected square exceeds that of the
    expected differences by their mean variance. The interval makes up for that; it is the basic
    bootstrap interval of r^2, [2 r^2 - q_97.5, 2 r^2 - q_2.5], cut off at 0, and its root. Of fewer
    than ten realizations, for which a bootstrap is too narrow, there is none.

    Source: Davison and Hinkley, "Bootstrap methods and their application", 1997, section 5.2.
    """
    curve = curve[curve.index >= smallest]
    taken = of_model.sel(hidden_units=curve.index.values)
    sample = taken.transpose("hidden_units", "realization").values.astype(float)
    theirs = curve.to_numpy(float)
    known = np.isfinite(sample).any(1)
    sample, theirs = sample[known], theirs[known]
    if not theirs.size:
        nan = float("nan")
        return Distance(nan, nan, nan, nan, 0, 0)
    average: Callable[[NDArray], NDArray] = _nanmedian if statistic == "median" else _nanmean
    difference = average(sample) - theirs
    count = sample.shape[1]
    drawn = np.random.default_rng(_SEED).integers(count, size=(_RESAMPLES, count))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # a resample of NaN alone is NaN
        again = np.array([average(row[drawn]) for row in sample])  # (size, resample)
    enough = count >= BOOTSTRAP_FROM
    if enough:
        low, high = np.nanquantile(again, [0.025, 0.975], axis=1)
    else:
        own = [INTERVALS[statistic](row[np.isfinite(row)]) for row in sample]
        low, high = np.array(own).T
    square = float(np.mean(difference**2))
    squares = np.nanmean((again - theirs[:, None]) ** 2, axis=0)
    bounds = 2 * square - np.nanquantile(squares, [0.975, 0.025])
    lower, upper = np.sqrt(np.maximum(bounds, 0)) if enough else (np.nan, np.nan)
    return Distance(
        float(np.sqrt(square)),
        float(lower),
        float(upper),
        float(np.sqrt(2 * np.nanvar(again, axis=1).mean())) if enough else float("nan"),
        int(((low <= theirs) & (theirs <= high)).sum()),
        int(theirs.size),
    )


def _nanmean(values: NDArray) -> NDArray:
    """The mean over the last axis of what is not NaN."""
    return np.nanmean(values, axis=-1)


def _nanmedian(values: NDArray) -> NDArray:
    """The median over the last axis of what is not NaN; np.nanmedian takes three times as long."""
    ordered = np.sort(values, axis=-1)  # NaN comes last
    count = np.count_nonzero(~np.isnan(values), axis=-1)[..., None]
    middle = [
        np.take_along_axis(ordered, place, -1) for place in (count.clip(1) - 1 >> 1, count >> 1)
    ]
    return np.mean(middle, axis=0)[..., 0]


def nearest_epoch(
    scores: xr.Dataset, model: str, curve: pd.Series, smallest: int
) -> tuple[int, float]:
    """The epoch after which the mean curve is nearest to the published one, and the rms there.

    The mean is over the trainings that have not overflowed until then; `r2_by_epoch` must be there.
    Sizes of which none has an epoch are left out; (0, NaN) if nothing is left.
    """
    curve = curve[curve.index >= smallest]
    by_epoch = scores["r2_by_epoch"].sel(model=model, hidden_units=curve.index.values)
    means = by_epoch.mean("realization").transpose("hidden_units", "epoch").values
    known = np.isfinite(means).any(1)
    if not known.any():
        return 0, float("nan")
    rms = np.sqrt(np.mean((means - curve.to_numpy(float)[:, None])[known] ** 2, axis=0))
    place = int(np.nanargmin(rms))
    return int(scores["epoch"][place]), float(rms[place])


@dataclass(frozen=True)
class Point:
    """A point of a published curve, ours in one way, and what may explain the difference."""

    model: str
    hidden_units: int
    published: float
    ours: float
    #: 95 % interval
    lower: float
    upper: float
    #: realizations whose training stalled, and what is left without them
    stalled: list[int]
    without: float
    lower_without: float
    upper_without: float
    #: trainings that overflowed
    overflowed: int

    @property
    def inside(self) -> bool:
        """Whether the interval contains the published value."""
        return self.lower <= self.published <= self.upper

    @property
    def explained(self) -> bool:
        """Whether the interval without the stalled trainings reaches the published value."""
        if self.ours > self.published or not self.stalled:
            return False
        return self.upper_without >= self.published


def points(
    scores: xr.Dataset,
    published: pd.DataFrame,
    same: Mapping[str, str],
    taken: xr.DataArray,
    distance: float,
) -> Iterator[Point]:
    """Every point that a published curve and the scores have in common: the mean of what is taken.

    Args:
        taken: `values` of a way.
        distance: of what stalled.
    """
    failed = stalled_in(scores, taken, distance)
    for model, curve in curves(scores, published, same).items():
        for n, theirs in curve.items():
            at = {"model": model, "hidden_units": n}
            ours: NDArray = taken.sel(at).values.astype(float)
            known, bad = np.isfinite(ours), failed.sel(at).values
            if not known.any():
                continue
            kept = ours[known & ~bad]
            yield Point(
                model,
                int(str(n)),
                float(theirs),
                float(ours[known].mean()),
                *mean_interval(ours[known]),
                [int(number) for number in scores["realization"].values[bad]],
                float(kept.mean()) if kept.size else float("nan"),
                *mean_interval(kept),
                overflowed=int(scores["diverged"].sel(at).sum()),
            )
