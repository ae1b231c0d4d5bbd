"""Theorem 3: its numbers at small sizes, and what its figure shows."""

import numpy as np
import pytest
import xarray as xr

from urnn.equivalence import logarithmic_slope
from urnn.theorems import POINT
from urnn.theorems.theorem3.numbers import compute
from urnn.theorems.theorem3.plot import plot


def test_the_numbers(tmp_path, assert_described):
    options = {"largest_chain": 15, "fit_units": [1, 2], "restarts": 1, "iterations": 60}
    found = compute(POINT.make("theorem3", **options), 0)
    assert (found.exact_error > 0).all()
    assert (found.float64_error.sel(bias=100) <= 1e-15).all()
    for activation, slope in (("sigmoid", -1), ("tanh", -2)):
        errors = found.exact_error.sel(activation=activation, bias=[12, 20, 60, 100])
        assert logarithmic_slope(errors.bias, errors.values) == pytest.approx(slope, rel=0.02)
    chain = found.chain_error.sel(activation="sigmoid", chain_units=[3, 9, 15])
    rate = np.exp(logarithmic_slope(chain.chain_units, chain.values))
    assert rate == pytest.approx(0.25, abs=0.01)
    assert found.relu_error <= 1e-15
    for length in found.chain_length.values:
        error = found.delay_error.sel(chain_length=length)
        assert error[: length + 1].max() <= 1e-15
        assert error[length + 1] > 1e-7
        assert found.horizon.sel(chain_length=length) >= length
    assert (found.horizon.sel(chain_length=[1, 2]) == [1, 2]).all()
    assert_described(found, tmp_path / "theorem3.nc")


def test_the_figure_leaves_out_what_float64_calls_zero(files):
    dataset = xr.load_dataset(files / "theorem3.nc")
    panel = plot(dataset).axes[0]
    lines = {line.get_label(): line for line in panel.lines}
    assert len(lines["sigmoid, 120 digits"].get_ydata()) == dataset.sizes["bias"]
    assert (lines["sigmoid, float64"].get_ydata() > 0).all()
    assert len(lines["sigmoid, float64"].get_ydata()) < dataset.sizes["bias"]
    panel.figure.draw_without_rendering()
    texts = panel.figure.findobj(lambda artist: hasattr(artist, "get_text"))
    assert any("ReLU: 0" in text.get_text() for text in texts)
