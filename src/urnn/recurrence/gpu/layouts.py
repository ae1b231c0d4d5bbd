"""How the trials of a replica are spread over the threads of a block, see layout.cuh.

A layout follows from the cell, the sizes and the batch, never from the number of replicas, so that
a replica's sums have the same order in every stack. Small networks have one lane or more for each
trial and a block for each replica; from `SPREAD_FROM` units on a block takes four trials, and
threads share the columns of W as well. Below that, no number of lanes or teams changes a bit.
"""

from __future__ import annotations

from dataclasses import dataclass

from urnn.errors import ArgumentError
from urnn.recurrence import Spec
from urnn.recurrence.cells.base import Cell

#: hidden units from which threads share the columns of W too, and blocks the trials of a batch
SPREAD_FROM = 16
#: threads of a block that small networks fill
_THREADS = 256
#: rows of gates of a lane; their weights and sums of gradients must fit into its registers
_ROWS_OF_LANE = 4
#: bytes of shared memory up to which more time steps are fetched at once, and what every GPU has
#: from compute capability 8.0 on
_STAGED_BYTES, _SHARED_BYTES = 48 << 10, 99 << 10
#: threads that a block may have
_MOST_THREADS = 1024


@dataclass(frozen=True)
class Layout:
    """The constants of layout.cuh that are not sizes of the network."""

    #: threads that share the units of a trial, and the columns of their rows
    lanes: int
    slices: int
    #: trials of a team of threads, and teams of a block
    trials: int
    teams: int
    #: time steps that are fetched at once
    chunk: int

    @property
    def threads(self) -> int:
        """Of a block."""
        return self.lanes * self.slices * self.teams

    @property
    def tile(self) -> int:
        """Trials of a block at once."""
        return self.teams * self.trials

    def parts(self, batch: int) -> int:
        """Blocks among which the trials of a batch are shared."""
        return 1 if self.slices == 1 else -(-batch // self.tile)


def sums(cell: Cell) -> int:
    """Sums of a unit: rows of all gates, and one more if the sides of the last are split."""
    return cell.gates * width(cell) + cell.split


def width(cell: Cell) -> int:
    """Hidden units of a unit: two of a complex one."""
    return 2 if cell.paired else 1


def layout(spec: Spec, batch: int, lanes: int | None = None) -> Layout:
    """The layout for a batch; with a number of lanes other than the usual, for tests.

    Raises:
        ArgumentError: so large a network needs more threads than a block may have, or its time
            steps do not fit into shared memory.
    """
    units = spec.hidden_units // width(spec.cell)
    if spec.hidden_units >= SPREAD_FROM:
        slices, trials, teams, at_once = 8, 4, 1, 1
        # two units of a thread, and whole warps
        lanes = lanes or -(-units // 8) * 4
    else:
        slices, trials = 1, 1
        if lanes is None:
            lanes = 1
            while -(-units // lanes) * sums(spec.cell) > max(_ROWS_OF_LANE // 2, sums(spec.cell)):
                lanes *= 2
        at_once = 32 // lanes  # teams of a warp
        most = max(_THREADS // lanes, at_once)
        tiles = -(-batch // most)
        teams = -(-batch // tiles)
        teams = -(-teams // at_once) * at_once
    if lanes * slices * teams > _MOST_THREADS:
        raise ArgumentError(
            f"{spec.hidden_units} hidden units need {lanes * slices * teams} threads of a block, "
            f"of which a GPU has {_MOST_THREADS}; use fewer, or the device cpu"
        )
    while True:
        for chunk in (16, 8, 4, 2, 1):
            found = Layout(lanes, slices, trials, teams, chunk)
            room = 4 * shared_reals(spec, found)
            if room <= _STAGED_BYTES or (chunk == 1 and room <= _SHARED_BYTES):
                return found
        if teams == at_once:
            break
        teams = -(-(teams // 2) // at_once) * at_once  # fewer trials at once need less room
    raise ArgumentError(
        f"{spec.hidden_units} hidden units with {spec.input_size} inputs and {spec.output_size} "
        f"outputs need {room >> 10} KiB of a GPU's shared memory, of which there are "
        f"{_SHARED_BYTES >> 10}; use fewer, or the device cpu"
    )


def _padded(count: int) -> int:
    return -(-count // 4) * 4


def state_row(spec: Spec, layout: Layout) -> int:
    """Reals of the states of a team at one time step, with what is kept for the way back."""
    units = spec.hidden_units // width(spec.cell)
    values = _padded(spec.hidden_units) + spec.cell.kept * _padded(units)
    return values * layout.trials


def delta_row(spec: Spec, layout: Layout) -> int:
    """Reals of the gradients of all sums of a team at one time step."""
    units = spec.hidden_units // width(spec.cell)
    return _padded(units * sums(spec.cell)) * layout.trials


def shared_reals(spec: Spec, layout: Layout) -> int:
    """Reals of a block's shared memory; layout.cuh asserts the same number."""
    trials, teams = layout.trials, layout.teams
    outputs = _padded(spec.output_size) * trials
    at_last = spec.loss == "cross_entropy"
    exchange = max(delta_row(spec, layout), _padded(spec.hidden_units) * trials)
    staged = layout.chunk * (
        _padded(spec.input_size) * trials + state_row(spec, layout) + (0 if at_last else outputs)
    )
    errors = outputs * (1 if at_last else layout.chunk)
    return max(teams * (2 * exchange + errors + 2 * staged) + _padded(2 * layout.tile), 512)
