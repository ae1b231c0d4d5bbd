"""Settings of permuted digits, the 8x8 stand-in for permuted MNIST."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field, model_validator

from urnn.settings.base import Count, Settings
from urnn.tasks.images import ImageTask

#: images that ship with scikit-learn
IMAGES = 1797


class DigitsSplit(Settings):
    """How the images are split; every realization draws its own split and permutation."""

    test_images: Count = Field(450, description="images kept for the test")
    validation_images: Count = Field(180, description="images kept for the validation")

    @model_validator(mode="after")
    def _some_are_left(self) -> DigitsSplit:
        if self.test_images + self.validation_images >= IMAGES:
            raise ValueError(
                f"test_images and validation_images must leave some of the {IMAGES} images for "
                f"training, but they are {self.test_images} and {self.validation_images}"
            )
        return self


class PermutedDigits(ImageTask):
    """8x8 digits pixel by pixel; a realization is a split and a permutation of the pixels."""

    task: Literal["permuted_digits"] = Field(
        "permuted_digits", description="where the data comes from"
    )
    images: DigitsSplit = Field(
        default_factory=lambda: DigitsSplit(), description="how the images are split"
    )

    title: ClassVar[str] = "Permuted 8×8 digits"
    pixels: ClassVar[int] = 64

    @property
    def training_trials(self) -> int:
        """Images that are left for training."""
        return IMAGES - self.validation_trials - self.test_trials

    @property
    def validation_trials(self) -> int:
        """Images kept for the validation."""
        return self.images.validation_images

    @property
    def test_trials(self) -> int:
        """Images kept for the test."""
        return self.images.test_images


PLUG = PermutedDigits
