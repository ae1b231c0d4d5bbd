"""The CPU backend: fused steps (gather, forward, backward, reduction) compiled by Numba.

One call trains a whole stack for one step; `urnn.recurrence.lanes` says how the models lie in
vectors. A lane never reads another, and each replica's sums are taken in an order of their own, so
its results do not depend on the stack by a single bit. No cell is known by name here: what differs
follows from the facts of `urnn.recurrence.cells.base.Cell`.

The compiled kernels are kept between processes; see `urnn.recurrence.cache`.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from urnn.errors import ArgumentError
from urnn.recurrence import (
    Spec,
    check_indices,
    check_step,
    lanes,
    parameter_count,
    parameter_shapes,
    vector,
)
from urnn.recurrence.cache import kept_kernel, part_of_kernel
from urnn.recurrence.lanes import Layout
from urnn.recurrence.sweeps import ALL, TWO, backward_step, forward_sweep, reduction
from urnn.recurrence.vector import LANES


@kept_kernel
def _weigh(batch, place, value, target):
    """The weight of every lane's loss: 0 where the batch has no trial for it."""
    _, tile, _, models = place
    row = len(target)
    for lane in range(row):
        item = (tile * row + lane) // models
        target[lane] = value if item < batch else 0


@kept_kernel
def _cross_entropy(scores, y, dataset, trials, place, weight, error, loss, size):
    """-w log p[label] of every lane, p = softmax(scores), into loss, and w (p - onehot) into error.

    scores and error (size, row), y (S, N), weight (row,), loss (LANES,) float64.
    """
    group, tile, _, models = place
    row = len(weight)
    replicas, batch = trials.shape
    for lane in range(row):
        replica = group * models + lane % models
        if replica >= replicas:
            replica = group * models
        item = (tile * row + lane) // models
        label = y[dataset[replica], trials[replica, item if item < batch else 0]]
        largest = scores[lane]
        for k in range(1, size):
            largest = max(largest, scores[k * row + lane])
        total = 0.0
        for k in range(size):
            total += np.exp(np.float64(scores[k * row + lane] - largest))
        for k in range(size):
            score = np.float64(scores[k * row + lane] - largest)
            p = np.exp(score) / total
            if k == label:
                loss[lane % LANES] += weight[lane] * (np.log(total) - score)
                p -= 1
            error[k * row + lane] = weight[lane] * p


@kept_kernel
def _finish(exact_loss, place, loss):
    """The loss (R,) of every model of a group: the sum of its lanes."""
    group, _, _, models = place
    for replica in range(group * models, min((group + 1) * models, len(loss))):
        total = 0.0
        for lane in range(replica % models, LANES, models):
            total += exact_loss[lane]
        loss[replica] = total


@cache
def _read_reduction(spec: Spec, layout: Layout) -> Any:
    """A part (sums, E, H, h, steps): += the readout's gradients, of errors E and states from h."""
    HIDDEN, OUTPUT, VECTORS = spec.hidden_units, spec.output_size, layout.vectors

    def read(sums, E, H, h, steps):
        vector.add_outer(sums.C, E, 0, H, h, steps, OUTPUT, HIDDEN, VECTORS)
        vector.add_rows(sums.d, E, 0, steps, OUTPUT, VECTORS)

    return part_of_kernel(read)


@cache
def _backward(spec: Spec, layout: Layout) -> Any:
    """A part (weights, WT, CT, X, H, A, Y, sums, work, exact_loss, length): back through a tile.

    The errors of the last step are in E where the loss is of labels.
    """
    cell, HIDDEN, INPUT, OUTPUT = spec.cell, spec.hidden_units, spec.input_size, spec.output_size
    VECTORS, MODELS, TILE, CHUNK = layout.vectors, layout.models, layout.tile(), layout.chunk
    # the readout: at every time step, or at the last one alone
    LABELS = int(spec.loss == "cross_entropy")
    CARRIED, CELL = int(cell.carried), len(cell.initial_states) - 1
    ROWS = cell.gates * HIDDEN
    STATE, OUT, AHEAD = (size * VECTORS * LANES for size in (HIDDEN, OUTPUT, ROWS))
    KEPT, ERROR, NONE, LAST = cell.kept * STATE, 0 if LABELS else OUT, 0, CHUNK * AHEAD
    step = backward_step(cell, given=False)
    reduce, read = reduction(cell, HIDDEN, INPUT, layout), _read_reduction(spec, layout)

    def backward(weights, WT, CT, X, H, A, Y, sums, work, exact_loss, length):
        b, C, d = weights.b, weights.C, weights.d
        D, DI, E, carried, weight, lane_loss = work
        lanes.fill(carried, np.float32(0))
        lanes.fill(D[LAST:], np.float32(0))
        stop = length
        while stop > 0:  # in chunks: what D and E hold stays in the cache until it is reduced
            begin = max(0, stop - CHUNK)
            steps = stop - begin
            lanes.fill(lane_loss, np.float32(0))
            for k in range(steps - 1, -1, -1):
                t = begin + k
                later = LAST if k == steps - 1 else (k + 1) * AHEAD
                if not LABELS:
                    vector.readout_error(
                        C, d, H, (t + 1) * STATE, Y, t * OUT, weight, E, k * OUT, lane_loss,
                        HIDDEN, OUTPUT, VECTORS, MODELS, TILE,
                    )  # fmt: skip
                if LABELS and t < length - 1:
                    step(
                        WT, b, D, later, k * AHEAD, DI, H, t * STATE, (t + 1) * STATE,
                        A, t * KEPT, (t + 1) * KEPT, carried,
                        HIDDEN, ROWS, VECTORS, MODELS, TILE, CT, E, 0, NONE,
                    )  # fmt: skip
                else:
                    step(
                        WT, b, D, later, k * AHEAD, DI, H, t * STATE, (t + 1) * STATE,
                        A, t * KEPT, (t + 1) * KEPT, carried,
                        HIDDEN, ROWS, VECTORS, MODELS, TILE, CT, E, k * ERROR, OUTPUT,
                    )  # fmt: skip
            reduce(sums, D, DI, H, X, begin, steps)
            if not LABELS:
                read(sums, E, H, (begin + 1) * STATE, steps)
                for lane in range(LANES):
                    exact_loss[lane] += lane_loss[lane] / 2
            lanes.copy(D, D[LAST:])
            stop = begin
        vector.initial_state_gradient(sums.h_init, WT, D, LAST, HIDDEN, ROWS, VECTORS, MODELS)
        if CARRIED:
            total = sums.c_init if CELL else sums.h_init
            vector.add_rows(total, carried, 0, 1, HIDDEN, VECTORS)

    return part_of_kernel(backward)


@cache
def _start(spec: Spec) -> Any:
    """A part (x, dataset, trials, place, weights, initial, X, H, A): inputs and first states."""
    HIDDEN, KEPT, CELL = spec.hidden_units, spec.cell.kept, len(spec.cell.initial_states) - 1

    def start(x, dataset, trials, place, weights, initial, X, H, A):
        units, row = np.int64(HIDDEN), place[2] * LANES
        lanes.gather(x, dataset, trials, np.int64(0), x.shape[2], place, X)
        lanes.spread(weights.h_init, units, place, H)
        if CELL:
            lanes.spread(weights.c_init, units, place, initial)
            lanes.put_cell(initial, units, row, np.int64(KEPT), A)

    return part_of_kernel(start)


@cache
def _step(spec: Spec, layout: Layout) -> Any:
    """A kernel that computes the losses and gradients of a stack, see `CpuBackend.step`."""
    cell, HIDDEN, INPUT, OUTPUT = spec.cell, spec.hidden_units, spec.input_size, spec.output_size
    VECTORS, MODELS, TRIALS = layout.vectors, layout.models, layout.trials
    TILE, COUNT, LABELS = layout.tile(), parameter_count(spec), int(spec.loss == "cross_entropy")
    ROWS, ROW = cell.gates * HIDDEN, VECTORS * LANES
    STATE, IN, OUT, LAST = HIDDEN * ROW, INPUT * ROW, OUTPUT * ROW, layout.chunk * ROWS * ROW
    AHEAD, ERRORS = ROWS * ROW, layout.chunk * OUT
    SPLIT, CARRIED = LAST * int(cell.split), STATE * int(cell.carried)
    start = _start(spec)
    forward = forward_sweep(cell, HIDDEN, INPUT, layout)
    backward, read = _backward(spec, layout), _read_reduction(spec, layout)

    def step(theta, x, y, dataset, trials, table, at, gradient, loss, room):
        replicas, batch = trials.shape
        length = x.shape[2]
        buffer, sum_buffer = lanes.floats(COUNT * MODELS), lanes.floats(COUNT * LANES)
        weights = lanes.views(buffer, at, np.int64(MODELS))
        sums = lanes.views(sum_buffer, at, np.int64(LANES))
        WT, CT = lanes.floats(ROWS * HIDDEN * MODELS), lanes.floats(OUTPUT * HIDDEN * MODELS)
        D, E, carried = lanes.floats(LAST + AHEAD), lanes.floats(ERRORS), lanes.floats(CARRIED)
        DI = lanes.floats(SPLIT) if SPLIT else D
        initial, weight, lane_loss = lanes.floats(STATE), lanes.floats(ROW), lanes.floats(LANES)
        work, exact_loss = (D, DI, E, carried, weight, lane_loss), np.empty(LANES, np.float64)
        X, Y = room, room[length * IN :]
        H = Y[(1 if LABELS else length) * OUT :]
        A = H[(length + 1) * STATE :]
        models = np.int64(MODELS)
        for group in range(-(-replicas // MODELS)):
            lanes.load(theta, table, group, models, buffer)
            lanes.transpose(weights.W, np.int64(ROWS), np.int64(HIDDEN), models, WT)
            lanes.transpose(weights.C, np.int64(OUTPUT), np.int64(HIDDEN), models, CT)
            lanes.fill(sum_buffer, np.float32(0))
            lanes.fill(exact_loss, np.float64(0))
            for tile in range(-(-batch // (VECTORS * TRIALS))):
                place = (group, tile, np.int64(VECTORS), models)
                start(x, dataset, trials, place, weights, initial, X, H, A)
                forward(weights, X, H, A, Y, length, ALL, ALL)
                if LABELS:
                    _weigh(batch, place, 1 / batch, weight)
                    last = length * STATE
                    vector.readout(
                        weights.C, weights.d, H, last, Y, 0, HIDDEN, OUTPUT, VECTORS, MODELS, TILE
                    )
                    _cross_entropy(
                        Y, y, dataset, trials, place, weight, E, exact_loss, np.int64(OUTPUT)
                    )
                    read(sums, E, H, last, 1)
                else:
                    _weigh(batch, place, 2 / (batch * length * OUTPUT), weight)
                    lanes.gather(y, dataset, trials, np.int64(0), length, place, Y)
                backward(weights, WT, CT, X, H, A, Y, sums, work, exact_loss, length)
            lanes.unload(sum_buffer, table, group, models, gradient)
            _finish(exact_loss, (group, group, models, models), loss)

    return kept_kernel(step)


@cache
def _outputs(spec: Spec, layout: Layout) -> Any:
    """A kernel that computes the outputs of a stack, see `CpuBackend.outputs`."""
    cell, HIDDEN, INPUT, OUTPUT = spec.cell, spec.hidden_units, spec.input_size, spec.output_size
    VECTORS, MODELS, TRIALS = layout.vectors, layout.models, layout.trials
    TILE, COUNT, LABELS = layout.tile(), parameter_count(spec), int(spec.loss == "cross_entropy")
    STATE, IN, OUT = (size * VECTORS * LANES for size in (HIDDEN, INPUT, OUTPUT))
    KEPT = cell.kept * STATE
    start = _start(spec)
    forward = forward_sweep(cell, HIDDEN, INPUT, layout, 0 if LABELS else OUTPUT)

    def outputs(theta, x, dataset, trials, table, at, result):
        replicas, batch = trials.shape
        length = x.shape[2]
        buffer = lanes.floats(COUNT * MODELS)
        weights = lanes.views(buffer, at, np.int64(MODELS))
        X, Y = lanes.floats(length * IN), lanes.floats(result.shape[2] * OUT)
        H, A, initial = lanes.floats(2 * STATE), lanes.floats(2 * KEPT), lanes.floats(STATE)
        for group in range(-(-replicas // MODELS)):
            lanes.load(theta, table, group, np.int64(MODELS), buffer)
            for tile in range(-(-batch // (VECTORS * TRIALS))):
                place = (group, tile, np.int64(VECTORS), np.int64(MODELS))
                start(x, dataset, trials, place, weights, initial, X, H, A)
                forward(weights, X, H, A, Y, length, TWO, TWO)
                if LABELS:
                    last = length % 2 * STATE
                    vector.readout(
                        weights.C, weights.d, H, last, Y, 0, HIDDEN, OUTPUT, VECTORS, MODELS, TILE
                    )
                lanes.release(Y, place, result)

    return kept_kernel(outputs)


def _table(spec: Spec) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Where the parameters lie, see `urnn.recurrence.lanes`."""
    sizes = spec.hidden_units, spec.input_size, spec.output_size
    return lanes.table(spec.cell, sizes, parameter_shapes(spec)), lanes.starts(spec.cell, sizes)


def _room(spec: Spec, layout: Layout, length: int) -> int:
    """Floats that a step writes its inputs, targets and states to, for one tile of trials."""
    states = spec.hidden_units * (1 + spec.cell.kept)
    row = layout.vectors * LANES
    return (length * (spec.input_size + spec.output_size) + (length + 1) * states) * row


class CpuBackend:
    """Compiled kernels, float32, one thread; see `urnn.recurrence.Backend`."""

    name = "cpu"
    xp: ModuleType = np

    def asarray(self, values: NDArray) -> NDArray:
        kind = np.int64 if np.issubdtype(values.dtype, np.integer) else np.float32
        return np.ascontiguousarray(values, kind)

    def to_numpy(self, array: NDArray) -> NDArray:
        return array

    def step(self, spec: Spec) -> Any:
        gradient = np.empty((0, parameter_count(spec)), np.float32)
        loss = np.empty(0)
        # numpy asks for huge pages, and the next step finds them in place
        room = np.empty(0, np.float32)
        checked: tuple[Any, ...] = ()
        places = _table(spec)

        def run(
            theta: NDArray, x: NDArray, y: NDArray, dataset: NDArray, trials: NDArray
        ) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
            nonlocal gradient, loss, room, checked
            given = (theta, x, y, dataset)
            if len(checked) == 4 and all(a is b for a, b in zip(given, checked, strict=True)):
                check_indices("trials", trials, (len(theta), "batch"), x.shape[1])
            else:
                check_step(spec, theta, x, y, dataset, trials)
                _check_arrays(theta=theta, x=x, y=y)
                checked = given  # of a training they are the same arrays in every step
            if len(loss) != len(theta):
                gradient, loss = np.empty_like(theta), np.empty(len(theta))
            layout = lanes.layout(spec.cell, spec.hidden_units, trials.shape[1])
            size = _room(spec, layout, x.shape[2])
            if len(room) < size:
                room = np.empty(size, np.float32)
            _step(spec, layout)(theta, x, y, dataset, trials, *places, gradient, loss, room)
            return loss, gradient

        return run

    def outputs(
        self, spec: Spec, theta: NDArray, x: NDArray, dataset: NDArray
    ) -> NDArray[np.float32]:
        theta, x = self.asarray(theta), self.asarray(x)
        check_step(spec, theta, x, None, dataset, None)
        replicas, batch = len(theta), x.shape[1]
        trials = np.ascontiguousarray(np.broadcast_to(np.arange(batch), (replicas, batch)))
        at_last = spec.loss == "cross_entropy"
        steps = 1 if at_last else x.shape[2]
        result = np.empty((replicas, batch, steps, spec.output_size), np.float32)
        layout = lanes.layout(spec.cell, spec.hidden_units, batch)
        _outputs(spec, layout)(theta, x, dataset, trials, *_table(spec), result)
        return result[:, :, 0] if at_last else result


def compile_kernels(spec: Spec, batches: Iterable[int], trials: Iterable[int]) -> None:
    """Compile and keep what steps on these sizes of minibatches and outputs of trials will need."""
    cpu, replica = CpuBackend(), np.zeros(1, np.int64)
    theta = np.zeros((1, parameter_count(spec)), np.float32)
    shape = (1, 1) if spec.loss == "cross_entropy" else (1, 1, 1, spec.output_size)
    y = np.zeros(shape, np.int64 if spec.loss == "cross_entropy" else np.float32)
    x = np.zeros((1, 1, 1, spec.input_size), np.float32)
    for batch in batches:
        cpu.step(spec)(theta, x, y, replica, np.zeros((1, batch), np.int64))
    for number in trials:
        cpu.outputs(spec, theta, np.repeat(x, number, axis=1), replica)


def _check_arrays(**arrays: NDArray) -> None:
    for name, array in arrays.items():
        labels = name == "y" and array.dtype == np.int64
        if not (array.dtype == np.float32 or labels) or not array.flags.c_contiguous:
            raise ArgumentError(
                f"{name} must be a C-contiguous float32 array, but it is {array.dtype}; "
                "pass it through the backend's asarray"
            )
