"""`urnn fit`, `predict` and `export` on a record of a system that the code does not know."""

from __future__ import annotations

import argparse
import os
import re
import signal
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from tests import preloaded, traced
from tests.workflow import conftest
from urnn import fitting, storage, trained
from urnn.__main__ import main
from urnn.commands.fit import arguments as fit_arguments
from urnn.config import load
from urnn.errors import ConfigError, Interrupted
from urnn.fitting import workflow

ROWS, KEPT = 8000, 6000
SIZES = ("02", "04")
ARGUMENTS = (
    "fit", "record.csv", "--inputs", "u", "{v}", "--outputs", "y", "--time", "t",
    "--hidden-units", "2", "4", "--realizations", "1", "--device", "cpu", "--cores", "2",
)  # fmt: skip


def urnn(folder: Path, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    result = conftest.urnn(*arguments, folder=folder)
    assert not check or result.returncode == 0, result.stdout + result.stderr
    return result


def record(folder: Path) -> tuple[pd.DataFrame, float]:
    """A contractive ReLU system with two states, 20 dB, 1 % of the outputs missing; its optimum.

    The optimum is the R^2 of the outputs without noise on the rows of the test, after the warm-up.
    One column is called as Snakemake writes a wildcard.
    """
    random = np.random.default_rng(11)
    W = np.array([[0.85, 0.3], [-0.3, 0.8]])
    F, b, C = random.standard_normal((2, 2)), np.array([0.5, 0.2]), np.array([1.0, -0.7])
    u = random.standard_normal((ROWS, 2))
    h, clean = np.zeros(2), np.empty(ROWS)
    for k in range(ROWS):
        h = np.maximum(W @ h + F @ u[k] + b, 0)
        clean[k] = C @ h - 1
    y = clean + 0.1 * clean.std() * random.standard_normal(ROWS)
    rows = pd.DataFrame(
        {"t": 0.02 * np.arange(ROWS), "u": 300 + 40 * u[:, 0], "{v}": u[:, 1], "y": 1e-3 * y}
    )
    rows.loc[random.random(ROWS) < 0.01, "y"] = np.nan
    rows.to_csv(folder / "record.csv", index=False)
    test = slice(KEPT + 30, None)
    counted = rows["y"].notna().values[test]
    measured, exact = y[test][counted], clean[test][counted]
    return rows, float(1 - np.mean((measured - exact) ** 2) / np.mean(measured**2))


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str, float]:
    """The folder, what was printed, and the optimum."""
    folder = tmp_path_factory.mktemp("fit")
    _, optimum = record(folder)
    return folder, urnn(folder, *ARGUMENTS).stdout, optimum


def test_the_system_is_found_with_its_number_of_units(fitted: tuple[Path, str, float]) -> None:
    folder, printed, optimum = fitted
    scores = storage.read(folder / "record-fit/results/fit/scores.nc")
    of_rnn = float(scores["r2"].sel(model="rnn", hidden_units=2).item())
    assert of_rnn >= optimum - 0.002
    of_urnn = float(scores["r2"].sel(model="urnn", hidden_units=4).item())
    assert of_urnn >= optimum - 0.002  # theorem 1: twice the states are enough
    assert "A unitary network is enough" in printed and "hidden units" in printed
    page = (folder / "record-fit/reports/index.html").read_text()
    assert "A unitary network is enough" in page and "RMSE of y" in page
    assert "measured signals, and how many" in page and "repeats the numerical" not in page
    assert traced.check(page, folder / "record-fit") == 4


def test_predicting_the_rows_that_were_held_out_gives_the_reported_error(
    fitted: tuple[Path, str, float],
) -> None:
    folder, printed, _ = fitted
    told = re.search(r"(record-fit/models/rnn-02\.nc): test RMSE (\S+) of y", printed)
    assert told is not None, printed
    result = urnn(folder, "predict", told[1], "record.csv", "--rows", f"{KEPT}:",
                  "--output", "held-out.csv")  # fmt: skip
    found = re.search(r"RMSE of y: (\S+)", result.stdout)
    assert found is not None
    assert float(found[1]) == pytest.approx(float(told[2]), rel=1e-3)
    rows = pd.read_csv(folder / "held-out.csv")
    assert rows["row"].iloc[0] == KEPT and len(rows) == ROWS - KEPT
    np.testing.assert_allclose(rows["time_since_start"], 0.02 * rows["row"])
    measured = pd.read_csv(folder / "record.csv")["y"].values[KEPT:]
    counted = np.isfinite(measured) & (np.arange(ROWS - KEPT) >= 30)
    error = np.sqrt(np.mean((measured - rows["y"])[counted] ** 2))
    assert error == pytest.approx(float(found[1]), rel=1e-4)


def test_a_record_without_outputs_is_simulated(fitted: tuple[Path, str, float]) -> None:
    folder, _, _ = fitted
    rows = pd.read_csv(folder / "record.csv").iloc[:100]
    rows.drop(columns="y").to_csv(folder / "inputs.csv", index=False)
    model = "record-fit/models/rnn-02.nc"
    assert "RMSE" not in urnn(folder, "predict", model, "inputs.csv", "--output", "a.csv").stdout
    whole = urnn(folder, "predict", model, "record.csv", "--rows", ":100", "--output", "b.csv")
    assert "RMSE" in whole.stdout
    assert (folder / "a.csv").read_bytes() == (folder / "b.csv").read_bytes()


def test_exports_are_the_model_in_units(fitted: tuple[Path, str, float]) -> None:
    folder, _, _ = fitted
    model = "record-fit/models/rnn-02.nc"
    urnn(folder, "predict", model, "record.csv", "--rows", ":200", "--output", "c.csv")
    expected = pd.read_csv(folder / "c.csv")["y"].values
    x = pd.read_csv(folder / "record.csv")[["u", "{v}"]].values[:200].astype(np.float32)
    urnn(folder, "export", model, "--to", "torch", "--output", "m.pt")
    state = torch.load(folder / "m.pt", weights_only=True)
    layers = torch.nn.ModuleDict({
        "rnn": torch.nn.RNN(2, 2, nonlinearity="relu", batch_first=True),
        "readout": torch.nn.Linear(2, 1),
    })  # fmt: skip
    start = state.pop("h_init")[None, None]
    layers.load_state_dict(state)
    with torch.no_grad():
        y = layers["readout"](layers["rnn"](torch.tensor(x)[None], start)[0])[0, :, 0]
    np.testing.assert_allclose(y, expected, atol=2e-5 * np.abs(expected).max())

    urnn(folder, "export", model, "--to", "csv", "--output", "m.csv")
    table = pd.read_csv(folder / "m.csv").set_index(["parameter", "row", "column"])["value"]
    P = {name: table[name].unstack().values for name in ("W", "F", "b", "C", "d", "h_init")}
    h = P["h_init"][:, 0]
    for k in range(50):
        h = np.maximum(P["W"] @ h + P["F"] @ x[k] + P["b"][:, 0], 0)
        found = (P["C"] @ h + P["d"][:, 0])[0]
        assert found == pytest.approx(expected[k], abs=2e-5 * np.abs(expected).max())


def test_onnx(fitted: tuple[Path, str, float]) -> None:
    folder, _, _ = fitted
    arguments = ("export", "record-fit/models/rnn-02.nc", "--to", "onnx", "--output", "m.onnx")
    try:
        import onnx  # noqa: F401
    except ModuleNotFoundError:
        refused = urnn(folder, *arguments, check=False)
        assert refused.returncode == 1 and "pip install onnx" in refused.stderr
        assert not (folder / "m.onnx").exists()
        return
    urnn(folder, *arguments)
    ort = pytest.importorskip("onnxruntime")
    x = pd.read_csv(folder / "record.csv")[["u", "{v}"]].values[:60].astype(np.float32)
    (y,) = ort.InferenceSession(folder / "m.onnx").run(None, {"x": x[None]})
    urnn(folder, "predict", "record-fit/models/rnn-02.nc", "record.csv", "--rows", ":60",
         "--output", "d.csv")  # fmt: skip
    expected = pd.read_csv(folder / "d.csv")["y"].values
    np.testing.assert_allclose(y[0, :, 0], expected, atol=2e-5 * np.abs(expected).max())


def test_nothing_is_written_over(fitted: tuple[Path, str, float]) -> None:
    folder, _, _ = fitted
    before = (folder / "record.csv").read_bytes()
    model = "record-fit/models/rnn-02.nc"
    for arguments, words in [
        (("predict", model, "record.csv", "--output", "record.csv", "--overwrite"), "that is read"),
        (("export", model, "--to", "csv", "--output", model, "--overwrite"), "that is read"),
        (("predict", model, "record.csv", "--output", model), "is the file that is read"),
        ((*ARGUMENTS, "--folder", "."), "was not made by `urnn fit`; choose another name"),
        (("predict", model, "record.csv", "--rows", "9:3", "--output", "z.csv"), "FIRST:LAST"),
        (
            ("predict", model, "record.csv", "--rows", "9000:", "--output", "z.csv"),
            "rows 0 to 8000",
        ),
        (("predict", "record.csv", "record.csv", "--output", "z.csv"), "is no NetCDF file"),
        (("fit", "record.csv", "--inputs", "w", "--outputs", "y"), "has no column 'w'"),
        (("fit", "no.csv", "--inputs", "u", "--outputs", "y"), "no.csv does not exist"),
        (("fit", "record.mat", *ARGUMENTS[2:]), "this ends in '.mat'. Export it as CSV"),
        (("fit", "other/record.csv", *ARGUMENTS[2:]), f"it holds a fit of {folder}/record.csv"),
    ]:
        refused = urnn(folder, *arguments, check=False)
        assert refused.returncode == 1, arguments
        assert words in refused.stderr and "Traceback" not in refused.stderr, refused.stderr
    config = folder / "record-fit/config.yaml"
    written = config.read_bytes()
    try:
        config.write_bytes(written.replace(b"seed: 2019", b"seed: 2020"))
        refused = urnn(folder, *ARGUMENTS, check=False)
        assert "its config.yaml was edited; choose another name" in refused.stderr
        assert b"seed: 2020" in config.read_bytes()
    finally:
        config.write_bytes(written)
    assert (folder / "record.csv").read_bytes() == before
    assert not (folder / "z.csv").exists() and not (folder / "no-fit").exists()


def stale(folder: Path) -> list[str]:
    """What a dry run of the fit's configuration lists."""
    arguments = ("--snakefile", workflow(), "--dry-run", "--configfile", "config.yaml")
    status, output = preloaded.run([*arguments, "--cores", "1"], folder / "record-fit")
    assert status == 0, output
    return sorted(re.findall(r"^Job \d+: (.*)$", output, re.MULTILINE))


def test_what_runs_again_when_the_record_changes(fitted: tuple[Path, str, float]) -> None:
    folder, _, _ = fitted
    assert stale(folder) == []
    path = folder / "record.csv"
    before = path.read_text()
    path.write_text(before)  # written again, the same
    assert stale(folder) == []
    try:
        path.write_text(before + f"{0.02 * ROWS},300,0,0.001\n")
        assert stale(folder) == [
            "Report page",
            "fit: data of realizations 000 to 000",
            *(f"fit: rnn with {size} hidden units, realizations 000 to 000" for size in SIZES),
            "fit: scores",
            *(f"fit: urnn with {size} hidden units, realizations 000 to 000" for size in SIZES),
            "simulation",
        ]
    finally:
        path.write_text(before)


def test_a_file_has_one_model_of_the_fit(fitted: tuple[Path, str, float]) -> None:
    folder, _, _ = fitted
    replica = trained.read(folder / "record-fit/models/rnn-02.nc")
    assert replica.file.sizes["restart"] == 1 and replica.realization == 0
    # of a fit that was killed
    locks = folder / "record-fit/.snakemake/locks"
    locks.mkdir(exist_ok=True)
    (locks / "0.output.lock").write_text("results/fit/scores.nc\n")
    (folder / "record-fit/snakemake.log").touch()
    earlier = folder / "record-fit/models/lstm-09.nc"
    earlier.write_text("of another fit")
    again = urnn(folder, *ARGUMENTS)
    assert "A unitary network is enough" in again.stdout and [*locks.glob("*")] == []
    assert "\nOf an earlier fit: record-fit/models/lstm-09.nc\n" in again.stdout
    assert earlier.read_text() == "of another fit"


def test_a_folder_in_which_another_process_is_at_work_is_refused(tmp_path: Path) -> None:
    with (
        fitting._alone(tmp_path),
        pytest.raises(ConfigError, match="another `urnn fit` is at work"),
        fitting._alone(tmp_path),
    ):
        pass
    lock = tmp_path / ".snakemake/locks/0.input.lock"
    lock.parent.mkdir(parents=True)
    lock.touch()
    log = tmp_path / "snakemake.log"
    log.write_text("of the fit before")
    os.utime(log, (1e9, 1e9))
    with pytest.raises(ConfigError, match=r"--cores 1 --unlock$"), fitting._alone(tmp_path):
        pass
    assert lock.exists() and log.read_text() == "of the fit before"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_the_workflow_and_its_jobs(number: signal.Signals, tmp_path: Path) -> None:
    # one that is ignored, as by nohup, would not be passed on
    usual = signal.signal(number, signal.default_int_handler)
    # in short steps: a signal that comes between two commands of a shell waits for the second
    steps = "for i in $(seq 600); do sleep 0.1; done"
    job = f"trap 'echo job >&2; exit' INT; kill -{int(number)} {os.getpid()}; {steps}"
    workflow = 'trap : INT; sh -c "$0"; echo workflow >&2'
    try:
        with fitting._alone(tmp_path) as log, pytest.raises(Interrupted, match="the same command"):
            fitting._logged(["sh", "-c", workflow, job], log)
        assert signal.getsignal(number) == signal.default_int_handler
    finally:
        signal.signal(number, usual)
    assert (tmp_path / "snakemake.log").read_text() == "job\nworkflow\n"


@pytest.mark.parametrize(
    ("log", "words"),
    [
        (
            'Using\nWorkflowError in file "a.smk", line 34:\ndevice: no cuda\n  File "a.smk"\n',
            "Snakemake could not run the workflow.\ndevice: no cuda",
        ),
        ("Using\nError: no profile\n", "Snakemake could not run the workflow.\nError: no profile"),
        (
            "LockException:\nError: Directory cannot be locked:\n/here\n",
            "Snakemake could not run the workflow.\nError: Directory cannot be locked:\n/here",
        ),
        ("Error in rule train:\n    jobid: 1\n    urnn train: no memory\nWorkflowError:\nOne\n",
         "the workflow failed; what is finished is kept, and the same command goes on from there."
         "\nurnn train: no memory"),
    ],
)  # fmt: skip
def test_a_failure_is_told_with_its_cause(log: str, words: str, tmp_path: Path) -> None:
    path = tmp_path / "snakemake.log"
    path.write_text(log)
    assert fitting._failure(path) == words


@pytest.mark.parametrize("option", [("--cores", "0"), ("--cores", "-3"), ("--epochs", "0")])
def test_numbers_that_cannot_be(
    option: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        main([*ARGUMENTS, *option])
    assert f"{option[0]}: must be 1 or more" in capsys.readouterr().err


def test_no_epochs_are_not_the_default(tmp_path: Path) -> None:
    rows = np.random.default_rng(0).standard_normal((300, 2))
    pd.DataFrame(rows, columns=["u", "y"]).to_csv(tmp_path / "a.csv", index=False)
    parser = argparse.ArgumentParser()
    fit_arguments(parser)
    options = parser.parse_args([str(tmp_path / "a.csv"), "--inputs", "u", "--outputs", "y"])
    fit = fitting.Fit(**{name: getattr(options, name) for name in fitting.Fit.__dataclass_fields__})
    with pytest.raises(ConfigError, match="epochs"):
        load(fitting.configuration(replace(fit, epochs=0)))
