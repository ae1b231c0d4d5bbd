"""Which realizations one job trains in lock step, or makes data of: the blocks of an experiment.

A block of trainings is a file, so blocks must be the same in every process of a run and should stay
what they are in the next one. Automatic blocks therefore keep the files that are there. What is
trained does not depend on them by a single bit, and neither do data. `urnn.block_sizes` says how
many realizations a new block has.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable
from pathlib import Path

from urnn.config import Experiment

#: realizations of a block of data
OF_DATA = 8

Block = tuple[int, int]


def blocks(realizations: int, size: int, there: Iterable[Block] = ()) -> list[Block]:
    """First and last realization of each block, in order, at most ``size`` in one.

    Those that are ``there`` stay as they are if they fit; only what they leave is shared out. So
    more realizations add blocks, and another size changes none. While blocks are made, the answer
    stays the same.
    """
    longest: dict[int, int] = {}
    for first, last in there:
        if first <= last < realizations:
            longest[first] = max(last, longest.get(first, last))
    found, first = [], 0
    while first < realizations:
        following = min((start for start in longest if start > first), default=realizations)
        last = longest.get(first, min(first + size, following) - 1)
        found.append((first, last))
        first = last + 1
    return found


def of_data(realizations: int, folder: Path) -> list[Block]:
    """The blocks of an experiment's data, of which each realization has a file in ``folder``.

    At most `OF_DATA` realizations from a multiple of it on, those that are there apart from those
    that are not: more realizations, and files that were lost, are made without the others. While a
    job writes its files one by one, a job of a cluster that divides the realizations anew finds its
    own block where it was.
    """
    there = [(folder / f"realization-{k:03d}.nc").exists() for k in range(realizations)]
    runs = itertools.groupby(range(realizations), key=lambda k: (k // OF_DATA, there[k]))
    numbers = [list(run) for _, run in runs]
    return [(run[0], run[-1]) for run in numbers]


def of_training(experiment: Experiment, size: int, folder: Path) -> list[Block]:
    """The blocks of one model of one size, whose files are in ``folder``; new ones of ``size``."""
    there = []
    if experiment.block_size is None:
        there = [
            (int(found[1]), int(found[2]))
            for path in folder.glob("realizations-*-*.nc")
            if (found := re.fullmatch(r"realizations-(\d+)-(\d+)\.nc", path.name))
        ]
    return blocks(experiment.realizations, size, there)
