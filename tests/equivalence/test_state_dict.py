"""Networks from a state_dict or a file, and what is refused with which words."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from urnn.equivalence import from_torch
from urnn.errors import ArgumentError, DataError, UserError


class Model(torch.nn.Module):
    """A recurrent network among others."""

    def __init__(self, layers=1, kind=torch.nn.RNN, **options):
        super().__init__()
        self.rnn = kind(2, 4, layers, **options)
        self.fc = torch.nn.Linear(4, 3)


def outputs(layers, x):
    for layer in layers:
        x = layer(x)
    return x


@settings(max_examples=30, deadline=None)
@given(
    layers=st.integers(1, 3),
    nonlinearity=st.sampled_from(["relu", "tanh"]),
    bias=st.booleans(),
    readout=st.booleans(),
    wrapped=st.sampled_from([None, "state_dict", "model_state_dict"]),
    seed=st.integers(0, 1000),
)
def test_a_state_dict_gives_the_outputs_of_its_module(
    layers, nonlinearity, bias, readout, wrapped, seed
):
    torch.manual_seed(seed)
    model = Model(layers, nonlinearity=nonlinearity, bias=bias, batch_first=True).double()
    x = torch.rand(2, 20, 2, dtype=torch.float64)
    with torch.no_grad():
        y = model.rnn(x)[0]
        y = model.fc(y) if readout else y
    given = model.state_dict() if readout else model.rnn.state_dict()
    given = given if wrapped is None else {wrapped: given, "epoch": 3}
    found = from_torch(given, nonlinearity, "fc" if readout else None)
    assert [layer.activation for layer in found] == [nonlinearity] * layers
    np.testing.assert_allclose(outputs(found, x.numpy()), y.numpy(), rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("name", ["model.pt", "model.pth", "model.safetensors"])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_a_file_gives_the_outputs_of_its_module(name, dtype, tmp_path):
    model = Model(2, nonlinearity="relu").to(dtype)
    path = tmp_path / name
    if path.suffix == ".safetensors":
        pytest.importorskip("safetensors.torch").save_file(model.state_dict(), path)
    else:
        torch.save({"model_state_dict": model.state_dict(), "optimizer": {"lr": 0.1}}, path)
    for found in (from_torch(path, "relu", "fc"), from_torch(str(path), "relu", "fc")):
        assert np.array_equal(found[0].W, model.rnn.weight_hh_l0.detach().double().numpy())
        assert np.array_equal(found[1].d, model.fc.bias.detach().double().numpy())
    assert from_torch(path, "relu", prefix="rnn")[1].output_size == 4


def test_a_parametrized_module_is_taken_as_it_computes():
    module = torch.nn.RNN(2, 4, nonlinearity="relu")
    torch.nn.utils.parametrizations.orthogonal(module, "weight_hh_l0")
    W = from_torch(module)[0].W
    np.testing.assert_allclose(W.T @ W, np.eye(4), atol=1e-6)
    with pytest.raises(ArgumentError, match="remove_parametrizations"):
        from_torch(module.state_dict(), "relu")


def rnn(**options):
    return torch.nn.RNN(2, 4, **options).state_dict()


def changed(**changes):
    found = rnn() | changes
    return {name: value for name, value in found.items() if value is not None}


@pytest.mark.parametrize(
    ("given", "words"),
    [
        (torch.nn.LSTM(2, 4).state_dict(), "weight_hh_l0 is of an LSTM, which is not h"),
        (torch.nn.LSTM(2, 4, proj_size=2).state_dict(), "is of an LSTM"),
        (torch.nn.GRU(2, 4).state_dict(), "weight_hh_l0 is of a GRU"),
        (rnn(bidirectional=True), "bidirectional"),
        (torch.nn.Linear(2, 4).state_dict(), r"no name ends in weight_hh_l0, but .* weight, bias"),
        (torch.nn.RNNCell(2, 4).state_dict(), "no name ends in weight_hh_l0"),
        ({}, "there is nothing"),
        ({"model": rnn(), "epoch": 3}, "model, epoch; save the state_dict under 'model' alone"),
        (Model().state_dict(), r"fc.weight, fc.bias: of neither .*\(--prefix rnn\)"),
        (changed(epoch=3), r"epoch: of neither .*\(--prefix ''\)"),
        (
            torch.nn.Sequential(torch.nn.RNN(2, 4), torch.nn.Linear(4, 1)).state_dict(),
            r"1.weight, 1.bias: of neither .*\(--prefix 0\)",
        ),
        (torch.nn.ModuleList([Model(), Model()]).state_dict(), "there are 2 recurrent networks, 0"),
        (changed(weight_ih_l0=None), "weight_ih_l0 is missing"),
        (changed(bias_hh_l0=None), "bias_ih_l0 or bias_hh_l0 is missing"),
        (changed(weight_hh_l0=torch.ones(4)), "weight_hh_l0 must be a matrix"),
        (changed(weight_hh_l0=torch.ones(4, 3)), "weight_hh_l0 must be square"),
        (changed(weight_ih_l0=torch.ones(3, 2)), "layer 0: F must have the shape"),
        (changed(bias_hh_l0=torch.ones(3)), "bias_hh_l0 must have the shape"),
        (changed(weight_hh_l0=torch.full((4, 4), torch.nan)), "layer 0: W has a NaN"),
        (changed(weight_hh_l0=torch.ones(4, 4, dtype=torch.int8)), "in floating point"),
        (changed(weight_hh_l0=torch.ones(4, 4, dtype=torch.complex64)), "in floating point"),
        (changed(weight_hh_l2=torch.eye(4)), "weight_hh_l1 is missing"),
        (changed(weight_hh_l1=torch.eye(4), weight_ih_l1=torch.ones(4, 3)), "has 4 states"),
        (changed(weight_hh_l0="4"), "in floating point"),
    ],
)
def test_what_is_no_plain_network_is_refused_in_one_sentence(given, words, tmp_path):
    with pytest.raises(ArgumentError, match=words):
        from_torch(given, "relu")
    path = tmp_path / "model.pt"
    torch.save(given, path)
    with pytest.raises(DataError, match=words) as caught:
        from_torch(path, "relu")
    assert str(caught.value).startswith(f"{path}: ") and "\n" not in str(caught.value)


@pytest.mark.parametrize("nonlinearity", [None, "sigmoid", ""])
def test_the_activation_must_be_said(nonlinearity):
    with pytest.raises(ArgumentError, match=r"give nonlinearity .--nonlinearity. as relu or tanh"):
        from_torch(rnn(), nonlinearity)


def test_another_cell_is_refused_before_its_activation_is_asked_for():
    with pytest.raises(ArgumentError, match="is of a GRU"):
        from_torch(torch.nn.GRU(2, 4).state_dict())


def test_a_readout_that_is_not_there_or_does_not_fit():
    given = Model().state_dict()
    with pytest.raises(ArgumentError, match=r"no out.weight; only fc reads 4 states"):
        from_torch(given, "relu", "out")
    with pytest.raises(ArgumentError, match=r"no out.weight; no linear layer reads"):
        from_torch(rnn(), "relu", "out")
    with pytest.raises(ArgumentError, match=r"fc.weight must have 4 columns"):
        from_torch(given | {"fc.weight": torch.ones(3, 5)}, "relu", "fc")
    without_bias = {name: value for name, value in given.items() if name != "fc.bias"}
    assert not from_torch(without_bias, "relu", "fc")[0].d.any()
    with pytest.raises(ArgumentError, match="under that prefix"):
        from_torch(given, "relu", prefix="encoder")
    with pytest.raises(ArgumentError, match="are for a state_dict"):
        from_torch(torch.nn.RNN(2, 4), "relu")


def test_files_that_hold_no_tensors_are_named(tmp_path):
    whole = tmp_path / "whole.pt"
    torch.save(Model(), whole)
    cases = {"text.pt": b"hello", "empty.pt": b"", "text.safetensors": b"hello"}
    for name, content in cases.items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / "cut.pt").write_bytes(whole.read_bytes()[:500])
    torch.save([1, 2], tmp_path / "list.pt")
    words = {
        "whole.pt": "holds Python objects, which could run any code",
        "list.pt": "holds a list, not a state_dict",
        "missing.pt": "does not exist",
        ".": "is a folder",
        **dict.fromkeys(cases, "is damaged, or not a|needs the package"),
        "cut.pt": "is damaged, or not a file of torch.save",
    }
    for name, expected in words.items():
        with pytest.raises(UserError, match=expected) as caught:
            from_torch(tmp_path / name, "relu")
        assert str(tmp_path) in str(caught.value)


def test_without_safetensors_the_message_says_how_to_get_it(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "safetensors.torch", None)
    (tmp_path / "model.safetensors").write_bytes(b"")
    with pytest.raises(DataError, match="the package safetensors: pip install"):
        from_torch(Path(tmp_path, "model.safetensors"), "relu")
