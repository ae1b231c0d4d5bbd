"""Theorem 2: its numbers at small sizes, and what its figure shows."""

import numpy as np
import pytest
import xarray as xr

from urnn.theorems import POINT
from urnn.theorems.theorem2.numbers import approach, state_counts
from urnn.theorems.theorem2.plot import least_error, plot
from urnn.verdict import Quantity


def test_how_near_fewer_states_come(tmp_path, assert_described):
    found = approach(POINT.make("theorem2", budgets=[1, 4], restarts=2, iterations=200), 0)
    errors = found.best_error
    # one channel is lost with n states, whatever the weights are: sqrt(sum rho^2j) = 1.25
    assert errors.sel(unitary_units=2).values == pytest.approx(1.25, abs=1e-3)
    assert errors.sel(unitary_units=3).values == pytest.approx([0.8130, 0.2956], abs=1e-3)
    assert errors.sel(unitary_units=4).max() < 1e-6
    below = found.jacobian_error >= found.jacobian_bound - 1e-9
    assert (below | np.isnan(found.jacobian_bound)).all()
    assert np.isfinite(found.jacobian_bound.sel(unitary_units=3)).all()
    assert_described(found, tmp_path / "theorem2.nc")


def test_the_state_counts(tmp_path, assert_described):
    found = state_counts(POINT.make("theorem2", sizes=[2, 4], systems=3), 0)
    assert (found.needed <= found.scaled).all()
    assert (found.scaled <= found.minimal).all()
    assert (found.minimal <= found.doubled).all()
    assert (found.needed.sel(system="paper", hidden_units=4) == 5).all()
    assert (found.needed.sel(system="scaled identity") == 2 * found.hidden_units).all()
    assert (found.scaled.sel(system=["paper", "Gaussian"], hidden_units=4) < 8).all()
    assert_described(found, tmp_path / "theorem2.nc")


def test_the_claim_counts_every_network_once(files):
    settings = POINT.make("theorem2")
    (claim,) = settings.claims(xr.load_dataset(files / "theorem2.nc"), "theorem2")
    needed, of, *_ = (part.value for part in claim["evidence"] if isinstance(part, Quantity))
    # of two sizes: the scaled identity, and two random networks of either kind
    assert (needed, of) == (2, 2 * (1 + 2 + 2))


def test_the_figure_has_every_number_of_states_and_the_bound(files):
    dataset = xr.load_dataset(files / "theorem2.nc")
    fits = plot(dataset).axes[0]
    lines = {line.get_label(): line for line in fits.lines}
    assert set(lines) == {"N = 2 = n", "N = 3", "N = 4 = 2n", "bound (D), N < 2n"}
    floor = least_error(0.6, dataset["budget"].values)
    assert (dataset["best_error"].sel(unitary_units=[2, 3]).values >= floor).all()
    assert dataset["best_error"].sel(unitary_units=4).values[-1] < floor[-1]


def test_many_states_have_a_curve_each(files):
    dataset = xr.load_dataset(files / "theorem2.nc")
    n, counts = 8, list(range(8, 17))
    many = dataset.isel(unitary_units=[0] * 9).assign_coords(unitary_units=counts)
    fits = plot(many.assign_attrs(cliff_hidden_units=n)).axes[0]
    labels = [line.get_label() for line in fits.lines]
    assert labels[:-1] == ["N = 8 = n", *(f"N = {k}" for k in counts[1:-1]), "N = 16 = 2n"]
    looks = {(line.get_color(), line.get_marker()) for line in fits.lines[:-1]}
    assert len(looks) == len(counts)


def test_the_least_error_is_that_of_bound_d():
    # for large R: the distance from 0 to the line eps1 + rho eps0 = (1 - rho) / R
    rho, budget = 0.6, 1e3
    expected = (1 - rho) / budget / np.hypot(1, rho)
    assert least_error(rho, np.array([budget]))[0] == pytest.approx(expected, rel=3e-3)
    assert least_error(rho, np.array([1e-6]))[0] <= 1
