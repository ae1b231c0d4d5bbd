"""The verdict for whole networks: equal, near with a bound, or approximated with a stated error."""

import json

import numpy as np
import pytest
import torch

from tests.equivalence.full import cases
from urnn import RNN
from urnn.equivalence import (
    UnitaryTorchRNN,
    convert_network,
    from_torch,
    projection_error_bound,
    random_inputs,
    unitarity_error,
)
from urnn.equivalence.nearest_network import clipped, outputs
from urnn.errors import ArgumentError, DataError


def network(seed, units=8, layers=1, gain=0.5, nonlinearity="relu", dtype=torch.float64, spread=0):
    """A torch.nn.RNN whose W have ||W||_2 = gain in diagonal coordinates of that spread."""
    torch.manual_seed(seed)
    module = torch.nn.RNN(
        2, units, layers, nonlinearity=nonlinearity, batch_first=True, dtype=dtype
    )
    with torch.no_grad():
        for layer in range(layers):
            W = module.get_parameter(f"weight_hh_l{layer}")
            torch.nn.init.normal_(W)
            D = torch.exp(spread * torch.randn(units, dtype=dtype))
            W.mul_(gain / torch.linalg.matrix_norm(W, 2)).copy_(D[:, None] * W / D)
    return module


def orthogonal(seed, units=16, layers=1, nonlinearity="relu"):
    """float32, W orthogonal to its rounding, some singular values above 1."""
    module = network(seed, units, layers, 1.0, nonlinearity, torch.float32)
    with torch.no_grad():
        for layer in range(layers):
            W = module.get_parameter(f"weight_hh_l{layer}")
            torch.nn.init.orthogonal_(W).mul_(1 + 1.2e-7)
    return module


def run(module, x):
    with torch.no_grad():
        return module(torch.tensor(x))[0].numpy()


@pytest.mark.parametrize("part", range(10))
def test_two_hundred_contractive_networks_over_two_thousand_steps(part):
    for trial in range(20):
        generator = np.random.default_rng([part, trial])
        nonlinearity = "tanh" if trial % 4 == 3 else "relu"
        units, layers = int(generator.integers(1, 41)), int(generator.integers(1, 4))
        gain, norm = generator.uniform(0.05, 0.99), (2, np.inf)[trial % 2]
        module = network(100 * part + trial, units, layers, gain, nonlinearity)
        conversion = convert_network(from_torch(module), 1.5, norm, steps=2)
        ways = {layer.way for layer in conversion.layers}
        assert conversion.convertible
        assert ways == ({"equal"} if nonlinearity == "relu" else {"saturated"})
        assert all(unitarity_error(layer.unitary.W) < 1e-12 for layer in conversion.layers)
        x = random_inputs(2, 1.5, norm, 2, 2000, trial)
        y = run(module, x)
        assert np.abs(run(conversion.module(), x) - y).max() <= 1e-10 * max(1, np.abs(y).max())
        assert nonlinearity == "tanh" or conversion.error_bound == 0


def test_expansive_layers_are_scaled():
    module = network(0, 8, 2, 0.5, spread=1.5)
    conversion = convert_network(from_torch(module), 1.0, np.inf, steps=500)
    assert [layer.way for layer in conversion.layers] == ["scaled", "scaled"]
    assert all(diagnosis.norm > 1 > diagnosis.scaling.norm for diagnosis in conversion.diagnoses)
    assert conversion.convertible and conversion.error_bound == 0
    assert conversion.random.relative_rmse < 1e-13
    x = random_inputs(2, 1.0, np.inf, 3, 500, 7)
    np.testing.assert_allclose(run(conversion.module(), x), run(module, x), rtol=1e-11, atol=1e-12)


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("nonlinearity", ["relu", "tanh"])
def test_orthogonal_networks_of_float32_are_accepted(nonlinearity, layers):
    module = orthogonal(1, layers=layers, nonlinearity=nonlinearity)
    conversion = convert_network(from_torch(module), 1.0, steps=200)
    assert [layer.way for layer in conversion.layers] == ["projected"] * layers
    assert [layer.unitary.hidden_units for layer in conversion.layers] == [16] * layers
    x = random_inputs(2, 1.0, 2, 8, 200, 5)
    found, expected = run(conversion.module(), x), run(module.double(), x)
    error = np.linalg.norm(found - expected, axis=-1).max()
    assert 0 < error <= conversion.error_bound < np.inf
    assert error < 1e-5
    if layers == 1:
        bound = projection_error_bound(from_torch(module)[0], 1.0, 2, 200)
        assert conversion.error_bound == bound
    longer = convert_network(from_torch(module), 1.0, horizon=300, steps=200)
    assert longer.error_bound > conversion.error_bound and longer.random.steps == 200


def test_the_error_bound_is_that_of_the_outputs():
    C = np.random.default_rng(1).standard_normal((2, 16))
    plain = from_torch(orthogonal(1))[0].replace(C=C, d=np.zeros(2))
    one, many = (
        convert_network([plain.replace(C=scale * C)], 1.0, steps=200) for scale in (1, 1000)
    )
    assert many.error_bound == pytest.approx(1000 * one.error_bound)
    assert 0 < many.random.largest <= many.error_bound


def test_the_error_bound_holds_where_one_layer_passes_its_error_on():
    """An orthogonal layer under a contractive one, with inputs at the bound."""
    first, second = from_torch(orthogonal(2)), from_torch(network(3, 16, 2, 0.9))[1:]
    conversion = convert_network([*first, *second], 1.0, horizon=100)
    assert [layer.way for layer in conversion.layers] == ["projected", "equal"]
    gain = np.linalg.norm(second[0].F, 2) * (1 - 0.9**100) / (1 - 0.9)
    assert conversion.error_bound == pytest.approx(gain * conversion.layers[0].error_bound)
    assert 0 < conversion.random.largest <= conversion.error_bound


def test_a_layer_that_bounds_no_states_for_all_times_asks_for_a_horizon():
    layers = [*from_torch(orthogonal(2)), *from_torch(network(3, 16, 2, 0.9))[1:]]
    with pytest.raises(ArgumentError, match=r"layer 1: no bound on .* layer 0 .*horizon"):
        convert_network(layers, 1.0)
    with pytest.raises(ArgumentError, match=r"layer 1: .*give input_bound"):
        convert_network(layers)
    with pytest.raises(ArgumentError, match=r"layer 0: .*give input_bound"):
        convert_network(from_torch(network(0)))
    with pytest.raises(ArgumentError, match=r"layer 0: .*A network near it is for bounded inputs"):
        convert_network(from_torch(network(0, gain=2.0)))


@pytest.mark.parametrize("nonlinearity", ["relu", "tanh"])
def test_a_w_that_was_clipped_in_float32(nonlinearity):
    generator = np.random.default_rng(1)
    left, singular, right = np.linalg.svd(generator.standard_normal((16, 16)) * 1.5 / 4)
    W = ((left * np.minimum(singular, 1)) @ right).astype(np.float32) * (1 + 1e-7)
    F, b = generator.standard_normal((16, 2)), 0.1 * generator.standard_normal(16)
    rnn = RNN(W, F, b, np.eye(16), activation=nonlinearity)
    conversion = convert_network([rnn], 1.0, horizon=300)
    unit = conversion.layers[0]
    assert unit.way == {"relu": "projected", "tanh": "projected, saturated"}[nonlinearity]
    assert unit.unitary.hidden_units == 32 - (singular >= 1).sum()
    assert 0 < conversion.random.largest <= conversion.error_bound < 1
    if nonlinearity == "relu":
        forever = convert_network([rnn], 1.0, steps=100, iterations=0)
        assert "with a horizon, for a finite number of steps" in forever.reason
        assert forever.random.relative_rmse < 0.1


@pytest.mark.parametrize(
    ("nonlinearity", "layers", "readout"),
    [("relu", 1, True), ("relu", 2, False), ("tanh", 1, True), ("relu", 1, False)],
)
def test_the_stated_error_of_an_approximation_is_what_it_does(nonlinearity, layers, readout):
    module = network(0, 6, layers, 1.35, nonlinearity)
    linear = torch.nn.Linear(6, 2, dtype=torch.float64)
    given = {**module.state_dict(), "fc.weight": linear.weight, "fc.bias": linear.bias}
    originals = from_torch(given if readout else module, nonlinearity, "fc" if readout else None)
    conversion = convert_network(originals, 1.0, np.inf, steps=400, iterations=40, seed=3)
    assert not conversion.convertible and conversion.error_bound is None
    assert conversion.reason.startswith("layer 0: W")
    assert all(np.linalg.norm(layer.W, 2) <= 0.999 + 1e-12 for layer in conversion.nearest)
    # by torch, from the weights of the module
    x = random_inputs(2, 1.0, np.inf, 16, 400, 3)
    found = conversion.module()
    y, near = run(module, x), run(found, x)
    if readout:
        y, near = (
            net(torch.tensor(states)).detach().numpy()
            for net, states in ((linear, y), (found.readout, near))
        )
    stated = conversion.random
    assert np.abs(near - y).max() == pytest.approx(stated.largest, rel=1e-9)
    rmse = np.sqrt(np.mean((near - y) ** 2) / np.mean(y**2))
    assert rmse == pytest.approx(stated.relative_rmse, rel=1e-9)
    assert np.abs(y).max() == pytest.approx(stated.largest_output, rel=1e-9)
    # the fit is of use: measured, the error falls to less than 0.8 of that of clipping
    assert stated.relative_rmse < 0.8 * conversion.clipped.relative_rmse
    # and the unitary network is that of the contractive one
    np.testing.assert_allclose(near, outputs(conversion.nearest, x), rtol=1e-10, atol=1e-11)


@pytest.mark.parametrize("trial", range(cases(12, 1)))
def test_refitting_gaussian_networks(trial):
    """The numbers of docs/theorems.md, Networks of torch; the last four are tanh."""
    nonlinearity = "relu" if trial < 8 else "tanh"
    generator = np.random.default_rng([trial, 4])
    n = (8, 16, 24)[trial % 3]
    rnn = RNN(
        generator.standard_normal((n, n)) / np.sqrt(n) * (0.8 if trial < 8 else 1.2),
        generator.standard_normal((n, 2)) / np.sqrt(2),
        0.3 * generator.standard_normal(n),
        generator.standard_normal((2, n)) / np.sqrt(n),
        activation=nonlinearity,
        d=generator.standard_normal(2),
    )
    conversion = convert_network([rnn], 1.0, np.inf, steps=500)
    assert not conversion.convertible
    ratio = conversion.random.relative_rmse / conversion.clipped.relative_rmse
    assert ratio < (0.6 if nonlinearity == "relu" else 0.8)


def test_an_unstable_network_is_measured_up_to_where_it_overflows():
    rnn = RNN([[3.0]], [[1.0]], [1.0], [[1.0]])
    conversion = convert_network([rnn], 1.0, iterations=20)
    assert conversion.random.steps < 2000
    assert conversion.random.relative_rmse == pytest.approx(1, abs=0.01)
    still = convert_network([RNN([[3.0]], [[1.0]], [-9.0], [[1.0]])], 1.0, iterations=20)
    assert still.random.largest == 0  # it never fires


def test_a_network_of_numpy_keeps_h_init_and_d_and_has_no_module():
    generator = np.random.default_rng(0)
    W = generator.standard_normal((5, 5))
    rnn = RNN(
        W * 1.4 / np.linalg.norm(W, 2),
        generator.standard_normal((5, 2)),
        generator.standard_normal(5),
        generator.standard_normal((3, 5)),
        generator.uniform(0, 1, 5),
        d=[1.0, 2.0, 3.0],
    )
    for gain, error in ((0.5, 1e-13), (1.0, 0.5)):
        conversion = convert_network([rnn.replace(W=gain * rnn.W)], 1.0, steps=200, iterations=40)
        unitary = conversion.networks[-1]
        assert conversion.convertible == (gain == 0.5)
        assert unitary.output_size == 3 and unitarity_error(unitary.W) < 1e-12
        assert conversion.random.relative_rmse < error
        with pytest.raises(ArgumentError, match="starts at h"):
            conversion.module()
    plain = convert_network([rnn.replace(W=0.5 * rnn.W)], 1.0)
    assert np.array_equal(plain.networks[0].d, rnn.d)


def test_the_clipped_network_is_in_the_best_diagonal_coordinates():
    layer = from_torch(network(0, 8, 1, 1.6, spread=1.5))[0]
    near = clipped(layer)
    singular = np.linalg.svd(near.W, compute_uv=False)
    assert singular[0] == pytest.approx(0.999) and np.array_equal(near.d, layer.d)
    scale = near.F[:, 0] / layer.F[:, 0]
    assert np.ptp(scale) > 0.1
    contractive = from_torch(network(0))[0]
    assert clipped(contractive) is contractive


@pytest.mark.parametrize("norm", [2, np.inf])
def test_the_random_inputs_are_within_the_bound_and_reach_it(norm):
    x = random_inputs(3, 1.5, norm, 8, 50, 0)
    sizes = np.linalg.norm(x, norm, axis=-1)
    assert x.shape == (8, 50, 3) and sizes.max() <= 1.5 * (1 + 1e-12)
    assert sizes[1] == pytest.approx(1.5) and sizes[0].min() < 1
    assert (x[3] == x[3, 0]).all()
    assert np.array_equal(x, random_inputs(3, 1.5, norm, 8, 50, 0))


def test_the_deviation_on_given_inputs():
    module = network(0)
    record = np.random.default_rng(0).uniform(-0.5, 0.5, (40, 2))
    conversion = convert_network(from_torch(module), 1.0, inputs=record, steps=20)
    assert (conversion.given.trials, conversion.given.steps) == (1, 40)
    assert conversion.given.largest < 1e-14
    cut = convert_network(from_torch(module), 1.0, inputs=record[None], horizon=30)
    assert cut.given.steps == 30
    for wrong, words in (
        (np.ones((5, 3)), "inputs must have the shape"),
        (np.ones(5), "inputs must have the shape"),
        ([["a"]], "array of numbers"),
        ([[1.0, np.nan]], "NaN"),
    ):
        with pytest.raises(ArgumentError, match=words):
            convert_network(from_torch(module), 1.0, inputs=wrong)


def test_layers_that_do_not_fit_together_are_refused():
    first = RNN(np.eye(2) / 2, np.ones((2, 3)), np.zeros(2), np.eye(2))
    tanh = RNN(np.eye(2) / 2, np.eye(2), np.zeros(2), np.eye(2), activation="tanh")
    for layers, words in (
        ([], "at least one"),
        ([first, "second"], "list of urnn.RNN"),
        ([first, tanh], "one activation"),
        ([first, first], "layer 1 has 3 inputs, but layer 0 has 2 outputs"),
        ([first.replace(W=first.W + 0j)], "only real networks"),
        ([RNN([[0.5]], [[1]], [0], [[1]], activation="sigmoid")], "only real networks"),
    ):
        with pytest.raises(ArgumentError, match=words):
            convert_network(layers, 1.0)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
@pytest.mark.parametrize("nonlinearity", ["relu", "tanh"])
def test_a_module_is_saved_and_loaded(nonlinearity, dtype, tmp_path):
    module = network(0, 5, 2, 0.9, nonlinearity, spread=0.2 if nonlinearity == "relu" else 0)
    linear = torch.nn.Linear(5, 2, dtype=torch.float64)
    given = {**module.state_dict(), "fc.weight": linear.weight, "fc.bias": linear.bias}
    conversion = convert_network(from_torch(given, nonlinearity, "fc"), 1.0, np.inf, steps=2)
    first = conversion.module(guard="count").to(dtype)
    path = tmp_path / "unitary.pt"
    first.save(path)
    second = UnitaryTorchRNN.load(path)
    x = torch.tensor(2 * random_inputs(2, 1.0, np.inf, 3, 50, 0)).to(dtype)
    with torch.no_grad():
        y, again = (m.readout(m(x)[0]) for m in (first, second))
    assert y.dtype == dtype and torch.equal(y, again)
    assert second.left_bound > 0 and (second.norm, second.input_bound) == (np.inf, 1.0)
    values = torch.load(path, weights_only=True)["state_dict"]
    assert set(values) == set(first.state_dict())
    for name in ("W", "F", "b", "C", "h_init"):
        ours, theirs = (getattr(m.networks[1], name) for m in (first, second))
        np.testing.assert_allclose(theirs, ours, rtol=1e-3, atol=1e-6)


def test_a_file_of_another_kind_is_no_module(tmp_path):
    path = tmp_path / "other.pt"
    for content in ({"a": 1}, network(0).state_dict(), {"state_dict": 3, "nonlinearity": "relu"}):
        torch.save(content, path)
        with pytest.raises(DataError, match=r"other.pt is not what UnitaryTorchRNN.save wrote"):
            UnitaryTorchRNN.load(path)
    with pytest.raises(DataError, match="does not exist"):
        UnitaryTorchRNN.load(tmp_path / "missing.pt")


def test_everything_of_a_conversion_is_plain_data():
    conversion = convert_network(from_torch(network(0)), 1.0, steps=10)
    assert json.dumps(vars(conversion.random))


@pytest.mark.parametrize("seed", range(3))
def test_a_start_of_the_layer_below_is_in_the_bound_of_the_next(seed: int) -> None:
    A = np.random.default_rng(seed).standard_normal((2, 2))
    below = RNN(0.5 * np.eye(2), np.eye(2), np.zeros(2), np.eye(2), h_init=[0, 100])
    above = RNN(0.9 * A / np.linalg.norm(A, 2), np.eye(2), np.zeros(2), np.eye(2))
    conversion = convert_network([below, above], 1.0, steps=50)
    assert conversion.error_bound == 0
    assert conversion.random.largest <= 1e-11


def test_a_long_horizon_is_bounded_and_measured_on_some_of_it() -> None:
    rnn = RNN([[1.0]], [[1.0]], [0.0], [[1.0]])
    conversion = convert_network([rnn], 1.0, horizon=10**9, steps=50)
    assert conversion.convertible and conversion.plan.steps == 10**9
    assert conversion.plan.measured == conversion.random.steps == 50


def test_outputs_of_0_have_no_relative_error() -> None:
    rnn = RNN([[0.5]], [[1.0]], [0.0], [[1.0]], activation="tanh")
    conversion = convert_network([rnn], inputs=np.zeros((30, 1)), steps=20)
    assert conversion.given is not None and conversion.given.largest_output == 0
    assert conversion.given.relative_rmse == 0 or np.isnan(conversion.given.relative_rmse)
