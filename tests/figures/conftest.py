"""Scores made up for the tests of figures."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest
import xarray as xr
from numpy.typing import ArrayLike

from urnn.training import ALL_EPOCHS, EARLY, OVERFLOW

LABELS = {"rnn": "RNN", "urnn": "URNN", "lstm": "LSTM", "contractive_rnn": "Contractive RNN"}
#: as `urnn.results` writes them
FLAGS = {
    "flag_values": np.array([ALL_EPOCHS, EARLY, OVERFLOW], np.int8),
    "flag_meanings": "all_epochs early_termination overflow",
}
DIMS = ("model", "hidden_units", "realization")


def _coordinates(models: Sequence[str], sizes: Sequence[int], realizations: int) -> dict:
    return {
        "model": list(models),
        "hidden_units": list(sizes),
        "realization": np.arange(realizations),
        "model_label": ("model", [LABELS.get(m, m) for m in models]),
        "state_factor": ("model", [2 if m == "urnn" else 1 for m in models]),
    }


@pytest.fixture
def make_scores() -> Callable[..., xr.Dataset]:
    """A function that makes an experiment with R^2, all finite unless r2 has a NaN: diverged."""

    def make(
        models: Sequence[str] = ("rnn", "urnn", "lstm"),
        realizations: int = 4,
        sizes: Sequence[int] = (2, 4, 6, 8, 10, 12, 14),
        r2: ArrayLike | None = None,
        optimum: float = 0.9901,
    ) -> xr.Dataset:
        if r2 is None:
            gap = 0.1 / np.array(sizes)[None, :, None]
            random = np.random.default_rng(0)
            r2 = 0.99 - gap * random.uniform(0.5, 1, (len(models), len(sizes), realizations))
        r2 = np.asarray(r2)
        time = np.sin(np.arange(300.0) / 20)[:, None]
        return xr.Dataset(
            {
                "r2": (DIMS, r2),
                "r2_centred": (DIMS, r2 - 0.01),
                "diverged": (DIMS, np.isnan(r2).astype(np.int8)),
                "r2_optimal": ("realization", np.full(r2.shape[2], optimum)),
                "rmse": ((*DIMS, "output"), np.sqrt(np.abs(1 - r2))[..., None]),
                "measured": (("sample", "output"), time),
                "simulated": (
                    ("model", "hidden_units", "sample", "output"),
                    np.broadcast_to(time, (*r2.shape[:2], *time.shape)),
                ),
            },
            coords={
                **_coordinates(models, sizes[: r2.shape[1]], r2.shape[2]),
                "output": ["y ($V$)"],
            },
            attrs={"snr_db": 20.0, "epochs": 100, "experiment": "synthetic-20dB"},
        )

    return make


@pytest.fixture
def make_accuracies() -> Callable[..., xr.Dataset]:
    """A function that makes an experiment with accuracies and histories."""

    def make(
        models: Sequence[str] = ("urnn", "rnn"),
        realizations: int = 2,
        sizes: Sequence[int] = (16, 32, 48),
        epochs: int = 5,
    ) -> xr.Dataset:
        shape = (len(models), len(sizes), realizations)
        values = np.random.default_rng(0).uniform(0.5, 0.9, (*shape, epochs))
        return xr.Dataset(
            {
                "accuracy": (DIMS, values.max(3)),
                "diverged": (DIMS, np.zeros(shape, np.int8)),
                "ended": (DIMS, np.zeros(shape, np.int8), FLAGS),
                "kept_epoch": (DIMS, values.argmax(3) + 1),
                "validation_accuracy": ((*DIMS, "epoch"), values),
                "constraint_error": ((*DIMS, "epoch"), 1e-7 * values),
            },
            coords={
                **_coordinates(models, sizes, realizations),
                "epoch": np.arange(1, epochs + 1),
            },
            attrs={"task": "permuted_mnist", "task_title": "Permuted MNIST", "epochs": epochs},
        )

    return make
