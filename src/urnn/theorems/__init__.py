"""The theorems of the paper in numbers and figures: one folder for each.

A theorem's ``settings`` say what is computed, its ``numbers`` compute it, and its ``plot`` draws
the figure. The statements and their proofs are in docs/theorems.md, the programs in
`urnn.equivalence`.
"""

from urnn.plugs import Point
from urnn.theorems.base import TheoremSettings

POINT = Point("urnn.theorems", TheoremSettings, "theorem", ("theorem1", "theorem2", "theorem3"))
