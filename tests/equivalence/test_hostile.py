"""Hostile inputs: either the right network, or a refusal that is an ArgumentError and true.

URNN_FULL_CHECKS=1 takes all 300, with n = 200 among them.
"""

import numpy as np
import pytest

from tests.equivalence.full import FULL, cases
from urnn import RNN
from urnn.equivalence import (
    growing_input_bound,
    projection_error_bound,
    realization_bound,
    saturation_error_bound,
    steady_realization_bound,
    steady_state_bound,
    to_unitary,
    two_step_bound,
)
from urnn.errors import ArgumentError

TOTAL = cases(300, 100)


def singular(generator, size, values):
    left, _, right = np.linalg.svd(generator.standard_normal((size, size)))
    return (left * values) @ right


def transition(generator, kind, size):
    W = generator.standard_normal((size, size))
    W *= 0.9 / np.linalg.norm(W, 2)
    if kind == "near 1":
        return singular(generator, size, 1 - generator.choice([0, 1e-16, 3e-16, 1e-15], size))
    if kind == "float32":
        return singular(generator, size, np.ones(size)).astype(np.float32).astype(float)
    if kind == "denormal":
        return W * 1e-310
    if kind == "1e300":
        return W * 1e300
    if kind == "zero rows":
        W[:: 1 + size // 2] = 0
    if kind == "zero":
        return 0 * W
    if kind == "complex":
        return W + 0j if size % 2 else W * np.exp(1j)
    if kind == "complex, norm 1":
        return np.diag(np.where(np.arange(size) == 0, 1, 0.5)) + 0j
    if kind == "NaN":
        W[0, -1] = np.nan
    if kind == "list":
        return W.tolist()
    if kind == "ragged":
        return [[0.5], [0.1, 0.2]]
    if kind == "wrong shape":
        return W[:, :-1] if size > 1 else W[None]
    if kind == "expansive":
        return 1.5 * W
    if kind == "triangular":
        return np.triu(5 * W, 1) + 0.5 * np.eye(size)
    return W


KINDS = (
    *("plain", "near 1", "float32", "denormal", "1e300", "zero rows", "zero", "complex"),
    *("complex, norm 1", "NaN", "list", "ragged", "wrong shape", "expansive", "triangular"),
)
SIZES = (1, 2, 3, 8)
FACTORS = (1.0, 1.0, 1.0, 0.0, 1e-165, 1e-310, 1e150, 1e300, np.nan)
OPTIONS = (
    {},
    {"input_bound": 1.0},
    {"input_bound": 1.0, "norm": np.inf},
    {"input_bound": 1.0, "horizon": 40},
    {"input_bound": 1e-300},
    {"input_bound": 1.0, "states": "2n", "initial_bound": 1e3},
    {"input_bound": 1.0, "states": "complex", "horizon": 40},
    {"input_bound": 1.0, "states": "fewest", "horizon": 40},
    {"input_bound": 1.0, "rescale": True},
    {"input_bound": 1.0, "project": True, "horizon": 40},
    {"input_bound": 1.0, "tight": True, "horizon": 40},
    {"input_bound": 1.0, "scale": [1.0]},
    {"input_bound": 1.0, "scale": np.float64(2.0)},
    {"input_bound": np.nan},
    {"input_bound": 1.0, "horizon": np.nan},
    {"input_bound": 1.0, "horizon": 2.5},
    {"saturation": 30.0},
)


def made(generator, trial):
    """(parameters, activation, options) of one case."""
    kind = KINDS[trial % len(KINDS)]
    options = dict(OPTIONS[(trial // len(KINDS)) % len(OPTIONS)])
    # the search for the fewest states is meant for n up to about 20
    large = FULL and trial % 11 == 0 and options.get("states") != "fewest"
    size = 200 if large else int(generator.choice(SIZES))
    W = transition(generator, kind, size)
    # wrong on purpose only in one place, so that the reason is known
    factors = generator.choice(FACTORS, 3) if generator.random() < 0.5 else np.ones(3)
    parts = {
        "W": W,
        "F": factors[0] * generator.standard_normal((size, 2)),
        "b": factors[1] * generator.standard_normal(size),
        "C": np.eye(size),
        "h_init": factors[2] * generator.standard_normal(size),
    }
    activation = "relu"
    if "saturation" in options:
        activation = str(generator.choice(["tanh", "sigmoid"]))
    elif generator.random() < 0.1:
        activation, parts["b"] = "modrelu", -np.abs(parts["b"])
    return parts, activation, options


def assert_true(message, rnn, options):
    """The reason that a refusal of a well-formed network gives is a fact."""
    norm = np.linalg.norm(rnn.W, 2)
    bound, horizon = options.get("input_bound"), options.get("horizon")
    facts = {
        "horizon must be": horizon is not None and horizon != 40,
        "input_bound must be a finite": bound is not None and np.isnan(bound),
        "scale must be": "scale" in options,
        "need a bound on the inputs": bound is None,
        "is expansive": norm > 1,
        "cannot be rescued": norm > 1,
        "no rounding": norm > 1 + 1e-5,
        "rounding in float32": 1 < norm < 1 + 1e-5,
        "is below 1, but the bound on the states is too large": norm < 1,
        "is not below 1, so no bound": norm > 1 - 1e-13,
        "real W": np.iscomplexobj(rnn.W),
        "but this is complex": np.iscomplexobj(rnn.W),
        "but this is modrelu": rnn.activation == "modrelu",
        "no positive diagonal makes W a strict contraction": norm > 1 - 1e-13,
        "saturation is for": rnn.activation not in ("tanh", "sigmoid"),
    }
    found = [reason for reason in facts if reason in message]
    assert found, message
    assert all(facts[reason] for reason in found), message


@pytest.mark.filterwarnings("ignore:overflow", "ignore:invalid value", "ignore:divide by zero")
@pytest.mark.parametrize("trial", range(TOTAL))
def test_right_or_refused(trial):
    generator = np.random.default_rng([trial, 9])
    parts, activation, options = made(generator, trial)
    try:
        rnn = RNN(**parts, activation=activation)
    except ArgumentError as error:
        message = str(error)
        assert any(word in message for word in ("NaN", "shape", "numbers", "no complex form"))
        return
    try:
        urnn = to_unitary(rnn, **options)
    except ArgumentError as error:
        assert_true(str(error), rnn, options)
        return
    n = rnn.hidden_units
    bound = options.get("input_bound", 5.0)
    x = generator.uniform(-1, 1, (3, 40, 2))
    x = bound * x / np.linalg.norm(x, axis=-1, keepdims=True)
    if options.get("norm") == np.inf:
        x = bound * np.sign(x)
    h, u = rnn.states(x), urnn.states(x)
    y, y_u = rnn(x), urnn(x)
    largest = np.abs(y).max()
    if "saturation" in options:
        allowed = saturation_error_bound(rnn, 30.0, input_bound=bound)
        assert np.linalg.norm(u[..., :n] - h, axis=-1).max() <= allowed
        return
    if options.get("project"):
        assert np.abs(y - y_u).max() <= projection_error_bound(rnn, bound, 2, 40) + 1e-12 * largest
    elif np.isfinite(largest):
        assert np.abs(y - y_u).max() <= 1e-12 * largest
    else:
        assert np.array_equal(np.isfinite(y), np.isfinite(y_u))
    extra = u.imag if options.get("states") == "complex" else u[..., n:]
    assert not extra.any()


@pytest.mark.filterwarnings("ignore:overflow", "ignore:invalid value", "ignore:divide by zero")
@pytest.mark.parametrize("trial", range(0, TOTAL, 2))
def test_the_bounds_answer_or_refuse(trial):
    generator = np.random.default_rng([trial, 9])
    parts, activation, _ = made(generator, trial)
    try:
        rnn = RNN(**parts, activation=activation)
    except ArgumentError:
        return
    if rnn.hidden_units > 100:  # exact, and so slow: minutes
        return
    for bound in (
        lambda: realization_bound(rnn),
        lambda: two_step_bound(rnn, np.ones((3, 2))),
        lambda: growing_input_bound(rnn, [1.0, 0.5]),
        lambda: steady_state_bound(rnn, [0.2, 0.1]),
        lambda: steady_realization_bound(rnn, [0.2, 0.1]),
    ):
        try:
            assert 0 <= bound().states <= 2 * rnn.hidden_units + 1
        except ArgumentError as error:
            assert str(error)
