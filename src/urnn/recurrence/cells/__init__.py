"""The cells: one file for each, all with the methods of `base.Cell`; the first is the default."""

from urnn.plugs import Point
from urnn.recurrence.cells.base import Cell

POINT = Point("urnn.recurrence.cells", Cell, "cell", ("rnn", "lstm", "gru"), default=True)
