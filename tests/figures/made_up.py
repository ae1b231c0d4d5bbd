"""Scores made up for the tests of figures."""

from __future__ import annotations

import numpy as np
import xarray as xr

SIZES = [2, 4, 6, 8, 10, 12, 14]
LABELS = {"rnn": "RNN", "urnn": "URNN", "lstm": "LSTM", "contractive_rnn": "Contractive RNN"}


def make_scores(models=("rnn", "urnn", "lstm"), realizations: int = 4) -> xr.Dataset:
    rng = np.random.default_rng(0)
    dims = ("model", "hidden_units", "realization")
    gap = 0.1 / np.array(SIZES)[None, :, None]
    scores = 0.99 - gap * rng.uniform(0.5, 1, (len(models), len(SIZES), realizations))
    return xr.Dataset(
        {
            "r2": (dims, scores),
            "r2_centred": (dims, scores - 0.01),
            "diverged": (dims, np.zeros(scores.shape, np.int8)),
            "r2_optimal": ("realization", np.full(realizations, 0.9901)),
        },
        coords={
            "model": list(models),
            "hidden_units": SIZES,
            "realization": np.arange(realizations),
            "model_label": ("model", [LABELS.get(m, m) for m in models]),
            "state_factor": ("model", [2 if m == "urnn" else 1 for m in models]),
        },
        attrs={"snr_db": 20.0, "epochs": 100, "experiment": "synthetic-20dB"},
    )
