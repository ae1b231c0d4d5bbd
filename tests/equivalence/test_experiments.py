"""The datasets behind the theory figures, at the smallest sizes, and the fits."""

import numpy as np
import pytest
import xarray as xr
from scipy.optimize import approx_fprime

from urnn import storage
from urnn.equivalence import (
    fixed_scale_distance,
    jacobian_errors,
    logarithmic_slope,
    scalar_witness,
    unitarity_error,
    weight_budget,
    weight_budget_bound,
)
from urnn.equivalence.experiments import cliff, state_counts, theorem1, theorem3
from urnn.equivalence.fits import (
    _Cayley,
    _impulse_loss,
    _sigmoid_loss,
    fit_scaled_identity,
    fit_sigmoid,
)


def assert_described(dataset: xr.Dataset, path) -> None:
    for variable in dataset.data_vars.values():
        assert variable.attrs["status"]
        assert variable.attrs["long_name"]
        assert variable.attrs["units"]
    storage.write(dataset, path)
    xr.testing.assert_identical(storage.read(path, list(dataset.data_vars)), dataset)


def test_theorem1(tmp_path):
    found = theorem1(hidden_units=(1, 6), systems=3, steps=50, bias_fractions=(0.999, 1.0, 1.001))
    assert found.relative_error.max() <= 1e-13
    assert found.extra_state.max() == 0
    assert found.unitarity_error.max() <= 1e-13
    half = found.unitary_units.sel(regime="half at 1", hidden_units=6)
    assert (half.sel(states="minimal") == 9).all()
    assert (half.sel(states="2n") == 12).all()
    assert found.bias_error.values[0] > 1
    assert found.bias_error.values[1:].max() <= 1e-12
    assert_described(found, tmp_path / "theorem1.nc")
    again = theorem1(hidden_units=(1, 6), systems=3, steps=50, bias_fractions=(0.999, 1.0, 1.001))
    xr.testing.assert_identical(found, again)


def test_the_cliff(tmp_path):
    found = cliff(budgets=(1, 4), restarts=2, iterations=200)
    errors = found.best_error
    # one channel is lost with n states, whatever the weights are: sqrt(sum rho^2j) = 1.25
    assert errors.sel(unitary_units=2).values == pytest.approx(1.25, abs=1e-3)
    assert errors.sel(unitary_units=3).values == pytest.approx([0.8130, 0.2956], abs=1e-3)
    assert errors.sel(unitary_units=4).max() < 1e-6
    below = found.jacobian_error >= found.jacobian_bound - 1e-9
    assert (below | np.isnan(found.jacobian_bound)).all()
    assert np.isfinite(found.jacobian_bound.sel(unitary_units=3)).all()
    assert_described(found, tmp_path / "theorem2.nc")


def test_the_state_counts(tmp_path):
    found = state_counts(hidden_units=(2, 4), systems=3)
    assert (found.certificate <= found.scaled).all()
    assert (found.scaled <= found.minimal).all()
    assert (found.minimal <= found.doubled).all()
    assert (found.certificate.sel(system="paper", hidden_units=4) == 5).all()
    assert (found.scaled.sel(hidden_units=4) < 8).all()
    assert_described(found, tmp_path / "theorem2.nc")


def test_theorem3(tmp_path):
    found = theorem3(
        biases=(10, 20, 60, 100),
        chain_units=(3, 9, 15),
        fit_units=(1, 2),
        restarts=1,
        iterations=60,
    )
    assert (found.exact_error > 0).all()
    assert (found.float64_error.sel(bias=100) <= 1e-15).all()
    for activation, slope in (("sigmoid", -1), ("tanh", -2)):
        errors = found.exact_error.sel(activation=activation)
        assert logarithmic_slope(errors.bias, errors.values) == pytest.approx(slope, rel=0.02)
    chain = found.chain_error.sel(activation="sigmoid")
    rate = np.exp(logarithmic_slope(chain.chain_units, chain.values))
    assert rate == pytest.approx(0.25, abs=0.01)
    assert found.relu_error <= 1e-15
    for length in found.chain_length.values:
        error = found.delay_error.sel(chain_length=length)
        assert error[:length].max() <= 1e-15
        assert error[length] > 1e-6
    assert_described(found, tmp_path / "theorem3.nc")


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
