"""Each loss against torch's, its scores against their definitions, and how a file names it."""

from __future__ import annotations

import numpy as np
import pytest
import xarray as xr

from urnn import recurrence, scoring
from urnn.errors import DataError
from urnn.losses import LOSSES, accuracy, cross_entropy, loss_of


@pytest.fixture
def random() -> np.random.Generator:
    return np.random.default_rng(0)


def test_the_recurrence_has_the_gradients_of_each() -> None:
    assert tuple(LOSSES) == recurrence.LOSSES
    assert all(loss.name == name for name, loss in LOSSES.items())
    for loss in LOSSES.values():
        assert loss.metric in loss.scores
        assert set(loss.optima) <= {f"{score}_optimal" for score in loss.scores}


@pytest.mark.parametrize("device", ["cpu", "reference"])
def test_squared_is_the_mean_of_the_squares(device: str, random: np.random.Generator) -> None:
    backend = recurrence.backend(device)
    y_hat, y = random.standard_normal((2, 3, 5, 7, 2))
    own = np.arange(3)
    loss, share = LOSSES["squared"].evaluate(
        backend, backend.asarray(y_hat), backend.asarray(y), own
    )
    assert loss.dtype == np.float64 and np.isnan(share).all()
    np.testing.assert_allclose(loss, ((y_hat - y) ** 2).mean((1, 2, 3)), rtol=1e-6)
    missing = np.where(random.random(y.shape) < 0.3, np.nan, y)
    masked, _ = LOSSES["squared"].evaluate(
        backend, backend.asarray(y_hat), backend.asarray(missing), own
    )
    error = np.where(np.isnan(missing), 0, y_hat - y)
    np.testing.assert_allclose(masked, (error**2).mean((1, 2, 3)), rtol=1e-6)
    shared, _ = LOSSES["squared"].evaluate(
        backend, backend.asarray(y_hat), backend.asarray(y), np.array([2, 0, 2])
    )
    np.testing.assert_allclose(shared, ((y_hat - y[[2, 0, 2]]) ** 2).mean((1, 2, 3)), rtol=1e-6)
    np.testing.assert_allclose(
        LOSSES["squared"].score(np.zeros(1) + 0.5, share, missing),
        1 - 0.5 * missing.size / np.nansum(missing**2),
    )


@pytest.mark.parametrize("device", ["cpu", "reference"])
def test_cross_entropy_and_accuracy_are_torchs(device: str, random: np.random.Generator) -> None:
    torch = pytest.importorskip("torch")
    backend = recurrence.backend(device)
    scores, labels = random.standard_normal((3, 5, 4)), random.integers(0, 4, (3, 5))
    found = LOSSES["cross_entropy"].evaluate(
        backend, backend.asarray(scores), backend.asarray(labels), np.arange(3)
    )
    theirs = torch.nn.functional.cross_entropy(
        torch.tensor(scores).mT, torch.tensor(labels), reduction="none"
    )
    np.testing.assert_allclose(found[0], theirs.mean(1), rtol=1e-6)
    np.testing.assert_array_equal(found[1], (scores.argmax(2) == labels).mean(1))
    np.testing.assert_allclose(cross_entropy(scores, labels), theirs.mean(1), rtol=1e-12)
    np.testing.assert_array_equal(accuracy(scores, labels), found[1])


def test_large_scores_do_not_overflow() -> None:
    scores = np.array([[[1e4, 0.0], [0.0, -1e4]]], np.float32)
    with np.errstate(all="raise", under="ignore"):
        np.testing.assert_allclose(cross_entropy(scores, np.array([[0, 0]])), [0])
        np.testing.assert_allclose(cross_entropy(scores, np.array([[1, 1]])), [1e4])


def test_scores_are_their_definitions(random: np.random.Generator) -> None:
    y, y_hat = random.standard_normal((2, 5, 7, 2))
    squared = LOSSES["squared"]
    found = scoring.compute(squared.scores, y, y_hat)
    assert found == {"r2": scoring.r2(y, y_hat), "r2_centred": scoring.r2_centred(y, y_hat)}
    assert scoring.compute(squared.optima, y, y_hat) == {
        "r2_optimal": scoring.r2_optimal(y, y_hat),
        "r2_centred_optimal": scoring.r2_centred_optimal(y, y_hat),
    }
    classes = LOSSES["cross_entropy"]
    labels = np.array([0, 1, 1, 0])
    scores = np.array([[3.0, 1], [0, 2], [5, 4], [1, 9]])
    assert scoring.compute(classes.scores, labels, scores) == {"accuracy": 0.5}
    assert scoring.compute(classes.optima, labels, scores) == {}


def test_a_file_names_its_loss_and_has_the_size_of_its_readout() -> None:
    outputs = xr.Dataset({"y": (("trial", "time", "output"), np.zeros((4, 5, 3)))})
    assert loss_of(outputs).name == "squared"  # where nothing is said
    assert loss_of(outputs.assign_attrs(loss="squared")).output_size(outputs) == 3
    labels = xr.Dataset({"label": ("trial", np.zeros(4, int))}, attrs={"loss": "cross_entropy"})
    with pytest.raises(DataError, match="the attribute classes, the number of classes of label"):
        loss_of(labels).output_size(labels)
    assert loss_of(labels).output_size(labels.assign_attrs(classes=10)) == 10
    with pytest.raises(DataError, match="must be one of squared, cross_entropy, not 'hinge'"):
        loss_of(outputs.assign_attrs(loss="hinge"))
