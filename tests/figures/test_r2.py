"""Figures 2 and 3 from a made-up score file."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

import matplotlib as mpl
import numpy as np
import pytest
from made_up import LABELS, SIZES, make_scores

from urnn import published, storage
from urnn.figures import r2, style


def lines(panel, kind: str):
    """The curves of a kind, "ours" or "published", by model."""
    drawn = {c.get_label(): c.lines[0] for c in panel.containers}
    drawn |= {line.get_label(): line for line in panel.lines}
    return {k.split()[1]: v for k, v in drawn.items() if k.startswith(kind + " ")}


def words(figure) -> list[str]:
    return [text.get_text() for text in figure.legends[0].get_texts()]


def test_what_is_drawn():
    scores = make_scores()
    figure = r2.plot(scores, published.load("figure2"))
    left, right = figure.axes
    assert left.get_ylabel() == "Test R²"
    assert left.get_xlabel() == "Hidden units"
    assert right.get_xlabel() == "Adjusted hidden units (URNN: half)"
    assert figure.get_suptitle() == "Synthetic data: SNR 20 dB, 4 realizations, at most 100 epochs"
    assert words(figure) == [
        "RNN",
        "This run, 95 % interval",
        "URNN",
        "Published",
        "LSTM",
        "Optimum 0.9901",
    ]
    for panel, adjusted in ((left, False), (right, True)):
        assert [line.get_ydata()[0] for line in panel.lines if line.get_linestyle() == "--"] == [
            pytest.approx(0.9901)
        ]
        assert len(panel.containers) == 3
        theirs = lines(panel, "published")
        assert sorted(theirs) == ["lstm", "rnn", "urnn"]
        for model in ("rnn", "urnn", "lstm"):
            factor = 2 if adjusted and model == "urnn" else 1
            ours = lines(panel, "ours")[model]
            # set aside by a little, so that bars do not hide one another
            assert np.abs(ours.get_xdata() - np.array(SIZES) / factor).max() < 0.2
            means = scores["r2"].sel(model=model).mean("realization")
            np.testing.assert_allclose(ours.get_ydata(), means)
            published_line = theirs[model]
            assert published_line.get_color() == ours.get_color()
            assert published_line.get_marker() in ("None", "", None)
            assert published_line.get_linewidth() < ours.get_linewidth()
    assert list(left.get_xticks()) == SIZES
    assert list(right.get_xticks()) == [1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14]


def test_published_points_without_a_value_leave_no_hole():
    figure = r2.plot(make_scores(("urnn",)), published.load("figure2"))
    x = lines(figure.axes[1], "published")["urnn"].get_xdata()
    assert list(x) == [1, 1.5, 2, 3, 3.5, 4, 4.5, 5, 6, 7]


def test_colours_and_markers_tell_every_model_apart():
    models = ("rnn", "urnn", "lstm", "contractive_rnn", "eunn", "arjovsky", "full_capacity")
    looks = style.DEFAULT.of(list(models))
    assert len({colour for colour, _ in looks.values()}) == len(models)
    assert len({marker for _, marker in looks.values()}) == len(models)
    assert looks["rnn"] == style.DEFAULT.of(["urnn", "rnn"])["rnn"]
    figure = r2.plot(make_scores(models))
    assert len(figure.axes[0].containers) == len(models)


def test_without_published_curves_and_with_one_realization():
    figure = r2.plot(make_scores(realizations=1))
    assert words(figure) == ["RNN", "This run", "URNN", "Optimum 0.9901", "LSTM"]
    assert "1 realization," in figure.get_suptitle()
    assert not lines(figure.axes[0], "published")


def test_one_bad_point_does_not_squash_the_rest():
    scores = make_scores()
    scores["r2"][0, 2] = -30.0
    figure = r2.plot(scores, published.load("figure2"))
    left = figure.axes[0]
    assert left.get_ylim()[0] > 0.8
    assert "−30.00" in [text.get_text() for text in left.texts]
    assert np.isnan(lines(left, "ours")["rnn"].get_ydata()[2])


def test_many_bad_points_are_all_shown():
    scores = make_scores()
    scores["r2"][:2] = 0.3
    bottom, top = r2.plot(scores, published.load("figure2")).axes[0].get_ylim()
    assert bottom < 0.3 and 0.99 < top < 1.1


def test_what_diverged_is_said():
    scores = make_scores()
    scores["r2"][0, 3, :2] = np.nan
    scores["diverged"][0, 3, :2] = 1
    scores["r2"][1, 0] = np.nan
    scores["diverged"][1, 0] = 1
    figure = r2.plot(scores, published.load("figure2"))
    notes = [text.get_text() for text in figure.axes[0].texts]
    assert notes == ["Diverged trainings, left out: RNN (2 of 28), URNN (4 of 28)"]
    assert len(lines(figure.axes[0], "ours")["urnn"].get_xdata()) == len(SIZES) - 1
    assert figure.axes[1].get_xticks()[0] == 2


def test_everything_diverged():
    scores = make_scores(realizations=2)
    scores["r2"][:] = np.nan
    scores["diverged"][:] = 1
    figure = r2.plot(scores)
    assert "RNN (14 of 14)" in figure.axes[0].texts[0].get_text()


def test_nothing_is_outside_the_picture():
    figure = r2.plot(make_scores(tuple(LABELS)), published.load("figure2"))
    figure.draw_without_rendering()
    box, legend = figure.bbox, figure.legends[0].get_window_extent()
    assert box.x0 <= legend.x0 and legend.x1 <= box.x1 and box.y0 <= legend.y0
    for panel in figure.axes:
        assert panel.get_tightbbox().x1 <= box.x1
        assert not panel.get_window_extent().overlaps(legend)


def test_a_recipe_must_be_chosen():
    scores = make_scores()
    two = scores.assign(
        {name: scores[name].expand_dims(recipe=["a", "b"]) for name in ("r2", "diverged")}
    )
    with pytest.raises(ValueError, match="recipe"):
        r2.plot(two)
    r2.plot(two.isel(recipe=[0]))


@pytest.mark.parametrize("name", ["model_label", "state_factor"])
def test_coordinates_are_asked_for(name):
    with pytest.raises(ValueError, match=name):
        r2.plot(make_scores().drop_vars(name))


@pytest.mark.parametrize("suffix", ["svg", "png"])
def test_the_same_scores_give_the_same_bytes(tmp_path, suffix):
    paths = [tmp_path / f"{name}.{suffix}" for name in "ab"]
    for path, font_size in zip(paths, (3.0, 30.0), strict=True):
        with mpl.rc_context({"font.size": font_size, "axes.facecolor": "red"}):  # the user's own
            style.save(r2.plot(make_scores(), published.load("figure2")), path)
    first, second = (path.read_bytes() for path in paths)
    assert first == second
    assert b"<dc:date>" not in first
    ids = re.findall(rb' id="([^"]+)"', first)
    assert len(ids) == len(set(ids))
    assert sorted(tmp_path.iterdir()) == sorted(paths)  # no temporary file is left


def test_a_figure_that_fails_leaves_the_old_one(tmp_path):
    path = tmp_path / "figure.svg"
    path.write_text("old")

    class Broken:
        def savefig(self, temporary, **_):
            temporary.write_text("half")
            raise OSError("disk full")

    with pytest.raises(storage.DataError, match=r"cannot write .*figure\.svg: disk full"):
        style.save(Broken(), path)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_unknown_suffix_and_context(tmp_path):
    with pytest.raises(ValueError, match=r"end in"):
        style.save(r2.plot(make_scores()), tmp_path / "figure.gif")
    with pytest.raises(ValueError, match="context"):
        r2.plot(make_scores(), style=style.Style(context="cinema"))


def test_the_style_changes_the_picture():
    figure = r2.plot(make_scores(), style=style.Style(width=5, height=4, context="talk"))
    assert figure.get_size_inches().tolist() == [5, 4]
    size = figure.axes[0].xaxis.label.get_size()
    assert size == pytest.approx(style.DEFAULT.font_size * 1.5 / 0.8)


def test_a_label_is_not_a_formula(tmp_path):
    scores = make_scores().assign_coords(model_label=("model", ["$x$", "5 $ {", "<a & b>"]))
    path = style.save(r2.plot(scores), tmp_path / "figure.svg")
    ET.parse(path)
