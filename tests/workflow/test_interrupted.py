"""Killed at any moment and run again, the workflow ends with the files of an undisturbed run."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr

if TYPE_CHECKING:
    from tests.workflow.conftest import Project

KILLS = 20


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


def kill(processes: list[int]) -> None:
    for process in processes:
        try:
            os.kill(process, signal.SIGKILL)
        except ProcessLookupError:
            continue


def start(project: Project, *options: str) -> subprocess.Popen[str]:
    command = [
        sys.executable,
        "-m",
        "snakemake",
        "--configfile",
        "config/test.yaml",
        "--cores",
        "2",
    ]
    # a process group of its own, so that nothing of it outlives the kill
    return subprocess.Popen(
        [*command, *options],
        cwd=project.folder,
        env={**os.environ, "PYTHONPATH": str(project.folder / "src")},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


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
        process = start(project, *(["--nolock"] if number else []))
        time.sleep(float(random.uniform(1.5, 5)))
        workers = [p for p in running(project.folder) if p != process.pid]
        if number % 2 and workers:  # a job alone: snakemake sees it fail, and goes on or ends
            kill([int(random.choice(workers))])
            time.sleep(0.5)
        kill([process.pid, *running(project.folder)])
        process.wait()
        end = time.monotonic() + 20
        while running(project.folder) and time.monotonic() < end:
            kill(running(project.folder))  # what was being started
            time.sleep(0.1)
        assert running(project.folder) == []
    project.snakemake("--unlock")
    project.snakemake()
    assert project.stale() == []
    for folder, pattern in [("results", "*.nc"), ("reports/figures", "*.*")]:
        paths = sorted(path for path in (finished.folder / folder).rglob(pattern))
        assert paths
        for path in paths:
            same(path, project.folder / path.relative_to(finished.folder))
    left = [*project.folder.rglob("*.tmp"), *project.folder.rglob("*.checkpoint.nc")]
    assert [path for path in left if ".snakemake" not in path.parts] == []


def test_two_runs_at_once_in_one_folder(finished: Project, tmp_path: Path) -> None:
    project = finished.copy(tmp_path / "project")
    shutil.rmtree(project.folder / "results/test-20dB/models")
    for made in ("results/test-20dB/scores.nc", "reports/figures/figure2.png"):
        (project.folder / made).unlink()
    process = start(project)
    end = time.monotonic() + 60
    while not list((project.folder / ".snakemake/locks").glob("*")) and time.monotonic() < end:
        time.sleep(0.05)
    output = project.snakemake(check=False)
    assert "cannot be locked" in output and "Traceback" not in output
    assert process.wait(timeout=300) == 0
    assert project.stale() == []
