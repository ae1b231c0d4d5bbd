"""Which backend a GPU gets: the kernels, or with a warning torch's loop; in the emulator."""

from __future__ import annotations

from functools import partial
from typing import Any, ClassVar, Literal

import numpy as np
import pytest
import torch

from tests.recurrence.emulated import Emulator
from urnn import devices, models, training
from urnn.errors import ArgumentError
from urnn.recurrence import Spec, accelerator, backend
from urnn.recurrence.cells import POINT
from urnn.seeds import generator
from urnn.settings.base import validated
from urnn.settings.model import AnyModel
from urnn.settings.training import Recipe

Plain: Any = POINT.plug("gru")


class WithoutCpp(Plain):
    """A cell of somebody's own, who wrote no C++."""

    cell: Literal["gru"] = "gru"
    cuda: ClassVar[Any] = accelerator.Cell.cuda


def test_a_cell_without_cpp_takes_the_loop_on_the_same_device(problems: Any) -> None:
    where = accelerator.KernelsOrLoop(Emulator())
    own, known = (Spec(cell, 3, 2, 1) for cell in (WithoutCpp(), POINT.make("gru")))
    data = problems.problem(own, 2, 5, 4)
    with pytest.warns(RuntimeWarning, match=r"the cell gru has no C\+\+ .*torch's loop"):
        loss, gradient = problems.step(where, own, data)
    for ours, theirs in zip((loss, gradient), problems.step(where, known, data), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-6)
    theta, x, _, dataset, _ = data
    outputs = [where.to_numpy(where.outputs(s, theta, x, dataset)) for s in (own, known)]
    np.testing.assert_allclose(*outputs, rtol=1e-5, atol=1e-6)
    assert where.computed_by(known) == "CUDA kernels on no GPU (cpu)"
    assert where.computed_by(own) == "torch on no GPU (cpu)"


@pytest.mark.filterwarnings("ignore:the cell gru has no C")
def test_it_is_trained_step_by_step() -> None:
    driver = Emulator()
    where = accelerator.KernelsOrLoop(driver)
    model = validated(AnyModel, {"cell": "gru"}, "model")
    random = np.random.default_rng(0)
    x = random.standard_normal((1, 12, 5, 2)).astype(np.float32)
    y = random.standard_normal((1, 12, 5, 1)).astype(np.float32)
    trained = [
        training.train(
            Spec(cell, 3, 2, 1),
            model.transition_plug,
            Recipe(epochs=2, batch_size=4),
            x,
            y,
            [0, 0],
            [partial(generator, 1, r) for r in range(2)],
            where,
            2,
        )
        for cell in (WithoutCpp(), POINT.make("gru"))
    ]
    assert trained[0].steps.tolist() == [6, 6]
    np.testing.assert_allclose(trained[0].loss, trained[1].loss, rtol=1e-4)
    assert models.specification(model, 3, 2, 1).cell.cuda


def test_a_gpu_without_nvrtc_takes_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(device: str) -> Any:
        raise ArgumentError("there is no NVRTC here")

    monkeypatch.delenv(devices.DRIVER_VARIABLE, raising=False)
    monkeypatch.setattr(accelerator, "_driver", missing)
    with pytest.warns(RuntimeWarning, match="there is no NVRTC here: torch's loop over time runs"):
        found = accelerator.make("cpu")  # torch has this one everywhere
    assert isinstance(found, accelerator.LoopOnGpu)
    assert found.dtype == torch.float32


def test_a_driver_that_is_named_takes_the_place_of_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(devices.DRIVER_VARIABLE, "tests.recurrence.emulated:Emulator")
    found = backend("cuda")
    assert isinstance(found, accelerator.KernelsOrLoop)
    assert isinstance(found.driver, Emulator)
