"""Checkpoints of a training: signals, resumption, what is never read, what is removed."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from urnn import checkpoints, closure, storage
from urnn.__main__ import main
from urnn.errors import DataError, Interrupted
from urnn.tasks.split import SPLIT

EPOCHS = 6000


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory, make_data: Callable[..., Path]) -> Path:
    return make_data(tmp_path_factory.mktemp("data") / "system.nc")


def command(data: Path, output: Path, *more: str, epochs: int = EPOCHS) -> list[str]:
    recipe = f'{{"epochs": {epochs}, "batch_size": 7, "restarts": 2}}'
    fixed = ["--experiment", "a", "--name", "urnn", "--model", '{"transition": "unitary"}']
    size = ["--hidden-units", "4", "--output", str(output)]
    return ["train", str(data), *fixed, "--recipe", recipe, *size, *more]


def started(arguments: list[str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "urnn", *arguments], stderr=subprocess.PIPE, text=True
    )


def wait_for_two_checkpoints(folder: Path) -> None:
    """The first may be there before the first step; the second one says that time has passed."""
    written: set[int] = set()
    end = time.monotonic() + 120
    while time.monotonic() < end:
        written |= {path.stat().st_mtime_ns for path in folder.glob(".model.*.checkpoint.nc")}
        if len(written) > 1:
            return
        time.sleep(0.01)
    raise AssertionError(f"no two checkpoints in {folder}")


def equal(first: Path, second: Path) -> None:
    with xr.open_dataset(first) as a, xr.open_dataset(second) as b:
        assert set(a.variables) == set(b.variables)
        for name in set(a.variables) - {"wall_seconds"}:
            np.testing.assert_array_equal(a[name], b[name], err_msg=str(name))


@pytest.fixture(scope="module")
def whole(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("whole") / "model.nc"
    assert main(command(data, output)) == 0
    assert [path.name for path in output.parent.iterdir()] == ["model.nc"]
    return output


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_a_stopped_training_goes_on_and_ends_with_the_same_bits(
    data: Path, whole: Path, tmp_path: Path, number: signal.Signals
) -> None:
    output = tmp_path / "model.nc"
    with started(command(data, output, "--checkpoint-seconds", "0.3")) as process:
        wait_for_two_checkpoints(tmp_path)
        time.sleep(0.5)
        os.kill(process.pid, number)
        _, said = process.communicate(timeout=60)
    assert process.returncode != 0 and not output.exists()
    if number != signal.SIGKILL:
        assert f"stopped by {number.name}; a checkpoint is left in" in said
    assert "Traceback" not in said
    with started(command(data, output)) as process:
        _, said = process.communicate(timeout=120)
    assert process.returncode == 0, said
    assert said.startswith("resumed from ")
    position = re.search(r"at epoch (\d+), batch (\d+)$", said.splitlines()[0])
    assert position is not None and (1, 1) < tuple(map(int, position.groups())) < (EPOCHS, 4)
    equal(whole, output)
    assert [path.name for path in tmp_path.iterdir()] == ["model.nc"]


def test_a_signal_before_the_first_step_leaves_a_checkpoint_too(data: Path, tmp_path: Path) -> None:
    checkpoint = checkpoints.FileCheckpoint(tmp_path / "model.nc", "k" * 64)
    with checkpoint.listening():
        os.kill(os.getpid(), signal.SIGTERM)
        assert checkpoint.due()
        with pytest.raises(Interrupted, match="stopped by SIGTERM; a checkpoint is"):
            checkpoint.save({"position": np.array([0, 0, 0])})
    assert checkpoint.path.is_file()
    assert signal.getsignal(signal.SIGTERM) == signal.SIG_DFL


def test_only_what_was_written_for_the_same_training_is_read(tmp_path: Path) -> None:
    output = tmp_path / "model.nc"
    x = np.arange(3.0)
    keys = {
        checkpoints.digest({"seed": 1}, [x]),
        checkpoints.digest({"seed": 2}, [x]),
        checkpoints.digest({"seed": 1}, [x + 1]),
        checkpoints.digest({"seed": 1}, [x.astype(np.float32)]),
    }
    assert len(keys) == 4
    assert checkpoints.digest({"seed": 1}, [x]) in keys
    one, other = (checkpoints.FileCheckpoint(output, key) for key in list(keys)[:2])
    state = {"position": np.array([3, 1, 4]), "theta": x}
    one.save(state)
    assert other.load() is None
    loaded = one.load()
    assert loaded is not None
    np.testing.assert_array_equal(loaded["theta"], x)
    # the name holds the first letters of the key alone, the file the whole
    impostor = checkpoints.FileCheckpoint(output, one.key[:16] + "0" * 48)
    assert impostor.path == one.path and impostor.load() is None
    # those of an output whose name begins alike are not this one's
    longer = checkpoints.FileCheckpoint(tmp_path / "model.v2.nc", one.key)
    odd = checkpoints.FileCheckpoint(tmp_path / "model[1].nc", one.key)
    longer.save(state)
    odd.save(state)
    other.remove()
    assert {*tmp_path.iterdir()} == {longer.path, odd.path}
    longer.remove()
    odd.remove()
    assert list(tmp_path.iterdir()) == []


def keys_of_trainings(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The keys of the trainings from now on, which all end before their first step."""
    keys: list[str] = []

    def stop(output: Path, key: str, seconds: float) -> None:
        keys.append(key)
        raise Interrupted("before the first step")

    monkeypatch.setattr(checkpoints, "FileCheckpoint", stop)
    return keys


def test_edited_code_has_other_checkpoints(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The key has the code of the training and of the model's plugs."""
    keys = keys_of_trainings(monkeypatch)
    asked: list[tuple[str, ...]] = []

    def edited(*modules: str) -> str:
        asked.append(modules)
        return f"code {len(asked) // 2}"

    monkeypatch.setattr(closure, "digest", edited)
    for _ in range(3):
        assert main(command(data, tmp_path / "model.nc")) == 1
    assert keys[0] != keys[1] == keys[2]
    plugs = "urnn.recurrence.cells.rnn", "urnn.transition.unitary"
    assert asked == [("urnn.commands.train", *plugs)] * 3


def test_each_part_alone_changes_the_key(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    keys = keys_of_trainings(monkeypatch)
    monkeypatch.setattr(closure, "digest", lambda *modules: "the same code")
    read, files = storage.read(data), [data]
    split = read["split"].copy()
    # the same trials in the same order, the last of them for validation
    split[np.flatnonzero(split == SPLIT["train"])[-1]] = SPLIT["validation"]
    for other in (
        read.assign_attrs(realization=7),
        read.assign(split=split),
        read.assign(x=-read["x"]),
        read.assign(y=-read["y"]),
    ):
        files.append(tmp_path / f"{len(files)}.nc")
        storage.write(other, files[-1])
    output = tmp_path / "model.nc"
    commands = [
        *(command(file, output) for file in files),
        command(data, output, epochs=EPOCHS - 1),
        *(
            command(data, output, *option)
            for option in (
                ("--seed", "3"),
                ("--device", "reference"),
                ("--experiment", "b"),
                ("--name", "rnn"),
                ("--hidden-units", "6"),
                ("--model", "{}"),
            )
        ),
    ]
    for arguments in (*commands, commands[0]):
        assert main(arguments) == 1
    assert keys[-1] == keys[0] and len(set(keys)) == len(commands)


def test_a_damaged_checkpoint_is_named_and_training_begins_anew(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    output = tmp_path / "model.nc"
    monkeypatch.setattr(checkpoints, "digest", lambda *_: "a" * 64)
    path = checkpoints.FileCheckpoint(output, "a" * 64).path
    path.write_bytes(b"\x89HDF\r\n\x1a\n no more")
    assert main(command(data, output, epochs=2)) == 0
    said = capsys.readouterr().err
    assert f"the checkpoint cannot be used, training begins anew: {path} is not a readable" in said
    assert not path.exists() and output.is_file()


def test_a_checkpoint_that_cannot_be_written_stops_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise DataError("cannot write: no space left on device")

    monkeypatch.setattr(storage, "write", full)
    checkpoint = checkpoints.FileCheckpoint(tmp_path / "model.nc", "k" * 64, seconds=0)
    assert checkpoint.due()
    checkpoint.save({"position": np.array([0, 0, 0])})
    assert "no checkpoint: cannot write: no space left on device" in capsys.readouterr().err
