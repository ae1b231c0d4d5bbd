"""The update rules against torch's, their state, and the learning rate over the steps."""

from __future__ import annotations

from typing import Any, get_args

import numpy as np
import pytest

from urnn.optimizers import OPTIMIZERS, learning_rate
from urnn.settings.training import Recipe


def test_a_recipe_may_ask_for_each() -> None:
    assert set(get_args(Recipe.model_fields["optimizer"].annotation)) == set(OPTIMIZERS)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_optimizers_against_torch(optimizer: str) -> None:
    torch = pytest.importorskip("torch")
    random = np.random.default_rng(0)
    theta = random.standard_normal((2, 5))
    other = torch.tensor(theta.copy(), requires_grad=True)
    ours = OPTIMIZERS[optimizer](theta, np)
    theirs = (
        torch.optim.Adam([other], lr=0.01, eps=1e-12)
        if optimizer == "adam"
        else torch.optim.RMSprop([other], lr=0.01, alpha=0.9, eps=1e-12)
    )
    for _ in range(20):
        gradient = random.standard_normal(theta.shape) + 3
        theta = theta + ours.update(gradient, 0.01)
        other.grad = torch.tensor(gradient)
        theirs.step()
    # epsilon differs in place and size, which the large gradients make small
    np.testing.assert_allclose(theta, other.detach().numpy(), atol=1e-6)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
@pytest.mark.parametrize("size", [1e-7, -3e-6, 1.0])
def test_changes_of_a_constant_gradient(optimizer: str, size: float) -> None:
    """Then m = (1 - b1^t) g and v = (1 - b2^t) g^2; the size of g shows that of epsilon."""
    ours = OPTIMIZERS[optimizer](np.zeros((1, 1)), np)
    for t in range(1, 30):
        found = ours.update(np.full((1, 1), size), 0.01)
        decay = 0.999 if optimizer == "adam" else 0.9
        root = np.sqrt(1 - decay**t)
        rate = 0.01 * root if optimizer == "adam" else 0.01
        assert found[0, 0] == pytest.approx(-rate * size / (root * abs(size) + 1e-7), rel=1e-9)


def changes(optimizer: Any, gradients: Any) -> list[Any]:
    return [optimizer.update(gradient, 0.01) for gradient in gradients]


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_a_row_is_the_same_bits_in_every_stack(optimizer: str) -> None:
    gradients = np.random.default_rng(0).standard_normal((10, 4, 7)).astype(np.float32)
    whole = changes(OPTIMIZERS[optimizer](gradients[0], np), gradients)
    for row in range(4):
        part = gradients[:, row : row + 1]
        alone = changes(OPTIMIZERS[optimizer](part[0], np), part)
        for all_rows, one in zip(whole, alone, strict=True):
            assert all_rows.dtype == one.dtype == np.float32
            np.testing.assert_array_equal(all_rows[row : row + 1], one)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_the_state_is_all_that_is_remembered(optimizer: str) -> None:
    gradients = np.random.default_rng(0).standard_normal((10, 2, 3)).astype(np.float32)
    first, second = (OPTIMIZERS[optimizer](gradients[0], np) for _ in range(2))
    changes(first, gradients[:6])
    assert first.steps == 6
    for name, values in second.state.items():
        values[:] = first.state[name]
    second.steps = first.steps
    for ours, theirs in zip(
        changes(first, gradients[6:]), changes(second, gradients[6:]), strict=True
    ):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("optimizer", OPTIMIZERS)
def test_torch_tensors_give_the_same_as_numpy(optimizer: str) -> None:
    torch = pytest.importorskip("torch")
    gradients = np.random.default_rng(0).standard_normal((10, 2, 3))
    ours = changes(OPTIMIZERS[optimizer](gradients[0], np), gradients)
    tensors = torch.tensor(gradients)
    theirs = changes(OPTIMIZERS[optimizer](tensors[0], torch), tensors)
    np.testing.assert_allclose(ours, torch.stack(theirs), rtol=1e-12)


def test_the_learning_rate_over_the_steps() -> None:
    constant = Recipe(learning_rate=0.1)
    assert [learning_rate(constant, step, 4) for step in range(4)] == [0.1] * 4
    cosine = Recipe(learning_rate=0.1, schedule="cosine")
    rates = [learning_rate(cosine, step, 100) for step in range(100)]
    assert rates[0] == 0.1 and rates[50] == pytest.approx(0.05)
    assert np.all(np.diff(rates) < 0) and 0 < rates[-1] < 1e-4
