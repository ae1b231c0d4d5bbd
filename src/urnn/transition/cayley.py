"""Unitary matrices by torch's Cayley map."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from urnn.transition.base import RealOrComplex
from urnn.transition.torch_maps import TorchMap


class Cayley(RealOrComplex, TorchMap):
    """U = B (I - A / 2)^{-1} (I + A / 2), A skew-Hermitian, see `TorchMap`."""

    transition: Literal["cayley"] = Field(
        "cayley", description="B (I - A / 2)^{-1} (I + A / 2), A skew-Hermitian (torch)"
    )

    complex_by_default: ClassVar[bool] = False


PLUG = Cayley
