"""Blocks cover every realization once, keep what is there, and are the same while they are made."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest
import yaml

from urnn import block_sizes, blocks
from urnn.config import Config, load
from urnn.errors import ConfigError
from urnn.recurrence import Spec
from urnn.recurrence.gpu.layouts import layout, state_row

ROOT = Path(__file__).parents[1]


def changed(**experiment: Any) -> Config:
    """The test configuration with other keys of an experiment, its recipe, and of the whole."""
    values = yaml.safe_load((ROOT / "config/test.yaml").read_text())
    for key in ("device", "gpu_memory"):
        if key in experiment:
            values[key] = experiment.pop(key)
    if "restarts" in experiment:
        values["recipes"]["test"]["restarts"] = experiment.pop("restarts")
    values["experiments"]["test-20dB"].update(experiment)
    return load(values)


def of(run: Config, device: str = "cpu", folder: Path = Path("/none")) -> list[blocks.Block]:
    size = block_sizes.of_training(run, "test-20dB", "rnn", 4, device)
    return blocks.of_training(run.experiments["test-20dB"], size, folder)


def test_blocks_of_a_size() -> None:
    assert blocks.blocks(5, 2) == [(0, 1), (2, 3), (4, 4)]
    assert blocks.blocks(5, 9) == [(0, 4)]


def test_more_realizations_only_add() -> None:
    assert blocks.blocks(30, 16, [(0, 7)]) == [(0, 7), (8, 23), (24, 29)]
    assert blocks.blocks(40, 100, [(0, 29)]) == [(0, 29), (30, 39)]
    # fewer: a file that holds more is not one of these
    assert blocks.blocks(20, 16, [(0, 29)]) == [(0, 15), (16, 19)]


def test_data_that_are_there_are_not_made_with_those_that_are_not(tmp_path: Path) -> None:
    def there(*numbers: int) -> list[blocks.Block]:
        for number in numbers:
            (tmp_path / f"realization-{number:03d}.nc").touch()
        return blocks.of_data(20, tmp_path)

    size = blocks.OF_DATA
    assert there() == [(0, size - 1), (size, 2 * size - 1), (2 * size, 19)]
    assert blocks.of_data(3, tmp_path / "none") == [(0, 2)]
    # a job has made the first of its files: the blocks of the other jobs stay
    assert there(0) == [(0, 0), (1, size - 1), (size, 2 * size - 1), (2 * size, 19)]
    # one in the middle is lost, of two blocks that were made
    assert there(*range(3), *range(4, 2 * size)) == [
        (0, 2), (3, 3), (4, size - 1), (size, 2 * size - 1), (2 * size, 19)
    ]  # fmt: skip
    # more of them only add
    assert blocks.of_data(40, tmp_path)[:4] == blocks.of_data(2 * size, tmp_path)


def test_any_files_are_covered_once_and_the_same_while_they_appear() -> None:
    draw = random.Random(0)
    for _ in range(500):
        number, size = draw.randint(1, 30), draw.randint(1, 12)
        there = []
        for _ in range(draw.randint(0, 5)):
            first = draw.randrange(number + 3)
            there.append((first, first + draw.randrange(8)))
        found = blocks.blocks(number, size, there)
        assert [r for a, b in found for r in range(a, b + 1)] == list(range(number))
        assert all(b - a < size for a, b in found if (a, b) not in there)
        some = draw.sample(found, draw.randint(0, len(found)))
        assert blocks.blocks(number, size, [*there, *some]) == found


def test_a_block_size_that_is_given_is_kept_on_every_device(tmp_path: Path) -> None:
    (tmp_path / "realizations-000-009.nc").touch()
    for device in ("cpu", "cuda"):
        assert of(changed(block_size=4, realizations=10), device, tmp_path) == [
            (0, 3), (4, 7), (8, 9)
        ]  # fmt: skip


def test_automatic_blocks_are_16_on_a_cpu_and_all_on_a_gpu(tmp_path: Path) -> None:
    run = changed(block_size=None, realizations=20)
    assert of(run) == [(0, 15), (16, 19)]
    assert of(run, "cuda") == of(run, "cuda:1") == [(0, 19)]
    (tmp_path / "realizations-000-015.nc").touch()
    (tmp_path / ".realizations-000-019.1.checkpoint.nc").touch()
    assert of(run, "cuda", tmp_path) == [(0, 15), (16, 19)]


def test_blocks_on_a_gpu_are_as_large_as_its_memory_allows() -> None:
    run = changed(block_size=None, realizations=20)
    each = block_sizes.bytes_of_realization(run, "test-20dB", "rnn", 4)
    run = changed(block_size=None, realizations=20, gpu_memory=7.5 * each / 1e9)
    assert of(run, "cuda") == [(0, 6), (7, 13), (14, 19)]
    run = changed(block_size=None, gpu_memory=0.5 * each / 1e9)
    with pytest.raises(ConfigError, match=r"gpu_memory: .* set block_size: 1 to try with less"):
        of(run, "cuda")


def test_every_restart_takes_the_memory_of_a_replica(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(block_sizes, "bytes_of_replica", lambda *arguments: 1000)
    one, eight = (
        block_sizes.bytes_of_realization(changed(restarts=restarts), "test-20dB", "rnn", 4)
        for restarts in (1, 8)
    )
    assert eight - one == 7 * 1000


def test_a_network_that_the_kernels_cannot_hold_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    from urnn.errors import ArgumentError

    def too_large(*arguments: Any) -> None:
        raise ArgumentError("128 hidden units need 999 KiB")

    monkeypatch.setattr(block_sizes, "layout", too_large)
    with pytest.raises(ConfigError, match=r"experiments.test-20dB: rnn: 128 hidden units need"):
        of(changed(block_size=None), "cuda")


def test_the_memory_of_a_replica_is_at_least_that_of_its_states() -> None:
    for n, batch in ((14, 10), (96, 64)):
        spec = Spec("lstm", n, 2, 2)  # type: ignore[arg-type]
        plan = layout(spec, batch)
        states = plan.parts(batch) * 1001 * plan.teams * state_row(spec, plan) * 4
        assert states < block_sizes.bytes_of_replica(spec, batch, 1000, 0) < 1.1 * states
