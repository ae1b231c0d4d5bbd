"""The CPU backend: fused steps (gather, forward, backward, reduction) compiled by Numba.

One call trains a whole stack for one step. Small models run four to a vector, with two trials each,
so that a batch of 10 fills five vectors; larger ones run alone, eight trials to a vector. A lane
never reads another, and each replica's sums are taken in an order of their own, so its results do
not depend on the stack by a single bit.

The compiled kernels are kept between processes, in a folder whose name is a hash of everything they
are made from.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import llvmlite
import numba
import numpy as np
from llvmlite import binding
from numpy.typing import NDArray

from urnn.recurrence import Spec, check_step, parameter_count, parameter_shapes


def _cache_folder() -> Path:
    """Where compiled kernels are kept: another folder after any edit or update."""
    key = hashlib.sha256()
    for source in sorted(Path(__file__).parent.glob("*.py")):
        key.update(source.read_bytes())
    processor = f"{binding.get_host_cpu_name()} {binding.get_host_cpu_features().flatten()}"
    for part in (numba.__version__, llvmlite.__version__, np.__version__, processor):
        key.update(part.encode())
    base = os.environ.get("URNN_CACHE_DIR") or os.path.join(
        os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "urnn"
    )
    return Path(base) / key.hexdigest()[:16]


# Numba reads it when a function is decorated. Its own key is the file that holds the function,
# which an edit of the emitters in vector.py does not change.
numba.config.CACHE_DIR = str(_cache_folder())  # type: ignore[attr-defined]

from urnn.recurrence import vector  # noqa: E402
from urnn.recurrence.vector import LANES  # noqa: E402

_JIT: dict[str, Any] = {"cache": True, "error_model": "numpy", "boundscheck": False, "nogil": True}

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


@numba.njit(**_JIT)
def _spread(source, start, rows, columns, gates, transposed, target, width, first, span):
    """A parameter of one model into its lanes; an LSTM's rows from gate-major to unit-major."""
    units = rows // gates
    for row in range(rows):
        packed = (row % units) * gates + row // units
        for column in range(columns):
            index = column * rows + packed if transposed else packed * columns + column
            for lane in range(span):
                target[index * width + first + lane] = source[start + row * columns + column]


@numba.njit(**_JIT)
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


@numba.njit(**_JIT)
def _gather(source, trials, tile, vectors, models, span, dataset, group, target):
    """Trials of a tile into lanes: target (time * size, row) from source (S, N, time * size).

    Lanes without a trial or a model repeat the first one, whose values cannot overflow alone.
    """
    row = vectors * LANES
    replicas, batch = trials.shape
    values = source.shape[2] * source.shape[3]
    flat = source.reshape(-1)
    begin = np.empty(row, np.int64)
    for lane in range(row):
        replica = group * models + (lane % LANES) // span
        if replica >= replicas:
            replica = group * models
        item = (tile * vectors + lane // LANES) * span + lane % span
        if item >= batch:
            item = 0
        begin[lane] = (dataset[replica] * source.shape[1] + trials[replica, item]) * values
    # a few steps of one trial after the other, so that reads and writes both stay in the cache
    for first in range(0, values, LANES):
        last = min(first + LANES, values)
        for lane in range(row):
            start = begin[lane]
            for k in range(first, last):
                target[k * row + lane] = flat[start + k]


@numba.njit(**_JIT)
def _weigh(batch, tile, vectors, span, value, target):
    """The weight of every lane's squared error: 0 where the batch has no trial for it."""
    for lane in range(vectors * LANES):
        item = (tile * vectors + lane // LANES) * span + lane % span
        target[lane] = value if item < batch else 0


@numba.njit(**_JIT)
def _start(target, begin, stride, slot, initial, hidden, row, wide):
    """The initial value of every unit into all its lanes."""
    for unit in range(hidden):
        for lane in range(row):
            index = unit * LANES + lane % LANES if wide else unit
            target[begin + (unit * stride + slot) * row + lane] = initial[index]


@numba.njit(**_JIT)
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


@numba.njit(**_JIT)
def _floats(size):
    return np.empty(size, np.float32)


@numba.njit(**_JIT)
def _load(row, rows, hidden, inputs, outputs, gates, to, width, first, span):
    """The parameters of one model, a row of theta, into their lanes; returns where each starts."""
    W, F, b, C, d, h_init, c_init = to
    _spread(row, 0, rows, hidden, gates, False, W, width, first, span)
    at = rows * hidden
    _spread(row, at, rows, inputs, gates, False, F, width, first, span)
    at += rows * inputs
    _spread(row, at, rows, 1, gates, False, b, width, first, span)
    at += rows
    _spread(row, at, outputs, hidden, 1, False, C, width, first, span)
    at += outputs * hidden
    _spread(row, at, outputs, 1, 1, False, d, width, first, span)
    at += outputs
    _spread(row, at, hidden, 1, 1, False, h_init, width, first, span)
    if gates > 1:
        _spread(row, at + hidden, hidden, 1, 1, False, c_init, width, first, span)


@numba.njit(**_JIT)
def _unload(sums, rows, hidden, inputs, outputs, gates, row, first, span):
    """The gradients of one model from their lane sums to a row of the result."""
    dW, dF, db, dC, dd, dh_init, dc_init = sums
    _collect(dW, rows, hidden, gates, row, 0, first, span)
    at = rows * hidden
    _collect(dF, rows, inputs, gates, row, at, first, span)
    at += rows * inputs
    _collect(db, rows, 1, gates, row, at, first, span)
    at += rows
    _collect(dC, outputs, hidden, 1, row, at, first, span)
    at += outputs * hidden
    _collect(dd, outputs, 1, 1, row, at, first, span)
    at += outputs
    _collect(dh_init, hidden, 1, 1, row, at, first, span)
    if gates > 1:
        _collect(dc_init, hidden, 1, 1, row, at + hidden, first, span)


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
    AT_C = ROWS * (HIDDEN + INPUT + 1)
    # the bodies of the two cells and of the two functions differ in their kernels alone; Numba
    # prunes the branches on LSTM, an integer of the closure, when it compiles

    def step(theta, x, y, dataset, trials, gradient, loss):
        replicas, batch = trials.shape
        length = x.shape[2]
        W, F, b = _floats(MATRIX * WIDTH), _floats(ROWS * INPUT * WIDTH), _floats(ROWS * WIDTH)
        C, d = _floats(OUTPUT * HIDDEN * WIDTH), _floats(OUTPUT * WIDTH)
        h_init, c_init = _floats(HIDDEN * WIDTH), _floats(HIDDEN * WIDTH)
        WT, CT = np.empty_like(W), np.empty_like(C)
        dW, dF, db = _floats(MATRIX * LANES), _floats(ROWS * INPUT * LANES), _floats(ROWS * LANES)
        dC, dd = _floats(OUTPUT * HIDDEN * LANES), _floats(OUTPUT * LANES)
        dh_init, dc_init = _floats(HIDDEN * LANES), _floats(HIDDEN * LANES)
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
                row, first = theta[replica], model * SPAN if WIDE else 0
                span = SPAN if WIDE else 1
                _load(
                    row, ROWS, HIDDEN, INPUT, OUTPUT, GATES, (W, F, b, C, d, h_init, c_init),
                    WIDTH, first, span,
                )  # fmt: skip
                _spread(row, 0, ROWS, HIDDEN, GATES, True, WT, WIDTH, first, span)
                _spread(row, AT_C, OUTPUT, HIDDEN, 1, True, CT, WIDTH, first, span)
            for total in (dW, dF, db, dC, dd, dh_init, dc_init):
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
                row, first = gradient[replica], model * SPAN
                _unload(
                    (dW, dF, db, dC, dd, dh_init, dc_init),
                    ROWS, HIDDEN, INPUT, OUTPUT, GATES, row, first, SPAN,
                )  # fmt: skip
                loss[replica] = exact_loss[first : first + SPAN].sum() / 2

    def outputs(theta, x, dataset, trials, result):
        replicas, batch = trials.shape
        length = x.shape[2]
        W, F, b = _floats(MATRIX * WIDTH), _floats(ROWS * INPUT * WIDTH), _floats(ROWS * WIDTH)
        C, d = _floats(OUTPUT * HIDDEN * WIDTH), _floats(OUTPUT * WIDTH)
        h_init, c_init = _floats(HIDDEN * WIDTH), _floats(HIDDEN * WIDTH)
        X, Y, H = _floats(length * IN), _floats(length * OUT), _floats(2 * STATE)
        if LSTM:
            A = _floats(2 * CELL)
        for group in range(-(-replicas // MODELS)):
            for model in range(MODELS):
                replica = min(group * MODELS + model, replicas - 1)
                row, first = theta[replica], model * SPAN if WIDE else 0
                span = SPAN if WIDE else 1
                _load(
                    row, ROWS, HIDDEN, INPUT, OUTPUT, GATES, (W, F, b, C, d, h_init, c_init),
                    WIDTH, first, span,
                )  # fmt: skip
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

    return numba.njit(**_JIT)(step), numba.njit(**_JIT)(outputs)


class CpuBackend:
    """Compiled kernels, float32, one thread; see `urnn.recurrence.Backend`."""

    name = "cpu"
    xp: ModuleType = np

    def asarray(self, values: NDArray) -> NDArray[np.float32]:
        return np.ascontiguousarray(values, np.float32)

    def to_numpy(self, array: NDArray) -> NDArray:
        return array

    def step(self, spec: Spec) -> Any:
        parameter_shapes(spec)  # checks the spec
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
        replicas, batch = len(theta), x.shape[1]
        trials = np.ascontiguousarray(np.broadcast_to(np.arange(batch), (replicas, batch)))
        check_step(spec, theta, x, None, dataset, trials)
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
