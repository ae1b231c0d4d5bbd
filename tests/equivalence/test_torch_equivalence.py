"""A trained torch.nn.RNN in, an orthogonal one out."""

import subprocess
import sys

import numpy as np
import pytest
import torch

from urnn import RNN
from urnn.equivalence import from_torch, to_torch, to_unitary, to_unitary_torch, unitarity_error


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
        states_out, last_out = converted.rnn(x, converted.lift(h0))
        y = converted.readout(states_out)
    assert isinstance(converted.rnn, torch.nn.RNN)
    for layer in range(2):
        assert (
            unitarity_error(getattr(converted.rnn, f"weight_hh_l{layer}").detach().numpy()) < 1e-13
        )
    assert (y - expected).abs().max() <= 1e-13 * expected.abs().max()
    assert not states_out[..., 16:].any()
    scales = torch.as_tensor(converted.scales)[:, None]
    assert torch.allclose(last_out[..., :16] / scales, last, rtol=1e-12, atol=1e-13)


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
    bias = to_unitary_torch(module, 1.0, np.inf, "2n").layers[1].b
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
            out = converted.rnn(x, converted.lift(torch.zeros(2, 4, 16)))[0]
            errors.append(float((converted.readout(out) - module(x)[0]).abs().max()))
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
