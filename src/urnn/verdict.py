"""The verdict of a run: a claim of the paper, our evidence in numbers, and whether they agree.

A kind of figure and a theorem give the claims that their results bear on (their method ``claims``).
Every number of the evidence names the file that it comes from and what it is of that file.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple, TypedDict

from urnn.figures.findings import number

#: How the evidence stands to the claim; open: the results do not tell.
Agreement = Literal["agrees", "in part", "differs", "open"]


class Quantity(NamedTuple):
    """A number of the evidence."""

    #: as it is written
    text: str
    value: float
    #: the file it comes from: of an experiment, its scores; of a theorem, its numbers
    source: str
    #: what it is of that file
    of: str


class Claim(TypedDict):
    """What the paper says, and what the results say of it."""

    claim: str
    #: words and numbers in their order
    evidence: list[str | Quantity]
    agreement: Agreement
    #: why, in a few words
    reason: str


def quantity(value: float, source: str, of: str, digits: int = 4, sign: bool = False) -> Quantity:
    """A number as people read it; a count has no digits after the point."""
    return Quantity(number(value, digits, sign), float(value), source, of)


def small(value: float, source: str, of: str) -> Quantity:
    """An error, as a power of ten."""
    return Quantity(f"{value:.1e}" if value else "0", float(value), source, of)


def interval(
    lower: float, upper: float, source: str, of: str, digits: int = 4, sign: bool = True
) -> list[str | Quantity]:
    """The words of a 95 % interval; of NaN, that there is none."""
    if not math.isfinite(lower):
        return ["too few for an interval"]
    return [
        "95 % interval ",
        quantity(lower, source, f"lower bound of the 95 % interval of {of}", digits, sign),
        " to ",
        quantity(upper, source, f"upper bound of the 95 % interval of {of}", digits, sign),
    ]


def above(lower: float, upper: float, bound: float = 0.0) -> tuple[Agreement, str]:
    """Whether a mean with this interval is above a bound."""
    if not math.isfinite(lower):
        return "open", "too few realizations"
    if lower > bound:
        return "agrees", ""
    if upper < bound:
        return "differs", ""
    return "open", f"the interval contains {bound:g}"


def below(lower: float, upper: float, bound: float) -> tuple[Agreement, str]:
    """Whether a mean with this interval is at most a bound."""
    found, reason = above(-upper, -lower, -bound)
    return found, reason and f"the interval contains {bound:g}" if math.isfinite(lower) else reason


def joined(parts: Sequence[Sequence[str | Quantity]], by: str = "; ") -> list[str | Quantity]:
    """Several pieces of evidence as one."""
    found: list[str | Quantity] = []
    for i, part in enumerate(parts):
        found += [by] if i else []
        found += part
    return found
