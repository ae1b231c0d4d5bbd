"""What is distributed: the source archive; the wheel made from it, in its own environment."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tarfile
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pytest
import torch

from tests.test_docs import QUICK, commands
from tests.workflow.conftest import ROOT
from tests.workflow.test_snakemake import clean_environment


def run(*command: str | Path, folder: Path) -> str:
    """A command without what this process' environment says of Python; what it prints."""
    environment = {name: value for name, value in os.environ.items() if "PYTHON" not in name}
    result = subprocess.run(
        [*map(str, command)], cwd=folder, env=environment, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stdout + result.stderr
    return result.stdout


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The source archive (sdist)."""
    folder = tmp_path_factory.mktemp("sdist")
    run(sys.executable, "-m", "hatchling", "build", "-t", "sdist", "-d", folder, folder=ROOT)
    (made,) = folder.glob("urnn-*.tar.gz")
    return made


@pytest.fixture(scope="module")
def wheel(sources: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel that a packager builds, who has the archive and not the repository."""
    folder = tmp_path_factory.mktemp("wheel")
    options = ("--quiet", "--no-deps", "--no-build-isolation", "--no-index")
    run(sys.executable, "-m", "pip", "wheel", *options, sources, folder=folder)
    (made,) = folder.glob("urnn-*.whl")
    return made


@pytest.fixture(scope="module")
def program(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`urnn` of an environment in which the wheel is installed."""
    folder = clean_environment(tmp_path_factory.mktemp("environment") / "clean")
    pip = (sys.executable, "-m", "pip", "--python", folder / "bin/python")
    run(*pip, "install", "--quiet", "--no-deps", "--no-index", wheel, folder=folder)
    return folder / "bin/urnn"


def test_the_source_archive_is_the_repository(sources: Path) -> None:
    """With docs, tests, benchmarks and the kept results that the tests compare with."""
    with tarfile.open(sources) as archive:
        names = {name.partition("/")[2] for name in archive.getnames()}
    git = ("git", "ls-files", "--cached", "--others", "--exclude-standard")
    if (ROOT / ".git").exists():
        assert names == {"PKG-INFO", *run(*git, folder=ROOT).split()}
    # wherever the tests are run, what a packager looks for
    wanted = ("docs/conf.py", "tests/conftest.py", "benchmarks/gpu_check.py", "Makefile")
    assert {*wanted, "requirements.txt", "environment.yml", "LICENSE", "CITATION.cff"} <= names


def test_the_wheel_has_the_package_and_the_workflow_and_nothing_else(wheel: Path) -> None:
    with ZipFile(wheel) as archive:
        names = set(archive.namelist())
    for source, target in (
        ("src/urnn", "urnn"),
        ("workflow", "urnn/workflow"),
        ("profiles", "urnn/workflow/profiles"),
        ("slurm", "urnn/workflow/slurm"),
    ):
        found = (path for path in (ROOT / source).rglob("*") if path.is_file())
        files = [path.relative_to(ROOT / source) for path in found]
        wanted = {f"{target}/{file}" for file in files if "__pycache__" not in file.parts}
        assert wanted <= names, wanted - names
        names -= wanted
    assert all(name.startswith("urnn-") and ".dist-info/" in name for name in names), names
    assert any(name.endswith("licenses/LICENSE") for name in names)


def test_the_readme_s_fit_without_the_folder_of_the_project(program: Path, tmp_path: Path) -> None:
    """A newcomer's record, with the commands of the README."""
    python = program.parent / "python"
    where = run(python, "-c", "import urnn; print(urnn.__file__)", folder=tmp_path)
    assert where.startswith(str(program.parent.parent))
    rows = np.cumsum(np.random.default_rng(5).standard_normal((400, 3)), axis=0) % 3
    np.savetxt(tmp_path / "record.csv", rows, delimiter=",", header="u,v,y", comments="")
    told = [command[1:] for command in commands("../README.md") if command[0] == "urnn"]
    fit, predict, convert = told
    assert "test RMSE" in run(program, *fit, *QUICK, folder=tmp_path)
    assert "Centred" in (tmp_path / "record-fit/reports/index.html").read_text("utf-8")
    log = (tmp_path / "record-fit/snakemake.log").read_text("utf-8")
    assert "workflow/profiles/default" in log and str(ROOT / "src") not in log
    # which size of a unitary network is enough depends on the record
    model = next((tmp_path / "record-fit/models").glob("*.nc"))
    assert re.fullmatch(r"record-fit/models/urnn-\d\d\.nc", predict[1])
    said = run(program, "predict", model, *predict[2:], folder=tmp_path)
    assert "RMSE of y" in said and (tmp_path / "predicted.csv").is_file()
    layers = {"rnn": torch.nn.RNN(1, 4, nonlinearity="relu"), "fc": torch.nn.Linear(4, 1)}
    torch.save(torch.nn.ModuleDict(layers).state_dict(), tmp_path / "model.pt")
    assert "written: unitary.pt" in run(program, *convert, folder=tmp_path)
