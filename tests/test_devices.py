"""What `device` stands for, on machines that are made up; and which backend that gives."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from urnn import devices
from urnn.errors import ArgumentError, ConfigError
from urnn.recurrence import backend
from urnn.recurrence.cpu import CpuBackend

DRIVER = "tests.recurrence.emulated:Emulator"


@pytest.fixture(autouse=True)
def nothing_remembered() -> Iterator[None]:
    devices.gpus.cache_clear()
    yield
    devices.gpus.cache_clear()


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Any:
    """A function that makes a machine: GPUs of its driver, torch's build, cuda-bindings."""
    monkeypatch.delenv(devices.DRIVER_VARIABLE, raising=False)

    def make(number: int, build: dict[str, str], bindings: bool = True, reason: str = "") -> None:
        devices.gpus.cache_clear()
        monkeypatch.setattr(devices, "_cuda_devices", lambda: (number, reason))
        monkeypatch.setattr(devices, "torch_build", lambda: build)
        monkeypatch.setattr(devices, "_is_installed", lambda module: bindings)

    return make


CUDA, ROCM = {"cuda": "12.8"}, {"hip": "6.4"}


def test_auto_is_a_gpu_only_if_the_kernels_run_on_it(machine: Any) -> None:
    machine(2, CUDA)
    assert devices.resolve("auto") == "cuda"
    for number, build, bindings in [
        (0, CUDA, True),
        (2, {}, True),
        (2, CUDA, False),
        (1, ROCM, True),
    ]:
        machine(number, build, bindings)
        assert devices.resolve("auto") == "cpu"


def test_on_a_cluster_auto_is_the_cpu_and_a_gpu_is_the_jobs_matter(machine: Any) -> None:
    machine(2, CUDA)
    assert devices.resolve("auto", on_cluster=True) == "cpu"
    machine(0, {})
    assert devices.resolve("cuda", on_cluster=True) == "cuda"
    with pytest.raises(ConfigError, match=r"'cuda:1' cannot be chosen on a cluster.*; write cuda$"):
        devices.resolve("cuda:1", on_cluster=True)


def test_what_is_not_there_is_refused_with_the_reason_and_what_is(machine: Any) -> None:
    machine(2, CUDA)
    assert devices.resolve("cuda:1") == "cuda:1"
    with pytest.raises(ConfigError, match=r"'cuda:2' is not available here; one of .*cuda:1$"):
        devices.resolve("cuda:2")
    machine(0, CUDA, reason="there is no NVIDIA driver")
    with pytest.raises(ConfigError, match=r"\(there is no NVIDIA driver\); one of auto, cpu, ref"):
        devices.resolve("cuda")
    machine(1, {})
    with pytest.raises(ConfigError, match="torch is built without CUDA; install the build"):
        devices.resolve("cuda")
    with pytest.raises(ConfigError, match="must be auto, cpu, cuda, cuda:N, mps or reference"):
        devices.resolve("gpu")


def test_kernels_that_cannot_run_leave_a_gpu_for_torch(machine: Any) -> None:
    machine(1, CUDA, bindings=False)
    assert devices.resolve("cuda") == "cuda"
    assert "pip install cuda-bindings" in devices.gpus().problem
    machine(0, ROCM)  # not countable without torch, so the job finds out
    assert devices.resolve("cuda:1") == "cuda:1"


def test_mps_is_there_on_a_mac_and_auto_does_not_take_it(
    machine: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine(0, {})
    monkeypatch.setattr(devices, "_has_mps", lambda: True)
    assert devices.resolve("mps") == "mps" and devices.resolve("auto") == "cpu"
    assert devices.is_gpu("mps") and devices.code("mps") == []
    monkeypatch.setattr(devices, "_has_mps", lambda: False)
    with pytest.raises(ConfigError, match=r"'mps' is not available here \(only Macs"):
        devices.resolve("mps")
    assert devices.resolve("mps", on_cluster=True) == "mps"


@pytest.mark.parametrize("status, number, major, words", [
    (0, 2, 9, ""), (100, 0, 9, "shows no GPU"), (999, 0, 9, "CUDA error 999"),
    (0, 0, 9, "shows no GPU"), (0, 1, 7, "cuda:0 is older than compute capability 8.0"),
])  # fmt: skip
def test_the_driver_is_asked(
    status: int, number: int, major: int, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def answer(value: int) -> Any:
        def write(pointer: Any, *others: Any) -> int:
            pointer._obj.value = value
            return 0

        return write

    driver = SimpleNamespace(
        cuInit=lambda flags: status,
        cuDeviceGetCount=answer(number),
        cuDeviceGet=answer(0),
        cuDeviceGetAttribute=answer(major),
    )
    monkeypatch.setattr(devices.ctypes, "CDLL", lambda name: driver)
    found, reason = devices._cuda_devices()
    assert found == number and (words in reason if words else not reason)


def test_what_torch_was_built_for_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def built(text: str) -> dict[str, str]:
        (tmp_path / "version.py").write_text(text)
        spec = SimpleNamespace(origin=str(tmp_path / "__init__.py"))
        monkeypatch.setattr(devices.importlib.util, "find_spec", lambda name: spec)
        return devices.torch_build()

    newer = "__all__ = ['cuda']\ncuda: Optional[str] = {}\nhip: Optional[str] = {}\n"
    assert built(newer.format("'12.8'", None)) == {"cuda": "12.8"}
    assert built(newer.format(None, "'6.4.1'")) == {"hip": "6.4.1"}
    assert built(newer.format(None, None)) == {}
    assert built("__version__ = '2.4'\ncuda = '12.1'\nhip = None\n") == {"cuda": "12.1"}
    monkeypatch.setattr(devices.importlib.util, "find_spec", lambda name: None)
    assert devices.torch_build() == {}


def test_it_agrees_with_torch() -> None:
    import torch

    built = devices.torch_build()
    assert built.get("cuda") == torch.version.cuda and built.get("hip") == torch.version.hip
    if torch.version.hip is None:
        assert devices.gpus().number == torch.cuda.device_count()


def test_nothing_heavy_is_imported() -> None:
    script = (
        "import sys; from urnn import blocks, devices; devices.resolve('auto');"
        "print({'numpy', 'torch', 'llvmlite'} & set(sys.modules))"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert result.stdout.strip() == "set()", result.stderr


def test_the_backend_of_auto_is_the_devices(monkeypatch: pytest.MonkeyPatch, machine: Any) -> None:
    machine(0, {})
    assert isinstance(backend("auto"), CpuBackend)
    monkeypatch.setenv(devices.DRIVER_VARIABLE, DRIVER)
    devices.gpus.cache_clear()
    assert devices.resolve("auto") == "cuda"
    assert hasattr(backend("auto"), "epoch")


def test_the_code_of_a_gpu_counts_for_results_that_may_be_of_one() -> None:
    from urnn import closure

    assert devices.code("cpu") == devices.code("reference") == []
    for device in ("auto", "cuda", "cuda:1"):
        reached = closure.closure(*devices.code(device))
        assert {"urnn.recurrence.gpu.backend", "urnn.recurrence.accelerator"} <= reached
    assert not any("gpu" in name for name in closure.closure("urnn.commands.train"))


def test_a_gpu_that_torch_does_not_show_is_named() -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(ArgumentError, match="device 'cuda' is not available here"):
        backend("cuda")
