"""Settings of permuted MNIST (paper, figure 4)."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from urnn.settings.base import Settings
from urnn.tasks.images import ImageTask

#: images of MNIST's training set and test set
TRAIN_IMAGES, TEST_IMAGES = 60_000, 10_000


class MNISTSplit(Settings):
    """Split of the training images; test images and permutation are always the same."""

    validation_images: Annotated[int, Field(ge=1, lt=TRAIN_IMAGES)] = Field(
        10_000, description="training images kept for the validation, drawn by each realization"
    )


class PermutedMNIST(ImageTask):
    """MNIST pixel by pixel; a realization is a draw of the validation images."""

    task: Literal["permuted_mnist"] = Field(
        "permuted_mnist", description="where the data comes from"
    )
    images: MNISTSplit = Field(
        default_factory=lambda: MNISTSplit(), description="how the images are split"
    )
    folder: Annotated[str, Field(min_length=1)] | None = Field(
        None,
        description="folder of MNIST's four IDX files, plain or .gz; null: the one that the "
        "environment variable URNN_MNIST_DIR names, else they are downloaded",
    )

    title: ClassVar[str] = "Permuted MNIST"
    pixels: ClassVar[int] = 784
    places: ClassVar[tuple[str, ...]] = ("folder",)  # the files' content is checked

    @property
    def training_trials(self) -> int:
        """Training images that are left for training."""
        return TRAIN_IMAGES - self.validation_trials

    @property
    def validation_trials(self) -> int:
        """Training images kept for the validation."""
        return self.images.validation_images

    @property
    def test_trials(self) -> int:
        """All test images."""
        return TEST_IMAGES

    @property
    def environment(self) -> dict[str, str]:
        """The folder, for `urnn.tasks.permuted_mnist.mnist`."""
        return {"URNN_MNIST_DIR": self.folder} if self.folder else {}


PLUG = PermutedMNIST
