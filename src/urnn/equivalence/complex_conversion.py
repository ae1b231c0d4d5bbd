"""A real contractive ReLU network with n states as a complex unitary one with n states.

With W = U S V^T and G = sqrt(I - S^2), Z = U (S + i E G) V^T is unitary for every diagonal E of
signs, and its real part is W. Biases keep the imaginary parts of the states at 0.

Source: docs/theorems.md, Real and complex (PROVED, beyond the paper).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from urnn.equivalence.bias import Admitted, limits, refusal
from urnn.equivalence.checks import real_relu_network
from urnn.equivalence.state_bounds import MARGIN, norm_tolerance
from urnn.errors import ArgumentError
from urnn.rnn import RNN


def complex_completions(W: NDArray) -> list[NDArray]:
    """Unitary Z (n, n) with Re Z = W, for E = I and E = -I; ||W||_2 <= 1.

    Singular values within 4 n eps of 1 count as 1.

    Raises:
        ArgumentError: W is expansive.
    """
    tolerance = norm_tolerance(len(W))
    left, singular, right = np.linalg.svd(W)
    if singular[0] > 1 + tolerance:
        raise ArgumentError(
            f"W is expansive: ||W||_2 = {singular[0]:.6g} > 1, but no real part of a unitary "
            "matrix is"
        )
    singular = np.where(1 - singular <= tolerance, 1.0, singular)
    imaginary = (left * np.sqrt((1 - singular) * (1 + singular))) @ right
    return [W + 1j * imaginary, W - 1j * imaginary]


def complex_unitary(rnn: RNN, scaled: RNN, scale: NDArray, admitted: Admitted) -> RNN:
    """Z = U (S + i E G) V^T, F_u = F, b_u = b - i beta, C_u = C, h_u(-1) = h(-1), CReLU.

    beta_i >= sup_k (Im Z h(k))_i: the imaginary part of each pre-activation is not positive, so all
    states stay real. In the coordinates of ``scaled``, D h with D = diag(scale).

    Raises:
        ArgumentError: not a real ReLU network, an expansive W, or no bound on the states is known.
    """
    real_relu_network(rnn, "complex equivalents with n states")
    completions = complex_completions(scaled.W)
    rows = np.concatenate([Z.imag for Z in completions])  # the states are bounded once for both
    found = np.split(limits(rows, rnn, scaled, scale, admitted), len(completions))
    Z, off = min(zip(completions, found, strict=True), key=lambda pair: float(pair[1].sum()))
    if not np.isfinite(off).all():
        raise refusal(scaled, admitted.input_bound)
    return scaled.replace(W=Z, b=scaled.b - 1j * (off * (1 + MARGIN)))
