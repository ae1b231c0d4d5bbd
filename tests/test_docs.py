"""The Python in the pages under docs runs, each page from its top to its end."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from urnn.__main__ import _stages

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_python_of_a_page_runs(page: Path) -> None:
    blocks = re.findall(r"^```python\n(.*?)^```", page.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    scope: dict = {}
    for block in blocks:
        exec(compile(block, str(page), "exec"), scope)


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text("utf-8").split()) < 900


def test_the_page_of_the_commands_names_all_of_them() -> None:
    rows = re.findall(
        r"^\| `urnn (\w+)` \| (.+) \|$",
        (ROOT / "docs/reference/commands.md").read_text("utf-8"),
        re.MULTILINE,
    )
    assert dict(rows) == _stages()


def commands(page: str) -> list[list[str]]:
    """The commands of the console blocks of a page under docs, without their comments."""
    text = (ROOT / "docs" / page).read_text("utf-8")
    blocks = re.findall(r"^```console\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    lines = [line.removeprefix("$ ") for block in blocks for line in block.splitlines()]
    return [shlex.split(line, comments=True) for line in lines]


#: options that make a fit quick
QUICK = shlex.split("--hidden-units 2 --epochs 3 --restarts 1 --realizations 1 --device cpu")


def run_in(folder: Path, command: list[str]) -> str:
    """A command of a page; what it prints."""
    python = [sys.executable, "-m"]
    program = {"urnn": [*python, "urnn"], "snakemake": [*python, "snakemake"]}
    result = subprocess.run(
        [*program.get(command[0], [sys.executable]), *command[1:]],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, f"{command}: {result.stdout}{result.stderr}"
    return result.stdout + (result.stderr if command[0] == "snakemake" else "")


def test_the_commands_of_make_in_the_readme() -> None:
    """What they run; tests/workflow does it, and its test of the wheel the commands of urnn."""
    made = [command[1:] for command in commands("../README.md") if command[0] == "make"]
    assert made == [["run"], ["test"], ["run", "CONFIG=config/test.yaml"], ["paper"]]
    for arguments in made:
        # what is installed stands for the set-up, which downloads
        options = ("--dry-run", "--assume-old=.venv/installed")
        words = subprocess.run(
            ["make", *options, *arguments], cwd=ROOT, capture_output=True, text=True, check=True
        ).stdout
        config = {"paper": "config/paper.yaml"}.get(arguments[0], "config/config.yaml")
        config = arguments[-1].partition("=")[2] or config
        expected = "-m pytest" if arguments == ["test"] else f"--configfile {config}"
        assert expected in words


def test_the_first_run_of_the_tutorial(tmp_path: Path) -> None:
    page = "tutorials/first_run.md"
    text = (ROOT / "docs" / page).read_text("utf-8")
    found = re.search(r'^```yaml title="mine.yaml"\n(.*?)^```', text, re.MULTILINE | re.DOTALL)
    assert found is not None
    (tmp_path / "mine.yaml").write_text(found[1], "utf-8")
    for command in commands(page):
        if command[0] == "urnn":
            run_in(tmp_path, command)
    assert (tmp_path / "scores.svg").is_file() and (tmp_path / "theorem3.svg").is_file()
    snakefile = ["--snakefile", str(ROOT / "workflow/Snakefile"), "--dry-run"]
    (ours,) = (command for command in commands(page) if "mine.yaml" in command)
    assert "first: urnn with 04 hidden units" in run_in(tmp_path, [*ours, *snakefile])


def test_the_commands_of_the_page_on_snakemake(tmp_path: Path) -> None:
    """Each as a dry run in a folder like the project's."""
    for name in ("Snakefile", "workflow", "config", "profiles", "slurm"):
        (tmp_path / name).symlink_to(ROOT / name)
    for name in ("mine.yaml", "paper.yaml"):  # all the paper's jobs would take their time
        (tmp_path / name).symlink_to(ROOT / "config/test.yaml")
    checked = 0
    for command in commands("snakemake.md"):
        if {"--report", "--lint", "squeue"} & set(command):
            continue  # they have tests of their own, and the last needs Slurm
        here = [word.replace("/path/to/urnn", str(ROOT)) for word in command]
        here = [word.replace("config/paper.yaml", "paper.yaml") for word in here]
        cores = [] if {"--cores", "--profile"} & set(here) else ["--cores", "1"]
        assert "This was a dry-run" in run_in(tmp_path, [*here, *cores, "--dry-run"])
        checked += 1
    assert checked == 9


def test_the_examples_of_your_data_run(tmp_path: Path) -> None:
    """From the records to a page, with the commands of the page."""
    (tmp_path / "docs").symlink_to(ROOT / "docs")

    def run(command: list[str]) -> str:
        return run_in(tmp_path, command)

    listed = commands("your_data.md")
    assert "tanks.csv" in run(["python", "docs/examples/records.py"])
    fits = [command for command in listed if command[:2] == ["urnn", "fit"]]
    assert len(fits) == 4
    for command in fits[1:]:
        assert "RMSE of" in run([*command, *QUICK])
        folder = tmp_path / command[command.index("--folder") + 1]
        assert "Centred" in (folder / "reports/index.html").read_text("utf-8")
    model = next((tmp_path / "tanks/models").glob("rnn-*.nc"))
    for command in listed:
        if command[1] in ("predict", "export"):
            names = {"other.csv": "records/tanks.csv", "record.csv": "records/tanks.csv"}
            here = [names.get(word, word) for word in command]
            here[2] = str(model)
            here[here.index("--output") + 1] = f"{command[1]}-{len(here)}"
            if "onnx" not in here:
                run(["100:" if word == "6000:" else word for word in here])


def test_the_configuration_of_the_examples_is_that_of_the_page() -> None:
    config = yaml.safe_load((ROOT / "config/records.yaml").read_text("utf-8"))
    for command in commands("your_data.md"):
        if command[:2] == ["urnn", "fit"] and "--folder" in command:
            experiment = config["experiments"][command[command.index("--folder") + 1]]
            records = command[2 : command.index("--inputs")]
            assert experiment["records"] == records
            sizes = command[command.index("--hidden-units") + 1 :]
            sizes = sizes[: next(i for i, word in enumerate(sizes) if word.startswith("--"))]
            assert experiment["hidden_units"] == list(map(int, sizes))
