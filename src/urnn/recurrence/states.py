"""Compiled kernels of the states alone: forward, and backward from the gradients of all states.

The loop over time is that of `cpu`, with its micro-kernels and its layout in vectors, but there is
no readout and no loss: what comes back through time is whatever a caller's own loss gives. Used by
`urnn.recurrence.function`; arrays are float32 in C order, R replicas and B trials of each:

    x (R, B, time, input), W (R, rows, n), F (R, rows, input), b (R, rows), states (R, B, time, n),
    initial states (R, B, 1, n); rows = n, or 4 n in the order i, f, g, o for an lstm.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from urnn.recurrence import Spec, cpu, vector
from urnn.recurrence.cache import kept_kernel
from urnn.recurrence.cpu import Plan, _collect, _fill_lanes, _floats, _spread
from urnn.recurrence.vector import LANES


def layout(cell: str, hidden: int, replicas: int, batch: int) -> Plan:
    """The plan that takes fewer vectors: models side by side, or each of them alone.

    States are the same bits in both; gradients differ in rounding, by the order of their sums.
    """
    alone = max(hidden, cpu._ALONE_FROM)
    plans = cpu.plan(cell, hidden, batch), cpu.plan(cell, alone, batch)
    return min(plans, key=lambda p: (-(-replicas // p.models) * p.vectors * p.tiles, p.models))


@kept_kernel
def _take(source, step, steps, tile, vectors, models, group, target):
    """Time steps of a tile into lanes: target (steps * size, row), source (R, B, time, size).

    Lanes without a trial or a model repeat the first one, whose values cannot overflow alone.
    """
    row = vectors * LANES
    replicas, batch, length, size = source.shape
    values = steps * size
    flat = source.reshape(-1)
    begin = np.empty(row, np.int64)
    for lane in range(row):
        replica = group * models + lane % models
        if replica >= replicas:
            replica = group * models
        item = (tile * row + lane) // models
        trial = replica * batch + (item if item < batch else 0)
        begin[lane] = (trial * length + step) * size
    _fill_lanes(flat, begin, values, target)


@kept_kernel
def _release(source, replica, tile, vectors, models, target):
    """One model's values from its lanes into target (R, batch, time, size): undoes `_take`."""
    row = vectors * LANES
    batch = target.shape[1]
    values = target.shape[2] * target.shape[3]
    flat = target.reshape(-1)
    whole = values // LANES * LANES
    stride = np.uint64(row)
    trials = row // models
    items = min(trials, batch - tile * trials)
    begin = (replica * batch + tile * trials) * values
    for first in range(0, whole, LANES):
        for item in range(items):
            lane = item * models + replica % models
            start, at = np.uint64(begin + item * values + first), np.uint64(first * row + lane)
            for k in range(LANES):
                flat[start + np.uint64(k)] = source[at + np.uint64(k) * stride]
    for item in range(items):
        lane = item * models + replica % models
        for k in range(whole, values):
            flat[begin + item * values + k] = source[k * row + lane]


@kept_kernel
def _silence(target, values, batch, tile, vectors, models):
    """Zeros in the lanes that no trial of the batch has: no gradient enters there."""
    row = vectors * LANES
    for lane in range(row):
        if (tile * row + lane) // models >= batch:
            for k in range(values):
                target[k * row + lane] = 0


@cache
def compiled(cell: str, activation: str, hidden: int, inputs: int, plan: Plan) -> tuple[Any, Any]:
    """(forward, backward) for these sizes, see `forward` and `backward` below."""
    HIDDEN, INPUT = hidden, inputs
    VECTORS, MODELS, TRIALS = plan.vectors, plan.models, plan.trials
    TILE, CHUNK = plan.tile_rows, plan.chunk
    ACTIVATION = vector.ACTIVATIONS[activation]
    LSTM, PAIRS = int(cell == "lstm"), int(activation == "modrelu")
    GATES = 4 if LSTM else 1
    UNIT_TILE = plan.tile_units
    ROWS = GATES * HIDDEN
    BIASES = HIDDEN // 2 if PAIRS else ROWS
    ROW = VECTORS * LANES
    STATE, IN, AHEAD = HIDDEN * ROW, INPUT * ROW, ROWS * ROW
    CELL = 5 * STATE
    LAST = CHUNK * AHEAD

    def forward(x, W, F, b, h_init, c_init, keep, states, c_last, H_kept, A_kept):
        replicas, batch, length, _ = x.shape
        weights, inputs = _floats(ROWS * HIDDEN * MODELS), _floats(ROWS * INPUT * MODELS)
        bias = _floats(BIASES * MODELS)
        X, initial = _floats(length * IN), _floats(STATE)
        tiles = -(-batch // (VECTORS * TRIALS))
        W_rows, F_rows = W.reshape((replicas, -1)), F.reshape((replicas, -1))
        for group in range(-(-replicas // MODELS)):
            for model in range(MODELS):
                replica = min(group * MODELS + model, replicas - 1)
                _spread(W_rows[replica], 0, ROWS, HIDDEN, GATES, False, weights, MODELS, model)
                _spread(F_rows[replica], 0, ROWS, INPUT, GATES, False, inputs, MODELS, model)
                _spread(b[replica], 0, BIASES, 1, GATES, False, bias, MODELS, model)
            for tile in range(tiles):
                place = group * tiles + tile if keep else 0
                H = H_kept[place * (length + 1) * STATE : (place + 1) * (length + 1) * STATE]
                _take(x, 0, length, tile, VECTORS, MODELS, group, X)
                _take(h_init, 0, 1, tile, VECTORS, MODELS, group, H)
                if LSTM:
                    A = A_kept[place * (length + 1) * CELL :]
                    _take(c_init, 0, 1, tile, VECTORS, MODELS, group, initial)
                    for unit in range(HIDDEN):
                        for lane in range(ROW):
                            A[(unit * 5 + 4) * ROW + lane] = initial[unit * ROW + lane]
                for t in range(length):
                    if LSTM:
                        before, after = (t, t + 1) if keep else (t % 2, (t + 1) % 2)
                        vector.lstm_forward(
                            weights, inputs, bias, X, t * IN, H, t * STATE, (t + 1) * STATE,
                            A, before * CELL, after * CELL,
                            HIDDEN, INPUT, VECTORS, MODELS, UNIT_TILE,
                        )  # fmt: skip
                    else:
                        vector.rnn_forward(
                            weights, inputs, bias, X, t * IN, H, t * STATE, (t + 1) * STATE,
                            HIDDEN, INPUT, VECTORS, MODELS, TILE, ACTIVATION,
                        )  # fmt: skip
                if LSTM:
                    last = (length if keep else length % 2) * CELL
                    for unit in range(HIDDEN):
                        for lane in range(ROW):
                            initial[unit * ROW + lane] = A[last + (unit * 5 + 4) * ROW + lane]
                for replica in range(group * MODELS, min((group + 1) * MODELS, replicas)):
                    _release(H[STATE:], replica, tile, VECTORS, MODELS, states)
                    if LSTM:
                        _release(initial, replica, tile, VECTORS, MODELS, c_last)

    def backward(
        x, W, F, b, H_kept, A_kept, d_states, dc_last, wanted, dW, dF, db, dh_init, dc_init, dx
    ):  # fmt: skip
        replicas, batch, length, _ = x.shape
        WT, FT = _floats(ROWS * HIDDEN * MODELS), _floats(ROWS * INPUT * MODELS)
        nothing = np.zeros(max(HIDDEN, INPUT) * MODELS, np.float32)
        W_sums, F_sums = _floats(ROWS * HIDDEN * LANES), _floats(ROWS * INPUT * LANES)
        bias, b_sums = _floats(BIASES * MODELS), _floats(BIASES * LANES)
        X, G, D = _floats(length * IN), _floats(CHUNK * STATE), _floats(LAST + AHEAD)
        DX, DH, DC = _floats(length * IN if wanted else 0), _floats(STATE), _floats(STATE)
        tiles = -(-batch // (VECTORS * TRIALS))
        W_rows, F_rows = W.reshape((replicas, -1)), F.reshape((replicas, -1))
        dW_rows, dF_rows = dW.reshape((replicas, -1)), dF.reshape((replicas, -1))
        for group in range(-(-replicas // MODELS)):
            for model in range(MODELS):
                replica = min(group * MODELS + model, replicas - 1)
                _spread(W_rows[replica], 0, ROWS, HIDDEN, GATES, True, WT, MODELS, model)
                _spread(F_rows[replica], 0, ROWS, INPUT, GATES, True, FT, MODELS, model)
                _spread(b[replica], 0, BIASES, 1, GATES, False, bias, MODELS, model)
            for total in (W_sums, F_sums, b_sums):
                total[:] = 0
            for tile in range(tiles):
                place = (group * tiles + tile) * (length + 1)
                H = H_kept[place * STATE : (place + length + 1) * STATE]
                _take(x, 0, length, tile, VECTORS, MODELS, group, X)
                if LSTM:
                    A = A_kept[place * CELL : (place + length + 1) * CELL]
                    _take(dc_last, 0, 1, tile, VECTORS, MODELS, group, DC)
                    _silence(DC, HIDDEN, batch, tile, VECTORS, MODELS)
                D[LAST:] = 0
                stop = length
                while stop > 0:
                    begin = max(0, stop - CHUNK)
                    steps = stop - begin
                    _take(d_states, begin, steps, tile, VECTORS, MODELS, group, G)
                    _silence(G, steps * HIDDEN, batch, tile, VECTORS, MODELS)
                    for k in range(steps - 1, -1, -1):
                        t = begin + k
                        later = LAST if k == steps - 1 else (k + 1) * AHEAD
                        if LSTM:
                            vector.lstm_states_backward(
                                WT, D, later, k * AHEAD, G, k * STATE, H, (t + 1) * STATE,
                                A, t * CELL, (t + 1) * CELL, DC, HIDDEN, VECTORS, MODELS, TILE,
                            )  # fmt: skip
                        else:
                            vector.rnn_states_backward(
                                WT, bias, D, later, k * AHEAD, G, k * STATE, H, (t + 1) * STATE,
                                HIDDEN, VECTORS, MODELS, TILE, ACTIVATION,
                            )  # fmt: skip
                        if wanted:
                            vector.readout(
                                FT, nothing, D, k * AHEAD, DX, t * IN,
                                ROWS, INPUT, VECTORS, MODELS, TILE,
                            )  # fmt: skip
                    vector.add_outer(
                        W_sums, D, 0, H, begin * STATE, steps,
                        ROWS, HIDDEN, VECTORS,
                    )  # fmt: skip
                    vector.add_outer(F_sums, D, 0, X, begin * IN, steps, ROWS, INPUT, VECTORS)
                    if PAIRS:
                        vector.add_modulus_gradient(
                            b_sums, D, H, (begin + 1) * STATE, steps, HIDDEN, VECTORS
                        )
                    else:
                        vector.add_rows(b_sums, D, 0, steps, ROWS, VECTORS)
                    D[LAST:] = D[:AHEAD]
                    stop = begin
                vector.readout(WT, nothing, D, LAST, DH, 0, ROWS, HIDDEN, VECTORS, MODELS, TILE)
                for replica in range(group * MODELS, min((group + 1) * MODELS, replicas)):
                    _release(DH, replica, tile, VECTORS, MODELS, dh_init)
                    if LSTM:
                        _release(DC, replica, tile, VECTORS, MODELS, dc_init)
                    if wanted:
                        _release(DX, replica, tile, VECTORS, MODELS, dx)
            for replica in range(group * MODELS, min((group + 1) * MODELS, replicas)):
                model = replica % MODELS
                _collect(W_sums, ROWS, HIDDEN, GATES, dW_rows[replica], 0, MODELS, model)
                _collect(F_sums, ROWS, INPUT, GATES, dF_rows[replica], 0, MODELS, model)
                _collect(b_sums, BIASES, 1, GATES, db[replica], 0, MODELS, model)

    return kept_kernel(forward), kept_kernel(backward)


def forward(
    spec: Spec,
    x: NDArray,
    W: NDArray,
    F: NDArray,
    b: NDArray,
    h_init: NDArray,
    c_init: NDArray | None,
    keep: bool,
) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
    """(states, c_last (R, B, 1, n), H, A): what the states are, and what `backward` needs of them.

    Arrays as in the module's docstring. H and A are in the layout of the vectors: all states, and
    for an lstm all gates and cell states. Unless ``keep``, they are room for one tile, of no use
    to `backward`. An rnn has no c_init, and nothing in c_last and A.
    """
    replicas, batch, length, inputs = x.shape
    lstm = spec.cell == "lstm"
    plan = layout(spec.cell, spec.hidden, replicas, batch)
    tiles = -(-replicas // plan.models) * plan.tiles if keep else 1
    state = spec.hidden * plan.vectors * LANES
    H = np.empty(tiles * (length + 1) * state, np.float32)
    cells = (tiles * (length + 1) if keep else 2) if lstm else 0
    A = np.empty(cells * 5 * state, np.float32)
    states = np.empty((replicas, batch, length, spec.hidden), np.float32)
    c_last = np.empty(h_init.shape if lstm else (0, 0, 0, 0), np.float32)
    kernel, _ = compiled(spec.cell, spec.activation, spec.hidden, inputs, plan)
    kernel(x, W, F, b, h_init, c_last if c_init is None else c_init, keep, states, c_last, H, A)
    return states, c_last, H, A


def backward(
    spec: Spec,
    x: NDArray,
    W: NDArray,
    F: NDArray,
    b: NDArray,
    H: NDArray,
    A: NDArray,
    d_states: NDArray,
    dc_last: NDArray | None,
    wanted: bool,
) -> tuple[NDArray[np.float32], ...]:
    """(dW, dF, db, dh_init, dc_init, dx) from the gradients of all states and of the last cell.

    H and A come from `forward`; each gradient has the shape of what it belongs to. An rnn has
    nothing in dc_init, and dx is empty unless it is ``wanted``.
    """
    replicas, batch, _, inputs = x.shape
    plan = layout(spec.cell, spec.hidden, replicas, batch)
    dh_init = np.empty((replicas, batch, 1, spec.hidden), np.float32)
    dc_init = np.empty(dh_init.shape if spec.cell == "lstm" else (0, 0, 0, 0), np.float32)
    dW, dF = np.empty_like(W), np.empty_like(F)
    db = np.empty_like(b)
    dx = np.empty(x.shape if wanted else (0, 0, 0, 0), np.float32)
    _, kernel = compiled(spec.cell, spec.activation, spec.hidden, inputs, plan)
    kernel(
        x, W, F, b, H, A, d_states, dc_init if dc_last is None else dc_last, wanted,
        dW, dF, db, dh_init, dc_init, dx,
    )  # fmt: skip
    return dW, dF, db, dh_init, dc_init, dx
