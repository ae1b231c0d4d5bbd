"""How many random cases the sweeps take: a sample, or all of them with URNN_FULL_CHECKS=1."""

import os

FULL = os.environ.get("URNN_FULL_CHECKS") == "1"


def cases(full: int, sample: int) -> int:
    """``full`` cases if URNN_FULL_CHECKS is 1, else a ``sample``."""
    return full if FULL else sample
