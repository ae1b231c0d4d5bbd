"""The fits: exact gradients, and upper bounds that keep what they promise."""

import numpy as np
import pytest
from scipy.optimize import approx_fprime

from urnn import RNN
from urnn.equivalence import (
    fixed_scale_distance,
    jacobian_errors,
    scalar_witness,
    unitarity_error,
    weight_budget,
    weight_budget_bound,
)
from urnn.equivalence.fits import (
    _Cayley,
    _Impulses,
    _Sigmoids,
    fit_scaled_identity,
    fit_sigmoid,
)
from urnn.equivalence.least_squares import Normal, minimised


def members(number):
    """Starting points Q of a stack of that many fits with four states, and a source of numbers."""
    generator = np.random.default_rng(0)
    return generator, _Cayley(np.linalg.qr(generator.standard_normal((number, 4, 4)))[0])


def problems(number):
    """Both kinds of fit, (problems, points): with F and C within the cap and beyond it."""
    generator, cayley = members(number)
    x, y = generator.uniform(-2, 2, (5, 6)), generator.uniform(0, 1, (5, 6))
    entries = 0.3 * generator.standard_normal((number, cayley.count + 16))
    cap = np.linspace(0.2, 5, number)
    bias_cap = np.where(np.arange(number) % 2, 1.3, np.inf)
    yield _Impulses(cayley, cap, 3, 2, 0.6, 8), entries[:, : cayley.count + 12]
    yield _Sigmoids(cayley, bias_cap, x, y), entries


def test_the_gradients_of_the_fits():
    for fits, points in problems(4):
        everyone = np.arange(4)
        exact = fits(points, everyone)
        for member in everyone:
            one = np.array([member])
            numeric = approx_fprime(
                points[member], lambda p, one=one, fits=fits: fits(p[None], one).squares[0], 1e-7
            )
            assert 2 * exact.gradient[member] == pytest.approx(numeric, abs=1e-5)


def test_the_matrices_of_the_fits():
    """Where the residuals are 0, J^T J is half the second derivative of the squares."""
    generator, cayley = members(1)
    everyone = np.array([0])
    x = generator.uniform(-2, 2, (5, 6))
    point = 0.5 * generator.standard_normal((1, cayley.count + 16))
    free, F, b, C, h_init, _ = _Sigmoids(cayley, np.array([1.3]), x, x).split(point, everyone)
    W = cayley.matrix(free, everyone)[0][0]
    y = RNN(W, F.T, b[0], C, h_init[0], "sigmoid")(x.T[..., None])[..., 0].T
    impulses = _Impulses(cayley, np.array([2.0]), 2, 2, 0.6, 8)
    start = 0.5 * generator.standard_normal((1, cayley.count + 8))
    exact, squares = minimised(impulses, start, 100)
    assert squares[0] <= 1e-25
    for fits, at in ((_Sigmoids(cayley, np.array([1.3]), x, y), point), (impulses, exact)):
        found = fits(at, everyone)
        assert found.squares[0] <= 1e-25
        numeric = approx_fprime(
            at[0], lambda p, fits=fits: fits(p[None], everyone).gradient[0], 1e-7
        )
        assert found.matrix[0] == pytest.approx(numeric, abs=1e-5)


def test_a_member_of_a_stack_is_what_it_is_alone():
    for fits, points in problems(4):
        together = minimised(fits, points, 5)
        for member in range(4):
            alone = minimised(
                lambda p, m, member=member, fits=fits: fits(p, np.full_like(m, member)),
                points[[member]],
                5,
            )
            assert alone[0][0] == pytest.approx(together[0][member], rel=1e-6, abs=1e-8)
            assert alone[1][0] == pytest.approx(together[1][member], rel=1e-6)


def test_least_squares_reach_the_known_minima():
    """Rosenbrock's valley, and a line through three points: one exact, one with an error left."""
    x, y = np.array([0.0, 1.0, 2.0]), np.array([1.0, 0.0, 4.0])

    def both(points, which):
        residuals, jacobians = [], []
        for (a, b), kind in zip(points, which, strict=True):
            if kind == 0:
                residuals.append([1 - a, 10 * (b - a**2), 0])
                jacobians.append([[-1, 0], [-20 * a, 10], [0, 0]])
            else:
                residuals.append(a + b * x - y)
                jacobians.append(np.stack([np.ones(3), x], 1))
        r, J = np.array(residuals), np.array(jacobians, float)
        return Normal((r**2).sum(1), np.einsum("kqp,kq->kp", J, r), np.swapaxes(J, 1, 2) @ J)

    points, squares = minimised(both, np.array([[-1.2, 1.0], [5.0, 5.0]]), 200)
    assert points[0] == pytest.approx([1, 1], abs=1e-8)
    line, left = np.polynomial.polynomial.polyfit(x, y, 1, full=True)
    assert points[1] == pytest.approx(line, abs=1e-6)
    assert squares == pytest.approx([0, left[0][0]], abs=1e-9)


def test_a_fit_keeps_its_budget_and_its_bound():
    for budget, fit in zip((1.0, 4.0), fit_scaled_identity(2, 3, 0.6, [1.0, 4.0]), strict=True):
        urnn = fit.network
        assert unitarity_error(urnn.W) <= 1e-13
        assert weight_budget(urnn) <= budget * (1 + 1e-12)
        # units that are off have no F and no C
        on = np.any(urnn.F != 0, axis=1)
        powers = [np.linalg.matrix_power(urnn.W[np.ix_(on, on)], step) for step in range(24)]
        errors = [
            urnn.C[:, on] @ power @ urnn.F[on] - 0.6**step * np.eye(2)
            for step, power in enumerate(powers)
        ]
        assert fit.error == pytest.approx(np.linalg.norm(errors), rel=1e-9)
        first, second = jacobian_errors(urnn, 0.6, np.any(urnn.C != 0, axis=0))
        bound = weight_budget_bound(0.6, weight_budget(urnn), first)
        assert second + 0.6 * first >= bound - 1e-12
    with pytest.raises(ValueError, match="states"):
        fit_scaled_identity(3, 2, 0.6, [4.0])


def test_a_fit_with_enough_states_is_exact():
    assert fit_scaled_identity(2, 4, 0.6, [1.0])[0].error <= 1e-12


def test_no_fit_at_the_fixed_scale_is_better_than_the_closed_form():
    fit = fit_scaled_identity(3, 4, 0.6, [1.0], restarts=1, iterations=50)[0]
    assert fit.error >= fixed_scale_distance(0.6 * np.eye(3), 4)[0]


def test_a_capped_fit_keeps_its_cap():
    x = np.random.default_rng(0).uniform(-2, 2, (20, 12, 1))
    witness = scalar_witness(gain=2.0)
    capped, free = fit_sigmoid(witness, 2, (1.0, None), x, restarts=2, iterations=60)
    assert np.abs(capped.network.b).max() <= 1
    assert np.abs(free.network.b).max() > 1
    for fit in (capped, free):
        assert unitarity_error(fit.network.W) <= 1e-13
        measured = np.sqrt(np.mean((fit.network(x) - witness(x)) ** 2))
        assert fit.error == pytest.approx(measured, rel=1e-6, abs=1e-12)
    assert 0 < free.error < capped.error < 0.02
    with pytest.raises(ValueError, match="scalar sigmoid"):
        fit_sigmoid(scalar_witness(activation="tanh"), 2, [1.0], x)
