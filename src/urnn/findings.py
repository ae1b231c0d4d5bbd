"""What the statistics of an experiment say, as sentences and tables of the report page."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, TypedDict

from urnn import statistics

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

    from urnn.settings.figures import StatisticsSettings

#: deviations from a published value above this are listed with what may explain them
LARGE = 0.01


class Table(TypedDict):
    """A table of text: the first column names the row."""

    caption: str
    head: list[str]
    rows: list[list[str]]


def number(value: float, digits: int = 4, sign: bool = False) -> str:
    """A number for people: a dash where there is none, a true minus sign."""
    if not math.isfinite(value):
        return "∞" if value == math.inf else "–"
    # scores far from 1 (a model that trained badly) need no digits after the point
    text = f"{value:{'+' if sign else ''}.{digits}f}" if abs(value) < 100 else f"{value:.3g}"
    return text.replace("-", "−")


def _probability(p: float) -> str:
    if not math.isfinite(p):
        return "–"
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def compare(scores: xr.Dataset, settings: StatisticsSettings) -> dict[str, Any]:
    """Sentences and tables on the models that may need more states than the reference.

    Returns ``sentences`` (list of str) and ``tables`` (list of `Table`), plain text. Scores are as
    `urnn.statistics` takes them, with the coordinate model_label.

    Raises:
        ValueError: the reference is not among the models.
    """
    labels = {
        str(m): str(scores["model_label"].sel(model=m).item()) for m in scores["model"].values
    }
    rows = statistics.comparisons(scores, settings.reference, settings.margin)
    sentences = _sentences_on_differences(rows, labels, settings.margin)
    tables = [_differences(rows, labels, settings.margin)] if rows else []
    for model in statistics.challengers(scores, settings.reference):
        sentence, table = _states(scores, model, labels, settings)
        sentences.append(sentence)
        tables.append(table)
    sentence, table = _failures(scores, labels, settings.stalled)
    return {"sentences": [*sentences, sentence], "tables": [*tables, table]}


def _sentences_on_differences(
    rows: list[statistics.Comparison], labels: dict[str, str], margin: float
) -> list[str]:
    """For each pair of models, at the size where n and the multiple of n can tell them apart."""
    sentences = []
    for model, factor in dict.fromkeys((row.model, row.factor) for row in rows):
        chosen = [row for row in rows if (row.model, row.factor) == (model, factor)]
        tested = [row for row in chosen if row.difference.pairs > 1]
        equal = [row.hidden_units for row in tested if row.difference.equivalent]
        other = [row.hidden_units for row in tested if not row.difference.equivalent]
        against = "as many" if factor == 1 else f"{factor} times as many"
        text = f"{labels[chosen[0].reference]} of n against {labels[model]} of {against} units: "
        if equal:
            text += f"equal within ±{margin:g} at n = {_listed(equal)} (two one-sided tests, 5 %)"
        else:
            text += f"equality within ±{margin:g} was shown at no size"
        text += f", not shown equal at n = {_listed(other)}. " if equal and other else ". "
        middle = next((row for row in tested if row.hidden_units == 4), None)
        if middle is not None:
            d = middle.difference
            text += (
                f"With 4 against {4 * factor}: {number(d.mean, 4, True)} (95 % interval "
                f"{number(d.lower, 4, True)} to {number(d.upper, 4, True)}, {d.pairs} pairs)."
            )
        sentences.append(text.strip())
    return sentences


def _listed(values: list[int]) -> str:
    return ", ".join(map(str, values))


def _differences(rows: list[statistics.Comparison], labels: dict[str, str], margin: float) -> Table:
    body = []
    for row in rows:
        d = row.difference
        body.append(
            [
                f"{labels[row.reference]} − {labels[row.model]}",
                f"{row.hidden_units} − {row.factor * row.hidden_units}",
                number(d.mean, 4, True),
                f"{number(d.lower, 4, True)} to {number(d.upper, 4, True)}"
                if math.isfinite(d.lower)
                else "–",
                _probability(d.p_value),
                "yes" if d.equivalent else "not shown",
                str(d.pairs),
            ]
        )
    return {
        "caption": f"Difference of test R², paired by realization; p and equality are those of two "
        f"one-sided paired t-tests with a margin of ±{margin:g}.",
        "head": ["Models", "Hidden units", "Mean", "95 % interval", "p", "Equal", "Pairs"],
        "rows": body,
    }


def _states(
    scores: xr.Dataset, model: str, labels: dict[str, str], settings: StatisticsSettings
) -> tuple[str, Table]:
    """How many times the states of the reference the model needs to come near to the optimum."""
    body = []
    sentence = ""
    for margin in settings.margins:
        sizes = statistics.smallest_sizes(scores, margin)
        ratio = statistics.state_ratio(sizes, model, settings.reference)
        medians = [float(sizes.sel(model=name).median()) for name in (settings.reference, model)]
        interval = (
            f"{number(ratio.lower, 2)} to {number(ratio.upper, 2)}"
            if math.isfinite(ratio.lower)
            else "–"
        )
        body.append(
            [
                f"{margin:g}",
                *(number(value, 0) for value in medians),
                number(ratio.mean, 2),
                interval,
                number(ratio.median, 2),
                str(ratio.both),
                str(ratio.only_reference),
                str(ratio.only_model),
                str(ratio.neither),
            ]
        )
        if margin == min(settings.margins, key=lambda m: abs(m - settings.margin)):
            sentence = (
                f"To come within {margin:g} of the optimum the {labels[model]} needs "
                f"{number(ratio.mean, 2)} times the hidden units of the "
                f"{labels[settings.reference]} (geometric mean over the {ratio.both} realizations "
                f"where both do; 95 % interval {interval}; median {number(ratio.median, 2)} with "
                f"the {ratio.only_reference} where only the {labels[settings.reference]} and the "
                f"{ratio.only_model} where only the {labels[model]} does)."
            )
    name, other = labels[settings.reference], labels[model]
    return sentence, {
        "caption": f"The fewest hidden units that come within a margin of the optimum, and the "
        f"ratio {other} / {name} over realizations; ∞: no size that was trained.",
        "head": [
            "Margin", f"{name}, median", f"{other}, median", "Ratio", "95 % interval", "Median",
            "Both", f"Only {name}", f"Only {other}", "Neither",
        ],
        "rows": body,
    }  # fmt: skip


def _failures(scores: xr.Dataset, labels: dict[str, str], distance: float) -> tuple[str, Table]:
    body, parts = [], []
    for model, (diverged, failed) in statistics.failures(scores, distance).items():
        row = [labels[model], str(diverged.trainings)]
        for part in (diverged, failed):
            row += [
                str(part.count),
                f"{100 * part.share:.1f} % ({100 * part.lower:.1f} to {100 * part.upper:.1f})"
                if part.trainings
                else "–",
            ]
        body.append(row)
        parts.append(f"{labels[model]} {diverged.count} and {failed.count} of {diverged.trainings}")
    sentence = f"Trainings that diverged, and that stalled: {'; '.join(parts)}."
    return sentence, {
        "caption": "Reported trainings of all sizes that diverged (NaN or Inf) or stalled (scored "
        f"lower by more than {distance:g} than the same model with fewer units on the same "
        "realization), with 95 % Wilson intervals.",
        "head": ["Model", "Trainings", "Diverged", "Share", "Stalled", "Share"],
        "rows": body,
    }


def deviations(scores: xr.Dataset, published: pd.DataFrame, distance: float) -> dict[str, Any]:
    """Where our mean is more than 0.01 from a published value, with what may explain it."""
    labels = {
        str(m): str(scores["model_label"].sel(model=m).item()) for m in scores["model"].values
    }
    points = list(statistics.deviations(scores, published, distance))
    large = [point for point in points if abs(point.mean - point.published) > LARGE]
    rows = [
        [
            labels[p.model],
            str(p.hidden_units),
            number(p.published),
            number(p.mean),
            number(p.mean - p.published, 4, True),
            number(p.median),
            number(p.mean_not_stalled),
            f"{p.stalled} of {p.trainings}",
            f"{p.diverged} of {p.trainings}",
        ]
        for p in large
    ]
    lower = [p for p in large if p.mean < p.published]
    failed = [p for p in lower if max(p.median, p.mean_not_stalled) >= p.published - LARGE]
    sentence = (
        f"{len(large)} of {len(points)} points are more than {LARGE:g} from the published value, "
        f"{len(large) - len(lower)} above it and {len(lower)} below."
    )
    if lower:
        sentence += (
            f" Of those below, {len(failed)} come within {LARGE:g} of it or above by the median or "
            "without the stalled trainings: there single trainings failed, not the model."
        )
    table: Table = {
        "caption": f"Means that differ by more than {LARGE:g} from the published ones. Stalled: "
        f"lower by more than {distance:g} than the same model with fewer units.",
        "head": [
            "Model", "Hidden units", "Published", "Mean", "Difference", "Median",
            "Mean, not stalled", "Stalled", "Diverged",
        ],
        "rows": rows,
    }  # fmt: skip
    return {"sentences": [sentence], "tables": [table] if rows else []}
