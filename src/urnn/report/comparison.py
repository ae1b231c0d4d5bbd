"""Two folders of results side by side: the scores of the experiments that both have."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from urnn import scoring, signals
from urnn.figures.findings import NONE, Table, interval, number
from urnn.report.page import SIGNS

if TYPE_CHECKING:
    import xarray as xr

#: attributes that say how scores came about
_FACTS = ("epochs", "snr_db", "seed", "computed_by")


def side_by_side(here: Mapping[str, xr.Dataset], there: Mapping[str, xr.Dataset]) -> dict[str, Any]:
    """A table for each experiment in both, and the names of those in one alone.

    Args:
        here, there: scores by experiment, with the coordinate model_label (model).
    """
    both = [name for name in here if name in there]
    return {
        "experiments": [_experiment(name, here[name], there[name]) for name in both],
        "only_here": [name for name in here if name not in there],
        "only_there": [name for name in there if name not in here],
    }


def _experiment(name: str, here: xr.Dataset, there: xr.Dataset) -> dict[str, Any]:
    metric = scoring.metric(here)
    table: Table = {
        "caption": f"Test {SIGNS.get(metric, metric)}. Where seeds and data are the same, means "
        "are over the realizations that diverged on neither side, which are paired; elsewhere over "
        "all of each side. Difference: here minus there; the 95 % interval is that of the pairs.",
        "head": [
            "Model", "Hidden units", "Here", "There", "Difference", "95 % interval", "Pairs",
        ],
        "rows": [],
    }  # fmt: skip
    if metric in there:
        table["rows"] = list(_rows(here, there, metric))
    return {"name": name, "facts": _facts(here, there), "table": table}


def _facts(here: xr.Dataset, there: xr.Dataset) -> list[str]:
    """What differs in how they came about, in words."""
    counts = here.sizes["realization"], there.sizes["realization"]
    found = [f"realizations {counts[0]} and {counts[1]}"] if counts[0] != counts[1] else []
    for key in _FACTS:
        if here.attrs.get(key) != there.attrs.get(key):
            found.append(f"{key} {here.attrs.get(key, NONE)} and {there.attrs.get(key, NONE)}")
    if not _same_task(here, there):
        found.append("the data or their settings")
    if _settings(here) != _settings(there):
        found.append("the settings of the models or their recipes")
    return found


def _settings(scores: xr.Dataset) -> Any:
    try:
        return json.loads(scores.attrs.get("config", "null"))
    except ValueError:
        return scores.attrs["config"]


def _rows(here: xr.Dataset, there: xr.Dataset, metric: str) -> list[list[str]]:
    ours, theirs = scoring.reported(here, metric), scoring.reported(there, metric)
    rows = []
    for model in map(str, here["model"].values):
        label = str(here["model_label"].sel(model=model).item())
        for size in here["hidden_units"].values.tolist():
            if model not in theirs["model"] or size not in theirs["hidden_units"]:
                continue
            at = {"model": model, "hidden_units": size}
            a, b = ours.sel(at), theirs.sel(at)
            rows.append([label, str(size), *_compared(a, b, _paired(here, there))])
    return rows


def _paired(here: xr.Dataset, there: xr.Dataset) -> bool:
    """Whether a realization is the same draw of the data in both, as far as the files tell."""
    alike = all(here.attrs.get(key) == there.attrs.get(key) for key in ("seed", "snr_db"))
    return alike and _same_task(here, there)


def _same_task(here: xr.Dataset, there: xr.Dataset) -> bool:
    keys = ["task", signals.ATTRIBUTE]
    if "task_settings" in here.attrs and "task_settings" in there.attrs:  # older files lack them
        keys.append("task_settings")
    return all(here.attrs.get(key) == there.attrs.get(key) for key in keys)


def _compared(a: xr.DataArray, b: xr.DataArray, paired: bool) -> list[str]:
    """The means, their difference and its interval, and the number of pairs."""
    bounds, pairs = (math.nan, math.nan), 0
    if paired:
        both = np.intersect1d(a["realization"], b["realization"])
        a, b = a.sel(realization=both), b.sel(realization=both)
        known = np.isfinite(a.values) & np.isfinite(b.values)
        a, b, pairs = a[known], b[known], int(known.sum())
        bounds = scoring.mean_interval((a - b).values) if pairs else bounds
    means = _mean(a), _mean(b)
    return [
        *map(number, means),
        number(means[0] - means[1], sign=True),
        interval(*bounds, sign=True),
        str(pairs) if paired else NONE,
    ]


def _mean(values: xr.DataArray) -> float:
    known = values.values[np.isfinite(values.values)]
    return float(known.mean()) if known.size else math.nan
