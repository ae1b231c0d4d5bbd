"""Images as sequences of single pixels in a fixed random order, with one label for each.

Source of the task: Le, Jaitly and Hinton, "A Simple Way to Initialize Recurrent Networks of
Rectified Linear Units" (arXiv:1504.00941).
"""

from __future__ import annotations

from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from urnn.tasks.split import variable


def dataset(
    images: NDArray[np.uint8],
    labels: NDArray[np.integer],
    split: NDArray[np.int8],
    permutation: NDArray[np.integer],
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
        attributes: of the file, beside what holds for all such tasks.

    Returns:
        x(trial, time, input) float32 in [0, 1] with one input, label(trial) int64, split(trial)
        int8 and permutation(time) int32.
    """
    rows, columns = images.shape[1:]
    x = images.reshape(len(images), -1)[:, permutation].astype(np.float32)
    x /= np.float32(largest)
    return xr.Dataset(
        {
            "x": (
                ("trial", "time", "input"),
                x[..., None],
                {"long_name": "brightness of a pixel, 0 to 1", "units": "1"},
            ),
            "label": (
                ("trial",),
                labels.astype(np.int64),
                {"long_name": "digit that the image shows", "units": "1"},
            ),
            "split": variable(split),
            "permutation": (
                ("time",),
                permutation.astype(np.int32),
                {
                    "long_name": "pixel shown at the step, counted row by row from 0",
                    "units": "1",
                },
            ),
        },
        coords={
            "trial": np.arange(len(images), dtype=np.int32),
            "time": (
                "time",
                np.arange(len(permutation), dtype=np.int32),
                {"long_name": "time step", "units": "1"},
            ),
        },
        attrs={
            "title": "Images as sequences of single pixels in a fixed random order",
            "image_rows": rows,
            "image_columns": columns,
            "classes": 10,
            **attributes,
        },
    )
