"""Random problems for the backends, and how closely a backend has to agree with the reference.

A test with an argument ``cell`` runs for every cell with each of its options, and one with
``plain_cell`` for every cell with its defaults.
"""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from urnn.recurrence import Spec, backend, pack, parameter_shapes, unpack
from urnn.recurrence.cells import POINT
from urnn.recurrence.cells.base import Cell

CPU, REFERENCE = backend("cpu"), backend("reference")
Problem = tuple[NDArray, NDArray, NDArray, NDArray, NDArray]


CELLS = [cell for name in POINT for cell in POINT.variants(name)]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "cell" in metafunc.fixturenames:
        metafunc.parametrize("cell", CELLS, ids=lambda cell: cell.tag)
    if "plain_cell" in metafunc.fixturenames:
        metafunc.parametrize("plain_cell", [POINT.make(name) for name in POINT], ids=list(POINT))


def largest_norm(cell: Cell) -> float:
    """Of W, so that the network is contractive, and float32 and float64 stay together."""
    return 0.9 if cell.gates == 1 else 2.0


def problem(spec: Spec, replicas: int, batch: int, time: int, seed: int = 0) -> Problem:
    """theta, x, y, dataset, trials; a twentieth of the targets of squared errors is missing."""
    random = np.random.default_rng(seed)
    parameters = {
        name: random.standard_normal((replicas, *shape))
        for name, shape in parameter_shapes(spec).items()
    }
    norm = np.linalg.norm(parameters["W"], 2, axis=(1, 2))
    parameters["W"] *= largest_norm(spec.cell) / norm[:, None, None]
    theta = pack(spec, parameters).astype(np.float32)
    x = random.standard_normal((2, batch + 2, time, spec.input_size)).astype(np.float32)
    y = random.standard_normal((2, batch + 2, time, spec.output_size)).astype(np.float32)
    y[random.random(y.shape) < 0.05] = np.nan
    if spec.loss == "cross_entropy":
        y = random.integers(spec.output_size, size=(2, batch + 2))
    dataset = random.integers(2, size=replicas)
    trials = np.stack([random.permutation(batch + 2)[:batch] for _ in range(replicas)])
    return theta, x, y, dataset, trials


def step(where: Any, spec: Spec, data: Problem) -> tuple[NDArray, NDArray]:
    """Loss and gradient of a backend."""
    theta, x, y, dataset, trials = data
    arrays = (where.asarray(a) for a in (theta, x, y))
    loss, gradient = where.step(spec)(*arrays, dataset, trials)
    return where.to_numpy(loss).copy(), where.to_numpy(gradient).copy()


def kinks(spec: Spec, data: Problem) -> bool:
    """Whether a ReLU is so close to its kink that float32 may fall on its other side.

    Or a complex state so close to 0, where modrelu jumps, that its direction is lost.
    """
    activation = getattr(spec.cell, "activation", None)
    if activation not in ("relu", "modrelu"):
        return False
    theta, x, _, dataset, trials = data
    parts = unpack(spec, theta.astype(float))
    for r in range(len(theta)):
        h = np.broadcast_to(parts["h_init"][r], (trials.shape[1], spec.hidden_units))
        for t in range(x.shape[2]):
            z = h @ parts["W"][r].T + x[dataset[r], trials[r], t].astype(float) @ parts["F"][r].T
            if activation == "modrelu":
                modulus = np.hypot(z[:, ::2], z[:, 1::2])
                opened = modulus + parts["b"][r]
                if min(np.abs(opened).min(), modulus.min() / 100) < 1e-5:
                    return True
                h = np.repeat(np.maximum(opened, 0) / modulus, 2, axis=1) * z
            else:
                z += parts["b"][r]
                if np.abs(z).min() < 1e-5:
                    return True
                h = np.maximum(z, 0)
    return False


def usable(spec: Spec, replicas: int, batch: int, time: int, seed: int) -> Problem:
    """The first problem from this seed on that has no pre-activation at a kink."""
    for shift in range(100):
        data = problem(spec, replicas, batch, time, seed + shift)
        if not kinks(spec, data):
            return data
    raise AssertionError("no problem without a pre-activation near 0")


def agree(spec: Spec, data: Problem, tolerance: float = 1e-5) -> None:
    """The loss, every gradient and the outputs of the CPU backend are those of float64."""
    loss, gradient = step(CPU, spec, data)
    exact_loss, exact_gradient = step(REFERENCE, spec, data)
    np.testing.assert_allclose(loss, exact_loss, rtol=tolerance)
    ours, exact = unpack(spec, gradient), unpack(spec, exact_gradient)
    assert set(ours) == set(parameter_shapes(spec))
    for name in ours:
        for r in range(len(loss)):
            error = np.abs(ours[name][r] - exact[name][r]).max()
            # one that has vanished on its way back cannot be closer than the rounding of the others
            size = max(np.abs(exact[name][r]).max(), 1e-2 * np.abs(exact_gradient[r]).max())
            assert error <= tolerance * size, (name, r)
    theta, x, _, dataset, _ = data
    y = CPU.outputs(spec, theta, x, dataset)
    exact_y = REFERENCE.to_numpy(REFERENCE.outputs(spec, theta, x, dataset))
    np.testing.assert_allclose(y, exact_y, atol=tolerance * np.abs(exact_y).max())


def exact_near_zero(where: Any, size: float) -> None:
    """modrelu of complex states of this modulus: its gradients, each relative to its own size."""
    modrelu = POINT.make("rnn", activation="modrelu")
    spec = Spec(modrelu, 6, 1, 2)
    theta, x, y, dataset, trials = problem(spec, 3, 4, 1, seed=3)
    parts = {name: values.copy() for name, values in unpack(spec, theta).items()}
    parts["h_init"][:], parts["b"][:] = 0, np.abs(parts["b"])
    data = pack(spec, parts), (x * size).astype(np.float32), y, dataset, trials
    _, gradient = step(where, spec, data)
    _, exact = step(REFERENCE, spec, data)
    ours, theirs = unpack(spec, gradient), unpack(spec, exact)
    for name in ("F", "b", "C", "h_init"):
        np.testing.assert_allclose(
            ours[name], theirs[name], rtol=1e-4, atol=1e-5 * np.abs(theirs[name]).max(),
            err_msg=f"{name} at {size}",
        )  # fmt: skip
    outputs = where.to_numpy(
        where.outputs(spec, where.asarray(data[0]), where.asarray(data[1]), dataset)
    )
    expected = REFERENCE.to_numpy(REFERENCE.outputs(spec, data[0], data[1], dataset))
    np.testing.assert_allclose(outputs, expected, atol=1e-5 * np.abs(expected).max())


@pytest.fixture(scope="session")
def problems() -> SimpleNamespace:
    """The functions above."""
    parts: list[Callable] = [problem, usable, step, agree, exact_near_zero, largest_norm]
    return SimpleNamespace(**{part.__name__: part for part in parts})
