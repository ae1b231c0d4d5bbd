"""Figures 2 and 3 from a made-up score file."""

from __future__ import annotations

import itertools
import re

import numpy as np
import pytest

from urnn import published, scoring
from urnn.figures import series, svg
from urnn.figures.r2 import plot as r2
from urnn.figures.r2.settings import R2Settings
from urnn.figures.style import looks

SIZES = [2, 4, 6, 8, 10, 12, 14]
LABELS = ("rnn", "urnn", "lstm", "contractive_rnn")


@pytest.fixture
def draw():
    """The figure of an experiment, with or without the published curves."""

    def make(scores, curves: str | None = None):
        return r2.plot({"a": scores}, R2Settings(), published.load(curves) if curves else None)

    return make


def lines(panel, ours: bool = True):
    """Our curves or the published ones, by model."""
    known = looks([*LABELS, "eunn", "arjovsky", "full_capacity"])
    found = {}
    for model, (colour, marker) in known.items():
        wanted = marker
        for line in panel.lines:
            published = line.get_label() == "Published"
            if not re.fullmatch(r"line-\d+", line.get_gid() or ""):  # a realization, or a mark
                continue
            if (line.get_color(), line.get_marker(), published) == (colour, wanted, not ours):
                found[model] = line
    return found


def dashed(panel) -> list[float]:
    """Where dashed lines stand that are no curves."""
    lines = [line for line in panel.lines if line.get_gid() is None]
    return [line.get_ydata()[0] for line in lines if line.get_linestyle() == "--"]


def words(figure) -> list[str]:
    return [text.get_text() for text in figure.legends[0].get_texts()]


def test_what_is_drawn(draw, make_scores):
    scores = make_scores(realizations=6)
    figure = draw(scores, "figure2")
    left, right = figure.axes
    assert left.get_ylabel() == "Test R²"
    assert left.get_xlabel() == "Hidden units"
    assert right.get_xlabel() == "Adjusted hidden units (URNN: half)"
    assert figure.get_suptitle() == "Synthetic data: SNR 20 dB, 6 realizations, at most 100 epochs"
    assert words(figure) == [
        "RNN",
        "This run, 95 % interval",
        "URNN",
        "Published",
        "LSTM",
        "Optimum 0.9901",
    ]
    for panel, adjusted in ((left, False), (right, True)):
        assert dashed(panel) == [pytest.approx(0.9901)]
        assert len(panel.containers) == 3
        theirs = lines(panel, ours=False)
        assert sorted(theirs) == ["lstm", "rnn", "urnn"]
        for model in ("rnn", "urnn", "lstm"):
            factor = 2 if adjusted and model == "urnn" else 1
            ours = lines(panel)[model]
            np.testing.assert_array_equal(ours.get_xdata(), np.array(SIZES) / factor)
            means = scores["r2"].sel(model=model).mean("realization")
            np.testing.assert_allclose(ours.get_ydata(), means)
            published_line = theirs[model]
            assert published_line.get_color() == ours.get_color()
            assert published_line.get_markerfacecolor() == "white"
            assert published_line.get_linestyle() != ours.get_linestyle()
            assert published_line.get_linewidth() < ours.get_linewidth()
    assert list(left.get_xticks()) == SIZES
    assert list(right.get_xticks()) == [1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14]


def test_published_points_without_a_value_leave_no_hole(draw, make_scores):
    figure = draw(make_scores(("urnn",)), "figure2")
    x = lines(figure.axes[1], ours=False)["urnn"].get_xdata()
    assert list(x) == [1, 1.5, 2, 3, 3.5, 4, 4.5, 5, 6, 7]


def test_every_model_is_drawn(draw, make_scores):
    models = ("rnn", "urnn", "lstm", "contractive_rnn", "eunn", "arjovsky")
    figure = draw(make_scores(models))
    assert len(figure.axes[0].containers) == len(models)
    assert {*lines(figure.axes[0])} == {*models}


def test_more_models_have_a_row_each_and_need_no_colour(draw, make_scores):
    models = tuple(f"model{i}" for i in range(13))
    scores = make_scores(models, sizes=(4, 8), realizations=6)
    scores["diverged"][3, 1, 0] = 1
    figure = draw(scores)
    figure.draw_without_rendering()
    titles = [panel.get_title("left") for panel in figure.axes]
    assert titles == ["4 hidden units", "8 hidden units"]
    for panel, size in zip(figure.axes, (4, 8), strict=True):
        if panel is figure.axes[0]:
            assert [label.get_text() for label in panel.get_yticklabels()] == list(models)
        expected = scoring.summarise(scores).sel(hidden_units=size)
        for place, container in enumerate(panel.containers):
            point, (bar,) = container.lines[0], container.lines[2]
            assert point.get_xdata() == pytest.approx(expected["r2_mean"][place].item())
            assert list(point.get_ydata()) == [place]
            ends = bar.get_segments()[0][:, 0]
            np.testing.assert_allclose(ends, expected["r2_interval"][place])
    assert [text.get_text() for text in figure.axes[1].texts] == ["×1"]
    numbers = series.table(figure)
    assert {*numbers["x_label"]} == {"Hidden units"} and {*numbers["y_label"]} == {"Test R²"}
    assert svg.told(numbers.iloc[-1].to_dict()).startswith("model12: Hidden units 8, Test R² 0.9")


def test_without_published_curves_and_with_one_realization(draw, make_scores):
    figure = draw(make_scores(realizations=1))
    assert words(figure) == ["RNN", "This run", "URNN", "Optimum 0.9901", "LSTM"]
    assert "1 realization," in figure.get_suptitle()
    assert not lines(figure.axes[0], ours=False)


def test_one_bad_point_does_not_squash_the_rest(draw, make_scores):
    scores = make_scores()
    scores["r2"][0, 2] = -30.0
    figure = draw(scores, "figure2")
    left = figure.axes[0]
    assert left.get_ylim()[0] > 0.8
    assert "−30.00" in [text.get_text() for text in left.texts]
    assert np.isnan(lines(left)["rnn"].get_ydata()[2])


def test_many_bad_points_are_all_shown(draw, make_scores):
    scores = make_scores()
    scores["r2"][:2] = 0.3
    bottom, top = draw(scores, "figure2").axes[0].get_ylim()
    assert bottom < 0.3 and 0.99 < top < 1.1


def test_what_diverged_is_said(draw, make_scores):
    scores = make_scores()
    scores["r2"][0, 3, :2] = np.nan
    scores["diverged"][0, 3, :2] = 1
    scores["r2"][1, 0] = np.nan
    scores["diverged"][1, 0] = 1
    figure = draw(scores, "figure2")
    notes = {text.get_text(): text.xy for text in figure.axes[0].texts}
    assert notes == {"×2": (8, pytest.approx(scores["r2"][0, 3].mean().item())), "all ×4": (2, 0)}
    assert len(lines(figure.axes[0])["urnn"].get_xdata()) == len(SIZES) - 1
    assert figure.axes[1].get_xticks()[0] == 1  # of the URNN that diverged
    assert "Diverged, left out" in words(figure)


def test_what_diverged_of_a_point_below_the_panel_is_not_all(draw, make_scores):
    scores = make_scores(realizations=6)
    scores["r2"][0, 3, :2] = np.nan
    scores["diverged"][0, 3, :2] = 1
    scores["r2"][0, 3, 2:] = -20
    notes = {text.get_text() for text in draw(scores, "figure2").axes[0].texts}
    assert "×2" in notes and "all ×2" not in notes


def test_a_row_of_a_model_that_always_diverged_says_so(draw, make_scores):
    models = tuple("abcdefgh")
    scores = make_scores(models, sizes=(4, 8), realizations=4)
    scores["r2"][2] = np.nan
    scores["diverged"][2] = 1
    for panel in draw(scores).axes:
        (note,) = [text for text in panel.texts if text.get_text() == "all ×4"]
        assert note.xycoords == ("axes fraction", "data") and note.xy == (0.5, 2)


def test_everything_diverged(draw, make_scores):
    scores = make_scores(realizations=2)
    scores["r2"][:] = np.nan
    scores["diverged"][:] = 1
    figure = draw(scores)
    assert {text.get_text() for text in figure.axes[0].texts} == {"all ×2"}
    assert len(figure.axes[0].texts) == 3 * len(SIZES)


def test_nothing_is_outside_the_picture(draw, make_scores):
    figure = draw(make_scores(tuple(LABELS)), "figure2")
    figure.draw_without_rendering()
    box, legend = figure.bbox, figure.legends[0].get_window_extent()
    assert box.x0 <= legend.x0 and legend.x1 <= box.x1 and box.y0 <= legend.y0
    for panel in figure.axes:
        assert panel.get_tightbbox().x1 <= box.x1
        assert not panel.get_window_extent().overlaps(legend)


def test_names_of_40_characters_are_not_cut_off(draw, make_scores):
    scores = make_scores()
    scores["model_label"] = ("model", [f"{name} {'x' * 38}" for name in "abc"])
    test_nothing_is_outside_the_picture(draw, lambda _: scores)


def test_ticks_have_room_for_their_labels(draw, make_scores):
    figure = draw(make_scores(sizes=(1, 2, 4, 8, 16, 32, 64, 128)))
    figure.draw_without_rendering()
    for panel in figure.axes:
        boxes = [label.get_window_extent() for label in panel.get_xticklabels()]
        assert 3 < len(boxes) < 9
        assert all(left.x1 < right.x0 for left, right in itertools.pairwise(boxes))


def test_a_published_curve_has_ticks_where_there_are_none_of_ours(draw, make_scores):
    figure = draw(make_scores(sizes=(4,)), "figure2")
    assert {2, 4, 14} <= {*figure.axes[0].get_xticks()}


def test_a_further_dim_is_refused(draw, make_scores):
    scores = make_scores()
    two = scores.assign(
        {name: scores[name].expand_dims(rate=["a", "b"]) for name in ("r2", "diverged")}
    )
    with pytest.raises(ValueError, match="rate"):
        draw(two)
    draw(two.isel(rate=0))


def test_bars_are_the_intervals_of_scoring(draw, make_scores):
    scores = make_scores(realizations=8)
    scores["diverged"][0, 0, 0] = 1
    scores["r2"][0, 0, 0] = -5.0  # left out, whatever its value
    panel = draw(scores).axes[0]
    expected = scoring.summarise(scores)
    for container, model in zip(panel.containers, ("rnn", "urnn", "lstm"), strict=True):
        (bars,) = container.lines[2]
        ends = np.array([segment[:, 1] for segment in bars.get_segments()], float)
        bounds = expected["r2_interval"].sel(model=model).transpose("hidden_units", "bound")
        np.testing.assert_allclose(ends, bounds.values, rtol=1e-12)
        mean = expected["r2_mean"].sel(model=model)
        np.testing.assert_allclose(lines(panel)[model].get_ydata(), mean, rtol=1e-12)


def test_without_an_optimum_there_is_no_dashed_line(draw, make_scores):
    figure = draw(make_scores(realizations=6).drop_vars("r2_optimal"), "figure2")
    assert words(figure) == ["RNN", "This run, 95 % interval", "URNN", "Published", "LSTM"]
    assert not dashed(figure.axes[0])
    assert {*lines(figure.axes[0])} == {"rnn", "urnn", "lstm"}


@pytest.mark.parametrize("name", ["model_label", "state_factor"])
def test_coordinates_are_asked_for(name, draw, make_scores):
    with pytest.raises(ValueError, match=name):
        draw(make_scores().drop_vars(name))


def test_few_realizations_are_drawn_and_have_no_interval(draw, make_scores):
    panel = draw(make_scores(realizations=4)).axes[0]
    for container in panel.containers:
        (bars,) = container.lines[2]
        assert all(np.isnan(segment).any() or not len(segment) for segment in bars.get_segments())
    small = [line for line in panel.lines if line.get_markersize() < 3]
    drawn = sorted(tuple(map(float, xy)) for line in small for xy in line.get_xydata())
    scores = make_scores(realizations=4)
    expected = sorted(
        (float(size), float(value))
        for size in SIZES
        for value in scores["r2"].sel(hidden_units=size).values.ravel()
    )
    np.testing.assert_allclose(drawn, expected)
    assert not [
        line
        for line in draw(make_scores(realizations=1)).axes[0].lines
        if line.get_markersize() < 3
    ]


def test_a_bar_that_leaves_the_panel_is_marked(draw, make_scores):
    scores = make_scores(realizations=10)
    scores["r2"][0, 0] = [*9 * [0.95], 0.0]  # a mean within, a bar far below
    panel = draw(scores, "figure2").axes[0]
    bounds = scoring.summarise(scores)["r2_interval"][0, 0]
    assert bounds[0] < panel.get_ylim()[0] < scores["r2"][0, 0].mean()
    marks = [line for line in panel.lines if line.get_marker() == "v" and not line.get_clip_on()]
    assert [(list(m.get_xdata()), list(m.get_ydata()), m.get_color()) for m in marks] == [
        ([2], [0], looks(["rnn"])["rnn"][0])
    ]
    assert not [m for m in draw(make_scores(realizations=6)).axes[0].lines if m.get_marker() == "v"]


def test_realizations_that_are_missing_are_left_out_and_counted(draw, make_scores):
    scores = make_scores(realizations=6)
    scores["diverged"] = scores["diverged"].astype(float)
    for name in ("r2", "r2_centred", "diverged"):
        scores[name][:, 1:, 2:] = np.nan  # not trained: only two realizations of the larger sizes
    figure = draw(scores)
    assert figure.get_suptitle().startswith("Synthetic data: SNR 20 dB, 2 to 6 realizations")
    drawn = lines(figure.axes[0])["rnn"].get_ydata()
    np.testing.assert_allclose(drawn, scores["r2"][0].mean("realization"))
    assert not figure.axes[0].texts  # nothing diverged
    found = series.table(figure)
    counts = found[(found["panel"] == "(a)") & (found["series"] == "RNN")]["realizations"]
    assert list(counts) == [6, 2, 2, 2, 2, 2, 2]


def test_the_numbers_of_every_line_are_kept(draw, make_scores):
    scores = make_scores(realizations=6)
    scores["diverged"][2, 0, 0] = 1
    found = series.table(draw(scores, "figure2"))
    assert {*found["source"]} == {"this run", "published"}
    ours = found[(found["panel"] == "(b)") & (found["series"] == "URNN")]
    expected = scoring.summarise(scores).sel(model="urnn")
    np.testing.assert_allclose(ours["x"].astype(float), np.array(SIZES) / 2)
    np.testing.assert_allclose(ours["y"], expected["r2_mean"])
    np.testing.assert_allclose(ours[["lower", "upper"]], expected["r2_interval"])
    lstm = found[(found["panel"] == "(a)") & (found["series"] == "LSTM")]
    assert list(lstm["diverged"]) == [1, 0, 0, 0, 0, 0, 0]
    assert list(lstm["realizations"]) == [5, 6, 6, 6, 6, 6, 6]
    theirs = found[found["series"] == "LSTM, published"]
    assert theirs["lower"].isna().all() and {*theirs["y_label"]} == {"Test R²"}
