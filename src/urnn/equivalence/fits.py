"""The best URNN with N states that an optimizer finds: upper bounds on the smallest error.

Two problems of least squares, all restarts of each in one stack with exact Jacobians
(`urnn.equivalence.least_squares`). The transition is kept orthogonal by Cayley's transform,
W = Q (I - A)^-1 (I + A) with A skew and Q a random orthogonal matrix, of determinant 1 and -1 in
turn.

Status: measured. The best of the restarts is an upper bound on the optimum, no more.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from urnn.equivalence.least_squares import Normal, minimised
from urnn.errors import ArgumentError
from urnn.matrices import orthonormal_columns
from urnn.rnn import RNN


@dataclass(frozen=True)
class Fit:
    """The best network found, and its error, in the norm of the function that fits."""

    network: RNN
    error: float


def _random_orthogonal(generator: np.random.Generator, size: int, sign: float) -> NDArray:
    Q = orthonormal_columns(generator, size, size)
    if np.linalg.det(Q) * sign < 0:
        Q[:, 0] *= -1
    return Q


class _Cayley:
    """W = Q (I - A)^-1 (I + A) from the free entries of the skew A, for a stack of Q (k, N, N)."""

    def __init__(self, base: NDArray) -> None:
        size = base.shape[-1]
        rows, columns = np.triu_indices(size, 1)
        self.base, self.count = base, len(rows)
        #: dA of each free entry
        self.directions = np.zeros((self.count, size, size))
        self.directions[np.arange(self.count), rows, columns] = 1
        self.directions[np.arange(self.count), columns, rows] = -1

    def matrix(self, free: NDArray, members: NDArray) -> tuple[NDArray, NDArray]:
        """(W (m, N, N), dW (m, count, N, N)) of the free entries (m, count) of some members."""
        eye, base = np.eye(self.base.shape[-1]), self.base[members]
        A = np.sum(free[:, :, None, None] * self.directions, 1)
        inverse = np.linalg.inv(eye - A)
        rotation = inverse @ (eye + A)
        changes = (base @ inverse)[:, None] @ self.directions @ (rotation + eye)[:, None]
        return base @ rotation, changes


def _capped(matrices: NDArray, cap: NDArray) -> tuple[NDArray, NDArray]:
    """Matrices (m, r, c), scaled down to the spectral norm cap (m,) where theirs is larger.

    And their changes (m, r c, r, c) with each entry before.
    """
    left, singular, right = np.linalg.svd(matrices, full_matrices=False)
    norm = singular[:, 0]
    above = norm > cap
    scale = np.where(above, cap / np.where(above, norm, 1), 1)[:, None, None]
    # the change of the norm with each entry, relative to the norm
    slope = left[:, :, :1] * right[:, :1, :] * (above / np.where(above, norm, 1))[:, None, None]
    entries = np.eye(matrices[0].size).reshape(-1, *matrices.shape[1:])
    changes = entries - slope.reshape(len(cap), -1, 1, 1) * matrices[:, None]
    return scale * matrices, scale[:, None] * changes


@dataclass(frozen=True)
class _Impulses:
    """C_a W_a^j F_a - rho^j I, j < steps, of URNNs of which the first ``active`` units are on."""

    cayley: _Cayley
    #: of each member, the largest norm of F and of C
    cap: NDArray
    active: int
    hidden_units: int
    rho: float
    steps: int

    def split(self, points: NDArray) -> list[NDArray]:
        """The free entries of A, F (m, active, n) and C (m, n, active)."""
        count, entries = self.cayley.count, self.active * self.hidden_units
        free, F, C = np.split(points, [count, count + entries], axis=1)
        return [
            free,
            F.reshape(-1, self.active, self.hidden_units),
            C.reshape(-1, self.hidden_units, self.active),
        ]

    def __call__(self, points: NDArray, members: NDArray) -> Normal:
        free, raw_F, raw_C = self.split(points)
        (W, W_changes), (F, F_changes), (C, C_changes) = (
            self.cayley.matrix(free, members),
            _capped(raw_F, self.cap[members]),
            _capped(raw_C, self.cap[members]),
        )
        n, active = self.hidden_units, self.active
        block, block_changes = W[:, :active, :active], W_changes[..., :active, :active]
        # h = W_a^j F, its changes with W, and C W_a^j, for all j
        h, reach = np.empty((self.steps, *F.shape)), np.empty((self.steps, *C.shape))
        h_changes = np.zeros((self.steps, *block_changes.shape[:2], active, n))
        h[0], reach[0] = F, C
        for step in range(1, self.steps):
            h[step] = block @ h[step - 1]
            reach[step] = reach[step - 1] @ block
            h_changes[step] = block[:, None] @ h_changes[step - 1]
            h_changes[step] += block_changes @ h[step - 1][:, None]
        decay = self.rho ** np.arange(self.steps)
        residual = C @ h - decay[:, None, None, None] * np.eye(n)
        jacobian = np.concatenate(
            [C[:, None] @ h_changes, reach[:, :, None] @ F_changes, C_changes @ h[:, :, None]], 2
        )
        jacobian = jacobian.transpose(1, 2, 0, 3, 4).reshape(*points.shape, -1)
        residual = residual.transpose(1, 0, 2, 3).reshape(len(points), -1, 1)
        return Normal(
            np.sum(residual**2, (1, 2)),
            (jacobian @ residual)[..., 0],
            jacobian @ jacobian.swapaxes(1, 2),
        )


def fit_scaled_identity(
    hidden_units: int,
    states: int,
    rho: float,
    budgets: Sequence[float],
    steps: int = 24,
    restarts: int = 2,
    iterations: int = 100,
    seed: int = 0,
) -> list[Fit]:
    """The URNNs with N = ``states`` nearest to rho I (n, n) in their linear regime, for each R.

        error = sqrt( sum_(j < steps) ||C_a W_a^j F_a - rho^j I||_F^2 ),   ||F_u|| ||C_u|| <= R,

    R each of the ``budgets``, over orthogonal W_u and over how many units a are on (the others are
    off). ||F_u|| and ||C_u|| are at most sqrt(R) each, which is no restriction, since a common
    scaling balances them.

    Returns:
        Fits: the network (bias 0, units that are off have no F and no C) and the error.

    Raises:
        ArgumentError: states < n, or a budget that is not positive.

    Status: measured, an upper bound on the least error. (D) bounds it from below for N < 2n.
    """
    n = hidden_units
    if states < n or min(budgets) <= 0:
        raise ArgumentError("states must be at least n, and the budget must be positive")
    best: dict[float, Fit] = {}
    cap = np.sqrt(np.repeat(budgets, restarts))
    for active in range(max(1, states // 2), min(states, n + 1) + 1):
        bases, starts = [], []
        for restart in range(restarts):
            generator = np.random.default_rng([seed, n, states, active, restart])
            bases.append(_random_orthogonal(generator, states, (-1.0) ** restart))
            starts.append(generator.standard_normal((active, n)) / 2)
        cayley = _Cayley(np.tile(bases, (len(budgets), 1, 1)))
        F = np.tile(starts, (len(budgets), 1, 1)) * cap[:, None, None]
        problems = _Impulses(cayley, cap, active, n, rho, steps)
        parts = np.zeros((len(cap), cayley.count)), F, np.linalg.pinv(F)
        start = np.hstack([part.reshape(len(cap), -1) for part in parts])
        points, squares = minimised(problems, start, iterations)
        for column, budget in enumerate(budgets):
            member = column * restarts + int(
                np.argmin(squares[column * restarts : (column + 1) * restarts])
            )
            error = float(np.sqrt(squares[member]))
            if budget not in best or error < best[budget].error:
                best[budget] = Fit(_embedded(problems, points, member), error)
    return [best[budget] for budget in budgets]


def _embedded(problems: _Impulses, points: NDArray, member: int) -> RNN:
    """The network of one member: bias 0, units that are off have no F and no C."""
    members = np.array([member])
    free, raw_F, raw_C = problems.split(points[members])
    W = problems.cayley.matrix(free, members)[0][0]
    F, C = np.zeros((len(W), problems.hidden_units)), np.zeros((problems.hidden_units, len(W)))
    F[: problems.active] = _capped(raw_F, problems.cap[members])[0][0]
    C[:, : problems.active] = _capped(raw_C, problems.cap[members])[0][0]
    return RNN(W, F, np.zeros(len(W)), C)


@dataclass(frozen=True)
class _Sigmoids:
    """The errors of scalar sigmoid URNNs on inputs x (time, trial) whose outputs should be y."""

    cayley: _Cayley
    #: of each member, the largest |b|, or inf
    cap: NDArray
    x: NDArray
    y: NDArray

    def split(self, points: NDArray, members: NDArray) -> list[NDArray]:
        """The free entries of A, then F, b, C, h(-1), and the change of b, (m, N) each."""
        size = self.cayley.base.shape[-1]
        free, F, raw, C, h = np.split(points, self.cayley.count + size * np.arange(4), axis=1)
        capped = np.isfinite(self.cap[members])[:, None]
        cap = np.where(capped, self.cap[members][:, None], 1)
        b = np.where(capped, cap * np.tanh(raw), raw)
        return [free, F, b, C, h, np.where(capped, cap - b**2 / cap, 1)]

    def __call__(self, points: NDArray, members: NDArray) -> Normal:
        free, F, b, C, h_init, b_changes = self.split(points, members)
        W, W_changes = self.cayley.matrix(free, members)
        (m, count), size, (steps, trials) = free.shape, W.shape[-1], self.x.shape
        units = np.arange(size)
        of_F, of_b, of_C, of_h = (count + i * size + units for i in range(4))
        h = np.repeat(h_init[:, :, None], trials, 2)
        # units before parameters, so that W multiplies all of them at once
        changes = np.zeros((m, size, points.shape[1], trials))
        changes[:, units, of_h] = 1
        turning = W_changes.swapaxes(1, 2).reshape(m, -1, size)
        squares, gradient = np.zeros(m), np.zeros(points.shape)
        matrix = np.zeros((*points.shape, points.shape[1]))
        for step in range(steps):
            z = W @ h + F[:, :, None] * self.x[step] + b[:, :, None]
            changes = (W @ changes.reshape(m, size, -1)).reshape(changes.shape)
            changes[:, :, :count] += (turning @ h).reshape(m, size, count, trials)
            changes[:, units, of_F] += self.x[step]
            changes[:, units, of_b] += b_changes[:, :, None]
            h = 0.5 * (1 + np.tanh(0.5 * z))
            changes *= (h * (1 - h))[:, :, None]
            residual = np.matmul(C[:, None], h)[:, 0] - self.y[step]
            jacobian = (C[:, None] @ changes.reshape(m, size, -1)).reshape(m, -1, trials)
            jacobian[:, of_C] += h
            squares += np.sum(residual**2, 1)
            gradient += (jacobian @ residual[..., None])[..., 0]
            matrix += jacobian @ jacobian.swapaxes(1, 2)
        return Normal(*(total / self.x.size for total in (squares, gradient, matrix)))


def fit_sigmoid(
    witness: RNN,
    states: int,
    bias_caps: Sequence[float | None],
    x: NDArray,
    restarts: int = 6,
    iterations: int = 100,
    seed: int = 0,
) -> list[Fit]:
    """The sigmoid URNNs with N = ``states`` nearest to a scalar ``witness`` on the inputs x.

    W_u orthogonal; F, C, h(-1) free; |b_i| at most each of the ``bias_caps``, or free for None.
    x (trial, time, 1).

    Returns:
        Fits, one for each cap: the network and its root mean square error on x.

    Raises:
        ArgumentError: a witness that is not scalar or not a sigmoid network.

    Status: measured, an upper bound on the least error; from about 4 states on the optimizer limits
    it.
    """
    if witness.activation != "sigmoid" or witness.hidden_units != 1:
        raise ArgumentError("the witness must be a scalar sigmoid network")
    bases, starts = [], []
    for restart in range(restarts):
        generator = np.random.default_rng([seed, states, restart])
        bases.append(_random_orthogonal(generator, states, (-1.0) ** restart))
        normal = generator.standard_normal((3, states)) * [[2], [1], [1]]
        starts.append(np.append(normal, np.full(states, 0.5)))
    caps = np.repeat([np.inf if cap is None else cap for cap in bias_caps], restarts)
    cayley = _Cayley(np.tile(bases, (len(bias_caps), 1, 1)))
    problems = _Sigmoids(cayley, caps, x[..., 0].T, (witness(x) - witness.d)[..., 0].T)
    start = np.hstack([np.zeros((len(caps), cayley.count)), np.tile(starts, (len(bias_caps), 1))])
    points, squares = minimised(problems, start, iterations)
    fits = []
    for first in range(0, len(caps), restarts):
        member = first + int(np.argmin(squares[first : first + restarts]))
        members = np.array([member])
        free, F, b, C, h_init, _ = problems.split(points[members], members)
        W = cayley.matrix(free, members)[0][0]
        network = RNN(W, F.T, b[0], C, h_init[0], "sigmoid", d=witness.d)
        fits.append(Fit(network, float(np.sqrt(squares[member]))))
    return fits
