"""Settings of the numbers of Theorem 2."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

from pydantic import AfterValidator, Field

from urnn.settings.base import Count
from urnn.theorems.base import Sizes, TheoremSettings, increasing

if TYPE_CHECKING:
    import xarray as xr

    from urnn.verdict import Claim


class Theorem2Settings(TheoremSettings):
    """How near one network is approached, and how many states many networks need."""

    title: ClassVar[str] = "Theorem 2: 2n states are needed to be equal, not to come near"
    caption: ClassVar[str] = (
        "Theorem 2. Some networks need a real unitary network with all 2n states for equality, but "
        "networks with fewer states come as near as their weights allow: the error has no positive "
        "lower limit. (A complex unitary network may need only half as many.) Top row: "
        "h(k) = relu(ρ h(k−1) + x(k)), y = h, in the region where it is linear. (a) Smallest error "
        "of the impulse response that was found with N states and ‖Fᵤ‖ ‖Cᵤ‖ ≤ R (measured: an "
        "upper bound on the least error). With n states one output is lost whatever R is; with 2n "
        "the fit is exact up to rounding (drawn at 1e-12). Dashed: no network with fewer than 2n "
        "states can lie below this curve (bound (D), proved where the unitary network has the same "
        "active units in two consecutive steps). (b) The same in the norm of bound (D), where "
        "ε₀ and ε₁ are the errors of the first two Jacobians: the error of the all-pass cascade "
        "tends to 0 as its weights grow (proved). Bottom row: states for (c), (d) random networks "
        "with 2 inputs and 2 outputs, mean and range, and (e) y = h = relu(ρ h(k−1) + x(k) + b), "
        "all with every unit on at the steady state under x = 0. 2n and n + rank(I − WᵀW) states "
        "suffice on bounded inputs (proved), and so do n + d after the best positive diagonal "
        "scaling found (proved; that no other scaling does better is measured). Bounds (C′) and "
        "(E): this many states are needed, on every input set with 0 in its interior, whatever the "
        "real unitary network does (proved; ranks are exact). In (e) they meet 2n. In (c) and (d), "
        "how many states between the two lower curves are needed is open."
    )

    theorem: Literal["theorem2"] = Field("theorem2", exclude=True, description="the theorem")
    hidden_units: Annotated[int, Field(ge=1, le=8)] = Field(
        2, description="states of the network that is approached, n"
    )
    rho: Annotated[float, Field(gt=0, lt=1)] = Field(
        0.6, description="the network that is approached is h(k) = relu(rho h(k-1) + x(k))"
    )
    budgets: Annotated[
        list[Annotated[float, Field(ge=1)]], Field(min_length=1), AfterValidator(increasing)
    ] = Field([1, 2, 4, 8, 16, 32], description="weight budgets, R")
    restarts: Count = Field(2, description="initial values of each fit")
    iterations: Count = Field(100, description="iterations of each fit")
    sizes: Sizes = Field(
        [2, 3, 4, 5, 6, 8], description="states of the networks whose needs are counted, n"
    )
    systems: Count = Field(10, description="such networks of each size and kind")

    def claims(self, numbers: xr.Dataset, source: str) -> list[Claim]:
        """What the numbers say of the theorem."""
        from urnn.theorems.theorem2 import claims

        return claims.claims(numbers, source)


PLUG = Theorem2Settings
