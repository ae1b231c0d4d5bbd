"""The use of each trial of a file: training, validation or test, as CF flag values."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

SPLIT = {"train": 0, "validation": 1, "test": 2}


def variable(split: NDArray[np.int8]) -> tuple[tuple[str], NDArray[np.int8], dict[str, Any]]:
    """The variable ``split`` of a file, from one value of `SPLIT` for each trial."""
    flags = {
        "flag_values": np.array(list(SPLIT.values()), np.int8),
        "flag_meanings": " ".join(SPLIT),
        "long_name": "use of the trial",
    }
    return ("trial",), split, flags
