"""Training in lock step: replicas are independent, constraints hold, divergence stops one alone."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from urnn import RNN, models, training
from urnn.recurrence import Backend, Spec, backend, cells, unpack
from urnn.recurrence.cpu import CpuBackend
from urnn.seeds import generator
from urnn.settings.base import validated
from urnn.settings.model import AnyModel, Model
from urnn.settings.training import Recipe
from urnn.transition import POINT as TRANSITIONS

RECIPE = Recipe(epochs=3, batch_size=4, learning_rate=0.02, validation_ratio=0.2, clip_norm=1.0)


def make(**options: Any) -> Model:
    made = validated(AnyModel, options, "model")
    assert isinstance(made, Model)
    return made


def family() -> dict[str, Model]:
    """By name: every cell, every set of transitions, and what else a model may have."""
    every = {name: make(cell=name) for name in cells.POINT}
    for name in TRANSITIONS.names[1:]:
        complex_valued = TRANSITIONS.make(name).is_complex
        every[name] = make(transition=name, activation="modrelu" if complex_valued else "relu")
    return every | {
        "eunn": make(transition="eunn", activation="modrelu", capacity=2),
        "eunn_real": make(transition="eunn", field="real"),
        "eunn_fft": make(transition="eunn", fft=True),
        "full_capacity_real": make(transition="full_capacity", field="real"),
        "matrix_exp": make(transition="matrix_exp", field="complex", activation="modrelu"),
    }


MODELS = family()


def trials(realizations: int, seed: int = 0) -> tuple[NDArray, NDArray]:
    """Trials of small contractive systems: x, y (realization, 18 trials, 40 steps, 2)."""
    random = np.random.default_rng(seed)
    x = random.standard_normal((realizations, 18, 40, 2)).astype(np.float32)
    y = np.stack(
        [
            RNN(0.9 * np.eye(3), *(random.standard_normal(s) for s in ((3, 2), 3, (2, 3))))(part)
            for part in x
        ]
    )
    return x, y.astype(np.float32)


def run(
    model: Model,
    recipe: Recipe,
    x: NDArray,
    y: NDArray,
    replicas: list[tuple[int, int]],
    hidden_units: int = 4,
    device: str = "cpu",
) -> training.Trained:
    """Train the replicas (realization, restart); x and y hold only the realizations they need."""
    present = sorted({realization for realization, _ in replicas})
    return training.train(
        models.specification(model, hidden_units, 2, 2),
        model.transition_plug,
        recipe,
        x[present],
        y[present],
        [present.index(realization) for realization, _ in replicas],
        [partial(generator, 1, "test", realization, restart) for realization, restart in replicas],
        backend(device),
        round(x.shape[1] * recipe.validation_ratio),
    )


def same(a: training.Trained, b: training.Trained, mine: Any = slice(None)) -> None:
    for name in ("parameters", "loss", "validation_loss", "diverged", "steps"):
        np.testing.assert_array_equal(getattr(a, name)[mine], getattr(b, name), err_msg=name)


def alike(a: training.Trained, b: training.Trained) -> None:
    """All that a training gives, but for its time."""
    for field in dataclasses.fields(training.Trained):
        if field.name != "wall_seconds":
            np.testing.assert_array_equal(
                getattr(a, field.name), getattr(b, field.name), err_msg=field.name
            )


@pytest.mark.parametrize("name", MODELS)
def test_a_stack_equals_its_members_trained_alone_bit_by_bit(name: str) -> None:
    x, y = trials(3)
    replicas = [(s, i) for s in range(3) for i in range(2)]
    stack = run(MODELS[name], RECIPE, x, y, replicas)
    assert not stack.diverged.any()
    for position, replica in enumerate(replicas):
        same(stack, run(MODELS[name], RECIPE, x, y, [replica]), [position])
    backwards = run(MODELS[name], RECIPE, x, y, replicas[::-1])
    same(stack, backwards, slice(None, None, -1))
    assert len({p.tobytes() for p in stack.parameters}) == len(replicas)


@pytest.mark.parametrize("name", MODELS)
def test_the_cpu_backend_trains_like_the_float64_reference(name: str) -> None:
    x, y = trials(2)
    replicas = [(0, 0), (1, 0)]
    recipe = Recipe(epochs=2, batch_size=6, learning_rate=0.001)  # gentle: no kink is crossed
    cpu = run(MODELS[name], recipe, x, y, replicas)
    reference = run(MODELS[name], recipe, x, y, replicas, device="reference")
    np.testing.assert_allclose(cpu.loss, reference.loss, rtol=2e-4)


def test_learning_lowers_the_loss() -> None:
    x, y = trials(2)
    for name in MODELS:
        trained = run(MODELS[name], Recipe(epochs=40, batch_size=6), x, y, [(0, 0), (1, 0)])
        assert np.all(trained.loss[:, -1] < 0.8 * trained.loss[:, 0]), name
        assert np.all(trained.steps == 40 * 3)


def test_a_training_is_that_of_an_independent_loop() -> None:
    """torch's layers, optimizer and schedule, from the same start and in the same order."""
    torch = pytest.importorskip("torch")
    x, y = (values[:, :17] for values in trials(1))
    recipe = Recipe(
        optimizer="rmsprop", schedule="cosine", epochs=4, batch_size=7, learning_rate=0.005,
        clip_norm=75,
    )  # fmt: skip
    model, draw = MODELS["rnn"], partial(generator, 1, "test", 0, 0)
    spec = models.specification(model, 4, 2, 2)
    found = run(model, recipe, x, y, [(0, 0)], device="reference")

    start = models.initialise(spec, recipe, draw("initial"), model.transition_plug)
    start["W"] = start.pop("p").reshape(4, 4)
    layer = torch.nn.RNN(2, 4, nonlinearity="relu", batch_first=True, dtype=torch.float64)
    readout = torch.nn.Linear(4, 2, dtype=torch.float64)
    trained = {
        "W": layer.weight_hh_l0, "F": layer.weight_ih_l0, "b": layer.bias_ih_l0,
        "C": readout.weight, "d": readout.bias,
    }  # fmt: skip
    with torch.no_grad():
        layer.bias_hh_l0.zero_()
        for name, parameter in trained.items():
            parameter.copy_(torch.tensor(start[name]))
    optimizer = torch.optim.RMSprop(trained.values(), lr=0.005, alpha=0.9, eps=1e-7)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=4 * 3)
    inputs, targets = (torch.tensor(values[0], dtype=torch.float64) for values in (x, y))
    order, losses, norms = draw("order"), [], []
    for _ in range(4):
        total = 0.0
        for chosen in torch.tensor(order.permutation(17)).split(7):
            optimizer.zero_grad()
            loss = (readout(layer(inputs[chosen])[0]) - targets[chosen]).square().mean()
            loss.backward()
            norms.append(torch.nn.utils.clip_grad_norm_(trained.values(), 75).item())
            optimizer.step()
            schedule.step()
            total += len(chosen) * loss.item()
        losses.append(total / 17)
    assert min(norms) < 75 < max(norms)  # some are clipped
    np.testing.assert_allclose(found.loss[0], losses, rtol=1e-5)
    kept = unpack(spec, found.parameters)
    for name, parameter in trained.items():
        np.testing.assert_allclose(
            kept[name][0], parameter.detach().numpy(), rtol=1e-5, atol=1e-6, err_msg=name
        )


@pytest.mark.parametrize("hidden_units", [2, 8, 14])
def test_constraints_hold_after_training(hidden_units: int) -> None:
    x, y = trials(2)
    for name, tolerance in [("unitary", 1e-5), ("contractive", 1e-6)]:
        trained = run(MODELS[name], RECIPE, x, y, [(0, 0), (1, 0)], hidden_units)
        spec = models.specification(MODELS[name], hidden_units, 2, 2)
        W = unpack(spec, trained.parameters)["W"].astype(float)
        if name == "unitary":
            error = W.transpose(0, 2, 1) @ W - np.eye(hidden_units)
            assert np.linalg.norm(error, 2, axis=(1, 2)).max() < tolerance
        else:
            assert np.linalg.norm(W, 2, axis=(1, 2)).max() <= 1 + tolerance


def test_a_diverging_replica_stops_alone() -> None:
    x, y = trials(3)
    # overflows the loss or a gradient of realization 1, on whichever side its units are
    x[1, 5, ::2], x[1, 5, 1::2] = 1e30, -1e30
    recipe = Recipe(epochs=3, batch_size=4)
    for name in MODELS:
        stack = run(MODELS[name], recipe, x, y, [(0, 0), (1, 0), (2, 0)])
        np.testing.assert_array_equal(stack.diverged, [False, True, False])
        assert np.isfinite(stack.parameters).all()
        assert np.isnan(stack.loss[1, -1])
        assert np.isfinite(stack.loss[[0, 2]]).all()
        assert stack.steps[1] < stack.steps[0] == 15
        for position in range(3):
            same(stack, run(MODELS[name], recipe, x, y, [(position, 0)]), [position])


@pytest.mark.parametrize("patience", [None, 2])
def test_a_validation_that_overflows_has_diverged(patience: int | None) -> None:
    """Nothing is kept of it, however good its training loss is."""
    x, y = trials(2)
    x[1, -3:] = 1e30  # squares overflow
    recipe = RECIPE.model_copy(update={"patience": patience})
    trained = run(MODELS["rnn"], recipe, x, y, [(0, 0), (1, 0)])
    assert np.isfinite(trained.loss[:, 0]).all()
    assert trained.diverged.tolist() == [False, True]


def test_nan_in_the_data_of_one_touches_no_other() -> None:
    x, y = trials(2)
    clean = run(MODELS["rnn"], RECIPE, x, y, [(0, 0)])
    x[1] = np.nan
    same(run(MODELS["rnn"], RECIPE, x, y, [(0, 0), (1, 0)]), clean, [0])


def test_the_initial_state_is_trained_only_when_asked() -> None:
    x, y = trials(1)
    spec = Spec("rnn", 4, 2, 2)
    for wanted in (False, True):
        recipe = Recipe(epochs=1, batch_size=6, train_initial_state=wanted)
        trained = run(MODELS["rnn"], recipe, x, y, [(0, 0)])
        assert np.any(unpack(spec, trained.parameters)["h_init"] != 0) == wanted


def test_the_best_restart_is_chosen_without_the_test_trials() -> None:
    nan = np.nan
    loss = np.array([[3.0, 1, 2], [3, 1, nan], [nan, nan, nan], [1, 2, 3], [1, 2, 3]])
    validation = np.full((5, 3), nan)
    validation[3] = [3, 2, 1]
    validation[4] = [nan, 5, 4]  # NaN of a restart that overflowed there does not win
    diverged = np.isnan(loss)
    diverged[1, 1] = True
    best = training.best_restart(loss, validation, diverged)
    np.testing.assert_array_equal(best, [1, 0, 0, 2, 2])


def digits(seed: int = 0) -> tuple[NDArray, NDArray]:
    """Two realizations of 40 short sequences of two classes that differ in their mean."""
    random = np.random.default_rng(seed)
    labels = random.integers(0, 2, (2, 40))
    x = random.standard_normal((2, 40, 12, 2)) + 0.7 * labels[:, :, None, None]
    return x.astype(np.float32), labels


def classify(
    recipe: Recipe, model: str = "unitary", device: str | Backend = "cpu", **options: Any
) -> training.Trained:
    x, labels = digits()
    settings = MODELS[model]
    return training.train(
        models.specification(settings, 4, 2, 2, "cross_entropy"),
        settings.transition_plug,
        recipe,
        x,
        labels,
        [0, 1],
        [partial(generator, 1, "test", realization) for realization in (0, 1)],
        backend(device) if isinstance(device, str) else device,
        12,
        **options,
    )


@pytest.mark.parametrize("model", ["unitary", "lstm", "gru", "eunn"])
def test_classes_are_learned_and_the_accuracy_is_the_share_found(model: str) -> None:
    recipe = Recipe(epochs=40, batch_size=5, learning_rate=0.005)
    trained = classify(recipe, model)
    assert np.all(trained.loss[:, -1] < 0.8 * trained.loss[:, 0])
    x, labels = digits()
    spec = models.specification(MODELS[model], 4, 2, 2, "cross_entropy")
    scores = backend("reference").outputs(spec, trained.parameters, x[:, 28:], np.arange(2))
    found = np.asarray(scores).argmax(2) == labels[:, 28:]
    np.testing.assert_allclose(trained.validation_accuracy[:, -1], found.mean(1))
    torch = pytest.importorskip("torch")
    loss = torch.nn.functional.cross_entropy(
        scores.mT, torch.tensor(labels[:, 28:]), reduction="none"
    )
    np.testing.assert_allclose(trained.validation_loss[:, -1], loss.mean(1), rtol=1e-5)
    reference = classify(Recipe(epochs=2, batch_size=5, learning_rate=0.001), model, "reference")
    cpu = classify(Recipe(epochs=2, batch_size=5, learning_rate=0.001), model)
    np.testing.assert_allclose(cpu.validation_loss, reference.validation_loss, rtol=1e-4)


def test_early_termination_keeps_the_best_epoch() -> None:
    plain = Recipe(epochs=60, batch_size=5, learning_rate=0.2)
    full = classify(plain)
    early = classify(plain.model_copy(update={"patience": 4}))
    for r in range(2):
        best = np.minimum.accumulate(full.validation_loss[r])
        # the first epoch that is the fourth in a row without a new minimum
        improved = np.concatenate([[True], full.validation_loss[r, 1:] < best[:-1]])
        waited = np.array([k - np.flatnonzero(improved[: k + 1])[-1] for k in range(60)])
        last = int(np.argmax(waited >= 4))
        assert waited[last] >= 4, "this recipe should overfit"
        assert early.ended[r] == training.EARLY
        assert early.kept_epoch[r] == np.argmin(full.validation_loss[r, : last + 1])
        assert np.isnan(early.loss[r, last + 1 :]).all()
        np.testing.assert_array_equal(early.loss[r, : last + 1], full.loss[r, : last + 1])
        shorter = plain.model_copy(update={"epochs": int(early.kept_epoch[r]) + 1})
        np.testing.assert_array_equal(early.parameters[r], classify(shorter).parameters[r])
    assert not early.diverged.any() and np.all(full.ended == training.ALL_EPOCHS)


class Interruption(RuntimeError):
    pass


class Memory:
    """A checkpoint that is saved before the given steps, of which the last ends the training."""

    def __init__(self, steps: set[int], saved: Mapping[str, NDArray] | None = None) -> None:
        self.steps, self.saved, self.asked = steps, saved, -1

    def load(self) -> Mapping[str, NDArray] | None:
        return self.saved

    def due(self) -> bool:
        self.asked += 1
        return self.asked in self.steps

    def save(self, state: Mapping[str, NDArray]) -> None:
        self.saved = {name: values.copy() for name, values in state.items()}
        if self.asked == max(self.steps):
            raise Interruption


@pytest.mark.parametrize("model", ["rnn", "unitary", "lstm", "gru", "eunn", "cayley"])
@pytest.mark.parametrize("optimizer", ["adam", "rmsprop"])
def test_an_interrupted_training_goes_on_to_the_same_bits(model: str, optimizer: str) -> None:
    recipe = Recipe(
        epochs=7, batch_size=5, learning_rate=0.05, schedule="cosine", optimizer=optimizer,
        clip_norm=1.0, patience=2,
    )  # fmt: skip
    expected = classify(recipe, model)
    for steps in ({0}, {1}, {6, 13}, {20}):
        first = Memory(steps)
        try:
            classify(recipe, model, checkpoint=first)
        except Interruption:
            pass
        else:  # early termination came before
            assert max(steps) > expected.steps.max()
        resumed = classify(recipe, model, checkpoint=Memory({10_000}, first.saved))
        same(expected, resumed, slice(None))
        alike(expected, resumed)


def test_a_checkpoint_after_a_divergence_keeps_who_stopped() -> None:
    x, y = trials(2)
    x[1, 5] = 1e30
    recipe = Recipe(epochs=3, batch_size=4)
    arguments = (
        models.specification(MODELS["rnn"], 4, 2, 2), MODELS["rnn"].transition_plug, recipe,
        x, y, [0, 1], [partial(generator, 1, "test", r, 0) for r in (0, 1)], backend("cpu"),
    )  # fmt: skip
    expected = training.train(*arguments)
    assert list(expected.diverged) == [False, True]
    memory = Memory({9})
    with pytest.raises(Interruption):
        training.train(*arguments, checkpoint=memory)
    resumed = training.train(*arguments, checkpoint=Memory({10_000}, memory.saved))
    same(expected, resumed, slice(None))


def test_p_is_what_W_is_made_of() -> None:
    """The file of a training has both: the transition makes the W that is kept from the p kept."""
    x, y = trials(2)
    for name, model in MODELS.items():
        trained = run(model, RECIPE, x, y, [(0, 0), (1, 0)])
        spec = models.specification(model, 4, 2, 2)
        p = trained.transition_parameters
        W, _ = model.transition_plug.matrix(p.astype(np.float32), 4, np)
        kept = unpack(spec, trained.parameters)["W"]
        np.testing.assert_array_equal(W, kept, err_msg=name)


class AtOnce(CpuBackend):
    """A backend that takes the steps of an epoch itself."""

    def __init__(self) -> None:
        super().__init__()
        self.began: list[tuple[int, int]] = []

    def epoch(self, trainer: training.Trainer, order: NDArray[np.int64], first_batch: int) -> None:
        self.began.append((trainer.epoch, first_batch))
        assert first_batch == trainer.batch
        while trainer.batch < trainer.batches and trainer.alive.any():
            trainer.step(order)


@pytest.mark.parametrize("name", ["rnn", "unitary", "lstm", "gru", "eunn"])
def test_a_backend_may_take_the_steps_of_an_epoch_itself(name: str) -> None:
    x, y = trials(3)
    x[1, 5, ::2], x[1, 5, 1::2] = 1e30, -1e30  # one of them diverges in the midst of an epoch
    model, device = MODELS[name], AtOnce()
    recipe = RECIPE.model_copy(update={"patience": 1, "epochs": 6})
    for each in (RECIPE, recipe):
        arguments = (
            models.specification(model, 4, 2, 2), model.transition_plug, each, x, y, [0, 1, 2],
            [partial(generator, 1, "test", r, 0) for r in range(3)],
        )  # fmt: skip
        by_step = training.train(*arguments, backend("cpu"), 3)
        device.began = []
        at_once = training.train(*arguments, device, 3)
        alike(by_step, at_once)
        assert device.began == [(epoch, 0) for epoch in range(len(device.began))]
        assert 1 < len(device.began) <= each.epochs


def test_a_backend_with_its_own_epochs_is_interrupted_between_them() -> None:
    recipe = Recipe(epochs=5, batch_size=5, learning_rate=0.05)
    expected = classify(recipe)
    memory = Memory({2})
    with pytest.raises(Interruption):
        classify(recipe, device=AtOnce(), checkpoint=memory)
    assert memory.saved is not None
    assert list(memory.saved["position"][:2]) == [2, 0]
    # one that was saved by a host loop goes on in the midst of an epoch
    alike(expected, classify(recipe, device=AtOnce(), checkpoint=Memory({99}, memory.saved)))
    inside = Memory({8})
    with pytest.raises(Interruption):
        classify(recipe, checkpoint=inside)
    device = AtOnce()
    alike(expected, classify(recipe, device=device, checkpoint=Memory({99}, inside.saved)))
    assert device.began[0] == (1, 2)


def test_progress_is_reported_after_every_epoch() -> None:
    seen: list[training.Progress] = []
    trained = classify(Recipe(epochs=4, batch_size=5), report=seen.append)
    assert [(progress.epoch, progress.epochs) for progress in seen] == [
        (1, 4), (2, 4), (3, 4), (4, 4),
    ]  # fmt: skip
    np.testing.assert_allclose([progress.loss for progress in seen], trained.loss.mean(0))
    assert all(progress.diverged == 0 for progress in seen)
    assert seen[-1].seconds_left == 0 and seen[0].seconds_left > 0


def test_validation_trials_are_not_trained_on() -> None:
    x, y = trials(2)
    other = y.copy()
    other[:, -4:] = 7
    first, second = (run(MODELS["rnn"], RECIPE, x, each, [(0, 0), (1, 0)]) for each in (y, other))
    np.testing.assert_array_equal(first.parameters, second.parameters)
    assert np.all(first.validation_loss != second.validation_loss)
