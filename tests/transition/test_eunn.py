"""The layers of rotations of Jing et al.: the sources' formulas, and what they can reach."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.stats import special_ortho_group, unitary_group

from urnn.errors import ConfigError
from urnn.matrices import real_form
from urnn.transition import POINT
from urnn.transition.base import Transition
from urnn.transition.eunn import EUNN


def eunn(field: str | None = None, capacity: int | None = None, fft: bool = False) -> EUNN:
    made = POINT.make("eunn", field=field, capacity=capacity, fft=fft)
    assert isinstance(made, EUNN)
    return made


def test_numbers_of_parameters_are_the_sources_formulas() -> None:
    n, m = 16, 8
    assert eunn().degrees_of_freedom(n) == m * m
    assert eunn("real").degrees_of_freedom(n) == n * (n - 1) // 2
    assert eunn(capacity=2).degrees_of_freedom(n) == 2 * (m - 1) + m
    layers_a_b_a = 2 * n // 2 + (n // 2 - 1)
    assert eunn("real", capacity=3).degrees_of_freedom(n) == layers_a_b_a
    assert eunn(fft=True).degrees_of_freedom(n) == m * 3 + m
    assert eunn("real", fft=True).degrees_of_freedom(n) == n // 2 * 4
    assert eunn().degrees_of_freedom(14) == 7 * 7  # an odd number of complex units


def test_a_layer_is_the_sources_rotation(
    stack: Callable[..., NDArray], as_complex: Callable[[NDArray], NDArray]
) -> None:
    for fft in (False, True):
        transition = eunn(capacity=None if fft else 2, fft=fft)
        p = stack(transition, 8, 1)
        layers = transition.layers(4)
        assert [pairs.T.tolist() for pairs in layers] == (
            [[[0, 1], [2, 3]], [[0, 2], [1, 3]]] if fft else [[[0, 1], [2, 3]], [[1, 2]]]
        )
        count = sum(pairs.shape[1] for pairs in layers)
        angles = iter(p[0, : 2 * count].reshape(2, count).T)
        U = np.eye(4, dtype=complex)
        for pairs in layers:
            for i, j in pairs.T:
                theta, phi = next(angles)
                R = np.eye(4, dtype=complex)
                R[[i, j], i] = np.exp(1j * phi) * np.array([np.cos(theta), np.sin(theta)])
                R[i, j], R[j, j] = -np.sin(theta), np.cos(theta)
                U = U @ R
        U = np.diag(np.exp(1j * p[0, 2 * count :])) @ U
        np.testing.assert_allclose(as_complex(transition.matrix(p, 8, np)[0])[0], U, atol=1e-14)


@pytest.mark.parametrize("field", ["complex", "real"])
def test_of_full_capacity_it_reaches_a_random_target(field: str) -> None:
    random, m = np.random.default_rng(0), 6
    if field == "complex":
        U = unitary_group.rvs(m, random_state=random)
        target = real_form(U.real[None], U.imag[None], np)
    else:
        target = special_ortho_group.rvs(m, random_state=random)[None]  # rotations: det = 1
    units = target.shape[1]

    def reached(transition: Transition) -> float:
        def loss(p: NDArray) -> tuple[float, NDArray]:
            W, vjp = transition.matrix(p[None], units, np)
            return float(((W - target) ** 2).sum()), vjp(2 * (W - target))[0]

        options = {"maxiter": 3000, "ftol": 0, "gtol": 1e-11}
        errors = []
        for _ in range(4):  # a start may end in another minimum
            start = transition.initialise(random, units, "orthogonal")
            p = minimize(loss, start, jac=True, method="L-BFGS-B", options=options).x
            errors.append(np.abs(transition.matrix(p[None], units, np)[0] - target).max())
            if errors[-1] < 1e-6:
                break
        return min(errors)

    assert reached(eunn(field)) < 1e-6
    assert reached(eunn(field, capacity=2)) > 1e-2


def test_sizes_and_options_that_it_cannot_have() -> None:
    assert eunn(capacity=4).size_problem(8) is None
    problem = eunn(capacity=5).size_problem(8)
    assert problem is not None
    assert problem.startswith("a capacity of 5 is more than the 4 complex units of eunn, and reach")
    problem = eunn("real", fft=True).size_problem(12)
    assert problem == "the FFT style of eunn needs a power of two of units, but it has 12"
    assert eunn("real", capacity=5).size_problem(5) is None
    with pytest.raises(ConfigError, match="give capacity or fft, not both"):
        eunn(capacity=2, fft=True)
