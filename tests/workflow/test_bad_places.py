"""A full disk, a folder that nobody may write, inputs that vanish or are damaged: named."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import xarray as xr

from tests.workflow.conftest import urnn

if TYPE_CHECKING:
    from tests.workflow.conftest import Project

SYSTEM = '{"time_steps": 60, "trials": 30, "epsilon": 0.2, "on_tolerance": 0.1}'
TASK = f'{{"task": "synthetic", "snr_db": 20, "system": {SYSTEM}}}'


#: root without the right to pass over permissions
DROPPED = "-dac_override,-dac_read_search"
BOUND = ["setpriv", f"--bounding-set={DROPPED}", f"--inh-caps={DROPPED}"]


def in_a_process(
    *arguments: str | Path, prefix: Sequence[str] = ()
) -> subprocess.CompletedProcess[str]:
    command = [*prefix, sys.executable, "-m", "urnn", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True)


def make(output: Path, run: Callable = urnn) -> subprocess.CompletedProcess[str]:
    return run("data", "--task", TASK, "--realization", "0", "--output", output)


def train(data: Path, output: Path, prefix: Sequence[str] = ()) -> subprocess.CompletedProcess[str]:
    recipe = '{"epochs": 2, "batch_size": 7}'
    named = ("--experiment", "a", "--name", "rnn", "--recipe", recipe, "--hidden-units", "2")
    arguments = ("train", data, *named, "--output", output)
    return in_a_process(*arguments, prefix=prefix) if prefix else urnn(*arguments)


def refused(result: subprocess.CompletedProcess[str], *words: str) -> None:
    """It failed with a message of one line that holds the words."""
    assert result.returncode != 0
    assert "Traceback" not in result.stderr
    last = result.stderr.strip().splitlines()[-1]
    for word in words:
        assert word in last, result.stderr


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of its own, of 40 kB."""
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=40k", "tmpfs", str(folder)], capture_output=True
    )
    if mounted.returncode:
        pytest.skip("a small file system can be mounted by root alone")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_a_full_disk_is_said_and_leaves_what_is_there(small_disk: Path, tmp_path: Path) -> None:
    (small_disk / "finished.nc").write_bytes(b"finished")
    output = small_disk / "system.nc"
    # netCDF4 keeps a file open that it could not write
    result = make(output, in_a_process)
    refused(result, f"cannot write {output}", "Free some space", "finished files are kept")
    assert sorted(path.name for path in small_disk.iterdir()) == ["finished.nc"]
    # with room again the same command works
    (tmp_path / "elsewhere").mkdir()
    assert make(tmp_path / "elsewhere/system.nc").returncode == 0


def test_a_folder_that_cannot_be_written(tmp_path: Path) -> None:
    in_the_way = tmp_path / "results"
    in_the_way.write_text("a file where a folder should be")
    refused(make(in_the_way / "system.nc"), f"cannot write {in_the_way / 'system.nc'}")
    # root may write anywhere, so a folder of a system that nobody may write
    refused(make(Path("/proc/urnn/system.nc")), "cannot write /proc/urnn/system.nc")


@pytest.fixture
def as_a_user() -> list[str]:
    """What a command begins with to run as one whom permissions hold back."""
    if os.geteuid():
        return []
    if not shutil.which("setpriv") or subprocess.run([*BOUND, "true"]).returncode:
        pytest.skip("root passes over permissions, and setpriv, which takes that away, is missing")
    return BOUND


def test_permissions_are_named_before_any_training(as_a_user: list[str], tmp_path: Path) -> None:
    data, closed = tmp_path / "system.nc", tmp_path / "results"
    assert make(data).returncode == 0
    closed.mkdir()
    closed.chmod(0o555)
    result = train(data, closed / "model.nc", as_a_user)
    refused(result, f"cannot write {closed / 'model.nc'}", "Permission denied", "writable")
    assert "epoch" not in result.stderr
    refused(train(data, closed / "deeper/model.nc", as_a_user), "cannot write", "Permission denied")

    closed.chmod(0o755)
    data.chmod(0)
    unreadable = train(data, closed / "model.nc", as_a_user)
    refused(unreadable, f"{data} cannot be read: permission denied")
    assert list(closed.iterdir()) == []
    data.chmod(0o644)
    assert train(data, closed / "model.nc", as_a_user).returncode == 0


def test_data_that_are_missing_damaged_or_wrong(tmp_path: Path) -> None:
    data, output = tmp_path / "system.nc", tmp_path / "model.nc"
    refused(train(data, output), f"{data} does not exist")
    assert make(data).returncode == 0
    whole = data.read_bytes()

    data.write_bytes(whole[: len(whole) // 2])
    refused(train(data, output), f"{data} is not a readable NetCDF file", "move it elsewhere")
    data.write_text("hidden,rnn\n2,0.9\n")
    refused(train(data, output), f"{data} is not a readable NetCDF file")
    damaged = bytearray(whole)
    damaged[len(whole) // 2] ^= 1  # one bit of a number
    data.write_bytes(damaged)
    refused(train(data, output), str(data), "move it elsewhere")

    data.write_bytes(whole)
    with xr.open_dataset(data) as opened:
        good = opened.load()
    # files of other people, without our digest
    good = good.drop_attrs(deep=False).assign_attrs(realization=0, snr_db=20.0)
    bad = good.copy(deep=True)
    bad["x"][3, 5, 1] = np.nan
    bad.to_netcdf(data)
    refused(train(data, output), f"{data}: x is not finite at trial=3, time=5, input=1")
    good.drop_vars("y").to_netcdf(data)
    refused(train(data, output), f"{data} lacks y")
    good.isel(time=slice(0, 30)).to_netcdf(tmp_path / "short.nc")
    good.to_netcdf(data)
    named = ("--experiment", "a", "--name", "rnn", "--hidden-units", "2", "--output", output)
    both = urnn("train", data, tmp_path / "short.nc", *named)
    refused(both, f"{tmp_path / 'short.nc'}: x of the training trials has the shape (21, 30, 2)")
    assert not output.exists()
    assert train(data, output).returncode == 0


def test_an_input_deleted_halfway_is_named_and_the_rest_is_finished(
    finished: Project, tmp_path: Path
) -> None:
    """The scores' rule loses an input while it runs; everything else is made."""
    project = finished.copy(tmp_path / "project")
    shutil.rmtree(project.folder / "results/test-15dB/models/urnn")
    project.edit(
        "workflow/rules/score.smk",
        '"python3 -m urnn score',
        '"rm -f results/test-15dB/models/urnn/hidden-04/*.nc; python3 -m urnn score',
    )
    target = "results/test-15dB/scores.nc"
    (project.folder / target).unlink()
    output = project.snakemake(target, check=False)
    assert "realizations-000-001.nc does not exist" in output
    assert "Traceback" not in output
    assert not (project.folder / target).exists()
    models = project.folder / "results/test-15dB/models"
    assert len(list(models.rglob("*.nc"))) == 8 - 2


def test_a_results_folder_on_a_full_disk_loses_nothing_that_is_finished(
    small_disk: Path, finished: Project, tmp_path: Path
) -> None:
    project = finished.copy(tmp_path / "project")
    shutil.rmtree(project.folder / "results/test-20dB/models/rnn")
    (project.folder / "results/test-20dB/models/rnn").symlink_to(small_disk)
    for made in ("results/test-20dB/scores.nc", "reports/figures/figure2.png"):
        (project.folder / made).unlink()
    (small_disk / "full").write_bytes(b"0" * 36_000)
    output = project.snakemake(check=False)
    assert "cannot write results/test-20dB/models/rnn/hidden-0" in output
    assert "No space left on device" in output or "Free some space" in output
    assert "Traceback" not in output
    (small_disk / "full").unlink()
    assert list(small_disk.rglob("*.tmp")) == []
    kept = project.folder / "results/test-20dB/models/urnn"
    assert len(list(kept.rglob("*.nc"))) == 4
