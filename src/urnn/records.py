"""Records: measured signals, sampled evenly, gaps as NaN; a row for each sample.

`urnn.record_files` reads the files.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from urnn.errors import DataError
from urnn.record_files import READERS, MissingColumn, Table

#: largest deviation of a step in time from a whole number of sample times
_JITTER = 0.01
#: rows that gaps in time may add, at most, for each row that there is
_MOST_ADDED = 20


@dataclass(frozen=True)
class Record:
    """Signals of one file, sampled evenly."""

    path: Path
    #: of the columns
    names: tuple[str, ...]
    #: (samples, columns) float64; NaN where a sample is missing
    values: NDArray[np.float64]
    #: seconds, or whatever the time column is in; None: not known
    sample_time: float | None


def read(
    path: Path, names: Sequence[str], time: str | None = None, sample_time: float | None = None
) -> Record:
    """Columns of a file, with a row of NaN for each sample that the time column leaves out.

    Args:
        path: a file whose name ends in one of `READERS`. A CSV file has a line of names; the
            separator, a decimal comma and the byte order mark of UTF-16 are seen. Arrays of an npz
            or NetCDF file have one value for each sample, or are tables whose columns are called
            name[0], name[1], ...
        names: of the columns.
        time: the column of the times of the samples, if there is one: numbers, or dates and times.
        sample_time: of the samples; with a time column it must be the column's.

    Raises:
        DataError: the file cannot be read, a column is missing or no numbers, or the samples are
            not evenly spaced in time.
    """
    path = Path(path)
    check_kind(path)
    columns = [*names, *([time] if time is not None and time not in names else [])]
    try:
        table = READERS[path.suffix.lower()](path, columns)
    except PermissionError:
        raise DataError(f"{path} cannot be read: permission denied; check its owner") from None
    except MemoryError:
        raise DataError(
            f"{path} does not fit into memory; give a part of it, or average over samples first"
        ) from None
    for name in columns:
        _check_column(path, name, table)
    values = np.stack([table.columns[name] for name in names], axis=1)
    if time is not None:
        values, found = _spaced(path, time, table, values)
        if not of_one_sample_time(found, sample_time):
            raise DataError(
                f"{path}: the samples of column {time!r} are {found:g} apart, not the sample time "
                f"{sample_time:g}; leave one of the two out"
            )
        sample_time = found
    return Record(path, tuple(names), values, sample_time)


def of_one_sample_time(a: float | None, b: float | None) -> bool:
    """Whether two times between samples are the same within 1 %, as far as both are known."""
    return not (a and b) or abs(a / b - 1) <= _JITTER


def check_kind(path: Path) -> None:
    """Refuse a file whose name does not end as that of a record.

    Raises:
        DataError: it does not.
    """
    if path.suffix.lower() not in READERS:
        raise DataError(
            f"{path}: a record is a file that ends in {', '.join(READERS)}; this ends in "
            f"{path.suffix or 'nothing'!r}. Export it as CSV"
        )


def interpolated(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """(samples, columns) with what is missing between its neighbours in time, or equal to one."""
    filled = values.copy()
    rows = np.arange(len(values))
    for column in filled.T:
        missing = np.isnan(column)
        if missing.any() and not missing.all():
            column[missing] = np.interp(rows[missing], rows[~missing], column[~missing])
    return filled


@dataclass(frozen=True)
class Piece:
    """A part of a record that a model runs through without interruption."""

    record: Record
    #: row of the first sample, counted from 0, with those that the time column leaves out
    first: int
    #: (samples, inputs), none missing, and (samples, outputs), NaN where missing
    x: NDArray[np.float64]
    y: NDArray[np.float64]


def pieces(record: Record, inputs: int, missing: str, first: int, last: int) -> list[Piece]:
    """Rows ``first`` to ``last`` of a record, whose first columns are the inputs, as pieces.

    With ``missing`` "cut" wherever a value is missing there is a cut; else ("mask") the rows are
    one piece from the first sample with all inputs to the last, missing inputs are interpolated,
    and outputs are missing there too.
    """
    values = record.values[first:last]
    absent = np.isnan(values)
    if missing == "cut":
        whole = np.concatenate([[False], ~absent.any(1), [False]])
        edges = np.flatnonzero(whole[1:] != whole[:-1]).reshape(-1, 2)
        return [
            Piece(record, first + begin, values[begin:end, :inputs], values[begin:end, inputs:])
            for begin, end in edges.tolist()
        ]
    there = np.flatnonzero(~absent[:, :inputs].any(1))
    if not len(there):
        return []
    begin, end = int(there[0]), int(there[-1]) + 1
    x, y = values[begin:end, :inputs], values[begin:end, inputs:].copy()
    y[np.isnan(x).any(1)] = np.nan
    return [Piece(record, first + begin, interpolated(x), y)]


def _check_column(path: Path, name: str, table: Table) -> None:
    """Refuse infinite values, and a column that has none at all."""
    values = table.columns[name]
    if len(values) < 2:
        rows = "no row" if len(values) == 0 else "one row"
        raise DataError(f"{path} has {rows} of numbers; a record needs many")
    infinite = np.isinf(values)
    if infinite.any():
        row = int(np.argmax(infinite))
        raise DataError(
            f"{path}: column {name!r} is infinite at {table.place(row)}; leave the cell empty if "
            "the sample is missing"
        )
    if np.isnan(values).all():
        raise MissingColumn(f"{path}: column {name!r} has no value; name another column")


def _spaced(
    path: Path, time: str, table: Table, values: NDArray
) -> tuple[NDArray[np.float64], float]:
    """Rows at even times, those that are not there as NaN; and the sample time."""
    times = table.columns[time]
    if np.isnan(times).any():
        row = int(np.argmax(np.isnan(times)))
        raise DataError(
            f"{path}: column {time!r} has no time at {table.place(row)}; every row needs one"
        )
    steps = np.diff(times)
    if (steps <= 0).any():
        row = int(np.argmax(steps <= 0)) + 1
        what = "stands still" if steps[row - 1] == 0 else "runs backwards"
        raise DataError(
            f"{path}: time {what} at {table.place(row)} ({times[row - 1]:g}, then {times[row]:g}); "
            "sort the rows, or split the record into one file for each run"
        )
    step = float(np.median(steps))
    counts = np.rint(steps / step)
    uneven = (np.abs(steps / step - counts) > np.maximum(_JITTER * counts, _JITTER)) | (counts < 1)
    if uneven.any():
        row = int(np.argmax(uneven)) + 1
        raise DataError(
            f"{path}: the samples are not evenly spaced: {steps[row - 1]:g} before "
            f"{table.place(row)}, usually {step:g}. Resample the record to even times, or "
            "leave --time out and give --sample-time if the times are not exact"
        )
    rows = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    if rows[-1] + 1 > _MOST_ADDED * len(rows):
        row = int(np.argmax(counts)) + 1
        raise DataError(
            f"{path}: {rows[-1] + 1 - len(rows)} samples are missing, {len(rows)} are there; the "
            f"longest gap is before {table.place(row)}; split the record there into two files"
        )
    spaced = np.full((rows[-1] + 1, values.shape[1]), np.nan)
    spaced[rows] = values
    return spaced, float(f"{step:.9g}")  # as it was meant, without the rounding of the times
