"""Settings of measured input/output records: a user's own system."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from pydantic import AfterValidator, Field, model_validator

from urnn.errors import DataError
from urnn.settings.base import PositiveNumber, distinct
from urnn.tasks.base import Task

#: how the name of a record ends, see `urnn.record_files`
SUFFIXES = (".csv", ".txt", ".tsv", ".npz", ".nc")

_Text = Annotated[str, Field(min_length=1)]


_Texts = Annotated[list[_Text], Field(min_length=1), AfterValidator(distinct)]


class Recorded(Task):
    """Measured records; a realization is a draw of the windows that are kept for validation."""

    task: Literal["recorded"] = Field("recorded", description="where the data comes from")
    records: _Texts = Field(
        description="files (.csv, .txt, .tsv, .npz, .nc), or folders of them; a CSV file starts "
        "with a line of names"
    )
    inputs: _Texts = Field(description="columns of the inputs")
    outputs: _Texts = Field(description="columns of the outputs")
    test_records: list[_Text] = Field(
        default_factory=list,
        description="other files or folders for the test; none: the end of each record",
    )
    test_share: Annotated[float, Field(gt=0, lt=1)] = Field(
        0.25, description="share of each record, at its end, kept for the test without test_records"
    )
    time: _Text | None = Field(
        None,
        description="column of the times of the samples, numbers or dates; samples that it leaves "
        "out are missing. null: the rows are evenly spaced",
    )
    sample_time: PositiveNumber | None = Field(
        None, description="time between samples, for the labels of results; null: that of `time`"
    )
    missing: Literal["mask", "cut"] = Field(
        "mask",
        description="mask: missing outputs do not count, missing inputs are interpolated and "
        "outputs do not count there. cut: a record is cut wherever anything is missing",
    )
    window: Annotated[int, Field(ge=2)] = Field(
        200, description="samples of a window; models are trained on windows of the records"
    )
    windows: Annotated[int, Field(ge=2)] = Field(
        100, description="number of windows, evenly spaced over the training part of the records"
    )
    warm_up: Annotated[int, Field(ge=0)] = Field(
        20,
        description="samples at the start of each window, and of each record of the test, in which "
        "a model gets over its initial state; they do not count",
    )
    validation_share: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.2,
        description="share of the windows, one after the other, kept for validation. With more "
        "windows than samples / (window - warm_up), windows overlap, and validation has samples "
        "that are trained on",
    )

    title: ClassVar[str] = "Recorded data"
    loss: ClassVar[str] = "squared"
    test_apart: ClassVar[bool] = True

    @model_validator(mode="after")
    def _fits(self) -> Recorded:
        both = sorted({*self.inputs} & {*self.outputs})
        if both:
            raise ValueError(f"outputs: {both[0]!r} is an input too; a column is one of the two")
        if self.time in (*self.inputs, *self.outputs):
            raise ValueError(f"time: {self.time!r} is an input or an output too")
        if self.warm_up > self.window - 2:
            raise ValueError(
                f"warm_up: {self.warm_up} leaves nothing of a window of {self.window} to learn from"
            )
        if self.validation_trials >= self.windows:
            raise ValueError(f"validation_share: {self.validation_share} leaves no training window")
        return self

    @property
    def training_trials(self) -> int:
        """Windows that a model is trained on."""
        return self.windows - self.validation_trials

    @property
    def validation_trials(self) -> int:
        """Windows kept for validation."""
        share = self.validation_share
        return max(round(self.windows * share), 1) if share else 0

    @property
    def test_trials(self) -> int:
        """Records of the test, as far as it can be known without reading them."""
        return len(self.test_records or self.records)

    @property
    def sizes(self) -> tuple[int, int]:
        """Inputs and outputs."""
        return len(self.inputs), len(self.outputs)

    @property
    def numbers(self) -> int:
        """Of the windows, and of the records at most: a number takes two bytes of a file."""
        windows = self.windows * self.window * sum(self.sizes)
        return windows + sum(path.stat().st_size // 2 for path in map(Path, self.source_files))

    @property
    def source_files(self) -> list[str]:
        """The records, folders as the files in them; what does not exist is among them."""
        return [str(path) for path in find([*self.records, *self.test_records])]


def find(places: Iterable[str]) -> list[Path]:
    """The files that are meant: files as they are, folders by their records, in order of name.

    Raises:
        DataError: there is no such file, or no record in a folder.
    """
    found: list[Path] = []
    for place in map(Path, places):
        if place.is_dir():
            inside = sorted(path for path in place.iterdir() if path.suffix.lower() in SUFFIXES)
            if not inside:
                raise DataError(
                    f"{place}: the folder has no record; records end in {', '.join(SUFFIXES)}"
                )
            found += inside
        elif place.is_file():
            found.append(place)
        else:
            raise DataError(f"{place} does not exist; check the name, and the folder it is in")
    return found


PLUG = Recorded
