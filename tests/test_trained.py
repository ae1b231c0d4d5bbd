"""Trained models of the workflow as `urnn.RNN`s: the outputs of the recurrence."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr

from urnn import RNN, models, prediction, storage
from urnn.__main__ import main
from urnn.errors import DataError
from urnn.recurrence import parameter_count, reference
from urnn.settings.base import validated
from urnn.settings.model import AnyModel
from urnn.signals import Signals
from urnn.trained import Replica, network


def trained_file(path: Path, model: dict, diverged: bool = False) -> tuple[object, np.ndarray]:
    """A file of two realizations, 4 and 5, with three restarts; restart 1 is to be reported."""
    settings = validated(AnyModel, model, "model")
    spec = models.specification(settings, 4, 2, 3)
    random = np.random.default_rng(0)
    theta = 0.3 * random.standard_normal((6, parameter_count(spec))).astype(np.float32)
    flags = np.zeros((2, 3), np.int8)
    flags[1, 1] = diverged
    dataset = xr.Dataset(
        {
            **models.to_variables(spec, theta, (2, 3)),
            "best_restart": ("realization", [1, 1]),
            "diverged": (("realization", "restart"), flags),
        },
        coords={"realization": [4, 5]},
        attrs={"config": json.dumps({"model": settings.definition()})},
    )
    storage.write(dataset, path)
    return spec, theta


@pytest.mark.parametrize("activation", ["relu", "tanh", "sigmoid"])
def test_the_outputs_are_those_of_the_recurrence(activation: str, tmp_path: Path) -> None:
    path = tmp_path / "realizations-004-005.nc"
    spec, theta = trained_file(path, {"activation": activation})
    x = np.random.default_rng(1).standard_normal((6, 2, 30, 2))
    y = reference.forward(spec, torch.tensor(theta, dtype=torch.float64), torch.tensor(x))
    for number, restart in ((4, 0), (4, 1), (5, 2)):
        row = 3 * (number - 4) + restart
        found = network(path, number, restart)
        assert found.d.any() and found.h_init.any()
        np.testing.assert_allclose(found(x[row]), y[row].numpy(), rtol=1e-12, atol=1e-13)
    np.testing.assert_array_equal(network(path).W, network(path, 4, 1).W)
    network(path, 5).save(tmp_path / "network.npz")
    np.testing.assert_array_equal(RNN.load(tmp_path / "network.npz").d, network(path, 5, 1).d)


def test_what_is_not_there_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.nc"
    trained_file(path, {"activation": "relu"}, diverged=True)
    with pytest.raises(DataError, match="the realizations 4 to 5, not 6"):
        network(path, 6)
    with pytest.raises(DataError, match="holds 3 restarts, from 0, not 3"):
        network(path, 4, 3)
    with pytest.raises(DataError, match="realization 5 diverged"):
        network(path, 5)
    for model, word in (({"cell": "lstm"}, "lstm"), ({"activation": "modrelu"}, "modrelu")):
        trained_file(path, model)
        with pytest.raises(DataError, match=f"models with {word}, which are no"):
            network(path)


def test_a_foreign_file_is_refused_by_every_command(tmp_path: Path, capsys) -> None:
    path = tmp_path / "foreign.nc"
    names = ("W", "C", "d", "best_restart", "diverged", "kept_epoch", "validation_loss")
    names += ("validation_accuracy", "constraint_error", "x", "y", "split", "r2")
    xr.Dataset({name: ("k", np.zeros(3)) for name in names}).to_netcdf(path)
    output = ["--output", str(tmp_path / "out.csv")]
    for command in (
        ["score", "--data", str(path), "--models", str(path)],
        ["train", str(path), "--experiment", "a", "--name", "b", "--hidden-units", "2"],
        ["predict", str(path), str(path)],
        ["export", str(path), "--to", "csv"],
        ["convert", str(path), "--input-bound", "1"],
        ["figure", str(path)],
        ["theory_figure", "theorem1", str(path)],
    ):
        assert main([*command, *output]) == 1, command
        told = capsys.readouterr().err
        assert str(path) in told and "Traceback" not in told, command
        assert not (tmp_path / "out.csv").exists()


def test_a_trained_model_is_converted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, output = tmp_path / "a.nc", tmp_path / "unitary.npz"
    trained_file(path, {"activation": "tanh"})
    command = ["convert", str(path), "--realization", "5", "--input-bound", "3"]
    assert main([*command, "--output", str(output)]) == 0
    assert "layer" in capsys.readouterr().out
    x = np.random.default_rng(1).uniform(-1, 1, (2, 30, 2))
    found, expected = RNN.load(output)(x), network(path, 5)(x)
    assert np.sqrt(np.mean((found - expected) ** 2) / np.mean(expected**2)) < 0.5


def test_a_record_of_another_sample_time_is_not_simulated(tmp_path: Path) -> None:
    scales = {key: [1.0] for key in ("input_mean", "output_mean", "input_std", "output_std")}
    described = Signals(
        ["u"], ["y"], **scales, sample_time=0.1, time="t", warm_up=0, missing="mask"
    )
    path = tmp_path / "record.csv"
    for columns in ("t,u,y", "t,u,z"):  # with and without the outputs
        for step, fits in ((0.1, True), (0.2, False)):
            path.write_text("\n".join([columns, *(f"{k * step:g},{k},{k}" for k in range(9))]))
            if fits:
                prediction._read(path, described)
                continue
            with pytest.raises(DataError, match=r"are 0\.2 apart, but the model was trained on"):
                prediction._read(path, described)


def test_the_validation_loss_is_that_of_the_epoch_that_is_kept() -> None:
    dims = ("realization", "restart")
    loss = np.arange(12.0).reshape(2, 2, 3)
    file = xr.Dataset(
        {"validation_loss": ((*dims, "epoch"), loss), "kept_epoch": (dims, [[1, 3], [2, 1]])}
    )
    replicas = [Replica(file, 4 + row, row, restart) for row in (0, 1) for restart in (0, 1)]
    assert [replica.validation_loss for replica in replicas] == [0, 5, 7, 9]
