"""The workflow on a GPU, from the configuration to the report, with the emulator in its place."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
import xarray as xr

if TYPE_CHECKING:
    from tests.workflow.conftest import Project

CONFIG = """\
device: auto
experiments:
  small:
    task: synthetic
    system: {time_steps: 40, trials: 30, epsilon: 0.2, calibration_trials: 20, on_tolerance: 0.1}
    snr_db: 20
    realizations: 3
    models: [rnn, urnn, lstm]
    hidden_units: [2]
    recipe: short
models:
  rnn: {label: RNN}
  urnn: {label: URNN, transition: unitary}
  lstm: {label: LSTM, cell: lstm}
recipes:
  short: {epochs: 2, batch_size: 7, restarts: 2, validation_ratio: 0.2, clip_norm: 1.0}
figures:
  figure2: {experiment: small}
"""
KERNELS = "CUDA kernels on no GPU (cpu)"
MODELS = ("rnn", "urnn", "lstm")


@pytest.fixture(scope="module")
def on_gpu(fresh: Callable[[Path], Project], tmp_path_factory: pytest.TempPathFactory) -> Project:
    """The configuration above, run to the end where there is a GPU; `auto` finds it."""
    project = fresh(tmp_path_factory.mktemp("gpu") / "project")
    (project.folder / "config/test.yaml").write_text(CONFIG)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("URNN_GPU_DRIVER", "tests.recurrence.emulated:Emulator")
        project.snakemake()
    return project


@pytest.fixture
def project(on_gpu: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A copy, on a machine without a GPU."""
    monkeypatch.delenv("URNN_GPU_DRIVER", raising=False)
    return on_gpu.copy(tmp_path / "project")


def trained(project: Project, model: str, block: str) -> xr.Dataset:
    path = f"results/small/models/{model}/hidden-02/realizations-{block}.nc"
    with xr.open_dataset(project.folder / path) as file:
        return file.load()


def test_all_realizations_are_one_block_and_the_files_say_what_computed_them(
    on_gpu: Project,
) -> None:
    for model in MODELS:
        file = trained(on_gpu, model, "000-002")
        assert file.attrs["device"] == "cuda"
        assert file.attrs["computed_by"] == KERNELS
        assert file["loss"].notnull().all()
    with xr.open_dataset(on_gpu.folder / "results/small/scores.nc") as scores:
        assert scores.attrs["computed_by"] == KERNELS
        assert scores["r2"].notnull().all()
    assert f"<dd>{KERNELS}</dd>" in (on_gpu.folder / "reports/index.html").read_text()
    assert (on_gpu.folder / "reports/figures/figure2.svg").is_file()


def test_the_results_are_the_cpus_but_for_rounding(project: Project, on_gpu: Project) -> None:
    project.snakemake("--forcerun", "train", "--until", "train")
    for model in MODELS:
        # the file that was there is the block that the CPU takes too
        here, there = (trained(run, model, "000-002") for run in (project, on_gpu))
        assert here.attrs["device"] == here.attrs["computed_by"] == "cpu"
        np.testing.assert_allclose(here["loss"], there["loss"], rtol=1e-3)


def test_another_device_of_auto_reruns_nothing_and_new_trainings_are_its_own(
    project: Project,
) -> None:
    assert project.stale() == []
    project.edit("config/test.yaml", "realizations: 3", "realizations: 5")
    jobs = [job for job in project.stale() if "hidden units" in job]
    assert jobs == sorted(
        f"small: {model} with 02 hidden units, realizations 003 to 004" for model in MODELS
    )
    project.snakemake("results/small/scores.nc")
    with xr.open_dataset(project.folder / "results/small/scores.nc") as scores:
        assert scores.attrs["computed_by"] == f"{KERNELS}; cpu"
        assert scores.sizes["realization"] == 5


def test_an_edit_of_the_kernels_concerns_what_a_gpu_may_have_made(project: Project) -> None:
    with (project.folder / "src/urnn/recurrence/gpu/kernels.cu").open("a") as file:
        file.write("// edited\n")
    assert len([job for job in project.stale() if "hidden units" in job]) == len(MODELS)
    # results of a CPU do not come from them
    project.edit("config/test.yaml", "device: auto", "device: cpu")
    project.snakemake("--touch")
    with (project.folder / "src/urnn/recurrence/gpu/kernels.cu").open("a") as file:
        file.write("// again\n")
    assert project.stale() == []


def test_a_device_that_the_configuration_changes_trains_again(project: Project) -> None:
    project.edit("config/test.yaml", "device: auto", "device: reference")
    assert len([job for job in project.stale() if "hidden units" in job]) == len(MODELS)


def test_a_gpu_that_is_not_there_is_refused_before_any_job(project: Project) -> None:
    project.edit("config/test.yaml", "device: auto", "device: cuda:1")
    project.edit("config/test.yaml", "snr_db: 20", "snr_db: 15")
    output = project.snakemake(check=False)
    assert "device: 'cuda:1' is not available here" in output
    assert "Job stats" not in output and "Traceback" not in output


@pytest.mark.parametrize(("device", "gpus"), [("auto", "0"), ("cuda", "1")])
def test_a_job_of_a_cluster_asks_for_one_gpu_if_the_configuration_says_so(
    project: Project, device: str, gpus: str
) -> None:
    """The login node has none, and that does not matter."""
    from tests.workflow.test_slurm import resources

    project.edit("config/test.yaml", "device: auto", f"device: {device}")
    asked = resources(project)
    assert {job["gpu"] for job in asked["train"]} == {gpus}
