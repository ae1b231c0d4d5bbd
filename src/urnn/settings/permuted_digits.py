"""Settings of permuted digits, the 8x8 stand-in for permuted MNIST."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field, model_validator

from urnn.settings.base import Count, Settings

#: images that ship with scikit-learn
IMAGES = 1797
#: pixels of an image, steps of a trial
PIXELS = 64
CLASSES = 10


class PermutedDigitsSettings(Settings):
    """How the images are split; every realization draws its own split and permutation."""

    test_images: Count = Field(450, description="images kept for the test")
    validation_images: Count = Field(180, description="images kept for the validation")

    @model_validator(mode="after")
    def _some_are_left(self) -> PermutedDigitsSettings:
        if self.training_trials < 1:
            raise ValueError(
                f"test_images and validation_images must leave some of the {IMAGES} images for "
                f"training, but they are {self.test_images} and {self.validation_images}"
            )
        return self

    @property
    def training_trials(self) -> int:
        """Trials that a model is trained on."""
        return IMAGES - self.test_images - self.validation_images

    @property
    def scored_trials(self) -> list[int]:
        """How many trials are validated and tested at once."""
        return [self.validation_images, self.test_images]

    @property
    def sizes(self) -> tuple[int, int]:
        """Inputs and outputs of a model."""
        return 1, CLASSES

    #: what a model of this task minimises, see `urnn.recurrence`
    loss: ClassVar[str] = "cross_entropy"

    @property
    def numbers(self) -> int:
        """Size of a realization's trials, about, as a count of its numbers."""
        return IMAGES * PIXELS
