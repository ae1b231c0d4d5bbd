"""The plain recurrence."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import Field

from urnn.recurrence import activations
from urnn.recurrence.activations import ACTIVATIONS, Activation
from urnn.recurrence.cells.base import Cell

if TYPE_CHECKING:
    from torch import Tensor

    from urnn.recurrence.emitter import Emitter, Offset


class RNN(Cell):
    """h_t = phi(W h_{t-1} + F x_t + b).

    phi is elementwise, or modrelu: units 2k and 2k + 1 are the real and imaginary part of a complex
    state, and each pair of z = W h_{t-1} + F x_t becomes max(|z| + b_k, 0) z / |z|; b has a value
    for each pair and is not added to z (Arjovsky, Shah, Bengio 2016, equation 8).
    """

    cell: Literal["rnn"] = Field("rnn", description="h = phi(W h + F x + b)")
    activation: activations.Name = Field(
        "relu",
        description="phi of the recurrence rnn; modrelu acts on pairs of units, which are complex "
        "ones of a complex transition; other cells have their own",
    )

    takes_transition: ClassVar[bool] = True

    @property
    def phi(self) -> Activation:
        """The activation."""
        return ACTIVATIONS[self.activation]

    @property
    def kept(self) -> int:
        """|z| of a pair, which the gradient of modrelu needs."""
        return 1 if self.phi.pairs else 0

    @property
    def tag(self) -> str:
        """The cell and its activation."""
        return f"{self.cell}-{self.activation}"

    def size_problem(self, hidden_units: int) -> str | None:
        """An odd number of units that come in pairs."""
        if self.phi.pairs and hidden_units % 2:
            return (
                f"{self.activation} acts on pairs of hidden units, "
                f"but their number is {hidden_units}"
            )
        return None

    @property
    def dimensions(self) -> dict[str, tuple[str, ...]]:
        """With a bias for each pair, where the activation acts on pairs."""
        found = super().dimensions
        return found | {"b": ("pair",)} if self.phi.pairs else found

    def torch_layer(self, input_size: int, hidden_units: int) -> Any | None:
        """torch.nn.RNN, which has relu and tanh."""
        if self.activation not in ("relu", "tanh"):
            return None
        import torch

        return torch.nn.RNN(
            input_size, hidden_units, nonlinearity=self.activation, batch_first=True
        )

    def drive(self, parameters: Mapping[str, Tensor], x: Tensor) -> Tensor:
        """F x + b, or F x where b is not added to it."""
        if self.phi.pairs:
            return x @ parameters["F"].mT[:, None]
        return super().drive(parameters, x)

    def step(
        self, parameters: Mapping[str, Tensor], drive: Tensor, states: tuple[Tensor, ...]
    ) -> tuple[Tensor, ...]:
        """The equation above."""
        (h,) = states
        return (self.phi.torch(drive + h @ parameters["W"].mT, parameters["b"][:, None]),)

    def emit_forward(self, e: Emitter) -> None:
        """H[after] = phi(W H[before] + F X[x] + b); of a pair z, A[kept_after] keeps |z|."""
        phi = self.phi
        group = 2 if phi.pairs else 1

        def tile(first: Offset, rows: int) -> None:
            def start(i: int, v: int) -> Any:
                return e.constant(0) if phi.pairs else e.weight(e.b, e.plus(first, i))

            sums = e.accumulators(rows, start)
            e.add_product(sums, first, e.F, e.INPUT, e.X, e.x)
            e.add_product(sums, first, e.W, e.HIDDEN, e.H, e.before)
            for i in range(0, rows, group):
                bias = e.weight(e.b, e.plus(e.half(first), i // 2)) if phi.pairs else None
                for v in range(e.VECTORS):
                    z = [e.get(sums[i + part][v]) for part in range(group)]
                    values = phi.emit(e, z, bias)
                    for part in range(group):
                        e.store(values[part], e.H, e.after, e.at(first, i + part, v))
                    if phi.pairs:
                        e.store(values[group], e.A, e.kept_after, e.at(first, i, v))

        e.tiles(e.HIDDEN, e.TILE, tile)

    def emit_backward(self, e: Emitter) -> None:
        """D[now] = phi'(h) times the gradient of h; A[kept_after] takes that of a pair's bias."""
        phi = self.phi
        group = 2 if phi.pairs else 1

        def tile(first: Offset, rows: int) -> None:
            sums = e.state_gradient(first, rows)
            for i in range(0, rows, group):
                for v in range(e.VECTORS):
                    at = [e.at(first, i + part, v) for part in range(group)]
                    for place in at:
                        e.prefetch_states(e.H, e.h, place, v, 1)
                    gradient = [e.get(sums[i + part][v]) for part in range(group)]
                    h = [e.load(e.H, e.h, place) for place in at]
                    if phi.pairs:
                        e.prefetch_states(e.A, e.kept_after, at[0], v, 1)
                        h.append(e.load(e.A, e.kept_after, at[0]))
                    parts = phi.emit_gradient(e, gradient, h)
                    for place, part in zip(at, parts[:group], strict=True):
                        e.store(part, e.D, e.now, place)
                    if phi.pairs:
                        e.store(parts[group], e.A, e.kept_after, at[1])

        e.tiles(e.HIDDEN, e.TILE, tile)

    def emit_bias_gradient(self, e: Emitter) -> None:
        """The sum of what A has of each pair, which the rounding of D would hide; else of D."""
        if not self.phi.pairs:
            super().emit_bias_gradient(e)
            return
        with e.loop(e.HIDDEN // 2) as k:
            total = e.variable(e.load(e.total, e.times(k, e.LANES)))
            with e.loop(e.steps) as step:
                start = e.plus(e.times(step, e.HIDDEN * e.row), e.times(k, 2 * e.row))
                for v in range(e.VECTORS):
                    of_bias = e.load(e.A, e.kept, e.plus(start, e.row, v * e.LANES))
                    e.put(e.builder.fadd(e.get(total), of_bias), total)
            e.store(e.get(total), e.total, e.times(k, e.LANES))

    @property
    def cuda(self) -> str:
        """h = phi(z), and back."""
        return self.phi.cuda + _CUDA


_CUDA = """\
__device__ inline void unit_forward(const real* sum, real bias, const real* before, real* after) {
  activate(sum, bias, after);
}
__device__ inline void unit_backward(const real* dh, const real* before, const real* after,
                                     real& carried, real* d, real* of_bias) {
  constexpr int BIAS = WIDTH == 2 ? 2 : 0;
  real found[BIAS + 1];
  through(dh, after, found);
  for (int v = 0; v < WIDTH; ++v) d[v] = found[v];
  of_bias[0] = found[BIAS];
}
"""

PLUG = RNN
