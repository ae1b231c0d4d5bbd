"""The verdict: its numbers come from the files, and its agreement follows from them."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest

from tests import traced
from tests.figures.conftest import make_accuracies, make_scores  # noqa: F401
from urnn import published, storage, verdict
from urnn.__main__ import main
from urnn.figures import POINT

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("config", ["paper", "mnist"])
def test_every_number_of_the_kept_results_is_traced_to_its_file(config, tmp_path):
    output = tmp_path / "index.html"
    command = ["report", "--config", f"@{ROOT / f'config/{config}.yaml'}"]
    command += ["--results", str(ROOT / "reports/paper"), "--figures", str(tmp_path / "none")]
    assert main([*command, "--output", str(output)]) == 0
    page = output.read_text(encoding="utf-8")
    assert traced.check(page, ROOT) >= (9 if config == "mnist" else 50)
    missing = next(e for e in ET.fromstring(page).iter("section") if e.get("class") == "notice")
    assert "figure4.svg" in "".join(missing.itertext()) or config == "paper"


def test_another_file_gives_other_numbers(make_scores, tmp_path):  # noqa: F811
    settings = POINT.make("r2", published="figure2")
    curves = published.load("figure2")
    one, two = make_scores(realizations=6), make_scores(realizations=6)
    two["r2"] -= 0.1 * (two["model"] == "rnn")
    first, second = (
        [part.value for claim in settings.claims({"a": d}, curves) for part in claim["evidence"]
         if isinstance(part, verdict.Quantity)]
        for d in (one, two)
    )  # fmt: skip
    assert len(first) == len(second) and first[0] == pytest.approx(second[0] + 0.1)


@pytest.mark.parametrize(
    ("shift", "agreements"), [(0.03, ("agrees", "agrees")), (-0.03, ("differs", "differs"))]
)
def test_agreement_follows_from_the_intervals(make_scores, shift, agreements):  # noqa: F811
    """As many units: the URNN is lower. Twice as many: it is as high."""
    random = np.random.default_rng(0)
    r2 = 0.95 + 1e-3 * random.standard_normal((2, 3, 10))
    r2[1, :2] -= shift  # the URNN of 2 and 4 units
    r2[1, 2] += shift  # of 8
    scores = make_scores(("rnn", "urnn"), sizes=(2, 4, 8), r2=r2)
    settings = POINT.make("r2", published="figure2")
    same, double, _ = settings.claims({"a": scores}, published.load("figure2"))
    assert (same["agreement"], double["agreement"]) == agreements


def test_few_realizations_leave_it_open(make_scores):  # noqa: F811
    settings = POINT.make("r2", published="figure2")
    claims = settings.claims({"a": make_scores(realizations=2)}, published.load("figure2"))
    assert [claim["agreement"] for claim in claims[:2]] == ["open", "open"]
    assert claims[0]["reason"] == "too few realizations"


def test_wide_intervals_confirm_no_curve(make_scores):  # noqa: F811
    curves = published.load("figure2")
    sizes = (2, 4, 8)
    for spread, agreement in ((1e-3, "agrees"), (0.2, "open")):
        r2 = np.array([[curves[m][n] + spread * np.linspace(-1, 1, 10) for n in sizes]
                       for m in ("rnn", "urnn")])  # fmt: skip
        scores = make_scores(("rnn", "urnn"), sizes=sizes, r2=r2)
        *_, last = POINT.make("r2", published="figure2").claims({"a": scores}, curves)
        assert last["agreement"] == agreement
    r2 += 0.5
    scores = make_scores(("rnn", "urnn"), sizes=sizes, r2=r2)
    *_, last = POINT.make("r2", published="figure2").claims({"a": scores}, curves)
    assert last["agreement"] == "differs"


def test_which_model_classifies_best(make_accuracies):  # noqa: F811
    scores = make_accuracies(realizations=3)
    scores["accuracy"][:] = np.array([0.9, 0.8])[:, None, None]
    (claim,) = POINT.make("accuracy").claims({"a": scores}, None)
    assert claim["agreement"] == "agrees" and claim["reason"] == "other data than the paper's"
    scores["accuracy"][0, 0] = 0.79
    (claim,) = POINT.make("accuracy").claims({"a": scores}, None)
    assert claim["agreement"] == "in part"
    assert POINT.make("accuracy").claims({"a": make_accuracies(models=("rnn",))}, None) == []


@pytest.mark.parametrize(
    ("leads", "agreement", "reason"),
    [
        ((0.10, 0.11, 0.12), "agrees", ""),
        ((-0.10, -0.11, -0.12), "differs", ""),
        ((-0.05, 0.06, 0.07), "open", "the interval contains 0"),
        ((0.10, 0.11), "open", "too few realizations"),
    ],
)
def test_the_interval_decides_on_who_classifies_better(make_accuracies, leads, agreement, reason):  # noqa: F811
    scores = make_accuracies(realizations=len(leads))
    scores["accuracy"][1] = 0.5
    scores["accuracy"][0] = 0.5 + np.array(leads)
    settings = POINT.make("accuracy", published="figure4")
    (claim,) = settings.claims({"a": scores}, published.load("figure4"))
    assert (claim["agreement"], claim["reason"]) == (agreement, reason)
    told = {part.of: part.value for part in claim["evidence"] if isinstance(part, verdict.Quantity)}
    of = "the mean over all sizes and over the realizations that have them of "
    of += "accuracy[urnn] − accuracy[rnn]"
    assert told[of] == pytest.approx(np.mean(leads))
    assert told[f"the realizations in {of}"] == len(leads)


@pytest.mark.parametrize("margin", [0.05, 3.0])
def test_the_networks_that_are_enough_for_records(make_scores, tmp_path, margin):  # noqa: F811
    """Of a large margin smaller networks; the best ones where none of a kind is enough."""
    scores = make_scores(("rnn", "urnn", "lstm"), sizes=(2, 4, 8))
    scores["r2_centred"][1] -= 0.02
    scores["diverged"][0, 2, 1] = 1
    configuration = {
        "experiments": {
            "fit": {"task": "recorded", "records": ["record.csv"], "inputs": ["u"],
                    "outputs": ["y"], "models": ["rnn", "urnn", "lstm"], "hidden_units": [2, 4, 8],
                    "realizations": 4, "recipe": "r"}
        },
        "models": {
            "rnn": {"label": "RNN", "cell": "rnn", "transition": "free"},
            "urnn": {"label": "URNN", "cell": "rnn", "transition": "unitary"},
            "lstm": {"label": "LSTM", "cell": "lstm"},
        },
        "recipes": {"r": {"optimizer": "adam", "learning_rate": 0.01, "epochs": 1,
                          "batch_size": 1}},
        "figures": {"fit": {"kind": "simulation", "experiment": "fit", "margin": margin}},
    }  # fmt: skip
    storage.write(scores.drop_vars("model_label"), tmp_path / "fit/scores.nc")
    page = tmp_path / "index.html"
    command = ["report", "--config", json.dumps(configuration), "--results", str(tmp_path)]
    assert main([*command, "--output", str(page)]) == 0
    assert traced.check(page.read_text(encoding="utf-8"), tmp_path) == 4


def test_without_published_curves_figures_2_and_3_claim_nothing(make_scores):  # noqa: F811
    assert POINT.make("r2").claims({"a": make_scores()}, None) == []
    assert POINT.make("history").claims({"a": make_scores()}, None) == []


def test_files_that_lack_what_the_verdict_needs(make_scores, tmp_path, capsys):  # noqa: F811
    path = tmp_path / "results/theory/theorem1.nc"
    storage.write(make_scores().drop_vars("model_label"), path)
    config = ROOT / "config/test.yaml"
    command = ["report", "--config", f"@{config}", "--results", str(tmp_path / "results")]
    assert main([*command, "--output", str(tmp_path / "page.html")]) == 1
    assert "theorem1.nc lacks relative_error" in capsys.readouterr().err


@pytest.mark.parametrize("realizations", [1, 2])
def test_too_few_realizations_do_not_tell_whether_curves_agree(make_scores, realizations):  # noqa: F811
    settings, curves = POINT.make("r2", published="figure2"), published.load("figure2")
    *_, last = settings.claims({"a": make_scores(realizations=realizations)}, curves)
    assert (last["agreement"], last["reason"]) == ("open", "too few realizations")


@pytest.mark.parametrize(("near", "agreement"), [(10, "agrees"), (3, "open"), (0, "open")])
def test_systems_on_which_a_network_never_comes_near_count(make_scores, near, agreement):  # noqa: F811
    """The ratio of hidden units is known where both models come near, and says too little alone."""
    r2 = np.full((2, 3, 10), 0.99)
    r2[1, :, near:] = 0.5
    scores = make_scores(("rnn", "urnn"), sizes=(2, 4, 8), r2=r2, optimum=0.99)
    (claim,) = POINT.make("statistics").claims({"a": scores}, None)
    assert claim["agreement"] == agreement
    told = "".join(str(getattr(part, "text", part)) for part in claim["evidence"])
    assert told.startswith(f"Both come within 0.005 of the optimum on {near} of 10 systems, the ")
    assert f" alone on {10 - near}" in told
    assert "nothing of training" in claim["claim"]


@pytest.mark.parametrize(
    ("rnn", "urnn", "agreement"),
    [
        ((0.90, 0.95), (0.90, 0.95), "agrees"),
        ((0.95, 0.95), (0.5, 0.95), "in part"),  # 8 units for 2
        ((0.80, 0.80), (0.5, 0.95), "agrees"),  # no RNN is enough
        ((0.90, 0.95), (0.5, 0.6), "open"),
        ((-0.02, 0.01), (0.005, -0.01), "open"),  # nothing explains the outputs
    ],
)
def test_twice_the_units_for_records(make_scores, rnn, urnn, agreement):  # noqa: F811
    scores = make_scores(("rnn", "urnn"), sizes=(2, 8), realizations=3)
    scores["r2_centred"][:] = np.array([rnn, urnn])[:, :, None]
    (claim,) = POINT.make("simulation").claims({"a": scores}, None)
    assert claim["agreement"] == agreement
