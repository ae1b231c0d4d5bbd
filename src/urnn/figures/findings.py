"""What a kind of figure says in words and tables of text, for the report page."""

from __future__ import annotations

import math
from typing import TypedDict


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
