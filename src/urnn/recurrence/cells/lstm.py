"""Long short-term memory."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from urnn.recurrence.cells.base import Cell

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from urnn.recurrence.emitter import Emitter, Offset


class LSTM(Cell):
    """i, f, g, o = s, s, tanh, s of the parts of W h_{t-1} + F x_t + b;
    c_t = f c_{t-1} + i g, h_t = o tanh(c_t).

    s is the sigmoid, or hard_sigmoid(z) = min(max(0.2 z + 0.5, 0), 1), which was the default of
    Keras until version 2.3 (2019). Rows are in the order of torch.nn.LSTM, whose weights are
    W = weight_hh_l0, F = weight_ih_l0 and b = bias_ih_l0 + bias_hh_l0.

    Source: Hochreiter and Schmidhuber (1997, doi:10.1162/neco.1997.9.8.1735), with the forget gate
    of Gers et al. (2000).
    """

    cell: Literal["lstm"] = Field("lstm", description="long short-term memory")
    gate_activation: Literal["sigmoid", "hard_sigmoid"] = Field(
        "sigmoid",
        description="of an LSTM's input, forget and output gate; hard_sigmoid is clip(0.2 z + 0.5, "
        "0, 1), the default of Keras until 2019",
    )

    gates: ClassVar[int] = 4
    gate_names: ClassVar[tuple[str, ...]] = ("input", "forget", "cell", "output")
    initial_states: ClassVar[tuple[str, ...]] = ("h_init", "c_init")
    accumulators: ClassVar[int] = 4
    #: i, f, g, o and c
    kept: ClassVar[int] = 5
    carried: ClassVar[bool] = True

    @property
    def tag(self) -> str:
        """The cell, and its gates if they are not the usual ones."""
        return self.cell if not self.hard else f"{self.cell}-{self.gate_activation}"

    @property
    def hard(self) -> bool:
        """Whether the gates are piecewise linear."""
        return self.gate_activation == "hard_sigmoid"

    def initialise(self, values: dict[str, NDArray], hidden_units: int, forget_bias: float) -> None:
        """The bias of the forget gate."""
        values["b"][hidden_units : 2 * hidden_units] = forget_bias

    def torch_layer(self, input_size: int, hidden_units: int) -> Any | None:
        """torch.nn.LSTM, whose gates are sigmoids."""
        if self.hard:
            return None
        import torch

        return torch.nn.LSTM(input_size, hidden_units, batch_first=True)

    def step(
        self, parameters: Mapping[str, Tensor], drive: Tensor, states: tuple[Tensor, ...]
    ) -> tuple[Tensor, ...]:
        """The equations above."""
        h, c = states
        i, f, g, o = (drive + h @ parameters["W"].mT).chunk(4, dim=-1)
        i, f, o = ((0.2 * z + 0.5).clamp(0, 1) if self.hard else z.sigmoid() for z in (i, f, o))
        c = f * c + i * g.tanh()
        return o * c.tanh(), c

    def emit_forward(self, e: Emitter) -> None:
        """c = f c + i g, H[after] = o tanh(c); A keeps i, f, g, o and c."""

        def part(first: Offset, units: int, vectors: range) -> None:
            row = e.times(first, 4)
            sums = e.accumulators(4 * units, lambda i, v: e.weight(e.b, e.plus(row, i)), vectors)
            e.add_product(sums, row, e.F, e.INPUT, e.X, e.x, vectors)
            e.add_product(sums, row, e.W, e.HIDDEN, e.H, e.before, vectors)
            for unit in range(units):
                gates = sums[4 * unit : 4 * unit + 4]
                _unit_forward(e, self.hard, e.plus(first, unit), gates, vectors)

        e.each_part(self.accumulators, part)

    def emit_backward(self, e: Emitter) -> None:
        """D[now]: gradients of the gates' sums; carried: that of the cell state."""
        e.each_gradient(lambda unit, v, gradient: _unit_backward(e, self.hard, unit, v, gradient))

    @property
    def cuda(self) -> str:
        """The equations; values are h, i, f, g, o and c, see `_unit_backward`."""
        return (_CUDA_HARD if self.hard else _CUDA_SIGMOID) + _CUDA


def _hard_sigmoid(e: Emitter, z: Any) -> Any:
    """min(max(0.2 z + 0.5, 0), 1); NaN stays NaN."""
    zero, one = e.constant(0), e.constant(1)
    gate = e.fma(e.constant(0.2), z, e.constant(0.5))
    gate = e.where("<", gate, zero, zero, gate)
    return e.where(">", gate, one, one, gate)


def _through_gate(e: Emitter, hard: bool, gate: Any, gradient: Any, product: Any) -> Any:
    """The gradient of a gate's sum from that of the gate; product = gradient * gate."""
    one = e.constant(1)
    if not hard:
        return e.builder.fmul(product, e.builder.fsub(one, gate))
    zero = e.constant(0)
    slope = e.where(">", gate, zero, e.constant(0.2), zero)
    slope = e.where("<", gate, one, slope, zero)
    return e.builder.fmul(gradient, slope)


def _unit_forward(
    e: Emitter, hard: bool, unit: Offset, sums: list[list[Any]], vectors: range
) -> None:
    """The states of a unit from the sums of its gates."""
    b = e.builder
    cells, opens = [], []
    for k, v in enumerate(vectors):
        i, f, g, o = (e.get(sums[gate][k]) for gate in range(4))
        i, f, o = (_hard_sigmoid(e, z) if hard else e.sigmoid(z) for z in (i, f, o))
        g = e.tanh(g)
        previous = e.load(e.A, e.kept_before, e.value(unit, 5, 4, v))
        cell = e.fma(f, previous, b.fmul(i, g))
        for slot, value in enumerate((i, f, g, o, cell)):
            e.store(value, e.A, e.kept_after, e.value(unit, 5, slot, v))
        cells.append(cell)
        opens.append(o)
    for k, v in enumerate(vectors):  # apart, so that the divisions of all vectors overlap
        state = b.fmul(opens[k], e.tanh(cells[k]))
        e.store(state, e.H, e.after, e.at(unit, 0, v))


def _unit_backward(e: Emitter, hard: bool, unit: Offset, v: int, gradient: Any) -> None:
    """From the gradient of a unit's h to those of its gates (D[now]) and its cell state."""
    b, one, place = e.builder, e.constant(1), e.at(unit, 0, v)
    i, f, g, o = (e.load(e.A, e.kept_after, e.value(unit, 5, slot, v)) for slot in range(4))
    previous = e.load(e.A, e.kept_before, e.value(unit, 5, 4, v))
    h = e.load(e.H, e.h, place)
    for slot in range(5):
        e.prefetch_states(e.A, e.kept_after, e.value(unit, 5, slot, v), v, 5, slot)
    e.prefetch_states(e.H, e.h, place, v, 1)
    floor = e.constant(1e-30)
    tanh_cell = b.fdiv(
        h, e.where("<", o, floor, floor, o)
    )  # tanh(c) = h / o, of no use where o = 0
    d_output = _through_gate(e, hard, o, b.fmul(gradient, tanh_cell), b.fmul(gradient, h))
    carried = e.load(e.carried, place)
    d_cell = e.fma(gradient, e.fma(b.fneg(h), tanh_cell, o), carried)
    into = b.fmul(d_cell, i)
    d_input = _through_gate(e, hard, i, b.fmul(d_cell, g), b.fmul(into, g))
    d_candidate = b.fmul(into, e.fma(b.fneg(g), g, one))
    kept = b.fmul(d_cell, f)
    d_forget = _through_gate(e, hard, f, b.fmul(d_cell, previous), b.fmul(kept, previous))
    e.store(kept, e.carried, place)
    for gate, value in enumerate((d_input, d_forget, d_candidate, d_output)):
        e.store(value, e.D, e.now, e.value(unit, 4, gate, v))


_CUDA_SIGMOID = """\
__device__ inline real gate(real z) { return logistic(z); }
__device__ inline real through_gate(real gate, real gradient, real product) {
  return product * (1 - gate);
}
"""
_CUDA_HARD = """\
__device__ inline real gate(real z) {
  z = fused(real(0.2), z, real(0.5));
  z = z < 0 ? real(0) : z;
  return z > 1 ? real(1) : z;
}
__device__ inline real through_gate(real gate, real gradient, real product) {
  return gradient * (gate > 0 && gate < 1 ? real(0.2) : real(0));
}
"""
_CUDA = """\
__device__ inline void unit_forward(const real* sum, real bias, const real* before, real* after) {
  const real i = gate(sum[0]), f = gate(sum[1]), g = tangent(sum[2]), o = gate(sum[3]);
  const real c = fused(f, before[5], i * g);
  after[0] = o * tangent(c);
  after[1] = i, after[2] = f, after[3] = g, after[4] = o, after[5] = c;
}
__device__ inline void unit_backward(const real* dh, const real* before, const real* after,
                                     real& carried, real* d, real* of_bias) {
  const real h = after[0], i = after[1], f = after[2], g = after[3], o = after[4];
  const real tanh_c = h / (o < real(1e-30) ? real(1e-30) : o);  // of no use where o = 0
  const real dc = fused(dh[0], fused(-h, tanh_c, o), carried);
  const real into = dc * i;
  carried = dc * f;
  d[0] = through_gate(i, dc * g, into * g);
  d[1] = through_gate(f, dc * before[5], carried * before[5]);
  d[2] = into * fused(-g, g, real(1));
  d[3] = through_gate(o, dh[0] * tanh_c, dh[0] * h);
  for (int k = 0; k < 4; ++k) of_bias[k] = d[k];
}
"""

PLUG = LSTM
