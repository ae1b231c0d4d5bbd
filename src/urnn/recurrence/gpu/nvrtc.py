"""NVIDIA's GPUs: kernels compiled by NVRTC, loaded and launched by cuda.bindings.

Both come with torch's CUDA wheels. Memory is torch's, and launches are on its current stream, so
that they are in order with whatever torch does. Machine code is kept in files by a hash of all that
it follows from, in gpu below the folder of the CPU's kernels.
"""

from __future__ import annotations

import ctypes
import hashlib
from functools import cached_property
from typing import Any

import torch

from urnn.devices import MINIMUM
from urnn.errors import ArgumentError
from urnn.recurrence import Spec, kept
from urnn.recurrence.gpu.driver import Arguments
from urnn.recurrence.gpu.layouts import Layout, shared_reals
from urnn.recurrence.gpu.sources import source, text

_REMEDY = "pip install cuda-bindings nvidia-cuda-nvrtc, or use the device cpu"
#: products are fused where the source says so and nowhere else, see arithmetic.cuh
_OPTIONS = ("--std=c++17", "--fmad=false", "--prec-div=true", "--prec-sqrt=true", "--ftz=false")


def _value(result: Any) -> Any:
    """What a call of cuda.bindings gives, without its status.

    Raises:
        RuntimeError: the call failed.
    """
    status, *values = result
    if int(status):
        raise RuntimeError(f"CUDA: {status!r}")
    return values[0] if len(values) == 1 else values


def machine_code(written: str, architecture: str) -> bytes:
    """The cubin of a source for an architecture such as sm_90; needs NVRTC and no GPU.

    Raises:
        ArgumentError: there is no NVRTC, or it does not compile the source.
    """
    try:
        from cuda.bindings import nvrtc

        version = _value(nvrtc.nvrtcVersion())
    except (ImportError, RuntimeError) as error:
        raise ArgumentError(f"there is no NVRTC here ({error}): {_REMEDY}") from None
    options = [f"--gpu-architecture={architecture}", *_OPTIONS]
    key = hashlib.sha256(repr((written, options, version)).encode()).hexdigest()[:32]
    path = kept.folder() / "gpu" / f"{key}.cubin"
    try:
        return path.read_bytes()
    except OSError:
        pass
    program = _value(nvrtc.nvrtcCreateProgram(written.encode(), b"urnn.cu", 0, [], []))
    encoded = [option.encode() for option in options]
    if int(nvrtc.nvrtcCompileProgram(program, len(encoded), encoded)[0]):
        log = b" " * _value(nvrtc.nvrtcGetProgramLogSize(program))
        nvrtc.nvrtcGetProgramLog(program, log)
        raise ArgumentError(f"NVRTC refuses {architecture}: {log.decode(errors='replace')[:2000]}")
    code = b" " * _value(nvrtc.nvrtcGetCUBINSize(program))
    _value(nvrtc.nvrtcGetCUBIN(program, code))
    kept.keep(path, code)
    return code


class NvrtcKernel:
    """A kernel on a device; see `urnn.recurrence.gpu.driver.Kernel`."""

    def __init__(
        self, library: Any, name: str, threads: int, shared: int, device: torch.device
    ) -> None:
        from cuda.bindings import driver

        self._driver, self.name, self.device = driver, name, device
        self.threads, self.shared = threads, shared
        kernel = _value(driver.cuLibraryGetKernel(library, name.encode()))
        self._function = _value(driver.cuKernelGetFunction(kernel))
        which = driver.CUfunction_attribute
        attribute = which.CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES
        _value(driver.cuFuncSetAttribute(self._function, attribute, shared))
        each = driver.cuOccupancyMaxActiveBlocksPerMultiprocessor(self._function, threads, shared)
        processors = torch.cuda.get_device_properties(device).multi_processor_count
        self.resident = max(int(_value(each)), 1) * processors

    def attribute(self, name: str) -> int:
        """What the compiler says, such as NUM_REGS or LOCAL_SIZE_BYTES."""
        which = getattr(self._driver.CUfunction_attribute, f"CU_FUNC_ATTRIBUTE_{name}")
        return int(_value(self._driver.cuFuncGetAttribute(which, self._function)))

    def __call__(self, given: Arguments, blocks: int) -> None:
        # one parameter, the structure itself
        parameters = (ctypes.c_void_p * 1)(ctypes.addressof(given))
        with torch.cuda.device(self.device):
            stream = torch.cuda.current_stream(self.device).cuda_stream
            launched = self._driver.cuLaunchKernel(
                self._function, blocks, 1, 1, self.threads, 1, 1, self.shared,
                self._driver.CUstream(stream), ctypes.addressof(parameters), 0,
            )  # fmt: skip
        _value(launched)


class NvrtcDriver:
    """A GPU of NVIDIA's; see `urnn.recurrence.gpu.driver.Driver`.

    Raises:
        ArgumentError: there is no such device, or it has no NVRTC; the message has the remedy.
    """

    dtype = torch.float32

    def __init__(self, device: str = "cuda") -> None:
        if torch.version.hip or not torch.cuda.is_available():
            raise ArgumentError(f"torch sees no GPU of NVIDIA's for the device {device!r}")
        wanted = torch.device(device)
        count = torch.cuda.device_count()
        index = torch.cuda.current_device() if wanted.index is None else wanted.index
        if wanted.type != "cuda" or index >= count:
            raise ArgumentError(f"device {device!r} is none of cuda:0 to cuda:{count - 1}")
        self.device = torch.device("cuda", index)
        if torch.cuda.get_device_capability(self.device) < MINIMUM:
            raise ArgumentError(f"{device} is older than compute capability {MINIMUM[0]}.0")
        try:
            from cuda.bindings import driver  # noqa: F401
        except ImportError as error:
            raise ArgumentError(f"{device} needs cuda.bindings ({error}): {_REMEDY}") from None
        torch.zeros(1, device=self.device)  # makes the context that all of this runs in
        self._programs: dict[Any, dict[str, NvrtcKernel]] = {}

    @cached_property
    def architecture(self) -> str:
        """Such as sm_90."""
        major, minor = torch.cuda.get_device_capability(self.device)
        return f"sm_{major}{minor}"

    def program(
        self,
        kernels: tuple[str, ...],
        spec: Spec,
        layout: Layout,
        moves: tuple[str, str] = ("", ""),
    ) -> dict[str, NvrtcKernel]:
        """See `urnn.recurrence.gpu.driver.Driver.program`."""
        from cuda.bindings import driver

        key = kernels, spec.name, layout, moves
        if key not in self._programs:
            written = source(kernels, spec, layout, text("device.cuh"), moves=moves)
            code = machine_code(written, self.architecture)
            shared = 4 * shared_reals(spec, layout)
            with torch.cuda.device(self.device):
                library = _value(driver.cuLibraryLoadData(code, [], [], 0, [], [], 0))
                self._programs[key] = {
                    name: NvrtcKernel(library, name, layout.threads, shared, self.device)
                    for name in kernels
                }
        return self._programs[key]

    def empty(self, *shape: int) -> torch.Tensor:
        """See `urnn.recurrence.gpu.driver.Driver.empty`."""
        return torch.empty(shape, dtype=self.dtype, device=self.device)

    def free_bytes(self) -> int:
        """What the device has free, and what torch keeps without using it."""
        free, _ = torch.cuda.mem_get_info(self.device)
        kept = torch.cuda.memory_reserved(self.device) - torch.cuda.memory_allocated(self.device)
        return int(free + kept)
