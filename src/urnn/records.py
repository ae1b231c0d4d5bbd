"""Records: measured signals from CSV, NetCDF or npz files, sampled evenly, gaps as NaN.

A record is a table with a row for each sample. Nothing of a file is changed, and whatever is wrong
with it is said with the file, the place and the remedy.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from urnn.errors import DataError
from urnn.settings.base import near

#: bytes that are read to find a text file's encoding, separator and columns
_HEAD = 1 << 16
_SEPARATORS = ",;\t|"
_MARKS = {b"\xef\xbb\xbf": "utf-8-sig", b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}
#: texts that stand for a missing sample, besides an empty cell
_MISSING = ("", "NA", "N/A", "NaN", "nan", "null", "NULL", "None", "-", "?")
_DECIMAL_COMMA = re.compile(r"\s*[-+]?\d+,\d+([eE][-+]?\d+)?\s*$")
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
    reader = READERS.get(path.suffix.lower())
    if reader is None:
        raise DataError(
            f"{path}: a record is a file that ends in {', '.join(READERS)}; this ends in "
            f"{path.suffix or 'nothing'!r}. Export it as CSV"
        )
    columns = [*names, *([time] if time is not None and time not in names else [])]
    try:
        table = reader(path, columns)
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
        if sample_time is not None and abs(found - sample_time) > _JITTER * sample_time:
            raise DataError(
                f"{path}: the samples of column {time!r} are {found:g} apart, not the sample time "
                f"{sample_time:g}; leave one of the two out"
            )
        sample_time = found
    return Record(path, tuple(names), values, sample_time)


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


@dataclass(frozen=True)
class _Table:
    """Columns as they are in a file."""

    columns: dict[str, NDArray[np.float64]]
    #: what a row is called in this kind of file, such as "line 7"
    place: Callable[[int], str]


def _check_column(path: Path, name: str, table: _Table) -> None:
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
        raise DataError(f"{path}: column {name!r} has no value; name another column")


def _spaced(
    path: Path, time: str, table: _Table, values: NDArray
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
            f"{table.place(row)}, usually {step:g}. Resample the record to even times"
        )
    rows = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
    if rows[-1] + 1 > _MOST_ADDED * len(rows):
        row = int(np.argmax(counts)) + 1
        raise DataError(
            f"{path}: {rows[-1] + 1 - len(rows)} samples are missing between {len(rows)}, most of "
            f"them before {table.place(row)}; split the record there into two files"
        )
    spaced = np.full((rows[-1] + 1, values.shape[1]), np.nan)
    spaced[rows] = values
    return spaced, float(f"{step:.9g}")  # as it was meant, without the rounding of the times


class MissingColumn(DataError):
    """A file has no column of the name that was asked for."""


def _require(path: Path, names: Iterable[str], there: Sequence[str]) -> None:
    for name in names:
        if name not in there:
            shown = ", ".join(there[:20]) + (", ..." if len(there) > 20 else "")
            raise MissingColumn(f"{path} has no column {name!r}; it has {shown}{near(name, there)}")


# CSV


@dataclass(frozen=True)
class _Dialect:
    """How a text file is written."""

    encoding: str
    separator: str
    decimal: str
    #: lines before the names: comments
    skipped: int
    names: list[str]


def _read_csv(path: Path, names: Sequence[str]) -> _Table:
    import pandas as pd

    dialect = _dialect(path)
    _require(path, names, dialect.names)
    options: dict[str, Any] = {
        "sep": dialect.separator,
        "decimal": dialect.decimal,
        "encoding": dialect.encoding,
        "skiprows": dialect.skipped + 1,
        "header": None,
        "names": dialect.names,
        "skip_blank_lines": False,
        "skipinitialspace": True,
        "na_values": list(_MISSING),
        "keep_default_na": False,
    }

    def place(row: int) -> str:
        return f"line {row + dialect.skipped + 2}"

    try:
        frame = pd.read_csv(path, dtype=dict.fromkeys(names, np.float64), **options)
    except (UnicodeDecodeError, UnicodeError) as error:
        raise _no_text(path, error) from None
    except pd.errors.ParserError as error:
        raise DataError(_ragged(path, str(error), len(dialect.names))) from None
    except pd.errors.EmptyDataError:
        frame = pd.DataFrame({name: np.empty(0) for name in names})
    except (ValueError, TypeError):
        # some cell is no number; read as text to find it, or to read dates
        frame = pd.read_csv(path, dtype=str, **options)
    frame = frame[list(names)]
    while len(frame) and frame.iloc[-1].isna().all():  # blank lines at the end
        frame = frame.iloc[:-1]
    return _Table({name: _numbers(path, name, frame[name], place) for name in names}, place)


def _numbers(path: Path, name: str, column: Any, place: Callable[[int], str]) -> NDArray:
    """A column as numbers; dates and times as seconds since the first.

    Raises:
        DataError: a cell is neither empty nor a number.
    """
    import pandas as pd

    if column.dtype.kind in "fiub":
        return np.asarray(column, np.float64)
    numbers = pd.to_numeric(column, errors="coerce")
    wrong = np.asarray(numbers.isna() & column.notna())
    if not wrong.any():
        return np.asarray(numbers, np.float64)
    if wrong.all():
        moments = pd.to_datetime(column, errors="coerce", utc=True, format="ISO8601")
        if not moments.isna().any():
            return np.asarray((moments - moments.iloc[0]).dt.total_seconds(), np.float64)
    row = int(np.argmax(wrong))
    raise DataError(
        f"{path}: {str(column.iloc[row])[:40]!r} in column {name!r} at {place(row)} is not a "
        "number; correct the cell, or leave it empty if the sample is missing"
    )


def _no_text(path: Path, error: Exception) -> DataError:
    return DataError(f"{path} is not text in UTF-8 ({error}); save it as CSV in UTF-8")


def _ragged(path: Path, message: str, columns: int) -> str:
    found = re.search(r"in line (\d+), saw (\d+)", message)
    if found is None:
        return f"{path} is not a table of {columns} columns: {message}"
    return (
        f"{path}: line {found[1]} has {found[2]} cells, but there are {columns} names in the first "
        "line; remove the extra separator, or quote the text that holds one"
    )


def _dialect(path: Path) -> _Dialect:
    """Encoding, separator, decimal point and names of a text file.

    Raises:
        DataError: it is empty or no text, or its first line holds no names.
    """
    with path.open("rb") as file:
        head = file.read(_HEAD)
    if not head.strip():
        raise DataError(f"{path} is empty; a record has a line of names and a row for each sample")
    encoding = next((name for mark, name in _MARKS.items() if head.startswith(mark)), "utf-8")
    if b"\0" in head and encoding != "utf-16":
        raise DataError(f"{path} is not a text file; save it as CSV, or name it as what it is")
    try:
        # the last character may be cut in two
        text = io.TextIOWrapper(io.BytesIO(head), encoding, errors="strict").read(_HEAD // 4)
    except UnicodeDecodeError as error:
        raise _no_text(path, error) from None
    lines = text.splitlines()
    skipped = 0
    while skipped < len(lines) and (not lines[skipped].strip() or lines[skipped][0] in "#%"):
        skipped += 1
    if skipped == len(lines):
        raise DataError(f"{path} has comments only; a record has a line of names")
    first, rows = lines[skipped], lines[skipped + 1 : skipped + 30]
    counts = {mark: first.count(mark) for mark in _SEPARATORS}
    separator = max(counts, key=lambda mark: counts[mark])
    separator = separator if counts[separator] else ","
    names = [name.strip() for name in next(csv.reader([first], delimiter=separator))]
    cells = [cell for row in rows for cell in row.split(separator)]
    decimal = "," if separator != "," and any(map(_DECIMAL_COMMA.match, cells)) else "."
    _check_names(path, names, skipped + 1, decimal)
    for number, cells in enumerate(csv.reader(rows, delimiter=separator), skipped + 2):
        if len(cells) > len(names):
            found = f"in line {number}, saw {len(cells)}"
            raise DataError(_ragged(path, found, len(names)))
    return _Dialect(encoding, separator, decimal, skipped, names)


def _check_names(path: Path, names: list[str], line: int, decimal: str) -> None:
    """Refuse a first line without names, or with one twice."""

    def is_number(cell: str) -> bool:
        try:
            float(cell.replace(decimal, "."))
        except ValueError:
            return False
        return True

    if all(map(is_number, names)):
        raise DataError(
            f"{path}: line {line} has numbers and no names; put a first line that names the "
            "columns, such as " + ",".join(["u", "y", *(f"x{i}" for i in range(2, len(names)))])
        )
    twice = sorted({name for name in names if name and names.count(name) > 1})
    if twice:
        raise DataError(
            f"{path}: line {line} names two columns {twice[0]!r}; give each a name of its own"
        )


# arrays


def _of_arrays(path: Path, arrays: dict[str, NDArray], names: Sequence[str]) -> _Table:
    """Columns of arrays (samples,) and (samples, columns)."""
    columns: dict[str, NDArray] = {}
    for name, values in arrays.items():
        if values.ndim == 1:
            columns[name] = values
        elif values.ndim == 2:
            columns |= {f"{name}[{k}]": values[:, k] for k in range(values.shape[1])}
            if values.shape[1] == 1:
                columns[name] = values[:, 0]
    _require(path, names, list(columns))
    for name in names:
        kind = columns[name].dtype.kind
        if kind not in "fiub":
            what = "complex" if kind == "c" else "no numbers"
            raise DataError(
                f"{path}: {name!r} holds {what} ({columns[name].dtype}); store real numbers"
            )
    lengths = {name: len(columns[name]) for name in names}
    if len(set(lengths.values())) > 1:
        told = ", ".join(f"{name} {length}" for name, length in lengths.items())
        raise DataError(f"{path}: the columns have different lengths: {told}; they must be equal")
    return _Table(
        {name: np.asarray(columns[name], np.float64) for name in names}, lambda row: f"row {row}"
    )


def _read_npz(path: Path, names: Sequence[str]) -> _Table:
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
    except PermissionError:
        raise
    except Exception as error:  # numpy and zipfile have many
        raise DataError(
            f"{path} is not a readable npz file of arrays of numbers ({error}); "
            "write it with numpy.savez"
        ) from None
    return _of_arrays(path, arrays, names)


def _read_netcdf(path: Path, names: Sequence[str]) -> _Table:
    import xarray as xr

    try:
        with xr.open_dataset(path, engine="netcdf4") as file:
            arrays = {str(name): file[name].values for name in file.variables}
    except PermissionError:
        raise
    except Exception as error:  # netCDF4 has no error class of its own for a damaged file
        raise DataError(f"{path} is not a readable NetCDF file ({error}); write it again") from None
    for name, values in arrays.items():
        if values.dtype.kind == "M":
            arrays[name] = (values - values[:1]) / np.timedelta64(1, "s")
        elif values.dtype.kind == "m":
            arrays[name] = values / np.timedelta64(1, "s")
    return _of_arrays(path, arrays, names)


#: by the end of a file's name
READERS: dict[str, Callable[[Path, Sequence[str]], _Table]] = {
    ".csv": _read_csv,
    ".txt": _read_csv,
    ".tsv": _read_csv,
    ".npz": _read_npz,
    ".nc": _read_netcdf,
}
