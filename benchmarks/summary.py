"""What the stored measurements say: medians, quartiles, ratios, shares of the peak, tables."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from benchmarks.cases import Case
from benchmarks.tools import PEAK_FLOP, PEERS


@dataclass(frozen=True)
class Measurement:
    """A tool's times for a case, one for each round."""

    #: comparison, at once, or what grows: time, batch, hidden or replicas
    part: str
    tool: str
    #: the fastest way that was found to set the tool up
    variant: str
    case: Case
    #: per optimizer step and model; the peak's is per `benchmarks.tools.PEAK_FLOP`
    milliseconds: list[float]

    def stored(self) -> dict[str, Any]:
        """As JSON; the quartiles are for readers, and follow from the rounds."""
        low, median, high = quartiles(self.milliseconds)
        return {
            **asdict(self),
            "quartiles": [low, median, high],
            "flop": self.case.flop,
        }

    @classmethod
    def read(cls, stored: dict[str, Any]) -> Measurement:
        """The inverse of ``stored``."""
        fields = ("part", "tool", "variant", "milliseconds")
        return cls(case=Case(**stored["case"]), **{name: stored[name] for name in fields})

    @property
    def median(self) -> float:
        """Of the rounds, in milliseconds."""
        return quartiles(self.milliseconds)[1]


def quartiles(values: Sequence[float]) -> tuple[float, float, float]:
    """Lower quartile, median and upper quartile; NaN without values."""
    if not values:
        return math.nan, math.nan, math.nan
    low, median, high = np.quantile(values, (0.25, 0.5, 0.75))
    return float(low), float(median), float(high)


def ratio(other: Sequence[float], ours: Sequence[float]) -> float:
    """How many times longer the other takes: the median over rounds of the ratio in a round.

    A round's times stand next to each other, so that a noisy neighbour hits both.

    Raises:
        ValueError: not the same number of rounds.
    """
    return quartiles([b / a for a, b in zip(ours, other, strict=True)])[1]


def share_of_peak(flop: int, milliseconds: Sequence[float], peak: Sequence[float]) -> float:
    """Floating point operations per second over the peak's (GFLOP/s), median over rounds.

    Raises:
        ValueError: not the same number of rounds.
    """
    return quartiles([flop / t / 1e6 / p for t, p in zip(milliseconds, peak, strict=True)])[1]


def peak_rates(measurement: Measurement) -> list[float]:
    """The peak of every round, GFLOP/s."""
    return [PEAK_FLOP / t / 1e6 for t in measurement.milliseconds]


def by_case(measurements: Sequence[Measurement], part: str) -> dict[Case, dict[str, Measurement]]:
    """The measurements of one part, by case and by tool, in their order."""
    found: dict[Case, dict[str, Measurement]] = {}
    for measurement in measurements:
        if measurement.part == part:
            found.setdefault(measurement.case, {})[measurement.tool] = measurement
    return found


def _table(rows: Sequence[Sequence[str]]) -> str:
    """Columns as wide as their cells, the first to the left, the others to the right."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = [
        "  ".join(
            cell.ljust(width) if number == 0 else cell.rjust(width)
            for number, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
    return "\n".join([lines[0], "-" * max(map(len, lines)), *lines[1:]])


def _spread(measurement: Measurement | None) -> str:
    if measurement is None:
        return "-"
    low, median, high = quartiles(measurement.milliseconds)
    return f"{median:.3g} [{low:.3g}, {high:.3g}]"


def comparison_table(measurements: Sequence[Measurement]) -> str:
    """Milliseconds per step and model of every tool, how often ours fits in, and our % of peak."""
    cases = by_case(measurements, "comparison")
    peers = [peer for peer in PEERS if any(peer in tools for tools in cases.values())]
    rows = [
        ["ms per step and model", "urnn", "% of peak", "kernel %", "urnn, one model"]
        + [text for peer in peers for text in (peer, "ratio")]
    ]
    for case, tools in cases.items():
        ours, kernel, peak = (tools[name] for name in ("urnn", "urnn, kernel", "peak"))
        shares = [
            share_of_peak(case.flop, tool.milliseconds, peak_rates(peak)) for tool in (ours, kernel)
        ]
        row = [case.name, _spread(ours), *(f"{100 * share:.0f}" for share in shares)]
        row.append(_spread(tools.get("urnn, one model")))
        for peer in peers:
            there = tools.get(peer)
            times = f"{ratio(there.milliseconds, ours.milliseconds):.3g}" if there else "-"
            row += [_spread(there), times]
        rows.append(row)
    return _table(rows)


def growth_table(measurements: Sequence[Measurement], axis: str) -> str:
    """Our time, and its % of the peak, along one axis: a steady % is a growth like the FLOPs'."""
    rows = [[f"{axis}, urnn", "ms per step and model", "% of peak"]]
    for case, tools in by_case(measurements, axis).items():
        ours, peak = tools["urnn"], tools["peak"]
        share = share_of_peak(case.flop, ours.milliseconds, peak_rates(peak))
        rows.append([f"{case.model} {getattr(case, axis)}", _spread(ours), f"{100 * share:.0f}"])
    return _table(rows)


def at_once_table(measurements: Sequence[Measurement]) -> str:
    """Our time in each of several trainings that run at once, against that of one alone."""
    rows = [["at once", "ms per step and model, in each", "times that of one"]]
    for tools in by_case(measurements, "at once").values():
        alone = tools["1 process"]
        for name, tool in tools.items():
            times = ratio(tool.milliseconds, alone.milliseconds)
            rows.append([name, _spread(tool), f"{times:.2f}"])
    return _table(rows)
