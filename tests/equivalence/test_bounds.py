"""The lower bounds of Theorem 2: never above the states of a real URNN, 2n for the witnesses.

URNN_FULL_CHECKS=1 pytest tests/equivalence/test_bounds.py runs all 3,000 URNNs.
"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.equivalence.full import cases
from tests.equivalence.networks import orthogonal, random_urnn
from urnn import RNN
from urnn.equivalence import (
    activation_patterns,
    bounded_witness,
    completion,
    direct_sum,
    eigenvalue_bound,
    growing_input_bound,
    positive_scaling,
    realization_bound,
    restart,
    scaled_identity_witness,
    slowly_varying_transition,
    steady_realization_bound,
    steady_state_bound,
    to_unitary,
    two_step_bound,
    two_step_jacobians,
)
from urnn.equivalence.exact import Exact
from urnn.equivalence.realization import minimal_realization
from urnn.equivalence.steady_state import steady_state
from urnn.errors import ArgumentError

quick = settings(max_examples=20, deadline=None)
seeds = st.integers(0, 2**32 - 1)


def exact_urnn(generator: np.random.Generator) -> RNN:
    """W orthogonal without rounding: a product of Hadamard blocks and signed permutations."""
    size = int(generator.integers(4, 8))
    block = np.eye(size)
    block[:4, :4] = 0.5 * np.array([[1, 1, 1, 1], [1, -1, 1, -1], [1, 1, -1, -1], [1, -1, -1, 1]])
    W = np.eye(size)
    for _ in range(int(generator.integers(1, 4))):
        W = W @ block[generator.permutation(size)] * generator.choice([-1.0, 1.0], size)
    assert np.array_equal(W.T @ W, np.eye(size))
    m, p = (int(generator.integers(1, 4)) for _ in range(2))
    F, C = generator.integers(-2, 3, (size, m)), generator.integers(-2, 3, (p, size))
    return RNN(W, F, generator.integers(-3, 4, size), C, generator.integers(0, 3, size))


def completed_urnn(generator: np.random.Generator) -> RNN:
    """A contraction, often with repeated eigenvalues, and the extra units off: bounds are tight."""
    size = int(generator.integers(1, 5))
    if generator.random() < 0.6:
        W = generator.choice([0.0, 0.25, 0.5, -0.75], size) * np.eye(size)
        if generator.random() < 0.7:
            W = W[0, 0] * np.eye(size)
    else:
        W = generator.standard_normal((size, size))
        W *= generator.uniform(0.2, 0.95) / np.linalg.norm(W, 2)
    m, p = (int(generator.integers(1, size + 1)) for _ in range(2))
    F, C = generator.standard_normal((size, m)), generator.standard_normal((p, size))
    rnn = RNN(W, F, np.abs(generator.standard_normal(size)), C)
    return to_unitary(rnn, 0.1, np.inf, "2n" if generator.random() < 0.2 else "minimal")


def kinked_urnn(generator: np.random.Generator) -> RNN:
    """With units that rest on their kink: pre-activation 0 at every step, or at rest."""
    urnn = completed_urnn(generator)
    size = urnn.hidden_units
    b = urnn.b.copy()
    off = b < 0
    if generator.random() < 0.5:
        urnn = RNN(urnn.W, urnn.F, np.where(off, 0, b), urnn.C, urnn.h_init)
    still = RNN(
        np.eye(2)[[1, 0]],
        np.zeros((2, urnn.input_size)),
        np.zeros(2),
        generator.standard_normal((urnn.output_size, 2)),
    )
    return direct_sum(urnn, still) if size < 7 else urnn


KINDS = (random_urnn, exact_urnn, completed_urnn, kinked_urnn)


def every_bound(urnn: RNN, generator: np.random.Generator) -> dict[str, int]:
    """The bounds that apply to this URNN, by name; those that are refused are left out."""
    m = urnn.input_size
    x = 2 * generator.standard_normal((3, m))
    constant = generator.uniform(-0.1, 0.1, m) if generator.random() < 0.7 else x[0]
    found: dict[str, int] = {}

    def attempt(name, bound):
        try:
            result = bound()
        except ArgumentError as error:
            assert str(error)
        else:
            found[name] = result.states

    attempt("A", lambda: two_step_bound(urnn, x))
    attempt("growing", lambda: growing_input_bound(urnn, x[1]))
    attempt("steady E", lambda: steady_state_bound(urnn, constant))
    attempt("steady (c)", lambda: steady_realization_bound(urnn, constant))
    if "steady E" in found:  # this URNN converges, so its limit set has one component
        attempt("steady (b)", lambda: steady_realization_bound(urnn, constant, 1))
    patterns = activation_patterns(urnn, x)
    driven = [pattern[:, None] * urnn.F for pattern in patterns[:2]]
    if np.array_equal(driven[0], driven[1]):
        attempt("B", lambda: eigenvalue_bound(urnn, x, 0))
        attempt("B, given", lambda: eigenvalue_bound(urnn, x, 0, [0.5, -0.7, 0.3 + 0.4j]))
    return found


def test_no_bound_exceeds_the_states_of_a_urnn():
    counted: dict[str, int] = {}
    tight: dict[str, int] = {}
    total = cases(3000, 120)
    for trial in range(total):
        generator = np.random.default_rng([trial, 1])
        urnn = KINDS[trial % len(KINDS)](generator)
        for name, states in every_bound(urnn, generator).items():
            assert states <= urnn.hidden_units, f"{name}, trial {trial}: {states}"
            counted[name] = counted.get(name, 0) + 1
            tight[name] = tight.get(name, 0) + (states == urnn.hidden_units)
    print(total, "URNNs; counted", counted, "tight", tight)
    # the test means something only if the bounds apply and are often attained
    assert min(counted[name] for name in ("A", "growing", "steady E", "steady (b)")) > total / 5
    assert min(tight[name] for name in ("A", "growing", "steady E", "steady (b)")) > total / 100


def moving_urnn(generator: np.random.Generator, drifts: bool) -> tuple[RNN, RNN]:
    """(rnn, urnn) with one map: the URNN has modes that rotate or drift forever, not seen by C.

    W_u = T diag(R, completion(W)) T^T with an orthogonal T among the units that stay on, R a
    rotation or 1. The outputs do not see R.
    """
    n = int(generator.integers(1, 4))
    W = generator.choice([0.25, 0.5, -0.5]) * np.eye(n)
    if generator.random() < 0.4:
        W = generator.standard_normal((n, n))
        W *= 0.8 / np.linalg.norm(W, 2)
    angle = generator.uniform(0.3, 2.8)
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]])
    R = np.eye(1) if drifts else turn
    r = len(R)
    inner = completion(W)
    extra = len(inner) - n
    T = orthogonal(generator, r + n)
    T = T * np.where(np.arange(r + n) == 0, np.sign(T[:, 0].sum()), 1)
    if drifts:  # the drift must keep the units on: its direction is positive
        first = np.ones(r + n) / np.sqrt(r + n)
        T = np.linalg.qr(np.column_stack([first, generator.standard_normal((r + n, r + n - 1))]))[0]
        T[:, 0] = first
    F = 0.01 * generator.standard_normal((r + n, n))
    C = np.hstack([np.zeros((n, r)), generator.standard_normal((n, n))])
    block = np.zeros((r + n + extra, r + n + extra))
    block[:r, :r], block[r:, r:] = R, inner
    turned = np.eye(len(block))
    turned[: r + n, : r + n] = T
    W_u = turned @ block @ turned.T
    on = W_u[: r + n, : r + n]
    level = np.full(r + n, 5.0)
    b = level - on @ level + (0.1 * T[:, 0] if drifts else 0.0)
    start = level + 0.1 * generator.standard_normal(r + n)
    urnn = RNN(
        W_u,
        np.vstack([T @ F, np.zeros((extra, n))]),
        np.append(b, np.full(extra, -1000.0)),
        np.hstack([C @ T.T, np.zeros((n, extra))]),
        np.append(start, np.zeros(extra)),
    )
    # the same map: the part that C sees, moved to where its units stay on
    hidden = T.T @ np.column_stack([b, start, level])
    offset = 10 + np.abs(hidden[r:]).max()
    c = np.full(n, offset)
    visible = RNN(
        W,
        F[r:],
        hidden[r:, 0] + c - W @ c,
        C[:, r:],
        hidden[r:, 1] + c,
    )
    return visible, urnn


@pytest.mark.parametrize("drifts", [False, True])
def test_urnns_that_move_forever_where_it_cannot_be_seen(drifts):
    tight = 0
    for trial in range(cases(400, 20)):
        generator = np.random.default_rng([trial, 2, drifts])
        rnn, urnn = moving_urnn(generator, drifts)
        x = generator.uniform(-0.5, 0.5, (60, rnn.input_size))
        difference = rnn(x) - urnn(x)
        # up to the constant C c of the move
        assert np.abs(difference - difference[0]).max() < 1e-9
        moves = urnn.states(np.zeros((400, rnn.input_size)))[-8:]
        assert np.ptp(moves, axis=0).max() > 1e-6
        bound = steady_state_bound(rnn, np.zeros(rnn.input_size)).states
        assert bound <= urnn.hidden_units
        tight += bound >= 2 * rnn.hidden_units
        assert steady_realization_bound(rnn, np.zeros(rnn.input_size)).states <= urnn.hidden_units
    assert tight > 0


@pytest.mark.parametrize("size", range(1, 9))
def test_the_witnesses_need_exactly_2n_states(size):
    generator = np.random.default_rng(size)
    bounded = bounded_witness(size, 2.0)
    assert two_step_bound(bounded, generator.uniform(-1, 1, (3, size))).states == 2 * size
    assert to_unitary(bounded, 2.0, np.inf).hidden_units == 2 * size
    for rho in (0.7, -0.3, 0.0, 0.999):
        bias = generator.standard_normal(size)
        witness = restart(scaled_identity_witness(size, rho, bias), generator.normal(size=size))
        x = 0.1 + np.abs(generator.standard_normal(size)) - bias  # x + b > 0
        bound = steady_state_bound(witness, x)
        assert (bound.states, bound.status) == (2 * size, "proved")
        assert bound.complex_states == size
        assert to_unitary(witness, 3.0, np.inf).hidden_units == 2 * size
        assert realization_bound(witness).states == 2 * size
        grown = growing_input_bound(witness, np.ones(size))
        assert (grown.states, grown.status) == (2 * size, "proved")
        assert steady_realization_bound(witness, x).states == size + 1
        assert steady_realization_bound(witness, x, 1).states == 2 * size


@quick
@given(seed=seeds, size=st.integers(1, 5))
def test_the_bounds_are_facts_of_the_map(seed, size, make_rnn):
    """They are the same after a change of the parameters that keeps the map."""
    generator = np.random.default_rng(seed)
    rnn = make_rnn(generator, size)
    rnn = RNN(rnn.W, rnn.F, 3 + np.abs(rnn.b), rnn.C)
    scaled = positive_scaling(rnn, 2.0 ** generator.integers(-1, 2, size))
    x = generator.uniform(-0.1, 0.1, 2)
    sequence = generator.standard_normal((3, 2))
    for bound, at in (
        (two_step_bound, sequence),
        (lambda rnn, at: growing_input_bound(rnn, at, 40.0), x),
        (steady_state_bound, x),
        (steady_realization_bound, x),
    ):
        try:
            expected, found = bound(rnn, at), bound(scaled, at)
        except ArgumentError:
            continue
        assert found == expected


@quick
@given(seed=seeds, size=st.integers(1, 6))
def test_the_bounds_stay_below_the_constructions(seed, size, make_rnn):
    generator = np.random.default_rng(seed)
    rnn = make_rnn(generator, size)
    states = to_unitary(rnn, 1.0).hidden_units
    assert two_step_bound(rnn, generator.uniform(-1, 1, (6, 2))).states <= states
    assert realization_bound(rnn).states <= states
    try:
        assert steady_state_bound(rnn, generator.uniform(-1, 1, 2)).states <= states
    except ArgumentError as error:
        assert "steady state" in str(error)


def test_a_minimal_realization_has_the_same_markov_parameters():
    generator = np.random.default_rng(3)
    for _ in range(20):
        n, m, p = (int(v) for v in generator.integers(1, 4, 3))
        whole = np.zeros((n + 2, n + 2))
        whole[:n, :n] = generator.integers(-3, 4, (n, n))
        whole[n, :n] = 1  # driven, but not seen
        whole[:n, n + 1] = 1  # seen, but not driven
        F = np.vstack([generator.integers(-2, 3, (n, m)), np.ones((1, m)), np.zeros((1, m))])
        C = np.hstack([generator.integers(-2, 3, (p, n)), np.zeros((p, 1)), np.ones((p, 1))])
        full = [Exact.of(part) for part in (whole, F, C)]
        small = minimal_realization(*full)
        assert len(small[0].numerators) <= n
        for _ in range(2 * n + 2):
            assert (full[2] @ full[1] - small[2] @ small[1]).is_zero()
            full[1], small = full[0] @ full[1], (small[0], small[0] @ small[1], small[2])


def test_the_limit_set_and_its_components():
    # W_min = diag(1/2, -1/2): sum over w^2 = 1 of d(w / 2) is 2, shared by two components
    rnn = RNN(np.diag([0.5, -0.5]), np.eye(2), np.ones(2), np.eye(2))
    found = [steady_realization_bound(rnn, np.zeros(2), q).states for q in (1, 2, 3)]
    assert found == [3, 3, 3]
    twice = RNN(np.diag([0.5, 0.5, -0.5, -0.5]), np.eye(4), np.ones(4), np.eye(4))
    found = [steady_realization_bound(twice, np.zeros(4), q).states for q in (1, 2, 4)]
    assert found == [6, 6, 5]
    nothing = RNN(np.zeros((2, 2)), np.eye(2), np.ones(2), np.eye(2))
    assert [steady_realization_bound(nothing, np.zeros(2), q).states for q in (1, 5)] == [4, 4]


def test_the_growing_inputs_follow_their_pattern():
    generator = np.random.default_rng(4)
    for _ in range(20):
        W = generator.standard_normal((4, 4))
        rnn = RNN(W, generator.standard_normal((4, 2)), generator.normal(size=4), np.eye(4))
        eta, zeta = generator.standard_normal(2), 1.5 * np.linalg.norm(W, 2) + 1
        bound = growing_input_bound(rnn, eta, zeta)
        x = zeta ** np.arange(60)[:, None] * eta
        on = activation_patterns(rnn, x)[-1]
        assert bound.states == realization_bound(rnn, on).states
    with pytest.raises(ArgumentError, match="growth must be above 1"):
        growing_input_bound(rnn, eta, 0.5 * np.linalg.norm(W, 2))


# ------------------------------------------------------------------------- faults that were found


def test_small_gains_do_not_raise_the_bound():
    swap = RNN([[0, 1], [1, 0]], np.diag([1e-7, 1]), [1, 1], np.diag([1, 1e-7]))
    assert two_step_bound(swap, np.ones((4, 2))).states == 2  # a URNN with 2 states; was 3


def test_eigenvalues_that_are_near_are_not_equal():
    near = RNN(np.diag([0.5, 0.5 + 1e-9, 0.5 + 2e-9]), np.eye(3), np.zeros(3), np.eye(3))
    assert realization_bound(near).states == 4  # was 6
    for scale in (1e-12, 1.0, 1e12):  # a multiplicity does not depend on the size of W
        same = RNN(scale * near.W, np.eye(3), np.zeros(3), np.eye(3))
        assert realization_bound(same).states == 4


def test_a_step_on_a_kink_is_refused():
    # relu(x) at x = 0 has no derivative; the identity of the other unit is not enough
    rnn = RNN(np.zeros((2, 2)), np.eye(2), [0.0, 1.0], np.eye(2))
    with pytest.raises(ArgumentError, match="a pre-activation is 0"):
        two_step_bound(rnn, np.zeros((3, 2)))
    with pytest.raises(ArgumentError, match="a pre-activation is 0"):
        two_step_jacobians(rnn, np.zeros((3, 2)), 0)
    with pytest.raises(ArgumentError, match="too near to tell"):  # 0 but for rounding
        two_step_bound(RNN(rnn.W, rnn.F, [-0.3, 1], rnn.C), np.full((3, 2), 0.1 + 0.2))
    assert two_step_bound(rnn, np.ones((3, 2))).states == 4
    # a step that is decided still counts
    x = np.array([[0.0, 1.0], [1.0, 1.0], [1.0, 1.0]])
    assert two_step_bound(rnn, x).states == 4
    # a unit that no input reaches is no obstacle
    idle = direct_sum(rnn, RNN([[1.0]], np.zeros((1, 2)), [0.0], np.ones((2, 1))))
    assert two_step_bound(idle, np.ones((3, 2))).states == 4


def test_bounds_are_for_real_relu_networks():
    generator = np.random.default_rng(5)
    tanh = RNN(np.eye(2) / 2, np.eye(2), np.zeros(2), np.eye(2), activation="tanh")
    complex_valued = RNN(np.eye(2) * 0.5j, np.eye(2), np.zeros(2), np.eye(2))
    x = generator.standard_normal((3, 2))
    for rnn in (tanh, complex_valued):
        for attempt in (
            lambda rnn=rnn: realization_bound(rnn),
            lambda rnn=rnn: two_step_bound(rnn, x),
            lambda rnn=rnn: eigenvalue_bound(rnn, x, 0),
            lambda rnn=rnn: growing_input_bound(rnn, x[0]),
            lambda rnn=rnn: steady_state_bound(rnn, x[0]),
            lambda rnn=rnn: steady_realization_bound(rnn, x[0]),
        ):
            with pytest.raises(ArgumentError, match="real ReLU networks"):
                attempt()


def test_what_a_steady_state_needs():
    flip = RNN([[0, 1], [1, 0]], np.eye(2), [1, 1], np.eye(2), [1.0, 3.0])
    with pytest.raises(ArgumentError, match="does not converge"):
        steady_state_bound(flip, np.zeros(2))
    with pytest.raises(ArgumentError, match="kink"):
        steady_state_bound(scaled_identity_witness(2, 0.5), np.zeros(2))
    with pytest.raises(ArgumentError, match="x must be 2 finite"):
        steady_state_bound(scaled_identity_witness(2, 0.5), [1.0])
    # two stable states: h(-1) decides, and near the unstable one nothing is claimed
    latch = RNN([[2.0, 0.0], [0.0, 0.5]], np.eye(2), [-1.0, 1.0], np.eye(2))
    assert steady_state(latch, np.zeros(2)).on.tolist() == [1]
    with pytest.raises(ArgumentError):
        steady_state(restart(latch, [3.0, 0.0]), np.zeros(2))
    with pytest.raises(ArgumentError, match="could not be proved"):
        steady_state(restart(latch, [1.0, 0.0]), np.zeros(2))


def test_a_system_like_the_paper_s_needs_5_states_on_bounded_inputs():
    generator = np.random.default_rng(6)
    W = slowly_varying_transition(generator, 4, 0.5)
    F, C = generator.standard_normal((4, 2)), generator.standard_normal((2, 4))
    rnn = RNN(W, F, (np.eye(4) - W) @ np.ones(4), C)  # all units on at x = 0
    bound = steady_realization_bound(rnn, np.zeros(2))
    assert (bound.states, bound.status) == (5, "proved")


def test_a_given_eigenvalue_may_be_complex():
    turn = 0.5 * np.kron(np.eye(2), np.array([[0.0, 1.0], [-1.0, 0.0]]))
    rnn = RNN(turn, np.eye(4), np.full(4, 5.0), np.eye(4))
    x = np.zeros((3, 4))
    assert eigenvalue_bound(rnn, x, 0).states == 6
    assert eigenvalue_bound(rnn, x, 0, [0.5j]).states == 6
    assert eigenvalue_bound(rnn, x, 0, [0.5]).states == 4
    assert steady_state_bound(rnn, np.zeros(4)).states == 6
