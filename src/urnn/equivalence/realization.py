"""Theorem 2, bound (C'): a minimal realization and its eigenvalues, and when they bound N.

    (C)  N >= n_min + mu,   mu = max over |lambda| != 1 of dim ker(W_min - lambda I)

for the minimal realization (W_min, F_min, C_min), of order n_min, of (D W D, D F, C D). It is a
bound on real URNNs for a pattern D of one of three kinds: D belongs to inputs that grow
(`growing_input_bound`), or to a steady state, where either mu or 1 may be added
(`steady_realization_bound`). Ranks and multiplicities are exact.

Source: docs/theorems.md, Bound (C') (PROVED, beyond the paper).
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import ArrayLike

from urnn.equivalence.checks import count, number, real_relu_network, vector
from urnn.equivalence.exact import Exact, is_reachable_modulo
from urnn.equivalence.minimality import LowerBound
from urnn.equivalence.multiplicity import largest_multiplicity
from urnn.equivalence.state_bounds import lengths
from urnn.equivalence.steady_state import krylov_basis, pattern_at_rest, steady_state
from urnn.errors import ArgumentError
from urnn.rnn import RNN


@dataclass(frozen=True)
class RealizationBound(LowerBound):
    """(C') with its two parts: states = minimal_states + multiplicity."""

    minimal_states: int
    multiplicity: int


def _reachable(W: Exact, F: Exact, C: Exact) -> tuple[Exact, Exact, Exact]:
    """The restriction to the span of F, W F, W^2 F, ..."""
    if is_reachable_modulo(W, F):
        return W, F, C
    basis = krylov_basis(W, F)
    if basis.shape[1] == len(W.numerators):
        return W, F, C
    if basis.shape[1] == 0:
        return W[:0, :0], F[:0], C[:, :0]
    rows = basis.T.independent_columns()
    square = basis[rows, :]
    restricted, entering = (square.solve((matrix)[rows, :]) for matrix in (W @ basis, F))
    assert restricted is not None and entering is not None  # the rows are independent
    return restricted, entering, C @ basis


def minimal_realization(W: Exact, F: Exact, C: Exact) -> tuple[Exact, Exact, Exact]:
    """(W, F, C) with the fewest states and the same Markov parameters C W^j F; possibly 0 states.

    The reachable part, and of that the observable one.
    """
    W, F, C = _reachable(W, F, C)
    transposed = _reachable(W.T, C.T, F.T)
    return transposed[0].T, transposed[2].T, transposed[1].T


def _minimal_transition(rnn: RNN, on: object) -> Exact:
    """W_min of (D W D, D F, C D), D = the units ``on``."""
    W, F, C = Exact.of(rnn.W), Exact.of(rnn.F), Exact.of(rnn.C)
    return minimal_realization(W[on, :][:, on], F[on, :], C[:, on])[0]


def realization_bound(rnn: RNN, pattern: ArrayLike | None = None) -> RealizationBound:
    """(C): N >= n_min + mu for one pattern, a diagonal D of zeros and ones (default: all ones).

    Raises:
        ArgumentError: the network is not a real ReLU network, or a pattern of another size.

    Status: conditional, a bound on real URNNs if one of the conditions of Theorem C' holds for D
    (docs/theorems.md, Bound (C')): (a) D is the pattern of inputs that grow, if all inputs are
    allowed, which `growing_input_bound` proves; (b) D is the pattern of a steady state of the
    network, and the state of the URNN converges under the same constant input,
    `steady_realization_bound`, which proves n_min + 1 without a condition. Attained while no unit
    switches (`linear_unitary`). That n_min + mu holds for all bounded inputs and mu >= 2 is open.
    """
    rnn = real_relu_network(rnn, "minimal realizations")
    on = np.ones(rnn.hidden_units, dtype=bool)
    if pattern is not None:
        given = vector(np.asarray(pattern, dtype=float), "pattern", rnn.hidden_units)
        if not np.isin(given, (0, 1)).all():
            raise ArgumentError(
                "pattern must hold zeros and ones, or booleans, and no other number"
            )
        on = given == 1
    W = _minimal_transition(rnn, on)
    size, multiplicity = len(W.numerators), largest_multiplicity(W)
    condition = (
        "the pattern is that of growing inputs, or of a steady state under an input that makes the "
        "state of the URNN converge too"
    )
    return RealizationBound(size + multiplicity, condition, "conditional", size, multiplicity)


def growing_input_bound(
    rnn: RNN, direction: ArrayLike, growth: float | None = None
) -> RealizationBound:
    """(C'), (a): N >= n_min + mu on all of R^m, for the pattern D of the inputs zeta^k eta.

    h(k) / zeta^k tends to the solution of g = relu(W g / zeta + F eta), and D is its pattern.

    Args:
        rnn: a real ReLU network, contractive or not.
        direction: eta (m,).
        growth: zeta, above 1 and ||W||_2; default 2 + 2 ||W||_F.

    Raises:
        ArgumentError: the network is not a real ReLU network, zeta is too small, or at g a
            pre-activation is 0 (of a unit that the inputs reach).

    Status: PROVED for real URNNs with the map for all inputs from R^m (docs/theorems.md, Bound
    (C')). D is the pattern of an open set of (eta, zeta), because no pre-activation is 0.
    """
    rnn = real_relu_network(rnn, "bounds for growing inputs")
    eta = vector(direction, "direction", rnn.input_size)
    usual = 2 + 2 * float(lengths(rnn.W.ravel()))
    zeta = Fraction(number(usual if growth is None else growth, "growth"))
    W, F = Exact.of(rnn.W), Exact.of(rnn.F)
    gap = Exact.identity(rnn.hidden_units).times(zeta * zeta) - W.T @ W
    if zeta <= 1 or not gap.is_positive_definite():
        raise ArgumentError(
            f"growth must be above 1 and above ||W||_2 = {np.linalg.norm(rnn.W, 2):.6g}, but it is "
            f"{float(zeta):g}"
        )
    drive = F @ Exact.of(eta[:, None])
    floats = (rnn.W / float(zeta), rnn.F @ eta, np.zeros(rnn.hidden_units))
    at_rest = pattern_at_rest(floats, W.times(1 / zeta), drive, F)
    W_min = _minimal_transition(rnn, at_rest.on)
    size, multiplicity = len(W_min.numerators), largest_multiplicity(W_min)
    condition = "the maps agree for all inputs from R^m"
    return RealizationBound(size + multiplicity, condition, "proved", size, multiplicity)


def steady_realization_bound(
    rnn: RNN, x: ArrayLike, components: int | None = None
) -> RealizationBound:
    """(C'), (b) and (c): at the steady state under the constant input x, interior to the input set.

    Without ``components`` nothing is assumed of the URNN: N >= n_min + 1 if mu >= 1, else n_min.
    With q = ``components``, the number of components of the URNN's limit set under x (q = 1 if its
    state converges):

        q (N - n_min) >= max over |lambda| != 1 of sum over w^q = 1 of dim ker(W_min - w lambda I),

    which is N >= n_min + mu for q = 1.

    Raises:
        ArgumentError: as `steady_state_bound`.

    Status: PROVED without ``components``, else conditional on q (docs/theorems.md, Bound (C')).
    That n_min + mu holds in general for mu >= 2 is open where bound (E) does not give it.
    """
    state = steady_state(rnn, x)
    W = _minimal_transition(rnn, state.on)
    size, multiplicity = len(W.numerators), largest_multiplicity(W)
    if components is None:
        more = min(multiplicity, 1)
        condition = "the maps agree on an open set of inputs that contains x"
        return RealizationBound(size + more, condition, "proved", size, more)
    q = count(components, "components")
    power = W
    for _ in range(q - 1):
        power = (power @ W).reduced()
    # dim ker(W^q - lambda^q) is the sum for lambda != 0; for lambda = 0 the sum is q dim ker W
    nilpotent = q * (size - W.rank()) if size else 0
    more = -(-max(nilpotent, largest_multiplicity(power)) // q)
    condition = f"the URNN's limit set under the constant input x has {q} component(s)"
    return RealizationBound(size + more, condition, "conditional", size, more)
