"""The test configuration from nothing to the report, and what stands in its files."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from tests import traced

if TYPE_CHECKING:
    from tests.workflow.conftest import Project


def leftovers(folder: Path) -> list[Path]:
    """Temporary files and checkpoints, which nothing may leave behind."""
    every = [*folder.rglob("*.tmp"), *folder.rglob("*.checkpoint.nc")]
    return [path for path in every if ".snakemake" not in path.parts]


def test_every_output_is_there_and_nothing_half_written(finished: Project) -> None:
    folder = finished.folder
    assert (folder / "reports/index.html").is_file()
    figures = ("figure2", "figure3", "figure4", "gap", "history", "reproduction", "statistics")
    for name in (*figures, "theorem1", "theorem2", "theorem3"):
        assert (folder / f"reports/figures/{name}.svg").read_text().startswith("<?xml")
        assert (folder / f"reports/figures/{name}.png").read_bytes().startswith(b"\x89PNG")
        assert (folder / f"reports/figures/narrow/{name}.svg").read_text().startswith("<?xml")
        numbers = pd.read_csv(folder / f"reports/figures/{name}.csv")
        assert len(numbers) > 3
        assert numbers[["line", "series", "source", "y"]].notna().all(axis=None)
    assert leftovers(folder) == []


def test_files_keep_their_contract(finished: Project) -> None:
    folder = finished.folder / "results/test-20dB"
    path = folder / "models/lstm/hidden-04/realizations-000-001.nc"
    with xr.open_dataset(path) as model:
        assert dict(model["W"].sizes) == {
            "realization": 2,
            "restart": 2,
            "gate": 4,
            "hidden": 4,
            "hidden_previous": 4,
        }
        assert set(model.data_vars) >= {"W", "F", "b", "C", "d", "h_init", "loss", "steps"}
        assert model["loss"].dims == ("realization", "restart", "epoch")
        assert model["validation_loss"].notnull().all()
        assert model["diverged"].dims == ("realization", "restart")
        assert model["best_restart"].dims == ("realization",)
        assert {"config", "seed", "versions"} <= set(model.attrs)
        best = model["validation_loss"].isel(epoch=-1).argmin("restart")
        np.testing.assert_array_equal(model["best_restart"], best)
    for name, bound in [("urnn", 1e-5), ("contractive_rnn", 1e-6)]:
        for path in folder.glob(f"models/{name}/**/*.nc"):
            with xr.open_dataset(path) as model:
                assert float(model["transition_constraint_error"].max()) <= bound
    with xr.open_dataset(folder / "scores.nc") as scores:
        assert scores["r2"].dims == ("model", "hidden_units", "realization")
        assert scores["r2"].shape == (4, 2, 3)
        assert scores["r2"].notnull().all()
        assert (scores["r2"] <= scores["r2_optimal"] + 0.02).all()
        expected = 1 / (1 + 10 ** (-scores.attrs["snr_db"] / 10))
        np.testing.assert_allclose(scores["r2_optimal"], expected, atol=0.005)


def test_images_are_scored_by_accuracy(finished: Project) -> None:
    folder = finished.folder / "results/test-digits"
    with xr.open_dataset(folder / "scores.nc") as scores:
        assert scores["accuracy"].dims == ("model", "hidden_units", "realization")
        assert ((scores["accuracy"] >= 0) & (scores["accuracy"] <= 1)).all()
        assert scores["validation_accuracy"].notnull().any("epoch").all()
        best = scores["validation_loss"].argmin("epoch") + 1
        np.testing.assert_array_equal(scores["kept_epoch"], best)
        # complex units: 4 hidden units are 2, whose U(2) has 4 dimensions; F, modrelu's b, C, d
        assert int(scores["parameters"].sel(model="eunn")[0]) == 4 + 4 + 2 + 40 + 10
        assert int(scores["parameters"].sel(model="urnn")[0]) == 6 + 4 + 4 + 40 + 10
        assert float(scores["constraint_error"].max()) < 1e-5


def test_scores_are_those_of_the_stored_parameters(finished: Project) -> None:
    """R^2 from the files alone, with the public model and numpy, as a reader would check it."""
    from urnn import RNN

    folder = finished.folder / "results/test-20dB"
    with xr.open_dataset(folder / "scores.nc") as scores:
        r2 = scores["r2"].sel(model="urnn", hidden_units=4, realization=2).item()
    with xr.open_dataset(folder / "models/urnn/hidden-04/realizations-002-002.nc") as models:
        model = models.isel(realization=0).isel(restart=int(models["best_restart"][0]))
        rnn = RNN(*(model[name].values for name in ("W", "F", "b", "C", "h_init")))
        d = model["d"].values
    with xr.open_dataset(folder / "data/realization-002.nc", mask_and_scale=False) as data:
        test = data["split"].values == 2
        x, y = data["x"].values[test], data["y"].values[test].astype(float)
    error = rnn(x) + d - y
    assert abs(1 - np.mean(error**2) / np.mean(y**2) - r2) < 1e-5


def test_the_page_stands_alone_and_says_what_was_run(finished: Project) -> None:
    page = (finished.folder / "reports/index.html").read_text()
    assert not re.search(r"""(src=|<link[^>]*href=|url\()["']?(https?:)?//""", page)
    for words in (
        "test-20dB",
        "Contractive RNN",
        "URNN",
        "2019",
        "snakemake",
        "train",
        "Theorem 3",
        "theory",
    ):
        assert words in page


def test_every_number_of_the_verdict_is_traced_to_its_file(finished: Project) -> None:
    page = (finished.folder / "reports/index.html").read_text()
    assert traced.check(page, finished.folder) > 30
    assert "What is missing" not in page


@pytest.mark.parametrize(("block_size", "cores", "threads"), [(1, 2, 1), (3, 1, 2)])
def test_blocks_cores_and_threads_do_not_change_a_bit(
    finished: Project,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    block_size: int,
    cores: int,
    threads: int,
) -> None:
    """Trainings of each model and their scores, in other blocks, on other cores and threads."""
    project = finished.copy(tmp_path / "project")
    project.edit("config/test.yaml", "block_size: 2", f"block_size: {block_size}")
    project.edit("config/test.yaml", "hidden_units: [2, 4]", "hidden_units: [4]")
    for name in MODELS:
        shutil.rmtree(project.folder / f"results/{name}/models")
        (project.folder / f"results/{name}/scores.nc").unlink()
    for variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        monkeypatch.setenv(variable, str(threads))
    project.snakemake("--cores", str(cores), *(f"results/{name}/scores.nc" for name in MODELS))
    for name, models in MODELS.items():
        with (
            xr.open_dataset(finished.folder / f"results/{name}/scores.nc") as before,
            xr.open_dataset(project.folder / f"results/{name}/scores.nc") as after,
        ):
            assert set(before.variables) == set(after.variables)
            of_size = before.sel(hidden_units=[4])
            for variable in before.variables:
                np.testing.assert_array_equal(of_size[variable], after[variable])
        for folder in (f"{model}/hidden-04" for model in models):
            here, there = (
                realizations(p.folder / f"results/{name}/models/{folder}")
                for p in (finished, project)
            )
            assert here.keys() == there.keys()
            for number, one in here.items():
                for variable in set(one.variables) - {"wall_seconds"}:
                    np.testing.assert_array_equal(
                        one[variable], there[number][variable], err_msg=f"{folder} {variable}"
                    )


#: models by experiment; those at 15 dB are two of these
MODELS = {
    "test-20dB": ["rnn", "contractive_rnn", "urnn", "lstm"],
    "test-digits": ["urnn", "eunn", "rnn"],
}


def realizations(folder: Path) -> dict[int, xr.Dataset]:
    """What was trained for each realization, whatever block it was in."""
    found = {}
    for path in folder.glob("*.nc"):
        with xr.open_dataset(path) as block:
            for number in block["realization"].values:
                found[int(number)] = block.load().sel(realization=number)
    return found


def test_a_wrong_file_is_named_in_the_log(finished: Project, tmp_path: Path) -> None:
    project = finished.copy(tmp_path / "project")
    path = project.folder / "results/test-15dB/data/realization-000.nc"
    path.write_bytes(path.read_bytes()[:1000])
    output = project.snakemake(check=False)
    assert "realization-000.nc is not a readable NetCDF file" in output
    assert "Traceback" not in output
    kept = json.dumps(sorted(str(p) for p in (project.folder / "results/test-20dB").rglob("*.nc")))
    assert "scores.nc" in kept
