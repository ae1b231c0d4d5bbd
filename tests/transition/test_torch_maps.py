"""torch's parametrisations: the matrix exponential, the Cayley map, Householder reflections."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray

from urnn.transition import POINT

MAPS = ("matrix_exp", "cayley", "householder")


@pytest.mark.parametrize("name", MAPS)
def test_torchs_maps_are_torchs(name: str, stack: Callable[..., NDArray]) -> None:
    torch = pytest.importorskip("torch")
    transition = POINT.make(name)
    p = stack(transition, 6, 1)
    module = torch.nn.Linear(6, 6, bias=False, dtype=torch.float64)
    module.weight.data = torch.tensor(p[0, 15:].reshape(6, 6))
    torch.nn.utils.parametrizations.orthogonal(module, orthogonal_map=name)
    np.testing.assert_allclose(
        module.weight.detach(),
        transition.matrix(0 * p + p * (np.arange(51) >= 15), 6, np)[0][0],
    )
    X = module.parametrizations.weight.original
    with torch.no_grad():
        X[tuple(torch.tril_indices(6, 6, -1))] = torch.tensor(p[0, :15])
    np.testing.assert_allclose(
        module.weight.detach(), transition.matrix(p, 6, np)[0][0], atol=1e-14
    )


def test_numbers_of_parameters_are_the_dimensions() -> None:
    n, m = 16, 8
    for name in MAPS:
        assert POINT.make(name).degrees_of_freedom(n) == n * (n - 1) // 2
    for name in MAPS[:2]:
        assert POINT.make(name, field="complex").degrees_of_freedom(n) == m * m
