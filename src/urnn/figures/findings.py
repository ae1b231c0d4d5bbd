"""What a kind of figure says in words and tables of text, for the report page."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING, TypedDict

if TYPE_CHECKING:
    import xarray as xr


class Table(TypedDict):
    """A table of text: the first column names the row."""

    caption: str
    head: list[str]
    rows: list[list[str]]


class Findings(TypedDict):
    """Sentences and tables on an experiment, plain text."""

    sentences: list[str]
    tables: list[Table]


def markdown(found: Findings) -> str:
    """The sentences and tables as Markdown."""
    parts = list(found["sentences"])
    for table in found["tables"]:
        rows = [table["head"], ["---"] * len(table["head"]), *table["rows"]]
        lines = ["| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in rows]
        parts += [table["caption"], "\n".join(lines)]
    return "\n\n".join(parts) + "\n"


#: what stands for a number that there is not
NONE = "–"


def number(value: float, digits: int = 4, sign: bool = False) -> str:
    """A number for people: a dash where there is none, a true minus sign."""
    if not math.isfinite(value):
        return "∞" if value == math.inf else NONE
    # scores far from 1 (a model that trained badly) need no digits after the point
    text = f"{value:{'+' if sign else ''}.{digits}f}" if abs(value) < 100 else f"{value:.3g}"
    return text.replace("-", "−")


def interval(lower: float, upper: float, digits: int = 4, sign: bool = False) -> str:
    """Two bounds for people; a dash where there are none."""
    if not math.isfinite(lower):
        return NONE
    return f"{number(lower, digits, sign)} to {number(upper, digits, sign)}"


def listed(values: Iterable[object]) -> str:
    """Things in a sentence: "2, 4 and 8"."""
    *first, last = map(str, values)
    return f"{', '.join(first)} and {last}" if first else last


def counted(count: object, noun: str) -> str:
    """So many of something: "1 unit", "2 units"."""
    return f"{count} {noun}{'s' if count != 1 else ''}"


def uneven(label: str, scores: xr.Dataset) -> str:
    """Where sizes have different numbers of realizations, how many each has; else nothing."""
    from urnn.scoring import trainings

    if "diverged" not in scores:
        return ""
    counts = trainings(scores)
    if len({int(count) for count in counts.values.ravel() if count}) < 2:
        return ""
    parts = []
    for model in scores["model"].values:
        of_model = counts.sel(model=model)
        sizes = scores["hidden_units"].values
        told = ", ".join(
            f"{int(of_model.sel(hidden_units=n))} with {counted(n, 'unit')}" for n in sizes
        )
        parts.append(f"{scores['model_label'].sel(model=model).item()} {told}")
    return f"Realizations of {label}: {'; '.join(parts)}."
