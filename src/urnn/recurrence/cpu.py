"""The CPU backend: fused steps (gather, forward, backward, reduction), compiled from LLVM IR.

One call trains a whole stack for one step; `urnn.recurrence.lanes` says how the models lie in
vectors. A lane never reads another, and each replica's sums are taken in an order of their own, so
its results do not depend on the stack by a single bit. No cell is known by name here: what differs
follows from the facts of `urnn.recurrence.cells.base.Cell`.

The compiled kernels are kept between processes; see `urnn.recurrence.native`.
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
    memory,
    parameter_count,
    parameter_shapes,
    vector,
)
from urnn.recurrence.emitter import DOUBLE, INT64, LANES, Array, Emitter, Offset
from urnn.recurrence.lanes import BLOCK, Bring, Layout, Parameters, Room
from urnn.recurrence.native import Doubles, Floats, Integers, Kernel, Real, address, shared
from urnn.recurrence.sweeps import (
    ALL,
    TWO,
    backward_step,
    chunks_back,
    forward_sweep,
    reduction,
)


@shared
def weigh(
    e: Emitter,
    batch: Offset,
    group: Offset,
    tile: Offset,
    vectors: Offset,
    models: Offset,
    value: Real,
    target: Floats,
) -> None:
    """The weight of every lane's loss: 0 where the batch has no trial for it."""
    with lanes.each_lane(e, tile, vectors, models) as (lane, item, _):
        target[lane] = e.builder.select(item < batch, value, e.double(0.0))


@shared
def cross_entropy(
    e: Emitter,
    scores: Floats,
    y: Integers,
    number: Offset,
    dataset: Integers,
    trials: Integers,
    replicas: Offset,
    batch: Offset,
    group: Offset,
    tile: Offset,
    vectors: Offset,
    models: Offset,
    weight: Floats,
    size: Offset,
    error: Floats,
    loss: Doubles,
) -> None:
    """-w log p[label] of every lane, p = softmax(scores), into loss, and w (p - onehot) into error.

    scores and error (size, row), y (S, number), weight (row,), loss (LANES,).
    """
    b, row = e.builder, vectors * LANES
    which, place = (dataset, trials, replicas, batch), (group, tile, vectors, models)
    with lanes.each_trial(e, which, place) as (lane, of_set, trial):
        label = y[of_set * number + trial]
        largest = e.variable(scores[lane])
        with e.loop(size - 1, start=1) as k:
            score, most = scores[k * row + lane], e.get(largest)
            e.put(b.select(b.fcmp_ordered(">", score, most), score, most), largest)

        def above(k: Offset, lane: Offset = lane, largest: Array = largest) -> Any:
            """A score without the largest one, as float64."""
            return e.double(b.fsub(scores[k * row + lane], e.get(largest)))

        total = e.variable(e.double(0.0))
        with e.loop(size) as k:
            e.put(b.fadd(e.get(total), e.of_double("exp", above(k))), total)
        w = e.double(weight[lane])
        with e.loop(size) as k:
            p = b.fdiv(e.of_double("exp", above(k)), e.get(total))
            right = k.equals(label)
            with e.when(right):
                of_label = b.fsub(e.of_double("log", e.get(total)), above(k))
                at = lane % LANES
                loss[at] = b.fadd(loss[at], b.fmul(w, of_label))
            p = b.select(right, b.fsub(p, e.double(1.0)), p)
            error[k * row + lane] = b.fmul(w, p)


@shared
def finish(
    e: Emitter, exact_loss: Doubles, group: Offset, models: Offset, replicas: Offset, loss: Doubles
) -> None:
    """The loss (replicas,) of every model of a group: the sum of its lanes."""
    with e.loop(e.minimum(models, replicas - group * models)) as model:
        total = e.variable(e.double(0.0))
        with e.loop(LANES // models) as trial:
            e.put(e.builder.fadd(e.get(total), exact_loss[trial * models + model]), total)
        loss[group * models + model] = e.get(total)


def _sizes(spec: Spec) -> tuple[int, int, int]:
    return spec.hidden_units, spec.input_size, spec.output_size


def _starts(spec: Spec) -> Parameters:
    """Where each parameter starts in theta."""
    return lanes.starts(spec.cell, _sizes(spec))


def _read_reduction(
    e: Emitter, spec: Spec, layout: Layout, sums: Parameters, E: Array, H: Array, steps: Offset
) -> None:
    """sums += the readout's gradients, of errors E and states H of some steps."""
    HIDDEN, _, OUTPUT = _sizes(spec)
    vector.add_outer(e, sums.C, E, 0, H, 0, steps, OUTPUT, HIDDEN, layout.vectors)
    vector.add_rows(e, sums.d, E, 0, steps, OUTPUT, layout.vectors)


def _back_through_chunk(
    e: Emitter,
    spec: Spec,
    layout: Layout,
    weights: Parameters,
    work: Emitter,
    states: tuple[Array, ...],
    chunk: tuple[Offset, Offset, Offset],
) -> None:
    """D and E of the time steps of a chunk, last to first: its first step, its number, and all."""
    cell, (HIDDEN, _, OUTPUT), (begin, steps, length) = spec.cell, _sizes(spec), chunk
    VECTORS, MODELS, TILE, ROWS = layout.vectors, layout.models, layout.tile(), cell.gates * HIDDEN
    STATE, OUT, AHEAD = (size * VECTORS * LANES for size in (HIDDEN, OUTPUT, ROWS))
    KEPT, LAST = cell.kept * STATE, layout.chunk * AHEAD
    (_, H, A, Y), D, E = states, work.D, work.E
    DI = work.DI if cell.split else D
    one_back = backward_step(cell, given=False)

    def step(t: Offset, k: Offset, later: Offset, error: Offset, outputs: int) -> None:
        one_back(
            e, work.WT, D, later, k * AHEAD, DI, H, t * STATE, (t + 1) * STATE,
            A, t * KEPT, (t + 1) * KEPT, work.carried,
            HIDDEN, ROWS, VECTORS, MODELS, TILE, work.CT, E, error, outputs,
        )  # fmt: skip

    with e.loop(steps) as passed:
        k = steps - 1 - passed
        t = begin + k
        later = e.either(passed.equals(0), LAST, (k + 1) * AHEAD)
        if spec.loss == "cross_entropy":  # the readout is at the last time step alone
            last = t.equals(length - 1)
            with e.when(last):
                step(t, k, later, 0, OUTPUT)
            with e.when(e.builder.not_(last)):
                step(t, k, later, 0, 0)
        else:
            vector.readout_error(
                e, weights.C, weights.d, H, (t + 1) * STATE, Y, k * OUT, work.weight,
                E, k * OUT, work.lane_loss, HIDDEN, OUTPUT, VECTORS, MODELS, TILE,
            )  # fmt: skip
            step(t, k, later, k * OUT, OUTPUT)


def _backward(
    e: Emitter,
    spec: Spec,
    layout: Layout,
    weights: Parameters,
    sums: Parameters,
    work: Emitter,
    states: tuple[Array, ...],
    exact_loss: Array,
    length: Offset,
    targets: Bring | None,
) -> None:
    """Back through the time steps of a tile, from its X, H and A.

    The errors of the last step are in E where the loss is of labels; else ``targets`` brings those
    of each chunk to Y.
    """
    cell, HIDDEN, ROWS = spec.cell, spec.hidden_units, spec.cell.gates * spec.hidden_units
    STATE, AHEAD = (size * layout.vectors * LANES for size in (HIDDEN, ROWS))
    LAST, (X, H, A, Y), zero = layout.chunk * AHEAD, states, e.double(0.0)
    D, DI = work.D, work.DI if cell.split else work.D
    lanes.fill(e, work.carried, STATE if cell.carried else 0, zero)
    lanes.fill(e, D[LAST:], AHEAD, zero)
    # in chunks: what D and E hold stays in the cache until it is reduced
    with chunks_back(e, length, layout.chunk) as (begin, steps):
        lanes.fill(e, work.lane_loss, LANES, zero)
        if targets is not None:
            # while those of the chunk before it come from memory
            targets(begin, steps, -layout.chunk * spec.output_size, Y)
        _back_through_chunk(e, spec, layout, weights, work, states, (begin, steps, length))
        reduction(e, cell, _sizes(spec), layout, sums, D, DI, H, A, X, begin, steps)
        if spec.loss != "cross_entropy":
            _read_reduction(e, spec, layout, sums, work.E, H[(begin + 1) * STATE :], steps)
            with e.loop(LANES) as lane:
                half = e.builder.fdiv(e.double(work.lane_loss[lane]), e.double(2.0))
                exact_loss[lane] = e.builder.fadd(exact_loss[lane], half)
        lanes.copy(e, D, AHEAD, D[LAST:])
    vector.initial_state_gradient(
        e, sums.h_init, work.WT, D, LAST, HIDDEN, ROWS, layout.vectors, layout.models
    )
    if cell.carried:
        total = sums.c_init if spec.cell.has_cell_state else sums.h_init
        vector.add_rows(e, total, work.carried, 0, 1, HIDDEN, layout.vectors)


def _forward(
    e: Emitter,
    spec: Spec,
    layout: Layout,
    x: tuple[Any, ...],
    which: tuple[Any, ...],
    place: tuple[Offset, ...],
    weights: Parameters,
    initial: Array,
    states: tuple[Array, ...],
    outputs: int,
    slots: Offset,
) -> None:
    """The inputs of a tile to X, its states to H and A, and ``outputs`` of each step to Y."""
    units, row, (X, H, A, Y) = spec.hidden_units, layout.vectors * LANES, states
    source, _, length, size = x
    bring = lanes.finder(e, source, lanes.by_trial(*x[1:]), which, place)
    lanes.spread(e, weights.h_init, units, place, H)
    if spec.cell.has_cell_state:
        lanes.spread(e, weights.c_init, units, place, initial)
        lanes.put_cell(e, initial, units, row, spec.cell.kept, A)
    sizes = (units, size, outputs)
    # a block at a time, while the next one comes from memory
    with e.loop(e.parts(length, BLOCK), BLOCK) as begin:
        steps = e.minimum(BLOCK, length - begin)
        bring(begin, steps, BLOCK * size, X[begin * size * row :])
        forward_sweep(e, spec.cell, sizes, layout, weights, X, H, A, Y, steps, slots, slots, begin)


def _step_room(spec: Spec, layout: Layout) -> Room:
    """What a step needs room for, besides the states."""
    cell, (HIDDEN, _, OUTPUT) = spec.cell, _sizes(spec)
    COUNT, MODELS, ROWS, ROW = (
        parameter_count(spec), layout.models, cell.gates * HIDDEN, layout.vectors * LANES
    )  # fmt: skip
    CHUNK = layout.chunk * ROWS * ROW
    return Room(
        weights=COUNT * MODELS,
        sums=COUNT * LANES,
        WT=ROWS * HIDDEN * MODELS,
        CT=OUTPUT * HIDDEN * MODELS,
        D=CHUNK + ROWS * ROW,
        DI=CHUNK if cell.split else 0,
        E=layout.chunk * OUTPUT * ROW,
        carried=HIDDEN * ROW if cell.carried else 0,
        initial=HIDDEN * ROW,
        weight=ROW,
        lane_loss=LANES,
    )


def _add_tile(
    e: Emitter,
    spec: Spec,
    layout: Layout,
    work: Emitter,
    x: tuple[Any, ...],
    y: Array,
    which: tuple[Any, ...],
    place: tuple[Offset, ...],
    exact_loss: Array,
) -> None:
    """The losses and gradients of a tile, added to those of its group."""
    HIDDEN, _, OUTPUT = _sizes(spec)
    STATE, IN, OUT = (size * layout.vectors * LANES for size in _sizes(spec))
    weights = lanes.views(work.weights, _starts(spec), layout.models)
    sums = lanes.views(work.sums, _starts(spec), LANES)
    labels, (_, number, length, _), (*_, batch) = spec.loss == "cross_entropy", x, which
    X = work.rest
    Y = X[length * IN :]
    H = Y[(1 if labels else layout.chunk) * OUT :]
    A = H[(length + 1) * STATE :]
    states = (X, H, A, Y)
    targets: Bring | None = None
    _forward(e, spec, layout, x, which, place, weights, work.initial, states, 0, ALL)
    if labels:
        last = H[length * STATE :]
        weigh(e, batch, place, e.builder.fdiv(e.double(1.0), e.double(batch)), work.weight)
        vector.readout(
            e, weights.C, weights.d, last, 0, Y, 0,
            HIDDEN, OUTPUT, layout.vectors, layout.models, layout.tile(),
        )  # fmt: skip
        cross_entropy(e, Y, y, number, which, place, work.weight, OUTPUT, work.E, exact_loss)
        _read_reduction(e, spec, layout, sums, work.E, last, 1)
    else:
        values = e.double(batch * length * OUTPUT)
        weigh(e, batch, place, e.builder.fdiv(e.double(2.0), values), work.weight)
        targets = lanes.finder(e, y, lanes.by_trial(number, length, OUTPUT), which, place)
    _backward(e, spec, layout, weights, sums, work, states, exact_loss, length, targets)


@cache
def _step(spec: Spec, layout: Layout) -> Kernel:
    """A kernel that computes the losses and gradients of a stack, see `CpuBackend.step`."""
    HIDDEN, INPUT, OUTPUT = _sizes(spec)
    ROWS, COUNT, PARAMETERS = (
        spec.cell.gates * HIDDEN, parameter_count(spec), len(parameter_shapes(spec))
    )  # fmt: skip
    MODELS, TRIALS = layout.models, layout.vectors * layout.trials
    ROOM = _step_room(spec, layout)

    def step(
        e: Emitter,
        theta: Floats,
        x: Floats,
        y: Any,
        dataset: Integers,
        trials: Integers,
        replicas: Offset,
        batch: Offset,
        number: Offset,
        length: Offset,
        table: Integers,
        gradient: Floats,
        loss: Doubles,
        room: Floats,
    ) -> None:
        work, zero, exact_loss = ROOM.views(room), e.double(0.0), e.stack(LANES, DOUBLE)
        weights = lanes.views(work.weights, _starts(spec), MODELS)
        which = (dataset, trials, replicas, batch)
        with e.loop(e.parts(replicas, MODELS)) as group:
            lanes.load(e, theta, COUNT, replicas, table, PARAMETERS, group, MODELS, work.weights)
            lanes.transpose(e, weights.W, ROWS, HIDDEN, MODELS, work.WT)
            lanes.transpose(e, weights.C, OUTPUT, HIDDEN, MODELS, work.CT)
            lanes.fill(e, work.sums, COUNT * LANES, zero)
            with e.loop(LANES) as lane:
                exact_loss[lane] = zero
            with e.loop(e.parts(batch, TRIALS)) as tile:
                place, of_x = (group, tile, layout.vectors, MODELS), (x, number, length, INPUT)
                _add_tile(e, spec, layout, work, of_x, y, which, place, exact_loss)
            lanes.unload(e, work.sums, table, PARAMETERS, group, MODELS, COUNT, replicas, gradient)
            finish(e, exact_loss, group, MODELS, replicas, loss)

    step.__annotations__["y"] = "Integers" if spec.loss == "cross_entropy" else "Floats"
    return Kernel(step)


@cache
def _outputs(spec: Spec, layout: Layout) -> Kernel:
    """A kernel that computes the outputs of a stack, see `CpuBackend.outputs`."""
    HIDDEN, INPUT, OUTPUT = _sizes(spec)
    VECTORS, MODELS, TRIALS = layout.vectors, layout.models, layout.trials
    TILE, COUNT, LABELS = layout.tile(), parameter_count(spec), spec.loss == "cross_entropy"
    STATE, IN = (size * VECTORS * LANES for size in (HIDDEN, INPUT))
    PARAMETERS, STARTS = len(parameter_shapes(spec)), _starts(spec)
    ROOM = _outputs_room(spec, layout)

    def outputs(
        e: Emitter,
        theta: Floats,
        x: Floats,
        dataset: Integers,
        trials: Integers,
        replicas: Offset,
        batch: Offset,
        number: Offset,
        length: Offset,
        table: Integers,
        result: Floats,
        room: Floats,
    ) -> None:
        work = ROOM.views(room)
        weights = lanes.views(work.weights, STARTS, MODELS)
        H, A, X = work.H, work.A, work.rest
        Y, steps = X[length * IN :], 1 if LABELS else length
        with e.loop(e.parts(replicas, MODELS)) as group:
            lanes.load(e, theta, COUNT, replicas, table, PARAMETERS, group, MODELS, work.weights)
            with e.loop(e.parts(batch, VECTORS * TRIALS)) as tile:
                place = (group, tile, VECTORS, MODELS)
                which = (dataset, trials, replicas, batch)
                of_x = (x, number, length, INPUT)
                read = 0 if LABELS else OUTPUT
                _forward(
                    e, spec, layout, of_x, which, place, weights, work.initial, (X, H, A, Y),
                    read, TWO,
                )  # fmt: skip
                if LABELS:
                    vector.readout(
                        e, weights.C, weights.d, H, (length & 1) * STATE, Y, 0,
                        HIDDEN, OUTPUT, VECTORS, MODELS, TILE,
                    )  # fmt: skip
                of_result = lanes.by_trial(batch, steps, OUTPUT)
                lanes.release(e, Y, place, replicas, batch, of_result, steps, result)

    return Kernel(outputs)


def _outputs_room(spec: Spec, layout: Layout) -> Room:
    """What outputs need room for, besides inputs and outputs."""
    STATE = spec.hidden_units * layout.vectors * LANES
    return Room(
        weights=parameter_count(spec) * layout.models,
        H=2 * STATE,
        A=2 * spec.cell.kept * STATE,
        initial=STATE,
    )


def _table(spec: Spec) -> NDArray[np.int64]:
    """Where the parameters lie, see `urnn.recurrence.lanes`."""
    return lanes.table(spec.cell, _sizes(spec), parameter_shapes(spec))


def _room(spec: Spec, layout: Layout, length: int) -> int:
    """Floats that a step writes to: inputs, targets and states of one tile of trials, and less."""
    states = spec.hidden_units * (1 + spec.cell.kept)
    row = layout.vectors * LANES
    values = length * spec.input_size + layout.chunk * spec.output_size + (length + 1) * states
    return _step_room(spec, layout).size + values * row


class _Step:
    """`CpuBackend.step` of a specification. Losses and gradients are buffers of the next call."""

    def __init__(self, spec: Spec) -> None:
        self._spec, self._table = spec, _table(spec)
        self._gradient, self._loss = np.empty((0, parameter_count(spec)), np.float32), np.empty(0)
        # numpy asks for huge pages, and the next step finds them in place
        self._room = np.empty(0, np.float32)
        self._given: tuple[NDArray, ...] = ()
        self._batch = 0

    def __call__(
        self, theta: NDArray, x: NDArray, y: NDArray, dataset: NDArray, trials: NDArray
    ) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
        given = (theta, x, y, dataset)
        # of a training they are the same arrays in every step
        if len(self._given) == 4 and all(a is b for a, b in zip(given, self._given, strict=True)):
            check_indices("trials", trials, (len(theta), "batch"), x.shape[1])
        else:
            check_step(self._spec, theta, x, y, dataset, trials)
            _check_arrays(theta=theta, x=x, y=y)
            self._given, self._batch = given, 0
        if trials.shape[1] != self._batch:
            self._prepare(trials.shape[1])
        trials = np.ascontiguousarray(trials)
        self._arguments[4] = address(trials, INT64)
        self._kernel.call(*self._arguments)
        return self._loss, self._gradient

    def _prepare(self, batch: int) -> None:
        """The kernel for a size of minibatches, and its arguments, of which the trials change."""
        theta, x, y, dataset = self._given
        replicas, (_, number, length, _) = len(theta), x.shape
        layout = lanes.layout(self._spec.cell, self._spec.hidden_units, batch)
        if len(self._loss) != replicas:
            self._gradient, self._loss = np.empty_like(theta), np.empty(replicas)
        size = _room(self._spec, layout, length)
        if len(self._room) < size:
            self._room = memory.empty(size)
        self._rows = np.ascontiguousarray(dataset)
        self._batch = batch
        self._kernel = _step(self._spec, layout)
        self._arguments = self._kernel.addresses(
            theta, x, y, self._rows, self._rows, replicas, batch, number, length, self._table,
            self._gradient, self._loss, self._room,
        )  # fmt: skip
        if self._rows is not dataset:
            self._given = ()


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
        return _Step(spec)

    def outputs(
        self, spec: Spec, theta: NDArray, x: NDArray, dataset: NDArray
    ) -> NDArray[np.float32]:
        theta = self.asarray(theta)
        if x.dtype != np.float32 or not (len(x) and x[0].flags.c_contiguous):
            x = self.asarray(x)
        check_step(spec, theta, x, None, dataset, None)
        (replicas, _), (_, batch, length, size) = theta.shape, x.shape
        # x may be some of the trials of an array; from one data set to the next it is so many
        number = x.strides[0] // (length * size * x.itemsize)
        trials = np.ascontiguousarray(np.broadcast_to(np.arange(batch), (replicas, batch)))
        at_last = spec.loss == "cross_entropy"
        steps = 1 if at_last else length
        result = memory.empty(replicas, batch, steps, spec.output_size)
        layout = lanes.layout(spec.cell, spec.hidden_units, batch)
        row = layout.vectors * LANES
        values = (length * size + steps * spec.output_size) * row
        _outputs(spec, layout)(
            theta, x[0], np.ascontiguousarray(dataset), trials, replicas, batch, number, length,
            _table(spec), result, memory.empty(_outputs_room(spec, layout).size + values),
        )  # fmt: skip
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
