"""The ways to set the project up agree with each other."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import yaml

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


def test_constraints_pin_every_requirement() -> None:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pinned = names([line for line in lines if not line.startswith("#")])
    required = names(PROJECT["dependencies"]).keys() | {
        name for extra in INSTALLED for name in names(OPTIONAL[extra]) if name != "urnn[workflow]"
    }
    normal = {name.replace("_", "-") for name in pinned}
    assert {name.replace("_", "-") for name in required} <= normal
    assert all(version.startswith("==") for version in pinned.values())
    assert pinned["torch"] == "==2.13.0"


def test_make_installs_the_workflow_and_what_develops_it() -> None:
    text = (ROOT / "Makefile").read_text()
    assert f"--editable '.[{','.join(INSTALLED)}]'" in text


def test_readme_has_the_two_commands_at_its_top() -> None:
    top = (ROOT / "README.md").read_text()[:900]
    assert "make run" in top
    assert "make test" in top
