"""Permuted MNIST and permuted digits: sequences, labels, splits, and the files they become."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import netCDF4
import numpy as np
import pytest
import xarray as xr

from urnn import storage
from urnn.__main__ import main
from urnn.tasks.permuted_digits import generate as permuted_digits
from urnn.tasks.permuted_digits import settings as digits_settings
from urnn.tasks.permuted_digits.settings import PermutedDigits
from urnn.tasks.permuted_mnist import generate as permuted_mnist
from urnn.tasks.permuted_mnist import mnist
from urnn.tasks.permuted_mnist import settings as mnist_settings
from urnn.tasks.permuted_mnist.settings import MNISTSplit, PermutedMNIST
from urnn.tasks.split import SPLIT

DIGITS = PermutedDigits()
REAL = os.environ.get(mnist.FOLDER_VARIABLE, "")


def counts(data: xr.Dataset) -> dict[str, int]:
    return {name: int((data["split"] == value).sum()) for name, value in SPLIT.items()}


def of(task: str, **options: Any) -> list[str]:
    """The option of the command `data` that chooses a task."""
    return ["--task", json.dumps({"task": task, **options})]


def digits(seed: int = 2019, realization: int = 0) -> xr.Dataset:
    return next(permuted_digits.generate(DIGITS, seed, [realization]))


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> mnist.MNIST:
    """60 training and 20 test images of MNIST's form, in the place of MNIST."""
    random = np.random.default_rng(0)

    def draw(largest: int, *shape: int) -> np.ndarray:
        return random.integers(0, largest, shape, np.uint8, endpoint=True)

    made = mnist.MNIST(draw(255, 60, 28, 28), draw(9, 60), draw(255, 20, 28, 28), draw(9, 20))
    monkeypatch.setattr(permuted_mnist, "load", lambda: made)
    return made


def test_the_permutation_of_mnist_is_the_customary_one() -> None:
    order = permuted_mnist.permutation()
    assert sorted(order) == list(range(784))
    assert order[:8].tolist() == [319, 576, 323, 107, 355, 716, 197, 20]


def test_a_trial_of_mnist_is_its_image_in_the_customary_order(small: mnist.MNIST) -> None:
    task = PermutedMNIST(images=MNISTSplit(validation_images=15))
    data = next(permuted_mnist.generate(task, 2019, [0]))
    assert dict(data.sizes) == {"trial": 80, "time": 784, "input": 1}
    assert data["x"].dtype == np.float32
    assert data["label"].dtype == np.int64
    images = np.concatenate([small.train_images, small.test_images]).reshape(80, 784)
    order = np.random.RandomState(92916).permutation(784)
    np.testing.assert_array_equal(data["permutation"], order)
    np.testing.assert_array_equal(data["x"][..., 0], images[:, order] / np.float32(255))
    labels = np.concatenate([small.train_labels, small.test_labels])
    np.testing.assert_array_equal(data["label"], labels)
    assert counts(data) == {"train": 45, "validation": 15, "test": 20}
    assert (data["split"][60:] == SPLIT["test"]).all()


def test_realizations_of_mnist_differ_in_their_validation_images_alone(small: mnist.MNIST) -> None:
    task = PermutedMNIST(images=MNISTSplit(validation_images=15))
    first, again, other, seed = (
        next(permuted_mnist.generate(task, seed, [realization]))
        for seed, realization in [(1, 0), (1, 0), (1, 1), (2, 0)]
    )
    xr.testing.assert_identical(first, again)
    for another in (other, seed):
        for name in ("x", "label", "permutation"):
            np.testing.assert_array_equal(another[name], first[name])
        assert (another["split"] != first["split"]).any()
        assert (another["split"][60:] == SPLIT["test"]).all()


def test_digits_are_sequences_of_64_pixels() -> None:
    images, labels = permuted_digits.load()
    assert images.shape == (digits_settings.IMAGES, 8, 8)
    assert images[0].size == DIGITS.pixels
    assert images.max() == permuted_digits.LARGEST
    data = digits()
    assert dict(data.sizes) == {"trial": 1797, "time": 64, "input": 1}
    assert (data["x"].dtype, data["label"].dtype) == (np.float32, np.int64)
    assert (float(data["x"].min()), float(data["x"].max())) == (0, 1)
    order = data["permutation"].values
    assert sorted(order) == list(range(64))
    np.testing.assert_array_equal(data["x"][..., 0], images.reshape(-1, 64)[:, order] / 16)
    np.testing.assert_array_equal(data["label"], labels)
    assert counts(data) == {"train": DIGITS.training_trials, "validation": 180, "test": 450}
    for value in SPLIT.values():  # every digit is in every part
        assert set(data["label"].values[data["split"].values == value]) == set(range(10))


def test_each_realization_of_the_digits_has_its_own_split_and_permutation() -> None:
    xr.testing.assert_identical(digits(), digits())
    for another in (digits(realization=1), digits(seed=2020)):
        assert (another["split"] != digits()["split"]).any()
        assert (another["permutation"] != digits()["permutation"]).any()


def test_settings_know_the_sizes_of_mnist() -> None:
    sizes = [file.shape for file in mnist.FILES]
    train, test = mnist_settings.TRAIN_IMAGES, mnist_settings.TEST_IMAGES
    assert sizes == [(train, 28, 28), (train,), (test, 28, 28), (test,)]
    task = PermutedMNIST()
    assert (task.training_trials, task.validation_trials, task.test_trials) == (
        50_000,
        10_000,
        test,
    )
    assert task.pixels == 28 * 28


def test_the_command_writes_the_same_bytes_compressed_and_exact(tmp_path: Path) -> None:
    arguments = ["data", *of("permuted_digits"), "--realization", "1", "--seed", "7"]
    for name in ("a.nc", "b.nc"):
        assert main([*arguments, "--output", str(tmp_path / name)]) == 0
    assert (tmp_path / "a.nc").read_bytes() == (tmp_path / "b.nc").read_bytes()
    assert (tmp_path / "a.nc").stat().st_size < 1797 * 64 * 4 / 2
    data = storage.read(tmp_path / "a.nc", ("x", "label", "split", "permutation"))
    xr.testing.assert_equal(data, digits(7, 1))
    assert data.attrs["classes"] == 10
    assert data.attrs["seed"] == 7
    assert data.attrs["realization"] == 1
    assert data.attrs["loss"] == "cross_entropy"
    assert data.attrs["task"] == "permuted_digits"
    assert data.attrs["task_title"] == "Permuted 8×8 digits"
    images = {"test_images": 450, "validation_images": 180}
    assert json.loads(data.attrs["config"]) == {"task": "permuted_digits", "images": images}
    with netCDF4.Dataset(tmp_path / "a.nc") as file:  # plain float32: nothing to unpack
        assert file["x"].dtype == np.float32
        assert not {"scale_factor", "add_offset"} & set(file["x"].ncattrs())


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "--task.snr_db: this key is missing"),
        (of("synthetic", snr_db=20, images={}), "images is a key of permuted_digits, permuted_mni"),
        (of("permuted_digits", snr_db=20), "--task.snr_db: unknown key; known here: task, images;"),
        (of("permuted_digits", snr_db=20), "snr_db is a key of synthetic"),
        (of("permuted_mnist", system={}), "system is a key of synthetic"),
        (
            of("permuted_digits", images={"test_images": 1700}),
            "--task.images: test_images and vali",
        ),
        (of("permuted_digits", images={"test_images": 1700}), "must leave some of"),
        (of("permuted_mnist", images={"validation_images": 0}), "at least 1"),
        (
            of("mnist"),
            "--task.task: must be one of 'synthetic', 'permuted_mnist', 'permuted_digits'",
        ),
        (["--task", "permuted_digits"], "--task: expected JSON such as"),
    ],
)
def test_options_of_another_task_are_refused(
    arguments: list[str], words: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    output = tmp_path / "a.nc"
    assert main(["data", *arguments, "--realization", "0", "--output", str(output)]) == 1
    message = capsys.readouterr().err
    assert message.startswith("urnn data: --task")
    assert words in message
    assert list(tmp_path.iterdir()) == []


def test_without_mnist_the_command_says_why_and_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(mnist.FOLDER_VARIABLE, str(tmp_path / "none"))
    output = ["--output", str(tmp_path / "a.nc")]
    assert main(["data", *of("permuted_mnist"), "--realization", "0", *output]) == 1
    assert "none, which does not exist" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(
    not Path(REAL or "none").is_dir(), reason="needs MNIST: URNN_MNIST_DIR must name its folder"
)
def test_the_file_of_the_real_mnist(tmp_path: Path) -> None:
    path = tmp_path / "a.nc"
    arguments = [*of("permuted_mnist"), "--realization", "0", "--output", str(path)]
    assert main(["data", *arguments]) == 0
    assert path.stat().st_size < 35e6  # 220 MB uncompressed
    data = storage.read(path, ("x", "label", "split", "permutation"))
    assert dict(data.sizes) == {"trial": 70_000, "time": 784, "input": 1}
    assert counts(data) == {"train": 50_000, "validation": 10_000, "test": 10_000}
    real = mnist.load()
    restored = np.empty((28 * 28,), np.float32)
    restored[data["permutation"].values] = data["x"].values[60_123, :, 0]
    np.testing.assert_array_equal(np.rint(restored.reshape(28, 28) * 255), real.test_images[123])
    assert data["label"][60_123] == real.test_labels[123]
