"""Settings of a model: a cell, the set that its transition lives in, and a linear readout.

Both are extension points, `urnn.recurrence.cells` and `urnn.transition`; a model has their options.
"""

from __future__ import annotations

from typing import Any

from urnn.plugs import row
from urnn.recurrence import cells
from urnn.recurrence.cells.base import Cell
from urnn.settings.base import Settings
from urnn.transition import POINT as TRANSITIONS
from urnn.transition.base import Transition


class Model(Settings):
    """model = cell x transition x readout (linear, with a bias).

    Hidden units are real states everywhere: a complex model with n of them has n / 2 complex units,
    so that n counts the same state in every model. A cell whose W is not one square matrix takes no
    transition, and its W is free.
    """

    @property
    def cell_plug(self) -> Cell:
        """The cell with its options."""
        return cells.POINT.part(self)

    @property
    def transition_plug(self) -> Transition:
        """The set that W is kept in, with its options."""
        if self.cell_plug.takes_transition:
            return TRANSITIONS.part(self)
        return TRANSITIONS.make(TRANSITIONS.names[0])

    def size_problem(self, hidden_units: int) -> str | None:
        """Why this model cannot have so many hidden units, or None."""
        problem = self.transition_plug.size_problem(hidden_units)
        return problem or self.cell_plug.size_problem(hidden_units)

    def definition(self) -> dict[str, Any]:
        """What defines the model: its cell, its transition and their options."""
        options = self.cell_plug.model_dump()
        if self.cell_plug.takes_transition:
            options |= self.transition_plug.model_dump()
        return options


def model_type(*bases: type[Settings]) -> Any:
    """The type of a model's settings, with the keys of further classes."""
    members = []
    for name in cells.POINT:
        cell = cells.POINT.plug(name)
        if cell.takes_transition:
            rows = [row(TRANSITIONS.plug(each), *bases, Model, cell) for each in TRANSITIONS]
            members.append(TRANSITIONS.chosen(rows))
        else:
            members.append(row(cell, *bases, Model))
    return cells.POINT.chosen(members)


#: settings of a model; its keys ``cell`` and ``transition`` say which others there are
AnyModel = model_type()


def code_of(model: Model) -> list[str]:
    """The modules of the plugs that a model is made of, for `urnn.closure`."""
    return [
        cells.POINT.module(model.cell_plug.cell),
        TRANSITIONS.module(model.transition_plug.transition),
    ]
