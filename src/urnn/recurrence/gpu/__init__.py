"""The recurrence on a GPU: CUDA C++ kernels that are compiled at run time, and who launches them.

    layouts   how trials are spread over the threads of a block, by the sizes alone
    sources   the C++ of some kernels: constants, the *.cuh files, and what the plugs give: `cuda`
              of a cell, an activation, a direct set of transitions and an optimizer
    backend   `GpuBackend`, a `urnn.recurrence.Backend` with an `epoch` of its own, and `states`
              and `pull`, the parts of a differentiable function; it allocates, launches, and waits
              for nothing but what it gives back as numpy
    nvrtc     a `Driver` for NVIDIA's GPUs: NVRTC and cuda.bindings, torch's memory and streams

A `Driver` compiles a source and launches it. The tests have another one, which runs the very same
kernels and the same `GpuBackend` on a CPU, every thread a fiber, in float32 or float64.

Files: arithmetic.cuh (functions of our own, so that all machines have the same bits), layout.cuh,
block.cuh (where a thread stands), forward.cuh and backward.cuh (through time), update.cuh (an
optimizer step), matrices.cuh (what the sets of transitions are kept with), kernels.cu (the
kernels), device.cuh (what is a GPU's alone).

    from urnn.recurrence.gpu.backend import GpuBackend
    from urnn.recurrence.gpu.nvrtc import NvrtcDriver
    backend = GpuBackend(NvrtcDriver("cuda:0"))  # ArgumentError: what is missing, the remedy
"""
