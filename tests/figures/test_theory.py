"""The figures of the theorems from small datasets, and from their files alone."""

import numpy as np
import pytest
import xarray as xr

from urnn.__main__ import main
from urnn.equivalence import experiments
from urnn.figures import theorem1, theorem2, theorem3
from urnn.figures.style import Style

SETTINGS = {
    "theorem1": '{"hidden_units": [1, 2], "systems": 1, "steps": 10}',
    "theorem2": '{"budgets": [1, 4], "restarts": 1, "iterations": 60, "sizes": [2, 3], '
    '"systems": 2}',
    "theorem3": '{"largest_bias": 60, "largest_chain": 4, "fit_units": [1, 2], "restarts": 1, '
    '"iterations": 20}',
}
DRAWINGS = {"theorem1": theorem1, "theorem2": theorem2, "theorem3": theorem3}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("theory")
    for name, settings in SETTINGS.items():
        path = folder / f"{name}.nc"
        assert main(["theory", name, "--settings", settings, "--output", str(path)]) == 0
    return folder


def words(figure) -> str:
    figure.draw_without_rendering()
    texts = [text.get_text() for text in figure.findobj(lambda a: hasattr(a, "get_text"))]
    return "\n".join(texts)


@pytest.mark.parametrize("name", SETTINGS)
def test_each_is_redrawn_alone_from_its_file(files, tmp_path, name):
    outputs = [tmp_path / f"{name}{kind}" for kind in (".svg", ".png")]
    numbers = str(files / f"{name}.nc")
    assert main(["theory_figure", name, numbers, "--output", *map(str, outputs)]) == 0
    first = [path.read_bytes() for path in outputs]
    assert main(["theory_figure", name, numbers, "--output", *map(str, outputs)]) == 0
    assert first == [path.read_bytes() for path in outputs]


def test_the_wrong_file_is_refused(files, tmp_path, capsys):
    output = str(tmp_path / "a.svg")
    wrong = str(files / "theorem1.nc")
    assert main(["theory_figure", "theorem2", wrong, "--output", output]) == 1
    assert "lacks best_error" in capsys.readouterr().err


@pytest.mark.parametrize("name", SETTINGS)
def test_every_panel_is_labelled_and_the_style_holds(files, name):
    dataset = xr.load_dataset(files / f"{name}.nc")
    figure = DRAWINGS[name].plot(dataset, Style(width=9.0))
    assert figure.get_size_inches()[0] == 9
    for panel in figure.axes:
        assert panel.get_xlabel() and panel.get_ylabel() and panel.get_title("left")
    assert f"Theorem {name[-1]}" in figure.get_suptitle()


def test_provenance_and_the_library_agree(files):
    found = xr.load_dataset(files / "theorem1.nc")
    assert found.attrs["seed"] == 2019 and '"systems": 1' in found.attrs["config"]
    same = experiments.theorem1([1, 2], 1, 10, seed=2019)
    xr.testing.assert_equal(found[["relative_error"]], same[["relative_error"]])
    assert found["bias_error"].sel(bias_fraction=0.999) > 1


def test_theorem1_shows_zero_and_the_threshold(files):
    dataset = xr.load_dataset(files / "theorem1.nc")
    errors, _, bias = theorem1.plot(dataset).axes
    extra = next(line for line in errors.lines if line.get_label() == "extra states")
    np.testing.assert_array_equal(extra.get_ydata(), 0)
    assert errors.get_ylim()[0] < 0 < errors.get_ylim()[1]
    np.testing.assert_array_equal(bias.lines[0].get_ydata(), dataset["bias_error"])
    assert bias.texts[0].get_text().startswith("0.999: 2.")


def test_theorem2_draws_every_number_of_states_and_the_bound(files):
    dataset = xr.load_dataset(files / "theorem2.nc")
    cliff = theorem2.plot(dataset).axes[0]
    lines = {line.get_label(): line for line in cliff.lines}
    assert set(lines) == {"N = 2 = n", "N = 3", "N = 4 = 2n", "bound (D), N < 2n"}
    floor = theorem2.least_error(0.6, dataset["budget"].values)
    assert (dataset["best_error"].sel(unitary_units=[2, 3]).values >= floor).all()
    assert dataset["best_error"].sel(unitary_units=4).values[-1] < floor[-1]


def test_the_least_error_is_that_of_bound_d():
    # for large R: the distance from 0 to the line eps1 + rho eps0 = (1 - rho) / R
    rho, budget = 0.6, 1e3
    expected = (1 - rho) / budget / np.hypot(1, rho)
    assert theorem2.least_error(rho, np.array([budget]))[0] == pytest.approx(expected, rel=3e-3)
    assert theorem2.least_error(rho, np.array([1e-6]))[0] <= 1


def test_theorem3_leaves_out_what_float64_calls_zero(files):
    dataset = xr.load_dataset(files / "theorem3.nc")
    panel = theorem3.plot(dataset).axes[0]
    lines = {line.get_label(): line for line in panel.lines}
    assert len(lines["sigmoid, 120 digits"].get_ydata()) == dataset.sizes["bias"]
    assert (lines["sigmoid, float64"].get_ydata() > 0).all()
    assert len(lines["sigmoid, float64"].get_ydata()) < dataset.sizes["bias"]
    assert "ReLU: 0" in words(panel.figure)
