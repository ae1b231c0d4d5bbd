"""Times of tools that take turns, for the benchmarks that need no processes of their own."""

from __future__ import annotations

import time
from collections.abc import Callable

#: rounds of a measurement, at least and at most
FEWEST, MOST = 5, 200


def seconds(steps: dict[str, Callable[[], float]], budget: float) -> dict[str, list[float]]:
    """Of every round, by tool: as many as so many seconds hold.

    After two rounds that compile and warm up; in the first all tools must find the same number.
    """
    values = {key: step() for key, step in steps.items()}
    first = next(iter(values.values()))
    assert all(abs(value - first) <= 1e-4 * abs(first) for value in values.values()), values
    begin = time.perf_counter()
    for step in steps.values():
        step()
    rounds = max(FEWEST, min(MOST, int(budget / (time.perf_counter() - begin))))
    times: dict[str, list[float]] = {key: [] for key in steps}
    for _ in range(rounds):
        for key, step in steps.items():
            begin = time.perf_counter()
            step()
            times[key].append(time.perf_counter() - begin)
    return times
