"""What stages write: the files of trained models and of scores, their names, units and values."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from urnn import models, results, scoring, storage, training
from urnn.__main__ import main
from urnn.losses import LOSSES
from urnn.recurrence import backend, cells, parameter_count
from urnn.settings.base import validated
from urnn.settings.model import AnyModel
from urnn.settings.training import Recipe
from urnn.tasks.split import SPLIT
from urnn.transition import POINT as TRANSITIONS
from urnn.trials import Trials

RECIPE = {"epochs": 3, "batch_size": 7, "restarts": 2, "validation_ratio": 0.2, "patience": 2}
BOTH = ("realization", "restart")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, make_data: Callable) -> Path:
    """Two realizations of a synthetic system."""
    path = tmp_path_factory.mktemp("results")
    for number in (0, 1):
        make_data(path / f"data-{number}.nc", realization=number)
    return path


def train(
    data: list[Path], output: Path, model: dict[str, Any], hidden_units: int = 4, **more: Any
) -> xr.Dataset:
    arguments = {
        "--experiment": "made", "--name": "it", "--model": json.dumps(model),
        "--recipe": json.dumps(RECIPE), "--hidden-units": str(hidden_units),
        "--output": str(output), **{f"--{key}": value for key, value in more.items()},
    }  # fmt: skip
    listed = [part for pair in arguments.items() for part in pair]
    assert main(["train", *map(str, data), *listed]) == 0
    return storage.read(output)


def score(data: list[Path], trained: list[Path], output: Path) -> int:
    files = ["--data", *map(str, data), "--models", *map(str, trained), "--output", str(output)]
    return main(["score", *files])


def data_of(folder: Path) -> list[Path]:
    return [folder / "data-0.nc", folder / "data-1.nc"]


@pytest.mark.parametrize(
    "model",
    [
        *({"cell": name} for name in cells.POINT),
        {"transition": "unitary"},
        {"transition": "eunn", "activation": "modrelu"},
    ],
    ids=lambda model: "-".join(model.values()),
)
def test_the_file_of_a_trained_block(model: dict[str, Any], folder: Path, tmp_path: Path) -> None:
    data = train(data_of(folder), tmp_path / "model.nc", model)
    settings = validated(AnyModel, model, "model")
    assert {dim: data.sizes[dim] for dim in (*BOTH, "epoch")} == {
        "realization": 2, "restart": 2, "epoch": 3,
    }  # fmt: skip
    assert data["epoch"].values.tolist() == [1, 2, 3]
    # the parameters, by their names in the equations
    for name, dims in settings.cell_plug.dimensions.items():
        assert data[name].dims == (*BOTH, *dims) and data[name].dtype == np.float32
        assert data[name].attrs["long_name"] == settings.cell_plug.long_names[name]
    # p, where W is made from it
    assert ("p" in data) == (not settings.transition_plug.direct)
    if "p" in data:
        p = data["p"].values.reshape(4, -1)
        W, _ = settings.transition_plug.matrix(p, 4, np)
        np.testing.assert_array_equal(W.reshape(data["W"].shape), data["W"])
    for name in ("loss", "validation_loss", "validation_accuracy", "constraint_error"):
        assert data[name].dims == (*BOTH, "epoch") and data[name].dtype == np.float64
    assert data["loss"].attrs["long_name"] == "mean squared error of the training trials"
    assert data["constraint_error"].attrs["units"] == "1"
    for name in ("kept_epoch", "ended", "diverged", "steps", "transition_constraint_error"):
        assert data[name].dims == BOTH
    assert data["ended"].attrs["flag_meanings"] == "all_epochs early_termination overflow"
    assert data["ended"].attrs["flag_values"].tolist() == [0, 1, 2]
    assert data["diverged"].attrs["flag_meanings"] == "finite diverged"
    assert data["wall_seconds"].attrs["units"] == "s"
    # the restart to report has the lowest validation loss at the epoch that is kept
    kept = data["validation_loss"].isel(epoch=data["kept_epoch"] - 1)
    np.testing.assert_array_equal(data["best_restart"], kept.argmin("restart"))
    W = data["W"].values.reshape(4, -1, 4)
    error = settings.transition_plug.constraint_error(W, np)
    np.testing.assert_array_equal(data["transition_constraint_error"].values.ravel(), error)
    assert json.loads(data.attrs["config"])["model"] == settings.definition()
    assert json.loads(data.attrs["config"])["recipe"]["epochs"] == 3
    wanted = {
        "title": "it with 4 hidden units, trained", "experiment": "made", "model": "it",
        "hidden_units": 4, "device": "cpu", "seed": 2019,
        "task": "synthetic", "task_title": "Synthetic data", "snr_db": 20.0,
    }  # fmt: skip
    assert {key: data.attrs[key] for key in wanted} == wanted


def test_the_restart_to_report_is_the_best_at_the_epochs_that_are_kept() -> None:
    """By the validation loss, or by the training loss without one; not by the last epoch."""
    settings = validated(AnyModel, {}, "model")
    spec = models.specification(settings, 2, 1, 1)
    values = np.array([[1.0, 5, 6], [4, 3, 2], [1, 5, 6], [4, 3, 2]])
    validation = np.where(np.arange(4)[:, None] < 2, values, np.nan)
    loss = np.where(np.isnan(validation), values, 0.0)
    made = training.Trained(
        np.zeros((4, parameter_count(spec)), np.float32), np.zeros((4, 4)), loss, validation,
        np.full((4, 3), np.nan), np.zeros((4, 3)), kept_epoch=np.array([0, 2, 0, 2]),
        ended=np.zeros(4, np.int8), diverged=np.zeros(4, bool), steps=np.zeros(4, np.int64),
        wall_seconds=1.0,
    )  # fmt: skip
    nothing = np.zeros((2, 0, 1, 1))
    numbers = np.arange(2, dtype=np.int32)
    block = Trials(nothing, nothing, None, 0, LOSSES["squared"], 1, numbers, {})
    recipe = Recipe(epochs=3, restarts=2)
    data = results.trained(spec, settings, recipe, made, block, {})
    assert data["best_restart"].values.tolist() == [0, 0]
    assert data["kept_epoch"].values.tolist() == [[1, 3], [1, 3]]


def test_scores_are_those_of_the_reported_restarts(folder: Path, tmp_path: Path) -> None:
    made = {"rnn": {}, "urnn": {"transition": "unitary"}, "lstm": {"cell": "lstm"}}
    paths = []
    for name, model in made.items():
        for hidden_units in (2, 4):
            for block in ([0], [1]):  # a job for each block of realizations
                paths.append(tmp_path / f"{name}-{hidden_units}-{block[0]}.nc")
                data = [data_of(folder)[r] for r in block]
                train(data, paths[-1], model, hidden_units, name=name)
    output = tmp_path / "scores.nc"
    assert score(data_of(folder), paths[::-1], output) == 0
    scores = storage.read(output)
    assert set(scores["model"].values) == set(made)
    assert scores["hidden_units"].values.tolist() == [2, 4]
    assert scores["realization"].values.tolist() == [0, 1]
    factors = {"rnn": 1, "urnn": 2, "lstm": 1}
    assert scores["state_factor"].values.tolist() == [factors[m] for m in scores["model"].values]
    for name in ("r2", "r2_centred", "diverged", "kept_epoch"):
        assert scores[name].dims == ("model", "hidden_units", "realization")
    assert scores["parameters"].dims == ("model", "hidden_units")
    for path in paths:
        trained = storage.read(path)
        settings = validated(AnyModel, json.loads(trained.attrs["config"])["model"], "model")
        spec = models.specification(settings, trained.attrs["hidden_units"], 2, 2)
        best = trained.isel(realization=0, restart=int(trained["best_restart"][0]))
        number = int(best["realization"])
        data = storage.read(data_of(folder)[number])
        test = data.isel(trial=data["split"].values == SPLIT["test"])
        theta = models.from_variables(
            spec, {name: best[name].values[None] for name in settings.cell_plug.dimensions}
        )
        y_hat = backend("cpu").outputs(spec, theta, test["x"].values[None], np.array([0]))[0]
        at = scores.sel(
            model=trained.attrs["model"],
            hidden_units=trained.attrs["hidden_units"],
            realization=number,
        )
        y = test["y"].values
        assert float(at["r2"]) == scoring.r2(y, y_hat)
        assert float(at["r2_centred"]) == scoring.r2_centred(y, y_hat)
        assert int(at["ended"]) == int(best["ended"])
        assert int(at["kept_epoch"]) == int(best["kept_epoch"])
        assert int(at["parameters"]) == models.trained_numbers(settings, spec, False)
        for name in ("validation_loss", "constraint_error"):
            np.testing.assert_array_equal(at[name], best[name].astype(np.float32))
        clean = test["y_clean"].values
        optimum = scores.sel(realization=number)
        assert float(optimum["r2_optimal"]) == scoring.r2_optimal(y, clean)
        assert float(optimum["r2_centred_optimal"]) == scoring.r2_centred_optimal(y, clean)
    assert "loss" not in scores and "validation_accuracy" not in scores
    assert scores["validation_loss"].attrs["long_name"].startswith("mean squared error of the val")
    wanted = {"experiment": "made", "task": "synthetic", "task_title": "Synthetic data"}
    assert {key: scores.attrs[key] for key in wanted} == wanted
    settings = json.loads(scores.attrs["task_settings"])
    assert settings["task"] == "synthetic" and settings["snr_db"] == scores.attrs["snr_db"]
    assert json.loads(scores.attrs["trained_with"]) == json.loads(scores.attrs["versions"])
    assert set(json.loads(scores.attrs["config"])) == set(made)


def test_classes_are_scored_by_their_accuracy(tmp_path: Path, make_data: Callable) -> None:
    images = {"test_images": 100, "validation_images": 1600}
    data = make_data(tmp_path / "digits.nc", {"task": "permuted_digits", "images": images})
    recipe = json.dumps({"epochs": 2, "batch_size": 32})
    path, output = tmp_path / "model.nc", tmp_path / "scores.nc"
    trained = train([data], path, {}, recipe=recipe)
    assert trained["loss"].attrs["long_name"] == "cross-entropy of the training trials"
    assert np.isfinite(trained["validation_accuracy"]).all()
    assert score([data], [path], output) == 0
    scores = storage.read(output)
    assert not {"r2", "r2_centred", "r2_optimal"} & set(scores.data_vars)
    assert scores["accuracy"].attrs["long_name"] == "share of the test trials classified correctly"
    assert float(scores["accuracy"][0, 0, 0]) * 100 == pytest.approx(
        round(float(scores["accuracy"][0, 0, 0]) * 100)
    )
    np.testing.assert_array_equal(
        scores["validation_accuracy"][0, 0, 0],
        trained["validation_accuracy"][0, 0].astype(np.float32),
    )
    assert scores.attrs["task_title"] == "Permuted 8×8 digits"


def test_scores_after_each_epoch_where_validation_was_on_the_test_trials(
    folder: Path, tmp_path: Path, make_data: Callable
) -> None:
    images = {"test_images": 100, "validation_images": 1600}
    digits = make_data(tmp_path / "digits.nc", {"task": "permuted_digits", "images": images})
    for name, data in (("r2", data_of(folder)), ("accuracy", [digits])):
        path, output = tmp_path / f"{name}.nc", tmp_path / f"{name}-scores.nc"
        recipe = {"epochs": 3, "batch_size": 7, "validate_on_test": True}
        train(data, path, {}, recipe=json.dumps(recipe))
        assert score(data, [path], output) == 0
        scores = storage.read(output)
        by_epoch = scores[f"{name}_by_epoch"]
        assert by_epoch.dims == (*scores[name].dims, "epoch")
        assert by_epoch.attrs["long_name"].endswith(", after each epoch")
        assert "validation_loss" not in scores and "constraint_error" in scores
        np.testing.assert_allclose(by_epoch.isel(epoch=-1), scores[name], rtol=1e-6)
        assert (by_epoch.isel(epoch=0) != by_epoch.isel(epoch=1)).all()
    plain = train(
        data_of(folder), tmp_path / "plain.nc", {}, recipe='{"epochs": 3, "batch_size": 7}'
    )
    noted = storage.read(tmp_path / "r2.nc")
    np.testing.assert_array_equal(plain["W"], noted["W"])  # it changes no training


def test_data_without_a_known_optimum_have_scores_all_the_same(
    folder: Path, tmp_path: Path
) -> None:
    data, path, output = tmp_path / "data.nc", tmp_path / "model.nc", tmp_path / "scores.nc"
    storage.write(storage.read(data_of(folder)[0]).drop_vars("y_clean"), data)
    train([data], path, {})
    assert score([data], [path], output) == 0
    scores = storage.read(output)
    assert np.isfinite(scores["r2"]).all()
    assert not {"r2_optimal", "r2_centred_optimal"} & set(scores.data_vars)


@pytest.mark.parametrize(("name", "value"), [("diverged", 1), ("W", 1e30)])
def test_what_diverged_has_no_score_and_is_counted(
    name: str, value: float, folder: Path, tmp_path: Path
) -> None:
    """Whether the training says so, or the outputs overflow on the test trials."""
    path, output = tmp_path / "model.nc", tmp_path / "scores.nc"
    trained = train(data_of(folder), path, {})
    trained[name][1] = value
    storage.write(trained, path)
    assert score(data_of(folder), [path], output) == 0
    scores = storage.read(output)
    assert scores["diverged"].values.tolist() == [[[0, 1]]]
    assert np.isnan(scores["r2"].values).tolist() == [[[False, True]]]


def test_an_overflow_after_the_epoch_kept_is_said(folder: Path, tmp_path: Path) -> None:
    path, output = tmp_path / "model.nc", tmp_path / "scores.nc"
    trained = train(data_of(folder), path, {})
    trained["ended"][1] = training.OVERFLOW
    storage.write(trained, path)
    assert score(data_of(folder), [path], output) == 0
    scores = storage.read(output)
    assert scoring.ended_by_overflow(scores).values.tolist() == [[[False, True]]]
    assert np.isfinite(scores["r2"]).all() and not scores["diverged"].any()
    assert not scoring.ended_by_overflow(scores.drop_vars("ended")).any()


def test_files_that_do_not_go_together_are_named(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, other, output = tmp_path / "a.nc", tmp_path / "b.nc", tmp_path / "scores.nc"
    third = tmp_path / "c.nc"
    train(data_of(folder), first, {})
    train(data_of(folder), other, {}, experiment="another")
    capsys.readouterr()
    assert score(data_of(folder), [first, other], output) == 1
    assert capsys.readouterr().err == (
        "urnn score: --models: the files are of several experiments; name those of one\n"
    )
    train(data_of(folder)[:1], third, {"transition": "unitary"}, name="urnn")
    capsys.readouterr()
    assert score(data_of(folder), [first, third], output) == 1
    said = capsys.readouterr().err
    assert "--models: no file has urnn with 4 hidden units for realization 1; train it" in said
    narrow = tmp_path / "narrow.nc"
    data = storage.read(data_of(folder)[0])
    storage.write(data.isel(input=slice(1)), narrow)
    assert score([narrow], [first], output) == 1
    said = capsys.readouterr().err
    assert f"{first}: the model has 2 inputs and 2 outputs, but {narrow} has 1 and 2; give" in said
    assert not output.exists()


def test_no_stage_replaces_a_file(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Neither its own input nor anything else that is there, unless it is told to."""
    trained, data = tmp_path / "a.nc", data_of(folder)
    train(data, trained, {})
    before = trained.read_bytes()
    named = ["--experiment", "a", "--name", "b", "--hidden-units", "4"]
    for command, words in (
        (["score", "--data", *map(str, data), "--models", str(trained)], "is the file that is rea"),
        (["train", *map(str, data), *named], "is there; choose another name, or add --overwrite"),
        (
            ["data", "--task", '{"snr_db": 20}', "--realization", "0"],
            "is there; choose another name, or add --overwrite",
        ),
        (["theory", "theorem3"], "is there; choose another name, or add --overwrite"),
    ):
        capsys.readouterr()
        assert main([*command, "--output", str(trained)]) == 1
        assert f"--output: {trained} {words}" in capsys.readouterr().err
    assert trained.read_bytes() == before


def test_every_transition_can_be_trained_and_scored(folder: Path, tmp_path: Path) -> None:
    paths = []
    for name in TRANSITIONS:
        paths.append(tmp_path / f"{name}.nc")
        data = train(data_of(folder), paths[-1], {"transition": name}, name=name)
        assert float(data["transition_constraint_error"].max()) < 1e-5
    assert score(data_of(folder), paths, tmp_path / "scores.nc") == 0
    scores = storage.read(tmp_path / "scores.nc")
    assert scores["model"].values.tolist() == list(TRANSITIONS)
    expected = [TRANSITIONS.plug(name).state_factor for name in TRANSITIONS]
    assert scores["state_factor"].values.tolist() == expected
