"""Theorem 3: the error of a saturated pair never reaches 0, and it falls at the stated rate."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from urnn import RNN
from urnn.equivalence import (
    ERROR_SLOPE,
    centred_chain,
    completion,
    defect_rank,
    delay_chain,
    errors_against_bias,
    exact_errors_against_bias,
    exact_horizon,
    logarithmic_slope,
    no_unitary_equivalent,
    permutation,
    restart,
    saturated_pair,
    saturated_unitary,
    saturation_error_bound,
    scalar_witness,
    to_unitary,
    unitarity_error,
)

X = np.random.default_rng(0).uniform(-2, 2, (32, 300, 1))
SHORT = np.random.default_rng(1).uniform(-2, 2, 20)
MEASURED_AT_100 = {"sigmoid": 1.9e-44, "tanh": 2.8e-86}


@pytest.mark.parametrize("activation", ["sigmoid", "tanh"])
def test_the_exact_error_is_positive_at_bias_100_and_has_the_slope(activation):
    witness = scalar_witness(activation=activation)
    biases = [20, 40, 60, 80, 100]
    errors = exact_errors_against_bias(witness, biases, SHORT)
    assert all(error > 0 for error in errors)
    assert errors[-1] < 1e-40
    assert float(errors[-1]) == pytest.approx(MEASURED_AT_100[activation], rel=0.5)
    slope = logarithmic_slope(biases, errors)
    assert slope == pytest.approx(ERROR_SLOPE[activation], rel=0.02)


@pytest.mark.parametrize(
    ("activation", "biases"), [("sigmoid", np.arange(8, 25, 2)), ("tanh", np.arange(5, 13))]
)
def test_the_float64_error_has_the_slope_and_then_vanishes(activation, biases):
    witness = scalar_witness(activation=activation)
    errors = errors_against_bias(witness, biases, X)
    slope = logarithmic_slope(biases, errors)
    assert slope == pytest.approx(ERROR_SLOPE[activation], rel=0.02)
    # roundoff, which says nothing about equality
    assert errors_against_bias(witness, [60.0], X)[0] <= 1e-15
    exact = exact_errors_against_bias(witness, biases[-1:], X[0, :20, 0])
    assert float(exact[0]) == pytest.approx(errors_against_bias(witness, biases[-1:], X)[0], rel=2)


def test_the_exact_arithmetic_agrees_with_float64_where_both_can_see():
    for activation in ERROR_SLOPE:
        witness = scalar_witness(0.5, 1.5, 0.2, activation)
        exact = exact_errors_against_bias(witness, [3.0, 6.0], SHORT)
        floats = errors_against_bias(witness, [3.0, 6.0], SHORT[:, None])
        assert floats == pytest.approx([float(error) for error in exact], rel=1e-6)


def test_relu_has_an_exact_pair_where_the_sigmoid_has_none():
    relu = RNN([[0.5]], [[1.0]], [0.0], [[1.0]])
    assert np.abs(to_unitary(relu)(X) - relu(X)).max() <= 1e-15
    with pytest.raises(ValueError, match="Theorem 3"):
        to_unitary(scalar_witness(), 2.0)


def test_the_centred_chain_gains_a_factor_4_per_state():
    witness = scalar_witness()
    states = np.arange(3, 21, 3)
    y = witness(X)
    errors = []
    for count in states:
        chain = centred_chain(witness, int(count))
        assert chain.hidden_units == count
        assert unitarity_error(chain.W) <= 1e-14
        assert np.abs(chain.b).max() < 1.1  # bounded biases
        errors.append(np.abs(chain(X) - y).max())
    rate = np.exp(logarithmic_slope(states, errors))
    assert 0.24 < rate < 0.26
    tanh = scalar_witness(activation="tanh")
    slow = [np.abs(centred_chain(tanh, N)(X) - tanh(X)).max() for N in (5, 20)]
    assert slow[1] > 0.2 * slow[0]  # a tanh chain at slope 1 gains almost nothing


@pytest.mark.parametrize("activation", ["relu", "tanh", "sigmoid", "identity"])
@pytest.mark.parametrize("length", [1, 3, 8, 15])
def test_the_chain_is_exact_before_its_length_and_not_after(activation, length, make_rnn):
    generator = np.random.default_rng(length)
    for _ in range(5):
        rnn = make_rnn(generator, 3, activation=activation, start=1.0)
        rnn = RNN(rnn.W, rnn.F, np.abs(rnn.b), rnn.C, np.abs(rnn.h_init), activation)
        chain = delay_chain(rnn, length)
        assert chain.hidden_units == 3 + defect_rank(rnn.W) * length
        assert unitarity_error(chain.W) <= 1e-14
        x = 3 * generator.standard_normal((16, 30, 2))
        y = rnn(x)
        errors = np.abs(chain(x) - y).max(axis=(0, 2)) / np.abs(y).max()
        assert errors[:length].max() <= 1e-13
        assert errors[length] > 1e-12


@pytest.mark.parametrize("centre", [0.0, -1.0, 2.0])
def test_any_centre_keeps_the_chain_exact(centre, make_rnn):
    generator = np.random.default_rng(3)
    for kind, activation in (("real", "sigmoid"), ("complex", "relu")):
        rnn = make_rnn(generator, 3, "half at 1", activation=activation, kind=kind, start=1.0)
        chain = delay_chain(rnn, 6, centre, 0.6)
        x = generator.standard_normal((4, 6, 2))
        assert np.abs(chain(x) - rnn(x)).max() <= 1e-13 * np.abs(rnn(x)).max()
        assert unitarity_error(chain.W) <= 1e-14


@pytest.mark.parametrize("activation", ["tanh", "sigmoid"])
def test_saturation_stays_within_its_error_bound(activation, make_rnn):
    generator = np.random.default_rng(4)
    for trial in range(20):
        rnn = make_rnn(generator, 1 + trial % 6, activation=activation, start=1.0)
        x = 5 * generator.standard_normal((4, 100, 2))
        h = rnn.states(x)
        for saturation in (1.0, 3.0, 6.0):
            urnn = saturated_unitary(rnn, saturation)
            assert unitarity_error(urnn.W) <= 1e-13
            gap = np.linalg.norm(urnn.states(x)[..., : rnn.hidden_units] - h, axis=-1).max()
            assert 0 < gap <= saturation_error_bound(rnn, saturation)
        near = to_unitary(rnn, saturation=40.0, states="2n")
        assert near.hidden_units == 2 * rnn.hidden_units
        assert np.abs(near(x) - rnn(x)).max() <= 1e-14 * max(1.0, np.abs(rnn(x)).max())


def test_the_error_bound_of_saturation_is_its_formula():
    for activation, lipschitz, residue in (
        ("tanh", 1, 2 * np.exp(-6)),
        ("sigmoid", 0.25, np.exp(-3)),
    ):
        rnn = RNN(np.eye(4) / 2, np.eye(4), np.zeros(4), np.eye(4), activation=activation)
        # ||W_12|| = sqrt(1 - 1/4), and 4 extra states
        step = lipschitz * np.sqrt(3 / 4) * np.sqrt(4) * residue
        expected = step / (1 - lipschitz / 2)
        assert saturation_error_bound(rnn, 3.0) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("activation", ["tanh", "sigmoid"])
def test_the_extra_states_saturate_from_every_start_within_the_bound(activation, make_rnn):
    rnn = make_rnn(np.random.default_rng(5), 4, activation=activation, start=0.0)
    urnn = saturated_unitary(rnn, 6.0, initial_bound=5.0)
    for row, bias in zip(urnn.W[4:], urnn.b[4:], strict=True):
        start = np.append(5 * np.sign(row[:4]), urnn.h_init[4:])  # the worst for this state
        assert row @ start + bias <= -6 + 1e-12


def test_saturation_refuses_what_it_cannot_do():
    tanh = RNN([[0.5]], [[1.0]], [0.0], [[1.0]], activation="tanh")
    with pytest.raises(ValueError, match="scaling"):
        to_unitary(tanh, saturation=20, rescale=True)
    with pytest.raises(ValueError, match="saturation is for"):
        to_unitary(RNN([[0.5]], [[1.0]], [0.0], [[1.0]]), saturation=20)
    with pytest.raises(ValueError, match="expansive"):
        to_unitary(RNN([[1.5]], [[1.0]], [0.0], [[1.0]], activation="tanh"), saturation=20)


def test_the_witness_excludes_what_the_theorem_excludes():
    for weight, gain in ((1.0, 1.0), (-1.0, 1.0), (0.5, 0.0)):
        with pytest.raises(ValueError, match="Theorem 3 needs"):
            scalar_witness(weight, gain)
    with pytest.raises(ValueError, match="activation"):
        scalar_witness(activation="relu")
    with pytest.raises(ValueError, match="scalar"):
        saturated_pair(scalar_witness(1.5), 3.0)
    pair = saturated_pair(scalar_witness(), 3.0)
    assert np.abs(pair.W[0] - completion(np.array([[0.5]]))[0]).max() <= 1e-15
    assert unitarity_error(pair.W) <= 1e-15


# ------------------------------------------------------------------ the finite horizon, and n units


@pytest.mark.parametrize(
    ("states", "weight", "last"),
    [(1, 0.5, 0), (2, 0.5, 1), (3, 0.5, 2), (4, 0.5, 7), (2, 0.0, 1), (3, 2.0, 2), (4, -2.0, 7)],
)
def test_the_finite_horizon(states, weight, last):
    # N - 1 + N floor(ln N / (2 |ln |w||)), with ln 4 / (2 ln 2) = 1 exactly
    assert exact_horizon(states, weight) == last


@settings(max_examples=60, deadline=None)
@given(states=st.integers(1, 40), weight=st.floats(-3, 3).filter(lambda w: abs(w) != 1))
def test_the_horizon_is_what_the_norms_allow(states, weight):
    last = exact_horizon(states, weight)
    assert last >= states - 1
    assert exact_horizon(states + 1, weight) > last
    assert exact_horizon(states, -weight) == last
    if weight != 0 and abs(np.log(abs(weight))) > 1e-3:
        runs = (last - states + 1) / states
        growth = 2 * abs(np.log(abs(weight)))
        assert runs * growth <= np.log(states) + 1e-9 < (runs + 1) * growth + 2e-9


@pytest.mark.parametrize("activation", ["sigmoid", "tanh"])
@pytest.mark.parametrize("weight", [0.3, -0.25, 0.0])
def test_the_delay_chain_attains_the_horizon(weight, activation):
    generator = np.random.default_rng(5)
    for states in (2, 3, 5, 9):
        start = generator.uniform(-1, 1)
        witness = restart(scalar_witness(weight, 1.3, 0.2, activation), [start])
        last = exact_horizon(states, weight)
        assert last == states - 1  # N < 1 / w^2
        chain = delay_chain(witness, states - 1, centre=0.4, expected_state=witness.h_init)
        assert chain.hidden_units == states
        x = generator.uniform(-2, 2, (16, states + 1, 1))
        errors = np.abs(chain(x) - witness(x)).max(axis=(0, 2))
        assert errors[: last + 1].max() <= 1e-14
        if weight != 0 and states < 6:  # later it may be below roundoff
            assert errors[last + 1] > 1e-12


def random_saturating(generator, size, activation):
    return RNN(
        generator.standard_normal((size, size)),
        generator.standard_normal((size, 2)),
        generator.standard_normal(size),
        generator.standard_normal((2, size)),
        generator.standard_normal(size),
        activation,
    )


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    size=st.integers(1, 6),
    activation=st.sampled_from(["sigmoid", "tanh"]),
)
def test_almost_every_network_is_excluded(seed, size, activation):
    generator = np.random.default_rng(seed)
    rnn = random_saturating(generator, size, activation)
    assert no_unitary_equivalent(rnn).proved
    order = generator.permutation(size)
    assert no_unitary_equivalent(permutation(rnn, order)).proved


def test_what_is_not_excluded():
    generator = np.random.default_rng(6)
    rnn = random_saturating(generator, 3, "tanh")

    def changed(**parts):
        given = {name: np.array(getattr(rnn, name)) for name in ("W", "F", "b", "C", "h_init")}
        return no_unitary_equivalent(RNN(**(given | parts), activation="tanh"))

    F, C = np.array(rnn.F), np.array(rnn.C)
    F[1] = 0
    assert not changed(F=F).proved and "row of F is 0" in changed(F=F).reason
    F = np.array(rnn.F)
    F[1] = -F[2]
    assert not changed(F=F).proved and "equal up to their sign" in changed(F=F).reason
    C[:, 0] = 0
    assert not changed(C=C).proved and "column of C" in changed(C=C).reason
    turn = np.linalg.qr(generator.standard_normal((3, 3)))[0]
    for W in (turn, np.eye(3), np.eye(3)[[1, 2, 0]]):
        assert not changed(W=W).proved and "modulus 1" in changed(W=W).reason
    shear = np.eye(3) + np.diag([1.0, 0.0], 1)
    assert changed(W=shear).proved and "not diagonalisable" in changed(W=shear).reason
    assert changed(W=0.5 * turn).proved
    with pytest.raises(ValueError, match="sigmoid and tanh"):
        no_unitary_equivalent(RNN([[0.5]], [[1]], [0], [[1]]))


def test_split_networks_are_unitary_and_not_excluded():
    """W = D^-1 O D with D^2 = diag(copies): splitting the units gives a URNN with the same map."""
    generator = np.random.default_rng(7)
    copies = np.array([1, 2, 3])
    n, N = 3, copies.sum()
    orthogonal = np.linalg.qr(generator.standard_normal((n, n)))[0]
    root = np.sqrt(copies)
    W = orthogonal * root / root[:, None]
    F = generator.standard_normal((n, 2))
    rnn = RNN(W, F, np.zeros(n), np.eye(n), activation="sigmoid")
    unit = np.repeat(np.arange(n), copies)
    into = np.eye(n)[unit]  # every copy has the state of its unit
    mean = into.T / copies[:, None]
    frame = into / root  # orthonormal columns
    rest = np.eye(N) - frame @ frame.T
    W_u = frame @ orthogonal @ frame.T + rest
    assert unitarity_error(W_u) < 1e-14
    urnn = RNN(W_u, into @ F, np.zeros(N), mean, activation="sigmoid")
    x = generator.uniform(-2, 2, (50, 2))
    assert np.abs(urnn(x) - rnn(x)).max() < 1e-13
    assert not no_unitary_equivalent(rnn).proved


@pytest.mark.parametrize("p", [3, 100_002, 1_000_011])
def test_an_involution_is_not_excluded_however_its_eigenvalues_are_rounded(p: int) -> None:
    """W^2 = I exactly, so W is diagonalisable with the eigenvalues 1 and -1."""
    W = np.array([[p, p - 1], [-(p + 1), -p]], float)
    np.testing.assert_array_equal(W @ W, np.eye(2))
    rnn = RNN(W, [[1.0], [2.0]], [0, 0], np.eye(2), activation="tanh")
    assert not no_unitary_equivalent(rnn).proved
