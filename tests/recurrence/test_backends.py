"""Every backend against the float64 reference, and the reference against torch itself."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from urnn.recurrence import (
    ACTIVATIONS,
    Spec,
    backend,
    pack,
    parameter_count,
    parameter_shapes,
    unpack,
)

CPU = backend("cpu")
REFERENCE = backend("reference")
Problem = tuple[NDArray, NDArray, NDArray, NDArray, NDArray]


def problem(spec: Spec, replicas: int, batch: int, time: int, seed: int = 0) -> Problem:
    """theta, x, y, dataset, trials; W is contractive, so that float32 and float64 stay together."""
    random = np.random.default_rng(seed)
    parameters = {
        name: random.standard_normal((replicas, *shape))
        for name, shape in parameter_shapes(spec).items()
    }
    norm = np.linalg.norm(parameters["W"], 2, axis=(1, 2))
    parameters["W"] *= (0.9 if spec.cell == "rnn" else 2.0) / norm[:, None, None]
    theta = pack(spec, parameters).astype(np.float32)
    x = random.standard_normal((2, batch + 2, time, spec.input)).astype(np.float32)
    y = random.standard_normal((2, batch + 2, time, spec.output)).astype(np.float32)
    if spec.loss == "cross_entropy":
        y = random.integers(spec.output, size=(2, batch + 2))
    dataset = random.integers(2, size=replicas)
    trials = np.stack([random.permutation(batch + 2)[:batch] for _ in range(replicas)])
    return theta, x, y, dataset, trials


def step(where: Any, spec: Spec, data: Problem) -> tuple[NDArray, NDArray]:
    theta, x, y, dataset, trials = data
    arrays = (where.asarray(a) for a in (theta, x, y))
    loss, gradient = where.step(spec)(*arrays, dataset, trials)
    return where.to_numpy(loss).copy(), where.to_numpy(gradient).copy()


def kinks(spec: Spec, data: Problem) -> bool:
    """Whether a ReLU is so close to its kink that float32 may fall on its other side.

    Or a complex state so close to 0, where modrelu jumps, that its direction is lost.
    """
    if spec.cell == "lstm" or spec.activation not in ("relu", "modrelu"):
        return False
    pairs = spec.activation == "modrelu"
    theta, x, _, dataset, trials = data
    parts = unpack(spec, theta.astype(float))
    for r in range(len(theta)):
        h = np.broadcast_to(parts["h_init"][r], (trials.shape[1], spec.hidden))
        for t in range(x.shape[2]):
            z = h @ parts["W"][r].T + x[dataset[r], trials[r], t].astype(float) @ parts["F"][r].T
            if pairs:
                modulus = np.hypot(z[:, ::2], z[:, 1::2])
                opened = modulus + parts["b"][r]
                if min(np.abs(opened).min(), modulus.min() / 100) < 1e-5:
                    return True
                h = np.repeat(np.maximum(opened, 0) / modulus, 2, axis=1) * z
            else:
                z += parts["b"][r]
                if np.abs(z).min() < 1e-5:
                    return True
                h = np.maximum(z, 0)
    return False


def agree(spec: Spec, data: Problem, tolerance: float = 1e-5) -> None:
    loss, gradient = step(CPU, spec, data)
    exact_loss, exact_gradient = step(REFERENCE, spec, data)
    np.testing.assert_allclose(loss, exact_loss, rtol=tolerance)
    ours, exact = unpack(spec, gradient), unpack(spec, exact_gradient)
    assert set(ours) == set(parameter_shapes(spec))
    for name in ours:
        for r in range(len(loss)):
            error = np.abs(ours[name][r] - exact[name][r]).max()
            # one that has vanished on its way back cannot be closer than the rounding of the others
            size = max(np.abs(exact[name][r]).max(), 1e-2 * np.abs(exact_gradient[r]).max())
            assert error <= tolerance * size, (name, r)
    theta, x, _, dataset, _ = data
    y = CPU.outputs(spec, theta, x, dataset)
    exact_y = REFERENCE.to_numpy(REFERENCE.outputs(spec, theta, x, dataset))
    np.testing.assert_allclose(y, exact_y, atol=tolerance * np.abs(exact_y).max())


def usable(spec: Spec, replicas: int, batch: int, time: int, seed: int) -> Problem:
    """The first problem from this seed on that has no pre-activation at a kink."""
    for shift in range(100):
        data = problem(spec, replicas, batch, time, seed + shift)
        if not kinks(spec, data):
            return data
    raise AssertionError("no problem without a pre-activation near 0")


SHAPES = [
    # cell, activation, hidden, input, output, replicas, batch, time; then the loss
    *[("rnn", activation, 4, 2, 2, 5, 10, 40) for activation in ACTIVATIONS],
    ("rnn", "relu", 1, 1, 1, 1, 1, 1),
    ("rnn", "tanh", 3, 3, 1, 3, 7, 30),
    ("rnn", "relu", 14, 2, 2, 4, 10, 25),
    ("rnn", "sigmoid", 16, 2, 3, 2, 9, 25),
    ("rnn", "tanh", 33, 5, 2, 2, 37, 12),
    ("rnn", "identity", 130, 1, 2, 1, 5, 8),
    ("lstm", "relu", 2, 2, 2, 5, 10, 40),
    ("lstm", "relu", 5, 1, 3, 2, 3, 30),
    ("lstm", "relu", 14, 2, 2, 3, 23, 20),
    ("lstm", "relu", 17, 3, 1, 2, 9, 15),
    ("rnn", "modrelu", 14, 2, 2, 3, 10, 20),
    ("rnn", "modrelu", 34, 1, 3, 1, 70, 9),
    # the corners of what is asked for: many time steps, trials and replicas
    ("rnn", "tanh", 4, 2, 2, 33, 10, 300),
    ("rnn", "relu", 4, 2, 2, 1, 2, 2000),
    ("lstm", "relu", 4, 2, 2, 1, 2, 2000),
    ("rnn", "sigmoid", 130, 2, 2, 1, 100, 5),
    ("lstm", "relu", 130, 1, 3, 1, 100, 3),
    *[("rnn", activation, 4, 2, 5, 9, 10, 20, "cross_entropy") for activation in ACTIVATIONS],
    ("rnn", "relu", 24, 1, 10, 2, 50, 30, "cross_entropy"),
    ("rnn", "tanh", 3, 1, 2, 1, 1, 1, "cross_entropy"),
    ("lstm", "relu", 4, 2, 3, 5, 7, 20, "cross_entropy"),
    ("lstm", "relu", 20, 1, 10, 1, 33, 6, "cross_entropy"),
]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_cpu_agrees_with_the_reference(shape: tuple) -> None:
    cell, activation, hidden, inputs, outputs, replicas, batch, time, *loss = shape
    spec = Spec(cell, hidden, inputs, outputs, activation, *loss)
    agree(spec, usable(spec, replicas, batch, time, 0))


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from([("rnn", "relu"), ("rnn", "tanh"), ("lstm", "relu")]),
    st.integers(1, 9),
    # every layout is compiled: two vectors, half full; five; four of each of three tiles
    st.sampled_from([3, 9, 10, 21]),
    st.integers(1, 60),
    st.integers(0, 2**31),
)
def test_cpu_agrees_for_any_stack_batch_and_time(
    kind: tuple[str, str], replicas: int, batch: int, time: int, seed: int
) -> None:
    spec = Spec(kind[0], 4, 2, 2, kind[1])
    agree(spec, usable(spec, replicas, batch, time, seed))


@pytest.mark.parametrize("cell", ["rnn", "lstm"])
@pytest.mark.parametrize("hidden", [4, 17])
def test_a_replica_is_the_same_bits_in_any_stack(cell: str, hidden: int) -> None:
    spec = Spec(cell, hidden, 2, 2)
    theta, x, y, dataset, trials = problem(spec, 7, 9, 31)
    loss, gradient = step(CPU, spec, (theta, x, y, dataset, trials))
    for chosen in ([0], [6], [3, 1], [6, 5, 4, 3, 2, 1, 0], [2, 2, 2, 2, 2]):
        part = (theta[chosen], x, y, dataset[chosen], trials[chosen])
        part_loss, part_gradient = step(CPU, spec, part)
        np.testing.assert_array_equal(part_loss, loss[chosen])
        np.testing.assert_array_equal(part_gradient, gradient[chosen])


@pytest.mark.parametrize("poison", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("where", ["theta", "x", "y"])
@pytest.mark.parametrize(("cell", "hidden"), [("rnn", 4), ("lstm", 4), ("rnn", 17)])
def test_nan_and_inf_stay_in_their_replica(
    cell: str, hidden: int, where: str, poison: float
) -> None:
    spec = Spec(cell, hidden, 2, 2)
    theta, x, y, _, trials = problem(spec, 5, 9, 20)
    dataset = np.array([0, 0, 1, 0, 0])
    loss, gradient = step(CPU, spec, (theta, x, y, dataset, trials))
    if where == "theta":
        theta[2, parameter_count(spec) // 2] = poison
    else:
        (x if where == "x" else y)[1, trials[2, 4], 7, 1] = poison
    bad_loss, bad_gradient = step(CPU, spec, (theta, x, y, dataset, trials))
    others = [0, 1, 3, 4]
    np.testing.assert_array_equal(bad_loss[others], loss[others])
    np.testing.assert_array_equal(bad_gradient[others], gradient[others])
    # an infinite x only saturates an LSTM's gates; a NaN always shows
    if np.isnan(poison) or where == "y":
        assert not np.isfinite(bad_loss[2])
    reference = step(REFERENCE, spec, (theta, x, y, dataset, trials))[0]
    np.testing.assert_array_equal(np.isfinite(bad_loss), np.isfinite(reference))


@pytest.mark.parametrize("activation", [*ACTIVATIONS, "lstm"])
def test_gradcheck_of_the_reference(activation: str) -> None:
    from urnn.recurrence.reference import forward

    spec = Spec("lstm", 4, 2, 2) if activation == "lstm" else Spec("rnn", 4, 2, 2, activation)
    theta, x, _, _, _ = usable(spec, 2, 2, 5, 0)
    inputs = (
        torch.tensor(theta, dtype=torch.float64, requires_grad=True),
        torch.tensor(x[:, :2], dtype=torch.float64, requires_grad=True),
    )
    assert torch.autograd.gradcheck(lambda t, x: forward(spec, t, x), inputs)


@pytest.mark.parametrize("cell", ["relu", "tanh", "lstm"])
def test_the_reference_is_torchs_recurrence(cell: str) -> None:
    options: dict[str, Any] = {"batch_first": True, "dtype": torch.float64}
    theirs = (
        torch.nn.LSTM(2, 5, **options)
        if cell == "lstm"
        else torch.nn.RNN(2, 5, nonlinearity=cell, **options)
    )
    spec = Spec("lstm", 5, 2, 3) if cell == "lstm" else Spec("rnn", 5, 2, 3, cell)
    theta, x, _, _, _ = problem(spec, 1, 4, 12)
    parts = unpack(spec, torch.tensor(theta, dtype=torch.float64))
    with torch.no_grad():
        theirs.weight_hh_l0.copy_(parts["W"][0])
        theirs.weight_ih_l0.copy_(parts["F"][0])
        theirs.bias_ih_l0.copy_(parts["b"][0])
        theirs.bias_hh_l0.zero_()
        inputs = torch.tensor(x[0], dtype=torch.float64)
        h = parts["h_init"].expand(len(inputs), -1)[None].contiguous()
        if cell == "lstm":
            c = parts["c_init"].expand(len(inputs), -1)[None].contiguous()
            states, _ = theirs(inputs, (h, c))
        else:
            states, _ = theirs(inputs, h)
    y = REFERENCE.outputs(spec, theta, x, np.zeros(1, np.int64))
    torch.testing.assert_close(y[0], states @ parts["C"][0].T + parts["d"][0])


def test_pack_and_unpack_are_inverse_and_views() -> None:
    for spec in (Spec("rnn", 3, 2, 1), Spec("lstm", 3, 2, 1)):
        theta = np.arange(2.0 * parameter_count(spec)).reshape(2, -1)
        for array in (theta, torch.tensor(theta)):
            parts = unpack(spec, array)
            assert (pack(spec, parts) == array).all()
            parts["W"][1, 2, 0] = -1
            assert (array == -1).sum() == 1
    with pytest.raises(ValueError, match="parameters lack C"):
        pack(spec, {name: value for name, value in parts.items() if name != "C"})
    with pytest.raises(ValueError, match=r"d must have the shape \(replicas, 1\)"):
        pack(spec, parts | {"d": np.zeros((2, 2))})


@pytest.mark.parametrize("name", ["cpu", "reference"])
def test_what_does_not_fit_is_refused_before_a_kernel_runs(name: str) -> None:
    where = backend(name)
    spec = Spec("rnn", 4, 2, 2)
    theta, x, y, dataset, trials = problem(spec, 3, 5, 6)
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
        with pytest.raises(ValueError, match=words):
            where.step(spec)(*arrays, arguments["dataset"], arguments["trials"])
    arrays = [where.asarray(a) for a in (theta, x, y)]
    with pytest.raises(ValueError, match="trials must be an array, but it is list"):
        where.step(spec)(*arrays, dataset, trials.tolist())
    for key, value, words in (
        ("theta", theta[:, 1:], "theta must have the shape"),
        ("theta", np.float32(1), "theta must have the shape"),
        ("x", x[0, 0, 0], "x must have the shape"),
        ("dataset", dataset + 5, "dataset must be at least 0"),
    ):
        arguments = {"theta": theta, "x": x, "dataset": dataset, key: value}
        with pytest.raises(ValueError, match=words):
            where.outputs(spec, arguments["theta"], arguments["x"], arguments["dataset"])
    if name == "cpu":
        with pytest.raises(ValueError, match="C-contiguous float32"):
            where.step(spec)(theta.astype(float), x, y, dataset, trials)


@pytest.mark.parametrize("name", ["cpu", "reference"])
def test_labels_that_do_not_fit_are_refused(name: str) -> None:
    where = backend(name)
    spec = Spec("rnn", 4, 2, 3, loss="cross_entropy")
    theta, x, y, dataset, trials = problem(spec, 3, 5, 6)
    for wrong, words in (
        (y[:, :-1], r"y must have the shape \(2, 7\)"),
        (y.astype(np.float32), "y must be int64"),
        (y + 1, "y must be at least 0 and below 3, but it goes from"),
        (y - 1, "y must be at least 0"),
    ):
        arrays = [where.asarray(a) for a in (theta, x, wrong)]
        with pytest.raises(ValueError, match=words):
            where.step(spec)(*arrays, dataset, trials)


def test_unknown_cells_and_devices_are_named() -> None:
    with pytest.raises(ValueError, match="cell must be one of rnn, lstm"):
        Spec("gru", 1, 1, 1)
    with pytest.raises(ValueError, match="activation must be one of relu"):
        Spec("rnn", 1, 1, 1, "swish")
    with pytest.raises(ValueError, match="loss must be one of squared, cross_entropy"):
        Spec("rnn", 1, 1, 1, loss="hinge")
    for hidden, cell in ((3, "rnn"), (4, "lstm")):
        with pytest.raises(ValueError, match="modrelu is for an rnn with an even number"):
            Spec(cell, hidden, 1, 1, "modrelu")
    for size in (0, 4.0, "4"):
        with pytest.raises(ValueError, match="hidden must be an integer and at least 1"):
            Spec("rnn", size, 1, 1)  # type: ignore[arg-type]
    assert type(Spec("rnn", np.int64(4), 1, 1).hidden) is int
    with pytest.raises(ValueError, match=r"device 'nonsense' is not available.*cpu"):
        backend("nonsense")
    with pytest.raises(ValueError, match=r"device 'cuda:99' is not available"):
        backend("cuda:99")


def test_compiled_kernels_are_kept_and_never_stale(tmp_path: Path) -> None:
    """A second process compiles nothing; after an edit of the emitters nothing old is used."""
    import urnn

    source = tmp_path / "src" / "urnn"
    shutil.copytree(Path(urnn.__file__).parent, source)
    script = (
        "import numpy as np; from urnn.recurrence import *; from urnn.recurrence import cpu\n"
        "s = Spec('rnn', 2, 1, 1); k = parameter_count(s); theta = np.full((1, k), .5, 'f')\n"
        "x = np.ones((1, 1, 3, 1), 'f'); i = np.zeros(1, int); b = backend('cpu')\n"
        "b.step(s)(theta, x, x, i, i[None])\n"
        "kernel = cpu._compiled(s, cpu.plan('rnn', 2, 1))[0]\n"
        "print(b.step(s)(theta, x, x, i, i[None])[0][0], sum(kernel.stats.cache_hits.values()))"
    )

    def run() -> list[float]:
        result = subprocess.run(
            [sys.executable, "-c", script],
            env={
                **os.environ,
                "PYTHONPATH": str(source.parent),
                "URNN_CACHE_DIR": str(tmp_path / "cache"),
            },
            capture_output=True,
            text=True,
            check=False,
        )
        assert result.returncode == 0, result.stderr
        return [float(word) for word in result.stdout.split()]

    first, second = run(), run()
    assert first[1] == 0
    assert second == [first[0], 1]
    emitters = source / "recurrence" / "vector.py"
    text = emitters.read_text()
    old = 'return self.where("<", z, self.constant(0), self.constant(0), z)'
    assert old in text
    emitters.write_text(text.replace(old, "return self.builder.fadd(z, z)"))
    edited = run()
    assert edited[1] == 0
    assert edited[0] != first[0]


# each example is compiled, so there are few, and a failing one is not made smaller
@settings(max_examples=8, deadline=None, derandomize=True, phases=[Phase.generate])
@given(st.data())
def test_any_size_agrees_with_the_reference(data: Any) -> None:
    kinds = [("rnn", activation) for activation in ACTIVATIONS] + [("lstm", "relu")]
    cell, activation = data.draw(st.sampled_from(kinds))
    hidden = data.draw(st.integers(1, 130))
    hidden += hidden % 2 if activation == "modrelu" else 0
    batch = data.draw(st.integers(1, 100))
    # the float64 loop takes long, and among many values one is always close to a kink
    values = 50_000 if activation in ("relu", "modrelu") and cell == "rnn" else 1_000_000
    time = data.draw(st.integers(1, max(1, min(2000, values // (4 * hidden * batch)))))
    replicas = data.draw(st.integers(1, max(1, min(33, values // (hidden * batch * time)))))
    loss = data.draw(st.sampled_from(["squared", "cross_entropy"]))
    spec = Spec(cell, hidden, data.draw(st.integers(1, 3)), 3, activation, loss)
    agree(spec, usable(spec, replicas, batch, time, data.draw(st.integers(0, 2**31))))


@pytest.mark.parametrize(
    "environment",
    [{"URNN_LANES": "8"}, {"URNN_LANES": "16"}, {"NUMBA_CPU_NAME": "generic"}],
    ids=str,
)
def test_other_vectors_give_the_right_answers(environment: dict[str, str], tmp_path: Path) -> None:
    """Vectors that this processor may not have, and a processor that has next to none."""
    script = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from test_backends import Spec, agree, usable\n"
        "for cell, hidden in (('rnn', 3), ('lstm', 2), ('rnn', 17)):\n"
        "    spec = Spec(cell, hidden, 2, 2, 'tanh')\n"
        "    agree(spec, usable(spec, 3, 5, 9, 0))\n"
    )
    result = subprocess.run(
        [sys.executable, "-c", script, str(Path(__file__).parent)],
        env={**os.environ, **environment, "URNN_CACHE_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    if "URNN_LANES" in environment:
        wrong = {**os.environ, "URNN_LANES": "12"}
        command = [sys.executable, "-c", "import urnn.recurrence.vector"]
        result = subprocess.run(command, env=wrong, capture_output=True, text=True, check=False)
        assert "URNN_LANES must be 8 or 16, but it is '12'" in result.stderr
