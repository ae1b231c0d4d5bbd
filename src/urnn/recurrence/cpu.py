"""The CPU backend: fused steps (gather, forward, backward, reduction) compiled by Numba.

One call trains a whole stack for one step. Small models share vectors, with two trials of each, so
that a batch of 10 fills five vectors; larger ones run alone, a vector holding trials only. A lane
never reads another, and each replica's sums are taken in an order of their own, so its results do
not depend on the stack by a single bit.

The compiled kernels are kept between processes; see `urnn.recurrence.cache`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cache
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from urnn.recurrence import Spec, check_indices, check_step, parameter_count, vector
from urnn.recurrence.cache import kept_kernel
from urnn.recurrence.vector import LANES, REGISTERS

#: hidden units from which a model fills vectors alone
_ALONE_FROM = 16
#: models in a vector below that
_SHARED = LANES // 2


@dataclass(frozen=True)
class Plan:
    """How a batch is laid out in vectors; what a kernel is compiled for besides the sizes."""

    #: models in a vector, and trials of each
    models: int
    trials: int
    #: vectors of a row
    vectors: int
    #: rows of trials that the batch takes, one after the other
    tiles: int = field(compare=False)

    @property
    def tile_rows(self) -> int:
        """Rows of a register tile: rows x vectors + vectors + 1 registers; an even number or 1."""
        rows = min((REGISTERS - 1 - self.vectors) // self.vectors, 16)
        return max(rows // 2 * 2, 1)

    @property
    def tile_units(self) -> int:
        """Units of an LSTM's register tile, of four rows each."""
        return max((REGISTERS - 1 - self.vectors) // (4 * self.vectors), 1)

    @property
    def chunk(self) -> int:
        """Time steps whose gradients of pre-activations are kept before they are reduced."""
        return max(20 // self.vectors, 4)


def plan(cell: str, hidden: int, batch: int) -> Plan:
    """The layout for a number of hidden units and of trials in a batch.

    It follows from these alone, never from the number of replicas, so that each one's sums have the
    same order in every stack. A small LSTM keeps six values of every unit and time step, so its
    rows are one vector: with five they would leave the cache.
    """
    models = _SHARED if hidden < _ALONE_FROM else 1
    trials = LANES // models
    most = (1 if cell == "lstm" else 5) if models > 1 else (4 if REGISTERS > 16 else 2)
    vectors = -(-batch // trials)
    tiles = -(-vectors // most)
    return Plan(models, trials, -(-vectors // tiles), tiles)


@kept_kernel
def _spread(source, start, rows, columns, gates, transposed, target, models, model):
    """A parameter of one model to its place beside the others' [..., models].

    An LSTM's rows go from gate-major to unit-major.
    """
    units = rows // gates
    for row in range(rows):
        packed = (row % units) * gates + row // units
        for column in range(columns):
            index = column * rows + packed if transposed else packed * columns + column
            target[index * models + model] = source[start + row * columns + column]


@kept_kernel
def _collect(total, rows, columns, gates, target, start, models, model):
    """A gradient of one model from its lane sums, in float64: the inverse of `_spread`."""
    units = rows // gates
    for row in range(rows):
        packed = (row % units) * gates + row // units
        for column in range(columns):
            value = 0.0
            for lane in range(model, LANES, models):
                value += total[(packed * columns + column) * LANES + lane]
            target[start + row * columns + column] = value


@kept_kernel
def _fill_lanes(source, begin, values, target):
    """`values` values from begin[lane] on into every lane: target (values, len(begin))."""
    row = len(begin)
    vector.fill_lanes(source, begin, target, values, row // LANES)
    for lane in range(row):
        for k in range(values // LANES * LANES, values):
            target[k * row + lane] = source[begin[lane] + k]


@kept_kernel
def _gather(source, trials, tile, vectors, models, dataset, group, target):
    """Trials of a tile into lanes: target (time * size, row) from source (S, N, time * size).

    Lanes without a trial or a model repeat the first one, whose values cannot overflow alone.
    """
    row = vectors * LANES
    replicas, batch = trials.shape
    values = source.shape[2] * source.shape[3]
    begin = np.empty(row, np.int64)
    for lane in range(row):
        replica = group * models + lane % models
        if replica >= replicas:
            replica = group * models
        item = (tile * row + lane) // models
        if item >= batch:
            item = 0
        begin[lane] = (dataset[replica] * source.shape[1] + trials[replica, item]) * values
    _fill_lanes(source.reshape(-1), begin, values, target)


@kept_kernel
def _weigh(batch, tile, models, value, target):
    """The weight of every lane's loss: 0 where the batch has no trial for it."""
    row = len(target)
    for lane in range(row):
        item = (tile * row + lane) // models
        target[lane] = value if item < batch else 0


@kept_kernel
def _cross_entropy(scores, y, trials, tile, models, dataset, group, weight, error, loss, size):
    """-w log p[label] of every lane, p = softmax(scores), into loss, and w (p - onehot) into error.

    scores and error (size, row), y (S, N), weight (row,), loss (LANES,) float64.
    """
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
def _start(target, begin, stride, slot, initial, hidden, row, models):
    """The initial value of every unit into all its lanes."""
    for unit in range(hidden):
        for lane in range(row):
            value = initial[unit * models + lane % models]
            target[begin + (unit * stride + slot) * row + lane] = value


@kept_kernel
def _scatter(source, size, replica, tile, vectors, models, target):
    """One model's outputs from its lanes: target (R, batch, time, size)."""
    row = vectors * LANES
    batch, length = target.shape[1], target.shape[2]
    for lane in range(replica % models, row, models):
        item = (tile * row + lane) // models
        if item < batch:
            for step in range(length):
                for part in range(size):
                    target[replica, item, step, part] = source[(step * size + part) * row + lane]


@kept_kernel
def _floats(size):
    return np.empty(size, np.float32)


# Loops of our own: Numba compiles the message of an assignment whose shapes do not fit for longer
# than all of these.


@kept_kernel
def _fill(target, value):
    """target[:] = value"""
    for k in range(len(target)):
        target[k] = value


@kept_kernel
def _copy(source, target):
    """target[:] = the first values of source"""
    for k in range(len(target)):
        target[k] = source[k]


@kept_kernel
def _sum_lanes(lanes, model, models):
    """The sum of the lanes of one model."""
    total = 0.0
    for lane in range(model, len(lanes), models):
        total += lanes[lane]
    return total


# The sizes of a model come as a tuple of int64 (rows, hidden, inputs, outputs, gates, biases), for
# Numba compiles a function again for every value of an integer that it knows: half the time of a
# kernel.


@kept_kernel
def _load(row, sizes, weights, models, model):
    """The parameters of one model, a row of theta, into their lanes; W and C transposed as well."""
    rows, hidden, inputs, outputs, gates, biases = sizes
    W, F, b, C, d, h_init, c_init, WT, CT = weights
    at, one = np.int64(0), np.int64(1)
    _spread(row, at, rows, hidden, gates, False, W, models, model)
    _spread(row, at, rows, hidden, gates, True, WT, models, model)
    at += rows * hidden
    _spread(row, at, rows, inputs, gates, False, F, models, model)
    at += rows * inputs
    _spread(row, at, biases, one, gates, False, b, models, model)
    at += biases
    _spread(row, at, outputs, hidden, one, False, C, models, model)
    _spread(row, at, outputs, hidden, one, True, CT, models, model)
    at += outputs * hidden
    _spread(row, at, outputs, one, one, False, d, models, model)
    at += outputs
    _spread(row, at, hidden, one, one, False, h_init, models, model)
    if gates > 1:
        _spread(row, at + hidden, hidden, one, one, False, c_init, models, model)


@kept_kernel
def _unload(sums, sizes, row, models, model):
    """The gradients of one model from their lane sums to a row of the result."""
    rows, hidden, inputs, outputs, gates, biases = sizes
    dW, dF, db, dC, dd, dh_init, dc_init = sums
    at, one = np.int64(0), np.int64(1)
    _collect(dW, rows, hidden, gates, row, at, models, model)
    at += rows * hidden
    _collect(dF, rows, inputs, gates, row, at, models, model)
    at += rows * inputs
    _collect(db, biases, one, gates, row, at, models, model)
    at += biases
    _collect(dC, outputs, hidden, one, row, at, models, model)
    at += outputs * hidden
    _collect(dd, outputs, one, one, row, at, models, model)
    at += outputs
    _collect(dh_init, hidden, one, one, row, at, models, model)
    if gates > 1:
        _collect(dc_init, hidden, one, one, row, at + hidden, models, model)


def _room(spec: Spec, layout: Plan, length: int) -> int:
    """Floats that a step writes its inputs, targets and states to, for one tile of trials."""
    states = spec.hidden * (6 if spec.cell == "lstm" else 1)
    row = layout.vectors * LANES
    return (length * (spec.input + spec.output) + (length + 1) * states) * row


@cache
def _compiled(spec: Spec, layout: Plan) -> tuple[Any, Any]:
    """(step, outputs) for these sizes; the closures hold integers, which Numba's cache can key."""
    HIDDEN, INPUT, OUTPUT = spec.hidden, spec.input, spec.output
    VECTORS, MODELS, TRIALS = layout.vectors, layout.models, layout.trials
    TILE, CHUNK = layout.tile_rows, layout.chunk
    ACTIVATION = vector.ACTIVATIONS[spec.activation]
    LSTM, PAIRS = int(spec.cell == "lstm"), int(spec.activation == "modrelu")
    # the readout: at every time step, or at the last one alone
    LABELS = int(spec.loss == "cross_entropy")
    GATES = 4 if LSTM else 1
    UNIT_TILE = layout.tile_units
    ROWS = GATES * HIDDEN
    BIASES = HIDDEN // 2 if PAIRS else ROWS
    MATRIX = ROWS * HIDDEN
    ROW = VECTORS * LANES
    STATE, IN, OUT, AHEAD = HIDDEN * ROW, INPUT * ROW, OUTPUT * ROW, ROWS * ROW
    CELL, ERROR, NONE = 5 * STATE, 0 if LABELS else OUT, 0
    LAST = CHUNK * AHEAD
    # the bodies of the two cells and of the two functions differ in their kernels alone; Numba
    # prunes the branches on LSTM, an integer of the closure, when it compiles

    def step(theta, x, y, dataset, trials, gradient, loss, room):
        replicas, batch = trials.shape
        length = x.shape[2]
        W, F, b = _floats(MATRIX * MODELS), _floats(ROWS * INPUT * MODELS), _floats(BIASES * MODELS)
        C, d = _floats(OUTPUT * HIDDEN * MODELS), _floats(OUTPUT * MODELS)
        h_init, c_init = _floats(HIDDEN * MODELS), _floats(HIDDEN * MODELS)
        WT, CT = _floats(MATRIX * MODELS), _floats(OUTPUT * HIDDEN * MODELS)
        weights = (W, F, b, C, d, h_init, c_init, WT, CT)
        sizes = (
            np.int64(ROWS), np.int64(HIDDEN), np.int64(INPUT), np.int64(OUTPUT), np.int64(GATES),
            np.int64(BIASES),
        )  # fmt: skip
        dW, dF, db = _floats(MATRIX * LANES), _floats(ROWS * INPUT * LANES), _floats(BIASES * LANES)
        dC, dd = _floats(OUTPUT * HIDDEN * LANES), _floats(OUTPUT * LANES)
        dh_init, dc_init = _floats(HIDDEN * LANES), _floats(HIDDEN * LANES)
        sums = (dW, dF, db, dC, dd, dh_init, dc_init)
        X, room = room[: length * IN], room[length * IN :]
        targets = 1 if LABELS else length
        Y, room = room[: targets * OUT], room[targets * OUT :]
        H, A = room[: (length + 1) * STATE], room[(length + 1) * STATE :]
        D, E = _floats(LAST + AHEAD), _floats(CHUNK * OUT)
        if LSTM:
            DC = _floats(STATE)
        weight, lane_loss = _floats(ROW), _floats(LANES)
        exact_loss = np.empty(LANES, np.float64)
        tiles = -(-batch // (VECTORS * TRIALS))
        for group in range(-(-replicas // MODELS)):
            for model in range(MODELS):
                replica = min(group * MODELS + model, replicas - 1)
                _load(theta[replica], sizes, weights, np.int64(MODELS), np.int64(model))
            for total in sums:
                _fill(total, np.float32(0))
            _fill(exact_loss, np.float64(0))
            for tile in range(tiles):
                _gather(x, trials, tile, VECTORS, MODELS, dataset, group, X)
                if LABELS:
                    _weigh(batch, tile, MODELS, 1 / batch, weight)
                else:
                    _gather(y, trials, tile, VECTORS, MODELS, dataset, group, Y)
                    _weigh(batch, tile, MODELS, 2 / (batch * length * OUTPUT), weight)
                _start(H, 0, 1, 0, h_init, HIDDEN, ROW, MODELS)
                if LSTM:
                    _start(A, 0, 5, 4, c_init, HIDDEN, ROW, MODELS)
                    _fill(DC, np.float32(0))
                for t in range(length):
                    if LSTM:
                        vector.lstm_forward(
                            W, F, b, X, t * IN, H, t * STATE, (t + 1) * STATE,
                            A, t * CELL, (t + 1) * CELL, HIDDEN, INPUT, VECTORS, MODELS, UNIT_TILE,
                        )  # fmt: skip
                    else:
                        vector.rnn_forward(
                            W, F, b, X, t * IN, H, t * STATE, (t + 1) * STATE,
                            HIDDEN, INPUT, VECTORS, MODELS, TILE, ACTIVATION,
                        )  # fmt: skip
                if LABELS:
                    vector.readout(
                        C, d, H, length * STATE, Y, 0, HIDDEN, OUTPUT, VECTORS, MODELS, TILE
                    )
                    _cross_entropy(
                        Y, y, trials, tile, MODELS, dataset, group, weight, E, exact_loss, OUTPUT
                    )
                    vector.add_outer(dC, E, 0, H, length * STATE, 1, OUTPUT, HIDDEN, VECTORS)
                    vector.add_rows(dd, E, 0, 1, OUTPUT, VECTORS)
                # back in chunks: what D and E hold stays in the cache until it is reduced
                _fill(D[LAST:], np.float32(0))
                stop = length
                while stop > 0:
                    begin = max(0, stop - CHUNK)
                    steps = stop - begin
                    _fill(lane_loss, np.float32(0))
                    for k in range(steps - 1, -1, -1):
                        t = begin + k
                        later = LAST if k == steps - 1 else (k + 1) * AHEAD
                        if not LABELS:
                            vector.readout_error(
                                C, d, H, (t + 1) * STATE, Y, t * OUT, weight, E, k * OUT, lane_loss,
                                HIDDEN, OUTPUT, VECTORS, MODELS, TILE,
                            )  # fmt: skip
                        if LABELS and t < length - 1:
                            if LSTM:
                                vector.lstm_backward(
                                    WT, CT, D, later, k * AHEAD, E, 0, H, (t + 1) * STATE,
                                    A, t * CELL, (t + 1) * CELL, DC,
                                    HIDDEN, NONE, VECTORS, MODELS, TILE,
                                )  # fmt: skip
                            else:
                                vector.rnn_backward(
                                    WT, CT, b, D, later, k * AHEAD, E, 0, H, (t + 1) * STATE,
                                    HIDDEN, NONE, VECTORS, MODELS, TILE, ACTIVATION,
                                )  # fmt: skip
                        elif LSTM:
                            vector.lstm_backward(
                                WT, CT, D, later, k * AHEAD, E, k * ERROR, H, (t + 1) * STATE,
                                A, t * CELL, (t + 1) * CELL, DC,
                                HIDDEN, OUTPUT, VECTORS, MODELS, TILE,
                            )  # fmt: skip
                        else:
                            vector.rnn_backward(
                                WT, CT, b, D, later, k * AHEAD, E, k * ERROR, H, (t + 1) * STATE,
                                HIDDEN, OUTPUT, VECTORS, MODELS, TILE, ACTIVATION,
                            )  # fmt: skip
                    vector.add_outer(
                        dW, D, 0, H, begin * STATE, steps,
                        ROWS, HIDDEN, VECTORS,
                    )  # fmt: skip
                    vector.add_outer(dF, D, 0, X, begin * IN, steps, ROWS, INPUT, VECTORS)
                    if PAIRS:
                        vector.add_modulus_gradient(
                            db, D, H, (begin + 1) * STATE, steps, HIDDEN, VECTORS
                        )
                    else:
                        vector.add_rows(db, D, 0, steps, ROWS, VECTORS)
                    if not LABELS:
                        vector.add_outer(
                            dC, E, 0, H, (begin + 1) * STATE, steps, OUTPUT, HIDDEN, VECTORS
                        )
                        vector.add_rows(dd, E, 0, steps, OUTPUT, VECTORS)
                        for lane in range(LANES):
                            exact_loss[lane] += lane_loss[lane] / 2
                    _copy(D, D[LAST:])
                    stop = begin
                vector.initial_state_gradient(dh_init, WT, D, LAST, HIDDEN, ROWS, VECTORS, MODELS)
                if LSTM:
                    vector.add_rows(dc_init, DC, 0, 1, HIDDEN, VECTORS)
            for model in range(MODELS):
                replica = group * MODELS + model
                if replica >= replicas:
                    break
                _unload(sums, sizes, gradient[replica], np.int64(MODELS), np.int64(model))
                loss[replica] = _sum_lanes(exact_loss, np.int64(model), np.int64(MODELS))

    def outputs(theta, x, dataset, trials, result):
        replicas, batch = trials.shape
        length = x.shape[2]
        W, F, b = _floats(MATRIX * MODELS), _floats(ROWS * INPUT * MODELS), _floats(BIASES * MODELS)
        C, d = _floats(OUTPUT * HIDDEN * MODELS), _floats(OUTPUT * MODELS)
        h_init, c_init = _floats(HIDDEN * MODELS), _floats(HIDDEN * MODELS)
        WT, CT = _floats(MATRIX * MODELS), _floats(OUTPUT * HIDDEN * MODELS)
        weights = (W, F, b, C, d, h_init, c_init, WT, CT)
        sizes = (
            np.int64(ROWS), np.int64(HIDDEN), np.int64(INPUT), np.int64(OUTPUT), np.int64(GATES),
            np.int64(BIASES),
        )  # fmt: skip
        X, Y, H = _floats(length * IN), _floats(result.shape[2] * OUT), _floats(2 * STATE)
        if LSTM:
            A = _floats(2 * CELL)
        for group in range(-(-replicas // MODELS)):
            for model in range(MODELS):
                replica = min(group * MODELS + model, replicas - 1)
                _load(theta[replica], sizes, weights, np.int64(MODELS), np.int64(model))
            for tile in range(-(-batch // (VECTORS * TRIALS))):
                _gather(x, trials, tile, VECTORS, MODELS, dataset, group, X)
                _start(H, 0, 1, 0, h_init, HIDDEN, ROW, MODELS)
                if LSTM:
                    _start(A, 0, 5, 4, c_init, HIDDEN, ROW, MODELS)
                for t in range(length):
                    now, after = t % 2, (t + 1) % 2
                    if LSTM:
                        vector.lstm_forward(
                            W, F, b, X, t * IN, H, now * STATE, after * STATE,
                            A, now * CELL, after * CELL, HIDDEN, INPUT, VECTORS, MODELS, UNIT_TILE,
                        )  # fmt: skip
                    else:
                        vector.rnn_forward(
                            W, F, b, X, t * IN, H, now * STATE, after * STATE,
                            HIDDEN, INPUT, VECTORS, MODELS, TILE, ACTIVATION,
                        )  # fmt: skip
                    if not LABELS:
                        vector.readout(
                            C, d, H, after * STATE, Y, t * OUT,
                            HIDDEN, OUTPUT, VECTORS, MODELS, TILE,
                        )  # fmt: skip
                if LABELS:
                    last = length % 2 * STATE
                    vector.readout(C, d, H, last, Y, 0, HIDDEN, OUTPUT, VECTORS, MODELS, TILE)
                for model in range(MODELS):
                    replica = group * MODELS + model
                    if replica < replicas:
                        _scatter(Y, OUTPUT, replica, tile, VECTORS, MODELS, result)

    return kept_kernel(step), kept_kernel(outputs)


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
            layout = plan(spec.cell, spec.hidden, trials.shape[1])
            kernel, _ = _compiled(spec, layout)
            size = _room(spec, layout, x.shape[2])
            if len(room) < size:
                room = np.empty(size, np.float32)
            kernel(theta, x, y, dataset, trials, gradient, loss, room)
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
        result = np.empty((replicas, batch, steps, spec.output), np.float32)
        _, kernel = _compiled(spec, plan(spec.cell, spec.hidden, batch))
        kernel(theta, x, dataset, trials, result)
        return result[:, :, 0] if at_last else result


def compile_kernels(spec: Spec, batches: Iterable[int], trials: Iterable[int]) -> None:
    """Compile and keep what steps on these sizes of minibatches and outputs of trials will need."""
    cpu, replica = CpuBackend(), np.zeros(1, np.int64)
    theta = np.zeros((1, parameter_count(spec)), np.float32)
    shape = (1, 1) if spec.loss == "cross_entropy" else (1, 1, 1, spec.output)
    y = np.zeros(shape, np.int64 if spec.loss == "cross_entropy" else np.float32)
    x = np.zeros((1, 1, 1, spec.input), np.float32)
    for batch in batches:
        cpu.step(spec)(theta, x, y, replica, np.zeros((1, batch), np.int64))
    for number in trials:
        cpu.outputs(spec, theta, np.repeat(x, number, axis=1), replica)


def _check_arrays(**arrays: NDArray) -> None:
    for name, array in arrays.items():
        labels = name == "y" and array.dtype == np.int64
        if not (array.dtype == np.float32 or labels) or not array.flags.c_contiguous:
            raise ValueError(
                f"{name} must be a C-contiguous float32 array, but it is {array.dtype}; "
                "pass it through the backend's asarray"
            )
