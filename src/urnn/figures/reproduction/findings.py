"""What a comparison with published curves says, as sentences and tables of the report page."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

from urnn.figures.findings import NONE, Findings, Table, counted, interval, number
from urnn.figures.reproduction import deviations
from urnn.figures.reproduction.deviations import Distance, Point, Way

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

    from urnn.figures.reproduction.settings import ReproductionSettings

#: by data and way: the distance of each model from its published curve
Distances = dict[tuple[str, Way], dict[str, Distance]]


def describe(
    scores: Mapping[str, xr.Dataset],
    settings: ReproductionSettings,
    published: pd.DataFrame | None,
) -> Findings:
    """Which data and which way come nearest to the published curves, and every point.

    Args:
        scores: by label, as for the plot, with the coordinate model_label.
        settings: of this kind.
        published: the curves, as from `urnn.published.load`.
    """
    assert published is not None  # the settings name them
    labels = {
        str(m): str(dataset["model_label"].sel(model=m).item())
        for dataset in scores.values()
        for m in dataset["model"].values
    }
    found = distances(scores, settings, published)
    if not found:
        return {"sentences": [_nothing(scores, settings, published)], "tables": []}
    tables = [_ways(found, labels, settings)]
    sentences = [_best(found, labels, settings), _best_of_each(found, labels, settings)]
    # the plain mean, whose misses are then traced to what stalled
    way = Way(nearest(found, settings)[1].epoch, "mean", deviations.LEFT_OUT)
    for label, dataset in scores.items():
        if "r2_by_epoch" in dataset:
            sentences += _earlier(label, dataset, labels, settings, published)
        taken = deviations.values(dataset, way, settings.stalled)
        if taken is None:
            continue
        rows = list(deviations.points(dataset, published, settings.same, taken, settings.stalled))
        if rows:
            sentences.append(_sentence_on_points(label, way, rows))
            tables.append(_points(label, way, rows, labels, settings))
    return {"sentences": sentences, "tables": tables}


def _nothing(
    scores: Mapping[str, xr.Dataset], settings: ReproductionSettings, published: pd.DataFrame
) -> str:
    """Why nothing can be compared."""
    of_all = [deviations.curves(data, published, settings.same) for data in scores.values()]
    largest = [curve.index.max() for curves in of_all for curve in curves.values()]
    if not largest:
        return "No model has a published curve."
    if max(largest) < settings.smallest:
        return f"No size that was trained and published has {_from(settings)} or more."
    return "Every training that could be compared with a published curve diverged."


def distances(
    scores: Mapping[str, xr.Dataset], settings: ReproductionSettings, published: pd.DataFrame
) -> Distances:
    """The distances of all models, for all data and ways."""
    found: Distances = {}
    for label, dataset in scores.items():
        curves = deviations.curves(dataset, published, settings.same)
        for way, values in deviations.ways(dataset, settings.stalled).items():
            of_models = {
                model: deviations.distance(
                    values.sel(model=model), curve, way.statistic, settings.smallest
                )
                for model, curve in curves.items()
            }
            of_models = {model: one for model, one in of_models.items() if one.points}
            if of_models:
                found[label, way] = of_models
    return found


def _from(settings: ReproductionSettings) -> str:
    """The fewest hidden units that count."""
    return counted(settings.smallest, "hidden unit")


def together(
    of_models: Mapping[str, Distance], settings: ReproductionSettings
) -> tuple[float, list[str]]:
    """Root mean square over the published curves, with the nearest model of each, and those."""
    nearest: dict[str, str] = {}
    for model, one in of_models.items():
        curve = settings.same.get(model, model)
        if curve not in nearest or one.rms < of_models[nearest[curve]].rms:
            nearest[curve] = model
    squares = [of_models[model].rms ** 2 for model in nearest.values()]
    return float(np.sqrt(np.mean(squares))), list(nearest.values())


def nearest(found: Distances, settings: ReproductionSettings) -> tuple[str, Way]:
    """The data and the way that are nearest to all curves."""
    of_all = _of_all(found, settings)
    return min(of_all, key=lambda one: together(of_all[one], settings)[0])


def _of_all(found: Distances, settings: ReproductionSettings) -> Distances:
    """The fair ways of data that have as many curves as any: others cannot be compared."""
    fair = _fair(found)
    counts = {one: len(together(of_models, settings)[1]) for one, of_models in fair.items()}
    return {one: fair[one] for one, count in counts.items() if count == max(counts.values())}


def _fair(found: Distances) -> Distances:
    """Without the ways that leave out trainings for their scores: they come near by selection."""
    return {
        (data, way): of_models
        for (data, way), of_models in found.items()
        if way.treatment != deviations.FAILED_LEFT_OUT
    }


def _best(found: Distances, labels: Mapping[str, str], settings: ReproductionSettings) -> str:
    """Which data and which way are nearest, how near, and what others come to."""
    data, way = nearest(found, settings)
    of_models = found[data, way]
    overall, models = together(of_models, settings)
    each = ", ".join(
        f"{labels[m]} {number(of_models[m].rms)} ({of_models[m].inside} of "
        f"{counted(of_models[m].points, 'point')} inside our intervals)"
        for m in models
    )
    text = (
        f"Nearest to the published curves, from {_from(settings)} on, is “{data}” "
        f"with the {way.label}: root mean square difference {number(overall)} over the curves of "
        f"{each}."
    )
    of_all = _of_all(found, settings)
    others = [label for label, _ in of_all if label != data]
    if others:
        best = {
            other: min(
                together(distances, settings)[0]
                for (label, _), distances in of_all.items()
                if label == other
            )
            for other in dict.fromkeys(others)
        }
        listed = ", ".join(f"“{other}” {number(value)}" for other, value in best.items())
        text += f" The others come no nearer than: {listed}."
    return f"{text} Ways that leave out what stalled, a choice by the score, are not counted here."


def _best_of_each(
    found: Distances, labels: Mapping[str, str], settings: ReproductionSettings
) -> str:
    """What is nearest to each published curve alone."""
    best: dict[str, tuple[float, str]] = {}
    for (data, way), of_models in _fair(found).items():
        for model, one in of_models.items():
            curve = settings.same.get(model, model)
            if one.rms < best.get(curve, (np.inf, ""))[0]:
                text = f"{labels[model]} {number(one.rms)} (“{data}”, {way.label})"
                best[curve] = one.rms, text
    return f"Each curve alone comes nearest with: {'; '.join(text for _, text in best.values())}."


def _earlier(
    data: str,
    scores: xr.Dataset,
    labels: Mapping[str, str],
    settings: ReproductionSettings,
    published: pd.DataFrame,
) -> list[str]:
    """After which epoch the mean of each model is nearest to its curve, if any is known."""
    curves = deviations.curves(scores, published, settings.same)
    parts = []
    for model, curve in curves.items():
        epoch, rms = deviations.nearest_epoch(scores, model, curve, settings.smallest)
        if epoch:
            parts.append(f"{labels[model]} after epoch {epoch} ({number(rms)})")
    text = f"“{data}”: over the {scores.sizes['epoch']} epochs, the mean is nearest to the "
    return [f"{text}published curve for {', '.join(parts)}."] if parts else []


def _ways(found: Distances, labels: Mapping[str, str], settings: ReproductionSettings) -> Table:
    body = []
    for (data, way), of_models in found.items():
        for model, one in of_models.items():
            body.append(
                [
                    data,
                    way.label,
                    labels[model],
                    number(one.rms),
                    interval(one.lower, one.upper),
                    number(one.chance),
                    f"{one.inside} of {one.points}",
                ]
            )
        overall = number(together(of_models, settings)[0])
        body.append([data, way.label, "all curves", overall, NONE, NONE, NONE])
    return {
        "caption": "Root mean square difference from the published curve, from "
        f"{_from(settings)} on. Interval: basic bootstrap, of the difference "
        "without the scatter of our own means, which the number before it contains. By chance: "
        "the difference between two samples of that many systems. Inside: points whose 95 % "
        "interval contains the published value. All curves: the nearest model of each curve.",
        "head": [
            "Data", "Point of the curve", "Model", "Difference", "95 % interval", "By chance",
            "Inside",
        ],
        "rows": body,
    }  # fmt: skip


def _sentence_on_points(data: str, way: Way, rows: list[Point]) -> str:
    outside = [row for row in rows if not row.inside]
    return (
        f"“{data}”, {way.label}: the 95 % interval contains {len(rows) - len(outside)} of "
        f"{counted(len(rows), 'published value')}.{_misses(outside)}"
    )


def _misses(outside: list[Point]) -> str:
    """On which side our means lie that miss the published value, and to what this is traced."""
    below = sum(row.ours < row.published for row in outside)
    explained = sum(row.explained for row in outside)
    reached = "without which the interval reaches the published value"
    if not outside:
        return ""
    if len(outside) == 1:
        side = "below" if below else "above"
        why = f", {reached}" if explained else ", so it is unexplained"
        told = f"our mean lies {side} it, and this is {'' if explained else 'not '}traced"
        return f" It misses one: {told} to stalled trainings{why}."
    ends = {0: "none", len(outside): "all"}
    text = f" It misses {len(outside)}: our mean lies below {ends.get(below, below)} of them; "
    text += f"{ends.get(explained, explained)} {'is' if explained < 2 else 'are'} traced to "
    text += f"stalled trainings{f', {reached}' if explained else ''}"
    rest = ", so they are unexplained" if not explained else ", and the rest is unexplained"
    return f"{text}{'' if explained == len(outside) else rest}."


def _points(
    data: str,
    way: Way,
    rows: list[Point],
    labels: Mapping[str, str],
    settings: ReproductionSettings,
) -> Table:
    body = [
        [
            labels[row.model],
            str(row.hidden_units),
            number(row.published),
            number(row.ours),
            interval(row.lower, row.upper),
            number(row.ours - row.published, sign=True),
            str(row.overflowed),
            _explanation(row),
        ]
        for row in rows
    ]
    return {
        "caption": f"{data}: every published point and ours, the {way.label}. Stalled: scored "
        f"more than {settings.stalled:g} below the same model with fewer hidden units on the same "
        "realization.",
        "head": [
            "Model", "Hidden units", "Published", "Ours", "95 % interval", "Difference",
            "Overflowed", "Where the interval misses the published value",
        ],
        "rows": body,
    }  # fmt: skip


def _explanation(row: Point) -> str:
    """What a miss is traced to."""
    if row.inside:
        return NONE
    if not row.stalled:
        return "unexplained"
    listed = ", ".join(map(str, row.stalled))
    text = (
        f"stalled: {listed}; without {number(row.without)} "
        f"({interval(row.lower_without, row.upper_without)})"
    )
    return text if row.explained else f"unexplained ({text})"
