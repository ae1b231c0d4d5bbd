"""Large arrays whose memory is used again.

The system gives out fresh memory a page at a time and fills it with zeros, which can take longer
than what a kernel then computes there; and a training asks for arrays of the same sizes in every
step.
"""

from __future__ import annotations

import math
import weakref
from collections import deque

import numpy as np
from numpy.typing import NDArray

from urnn.recurrence.emitter import LINE

#: bytes from which memory is worth keeping, and how many of them are kept at most
_LARGE, _KEPT = 1 << 20, 1 << 28

#: memory that no array uses, what was used last at the end
_free: deque[NDArray[np.float32]] = deque()


class _Owner:
    """Whom an array and all of its views and tensors refer to, as long as there are any."""

    def __init__(self, memory: NDArray[np.float32], shape: tuple[int, ...]) -> None:
        self.__array_interface__ = memory.__array_interface__ | {"shape": shape}
        weakref.finalize(self, _give_back, memory).atexit = False


def empty(*shape: int) -> NDArray[np.float32]:
    """An array with any values that starts at a cache line; float32, in C order.

    Its memory serves another one when neither it nor a view or a tensor of it is left.
    """
    size = math.prod(shape)
    if size * np.float32().itemsize < _LARGE:
        return _fresh(size).reshape(shape)
    found = _take(size)
    return np.asarray(_Owner(_fresh(size) if found is None else found, shape))


def _fresh(size: int) -> NDArray[np.float32]:
    room = np.empty(size + LINE, np.float32)
    return room[-room.ctypes.data // room.itemsize % LINE :][:size]


def _take(size: int) -> NDArray[np.float32] | None:
    """Free memory for so many values that is not much larger, or None."""
    # without a lock, which an array that is given back meanwhile would wait for
    for _ in range(len(_free)):
        try:
            memory = _free.popleft()
        except IndexError:
            return None
        if size <= memory.size <= 2 * size:
            return memory
        _free.append(memory)
    return None


def _give_back(memory: NDArray[np.float32]) -> None:
    if memory.nbytes > _KEPT:
        return
    _free.append(memory)
    try:
        while sum(part.nbytes for part in tuple(_free)) > _KEPT:
            _free.popleft()
    except (IndexError, RuntimeError):
        pass  # another thread takes or gives back, and comes here after it
