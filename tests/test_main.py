"""The command line: its stages, their help, and the small ones of them."""

from __future__ import annotations

import json
import pkgutil
from pathlib import Path

import pytest

from urnn import commands
from urnn.__main__ import main
from urnn.config import schema
from urnn.recurrence import cells

STAGES = sorted(module.name for module in pkgutil.iter_modules(commands.__path__))


def test_the_help_names_every_stage_and_says_what_it_does(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["--help"])
    said = " ".join(capsys.readouterr().out.split())
    assert caught.value.code == 0
    for stage in STAGES:
        assert f" {stage} " in said
    assert "score the trained models of an experiment on its test trials" in said


@pytest.mark.parametrize("stage", STAGES)
def test_the_help_of_a_stage_says_what_its_options_are(
    stage: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main([stage, "--help"])
    assert caught.value.code == 0
    assert f"usage: python -m urnn {stage} " in capsys.readouterr().out


def test_an_unknown_option_is_rejected_with_those_of_its_stage(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["fit", "a.csv", "--inputs", "u", "--outputs", "y", "--bananas"])
    said = capsys.readouterr().err
    assert "usage: python -m urnn fit " in said and "unrecognized arguments: --bananas" in said


def test_an_unknown_stage_is_rejected_with_those_that_there_are(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["trane"])
    assert caught.value.code == 2
    assert "invalid choice: 'trane'" in capsys.readouterr().err


def test_the_schema_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["schema"]) == 0
    assert json.loads(capsys.readouterr().out) == schema()


SIZES = ["--hidden-units", "2", "--input-size", "1", "--output-size", "1"]
NUMBERS = ["--batches", "3", "--trials", "2"]


@pytest.mark.parametrize("cell", cells.POINT.names)
def test_kernels_are_compiled_and_the_file_says_which(cell: str, tmp_path: Path) -> None:
    output = tmp_path / "kernels.json"
    arguments = ["--cell", json.dumps({"cell": cell}), *SIZES, *NUMBERS, "--output", str(output)]
    assert main(["kernels", *arguments]) == 0
    tag = cells.POINT.make(cell).tag
    assert json.loads(output.read_text()) == {
        "kernel": f"{tag}-squared-2-1-1",
        "cell": cells.POINT.make(cell).model_dump(),
        "batches": [3],
        "trials": [2],
    }


@pytest.mark.parametrize(
    ("cell", "words"),
    [
        ('{"cell": "lstmm"}', "--cell.cell: must be one of 'rnn', 'lstm', 'gru', but it is the te"),
        ('{"cell": "lstm", "activation": "tanh"}', "; activation is a key of rnn"),
        ('{"activation": "swish"}', "--cell.activation: must be one of 'relu'"),
        ("lstm", "--cell: expected JSON such as"),
    ],
)
def test_a_cell_that_is_not_there_is_explained(
    cell: str, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = str(tmp_path / "kernels.json")
    assert main(["kernels", "--cell", cell, *SIZES, *NUMBERS, "--output", output]) == 1
    said = capsys.readouterr().err
    assert said.startswith("urnn kernels: ") and words in said
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["kernels", "--batches", "0"], "argument --batches: must be 1 or more, not 0"),
        (["kernels", "--batches", "1.5"], "argument --batches: invalid int value: '1.5'"),
        (["data", "--realization", "-1"], "argument --realization: must be 0 or more, not -1"),
        (["train", "--seed", "-2"], "argument --seed: must be 0 or more, not -2"),
    ],
)
def test_a_number_that_cannot_be_is_explained(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(arguments)
    assert words in capsys.readouterr().err


def test_a_size_that_the_cell_cannot_have_is_explained(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cell = ["--cell", '{"activation": "modrelu"}', "--hidden-units", "3", *SIZES[2:]]
    output = tmp_path / "kernels.json"
    assert main(["kernels", *cell, *NUMBERS, "--output", str(output)]) == 1
    assert "hidden_units: modrelu acts on pairs of hidden units" in capsys.readouterr().err


def test_a_gpu_without_memory_is_explained(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from urnn.commands import schema as stage

    class OutOfMemoryError(RuntimeError):
        """As torch's."""

    def fails(kind: type[RuntimeError]) -> None:
        def run(options: object) -> None:
            raise kind("CUDA out of memory. Tried to allocate 2 GiB.\nMore.")

        monkeypatch.setattr(stage, "run", run)

    fails(OutOfMemoryError)
    assert main(["schema"]) == 1
    said = capsys.readouterr().err
    assert "Tried to allocate 2 GiB. Use a smaller gpu_memory or block_size" in said
    fails(RuntimeError)
    with pytest.raises(RuntimeError):
        main(["schema"])


def test_a_device_that_is_not_there_is_refused_before_the_data_are_read(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    named = ["--experiment", "a", "--name", "b", "--hidden-units", "2", "--device", "cuda:99"]
    missing = str(tmp_path / "missing.nc")
    assert main(["train", missing, *named, "--output", str(tmp_path / "model.nc")]) == 1
    said = capsys.readouterr().err
    assert said.startswith("urnn train: device: 'cuda:99' is not available here")
