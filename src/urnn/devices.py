"""Which devices there are and what `device: auto` stands for; nothing heavy is imported.

The Snakefile asks before any job starts, so torch, which takes seconds, is not imported: the CUDA
driver is asked through ctypes, and what torch was built for is read from its file of versions.
"""

from __future__ import annotations

import ctypes
import importlib.util
import os
import platform
import re
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from urnn.errors import ConfigError

#: what a configuration and the command line may say
PATTERN = r"^(auto|cpu|reference|cuda(:\d+)?|mps)$"
#: names the factory of another driver of the kernels, "module:attribute"; for tests, which have no
#: GPU and compile the kernels for the CPU
DRIVER_VARIABLE = "URNN_GPU_DRIVER"

#: the modules that a result of a GPU comes from, besides those of every training; `urnn.recurrence`
#: imports them by name, so that an edit of them concerns no result of a CPU
_GPU_MODULES = ("urnn.recurrence.accelerator", "urnn.recurrence.gpu")
_NO_DEVICE = 100  # CUDA_ERROR_NO_DEVICE
_CAPABILITY_MAJOR = 75  # CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR
#: compute capability from which on the kernels' asynchronous copies are there
MINIMUM = (8, 0)


@dataclass(frozen=True)
class Gpus:
    """What was found."""

    #: GPUs that torch can use here under the name cuda; None: not known without importing torch
    number: int | None
    #: why there are none, or why the compiled kernels do not run on them; empty if they do
    problem: str = ""

    @property
    def usable(self) -> bool:
        """Whether the compiled kernels run on one."""
        return bool(self.number) and not self.problem


def is_gpu(device: str) -> bool:
    """Whether a device of a configuration is a GPU for certain, which `auto` is not."""
    return device == "mps" or device.startswith("cuda")


def code(device: str) -> list[str]:
    """The modules that results of a device come from besides a training's own, see `urnn.closure`.

    ``device`` as in the configuration: `auto` may have results of a CPU and of a GPU.
    """
    return list(_GPU_MODULES) if device == "auto" or device.startswith("cuda") else []


def resolve(device: str, on_cluster: bool = False) -> str:
    """The device that a configured one stands for here: never `auto`.

    With ``on_cluster`` jobs run on other machines than this one. Then `auto` is the CPU, for a GPU
    must be asked for in any case, and whether a GPU is there is seen in the job.

    Raises:
        ConfigError: the device is not there; the message says why, and which are.
    """
    if not re.match(PATTERN, device):
        raise ConfigError(
            "device: must be auto, cpu, cuda, cuda:N, mps or reference, but it is the text "
            f"{device!r}"
        )
    if device == "auto":
        return "cuda" if not on_cluster and gpus().usable else "cpu"
    index = int(device.partition(":")[2] or 0)
    if on_cluster and index:
        raise ConfigError(
            f"device: {device!r} cannot be chosen on a cluster, where a job sees only the GPU that "
            "it is given; write cuda"
        )
    if on_cluster or not is_gpu(device):
        return device
    if device == "mps":
        if not _has_mps():
            raise ConfigError(
                "device: 'mps' is not available here (only Macs with Apple's processors have it); "
                "one of auto, cpu, reference"
            )
        return device
    found = gpus()
    if found.number is not None and index >= found.number:
        there = ["auto", "cpu", "reference", *(f"cuda:{i}" for i in range(found.number))]
        reason = f" ({found.problem})" if found.problem else ""
        raise ConfigError(
            f"device: {device!r} is not available here{reason}; one of {', '.join(there)}"
        )
    return device


@cache
def gpus() -> Gpus:
    """The GPUs of this machine, as far as they can be seen without importing torch."""
    if os.environ.get(DRIVER_VARIABLE):
        return Gpus(1)
    built = torch_build()
    if "hip" in built:
        return Gpus(None, "ROCm has no NVRTC, so torch's loop runs there")
    number, reason = _cuda_devices()
    if "cuda" not in built and number:
        # an NVIDIA GPU that torch cannot use
        return Gpus(0, "torch is built without CUDA; install the build for it, https://pytorch.org")
    if number and not _is_installed("cuda.bindings"):
        return Gpus(number, "cuda-bindings is missing; pip install cuda-bindings")
    return Gpus(number, reason)


def torch_build() -> dict[str, str]:
    """What torch was built for: the version by "cuda" or "hip", or nothing; it is not imported."""
    spec = importlib.util.find_spec("torch")
    if spec is None or spec.origin is None:
        return {}
    try:
        text = Path(spec.origin).with_name("version.py").read_text(encoding="utf-8")
    except OSError:
        return {}
    pattern = r"^(cuda|hip)\b[^=\n]*= *['\"]([^'\"]+)['\"]"
    return dict(re.findall(pattern, text, re.MULTILINE))


def _has_mps() -> bool:
    """Whether this is a Mac whose GPU torch can use; `auto` is the CPU there, which is faster."""
    return sys.platform == "darwin" and platform.machine() == "arm64"


def _is_installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:  # the package around it is missing
        return False


def _cuda_devices() -> tuple[int, str]:
    """How many GPUs NVIDIA's driver shows to this process, and if none, why."""
    try:
        driver = ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError:
        return 0, "there is no NVIDIA driver"
    status = driver.cuInit(0)
    number = ctypes.c_int(0)
    if not status:
        status = driver.cuDeviceGetCount(ctypes.byref(number))
    if status not in (0, _NO_DEVICE):
        return 0, f"NVIDIA's driver fails with CUDA error {status}; nvidia-smi may say more"
    if number.value == 0:
        return 0, "NVIDIA's driver shows no GPU"
    device, major = ctypes.c_int(0), ctypes.c_int(0)
    if not driver.cuDeviceGet(ctypes.byref(device), 0):
        driver.cuDeviceGetAttribute(ctypes.byref(major), _CAPABILITY_MAJOR, device)
    if 0 < major.value < MINIMUM[0]:
        return number.value, f"cuda:0 is older than compute capability {MINIMUM[0]}.0"
    return number.value, ""
