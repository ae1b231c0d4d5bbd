"""The GPU kernels in the emulator: float64 against the reference, float32 bits, barriers, NaN."""

from __future__ import annotations

import itertools
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from tests.recurrence.emulated import Emulator
from urnn.errors import ArgumentError
from urnn.recurrence import LOSSES, Spec, backend, parameter_shapes, unpack
from urnn.recurrence.gpu.backend import GpuBackend
from urnn.recurrence.gpu.layouts import SPREAD_FROM, layout, shared_reals
from urnn.recurrence.gpu.sources import constants

REFERENCE = backend("reference")

#: tag of the cell, loss, hidden units, inputs, outputs, batch, time; few shapes, for each compiles
CASES = [
    ("rnn-relu", "squared", 1, 1, 1, 3, 1),
    ("rnn-relu", "squared", 17, 2, 2, 5, 3),
    ("rnn-relu", "cross_entropy", 9, 2, 3, 1, 17),
    ("rnn-relu", "cross_entropy", 96, 1, 10, 6, 4),
    ("rnn-tanh", "squared", 3, 2, 1, 9, 16),
    ("rnn-tanh", "squared", 19, 9, 1, 4, 9),
    ("rnn-tanh", "cross_entropy", 11, 5, 2, 33, 2),
    ("rnn-tanh", "cross_entropy", 21, 1, 17, 7, 1),
    ("rnn-sigmoid", "squared", 5, 1, 7, 11, 15),
    ("rnn-sigmoid", "squared", 23, 3, 2, 1, 33),
    ("rnn-sigmoid", "cross_entropy", 13, 2, 2, 5, 8),
    ("rnn-sigmoid", "cross_entropy", 128, 1, 10, 2, 3),
    ("rnn-identity", "squared", 7, 4, 3, 2, 32),
    ("rnn-identity", "squared", 32, 3, 3, 5, 5),
    ("rnn-identity", "cross_entropy", 15, 40, 2, 3, 3),
    ("rnn-identity", "cross_entropy", 16, 1, 3, 9, 2),
    ("rnn-modrelu", "squared", 2, 2, 2, 5, 11),
    ("rnn-modrelu", "squared", 22, 2, 3, 3, 5),
    ("rnn-modrelu", "cross_entropy", 8, 1, 4, 7, 6),
    ("rnn-modrelu", "cross_entropy", 24, 1, 2, 5, 4),
    ("lstm", "squared", 14, 2, 2, 3, 18),
    ("lstm", "squared", 18, 1, 5, 5, 3),
    ("lstm", "cross_entropy", 4, 3, 2, 17, 5),
    ("lstm", "cross_entropy", 32, 2, 3, 4, 2),
    ("lstm-hard_sigmoid", "squared", 6, 2, 2, 5, 7),
    ("lstm-hard_sigmoid", "squared", 16, 2, 2, 3, 3),
    ("lstm-hard_sigmoid", "cross_entropy", 12, 1, 3, 3, 3),
    ("lstm-hard_sigmoid", "cross_entropy", 20, 1, 2, 1, 1),
    ("gru", "squared", 10, 3, 1, 7, 9),
    ("gru", "squared", 24, 2, 2, 5, 3),
    ("gru", "cross_entropy", 3, 2, 2, 2, 1),
    ("gru", "cross_entropy", 128, 1, 3, 5, 2),
]


def cells() -> dict[str, Any]:
    from tests.recurrence.conftest import CELLS

    return {cell.tag: cell for cell in CELLS}


def kernels(**options: Any) -> GpuBackend:
    """The backend on the emulator."""
    lanes = options.pop("lanes", None)
    return GpuBackend(Emulator(**options), lanes)


def test_the_cases_are_every_cell_and_loss_and_size() -> None:
    spread = {(tag, loss, n >= SPREAD_FROM) for tag, loss, n, *_ in CASES}
    assert spread == set(itertools.product(cells(), LOSSES, (False, True)))
    assert {n for _, _, n, *_ in CASES} == {*range(1, 25), 32, 96, 128}
    assert any(time == 1 for *_, time in CASES) and any(batch % 2 for *_, batch, _ in CASES)


@pytest.mark.parametrize("case", CASES, ids=lambda case: "-".join(map(str, case)))
def test_float64_is_the_reference(case: Any, problems: SimpleNamespace) -> None:
    tag, loss, n, inputs, outputs, batch, time = case
    spec = Spec(cells()[tag], n, inputs, outputs, loss)
    data = problems.usable(spec, 2, batch, time, seed=n)
    where = kernels(dtype=torch.float64)
    found_loss, found = problems.step(where, spec, data)
    exact_loss, exact = problems.step(REFERENCE, spec, data)
    np.testing.assert_allclose(found_loss, exact_loss, rtol=1e-12)
    ours, theirs = unpack(spec, found), unpack(spec, exact)
    for name in parameter_shapes(spec):
        error = np.abs(ours[name] - theirs[name]).max()
        assert error <= 1e-12 * max(np.abs(theirs[name]).max(), np.abs(exact).max()), name
    theta, x, _, dataset, _ = data
    y = REFERENCE.outputs(spec, theta, x, dataset)
    torch.testing.assert_close(where.outputs(spec, theta, x, dataset), y, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("size", [1.0, 1e-6, 1e-25])
def test_complex_states_close_to_zero(problems: SimpleNamespace, size: float) -> None:
    problems.exact_near_zero(kernels(), size)


#: one of each regime and kind: several lanes, teams and tiles; chunks; all kinds of values
BITS = [
    ("rnn-tanh", "squared", 6, 2, 2, 20),
    ("lstm", "squared", 5, 2, 1, 6),
    ("gru", "cross_entropy", 4, 3, 3, 5),
    ("rnn-modrelu", "squared", 6, 1, 2, 5),
    ("rnn-relu", "cross_entropy", 17, 1, 3, 7),
]


@pytest.mark.parametrize("case", BITS, ids=lambda case: "-".join(map(str, case)))
def test_float32_bits_are_those_of_any_stack_order_and_layout(
    case: Any, problems: SimpleNamespace
) -> None:
    tag, loss, n, inputs, outputs, time = case
    spec = Spec(cells()[tag], n, inputs, outputs, loss)
    data = problems.usable(spec, 5, 5, time, seed=1)
    theta, x, y, dataset, trials = data
    first = problems.step(kernels(seed=0), spec, data)
    exact = problems.step(REFERENCE, spec, data)
    for found, wanted in zip(first, exact, strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-5 * np.abs(wanted).max())
    for seed in (1, 2, 3):
        for found, wanted in zip(problems.step(kernels(seed=seed), spec, data), first, strict=True):
            np.testing.assert_array_equal(found, wanted)
    alone = slice(2, 3)
    part = theta[alone], x, y, dataset[alone], trials[alone]
    for found, wanted in zip(problems.step(kernels(), spec, part), first, strict=True):
        np.testing.assert_array_equal(found, wanted[alone])
    if n < SPREAD_FROM:
        for lanes in (1, 32):
            for found, wanted in zip(
                problems.step(kernels(lanes=lanes), spec, data), first, strict=True
            ):
                np.testing.assert_array_equal(found, wanted)


def test_float32_is_the_cpu_backend_in_rounding(problems: SimpleNamespace) -> None:
    spec = Spec(cells()["lstm"], 5, 2, 1)
    data = problems.problem(spec, 2, 5, 6)
    cpu = problems.step(backend("cpu"), spec, data)
    for found, wanted in zip(problems.step(kernels(), spec, data), cpu, strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-5 * np.abs(wanted).max())


@pytest.mark.parametrize("tag, n", [("lstm", 5), ("rnn-relu", 17)])
@pytest.mark.parametrize("value", [np.nan, np.inf, 3e38])
def test_what_is_not_finite_touches_no_other_replica(
    tag: str, n: int, value: float, problems: SimpleNamespace
) -> None:
    loss, outputs = ("squared", 1) if tag == "lstm" else ("cross_entropy", 3)
    spec = Spec(cells()[tag], n, 2 if tag == "lstm" else 1, outputs, loss)
    data = problems.usable(spec, 5, 5, 6, seed=1)
    clean = problems.step(kernels(), spec, data)
    theta = data[0].copy()
    theta[1] = value
    broken = problems.step(kernels(), spec, (theta, *data[1:]))
    others = [0, 2, 3, 4]
    for found, wanted in zip(broken, clean, strict=True):
        np.testing.assert_array_equal(found[others], wanted[others])
    assert not np.isfinite(broken[0][1] + broken[1][1].sum())


#: several warps, tiles and chunks; teams that are a part of a warp, or more than one
BARRIERS = [
    ("rnn-tanh", "squared", 6, 2, 2, 19, 40),
    ("gru", "cross_entropy", 4, 3, 3, 19, 2),
    ("rnn-relu", "cross_entropy", 17, 1, 3, 5, 7),
]


def test_every_barrier_of_the_gradient_and_the_outputs_is_needed(problems: SimpleNamespace) -> None:
    """Without it some order of the threads gives other numbers, for one of the kinds of layout."""
    detected: set[int] = set()
    there: set[int] = set()
    for tag, loss, n, inputs, outputs, batch, time in BARRIERS:
        spec = Spec(cells()[tag], n, inputs, outputs, loss)
        data = problems.usable(spec, 4, batch, time, seed=1)
        where = kernels()
        wanted = everything(where, spec, data, problems)
        program = where.driver.program(("gradient", "join", "outputs"), spec, layout(spec, batch))
        there |= set(range(program["gradient"].barriers))
        for number in there - detected:
            for seed in range(5):
                found = everything(kernels(seed=seed, left_out=number), spec, data, problems)
                if any(not np.array_equal(a, b) for a, b in zip(found, wanted, strict=True)):
                    detected.add(number)
                    break
    assert len(there) > 10
    assert detected == there


def everything(
    where: GpuBackend, spec: Spec, data: Any, problems: SimpleNamespace
) -> tuple[NDArray, ...]:
    theta, x, _, dataset, _ = data
    return *problems.step(where, spec, data), where.outputs(spec, theta, x, dataset).numpy()


def test_bad_input_is_refused(problems: SimpleNamespace) -> None:
    spec = Spec(cells()["rnn-tanh"], 6, 2, 2)
    theta, x, y, dataset, trials = problems.problem(spec, 2, 3, 4)
    where = kernels()
    step = where.step(spec)
    arrays = [where.asarray(a) for a in (theta, x, y)]
    with pytest.raises(ArgumentError, match="trials must be at least 0"):
        step(*arrays, dataset, trials - 9)
    with pytest.raises(ArgumentError, match="theta must have the shape"):
        step(arrays[0][:, 1:], *arrays[1:], dataset, trials)
    with pytest.raises(ArgumentError, match="x must be a contiguous tensor of torch"):
        step(arrays[0], arrays[1].double(), arrays[2], dataset, trials)
    with pytest.raises(ArgumentError, match="KiB of a GPU's shared memory"):
        layout(Spec(cells()["lstm"], 128, 5000, 2), 4)


def test_constants_say_where_every_parameter_is() -> None:
    spec = Spec(cells()["gru"], 3, 2, 2)
    names = constants(spec, layout(spec, 4))
    offsets = [names[f"OFFSET_{name.upper()}"] for name in parameter_shapes(spec)]
    assert offsets == sorted(offsets) and offsets[0] == 0
    assert names["PARAMETERS"] == offsets[-1] + 3


@pytest.mark.parametrize("name", ["rnn", "lstm", "gru"])
def test_a_block_has_at_most_1024_threads(name: str) -> None:
    cell = next(cell for tag, cell in cells().items() if tag.startswith(name))
    for units in (2, 15, 16, 128, 256):
        assert layout(Spec(cell, units, 2, 2), 32).threads <= 1024
    with pytest.raises(ArgumentError, match="257 hidden units need 1056 threads of a block"):
        layout(Spec(cell, 257, 2, 2), 32)


def test_fewer_trials_at_once_where_all_of_a_block_do_not_fit() -> None:
    spec = Spec(next(cell for tag, cell in cells().items() if tag.startswith("rnn")), 8, 256, 1)
    few, many = layout(spec, 32), layout(spec, 64)
    assert many.teams <= few.teams and 4 * shared_reals(spec, many) <= 99 << 10
    assert many.parts(64) == 1
