"""Rescue of an expansive W: the positive diagonal D that makes ||D W D^-1||_2 smallest.

A ReLU network keeps its map under h -> D h, D > 0 diagonal, so an expansive W converts whenever

    tau* = inf over positive diagonal D of ||D W D^-1||_2  < 1.

log ||e^T W e^-T|| is convex in T = log D, so tau* can be computed; and every X >= 0 with a positive
diagonal proves a lower bound (a dual certificate), so that a refusal can come with a proof.

Source: docs/theorems.md, Expansive networks (beyond the paper; the lower bound is PROVED).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from urnn.equivalence.checks import matrix
from urnn.equivalence.state_bounds import spectral_norm, spectral_radius
from urnn.errors import ArgumentError

#: Schatten exponents 2p on the way to the operator norm (p = 1 is Osborne's balancing).
_EXPONENTS = (1, 4, 16, 64, *(2**k for k in range(7, 15)))
#: Largest |log D|: where the infimum is not attained (triangular W), D would grow without bound.
_LARGEST_LOGARITHM = 300.0


@dataclass(frozen=True)
class DiagonalScaling:
    """The best positive diagonal found, and a proof of how good one can be.

    scale        D, positive, (n,), with geometric mean 1
    norm         ||D W D^-1||_2, an upper bound on tau*
    lower_bound  no positive diagonal reaches a norm below this
    certificate  X, positive semidefinite, (n, n), with
                 lower_bound^2 = min_i (W X W^H)_ii / X_ii; None where the spectral radius is the
                 better lower bound
    """

    scale: NDArray
    norm: float
    lower_bound: float
    certificate: NDArray | None


def _scaled(W: NDArray, logarithm: NDArray) -> NDArray:
    return np.exp(logarithm)[:, None] * W * np.exp(-logarithm)


def _schatten(logarithm: NDArray, W: NDArray, exponent: int) -> tuple[float, NDArray]:
    """(1/2p) log tr (M^H M)^p with M = e^T W e^-T, and its gradient in T."""
    left, singular, right = np.linalg.svd(_scaled(W, logarithm))
    weights = (singular / singular[0]) ** (2 * exponent)
    value = np.log(singular[0]) + np.log(weights.sum()) / (2 * exponent)
    gradient = np.abs(left) ** 2 @ weights - np.abs(right.T) ** 2 @ weights
    return float(value), gradient / weights.sum()


def dual_lower_bound(W: ArrayLike, certificate: ArrayLike) -> float:
    """sqrt(min_i (W X W^H)_ii / X_ii): no positive diagonal D has a smaller ||D W D^-1||_2.

    For every X = certificate >= 0 with a positive diagonal. PROVED: W^H G W <= tau^2 G with
    G = D^2 gives sum_i G_i (W X W^H)_ii <= tau^2 sum_i G_i X_ii, as the trace against X.

    Raises:
        ArgumentError: X is not positive semidefinite (to rounding) or has a zero on its diagonal.
    """
    W, certificate = matrix(W, square=True), matrix(certificate, "certificate", square=True)
    if W.shape != certificate.shape:
        raise ArgumentError(f"the certificate must have the shape {W.shape} of W")
    diagonal = np.diag(certificate).real
    if diagonal.min() > 0:
        root = np.sqrt(diagonal)  # whose products may underflow
        unit = certificate / root[:, None] / root
        positive = np.isfinite(unit).all() and (
            np.linalg.eigvalsh((unit + unit.conj().T) / 2)[0] >= -1e-10 * len(W)
        )
    if diagonal.min() <= 0 or not positive:
        raise ArgumentError(
            "the certificate must be positive semidefinite with a positive diagonal"
        )
    reached = np.einsum("ij,jk,ik->i", W, certificate, W.conj()).real
    return float(np.sqrt(max(0.0, (reached / diagonal).min())))


def _certificate(W: NDArray, logarithm: NDArray, exponent: int) -> NDArray:
    """X = e^-T (M^H M)^p e^-T, the multiplier of the p-th smooth problem, with largest entry 1."""
    _, singular, right = np.linalg.svd(_scaled(W, logarithm))
    weights = (singular / singular[0]) ** (2 * exponent)
    inverse = np.exp(-logarithm + logarithm.min())
    X = inverse[:, None] * ((right.conj().T * weights) @ right) * inverse
    return X / np.abs(X).max()


def best_scaling(W: ArrayLike, target: float | None = None) -> DiagonalScaling:
    """The positive diagonal D with the smallest ||D W D^-1||_2, with its dual certificate.

    Minimises (1/2p) log tr (M^H M)^p, M = e^T W e^-T, smooth and convex in T, by BFGS for
    p = 1, 4, ..., 2^14, each started from the one before. Stops as soon as the norm is at most
    ``target`` (default: only when norm and lower bound agree to 1e-10). W (n, n), real or complex.

    Raises:
        ArgumentError: W is not a square matrix of finite numbers.

    Returns:
        DiagonalScaling; norm >= tau* >= lower_bound always holds, also after an early stop.

    Status: the lower bound is PROVED up to rounding; that norm and bound meet is measured (to about
    six digits for Gaussian W, non-negative W and scaled contractions up to n = 32). For triangular
    W the infimum is the spectral radius and is not attained; the search then stops at a large,
    finite D.
    """
    from scipy.optimize import minimize  # slow to import, and needed for expansive W only

    W = matrix(W, square=True)
    size = len(W)
    logarithm = np.zeros(size)
    best_norm, best_logarithm = spectral_norm(W), logarithm
    lower, certificate = spectral_radius(W), None
    goal = -np.inf if target is None else target
    if best_norm == 0:
        return DiagonalScaling(np.ones(size), 0.0, 0.0, None)

    def stop_at_the_target(current: NDArray) -> None:
        if spectral_norm(_scaled(W, current)) <= goal:
            raise StopIteration  # towards an infimum that is not attained D grows without bound

    for exponent in _EXPONENTS:
        if best_norm <= goal or best_norm - lower <= 1e-10 * best_norm:
            break
        found = minimize(
            _schatten,
            logarithm,
            args=(W, exponent),
            jac=True,
            method="L-BFGS-B",
            callback=stop_at_the_target,
            bounds=[(-_LARGEST_LOGARITHM, _LARGEST_LOGARITHM)] * size,
            options={"maxiter": 500, "ftol": 1e-15, "gtol": 1e-12, "maxcor": 30},
        )
        logarithm = found.x - found.x.mean()
        norm = spectral_norm(_scaled(W, logarithm))
        if norm < best_norm:
            best_norm, best_logarithm = norm, logarithm
        X = _certificate(W, logarithm, exponent)
        try:
            bound = dual_lower_bound(W, X)
        except ArgumentError:  # underflow at extreme scales: no certificate from this step
            continue
        if bound > lower:
            lower, certificate = bound, X
    return DiagonalScaling(np.exp(best_logarithm), best_norm, min(lower, best_norm), certificate)
