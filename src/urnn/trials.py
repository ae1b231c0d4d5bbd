"""Data files as trials: those that a block of realizations trains on, and those that score it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from urnn import signals, storage
from urnn.errors import ConfigError, DataError
from urnn.losses import Loss, loss_of
from urnn.settings.training import Recipe
from urnn.tasks.split import SPLIT

#: attributes of a data file that what is made from it takes over
KEPT_ATTRIBUTES = ("task", "task_title", "snr_db", signals.ATTRIBUTE, "task_settings")


class Trials(NamedTuple):
    """The trials of several realizations of one task; S realizations, N trials of each."""

    #: (S, N, time, input) float32
    x: NDArray
    #: (S, N, time, output) float32, or labels (S, N) int64
    y: NDArray
    #: the outputs without noise, as y, where every file has them
    y_clean: NDArray | None
    #: how many of the last trials are for validation
    validation_trials: int
    #: what is minimised, and the size of the readout
    loss: Loss
    output_size: int
    #: (S,) numbers of the realizations
    realizations: NDArray[np.int32]
    #: attributes that the output takes over
    attributes: dict[str, Any]


def to_train(paths: Sequence[Path], recipe: Recipe) -> Trials:
    """Training trials of all files, validation trials last.

    A file with validation trials has them for validation; of others the recipe's share is taken.
    With the recipe's ``validate_on_test`` the test trials are those of the validation.

    Raises:
        DataError: a file cannot be read, is not of the same task as the first, or has a realization
            that another one has.
        ConfigError: the recipe asks for a validation that the data do not have, or have already, or
            that leaves nothing to train on.
    """
    trials = _read(
        paths, ("train", "test" if recipe.validate_on_test else "validation"), "training"
    )
    validation = trials.validation_trials
    if recipe.validate_on_test and not validation:
        raise ConfigError(
            "--recipe.validate_on_test: these data have no test trials as long as those of the "
            "training; set validation_ratio instead"
        )
    if not validation:
        validation = recipe.validation_trials(trials.x.shape[1])
    elif recipe.validation_ratio:
        theirs = "the test trials" if recipe.validate_on_test else "trials of the data"
        raise ConfigError(f"--recipe.validation_ratio: {theirs} are for validation; leave it out")
    if recipe.patience is not None and not validation:
        raise ConfigError("--recipe.patience: needs validation trials; set validation_ratio")
    if validation >= trials.x.shape[1]:
        raise ConfigError(
            f"no training trials are left: {validation} of {trials.x.shape[1]} are for validation"
        )
    return trials._replace(validation_trials=validation)


def to_test(paths: Sequence[Path]) -> Trials:
    """Test trials of all files; raises DataError as `to_train`."""
    return _read(paths, ("test",), "test")


def _read(paths: Sequence[Path], uses: Sequence[str], called: str) -> Trials:
    """The trials of these uses of all files, in the order of the uses; what they are called."""
    blocks: list[dict[str, NDArray]] = []
    for path in paths:
        data = storage.read(path, ("x", "split"))
        try:
            loss = loss_of(data)
            output_size = loss.output_size(data) if loss.target in data else 0
        except DataError as error:
            raise DataError(f"{path}: {error}") from None
        blocks.append(_block(data, path, loss, uses))
        _check_last(blocks, paths, called)
    counts = [int((blocks[-1]["split"] == SPLIT[use]).sum()) for use in uses]
    stacked = {
        name: np.stack([block[name] for block in blocks])
        for name in blocks[0]
        if all(name in block for block in blocks)
    }
    told = dict(data.attrs)
    if "config" in told:
        told["task_settings"] = told["config"]
    return Trials(
        stacked["x"],
        stacked["y"],
        stacked.get("y_clean"),
        counts[-1] if len(counts) > 1 else 0,
        loss,
        output_size,
        stacked["realization"].astype(np.int32),
        {key: told[key] for key in KEPT_ATTRIBUTES if key in told},
    )


def _block(data: xr.Dataset, path: Path, loss: Loss, uses: Iterable[str]) -> dict[str, NDArray]:
    """What is used of one file: arrays by name, the target as y."""
    if loss.target not in data:
        raise DataError(f"{path} lacks {loss.target}: it is another kind of file")
    if "realization" not in data.attrs:
        raise DataError(f"{path} lacks the attribute realization, the number of its realization")
    names = {"x": "x", "y": loss.target}
    if "y_clean" in data and loss.optima and tuple(uses) == ("test",):
        names["y_clean"] = "y_clean"  # for the optimum of the scores
    split = data["split"].values
    if "x_test" in data and tuple(uses) == ("test",):
        names = {name: f"{variable}_test" for name, variable in names.items()}
        split = np.full(data.sizes["test_trial"], SPLIT["test"], np.int8)
    # of measured signals, NaN is a target that does not count
    missing = (names["y"],) if signals.of(data.attrs) else ()
    storage.check_finite(data, path, names.values(), missing)
    chosen = np.concatenate([np.flatnonzero(split == SPLIT[use]) for use in uses])
    values = {name: data[variable].values[chosen] for name, variable in names.items()}
    number = np.array(data.attrs["realization"])
    return values | {"split": split[chosen], "realization": number}


def _check_last(blocks: list[dict[str, NDArray]], paths: Sequence[Path], called: str) -> None:
    """Refuse the last block if it is not like the first, or has a realization that one has."""
    first, last = blocks[0], blocks[-1]
    for name in ("x", "y"):
        if last[name].shape != first[name].shape:
            raise DataError(
                f"{paths[len(blocks) - 1]}: {name} of the {called} trials has the shape "
                f"{last[name].shape}, but {paths[0]} has {first[name].shape}. All files must be "
                "of one task; leave out the one that is not."
            )
    if not np.array_equal(last["split"], first["split"]):
        raise DataError(
            f"{paths[len(blocks) - 1]}: its {called} trials are split in another way than those of "
            f"{paths[0]}. All files must be of one task; leave out the one that is not."
        )
    numbers = [int(block["realization"]) for block in blocks]
    if numbers[-1] in numbers[:-1]:
        raise DataError(
            f"{paths[len(blocks) - 1]} has realization {numbers[-1]}, and so has "
            f"{paths[numbers.index(numbers[-1])]}; give one of them."
        )
