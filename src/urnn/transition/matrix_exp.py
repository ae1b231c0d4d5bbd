"""Unitary matrices by torch's matrix exponential."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from urnn.transition.base import RealOrComplex
from urnn.transition.torch_maps import TorchMap


class MatrixExp(RealOrComplex, TorchMap):
    """U = B exp(A), A skew-Hermitian, see `TorchMap`."""

    transition: Literal["matrix_exp"] = Field(
        "matrix_exp", description="B exp(A), A skew-Hermitian (torch)"
    )

    complex_by_default: ClassVar[bool] = False


PLUG = MatrixExp
