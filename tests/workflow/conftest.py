"""A copy of the project in which the test configuration has run to the end, once for all tests."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from project import Project

ROOT = Path(__file__).parents[2]
PARTS = ("Snakefile", "config", "profiles", "slurm", "workflow", "src", "pyproject.toml")


@pytest.fixture(scope="session")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Project:
    folder = tmp_path_factory.mktemp("finished")
    for part in PARTS:
        source = ROOT / part
        if source.is_dir():
            ignore = shutil.ignore_patterns("__pycache__", "*.egg-info")
            shutil.copytree(source, folder / part, ignore=ignore)
        else:
            shutil.copy2(source, folder / part)
    project = Project(folder)
    project.snakemake()
    return project


@pytest.fixture
def project(finished: Project, tmp_path: Path) -> Project:
    """A copy of the finished one, to be changed by a test."""
    return finished.copy(tmp_path / "project")
