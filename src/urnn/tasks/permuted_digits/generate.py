"""Permuted digits: the 8x8 digits that ship with scikit-learn, one pixel a step.

A stand-in for permuted MNIST that needs no download. Source of the images: E. Alpaydin and
C. Kaynak, "Optical Recognition of Handwritten Digits", UCI Machine Learning Repository (1998),
its test set.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from urnn.seeds import generator
from urnn.tasks import images as image_data
from urnn.tasks.permuted_digits.settings import PermutedDigits
from urnn.tasks.split import SPLIT

#: value of a white pixel
LARGEST = 16


def load() -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """The images (1797, 8, 8) from 0 to 16, and the digits (1797,) that they show."""
    from sklearn.datasets import load_digits  # type: ignore[import-untyped,unused-ignore]

    digits = load_digits()
    return digits.images.astype(np.uint8), digits.target.astype(np.int64)


def generate(task: PermutedDigits, seed: int, realizations: Sequence[int]) -> Iterator[xr.Dataset]:
    """Each realization: its own permutation and its own split of the images.

    Both are functions of the seed and the realization alone. The order of the images is kept, so
    trial i is image i of scikit-learn in every realization.
    """
    images, labels = load()
    for realization in realizations:
        yield _permuted(task, seed, realization, images, labels)


def _permuted(
    task: PermutedDigits, seed: int, realization: int, images: NDArray, labels: NDArray
) -> xr.Dataset:
    def random(purpose: str) -> np.random.Generator:
        return generator(seed, "permuted_digits", realization, purpose)

    order = random("split").permutation(len(images))
    test, validation = task.test_trials, task.validation_trials
    split = np.full(len(images), SPLIT["train"], np.int8)
    split[order[:test]] = SPLIT["test"]
    split[order[test : test + validation]] = SPLIT["validation"]
    return image_data.dataset(
        images,
        labels,
        split,
        random("permutation").permutation(images[0].size),
        LARGEST,
        {"source": "scikit-learn's digits (test set of UCI's optical recognition data set)"},
    )
