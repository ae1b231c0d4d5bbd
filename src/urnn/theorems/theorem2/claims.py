"""What the numbers of Theorem 2 say of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from urnn import verdict
from urnn.verdict import Claim

if TYPE_CHECKING:
    import xarray as xr

#: what `claims` needs of the file
VARIABLES = ("needed", "best_error")


def claims(numbers: xr.Dataset, source: str) -> list[Claim]:
    """How many of the networks are proved to need all 2n states, and how near fewer come."""
    # nothing in a scaled identity is random: its realizations are copies of the first
    first = numbers["realization"] == numbers["realization"][0]
    needed = numbers["needed"].where(first | (numbers["system"] != "scaled identity"))
    all_needed = needed >= 2 * numbers["hidden_units"]
    n = int(numbers.attrs["cliff_hidden_units"])
    fewer = numbers["best_error"].sel(unitary_units=numbers["unitary_units"] < 2 * n)
    least = float(fewer.min())
    enough = float(numbers["best_error"].sel(unitary_units=2 * n).min())
    return [
        {
            "claim": "Theorem 2: some networks need all 2n states.",
            "evidence": [
                verdict.quantity(int(all_needed.sum()), source, "networks whose needed is 2n", 0),
                " of ",
                verdict.quantity(int(needed.count()), source, "how many networks there are", 0),
                " networks are proved to need 2n. Smallest error found with fewer states ",
                verdict.small(least, source, f"least best_error with fewer than {2 * n} states"),
                ", with 2n ",
                verdict.small(enough, source, f"least best_error with {2 * n} states"),
                ".",
            ],
            "agreement": "agrees" if bool(all_needed.any()) and least > enough else "differs",
            "reason": "proved for these networks",
        }
    ]
