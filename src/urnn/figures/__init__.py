"""The kinds of figure: a folder each, with its settings and its ``plot``; and the style of all."""

from urnn.figures.base import FigureSettings
from urnn.plugs import Point

POINT = Point(
    "urnn.figures",
    FigureSettings,
    "kind",
    ("r2", "gap", "statistics", "reproduction", "accuracy", "history", "simulation"),
    default=True,
)
