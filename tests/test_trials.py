"""Data files as trials: which are used for what, and files that cannot be."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from urnn import scoring, storage, trials
from urnn.errors import ConfigError, DataError
from urnn.settings.training import Recipe
from urnn.tasks.split import SPLIT

RECIPE = Recipe()
#: uses of the trials of a file: in no order, as realizations of images have them
USES = ["test", "train", "validation", "train", "train", "test", "validation", "train"]

Write = Callable[..., list[Path]]


def dataset(number: int = 0, uses: list[str] = USES, **attributes: Any) -> xr.Dataset:
    random = np.random.default_rng(number)
    x, y, noise = random.standard_normal((3, len(uses), 6, 2)).astype(np.float32)
    names = ("trial", "time")
    return xr.Dataset(
        {
            "x": ((*names, "input"), x),
            "y": ((*names, "output"), y + noise),
            "y_clean": ((*names, "output"), y),
            "split": ("trial", np.array([SPLIT[use] for use in uses], np.int8)),
        },
        attrs={"realization": number, "task": "made_up", "snr_db": 3.0, **attributes},
    )


def labelled(number: int = 0, **attributes: Any) -> xr.Dataset:
    data = dataset(number, loss="cross_entropy", classes=4, **attributes)
    labels = np.random.default_rng(number).integers(0, 4, len(USES))
    return data.drop_vars(["y", "y_clean"]).assign(label=("trial", labels))


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def of(*data: xr.Dataset) -> list[Path]:
        paths = [tmp_path / f"data-{i}.nc" for i in range(len(data))]
        for each, path in zip(data, paths, strict=True):
            storage.write(each, path)
        return paths

    return of


def test_training_trials_come_first_and_those_for_validation_last(write: Write) -> None:
    files = [dataset(3), dataset(5)]
    read = trials.to_train(write(*files), RECIPE)
    assert read.x.shape == (2, 6, 6, 2) and read.y.shape == (2, 6, 6, 2)
    assert (read.validation_trials, read.output_size, read.loss.name) == (2, 2, "squared")
    np.testing.assert_array_equal(read.realizations, [3, 5])
    assert read.realizations.dtype == np.int32
    assert read.attributes == {"task": "made_up", "snr_db": 3.0}
    order = [1, 3, 4, 7, 2, 6]
    for s, data in enumerate(files):
        np.testing.assert_array_equal(read.x[s], data["x"][order])
        np.testing.assert_array_equal(read.y[s], data["y"][order])


def test_test_trials_are_those_of_the_test_alone(write: Write) -> None:
    data = dataset(3)
    read = trials.to_test(write(data))
    assert read.validation_trials == 0
    np.testing.assert_array_equal(read.x[0], data["x"][[0, 5]])
    np.testing.assert_array_equal(read.y[0], data["y"][[0, 5]])
    assert read.y_clean is not None
    found = scoring.optima(read.loss.optima, read.y, read.y_clean)
    y, clean = read.y[0], read.y_clean[0]
    np.testing.assert_array_equal(found["r2_optimal"], [scoring.r2_optimal(y, clean)])
    assert set(found) == set(read.loss.optima)


def test_the_optimum_is_known_where_every_file_has_the_outputs_without_noise(write: Write) -> None:
    read = trials.to_test(write(dataset(0), dataset(1).drop_vars("y_clean")))
    assert read.y_clean is None
    assert scoring.optima(read.loss.optima, read.y, read.y_clean) == {}
    assert read.y.shape == (2, 2, 6, 2)


def test_labels(write: Write) -> None:
    files = [labelled(0), labelled(1)]
    read = trials.to_train(write(*files), RECIPE)
    assert (read.loss.name, read.output_size, read.validation_trials) == ("cross_entropy", 4, 2)
    assert read.y.shape == (2, 6) and read.y.dtype == np.int64
    np.testing.assert_array_equal(read.y[1], files[1]["label"][[1, 3, 4, 7, 2, 6]])
    test = trials.to_test(write(*files))
    assert test.y.shape == (2, 2) and test.y_clean is None


def test_the_recipes_share_is_for_validation_where_the_file_has_none(write: Write) -> None:
    uses = ["train"] * 10 + ["test"] * 2
    paths = write(dataset(0, uses))
    assert trials.to_train(paths, RECIPE).validation_trials == 0
    shared = Recipe(validation_ratio=0.25, patience=3)
    assert trials.to_train(paths, shared).validation_trials == round(2.5)
    assert trials.to_train(paths, Recipe(validation_ratio=0.01)).validation_trials == 1
    with pytest.raises(ConfigError, match=r"^--recipe\.patience: needs validation trials"):
        trials.to_train(paths, Recipe(patience=3))
    own = write(dataset(0))
    assert trials.to_train(own, Recipe(patience=3)).validation_trials == 2
    with pytest.raises(
        ConfigError, match=r"^--recipe\.validation_ratio: trials of the data are for validation"
    ):
        trials.to_train(own, Recipe(validation_ratio=0.25))


def test_validation_on_the_test_trials_leaves_all_others_for_training(write: Write) -> None:
    on_test = Recipe(validate_on_test=True, patience=3)
    uses = ["train"] * 4 + ["validation"] * 2 + ["test"] * 3
    paths = write(dataset(0, uses))
    found, test = trials.to_train(paths, on_test), trials.to_test(paths)
    assert found.validation_trials == 3 and found.x.shape[1] == 7
    np.testing.assert_array_equal(found.x[:, 4:], test.x)
    np.testing.assert_array_equal(found.x[:, :4], trials.to_train(paths, RECIPE).x[:, :4])
    with pytest.raises(ConfigError, match="the test trials are for validation; leave it out"):
        trials.to_train(paths, Recipe(validate_on_test=True, validation_ratio=0.1))
    without = write(dataset(0, ["train"] * 4))
    with pytest.raises(ConfigError, match=r"^--recipe\.validate_on_test: these data have no test"):
        trials.to_train(without, Recipe(validate_on_test=True))


def test_something_must_be_left_to_train_on(write: Write) -> None:
    for uses, recipe in [
        (["train"] * 3 + ["test"], Recipe(validation_ratio=0.99)),
        (["validation"] * 3 + ["test"], RECIPE),
    ]:
        paths = write(dataset(0, uses))
        with pytest.raises(ConfigError, match="no training trials are left: 3 of 3 are for valid"):
            trials.to_train(paths, recipe)
    with pytest.raises(ConfigError, match="no training trials are left: 0 of 0"):
        trials.to_train(write(dataset(0, ["test"] * 3)), RECIPE)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (lambda: dataset(1).drop_vars("x"), "lacks x"),
        (lambda: dataset(1).drop_vars("split"), "lacks split"),
        (lambda: dataset(1).drop_vars("y"), "lacks y: it is another kind of file"),
        (lambda: labelled(1).drop_vars("label"), "lacks label: it is another kind of file"),
        (lambda: dataset(1, loss="hinge"), "the attribute loss must be one of squared, cross_ent"),
        (lambda: labelled(1).drop_attrs(deep=False).assign_attrs(loss="cross_entropy"), "classes"),
        (lambda: dataset(1).drop_attrs(deep=False), "lacks the attribute realization, the number"),
        (lambda: dataset(1).assign(x=dataset(1)["x"] / 0), "is not finite at trial="),
        (lambda: dataset(1).isel(time=slice(1, None)), "x of the training trials has the"),
        (lambda: labelled(1), "y of the training trials has the shape (6,), but"),
        (lambda: dataset(1, USES[:-1]), "x of the training trials has the shape (5, 6, 2)"),
        (lambda: dataset(1, [*USES[:-1], "validation"]), "trials are split in another way than"),
        (lambda: dataset(0), " has realization 0, and so has "),
    ],
)
def test_a_file_that_cannot_be_used_is_named(
    wrong: Callable[[], xr.Dataset], words: str, write: Write
) -> None:
    paths = write(dataset(0), wrong())
    with pytest.raises(DataError) as caught:
        trials.to_train(paths, RECIPE)
    assert str(caught.value).startswith(str(paths[1]))
    assert words in str(caught.value)
