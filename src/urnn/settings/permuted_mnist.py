"""Settings of permuted MNIST (paper, figure 4)."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import Field

from urnn.settings.base import Settings

#: images of MNIST's training set and test set
TRAIN_IMAGES, TEST_IMAGES = 60_000, 10_000
#: pixels of an image, steps of a trial
PIXELS = 784
CLASSES = 10


class PermutedMNISTSettings(Settings):
    """Split of the training images; test images and permutation are always the same."""

    validation_images: Annotated[int, Field(ge=1, lt=TRAIN_IMAGES)] = Field(
        10_000, description="training images kept for the validation, drawn by each realization"
    )

    @property
    def training_trials(self) -> int:
        """Trials that a model is trained on."""
        return TRAIN_IMAGES - self.validation_images

    @property
    def scored_trials(self) -> list[int]:
        """How many trials are validated and tested at once."""
        return [self.validation_images, TEST_IMAGES]

    @property
    def sizes(self) -> tuple[int, int]:
        """Inputs and outputs of a model."""
        return 1, CLASSES

    #: what a model of this task minimises, see `urnn.recurrence`
    loss: ClassVar[str] = "cross_entropy"

    @property
    def numbers(self) -> int:
        """Size of a realization's trials, about, as a count of its numbers."""
        return (TRAIN_IMAGES + TEST_IMAGES) * PIXELS
