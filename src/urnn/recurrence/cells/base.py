"""What a cell is: its equations, its parameters, a readable step and the kernels of a step."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar

from urnn.settings.base import Settings

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from urnn.recurrence.emitter import Emitter


class Cell(Settings):
    """From the states before a time step and its input to the states after it.

    The step starts from the gates' sums W h_{t-1} + F x_t + b, with `gates` rows for each of n
    hidden units; a cell with ``split`` sums keeps the recurrent side W h_{t-1} + b_h apart from the
    side of the input, F x_t + b.

    There are three versions of the step, and tests compare them: `drive` and `step` in torch, the
    readable one; the emitters of the CPU's kernels, which the compiled drivers call in their loops
    over time (`urnn.recurrence.sweeps` has the arguments of an emitter); and `cuda`, of a GPU's.
    """

    #: the key that chooses a cell; a subclass narrows it to its own name
    cell: Any

    #: rows of W, F and b for each hidden unit, and their names in the order of the rows
    gates: ClassVar[int] = 1
    gate_names: ClassVar[tuple[str, ...]] = ()
    #: whether W is one square matrix, which may be kept in a set of transitions
    takes_transition: ClassVar[bool] = False
    #: whether the recurrent side has a bias of its own, b_h, and a gradient of its own
    split: ClassVar[bool] = False
    #: the state h, and the cell state c of a cell that has one
    initial_states: ClassVar[tuple[str, ...]] = ("h_init",)
    #: sums that the forward kernel holds in registers for each hidden unit
    accumulators: ClassVar[int] = 1
    #: whether a gradient goes from a step to the one before it on another way than W^T: that of
    #: the cell state, or else a part of that of h
    carried: ClassVar[bool] = False

    @property
    def tag(self) -> str:
        """The cell and its options as a part of a file's name."""
        return str(self.cell)

    @property
    def kept(self) -> int:
        """Values of each unit and time step that the backward kernel needs beside h.

        A cell state is the last of them.
        """
        return 0

    @property
    def has_cell_state(self) -> bool:
        """Whether there is a cell state beside h."""
        return len(self.initial_states) > 1

    @property
    def paired(self) -> bool:
        """Whether hidden units come in pairs, the real and the imaginary part of a complex one."""
        return self.dimensions["b"] == ("pair",)

    def size_problem(self, hidden_units: int) -> str | None:
        """Why there cannot be so many hidden units, or None."""
        return None

    @property
    def dimensions(self) -> dict[str, tuple[str, ...]]:
        """The parameters in the order of theta, with the names of their dimensions in files."""
        rows = ("gate", "hidden") if self.gates > 1 else ("hidden",)
        found = {"W": (*rows, "hidden_previous"), "F": (*rows, "input"), "b": rows}
        if self.split:
            found["b_h"] = rows
        found |= {"C": ("output", "hidden"), "d": ("output",)}
        return found | dict.fromkeys(self.initial_states, ("hidden",))

    @property
    def long_names(self) -> dict[str, str]:
        """What the parameters are, for files."""
        names = {
            "W": "transition",
            "F": "input matrix",
            "b": "bias of the recurrence",
            "b_h": "bias of the recurrent side",
            "C": "readout matrix",
            "d": "readout bias",
            "h_init": "initial state",
            "c_init": "initial cell state",
        }
        return {name: names[name] for name in self.dimensions}

    def parameter_shapes(
        self, hidden_units: int, input_size: int, output_size: int
    ) -> dict[str, tuple[int, ...]]:
        """Shapes by name, in the order of theta; gates are the slower part of the first axis."""
        sizes = {
            "hidden": hidden_units,
            "hidden_previous": hidden_units,
            "pair": hidden_units // 2,
            "input": input_size,
            "output": output_size,
        }
        shapes: dict[str, tuple[int, ...]] = {}
        for name, (first, *others) in self.dimensions.items():
            shape = [sizes[dim] for dim in others]
            if first == "gate":
                shape[0] *= self.gates
            else:
                shape.insert(0, sizes[first])
            shapes[name] = tuple(shape)
        return shapes

    def initialise(self, values: dict[str, NDArray], hidden_units: int, forget_bias: float) -> None:
        """Write what is special about this cell's parameters before training to ``values``."""

    # the readable step

    def drive(self, parameters: Mapping[str, Tensor], x: Tensor) -> Tensor:
        """The input's part of the sums, F x + b (R, B, time, rows), of all time steps at once."""
        return x @ parameters["F"].mT[:, None] + parameters["b"][:, None, None]

    def step(
        self, parameters: Mapping[str, Tensor], drive: Tensor, states: tuple[Tensor, ...]
    ) -> tuple[Tensor, ...]:
        """(h,) or (h, c) after a time step from those before it (R, B, n); drive (R, B, rows)."""
        raise NotImplementedError

    def torch_layer(self, input_size: int, hidden_units: int) -> Any | None:
        """torch.nn's layer with these equations, batch first; None where it has none.

        Its weights are weight_hh_l0 = W, weight_ih_l0 = F, bias_ih_l0 = b and bias_hh_l0 = b_h,
        which is 0 of a cell that has no b_h.
        """
        return None

    # the kernels

    def emit_forward(self, e: Emitter) -> None:
        """H[after], and A[kept_after], from X[x], H[before] and A[kept_before].

        Rows of W, F, b and b_h are unit-major: row unit * gates + gate. A (unit, kept) holds what
        the backward kernel needs; b_h is there if the cell is split.
        """
        raise NotImplementedError

    def emit_backward(self, e: Emitter) -> None:
        """D[now]: gradient of the sums, from that of the state, which `e.each_gradient` gives.

        H[h] is the state after the step, with A[kept_after], and H[before] the one before it. If
        the cell is split, D is that of the recurrent side, and DI[now] that of the input's. The
        gradient ``carried`` (unit) goes from a step to the one before it.
        """
        raise NotImplementedError

    def emit_bias_gradient(self, e: Emitter) -> None:
        """total += gradient of b over a chunk of steps, from D (the input's side), or A[kept]."""
        e.add_rows(e.total, e.D, 0, e.ROWS)

    @property
    def cuda(self) -> str:
        """C++ of the step of one unit and its derivative, for `urnn.recurrence.gpu`.

        A unit is a hidden unit, or a pair of them that is a complex one (``WIDTH`` is 1 or 2):

            unit_forward(sum, bias, before, after): the values after a step from the sums of the
                gates, biases included, and the values before it. Values are h, then the `kept`
                ones, of which a cell state is the last. If the cell is split, sum[gates - 1] is
                the input's side of the last gate and sum[gates] the recurrent one. The bias of a
                complex unit is given apart, and not added.
            unit_backward(dh, before, after, carried, d, of_bias): the gradients ``d`` of the
                sums and ``of_bias`` of what was added to them (or of the complex unit's bias), from
                the gradient dh of h and both values. ``carried`` goes from a step to the one
                before.

        In the primitives of arithmetic.cuh: real, fused (a b + c), tangent, logistic, modulus.
        """
        raise NotImplementedError
