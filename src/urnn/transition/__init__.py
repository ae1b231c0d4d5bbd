"""What the transition W may be: one file for each set, all with the methods of `base.Transition`.

docs/transitions.md compares the sets and shows how to add the next one.
"""

from urnn.plugs import Point
from urnn.transition.base import Transition

POINT = Point(
    "urnn.transition",
    Transition,
    "transition",
    (
        "free",
        "contractive",
        "unitary",
        "arjovsky",
        "eunn",
        "full_capacity",
        "matrix_exp",
        "cayley",
        "householder",
    ),
    default=True,
)
