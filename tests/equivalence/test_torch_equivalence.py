"""A trained torch.nn.RNN in, an orthogonal one out."""

import copy
import subprocess
import sys

import numpy as np
import pytest
import torch

from urnn import RNN
from urnn.equivalence import (
    from_torch,
    network_around,
    to_torch,
    to_unitary,
    to_unitary_torch,
    unitarity_error,
)
from urnn.equivalence.torch_module import UnitaryTorchRNN


def expansive_module(layers: int = 2, spread: float = 1.0) -> torch.nn.RNN:
    """relu, 16 units, each W expansive but a contraction in hidden diagonal coordinates."""
    torch.manual_seed(0)
    module = torch.nn.RNN(3, 16, layers, nonlinearity="relu", batch_first=True).double()
    with torch.no_grad():
        for layer in range(layers):
            W = getattr(module, f"weight_hh_l{layer}")
            D = torch.exp(spread * torch.randn(16, dtype=torch.float64))
            W.mul_(0.3 / torch.linalg.matrix_norm(W, 2)).copy_(D[:, None] * W / D)
    return module


@pytest.mark.parametrize("states", ["minimal", "2n"])
def test_two_expansive_relu_layers(states):
    module = expansive_module(spread=1.6)
    assert all(np.linalg.norm(layer.W, 2) > 1 for layer in from_torch(module))
    x = 2 * torch.rand(8, 200, 3, dtype=torch.float64) - 1
    h0 = torch.rand(2, 8, 16, dtype=torch.float64)
    converted = to_unitary_torch(module, 1.0, np.inf, states, initial_bound=4.0)
    with torch.no_grad():
        expected, last = module(x, h0)
        y, last_out = converted(x, h0)
    for layer in converted.layers:
        assert isinstance(layer, torch.nn.RNN)
        assert unitarity_error(layer.weight_hh_l0.detach().numpy()) < 1e-13
    assert y.shape == expected.shape and last_out.shape == last.shape
    assert (y - expected).abs().max() <= 1e-13 * expected.abs().max()
    assert torch.allclose(last_out, last, rtol=1e-12, atol=1e-13)


def test_the_layers_of_urnn_nn_are_taken_too():
    import urnn.nn

    theirs = expansive_module()
    ours = urnn.nn.RNN(theirs.input_size, theirs.hidden_size, 2, "relu", dtype=torch.float64)
    ours.load_state_dict(theirs.state_dict())
    for mine, right in zip(from_torch(ours), from_torch(theirs), strict=True):
        assert np.array_equal(mine.W, right.W)
    with pytest.raises(ValueError, match=r"must be a torch\.nn\.RNN with relu or tanh"):
        from_torch(urnn.nn.LSTM(2, 3))


@pytest.mark.parametrize("batch_first", [True, False])
@pytest.mark.parametrize("trials", [None, 3])
@pytest.mark.parametrize("nonlinearity", ["relu", "tanh"])
def test_it_takes_the_place_of_the_module(nonlinearity, trials, batch_first):
    """Same arguments, same results, from zeros and from where it stopped."""
    torch.manual_seed(3)
    module = torch.nn.RNN(2, 5, 2, nonlinearity=nonlinearity, batch_first=batch_first).double()
    with torch.no_grad():
        for layer in range(2):
            W = getattr(module, f"weight_hh_l{layer}")
            W.mul_(0.8 / torch.linalg.matrix_norm(W, 2))
    saturation = 20.0 if nonlinearity == "tanh" else None
    converted = to_unitary_torch(module, 1.0, np.inf, saturation=saturation)
    shape = (40, 2) if trials is None else (trials, 40, 2) if batch_first else (40, trials, 2)
    x = 2 * torch.rand(shape, dtype=torch.float64) - 1
    with torch.no_grad():
        expected, h = module(x)
        y, last = converted(x)  # a tanh network called without its start was wrong by 1.07
        assert y.shape == expected.shape and last.shape == h.shape
        assert torch.allclose(y, expected, rtol=1e-12, atol=1e-13)
        again, _ = module(x, h)
        assert torch.allclose(converted(x, last)[0], again, rtol=1e-12, atol=1e-13)


def test_a_tanh_conversion_is_wrong_without_its_start_and_starts_itself():
    module = torch.nn.RNN(1, 2, batch_first=True).double()
    with torch.no_grad():
        module.weight_hh_l0.copy_(torch.tensor([[0.5, 0.3], [-0.3, 0.4]]))
    converted = to_unitary_torch(module, saturation=20.0)
    x = torch.rand(1, 10, 1, dtype=torch.float64)
    with torch.no_grad():
        unstarted = converted.layers[0](x)[0][..., :2]
        assert (unstarted - module(x)[0]).abs().max() > 0.1
        assert (converted(x)[0] - module(x)[0]).abs().max() < 1e-14


@pytest.mark.parametrize(
    ("dtype", "error"), [(torch.float64, 1e-13), (torch.float32, 1e-5), (torch.bfloat16, 0.2)]
)
def test_other_types_keep_the_extra_states_at_zero(dtype, error):
    torch.manual_seed(4)
    module = torch.nn.RNN(2, 6, nonlinearity="relu", batch_first=True)
    with torch.no_grad():
        module.weight_hh_l0.mul_(0.9 / torch.linalg.matrix_norm(module.weight_hh_l0, 2))
    converted = to_unitary_torch(module, 1.0, np.inf, dtype=dtype)
    assert {p.dtype for p in converted.parameters()} == {dtype}
    x = (2 * torch.randint(0, 2, (8, 300, 2)) - 1).to(dtype)
    with torch.no_grad():
        expected = copy.deepcopy(module).double()(x.double())[0]
        y = converted(x)[0]
        start = torch.zeros(1, 8, converted.layers[0].hidden_size, dtype=dtype)
        states = converted.layers[0](x, start)[0]
    assert y.dtype == dtype
    assert not states[..., 6:].any()
    assert (y.double() - expected.double()).abs().max() <= error * expected.abs().max()
    default = to_unitary_torch(module, 1.0, np.inf)
    assert {p.dtype for p in default.parameters()} == {torch.float32}  # that of the module


def test_the_scalar_bias_that_is_attained_holds_in_float32():
    module = torch.nn.RNN(1, 1, nonlinearity="relu", batch_first=True)
    with torch.no_grad():
        module.weight_hh_l0.fill_(0.9)
        module.weight_ih_l0.fill_(1.0)
        module.bias_ih_l0.fill_(0.5)
        module.bias_hh_l0.zero_()
    original = from_torch(module)[0]
    weight = original.W[0, 0]
    leak = np.sqrt((1 - weight) * (1 + weight))
    network = network_around(original, [[weight, leak], [leak, -weight]], 1.0)
    converted = UnitaryTorchRNN([network], 1, 1.0, 2, True, None).float()
    x = torch.ones(1, 3000, 1)
    with torch.no_grad():
        assert torch.equal(converted(x)[0], module(x)[0])


def test_the_state_dict_and_the_gradient():
    module = expansive_module()
    first = to_unitary_torch(module, 1.0, np.inf)
    second = to_unitary_torch(expansive_module(spread=0.9), 1.0, np.inf)
    x = torch.rand(2, 20, 3, dtype=torch.float64, requires_grad=True)
    second.load_state_dict(first.state_dict())
    assert torch.equal(first(x)[0], second(x)[0])
    first(x)[0].sum().backward()
    expected = torch.autograd.grad(module(x)[0].sum(), x)[0]
    assert torch.allclose(x.grad, expected, rtol=1e-10, atol=1e-12)
    assert all(p.grad is not None for p in first.layers.parameters())


def test_the_guard_raises_or_counts():
    module = expansive_module()
    x = torch.ones(2, 20, 3, dtype=torch.float64)
    x[1, 3, 0], x[0, 5, 1] = 1.5, torch.nan
    counting = to_unitary_torch(module, 1.0, np.inf, guard="count")
    counting(x)
    counting(x)
    assert int(counting.left_bound) == 4
    assert int(counting.state_dict()["left_bound"]) == 4
    raising = to_unitary_torch(module, 1.0, np.inf, guard="raise")
    raising(torch.ones(2, 20, 3, dtype=torch.float64))
    with pytest.raises(ValueError, match="2 input vectors are outside the bound 1"):
        raising(x)
    silent = to_unitary_torch(module, 1.0, np.inf)
    silent(x)
    assert int(silent.left_bound) == 0
    with pytest.raises(ValueError, match="guard must be"):
        to_unitary_torch(module, 1.0, np.inf, guard="warn")


def test_a_module_that_was_trained_in_float32_with_an_orthogonal_w():
    torch.manual_seed(5)
    module = torch.nn.RNN(2, 16, nonlinearity="relu", batch_first=True)
    with torch.no_grad():
        torch.nn.init.orthogonal_(module.weight_hh_l0).mul_(1 + 1.2e-7)
    with pytest.raises(ValueError, match="project=True"):
        to_unitary_torch(module, 1.0, horizon=50)
    converted = to_unitary_torch(module, 1.0, horizon=50, project=True)
    assert converted.layers[0].hidden_size == 16
    x = torch.rand(3, 50, 2) / 2
    assert torch.allclose(converted(x)[0], module(x)[0], rtol=1e-3, atol=1e-4)


def test_the_layer_above_a_projected_one_reads_its_states():
    """They grow without bound, which those of the original, with 1 - 5e-6 in W, do not."""
    module = torch.nn.RNN(1, 2, 2, nonlinearity="relu", batch_first=True).double()
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.fill_(0.5)
        module.weight_hh_l0.copy_((1 - 5e-6) * torch.eye(2))
        module.weight_hh_l1.copy_(torch.tensor([[0.5, 0.3], [-0.3, 0.4]]))
    with pytest.raises(ValueError, match=r"layer 1: .*bound on the inputs"):
        to_unitary_torch(module, 1.0, project=True, rescale=False)
    converted = to_unitary_torch(module, 1.0, horizon=100, project=True, rescale=False)
    assert converted.layers[0].hidden_size == 2
    x = torch.ones(1, 100, 1, dtype=torch.float64)
    assert torch.allclose(converted(x)[0], module(x)[0], rtol=1e-3)


@pytest.mark.parametrize(
    "bad",
    [
        torch.nn.GRU(2, 2),
        torch.nn.LSTM(2, 2),
        torch.nn.RNNCell(2, 2),
        torch.nn.Linear(2, 2),
        [1, 2],
        None,
        RNN([[0.5]], [[1]], [0], [[1]]),
    ],
    ids=lambda bad: type(bad).__name__,
)
def test_what_is_no_plain_recurrent_module(bad):
    for attempt in (from_torch, to_unitary_torch):
        with pytest.raises(ValueError, match="the module must be a torch"):
            attempt(bad)
    for layers in ([], [bad], None, 3):
        if not isinstance(bad, RNN):
            with pytest.raises(ValueError, match="layers must be"):
                to_torch(layers)


def test_inputs_that_do_not_fit():
    converted = to_unitary_torch(expansive_module(), 1.0, np.inf)
    packed = torch.nn.utils.rnn.pack_sequence([torch.ones(4, 3), torch.ones(2, 3)])
    for x in (torch.ones(4, 2), torch.ones(3), packed, np.ones((4, 3))):
        with pytest.raises(ValueError, match="input must be a tensor"):
            converted(x)
    with pytest.raises(ValueError, match="hx must have the shape"):
        converted(torch.ones(2, 4, 3).double(), torch.zeros(1, 2, 16).double())
    with pytest.raises(ValueError, match="no complex states"):
        to_unitary_torch(expansive_module(), 1.0, states="complex")


def test_the_second_layer_is_bounded_by_the_states_of_the_first():
    torch.manual_seed(2)
    module = torch.nn.RNN(1, 6, 2, nonlinearity="relu", batch_first=True).double()
    with torch.no_grad():
        for layer in range(2):
            W = getattr(module, f"weight_hh_l{layer}")
            W.mul_(0.2 / torch.linalg.matrix_norm(W, 2))
    layers = from_torch(module)
    # the largest input of layer 1 that occurs: a bias below what it asks for would not be proved
    signs = np.random.default_rng(0).choice([-1.0, 1.0], (500, 20, 1))
    reached = np.linalg.norm(layers[0].states(signs), axis=-1).max()
    needed = to_unitary(layers[1], reached, states="2n").b
    bias = to_unitary_torch(module, 1.0, np.inf, "2n").networks[1].b
    assert (needed[6:] < 0).any()
    assert (bias[6:] <= needed[6:]).all()


def test_an_expansive_module_without_rescaling_is_refused_by_layer():
    module = expansive_module()
    with pytest.raises(ValueError, match=r"layer 0: W is expansive"):
        to_unitary_torch(module, 1.0, rescale=False)
    with pytest.raises(ValueError, match=r"layer 0: .*input_bound"):
        to_unitary_torch(module)


def test_default_tanh_converts_to_roundoff_and_not_below():
    torch.manual_seed(1)
    module = torch.nn.RNN(3, 16, 2, batch_first=True).double()
    with torch.no_grad():
        for layer in range(2):
            W = getattr(module, f"weight_hh_l{layer}")
            W.mul_(0.95 / torch.linalg.matrix_norm(W, 2))
    x = 5 * torch.randn(4, 200, 3, dtype=torch.float64)
    errors = []
    for saturation in (5.0, 10.0, 20.0):
        converted = to_unitary_torch(module, saturation=saturation)
        with torch.no_grad():
            errors.append(float((converted(x)[0] - module(x)[0]).abs().max()))
    assert errors[0] < 1e-3
    assert 1e-12 < errors[1] < 1e-7
    assert errors[2] < 1e-13
    with pytest.raises(ValueError, match="saturation"):
        to_unitary_torch(module, 1.0)


def test_a_round_trip_and_what_torch_cannot_hold():
    module = expansive_module()
    layers = from_torch(module)
    back = to_torch(layers, batch_first=True)
    x = torch.rand(2, 30, 3, dtype=torch.float64)
    with torch.no_grad():
        assert torch.allclose(back(x)[0], module(x)[0], rtol=1e-13, atol=1e-14)
        y = module(x)[0].numpy()
    assert layers[1](layers[0](x.numpy())) == pytest.approx(y, rel=1e-12, abs=1e-13)
    with pytest.raises(ValueError, match="relu or tanh"):
        to_torch(RNN([[0.5]], [[1]], [0], [[1]], activation="sigmoid"))
    with pytest.raises(ValueError, match="same number of states"):
        to_torch([layers[0], RNN([[0.5]], np.ones((1, 16)), [0], [[1]])])
    with pytest.raises(ValueError, match="bidirectional"):
        from_torch(torch.nn.RNN(2, 2, bidirectional=True))


def test_without_biases():
    module = torch.nn.RNN(2, 3, nonlinearity="relu", bias=False)
    assert not from_torch(module)[0].b.any()


def test_the_theorems_load_no_torch():
    code = "import sys, urnn.equivalence; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_parametrized_weight() -> None:
    torch.manual_seed(0)
    module = torch.nn.utils.parametrizations.orthogonal(torch.nn.RNN(2, 3), "weight_hh_l0")
    unitary = to_unitary_torch(module, 1.0, saturation=20.0, project=True)
    x = torch.rand(20, 4, 2) / 2
    torch.testing.assert_close(unitary(x)[0], module(x)[0], rtol=0, atol=1e-5)
