"""Settings of the numbers of Theorem 3."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import Field

from urnn.settings.base import Count, PositiveNumber
from urnn.theorems.base import Sizes, TheoremSettings

if TYPE_CHECKING:
    import xarray as xr

    from urnn.verdict import Claim


class Theorem3Settings(TheoremSettings):
    """Sigmoid and tanh networks against the bias and the number of states."""

    title: ClassVar[str] = "Theorem 3: near, never equal"
    caption: ClassVar[str] = (
        "Theorem 3. With a sigmoid or a tanh no finite unitary network has the same map as h(k) = "
        "φ(h(k−1)/2 + x(k)), nor that of almost any other sigmoid or tanh network (proved), yet "
        "the error can be made as small as one likes. (a) Two states, where a bias −β saturates "
        "the extra one. Lines: computed with 120 digits, positive at every β shown. Markers: "
        "float64 (not drawn where it gives 0), which reaches roundoff near β = 36 (sigmoid) and 20 "
        "(tanh) and so cannot show the theorem. The rates are measured. Dotted: the ReLU network "
        "converted by Theorem 1, at roundoff. (b) Biases that stay bounded: the error of the "
        "centred chain with N states falls by a factor of 4 per state with a sigmoid and hardly at "
        "all with a tanh (measured). Triangles: best fits found with and without a cap on the "
        "biases, root mean square error, gain f = 2, with N states or fewer (measured: upper "
        "bounds on the least error; where they stay level the optimizer is the limit, not the "
        "network). (c) The delay chain with L + 1 states, its first link started at rest, is exact "
        "up to k = L with every activation (proved) and differs after it (measured). Dotted: no "
        "real unitary network with L + 1 states is exact beyond this step (proved); for L = 1 and "
        "2 the chain is the best possible. Errors of 0 are drawn at 1e-17."
    )

    theorem: Literal["theorem3"] = Field("theorem3", exclude=True, description="the theorem")
    largest_bias: Annotated[float, Field(ge=4, le=120)] = Field(
        100, description="largest extra bias; 120 digits hold its errors"
    )
    largest_chain: Annotated[int, Field(ge=2, le=64)] = Field(
        25, description="states of the longest centred chain, N"
    )
    fit_units: Sizes = Field([1, 2, 3, 4], description="states of the fits, N")
    bias_cap: PositiveNumber = Field(1.0, description="largest bias of the capped fits")
    restarts: Count = Field(6, description="initial values of each fit")
    iterations: Count = Field(100, description="iterations of each fit")

    def claims(self, numbers: xr.Dataset, source: str) -> list[Claim]:
        """What the numbers say of the theorem."""
        from urnn.theorems.theorem3 import claims

        return claims.claims(numbers, source)


PLUG = Theorem3Settings
