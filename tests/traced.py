"""Every number in the verdict of a page, computed again from the file that it names."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from urnn import published, scoring
from urnn.figures.reproduction import deviations

_PAIR = r"r2\[(\w+), (\d+)\] − r2\[(\w+), (\d+)\]"
#: words that may have digits in them and are no results
_LABELS = "|".join(
    ("95 %", "above 0", r"figure \d", "2n", r"\w+\(\d+\)", r"from \d+ hidden", "120 digits",
     r"within [\d.]+ of", "8×8")
)  # fmt: skip


def check(page: str, folder: Path) -> int:
    """Compare all numbers; returns how many. The files are relative to the folder."""
    count = 0
    for cell in ET.fromstring(page).iter("td"):
        if cell.get("data-label") != "Evidence":
            continue
        words = "".join([cell.text or "", *(part.tail or "" for part in cell)])
        if words.startswith("Nearest are"):  # the name of an experiment
            words = words.partition(" on: ")[2]
        assert not re.search(r"\d", re.sub(_LABELS, "", words)), words
        for number in cell.iter("data"):
            file, _, of = number.get("title").partition(": ")
            assert file == number.get("data-file")
            again = _again(file, of, folder)
            assert float(number.get("value")) == pytest.approx(again, rel=1e-9, abs=1e-12), of
            count += 1
    return count


def _again(file: str, of: str, folder: Path) -> float:
    if file.startswith("urnn/published/"):
        assert (Path(published.__file__).parents[1] / file.removeprefix("urnn/")).is_file()
        return _of_published(published.load(Path(file).stem), of)
    with xr.open_dataset(folder / file) as dataset:
        for pattern, compute in RULES.items():
            found = re.fullmatch(pattern, of)
            if found:
                return float(compute(dataset.load(), *found.groups()))
    raise AssertionError(f"no test traces {of!r} of {file}")


def _of_published(curves, of: str) -> float:
    pair = re.fullmatch(r"the published (\w+)\((\d+)\) − (\w+)\((\d+)\)", of)
    if pair:
        return curves[pair[1]][int(pair[2])] - curves[pair[3]][int(pair[4])]
    a, b = re.fullmatch(r"the same accuracy\[(\w+)\] − accuracy\[(\w+)\]", of).groups()
    return float((curves[a] - curves[b]).mean())


def _good(d: xr.Dataset, model: str, size: int | str, name: str = "r2") -> np.ndarray:
    """Scores by realization, NaN where the training diverged."""
    one = d.sel(model=model, hidden_units=int(size))
    return np.where(one["diverged"].values == 1, np.nan, one[name].values)


def _pairs(d: xr.Dataset, a: str, n: str, b: str, m: str) -> np.ndarray:
    values = _good(d, a, n) - _good(d, b, m)
    return values[np.isfinite(values)]


def _curve(d: xr.Dataset, model: str, smallest: str):
    """(published value, our scores) at every size that both have."""
    figure = "figure3" if d.attrs["snr_db"] == 15 else "figure2"
    curve = published.load(figure)[model].dropna()
    for n in d["hidden_units"].values.tolist():
        values = _good(d, model, n)
        values = values[np.isfinite(values)]
        if n in curve and n >= int(smallest) and len(values):
            yield curve[n], values


def _ratios(d: xr.Dataset, margin: str, model: str, other: str) -> np.ndarray:
    def fewest(name: str) -> np.ndarray:
        found = []
        for i, best in enumerate(d["r2_optimal"].values):
            sizes = [
                n
                for n in d["hidden_units"].values.tolist()
                if _good(d, name, n)[i] >= best - float(margin)
            ]
            found.append(min(sizes, default=np.nan))
        return np.array(found)

    ratio = fewest(model) / fewest(other)
    return ratio[np.isfinite(ratio)]


def _left_out(d: xr.Dataset, margin: str, model: str, other: str) -> int:
    """Realizations in which the other model comes near with some size, and the model with none."""
    least = d["r2_optimal"].values - float(margin)
    near = {
        name: np.array([_good(d, name, n) >= least for n in d["hidden_units"].values]).any(0)
        for name in (model, other)
    }
    return int((near[other] & ~near[model]).sum())


def _differences(d: xr.Dataset, a: str, b: str) -> np.ndarray:
    """Of the sizes at which any pair was scored (size, realization), NaN where one diverged."""
    rows = [_good(d, a, n, "accuracy") - _good(d, b, n, "accuracy") for n in d["hidden_units"]]
    return np.array([row for row in rows if np.isfinite(row).any()])


def _over_sizes(d: xr.Dataset, a: str, b: str) -> np.ndarray:
    """The mean difference of each realization that has all these sizes."""
    values = _differences(d, a, b).mean(0)
    return values[np.isfinite(values)]


def _bound(values: np.ndarray, which: str) -> float:
    return scoring.mean_interval(values)[("lower", "upper").index(which)]


_OF_PAIRS = f"the mean over the realizations of {_PAIR}"
_OF_MEANS = r"the means of r2\[(\w+)\] from (\d+) hidden units on"
_RATIO = (
    r"the geometric mean over the realizations of the fewest hidden units within "
    r"([\d.]+) of the optimum, (\w+) / (\w+)"
)
_AHEAD = r"accuracy\[(\w+)\] − accuracy\[(\w+)\]"
_OF_SIZES = f"the mean over all sizes and over the realizations that have them of {_AHEAD}"
_WAY = (
    r"the (mean|median) of the (last|best) epoch, (overflowed \w[\w ]*), of r2\[(\w+)\] "
    r"from (\d+) hidden units on"
)


def _distance(d: xr.Dataset, statistic: str, epoch: str, treatment: str, model: str, least: str):
    way = deviations.Way(epoch, statistic, treatment)
    taken = deviations.values(d, way, 0.02).sel(model=model)
    figure = "figure3" if d.attrs["snr_db"] == 15 else "figure2"
    curves = published.load(figure)
    curve = curves[{"lstm_keras": "lstm"}.get(model, model)].dropna()
    curve = curve[curve.index.isin(d["hidden_units"].values) & (curve.index >= int(least))]
    return taken.sel(hidden_units=curve.index.values), curve, statistic, int(least)


def _rms(d: xr.Dataset, *way: str) -> float:
    taken, curve, statistic, _ = _distance(d, *way)
    average = np.nanmedian if statistic == "median" else np.nanmean
    rows = taken.transpose("hidden_units", "realization").values.astype(float)
    middle = average(rows, axis=1)
    return np.sqrt(np.mean((middle - curve.to_numpy()) ** 2))


_CHOICE = (
    r"the smallest (unitary|other) network with an error within ([\d.e-]+) of the lowest, or else "
    "the best"
)


def _chosen(d: xr.Dataset, kind: str, margin: str) -> tuple[int, float]:
    """Hidden units and mean centred R^2 of the network that a verdict on records names."""
    means = {
        (model, n): np.nanmean(_good(d, model, n, "r2_centred"))
        for model in d["model"].values
        for n in d["hidden_units"].values.tolist()
        if np.isfinite(_good(d, model, n, "r2_centred")).any()
    }
    error = {at: np.sqrt(1 - mean) for at, mean in means.items()}
    most = (1 + float(margin)) * min(error.values())
    of_kind = [
        (model, n)
        for model, n in means
        if (d["state_factor"].sel(model=model).item() > 1) == (kind == "unitary")
    ]
    enough = [at for at in of_kind if error[at] <= most]
    best = min(enough, key=lambda at: (at[1], error[at])) if enough else min(of_kind, key=error.get)
    return best[1], means[best]


def _networks(d: xr.Dataset) -> list[xr.DataArray]:
    """What each network needs, by system; of the scaled identity, which is not random, one."""
    of_systems = (d["needed"].sel(system=name) for name in d["system"].values)
    return [
        one[{"realization": [0]}] if one["system"] == "scaled identity" else one
        for one in of_systems
    ]


#: by what a number is said to be: how it is computed again
RULES: dict[str, Callable[..., float]] = {
    _OF_PAIRS: lambda d, *at: _pairs(d, *at).mean(),
    f"the realizations in {_OF_PAIRS}": lambda d, *at: len(_pairs(d, *at)),
    f"(lower|upper) bound of the 95 % interval of {_OF_PAIRS}": lambda d, which, *at: _bound(
        _pairs(d, *at), which
    ),
    f"root mean square, less the published, of {_OF_MEANS}": lambda d, *at: np.sqrt(
        np.mean([(values.mean() - theirs) ** 2 for theirs, values in _curve(d, *at)])
    ),
    f"published values in the intervals of {_OF_MEANS}": lambda d, *at: sum(
        _bound(v, "lower") <= theirs <= _bound(v, "upper") for theirs, v in _curve(d, *at)
    ),
    f"how many are {_OF_MEANS}": lambda d, *at: len(list(_curve(d, *at))),
    _RATIO: lambda d, *at: np.exp(np.log(_ratios(d, *at)).mean()),
    f"(lower|upper) bound of the 95 % interval of {_RATIO}": lambda d, which, *at: np.exp(
        _bound(np.log(_ratios(d, *at)), which)
    ),
    f"the realizations in {_RATIO}": lambda d, *at: len(_ratios(d, *at)),
    f"those left out of {_RATIO}": _left_out,
    "the realizations": lambda d: d.sizes["realization"],
    f"sizes at which the mean of {_AHEAD} is above 0": lambda d, *at: (
        np.nanmean(_differences(d, *at), axis=1) > 0
    ).sum(),
    f"sizes of {_AHEAD}": lambda d, *at: len(_differences(d, *at)),
    _OF_SIZES: lambda d, *at: _over_sizes(d, *at).mean(),
    f"(lower|upper) bound of the 95 % interval of {_OF_SIZES}": lambda d, which, *at: _bound(
        _over_sizes(d, *at), which
    ),
    f"the realizations in {_OF_SIZES}": lambda d, *at: len(_over_sizes(d, *at)),
    f"root mean square, less the published, of {_WAY}": _rms,
    f"what chance gives of {_WAY}": lambda d, *at: deviations.distance(*_distance(d, *at)).chance,
    f"hidden units of {_CHOICE}": lambda d, *at: _chosen(d, *at)[0],
    f"mean r2_centred of {_CHOICE}": lambda d, *at: _chosen(d, *at)[1],
    "the sizes": lambda d: d.sizes["hidden_units"],
    "the kinds of W": lambda d: d.sizes["regime"],
    "the input bounds": lambda d: d.sizes["input_norm"],
    "largest relative_error": lambda d: d["relative_error"].values.max(),
    "largest unitary_units / hidden_units": lambda d: (
        d["unitary_units"].sel(states=["2n", "minimal"]) / d["hidden_units"]
    ).values.max(),
    "networks whose needed is 2n": lambda d: sum(
        int((needed == 2 * d["hidden_units"]).sum()) for needed in _networks(d)
    ),
    "how many networks there are": lambda d: sum(needed.size for needed in _networks(d)),
    r"least best_error with fewer than (\d+) states": lambda d, n: min(
        d["best_error"].sel(unitary_units=k).values.min()
        for k in d["unitary_units"].values
        if k < int(n)
    ),
    r"least best_error with (\d+) states": lambda d, n: (
        d["best_error"].sel(unitary_units=int(n)).values.min()
    ),
    "how often exact_error is above 0": lambda d: (d["exact_error"].values > 0).sum(),
    "how many exact_error there are": lambda d: d["exact_error"].size,
    "least exact_error": lambda d: d["exact_error"].values.min(),
    "relu_error": lambda d: d["relu_error"].item(),
}
