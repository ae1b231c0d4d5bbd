"""Records: what is read right, and forty files that are not, each refused with place and remedy."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from urnn import records
from urnn.errors import DataError
from urnn.record_files import READERS
from urnn.records import interpolated, pieces, read
from urnn.tasks.recorded.settings import SUFFIXES, find

GOOD = "t,u,y\n0,1,2\n0.1,3,4\n0.2,5,6\n"


def saved(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def test_the_light_part_knows_the_same_files() -> None:
    assert tuple(READERS) == SUFFIXES


def test_csv(tmp_path: Path) -> None:
    record = read(saved(tmp_path / "a.csv", GOOD), ["y", "u"], "t")
    np.testing.assert_array_equal(record.values, [[2, 1], [4, 3], [6, 5]])
    assert record.sample_time == 0.1 and record.names == ("y", "u")
    assert read(tmp_path / "a.csv", ["u"], sample_time=2.0).sample_time == 2


@pytest.mark.parametrize(
    "content",
    [
        GOOD.replace(",", ";"),
        GOOD.replace(",", "\t"),
        GOOD.replace(",", " , "),
        "t;u;y\n0;1;2\n0,1;3;4\n0,2;5;6\n",  # decimal commas
        "t;u;y\n2024-01-01T00:00:00;1,0;2\n2024-01-01T00:00:01;3,0;4\n2024-01-01T00:00:02;5,0;6\n",
        "# made by hand\n\n" + GOOD,
        "# a comment\n" * 3000 + GOOD,
        "t,u,y,,\n0,1,2,,\n0.1,3,4,,\n0.2,5,6,,\n",  # as spreadsheets leave empty columns
        "t,u,y," + ",".join(f"channel{k:012}" for k in range(2000)) + "\n"
        + "".join(row + ",7" * 2000 + "\n" for row in ("0,1,2", "0.1,3,4", "0.2,5,6")),
        GOOD.replace("\n", "\r\n"),
        '"t","u","y"\n' + GOOD.partition("\n")[2],
        GOOD + "\n\n",
        GOOD.encode("utf-16"),
        GOOD.encode("utf-8-sig"),
    ],
)  # fmt: skip
def test_ways_to_write_a_table(content: str | bytes, tmp_path: Path) -> None:
    record = read(saved(tmp_path / "a.csv", content), ["u", "y"], "t")
    np.testing.assert_array_equal(record.values, [[1, 2], [3, 4], [5, 6]])


def test_decimal_commas_far_down(tmp_path: Path) -> None:
    path = saved(tmp_path / "a.csv", "u;y\n" + "1;2\n" * 40 + "1,5;3\n")
    np.testing.assert_array_equal(read(path, ["u", "y"]).values[-2:], [[1, 2], [1.5, 3]])


@pytest.mark.parametrize("text", ["", "NaN", "nan", "NA", "null", "-", "?"])
def test_missing_cells(text: str, tmp_path: Path) -> None:
    record = read(saved(tmp_path / "a.csv", f"u,y\n1,2\n{text},4\n5,{text}\n"), ["u", "y"])
    np.testing.assert_array_equal(record.values, [[1, 2], [np.nan, 4], [5, np.nan]])


def test_gaps_in_time_are_missing_rows_and_dates_are_times(tmp_path: Path) -> None:
    text = "when,u\n" + "".join(f"2024-05-01T10:00:{s:02d}Z,{s}\n" for s in (0, 2, 4, 10, 12))
    record = read(saved(tmp_path / "a.csv", text), ["u"], "when")
    assert record.sample_time == 2
    np.testing.assert_array_equal(record.values[:, 0], [0, 2, 4, np.nan, np.nan, 10, 12])


def test_arrays(tmp_path: Path) -> None:
    u, y = np.arange(5.0), np.arange(10).reshape(5, 2)
    np.savez(tmp_path / "a.npz", u=u, y=y)
    record = read(tmp_path / "a.npz", ["u", "y[1]"])
    np.testing.assert_array_equal(record.values, np.stack([u, y[:, 1]], 1))
    times = np.datetime64("2024-01-01") + np.arange(5) * np.timedelta64(500, "ms")
    forecast = {"time": times, "made": np.datetime64("2023-12-31")}  # of which nothing is asked
    xr.Dataset({"u": ("time", u)}, forecast).to_netcdf(tmp_path / "a.nc")
    assert read(tmp_path / "a.nc", ["u"], "time").sample_time == 0.5


def test_interpolated_between_and_held_at_the_ends() -> None:
    values = np.array([[np.nan, 1], [2, np.nan], [np.nan, np.nan], [4, 4], [np.nan, 5]])
    np.testing.assert_array_equal(interpolated(values), [[2, 1], [2, 2], [3, 3], [4, 4], [4, 5]])
    assert np.isnan(values).sum() == 5  # the argument stays as it is


def test_pieces_of_both_policies(tmp_path: Path) -> None:
    text = "u,y\n,0\n1,1\n,2\n3,3\n4,\n5,5\n6,6\n,7\n"
    record = read(saved(tmp_path / "a.csv", text), ["u", "y"])
    (mask,) = pieces(record, 1, "mask", 0, 8)
    assert mask.first == 1
    np.testing.assert_array_equal(mask.x[:, 0], [1, 2, 3, 4, 5, 6])
    np.testing.assert_array_equal(mask.y[:, 0], [1, np.nan, 3, np.nan, 5, 6])
    cut = pieces(record, 1, "cut", 0, 8)
    assert [(piece.first, piece.x[:, 0].tolist()) for piece in cut] == [
        (1, [1]), (3, [3]), (5, [5, 6]),
    ]  # fmt: skip
    assert [piece.first for piece in pieces(record, 1, "cut", 5, 8)] == [5]


def arrays(path: Path, **given: Any) -> Path:
    np.savez(path, **given)
    return path


#: a file that is made, what is read of it, and what the message says besides its name
BAD: dict[str, tuple[Callable[[Path], Path], dict[str, Any], str]] = {}


def bad(name: str, suffix: str, content: Any, words: str, **options: Any) -> None:
    def make(folder: Path) -> Path:
        path = folder / f"record{suffix}"
        if callable(content):
            content(path)
        elif content is not None:
            saved(path, content)
        return path

    BAD[name] = (make, {"names": ["u", "y"], **options}, words)


def csv(rows: str) -> str:
    return f"t,u,y\n{rows}\n"


bad("a column that is not there", ".csv", "u,speed\n1,2\n3,4\n", "no column 'y'; it has u, speed")
bad("a name misspelt", ".csv", "U,y\n1,2\n3,4\n", "no column 'u'; it has U, y; did you mean 'U'")
bad("text among numbers", ".csv", csv("0,1,2\n1,x1,3"), "'x1' in column 'u' at line 3 is not a num")
bad("a unit beside a number", ".csv", csv("0,1,2 V\n1,1,3 V"), "'2 V' in column 'y' at line 2")
bad("text after comments", ".csv", "# a\n# b\nu,y\n1,2\n1,x\n", "'x' in column 'y' at line 5")
bad(
    "a decimal comma in commas",
    ".csv",
    "u,y\n1,5,2\n1,5,3\n",
    "line 2 has 3 cells, but there are 2",
)
for date in ("01.02.2024 00:00", "02/01/2024 00:00", "00:00:00"):
    words = "write times as numbers or as 2024-02-01 00:00:00"
    bad(f"times as {date}", ".csv", csv(f"{date},1,2\n{date},1,3"), words, time="t")
bad("one date wrong", ".csv", csv("2024-02-01,1,2\n2024-02-32,1,3"), "-32' .* at line 3", time="t")
bad("units", ".csv", csv("s,V,m/s\n0,1,2\n1,1,3"), "line 2 seems to hold units .'V' in column 'u'")
bad(
    "units above dates",
    ".csv",
    csv("s,,\n2024-02-01,1,2\n2024-02-02,1,3"),
    "line 2 seems to hold units",
    time="t",
)
bad(
    "a decimal comma after points",
    ".csv",
    "u;y\n" + "1.5;2\n" * 40 + "1,5;2\n",
    "line 42 has a decimal comma, but the lines before have none",
)
bad("spaces", ".txt", "t u y\n0 1 2\n", "separate the columns by commas, semicolons or tabs")
bad(
    "lines before the names",
    ".csv",
    "LabVIEW\t\nVersion\t2\nt\tu\ty\n0\t1\t2\n",
    "names are in line 3; lines before the names must start with #",
)
bad("too many cells in one line", ".csv", csv("0,1,2\n1,2,3,4\n2,3,4"), "line 3 has 4 cells")
bad("too many cells far down", ".csv", csv("0,1,2\n" * 90 + "1,2,3,4"), "line 92 has 4 cells")
bad("text among decimal commas", ".csv", "u;y\n1,5;2,5\n1,6;bad\n", "'bad' in column 'y' at line 3")
bad(
    "points among decimal commas",
    ".csv",
    "u;y\n1,5;2,5\n1.234;3\n",
    "'1.234' in column 'u' at line 3",
)
bad("infinite", ".csv", csv("0,1,2\n1,inf,3"), "column 'u' is infinite at line 3")
bad("no value at all", ".csv", csv("0,,2\n1,,3"), "column 'u' has no value")
bad("empty", ".csv", "", "is empty")
bad("blank", ".csv", " \n\n", "is empty")
bad("comments only", ".csv", "# one\n# two\n", "has comments only")
bad("no line of names", ".csv", "1,2\n3,4\n", "line 1 has numbers and no names.*such as u,y")
bad("one name twice", ".csv", "u,u,y\n1,2,3\n", "line 1 names two columns 'u'; give each")
bad("names only", ".csv", "u,y\n", "has no row of numbers")
bad("one row", ".csv", "u,y\n1,2\n", "has one row of numbers")
bad("binary", ".csv", b"u,y\n\x00\x01\x02\x00", "is not a text file")
bad("Latin-1", ".csv", "u,y,Größe\n1,2,3\n".encode("latin-1"), "not text in UTF-8.*save it as")
bad("Latin-1 far down", ".csv", b"u,y\n" + b"1,2\n" * 60_000 + b"1,\xfc\n", "not text in UTF-8")
bad("UTF-16 without a mark", ".csv", GOOD.encode("utf-16-le"), "is not a text file")
bad("time backwards", ".csv", csv("0,1,2\n1,1,3\n0.5,1,2"), "runs backwards at line 4", time="t")
bad("time stands", ".csv", csv("0,1,2\n1,1,3\n1,1,2"), "stands still at line 4", time="t")
bad(
    "uneven",
    ".csv",
    csv("0,1,2\n1,1,3\n2,1,2\n3.4,1,1"),
    "spaced: 1.4 before line 5.*Resam.*leave --time out and give --sample-time",
    time="t",
)
bad("no time", ".csv", csv("0,1,2\n,1,3\n2,1,2"), "column 't' has no time at line 3", time="t")
bad(
    "far in time",
    ".csv",
    csv("0,1,2\n1,1,3\n2,1,2\n9000,1,2"),
    "8997 samples are missing",
    time="t",
)
bad("two sample times", ".csv", csv("0,1,2\n1,1,3"), "1 apart, not the sample time 2", time="t",
    sample_time=2.0)  # fmt: skip
bad(
    "dates that are none",
    ".csv",
    csv("May,1,2\nJune,1,3"),
    "'May' in column 't' at line 2",
    time="t",
)
bad("not there", ".csv", None, "cannot be read|does not exist|No such file")
bad("another ending", ".xlsx", "x", "ends in '.xlsx'. Export it as CSV")
bad("no ending", "", "x", "ends in 'nothing'")
bad("npz that is none", ".npz", b"not an archive", "not a readable npz file")
bad("npz without a name", ".npz", lambda p: arrays(p, u=np.ones(3)), "no column 'y'; it has u")
bad(
    "unequal lengths",
    ".npz",
    lambda p: arrays(p, u=np.ones(3), y=np.ones(4)),
    "u 3, y 4; they must",
)
bad("complex", ".npz", lambda p: arrays(p, u=np.ones(3), y=1j * np.ones(3)), "'y' holds complex")
bad("texts", ".npz", lambda p: arrays(p, u=np.ones(2), y=np.array(["a", "b"])), "holds no numbers")
bad(
    "objects",
    ".npz",
    lambda p: arrays(p, u=np.ones(2), y=np.array([1, None])),
    "not a readable npz",
)
bad(
    "three dimensions",
    ".npz",
    lambda p: arrays(p, u=np.ones(2), y=np.ones((2, 2, 2))),
    "no column 'y'",
)
bad("NetCDF that is none", ".nc", b"CDF no", "not a readable NetCDF file")
bad("NetCDF, NaN only", ".nc",
    lambda p: xr.Dataset({"u": ("k", [1.0, 2]), "y": ("k", [np.nan] * 2)}).to_netcdf(p),
    "'y' has no value")  # fmt: skip
bad("NetCDF, infinite", ".nc",
    lambda p: xr.Dataset({"u": ("k", [1.0, 2]), "y": ("k", [1, np.inf])}).to_netcdf(p),
    "infinite at row 1")  # fmt: skip


def test_there_are_forty() -> None:
    assert len(BAD) >= 40


@pytest.mark.parametrize("name", BAD)
def test_a_bad_record_is_refused_with_its_place(name: str, tmp_path: Path) -> None:
    make, options, words = BAD[name]
    path = make(tmp_path)
    before = path.read_bytes() if path.exists() else None
    with pytest.raises(DataError, match=words) as refused:
        if before is None:
            find([str(path)])
        read(path, **options)
    assert str(path) in str(refused.value)
    assert not re.search(r"delete|erase|\brm\b|remove (it|the file)", str(refused.value).lower())
    assert (path.read_bytes() if path.exists() else None) == before
    assert [entry for entry in tmp_path.iterdir() if entry != path] == []


def test_a_file_that_may_not_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = saved(tmp_path / "a.csv", GOOD)

    def refuse(*arguments: Any, **options: Any) -> Any:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(DataError, match=r"a\.csv cannot be read: permission denied"):
        read(path, ["u"])


def test_folders_and_what_is_not_there(tmp_path: Path) -> None:
    for name in ("b.csv", "a.nc", "notes.md"):
        (tmp_path / name).touch()
    assert [path.name for path in find([str(tmp_path)])] == ["a.nc", "b.csv"]
    (tmp_path / "inside").mkdir()
    with pytest.raises(DataError, match="the folder has no record; records end in"):
        find([str(tmp_path / "inside")])
    with pytest.raises(DataError, match="nowhere does not exist; check the name"):
        find([str(tmp_path / "nowhere")])


def test_ten_million_rows_take_seconds_not_minutes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the file: gaps, pieces and interpolation are of the order of the rows."""
    values = np.random.default_rng(0).standard_normal((10**6, 2))
    values[::97] = np.nan
    record = records.Record(Path("a.csv"), ("u", "y"), values, None)
    (mask,) = pieces(record, 1, "mask", 0, len(values))
    assert np.isfinite(mask.x).all() and len(pieces(record, 1, "cut", 0, len(values))) == 10310
