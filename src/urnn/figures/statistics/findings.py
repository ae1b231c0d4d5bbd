"""What the statistics of an experiment say, as sentences and tables of the report page."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from urnn import statistics
from urnn.figures.findings import NONE, Findings, Table, interval, number

if TYPE_CHECKING:
    import xarray as xr

    from urnn.figures.statistics.settings import StatisticsSettings


def describe(scores: xr.Dataset, settings: StatisticsSettings) -> Findings:
    """Sentences and tables on the models that may need more hidden units than the reference.

    Args:
        scores: as `urnn.statistics` takes them, with the coordinate model_label.
        settings: the reference and the margins.

    Raises:
        ArgumentError: the reference is not among the models.
    """
    labels = {
        str(m): str(scores["model_label"].sel(model=m).item()) for m in scores["model"].values
    }
    rows = statistics.comparisons(scores, settings.reference, settings.margin)
    sentences = _sentences_on_differences(rows, labels, settings.margin)
    tables = [_differences(rows, labels, settings.margin)] if rows else []
    others = statistics.challengers(scores, settings.reference)
    if "r2_optimal" in scores:
        for model in others:
            sentence, table = _ratio(scores, model, labels, settings)
            sentences.append(sentence)
            tables.append(table)
    elif others:
        sentences.append(
            "How many hidden units a model needs to come near to the optimum cannot be said: the "
            "score of a perfect model on these data is not known."
        )
    sentence, table = _failures(scores, labels, settings.stalled)
    sentences.append(sentence)
    tables.append(table)
    return {"sentences": sentences, "tables": tables}


def _sentences_on_differences(
    rows: list[statistics.Comparison], labels: dict[str, str], margin: float
) -> list[str]:
    """One for each pair of models."""
    sentences = []
    for model, factor in dict.fromkeys((row.model, row.factor) for row in rows):
        chosen = [row for row in rows if (row.model, row.factor) == (model, factor)]
        tested = [row for row in chosen if row.difference.pairs > 1]
        equal = [row.hidden_units for row in tested if row.difference.equivalent]
        other = [row.hidden_units for row in tested if not row.difference.equivalent]
        against = "n" if factor == 1 else f"{factor}n"
        reference = labels[chosen[0].reference]
        text = f"{reference} with n hidden units against {labels[model]} with {against}: "
        if equal:
            text += f"equal within ±{margin:g} at n = {_listed(equal)} (two one-sided tests, 5 %)"
        else:
            text += f"not shown to be equal within ±{margin:g} at any size"
        text += f", not shown to be equal at n = {_listed(other)}. " if equal and other else ". "
        # a size at which neither model is hopeless or done
        middle = next((row for row in tested if row.hidden_units == 4), None)
        if middle is not None:
            d = middle.difference
            told = interval(d.lower, d.upper, 4, True)
            counts = f"95 % interval {told}, {d.pairs} pairs"
            if told == NONE:
                counts = f"{d.pairs} pairs, too few for an interval"
            text += (
                f"With 4 against {4 * factor}, the mean difference is {number(d.mean, 4, True)} "
                f"({counts})."
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
                interval(d.lower, d.upper, 4, True),
                _probability(d.p_value),
                "yes" if d.equivalent else "not shown",
                str(d.pairs),
            ]
        )
    return {
        "caption": "Difference of test R², paired by realization. p and equality: two one-sided "
        f"paired t-tests with a margin of ±{margin:g}.",
        "head": ["Models", "Hidden units", "Mean", "95 % interval", "p", "Equal", "Pairs"],
        "rows": body,
    }


def _probability(p: float) -> str:
    if not math.isfinite(p):
        return NONE
    return "< 0.001" if p < 0.001 else f"{p:.3f}"


def _ratio(
    scores: xr.Dataset, model: str, labels: dict[str, str], settings: StatisticsSettings
) -> tuple[str, Table]:
    """How many times the hidden units of the reference the model needs to come near the optimum."""
    name, other = labels[settings.reference], labels[model]
    nearest = min(settings.margins, key=lambda m: abs(m - settings.margin))
    body = []
    sentence = ""
    for margin in settings.margins:
        sizes = statistics.smallest_sizes(scores, margin)
        ratio = statistics.state_ratio(sizes, model, settings.reference)
        medians = [float(sizes.sel(model=which).median()) for which in (settings.reference, model)]
        body.append(
            [
                f"{margin:g}",
                *(number(value, 0) for value in medians),
                number(ratio.mean, 2),
                interval(ratio.lower, ratio.upper, 2),
                number(ratio.median, 2),
                str(ratio.both),
                str(ratio.only_reference),
                str(ratio.only_model),
                str(ratio.neither),
            ]
        )
        if margin == nearest:
            sentence = _sentence_on_ratio(ratio, margin, name, other)
    return sentence, {
        "caption": "The fewest hidden units that come within a margin of the optimum, and the "
        f"ratio {other} / {name} over realizations; ∞: no trained size does.",
        "head": [
            "Margin", f"{name}, median", f"{other}, median", "Ratio", "95 % interval", "Median",
            "Both", f"Only {name}", f"Only {other}", "Neither",
        ],
        "rows": body,
    }  # fmt: skip


def _sentence_on_ratio(ratio: statistics.StateRatio, margin: float, name: str, other: str) -> str:
    alone = {name: ratio.only_reference, other: ratio.only_model}
    if not ratio.both:
        counts = [f"the {who} alone does in {count or 'none'}" for who, count in alone.items()]
        return (
            f"In no realization do both come within {margin:g} of the optimum: {counts[0]}, "
            f"{counts[1]}, and neither in {ratio.neither or 'none'}."
        )
    told = interval(ratio.lower, ratio.upper, 2)
    over = "one realization" if ratio.both == 1 else f"{ratio.both} realizations"
    text = (
        f"To come within {margin:g} of the optimum, the {other} needs {number(ratio.mean, 2)} "
        f"times the hidden units of the {name}: the geometric mean over the {over} in which both "
        f"do ({'too few for an interval' if told == NONE else f'95 % interval {told}'}). The median"
    )
    counted = [
        f"the {'one' if count == 1 else count} in which only the {who} does"
        for who, count in alone.items()
        if count
    ]
    if counted:
        return f"{text}, {number(ratio.median, 2)}, also counts {' and '.join(counted)}."
    return f"{text} is {number(ratio.median, 2)}."


def _failures(scores: xr.Dataset, labels: dict[str, str], distance: float) -> tuple[str, Table]:
    body, parts = [], []
    for model, (diverged, failed) in statistics.failures(scores, distance).items():
        row = [labels[model], str(diverged.trainings)]
        for part in (diverged, failed):
            row += [
                str(part.count),
                f"{100 * part.share:.1f} % ({100 * part.lower:.1f} to {100 * part.upper:.1f})"
                if part.trainings
                else NONE,
            ]
        body.append(row)
        parts.append(f"{labels[model]} {diverged.count} and {failed.count} of {diverged.trainings}")
    sentence = (
        f"Trainings that diverged (NaN or Inf) and that stalled ({_stalled(distance)}): "
        f"{'; '.join(parts)}."
    )
    return sentence, {
        "caption": "Trainings of all sizes that diverged (NaN or Inf) or stalled "
        f"({_stalled(distance)}), with 95 % Wilson intervals of their shares. Of several restarts, "
        "only the reported one counts.",
        "head": ["Model", "Trainings", "Diverged", "Share", "Stalled", "Share"],
        "rows": body,
    }


def _stalled(distance: float) -> str:
    """What a stalled training is."""
    return (
        f"scored more than {distance:g} below the same model with fewer hidden units on the same "
        "realization"
    )
