"""Settings of the look of all figures."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from urnn.settings.base import PositiveNumber, Settings


class Style(Settings):
    """One style for all figures."""

    context: Literal["paper", "notebook", "talk", "poster"] = Field(
        "paper", description="seaborn's scale of lines and labels"
    )
    width: PositiveNumber = Field(7.2, description="width of a figure, inches")
    height: PositiveNumber = Field(3.8, description="height of a figure, inches")
    dots_per_inch: Annotated[int, Field(ge=50, le=1200)] = Field(200, description="of PNG files")
