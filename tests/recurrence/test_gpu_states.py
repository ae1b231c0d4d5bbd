"""The states on a GPU, and back from gradients of all states, in the emulator."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.recurrence.emulated import Emulator
from urnn.errors import ArgumentError
from urnn.recurrence import Spec, pack, parameter_shapes, reference, unpack
from urnn.recurrence.cells import POINT
from urnn.recurrence.gpu.backend import _STATES, GpuBackend

#: the cell, hidden units, inputs, batch, time
CASES = [
    ("rnn", {"activation": "modrelu"}, 6, 2, 3, 5),
    ("lstm", {}, 5, 3, 7, 18),
    ("gru", {}, 4, 1, 9, 1),
    ("lstm", {}, 17, 2, 6, 4),
]


def problem(
    case: Any, dtype: torch.dtype, replicas: int = 4
) -> tuple[Spec, Tensor, Tensor, Tensor]:
    name, options, n, inputs, batch, time = case
    spec = Spec(POINT.make(name, **options), n, inputs, 1)
    random = np.random.default_rng(n)
    values = {
        key: random.standard_normal((replicas, *shape)) / 2
        for key, shape in parameter_shapes(spec).items()
    }
    theta = torch.tensor(pack(spec, values), dtype=dtype)
    x = torch.tensor(random.standard_normal((replicas, batch, time, inputs)), dtype=dtype)
    shape = (replicas, batch, len(spec.cell.initial_states), n)
    return spec, theta, x, torch.tensor(random.standard_normal(shape), dtype=dtype)


def there_and_back(where: GpuBackend, case: Any) -> list[Tensor]:
    spec, theta, x, initial = problem(case, where.driver.dtype)
    h, last, kept = where.states(spec, theta, x, initial, True)
    weights, of_last = h.cos(), (last.sin() if last.numel() else None)
    return [h, last, *where.pull(spec, theta, x, kept, weights, of_last, True)]


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case[0]}-{case[2]}")
def test_states_and_gradients_are_those_of_autograd(case: Any) -> None:
    where = GpuBackend(Emulator(torch.float64))
    spec, *arrays = problem(case, torch.float64)
    theta, x, initial = (array.requires_grad_() for array in arrays)
    starts = [initial[:, :, k] for k in range(initial.shape[2])]
    h, last = reference.states(spec.cell, unpack(spec, theta), x, starts)
    found = there_and_back(where, case)
    # the weights of the test are cos h and sin c
    value = h.sin().sum() - (last[1].cos().sum() if len(last) > 1 else 0)
    gradients = torch.autograd.grad(value, (theta, initial, x), materialize_grads=True)
    wanted = [h, last[1] if len(last) > 1 else h.new_empty(*h.shape[:2], 0), *gradients]
    for ours, theirs in zip(found, wanted, strict=True):
        torch.testing.assert_close(ours, theirs.detach(), rtol=1e-12, atol=1e-11)
    with torch.no_grad():
        again, _, kept = where.states(spec, theta.detach(), x.detach(), initial.detach(), False)
    torch.testing.assert_close(again, found[0], rtol=0, atol=0)
    assert kept.numel() == 0


@pytest.mark.parametrize("case", CASES[1:], ids=lambda case: f"{case[0]}-{case[2]}")
def test_bits_are_those_of_any_order(case: Any) -> None:
    wanted = there_and_back(GpuBackend(Emulator()), case)
    for seed in range(4):
        found = there_and_back(GpuBackend(Emulator(seed=seed)), case)
        assert all(map(torch.equal, found, wanted))


def test_the_barrier_that_the_gradients_do_not_have_is_needed() -> None:
    """That of the kernel `states`, the last one; test_gpu.py has the others."""
    case = CASES[1]
    spec, theta, x, initial = problem(case, torch.float32)
    where = GpuBackend(Emulator())
    wanted, *_ = where.states(spec, theta, x, initial, False)
    number = where.driver.program(_STATES, spec, where.states_layout(spec, 7))["states"].barriers
    without = [GpuBackend(Emulator(seed=seed, left_out=number - 1)) for seed in range(4)]
    found = [other.states(spec, theta, x, initial, False)[0] for other in without]
    assert not all(torch.equal(states, wanted) for states in found)


def test_arrays_that_do_not_fit_are_refused() -> None:
    where = GpuBackend(Emulator())
    spec, theta, x, initial = problem(CASES[2], torch.float32)
    with pytest.raises(ArgumentError, match="initial must have the shape"):
        where.states(spec, theta, x, initial[:, :2], False)
    with pytest.raises(ArgumentError, match="x must be a contiguous tensor"):
        where.states(spec, theta, x.double(), initial, False)


def test_states_that_are_not_kept_use_memory_of_their_own_call() -> None:
    """Another call may run at the same time, on another stream."""
    where = GpuBackend(Emulator(torch.float64))
    spec, theta, x, initial = problem(CASES[1], torch.float64)
    first = where.states(spec, theta, x, initial, False)[0]
    assert where._room.numel() == 0
    torch.testing.assert_close(first, where.states(spec, theta, x, initial, True)[0])
