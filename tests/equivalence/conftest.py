"""Random contractive systems for the tests of the theorems."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from urnn import RNN


def contraction(generator: np.random.Generator, size: int, regime: str, kind: str) -> NDArray:
    """W with a prescribed spectral norm: regime is what is done to the singular values."""
    A = generator.standard_normal((size, size))
    if kind == "complex":
        A = A + 1j * generator.standard_normal((size, size))
    left, singular, right = np.linalg.svd(A)
    values = {
        "0.9": 0.9 * singular / singular[0],
        "1 - 1e-8": (1 - 1e-8) * singular / singular[0],
        "all near 1": 1 - 1e-12 * generator.uniform(0.95, 1, size),
        "half at 1": np.where(np.arange(size) < (size + 1) // 2, 1, generator.uniform(0, 0.99)),
        "exactly 1": singular / singular[0],
    }[regime]
    return (left * values) @ right


@pytest.fixture(scope="session")
def make_rnn() -> Callable[..., RNN]:
    """(generator, size, regime, ...) -> a random network; h_init and d are not zero."""

    def make(
        generator: np.random.Generator,
        size: int,
        regime: str = "0.9",
        inputs: int = 2,
        activation: str = "relu",
        kind: str = "real",
        start: float = 3.0,
    ) -> RNN:
        def normal(*shape: int) -> NDArray:
            value = generator.standard_normal(shape)
            return value + 1j * generator.standard_normal(shape) if kind == "complex" else value

        b = normal(size)
        if activation == "modrelu":
            b = -np.abs(b.real)
        return RNN(
            contraction(generator, size, regime, kind),
            normal(size, inputs),
            b,
            normal(2, size),
            start * normal(size),
            activation,
            d=[0.7, -1.3],
        )

    return make


@pytest.fixture(scope="session")
def vertices() -> Callable[..., NDArray]:
    """(generator, shape, bound, norm) -> inputs on the boundary of {||x|| <= bound}."""

    def draw(
        generator: np.random.Generator, shape: tuple[int, ...], bound: float, norm: float
    ) -> NDArray:
        if norm == np.inf:
            return bound * generator.choice([-1.0, 1.0], shape)
        x = generator.standard_normal(shape)
        return bound * x / np.linalg.norm(x, axis=-1, keepdims=True)

    return draw
