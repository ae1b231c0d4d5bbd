"""What users of Snakemake expect: report, lint, module, --directory, a conda environment."""

from __future__ import annotations

import os
import re
import site
import venv
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml

from tests import preloaded
from tests.workflow.conftest import ROOT

if TYPE_CHECKING:
    from tests.workflow.conftest import Project

#: one model of one size on one small system, and one figure
SMALL = {
    "experiments": {
        "small": {
            "task": "synthetic",
            "system": {"time_steps": 60, "trials": 30, "epsilon": 0.2, "on_tolerance": 0.1},
            "snr_db": 20,
            "realizations": 1,
            "models": ["rnn"],
            "hidden_units": [2],
            "recipe": "quick",
        }
    },
    "models": {"rnn": {"label": "RNN with {braces}"}},
    "recipes": {"quick": {"epochs": 2, "batch_size": 7}},
    "figures": {"r2": {"kind": "r2", "experiment": "small", "note": "*One*, a_b_, {system}."}},
}


def snakemake(
    folder: Path, *arguments: str | Path, environment: Mapping[str, str] | None = None
) -> str:
    """Snakemake with this project's package, in another folder; what it prints."""
    status, output = preloaded.run(["--cores", "2", *arguments], folder, environment)
    assert status == 0, output[-6000:]
    return output


def written(path: Path, values: object) -> Path:
    path.write_text(yaml.safe_dump(values))
    return path


def test_lint() -> None:
    assert "your workflow is in a good condition" in snakemake(ROOT, "--lint")


def test_both_snakefiles_are_one_workflow(project: Project) -> None:
    assert project.stale() == []
    output = project.snakemake("--dry-run", "--snakefile", "workflow/Snakefile")
    assert "Nothing to be done" in output


def test_the_report_of_a_finished_run(project: Project) -> None:
    project.snakemake("--report", "report.zip")
    with zipfile.ZipFile(project.folder / "report.zip") as archive:
        page = archive.read("report/report.html").decode()
        names = archive.namelist()
    assert len([name for name in names if name.endswith(".svg")]) == 10
    assert "What unitary and contractive recurrent networks can and cannot do" in page
    assert "every figure with its caption" in page  # of the page
    assert "system-message" not in page and "problematic" not in page


@pytest.fixture(scope="module")
def module(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workflow of somebody else's that has this one as a module, as the docs show it, run."""
    folder = tmp_path_factory.mktemp("module")
    text = (ROOT / "docs/snakemake.md").read_text(encoding="utf-8")
    found = re.search(r'^```python title="Snakefile"\n(.*?)^```', text, re.MULTILINE | re.DOTALL)
    assert found is not None
    (folder / "Snakefile").write_text(found[1].replace("/path/to/urnn", str(ROOT)))
    snakemake(folder, "--configfile", written(folder / "mine.yaml", {"urnn": SMALL}))
    return folder


def test_the_workflow_as_a_module_with_a_prefix(module: Path) -> None:
    here = module / "networks"
    assert (here / "results/small/scores.nc").is_file()
    assert "RNN with {braces}" in (here / "reports/index.html").read_text("utf-8")
    assert not (module / "results").exists() and not (module / "reports").exists()
    assert "Nothing to be done" in snakemake(module, "--dry-run", "--configfile", "mine.yaml")


def test_a_caption_is_plain_text_in_snakemake_s_report(module: Path) -> None:
    snakemake(module, "--report", "report.zip", "--configfile", "mine.yaml")
    with zipfile.ZipFile(module / "report.zip") as archive:
        page = archive.read("report/report.html").decode()
    assert "*One*, a_b_, {system}." in page
    assert "system-message" not in page and "problematic" not in page


def test_another_directory(tmp_path: Path) -> None:
    config = written(tmp_path / "mine.yaml", SMALL)
    target = "results/small/data/realization-000.nc"
    there = ("--snakefile", ROOT / "Snakefile", "--directory", "mine", "--configfile", config)
    output = snakemake(tmp_path, target, *there)
    assert re.search("profile .*profiles/default for setting", output)
    assert (tmp_path / "mine" / target).is_file()
    assert {path.name for path in tmp_path.iterdir()} == {"mine", "mine.yaml"}


def test_a_target_before_the_configuration(tmp_path: Path) -> None:
    """As the docs say; after it, it is one of the option's words."""
    config = ("--configfile", written(tmp_path / "mine.yaml", SMALL))
    snakefile = ("--snakefile", ROOT / "workflow/Snakefile", "--dry-run")
    target = "reports/figures/r2.svg"
    for words in ((target, *config, *snakefile), (*snakefile, *config, "--", target)):
        output = snakemake(tmp_path, *words)
        jobs = re.findall(r"^(\w+) +\d+$", output, re.MULTILINE)
        assert set(jobs) == {"data_small_000", "figure", "kernels", "score", "train", "total"}


CONDA = """#!/usr/bin/env bash
# Stands for conda, which the tests cannot download: an environment is a venv with our packages.
set -euo pipefail
case "$*" in
  "info --json") echo '{{"conda_prefix": "{folder}", "platform": "linux-64"}}' ;;
  "--version") echo "conda 26.1.0" ;;
  "config --get channel_priority --json") echo '{{"get": {{"channel_priority": "strict"}}}}' ;;
  "env create "*)
    prefix=$(sed 's/.*--prefix "\\{{0,1\\}}\\([^" ]*\\).*/\\1/' <<< "$*")
    cp --recursive {clean} "$prefix" ;;
  "clean "*) ;;
  *) echo "what is conda $*?" >&2; exit 1 ;;
esac
"""
ACTIVATE = 'export PATH="$1/bin:$PATH" CONDA_PREFIX="$1"\n'


def clean_environment(folder: Path) -> Path:
    """A virtual environment with the packages that are installed here, but without urnn."""
    venv.create(folder, with_pip=False, symlinks=True)
    (packages,) = folder.glob("lib/python*/site-packages")
    # the files .pth in there, such as that of the editable urnn, are not read
    (packages / "installed.pth").write_text(f"{site.getsitepackages()[0]}\n")
    return folder


def test_jobs_run_in_the_environment_of_conda(tmp_path: Path) -> None:
    conda = tmp_path / "conda"
    (conda / "bin").mkdir(parents=True)
    clean = clean_environment(tmp_path / "clean")
    (conda / "bin/conda").write_text(CONDA.format(folder=conda, clean=clean))
    (conda / "bin/conda").chmod(0o755)
    (conda / "bin/activate").write_text(ACTIVATE)
    config = written(tmp_path / "mine.yaml", SMALL)
    target = "results/small/data/realization-000.nc"
    snakemake(
        tmp_path,
        *(target, "--snakefile", ROOT / "workflow/Snakefile", "--configfile", config),
        *("--sdm", "conda"),
        environment={"PATH": f"{conda / 'bin'}{os.pathsep}{os.environ['PATH']}"},
    )
    assert (tmp_path / target).is_file()
    (made,) = (tmp_path / ".snakemake/conda").glob("*_/lib/python*/site-packages/urnn-*.dist-info")
    assert made.is_dir()
