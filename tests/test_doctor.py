"""`urnn doctor` on this machine's CPU, on the emulator, and on backends that are wrong."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import torch

from tests.test_docs import commands
from urnn import devices, doctor
from urnn.__main__ import main
from urnn.recurrence import LOSSES, Spec
from urnn.recurrence.cells import POINT as CELLS
from urnn.recurrence.cpu import CpuBackend
from urnn.recurrence.reference import TorchBackend


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """One network and one cell, so that little is compiled."""
    cell = CELLS.make(CELLS.names[0])
    monkeypatch.setattr(doctor, "specs", lambda: [Spec(cell, 4, 2, 3)])
    monkeypatch.setattr(doctor, "CELLS", _One())
    first = doctor.trainings()[:1]
    monkeypatch.setattr(doctor, "trainings", lambda: first)
    devices.gpus.cache_clear()
    yield
    devices.gpus.cache_clear()


class _One:
    """The extension point of cells, of which only the first is checked."""

    def __iter__(self) -> Iterator[str]:
        return iter(CELLS.names[:1])

    make = staticmethod(CELLS.make)


def test_every_cell_option_loss_and_regime_is_checked() -> None:
    checked = {(spec.cell.tag, spec.loss, spec.hidden_units) for spec in doctor.specs()}
    tags = {cell.tag for name in CELLS for cell in CELLS.variants(name)}
    assert len(tags) > len(CELLS.names)
    assert {(tag, loss) for tag, loss, _ in checked} == {(t, loss) for t in tags for loss in LOSSES}
    assert {n for _, _, n in checked} == {4, 18}


def test_a_gpu_on_which_torchs_loop_runs_instead_fails(
    few: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else nothing would be said of kernels that never ran."""
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setattr(doctor, "backend", lambda device: TorchBackend("cpu"))
    checks = list(doctor.every_check("cuda"))
    assert [check.name for check in checks if not check.passed] == ["the compiled kernels"]


def test_whole_trainings_of_both_kinds_of_kernels_are_checked() -> None:
    """From 16 units on an epoch is two kernels; W is kept in its set by C++ of its own."""
    assert {n for _, n in doctor.trainings()} == {4, 18}
    assert {name for name, _ in doctor.trainings()} == {"free", "contractive", "unitary"}


def test_the_cpu_passes_and_the_lines_fit(few: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--device", "cpu", "--no-times"]) == 0
    printed = capsys.readouterr().out
    assert "rnn-relu squared 4" in printed and "3 of 3 checks passed." in printed
    assert "  cpu      " in printed and "  auto     is " in printed
    if not torch.cuda.is_available():
        assert "  GPU      none: " in printed
    assert max(map(len, printed.splitlines())) <= 80


def test_the_command_of_the_page_on_gpus(few: None, capsys: pytest.CaptureFixture[str]) -> None:
    (command,) = (one for one in commands("gpu.md") if one[0] == "python")
    assert command[:3] == ["python", "-m", "urnn"]
    assert main([*command[3:], "--no-times"]) == 0
    assert "checks passed." in capsys.readouterr().out


def test_json_says_all_of_it(few: None, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--device", "cpu", "--json", "--no-times"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["failed"] == 0 and len(found["checks"]) == 3
    assert {"torch", "llvmlite", "python"} <= set(found["machine"]["versions"])
    assert all(check["passed"] and check["error"] < 1e-5 for check in found["checks"])


class Wrong(CpuBackend):
    """A gradient that is too large."""

    def step(self, spec: Spec) -> Any:
        right = super().step(spec)

        def run(*arguments: Any) -> Any:
            loss, gradient = right(*arguments)
            return loss, gradient * np.float32(1.001)

        return run


class Stacked(CpuBackend):
    """A loss that depends on the other replicas, within the rounding."""

    def step(self, spec: Spec) -> Any:
        right = super().step(spec)

        def run(*arguments: Any) -> Any:
            loss, gradient = right(*arguments)
            return loss * (1 + 1e-8 * len(loss)), gradient

        return run


class Broken(CpuBackend):
    """Nothing works."""

    def step(self, spec: Spec) -> Any:
        raise RuntimeError("CUDA: 700")


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (Wrong, "1.0e-03  yes  FAILED"),
        (Stacked, "NO   FAILED"),
        (Broken, "RuntimeError: CUDA: 700"),
    ],
)
def test_a_backend_that_is_wrong_fails_and_the_status_says_so(
    kind: Any, words: str, few: None, monkeypatch: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    made = {"cpu": kind(), "reference": TorchBackend("reference")}
    monkeypatch.setattr(doctor, "backend", made.__getitem__)
    assert main(["doctor", "--device", "cpu", "--no-times"]) == 1
    said = capsys.readouterr()
    assert words in said.out
    assert "checks failed; please report it" in said.err


def test_a_gpu_is_checked_too(
    few: None, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The emulator in its place; that of no other driver is found by itself."""
    if shutil.which("g++") is None:
        pytest.skip("the emulator needs g++")
    monkeypatch.setenv(devices.DRIVER_VARIABLE, "tests.recurrence.emulated:Emulator")
    assert doctor.usual_devices() == ["cpu", "cuda"]
    assert main(["doctor", "--device", "cuda", "--no-times"]) == 0
    printed = capsys.readouterr().out
    assert "3 of 3 checks passed." in printed and "auto     is cuda" in printed


def test_times_are_measured(few: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_TIMED", (4,))
    monkeypatch.setattr(doctor, "_TIMED_STEPS", 20)
    lines: list[str] = []
    (row,) = doctor.timings(["cpu", "none"], lines.append)
    assert row["milliseconds"]["cpu"] > 0 and row["milliseconds"]["none"] is None
    assert lines[-1].split()[-1] == "-"
