"""The look of all figures, and how they are written."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

import matplotlib as mpl
import pytest

from urnn import published
from urnn.errors import DataError
from urnn.figures import style
from urnn.figures.r2 import plot as r2
from urnn.figures.r2.settings import R2Settings
from urnn.settings.style import Style


@pytest.fixture
def draw(make_scores):
    """A figure of made-up scores."""

    def make(look: Style = style.DEFAULT, labels: list[str] | None = None):
        scores = make_scores()
        if labels:
            scores = scores.assign_coords(model_label=("model", labels))
        return r2.plot({"a": scores}, R2Settings(), published.load("figure2"), look)

    return make


@pytest.mark.parametrize("count", [1, 11, 40])
def test_every_model_has_a_look_of_its_own(count: int):
    names = [*style.MODELS, *(f"model{i}" for i in range(count))]
    looks = style.looks(names)
    assert list(looks) == names
    assert len(set(looks.values())) == len(names)
    assert len(set(style.OTHERS)) == len(style.OTHERS)
    assert style.looks(["urnn", "rnn"])["rnn"] == looks["rnn"]


def test_colours_and_markers_tell_models_apart():
    models = ["rnn", "urnn", "lstm", "contractive_rnn", "eunn", "arjovsky", "full_capacity"]
    looks = style.looks(models)
    assert len({colour for colour, _ in looks.values()}) == len(models)
    assert len({marker for _, marker in looks.values()}) == len(models)


def test_the_style_changes_the_picture(draw):
    figure = draw(Style(width=5, height=4, context="talk"))
    assert figure.get_size_inches().tolist() == [5, 4]
    size = figure.axes[0].xaxis.label.get_size()
    assert size == pytest.approx(style.FONT_SIZE * 1.5 / 0.8)
    assert draw().axes[0].xaxis.label.get_size() == pytest.approx(style.FONT_SIZE)


def test_the_style_ends_with_the_block():
    before = dict(mpl.rcParams)
    with style.applied(style.DEFAULT):
        assert mpl.rcParams["font.family"] == ["DejaVu Sans"]
    assert dict(mpl.rcParams) == before


@pytest.mark.parametrize("suffix", ["svg", "png"])
def test_the_same_scores_give_the_same_bytes(draw, tmp_path, suffix):
    paths = [tmp_path / f"{name}.{suffix}" for name in "ab"]
    for path, font_size in zip(paths, (3.0, 30.0), strict=True):
        with mpl.rc_context({"font.size": font_size, "axes.facecolor": "red"}):  # the user's own
            style.save(draw(), path)
    first, second = (path.read_bytes() for path in paths)
    assert first == second
    assert b"<dc:date>" not in first
    ids = re.findall(rb' id="([^"]+)"', first)
    assert len(ids) == len(set(ids))
    assert sorted(tmp_path.iterdir()) == sorted(paths)  # no temporary file is left


def test_text_is_drawn_as_outlines(draw, tmp_path):
    assert b"<text" not in style.save(draw(), tmp_path / "figure.svg").read_bytes()


def test_a_figure_that_fails_leaves_the_old_one(tmp_path):
    path = tmp_path / "figure.svg"
    path.write_text("old")

    class Broken:
        def savefig(self, temporary, **_):
            temporary.write_text("half")
            raise OSError("disk full")

    with pytest.raises(DataError, match=r"cannot write .*figure\.svg: disk full"):
        style.save(Broken(), path)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_unknown_suffix_and_context(draw, tmp_path):
    with pytest.raises(ValueError, match=r"end in"):
        style.save(draw(), tmp_path / "figure.gif")
    with pytest.raises(ValueError, match="context"):
        Style(context="cinema")


def test_a_label_is_not_a_formula(draw, tmp_path):
    ET.parse(style.save(draw(labels=["$x$", "5 $ {", "<a & b>"]), tmp_path / "figure.svg"))
