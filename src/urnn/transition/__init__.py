"""What the transition W may be: one file per set, all with the same small protocol.

A set is a class with ``project`` (keep W there after every optimizer step) and ``violation`` (how
far W is from it). Stacks of matrices (R, n, n) go in and come out; ``xp`` is the array module,
numpy or torch, so that the same lines run on every device. The next set is one more file here and
one more row in the table below.
"""

from __future__ import annotations

from typing import Any, Protocol

from urnn.transition.contractive import Contractive
from urnn.transition.free import Free
from urnn.transition.unitary import Unitary


class Transition(Protocol):
    """A set of n x n matrices."""

    #: states that a network of this set needs for each state of an unconstrained one (theorem 1):
    #: the factor between hidden units and adjusted hidden units in the figures
    state_factor: int

    def project(self, W: Any, xp: Any) -> Any:
        """The stack W (R, n, n), each matrix replaced by the nearest one of the set."""
        ...

    def violation(self, W: Any, xp: Any) -> Any:
        """(R,): how far each matrix of the stack is from the set, 0 inside it."""
        ...


TRANSITIONS: dict[str, Transition] = {
    "free": Free(),
    "contractive": Contractive(),
    "unitary": Unitary(),
}
