"""What the statistics say in words and tables, and how numbers are written."""

from __future__ import annotations

import numpy as np
import pytest

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
