"""What the statistics say in words and tables, and how numbers are written."""

from __future__ import annotations

import numpy as np
import pytest

from urnn import published
from urnn.figures.findings import interval, number
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
    assert found == SETTINGS.findings(scores, None)
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


def test_large_deviations_are_listed_with_their_evidence(pair) -> None:
    rnn = noisy(0.9155, 0.9768, 0.988)
    rnn[2, :3] = 0.5  # three stalled trainings pull the mean down
    urnn = noisy(0.855, 0.97, 0.982)
    curves = published.load("figure2")
    found = findings.describe(pair(rnn, urnn), SETTINGS, curves)
    alone = findings.describe(pair(rnn, urnn), SETTINGS)
    assert found["sentences"] == [
        *alone["sentences"],
        "2 of 6 means differ from the published value by more than 0.01, 1 upwards and 1 "
        "downwards. For 1 of the latter, the median or the mean without the stalled trainings is "
        "at most 0.01 below it: there, single trainings failed, not the model.",
    ]
    assert found["tables"][:-1] == alone["tables"]
    table = found["tables"][-1]
    assert [row[:2] for row in table["rows"]] == [["RNN", "8"], ["URNN", "4"]]
    row = table["rows"][0]
    assert row[2] == "0.9880" and float(row[3]) < 0.93 and row[7:] == ["3 of 20", "0 of 20"]
    assert float(row[5]) == pytest.approx(0.988, abs=1e-3) == float(row[6])
    near = pair(noisy(0.9155), noisy(0.855))
    assert len(findings.describe(near, SETTINGS, curves)["tables"]) == len(
        findings.describe(near, SETTINGS)["tables"]
    )
