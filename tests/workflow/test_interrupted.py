"""Killed at any moment and run again, the workflow ends with the files of an undisturbed run."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import time
from collections.abc import Callable
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

from tests import preloaded

if TYPE_CHECKING:
    from tests.workflow.conftest import Project

KILLS = 20
#: every kind of job but the page
FIGURES = ("figure3", "history", "theorem3")
TARGETS = [f"reports/figures/{name}.svg" for name in FIGURES]
#: what they need and are
MADE = [
    "results/test-15dB/**/*.nc",
    "results/test-digits/**/*.nc",
    "results/theory/theorem3.nc",
    *(f"reports/figures/**/{name}.*" for name in FIGURES),
]


def running(folder: Path) -> list[int]:
    """The processes that work in the folder, snakemake first."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if (entry / "cwd").resolve() == folder.resolve():
                    found.append(int(entry.name))
            except OSError:
                continue  # it has ended, or it is not ours
    return sorted(found)


def kill(processes: list[int]) -> list[int]:
    """End processes at once; those that there were."""
    for process in processes:
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, signal.SIGKILL)
    return processes


def start(project: Project, temporary: Path, *options: str) -> ForkServerProcess:
    arguments = ("--configfile", "config/test.yaml", "--cores", "2", *options)
    return preloaded.start(arguments, project.folder, temporary, project.environment)


def wait(condition: Callable[[], object], seconds: float) -> None:
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.05)


def interrupt(
    process: ForkServerProcess, folder: Path, number: int, random: np.random.Generator
) -> None:
    """Kill snakemake and all that it has started, at a random moment."""

    def jobs() -> list[int]:
        return [found for found in running(folder) if found != process.pid]

    if number % 5 != 4:  # else while it starts
        wait(lambda: jobs() or not process.is_alive(), 60)
    time.sleep(float(random.uniform(0, 2.5)))
    there = jobs()
    if number % 2 and there:  # a job alone: snakemake sees it fail, and goes on or ends
        kill([int(random.choice(there))])
        time.sleep(0.5)
    process.kill()
    process.join()
    wait(lambda: not kill(running(folder)), 20)  # with what was being started


def same(first: Path, second: Path) -> None:
    """Files of the same bytes, or NetCDF files of the same values but for the time they took."""
    if first.suffix != ".nc":
        assert first.read_bytes() == second.read_bytes(), second
        return
    with xr.open_dataset(first) as a, xr.open_dataset(second) as b:
        assert set(a.variables) == set(b.variables)
        for name in set(a.variables) - {"wall_seconds"}:
            np.testing.assert_array_equal(a[name], b[name], err_msg=f"{second} {name}")


def test_kill_9_at_twenty_moments_loses_and_changes_nothing(
    finished: Project, tmp_path: Path
) -> None:
    project = finished.copy(tmp_path / "project")
    for made in ("results", "reports", ".snakemake"):
        shutil.rmtree(project.folder / made)
    random = np.random.default_rng(0)
    for number in range(KILLS):
        # the lock of the one that was killed is still there; to take it away is one start more
        process = start(project, tmp_path, *TARGETS, *(["--nolock"] if number else []))
        interrupt(process, project.folder, number, random)
        assert running(project.folder) == []
    project.snakemake("--unlock")
    project.snakemake(*TARGETS)
    assert "Nothing to be done" in project.snakemake("--dry-run", *TARGETS)
    for pattern in MADE:
        paths = sorted(finished.folder.glob(pattern))
        assert paths, pattern
        for path in paths:
            same(path, project.folder / path.relative_to(finished.folder))
    left = [*project.folder.rglob("*.tmp"), *project.folder.rglob("*.checkpoint.nc")]
    assert [path for path in left if ".snakemake" not in path.parts] == []


def test_two_runs_at_once_in_one_folder(finished: Project, tmp_path: Path) -> None:
    project = finished.copy(tmp_path / "project")
    shutil.rmtree(project.folder / "results/test-20dB/models/lstm")
    for made in ("results/test-20dB/scores.nc", "reports/figures/figure2.png"):
        (project.folder / made).unlink()
    process = start(project, tmp_path)
    wait(lambda: list((project.folder / ".snakemake/locks").glob("*")), 60)
    output = project.snakemake(check=False)
    assert "cannot be locked" in output and "Traceback" not in output
    process.join(300)
    assert process.exitcode == 0
    assert project.stale() == []
