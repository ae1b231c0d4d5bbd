"""The wheel in an environment of its own: the commands, and a fit, without the project's folder."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pytest

from tests.workflow.conftest import ROOT
from tests.workflow.test_snakemake import clean_environment

QUICK = ("--hidden-units", "2", "--epochs", "3", "--restarts", "1", "--realizations", "1")


def run(*command: str | Path, folder: Path) -> str:
    """A command without what this process' environment says of Python; what it prints."""
    environment = {name: value for name, value in os.environ.items() if "PYTHON" not in name}
    result = subprocess.run(
        [*map(str, command)], cwd=folder, env=environment, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    options = ("--quiet", "--no-deps", "--no-build-isolation", "--no-index")
    run(sys.executable, "-m", "pip", "wheel", *options, ROOT, folder=folder)
    (made,) = folder.glob("urnn-*.whl")
    return made


@pytest.fixture(scope="module")
def program(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`urnn` of an environment in which the wheel is installed."""
    folder = clean_environment(tmp_path_factory.mktemp("environment") / "clean")
    pip = (sys.executable, "-m", "pip", "--python", folder / "bin/python")
    run(*pip, "install", "--quiet", "--no-deps", "--no-index", wheel, folder=folder)
    return folder / "bin/urnn"


def test_the_wheel_has_the_package_and_the_workflow_and_nothing_else(wheel: Path) -> None:
    with ZipFile(wheel) as archive:
        names = set(archive.namelist())
    for source, target in (
        ("src/urnn", "urnn"),
        ("workflow", "urnn/workflow"),
        ("profiles", "urnn/workflow/profiles"),
        ("slurm", "urnn/workflow/slurm"),
    ):
        files = [path.relative_to(ROOT / source) for path in (ROOT / source).rglob("*.*")]
        files += [Path("Snakefile")] if source == "workflow" else []
        wanted = {f"{target}/{file}" for file in files if "__pycache__" not in file.parts}
        assert wanted <= names, wanted - names
        names -= wanted
    assert all(name.startswith("urnn-") and ".dist-info/" in name for name in names), names
    assert any(name.endswith("licenses/LICENSE") for name in names)


def test_a_fit_without_the_folder_of_the_project(program: Path, tmp_path: Path) -> None:
    random = np.random.default_rng(5)
    rows = np.cumsum(random.standard_normal((400, 2)), axis=0) % 3
    np.savetxt(tmp_path / "record.csv", rows, delimiter=",", header="u,y", comments="")
    where = "import urnn; print(urnn.__file__, urnn.__version__)"
    assert str(program.parent.parent) in run(
        program.parent / "python", "-c", where, folder=tmp_path
    )
    columns = ("--inputs", "u", "--outputs", "y", "--models", "rnn", "--device", "cpu")
    said = run(program, "fit", "record.csv", *columns, *QUICK, folder=tmp_path)
    assert "test RMSE" in said
    assert "Centred" in (tmp_path / "record-fit/reports/index.html").read_text("utf-8")
    log = (tmp_path / "record-fit/snakemake.log").read_text("utf-8")
    assert "workflow/profiles/default" in log and str(ROOT / "src") not in log
    model = tmp_path / "record-fit/models/rnn-02.nc"
    run(program, "export", model, "--to", "csv", "--output", "model.csv", folder=tmp_path)
    assert (tmp_path / "model.csv").is_file()
