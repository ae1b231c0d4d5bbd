"""What the statistics say in words and tables, and how numbers are written."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
import pytest

from urnn.figures.accuracy.findings import lead
from urnn.figures.accuracy.settings import AccuracySettings
from urnn.figures.findings import interval, number
from urnn.figures.simulation.settings import SimulationSettings
from urnn.figures.statistics import findings
from urnn.figures.statistics.settings import StatisticsSettings

SETTINGS = StatisticsSettings(kind="statistics")


def noisy(*means: float, seed: int = 0) -> np.ndarray:
    random = np.random.default_rng(seed)
    return np.array(means)[:, None] + 1e-4 * random.standard_normal((len(means), 20))


@pytest.fixture
def pair(make_scores):
    """The scores of an RNN and a URNN with 2, 4 and 8 units."""

    def make(rnn: np.ndarray, urnn: np.ndarray):
        return make_scores(("rnn", "urnn"), sizes=(2, 4, 8), r2=[rnn, urnn], optimum=0.99)

    return make


def test_numbers_are_for_people() -> None:
    assert number(-0.12346) == "−0.1235" and number(0.5, 2, sign=True) == "+0.50"
    assert number(-1234.5) == "−1.23e+03"
    assert number(float("nan")) == "–" and number(float("inf")) == "∞"
    assert interval(-1, 2, 1, sign=True) == "−1.0 to +2.0" and interval(np.nan, np.nan) == "–"


def test_words_and_tables_say_the_numbers(pair) -> None:
    scores = pair(noisy(0.9, 0.985, 0.9895), noisy(0.8, 0.9, 0.985, seed=1))
    found = findings.describe(scores, SETTINGS)
    assert found == SETTINGS.findings({"a": scores}, None)
    same, double, states, failed = found["sentences"]
    assert same.startswith(
        "RNN with n hidden units against URNN with n: equal within ±0.005 at n = 8 ("
    )
    assert (
        "not shown to be equal at n = 2, 4. With 4 against 4, the mean difference is +0.08" in same
    )
    assert "20 pairs" in same
    assert double.startswith(
        "RNN with n hidden units against URNN with 2n: equal within ±0.005 at n = "
    )
    assert "With 4 against 8, " in double
    assert "To come within 0.005 of the optimum, the URNN needs" in states
    assert failed == (
        "Trainings that diverged (NaN or Inf) and that stalled (scored more than 0.02 below the "
        "same model with fewer hidden units on the same realization): "
        "RNN 0 and 0 of 60; URNN 0 and 0 of 60."
    )
    assert [len(row) for table in found["tables"] for row in table["rows"]] == [
        len(table["head"]) for table in found["tables"] for _ in table["rows"]
    ]
    by_margin = {row[0]: row for row in found["tables"][1]["rows"]}
    assert by_margin["0.02"][1:4] == ["4", "8", "2.00"]
    assert by_margin["0.001"][1:4] == ["8", "∞", "–"]


@pytest.mark.parametrize(
    ("rnn", "urnn", "words"),
    [
        ([1, 1], [0, 1], "needs 1.00 times the hidden units of the RNN: the geometric mean over "
         "the one realization in which both do (too few for an interval). The median, 1.00, also "
         "counts the one in which only the RNN does."),
        ([1, 1], [1, 1], "over the 2 realizations in which both do (too few for an interval). The "
         "median is 1.00."),
        ([1, 0], [0, 0], "In no realization do both come within 0.005 of the optimum: the RNN "
         "alone does in 1, the URNN alone does in none, and neither in 1."),
    ],
)  # fmt: skip
def test_few_realizations_near_the_optimum_are_told(make_scores, rnn, urnn, words) -> None:
    r2 = 0.5 + 0.49 * np.array([[rnn], [urnn]])
    scores = make_scores(("rnn", "urnn"), sizes=(4,), r2=r2, optimum=0.99)
    differences, states, _ = findings.describe(scores, SETTINGS)["sentences"]
    assert "(2 pairs, too few for an interval)." in differences
    assert states.endswith(words)


def test_a_kind_of_network_that_diverged_was_trained(make_scores) -> None:
    scores, settings = make_scores(("rnn", "urnn")), SimulationSettings(kind="simulation")
    (alone,) = settings.findings({"a": scores.sel(model=["rnn"])}, None)["sentences"]
    scores["diverged"][1] = 1
    (said,) = settings.findings({"a": scores}, None)["sentences"]
    assert alone.startswith("Only one kind was trained: the RNN with ")
    assert said.startswith("Every training of a unitary network diverged. Of the others: the RNN ")


def test_without_an_optimum_a_sentence_says_so(pair) -> None:
    scores = pair(noisy(0.9, 0.985, 0.9895), noisy(0.8, 0.9, 0.985, seed=1))
    known, unknown = (
        findings.describe(s, SETTINGS) for s in (scores, scores.drop_vars("r2_optimal"))
    )
    assert [s for s in unknown["sentences"] if s not in known["sentences"]] == [
        "How many hidden units a model needs to come near to the optimum cannot be said: the score "
        "of a perfect model on these data is not known."
    ]
    assert unknown["tables"] == [known["tables"][0], known["tables"][2]]


def test_the_order_by_accuracy_and_how_certain_it_is(make_accuracies) -> None:
    scores = make_accuracies(models=("rnn", "urnn", "lstm"), realizations=3)
    scores["accuracy"][:] = np.array([0.70, 0.90, 0.71])[:, None, None]
    scores["accuracy"] += np.array([-0.01, 0.0, 0.01])  # the same for all: a difference has none
    scores["accuracy"][0] += np.array([0.05, -0.05, 0.0])
    settings = AccuracySettings(kind="accuracy", published="figure4")
    curves = pd.DataFrame({"urnn": [0.6, 0.7, 0.8]}, index=[16, 32, 48])
    found = settings.findings({"a": scores}, curves)
    assert found["sentences"] == [
        "From the highest mean test accuracy with 16, 32 and 48 hidden units to the lowest: URNN; "
        "LSTM; RNN. The 95 % interval of the difference lies above 0 for: URNN over LSTM."
    ]
    (table,) = found["tables"]
    assert table["head"][1:4] == ["Mean", "Published mean", "Lead over the next"]
    assert table["rows"] == [
        ["URNN", "0.900", "0.700", "+0.190", "+0.190 to +0.190", "3 of 3", "3"],
        ["LSTM", "0.710", "–", "+0.010", "−0.114 to +0.134", "3 of 3", "3"],
        ["RNN", "0.700", "–", "–", "–", "–", "–"],
    ]
    two = settings.findings({"a": scores.isel(realization=[0, 1])}, None)
    assert "too few realizations" in two["sentences"][0]
    assert two["tables"][0]["rows"][0][3] == "–"
    one = settings.findings({"a": scores.sel(model=["rnn"])}, None)
    assert one == {"sentences": [], "tables": []}


def test_a_size_that_diverged_leaves_the_order(make_accuracies) -> None:
    scores = make_accuracies(models=("rnn", "urnn"), realizations=3)
    scores["accuracy"][:] = np.array([0.7, 0.9])[:, None, None]
    scores["diverged"][0, 1] = 1  # no realization of 32 units
    scores["diverged"][1, 2, 1] = 1
    found = lead(scores, "urnn", "rnn")
    assert (found.ahead, found.sizes, found.realizations) == (2, [16, 48], 2)
    said = AccuracySettings(kind="accuracy").findings({"a": scores}, None)["sentences"][0]
    assert "with 16 and 48 hidden units to the lowest: URNN; RNN." in said
    scores["diverged"][1] = 1
    found = lead(scores, "urnn", "rnn")
    assert (found.ahead, found.sizes, found.realizations) == (0, [], 0)
    assert np.isnan([found.mean, found.lower, found.upper]).all()


@pytest.mark.parametrize(
    ("leads", "words"),
    [
        ((0.05, 0.06), "is open: .* but there are too few realizations to be sure. More "),
        ((0.05, -0.03, 0.09), "is open: .* but trainings of the same network differ by as much. "),
        ((0.05, 0.06, 0.07), "No unitary network of these sizes is enough"),
    ],
)
def test_a_verdict_on_records_needs_realizations(make_scores, leads, words) -> None:
    scores = make_scores(("rnn", "urnn"), sizes=(4,), realizations=len(leads))
    scores["r2_centred"][0] = 0.9
    scores["r2_centred"][1] = 0.9 - np.array(leads)
    found = SimulationSettings(kind="simulation").findings({"fit": scores}, None)
    assert re.search(words, found["sentences"][0])
