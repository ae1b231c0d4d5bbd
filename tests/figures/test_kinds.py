"""What holds for every kind of figure, from made-up scores."""

from __future__ import annotations

import json

import numpy as np
import pytest
import xarray as xr

from urnn import losses, published, storage
from urnn.__main__ import main
from urnn.figures import POINT
from urnn.figures.base import OneExperiment, SeveralExperiments, labelled
from urnn.figures.style import applied
from urnn.plugs import row
from urnn.settings.style import Style

LABEL = "URNN ($W_u$)"


@pytest.fixture(params=POINT)
def kind(request) -> str:
    return request.param


@pytest.fixture
def required(kind) -> dict[str, str]:
    """Options that a kind cannot do without."""
    return {"published": "figure2"} if kind == "reproduction" else {}


@pytest.fixture
def settings(kind, required):
    return POINT.make(kind, **required)


@pytest.fixture
def scores(settings, make_scores, make_accuracies) -> xr.Dataset:
    return (make_accuracies if settings.metric == "accuracy" else make_scores)()


def test_it_draws_from_what_it_needs_and_nothing_else(kind, settings, scores):
    enough = scores[[name for name in settings.needs() if name in scores]]
    if settings.needs_optimum:
        enough["r2_optimal"] = scores["r2_optimal"]
    figure = POINT.part_module(kind, "plot").plot({"a": enough}, settings)
    figure.draw_without_rendering()
    for panel in figure.axes:
        assert panel.get_xlabel() and (panel.get_ylabel() or panel is not figure.axes[0])
    assert figure.get_suptitle()


def test_facts(settings, required):
    assert len(settings.text) > 100 and settings.text[-1] == "." and "{" not in settings.text
    metrics = {loss.metric for loss in losses.LOSSES.values()}
    assert settings.metric is None or settings.metric in metrics
    assert settings.curves == required.get("published")
    base = SeveralExperiments if settings.several else OneExperiment
    values = {"experiments": ["a", "b"]} if settings.several else {"experiment": "a"}
    values |= {"kind": settings.kind, "note": "Look.", **required}
    of_config = row(type(settings), base).model_validate(values)
    assert of_config.sources == (["a", "b"] if settings.several else ["a"])
    assert of_config.text == f"Look.\n\n{settings.text}"
    assert POINT.part(of_config) == settings


@pytest.mark.parametrize("kind", ["r2", "gap"])
def test_the_caption_says_which_average_is_drawn(kind):
    texts = {name: POINT.make(kind, statistic=name).text for name in ("mean", "median")}
    assert "Markers are means" in texts["mean"] and "medians" not in texts["mean"]
    assert "Markers are medians" in texts["median"] and "Markers are means" not in texts["median"]


def test_the_caption_of_a_history_says_what_is_shown():
    accuracy, error = (
        POINT.make("history", shows=name).text
        for name in ("validation_accuracy", "constraint_error")
    )
    assert "epoch whose parameters were kept" in accuracy and "WᵀW" not in accuracy
    assert "WᵀW" in error and "kept, which" not in error


def test_one_experiment_is_not_several(kind, settings, scores):
    plot = POINT.part_module(kind, "plot").plot
    if settings.several:
        plot({"a": scores, "b": scores}, settings)
    else:
        with pytest.raises(ValueError, match="shows one experiment, but there are 2"):
            plot({"a": scores, "b": scores}, settings)


def test_the_style_holds_and_a_label_is_not_a_formula(kind, settings, scores):
    scores = labelled(scores, {"urnn": LABEL})
    figure = POINT.part_module(kind, "plot").plot({"a $1": scores}, settings, style=Style(width=9))
    assert figure.get_size_inches()[0] in (9, 0.75 * 9)
    with applied(Style(width=9)):
        figure.draw_without_rendering()
    texts = [text.get_text() for text in figure.findobj(lambda a: hasattr(a, "get_text"))]
    assert any(LABEL.replace("$", r"\$") in text for text in texts)


def test_published_curves_are_taken_or_ignored(kind, settings, scores):
    plot = POINT.part_module(kind, "plot").plot
    name = "figure4" if settings.metric == "accuracy" else "figure2"
    plot({"a": scores}, settings, published.load(name)).draw_without_rendering()


def test_everything_diverged(kind, settings, scores):
    for name in ("r2", "r2_centred", "accuracy", "validation_accuracy", "constraint_error"):
        if name in scores:
            scores[name][:] = np.nan
    scores["diverged"][:] = 1
    POINT.part_module(kind, "plot").plot({"a": scores}, settings).draw_without_rendering()


def test_the_command_draws_it_twice_with_the_same_bytes(kind, settings, scores, required, tmp_path):
    path = tmp_path / "experiment/scores.nc"
    storage.write(scores.drop_vars("model_label"), path)
    outputs = [tmp_path / name for name in ("a.svg", "a.png", "a.md")]
    chosen = {"kind": kind, "models": ["urnn", "rnn"], **required}
    command = ["figure", str(path), "--settings", json.dumps(chosen), "--labels"]
    command += [json.dumps({"models": {"urnn": "Unitary"}}), "--output", *map(str, outputs)]
    assert main(command) == 0
    first = [output.read_bytes() for output in outputs]
    assert main(command) == 1  # a file that is there is kept
    assert main([*command, "--overwrite"]) == 0
    assert first == [output.read_bytes() for output in outputs]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--settings", '{"kind": "bars"}'], "--settings.kind: must be one of 'r2', 'gap'"),
        (["--settings", '{"publishd": "figure2"}'], "--settings.publishd: unknown key"),
        (["--settings", "[]"], "--settings"),
        (["--settings", "{"], "--settings: expected JSON"),
        (["--labels", "3"], "--labels: must be a mapping"),
        (["--labels", '{"experiments": ["a", "b"]}'], "one name for each file"),
        (["--style", '{"width": 0}'], "--style.width: must be greater than 0"),
        (["--settings", '{"kind": "accuracy"}'], "lacks accuracy"),
        (["--settings", '{"models": ["gru"]}'], "has no model 'gru'; it has rnn, urnn, lstm"),
        (["--output", "figure.gif"], "must end in .svg, .png or .csv"),
    ],
)
def test_wrong_arguments_of_the_command(arguments, words, make_scores, tmp_path, capsys):
    path = tmp_path / "scores.nc"
    storage.write(make_scores().drop_vars("model_label"), path)
    defaults = [] if "--output" in arguments else ["--output", str(tmp_path / "figure.svg")]
    assert main(["figure", str(path), *defaults, *arguments]) == 1
    assert words in capsys.readouterr().err


def test_the_command_refuses_several_files_for_one_experiment(make_scores, tmp_path, capsys):
    paths = [tmp_path / name / "scores.nc" for name in "ab"]
    for path in paths:
        storage.write(make_scores().drop_vars("model_label"), path)
    output = str(tmp_path / "figure.svg")
    assert main(["figure", *map(str, paths), "--output", output]) == 1
    assert "a figure of kind r2 shows one file, not several" in capsys.readouterr().err
    gap = ["--settings", '{"kind": "gap"}', "--output", output]
    assert main(["figure", *map(str, paths), *gap]) == 0
    assert main(["figure", *map(str, paths[:1] * 2), *gap]) == 1
    assert "one name for each file, all distinct" in capsys.readouterr().err


def test_triangles_of_values_below_the_panel_are_stacked(make_scores):
    scores = make_scores(("rnn", "urnn"))
    scores["r2_centred"][:, 0, 0] = -5.0
    panel = POINT.part_module("simulation", "plot").plot({"a": scores}, POINT.make("simulation"))
    marks = [line for line in panel.axes[0].lines if line.get_marker() == "v"]
    places = [mark.get_transform().transform(mark.get_xydata()[0]) for mark in marks]
    assert len(marks) == 2 and places[1][1] - places[0][1] > 5
