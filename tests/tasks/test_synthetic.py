"""The synthetic systems at the paper's own size, and the file that they become."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import xarray as xr

from urnn import RNN
from urnn.__main__ import main
from urnn.errors import CalibrationError
from urnn.tasks.synthetic import generate as synthetic
from urnn.tasks.synthetic.settings import Synthetic, System

PAPER = System()
SMALL = System(time_steps=50, trials=20, epsilon=0.2, calibration_trials=10, on_tolerance=0.1)


def at(snr_db: float, system: System = PAPER) -> Synthetic:
    return Synthetic(system=system, snr_db=snr_db)


def generate(task: Synthetic, seed: int, realization: int) -> xr.Dataset:
    (data,) = synthetic.generate(task, seed, [realization])
    return data


@pytest.fixture(scope="module")
def systems() -> list[xr.Dataset]:
    """Three realizations of full size, one at 15 dB."""
    return [
        generate(at(snr_db), seed=2019, realization=r)
        for snr_db, r in [(20.0, 0), (20.0, 3), (15.0, 3)]
    ]


def test_each_system_is_contractive_and_slow(systems: list[xr.Dataset]) -> None:
    for data in systems:
        eigenvalues = np.linalg.eigvalsh(data["W"].values)
        assert np.linalg.norm(data["W"].values, 2) < 1
        assert eigenvalues.min() == pytest.approx(1 - PAPER.epsilon)
        assert eigenvalues.max() <= 1
        np.testing.assert_array_equal(data["h_init"], 0)


def test_every_unit_is_on_60_percent_of_the_time(systems: list[xr.Dataset]) -> None:
    for data in systems:
        system = RNN(*(data[name].values for name in ("W", "F", "b", "C", "h_init")))
        on = (system.states(data["x"].values) > 1e-3).mean(axis=(0, 1))
        assert np.abs(on - 0.6).max() <= 0.02
        np.testing.assert_allclose(on, data.attrs["on_fraction"])


def test_outputs_are_the_systems_with_noise_at_the_snr(systems: list[xr.Dataset]) -> None:
    for data in systems:
        system = RNN(*(data[name].values for name in ("W", "F", "b", "C", "h_init")))
        clean = system(data["x"].values)
        np.testing.assert_allclose(data["y_clean"], clean, rtol=1e-6, atol=1e-5)
        noise = data["y"].values.astype(float) - clean
        measured = 10 * np.log10(np.mean(clean**2) / np.mean(noise**2))
        assert measured == pytest.approx(data.attrs["snr_db"], abs=0.1)
        assert np.mean(noise**2) == pytest.approx(data.attrs["noise_variance"], rel=0.01)
        # white: neither across steps nor across outputs
        assert abs(np.corrcoef(noise[:, 1:, 0].ravel(), noise[:, :-1, 0].ravel())[0, 1]) < 0.01
        assert abs(np.corrcoef(noise[..., 0].ravel(), noise[..., 1].ravel())[0, 1]) < 0.01


def test_shapes_types_and_split_are_the_papers(systems: list[xr.Dataset]) -> None:
    data = systems[0]
    assert dict(data.sizes) == {
        "trial": 1000,
        "time": 1000,
        "input": 2,
        "output": 2,
        "hidden": 4,
        "hidden_previous": 4,
    }
    assert {data[name].dtype for name in ("x", "y", "y_clean")} == {np.dtype("float32")}
    assert {data[name].dtype for name in ("W", "F", "b", "C", "h_init")} == {np.dtype("float64")}
    meanings = data["split"].attrs["flag_meanings"].split()
    values = dict(zip(meanings, data["split"].attrs["flag_values"], strict=True))
    counts = {name: int((data["split"] == value).sum()) for name, value in values.items()}
    assert counts == {"train": 700, "validation": 0, "test": 300}
    x = data["x"].values
    assert abs(x.mean()) < 0.005
    assert x.std() == pytest.approx(1, abs=0.005)


def test_system_and_inputs_are_the_same_at_every_snr(systems: list[xr.Dataset]) -> None:
    at_20, at_15 = systems[1], systems[2]
    for name in ("W", "F", "b", "C", "x", "y_clean"):
        np.testing.assert_array_equal(at_20[name], at_15[name])
    assert not np.array_equal(systems[0]["W"], at_20["W"])


def test_the_same_seed_gives_the_same_bytes(tmp_path: Path) -> None:
    arguments = ["data", "--task", at(20.0, SMALL).model_dump_json(), "--realization", "1"]
    for name in ("a", "b"):
        assert main([*arguments, "--seed", "7", "--output", str(tmp_path / name)]) == 0
    assert main([*arguments, "--seed", "8", "--output", str(tmp_path / "c")]) == 0
    first, again, other = ((tmp_path / name).read_bytes() for name in ("a", "b", "c"))
    assert first == again
    assert first != other
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b", "c"]


def test_one_command_makes_several_realizations(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = ["data", "--task", at(20.0, SMALL).model_dump_json(), "--realization"]
    together = [str(tmp_path / f"{number}.nc") for number in (2, 0)]
    assert main([*arguments, "2", "0", "--output", *together]) == 0
    for number, path in zip(("2", "0"), together, strict=True):
        alone = tmp_path / f"alone-{number}.nc"
        assert main([*arguments, number, "--output", str(alone)]) == 0
        assert alone.read_bytes() == Path(path).read_bytes()
    assert main([*arguments, "1", "2", "--output", together[0]]) == 1
    assert "name one file for each realization, 2 and not 1" in capsys.readouterr().err


def test_a_unit_that_hardly_sees_the_input_is_calibrated_too() -> None:
    """Realization 14: with the fixed gain one of its units jumps on and off for ever."""
    data = generate(at(20.0), seed=2019, realization=14)
    assert np.abs(data.attrs["on_fraction"] - 0.6).max() <= 0.01


def test_units_that_cannot_be_calibrated_are_an_error() -> None:
    settings = SMALL.model_copy(update={"on_tolerance": 1e-9, "calibration_rounds": 1})
    with pytest.raises(CalibrationError, match=r"realization 0.*system\.on_tolerance"):
        generate(at(20.0, settings), seed=0, realization=0)


RELEASED = System(divide_by_norm=False, output_bias=True)


def test_the_released_systems_are_the_posters_but_for_the_norm_and_the_bias(
    systems: list[xr.Dataset],
) -> None:
    """The same draws of A, F, C and the inputs; y_clean = C h + d, and d is part of the signal."""
    poster, data = systems[1], generate(at(20, RELEASED), seed=2019, realization=3)
    identity = np.eye(4)
    shrunk, whole = identity - poster["W"].values, identity - data["W"].values
    norm = np.linalg.norm(whole / RELEASED.epsilon, 2)  # ||A||^2
    np.testing.assert_allclose(shrunk * norm, whole, atol=1e-12)
    assert norm > 1 and np.linalg.norm(data["W"].values, 2) < 1
    for name in ("F", "C", "x"):
        np.testing.assert_array_equal(data[name], poster[name])
    np.testing.assert_array_equal(poster["d"], 0)
    assert np.abs(data["d"]).min() > 1e-3
    system = RNN(*(data[name].values for name in ("W", "F", "b", "C", "h_init")))
    clean = system(data["x"].values) + data["d"].values
    np.testing.assert_allclose(data["y_clean"], clean, rtol=1e-6, atol=1e-5)
    assert data.attrs["noise_variance"] == pytest.approx(np.mean(clean**2) / 100)


def test_the_output_bias_is_of_its_realization_and_of_no_other_draw() -> None:
    with_bias = SMALL.model_copy(update={"output_bias": True})
    plain = generate(at(20, SMALL), seed=1, realization=0)
    one, other = (generate(at(20, with_bias), seed=1, realization=r) for r in (0, 1))
    assert (one["d"].values != other["d"].values).all()
    for name in ("W", "F", "b", "C", "x"):
        np.testing.assert_array_equal(one[name], plain[name])


def test_a_system_that_is_not_contractive_is_refused() -> None:
    wild = System(divide_by_norm=False, epsilon=0.9)
    with pytest.raises(CalibrationError, match=r"not contractive.*system\.epsilon: 0\.9 is too la"):
        generate(at(20, wild), seed=1, realization=0)
