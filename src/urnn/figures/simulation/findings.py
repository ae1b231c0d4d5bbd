"""Whether a unitary network is enough for measured signals, and how many states it costs."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from urnn import scoring
from urnn.figures.findings import NONE, Findings, Table, interval, number

if TYPE_CHECKING:
    import xarray as xr

    from urnn.figures.simulation.settings import SimulationSettings


class Choice(NamedTuple):
    """A model of one size."""

    model: str
    hidden_units: int
    #: mean test R^2 over the realizations
    r2: float


def choices(scores: xr.Dataset, margin: float) -> dict[bool, Choice]:
    """The smallest unitary network (True) and the smallest other one (False) that are enough.

    Enough is an error, the root of 1 - mean R^2, at most 1 + margin times the lowest of all
    networks; where none is, the best of its kind. Of two of one size, the better. A kind that was
    not trained is left out.
    """
    mean = scoring.reported(scores, "r2").mean("realization")
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
        return ["No model was trained without overflow, so nothing can be said."]
    best = float(scoring.reported(scores, "r2").mean("realization").max())
    least = enough_from(best, margin)
    if len(found) == 1:
        ((is_unitary, one),) = found.items()
        other = "an unconstrained network" if is_unitary else "a unitary network"
        return [
            f"{_named(one, labels)} has a test R² of {number(one.r2)} in simulation. To compare, "
            f"train {other} too."
        ]
    unitary, free = found[True], found[False]
    sentences = []
    if unitary.r2 >= least and free.r2 >= least:
        ratio = unitary.hidden_units / free.hidden_units
        cost = (
            "as many states"
            if ratio == 1
            else f"{number(ratio, 2)} times the states of the other network"
        )
        sentences.append(
            f"A unitary network is enough: {_named(unitary, labels)} comes within "
            f"{100 * margin:g} % of the lowest error, as {_named(free, labels)} does (test R² "
            f"{number(unitary.r2)} and {number(free.r2)}). It takes {cost}."
        )
    elif unitary.r2 >= least:
        sentences.append(
            f"A unitary network is enough, and better than the others here: "
            f"{_named(unitary, labels)} has a test R² of {number(unitary.r2)}, and the best other "
            f"network, {_named(free, labels)}, {number(free.r2)}."
        )
    else:
        sentences.append(
            f"No unitary network of these sizes is enough: the best, {_named(unitary, labels)}, "
            f"has a test R² of {number(unitary.r2)}, and {_named(free, labels)} {number(free.r2)}. "
            "If the other network is a contractive ReLU network with n states, a unitary one with "
            "2n states has the same outputs (theorem 1); try larger sizes and more epochs."
        )
    sentences.append(_difference(scores, unitary, free, labels))
    return sentences


def _named(one: Choice, labels: dict[str, str]) -> str:
    units = "unit" if one.hidden_units == 1 else "units"
    return f"the {labels[one.model]} with {one.hidden_units} hidden {units}"


def _difference(scores: xr.Dataset, a: Choice, b: Choice, labels: dict[str, str]) -> str:
    """The difference of R^2, paired by realization, with its interval."""
    r2 = scoring.reported(scores, "r2")
    of_a = r2.sel(model=a.model, hidden_units=a.hidden_units)
    of_b = r2.sel(model=b.model, hidden_units=b.hidden_units)
    pairs = (of_a - of_b).values
    pairs = pairs[np.isfinite(pairs)]
    name = f"R² of {_named(a, labels)} minus that of {_named(b, labels)}"
    if not len(pairs):
        return f"{name}: no realization in which neither overflowed."
    bounds = scoring.mean_interval(pairs)
    told = interval(*bounds, sign=True)
    what = (
        f"95 % interval {told} over {len(pairs)} trainings on the same records"
        if told != NONE
        else f"{len(pairs)} realization{'s' if len(pairs) > 1 else ''}, too few for an interval"
    )
    return f"{name}: {number(float(pairs.mean()), sign=True)} ({what})."


def _table(scores: xr.Dataset, labels: dict[str, str]) -> Table:
    outputs = [str(name) for name in scores["output"].values]
    rows = []
    for model in map(str, scores["model"].values):
        for size in scores["hidden_units"].values:
            one = scores.sel(model=model, hidden_units=size)
            r2 = scoring.reported(one, "r2").values
            kept = r2[np.isfinite(r2)]
            bounds = (kept.min(), kept.max()) if len(kept) > 1 else (np.nan, np.nan)
            rmse = one["rmse"].where(one["diverged"] == 0).mean("realization").values
            rows.append(
                [
                    labels[model],
                    str(int(size)),
                    number(float(kept.mean()) if len(kept) else np.nan),
                    interval(*bounds),
                    number(float(scoring.reported(one, "r2_centred").mean())),
                    *(f"{value:.4g}" if np.isfinite(value) else NONE for value in rmse),
                    f"{int(one['diverged'].sum())} of {one.sizes['realization']}",
                    str(int(one["parameters"])) if "parameters" in one else NONE,
                ]
            )
    return {
        "caption": "Test scores in simulation: means over the realizations that did not overflow; "
        "the root mean square error (RMSE) is in the units of the record.",
        "head": [
            "Model", "Hidden units", "R²", "Lowest to highest", "Centred R²",
            *(f"RMSE of {name}" for name in outputs), "Overflowed", "Parameters",
        ],
        "rows": rows,
    }  # fmt: skip
