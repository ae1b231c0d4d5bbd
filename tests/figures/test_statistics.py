"""The paired comparisons, from made-up scores."""

from __future__ import annotations

import numpy as np
import pytest

from urnn import statistics
from urnn.figures.statistics import plot as comparison
from urnn.figures.statistics.settings import StatisticsSettings
from urnn.figures.style import save

SETTINGS = StatisticsSettings(kind="statistics")
SIZES = [2, 4, 6, 8, 10, 12, 14]


def test_what_is_drawn_is_what_the_module_computes(make_scores) -> None:
    scores = make_scores(realizations=6)
    figure = comparison.plot({"a": scores}, SETTINGS)
    assert figure.get_suptitle() == "Paired comparison: SNR 20 dB, 6 realizations"
    a, b, c = figure.axes
    rows = statistics.comparisons(scores, "rnn", SETTINGS.margin)
    for container, factor in zip(a.containers, (1, 2), strict=True):
        found = [r.difference for r in rows if r.factor == factor]
        np.testing.assert_allclose(
            container.lines[0].get_ydata(orig=False), [d.mean for d in found]
        )
        (bars,) = container.lines[2]
        ends = [segment[:, 1] for segment in bars.get_segments()]
        np.testing.assert_allclose(np.array(ends, float), [(d.lower, d.upper) for d in found])
    assert [text.get_text() for text in a.get_legend().get_texts()] == ["URNN of n", "URNN of 2n"]
    sizes = statistics.smallest_sizes(scores, SETTINGS.margin)
    for line, model in zip(b.lines, ("rnn", "urnn", "lstm"), strict=True):
        expected = [(sizes.sel(model=model) <= n).mean().item() for n in SIZES]
        np.testing.assert_allclose(line.get_ydata(orig=False), expected)
    assert len(c.get_xticklabels()) == len(SETTINGS.margins)
    assert c.get_ylabel() == "Hidden units, URNN / RNN"
    ratios = [
        statistics.state_ratio(statistics.smallest_sizes(scores, margin), "urnn", "rnn")
        for margin in SETTINGS.margins
    ]
    known = [ratio for ratio in ratios if ratio.both]
    np.testing.assert_allclose(
        c.containers[0].lines[0].get_ydata(orig=False), [r.mean for r in known]
    )
    labels = [text.get_text() for text in c.get_xticklabels()]
    assert labels == [f"{m:g}\n({r.both})" for m, r in zip(SETTINGS.margins, ratios, strict=True)]


def test_a_marker_is_filled_where_equality_was_shown(make_scores) -> None:
    scores = make_scores(realizations=6)
    scores["r2"][1] = scores["r2"][0] + 1e-4
    scores["r2"][1, 0] -= 0.05
    panel = comparison.plot({"a": scores}, SETTINGS).axes[0]
    hollow = [line for line in panel.lines if line.get_markerfacecolor() == "white"]
    rows = statistics.comparisons(scores, "rnn", SETTINGS.margin)
    for line, factor in zip(hollow, (1, 2), strict=True):
        expected = [
            r.hidden_units for r in rows if r.factor == factor and not r.difference.equivalent
        ]
        np.testing.assert_allclose(line.get_xdata(), expected, atol=0.2)
    assert len(hollow[0].get_xdata()) == 1


def test_the_caption_ascribes_nothing_else_to_the_theorem() -> None:
    assert "for a contractive ReLU network (theorem 1) if training finds it" in SETTINGS.text
    assert "linear within ±margin" in SETTINGS.text


def test_the_reference_must_be_a_model(make_scores) -> None:
    settings = StatisticsSettings(kind="statistics", reference="other")
    with pytest.raises(ValueError, match="'other' is not among the models scored: rnn, urnn, lstm"):
        comparison.plot({"a": make_scores()}, settings)
    assert settings.problems(["rnn", "urnn"]) == [
        ("reference", "'other' is not a model of the experiment, which has rnn, urnn")
    ]
    assert SETTINGS.problems(["rnn", "urnn"]) == []


def test_without_a_model_to_compare_and_with_everything_diverged(make_scores) -> None:
    alone = make_scores(models=("rnn", "lstm"))
    (panel,) = comparison.plot({"a": alone}, SETTINGS).axes
    assert panel.get_title("left") == "(b)" and panel.get_xlabel() == "Hidden units, at most"
    assert [text.get_text() for text in panel.texts] == [
        "No (a) and (c): there is no unitary model"
    ]
    comparison.plot({"a": alone.drop_vars("r2_optimal")}, SETTINGS).draw_without_rendering()
    scores = make_scores()
    scores["r2"][:] = np.nan
    scores["diverged"][:] = 1
    comparison.plot({"a": scores}, SETTINGS).draw_without_rendering()


def test_without_an_optimum_the_differences_are_left(make_scores) -> None:
    scores = make_scores()
    figure = comparison.plot({"a": scores.drop_vars("r2_optimal")}, SETTINGS)
    (panel,) = figure.axes
    whole = comparison.plot({"a": scores}, SETTINGS).axes[0]
    for ours, theirs in zip(panel.containers, whole.containers, strict=True):
        np.testing.assert_array_equal(
            ours.lines[0].get_ydata(orig=False), theirs.lines[0].get_ydata(orig=False)
        )
    assert [text.get_text() for text in panel.texts] == ["No (b) and (c): the optimum is not known"]


def test_two_pairs_lie_in_the_panel(make_scores) -> None:
    scores = make_scores(realizations=2)
    scores["r2"][1, 2] -= 0.3
    panel = comparison.plot({"a": scores}, SETTINGS).axes[0]
    low, high = panel.get_ylim()
    rows = statistics.comparisons(scores, "rnn", SETTINGS.margin)
    values = np.concatenate([row.difference.values for row in rows])
    assert values.max() > 0.25 and low < values.min() and values.max() < high


def test_several_models_have_a_look_each_and_a_legend(make_scores, tmp_path) -> None:
    scores = make_scores(("rnn", "urnn", "eunn", "cayley"), realizations=6)
    scores["state_factor"][:] = [1, 2, 2, 2]
    figure = comparison.plot({"a": scores}, SETTINGS)
    a, b, c = figure.axes
    pairs = {(line.lines[0].get_color(), line.lines[0].get_marker()) for line in a.containers}
    assert len(pairs) == len(a.containers) == 6
    assert a.get_legend()._ncols == 2  # three would be wider than the panel
    of_b = {
        text.get_text(): handle.get_color()
        for text, handle in zip(
            b.get_legend().get_texts(), b.get_legend().legend_handles, strict=True
        )
    }
    of_c = {line.lines[0].get_color() for line in c.containers}
    assert len(of_c) == 3 and of_c < {*of_b.values()} and c.get_legend() is None
    # hollow markers belong to their line, and hide no value from the pointer
    save(figure, tmp_path / "figure.svg")
    hollow = [line for line in a.lines if line.get_markerfacecolor() == "white"]
    assert all(line.get_gid().endswith("-with") for line in hollow)
    text = (tmp_path / "figure.svg").read_text(encoding="utf-8")
    assert text.count('pointer-events="none"') >= len(hollow)
