"""Every set of transitions with every variant of its options, and stacks of their members."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from urnn.transition import POINT
from urnn.transition.base import RealOrComplex, Transition


def family() -> dict[str, Transition]:
    """By name: each set with its defaults and with its other numbers, and what is special."""
    sets = {name: POINT.make(name) for name in POINT}
    for name, transition in list(sets.items()):
        if isinstance(transition, RealOrComplex):
            other = "real" if transition.is_complex else "complex"
            sets[f"{name}, {other}"] = POINT.make(name, field=other)
    return sets | {
        "eunn, capacity 2": POINT.make("eunn", capacity=2),
        "eunn, real, capacity 3": POINT.make("eunn", field="real", capacity=3),
        "eunn, fft": POINT.make("eunn", fft=True),
        "eunn, real, fft": POINT.make("eunn", field="real", fft=True),
    }


FAMILY = family()


@pytest.fixture(scope="session")
def sets() -> dict[str, Transition]:
    """All of them, by name."""
    return FAMILY


@pytest.fixture(params=FAMILY)
def name(request: pytest.FixtureRequest) -> str:
    """The name of each."""
    return str(request.param)


@pytest.fixture
def transition(name: str) -> Transition:
    """Each of them."""
    return FAMILY[name]


@pytest.fixture(scope="session")
def stack() -> Callable[..., NDArray]:
    """A function that draws p of replicas, away from special points such as X = 0; float64."""

    def draw(
        transition: Transition, hidden_units: int, replicas: int = 3, seed: int = 0
    ) -> NDArray:
        random = np.random.default_rng(seed)
        drawn = [transition.initialise(random, hidden_units, "orthogonal") for _ in range(replicas)]
        p = transition.enter(np.stack(drawn).astype(np.float64), hidden_units, np)
        W, vjp = transition.matrix(p, hidden_units, np)
        change = -0.1 * vjp(random.standard_normal(W.shape))
        return np.asarray(transition.retract(p, change, hidden_units, np))

    return draw


@pytest.fixture(scope="session")
def as_complex() -> Callable[[NDArray], NDArray]:
    """A function that gives U (R, m, m) of its real form (R, 2m, 2m)."""
    return lambda W: W[:, ::2, ::2] + 1j * W[:, 1::2, ::2]
