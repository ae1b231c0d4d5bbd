"""The C++ of some kernels for one network, one layout, and what trains it."""

from __future__ import annotations

import math
from functools import cache
from importlib import resources

from urnn.recurrence import Spec, parameter_count, parameter_shapes
from urnn.recurrence.gpu.layouts import Layout, delta_row, shared_reals, state_row, width

#: kernels that move parameters, which need an optimizer and a set of transitions
MOVING = ("move", "train")


@cache
def text(name: str) -> str:
    """A file of this package."""
    return (resources.files(__package__) / name).read_text(encoding="utf-8")


def constants(spec: Spec, layout: Layout) -> dict[str, int]:
    """What layout.cuh expects to be defined."""
    cell = spec.cell
    offsets, start = {}, 0
    for name, shape in parameter_shapes(spec).items():
        offsets[f"OFFSET_{name.upper()}"] = start
        start += math.prod(shape)
    # a cell that lacks one of these reads none
    offsets = {"OFFSET_B_H": 0, "OFFSET_C_INIT": 0} | offsets
    return {
        "HIDDEN": spec.hidden_units,
        "INPUT": spec.input_size,
        "OUTPUT": spec.output_size,
        "AT_LAST": int(spec.loss == "cross_entropy"),
        "GATES": cell.gates,
        "WIDTH": width(cell),
        "SPLIT": int(cell.split),
        "KEPT": cell.kept,
        "CARRIED": int(cell.carried),
        "CELL_STATE": int(cell.has_cell_state),
        "PARAMETERS": parameter_count(spec),
        "LANES": layout.lanes,
        "SLICES": layout.slices,
        "TRIALS": layout.trials,
        "TEAMS": layout.teams,
        "CHUNK": layout.chunk,
        "STATE_ROW_REALS": state_row(spec, layout),
        "DELTA_ROW_REALS": delta_row(spec, layout),
        "SHARED_REALS": shared_reals(spec, layout),
        **offsets,
    }


def source(
    kernels: tuple[str, ...],
    spec: Spec,
    layout: Layout,
    device: str,
    double: bool = False,
    moves: tuple[str, str] = ("", ""),
) -> str:
    """The whole source of these kernels.

    ``device`` is the C++ of what differs between machines (device.cuh), and ``moves`` that of the
    optimizer (`change`) and of the set of transitions (`retract`), for the kernels `MOVING`.
    """
    names = constants(spec, layout) | {"DOUBLE": int(double), "OVERFLOWED": 2}
    names |= {f"KERNEL_{kernel}": 1 for kernel in kernels}
    lines = [f"#define {name} {value}" for name, value in names.items()]
    parts = [device, *lines, text("arithmetic.cuh"), text("layout.cuh"), spec.cell.cuda]
    parts += [text(f"{name}.cuh") for name in ("block", "forward", "backward")]
    if not set(kernels).isdisjoint(MOVING):
        parts += [text("matrices.cuh"), *moves, text("update.cuh")]
    return "\n".join([*parts, text("kernels.cu")])
