"""The ways to set the project up agree with each other."""

from __future__ import annotations

import os
import re
import subprocess
import tomllib
from importlib import metadata
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

from tests.conftest import shared_folder

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
OPTIONAL = PROJECT["optional-dependencies"]
#: the extras that `make` installs
INSTALLED = ("workflow", "slurm", "dev")
#: names that differ between PyPI and conda
CONDA = {
    "matplotlib": "matplotlib-base",
    "netcdf4": "netcdf4",
    "seaborn": "seaborn-base",
    "snakemake": "snakemake-minimal",
    "torch": "pytorch",
}


@pytest.fixture(scope="module")
def processes(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file in which each process that asks for this fixture leaves its number."""
    path = shared_folder(request, tmp_path_factory) / "processes"
    with path.open("a") as file:
        file.write(f"{os.getpid()}\n")
    return path


@pytest.mark.parametrize("again", range(4))
def test_what_is_made_for_a_file_is_made_in_one_process(again: int, processes: Path) -> None:
    assert processes.read_text() == f"{os.getpid()}\n"


def names(requirements: list[str]) -> dict[str, str]:
    pairs = [re.fullmatch(r"([\w.-]+(?:\[\w+\])?)(.*)", r.replace(" ", "")) for r in requirements]
    return {pair[1].lower(): pair[2] for pair in pairs if pair}


def test_environment_yml_is_in_step_with_pyproject() -> None:
    conda = yaml.safe_load((ROOT / "environment.yml").read_text())["dependencies"]
    given = names([entry for entry in conda if isinstance(entry, str)])
    assert given.pop("python") == PROJECT["requires-python"]
    given.pop("pip")
    packages = names(PROJECT["dependencies"]) | names(OPTIONAL["workflow"])
    assert given == {CONDA.get(name, name): bound for name, bound in packages.items()}
    (by_pip,) = (entry["pip"] for entry in conda if isinstance(entry, dict))
    assert by_pip == ["--editable .[workflow,slurm]"]


def test_the_rules_environment_of_conda_is_that_of_environment_yml() -> None:
    whole = yaml.safe_load((ROOT / "environment.yml").read_text())
    rules = yaml.safe_load((ROOT / "workflow/envs/urnn.yaml").read_text())
    assert rules["channels"] == whole["channels"]
    packages = [entry for entry in whole["dependencies"] if isinstance(entry, str)]
    # pip and the backend build the package in it, see urnn.post-deploy.sh
    (backend,) = tomllib.loads((ROOT / "pyproject.toml").read_text())["build-system"]["requires"]
    assert rules["dependencies"] == [*packages, backend]


def locked() -> dict[str, tuple[str, list[str]]]:
    """Version and hashes by name of what `make` installs, but for torch."""
    text = (ROOT / "requirements.txt").read_text()
    found = re.findall(r"^([\w.-]+)==(\S+)[^\n]*((?:\n    --hash=.*)*)", text, re.MULTILINE)
    assert len(found) == len(re.findall(r"^[^#\s]", text, re.MULTILINE))
    return {
        name.lower().replace("_", "-"): (version, re.findall("sha256:([0-9a-f]{64})", hashes))
        for name, version, hashes in found
    }


def test_the_lock_pins_every_requirement_by_hash() -> None:
    pinned = locked()
    required = names(PROJECT["dependencies"]).keys() | {
        name for extra in INSTALLED for name in names(OPTIONAL[extra]) if name != "urnn[workflow]"
    }
    assert {name.replace("_", "-") for name in required} - {"torch"} <= pinned.keys()
    assert "torch" not in pinned and not any(name.startswith("nvidia") for name in pinned)
    assert all(hashes for _, hashes in pinned.values())


@pytest.mark.parametrize("system", ["Linux", "Darwin"])
@pytest.mark.parametrize("python", ["3.11", "3.12", "3.13"])
def test_the_lock_is_complete_on_other_systems(system: str, python: str) -> None:
    """It is installed without dependencies, and pip check refuses what is missing."""
    elsewhere = {
        "platform_system": system, "sys_platform": system.lower(), "extra": "",
        "python_version": python, "python_full_version": f"{python}.0",
    }  # fmt: skip
    pinned, missing = locked(), set()
    for distribution in metadata.distributions():
        name = distribution.metadata["Name"].lower().replace("_", "-")
        if name not in pinned:
            continue
        for requirement in map(Requirement, distribution.requires or []):
            wanted = requirement.name.lower().replace("_", "-")
            needed = requirement.marker is None or requirement.marker.evaluate(elsewhere)
            if needed and wanted not in {*pinned, "torch"}:
                missing.add(f"{name} needs {requirement}")
    assert not missing


def test_make_installs_the_lock_and_one_torch() -> None:
    text = (ROOT / "Makefile").read_text()
    assert re.search(r"^TORCH +:= torch==2\.13\.0$", text, re.MULTILINE)
    assert "--require-hashes --no-deps --requirement requirements.txt" in text


def test_the_container_installs_what_make_installs() -> None:
    """The lock, the same torch, and all that the wheel is made of."""
    lines = (ROOT / "workflow/envs/Dockerfile").read_text().replace("\\\n", "").splitlines()
    told = [line.split(maxsplit=1) for line in lines if line and not line.startswith("#")]
    run = " && ".join(rest for word, rest in told if word == "RUN")
    assert "--require-hashes --no-deps --requirement requirements.txt" in run
    (torch,) = re.findall(r"^TORCH +:= (\S+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert re.findall(r"torch==\S+", run) == [torch]
    python = next(rest for word, rest in told if word == "FROM")
    version = re.search(r"python:(\d+)\.(\d+)-", python)
    lowest = re.fullmatch(r">=(\d+)\.(\d+)", PROJECT["requires-python"])
    assert version and lowest
    assert tuple(map(int, version.groups())) >= tuple(map(int, lowest.groups()))
    copied = {path for word, rest in told if word == "COPY" for path in rest.split()[:-1]}
    assert all((ROOT / path).exists() for path in copied)
    build = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["hatch"]["build"]
    wheel = build["targets"]["wheel"]
    needed = {path.split("/")[0] for path in (*wheel["packages"], *wheel["force-include"])}
    files = {"pyproject.toml", PROJECT["readme"], *PROJECT["license-files"], "requirements.txt"}
    assert copied == needed | files | {"Snakefile"}


def test_one_version_with_its_date() -> None:
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    changes = (ROOT / "CHANGELOG.md").read_text()
    version, date = re.findall(r"^## (\S+), (\S+)$", changes, re.MULTILINE)[0]
    assert PROJECT["version"] == version == citation["version"]
    assert date == str(citation["date-released"])
    (paper,) = citation["references"]
    assert paper["doi"] and paper["url"] == PROJECT["urls"]["Paper"]


def test_make_help_names_every_target() -> None:
    shown = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True)
    (phony,) = re.findall(r"^\.PHONY: (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    described = re.findall(r"^make (\S+) +\S", shown.stdout, re.MULTILINE)
    assert described == phony.split()


def test_readme_has_the_two_commands_at_its_top() -> None:
    top = (ROOT / "README.md").read_text()[:900]
    assert "make run" in top
    assert "make test" in top
