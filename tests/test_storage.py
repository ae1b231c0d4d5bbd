"""Files are written whole or not at all, carry their provenance, and are checked when read."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from urnn import storage
from urnn.errors import DataError


@pytest.fixture
def dataset() -> xr.Dataset:
    return xr.Dataset(
        {"x": (("trial", "time"), np.arange(6.0).reshape(2, 3), {"units": "1"})},
        attrs=storage.provenance({"snr_db": 20}, 2019),
    )


def test_round_trip_with_provenance(dataset: xr.Dataset, tmp_path: Path) -> None:
    path = tmp_path / "a" / "b.nc"
    storage.write(dataset, path)
    back = storage.read(path, ["x"])
    xr.testing.assert_identical(back, dataset)
    assert json.loads(back.attrs["config"]) == {"snr_db": 20}
    assert set(json.loads(back.attrs["versions"])) >= {"python", "urnn", "numpy", "xarray"}


def test_a_failed_write_leaves_the_old_file_and_nothing_else(
    dataset: xr.Dataset, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "b.nc"
    storage.write(dataset, path)
    before = path.read_bytes()

    def full(self: xr.Dataset, name: Path, **options: object) -> None:
        name.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(xr.Dataset, "to_netcdf", full)
    with pytest.raises(DataError, match=r"cannot write .*b\.nc.*No space left"):
        storage.write(dataset, path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_folder_that_cannot_be_made_is_named(dataset: xr.Dataset, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match=r"cannot write .*file/b\.nc"):
        storage.write(dataset, tmp_path / "file" / "b.nc")


def test_damaged_missing_and_foreign_files_are_named(dataset: xr.Dataset, tmp_path: Path) -> None:
    path = tmp_path / "b.nc"
    with pytest.raises(DataError, match=r"b\.nc does not exist"):
        storage.read(path)
    storage.write(dataset, path)
    with pytest.raises(DataError, match=r"b\.nc lacks y, z: it is another kind"):
        storage.read(path, ["x", "y", "z"])
    with pytest.raises(DataError, match=r"b\.nc lacks the attribute model: it is another kind"):
        storage.read(path, ["x"], ["model"])
    with pytest.raises(DataError, match=r"a\.csv is no NetCDF file.*`urnn fit` reads it"):
        (path.parent / "a.csv").write_text("u,y\n1,2\n")
        storage.read(path.parent / "a.csv")
    whole = path.read_bytes()
    for damaged in (b"", b"not NetCDF", whole[: len(whole) // 2], whole[:64]):
        path.write_bytes(damaged)
        with pytest.raises(DataError, match=r"b\.nc is not a readable NetCDF.*own, write it again"):
            storage.read(path)


def test_a_file_that_was_changed_is_damaged(dataset: xr.Dataset, tmp_path: Path) -> None:
    """A value, an attribute of a variable or of the file, a name, a dimension or a type."""
    path = tmp_path / "b.nc"
    storage.write(dataset, path)
    written = xr.load_dataset(path)
    other = written.copy(deep=True)
    other["x"][0, 0] = 7
    changed = [
        other,
        written.assign(x=written["x"].assign_attrs(units="m")),
        written.assign(x=written["x"].assign_attrs(long_name="inputs")),
        written.assign_attrs(seed=1),
        written.rename(x="y"),
        written.rename(time="step"),
        written.astype(np.float32),
    ]
    for number, data in enumerate([written, *changed]):
        part = tmp_path / f"{number}.nc"
        data.to_netcdf(part)
        if number:
            with pytest.raises(DataError, match=rf"{number}\.nc is damaged"):
                storage.read(part)
        else:
            xr.testing.assert_identical(storage.read(part), dataset)


def test_the_first_value_that_is_not_finite_is_named(dataset: xr.Dataset) -> None:
    storage.check_finite(dataset, Path("b.nc"), ["x"])
    dataset["x"][1, 2] = np.nan
    with pytest.raises(DataError, match=r"b\.nc: x is not finite at trial=1, time=2"):
        storage.check_finite(dataset, Path("b.nc"), ["x"])
