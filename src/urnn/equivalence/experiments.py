"""The numbers behind the three theory figures, as datasets with names, units and statuses.

Pure functions: sizes and a seed in, an xarray Dataset out. Each variable says in its attribute
``status`` whether it is proved, conditional, measured or open, and in ``long_name`` and ``units``
what it is. No dates, no hosts: the same arguments give the same dataset.

Source: the project's theory notes 1.6, 2.4, 2.5 and 3.2.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from urnn.equivalence.cascade import (
    cascade_unitary,
    jacobian_errors,
    weight_budget,
    weight_budget_bound,
)
from urnn.equivalence.conversion import network_around, to_unitary
from urnn.equivalence.delay_chain import delay_chain
from urnn.equivalence.dilation import defect_rank, unitarity_error
from urnn.equivalence.fewest_states import fewest_states_scaling
from urnn.equivalence.fits import fit_scaled_identity, fit_sigmoid
from urnn.equivalence.invariance import restart
from urnn.equivalence.minimality import paper_like_transition, realization_bound
from urnn.equivalence.sigmoid import (
    centred_chain,
    errors_against_bias,
    exact_errors_against_bias,
    scalar_witness,
)
from urnn.rnn import RNN

#: How the singular values of W are set, by name.
REGIMES = ("0.9", "1 - 1e-8", "1 - 1e-12", "half at 1", "exactly 1")
SYSTEMS = ("paper", "Gaussian")
_ACTIVATIONS = ("sigmoid", "tanh")


def _variable(
    dims: Sequence[str], values: NDArray | Sequence, long_name: str, status: str, units: str = "1"
) -> tuple[Sequence[str], NDArray, dict[str, str]]:
    attributes = {"long_name": long_name, "units": units, "status": status}
    return dims, np.asarray(values), attributes


def _coordinate(name: str, values: Sequence, long_name: str) -> tuple[str, list, dict[str, str]]:
    attributes = {"long_name": long_name}
    if not isinstance(values[0], str):
        attributes["units"] = "1"
    return name, list(values), attributes


def contraction(generator: np.random.Generator, size: int, regime: str) -> NDArray:
    """A random W (n, n) whose singular values are set by ``regime``, one of `REGIMES`.

    Raises:
        ValueError: an unknown regime.
    """
    if regime not in REGIMES:
        raise ValueError(f"regime must be one of {', '.join(REGIMES)}, but it is {regime!r}")
    left, singular, right = np.linalg.svd(generator.standard_normal((size, size)))
    values = {
        "0.9": 0.9 * singular / singular[0],
        "1 - 1e-8": (1 - 1e-8) * singular / singular[0],
        "1 - 1e-12": 1 - 1e-12 * generator.uniform(0.95, 1, size),
        "half at 1": np.where(np.arange(size) < (size + 1) // 2, 1, generator.uniform(0, 0.99)),
        "exactly 1": singular / singular[0],
    }[regime]
    return (left * values) @ right


def _converted(
    generator: np.random.Generator, size: int, regime: str, norm: float, states: str, steps: int
) -> tuple[float, float, float, int]:
    """(relative error, largest extra state, unitarity error, N) of one random system."""
    inputs = int(generator.integers(1, 5))
    rnn = RNN(
        contraction(generator, size, regime),
        generator.standard_normal((size, inputs)),
        generator.standard_normal(size),
        generator.standard_normal((2, size)),
        3 * generator.standard_normal(size),
    )
    if norm == 2:
        x = generator.standard_normal((4, steps, inputs))
        x /= np.linalg.norm(x, axis=-1, keepdims=True)
    else:
        x = generator.choice([-1.0, 1.0], (4, steps, inputs))
    horizon = steps if regime in ("half at 1", "exactly 1") else None
    urnn = to_unitary(rnn, 1.0, norm, states, horizon)
    y, h = rnn(x), urnn.states(x)
    error = np.abs(y - h @ urnn.C.T).max() / max(np.abs(y).max(), np.finfo(float).tiny)
    extra = np.abs(h[..., size:]).max(initial=0.0)
    return float(error), float(extra), unitarity_error(urnn.W), urnn.hidden_units


def theorem1(
    hidden_units: Sequence[int] = (1, 2, 4, 8, 16, 32, 64),
    systems: int = 20,
    steps: int = 200,
    bias_fractions: Sequence[float] | None = None,
    seed: int = 0,
) -> xr.Dataset:
    """Theorem 1: the errors of ``systems`` random conversions per case, and the tightness of beta.

    Variables: relative_error, extra_state, unitarity_error (regime, input_norm, states,
    hidden_units), each the largest over the systems; unitary_units, their mean N; and for the
    scalar network w = 0.9, f = 1, b = 0.5 at the constant input 1, bias_error(bias_fraction): the
    error of the output when the extra bias is that fraction of the proved value.
    """
    norms, counts = {"2": 2, "inf": np.inf}, ("minimal", "2n")
    shape = (len(REGIMES), len(norms), len(counts), len(hidden_units))
    results = np.zeros((4, *shape))
    for cell in np.ndindex(*shape):
        size = hidden_units[cell[3]]
        # the states option is not in the seed: both options convert the same systems
        generator = np.random.default_rng([seed, cell[0], cell[1], size])
        case = (REGIMES[cell[0]], list(norms.values())[cell[1]], counts[cell[2]])
        found = np.array([_converted(generator, size, *case, steps) for _ in range(systems)])
        results[:, *cell] = [*found[:, :3].max(axis=0), found[:, 3].mean()]
    fractions = np.linspace(0.9, 1.1, 41) if bias_fractions is None else np.array(bias_fractions)
    rnn = RNN([[0.9]], [[1.0]], [0.5], [[1.0]])
    leak = np.sqrt((1 - 0.9) * (1 + 0.9))
    full = network_around(rnn, [[0.9, leak], [leak, -0.9]], input_bound=1.0)
    x = np.ones((2000, 1))
    bias_errors = []
    for fraction in fractions:
        trial = RNN(full.W, full.F, [0.5, fraction * full.b[1]], full.C)
        bias_errors.append(np.abs(trial(x) - rnn(x)).max())
    dims = ("regime", "input_norm", "states", "hidden_units")
    proved = "the error is 0 in exact arithmetic: proved; its rounding: measured"
    return xr.Dataset(
        {
            "relative_error": _variable(dims, results[0], "max |y - y_u| / max |y|", proved),
            "extra_state": _variable(dims, results[1], "largest extra state", "0: proved"),
            "unitarity_error": _variable(
                dims, results[2], "||W_u^T W_u - I||_2", "0 in exact arithmetic: proved"
            ),
            "unitary_units": _variable(
                dims, results[3], "states of the URNN, mean", "n + rank(I - W^T W) or 2n: proved"
            ),
            "bias_error": _variable(
                ("bias_fraction",),
                bias_errors,
                "max |y - y_u| with a fraction of the extra bias, scalar network",
                "0 from 1 on: proved; above 0 below 1: measured",
            ),
        },
        coords={
            "regime": _coordinate("regime", REGIMES, "singular values of W"),
            "input_norm": _coordinate("input_norm", list(norms), "norm of the input bound"),
            "states": _coordinate("states", counts, "construction"),
            "hidden_units": _coordinate("hidden_units", hidden_units, "states of the RNN, n"),
            "bias_fraction": _coordinate(
                "bias_fraction", fractions.tolist(), "fraction of the bias"
            ),
        },
        attrs={"title": "Theorem 1: the unitary network is the same map", "seed": seed},
    )


def cliff(
    hidden_units: int = 2,
    rho: float = 0.6,
    budgets: Sequence[float] = (1, 2, 4, 8, 16, 32),
    restarts: int = 2,
    iterations: int = 400,
    seed: int = 0,
) -> xr.Dataset:
    """Theorem 2's cliff: the best error found against the weight budget, for N = n to 2n states.

    Variables: best_error(unitary_units, budget) of `fit_scaled_identity`; jacobian_error and
    jacobian_bound, the two sides of (D), eps1 + rho eps0 and (1 - rho)(1 - eps0)^2 / R, for the
    same fits (R their true budget; the bound is NaN for N = 2n, where (D) says nothing, and for
    eps0 of 1 or more); cascade_budget and cascade_error(chains, ratio), the all-pass cascade's
    eps1 + rho eps0.
    """
    n, counts = hidden_units, range(hidden_units, 2 * hidden_units + 1)
    fits = np.full((3, len(counts), len(budgets)), np.nan)
    for row, states in enumerate(counts):
        for column, budget in enumerate(budgets):
            fit = fit_scaled_identity(
                n, states, rho, budget, restarts=restarts, iterations=iterations, seed=seed
            )
            urnn = fit.network
            first, second = jacobian_errors(urnn, rho, np.any(urnn.C != 0, axis=0))
            bound = np.nan
            if states < 2 * n and first < 1:
                bound = float(weight_budget_bound(rho, weight_budget(urnn), first))
            fits[:, row, column] = fit.error, second + rho * first, bound
    chains, ratios = range(1, n + 1), [2.0**k for k in range(11)]
    cascade = np.zeros((2, len(chains), len(ratios)))
    for cell in np.ndindex(len(chains), len(ratios)):
        urnn = cascade_unitary(n, chains[cell[0]], rho, ratios[cell[1]])
        first, second = jacobian_errors(urnn, rho, np.any(urnn.F != 0, axis=1))
        cascade[:, *cell] = weight_budget(urnn), second + rho * first
    dims, grid = ("unitary_units", "budget"), ("chains", "ratio")
    found = "measured: the best of the restarts, an upper bound on the least error"
    return xr.Dataset(
        {
            "best_error": _variable(dims, fits[0], "l2 error of the impulse response", found),
            "jacobian_error": _variable(dims, fits[1], "eps1 + rho eps0 of the fits", found),
            "jacobian_bound": _variable(
                dims,
                fits[2],
                "(1 - rho)(1 - eps0)^2 / R of the fits",
                "proved where the URNN's pattern does not change between two steps",
            ),
            "cascade_budget": _variable(grid, cascade[0], "||F_u||_2 ||C_u||_2", "proved"),
            "cascade_error": _variable(
                grid, cascade[1], "eps1 + rho eps0 of the all-pass cascade", "tends to 0: proved"
            ),
        },
        coords={
            "unitary_units": _coordinate("unitary_units", list(counts), "states of the URNN, N"),
            "budget": _coordinate("budget", budgets, "weight budget, R"),
            "chains": _coordinate("chains", list(chains), "cascades, N - n"),
            "ratio": _coordinate("ratio", ratios, "ratio of the scales in a cascade"),
        },
        attrs={
            "title": "Theorem 2: fewer than 2n states come as near as the weights allow",
            "hidden_units": n,
            "rho": rho,
            "seed": seed,
        },
    )


def state_counts(
    hidden_units: Sequence[int] = (2, 3, 4, 5, 6, 8),
    systems: int = 10,
    inputs: int = 2,
    outputs: int = 2,
    attempts: int = 20,
    seed: int = 0,
) -> xr.Dataset:
    """How many states are certified, enough after scaling, enough without it, and the paper's 2n.

    Variables over (system, hidden_units, realization): certificate, bound (C) in the linear regime;
    scaled, n + d of `fewest_states_scaling`; minimal, n + rank(I - W^T W); doubled, 2n. The systems
    are the paper's W_g and Gaussian W with ||W|| = 0.9; F and C are standard normal.
    """
    shape = (len(SYSTEMS), len(hidden_units), systems)
    counts = np.zeros((4, *shape), dtype=np.int64)
    for cell in np.ndindex(*shape):
        size = hidden_units[cell[1]]
        generator = np.random.default_rng([seed, cell[0], size, cell[2]])
        if SYSTEMS[cell[0]] == "paper":
            W = paper_like_transition(size, generator)
        else:
            W = contraction(generator, size, "0.9")
        F, C = generator.standard_normal((size, inputs)), generator.standard_normal((outputs, size))
        rnn = RNN(W, F, np.zeros(size), C)
        counts[:, *cell] = (
            realization_bound(rnn).states,
            size + fewest_states_scaling(W, attempts, seed)[1],
            size + defect_rank(W),
            2 * size,
        )
    dims = ("system", "hidden_units", "realization")
    return xr.Dataset(
        {
            "certificate": _variable(
                dims,
                counts[0],
                "lower bound (C)",
                "conditional: proved where both networks stay linear; float64 ranks",
            ),
            "scaled": _variable(
                dims,
                counts[1],
                "enough, with the best diagonal scaling found",
                "enough: proved; that no diagonal does better: measured",
            ),
            "minimal": _variable(
                dims, counts[2], "n + rank(I - W^T W)", "enough: proved; the least: open"
            ),
            "doubled": _variable(
                dims, counts[3], "2n, the paper's Theorem 1", "needed by some network: proved"
            ),
        },
        coords={
            "system": _coordinate("system", SYSTEMS, "how W is drawn"),
            "hidden_units": _coordinate("hidden_units", hidden_units, "states of the RNN, n"),
            "realization": _coordinate("realization", range(systems), "random system"),
        },
        attrs={
            "title": "Theorem 2: how many states are needed, and how many suffice",
            "seed": seed,
        },
    )


def theorem3(
    biases: Sequence[float] = tuple(range(0, 101, 4)),
    exact_steps: int = 20,
    chain_units: Sequence[int] = tuple(range(2, 26)),
    fit_units: Sequence[int] = (1, 2, 3, 4),
    bias_cap: float = 1.0,
    restarts: int = 3,
    iterations: int = 300,
    trials: int = 32,
    steps: int = 200,
    seed: int = 0,
) -> xr.Dataset:
    """Theorem 3: errors against the bias and against the number of states.

    Variables: float64_error and exact_error(activation, bias) of the saturated pair, w = 0.5,
    f = 1, b = 0, the exact one in 120 digits and positive throughout; relu_error, the same network
    with ReLU converted by Theorem 1; chain_error(activation, chain_units), the centred chain with
    bounded biases; fit_error(cap, fit_units), the best fit found (f = 2) with |b| <= bias_cap and
    without; delay_error(chain_length, time), the chain that is exact before its length, for the
    sigmoid network started at 0.5 (started at 0 it is exact for one step more).
    """
    generator = np.random.default_rng(seed)
    x = generator.uniform(-2, 2, (trials, steps, 1))
    witnesses = [scalar_witness(activation=activation) for activation in _ACTIVATIONS]
    float64 = [errors_against_bias(witness, biases, x) for witness in witnesses]
    exact = [
        [float(e) for e in exact_errors_against_bias(witness, biases, x[0, :exact_steps, 0])]
        for witness in witnesses
    ]
    relu = RNN([[0.5]], [[1.0]], [0.0], [[1.0]])
    relu_error = np.abs(to_unitary(relu, 2.0)(x) - relu(x)).max()
    chain = [
        [np.abs(centred_chain(witness, N)(x) - witness(x)).max() for N in chain_units]
        for witness in witnesses
    ]
    steep = scalar_witness(gain=2.0)
    fit_inputs = generator.uniform(-2, 2, (100, 12, 1))
    fits = [
        [
            fit_sigmoid(steep, N, cap, fit_inputs, restarts, iterations, seed).error
            for N in fit_units
        ]
        for cap in (bias_cap, None)
    ]
    lengths, times = (1, 4, 8), range(16)
    delay = []
    started = restart(witnesses[0], [0.5])
    for length in lengths:
        difference = delay_chain(started, length)(x) - started(x)
        delay.append(np.abs(difference).max(axis=(0, 2))[: len(times)])
    never = "never 0: proved; its size: measured"
    return xr.Dataset(
        {
            "float64_error": _variable(
                ("activation", "bias"), float64, "max |y - y_u| in float64", "measured"
            ),
            "exact_error": _variable(
                ("activation", "bias"), exact, "max |y - y_u| in 120 digits", never
            ),
            "relu_error": _variable(
                (), relu_error, "max |y - y_u| of the ReLU network", "0 in exact arithmetic: proved"
            ),
            "chain_error": _variable(
                ("activation", "chain_units"), chain, "max |y - y_u| of the centred chain", never
            ),
            "fit_error": _variable(
                ("cap", "fit_units"),
                fits,
                "root mean square error of the best fit found",
                "measured: an upper bound on the least error",
            ),
            "delay_error": _variable(
                ("chain_length", "time"),
                delay,
                "max |y - y_u| of the delay chain",
                "0 before the length of the chain: proved",
            ),
        },
        coords={
            "activation": _coordinate("activation", _ACTIVATIONS, "activation"),
            "bias": _coordinate("bias", biases, "size of the extra bias, beta"),
            "chain_units": _coordinate("chain_units", chain_units, "states of the chain, N"),
            "cap": _coordinate("cap", (f"{bias_cap:g}", "none"), "largest bias allowed"),
            "fit_units": _coordinate("fit_units", fit_units, "states of the URNN, N"),
            "chain_length": _coordinate("chain_length", lengths, "length of the chain, L"),
            "time": _coordinate("time", times, "time step, k"),
        },
        attrs={"title": "Theorem 3: near, never equal", "seed": seed},
    )
