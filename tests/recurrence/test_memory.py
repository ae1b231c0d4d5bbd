"""Large arrays take memory that no array uses any more, and never memory that one still uses."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from urnn.recurrence import memory

LARGE = memory._LARGE // 4


@pytest.fixture(autouse=True)
def none_free() -> Iterator[None]:
    memory._free.clear()
    yield
    memory._free.clear()


def test_an_array_as_numpy_makes_them() -> None:
    for shape in ((3, 0, 2), (5, 7), (2, 3, LARGE)):
        array = memory.empty(*shape)
        assert array.shape == shape
        assert array.dtype == np.float32
        assert array.flags.c_contiguous and array.flags.writeable
        assert not array.size or array.ctypes.data % 64 == 0


def test_the_memory_of_what_is_gone_is_used_again() -> None:
    array = memory.empty(LARGE, 2)
    place = array.ctypes.data
    del array
    assert memory.empty(2 * LARGE - 5).ctypes.data == place
    # but not for an array that is much smaller, or larger
    assert memory.empty(LARGE - 1).ctypes.data != place
    assert memory.empty(3 * LARGE).ctypes.data != place


REFERRING: dict[str, Callable[[Any], Any]] = {
    "view": lambda array: array[1:],
    "reshaped": lambda array: array.reshape(-1)[5:],
    "tensor": torch.from_numpy,
    "view of a tensor": lambda array: torch.from_numpy(array).transpose(0, 1)[3:],
    "numpy again": lambda array: torch.from_numpy(array).numpy()[0],
}


@pytest.mark.parametrize("kind", REFERRING)
def test_what_refers_to_an_array_keeps_its_memory(kind: str) -> None:
    array = memory.empty(2, LARGE)
    array[:] = 1
    kept = REFERRING[kind](array)
    del array
    other = memory.empty(2, LARGE)
    other[:] = 2
    assert (kept == 1).all()
    del kept
    assert len(memory._free) == 1


@settings(deadline=None, max_examples=50)
@given(st.lists(st.tuples(st.integers(0, 5), st.sampled_from([1, 2, 3])), max_size=30))
def test_no_two_arrays_share_memory(steps: list[tuple[int, int]]) -> None:
    held: dict[int, np.ndarray] = {}
    for number, (slot, size) in enumerate(steps):
        held.pop(slot, None)
        held[slot] = memory.empty(size * LARGE)
        held[slot][[0, -1]] = number
        held[slot][1] = slot
        assert all(array[1] == slot for slot, array in held.items())
        arrays = list(held.values())
        assert not any(np.shares_memory(a, b) for i, a in enumerate(arrays) for b in arrays[:i])


def test_so_much_is_kept_and_what_was_used_last(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "_KEPT", 6 * memory._LARGE)
    arrays = [memory.empty(LARGE * size) for size in (2, 3, 2)]
    places = [array.ctypes.data for array in arrays]
    for _ in range(3):
        del arrays[0]
    assert [part.ctypes.data for part in memory._free] == places[1:]
    # what is larger than all of it takes nobody's place
    memory.empty(7 * LARGE)
    assert len(memory._free) == 2
