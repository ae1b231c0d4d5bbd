"""Mutated configurations and files: a word for every wrong one, never a traceback or a hang."""

from __future__ import annotations

import copy
import math
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import xarray as xr
import yaml

from urnn.__main__ import main
from urnn.config import Config, load
from urnn.errors import ConfigError

ROOT = Path(__file__).parents[1]
CONFIGS = [yaml.safe_load(path.read_text()) for path in sorted((ROOT / "config").glob("*.yaml"))]
# ruff: noqa: E501
JUNK: list[Any] = [
    None, True, False, 0, -1, 1, 7, 10**30, 0.5, -0.0, 1e308, math.inf, math.nan, "", " ", "rnn", "1e-2",
    "../../etc/passwd", "'; rm -rf / #", "{{ 7 * 7 }}", "<script>", "$(id)", "a" * 5000, "\x00", "\u202e",
    [], {}, [1], [None], ["rnn", "rnn"], {"a": 1}, {1: 2}, {None: None}, [[[[]]]], {"models": {}}, b"bytes",
]  # fmt: skip


def places(values: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """The paths of all keys and items."""
    found = []
    items = values.items() if isinstance(values, dict) else enumerate(values)
    for key, value in items:
        found.append((*path, key))
        if isinstance(value, dict | list):
            found += places(value, (*path, key))
    return found


def mutated(chance: random.Random) -> dict[str, Any]:
    values = copy.deepcopy(chance.choice(CONFIGS))
    for _ in range(chance.choice([1, 1, 1, 2, 5])):
        known = places(values)
        if not known:
            break
        *path, last = chance.choice(known)
        table: Any = values
        for key in path:
            table = table[key]
        kind = chance.randrange(4)
        junk = copy.deepcopy(chance.choice(JUNK))
        if kind == 0:
            del table[last]
        elif kind == 1 and isinstance(table, dict):
            table[chance.choice(["sede", "", 3, "models", "x" * 100, None])] = junk
        elif kind == 2 and isinstance(table, dict):
            table[f"{last}x"] = table.pop(last)
        else:
            table[last] = junk
    return values


@pytest.mark.parametrize("part", range(5))
def test_a_hundred_mutated_configurations(part: int) -> None:
    wrong = 0
    for number in range(100):
        values = mutated(random.Random(1000 * part + number))
        try:
            config = load(values)
        except ConfigError as error:
            wrong += 1
            first, *lines = str(error).splitlines()
            assert "in the configuration, nothing was run" in first
            assert lines and all(line.startswith("  ") and ": " in line for line in lines), values
        else:
            assert isinstance(config, Config)
            # what is accepted is what is used: nothing of it was dropped or coerced on the way
            given = {key: value for key, value in values.items() if key in ("seed", "device")}
            assert {key: getattr(config, key) for key in given} == given
            config.kernels()
            for name in config.experiments:
                assert "/" not in name and ".." not in name.replace("...", "")
    assert wrong > 50


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory, make_data: Callable[..., Path]) -> Path:
    system = {"time_steps": 40, "trials": 20, "epsilon": 0.2, "on_tolerance": 0.2}
    task = {"task": "synthetic", "system": system, "snr_db": 20}
    return make_data(tmp_path_factory.mktemp("fuzz") / "system.nc", task)


def train(data: Path, output: Path) -> int:
    recipe = '{"epochs": 1, "batch_size": 7}'
    named = ["--experiment", "a", "--name", "rnn", "--recipe", recipe, "--hidden-units", "2"]
    return main(["train", str(data), *named, "--output", str(output)])


def spoilt(whole: bytes, chance: random.Random) -> bytes:
    content = bytearray(whole)
    kind = chance.randrange(4)
    if kind == 0:  # bits
        for _ in range(chance.choice([1, 3, 50])):
            content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
    elif kind == 1:  # the end is missing
        del content[chance.randrange(len(content)) :]
    elif kind == 2:  # a block of zeros, as after a crash of a file system
        start = chance.randrange(len(content))
        content[start : start + 512] = bytes(len(content[start : start + 512]))
    else:  # bytes added or lost in the middle
        start = chance.randrange(len(content))
        content[start : start + chance.randrange(20)] = chance.randbytes(chance.randrange(1, 20))
    return bytes(content)


@pytest.mark.parametrize("part", range(4))
def test_fifty_mutated_files(
    data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], part: int
) -> None:
    expected = tmp_path / "expected.nc"
    assert train(data, expected) == 0
    whole, path, output = data.read_bytes(), tmp_path / "system.nc", tmp_path / "model.nc"
    refused = 0
    with xr.open_dataset(expected) as right:
        right = right.load()
    for number in range(50):
        path.write_bytes(spoilt(whole, random.Random(1000 * part + number)))
        capsys.readouterr()
        status = train(path, output)
        said = capsys.readouterr().err
        assert "Traceback" not in said
        if status:
            refused += 1
            assert str(path) in said and not output.exists(), said
            continue
        # what was changed holds no value: a comment, a hole
        with xr.open_dataset(output) as opened:
            for name in set(right.variables) - {"wall_seconds"}:
                np.testing.assert_array_equal(opened[name], right[name], err_msg=str(number))
        output.unlink()
    assert refused > 20
