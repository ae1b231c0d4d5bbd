"""The Python in the pages under docs runs, each page from its top to its end."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

PAGES = sorted((Path(__file__).parents[1] / "docs").rglob("*.md"))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_python_of_a_page_runs(page: Path) -> None:
    blocks = re.findall(r"^```python\n(.*?)^```", page.read_text("utf-8"), re.MULTILINE | re.DOTALL)
    scope: dict = {}
    for block in blocks:
        exec(compile(block, str(page), "exec"), scope)


def commands(page: str) -> list[list[str]]:
    """The commands of the console blocks of a page under docs, without their comments."""
    text = (Path(__file__).parents[1] / "docs" / page).read_text("utf-8")
    blocks = re.findall(r"^```console\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    lines = [line.removeprefix("$ ") for block in blocks for line in block.splitlines()]
    return [shlex.split(line, comments=True) for line in lines]


#: options that make a fit quick
QUICK = shlex.split("--hidden-units 2 --epochs 3 --restarts 1 --realizations 1 --device cpu")


def test_the_examples_of_your_data_run(tmp_path: Path) -> None:
    """From the records to a page, with the commands of the page."""
    root = Path(__file__).parents[1]
    (tmp_path / "docs").symlink_to(root / "docs")
    environment = {**os.environ, "PYTHONPATH": str(root / "src")}

    def run(command: list[str]) -> str:
        program = {"urnn": [sys.executable, "-m", "urnn"], "python": [sys.executable]}[command[0]]
        result = subprocess.run(
            [*program, *command[1:]], cwd=tmp_path, env=environment, capture_output=True, text=True
        )
        assert result.returncode == 0, f"{command}: {result.stdout}{result.stderr}"
        return result.stdout

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
    config = yaml.safe_load((Path(__file__).parents[1] / "config/records.yaml").read_text("utf-8"))
    for command in commands("your_data.md"):
        if command[:2] == ["urnn", "fit"] and "--folder" in command:
            experiment = config["experiments"][command[command.index("--folder") + 1]]
            records = command[2 : command.index("--inputs")]
            assert experiment["records"] == records
            sizes = command[command.index("--hidden-units") + 1 :]
            sizes = sizes[: next(i for i, word in enumerate(sizes) if word.startswith("--"))]
            assert experiment["hidden_units"] == list(map(int, sizes))
