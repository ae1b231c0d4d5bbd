"""The unitary sets of the references: formulas, counts, gradients, and what they can reach."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.stats import ortho_group, special_ortho_group, unitary_group

from urnn.optimizers import OPTIMIZERS
from urnn.transition import NAMES, Transition, make
from urnn.transition.parametrised import real_form

#: every unitary set of the references, real and complex
FAMILY: dict[str, Transition] = {
    "arjovsky": make("arjovsky"),
    "eunn": make("eunn", True),
    "eunn, real": make("eunn"),
    "eunn, capacity 2": make("eunn", True, capacity=2),
    "eunn, real, capacity 3": make("eunn", capacity=3),
    "eunn, fft": make("eunn", True, fft=True),
    "eunn, real, fft": make("eunn", fft=True),
    "full_capacity": make("full_capacity", True),
    "full_capacity, real": make("full_capacity"),
    "matrix_exp": make("matrix_exp"),
    "matrix_exp, complex": make("matrix_exp", True),
    "cayley": make("cayley"),
    "cayley, complex": make("cayley", True),
    "householder": make("householder"),
}
COMPLEX = [
    *("arjovsky", "eunn", "eunn, capacity 2", "eunn, fft", "full_capacity"),
    *("matrix_exp, complex", "cayley, complex"),
]
DIRECT = ("free", "contractive", "unitary")


def stack(transition: Transition, units: int, replicas: int = 3, seed: int = 0) -> NDArray:
    """p of replicas that differ, away from special points such as X = 0; float64."""
    random = np.random.default_rng(seed)
    p = np.stack([transition.initial(random, units, "orthogonal") for _ in range(replicas)])
    W, pullback = transition.matrix(p, units, np)
    return transition.move(p, -0.1 * pullback(random.standard_normal(W.shape)), np)


def as_complex(W: NDArray) -> NDArray:
    """U (R, m, m) of its real form (R, 2m, 2m)."""
    return W[:, ::2, ::2] + 1j * W[:, 1::2, ::2]


def test_the_real_form_keeps_products_and_interleaves() -> None:
    random = np.random.default_rng(0)
    U, V = random.standard_normal((2, 4, 3, 3)) + 1j * random.standard_normal((2, 4, 3, 3))
    form = lambda X: real_form(X.real, X.imag, np)
    np.testing.assert_allclose(form(U) @ form(V), form(U @ V))
    np.testing.assert_array_equal(form(U.conj().mT), form(U).mT)
    z = random.standard_normal((4, 3, 1)) + 1j * random.standard_normal((4, 3, 1))
    pairs = lambda z: np.stack([z.real, z.imag], 2).reshape(4, 6, 1)
    np.testing.assert_allclose(form(U) @ pairs(z), pairs(U @ z))
    np.testing.assert_array_equal(as_complex(form(U)), U)


@pytest.mark.parametrize("name", FAMILY)
@pytest.mark.parametrize("units", [4, 8])
def test_every_p_gives_a_unitary_matrix_and_the_identity_is_there(name: str, units: int) -> None:
    transition = FAMILY[name]
    if "capacity" in name and units == 4:
        units = 12
    p = stack(transition, units)
    assert p.shape == (3, transition.size(units))
    W, _ = transition.matrix(p, units, np)
    assert W.shape == (3, units, units) and W.dtype == np.float64
    np.testing.assert_allclose(W.mT @ W, np.broadcast_to(np.eye(units), W.shape), atol=1e-13)
    assert transition.violation(W, np).max() < 1e-13
    assert len({matrix.tobytes() for matrix in W}) == 3
    if name in COMPLEX:
        U = as_complex(W)
        np.testing.assert_array_equal(W, real_form(U.real, U.imag, np))
    for dtype, tolerance in [(np.float32, 1e-6), (np.float64, 1e-14)]:
        start = transition.initial(np.random.default_rng(1), units, "identity")[None]
        W, _ = transition.matrix(start.astype(dtype), units, np)
        assert W.dtype == dtype
        np.testing.assert_allclose(W[0], np.eye(units), atol=tolerance)


def test_numbers_of_parameters_are_the_sources_formulas() -> None:
    n, m = 16, 8
    formulas = {
        "arjovsky": 7 * m,
        "eunn": m * m,
        "eunn, real": n * (n - 1) // 2,
        "eunn, capacity 2": 2 * (m - 1) + m,
        "eunn, real, capacity 3": 2 * n // 2 + (n // 2 - 1),  # layers A, B, A
        "eunn, fft": m * 3 + m,
        "eunn, real, fft": n // 2 * 4,
        "full_capacity": m * m,
        "full_capacity, real": n * (n - 1) // 2,
        "matrix_exp": n * (n - 1) // 2,
        "matrix_exp, complex": m * m,
        "cayley": n * (n - 1) // 2,
        "cayley, complex": m * m,
        "householder": n * (n - 1) // 2,
    }
    assert {name: FAMILY[name].degrees_of_freedom(n) for name in FAMILY} == formulas
    assert make("eunn", True).degrees_of_freedom(14) == 7 * 7  # an odd number of complex units
    assert [make(name).degrees_of_freedom(n) for name in DIRECT] == [n * n, n * n, n * (n - 1) // 2]
    assert {*DIRECT, *(name.split(",")[0] for name in FAMILY)} == set(NAMES)
    with pytest.raises(ValueError, match="transition must be one of free"):
        make("unit")


@pytest.mark.parametrize("name", FAMILY)
def test_as_many_directions_as_degrees_of_freedom(name: str) -> None:
    """The rank of dW/dp, which the formula bounds; Arjovsky's scales of v do nothing."""
    transition, units = FAMILY[name], 24 if name == "arjovsky" else 8
    p = stack(transition, units, 1)
    entries = units * units
    _, pullback = transition.matrix(np.repeat(p, entries, 0), units, np)
    pulled = pullback(np.eye(entries).reshape(entries, units, units))
    rank = np.linalg.matrix_rank(pulled, tol=1e-9)
    if name.startswith("full_capacity"):  # p is W; its steps, not p, stay in the set
        assert rank == transition.size(units)
    elif name == "arjovsky":
        assert 4 * units // 2 < rank < transition.degrees_of_freedom(units)
    else:
        assert rank <= transition.degrees_of_freedom(units)
        if "fft" not in name and "capacity" not in name:
            assert rank == transition.degrees_of_freedom(units)


@pytest.mark.parametrize("name", FAMILY)
def test_the_pullback_is_the_gradient(name: str) -> None:
    transition, units = FAMILY[name], 8
    p = stack(transition, units)
    random = np.random.default_rng(1)
    W, pullback = transition.matrix(p, units, np)
    outer = random.standard_normal(W.shape)
    gradient = pullback(outer)
    assert gradient.shape == p.shape and gradient.dtype == np.float64
    fixed = 4 if name == "arjovsky" else 0  # the permutation is whole numbers
    changes = []
    for k in range(p.shape[1] - fixed):
        step = np.zeros_like(p)
        step[:, k] = 1e-6
        both = [transition.matrix(p + sign * step, units, np)[0] for sign in (1, -1)]
        changes.append(((both[0] - both[1]) * outer).sum((1, 2)) / 2e-6)
    expected = np.stack(changes, 1)
    if "matrix_exp" in name or "cayley" in name or name == "householder":
        expected[:, transition.degrees_of_freedom(units) :] = 0  # the base is not trained
    np.testing.assert_allclose(gradient[:, : expected.shape[1]], expected, atol=2e-8)
    assert not gradient[:, expected.shape[1] :].any()


@pytest.mark.parametrize("name", FAMILY)
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_row_is_the_same_bits_in_every_stack_and_nan_stays_alone(name: str, dtype: Any) -> None:
    transition, units = FAMILY[name], 8
    p = stack(transition, units, 7).astype(dtype)
    outer = np.random.default_rng(1).standard_normal((7, units, units)).astype(dtype)

    def all_of(p: NDArray, outer: NDArray) -> list[NDArray]:
        W, pullback = transition.matrix(p, units, np)
        gradient = pullback(outer)
        return [W, gradient, transition.move(p.copy(), -dtype(0.1) * gradient, np)]

    expected = all_of(p, outer)
    for rows in (slice(0, 1), slice(6, 7), slice(2, 5), slice(None, None, -1)):
        for whole, part in zip(expected, all_of(p[rows], outer[rows]), strict=True):
            np.testing.assert_array_equal(whole[rows], part)
    outer[3] = np.nan
    others = [0, 1, 2, 4, 5, 6]
    for clean, spoilt in zip(expected, all_of(p, outer), strict=True):
        np.testing.assert_array_equal(clean[others], spoilt[others])


@pytest.mark.parametrize("name", [*FAMILY, "unitary"])
def test_unitary_after_a_thousand_steps(name: str) -> None:
    transition, units = FAMILY.get(name) or make(name), 4
    if "capacity" in name:
        units = 6
    random = np.random.default_rng(0)
    for dtype, tolerance in [(np.float32, 1e-5), (np.float64, 1e-12)]:
        p = transition.initial(random, units, "orthogonal")[None].astype(dtype)
        optimizer = OPTIMIZERS["rmsprop"](p, np)
        for _ in range(1000):
            W, pullback = transition.matrix(p, units, np)
            gradient = pullback(random.standard_normal(W.shape).astype(dtype))
            p = transition.move(p, optimizer.update(gradient, 0.01).astype(dtype), np)
        W, _ = transition.matrix(p, units, np)
        assert W.dtype == dtype
        error = W.astype(float).mT @ W.astype(float) - np.eye(units)
        assert np.linalg.norm(error, 2, axis=(1, 2)) < tolerance


def test_arjovskys_product_is_the_explicit_one() -> None:
    transition, m = FAMILY["arjovsky"], 5
    p = stack(transition, 2 * m)
    W, _ = transition.matrix(p, 2 * m, np)
    F = np.exp(-2j * np.pi / m * np.outer(np.arange(m), np.arange(m))) / np.sqrt(m)
    for row, U in zip(p, as_complex(W), strict=True):
        D1, D2, D3 = (np.diag(np.exp(1j * w)) for w in row[: 3 * m].reshape(3, m))
        parts = row[3 * m : 7 * m].reshape(2, 2, m)
        v = [real + 1j * imaginary for real, imaginary in parts]
        R1, R2 = (np.eye(m) - 2 * np.outer(a, a.conj()) / np.vdot(a, a) for a in v)
        order = row[7 * m :].astype(int)
        assert sorted(order) == list(range(m))
        P = np.eye(m)[order]
        np.testing.assert_allclose(U, D3 @ R2 @ F.conj().T @ D2 @ P @ R1 @ F @ D1, atol=1e-14)


def test_a_layer_of_eunn_is_the_sources_rotation() -> None:
    for fft in (False, True):
        transition = make("eunn", True, None if fft else 2, fft)
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


@pytest.mark.parametrize("complex_valued", [True, False])
def test_eunn_of_full_capacity_reaches_a_random_target(complex_valued: bool) -> None:
    random, m = np.random.default_rng(0), 6
    if complex_valued:
        U = unitary_group.rvs(m, random_state=random)
        target = real_form(U.real[None], U.imag[None], np)
    else:
        target = special_ortho_group.rvs(m, random_state=random)[None]  # rotations: det = 1
    units = target.shape[1]

    def reached(transition: Transition) -> float:
        def loss(p: NDArray) -> tuple[float, NDArray]:
            W, pullback = transition.matrix(p[None], units, np)
            return float(((W - target) ** 2).sum()), pullback(2 * (W - target))[0]

        options = {"maxiter": 3000, "ftol": 0, "gtol": 1e-11}
        errors = []
        for _ in range(4):  # a start may end in another minimum
            start = transition.initial(random, units, "orthogonal")
            p = minimize(loss, start, jac=True, method="L-BFGS-B", options=options).x
            errors.append(np.abs(transition.matrix(p[None], units, np)[0] - target).max())
            if errors[-1] < 1e-6:
                break
        return min(errors)

    assert reached(make("eunn", complex_valued)) < 1e-6
    assert reached(make("eunn", complex_valued, capacity=2)) > 1e-2


@pytest.mark.parametrize("name", ["full_capacity", "full_capacity, real"])
def test_the_cayley_step_is_the_sources_stays_unitary_and_descends(name: str) -> None:
    transition, units = FAMILY[name], 8
    random = np.random.default_rng(0)
    p = stack(transition, units, 2)
    W, _ = transition.matrix(p, units, np)
    target = ortho_group.rvs(units, random_state=random)
    if name in COMPLEX:
        U = unitary_group.rvs(units // 2, random_state=random)
        target = real_form(U.real[None], U.imag[None], np)[0]
    losses = []
    for step in range(200):
        W, pullback = transition.matrix(p, units, np)
        losses.append(((W - target) ** 2).sum((1, 2)))
        gradient = pullback(2 * (W - target))
        p = transition.move(p, -0.02 * gradient, np)
        if step == 0:
            U = as_complex(W) if name in COMPLEX else W
            G = gradient.reshape(2, -1, units // 2, units // 2)
            G = G[:, 0] + 1j * G[:, 1] if name in COMPLEX else gradient.reshape(W.shape)
            A = 0.02 * (G @ U.conj().mT - U @ G.conj().mT)
            one = np.eye(U.shape[-1])
            expected = np.linalg.solve(one + A / 2, (one - A / 2) @ U)
            W, _ = transition.matrix(p, units, np)
            moved = as_complex(W) if name in COMPLEX else W
            np.testing.assert_allclose(moved, expected, atol=1e-13)
        assert transition.violation(transition.matrix(p, units, np)[0], np).max() < 1e-13
    assert np.all(np.diff(losses, axis=0) < 1e-12)
    if name in COMPLEX:  # U(m) is connected; O(n) is not, so the real target may be out of reach
        assert np.all(losses[-1] < 1e-3 * losses[0])


def test_torchs_maps_are_torchs() -> None:
    torch = pytest.importorskip("torch")
    for name in ("matrix_exp", "cayley", "householder"):
        transition = make(name)
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


def test_torch_tensors_give_the_same_as_numpy() -> None:
    torch = pytest.importorskip("torch")
    for name, transition in FAMILY.items():
        p = stack(transition, 8)
        outer = np.random.default_rng(1).standard_normal((3, 8, 8))
        results = []
        for xp, array in ((np, np.asarray), (torch, torch.tensor)):
            W, pullback = transition.matrix(array(p), 8, xp)
            gradient = pullback(array(outer))
            moved = transition.move(array(p.copy()), -0.1 * gradient, xp)
            results.append([np.asarray(part) for part in (W, gradient, moved)])
        for ours, theirs in zip(*results, strict=True):
            np.testing.assert_allclose(ours, theirs, atol=1e-13, err_msg=name)
