"""Orthogonal matrices by torch's product of Householder reflections."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from urnn.transition.torch_maps import TorchMap


class Householder(TorchMap):
    """W = B H_1 H_2 ... H_n S, real, see `TorchMap`."""

    transition: Literal["householder"] = Field(
        "householder", description="B times n Householder reflections (torch); real"
    )

    diagonal: ClassVar[int] = -1  # the signs S


PLUG = Householder
