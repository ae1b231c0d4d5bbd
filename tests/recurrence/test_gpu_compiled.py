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

ARCHITECTURES = ("80", "90", "100")
STEP = ("gradient", "join", "outputs")
#: the cell, hidden units, inputs, outputs, loss and kernels: the paper's sizes
CASES: list[tuple[Any, ...]] = [
    *((cell, n, 2, 2, "squared", ("train",)) for cell in ("rnn", "lstm") for n in range(2, 16, 2)),
    *((cell, 14, 2, 2, "squared", STEP) for cell in ("rnn", "lstm")),
    *(("rnn", n, 1, 10, "cross_entropy", (*STEP, "move")) for n in range(16, 97, 16)),
]
#: others that have to compile, whether or not their registers suffice
LARGER: list[tuple[Any, ...]] = [
    ("gru", 14, 2, 2, "squared", ("states", "pull", "join")),
    ("lstm", 32, 1, 10, "cross_entropy", STEP),
]


def written(case: Any) -> str:
    cell, n, inputs, outputs, loss, kernels = case
    spec = Spec(cell, n, inputs, outputs, loss)
    name = "unitary" if spec.cell.takes_transition else TRANSITIONS.default
    moves = OPTIMIZERS["adam"].cuda, TRANSITIONS.make(name).cuda
    return source(kernels, spec, layout(spec, 10), text("device.cuh"), moves=moves)


@pytest.mark.parametrize("case", CASES + LARGER, ids=lambda c: f"{c[0]}-{c[1]}-{c[5][0]}")
def test_nvcc_compiles_every_kernel_without_spills(case: Any, tmp_path: Path) -> None:
    nvcc = shutil.which("nvcc") or shutil.which("nvcc", path="/usr/local/cuda/bin")
    if nvcc is None:
        pytest.skip("there is no nvcc")
    path = tmp_path / "kernels.cu"
    path.write_text(written(case))
    targets = [f"-gencode=arch=compute_{name},code=sm_{name}" for name in ARCHITECTURES]
    options = ["-std=c++17", "--fmad=false", *targets, "-fatbin", "-Xptxas", "-v"]
    command = [nvcc, *options, str(path), "-o", str(tmp_path / "kernels.fatbin")]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr[:3000]
    assert "warning" not in result.stderr, result.stderr[:3000]
    spills = [int(number) for number in re.findall(r"(\d+) bytes spill stores", result.stderr)]
    assert len(spills) == len(ARCHITECTURES) * len(case[5])
    if case in CASES:
        assert max(spills) == 0, result.stderr


def test_nvrtc_compiles_without_a_gpu_and_keeps_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("cuda.bindings")
    monkeypatch.setenv("URNN_CACHE_DIR", str(tmp_path))
    code = written(CASES[3])
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
