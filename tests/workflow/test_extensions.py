"""A plug is one file or folder and one line: the examples of the docs, run to the report."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import xarray as xr

if TYPE_CHECKING:
    from tests.workflow.conftest import Project

ROOT = Path(__file__).parents[2]
#: the files of the page, by path
FILES: dict[str, str] = dict(
    re.findall(
        r'^```\w+ title="([^"]+)"\n(.*?)^```',
        (ROOT / "docs/extending.md").read_text(encoding="utf-8"),
        re.MULTILINE | re.DOTALL,
    )
)
#: by name of the plug: the folder of its extension point, and how many files it may cost besides
#: what is written for people (documentation, an example, a drop-in module)
PLUGS = {
    "symmetric": ("src/urnn/transition", 2),
    "leaky": ("src/urnn/recurrence/cells", 2),
    "delay": ("src/urnn/tasks", 3),
    "parameters": ("src/urnn/figures", 3),
}


def add(project: Project, name: str) -> set[str]:
    """Write a plug's files and its line; the paths of the files that this took."""
    folder, _ = PLUGS[name]
    written = {path for path in FILES if re.match(rf"{folder}/{name}(/|\.py$)", path)}
    for path in written:
        (project.folder / path).parent.mkdir(exist_ok=True)
        (project.folder / path).write_text(FILES[path], encoding="utf-8")
    point = project.folder / folder / "__init__.py"
    text, count = re.subn(
        r'"(\w+)"(,?)(\s*)\)', rf'"\1", "{name}"\2\3)', point.read_text(), count=1
    )
    assert count == 1
    point.write_text(text)
    return written | {f"{folder}/__init__.py"}


def test_the_page_has_every_file() -> None:
    assert len(FILES) == 2 + 2 + 2 + 1


@pytest.fixture
def extended(finished: Project, tmp_path: Path) -> Project:
    """The finished project with all four plugs."""
    project = finished.copy(tmp_path / "extended")
    for name, (_, most) in PLUGS.items():
        files = add(project, name)
        assert len(files) <= most, (name, files)
    (project.folder / "config/extended.yaml").write_text(FILES["config/extended.yaml"])
    return project


def test_an_addition_makes_nothing_stale(extended: Project) -> None:
    assert extended.stale() == []


def test_a_workflow_with_all_four_runs_to_the_report(extended: Project) -> None:
    for made in ("results", "reports", ".snakemake"):
        shutil.rmtree(extended.folder / made)
    extended.snakemake("--configfile", "config/extended.yaml")
    page = (extended.folder / "reports/index.html").read_text()
    for words in ("Leaky RNN", "Symmetric RNN", "number of parameters that were trained", "delay"):
        assert words in page
    figures = extended.folder / "reports/figures"
    assert {path.name for path in figures.glob("*.svg")} == {"figure.svg", "parameters.svg"}
    results = extended.folder / "results/delay"
    with xr.open_dataset(results / "scores.nc") as scores:
        assert scores["r2"].notnull().all()
        assert "r2_optimal" not in scores
        assert (
            int(scores["parameters"].sel(model="symmetric", hidden_units=4)) == 10 + 4 + 4 + 4 + 1
        )
        assert float(scores["constraint_error"].max()) < 1e-6
    with xr.open_dataset(results / "models/symmetric/hidden-04/realizations-000-001.nc") as model:
        W = model["W"].values
        assert abs(W - W.swapaxes(-1, -2)).max() < 1e-6 < abs(W).max()


def test_a_mistake_in_a_new_plug_s_key_is_explained(extended: Project) -> None:
    extended.edit("config/extended.yaml", "task: delay", "task: delay\n    step: 3")
    output = extended.snakemake("--configfile", "config/extended.yaml", check=False)
    assert "experiments.delay.step: unknown key" in output and "did you mean 'steps'" in output
    assert "Traceback" not in output
