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
    """An order and groups in which two processes are busy to the end (`--dist loadgroup`).

    Whole runs of the workflow come first, for they take longest. While one process runs the test
    configuration, which most of those need, the other has those that do not. Tests that share what
    is made once for a file go together, all others where there is room.
    """
    in_workflow = [item for item in items if "workflow" in item.path.parts]
    needing = [item for item in in_workflow if "finished" in _fixtures(item)]
    first, others = needing[:1], {*needing}
    alone = [item for item in in_workflow if item not in others]
    rest = {*in_workflow}
    items[:] = [
        *first,
        *alone,
        *needing[1:],
        *(item for item in items if item not in rest),
    ]
    for item in items:
        if "module" in _fixtures(item).values():
            item.add_marker(pytest.mark.xdist_group(item.path.name))


def _fixtures(item: pytest.Item) -> dict[str, str]:
    """The fixtures that a test has, directly or not, and the scope of each."""
    found = getattr(item, "_fixtureinfo", None)
    definitions = found.name2fixturedefs if found else {}
    return {name: of_name[-1].scope for name, of_name in definitions.items() if of_name}
