"""What a set of transitions is: its options, and how a member is drawn, trained and checked."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from urnn.settings.base import Settings

if TYPE_CHECKING:
    from numpy.random import Generator
    from numpy.typing import NDArray


#: how W may begin: drawn, or as W = I
STARTS = ("orthogonal", "identity")


class Transition(Settings):
    """A set of real n x n matrices W, and how a member is trained; n is the number of hidden units.

    What is trained is a stack of vectors p (R, P), from which W (R, n, n), always real, follows.
    For the sets that are kept by a projection p is W itself; for the unitary ones of the references
    it is what their authors train. ``xp`` is the array module, numpy or torch, so that the same
    lines run on every device.

    A complex m x m matrix is its real form with n = 2m: units 2k and 2k + 1 are the real and the
    imaginary part of complex unit k.
    """

    #: the key that chooses a set; a subclass narrows it to its own name
    transition: Any

    #: states that a network of this set needs for each state of an unconstrained one (theorem 1):
    #: the factor between hidden units and adjusted hidden units in the figures
    state_factor: ClassVar[int] = 1
    #: whether p is W itself, so that a file need not hold both
    direct: ClassVar[bool] = False

    @property
    def is_complex(self) -> bool:
        """Whether W is the real form of a complex matrix."""
        return False

    def size_problem(self, hidden_units: int) -> str | None:
        """Why W cannot have this size, or None."""
        if self.is_complex and hidden_units % 2:
            return (
                f"a complex {self.transition} needs an even number, two for each complex unit, "
                f"but it is {hidden_units}"
            )
        return None

    def order(self, hidden_units: int) -> int:
        """m, the size of the complex matrix, or n of a real one."""
        return hidden_units // 2 if self.is_complex else hidden_units

    def degrees_of_freedom(self, hidden_units: int) -> int:
        """The number of parameters by the source's formula."""
        raise NotImplementedError

    def initialise(self, random: Generator, hidden_units: int, start: str) -> NDArray:
        """p (P,) before training; start is "orthogonal" (drawn) or "identity" (W = I)."""
        raise NotImplementedError

    def enter(self, p: Any, hidden_units: int, xp: Any) -> Any:
        """p with W in the set, for values that were rounded after they were drawn."""
        return p

    def matrix(self, p: Any, hidden_units: int, xp: Any) -> tuple[Any, Callable[[Any], Any]]:
        """W (R, n, n) of p (R, P), and its vjp: from dL/dW (R, n, n) to dL/dp (R, P).

        One function for both, so that what W is made of is computed once. Each row is the same bits
        whatever the others are, and a NaN in one touches no other.
        """
        raise NotImplementedError

    def retract(self, p: Any, change: Any, hidden_units: int, xp: Any) -> Any:
        """p after the optimizer's change (R, P), W in the set again; p may be overwritten."""
        raise NotImplementedError

    def constraint_error(self, W: Any, xp: Any) -> Any:
        """(R,): how far each matrix of the stack is from the set, 0 inside it."""
        raise NotImplementedError


class RealOrComplex(Settings):
    """The option of the sets that have both."""

    field: Literal["real", "complex"] | None = Field(
        None,
        description="numbers of a transition that has both; n hidden units are n / 2 complex ones; "
        "null: as in its source",
    )

    #: where nothing is said
    complex_by_default: ClassVar[bool]

    @property
    def is_complex(self) -> bool:
        """Whether W is the real form of a complex matrix."""
        return self.complex_by_default if self.field is None else self.field == "complex"
