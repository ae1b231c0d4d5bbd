"""Settings refuse what they do not know and coerce nothing; what is wrong is said for people."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from pydantic import Field, ValidationError, model_validator

from urnn.errors import ConfigError
from urnn.settings.base import (
    Count,
    Name,
    PositiveNumber,
    Settings,
    explain,
    near,
    parse,
    validated,
    values_of,
)
from urnn.settings.training import Recipe


class Inner(Settings):
    share: Annotated[float, Field(ge=0, lt=1)] = 0.5


class Cat(Settings):
    animal: Literal["cat"] = "cat"
    lives: Count = 9
    name: Name = "tom"


class Bird(Settings):
    animal: Literal["bird"] = "bird"
    wings: Annotated[int, Field(gt=1, le=2)] = 2
    sings: bool = True

    @model_validator(mode="after")
    def _sings_with_wings(self) -> Bird:
        if self.wings == 2 and not self.sings:
            raise ValueError("a bird with wings sings\nsings: must be true")
        return self


Animal = Annotated[Cat | Bird, Field(discriminator="animal")]


class Outer(Settings):
    weight: PositiveNumber = 1.0
    inner: Inner = Inner()
    animals: dict[Name, Animal] = {}  # noqa: RUF012
    names: Annotated[list[Name], Field(min_length=1)] = ["a"]  # noqa: RUF012
    maybe: Inner | None = None
    wanted: Count = 1


WRONG: list[tuple[Any, str]] = [
    (3, "configuration: must be a mapping of keys to values, but it is 3"),
    ({"weigth": 1.0}, "weigth: unknown key; known here: weight, inner, animals, names, maybe"),
    ({"weigth": 1.0}, "; did you mean 'weight'?"),
    ({"weight": 0.0}, "weight: must be greater than 0.0, but it is 0.0"),
    ({"weight": "1.0"}, "weight: must be a finite number, but it is the text '1.0'"),
    ({"weight": "1e-3"}, "it is the text '1e-3'; YAML reads that as text, write 0.001"),
    ({"weight": math.nan}, "weight: must be a finite number, but it is nan"),
    ({"weight": math.inf}, "weight: must be a finite number, but it is inf"),
    ({"weight": None}, "weight: must be a finite number, but it is empty (null)"),
    ({"wanted": 2.0}, "wanted: must be a whole number, but it is 2.0"),
    ({"wanted": "2"}, "wanted: must be a whole number, but it is the text '2'"),
    ({"wanted": True}, "wanted: must be a whole number, but it is True"),
    ({"wanted": 0}, "wanted: must be at least 1, but it is 0"),
    ({"inner": {"share": 1.0}}, "inner.share: must be less than 1.0, but it is 1.0"),
    ({"maybe": {"shar": 1.0}}, "maybe.shar: unknown key; known here: share; did you mean 'share'?"),
    ({"names": []}, "names: must not be empty"),
    ({"names": "a"}, "names: must be a list, but it is the text 'a'"),
    ({"names": ["a", "b/c"]}, "names.1: must match"),
    ({"names": [3]}, "names.0: must be text, but it is 3"),
    ({"animals": {"a b": {"animal": "cat"}}}, "animals.a b: must match"),
    ({"animals": {"a": {"animal": "dog"}}}, "animals.a.animal: must be one of 'cat', 'bird', but"),
    ({"animals": {"a": {"lives": 9}}}, "animals.a.animal: this key is missing; the config"),
    ({"animals": {"a": {"animal": "cat", "lives": 0}}}, "animals.a.lives: must be at least 1"),
    ({"animals": {"a": {"animal": "cat", "wings": 2}}}, "; wings is a key of bird"),
    ({"animals": {"a": {"animal": "bird", "wings": 1}}}, "a.wings: must be greater than 1, but it"),
    ({"animals": {"a": {"animal": "bird", "wings": 3}}}, "a.wings: must be at most 2, but it is 3"),
    ({"animals": {"a": {"animal": "bird", "sings": 1}}}, "a.sings: must be true or false, but it"),
    ({"animals": {"a": {"animal": "bird", "sings": False}}}, "animals.a: sings: must be true"),
]  # fmt: skip


@pytest.mark.parametrize(("values", "words"), WRONG)
def test_each_problem_has_its_path_what_is_allowed_and_what_was_given(
    values: Any, words: str
) -> None:
    with pytest.raises(ValidationError) as caught:
        Outer.model_validate(values)
    lines = explain(caught.value, Outer, values)
    assert any(words in line for line in lines), lines
    assert len(lines) <= 2
    beneath = explain(caught.value, Outer, values, "--outer")
    for line, same in zip(lines, beneath, strict=True):
        assert same == f"--outer.{line}" or line.startswith("configuration: ")


def test_long_values_are_shortened() -> None:
    with pytest.raises(ConfigError) as caught:
        validated(Outer, {"names": "a" * 5000}, "--outer")
    assert len(str(caught.value)) < 120 and "aaa..." in str(caught.value)


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Recipe().epochs = 3  # type: ignore[misc]


def test_settings_of_a_stage_from_json_or_a_file(tmp_path: Path) -> None:
    assert parse(Recipe, '{"epochs": 3}', "--recipe").epochs == 3
    path = tmp_path / "recipe.yaml"
    path.write_text("epochs: 4")
    assert parse(Recipe, f"@{path}", "--recipe").epochs == 4
    for text, words in [
        ("{", "expected JSON"),
        (f"@{tmp_path}/none.yaml", "cannot read"),
        ('{"epochs": 0}', "--recipe.epochs: must be at least 1"),
        ("[]", "mapping"),
    ]:
        with pytest.raises(ConfigError, match=words):
            parse(Recipe, text, "--recipe")


def test_a_file_that_is_no_yaml_is_named(tmp_path: Path) -> None:
    path = tmp_path / "recipe.yaml"
    for content in (b"epochs: [3", b"\xff\xfe\xfa"):
        path.write_bytes(content)
        with pytest.raises(ConfigError, match=r"^--recipe: .*recipe\.yaml is not YAML: "):
            parse(Recipe, f"@{path}", "--recipe")


def test_a_union_is_parsed_by_its_tag() -> None:
    assert parse(Animal, '{"animal": "bird", "wings": 2}', "--animal") == Bird()
    with pytest.raises(ConfigError, match=r"^--animal\.wings: unknown key; .*; wings is a key of"):
        parse(Animal, '{"animal": "cat", "wings": 2}', "--animal")
    assert values_of('{"any": ["thing"]}', "--x") == {"any": ["thing"]}


def test_the_nearest_name_is_suggested() -> None:
    assert near("synthetic-15db", ["synthetic-20dB", "synthetic-15dB"]) == (
        "; did you mean 'synthetic-15dB'?"
    )
    assert near("zzz", ["synthetic"]) == ""
