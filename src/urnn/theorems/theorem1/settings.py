"""Settings of the numbers of Theorem 1."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from urnn.settings.base import Count
from urnn.theorems.base import Sizes, TheoremSettings

if TYPE_CHECKING:
    import xarray as xr

    from urnn.verdict import Claim


class Theorem1Settings(TheoremSettings):
    """Random contractive networks, each converted to a unitary one."""

    title: ClassVar[str] = "Theorem 1: the unitary network has the same map"
    caption: ClassVar[str] = (
        "Theorem 1. Every contractive real ReLU network with bounded inputs has exactly the same "
        "input-output map as a real unitary one with N = n + rank(I − WᵀW) states, which is at "
        "most the 2n of the paper, and as a complex unitary one with n states. It is proved that "
        "the outputs are equal, that the extra states (in the complex network: the imaginary "
        "parts) stay at 0 and how many there are; the errors shown are rounding, measured in "
        "float64. (a) Random networks of five kinds (largest singular value 0.9 or 1 − 1e-8, all "
        "within 1e-12 of 1, half of them 1, or only the largest 1; the last two over a finite "
        "horizon), each with two input bounds (in the 2-norm and in the sup norm), and all three "
        "constructions: the largest error over all of them. (b) Mean number of states that the "
        "construction uses. (c) One state, w = 0.9, f = 1, b = 0.5, constant input 1. With less "
        "than the proved extra bias the extra state switches on and the output is wrong "
        "(measured); with the proved bias or more it is right (proved). In this case the bias "
        "cannot be smaller."
    )

    theorem: Literal["theorem1"] = Field("theorem1", exclude=True, description="the theorem")
    hidden_units: Sizes = Field([1, 2, 4, 8, 16, 32, 64], description="states of the networks, n")
    systems: Count = Field(20, description="random networks of each size and kind")
    steps: Annotated[int, Field(ge=2)] = Field(200, description="time steps")

    def claims(self, numbers: xr.Dataset, source: str) -> list[Claim]:
        """What the numbers say of the theorem."""
        from urnn.theorems.theorem1 import claims

        return claims.claims(numbers, source)


PLUG = Theorem1Settings
