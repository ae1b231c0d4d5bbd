"""The CPU backend: fused steps (gather, forward, backward, reduction) compiled by Numba.

One call trains a whole stack for one step. Small models run four to a vector, with two trials each,
so that a batch of 10 fills five vectors; larger ones run alone, eight trials to a vector. A lane
never reads another, and each replica's sums are taken in an order of their own, so its results do
not depend on the stack by a single bit.

The compiled kernels are kept between processes; see `urnn.recurrence.cache`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from types import ModuleType
from typing import Any

import numba
import numpy as np
from numpy.typing import NDArray

from urnn.recurrence import Spec, check_step, parameter_count, vector
from urnn.recurrence.cache import OPTIONS, kept_kernel
from urnn.recurrence.vector import LANES

#: hidden units from which a model fills vectors alone
_ALONE_FROM = 16
#: models in a vector below that
_SHARED = 4
#: time steps whose gradients of pre-activations are kept before they are reduced
_CHUNK = {"rnn": 8, "lstm": 4}


@dataclass(frozen=True)
class Plan:
    """How a batch is laid out in vectors; what a kernel is compiled for besides the sizes."""

    #: models in a vector, and trials of each
    models: int
    trials: int
    #: vectors of a row, and rows of trials (tiles) that the batch takes
    vectors: int
    tiles: int

    @property
    def tile_rows(self) -> int:
        """Rows of a register tile: rows x vectors + vectors + 1 <= 16 registers."""
        return min(max((15 - self.vectors) // self.vectors, 1), 8)


def plan(hidden: int, batch: int) -> Plan:
    """The layout for a number of hidden units and of trials in a batch."""
    models = _SHARED if hidden < _ALONE_FROM else 1
    trials = LANES // models
    most = 5 if models > 1 else 2
    vectors = -(-batch // trials)
    tiles = -(-vectors // most)
    return Plan(models, trials, -(-vectors // tiles), tiles)


@numba.njit(**OPTIONS)
def _spread(source, start, rows, columns, gates, transposed, target, width, first, span):
    """A parameter of one model into its lanes; an LSTM's rows from gate-major to unit-major."""
    units = rows // gates
    for row in range(rows):
        packed = (row % units) * gates + row // units
        for column in range(columns):
            index = column * rows + packed if transposed else packed * columns + column
            for lane in range(span):
                target[index * width + first + lane] = source[start + row * columns + column]


@numba.njit(**OPTIONS)
def _collect(total, rows, columns, gates, target, start, first, span):
    """A gradient of one model from its lane sums, in float64: the inverse of `_spread`."""
    units = rows // gates
    for row in range(rows):
        packed = (row % units) * gates + row // units
        for column in range(columns):
            value = 0.0
            for lane in range(span):
                value += total[(packed * columns + column) * LANES + first + lane]
            target[start + row * columns + column] = value


@numba.njit(**OPTIONS)
def _fill_lanes(source, begin, values, target):
    """`values` values from begin[lane] on into every lane: target (values, len(begin)).

    Unsigned indices and a constant number of steps, for Numba then neither tests an index for being
    negative nor the end of a loop: several times as fast.
    """
    row = len(begin)
    whole = values // LANES * LANES
    stride = np.uint64(row)
    # a few values of one lane after the other, so that reads and writes both stay in the cache
    for first in range(0, whole, LANES):
        for lane in range(row):
            start, to = np.uint64(begin[lane] + first), np.uint64(first * row + lane)
            for k in range(LANES):
                target[to + np.uint64(k) * stride] = source[start + np.uint64(k)]
    for lane in range(row):
        for k in range(whole, values):
            target[k * row + lane] = source[begin[lane] + k]


@numba.njit(**OPTIONS)
def _gather(source, trials, tile, vectors, models, span, dataset, group, target):
    """Trials of a tile into lanes: target (time * size, row) from source (S, N, time * size).

    Lanes without a trial or a model repeat the first one, whose values cannot overflow alone.
    """
    row = vectors * LANES
    replicas, batch = trials.shape
    values = source.shape[2] * source.shape[3]
    begin = np.empty(row, np.int64)
    for lane in range(row):
        replica = group * models + (lane % LANES) // span
        if replica >= replicas:
            replica = group * models
        item = (tile * vectors + lane // LANES) * span + lane % span
        if item >= batch:
            item = 0
        begin[lane] = (dataset[replica] * source.shape[1] + trials[replica, item]) * values
    _fill_lanes(source.reshape(-1), begin, values, target)


@numba.njit(**OPTIONS)
def _weigh(batch, tile, vectors, span, value, target):
    """The weight of every lane's squared error: 0 where the batch has no trial for it."""
    for lane in range(vectors * LANES):
        item = (tile * vectors + lane // LANES) * span + lane % span
        target[lane] = value if item < batch else 0


@numba.njit(**OPTIONS)
def _start(target, begin, stride, slot, initial, hidden, row, wide):
    """The initial value of every unit into all its lanes."""
    for unit in range(hidden):
        for lane in range(row):
            index = unit * LANES + lane % LANES if wide else unit
            target[begin + (unit * stride + slot) * row + lane] = initial[index]


@numba.njit(**OPTIONS)
def _scatter(source, size, replica, tile, vectors, models, span, target):
    """One model's outputs from its lanes: target (R, batch, time, size)."""
    row = vectors * LANES
    batch, length = target.shape[1], target.shape[2]
    for lane in range(row):
        if (lane % LANES) // span != replica % models:
            continue
        item = (tile * vectors + lane // LANES) * span + lane % span
        if item < batch:
            for step in range(length):
                for part in range(size):
                    target[replica, item, step, part] = source[(step * size + part) * row + lane]


@numba.njit(**OPTIONS)
def _floats(size):
    return np.empty(size, np.float32)


# The sizes of a model come as a tuple of int64 (rows, hidden, inputs, outputs, gates), for Numba
# compiles a function again for every value of an integer that it knows: half the time of a kernel.


@numba.njit(**OPTIONS)
def _load(row, sizes, weights, width, first, span):
    """The parameters of one model, a row of theta, into their lanes; W and C transposed as well."""
    rows, hidden, inputs, outputs, gates = sizes
    W, F, b, C, d, h_init, c_init, WT, CT = weights
    at, one = np.int64(0), np.int64(1)
    _spread(row, at, rows, hidden, gates, False, W, width, first, span)
    _spread(row, at, rows, hidden, gates, True, WT, width, first, span)
    at += rows * hidden
    _spread(row, at, rows, inputs, gates, False, F, width, first, span)
    at += rows * inputs
    _spread(row, at, rows, one, gates, False, b, width, first, span)
    at += rows
    _spread(row, at, outputs, hidden, one, False, C, width, first, span)
    _spread(row, at, outputs, hidden, one, True, CT, width, first, span)
    at += outputs * hidden
    _spread(row, at, outputs, one, one, False, d, width, first, span)
    at += outputs
    _spread(row, at, hidden, one, one, False, h_init, width, first, span)
    if gates > 1:
        _spread(row, at + hidden, hidden, one, one, False, c_init, width, first, span)


@numba.njit(**OPTIONS)
def _unload(sums, sizes, row, first, span):
    """The gradients of one model from their lane sums to a row of the result."""
    rows, hidden, inputs, outputs, gates = sizes
    dW, dF, db, dC, dd, dh_init, dc_init = sums
    at, one = np.int64(0), np.int64(1)
    _collect(dW, rows, hidden, gates, row, at, first, span)
    at += rows * hidden
    _collect(dF, rows, inputs, gates, row, at, first, span)
    at += rows * inputs
    _collect(db, rows, one, gates, row, at, first, span)
    at += rows
    _collect(dC, outputs, hidden, one, row, at, first, span)
    at += outputs * hidden
    _collect(dd, outputs, one, one, row, at, first, span)
    at += outputs
    _collect(dh_init, hidden, one, one, row, at, first, span)
    if gates > 1:
        _collect(dc_init, hidden, one, one, row, at + hidden, first, span)


@cache
def _compiled(spec: Spec, layout: Plan) -> tuple[Any, Any]:
    """(step, outputs) for these sizes; the closures hold integers, which Numba's cache can key."""
    HIDDEN, INPUT, OUTPUT = spec.hidden, spec.input, spec.output
    VECTORS, MODELS, SPAN = layout.vectors, layout.models, layout.trials
    WIDE, TILE, CHUNK = int(MODELS > 1), layout.tile_rows, _CHUNK[spec.cell]
    ACTIVATION = vector.ACTIVATIONS[spec.activation]
    LSTM = int(spec.cell == "lstm")
    GATES = 4 if LSTM else 1
    UNIT_TILE = 2 if VECTORS == 1 else 1
    ROWS = GATES * HIDDEN
    MATRIX = ROWS * HIDDEN
    WIDTH = LANES if WIDE else 1
    ROW = VECTORS * LANES
    STATE, IN, OUT, AHEAD = HIDDEN * ROW, INPUT * ROW, OUTPUT * ROW, ROWS * ROW
    CELL = 5 * STATE
    LAST = CHUNK * AHEAD
    OUTER_ROWS, OUTER_COLUMNS = (4, 3) if LSTM else (3, 4)
    # the bodies of the two cells and of the two functions differ in their kernels alone; Numba
    # prunes the branches on LSTM, an integer of the closure, when it compiles

    def step(theta, x, y, dataset, trials, gradient, loss):
        replicas, batch = trials.shape
        length = x.shape[2]
        W, F, b = _floats(MATRIX * WIDTH), _floats(ROWS * INPUT * WIDTH), _floats(ROWS * WIDTH)
        C, d = _floats(OUTPUT * HIDDEN * WIDTH), _floats(OUTPUT * WIDTH)
        h_init, c_init = _floats(HIDDEN * WIDTH), _floats(HIDDEN * WIDTH)
        WT, CT = np.empty_like(W), np.empty_like(C)
        weights = (W, F, b, C, d, h_init, c_init, WT, CT)
        sizes = (
            np.int64(ROWS), np.int64(HIDDEN), np.int64(INPUT), np.int64(OUTPUT), np.int64(GATES)
        )  # fmt: skip
        dW, dF, db = _floats(MATRIX * LANES), _floats(ROWS * INPUT * LANES), _floats(ROWS * LANES)
        dC, dd = _floats(OUTPUT * HIDDEN * LANES), _floats(OUTPUT * LANES)
        dh_init, dc_init = _floats(HIDDEN * LANES), _floats(HIDDEN * LANES)
        sums = (dW, dF, db, dC, dd, dh_init, dc_init)
        X, Y, H = _floats(length * IN), _floats(length * OUT), _floats((length + 1) * STATE)
        D, E = _floats(LAST + AHEAD), _floats(CHUNK * OUT)
        if LSTM:
            A, DC = _floats((length + 1) * CELL), _floats(STATE)
        weight, lane_loss = _floats(ROW), _floats(LANES)
        exact_loss = np.empty(LANES, np.float64)
        tiles = -(-batch // (VECTORS * SPAN))
        for group in range(-(-replicas // MODELS)):
            for model in range(MODELS):
                replica = min(group * MODELS + model, replicas - 1)
                first, span = (model * SPAN, SPAN) if WIDE else (0, 1)
                _load(
                    theta[replica], sizes, weights, np.int64(WIDTH), np.int64(first), np.int64(span)
                )
            for total in sums:
                total[:] = 0
            exact_loss[:] = 0
            for tile in range(tiles):
                _gather(x, trials, tile, VECTORS, MODELS, SPAN, dataset, group, X)
                _gather(y, trials, tile, VECTORS, MODELS, SPAN, dataset, group, Y)
                share = np.float32(2.0 / (batch * length * OUTPUT))
                _weigh(batch, tile, VECTORS, SPAN, share, weight)
                _start(H, 0, 1, 0, h_init, HIDDEN, ROW, WIDE)
                if LSTM:
                    _start(A, 0, 5, 4, c_init, HIDDEN, ROW, WIDE)
                    DC[:] = 0
                for t in range(length):
                    if LSTM:
                        vector.lstm_forward(
                            W, F, b, X, t * IN, H, t * STATE, (t + 1) * STATE,
                            A, t * CELL, (t + 1) * CELL, HIDDEN, INPUT, VECTORS, WIDE, UNIT_TILE,
                        )  # fmt: skip
                    else:
                        vector.rnn_forward(
                            W, F, b, X, t * IN, H, t * STATE, (t + 1) * STATE,
                            HIDDEN, INPUT, VECTORS, WIDE, TILE, ACTIVATION,
                        )  # fmt: skip
                # back in chunks: what D and E hold stays in the cache until it is reduced
                D[LAST:] = 0
                stop = length
                while stop > 0:
                    begin = max(0, stop - CHUNK)
                    steps = stop - begin
                    lane_loss[:] = 0
                    for k in range(steps - 1, -1, -1):
                        t = begin + k
                        later = LAST if k == steps - 1 else (k + 1) * AHEAD
                        vector.readout_error(
                            C, d, H, (t + 1) * STATE, Y, t * OUT, weight, E, k * OUT, lane_loss,
                            HIDDEN, OUTPUT, VECTORS, WIDE, TILE,
                        )  # fmt: skip
                        if LSTM:
                            vector.lstm_backward(
                                WT, CT, D, later, k * AHEAD, E, k * OUT, H, (t + 1) * STATE,
                                A, t * CELL, (t + 1) * CELL, DC,
                                HIDDEN, OUTPUT, VECTORS, WIDE, TILE,
                            )  # fmt: skip
                        else:
                            vector.rnn_backward(
                                WT, CT, D, later, k * AHEAD, E, k * OUT, H, (t + 1) * STATE,
                                HIDDEN, OUTPUT, VECTORS, WIDE, TILE, ACTIVATION,
                            )  # fmt: skip
                    vector.add_outer(
                        dW, D, 0, H, begin * STATE, steps,
                        ROWS, HIDDEN, VECTORS, OUTER_ROWS, OUTER_COLUMNS,
                    )  # fmt: skip
                    vector.add_outer(dF, D, 0, X, begin * IN, steps, ROWS, INPUT, VECTORS, 4, 3)
                    vector.add_rows(db, D, 0, steps, ROWS, VECTORS)
                    vector.add_outer(
                        dC, E, 0, H, (begin + 1) * STATE, steps, OUTPUT, HIDDEN, VECTORS, 2, 6
                    )
                    vector.add_rows(dd, E, 0, steps, OUTPUT, VECTORS)
                    D[LAST:] = D[:AHEAD]
                    for lane in range(LANES):
                        exact_loss[lane] += lane_loss[lane]
                    stop = begin
                vector.initial_state_gradient(dh_init, WT, D, LAST, HIDDEN, ROWS, VECTORS, WIDE)
                if LSTM:
                    vector.add_rows(dc_init, DC, 0, 1, HIDDEN, VECTORS)
            for model in range(MODELS):
                replica = group * MODELS + model
                if replica >= replicas:
                    break
                first = model * SPAN
                _unload(sums, sizes, gradient[replica], np.int64(first), np.int64(SPAN))
                loss[replica] = exact_loss[first : first + SPAN].sum() / 2

    def outputs(theta, x, dataset, trials, result):
        replicas, batch = trials.shape
        length = x.shape[2]
        W, F, b = _floats(MATRIX * WIDTH), _floats(ROWS * INPUT * WIDTH), _floats(ROWS * WIDTH)
        C, d = _floats(OUTPUT * HIDDEN * WIDTH), _floats(OUTPUT * WIDTH)
        h_init, c_init = _floats(HIDDEN * WIDTH), _floats(HIDDEN * WIDTH)
        weights = (W, F, b, C, d, h_init, c_init, np.empty_like(W), np.empty_like(C))
        sizes = (
            np.int64(ROWS), np.int64(HIDDEN), np.int64(INPUT), np.int64(OUTPUT), np.int64(GATES)
        )  # fmt: skip
        X, Y, H = _floats(length * IN), _floats(length * OUT), _floats(2 * STATE)
        if LSTM:
            A = _floats(2 * CELL)
        for group in range(-(-replicas // MODELS)):
            for model in range(MODELS):
                replica = min(group * MODELS + model, replicas - 1)
                first, span = (model * SPAN, SPAN) if WIDE else (0, 1)
                _load(
                    theta[replica], sizes, weights, np.int64(WIDTH), np.int64(first), np.int64(span)
                )
            for tile in range(-(-batch // (VECTORS * SPAN))):
                _gather(x, trials, tile, VECTORS, MODELS, SPAN, dataset, group, X)
                _start(H, 0, 1, 0, h_init, HIDDEN, ROW, WIDE)
                if LSTM:
                    _start(A, 0, 5, 4, c_init, HIDDEN, ROW, WIDE)
                for t in range(length):
                    now, after = t % 2, (t + 1) % 2
                    if LSTM:
                        vector.lstm_forward(
                            W, F, b, X, t * IN, H, now * STATE, after * STATE,
                            A, now * CELL, after * CELL, HIDDEN, INPUT, VECTORS, WIDE, UNIT_TILE,
                        )  # fmt: skip
                    else:
                        vector.rnn_forward(
                            W, F, b, X, t * IN, H, now * STATE, after * STATE,
                            HIDDEN, INPUT, VECTORS, WIDE, TILE, ACTIVATION,
                        )  # fmt: skip
                    vector.readout(
                        C, d, H, after * STATE, Y, t * OUT, HIDDEN, OUTPUT, VECTORS, WIDE, TILE
                    )
                for model in range(MODELS):
                    replica = group * MODELS + model
                    if replica < replicas:
                        _scatter(Y, OUTPUT, replica, tile, VECTORS, MODELS, SPAN, result)

    return kept_kernel(step), kept_kernel(outputs)


class CpuBackend:
    """Compiled kernels, float32, one thread; see `urnn.recurrence.Backend`."""

    name = "cpu"
    xp: ModuleType = np

    def asarray(self, values: NDArray) -> NDArray[np.float32]:
        return np.ascontiguousarray(values, np.float32)

    def to_numpy(self, array: NDArray) -> NDArray:
        return array

    def step(self, spec: Spec) -> Any:
        gradient = np.empty((0, parameter_count(spec)), np.float32)
        loss = np.empty(0)

        def run(
            theta: NDArray, x: NDArray, y: NDArray, dataset: NDArray, trials: NDArray
        ) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
            nonlocal gradient, loss
            check_step(spec, theta, x, y, dataset, trials)
            _check_arrays(theta=theta, x=x, y=y)
            if len(loss) != len(theta):
                gradient, loss = np.empty_like(theta), np.empty(len(theta))
            kernel, _ = _compiled(spec, plan(spec.hidden, trials.shape[1]))
            kernel(theta, x, y, dataset, trials, gradient, loss)
            return loss, gradient

        return run

    def outputs(
        self, spec: Spec, theta: NDArray, x: NDArray, dataset: NDArray
    ) -> NDArray[np.float32]:
        theta, x = self.asarray(theta), self.asarray(x)
        check_step(spec, theta, x, None, dataset, None)
        replicas, batch = len(theta), x.shape[1]
        trials = np.ascontiguousarray(np.broadcast_to(np.arange(batch), (replicas, batch)))
        result = np.empty((replicas, batch, x.shape[2], spec.output), np.float32)
        _, kernel = _compiled(spec, plan(spec.hidden, batch))
        kernel(theta, x, dataset, trials, result)
        return result


def _check_arrays(**arrays: NDArray) -> None:
    for name, array in arrays.items():
        if array.dtype != np.float32 or not array.flags.c_contiguous:
            raise ValueError(
                f"{name} must be a C-contiguous float32 array, but it is {array.dtype}; "
                "pass it through the backend's asarray"
            )
