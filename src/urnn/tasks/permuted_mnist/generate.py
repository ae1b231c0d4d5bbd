"""Permuted MNIST: 784 steps of one pixel in the customary order, then one label.

Source: the paper, figure 4. The images come from `urnn.tasks.permuted_mnist.mnist`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from urnn.seeds import generator
from urnn.tasks import images as image_data
from urnn.tasks.permuted_mnist.mnist import MNIST, load
from urnn.tasks.permuted_mnist.settings import PermutedMNIST
from urnn.tasks.split import SPLIT

#: value of a white pixel
LARGEST = 255
#: seed of the permutation that results on permuted MNIST are customarily given for
PERMUTATION_SEED = 92916


def permutation(pixels: int = 784) -> NDArray[np.int64]:
    """The customary order of the pixels; the same for every seed and realization."""
    # the legacy generator: its stream is frozen, and it defines the task
    return np.random.RandomState(PERMUTATION_SEED).permutation(pixels)


def generate(task: PermutedMNIST, seed: int, realizations: Sequence[int]) -> Iterator[xr.Dataset]:
    """Each realization: a draw of the validation images from MNIST's training images.

    Trials 0 to 59999 are the training images in their order, the others the test images, which
    are the test split of every realization.

    Raises:
        DataError: MNIST is neither in the folder nor can it be downloaded, or a file is damaged.
    """
    mnist = load()
    for realization in realizations:
        yield _divided(mnist, task, seed, realization)


def _divided(mnist: MNIST, task: PermutedMNIST, seed: int, realization: int) -> xr.Dataset:
    train, test = len(mnist.train_images), len(mnist.test_images)
    split = np.repeat(np.array([SPLIT["train"], SPLIT["test"]], np.int8), [train, test])
    random = generator(seed, "permuted_mnist", realization, "split")
    chosen = random.choice(train, task.validation_trials, replace=False)
    split[chosen] = SPLIT["validation"]
    return image_data.dataset(
        np.concatenate([mnist.train_images, mnist.test_images]),
        np.concatenate([mnist.train_labels, mnist.test_labels]),
        split,
        permutation(mnist.train_images[0].size),
        LARGEST,
        {"source": "MNIST (LeCun, Cortes and Burges), checked by SHA-256"},
    )
