"""The command `convert`, from a checkpoint to the written network and its report."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from urnn import RNN
from urnn.__main__ import main
from urnn.equivalence import UnitaryTorchRNN, random_inputs


def model(
    gain: float, nonlinearity: str = "relu", layers: int = 1, seed: int = 0
) -> torch.nn.Module:
    """rnn and fc, float64, ||W||_2 = gain."""
    torch.manual_seed(seed)
    made = torch.nn.ModuleDict(
        {
            "rnn": torch.nn.RNN(2, 6, layers, nonlinearity=nonlinearity, batch_first=True),
            "fc": torch.nn.Linear(6, 1),
        }
    ).double()
    with torch.no_grad():
        for layer in range(layers):
            W = made["rnn"].get_parameter(f"weight_hh_l{layer}")
            torch.nn.init.normal_(W).mul_(gain / torch.linalg.matrix_norm(W, 2))
    return made


def saved(folder: Path, made: torch.nn.Module) -> Path:
    path = folder / "model.pt"
    torch.save({"model_state_dict": made.state_dict(), "epoch": 7}, path)
    return path


BOUND = ["--input-bound", "1.5", "--norm", "inf", "--nonlinearity", "relu", "--readout", "fc"]


def test_a_contractive_checkpoint_end_to_end(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = model(0.8, layers=2)
    path, record = saved(tmp_path, made), tmp_path / "record.npy"
    before = path.read_bytes()
    np.save(record, np.random.default_rng(0).uniform(-1.5, 1.5, (50, 2)))
    files = ["--output", str(tmp_path / "unitary.pt"), "--report", str(tmp_path / "report.json")]
    assert main(["convert", str(path), *BOUND, "--inputs", str(record), *files]) == 0
    said = capsys.readouterr().out
    assert "layer  states  URNN  ||W||_2" in said and "\n1      6       12    0.8 " in said
    assert "Convertible: the unitary network has the same outputs, but for rounding, for" in said
    assert f"{record}: largest deviation " in said and "(1 x 50 steps)" in said
    report = json.loads((tmp_path / "report.json").read_text())
    assert report["convertible"] and report["error_bound"] == 0 and report["reason"] is None
    assert [layer["unitary_states"] for layer in report["layers"]] == [12, 12]
    assert report["given"]["largest"] < 1e-12 and report["norm"] == "inf"
    unitary = UnitaryTorchRNN.load(tmp_path / "unitary.pt")
    x = torch.tensor(random_inputs(2, 1.5, np.inf, 4, 100, 9))
    with torch.no_grad():
        y, found = made["fc"](made["rnn"](x)[0]), unitary.readout(unitary(x)[0])
    assert torch.allclose(found, y, rtol=1e-12, atol=1e-13)
    assert path.read_bytes() == before
    assert {file.name for file in tmp_path.iterdir()} == {
        *("model.pt", "record.npy", "unitary.pt", "report.json")
    }


def test_an_expansive_checkpoint_is_approximated_and_the_report_is_true(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = model(1.35)
    path = saved(tmp_path, made)
    files = ["--output", str(tmp_path / "unitary.npz"), "--report", str(tmp_path / "report.json")]
    assert main(["convert", str(path), *BOUND, *files]) == 0
    said = capsys.readouterr().out
    assert "Not convertible: layer 0: W cannot be rescued" in said and "refitted\n" in said
    report = json.loads((tmp_path / "report.json").read_text())
    scaling, stated = report["layers"][0]["scaling"], report["random"]
    assert not report["convertible"] and scaling["lower_bound"] >= 1
    assert np.shape(scaling["certificate"]) == (6, 6)
    assert stated["relative_rmse"] < report["clipped"]["relative_rmse"]
    x = random_inputs(2, 1.5, np.inf, stated["trials"], stated["steps"], report["seed"])
    with torch.no_grad():
        y = made["fc"](made["rnn"](torch.tensor(x))[0]).numpy()
    error = RNN.load(tmp_path / "unitary.npz")(x) - y
    assert np.abs(error).max() == pytest.approx(stated["largest"], rel=1e-9)
    assert np.sqrt(np.mean(error**2) / np.mean(y**2)) == pytest.approx(stated["relative_rmse"])


def test_what_is_no_replacement_is_not_called_near(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path, output = saved(tmp_path, model(4.0)), tmp_path / "unitary.pt"
    assert main(["convert", str(path), *BOUND, "--output", str(output)]) == 0
    said = capsys.readouterr().out
    assert "It has no useful unitary replacement of this size. " in said and "near it" not in said
    assert f"written: {output}, which is no replacement\n" in said and output.is_file()


def test_a_network_of_numpy_and_the_bound_from_the_inputs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rnn = RNN([[0.5, 0.2], [0.0, -0.3]], [[1.0], [2.0]], [0.1, 0.2], [[1.0, 1.0]], d=[3.0])
    path, record = tmp_path / "network.npz", tmp_path / "record.csv"
    rnn.save(path)
    record.write_text("-2.0\n0.5\n1.0\n", encoding="utf-8-sig")  # as spreadsheets write it
    assert main(["convert", str(path), "--inputs", str(record)]) == 0
    said = capsys.readouterr().out
    assert "(1 x 3 steps)" in said and said.endswith("add --output FILE.pt\n")
    record.write_text("x\n0.5\n-2.0\n1.0\n")
    output = tmp_path / "unitary.npz"
    assert main(["convert", str(path), "--inputs", str(record), "--output", str(output)]) == 0
    assert "with ||x(k)||_2 <= 2." in capsys.readouterr().out
    x = np.array([[0.5], [-2.0], [1.0]])
    np.testing.assert_allclose(RNN.load(output)(x), rnn(x), rtol=1e-14)
    bound = ["--input-bound", "1", "--horizon", "2"]
    assert main(["convert", str(path), "--inputs", str(record), *bound]) == 0
    said = capsys.readouterr().out
    assert "<= 1, for 2 steps." in said and "1 input vectors of" in said


@pytest.mark.parametrize("nonlinearity", ["relu", "tanh"])
def test_what_is_near_is_said_to_be_near(
    nonlinearity: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    made = model(0.9, nonlinearity)
    if nonlinearity == "relu":
        with torch.no_grad():
            torch.nn.init.orthogonal_(made["rnn"].weight_hh_l0)
        made = made.float()
        with torch.no_grad():
            made["rnn"].weight_hh_l0.mul_(1 + 1.2e-7)
    options = ["--nonlinearity", nonlinearity, "--prefix", "rnn", "--input-bound", "1"]
    assert main(["convert", str(saved(tmp_path, made)), *options]) == 0
    said = capsys.readouterr().out
    cause = {"relu": "up to the rounding of W", "tanh": "near, not equal, as Theorem 3 says"}
    assert f"Convertible, {cause[nonlinearity]}" in said and "differ by at most " in said


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ([], "give nonlinearity (--nonlinearity) as relu or tanh"),
        (["--nonlinearity", "relu"], "fc.weight, fc.bias: of neither"),
        (["--nonlinearity", "relu", "--readout", "fc"], "The options of this command are --input"),
        ([*BOUND, "--input-bound", "-1"], "input_bound must be a finite number"),
        ([*BOUND, "--horizon", "0"], "horizon must be a whole number"),
        ([*BOUND, "--realization", "1"], "--realization is not an option for"),
        ([*BOUND, "--output", "{folder}/model.pt"], "is the file of the checkpoint: name another"),
        ([*BOUND, "--output", "{folder}/./model.pt"], "is the file of the checkpoint"),
        ([*BOUND, "--report", "{folder}/model.pt"], "--report: "),
        (
            [*BOUND, "--inputs", "{folder}/x.npy", "--output", "{folder}/x.npy"],
            "is the file of --inputs",
        ),
        (
            [*BOUND, "--output", "{folder}/a.pt", "--report", "{folder}/a.pt"],
            "is the file of --output",
        ),
        ([*BOUND, "--output", "{folder}/a.txt"], "must end in .pt, .pth or .npz"),
        ([*BOUND, "--inputs", "{folder}/missing.npy"], "missing.npy does not exist"),
        ([*BOUND, "--inputs", "{folder}/model.pt"], "is no array of numbers"),
        ([*BOUND, "--inputs", "{folder}/x.npy"], "inputs must have the shape (time, 2)"),
        ([*BOUND, "--inputs", "{folder}/nan.npy"], "nan.npy must hold finite numbers"),
        ([*BOUND, "--inputs", "{folder}/names.csv"], "names.csv is no array of numbers"),
        ([*BOUND, "--inputs", "{folder}/semicolons.csv"], "semicolons.csv is no array of"),
        ([*BOUND, "--report", "{folder}"], "is a folder: name a file"),
    ],
)
def test_what_cannot_be_done_is_one_sentence_and_writes_nothing(
    options: list[str], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = saved(tmp_path, model(0.8))
    np.save(tmp_path / "x.npy", np.ones((4, 3)))
    np.save(tmp_path / "nan.npy", np.full((4, 2), np.nan))
    (tmp_path / "names.csv").write_text("a,b\n")
    (tmp_path / "semicolons.csv").write_text("a;b\n1;2\n")
    before = {file: file.read_bytes() for file in tmp_path.iterdir()}
    given = [option.format(folder=tmp_path) for option in options]
    assert main(["convert", str(path), *given]) == 1
    said = capsys.readouterr().err
    assert said.startswith("urnn convert: ") and said.count("\n") == 1 and words in said
    assert {file: file.read_bytes() for file in tmp_path.iterdir()} == before


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (torch.nn.LSTM, "is of an LSTM"),
        (torch.nn.GRU, "is of a GRU"),
        (lambda m, n: torch.nn.RNN(m, n, bidirectional=True), "bidirectional"),
        (lambda m, n: torch.nn.Sequential(torch.nn.RNN(m, n), torch.nn.Linear(n, 1)), "--prefix 0"),
        (torch.nn.Linear, "there is no torch.nn.RNN"),
    ],
)
def test_other_networks_are_refused_with_status_1(
    kind: object, words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "model.pt"
    torch.save(kind(2, 4).state_dict(), path)  # type: ignore[operator]
    assert main(["convert", str(path), "--nonlinearity", "relu", "--input-bound", "1"]) == 1
    said = capsys.readouterr().err
    assert said.startswith(f"urnn convert: {path}: ") and words in said


def test_a_network_that_starts_elsewhere_needs_a_numpy_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "network.npz"
    RNN([[0.5]], [[1.0]], [0.0], [[1.0]], [2.0]).save(path)
    output = ["--output", str(tmp_path / "a.pt")]
    assert main(["convert", str(path), "--input-bound", "1", *output]) == 1
    assert "not 0: name a .npz file" in capsys.readouterr().err


def test_two_layers_do_not_fit_into_a_numpy_file(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = saved(tmp_path, model(0.8, layers=2))
    assert main(["convert", str(path), *BOUND, "--output", str(tmp_path / "a.npz")]) == 1
    assert "2 layers need a .pt file" in capsys.readouterr().err


def test_a_file_that_is_there_is_not_written_over(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / "rnn.npz"
    RNN(0.5 * np.eye(2), np.ones((2, 1)), np.zeros(2), np.ones((1, 2))).save(path)
    for option, name in (("--output", "a.npz"), ("--report", "a.json")):
        taken = tmp_path / name
        taken.write_text("mine")
        command = ["convert", str(path), "--input-bound", "1", option, str(taken)]
        assert main(command) == 1
        assert f"{option}: {taken} is there; choose another name" in capsys.readouterr().err
        assert taken.read_text() == "mine"
        assert main([*command, "--overwrite"]) == 0
