"""Checkpoints of a training: where they lie, what they are for, when they are written.

A checkpoint lies beside the output that it leads to, under a name that holds a digest of
everything that defines the result: settings, seed, data, code and versions. What was written for
anything else is never read. Finished trainings remove theirs.
"""

from __future__ import annotations

import glob
import hashlib
import json
import signal
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from urnn import storage
from urnn.errors import DataError, Interrupted

_SIGNALS = (signal.SIGTERM, signal.SIGINT)


def digest(defines: Mapping[str, Any], arrays: Iterable[NDArray]) -> str:
    """SHA-256 of what defines a training, its arrays, and the versions of the packages.

    ``defines`` holds the settings, the seed and a digest of the code, see `urnn.closure`.
    """
    whole = hashlib.sha256()
    whole.update(json.dumps([defines, storage.versions()], sort_keys=True).encode())
    for array in arrays:
        whole.update(f"{array.shape} {array.dtype}".encode())
        whole.update(np.ascontiguousarray(array).data)
    return whole.hexdigest()


class FileCheckpoint:
    """The checkpoint of one training; see `urnn.training.Checkpoint`.

    Saved every so many seconds, and when the process is asked to end by SIGTERM or SIGINT inside
    `listening`; then `Interrupted` is raised.
    """

    def __init__(self, output: Path, key: str, seconds: float = 60) -> None:
        self.output, self.key, self.seconds = Path(output), key, seconds
        self.path = self.output.with_name(f".{self.output.stem}.{key[:16]}.checkpoint.nc")
        self._last = time.monotonic()
        self._signal: int | None = None

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Within, SIGTERM and SIGINT save the state before they end the process."""

        def note(number: int, frame: FrameType | None) -> None:
            self._signal = number

        before = {number: signal.signal(number, note) for number in _SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def load(self) -> dict[str, NDArray] | None:
        """The saved state, or None: there is none, or it cannot be read, which is said."""
        if not self.path.is_file():
            return None
        try:
            saved = storage.read(self.path)
        except DataError as error:
            print(f"the checkpoint cannot be used, training begins anew: {error}", file=sys.stderr)
            return None
        if saved.attrs.get("key") != self.key:
            return None
        state = {str(name): saved[name].values for name in saved.data_vars}
        epoch, batch, _ = state["position"]
        print(f"resumed from {self.path} at epoch {epoch + 1}, batch {batch + 1}", file=sys.stderr)
        return state

    def due(self) -> bool:
        """Whether a signal came, or the last checkpoint is old."""
        return self._signal is not None or time.monotonic() - self._last >= self.seconds

    def save(self, state: Mapping[str, NDArray]) -> None:
        """Write the state, whole or not at all; what cannot be written is said, and goes on.

        Raises:
            Interrupted: a signal came.
        """
        variables = {
            name: ([f"{name}_{axis}" for axis in range(values.ndim)], values)
            for name, values in state.items()
        }
        left = f"a checkpoint is left in {self.path}; the same command goes on from there"
        try:
            storage.write(xr.Dataset(variables, attrs={"key": self.key}), self.path)
        except DataError as error:
            left = "without a checkpoint"
            print(f"no checkpoint: {error}", file=sys.stderr, flush=True)
        self._last = time.monotonic()
        if self._signal is not None:
            raise Interrupted(f"stopped by {signal.Signals(self._signal).name}; {left}")

    def remove(self) -> None:
        """Remove the checkpoints of this output, those of other settings too."""
        stem, key = glob.escape(self.output.stem), "[0-9a-f]" * 16
        for path in self.output.parent.glob(f".{stem}.{key}.checkpoint.nc"):
            path.unlink(missing_ok=True)
