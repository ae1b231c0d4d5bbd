"""Settings of the numbers behind the theory figures. Defaults are the sizes of the figures."""

from __future__ import annotations

import itertools
from typing import Annotated

from pydantic import AfterValidator, Field

from urnn.settings.base import Count, PositiveNumber, Settings


def _increasing(values: list[float]) -> list[float]:
    if any(second <= first for first, second in itertools.pairwise(values)):
        raise ValueError(f"each entry must be larger than the one before, but they are {values}")
    return values


Sizes = Annotated[
    list[Annotated[int, Field(ge=1, le=128)]], Field(min_length=1), AfterValidator(_increasing)
]


class Theorem1Settings(Settings):
    """Random contractive networks, each converted."""

    hidden_units: Sizes = Field([1, 2, 4, 8, 16, 32, 64], description="states of the networks, n")
    systems: Count = Field(20, description="random networks of each size and kind")
    steps: Annotated[int, Field(ge=2)] = Field(200, description="time steps")


class Theorem2Settings(Settings):
    """The cliff of one network, and the state counts of many."""

    hidden_units: Annotated[int, Field(ge=1, le=8)] = Field(
        2, description="states of the network of the cliff, n"
    )
    rho: Annotated[float, Field(gt=0, lt=1)] = Field(
        0.6, description="the network of the cliff is h(k) = relu(rho h(k-1) + x(k))"
    )
    budgets: Annotated[
        list[Annotated[float, Field(ge=1)]], Field(min_length=1), AfterValidator(_increasing)
    ] = Field([1, 2, 4, 8, 16, 32], description="weight budgets, R")
    restarts: Count = Field(2, description="initial values of each fit")
    iterations: Count = Field(400, description="iterations of each fit")
    sizes: Sizes = Field([2, 3, 4, 5, 6, 8], description="states of the counted networks, n")
    systems: Count = Field(10, description="counted networks of each size and kind")


class Theorem3Settings(Settings):
    """Sigmoid networks against biases and numbers of states."""

    largest_bias: Annotated[float, Field(ge=4, le=120)] = Field(
        100, description="largest extra bias; 120 digits hold its errors"
    )
    largest_chain: Annotated[int, Field(ge=2, le=64)] = Field(
        25, description="states of the longest centred chain, N"
    )
    fit_units: Sizes = Field([1, 2, 3, 4], description="states of the fits, N")
    bias_cap: PositiveNumber = Field(1.0, description="largest bias of the capped fits")
    restarts: Count = Field(3, description="initial values of each fit")
    iterations: Count = Field(300, description="iterations of each fit")


class TheorySettings(Settings):
    """One table of settings for each theorem; an empty one is the figure's."""

    theorem1: Theorem1Settings = Field(default_factory=lambda: Theorem1Settings())
    theorem2: Theorem2Settings = Field(default_factory=lambda: Theorem2Settings())
    theorem3: Theorem3Settings = Field(default_factory=lambda: Theorem3Settings())
