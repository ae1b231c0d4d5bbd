"""Records as trials: windows to train on, whole records for the test, scaled, gaps as NaN."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from urnn import records
from urnn.errors import DataError
from urnn.records import Piece, Record
from urnn.seeds import generator
from urnn.signals import Signals
from urnn.tasks.recorded.settings import Recorded, find
from urnn.tasks.split import SPLIT, variable

#: samples that count, of a record of the test, at least
_TEST_SAMPLES = 10


def generate(task: Recorded, seed: int, realizations: Sequence[int]) -> Iterator[xr.Dataset]:
    """The windows and the records of the test; only the windows for validation are drawn.

    Inputs and outputs are scaled to mean 0 and standard deviation 1 over the training part; the
    attribute ``signals`` says with what, see `urnn.signals.Signals`.

    Raises:
        DataError: a record cannot be used; the message names the file, the place and the remedy.
    """
    training, test = pieces(task)
    for realization in realizations:
        yield assembled(task, training, test, seed, realization)


def assembled(
    task: Recorded,
    training: Sequence[Piece],
    test: Sequence[Piece],
    seed: int,
    realization: int,
) -> xr.Dataset:
    """A dataset of `generate` from pieces that have been read; raises as it does."""
    test = _long_enough(task, test)
    signals = described(task, training, test)
    starts = window_starts(task, training)
    x, y = _windows(task, training, signals, starts)
    split = np.full(task.windows, SPLIT["train"], np.int8)
    if task.validation_trials:
        random = generator(seed, "recorded", realization, "validation")
        first = int(random.integers(task.windows - task.validation_trials + 1))
        split[first : first + task.validation_trials] = SPLIT["validation"]
    x_test, y_test = _padded(task, test, signals)
    covered = _covered(task, training, starts)

    def named(dims: tuple[str, ...], values: NDArray, long_name: str) -> tuple:
        return dims, values, {"long_name": long_name, "units": "1"}

    window, whole = ("trial", "time"), ("test_trial", "test_time")
    missing = "NaN where it does not count"
    return xr.Dataset(
        {
            "x": named((*window, "input"), x, "scaled inputs of the windows"),
            "y": named((*window, "output"), y, f"scaled outputs of the windows, {missing}"),
            "x_test": named((*whole, "input"), x_test, "scaled inputs of the test"),
            "y_test": named((*whole, "output"), y_test, f"scaled outputs of the test, {missing}"),
            "split": variable(split),
            "start": named(
                ("trial",), np.array([start for _, start in starts]), "row of the first sample"
            ),
        },
        coords={"input": list(task.inputs), "output": list(task.outputs)},
        attrs={
            "title": "Windows and test records of measured signals",
            "signals": json.dumps(asdict(signals), sort_keys=True),
            "covered": covered,
        },
    )


# pieces


def pieces(task: Recorded) -> tuple[list[Piece], list[Piece]]:
    """The parts of the records to train on, and those of the test.

    Raises:
        DataError: a record cannot be read or is too short, or has nothing to use.
    """
    _check_distinct(find(task.records), find(task.test_records))
    training: list[Piece] = []
    test: list[Piece] = []
    cut, inputs = records.pieces, len(task.inputs)
    for record in _read(task, task.records):
        rows = len(record.values)
        kept = rows if task.test_records else rows - round(rows * task.test_share)
        training += cut(record, inputs, task.missing, 0, kept)
        test += cut(record, inputs, task.missing, kept, rows)
    for record in _read(task, task.test_records):
        test += cut(record, inputs, task.missing, 0, len(record.values))
    return training, _long_enough(task, test)


def _check_distinct(training: Sequence[Path], test: Sequence[Path]) -> None:
    """Refuse a file that is given twice, under whatever names.

    Raises:
        DataError: one is.
    """
    seen: set[Path] = set()
    for path in (*training, *test):
        if path.resolve() in seen:
            raise DataError(
                f"{path}: the file is given twice among records and test_records; leave one out"
            )
        seen.add(path.resolve())


def _long_enough(task: Recorded, test: Sequence[Piece]) -> list[Piece]:
    """The pieces of the test that have more than the warm-up.

    Raises:
        DataError: there is none.
    """
    kept = [piece for piece in test if len(piece.x) >= task.warm_up + _TEST_SAMPLES]
    if not kept:
        longest = max((len(piece.x) for piece in test), default=0)
        remedies = ["longer test_records" if task.test_records else "a larger test_share"]
        remedies += ["a smaller warm_up"] if task.warm_up else []
        remedies += ["missing: mask"] if task.missing == "cut" else []
        raise DataError(
            f"{', '.join(task.test_records or task.records)}: the test needs a stretch of "
            f"{task.warm_up + _TEST_SAMPLES} samples (warm-up {task.warm_up}, and {_TEST_SAMPLES} "
            f"that count), but its longest has {longest}; give {' or '.join(remedies)}"
        )
    return kept


def _read(task: Recorded, places: Sequence[str]) -> list[Record]:
    names = [*task.inputs, *task.outputs]
    found = [records.read(path, names, task.time, task.sample_time) for path in find(places)]
    for record in found[1:]:
        first = found[0].sample_time
        if not records.of_one_sample_time(record.sample_time, first):
            raise DataError(
                f"{record.path}: the samples are {record.sample_time:g} apart, but those of "
                f"{found[0].path} are {first:g}; resample one of them"
            )
    return found


# scaling


def described(task: Recorded, training: Sequence[Piece], test: Sequence[Piece]) -> Signals:
    """Names, scaling and sampling of the signals.

    Raises:
        DataError: there is nothing to train on, a signal is constant over the training part, or
            the test cannot be scored.
    """
    places = ", ".join(task.records)
    if not training or all(np.isnan(piece.y).all() for piece in training):
        raise DataError(
            f"{places}: the part to train on has no row with all inputs and an output; look for "
            "a column that is empty there, or name other columns"
        )
    x = np.concatenate([piece.x for piece in training])
    y = np.concatenate([piece.y for piece in training])
    scales: dict[str, list[float]] = {}
    for kind, names, values in (("input", task.inputs, x), ("output", task.outputs, y)):
        counts = np.isfinite(values).sum(0)
        if (counts < 2).any():
            name = names[int(np.argmax(counts < 2))]
            raise DataError(
                f"{places}: the {kind} {name!r} has fewer than two values in the part to train on; "
                "name another column"
            )
        mean, std = np.nanmean(values, 0), np.nanstd(values, 0)
        constant = std <= 1e-12 * np.maximum(np.abs(mean), 1e-300)
        if constant.any():
            name = names[int(np.argmax(constant))]
            raise DataError(
                f"{places}: the {kind} {name!r} is constant ({mean[np.argmax(constant)]:g}) in the "
                f"part to train on, so nothing can be learned from it; leave the column out"
                + ("" if kind == "input" else ", or name another output")
            )
        scales |= {f"{kind}_mean": mean.tolist(), f"{kind}_std": std.tolist()}
    _check_test(task, np.concatenate([piece.y[task.warm_up :] for piece in test]))
    sample_time = task.sample_time or training[0].record.sample_time
    return Signals(
        list(task.inputs), list(task.outputs), **scales, sample_time=sample_time, time=task.time,
        warm_up=task.warm_up, missing=task.missing,
    )  # fmt: skip


def _check_test(task: Recorded, scored: NDArray[np.float64]) -> None:
    """Refuse outputs (samples, output) of the test by which no model can be scored.

    Raises:
        DataError: an output has no value, or all are constant.
    """
    problem = None
    if np.isnan(scored).all(0).any():
        problem = "the test has an output without any value after the warm-up"
    elif (np.nanmin(scored, 0) == np.nanmax(scored, 0)).all():
        problem = "the outputs are constant in the test after the warm-up, so R² is not defined"
    if problem:
        raise DataError(
            f"{', '.join(task.test_records or task.records)}: {problem}; give a larger test_share "
            "or other test_records"
        )


# windows


def window_starts(task: Recorded, training: Sequence[Piece]) -> list[tuple[int, int]]:
    """(piece, row) of the first sample of each window, evenly spaced over all that are possible.

    Raises:
        DataError: no piece is as long as a window, or there are fewer starts than windows.
    """
    # the possible starts of all pieces, one after the other
    counts = [max(len(piece.x) - task.window + 1, 0) for piece in training]
    possible = sum(counts)
    if possible < task.windows:
        longest = max((len(piece.x) for piece in training), default=0)
        raise DataError(
            f"{', '.join(task.records)}: {possible} windows of {task.window} samples fit into "
            f"the part to train on, whose longest stretch has {longest} samples, but "
            f"{task.windows} are asked for; give a smaller window or fewer windows"
            + (", or missing: mask" if task.missing == "cut" else "")
        )
    chosen = np.linspace(0, possible - 1, task.windows).round().astype(int)
    before = np.concatenate([[0], np.cumsum(counts)])
    places = np.searchsorted(before, chosen, side="right") - 1
    return [(int(k), int(start - before[k])) for k, start in zip(places, chosen, strict=True)]


def _windows(
    task: Recorded, training: Sequence[Piece], signals: Signals, starts: Sequence[tuple[int, int]]
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Scaled inputs and outputs of the windows; outputs of the warm-up are NaN."""
    slices = [(training[index], slice(row, row + task.window)) for index, row in starts]
    x = np.stack([signals.scaled_inputs(piece.x[rows]) for piece, rows in slices])
    y = np.stack([signals.scaled_outputs(piece.y[rows]) for piece, rows in slices])
    y[:, : task.warm_up] = np.nan
    return x, y


def _covered(task: Recorded, training: Sequence[Piece], starts: Sequence[tuple[int, int]]) -> float:
    """Share of the samples to train on that count in a window."""
    counted = [np.zeros(len(piece.x), bool) for piece in training]
    for index, row in starts:
        counted[index][row + task.warm_up : row + task.window] = True
    return float(np.concatenate(counted).mean())


def _padded(
    task: Recorded, test: Sequence[Piece], signals: Signals
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Scaled records of the test, all as long as the longest; outputs that do not count are NaN."""
    length = max(len(piece.x) for piece in test)
    x = np.zeros((len(test), length, len(task.inputs)), np.float32)
    y = np.full((len(test), length, len(task.outputs)), np.nan, np.float32)
    for row, piece in enumerate(test):
        x[row, : len(piece.x)] = signals.scaled_inputs(piece.x)
        y[row, : len(piece.y)] = signals.scaled_outputs(piece.y)
    y[:, : task.warm_up] = np.nan
    return x, y
