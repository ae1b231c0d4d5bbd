"""The best URNN with N states that an optimizer finds: upper bounds on the smallest error.

Two problems, both solved by L-BFGS with exact gradients and restarts. The transition is kept
orthogonal by Cayley's transform, W = Q (I - A)^-1 (I + A) with A skew and Q a random orthogonal
matrix, of determinant 1 and -1 in turn.

Status: measured. The best of the restarts is an upper bound on the optimum, no more.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize

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
    """W = Q (I - A)^-1 (I + A) from the free entries of the skew A, and the gradient back."""

    def __init__(self, base: NDArray) -> None:
        self.base = base
        self.upper = np.triu_indices(len(base), 1)
        self.count = len(self.upper[0])

    def matrix(self, free: NDArray) -> tuple[NDArray, NDArray, NDArray]:
        """(W, (I - A)^-1, P) with W = Q P."""
        eye = np.eye(len(self.base))
        A = np.zeros_like(eye)
        A[self.upper] = free
        A = A - A.T
        inverse = np.linalg.inv(eye - A)
        rotation = inverse @ (eye + A)
        return self.base @ rotation, inverse, rotation

    def gradient(self, of_W: NDArray, inverse: NDArray, rotation: NDArray) -> NDArray:
        full = inverse.T @ (self.base.T @ of_W) @ (np.eye(len(rotation)) + rotation).T
        return (full - full.T)[self.upper]


def _capped(matrix: NDArray, cap: float) -> NDArray:
    """matrix, scaled down to the spectral norm cap where it is larger."""
    norm = np.linalg.norm(matrix, 2)
    return matrix * min(1.0, cap / norm) if norm > 0 else matrix


def _capped_gradient(matrix: NDArray, cap: float, of_result: NDArray) -> NDArray:
    left, singular, right = np.linalg.svd(matrix, full_matrices=False)
    norm = singular[0]
    if norm <= cap:
        return of_result
    along = np.sum(of_result * matrix) / norm
    return (of_result - along * np.outer(left[:, 0], right[0])) * cap / norm


def _impulse_loss(
    parameters: NDArray, cayley: _Cayley, active: int, n: int, rho: float, cap: float, steps: int
) -> tuple[float, NDArray]:
    size = len(cayley.base)
    free, flat_F, flat_C = np.split(parameters, [cayley.count, cayley.count + active * n])
    raw_F, raw_C = flat_F.reshape(active, n), flat_C.reshape(n, active)
    W, inverse, rotation = cayley.matrix(free)
    block, F, C = W[:active, :active], _capped(raw_F, cap), _capped(raw_C, cap)
    impulses = np.empty((steps, active, n))
    impulses[0] = F
    for step in range(1, steps):
        impulses[step] = block @ impulses[step - 1]
    residual = C @ impulses - (rho ** np.arange(steps))[:, None, None] * np.eye(n)
    of_C = 2 * np.einsum("tij,tkj->ik", residual, impulses)
    sources = 2 * C.T @ residual
    adjoint, of_block = sources[-1], np.zeros_like(block)
    for step in range(steps - 1, 0, -1):
        of_block += adjoint @ impulses[step - 1].T
        adjoint = sources[step - 1] + block.T @ adjoint
    of_W = np.zeros((size, size))
    of_W[:active, :active] = of_block
    gradient = np.concatenate(
        [
            cayley.gradient(of_W, inverse, rotation),
            _capped_gradient(raw_F, cap, adjoint).ravel(),
            _capped_gradient(raw_C, cap, of_C).ravel(),
        ]
    )
    return float(np.sum(residual**2)), gradient


def fit_scaled_identity(
    hidden_units: int,
    states: int,
    rho: float,
    budget: float,
    steps: int = 24,
    restarts: int = 2,
    iterations: int = 400,
    seed: int = 0,
) -> Fit:
    """The URNN with N = ``states`` nearest to rho I (n, n) in its linear regime, R = ``budget``.

        error = sqrt( sum_(j < steps) ||C_a W_a^j F_a - rho^j I||_F^2 ),   ||F_u|| ||C_u|| <= R,

    over orthogonal W_u and over how many units a are on (the others are off). ||F_u|| and ||C_u||
    are at most sqrt(R) each, which is no restriction, since a common scaling balances them.

    Returns:
        Fit: the network (bias 0, units that are off have no F and no C) and the error.

    Raises:
        ArgumentError: states < n, or a budget that is not positive.

    Status: measured, an upper bound on the least error. (D) bounds it from below for N < 2n.
    """
    n = hidden_units
    if states < n or budget <= 0:
        raise ArgumentError("states must be at least n, and the budget must be positive")
    cap = float(np.sqrt(budget))
    best: tuple[float, RNN] | None = None
    for active in range(max(1, states // 2), min(states, n + 1) + 1):
        for restart in range(restarts):
            generator = np.random.default_rng([seed, n, states, active, restart])
            cayley = _Cayley(_random_orthogonal(generator, states, (-1.0) ** restart))
            F = generator.standard_normal((active, n)) * cap / 2
            start = np.concatenate([np.zeros(cayley.count), F.ravel(), np.linalg.pinv(F).ravel()])
            found = minimize(
                _impulse_loss,
                start,
                args=(cayley, active, n, rho, cap, steps),
                jac=True,
                method="L-BFGS-B",
                options={"maxiter": iterations, "maxcor": 30, "ftol": 1e-16, "gtol": 1e-12},
            )
            if best is not None and found.fun >= best[0]:
                continue
            free, flat_F, flat_C = np.split(found.x, [cayley.count, cayley.count + active * n])
            F_u, C_u = np.zeros((states, n)), np.zeros((n, states))
            F_u[:active] = _capped(flat_F.reshape(active, n), cap)
            C_u[:, :active] = _capped(flat_C.reshape(n, active), cap)
            best = found.fun, RNN(cayley.matrix(free)[0], F_u, np.zeros(states), C_u)
    assert best is not None
    return Fit(best[1], float(np.sqrt(best[0])))


def _unpack(
    parameters: NDArray, cayley: _Cayley, cap: float | None
) -> tuple[NDArray, NDArray, NDArray, NDArray, NDArray]:
    size = len(cayley.base)
    parts = np.split(parameters, cayley.count + size * np.arange(4))
    free, F, b, C, h = parts
    return free, F, b if cap is None else cap * np.tanh(b), C, h


def _sigmoid_loss(
    parameters: NDArray, cayley: _Cayley, cap: float | None, x: NDArray, y: NDArray
) -> tuple[float, NDArray]:
    """x, y (time, trial). Mean square error and gradient."""
    size, (steps, trials) = len(cayley.base), x.shape
    free, F, b, C, h_init = _unpack(parameters, cayley, cap)
    W, inverse, rotation = cayley.matrix(free)
    states = np.empty((steps + 1, size, trials))
    states[0] = h_init[:, None]
    for step in range(steps):
        z = W @ states[step] + F[:, None] * x[step] + b[:, None]
        states[step + 1] = 0.5 * (1 + np.tanh(0.5 * z))
    residual = np.einsum("i,tij->tj", C, states[1:]) - y
    scaled = 2 * residual / residual.size
    of_C = np.einsum("tj,tij->i", scaled, states[1:])
    adjoint = np.zeros((size, trials))
    of_W, of_F, of_b = np.zeros((size, size)), np.zeros(size), np.zeros(size)
    for step in range(steps - 1, -1, -1):
        h = states[step + 1]
        of_z = (adjoint + C[:, None] * scaled[step]) * h * (1 - h)
        of_W += of_z @ states[step].T
        of_F += of_z @ x[step]
        of_b += of_z.sum(axis=1)
        adjoint = W.T @ of_z
    if cap is not None:
        of_b = of_b * (cap - b**2 / cap)
    gradient = [cayley.gradient(of_W, inverse, rotation), of_F, of_b, of_C, adjoint.sum(axis=1)]
    return float(np.mean(residual**2)), np.concatenate(gradient)


def fit_sigmoid(
    witness: RNN,
    states: int,
    bias_cap: float | None,
    x: NDArray,
    restarts: int = 3,
    iterations: int = 500,
    seed: int = 0,
) -> Fit:
    """The sigmoid URNN with N = ``states`` nearest to a scalar ``witness`` on the inputs x.

    W_u orthogonal; F, C, h(-1) free; |b_i| <= ``bias_cap``, or free for None. x (trial, time, 1).

    Returns:
        Fit: the network and its root mean square error on x.

    Raises:
        ArgumentError: a witness that is not scalar or not a sigmoid network.

    Status: measured, an upper bound on the least error; from about 5 states on the optimizer limits
    it.
    """
    if witness.activation != "sigmoid" or witness.hidden_units != 1:
        raise ArgumentError("the witness must be a scalar sigmoid network")
    inputs, target = x[..., 0].T, (witness(x) - witness.d)[..., 0].T
    best: tuple[float, NDArray, _Cayley] | None = None
    for restart in range(restarts):
        generator = np.random.default_rng([seed, states, restart])
        cayley = _Cayley(_random_orthogonal(generator, states, (-1.0) ** restart))
        normal = generator.standard_normal((3, states))
        start = np.concatenate(
            [np.zeros(cayley.count), 2 * normal[0], normal[1], normal[2], np.full(states, 0.5)]
        )
        found = minimize(
            _sigmoid_loss,
            start,
            args=(cayley, bias_cap, inputs, target),
            jac=True,
            method="L-BFGS-B",
            options={"maxiter": iterations, "maxcor": 30, "ftol": 1e-18, "gtol": 1e-14},
        )
        if best is None or found.fun < best[0]:
            best = found.fun, found.x, cayley
    assert best is not None
    free, F, b, C, h_init = _unpack(best[1], best[2], bias_cap)
    W = best[2].matrix(free)[0]
    network = RNN(W, F[:, None], b, C[None], h_init, "sigmoid", d=witness.d)
    return Fit(network, float(np.sqrt(best[0])))
