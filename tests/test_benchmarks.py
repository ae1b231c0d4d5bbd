"""The benchmark measures, stores and draws; how fast anything is, no test says."""

from __future__ import annotations

import itertools
import json
import math
import shutil
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks import cases, figure, gpu, gpu_check, summary
from benchmarks.__main__ import main
from benchmarks.cases import Case
from benchmarks.summary import Measurement
from urnn import devices


def measured(tool: str, case: Case, *milliseconds: float, part: str = "comparison") -> Measurement:
    return Measurement(part, tool, "variant", case, list(milliseconds))


def comparison(case: Case) -> list[Measurement]:
    return [
        measured("urnn", case, 1.0, 2.0, 4.0),
        measured("urnn, kernel", case, 1.0, 2.0, 4.0),
        measured("urnn, one model", case, 2.0, 2.0, 2.0),
        measured("peak", case, 1.0, 1.0, 1.0),
        measured("JAX", case, 10.0, 20.0, 40.0),
        measured("Keras", case, 30.0, 60.0, 120.0),
    ]


def test_quick_benchmark_of_our_part(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "results.json"
    options = ["--quick", "--rounds", "1", "--seconds", "0.001", "--output", str(path)]
    main([*options, "--tools"])  # no peers
    printed = capsys.readouterr().out
    for text in ("ms per step and model", "synthetic urnn 4", "replicas, urnn", "FMA peak"):
        assert text in printed
    assert "JAX" not in printed

    stored = json.loads(path.read_text())
    assert stored["machine"]["architecture"]
    assert {"date", "commit", "versions", "rounds"} <= set(stored)
    measurements = [Measurement.read(each) for each in stored["measurements"]]
    assert [m.stored() for m in measurements] == stored["measurements"]
    assert {m.tool for m in measurements} >= {"urnn", "urnn, one model", "urnn, kernel", "peak"}
    assert {m.part for m in measurements} >= {"comparison", "time", "replicas"}
    for measurement in measurements:
        assert len(measurement.milliseconds) == 1
        assert 0 < measurement.median < math.inf

    figure.draw(path, tmp_path / "figure.svg")
    assert (tmp_path / "figure.svg").stat().st_size > 0


def test_the_benchmark_of_a_gpu_runs_with_what_is_there(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The emulator is the GPU here, which torch and JAX do not have."""
    if shutil.which("g++") is None:
        pytest.skip("the emulator needs g++")
    monkeypatch.setenv("URNN_GPU_DRIVER", "tests.recurrence.emulated:Emulator")
    devices.gpus.cache_clear()
    path = tmp_path / "results.json"
    gpu.main(["--quick", "--seconds", "0.001", "--output", str(path)])
    devices.gpus.cache_clear()
    printed = capsys.readouterr().out
    if not torch.cuda.is_available():
        assert "torch.nn, GPU: left out" in printed
    row = printed.splitlines()[-1].split()
    assert row[:4] == ["synthetic", "rnn", "4", "3"]
    assert float(row[4]) > 0 and float(row[5]) > 0
    stored = [Measurement.read(each) for each in json.loads(path.read_text())["measurements"]]
    assert {m.tool for m in stored} >= {"urnn, GPU", "urnn"}


def test_what_is_to_be_run_on_a_gpu_goes_on_after_a_failure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    names = [part.name for part in gpu_check.parts(tmp_path, quick=False)]
    assert names[0] == "doctor" and names[-3:] == ["benchmark", "workflow-paper", "workflow-mnist"]
    fails, works = ([sys.executable, "-c", f"print(1); raise SystemExit({n})"] for n in (3, 0))
    found = [gpu_check.Part("one", fails), gpu_check.Part("two", works)]
    monkeypatch.setattr(gpu_check, "parts", lambda output, quick: found)
    monkeypatch.setattr(devices, "resolve", lambda device: device)
    assert gpu_check.main(["--output", str(tmp_path)]) == 1
    printed = capsys.readouterr().out
    assert "FAILED (3)" in printed and "passed" in printed
    assert (tmp_path / "two.log").read_text() == "1\n"
    outcomes = json.loads((tmp_path / "summary.json").read_text())
    assert [outcome["status"] for outcome in outcomes] == [3, 0]


@pytest.mark.filterwarnings("ignore:TF32")  # torch's, whenever oneDNN is switched on or off
def test_torch_computes_the_same_loss_as_ours() -> None:
    from benchmarks.tools import TOOLS

    for case in cases.compared(quick=True):
        losses = [
            build().loss
            for tool in ("urnn, kernel", "torch.nn")
            for _, build in TOOLS[tool].variants(case)
        ]
        assert losses == pytest.approx([losses[0]] * len(losses), rel=1e-5)


def test_the_flops_of_a_step_are_two_for_each_multiply_and_add() -> None:
    rnn = Case("", "rnn", 3, 5, 7, 2, 4, "squared", "adam", 1, 1)
    # forward, to the earlier state, and to W; F forward and its gradient; C three times
    assert rnn.flop == 5 * 7 * 2 * (3 * 3 * 3 + 2 * 3 * 2 + 3 * 4 * 3)
    lstm = Case("", "lstm", 3, 5, 7, 2, 4, "cross_entropy", "adam", 1, 1)
    assert lstm.flop == 2 * 7 * (5 * 4 * (3 * 3 * 3 + 2 * 3 * 2) + 3 * 4 * 3)
    gru = Case("", "gru", 3, 5, 7, 2, 4, "cross_entropy", "adam", 1, 1)
    assert gru.flop == 2 * 7 * (5 * 3 * (3 * 3 * 3 + 2 * 3 * 2) + 3 * 4 * 3)


def test_the_data_and_initial_values_of_one_replica_are_those_of_the_first_of_many() -> None:
    for case in cases.compared(quick=True):
        for one, many in zip(cases.data(case, 1), cases.data(case, 3), strict=True):
            assert np.array_equal(one[0], many[0])
        one, many = cases.initial(case, 1)[0], cases.initial(case, 3)[0]
        assert all(np.array_equal(one[name], many[name]) for name in one)


def test_an_epoch_of_minibatches_has_every_trial_once() -> None:
    case = cases.compared(quick=True)[0]
    for replicas in (1, 2):
        batches = cases.minibatches(case, replicas)
        first = next(batches)
        assert np.array_equal(first, np.tile(np.arange(case.batch), (replicas, 1)))
        list(itertools.islice(batches, case.steps - 1))
        epoch = np.concatenate(list(itertools.islice(batches, case.steps)), axis=1)
        assert np.array_equal(np.sort(epoch), np.tile(np.arange(epoch.shape[1]), (replicas, 1)))


def test_quartiles() -> None:
    assert summary.quartiles([5.0, 1.0, 4.0, 2.0, 3.0]) == (2.0, 3.0, 4.0)
    assert all(math.isnan(value) for value in summary.quartiles([]))


def test_a_ratio_compares_the_times_of_one_round() -> None:
    # everything takes ten times as long in the second round, and the ratio is the same
    assert summary.ratio([6.0, 60.0, 6.0], [2.0, 20.0, 2.0]) == 3.0
    with pytest.raises(ValueError):
        summary.ratio([1.0], [1.0, 2.0])


def test_the_share_of_the_peak() -> None:
    # 50 MFLOP in 1 ms are 50 GFLOP/s
    assert summary.share_of_peak(50_000_000, [1.0, 2.0], [100.0, 50.0]) == pytest.approx(0.5)


def test_the_comparison_has_a_row_for_each_case_and_a_dash_where_a_tool_is_left_out() -> None:
    first, second = cases.synthetic("rnn", 2), cases.permuted_mnist("lstm", 96)
    rows = comparison(first) + [m for m in comparison(second) if m.tool != "JAX"]
    header, _, *lines = summary.comparison_table(rows).splitlines()
    assert "torch.nn" not in header
    assert lines[0].split()[:3] == ["synthetic", "rnn", "2"]
    assert "20 [15, 30]     10" in lines[0]
    assert lines[1].split()[-6:-4] == ["-", "-"]


def test_the_figure_says_how_often_ours_fits_into_the_fastest_other() -> None:
    drawn = figure.plot(comparison(cases.synthetic("urnn", 4)), "processor")
    assert [text.get_text() for text in drawn.axes[0].texts] == ["10×"]
    assert [line.get_text() for line in drawn.axes[-1].get_legend().get_texts()] == [
        "Keras", "JAX", "urnn, one model", "urnn, many models at once", "fastest other tool / urnn",
    ]  # fmt: skip
    with pytest.raises(ValueError, match="no comparison"):
        figure.plot([], "processor")
