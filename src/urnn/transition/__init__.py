"""What the transition W may be: one file per set, all with the same small protocol.

What is trained is a stack of vectors p (R, P), from which W (R, n, n), always real, follows. For
the sets that are kept by a projection p is W itself; for the unitary ones of the references it is
what their authors train. ``xp`` is the array module, numpy or torch, so that the same lines run on
every device. docs/transitions.md compares the sets and shows how to add the next one.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from urnn.transition.arjovsky import Arjovsky
from urnn.transition.contractive import Contractive
from urnn.transition.eunn import EUNN
from urnn.transition.free import Free
from urnn.transition.full_capacity import FullCapacity
from urnn.transition.torch_maps import TorchMap
from urnn.transition.unitary import Unitary

if TYPE_CHECKING:
    from numpy.random import Generator
    from numpy.typing import NDArray


class Transition(Protocol):
    """A set of real n x n matrices, and how a member is trained; n is the number of hidden units.

    A complex m x m matrix is its real form with n = 2m: units 2k and 2k + 1 are the real and the
    imaginary part of complex unit k.
    """

    #: False: p is W itself, and training works on it in place; True: W is made from p in each step
    parametrised: bool
    #: states that a network of this set needs for each state of an unconstrained one (theorem 1):
    #: the factor between hidden units and adjusted hidden units in the figures
    state_factor: int

    def size(self, units: int) -> int:
        """P, the length of p for n hidden units, values that are drawn and then stay included."""
        ...

    def degrees_of_freedom(self, units: int) -> int:
        """The number of parameters by the source's formula."""
        ...

    def initial(self, random: Generator, units: int, start: str) -> NDArray:
        """p (P,) before training, float64; start is "orthogonal" (drawn) or "identity" (W = I)."""
        ...

    def matrix(self, p: Any, units: int, xp: Any) -> tuple[Any, Callable[[Any], Any]]:
        """W (R, n, n) of p (R, P), and its pullback: from dL/dW (R, n, n) to dL/dp (R, P).

        One function for both, so that what W is made of is computed once. Each row is the same bits
        whatever the others are, and a NaN in one touches no other.
        """
        ...

    def move(self, p: Any, change: Any, xp: Any) -> Any:
        """p after the optimizer's change (R, P), W in the set again; p may be overwritten."""
        ...

    def violation(self, W: Any, xp: Any) -> Any:
        """(R,): how far each matrix of the stack is from the set, 0 inside it."""
        ...


NAMES = (
    "free",
    "contractive",
    "unitary",
    "arjovsky",
    "eunn",
    "full_capacity",
    "matrix_exp",
    "cayley",
    "householder",
)


def make(
    name: str, complex_valued: bool = False, capacity: int | None = None, fft: bool = False
) -> Transition:
    """The set of this name; capacity and fft are for eunn, arjovsky is always complex.

    Raises:
        ValueError: no set has this name.
    """
    match name:
        case "free":
            return Free()
        case "contractive":
            return Contractive()
        case "unitary":
            return Unitary()
        case "arjovsky":
            return Arjovsky()
        case "eunn":
            return EUNN(complex_valued, capacity, fft)
        case "full_capacity":
            return FullCapacity(complex_valued)
        case "matrix_exp" | "cayley" | "householder":
            return TorchMap(name, complex_valued)
    raise ValueError(f"transition must be one of {', '.join(NAMES)}, but it is {name!r}")
