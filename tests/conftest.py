"""What tests of several parts share: small data files."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from urnn.__main__ import main


@pytest.fixture(scope="session")
def make_data() -> Callable[..., Path]:
    """A function that makes a data file by the command: a small synthetic system, or a task."""

    def make(path: Path, task: dict[str, Any] | None = None, realization: int = 0) -> Path:
        if task is None:
            system = {"time_steps": 60, "trials": 30, "epsilon": 0.2, "on_tolerance": 0.1}
            task = {"task": "synthetic", "system": system, "snr_db": 20}
        arguments = ["--task", json.dumps(task), "--realization", str(realization)]
        assert main(["data", *arguments, "--output", str(path)]) == 0
        return path

    return make


@pytest.fixture
def by_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    """The layers of urnn.nn take the kernels for small problems too."""
    from urnn.nn import layers

    monkeypatch.setattr(layers, "PLAIN", layers.Range(1024, 1, 0.0))
    monkeypatch.setattr(layers, "ONEDNN", {})


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Whole runs of the workflow first: they take longest, and processes then end together."""
    items.sort(key=lambda item: "workflow" not in item.path.parts)
