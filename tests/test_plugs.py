"""An extension point: its names, its classes, its unions, and what its light part imports."""

from __future__ import annotations

import subprocess
import sys
from typing import Any, Literal

import pytest
from pydantic import TypeAdapter

from urnn import figures, tasks, theorems, transition
from urnn.errors import ConfigError
from urnn.figures.base import OneExperiment
from urnn.plugs import Point, row
from urnn.recurrence import cells
from urnn.settings.base import Settings, validated

POINTS: dict[str, Point[Any]] = {
    "tasks": tasks.POINT,
    "cells": cells.POINT,
    "transition": transition.POINT,
    "figures": figures.POINT,
    "theorems": theorems.POINT,
}
MEMBERS = [(point, name) for point in POINTS for name in POINTS[point]]
#: modules that take long to import
HEAVY = {
    "numpy",
    "torch",
    "xarray",
    "llvmlite",
    "matplotlib",
    "scipy",
    "pandas",
    "seaborn",
    "sklearn",
}


class Extra(Settings):
    extra: int = 0


@pytest.mark.parametrize(("point", "name"), MEMBERS)
def test_a_plug_is_a_class_of_settings_with_its_name_as_the_key(point: str, name: str) -> None:
    there = POINTS[point]
    plug = there.plug(name)
    assert issubclass(plug, there.kind)
    field = plug.model_fields[there.key]
    assert field.annotation == Literal[name]
    assert plug.__module__.startswith(there.module(name))
    assert (plug.__doc__ or "").strip() not in ("", (there.kind.__doc__ or "").strip())
    # every option says what it is, for the schema and for people
    assert all(option.description for option in plug.model_fields.values())


@pytest.mark.parametrize("point", POINTS)
def test_a_name_that_is_not_there_is_answered_with_those_that_are(point: str) -> None:
    there = POINTS[point]
    wrong = f"{there.names[-1]}x"
    with pytest.raises(ConfigError) as caught:
        there.plug(wrong)
    message = str(caught.value)
    assert message.startswith(f"{there.key} must be one of {', '.join(there.names)}, but it is ")
    assert message.endswith(f"{wrong!r}; did you mean {there.names[-1]!r}?")
    with pytest.raises(ConfigError, match="must be one of"):
        there.part_module(wrong, "plot")


def test_a_plug_is_made_with_its_options() -> None:
    assert transition.POINT.make("eunn", capacity=2).model_dump() == {
        "transition": "eunn", "field": None, "capacity": 2, "fft": False,
    }  # fmt: skip
    with pytest.raises(ConfigError, match=r"^transition\.capacit: .* did you mean 'capacity'\?$"):
        transition.POINT.make("eunn", capacit=2)
    with pytest.raises(
        ConfigError, match=r"^transition\.capacity: must be at least 1, but it is 0"
    ):
        transition.POINT.make("eunn", capacity=0)


@pytest.mark.parametrize("point", POINTS)
def test_the_key_chooses_a_member_of_the_union(point: str) -> None:
    there = POINTS[point]
    union = TypeAdapter(there.union(Extra))
    for name in there:
        needed = {
            key: {
                **{"snr_db": 20.0, "published": "figure2"},
                **{"records": ["a.csv"], "inputs": ["u"], "outputs": ["y"]},
            }[key]
            for key, field in there.plug(name).model_fields.items()
            if field.is_required() and key != there.key
        }
        chosen = union.validate_python({there.key: name, "extra": 3, **needed})
        assert isinstance(chosen, there.plug(name)) and isinstance(chosen, Extra)
        assert chosen.extra == 3
        # and back to the member alone
        part = there.part(chosen)
        assert type(part) is there.plug(name)
        assert part.model_dump() == {
            key: value for key, value in chosen.model_dump().items() if key != "extra"
        }


@pytest.mark.parametrize("point", POINTS)
def test_without_the_key_it_is_the_default_or_missing(point: str) -> None:
    there = POINTS[point]
    if there.default is None:
        with pytest.raises(ConfigError, match=f"^it.{there.key}: this key is missing"):
            validated(there.union(), {}, "it")
        return
    assert there.default == there.names[0]
    values = {"snr_db": 20.0} if there.key == "task" else {}
    chosen = validated(there.union(), values, "it")
    assert getattr(chosen, there.key) == there.default


def test_a_row_has_the_fields_of_the_bases_and_of_the_plug() -> None:
    plug = figures.POINT.plug("accuracy")
    assert row(plug) is plug
    both = row(plug, OneExperiment, Extra)
    assert set(both.model_fields) == {"kind", "models", "published", "note", "experiment", "extra"}
    assert issubclass(both, plug) and both.__doc__ == plug.__doc__
    made = both.model_validate({"kind": "accuracy", "experiment": "a"})
    assert isinstance(made, OneExperiment) and made.sources == ["a"]


@pytest.mark.parametrize(
    ("point", "part", "function"),
    [
        ("tasks", "generate", "generate"),
        ("figures", "plot", "plot"),
        ("theorems", "numbers", "compute"),
        ("theorems", "plot", "plot"),
    ],
)
def test_the_heavy_part_of_a_folder_has_its_function(point: str, part: str, function: str) -> None:
    for name in POINTS[point]:
        assert callable(getattr(POINTS[point].part_module(name, part), function))


def test_light_parts_import_nothing_heavy() -> None:
    """The Snakefile reads the configuration, and every cluster job parses the Snakefile again."""
    packages = [there.package for there in POINTS.values()]
    script = f"""
import importlib, sys
import urnn.config
for package in {packages}:
    point = importlib.import_module(package).POINT
    for name in point:
        point.plug(name)
print(*sorted({{module.split(".")[0] for module in sys.modules}}))
"""
    result = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    loaded = set(result.stdout.split())
    assert "urnn" in loaded
    assert not loaded & HEAVY
