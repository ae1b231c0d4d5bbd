"""The GPU kernels compiled for GPUs, without one: every architecture, and no register spilled."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import torch

from urnn.errors import ArgumentError
from urnn.optimizers import OPTIMIZERS
from urnn.recurrence import Spec
from urnn.recurrence.gpu.layouts import layout
from urnn.recurrence.gpu.nvrtc import NvrtcDriver, machine_code
from urnn.recurrence.gpu.sources import source, text
from urnn.transition import POINT as TRANSITIONS

STEP = ("gradient", "join", "outputs")
#: the cell, hidden units, inputs, outputs, loss, kernels, architecture; the paper's sizes first
CASES: list[tuple[Any, ...]] = [
    ("rnn", 2, 2, 2, "squared", ("train",), "sm_90"),
    ("rnn", 4, 2, 2, "squared", ("train",), "sm_80"),
    ("rnn", 8, 2, 2, "squared", ("train",), "sm_90"),
    ("rnn", 14, 2, 2, "squared", ("train",), "sm_90"),
    ("rnn", 14, 2, 2, "squared", ("train",), "sm_100"),
    ("lstm", 2, 2, 2, "squared", ("train",), "sm_80"),
    ("lstm", 8, 2, 2, "squared", ("train",), "sm_100"),
    ("lstm", 14, 2, 2, "squared", ("train",), "sm_90"),
    ("rnn", 14, 2, 2, "squared", STEP, "sm_80"),
    ("lstm", 14, 2, 2, "squared", STEP, "sm_90"),
]
#: others that have to compile, whether or not their registers suffice
LARGER: list[tuple[Any, ...]] = [
    ("gru", 14, 2, 2, "squared", ("states", "pull", "join"), "sm_90"),
    ("rnn", 64, 1, 10, "cross_entropy", (*STEP, "move"), "sm_100"),
    ("lstm", 32, 1, 10, "cross_entropy", STEP, "sm_80"),
]


def written(case: Any) -> tuple[str, str]:
    cell, n, inputs, outputs, loss, kernels, architecture = case
    spec = Spec(cell, n, inputs, outputs, loss)
    name = "unitary" if spec.cell.takes_transition else TRANSITIONS.default
    moves = OPTIMIZERS["adam"].cuda, TRANSITIONS.make(name).cuda
    device = text("device.cuh")
    return source(kernels, spec, layout(spec, 10), device, moves=moves), architecture


@pytest.mark.parametrize("case", CASES + LARGER, ids=lambda c: f"{c[0]}-{c[1]}-{c[5][0]}-{c[6]}")
def test_nvcc_compiles_every_kernel_without_spills(case: Any, tmp_path: Path) -> None:
    nvcc = shutil.which("nvcc") or shutil.which("nvcc", path="/usr/local/cuda/bin")
    if nvcc is None:
        pytest.skip("there is no nvcc")
    code, architecture = written(case)
    path = tmp_path / "kernels.cu"
    path.write_text(code)
    options = ["-std=c++17", "--fmad=false", f"-arch={architecture}", "-cubin", "-Xptxas", "-v"]
    command = [nvcc, *options, str(path), "-o", str(tmp_path / "kernels.cubin")]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr[:3000]
    assert "warning" not in result.stderr, result.stderr[:3000]
    spills = [int(number) for number in re.findall(r"(\d+) bytes spill stores", result.stderr)]
    assert len(spills) == len(case[5])
    if case in CASES:
        assert max(spills) == 0, result.stderr


def test_nvrtc_compiles_without_a_gpu_and_keeps_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("cuda.bindings")
    monkeypatch.setenv("URNN_CACHE_DIR", str(tmp_path))
    code, _ = written(CASES[3])
    compiled = machine_code(code, "sm_90")
    assert compiled[:4] == b"\x7fELF"
    (file,) = (tmp_path / "gpu").iterdir()
    assert file.read_bytes() == compiled == machine_code(code, "sm_90")
    with pytest.raises(ArgumentError, match="NVRTC refuses sm_90"):
        machine_code("this is no C++", "sm_90")


def test_a_device_that_is_not_there_is_refused() -> None:
    if torch.cuda.is_available():
        with pytest.raises(ArgumentError, match="is none of cuda:0"):
            NvrtcDriver("cuda:999")
    else:
        with pytest.raises(ArgumentError, match="torch sees no GPU"):
            NvrtcDriver("cuda")
