"""What tests of several parts share: small data files."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from functools import cache
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


def shared_folder(request: pytest.FixtureRequest, factory: pytest.TempPathFactory) -> Path:
    """A folder of this run of the tests that all of its processes have."""
    folder = factory.getbasetemp()
    # a worker of pytest-xdist has its own below it
    return folder.parent if hasattr(request.config, "workerinput") else folder


@pytest.fixture(scope="session", autouse=True)
def _compiled_once(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """All processes, jobs of a workflow too, have what the emulator of a GPU compiles."""
    folder = shared_folder(request, tmp_path_factory) / "emulator"
    os.environ.setdefault("URNN_EMULATOR_CACHE", str(folder))


@pytest.fixture
def by_kernels(monkeypatch: pytest.MonkeyPatch) -> None:
    """The layers of urnn.nn take the kernels for small problems too."""
    from urnn.nn import layers

    monkeypatch.setattr(layers, "PLAIN", layers.Range(1024, 1, 0.0))
    monkeypatch.setattr(layers, "ON_GPU", layers.Range(256, 1, 0.0))
    monkeypatch.setattr(layers, "ONEDNN", {})


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Tests that share what is made once for their file go to one process, all others one by one.

    pytest-xdist's own groups are without effect in pytest 9, whose names of tests they change.
    """
    from xdist.scheduler import LoadScopeScheduling

    @cache
    def shares(path: str) -> bool:
        return 'scope="module"' in (config.rootpath / path).read_text("utf-8")

    class ByFile(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            path = nodeid.partition("::")[0]
            return path if shares(path) else nodeid

    return ByFile(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """An order in which all processes are busy to the end.

    Whole runs of the workflow come first, for they take longest. While one process runs the test
    configuration, which most of those need, the others have those that do not.
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


def _fixtures(item: pytest.Item) -> set[str]:
    """The fixtures that a test has, directly or not."""
    found = getattr(item, "_fixtureinfo", None)
    return {*found.name2fixturedefs} if found else set()
