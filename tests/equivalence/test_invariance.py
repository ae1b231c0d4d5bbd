"""Identities of the map, as properties of random systems."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from urnn import RNN
from urnn.equivalence import (
    centred_chain,
    delay_chain,
    direct_sum,
    homogeneity,
    permutation,
    positive_scaling,
    restart,
    saturated_pair,
    saturated_unitary,
    scalar_witness,
    sign_flips,
    similarity,
    state_splitting,
    steady_state_bound,
    to_torch,
    to_unitary,
    two_step_bound,
)

quick = settings(max_examples=40, deadline=None)
seeds = st.integers(0, 2**32 - 1)
sizes = st.integers(1, 8)
homogeneous = st.sampled_from(["relu", "identity", "modrelu"])
anything = st.sampled_from(["relu", "identity", "modrelu", "tanh", "sigmoid"])


def inputs(generator: np.random.Generator) -> np.ndarray:
    return generator.uniform(-1, 1, (3, 50, 2))


def assert_same(y: np.ndarray, expected: np.ndarray, rounding: float = 1e-13) -> None:
    assert np.abs(y - expected).max() <= rounding * max(np.abs(expected).max(), 1e-300)


@quick
@given(seed=seeds, size=sizes)
def test_similarity_of_a_linear_network(seed, size, make_rnn):
    generator = np.random.default_rng(seed)
    rnn = make_rnn(generator, size, activation="identity")
    T = np.linalg.qr(generator.standard_normal((size, size)))[0]
    T = T * np.exp(generator.uniform(-1, 1, size))
    x = inputs(generator)
    assert_same(similarity(rnn, T)(x), rnn(x))


@quick
@given(seed=seeds, size=sizes, activation=anything)
def test_permutation(seed, size, activation, make_rnn):
    generator = np.random.default_rng(seed)
    rnn = make_rnn(generator, size, activation=activation)
    order = generator.permutation(size)
    x = inputs(generator)
    permuted = permutation(rnn, order)
    assert_same(permuted(x), rnn(x))
    assert_same(permuted.states(x), rnn.states(x)[..., order])


@quick
@given(seed=seeds, size=sizes, activation=homogeneous)
def test_positive_scaling(seed, size, activation, make_rnn):
    generator = np.random.default_rng(seed)
    rnn = make_rnn(generator, size, activation=activation)
    x = inputs(generator)
    scale = np.exp(generator.uniform(-6, 6, size))
    assert_same(positive_scaling(rnn, scale)(x), rnn(x))
    assert_same(positive_scaling(rnn, scale).states(x), scale * rnn.states(x))
    powers = 2.0 ** generator.integers(-20, 21, size)
    if activation == "relu":
        assert np.array_equal(positive_scaling(rnn, powers)(x), rnn(x))


@quick
@given(seed=seeds, size=sizes, kind=st.sampled_from(["relu", "modrelu"]))
def test_positive_scaling_of_a_complex_network(seed, size, kind, make_rnn):
    generator = np.random.default_rng(seed)
    rnn = make_rnn(generator, size, activation=kind, kind="complex")
    x = inputs(generator)
    assert_same(positive_scaling(rnn, np.exp(generator.uniform(-3, 3, size)))(x), rnn(x))


@quick
@given(seed=seeds, size=sizes, activation=homogeneous, factor=st.floats(1e-3, 1e3))
def test_homogeneity(seed, size, activation, factor, make_rnn):
    generator = np.random.default_rng(seed)
    rnn = make_rnn(generator, size, activation=activation)
    x = inputs(generator)
    assert_same(homogeneity(rnn, factor)(factor * x), factor * rnn(x))


@quick
@given(seed=seeds, size=sizes, activation=homogeneous, angle=st.floats(0.01, 1.56))
def test_splitting_a_state(seed, size, activation, angle, make_rnn):
    generator = np.random.default_rng(seed)
    rnn = make_rnn(generator, size, activation=activation)
    x = inputs(generator)
    split = state_splitting(rnn, int(generator.integers(size)), angle)
    assert split.hidden_units == size + 1
    # modReLU at a kink amplifies rounding; the other activations are Lipschitz with constant 1
    assert_same(split(x), rnn(x), 1e-12)
    assert np.linalg.norm(split.W, 2) == pytest.approx(np.linalg.norm(rnn.W, 2))


@quick
@given(seed=seeds, size=sizes)
def test_sign_flips_of_tanh(seed, size, make_rnn):
    generator = np.random.default_rng(seed)
    rnn = make_rnn(generator, size, activation="tanh")
    x = inputs(generator)
    flipped = sign_flips(rnn, generator.choice([-1.0, 1.0], size))
    assert_same(flipped(x), rnn(x))


@quick
@given(seed=seeds, size=sizes, other=sizes, activation=anything)
def test_direct_sum(seed, size, other, activation, make_rnn):
    generator = np.random.default_rng(seed)
    first = make_rnn(generator, size, activation=activation)
    second = make_rnn(generator, other, activation=activation)
    x = inputs(generator)
    scale = np.abs(first(x)).max() + np.abs(second(x)).max()
    assert np.abs(direct_sum(first, second)(x) - first(x) - second(x)).max() <= 1e-13 * scale


@quick
@given(seed=seeds, size=sizes, activation=anything, split=st.integers(1, 49))
def test_carrying_the_state_on(seed, size, activation, split, make_rnn):
    generator = np.random.default_rng(seed)
    rnn = make_rnn(generator, size, activation=activation)
    x = inputs(generator)[0]
    later = restart(rnn, rnn.states(x)[split - 1])
    assert_same(later(x[split:]), rnn(x)[split:])


@quick
@given(seed=seeds, size=sizes)
def test_conversion_commutes_with_scaling(seed, size, make_rnn):
    generator = np.random.default_rng(seed)
    rnn = make_rnn(generator, size)
    scale = np.exp(generator.uniform(-0.04, 0.04, size))  # ||W|| stays below 1
    x = inputs(generator)
    y = to_unitary(positive_scaling(rnn, scale), 1.0, np.inf)(x)
    assert_same(y, to_unitary(rnn, 1.0, np.inf)(x))
    given_scale = to_unitary(rnn, 1.0, np.inf, scale=scale)
    assert_same(given_scale(x), rnn(x))
    assert not given_scale.states(x)[..., size:].any()


def test_identities_that_do_not_hold_are_refused_and_do_not_hold():
    generator = np.random.default_rng(0)
    W = 0.5 * np.linalg.qr(generator.standard_normal((3, 3)))[0]
    F, b, C = generator.standard_normal((3, 2)), generator.standard_normal(3), np.ones((1, 3))
    nets = {a: RNN(W, F, b, C, activation=a) for a in ("relu", "tanh", "sigmoid")}
    with pytest.raises(ValueError, match="similarity"):
        similarity(nets["relu"], np.eye(3))
    for activation in ("tanh", "sigmoid"):
        with pytest.raises(ValueError, match="positive scaling"):
            positive_scaling(nets[activation], np.ones(3))
        with pytest.raises(ValueError, match="homogeneity"):
            homogeneity(nets[activation], 2.0)
    for activation in ("relu", "sigmoid"):
        with pytest.raises(ValueError, match="sign flip"):
            sign_flips(nets[activation], np.ones(3))
    x = inputs(generator)
    S = np.diag([1.0, -1.0, 1.0])
    for activation in ("relu", "sigmoid"):
        flipped = RNN(S @ W @ S, S @ F, S @ b, C @ S, activation=activation)
        assert np.abs(flipped(x) - nets[activation](x)).max() > 0.01
    with pytest.raises(ValueError, match="positive finite"):
        positive_scaling(nets["relu"], [1.0, -1.0, 1.0])
    with pytest.raises(ValueError, match="permutation"):
        permutation(nets["relu"], [0, 0, 1])


def test_the_near_and_the_finite_equivalents_have_the_same_d(make_rnn):
    generator = np.random.default_rng(0)
    x = inputs(generator)
    tanh = make_rnn(generator, 4, activation="tanh")
    assert_same(saturated_unitary(tanh, 20.0)(x), tanh(x), 1e-12)
    assert_same(delay_chain(tanh, 50)(x), tanh(x))
    scalar = scalar_witness().replace(d=[2.0])
    for near in (saturated_pair(scalar, 40.0), centred_chain(scalar, 20)):
        assert_same(near(x[..., :1]), scalar(x[..., :1]), 1e-9)


def test_a_layer_of_torch_reads_c_h_and_d_of_the_one_before(make_rnn):
    generator = np.random.default_rng(1)
    first, second = (make_rnn(generator, 3, start=0.0) for _ in range(2))
    x = inputs(generator)
    states = to_torch([first, second], batch_first=True)(torch.tensor(x))[0].detach().numpy()
    assert_same(states, second.states(first(x)))


@pytest.mark.parametrize("bound", [two_step_bound, steady_state_bound])
def test_the_lower_bounds_do_not_depend_on_d(bound, make_rnn):
    """Any d of the URNN is allowed, and so is any of the network: they are of differences."""
    rnn = make_rnn(np.random.default_rng(2), 3, start=0.0)
    x = np.ones((3, 2)) if bound is two_step_bound else np.ones(2)
    assert bound(rnn, x) == bound(rnn.replace(d=[5.0, 5.0]), x)
