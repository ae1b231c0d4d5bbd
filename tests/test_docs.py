"""The Python in the pages under docs runs, each page from its top to its end."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import yaml

import benchmarks.__main__ as main_benchmark
from benchmarks import gpu as gpu_benchmark
from tests import preloaded
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
    blocks = [block.replace("\\\n", " ") for block in blocks]
    lines = [line.removeprefix("$ ") for block in blocks for line in block.splitlines()]
    return [*filter(None, (shlex.split(line, comments=True) for line in lines))]


#: options that make a fit quick
QUICK = shlex.split("--hidden-units 2 --epochs 3 --restarts 1 --realizations 1 --device cpu")


def run_in(folder: Path, command: list[str]) -> str:
    """A command of a page; what it prints."""
    if command[0] == "snakemake":
        status, output = preloaded.run(command[1:], folder)
        assert status == 0, f"{command}: {output}"
        return output
    program = [sys.executable, *(["-m", "urnn"] if command[0] == "urnn" else [])]
    result = subprocess.run(
        [*program, *command[1:]],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, f"{command}: {result.stdout}{result.stderr}"
    return result.stdout


#: the pages with commands; each has its tests here, but for what is said beside it
PAGES_WITH_COMMANDS = {
    "CONTRIBUTING.md",
    "README.md",  # its fit and prediction: tests/workflow/test_wheel.py
    "benchmarks/README.md",
    "docs/gpu.md",  # doctor: tests/test_doctor.py
    "docs/snakemake.md",  # --report and --lint: tests/workflow/test_snakemake.py
    "docs/theorems.md",
    "docs/tutorials/first_run.md",
    "docs/your_data.md",
}


def test_no_page_has_commands_that_nobody_runs() -> None:
    pages = [*ROOT.glob("*.md"), *ROOT.glob("*/README.md"), *(ROOT / "docs").rglob("*.md")]
    pages += (ROOT / "reports").rglob("*.md")
    found = {
        page.relative_to(ROOT).as_posix()
        for page in pages
        if re.search(r"^ *```(console|bash|sh|shell)", page.read_text("utf-8"), re.MULTILINE)
    }
    assert found == PAGES_WITH_COMMANDS


def made_by(arguments: list[str]) -> str:
    """What `make` with these arguments would run."""
    # what is installed stands for the set-up, which downloads
    options = ("--dry-run", "--assume-old=.venv/installed")
    return subprocess.run(
        ["make", *options, *arguments], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout


def test_the_commands_of_make_in_the_readme() -> None:
    """What they run; tests/workflow does it, and its test of the wheel the commands of urnn."""
    made = [command[1:] for command in commands("../README.md") if command[0] == "make"]
    assert made == [["run"], ["test"], ["run", "CONFIG=config/test.yaml"], ["paper"]]
    for arguments in made:
        words = made_by(arguments)
        config = {"paper": "config/paper.yaml"}.get(arguments[0], "config/config.yaml")
        config = arguments[-1].partition("=")[2] or config
        expected = "-m pytest" if arguments == ["test"] else f'--configfile "{config}"'
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


def test_the_commands_of_contributors() -> None:
    """Which programs they run; CI runs the first two."""
    expected = {"test": "-m pytest", "check": "mypy", "format": "ruff check --fix"}
    for command in commands("../CONTRIBUTING.md"):
        assert expected.pop(command[1]) in made_by(command[1:])
    assert not expected


def test_the_commands_of_the_benchmarks(tmp_path: Path) -> None:
    """Those that measure are only parsed, for they take minutes or a GPU."""
    modules = {"benchmarks": main_benchmark, "benchmarks.gpu": gpu_benchmark}
    for command in commands("../benchmarks/README.md"):
        if command[0] == "make":
            assert "-m benchmarks" in made_by(command[1:])
            continue
        assert command[:2] == ["python", "-m"]
        if command[2] in modules:
            modules[command[2]]._parser().parse_args(command[3:])
        else:
            result = next((ROOT / "benchmarks/results").glob("*-gru.json"))
            run_in(ROOT, [*command[:3], str(result), str(tmp_path / "benchmark.png")])
            assert (tmp_path / "benchmark.png").is_file()


def test_the_conversion_of_the_page_on_theorems(tmp_path: Path) -> None:
    made = torch.nn.ModuleDict({"rnn": torch.nn.RNN(2, 3, nonlinearity="relu")})
    made["fc"] = torch.nn.Linear(3, 1)
    made["rnn"].weight_hh_l0.data *= 0.5 / torch.linalg.matrix_norm(made["rnn"].weight_hh_l0, 2)
    torch.save(made.state_dict(), tmp_path / "model.pt")
    (command,) = commands("theorems.md")
    assert "Convertible" in run_in(tmp_path, command)
    assert (tmp_path / "unitary.pt").is_file() and (tmp_path / "report.json").is_file()


def like_the_project(folder: Path) -> None:
    """What Snakemake needs of the project's folder."""
    for name in ("Snakefile", "workflow", "config", "profiles", "slurm"):
        (folder / name).symlink_to(ROOT / name)


def test_the_commands_of_the_page_on_gpus(tmp_path: Path) -> None:
    """Dry runs; the page says of the last that no test can run it."""
    like_the_project(tmp_path)
    run, *others = [one for one in commands("gpu.md") if one[0] != "python"]
    check, slurm = others
    assert "-m benchmarks.gpu_check" in made_by(check[1:])
    for command in (run, slurm):
        quick = ["--configfile", str(ROOT / "config/test.yaml")]
        assert "This was a dry-run" in run_in(tmp_path, [*command, "--dry-run", *quick])


def test_the_commands_of_the_page_on_snakemake(tmp_path: Path) -> None:
    """Each as a dry run in a folder like the project's."""
    like_the_project(tmp_path)
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
