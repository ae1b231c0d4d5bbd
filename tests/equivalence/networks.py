"""Random unitary networks for the tests of the lower bounds."""

from __future__ import annotations

import numpy as np

from urnn import RNN


def orthogonal(generator: np.random.Generator, size: int) -> np.ndarray:
    return np.linalg.qr(generator.standard_normal((size, size)))[0]


def random_urnn(generator: np.random.Generator) -> RNN:
    """A URNN with 1 to 7 states; often a signed permutation, or with units that stand apart."""
    size = int(generator.integers(1, 8))
    inner = int(generator.integers(1, size + 1))
    m, p = (int(generator.integers(1, inner + 2)) for _ in range(2))
    W = orthogonal(generator, size)
    if generator.random() < 0.3:
        W = np.eye(size)[generator.permutation(size)] * generator.choice([-1.0, 1.0], size)
    F, C = generator.standard_normal((size, m)), generator.standard_normal((p, size))
    if generator.random() < 0.5:
        F[generator.random(size) < 0.4] = 0
    if generator.random() < 0.5:
        C[:, generator.random(size) < 0.4] = 0
    return RNN(W, F, generator.standard_normal(size), C, generator.standard_normal(size))
