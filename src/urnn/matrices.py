"""Unitary matrices and their relatives: how they are drawn, written in reals and checked.

Light at import: functions over stacks take their array module ``xp`` (numpy or torch), the others
import numpy when they are called.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


def real_form(real: Any, imaginary: Any, xp: Any) -> Any:
    """W (R, 2m, 2n) of the complex stack U = real + i imaginary, both parts (R, m, n).

    Units 2k and 2k + 1 of W are the real and the imaginary part of unit k of U: an entry a + i b
    becomes [[a, -b], [b, a]], and W maps (Re z_0, Im z_0, Re z_1, ...) to U z in the same form.
    """
    R, m, n = real.shape
    first = xp.stack([real, -imaginary], -1).reshape(R, m, 2 * n)
    second = xp.stack([imaginary, real], -1).reshape(R, m, 2 * n)
    return xp.stack([first, second], 2).reshape(R, 2 * m, 2 * n)


def unitarity_error(W: Any, xp: Any = None) -> Any:
    """||W^H W - I||_2 = max_i |s_i^2 - 1| over the singular values s_i of W (..., n, n), (...).

    Also of matrices with more rows than columns. ``xp`` is numpy unless it is given.
    """
    if xp is None:
        import numpy as xp
    S = xp.linalg.svd(W)[1]
    return xp.maximum(S[..., 0] ** 2 - 1, 1 - S[..., -1] ** 2)  # S is sorted


def haar_unitary(random: np.random.Generator, size: int) -> NDArray:
    """A complex unitary matrix, uniform over all of them (Haar); (size, size) complex128."""
    import numpy as np

    normal = random.standard_normal((2, size, size))
    Q, R = np.linalg.qr(normal[0] + 1j * normal[1])
    return Q * (np.diag(R) / np.abs(np.diag(R)))


def orthonormal_columns(random: np.random.Generator, rows: int, columns: int) -> NDArray:
    """A real matrix with orthonormal columns, uniform over all of them (Haar); float64."""
    import numpy as np

    Q, R = np.linalg.qr(random.standard_normal((rows, columns)))
    return Q * np.sign(np.diag(R))  # without the signs it would not be uniform


def slowly_varying_transition(
    random: np.random.Generator, hidden_units: int, epsilon: float, *, divide_by_norm: bool = True
) -> NDArray:
    """W_g = I - epsilon A^T A / ||A||_2^2 with A standard normal: the true systems of the paper.

    (n, n) float64, symmetric, eigenvalues in [1 - epsilon, 1): time constants of about 1 / epsilon
    steps and more. Without the division, W_g = I - epsilon A^T A, they reach down to
    1 - epsilon ||A||_2^2, where ||A||_2^2 is about 10 for n = 4: time constants are shorter.
    Source: the paper, section 5.1; without the division, the authors' released script.
    """
    import numpy as np

    A = random.standard_normal((hidden_units, hidden_units))
    scale = np.linalg.norm(A, 2) ** 2 if divide_by_norm else 1.0
    return np.eye(hidden_units) - epsilon * (A.T @ A) / scale
