"""The activations phi of the plain recurrence: the one table of their names and their formulas.

    relu      max(z, 0)
    tanh      tanh(z)
    sigmoid   1 / (1 + exp(-z))
    identity  z
    modrelu   max(|z| + b, 0) z / |z| of pairs of units, the real and imaginary part of a complex
              one, with a bias b for each pair (Arjovsky, Shah, Bengio 2016, equation 8)

Each one is written for the compiled kernels of the CPU and of a GPU, with its derivative, and for
torch. Light: what is heavy is imported by the functions that need it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from torch import Tensor

    from urnn.recurrence.emitter import Emitter

Name = Literal["relu", "tanh", "sigmoid", "identity", "modrelu"]


@dataclass(frozen=True)
class Activation:
    """phi in all its forms; z and h are one vector of the kernel, or two of a pair of units."""

    #: (e, z, bias) -> h, then for a pair |z|, which its gradient needs; NaN stays NaN
    emit: Callable[[Emitter, Sequence[Any], Any], Sequence[Any]]
    #: (e, gradient of h, h as `emit` returns it) -> gradient of z, then for a pair that of its bias
    emit_gradient: Callable[[Emitter, Sequence[Any], Sequence[Any]], Sequence[Any]]
    #: (z, b) -> h of torch tensors; b was added to z already, unless it acts on pairs
    torch: Callable[[Tensor, Tensor], Tensor]
    #: both for a GPU: C++ of `activate` and `through`, see `_CUDA`
    cuda: str
    #: whether it acts on pairs of units, with a bias for each pair
    pairs: bool = False


#: |z| that modrelu takes for 0; arithmetic.cuh has it too
LEAST_MODULUS = 1e-30
#: z, h and their gradients are one value, or two of a pair of units; then h[2] is |z|, and d[2] the
#: gradient of the bias; NaN stays NaN
_CUDA = """\
__device__ inline void activate(const real* z, real bias, real* h) {
%s
}
__device__ inline void through(const real* gradient, const real* h, real* d) {
%s
}
"""


def _elementwise(
    emit: Callable[[Emitter, Any], Any],
    through: Callable[[Emitter, Any, Any], Any],
    torch: Callable[[Tensor], Tensor],
    cuda: str,
    cuda_through: str,
) -> Activation:
    """From phi(z), the gradient of z from that of h and h, phi of a tensor, and both in C++."""
    return Activation(
        lambda e, z, bias: [emit(e, z[0])],
        lambda e, gradient, h: [through(e, gradient[0], h[0])],
        lambda z, b: torch(z),
        _CUDA % (f"  h[0] = {cuda};", f"  d[0] = {cuda_through};"),
    )


def _relu(e: Emitter, z: Any) -> Any:
    return e.where("<", z, e.constant(0), e.constant(0), z)


def _through_relu(e: Emitter, gradient: Any, h: Any) -> Any:
    return e.where(">", h, e.constant(0), gradient, e.constant(0))


def _through_tanh(e: Emitter, gradient: Any, h: Any) -> Any:
    return e.builder.fmul(gradient, e.fma(e.builder.fneg(h), h, e.constant(1)))


def _through_sigmoid(e: Emitter, gradient: Any, h: Any) -> Any:
    b = e.builder
    return b.fmul(gradient, b.fmul(h, b.fsub(e.constant(1), h)))


def _modrelu(e: Emitter, z: Sequence[Any], bias: Any) -> Sequence[Any]:
    b, zero = e.builder, e.constant(0)
    modulus = e.modulus(*z)
    open_by = b.fadd(modulus, bias)
    scale = b.fdiv(e.where("<", open_by, zero, zero, open_by), modulus)
    # a modulus of NaN is not small
    scale = e.where("<=", modulus, e.constant(LEAST_MODULUS), zero, scale)
    return [*(b.fmul(scale, part) for part in z), modulus]


def _through_modrelu(e: Emitter, gradient: Sequence[Any], h: Sequence[Any]) -> Sequence[Any]:
    """s g + (1 - s) u <u, g>, then <u, g>; 0 where h is 0; u = h / |h| and s = |h| / |z|."""
    b, zero = e.builder, e.constant(0)
    *parts_of_h, modulus = h
    size = e.modulus(*parts_of_h)
    scale = b.fdiv(size, modulus)
    u = [b.fdiv(part, size) for part in parts_of_h]
    of_bias = e.fma(u[0], gradient[0], b.fmul(u[1], gradient[1]))
    along = b.fmul(of_bias, b.fsub(e.constant(1), scale))
    parts = (e.fma(along, u_part, b.fmul(scale, g)) for u_part, g in zip(u, gradient, strict=True))
    # a size of NaN is not shut
    return [e.where("<", size, e.constant(1e-29), zero, part) for part in (*parts, of_bias)]


def modrelu(z: Tensor, bias: Tensor) -> Tensor:
    """max(|z_k| + bias_k, 0) z_k / |z_k| of pairs z (..., 2 n) and bias (..., n); 0 where z_k is 0.

    A |z_k| of at most 1e-30 counts as 0. Source: Arjovsky, Shah, Bengio 2016, equation 8.
    """
    import torch

    pairs = z.unflatten(-1, (-1, 2))
    # relative to the larger part, so that no square overflows or vanishes
    largest = pairs.detach().abs().amax(-1).clamp_min(LEAST_MODULUS)
    square = (pairs / largest.unsqueeze(-1)).square().sum(-1)
    zero = square.detach().sqrt() * largest <= LEAST_MODULUS
    modulus = largest * torch.where(zero, torch.ones_like(square), square).sqrt()
    scale = torch.where(zero, torch.zeros_like(square), torch.relu(modulus + bias) / modulus)
    return (scale.unsqueeze(-1) * pairs).flatten(-2)


_CUDA_MODRELU = """\
  const real size = modulus(z[0], z[1]), open = size + bias;
  const real scale = size <= real(1e-30) ? real(0) : (open < 0 ? real(0) : open) / size;
  h[0] = scale * z[0], h[1] = scale * z[1], h[2] = size;"""
_CUDA_THROUGH_MODRELU = """\
  const real size = modulus(h[0], h[1]), scale = size / h[2];
  const real u0 = h[0] / size, u1 = h[1] / size;
  const real of_bias = fused(u0, gradient[0], u1 * gradient[1]), along = of_bias * (1 - scale);
  const bool shut = size < real(1e-29);
  d[0] = shut ? real(0) : fused(along, u0, scale * gradient[0]);
  d[1] = shut ? real(0) : fused(along, u1, scale * gradient[1]);
  d[2] = shut ? real(0) : of_bias;"""

ACTIVATIONS: dict[Name, Activation] = {
    "relu": _elementwise(
        _relu,
        _through_relu,
        lambda z: z.relu(),
        "z[0] < 0 ? real(0) : z[0]",
        "h[0] > 0 ? gradient[0] : real(0)",
    ),
    "tanh": _elementwise(
        lambda e, z: e.tanh(z),
        _through_tanh,
        lambda z: z.tanh(),
        "tangent(z[0])",
        "gradient[0] * fused(-h[0], h[0], real(1))",
    ),
    "sigmoid": _elementwise(
        lambda e, z: e.sigmoid(z),
        _through_sigmoid,
        lambda z: z.sigmoid(),
        "logistic(z[0])",
        "gradient[0] * (h[0] * (1 - h[0]))",
    ),
    "identity": _elementwise(
        lambda e, z: z, lambda e, gradient, h: gradient, lambda z: z, "z[0]", "gradient[0]"
    ),
    "modrelu": Activation(
        _modrelu,
        _through_modrelu,
        modrelu,
        _CUDA % (_CUDA_MODRELU, _CUDA_THROUGH_MODRELU),
        pairs=True,
    ),
}
