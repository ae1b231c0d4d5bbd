"""What a task is: the settings that define its data, and what training and scoring ask of it."""

from __future__ import annotations

import hashlib
from functools import cache
from pathlib import Path
from typing import Any, ClassVar

from urnn.settings.base import Settings


class Task(Settings):
    """A source of data; a realization is one independent draw of them.

    The module ``generate`` beside its settings has ``generate(task, seed, realizations)``, which
    yields the dataset of each realization, the same whichever others are made with it:
    x (trial, time, input), the target of the loss, split (trial), and y_clean where a perfect
    model's outputs are known. Trials of the test that have another length are apart: x_test and
    y_test (test_trial, test_time, ...).
    """

    #: the key that chooses a task; a subclass narrows it to its own name
    task: Any

    #: what figures call the data
    title: ClassVar[str]
    #: what a model minimises, see `urnn.losses`
    loss: ClassVar[str]
    #: keys that say where the data lie and not what they are: they define no result
    places: ClassVar[tuple[str, ...]] = ()
    #: whether the data hold y_clean, what a perfect model would give
    knows_optimum: ClassVar[bool] = False
    #: whether the trials of the test are apart, and so no trials for validation
    test_apart: ClassVar[bool] = False
    #: variables of the file that are worth compressing
    compressed: ClassVar[tuple[str, ...]] = ()

    @property
    def training_trials(self) -> int:
        """Trials that a model is trained on, those of the recipe's validation share included."""
        raise NotImplementedError

    @property
    def validation_trials(self) -> int:
        """Trials that the task keeps for validation; 0: the recipe takes a share."""
        return 0

    @property
    def test_trials(self) -> int:
        """Trials of the test."""
        raise NotImplementedError

    @property
    def sizes(self) -> tuple[int, int]:
        """Inputs and outputs of a model."""
        raise NotImplementedError

    @property
    def numbers(self) -> int:
        """Size of a realization's trials, about, as a count of its numbers."""
        raise NotImplementedError

    @property
    def source_files(self) -> list[str]:
        """Files of the user that the data are made from; what is in them defines the data too.

        Raises:
            DataError: one of them does not exist.
        """
        return []

    def content(self) -> str | None:
        """A digest of the user's files, None where there are none."""
        files = [Path(path) for path in self.source_files]
        digests = [_digest(path, path.stat().st_mtime_ns, path.stat().st_size) for path in files]
        return " ".join(digests) or None

    @property
    def environment(self) -> dict[str, str]:
        """Environment variables that the data are made with."""
        return {}

    def identity(self) -> dict[str, Any]:
        """What defines the data of a realization besides the seed."""
        return self.model_dump(exclude={*self.places})


@cache
def _digest(path: Path, mtime: int, size: int) -> str:
    """Of a file's content; the rest of the arguments says that it is still the same."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:16]
