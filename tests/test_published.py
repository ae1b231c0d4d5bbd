"""The curves read off the published figures."""

from __future__ import annotations

import numpy as np
import pytest

from urnn import published


@pytest.mark.parametrize(("figure", "snr_db"), [("figure2", 20), ("figure3", 15)])
def test_the_published_optimum(figure, snr_db):
    optimal = published.load(figure).attrs["optimal"]
    assert optimal == pytest.approx(1 / (1 + 10 ** (-snr_db / 10)), abs=1e-4)


def test_published_curves():
    curves = published.load("figure2")
    assert list(curves.columns) == ["rnn", "urnn", "lstm"]
    assert curves.loc[4, "urnn"] == 0.9539
    assert np.isnan(curves.loc[5, "urnn"])
    assert "SNR 20 dB" in curves.attrs["comment"]
    assert published.load("figure4").attrs["optimal"] is None
    with pytest.raises(ValueError, match="figure9"):
        published.load("figure9")


@pytest.mark.parametrize("name", published.NAMES)
def test_every_figure_has_curves_by_size_and_model(name):
    curves = published.load(name)
    assert curves.index.name == "hidden_units" and curves.index.is_monotonic_increasing
    assert ((curves > 0.5) & (curves < 1) | curves.isna()).all(axis=None)
    assert {"rnn", "urnn"} <= {*curves.columns}


def test_figure_4_by_the_names_of_our_models():
    curves = published.load("figure4")
    assert list(curves.columns) == ["urnn", "contractive_rnn", "rnn", "rnn_fast"]
    assert curves.loc[64].tolist() == [0.852, 0.827, 0.769, 0.581]
