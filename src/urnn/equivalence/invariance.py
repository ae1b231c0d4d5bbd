"""Changes of Theta that leave the map y = G(x, Theta) as it is (or scale it by a known factor).

Each function takes a network and returns a network. The docstring says for which activations the
map stays the same; a network with another activation is refused. All are PROVED, a line each, in
docs/theorems.md, Changes of the parameters that keep the map. `positive_scaling` is the one that
`to_unitary` uses. What a docstring does not name, such as d, stays as it is.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from urnn.errors import ArgumentError
from urnn.rnn import RNN

#: phi(a z; a b) = a phi(z; b) for every a > 0.
POSITIVELY_HOMOGENEOUS = ("relu", "modrelu", "identity")


def _require(rnn: RNN, allowed: tuple[str, ...], identity: str) -> None:
    if rnn.activation not in allowed:
        raise ArgumentError(
            f"{identity} leaves the map unchanged for {' and '.join(allowed)}, "
            f"not for {rnn.activation}"
        )


def _transformed(rnn: RNN, into: NDArray, back: NDArray) -> RNN:
    """(T W T', T F, T b, C T', T h) with T = into and T' = back."""
    return rnn.replace(
        W=into @ rnn.W @ back,
        F=into @ rnn.F,
        b=into @ rnn.b,
        C=rnn.C @ back,
        h_init=into @ rnn.h_init,
    )


def similarity(rnn: RNN, transform: ArrayLike) -> RNN:
    """(T W T^-1, T F, T b, C T^-1, T h): the same map for the identity activation.

    transform (n, n), invertible. The relative rounding error is about 1e-15 cond(T).

    Raises:
        ArgumentError: another activation (ReLU keeps only permutations and positive scalings).
    """
    _require(rnn, ("identity",), "a similarity")
    into = np.asarray(transform)
    return _transformed(rnn, into, np.linalg.inv(into))


def permutation(rnn: RNN, order: ArrayLike) -> RNN:
    """State i of the result is state order[i]: the same map for every activation.

    Raises:
        ArgumentError: ``order`` is not a permutation of 0 to n - 1.
    """
    order = np.asarray(order)
    if sorted(order.tolist()) != list(range(rnn.hidden_units)):
        raise ArgumentError(f"order must be a permutation of 0 to {rnn.hidden_units - 1}")
    return rnn.replace(
        W=rnn.W[np.ix_(order, order)],
        F=rnn.F[order],
        b=rnn.b[order],
        C=rnn.C[:, order],
        h_init=rnn.h_init[order],
    )


def _row_scaling(rnn: RNN, scale: NDArray) -> RNN:
    return rnn.replace(
        W=scale[:, None] * rnn.W / scale,
        F=scale[:, None] * rnn.F,
        b=scale * rnn.b,
        C=rnn.C / scale,
        h_init=scale * rnn.h_init,
    )


def positive_scaling(rnn: RNN, scale: ArrayLike) -> RNN:
    """(D W D^-1, D F, D b, C D^-1, D h), D = diag(scale) > 0: the same map for ReLU.

    Also for CReLU, modReLU and the identity. The outputs are the same bits if the scales are powers
    of two and nothing over- or underflows.

    Raises:
        ArgumentError: tanh or sigmoid, or a scale that is not a positive finite number.
    """
    _require(rnn, POSITIVELY_HOMOGENEOUS, "a positive scaling of the states")
    scale = np.asarray(scale, dtype=float)
    if scale.shape != (rnn.hidden_units,) or not np.all(np.isfinite(scale) & (scale > 0)):
        raise ArgumentError(f"scale must be {rnn.hidden_units} positive finite numbers")
    return _row_scaling(rnn, scale)


def sign_flips(rnn: RNN, signs: ArrayLike) -> RNN:
    """(S W S, S F, S b, C S, S h), S = diag(+-1): the same map for tanh, bit for bit.

    Also for the identity. Not for ReLU, and not for the sigmoid, where h -> 1 - h changes d too.

    Raises:
        ArgumentError: another activation, or a sign other than 1 and -1.
    """
    _require(rnn, ("tanh", "identity"), "a sign flip of states")
    signs = np.asarray(signs, dtype=float)
    if signs.shape != (rnn.hidden_units,) or not np.all(np.abs(signs) == 1):
        raise ArgumentError(f"signs must be {rnn.hidden_units} numbers 1 or -1")
    return _row_scaling(rnn, signs)


def homogeneity(rnn: RNN, factor: float) -> RNN:
    """Theta' = (W, F, a b, C, a h), for which G(a x, Theta') = a G(x, Theta), a = factor > 0.

    Raises:
        ArgumentError: tanh or sigmoid, or a factor that is not positive and finite.
    """
    _require(rnn, POSITIVELY_HOMOGENEOUS, "homogeneity")
    if not (np.isfinite(factor) and factor > 0):
        raise ArgumentError(f"factor must be positive and finite, but it is {factor!r}")
    return rnn.replace(b=factor * rnn.b, h_init=factor * rnn.h_init, d=factor * rnn.d)


def state_splitting(rnn: RNN, unit: int, angle: float) -> RNN:
    """h_i -> (cos(a) h_i, sin(a) h_i) with 0 < a < pi/2: n + 1 states and the same map.

    (L W L^T, L F, L b, C L^T, L h) with L^T L = I, for the positively homogeneous activations. The
    new state is the last one. L W L^T has the norm of W, but it is not orthogonal: its rank is n.

    Raises:
        ArgumentError: another activation, no such unit, or an angle outside (0, pi/2).
    """
    _require(rnn, POSITIVELY_HOMOGENEOUS, "splitting a state")
    if not 0 <= unit < rnn.hidden_units:
        raise ArgumentError(f"unit must be 0 to {rnn.hidden_units - 1}, but it is {unit}")
    if not 0 < angle < np.pi / 2:
        raise ArgumentError(f"angle must lie between 0 and pi/2, but it is {angle}")
    split = np.vstack([np.eye(rnn.hidden_units), np.zeros(rnn.hidden_units)])
    split[unit, unit], split[-1, unit] = np.cos(angle), np.sin(angle)
    return _transformed(rnn, split, split.T)


def direct_sum(first: RNN, second: RNN) -> RNN:
    """diag(W1, W2), [F1; F2], [b1; b2], [C1 C2], [h1; h2], d1 + d2: the sum of the two outputs.

    Any activation, the same one for both; the networks share their inputs.

    Raises:
        ArgumentError: the activations, input sizes or output sizes differ.
    """
    for name in ("activation", "input_size", "output_size"):
        if getattr(first, name) != getattr(second, name):
            raise ArgumentError(f"both networks must have the same {name}")
    apart = np.zeros((first.hidden_units, second.hidden_units))
    return RNN(
        np.block([[first.W, apart], [apart.T, second.W]]),
        np.vstack([first.F, second.F]),
        np.concatenate([first.b, second.b]),
        np.hstack([first.C, second.C]),
        np.concatenate([first.h_init, second.h_init]),
        first.activation,
        d=first.d + second.d,
    )


def restart(rnn: RNN, h_init: ArrayLike) -> RNN:
    """The same network with another h(-1): from a state that was reached, the map goes on."""
    return rnn.replace(h_init=h_init)
