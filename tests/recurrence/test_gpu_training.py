"""Trainings by the GPU's kernels in the emulator, whole epochs at once, against the host's loop."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from tests.recurrence.emulated import Emulator
from urnn import models, training
from urnn.optimizers import RMSProp
from urnn.recurrence import Spec, parameter_count, unpack
from urnn.recurrence.gpu import backend as gpu_backend
from urnn.recurrence.gpu.backend import GpuBackend
from urnn.recurrence.gpu.driver import arguments
from urnn.recurrence.gpu.layouts import layout
from urnn.recurrence.gpu.sources import text
from urnn.seeds import generator
from urnn.settings.base import validated
from urnn.settings.model import AnyModel, Model
from urnn.settings.training import Recipe


class ByStep(GpuBackend):
    """The same kernels for loss and gradient, and the host's loop, optimizer and projection."""

    epoch = None  # type: ignore[assignment]


@pytest.fixture(autouse=True)
def no_hurry(monkeypatch: pytest.MonkeyPatch) -> None:
    """However slow the emulator is, as many steps are taken at once as a test asks for."""
    monkeypatch.setattr(gpu_backend, "_SECONDS_AT_ONCE", 1e9)


def model(**options: Any) -> Model:
    made = validated(AnyModel, options, "model")
    assert isinstance(made, Model)
    return made


def at_once(steps: int = 10_000, **options: Any) -> GpuBackend:
    where = GpuBackend(Emulator(**options))
    where._at_once = steps
    return where


def train(
    where: GpuBackend,
    settings: Model,
    hidden_units: int,
    recipe: Recipe,
    loss: str = "squared",
    replicas: tuple[int, ...] = (0, 1, 2, 3),
    broken: int | None = None,
    **options: Any,
) -> training.Trained:
    """20 trials of 6 steps, 3 of them for validation; one of replica ``broken`` is infinite."""
    random = np.random.default_rng(0)
    x = random.standard_normal((4, 20, 6, 2)).astype(np.float32)
    y: NDArray = random.standard_normal((4, 20, 6, 1)).astype(np.float32)
    outputs = 1
    if loss == "cross_entropy":
        y, outputs = (x.mean((2, 3)) > 0).astype(np.int64), 2
    if broken is not None:
        x[broken, 5] = np.inf
    kept = sorted(set(replicas))
    return training.train(
        models.specification(settings, hidden_units, 2, outputs, loss),
        settings.transition_plug,
        recipe,
        x[kept],
        y[kept],
        [kept.index(r) for r in replicas],
        [partial(generator, 1, "test", r, 0) for r in replicas],
        where,
        3,
        **options,
    )


def alike(a: training.Trained, b: training.Trained, tolerance: float = 0, who: Any = ...) -> None:
    """All that a training gives, but for its time."""
    for field in dataclasses.fields(training.Trained):
        if field.name == "wall_seconds":
            continue
        ours, theirs = getattr(a, field.name)[who], getattr(b, field.name)
        if field.name == "constraint_error":  # torch's svd, whose bits depend on the stack
            np.testing.assert_allclose(ours, theirs, atol=2e-6)
        elif tolerance == 0 or theirs.dtype.kind in "ib":
            np.testing.assert_array_equal(ours, theirs, err_msg=field.name)
        else:  # parameters are kept as float32
            close = max(tolerance, 2e-7) if theirs.dtype == np.float32 else tolerance
            np.testing.assert_allclose(ours, theirs, rtol=close, atol=close, err_msg=field.name)


#: a batch of 7 does not divide 17 trials
RECIPE = Recipe(epochs=3, batch_size=7, learning_rate=0.02)
CASES: dict[str, tuple[Model, int, str, Recipe]] = {
    "free": (
        model(activation="tanh"), 4, "squared",
        RECIPE.model_copy(update={"schedule": "cosine", "train_initial_state": True}),
    ),
    "unitary": (
        model(transition="unitary"), 5, "squared",
        RECIPE.model_copy(update={"optimizer": "rmsprop", "clip_norm": 0.5}),
    ),
    "contractive": (
        model(transition="contractive"), 3, "squared",
        RECIPE.model_copy(update={"learning_rate": 0.3, "clip_norm": 1.0}),
    ),
    "far": (
        model(transition="unitary", activation="tanh"), 4, "cross_entropy",
        RECIPE.model_copy(update={"learning_rate": 0.5, "optimizer": "rmsprop"}),
    ),
    "lstm": (
        model(cell="lstm"), 3, "squared",
        RECIPE.model_copy(update={"clip_norm": 0.1, "train_initial_state": True}),
    ),
    "gru": (model(cell="gru"), 16, "cross_entropy", RECIPE),
    "spread": (
        model(transition="unitary", activation="modrelu"), 18, "squared",
        RECIPE.model_copy(update={"clip_norm": 1.0, "epochs": 2}),
    ),
    "many": (
        model(transition="contractive", activation="tanh"), 17, "squared",
        RECIPE.model_copy(update={"optimizer": "rmsprop", "learning_rate": 0.1, "epochs": 1}),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", CASES)
def test_epochs_at_once_are_the_hosts_loop_in_float64(name: str) -> None:
    settings, n, loss, recipe = CASES[name]
    where = at_once(dtype=torch.float64)
    found = train(where, settings, n, recipe, loss, broken=2)
    wanted = train(ByStep(Emulator(torch.float64)), settings, n, recipe, loss, broken=2)
    alike(found, wanted, 1e-9)
    if settings.cell_plug.cell == "rnn" and loss == "squared":
        np.testing.assert_array_equal(found.ended == training.OVERFLOW, [False, False, True, False])
        assert found.steps[2] < found.steps[0]
    assert np.all(found.loss[0] > 0) and not np.array_equal(found.loss[0, 0], found.loss[1, 0])
    # one launch for an epoch, or two for a step
    moving = [kernel for kernel, _ in where.driver.launches if kernel in ("train", "move")]
    assert len(moving) == recipe.epochs * (1 if n < 16 else 3)


def test_float32_is_the_hosts_loop_in_rounding() -> None:
    for optimizer in ("adam", "rmsprop"):
        recipe = RECIPE.model_copy(update={"optimizer": optimizer, "epochs": 1})
        settings = model(activation="tanh")
        by_step = train(ByStep(Emulator()), settings, 4, recipe)
        alike(train(at_once(), settings, 4, recipe), by_step, 1e-5)


@pytest.mark.parametrize("name", ["unitary", "contractive", "spread"])
def test_a_stack_has_the_bits_of_its_members_and_constraints_hold(name: str) -> None:
    settings, n, loss, recipe = CASES[name]
    stack = train(at_once(), settings, n, recipe, loss, broken=1)
    for seed, r in ((0, 0), (1, 1), (3, 3)):
        alone = train(at_once(seed=seed), settings, n, recipe, loss, (r,), broken=min(r, 1) or None)
        alike(stack, alone, who=[r])
    W = unpack(models.specification(settings, n, 2, 1), stack.parameters)["W"].astype(float)
    values = np.linalg.svd(W)[1]
    assert values.max() <= 1 + 2e-6
    assert settings.transition_plug.transition == "contractive" or values.min() > 1 - 2e-6


class Interruption(RuntimeError):
    pass


class Memory:
    """A checkpoint that is saved when it is asked for the given time; then the training ends."""

    def __init__(self, when: int, saved: Mapping[str, NDArray] | None = None) -> None:
        self.when, self.saved, self.asked = when, saved, -1

    def load(self) -> Mapping[str, NDArray] | None:
        return self.saved

    def due(self) -> bool:
        self.asked += 1
        return self.asked == self.when

    def save(self, state: Mapping[str, NDArray]) -> None:
        self.saved = {name: values.copy() for name, values in state.items()}
        raise Interruption


@pytest.mark.parametrize("name", ["unitary", "gru"])
def test_an_interrupted_training_goes_on_to_the_same_bits(name: str) -> None:
    settings, n, loss, recipe = CASES[name]
    recipe = recipe.model_copy(update={"patience": 1, "epochs": 6, "schedule": "cosine"})
    expected = train(at_once(), settings, n, recipe, loss, broken=1)
    assert {training.EARLY} < {*expected.ended}
    for steps, when in ((1, 2), (2, 3)):
        memory = Memory(when)
        with pytest.raises(Interruption):
            train(at_once(steps), settings, n, recipe, loss, broken=1, checkpoint=memory)
        assert memory.saved is not None and memory.saved["position"][2] > 0
        for where in (at_once(), at_once(1)):
            again = Memory(-1, memory.saved)
            alike(expected, train(where, settings, n, recipe, loss, broken=1, checkpoint=again))


def test_a_set_without_kernels_of_its_own_takes_a_step_at_once() -> None:
    settings = model(transition="cayley", activation="tanh")
    found = train(at_once(), settings, 4, RECIPE)
    alike(found, train(ByStep(Emulator()), settings, 4, RECIPE))


def retracted(where: GpuBackend, settings: Model, W: NDArray) -> NDArray:
    """W (R, n, n) after a step whose change is 0."""
    replicas, n = W.shape[:2]
    spec, driver = Spec("rnn", n, 1, 1), where.driver
    transition = settings.transition_plug
    program = driver.program(("move",), spec, layout(spec, 1), (RMSProp.cuda, transition.cuda))
    theta = torch.zeros(replicas, parameter_count(spec), dtype=driver.dtype)
    theta[:, : n * n] = torch.tensor(W.reshape(replicas, -1))
    zeros, float64 = torch.zeros_like(theta), torch.zeros(replicas, dtype=torch.float64)
    given = arguments(
        theta=theta, partial=zeros, partial_loss=float64, first_state=zeros.clone(),
        second_state=zeros.clone(), scratch=driver.empty(replicas, 3 * n * n),
        rates=torch.zeros(1, dtype=driver.dtype), total=float64.clone(),
        taken=torch.zeros(replicas, dtype=torch.int64),
        ended=torch.zeros(replicas, dtype=torch.int8),
        replicas=replicas, parts=1, batch=1, length=1,
    )  # fmt: skip
    program["move"](given, 2)
    return theta[:, : n * n].reshape(W.shape).numpy()


def matrices(n: int) -> NDArray:
    """Far from orthogonal, near it, inside the ball, and two whose rows are nearly orthogonal."""
    random = np.random.default_rng(n)
    far = random.standard_normal((2, n, n))
    near = np.linalg.qr(far[0])[0] + 0.02 * random.standard_normal((n, n))
    inside = 0.3 * far[1] / np.linalg.norm(far[1], 2)
    # these rows meet in the last round of a sweep alone, and in the first
    last, first = np.diag(np.linspace(1, 3, n)), np.diag(np.linspace(1, 3, n))
    even = n + n % 2
    pairs = (even - 2, even - 1) if n == even else (even - 3, 0)
    last[pairs[0], pairs[1]] = first[0, -1] = 0.5
    return np.stack([far[0], near, inside, last, first, far[1]])


SETS = ["unitary", "contractive"]


@pytest.mark.parametrize("n", [1, 2, 5, 18])
@pytest.mark.parametrize("name", SETS)
def test_projections_are_those_of_the_set(name: str, n: int) -> None:
    settings, W = model(transition=name), matrices(n)
    found = retracted(GpuBackend(Emulator(torch.float64)), settings, W)
    wanted = settings.transition_plug.project(W.copy(), np)
    np.testing.assert_allclose(found, wanted, atol=1e-12)
    in_float32 = retracted(GpuBackend(Emulator()), settings, W)
    np.testing.assert_allclose(in_float32, wanted, atol=2e-6)
    if name == "contractive":
        np.testing.assert_array_equal(in_float32[2], W[2].astype(np.float32))
    for seed in (0, 1, 3):
        again = retracted(GpuBackend(Emulator(seed=seed)), settings, W[1:])
        np.testing.assert_array_equal(again, in_float32[1:])


def different(first: Any, second: Any) -> bool:
    """Whether a function gives other numbers than another one, or does not end."""
    try:
        np.testing.assert_equal(first(), second)
    except AssertionError:
        return True
    return False


def passes(n: int) -> int:
    """Barriers of the passes, which test_gpu.py has."""
    spec = Spec("rnn", n, 1, 1)
    return Emulator().program(("join",), spec, layout(spec, 1))["join"].barriers


def test_every_barrier_of_the_projections_is_needed() -> None:
    detected, there = set(), text("matrices.cuh").count("BLOCK_BARRIER;")
    for name, n in itertools.product(SETS, (4, 5, 18)):
        settings, W = model(transition=name), matrices(n)
        wanted = retracted(GpuBackend(Emulator()), settings, W)
        # the unitary set has one of its own, after those
        for number in range(there + (name == "unitary")):
            for seed in range(5):
                without = GpuBackend(Emulator(seed=seed, left_out=passes(n) + number))
                if different(partial(retracted, without, settings, W), wanted):
                    detected.add(number)
                    break
    # after the last one of the singular values nothing reads W here
    assert detected == set(range(there + 1)) - {there - 1}


def test_every_barrier_of_an_update_is_needed() -> None:
    detected = set()
    own = text("update.cuh").count("BLOCK_BARRIER;")
    for name, kernel in (("lstm", "train"), ("contractive", "train"), ("many", "move")):
        settings, n, loss, recipe = CASES[name]
        recipe = recipe.model_copy(update={"epochs": 1, "clip_norm": 0.2, "learning_rate": 0.1})
        wanted = train(at_once(), settings, n, recipe, loss).parameters
        start = passes(n) + text("matrices.cuh").count("BLOCK_BARRIER;")
        # from the last one of the singular values to that of `move`, between parts and their sum
        for number in range(-1, own + (kernel == "move")):

            def parameters(seed: int, left_out: int) -> NDArray:
                options = {"seed": seed, "left_out": left_out, "without": kernel}  # noqa: B023
                return train(at_once(**options), settings, n, recipe, loss).parameters  # noqa: B023

            if any(
                different(partial(parameters, seed, start + number), wanted) for seed in range(5)
            ):
                detected.add(number)
    assert detected == set(range(-1, own + 1))
