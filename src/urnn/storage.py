"""NetCDF files: written whole or not at all, with units and provenance; read with checks.

The only place that knows how a dataset becomes a file. What is in it, the names and dimensions,
stands beside the code that computes it.
"""

from __future__ import annotations

import glob
import hashlib
import json
import os
import platform
import tempfile
from collections.abc import Callable, Container, Iterable, Mapping
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from urnn.errors import ConfigError, DataError

if TYPE_CHECKING:
    import xarray as xr

#: packages whose version can change a number
PACKAGES = (
    "numpy",
    "llvmlite",
    "torch",
    "scipy",
    "scikit-learn",
    "xarray",
    "netCDF4",
)
_DIGEST = "content_sha256"
#: trials in a chunk of a compressed variable
CHUNK = 128


def versions(packages: Iterable[str] = PACKAGES) -> dict[str, str]:
    """Versions of Python, of urnn and of those packages that are installed; imports nothing."""
    found = {"python": platform.python_version()}
    for package in ("urnn", *packages):
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def provenance(config: Mapping[str, Any], seed: int, **more: Any) -> dict[str, Any]:
    """Attributes of a file: the settings and the seed that define it, and the versions.

    No date and no host: the same settings and seed give the same bytes.
    """
    return {
        "Conventions": "CF-1.11",
        "config": json.dumps(config, sort_keys=True),
        "seed": seed,
        "versions": json.dumps(versions(), sort_keys=True),
        **more,
    }


def write(dataset: xr.Dataset, path: Path, compressed: Iterable[str] = ()) -> None:
    """Write a dataset whole or not at all; ``compressed`` names variables to deflate, losslessly.

    The attribute content_sha256 holds a digest of everything else, which `read` compares.

    Raises:
        DataError: the folder cannot be written, or the disk is full; nothing is left behind.
    """
    # no variable of ours has missing values that NaN does not say
    dataset = dataset.assign_attrs({_DIGEST: _digest(dataset)})
    encoding: dict[Any, dict[str, Any]] = {name: {"_FillValue": None} for name in dataset.variables}
    for name in compressed:
        trials, *rest = dataset[name].shape
        # without the byte shuffle: few distinct values repeat as whole numbers, half the size
        encoding[name] |= {"zlib": True, "complevel": 4, "shuffle": False}
        encoding[name]["chunksizes"] = (min(trials, CHUNK), *rest)
    replace(path, lambda name: dataset.to_netcdf(name, engine="netcdf4", encoding=encoding))


def write_text(text: str, path: Path) -> None:
    """Write a text file, UTF-8, whole or not at all; raises as :func:`write`."""
    replace(path, lambda name: name.write_text(text, encoding="utf-8"))


def replace(path: Path, make: Callable[[Path], Any]) -> None:
    """Make a file under a temporary name beside ``path``, flush it to the disk, and rename it."""
    path = Path(path)
    temporary: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
        os.close(handle)
        temporary = Path(name)
        make(temporary)
        with open(temporary, "rb") as file:
            os.fsync(file.fileno())
        mask = os.umask(0)
        os.umask(mask)
        temporary.chmod(0o666 & ~mask)  # mkstemp's 0600 would shut out a group's other members
        temporary.replace(path)
        # what a process that was killed while it wrote this file has left
        for left in path.parent.glob(f".{glob.escape(path.name)}.*.tmp"):
            left.unlink(missing_ok=True)
    except (OSError, RuntimeError) as error:  # netCDF4 raises RuntimeError when the disk is full
        raise _cannot_write(path, error) from error
    finally:
        if temporary is not None:
            temporary.unlink(missing_ok=True)


def check_writable(path: Path) -> None:
    """Make the folder of a file that takes long to compute, before it is computed.

    Raises:
        DataError: no file can be made in that folder.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path.parent):
            pass
    except OSError as error:
        raise _cannot_write(path, error) from error


def check_new(
    output: Path, inputs: Iterable[Path], overwrite: bool, option: str = "--output"
) -> None:
    """Refuse to write over a file of the user.

    Raises:
        ConfigError: the output is one of the inputs, or is there and may not be replaced.
    """
    for path in inputs:
        if output.exists() and path.exists() and output.samefile(path):
            raise ConfigError(f"{option}: {output} is the file that is read; choose another name")
    if output.exists() and not overwrite:
        raise ConfigError(
            f"{option}: {output} is there; choose another name, or add --overwrite to replace it"
        )


def _cannot_write(path: Path, error: Exception) -> DataError:
    return DataError(
        f"cannot write {path}: {error}. Free some space or make the folder writable, "
        "then run again; finished files are kept."
    )


def read(path: Path, variables: Iterable[str] = (), attributes: Iterable[str] = ()) -> xr.Dataset:
    """Read a whole file into memory and check that what it should have is there.

    Raises:
        DataError: no such file, not NetCDF, truncated, with other values than were written, or a
            variable or an attribute is missing.
    """
    path = Path(path)
    again = (
        "If the workflow made it, move it elsewhere and run again, and it is made anew; if it is "
        "your own, write it again from where it came from."
    )
    if not path.is_file():
        there = sorted(other.name for other in path.parent.glob("*.nc"))[:8]
        found = f"; {path.parent} has {', '.join(there)}" if there else ""
        raise DataError(
            f"{path} does not exist{found}. If the workflow makes it, run the workflow."
        )
    if path.suffix.lower() in (".csv", ".txt", ".tsv", ".npz"):
        raise DataError(
            f"{path} is no NetCDF file. If it is a record of inputs and outputs, `urnn fit` reads "
            "it."
        )
    import xarray as xr  # here, for files of other kinds are written without it

    try:
        # attributes and values as they are: no decoding of times, no lazy file handle
        dataset = xr.load_dataset(path, engine="netcdf4", decode_times=False)
    except PermissionError:
        raise DataError(f"{path} cannot be read: permission denied. Check its owner.") from None
    except Exception as error:  # netCDF4 has no error class of its own for a damaged file
        raise DataError(f"{path} is not a readable NetCDF file ({error}). {again}") from error
    written = dataset.attrs.pop(_DIGEST, None)
    if written is not None and written != _digest(dataset):
        raise DataError(f"{path} is damaged: its values are not those that were written. {again}")
    missing = [name for name in variables if name not in dataset]
    missing += [f"the attribute {name}" for name in attributes if name not in dataset.attrs]
    if missing:
        raise DataError(
            f"{path} lacks {', '.join(missing)}: it is another kind of file; name the right one."
        )
    return dataset


def _digest(dataset: xr.Dataset) -> str:
    """SHA-256 of all attributes, and of all variables' names, dimensions, types and values."""

    def noted(attributes: Mapping[Any, Any]) -> str:
        # a list of one value comes back from a file as the value
        return repr(sorted((str(k), np.ravel(v).tolist()) for k, v in attributes.items()))

    whole = hashlib.sha256(noted(dataset.attrs).encode())
    for name in sorted(map(str, dataset.variables)):
        variable = dataset.variables[name]
        values = variable.values
        kind = values.dtype.newbyteorder("=")
        text = kind.kind in "OUST"
        head = name, variable.dims, "text" if text else str(kind), noted(variable.attrs)
        whole.update(repr(head).encode())
        if text:
            whole.update(json.dumps([str(value) for value in values.ravel()]).encode())
        else:
            whole.update(np.ascontiguousarray(values, kind).data)
    return whole.hexdigest()


def check_finite(
    dataset: xr.Dataset, path: Path, variables: Iterable[str], missing: Container[str] = ()
) -> None:
    """Refuse Inf in the given variables, and NaN but in those where it stands for what is missing.

    Raises:
        DataError: names the file, the variable and the first index that is not finite.
    """
    for name in variables:
        values = dataset[name].values
        wrong = np.isinf(values) if name in missing else ~np.isfinite(values)
        if wrong.any():
            where = np.argwhere(wrong)[0]
            place = ", ".join(
                f"{dim}={index}" for dim, index in zip(dataset[name].dims, where, strict=True)
            )
            raise DataError(
                f"{path}: {name} is not finite at {place}; mend the data that it came from, and "
                "run again"
            )
