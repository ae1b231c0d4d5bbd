"""What a backend asks of whoever compiles and launches kernels."""

from __future__ import annotations

import ctypes
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

from urnn.recurrence import Spec
from urnn.recurrence.gpu.layouts import Layout

if TYPE_CHECKING:
    import torch

_POINTERS_BEFORE = (
    "theta x y dataset trials initial gradient loss partial partial_loss workspace outputs states "
    "last upstream upstream_last of_initial of_x deltas first_state second_state scratch rates "
    "total taken ended"
)
_INTEGERS = "replicas parts batch columns first number length steps used batch_size step"


class Arguments(ctypes.Structure):
    """The arguments of every kernel, as block.cuh has them; what is not given is null or 0."""

    _fields_ = (
        *((name, ctypes.c_void_p) for name in _POINTERS_BEFORE.split()),
        *((name, ctypes.c_longlong) for name in _INTEGERS.split()),
        ("largest_norm", ctypes.c_double),
        ("train_initial_state", ctypes.c_longlong),
    )
    tensors: dict[str, Any]


def arguments(**values: Any) -> Arguments:
    """From tensors, of which the addresses are taken, and numbers; None is null.

    The tensors live as long as the result.
    """
    found = Arguments()
    found.tensors = values
    for name, value in values.items():
        setattr(found, name, value.data_ptr() if hasattr(value, "data_ptr") else value)
    return found


class Kernel(Protocol):
    """A compiled kernel."""

    #: blocks that the device runs at the same time
    resident: int

    def __call__(self, given: Arguments, blocks: int) -> None:
        """Launch so many blocks on the present stream, without waiting for them."""
        ...


class Driver(Protocol):
    """Compiles kernels, launches them, and says where their memory is."""

    device: torch.device
    #: the type `real` of the kernels
    dtype: torch.dtype

    def program(
        self,
        kernels: tuple[str, ...],
        spec: Spec,
        layout: Layout,
        moves: tuple[str, str] = ("", ""),
    ) -> Mapping[str, Kernel]:
        """These kernels by name, see `urnn.recurrence.gpu.sources`; compiled together, once.

        Raises:
            ArgumentError: they cannot be compiled here.
        """
        ...

    def empty(self, *shape: int) -> torch.Tensor:
        """Memory for reals that a kernel will write."""
        ...

    def free_bytes(self) -> int:
        """Memory that a backend may still ask for."""
        ...
