"""How records lie in files: CSV, npz and NetCDF, each read as columns of numbers.

Nothing of a file is changed, and whatever is wrong with it is said with the file, the place and the
remedy.
"""

from __future__ import annotations

import csv
import itertools
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from urnn.errors import DataError
from urnn.settings.base import near

#: bytes that are read to find whether a file is text, and in which encoding
_HEAD = 1 << 16
#: rows that are read to find how numbers are written
_SAMPLE = 30
_SEPARATORS = ",;\t|"
_MARKS = {b"\xef\xbb\xbf": "utf-8-sig", b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}
#: texts that stand for a missing sample, besides an empty cell
_MISSING = ("", "NA", "N/A", "NaN", "nan", "null", "NULL", "None", "-", "?")
_DECIMAL_COMMA = re.compile(r"\s*[-+]?\d+,\d+([eE][-+]?\d+)?\s*$")
#: 01.02.2024, 2/1/2024 and 12:30
_DATE = re.compile(r"\d{1,4}([./-])\d{1,2}\1\d{1,4}\b|\d{1,2}:\d{2}")


@dataclass(frozen=True)
class Table:
    """Columns as they are in a file."""

    columns: dict[str, NDArray[np.float64]]
    #: what a row is called in this kind of file, such as "line 7"
    place: Callable[[int], str]


class MissingColumn(DataError):
    """A file has no column of the name that was asked for, or an empty one."""


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


def _read_csv(path: Path, names: Sequence[str]) -> Table:
    import pandas as pd

    dialect = _dialect(path, names)
    _require(path, names, [name for name in dialect.names if name])
    options: dict[str, Any] = {
        "sep": dialect.separator,
        "decimal": dialect.decimal,
        "encoding": dialect.encoding,
        "skiprows": dialect.skipped + 1,
        "header": None,
        # a name for columns without one, such as spreadsheets leave at the end of every line
        "names": [name or f"\0{k}" for k, name in enumerate(dialect.names)],
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
        # some cell is no number; read as text to find it, or to read dates and late commas
        frame = pd.read_csv(path, dtype=str, **options)
    frame, decimal = frame[list(names)], dialect.decimal
    if dialect.separator != "," and _with_commas_alone(frame):
        decimal = ","
    while len(frame) and frame.iloc[-1].isna().all():  # blank lines at the end
        frame = frame.iloc[:-1]
    numbers = {name: _numbers(path, name, frame[name], decimal, place) for name in names}
    return Table(numbers, place)


def _with_commas_alone(frame: Any) -> bool:
    """Whether some cell of a table of text has a decimal comma, and none has a point."""
    texts = [column.dropna() for _, column in frame.items() if column.dtype.kind not in "fiub"]
    return any(column.str.match(_DECIMAL_COMMA).any() for column in texts) and not any(
        column.str.contains(".", regex=False).any() for column in texts
    )


def _numbers(
    path: Path, name: str, column: Any, decimal: str, place: Callable[[int], str]
) -> NDArray:
    """A column as numbers; dates and times as seconds since the first.

    Raises:
        DataError: a cell is neither empty nor a number.
    """
    import pandas as pd

    if column.dtype.kind in "fiub":
        return np.asarray(column, np.float64)
    text = column
    if decimal == ",":  # 1.234 could be a thousand and more
        text = column.where(~column.str.contains(".", regex=False, na=False), "no number")
        text = text.str.replace(",", ".", regex=False)
    numbers = pd.to_numeric(text, errors="coerce")
    wrong = np.asarray(numbers.isna() & column.notna())
    if not wrong.any():
        return np.asarray(numbers, np.float64)
    if wrong.sum() == column.notna().sum():
        moments = pd.to_datetime(column, errors="coerce", utc=True, format="ISO8601")
        undated = np.asarray(moments.isna() & column.notna())
        if not undated.any():
            return np.asarray((moments - moments.dropna().iloc[0]).dt.total_seconds(), np.float64)
        wrong = wrong if undated.all() else undated
    row = int(np.argmax(wrong))
    cell = str(column.iloc[row])[:40]
    if row == 0 and wrong.sum() == 1 < len(wrong) and not re.match(r"[-+.,\d]", cell):
        raise DataError(
            f"{path}: {place(row)} seems to hold units ({cell!r} in column {name!r}); remove that "
            "line"
        )
    raise DataError(
        f"{path}: {cell!r} in column {name!r} at {place(row)} {_what_is_wrong(cell, decimal)}"
    )


def _what_is_wrong(cell: str, decimal: str) -> str:
    """Why a cell is not read, and the remedy."""
    if _DATE.match(cell):
        return "is not a number; write times as numbers or as 2024-02-01 00:00:00"
    if decimal == "." and _DECIMAL_COMMA.match(cell):
        return (
            "has a decimal comma, but the lines before have none; write all numbers with a "
            "comma, or all with a point"
        )
    return "is not a number; correct the cell, or leave it empty if the sample is missing"


def _no_text(path: Path, error: Exception) -> DataError:
    return DataError(f"{path} is not text in UTF-8 ({error}); save it as CSV in UTF-8")


def _ragged(path: Path, message: str, columns: int) -> str:
    found = re.search(r"in line (\d+), saw (\d+)", message)
    if found is None:
        return f"{path} is not a table of {columns} columns: {message}"
    return (
        f"{path}: line {found[1]} has {found[2]} cells, but there are {columns} names in the first "
        "line; remove the extra separator, or quote the text that holds one. Lines before the "
        "names must start with #"
    )


def _dialect(path: Path, wanted: Sequence[str]) -> _Dialect:
    """Encoding, separator, decimal point and names of a text file.

    Raises:
        DataError: it is empty or no text, or its first line does not hold the names.
    """
    with path.open("rb") as binary:
        head = binary.read(_HEAD)
    if not head.strip():
        raise DataError(f"{path} is empty; a record has a line of names and a row for each sample")
    encoding = next((name for mark, name in _MARKS.items() if head.startswith(mark)), "utf-8")
    if b"\0" in head and encoding != "utf-16":
        raise DataError(f"{path} is not a text file; save it as CSV, or name it as what it is")
    try:
        with path.open(encoding=encoding) as file:
            skipped, first = 0, file.readline()
            while first and (not first.strip() or first[0] in "#%"):
                skipped, first = skipped + 1, file.readline()
            rows = [line.rstrip("\n") for line in itertools.islice(file, _SAMPLE)]
    except UnicodeDecodeError as error:
        raise _no_text(path, error) from None
    if not first:
        raise DataError(f"{path} has comments only; a record has a line of names")
    first = first.rstrip("\n")
    counts = {mark: first.count(mark) for mark in _SEPARATORS}
    separator = max(counts, key=lambda mark: counts[mark])
    separator = separator if counts[separator] else ","
    names = [name.strip() for name in next(csv.reader([first], delimiter=separator))]
    _check_place(path, names, wanted, rows, skipped + 1)
    cells = [cell for row in rows for cell in row.split(separator)]
    decimal = "," if separator != "," and any(map(_DECIMAL_COMMA.match, cells)) else "."
    _check_names(path, names, skipped + 1, decimal)
    for number, cells in enumerate(csv.reader(rows, delimiter=separator), skipped + 2):
        if len(cells) > len(names):
            found = f"in line {number}, saw {len(cells)}"
            raise DataError(_ragged(path, found, len(names)))
    return _Dialect(encoding, separator, decimal, skipped, names)


def _check_place(
    path: Path, names: list[str], wanted: Sequence[str], rows: Sequence[str], line: int
) -> None:
    """Refuse names that are in a later line, or between spaces."""
    if set(wanted) <= set(names):
        return
    if len(names) == 1 and set(wanted) <= set(names[0].split()):
        raise DataError(
            f"{path}: line {line} has spaces between the names ({names[0]}); separate the columns "
            "by commas, semicolons or tabs"
        )
    for number, row in enumerate(rows, line + 1):
        if set(wanted) <= {cell.strip(' "') for cell in re.split(f"[{_SEPARATORS}]", row)}:
            raise DataError(
                f"{path}: the names are in line {number}; lines before the names must start with #"
            )


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


def _of_arrays(path: Path, arrays: dict[str, NDArray], names: Sequence[str]) -> Table:
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
    return Table(
        {name: np.asarray(columns[name], np.float64) for name in names}, lambda row: f"row {row}"
    )


def _read_npz(path: Path, names: Sequence[str]) -> Table:
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


def _read_netcdf(path: Path, names: Sequence[str]) -> Table:
    import xarray as xr

    try:
        with xr.open_dataset(path, engine="netcdf4") as file:
            arrays = {str(name): file[name].values for name in file.variables}
    except PermissionError:
        raise
    except Exception as error:  # netCDF4 has no error class of its own for a damaged file
        raise DataError(f"{path} is not a readable NetCDF file ({error}); write it again") from None
    for name, values in arrays.items():
        if values.ndim == 0:
            continue
        if values.dtype.kind == "M":
            arrays[name] = (values - values[:1]) / np.timedelta64(1, "s")
        elif values.dtype.kind == "m":
            arrays[name] = values / np.timedelta64(1, "s")
    return _of_arrays(path, arrays, names)


#: by the end of a file's name
READERS: dict[str, Callable[[Path, Sequence[str]], Table]] = {
    ".csv": _read_csv,
    ".txt": _read_csv,
    ".tsv": _read_csv,
    ".npz": _read_npz,
    ".nc": _read_netcdf,
}
