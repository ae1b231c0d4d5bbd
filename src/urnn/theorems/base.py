"""What a theorem is to the rest: the settings of its numbers, and the words around its figure."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Annotated, Any, ClassVar

from pydantic import AfterValidator, Field

from urnn.settings.base import Settings

if TYPE_CHECKING:
    import xarray as xr

    from urnn.verdict import Claim


class TheoremSettings(Settings):
    """Settings of the numbers behind a theorem's figure; the defaults are those of the figure.

    The module ``numbers`` beside them has ``compute(settings, seed)``, which returns a dataset. The
    module ``plot`` has ``plot(dataset, style)``, which draws it, and ``VARIABLES``, what it reads.
    """

    #: the name of the theorem; a subclass narrows it to its own, with a default
    theorem: Any

    #: heading of the figure
    title: ClassVar[str]
    #: text below the figure in a report
    caption: ClassVar[str]

    def claims(self, numbers: xr.Dataset, source: str) -> list[Claim]:
        """What the theorem says and what the numbers say of it; they come from the source."""
        return []


def increasing(values: list[float]) -> list[float]:
    """The list itself, if each entry is larger than the one before."""
    if any(second <= first for first, second in itertools.pairwise(values)):
        raise ValueError(f"each entry must be larger than the one before, but they are {values}")
    return values


#: numbers of states in increasing order
Sizes = Annotated[
    list[Annotated[int, Field(ge=1, le=128)]], Field(min_length=1), AfterValidator(increasing)
]
