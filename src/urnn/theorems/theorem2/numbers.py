"""Theorem 2 in numbers: how near fewer than 2n states come, and how many states are needed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from urnn.equivalence.cascade import (
    cascade_unitary,
    jacobian_errors,
    weight_budget,
    weight_budget_bound,
)
from urnn.equivalence.dilation import defect_rank
from urnn.equivalence.fewest_states import fewest_states_scalings
from urnn.equivalence.fits import fit_scaled_identity
from urnn.equivalence.realization import steady_realization_bound
from urnn.equivalence.steady_state import steady_state_bound
from urnn.matrices import slowly_varying_transition
from urnn.rnn import RNN
from urnn.theorems.datasets import contraction, coordinate, variable

if TYPE_CHECKING:
    from urnn.theorems.theorem2.settings import Theorem2Settings

RATIOS = [2.0**k for k in range(11)]
SYSTEMS = ("paper", "Gaussian", "scaled identity")
INPUTS, OUTPUTS = 2, 2
#: epsilon of the paper's slowly varying W_g
EPSILON = 0.5
#: objectives that the search for the fewest states tries
ATTEMPTS = 20


def compute(settings: Theorem2Settings, seed: int) -> xr.Dataset:
    """`approach` and `state_counts` in one dataset."""
    found = [approach(settings, seed), state_counts(settings, seed)]
    dataset = xr.merge(found, combine_attrs="drop")
    # what holds for the first part alone says so in its name
    dataset.attrs = {
        "title": settings.title,
        "cliff_hidden_units": settings.hidden_units,
        "cliff_rho": settings.rho,
    }
    return dataset


def approach(settings: Theorem2Settings, seed: int) -> xr.Dataset:
    """The best error found against the weight budget, for N = n to 2n states.

    Variables: best_error(unitary_units, budget) of `fit_scaled_identity`; jacobian_error and
    jacobian_bound, the two sides of (D), eps1 + rho eps0 and (1 - rho)(1 - eps0)^2 / R, for the
    same fits (R their true budget; the bound is NaN for N = 2n, where (D) says nothing, and for
    eps0 of 1 or more); cascade_budget and cascade_error(chains, ratio), the all-pass cascade's
    eps1 + rho eps0.
    """
    n, budgets = settings.hidden_units, settings.budgets
    counts, chains = range(n, 2 * n + 1), range(1, n + 1)
    fits, cascade = _fits(settings, seed), _cascades(n, settings.rho)
    dims, grid = ("unitary_units", "budget"), ("chains", "ratio")
    found = "measured: the best of the restarts, an upper bound on the least error"
    return xr.Dataset(
        {
            "best_error": variable(dims, fits[0], "l2 error of the impulse response", found),
            "jacobian_error": variable(dims, fits[1], "eps1 + rho eps0 of the fits", found),
            "jacobian_bound": variable(
                dims,
                fits[2],
                "(1 - rho)(1 - eps0)^2 / R of the fits",
                "proved where the URNN's pattern does not change between two steps",
            ),
            "cascade_budget": variable(grid, cascade[0], "||F_u||_2 ||C_u||_2", "proved"),
            "cascade_error": variable(
                grid, cascade[1], "eps1 + rho eps0 of the all-pass cascade", "tends to 0: proved"
            ),
        },
        coords={
            "unitary_units": coordinate("unitary_units", list(counts), "states of the URNN, N"),
            "budget": coordinate("budget", budgets, "weight budget, R"),
            "chains": coordinate("chains", list(chains), "cascades, N - n"),
            "ratio": coordinate("ratio", RATIOS, "ratio of the scales in a cascade"),
        },
    )


def _fits(settings: Theorem2Settings, seed: int) -> NDArray:
    """(3, N, budget): error, and the left and right side of (D), of the best fits."""
    n, rho, budgets = settings.hidden_units, settings.rho, settings.budgets
    counts = range(n, 2 * n + 1)
    fits = np.full((3, len(counts), len(budgets)), np.nan)
    for row, states in enumerate(counts):
        found = fit_scaled_identity(
            n,
            states,
            rho,
            budgets,
            restarts=settings.restarts,
            iterations=settings.iterations,
            seed=seed,
        )
        for column, fit in enumerate(found):
            urnn = fit.network
            first, second = jacobian_errors(urnn, rho, np.any(urnn.C != 0, axis=0))
            bound = np.nan
            if states < 2 * n and first < 1:
                bound = float(weight_budget_bound(rho, weight_budget(urnn), first))
            fits[:, row, column] = fit.error, second + rho * first, bound
    return fits


def _cascades(n: int, rho: float) -> NDArray:
    """(2, chains, ratio): budget and error of the all-pass cascades."""
    cascade = np.zeros((2, n, len(RATIOS)))
    for cell in np.ndindex(n, len(RATIOS)):
        urnn = cascade_unitary(n, cell[0] + 1, rho, RATIOS[cell[1]])
        first, second = jacobian_errors(urnn, rho, np.any(urnn.F != 0, axis=1))
        cascade[:, *cell] = weight_budget(urnn), second + rho * first
    return cascade


def state_counts(settings: Theorem2Settings, seed: int) -> xr.Dataset:
    """How many states are needed, suffice after scaling and without it, and the paper's 2n.

    Variables over (system, hidden_units, realization): needed, the larger of the bounds (C') and
    (E); scaled, n + d of `fewest_states_scalings`; minimal, n + rank(I - W^T W); doubled, 2n. The
    systems are the paper's W_g and Gaussian W with ||W|| = 0.9, F and C standard normal, and
    W = rho I, F = C = I. All have b = (I - W) 1 with the steady state 1 at x = 0, where all units
    are on; the bounds hold for every input set with 0 in its interior.
    """
    sizes, systems = settings.sizes, settings.systems
    counts = np.zeros((4, len(SYSTEMS), len(sizes), systems), dtype=np.int64)
    for column, size in enumerate(sizes):
        # nothing in a scaled identity is random: one stands for all
        cells = [
            (row, realization)
            for row, system in enumerate(SYSTEMS)
            for realization in range(1 if system == "scaled identity" else systems)
        ]
        rnns = [
            _system(
                np.random.default_rng([seed, row, size, realization]),
                SYSTEMS[row],
                size,
                settings.rho,
            )
            for row, realization in cells
        ]
        scalings = fewest_states_scalings([rnn.W for rnn in rnns], ATTEMPTS, seed)
        for (row, realization), rnn, (_, defect) in zip(cells, rnns, scalings, strict=True):
            counted = _needed(rnn), size + defect, size + defect_rank(rnn.W), 2 * size
            counts[:, row, column, realization:] = np.array(counted)[:, None]
    dims = ("system", "hidden_units", "realization")
    return xr.Dataset(
        {
            "needed": variable(
                dims,
                counts[0],
                "lower bound, the larger of (C') and (E)",
                "proved, for every real URNN on inputs around 0",
            ),
            "scaled": variable(
                dims,
                counts[1],
                "enough, with the best diagonal scaling found",
                "enough: proved; that no diagonal does better: measured",
            ),
            "minimal": variable(
                dims, counts[2], "n + rank(I - W^T W)", "enough: proved; the least: open"
            ),
            "doubled": variable(
                dims, counts[3], "2n, the paper's Theorem 1", "needed by some network: proved"
            ),
        },
        coords={
            "system": coordinate("system", SYSTEMS, "how W is drawn"),
            "hidden_units": coordinate("hidden_units", sizes, "states of the RNN, n"),
            "realization": coordinate("realization", range(systems), "random system"),
        },
    )


def _system(random: np.random.Generator, system: str, size: int, rho: float) -> RNN:
    """A random system, with all units on at the steady state 1 at x = 0."""
    if system == "paper":
        W = slowly_varying_transition(random, size, EPSILON)
    elif system == "Gaussian":
        W = contraction(random, size, "0.9")
    else:
        W = rho * np.eye(size)
    if system in ("paper", "Gaussian"):
        F, C = random.standard_normal((size, INPUTS)), random.standard_normal((OUTPUTS, size))
    else:
        F, C = np.eye(size), np.eye(size)
    return RNN(W, F, (np.eye(size) - W) @ np.ones(size), C)


def _needed(rnn: RNN) -> int:
    """The larger of the bounds (C') and (E) around x = 0."""
    at_rest = np.zeros(rnn.input_size)
    bounds = steady_realization_bound(rnn, at_rest), steady_state_bound(rnn, at_rest)
    return max(bound.states for bound in bounds)
