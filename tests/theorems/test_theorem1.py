"""Theorem 1: its numbers at small sizes, and what its figure shows."""

import numpy as np
import pytest
import xarray as xr

from urnn import RNN
from urnn.theorems import POINT
from urnn.theorems.theorem1.numbers import _states, compute
from urnn.theorems.theorem1.plot import plot


def test_the_numbers(tmp_path, assert_described):
    settings = POINT.make("theorem1", hidden_units=[1, 6], systems=3, steps=50)
    found = compute(settings, 0)
    assert found.relative_error.max() <= 1e-13
    assert found.extra_state.max() == 0
    assert found.unitarity_error.max() <= 1e-13
    half = found.unitary_units.sel(regime="half at 1", hidden_units=6)
    assert (half.sel(states="minimal") == 9).all()
    assert (half.sel(states="2n") == 12).all()
    assert (found.unitary_units.sel(states="complex") == found.hidden_units).all()
    assert found.bias_error.sel(bias_fraction=0.999) > 1
    proved = found.bias_error.sel(bias_fraction=slice(1.0, None))
    assert proved.bias_fraction.values[0] == 1
    assert proved.max() <= 1e-12
    assert_described(found, tmp_path / "theorem1.nc")
    xr.testing.assert_identical(found, compute(settings, 0))


@pytest.mark.parametrize("complex_valued", [False, True])
def test_a_stack_of_networks_has_the_states_of_each(complex_valued):
    random = np.random.default_rng(0)
    rnns, inputs = [], []
    for size, input_size in ((3, 1), (5, 4), (5, 2)):
        shapes = ((size, size), (size, input_size), (size,), (2, size), (size,))
        values = [0.4 * random.standard_normal(shape) for shape in shapes]
        if complex_valued:
            values = [value + 0.4j * random.standard_normal(value.shape) for value in values]
        rnns.append(RNN(*values))
        inputs.append(random.standard_normal((4, 20, input_size)))
    states = _states(rnns, inputs)
    assert states.shape == (20, 3, 4, 5)
    for index, (rnn, x) in enumerate(zip(rnns, inputs, strict=True)):
        expected = np.moveaxis(rnn.states(x), -2, 0)
        size = rnn.hidden_units
        np.testing.assert_allclose(states[:, index, :, :size], expected, rtol=1e-12, atol=1e-12)
        assert not states[:, index, :, size:].any()


def test_provenance_and_the_library_agree(files):
    found = xr.load_dataset(files / "theorem1.nc")
    assert found.attrs["seed"] == 2019 and '"systems": 1' in found.attrs["config"]
    same = compute(POINT.make("theorem1", hidden_units=[1, 2], systems=1, steps=10), 2019)
    xr.testing.assert_equal(found[["relative_error"]], same[["relative_error"]])
    assert found["bias_error"].sel(bias_fraction=0.999) > 1


def test_the_claim_counts_kinds_as_the_caption_does(files):
    settings = POINT.make("theorem1")
    (claim,) = settings.claims(xr.load_dataset(files / "theorem1.nc"), "theorem1")
    told = "".join(getattr(part, "text", part) for part in claim["evidence"])
    assert "Random networks of 2 sizes, of 5 kinds with 2 input bounds each, conv" in told
    assert "networks of five kinds" in settings.caption and "two input bounds" in settings.caption


def test_the_figure_shows_zero_and_the_threshold(files):
    dataset = xr.load_dataset(files / "theorem1.nc")
    errors, _, bias = plot(dataset).axes
    extra = next(line for line in errors.lines if line.get_label() == "extra states")
    np.testing.assert_array_equal(extra.get_ydata(), 0)
    assert errors.get_ylim()[0] < 0 < errors.get_ylim()[1]
    np.testing.assert_array_equal(bias.lines[0].get_ydata(), dataset["bias_error"])
    assert bias.texts[0].get_text().startswith("0.999: 2.")
