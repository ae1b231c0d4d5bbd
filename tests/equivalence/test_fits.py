"""The fits: exact gradients, and upper bounds that keep what they promise."""

import numpy as np
import pytest
from scipy.optimize import approx_fprime

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
    _impulse_loss,
    _sigmoid_loss,
    fit_scaled_identity,
    fit_sigmoid,
)


def test_the_gradients_of_the_fits():
    generator = np.random.default_rng(0)
    base = np.linalg.qr(generator.standard_normal((4, 4)))[0]
    cayley = _Cayley(base)
    x, y = generator.uniform(-2, 2, (5, 6)), generator.uniform(0, 1, (5, 6))
    impulse = generator.standard_normal(cayley.count + 12)
    sigmoid = generator.standard_normal(cayley.count + 16)
    cases = [
        (impulse, lambda p: _impulse_loss(p, cayley, 3, 2, 0.6, 1.0, 8)),
        (sigmoid, lambda p: _sigmoid_loss(p, cayley, None, x, y)),
        (sigmoid, lambda p: _sigmoid_loss(p, cayley, 1.3, x, y)),
    ]
    for point, loss in cases:
        numeric = approx_fprime(point, lambda p, loss=loss: loss(p)[0], 1e-7)
        assert loss(point)[1] == pytest.approx(numeric, abs=1e-5)


def test_a_fit_keeps_its_budget_and_its_bound():
    fit = fit_scaled_identity(2, 3, 0.6, 4.0, restarts=1, iterations=100)
    urnn = fit.network
    assert unitarity_error(urnn.W) <= 1e-13
    assert weight_budget(urnn) <= 4 * (1 + 1e-12)
    first, second = jacobian_errors(urnn, 0.6, np.any(urnn.C != 0, axis=0))
    assert second + 0.6 * first >= weight_budget_bound(0.6, weight_budget(urnn), first) - 1e-12
    with pytest.raises(ValueError, match="states"):
        fit_scaled_identity(3, 2, 0.6, 4.0)


def test_no_fit_at_the_fixed_scale_is_better_than_the_closed_form():
    fit = fit_scaled_identity(3, 4, 0.6, 1.0, restarts=1, iterations=100)
    assert fit.error >= fixed_scale_distance(0.6 * np.eye(3), 4)[0]


def test_a_capped_fit_keeps_its_cap():
    x = np.random.default_rng(0).uniform(-2, 2, (20, 12, 1))
    fit = fit_sigmoid(scalar_witness(gain=2.0), 2, 1.0, x, restarts=1, iterations=100)
    assert np.abs(fit.network.b).max() <= 1
    assert unitarity_error(fit.network.W) <= 1e-13
    assert 0 < fit.error < 0.02
    with pytest.raises(ValueError, match="scalar sigmoid"):
        fit_sigmoid(scalar_witness(activation="tanh"), 2, 1.0, x)
