"""What urnn offers where only the packages of its core are found; run by test_core.py.

python core_only.py BLOCKED   # names of the packages that must not be found, as JSON
"""

from __future__ import annotations

import contextlib
import io
import json
import sys
import tempfile
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder
from pathlib import Path
from types import ModuleType

BLOCKED: set[str] = set()


class CoreFinder(PathFinder):
    """Finds everything but the packages that are blocked."""

    @classmethod
    def find_spec(
        cls, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname.partition(".")[0] in BLOCKED:
            return None
        return super().find_spec(fullname, path, target)


def layers() -> None:
    """Every name of urnn.nn: forward, gradient and step, an ensemble, each set of transitions."""
    import torch

    import urnn.nn
    from urnn.transition import POINT

    x = torch.randn(5, 2, 3)
    packed = torch.nn.utils.rnn.pack_padded_sequence(x, torch.tensor([5, 3]))
    for kind in (urnn.nn.RNN, urnn.nn.LSTM, urnn.nn.GRU):
        layer = kind(3, 4)
        urnn.nn.prepare(layer, batch=2)
        layer(x)[0].sum().backward()
        assert layer.weight_hh_l0.grad is not None
        assert isinstance(layer(packed)[0], torch.nn.utils.rnn.PackedSequence)
    for name in POINT:
        layer = urnn.nn.UnitaryRNN(3, 4, transition=name)
        optimizer = torch.optim.Adam(layer.parameters(), 0.1)
        urnn.nn.retract_after(optimizer, layer)
        layer(x)[0].square().mean().backward()
        optimizer.step()
        assert urnn.nn.constraint_error(layer) < 1e-5, name
    cell = torch.nn.RNNCell(3, 4)
    urnn.nn.constrain(cell, "weight_hh", "unitary")
    urnn.nn.retract_(cell)
    stack = torch.func.stack_module_state([urnn.nn.RNN(3, 4) for _ in range(2)])
    base = urnn.nn.RNN(3, 4)
    outputs, _ = torch.func.vmap(lambda p: torch.func.functional_call(base, p, (x,)))(stack[0])
    assert outputs.shape == (2, 5, 2, 4)


def numbers(folder: Path) -> None:
    """urnn.RNN, every name of urnn.equivalence, a conversion in numpy and in torch."""
    import numpy as np
    import torch

    import urnn
    import urnn.recurrence
    from urnn import equivalence

    rnn = urnn.RNN(W=0.9 * np.eye(2), F=np.ones((2, 1)), b=np.zeros(2), C=np.ones((1, 2)))
    rnn.save(folder / "network.npz")
    assert urnn.RNN.load(folder / "network.npz").hidden_units == 2
    assert all(getattr(equivalence, name) for name in equivalence.__all__)
    twin = equivalence.to_unitary(rnn, input_bound=1.0)
    x = np.linspace(-1, 1, 20)[:, None]
    np.testing.assert_allclose(twin(x), rnn(x), atol=1e-12)
    assert equivalence.steady_state_bound(rnn, [1]).states >= 1
    module = torch.nn.RNN(1, 2, nonlinearity="relu")
    with torch.no_grad():
        module.weight_hh_l0.copy_(0.5 * torch.eye(2))
    torch.save(module.state_dict(), folder / "model.pt")
    unitary, signals = equivalence.to_unitary_torch(module, 1.0), torch.tensor(x).float()
    assert torch.allclose(unitary(signals)[0], module(signals)[0], atol=1e-5)
    assert callable(urnn.recurrence.lstm) and urnn.__version__


def told(*command: str) -> tuple[int, str]:
    """The exit status of a command, and what it printed."""
    from urnn.__main__ import main

    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(out):
        status = main(command)
    return status, out.getvalue()


def commands(folder: Path) -> None:
    """The commands of the core run, and the others say what to install."""
    bound = ("--input-bound", "1", "--nonlinearity", "relu")
    for command in (
        ("convert", f"{folder}/model.pt", *bound, "--output", f"{folder}/unitary.pt"),
        ("convert", f"{folder}/network.npz", *bound[:2], "--report", f"{folder}/report.json"),
        ("schema",),
    ):
        status, text = told(*command)
        assert status == 0, text
    written = ("--output", f"{folder}/output.nc")
    for command in (
        ("data", "--task", '{"task": "permuted_digits"}', "--realization", "0", *written),
        ("train", "a.nc", "--experiment", "a", "--name", "a", "--hidden-units", "2", *written),
        ("score", "--data", "a.nc", "--models", "a.nc", *written),
        ("figure", "a.nc", "--settings", '{"kind": "r2"}', *written),
        ("theory", "theorem1", *written),
        ("theory_figure", "theorem1", "a.nc", *written),
        ("report", "--config", "@config.yaml", *written),
        ("fit", "a.csv", "--inputs", "u", "--outputs", "y"),
        ("predict", "a.nc", "a.csv", *written),
        ("export", "a.nc", "--to", "csv", *written),
        ("convert", "a.nc"),
    ):
        status, text = told(*command)
        assert status == 1, (command, text)
        assert text.startswith(f"urnn {command[0]}: this needs "), text
        assert text.endswith('pip install "urnn[workflow]"\n'), text
        assert text.count("\n") == 1, text


def run() -> None:
    sys.meta_path[sys.meta_path.index(PathFinder)] = CoreFinder
    with tempfile.TemporaryDirectory() as name:
        layers()
        numbers(Path(name))
        commands(Path(name))
    loaded = {module.partition(".")[0] for module in sys.modules}
    assert not loaded & BLOCKED, loaded & BLOCKED


if __name__ == "__main__":
    BLOCKED.update(json.loads(sys.argv[1]))
    run()
