"""What holds for every task: its data are what its settings say, and training can read them."""

from __future__ import annotations

import json
import math
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr

from urnn import signals, storage
from urnn.losses import LOSSES
from urnn.seeds import generator
from urnn.settings.base import validated
from urnn.tasks import POINT
from urnn.tasks.base import Task
from urnn.tasks.permuted_mnist import generate as permuted_mnist
from urnn.tasks.permuted_mnist import mnist
from urnn.tasks.split import SPLIT

#: what makes a task quick, where its defaults are not, and the keys that it cannot do without
OPTIONS: dict[str, dict[str, Any]] = {
    "synthetic": {
        "snr_db": 20,
        "system": {"time_steps": 50, "trials": 20, "epsilon": 0.2, "on_tolerance": 0.1},
    },
}


#: a record for the task that reads one; the same file for all tests of this module
RECORD = Path(tempfile.mkdtemp()) / "record.csv"
_random = np.random.default_rng(7)
np.savetxt(
    RECORD,
    _random.standard_normal((400, 3)),
    delimiter=",",
    header="u,v,y",
    comments="",
    fmt="%.6f",
)
OPTIONS["recorded"] = {
    "records": [str(RECORD)], "inputs": ["u", "v"], "outputs": ["y"],
    "window": 40, "windows": 40, "warm_up": 5,
}  # fmt: skip


#: tasks whose data are quick to make; MNIST's are 70 000 images, made up here
QUICK = [name for name in POINT if name != "permuted_mnist"]


def made(name: str) -> Task:
    task = validated(POINT.union(), {"task": name, **OPTIONS.get(name, {})}, "task")
    assert isinstance(task, Task)
    return task


def generate(task: Task, seed: int, realization: int) -> xr.Dataset:
    (data,) = POINT.part_module(task.task, "generate").generate(task, seed, [realization])
    assert isinstance(data, xr.Dataset)
    return data


@pytest.fixture(scope="module", params=POINT)
def task(request: pytest.FixtureRequest) -> Task:
    return made(request.param)


@pytest.fixture(scope="module")
def data(task: Task) -> Iterator[xr.Dataset]:
    random = np.random.default_rng(0)

    def draw(*shape: int) -> np.ndarray:
        return random.integers(0, 10, shape, np.uint8)

    images = [
        values  # all images are the same one, in no memory of their own
        for count in (60_000, 10_000)
        for values in (np.broadcast_to(draw(1, 28, 28), (count, 28, 28)), draw(count))
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(permuted_mnist, "load", lambda: mnist.MNIST(*images))
        yield generate(task, 2019, 0)


def test_the_data_are_what_the_settings_say(task: Task, data: xr.Dataset) -> None:
    counts = {name: int((data["split"] == value).sum()) for name, value in SPLIT.items()}
    counts["test"] += data.sizes.get("test_trial", 0)
    assert counts == {
        "train": task.training_trials,
        "validation": task.validation_trials,
        "test": task.test_trials,
    }
    loss = LOSSES[task.loss]
    inputs, outputs = task.sizes
    assert data["x"].dims == ("trial", "time", "input") and data["x"].dtype == np.float32
    assert data.sizes["input"] == inputs
    assert loss.output_size(data) == outputs
    assert task.test_apart == ("x_test" in data)
    trials = data.sizes["trial"] + data.sizes.get("test_trial", 0)
    assert len(data[loss.target]) == data.sizes["trial"] and trials == sum(counts.values())
    assert ("y_clean" in data) == task.knows_optimum
    missing = [loss.target] if signals.of(data.attrs) else []
    storage.check_finite(data, Path("data.nc"), ["x", loss.target], missing)
    for name in data.data_vars:
        assert data[name].attrs["long_name"]
        assert "flag_values" in data[name].attrs or data[name].attrs["units"] == "1"


def test_numbers_are_those_of_the_trials(task: Task, data: xr.Dataset) -> None:
    names = ("x", "y", "y_clean", "x_test", "y_test")
    numbers = sum(math.prod(data[name].shape) for name in names if name in data)
    # of a record it is not known before it is read, and the memory of a job is asked for by it
    assert task.numbers == numbers or (task.test_apart and numbers <= task.numbers < 10 * numbers)
    assert set(task.compressed) <= set(map(str, data.data_vars))


def test_a_task_has_the_words_and_keys_that_others_use(task: Task) -> None:
    assert task.title and task.loss in LOSSES
    assert set(task.places) <= set(type(task).model_fields) - {"task"}
    identity = task.identity()
    assert identity["task"] == task.task
    assert set(identity) == set(type(task).model_fields) - set(task.places)
    json.dumps(identity)
    assert all(isinstance(value, str) for value in task.environment.values())
    assert (task.content() is None) == (not task.source_files)


def test_where_the_files_lie_is_no_part_of_what_the_data_are() -> None:
    here = POINT.make("permuted_mnist", folder="here")
    assert here.identity() == POINT.make("permuted_mnist").identity()
    assert here.environment == {mnist.FOLDER_VARIABLE: "here"}
    assert POINT.make("permuted_mnist").environment == {}


@pytest.mark.parametrize("name", QUICK)
def test_realizations_and_seeds_differ_and_repeat(name: str) -> None:
    task = made(name)
    first = generate(task, 2019, 0)
    xr.testing.assert_identical(generate(task, 2019, 0), first)
    for seed, realization in [(2019, 1), (2020, 0)]:
        assert not generate(task, seed, realization).equals(first)
    # whichever others are made with it
    several = POINT.part_module(name, "generate").generate(task, 2019, [3, 0, 1])
    for made_with_others, realization in zip(several, [3, 0, 1], strict=True):
        xr.testing.assert_identical(made_with_others, generate(task, 2019, realization))


@pytest.mark.parametrize("name", QUICK)
def test_the_file_says_what_it_is(name: str, tmp_path: Path, make_data: Callable) -> None:
    task = made(name)
    path = make_data(tmp_path / "data.nc", {"task": name, **OPTIONS.get(name, {})}, 3)
    attributes = storage.read(path).attrs
    expected = {
        "task": name,
        "task_title": task.title,
        "loss": task.loss,
        "realization": 3,
        "seed": 2019,
        "config": json.dumps(task.identity(), sort_keys=True),
    }
    assert {key: attributes[key] for key in expected} == expected


def test_the_generators_of_two_tasks_differ() -> None:
    """What a task draws derives from its name."""
    drawn = [generator(1, name, 0, "split").random(4) for name in POINT]
    # an integer is one whatever its type, and no text
    same = generator(1, POINT.names[0], np.int64(0), "split").random(4)
    assert same.tobytes() == drawn[0].tobytes()
    drawn.append(generator(1, POINT.names[0], "0", "split").random(4))
    assert len({values.tobytes() for values in drawn}) == len(drawn)
