"""Whether a unitary network is enough for measured signals, and how many states it costs."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from urnn import scoring
from urnn.figures.findings import NONE, Findings, Table, counted, interval, number

if TYPE_CHECKING:
    import xarray as xr

    from urnn.figures.simulation.settings import SimulationSettings


#: R^2 about the mean: a constant output explains nothing
SCORE = "r2_centred"
#: below this best R^2 the networks explain next to nothing
NOTHING = 0.05


class Choice(NamedTuple):
    """A model of one size."""

    model: str
    hidden_units: int
    #: mean test R^2 about the mean, over the realizations
    r2: float


def choices(scores: xr.Dataset, margin: float) -> dict[bool, Choice]:
    """The smallest unitary network (True) and the smallest other one (False) that are enough.

    Enough is an error, the root of 1 - mean centred R^2, at most 1 + margin times the lowest of all
    networks; where none is, the best of its kind. Of two of one size, the better. A kind that was
    not trained, or always diverged, is left out.
    """
    mean = scoring.reported(scores, SCORE).mean("realization")
    least = enough_from(float(mean.max()), margin)
    found: dict[bool, Choice] = {}
    for unitary in (True, False):
        models = [
            str(m)
            for m in scores["model"].values
            if (int(scores["state_factor"].sel(model=m)) > 1) == unitary
        ]
        every = [
            Choice(m, int(n), float(mean.sel(model=m, hidden_units=n)))
            for m in models
            for n in scores["hidden_units"].values
        ]
        every = [one for one in every if np.isfinite(one.r2)]
        enough = [one for one in every if one.r2 >= least]
        if enough:
            found[unitary] = min(enough, key=lambda one: (one.hidden_units, -one.r2))
        elif every:
            found[unitary] = max(every, key=lambda one: one.r2)
    return found


def enough_from(best: float, margin: float) -> float:
    """The R^2 from which on a network is enough."""
    return 1 - (1 + margin) ** 2 * (1 - best)


def describe(scores: xr.Dataset, settings: SimulationSettings) -> Findings:
    """The verdict, and a table of all models."""
    labels = {
        str(m): str(scores["model_label"].sel(model=m).item()) for m in scores["model"].values
    }
    return {
        "sentences": _verdict(scores, settings.margin, labels),
        "tables": [_table(scores, labels)],
    }


def _verdict(scores: xr.Dataset, margin: float, labels: dict[str, str]) -> list[str]:
    found = choices(scores, margin)
    if not found:
        return ["Every training diverged, so nothing can be said."]
    best = float(scoring.reported(scores, SCORE).mean("realization").max())
    least = enough_from(best, margin)
    if best < NOTHING:
        return [
            "No network explains the outputs: the best centred R² in simulation is "
            f"{number(best)}. Check that the inputs act on the outputs at all, that the test data "
            "are like the training data, and that the windows are long enough."
        ]
    if len(found) == 1:
        ((is_unitary, one),) = found.items()
        other = "an unconstrained network" if is_unitary else "a unitary network"
        if any((factor > 1) != is_unitary for factor in scores["state_factor"].values):
            return [f"Every training of {other} diverged. Of the others: {_scored(one, labels)}."]
        return [f"Only one kind was trained: {_scored(one, labels)}. Train {other} to compare."]
    unitary, free = found[True], found[False]
    pairs = _pairs(scores, unitary, free)
    sentences = []
    if unitary.r2 >= least and free.r2 >= least:
        same = unitary.hidden_units == free.hidden_units
        other = f"{unitary.hidden_units} instead of {free.hidden_units}"
        cost = "the same number of" if same else other
        sentences.append(
            f"A unitary network is enough: {_scored(unitary, labels)} comes within "
            f"{100 * margin:g} % of the lowest error, as {_scored(free, labels)} does. "
            f"It takes {cost} hidden units."
        )
    elif unitary.r2 >= least:
        sentences.append(
            f"A unitary network is enough, and better than the others here: "
            f"{_scored(unitary, labels)}; the best other network is {_scored(free, labels)}."
        )
    elif not pairs.upper < 0:  # NaN of too few pairs
        why = "trainings of the same network differ by as much"
        if np.isnan(pairs.upper):
            why = "there are too few realizations to be sure"
        sentences.append(
            f"Whether a unitary network is enough is open: {_scored(free, labels)} is better than "
            f"{_scored(unitary, labels)}, the best unitary one, but {why}. "
            "More realizations would tell."
        )
    else:
        sentences.append(
            f"No unitary network of these sizes is enough: the best is {_scored(unitary, labels)}, "
            f"and {_scored(free, labels)} is better. If that is a contractive ReLU network with n "
            "states, a unitary one with 2n states has the same outputs (theorem 1); try larger "
            "sizes and more epochs."
        )
    sentences.append(_difference(scores, unitary, free, labels))
    return sentences


def _scored(one: Choice, labels: dict[str, str]) -> str:
    return f"{_named(one, labels)} (centred test R² {number(one.r2)})"


def _named(one: Choice, labels: dict[str, str]) -> str:
    return f"the {labels[one.model]} with {counted(one.hidden_units, 'hidden unit')}"


class Pairs(NamedTuple):
    """Differences of the score of two models, paired by realization."""

    values: NDArray[np.float64]
    #: 95 % interval of their mean; NaN of too few
    lower: float
    upper: float


def _pairs(scores: xr.Dataset, a: Choice, b: Choice) -> Pairs:
    r2 = scoring.reported(scores, SCORE)
    of_a = r2.sel(model=a.model, hidden_units=a.hidden_units)
    of_b = r2.sel(model=b.model, hidden_units=b.hidden_units)
    values = (of_a - of_b).values
    values = values[np.isfinite(values)]
    bounds = scoring.mean_interval(values) if len(values) else (np.nan, np.nan)
    return Pairs(values, *bounds)


def _difference(scores: xr.Dataset, a: Choice, b: Choice, labels: dict[str, str]) -> str:
    """The difference of the scores, paired by realization, with its interval."""
    values, lower, upper = _pairs(scores, a, b)
    name = f"Centred R² of {_named(a, labels)} minus that of {_named(b, labels)}"
    if not len(values):
        return f"{name}: no realization in which neither training diverged."
    told = interval(lower, upper, sign=True)
    what = (
        f"95 % interval {told} over {len(values)} trainings on the same records"
        if told != NONE
        else f"{counted(len(values), 'realization')}, too few for an interval"
    )
    return f"{name}: {number(float(values.mean()), sign=True)} ({what})."


def _table(scores: xr.Dataset, labels: dict[str, str]) -> Table:
    outputs = [str(name) for name in scores["output"].values]
    rows = []
    for model in map(str, scores["model"].values):
        for size in scores["hidden_units"].values:
            one = scores.sel(model=model, hidden_units=size)
            r2 = scoring.reported(one, SCORE).values
            kept = r2[np.isfinite(r2)]
            bounds = (kept.min(), kept.max()) if len(kept) > 1 else (np.nan, np.nan)
            rmse = one["rmse"].where(one["diverged"] == 0).mean("realization").values
            rows.append(
                [
                    labels[model],
                    str(int(size)),
                    number(float(kept.mean()) if len(kept) else np.nan),
                    interval(*bounds),
                    number(float(scoring.reported(one, "r2").mean())),
                    *(f"{value:.4g}" if np.isfinite(value) else NONE for value in rmse),
                    f"{int(one['diverged'].sum())} of {one.sizes['realization']}",
                    str(int(one["parameters"])) if "parameters" in one else NONE,
                ]
            )
    return {
        "caption": "Test scores in simulation: means over the realizations whose training did not "
        "diverge; the root mean square error (RMSE) is in the units of the record.",
        "head": [
            "Model", "Hidden units", "Centred R²", "Lowest to highest", "R²",
            *(f"RMSE of {name}" for name in outputs), "Diverged", "Parameters",
        ],
        "rows": rows,
    }  # fmt: skip
