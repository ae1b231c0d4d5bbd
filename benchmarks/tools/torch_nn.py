"""torch.nn.RNN, LSTM or GRU, torch.nn.Linear and torch.optim; one model."""

from __future__ import annotations

from contextlib import nullcontext
from functools import partial
from typing import Any

import torch
from torch import Tensor

from benchmarks import cases
from benchmarks.cases import Case
from benchmarks.tools import Run, Variants, timed

_CPU = torch.device("cpu")


def variants(case: Case) -> Variants:
    """With oneDNN and without, which changes an LSTM alone."""
    for one_dnn in (True, False) if case.model == "lstm" else (False,):
        name = f"oneDNN {'on' if one_dnn else 'off'}" if case.model == "lstm" else "default"
        yield name, partial(_run, case, one_dnn)


def variants_on_gpu(case: Case) -> Variants:
    """cuDNN's layers."""
    yield "cuDNN", partial(_run, case, False, torch.device("cuda"))


def _run(case: Case, one_dnn: bool, device: torch.device = _CPU) -> Run:
    torch.set_num_threads(1)
    x, y = (torch.from_numpy(array[0]).to(device) for array in cases.data(case, 1)[:2])
    # time first is what the layers compute in
    x = x.transpose(0, 1).contiguous()
    last = case.loss == "cross_entropy"
    y = y if last else y.transpose(0, 1).contiguous()
    layer, readout = (module.to(device) for module in _modules(case))
    parameters = [*layer.parameters(), *readout.parameters()]
    optimizer: Any = (
        torch.optim.Adam(parameters, cases.LEARNING_RATE, eps=1e-7)
        if case.optimizer == "adam"
        else torch.optim.RMSprop(parameters, cases.LEARNING_RATE, alpha=0.9, eps=1e-7)
    )
    batches = cases.minibatches(case)
    loss_of: Any = torch.nn.functional.cross_entropy if last else torch.nn.functional.mse_loss

    def step() -> Tensor:
        with torch.backends.mkldnn.flags(one_dnn) if case.model == "lstm" else nullcontext():
            chosen = torch.from_numpy(next(batches)[0]).to(device)
            target = y[chosen] if last else y[:, chosen]
            states = layer(x[:, chosen])[0]
            loss = loss_of(readout(states[-1] if last else states), target)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            if case.model == "urnn":
                with torch.no_grad():
                    U, _, Vh = torch.linalg.svd(layer.weight_hh_l0)
                    layer.weight_hh_l0.copy_(U @ Vh)
        return loss.detach()

    loss = float(step())
    wait = torch.cuda.synchronize if device.type == "cuda" else lambda: None
    return Run(loss, 1, timed(1, step, wait))


def _modules(case: Case) -> tuple[Any, Any]:
    layers: dict[str, Any] = {"lstm": torch.nn.LSTM, "gru": torch.nn.GRU}
    plain = partial(torch.nn.RNN, nonlinearity="relu")
    layer = layers.get(case.model, plain)(case.inputs, case.hidden)
    readout = torch.nn.Linear(case.hidden, case.outputs)
    values = {name: torch.from_numpy(value) for name, value in cases.initial(case, 1)[0].items()}
    with torch.no_grad():
        layer.weight_hh_l0.copy_(values["W"])
        layer.weight_ih_l0.copy_(values["F"])
        layer.bias_ih_l0.copy_(values["b"])
        if "b_h" in values:
            layer.bias_hh_l0.copy_(values["b_h"])
        else:
            layer.bias_hh_l0.zero_()
        readout.weight.copy_(values["C"])
        readout.bias.copy_(values["d"])
    return layer, readout
