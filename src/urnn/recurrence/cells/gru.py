"""The gated recurrent unit."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from urnn.recurrence.cells.base import Cell

if TYPE_CHECKING:
    from torch import Tensor

    from urnn.recurrence.emitter import Emitter, Offset


class GRU(Cell):
    """r, z = sigmoid of the first two parts of W h_{t-1} + b_h + F x_t + b;
    n = tanh(F_n x_t + b_n + r (W_n h_{t-1} + b_hn)), h_t = (1 - z) n + z h_{t-1}.

    Rows are in the order r, z, n of torch.nn.GRU, whose weights are W = weight_hh_l0,
    F = weight_ih_l0, b = bias_ih_l0 and b_h = bias_hh_l0.

    Source: Cho et al. (2014, arXiv:1406.1078), with the reset gate behind W_n as in torch.
    """

    cell: Literal["gru"] = Field("gru", description="gated recurrent unit")

    gates: ClassVar[int] = 3
    gate_names: ClassVar[tuple[str, ...]] = ("reset", "update", "new")
    split: ClassVar[bool] = True
    #: the sums of r and z, and both sides of n
    accumulators: ClassVar[int] = 4
    #: r, z, n and W_n h + b_hn
    kept: ClassVar[int] = 4
    carried: ClassVar[bool] = True

    def torch_layer(self, input_size: int, hidden_units: int) -> Any | None:
        """torch.nn.GRU."""
        import torch

        return torch.nn.GRU(input_size, hidden_units, batch_first=True)

    def step(
        self, parameters: Mapping[str, Tensor], drive: Tensor, states: tuple[Tensor, ...]
    ) -> tuple[Tensor, ...]:
        """The equations above."""
        (h,) = states
        of_r, of_z, of_n = drive.chunk(3, dim=-1)
        recurrent = h @ parameters["W"].mT + parameters["b_h"][:, None]
        also_of_r, also_of_z, inner = recurrent.chunk(3, dim=-1)
        r, z = (of_r + also_of_r).sigmoid(), (of_z + also_of_z).sigmoid()
        n = (of_n + r * inner).tanh()
        return ((1 - z) * n + z * h,)

    def emit_forward(self, e: Emitter) -> None:
        """H[after] = n + z (H[before] - n); A keeps r, z, n and W_n h + b_hn."""

        def part(first: Offset, units: int, vectors: range) -> None:
            row = e.times(first, 3)

            def start(i: int, v: int) -> Any:
                """Of the sums 0, 1: both biases; of 2 and 3: that of F's and of W's side of n."""
                unit, k = divmod(i, 4)
                at = e.plus(row, 3 * unit + min(k, 2))
                if k > 1:
                    return e.weight(e.b if k == 2 else e.b_h, at)
                return e.builder.fadd(e.weight(e.b, at), e.weight(e.b_h, at))

            sums = e.accumulators(4 * units, start, vectors)
            of_x = [places for i, places in enumerate(sums) if i % 4 != 3]
            of_h = [places for i, places in enumerate(sums) if i % 4 != 2]
            e.add_product(of_x, row, e.F, e.INPUT, e.X, e.x, vectors)
            e.add_product(of_h, row, e.W, e.HIDDEN, e.H, e.before, vectors)
            for unit in range(units):
                _unit_forward(e, e.plus(first, unit), sums[4 * unit : 4 * unit + 4], vectors)

        e.each_part(self.accumulators, part)

    def emit_backward(self, e: Emitter) -> None:
        """D[now] and DI[now]: gradients of both sides' sums; carried: z times that of h."""
        e.each_gradient(lambda unit, v, gradient: _unit_backward(e, unit, v, gradient))

    @property
    def cuda(self) -> str:
        """The equations; values are h, r, z, n and W_n h + b_hn, see `_unit_backward`."""
        return _CUDA


def _unit_forward(e: Emitter, unit: Offset, sums: list[list[Any]], vectors: range) -> None:
    """The state of a unit from the sums of r and z and of both sides of n."""
    for k, v in enumerate(vectors):
        of_r, of_z, outer, inner = (e.get(places[k]) for places in sums)
        r, z = e.sigmoid(of_r), e.sigmoid(of_z)
        n = e.tanh(e.fma(r, inner, outer))
        previous = e.load(e.H, e.before, e.at(unit, 0, v))
        e.store(e.fma(z, e.builder.fsub(previous, n), n), e.H, e.after, e.at(unit, 0, v))
        for slot, value in enumerate((r, z, n, inner)):
            e.store(value, e.A, e.kept_after, e.value(unit, 4, slot, v))


def _unit_backward(e: Emitter, unit: Offset, v: int, gradient: Any) -> None:
    """From the gradient of a unit's h to those of its sums and its part of that of the earlier h.

    With dh the whole gradient of h: dz = dh (h_{t-1} - n) z (1 - z), dn = dh (1 - z) (1 - n^2),
    dr = dn (W_n h + b_hn) r (1 - r), and r dn for W's side of n.
    """
    b, one, place = e.builder, e.constant(1), e.at(unit, 0, v)
    r, z, n, inner = (e.load(e.A, e.kept_after, e.value(unit, 4, slot, v)) for slot in range(4))
    previous = e.load(e.H, e.before, place)
    for slot in range(4):
        e.prefetch_states(e.A, e.kept_after, e.value(unit, 4, slot, v), v, 4, slot)
    e.prefetch_states(e.H, e.before, place, v, 1)
    gradient = b.fadd(gradient, e.load(e.carried, place))
    kept = b.fmul(gradient, z)
    shut = b.fsub(one, z)
    d_z = b.fmul(b.fmul(kept, shut), b.fsub(previous, n))
    d_n = b.fmul(b.fmul(gradient, shut), e.fma(b.fneg(n), n, one))
    through = b.fmul(d_n, r)
    d_r = b.fmul(b.fmul(through, inner), b.fsub(one, r))
    e.store(kept, e.carried, place)
    for gate, value in enumerate((d_r, d_z, through)):
        e.store(value, e.D, e.now, e.value(unit, 3, gate, v))
    for gate, value in enumerate((d_r, d_z, d_n)):
        e.store(value, e.DI, e.now, e.value(unit, 3, gate, v))


_CUDA = """\
__device__ inline void unit_forward(const real* sum, real bias, const real* before, real* after) {
  const real r = logistic(sum[0]), z = logistic(sum[1]);
  const real n = tangent(fused(r, sum[3], sum[2]));
  after[0] = fused(z, before[0] - n, n);
  after[1] = r, after[2] = z, after[3] = n, after[4] = sum[3];
}
__device__ inline void unit_backward(const real* dh, const real* before, const real* after,
                                     real& carried, real* d, real* of_bias) {
  const real r = after[1], z = after[2], n = after[3], inner = after[4];
  const real gradient = dh[0] + carried, shut = 1 - z;
  carried = gradient * z;
  d[1] = carried * shut * (before[0] - n);
  d[2] = gradient * shut * fused(-n, n, real(1));
  d[3] = d[2] * r;
  d[0] = d[3] * inner * (1 - r);
  for (int k = 0; k < 4; ++k) of_bias[k] = d[k];
}
"""

PLUG = GRU
