"""Images as sequences of single pixels in a fixed random order, with one label for each.

Source of the task: Le, Jaitly and Hinton, "A Simple Way to Initialize Recurrent Networks of
Rectified Linear Units" (arXiv:1504.00941).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from urnn.tasks.base import Task

if TYPE_CHECKING:
    import xarray as xr
    from numpy.typing import NDArray

CLASSES = 10


class ImageTask(Task):
    """What tasks of images have in common."""

    loss: ClassVar[str] = "cross_entropy"
    compressed: ClassVar[tuple[str, ...]] = ("x",)  # most pixels are 0
    #: of an image, steps of a trial
    pixels: ClassVar[int]

    @property
    def sizes(self) -> tuple[int, int]:
        """One pixel in, a score for each class out."""
        return 1, CLASSES

    @property
    def numbers(self) -> int:
        """All pixels of all images."""
        return (self.training_trials + self.validation_trials + self.test_trials) * self.pixels


def dataset(
    images: NDArray,
    labels: NDArray,
    split: NDArray,
    permutation: NDArray,
    largest: int,
    attributes: dict[str, Any],
) -> xr.Dataset:
    """Images and labels as the trials of a file; step k shows pixel permutation[k], row by row.

    Args:
        images: (trial, row, column), uint8, from 0 to ``largest``.
        labels: (trial,), the classes.
        split: (trial,), values of `urnn.tasks.split.SPLIT`.
        permutation: of the pixels of an image, (row x column,).
        largest: the value of a white pixel; pixels are divided by it.
        attributes: of the file, besides those that all such tasks have.

    Returns:
        x(trial, time, input) float32 in [0, 1] with one input, label(trial) int64, split(trial)
        int8 and permutation(time) int32.
    """
    import numpy as np
    import xarray as xr

    from urnn.tasks import split as splits

    rows, columns = images.shape[1:]
    x = images.reshape(len(images), -1)[:, permutation].astype(np.float32)
    x /= np.float32(largest)

    def named(dims: tuple[str, ...], values: NDArray, long_name: str) -> tuple:
        return dims, values, {"long_name": long_name, "units": "1"}

    return xr.Dataset(
        {
            "x": named(("trial", "time", "input"), x[..., None], "brightness of a pixel, 0 to 1"),
            "label": named(("trial",), labels.astype(np.int64), "digit that the image shows"),
            "split": splits.variable(split),
            "permutation": named(
                ("time",),
                permutation.astype(np.int32),
                "pixel shown at the step, counted row by row from 0",
            ),
        },
        coords={
            "trial": np.arange(len(images), dtype=np.int32),
            "time": named(("time",), np.arange(len(permutation), dtype=np.int32), "time step"),
        },
        attrs={
            "title": "Images as sequences of single pixels in a fixed random order",
            "image_rows": rows,
            "image_columns": columns,
            "classes": CLASSES,
            **attributes,
        },
    )
