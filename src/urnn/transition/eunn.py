"""The efficient unitary network (EUNN) of Jing et al.: layers of 2 x 2 rotations."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field, model_validator

from urnn.settings.base import Count
from urnn.transition.base import RealOrComplex
from urnn.transition.parametrised import Parametrised

if TYPE_CHECKING:
    from numpy.random import Generator
    from numpy.typing import NDArray
    from torch import Tensor


class EUNN(RealOrComplex, Parametrised):
    r"""U = D F_1 F_2 ... F_L, m x m; complex for n = 2m hidden units, real (D = I) for n = m.

    A layer rotates disjoint pairs (i, j) of units by

        [[exp(i phi) cos(theta), -sin(theta)], [exp(i phi) sin(theta), cos(theta)]], real: phi = 0.

    Tunable style: odd layers pair (1, 2), (3, 4), ..., even ones (2, 3), (4, 5), ...; L is the
    capacity, at most m, where all of U(m), or of SO(m), is reached (Clements et al. 2016). FFT
    style: log2(m) layers, layer l pairs units whose numbers differ in binary digit l.
    D = diag(exp(i omega)). p = (theta of all layers, phi of all layers, omega).

    The authors write the transpose of this rotation. Beside D, in a product of this order, the
    phases of F_1 would then be the same as D's, and U(m) would not be reached (for m = 4: 13 of 16
    dimensions). They also take even m and capacities; any m and capacity is meant here.

    Source: Jing et al. 2017 (arXiv:1612.05231), equations 3 to 9.
    """

    transition: Literal["eunn"] = Field("eunn", description="layers of rotations (Jing et al.)")
    capacity: Count | None = Field(
        None, description="layers of rotations of eunn; null: as many as reach every rotation"
    )
    fft: bool = Field(False, description="eunn in FFT style, with log2 of its size layers")

    complex_by_default: ClassVar[bool] = True

    @model_validator(mode="after")
    def _options_fit(self) -> EUNN:
        if self.fft and self.capacity is not None:
            raise ValueError(
                "the FFT style has a capacity of its own: give capacity or fft, not both"
            )
        return self

    def size_problem(self, hidden_units: int) -> str | None:
        """Besides an odd number: no power of two in FFT style, more layers than are of use."""
        size = self.order(hidden_units)
        units = "complex units" if self.is_complex else "units"
        problem = super().size_problem(hidden_units)
        if problem is None and self.fft and size & (size - 1):
            return f"the FFT style of eunn needs a power of two of {units}, but it has {size}"
        if problem is None and self.capacity is not None and self.capacity > size:
            return (
                f"a capacity of {self.capacity} is more than the {size} {units} of eunn, and "
                "reaches no more: at most that many, or null"
            )
        return problem

    def layers(self, size: int) -> list[NDArray]:
        """The pairs (2, K) of each layer of an m x m matrix, F_1 first."""
        import numpy as np

        units = np.arange(size)
        if self.fft:
            digits = range(size.bit_length() - 1)
            upper = [units[units >> digit & 1 == 0] for digit in digits]
            return [np.stack([i, i + (1 << digit)]) for digit, i in zip(digits, upper, strict=True)]
        starts = [np.arange(layer % 2, size - 1, 2) for layer in range(self.capacity or size)]
        return [np.stack([i, i + 1]) for i in starts]

    def degrees_of_freedom(self, hidden_units: int) -> int:
        """All of p. Tunable, L and m even: L (m - 1) + m, or L (m - 1) / 2 real; FFT style:
        m log2(m) + m, or half of m log2(m) real."""
        m = self.order(hidden_units)
        rotations = sum(pairs.shape[1] for pairs in self.layers(m))
        return 2 * rotations + m if self.is_complex else rotations

    def initialise(self, random: Generator, hidden_units: int, start: str) -> NDArray:
        """All angles uniform in (-pi, pi), or 0 for the identity; (P,) float64."""
        import numpy as np

        size = self.degrees_of_freedom(hidden_units)
        if start == "identity":
            return np.zeros(size)
        return random.uniform(-np.pi, np.pi, size)

    def product(self, p: Tensor, hidden_units: int) -> tuple[Tensor, Tensor | None]:
        """U (R, m, m), from the right: F_L first; in real arithmetic, by elements.

        torch's complex products are not the same bits in every stack.
        """
        import numpy as np
        import torch

        m = self.order(hidden_units)
        layers = self.layers(m)
        rotations = sum(pairs.shape[1] for pairs in layers)
        cosine, sine = p[:, None, :, None].cos(), p[:, None, :, None].sin()
        one = torch.eye(m, dtype=p.dtype, device=p.device).expand(len(p), 1, m, m)
        # real and imaginary part along axis 1, columns last
        U = torch.cat([one, torch.zeros_like(one)], 1) if self.is_complex else one

        def turn(rows: Tensor, first: int, last: int) -> Tensor:
            """The rows of U times exp(i angle), with the angles of p[:, first:last]."""
            c, s = cosine[:, 0, first:last], sine[:, 0, first:last]
            real, imaginary = rows.unbind(1)
            return torch.stack([c * real - s * imaginary, s * real + c * imaginary], 1)

        stop = rotations
        for pairs in reversed(layers):
            start = stop - pairs.shape[1]
            c, s = cosine[:, :, start:stop], sine[:, :, start:stop]
            upper, lower = U[:, :, pairs[0]], U[:, :, pairs[1]]
            if self.is_complex:
                upper = turn(upper, rotations + start, rotations + stop)
            rest = np.setdiff1d(np.arange(m), pairs)
            rows = torch.cat([c * upper - s * lower, s * upper + c * lower, U[:, :, rest]], 2)
            U = rows[:, :, np.argsort(np.concatenate([*pairs, rest]))]
            stop = start
        if not self.is_complex:
            return U[:, 0], None
        U = turn(U, 2 * rotations, p.shape[1])
        return U[:, 0], U[:, 1]


PLUG = EUNN
