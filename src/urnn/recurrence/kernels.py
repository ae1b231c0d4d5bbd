"""The compiled kernels of the states of a stack, by device: what each has to offer, and the CPU's.

Tensors are those of `urnn.recurrence.operators`: theta (R, K) of the gates' parameters, x
(R, B, time, m), initial and last states (R, B, n).
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any, Protocol

import torch
from torch import Tensor

from urnn.errors import ArgumentError
from urnn.recurrence import Spec
from urnn.recurrence.cells.base import Cell


class Kernels(Protocol):
    """Compiled kernels of the states, and of the way back from gradients of the states.

    The last cell state and c_init are None for a cell that has none. Two tensors are kept, in the
    layout of the kernels, and empty if ``keep`` is false.
    """

    #: of all tensors; others take the loop
    dtype: torch.dtype
    #: whether the states lie in memory with time before trials
    time_first: bool

    def forward(
        self,
        spec: Spec,
        keep: bool,
        theta: Tensor,
        x: Tensor,
        h_init: Tensor,
        c_init: Tensor | None,
    ) -> tuple[Tensor, Tensor | None, Tensor, Tensor]:
        """All states, the last cell state, and what `backward` needs."""
        ...

    def backward(
        self,
        spec: Spec,
        theta: Tensor,
        x: Tensor,
        kept: tuple[Tensor, Tensor],
        d_states: Tensor,
        dc_last: Tensor | None,
        wanted: bool,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
        """Gradients of theta, of x if it is wanted, and of the initial states."""
        ...

    def kept_shapes(
        self, spec: Spec, replicas: int, batch: int, length: Any
    ) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
        """The shapes of what is kept; the length may be symbolic."""
        ...

    def layout(self, spec: Spec, replicas: int, batch: int) -> Any:
        """What kernels are compiled for, besides the specification; hashable.

        Raises:
            ArgumentError: they cannot compute so large a network.
        """
        ...


class OnCpu:
    """The kernels of `urnn.recurrence.states`."""

    dtype = torch.float32
    time_first = True

    def forward(
        self,
        spec: Spec,
        keep: bool,
        theta: Tensor,
        x: Tensor,
        h_init: Tensor,
        c_init: Tensor | None,
    ) -> tuple[Tensor, Tensor | None, Tensor, Tensor]:
        """See `Kernels.forward`."""
        from urnn.recurrence import states

        given = [h_init] if c_init is None else [h_init, c_init]
        initial = tuple(_array(state[:, :, None]) for state in given)
        results = states.forward(spec, _array(theta), _as_it_lies(x), initial, keep)
        found, c_last, *kept = results
        # transposed by numpy: autograd forbids to change a view of torch's in place
        h = torch.from_numpy(found.transpose(0, 2, 1, 3))
        H, A = map(torch.from_numpy, kept)
        if not keep:
            # they were room for one tile
            H, A = H.new_empty(0), A.new_empty(0)
        return h, None if c_init is None else torch.from_numpy(c_last[:, :, 0]), H, A

    def backward(
        self,
        spec: Spec,
        theta: Tensor,
        x: Tensor,
        kept: tuple[Tensor, Tensor],
        d_states: Tensor,
        dc_last: Tensor | None,
        wanted: bool,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor | None]:
        """See `Kernels.backward`."""
        from urnn.recurrence import states

        of_cell = None if dc_last is None else _array(dc_last[:, :, None])
        H, A = map(_array, kept)
        gradients = states.backward(
            spec, _array(theta), _as_it_lies(x), H, A, _as_it_lies(d_states), of_cell, wanted
        )
        d_theta, dh, dc, dx = map(torch.from_numpy, gradients)
        return d_theta, dx, dh[:, :, 0], None if dc_last is None else dc[:, :, 0]

    def kept_shapes(
        self, spec: Spec, replicas: int, batch: int, length: Any
    ) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
        """See `Kernels.kept_shapes`."""
        from urnn.recurrence import states

        rows, row = states.kept_rows(spec, replicas, batch)
        return (rows * (length + 1) * row,), (rows * (length + 1) * spec.cell.kept * row,)

    def layout(self, spec: Spec, replicas: int, batch: int) -> Any:
        """See `Kernels.layout`."""
        from urnn.recurrence import states

        return states.layout(spec.cell, spec.hidden_units, replicas, batch)


def _on_gpu(cell: Cell, device: torch.device) -> Kernels | None:
    # by name, as in `urnn.recurrence.backend`
    found: Kernels | None
    found = importlib.import_module("urnn.recurrence.accelerator").state_kernels(cell, device)
    return found


_ON_CPU = OnCpu()
#: by type of device: the kernels for a cell there, or None where the loop must do
KERNELS: dict[str, Callable[[Cell, torch.device], Kernels | None]] = {
    "cpu": lambda cell, device: _ON_CPU,
    "cuda": _on_gpu,
}


def find_kernels(cell: Cell, device: torch.device) -> Kernels | None:
    """The kernels for a cell on a device, or None."""
    make = KERNELS.get(device.type)
    return None if make is None else make(cell, device)


def usable_kernels(spec: Spec, x: Tensor) -> Kernels | None:
    """The kernels for x (R, B, time, input), or None where the loop computes."""
    kernels = find_kernels(spec.cell, x.device)
    if kernels is None or x.dtype != kernels.dtype or 0 in x.shape:
        return None
    return kernels if takes_size(kernels, spec, x) else None


def takes_size(kernels: Kernels, spec: Spec, x: Tensor) -> bool:
    """Whether the kernels compute networks and batches as large as those of x (R, B, ...)."""
    if x.device.type == "cpu":  # of every size, which may be symbolic
        return True
    try:
        kernels.layout(spec, int(x.shape[0]), int(x.shape[1]))
    except ArgumentError:
        return False
    return True


def plain(tensor: Tensor) -> Tensor:
    """The tensor without its history, in C order, its own memory where it is so already."""
    return tensor.detach().resolve_neg().contiguous()


def _as_it_lies(tensor: Tensor) -> Any:
    """Numpy's array of a tensor without its history, in the tensor's order."""
    return tensor.detach().resolve_neg().numpy()


def _array(tensor: Tensor) -> Any:
    """The same as numpy's array."""
    return plain(tensor).numpy()
