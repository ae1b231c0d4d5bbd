"""What is said of a computation: specification, parameters in theta, and what is refused."""

from __future__ import annotations

import subprocess
import sys
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from urnn.errors import ArgumentError
from urnn.recurrence import Spec, backend, pack, parameter_count, parameter_shapes, unpack
from urnn.recurrence.cells import POINT


def test_pack_and_unpack_are_inverse_and_views(plain_cell: Any) -> None:
    spec = Spec(plain_cell, 3, 2, 1)
    theta = np.arange(2.0 * parameter_count(spec)).reshape(2, -1)
    for array in (theta, torch.tensor(theta)):
        parts = unpack(spec, array)
        assert (pack(spec, parts) == array).all()
        parts["W"][1, 2, 0] = -1
        assert (array == -1).sum() == 1
    with pytest.raises(ArgumentError, match="parameters lack C"):
        pack(spec, {name: value for name, value in parts.items() if name != "C"})
    with pytest.raises(ArgumentError, match=r"d must have the shape \(replicas, 1\)"):
        pack(spec, parts | {"d": np.zeros((2, 2))})


@pytest.mark.parametrize("name", ["cpu", "reference"])
def test_what_does_not_fit_is_refused_before_a_kernel_runs(
    name: str, problems: SimpleNamespace
) -> None:
    where = backend(name)
    spec = Spec("rnn", 4, 2, 2)
    theta, x, y, dataset, trials = problems.problem(spec, 3, 5, 6)
    good = {"theta": theta, "x": x, "y": y, "dataset": dataset, "trials": trials}
    wrong: list[tuple[str, NDArray, str]] = [
        ("theta", theta[:, 1:], r"theta must have the shape \(replicas, 42\)"),
        ("x", x[..., :1], r"x must have the shape \(datasets, trials, time, 2\)"),
        ("x", x[0], "x must have the shape"),
        ("y", y[:, :, :-1], r"y must have the shape \(2, 7, 6, 2\)"),
        ("dataset", dataset[:2], r"dataset must have the shape \(3\)"),
        ("dataset", dataset + 5, "dataset must be at least 0 and below 2"),
        ("trials", trials + 7, "trials must be at least 0 and below 7"),
        ("trials", trials - 9, "trials must be at least 0"),
        ("trials", trials.astype(np.int32), "trials must be int64"),
        ("trials", trials[:, :0], "trials must have the shape"),
    ]
    for key, value, words in wrong:
        arguments = good | {key: value}
        arrays = [where.asarray(arguments[a]) for a in ("theta", "x", "y")]
        with pytest.raises(ArgumentError, match=words):
            where.step(spec)(*arrays, arguments["dataset"], arguments["trials"])
    arrays = [where.asarray(a) for a in (theta, x, y)]
    with pytest.raises(ArgumentError, match="trials must be an array, but it is list"):
        where.step(spec)(*arrays, dataset, trials.tolist())
    for key, value, words in (
        ("theta", theta[:, 1:], "theta must have the shape"),
        ("theta", np.float32(1), "theta must have the shape"),
        ("x", x[0, 0, 0], "x must have the shape"),
        ("dataset", dataset + 5, "dataset must be at least 0"),
    ):
        arguments = {"theta": theta, "x": x, "dataset": dataset, key: value}
        with pytest.raises(ArgumentError, match=words):
            where.outputs(spec, arguments["theta"], arguments["x"], arguments["dataset"])


@pytest.mark.parametrize("name", ["cpu", "reference"])
def test_labels_that_do_not_fit_are_refused(name: str, problems: SimpleNamespace) -> None:
    where = backend(name)
    spec = Spec("rnn", 4, 2, 3, loss="cross_entropy")
    theta, x, y, dataset, trials = problems.problem(spec, 3, 5, 6)
    for wrong, words in (
        (y[:, :-1], r"y must have the shape \(2, 7\)"),
        (y.astype(np.float32), "y must be int64"),
        (y + 1, "y must be at least 0 and below 3, but it goes from"),
        (y - 1, "y must be at least 0"),
    ):
        arrays = [where.asarray(a) for a in (theta, x, wrong)]
        with pytest.raises(ArgumentError, match=words):
            where.step(spec)(*arrays, dataset, trials)


def test_unknown_cells_and_devices_are_named() -> None:
    with pytest.raises(ValueError, match="cell must be one of rnn, lstm, gru, but it is 'grue'"):
        Spec("grue", 1, 1, 1)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"activation: must be one of 'relu', .* 'swish'"):
        POINT.make("rnn", activation="swish")
    with pytest.raises(ArgumentError, match="loss must be one of squared, cross_entropy"):
        Spec("rnn", 1, 1, 1, loss="hinge")  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match=r"modrelu acts on pairs of hidden units, .* is 3"):
        Spec(POINT.make("rnn", activation="modrelu"), 3, 1, 1)
    with pytest.raises(ValueError, match="unknown key"):
        POINT.make("lstm", activation="modrelu")
    for size in (0, 4.0, "4"):
        with pytest.raises(ArgumentError, match="hidden_units must be an integer and at least 1"):
            Spec("rnn", size, 1, 1)  # type: ignore[arg-type]
    assert type(Spec("rnn", np.int64(4), 1, 1).hidden_units) is int  # type: ignore[arg-type]
    with pytest.raises(ArgumentError, match=r"device 'nonsense' is not available.*cpu"):
        backend("nonsense")
    with pytest.raises(ArgumentError, match=r"device 'cuda:99' is not available"):
        backend("cuda:99")


def test_a_specification_has_a_name_and_equals_another_of_the_same_values() -> None:
    tanh = POINT.make("rnn", activation="tanh")
    assert Spec("rnn", 4, 2, 1).name == "rnn-relu-squared-4-2-1"  # type: ignore[arg-type]
    assert Spec(tanh, 4, 2, 1).name == "rnn-tanh-squared-4-2-1"
    lstm = Spec("lstm", 14, 1, 10, "cross_entropy")  # type: ignore[arg-type]
    assert lstm.name == "lstm-cross_entropy-14-1-10"
    assert {lstm: 1}[Spec(POINT.make("lstm"), 14, 1, 10, "cross_entropy")] == 1
    assert Spec(tanh, 4, 2, 1) != Spec(POINT.make("rnn"), 4, 2, 1)


def test_parameters_are_in_the_order_of_theta(plain_cell: Any) -> None:
    names = list(parameter_shapes(Spec(plain_cell, 3, 2, 1)))
    readout = names.index("C")
    assert names[:3] == ["W", "F", "b"]
    assert names[readout:] == ["C", "d", *plain_cell.initial_states]


def test_the_package_stays_light() -> None:
    script = (
        "import sys, urnn.recurrence as r; from urnn.recurrence.cells import POINT\n"
        "[POINT.plug(name) for name in POINT]\n"
        "assert not {'numpy', 'torch', 'llvmlite', 'xarray'} & set(sys.modules)\n"
        "from urnn.recurrence import recurrence, lstm, gru; assert 'llvmlite' not in sys.modules\n"
        "r.nothing"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert "has no attribute 'nothing'" in result.stderr
