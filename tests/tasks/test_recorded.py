"""Records as trials: what is trained on, what is tested on, how it is scaled and scored."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from urnn import scoring, signals, storage, trained
from urnn.__main__ import main
from urnn.errors import ConfigError, DataError
from urnn.tasks import POINT
from urnn.tasks.recorded import generate as recorded
from urnn.tasks.recorded.settings import Recorded
from urnn.tasks.split import SPLIT


def generate(task: Recorded, seed: int, realization: int) -> xr.Dataset:
    (data,) = recorded.generate(task, seed, [realization])
    return data


def table(rows: int = 400, seed: int = 0) -> pd.DataFrame:
    """u and v are noise; y is u of the sample before, far from 0 and in another unit."""
    random = np.random.default_rng(seed)
    u, v = random.standard_normal((2, rows))
    return pd.DataFrame({"u": 5 + 2 * u, "v": v, "y": 100 + 10 * np.roll(u, 1)})


def task(path: Path, **options: Any) -> Recorded:
    given = {"inputs": ["u", "v"], "outputs": ["y"], "window": 40, "windows": 12, "warm_up": 5}
    made = POINT.make("recorded", records=[str(path)], **{**given, **options})
    assert isinstance(made, Recorded)
    return made


@pytest.fixture
def record(tmp_path: Path) -> Path:
    path = tmp_path / "record.csv"
    table().to_csv(path, index=False)
    return path


def test_windows_are_stretches_of_the_first_part_scaled(record: Path) -> None:
    data, rows = generate(task(record), 0, 0), table()
    described = signals.of(data.attrs)
    assert described is not None and described.inputs == ["u", "v"]
    part = rows.iloc[:300]
    np.testing.assert_allclose(described.input_mean, part[["u", "v"]].mean(), rtol=1e-5)
    np.testing.assert_allclose(described.output_std, part[["y"]].std(ddof=0), rtol=1e-5)
    starts = data["start"].values
    assert starts[0] == 0 and starts[-1] == 300 - 40
    assert {24 - 1, 24} >= set(np.diff(starts)) or np.ptp(np.diff(starts)) <= 1
    for trial, start in enumerate(starts):
        window = part.iloc[start : start + 40]
        u = described.input_mean + data["x"].values[trial] * np.array(described.input_std)
        np.testing.assert_allclose(u, window[["u", "v"]], rtol=1e-5, atol=1e-5)
        y = described.outputs_in_units(data["y"].values[trial])
        np.testing.assert_allclose(y[5:], window[["y"]][5:], rtol=1e-5)
        assert np.isnan(y[:5]).all()
    test = described.outputs_in_units(data["y_test"].values[0])
    np.testing.assert_allclose(test[5:], rows[["y"]][305:], rtol=1e-5)
    assert np.isnan(test[:5]).all() and test.shape == (100, 1)
    assert 0.8 < data.attrs["covered"] <= 1


def test_realizations_draw_the_validation_windows_alone(record: Path) -> None:
    chosen = task(record, windows=30, validation_share=0.2)
    first, second = (generate(chosen, 0, number) for number in (0, 1))
    xr.testing.assert_identical(first.drop_vars("split"), second.drop_vars("split"))
    for data in (first, second):
        rows = np.flatnonzero(data["split"] == SPLIT["validation"])
        assert len(rows) == 6 and np.ptp(rows) == 5  # one after the other


def test_other_records_for_the_test(record: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.csv"
    for rows, seed in ((200, 1), (120, 2)):
        table(rows, seed).to_csv(other.with_name(f"other-{rows}.csv"), index=False)
    places = [str(tmp_path / f"other-{rows}.csv") for rows in (200, 120)]
    chosen = task(record, test_records=places)
    data = generate(chosen, 0, 0)
    assert data["start"].values[-1] == 400 - 40
    assert chosen.test_trials == data.sizes["test_trial"] == 2
    y = data["y_test"].values[..., 0]
    assert np.isfinite(y[0, 5:]).all() and np.isnan(y[1, 120:]).all() and y.shape == (2, 200)
    assert chosen.source_files == [str(record), *places]
    # what is trained on is no test, however it is spelt
    again = str(record.parent / "." / ".." / record.parent.name / record.name)
    for twice in ({"test_records": [again]}, {"records": [str(record), again]}):
        with pytest.raises(DataError, match="the file is given twice"):
            generate(task(record).model_copy(update=twice), 0, 0)
    assert task(record, validation_share=0.01).validation_trials == 1


@pytest.mark.parametrize("missing", ["mask", "cut"])
def test_gaps(record: Path, missing: str) -> None:
    rows = table()
    rows.loc[100, "y"], rows.loc[350, "u"] = np.nan, np.nan
    rows.to_csv(record, index=False)
    data = generate(task(record, missing=missing), 0, 0)
    assert np.isfinite(data["x"]).all() and np.isfinite(data["x_test"]).all()
    described = signals.of(data.attrs)
    assert described is not None and described.missing == missing
    if missing == "mask":
        for trial, start in enumerate(data["start"].values):
            absent = np.flatnonzero(np.isnan(data["y"].values[trial, 5:, 0])) + 5
            assert absent.tolist() == ([100 - start] if 5 <= 100 - start < 40 else [])
        assert np.isnan(data["y_test"].values[0, 50, 0]) and data.sizes["test_trial"] == 1
    else:
        assert np.isfinite(data["y"].values[:, 5:]).all()
        assert data.sizes["test_trial"] == 2  # a piece before the gap, and one after
        spans = [(start, start + 40) for start in data["start"].values]
        assert any(start < 30 for start, _ in spans)


def test_a_part_that_no_window_counts_is_told(record: Path) -> None:
    assert generate(task(record, windows=2), 0, 0).attrs["covered"] < 0.3


SETTINGS: list[tuple[dict[str, Any], str]] = [
    ({"inputs": ["u", "y"]}, "outputs: 'y' is an input too"),
    ({"inputs": ["u", "u"]}, "each entry once, but 'u' stands here twice"),
    ({"time": "u"}, "time: 'u' is an input or an output too"),
    ({"warm_up": 39}, "warm_up: 39 leaves nothing of a window of 40"),
    ({"validation_share": 0.99}, "validation_share: 0.99 leaves no training window"),
    ({"inputs": []}, "inputs"),
    ({"missing": "fill"}, "must be one of 'mask' or 'cut'"),
    ({"test_share": 1.0}, "test_share"),
]


@pytest.mark.parametrize("options, words", SETTINGS)
def test_settings_that_cannot_be(options: dict[str, Any], words: str, record: Path) -> None:
    with pytest.raises(ConfigError, match=words):
        task(record, **options)


def constant(rows: pd.DataFrame, name: str) -> None:
    rows[name] = 3.0


RECORDS: list[tuple[Any, dict[str, Any], str]] = [
    (lambda rows: constant(rows, "u"), {}, r"the input 'u' is constant \(3\) in the part to"),
    (lambda rows: constant(rows, "y"), {}, "the output 'y' is constant.*name another output"),
    (lambda rows: rows.loc.__setitem__((slice(0, 299), "y"), np.nan), {}, "no row with all inputs"),
    (lambda rows: rows.loc.__setitem__((slice(300, 399), "y"), np.nan), {}, "output without any"),
    (lambda rows: rows.loc.__setitem__((slice(300, 399), "y"), 0.25), {},
     "outputs are constant in the test after the warm-up.*give a larger test_share"),
    (lambda rows: rows.loc.__setitem__((slice(None, None, 20), "v"), np.nan), {"missing": "cut"},
     "0 windows of 40 samples fit.*longest stretch has 19.*or missing: mask"),
    (lambda rows: None, {"window": 301}, "0 windows of 301 samples fit"),
    (lambda rows: None, {"windows": 300}, "261 windows of 40 samples fit.*300 are asked for"),
    (lambda rows: None, {"test_share": 0.03},
     r"15 samples \(warm-up 5, .* has 12; give a larger test_share or a smaller warm_up$"),
    (lambda rows: None, {"test_share": 0.02, "warm_up": 0},
     r"needs a stretch of 10 samples .* has 8; give a larger test_share$"),
    (lambda rows: None, {"inputs": ["w"]}, "no column 'w'"),
]  # fmt: skip


@pytest.mark.parametrize("change, options, words", RECORDS)
def test_records_that_cannot_be_used(change: Any, options: Any, words: str, record: Path) -> None:
    rows = table()
    change(rows)
    rows.to_csv(record, index=False)
    with pytest.raises(DataError, match=words) as refused:
        generate(task(record, **options), 0, 0)
    assert str(record) in str(refused.value)


def test_two_records_of_other_sample_times(tmp_path: Path) -> None:
    for name, step in (("a", 1.0), ("b", 2.0)):
        rows = table(200)
        rows.assign(t=step * np.arange(200)).to_csv(tmp_path / f"{name}.csv", index=False)
    with pytest.raises(DataError, match=r"b\.csv: the samples are 2 apart, but those of .*a\.csv"):
        generate(task(tmp_path, time="t"), 0, 0)


def test_trained_and_scored_in_the_units_of_the_record(record: Path, tmp_path: Path) -> None:
    rows = table()
    rows.loc[330:340, "y"] = np.nan
    rows.to_csv(record, index=False)
    data, model, output = (tmp_path / name for name in ("data.nc", "model.nc", "scores.nc"))
    options = {"task": "recorded", **task(record).model_dump(exclude={"task"})}
    assert main(["data", "--task", json.dumps(options), "--realization", "0",
                 "--output", str(data)]) == 0  # fmt: skip
    recipe = {"epochs": 3, "batch_size": 4, "patience": 3}
    assert main(["train", str(data), "--experiment", "a", "--name", "urnn", "--hidden-units", "3",
                 "--model", json.dumps({"cell": "rnn", "transition": "unitary"}),
                 "--recipe", json.dumps(recipe), "--device", "cpu",
                 "--output", str(model)]) == 0  # fmt: skip
    assert main(["score", "--data", str(data), "--models", str(model),
                 "--output", str(output)]) == 0  # fmt: skip
    scores, whole = storage.read(output), storage.read(data)
    described = signals.of(scores.attrs)
    assert described is not None
    y = table()["y"].values[300:, None]
    counted = np.isfinite(whole["y_test"].values[0, :, 0])
    assert counted.sum() == 100 - 5 - 11
    piece = trained.read(model).simulate([_piece(whole, described)], 100)
    error = (y - piece)[counted]
    rmse = float(np.sqrt(np.mean(error**2)))
    np.testing.assert_allclose(scores["rmse"].values.item(), rmse, rtol=1e-5)
    r2 = 1 - np.mean(error**2) / np.mean(y[counted] ** 2)
    np.testing.assert_allclose(scores["r2"].values.item(), r2, rtol=1e-6)
    centred = 1 - np.mean(error**2) / np.var(y[counted])
    np.testing.assert_allclose(scores["r2_centred"].values.item(), centred, rtol=1e-5)
    np.testing.assert_allclose(scores["measured"].values[counted], y[counted], rtol=1e-6)
    np.testing.assert_allclose(scores["simulated"].values[0, 0], piece, rtol=1e-5)
    assert "r2_optimal" not in scores


def _piece(whole: xr.Dataset, described: signals.Signals) -> Any:
    from urnn.records import Piece, Record

    x = whole["x_test"].values[0] * np.array(described.input_std) + described.input_mean
    record = Record(Path("a.csv"), ("u", "v", "y"), np.zeros((100, 3)), None)
    return Piece(record, 0, x, whole["y_test"].values[0])


def test_scores_leave_out_what_is_missing() -> None:
    random = np.random.default_rng(0)
    y, y_hat = random.standard_normal((2, 50, 2)) + np.array([1, 5])
    y[random.random(y.shape) < 0.3] = np.nan
    there = np.isfinite(y)
    found = scoring.compute(("r2", "r2_centred"), y, y_hat)
    squares = np.square(y - y_hat)[there].sum()
    assert found["r2"] == pytest.approx(1 - squares / np.square(y)[there].sum(), rel=1e-12)
    about = np.square(y - np.nanmean(y, 0))[there].sum()
    assert found["r2_centred"] == pytest.approx(1 - squares / about, rel=1e-12)
    expected = [np.sqrt(np.mean((y - y_hat)[there[:, k], k] ** 2)) for k in range(2)]
    np.testing.assert_allclose(scoring.rmse(y, y_hat), expected, rtol=1e-12)
    assert np.isnan(scoring.rmse(np.full((3, 1), np.nan), np.zeros((3, 1)))).all()
