"""The base of all settings: unknown keys are errors, nothing is coerced, errors are for people."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, ValidationError


class Settings(BaseModel):
    """Keys that are not declared are refused; "3" is not 3, and 3.0 is not a number of units."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, allow_inf_nan=False, protected_namespaces=()
    )


Count = Annotated[int, Field(ge=1)]
PositiveNumber = Annotated[float, Field(gt=0)]
#: a name that becomes part of a path and of a Snakemake wildcard
Name = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_.-]*$", max_length=64)]

S = TypeVar("S", bound=Settings)


class ConfigError(ValueError):
    """Settings that cannot be run; the message is meant to be shown as it is."""


def parse(kind: type[S], text: str, name: str) -> S:
    """Settings of one stage from JSON text, or from a YAML file when the text is ``@path``.

    Raises:
        ConfigError: the text or the file cannot be read, or a value is not allowed.
    """
    if text.startswith("@"):
        import yaml

        try:
            values = yaml.safe_load(Path(text[1:]).read_text())
        except OSError as error:
            raise ConfigError(f"{name}: cannot read {text[1:]}: {error.strerror}") from None
        except yaml.YAMLError as error:
            raise ConfigError(f"{name}: {text[1:]} is not YAML: {error}") from None
    else:
        try:
            values = json.loads(text)
        except json.JSONDecodeError as error:
            raise ConfigError(
                f"{name}: expected JSON such as '{{\"key\": 1}}', or @FILE for a YAML file, "
                f"but got {text[:80]!r} ({error})"
            ) from None
    try:
        return kind.model_validate(values)
    except ValidationError as error:
        raise ConfigError("\n".join(explain(error, kind, values, name))) from None


def near(name: Any, known: Iterable[str]) -> str:
    """A hint at the nearest known name, or nothing."""
    close = difflib.get_close_matches(str(name), list(known), n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


def explain(error: ValidationError, kind: type[BaseModel], values: Any, at: str = "") -> list[str]:
    """One line for each problem: the key's path, what is allowed, what was given."""
    lines: list[str] = []
    for problem in error.errors(include_url=False):
        keys, holder = _walk(kind, problem["loc"])
        if problem["type"].startswith("union_tag"):
            keys.append(problem["ctx"]["discriminator"].strip("'"))
        path = ".".join([at, *map(str, keys)] if at else list(map(str, keys)))
        given, context = problem["input"], problem.get("ctx", {})
        match problem["type"]:
            case "extra_forbidden":
                known = list(holder.model_fields) if _is_settings(holder) else []
                line = f"unknown key; known here: {', '.join(known)}{near(keys[-1], known)}"
            case "missing":
                line = "this key is missing; the configuration needs it"
            case "value_error":
                # our own checks over several keys; each of their lines has its own path
                for text in str(context["error"]).split("\n"):
                    lines.append(f"{path}: {text}" if path else text)
                continue
            case "string_pattern_mismatch":
                line = f"must match {context.get('pattern')}, but it is {_show(given)}"
            case "int_type" | "int_from_float":
                line = f"must be a whole number, but it is {_show(given)}"
            case "float_type" | "finite_number":
                line = f"must be a finite number, but it is {_show(given)}"
                if isinstance(given, str) and "e" in given.lower() and _is_number(given):
                    line += f"; YAML reads that as text, write {float(given)!r}"
            case "bool_type":
                line = f"must be true or false, but it is {_show(given)}"
            case "string_type":
                line = f"must be text, but it is {_show(given)}"
            case "list_type":
                line = f"must be a list, but it is {_show(given)}"
            case "dict_type" | "model_type" | "model_attributes_type":
                line = f"must be a mapping of keys to values, but it is {_show(given)}"
            case "literal_error":
                line = f"must be one of {context['expected']}, but it is {_show(given)}"
            case "union_tag_invalid":
                line = (
                    f"must be one of {context['expected_tags']}, but it is {_show(given[keys[-1]])}"
                )
            case "greater_than":
                line = f"must be greater than {context['gt']}, but it is {_show(given)}"
            case "greater_than_equal":
                line = f"must be at least {context['ge']}, but it is {_show(given)}"
            case "less_than":
                line = f"must be less than {context['lt']}, but it is {_show(given)}"
            case "less_than_equal":
                line = f"must be at most {context['le']}, but it is {_show(given)}"
            case "too_short" | "string_too_short":
                line = "must not be empty"
            case _:
                line = f"{problem['msg']}, but it is {_show(given)}"
        lines.append(f"{path or 'configuration'}: {line}")
    return lines


def _show(value: Any) -> str:
    if value is None:
        return "empty (null)"
    text = repr(value)
    text = text if len(text) <= 60 else text[:57] + "..."
    return f"the text {text}" if isinstance(value, str) else text


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _is_settings(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, BaseModel)


def _walk(kind: Any, location: Iterable[Any]) -> tuple[list[Any], Any]:
    """The keys of a problem's location, without pydantic's own marks, and what holds the last."""
    keys: list[Any] = []
    holder = kind
    for key in location:
        if key == "[key]":
            continue
        while get_origin(kind) is Annotated:
            kind = get_args(kind)[0]
        members = [member for member in get_args(kind) if _is_settings(member)]
        if get_origin(kind) in (Union, UnionType) and len(members) > 1:
            # a union by tag: pydantic puts the tag, which is no key, into the location
            kind = next(member for member in members if _has_tag(member, key))
            continue
        if get_origin(kind) in (Union, UnionType) and members:  # X | None
            kind = members[0]
        holder = kind
        keys.append(key)
        if _is_settings(kind):
            field = kind.model_fields.get(str(key))
            kind = field.annotation if field else None
        else:  # dict[Name, X] or list[X]: the last argument is what it holds
            kind = next(iter(get_args(kind)[-1:]), None)
    return keys, holder


def _has_tag(kind: type[BaseModel], tag: Any) -> bool:
    return any(tag in get_args(field.annotation) for field in kind.model_fields.values())
