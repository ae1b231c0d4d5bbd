"""The numbers of the theorems at small sizes, and what every dataset of theirs must have."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import xarray as xr

from urnn import storage
from urnn.__main__ import main
from urnn.theorems import POINT

SMALL: dict[str, dict[str, Any]] = {
    "theorem1": {"hidden_units": [1, 2], "systems": 1, "steps": 10},
    "theorem2": {
        "budgets": [1, 4],
        "restarts": 1,
        "iterations": 60,
        "sizes": [2, 3],
        "systems": 2,
    },
    "theorem3": {
        "largest_bias": 60,
        "largest_chain": 4,
        "fit_units": [1, 2],
        "restarts": 1,
        "iterations": 20,
    },
}


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the numbers of every theorem, made by the command."""
    folder = tmp_path_factory.mktemp("theory")
    for name in POINT:
        path, settings = folder / f"{name}.nc", json.dumps(SMALL.get(name, {}))
        assert main(["theory", name, "--settings", settings, "--output", str(path)]) == 0
    return folder


@pytest.fixture(scope="session")
def assert_described() -> Callable[[xr.Dataset, Path], None]:
    """A function that checks a dataset's attributes, and that it survives being written."""

    def check(dataset: xr.Dataset, path: Path) -> None:
        for variable in dataset.data_vars.values():
            assert variable.attrs["status"]
            assert variable.attrs["long_name"]
            assert variable.attrs["units"]
        storage.write(dataset, path)
        xr.testing.assert_identical(storage.read(path, list(dataset.data_vars)), dataset)

    return check
