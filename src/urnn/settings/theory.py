"""Settings of the theory figures: one table for each theorem."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import Field, create_model

from urnn.settings.base import Settings
from urnn.theorems import POINT

if TYPE_CHECKING:

    class TheorySettings(Settings):
        """One table of settings for each theorem; an empty one has the sizes of the figure."""

else:
    _FIELDS: dict[str, Any] = {
        name: (POINT.plug(name), Field(default_factory=POINT.plug(name))) for name in POINT
    }
    TheorySettings = create_model(
        "TheorySettings",
        __base__=Settings,
        __module__=__name__,
        __doc__="One table of settings for each theorem; an empty one has the sizes of the figure.",
        **_FIELDS,
    )
