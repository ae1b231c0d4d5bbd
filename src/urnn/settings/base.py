"""The base of all settings: unknown keys are errors, nothing is coerced, errors are for people."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import UnionType
from typing import Annotated, Any, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from urnn.errors import ConfigError


class Settings(BaseModel):
    """Keys that are not declared are refused; "3" is not 3, and 3.0 is not a number of units."""

    model_config = ConfigDict(
        extra="forbid", frozen=True, strict=True, allow_inf_nan=False, protected_namespaces=()
    )


Count = Annotated[int, Field(ge=1)]
PositiveNumber = Annotated[float, Field(gt=0)]
#: a name that becomes part of a path and of a Snakemake wildcard
Name = Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_.-]*$", max_length=64)]


def distinct(values: list[Any]) -> list[Any]:
    """The list itself, if no entry stands in it twice."""
    repeated = sorted({value for value in values if values.count(value) > 1})
    if repeated:
        raise ValueError(f"each entry once, but {repeated[0]!r} stands here twice")
    return values


def parse(kind: Any, text: str, name: str) -> Any:
    """Settings of one stage from JSON text, or from a YAML file when the text is ``@path``.

    kind is a class of settings, or a union of them that a key tells apart.

    Raises:
        ConfigError: the text or the file cannot be read, or a value is not allowed.
    """
    return validated(kind, values_of(text, name), name)


def values_of(text: str, name: str) -> Any:
    """The values in JSON text, or in a YAML file when the text is ``@path``.

    Raises:
        ConfigError: the text or the file cannot be read.
    """
    if not text.startswith("@"):
        try:
            return json.loads(text)
        except json.JSONDecodeError as error:
            raise ConfigError(
                f"{name}: expected JSON such as '{{\"key\": 1}}', or @FILE for a YAML file, "
                f"but got {text[:80]!r} ({error})"
            ) from None
    import yaml

    try:
        return yaml.safe_load(Path(text[1:]).read_text(encoding="utf-8"))
    except OSError as error:
        raise ConfigError(f"{name}: cannot read {text[1:]}: {error.strerror}") from None
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{name}: {text[1:]} is not YAML: {error}") from None


def validated(kind: Any, values: Any, name: str) -> Any:
    """Settings from values.

    Raises:
        ConfigError: a value is not allowed; one line for each problem.
    """
    try:
        return TypeAdapter(kind).validate_python(values)
    except ValidationError as error:
        raise ConfigError("\n".join(explain(error, kind, values, name))) from None


def near(name: Any, known: Iterable[str]) -> str:
    """A hint at the nearest known name, or nothing."""
    folded = {one.casefold(): one for one in known}
    close = difflib.get_close_matches(str(name).casefold(), folded, n=1)
    return f"; did you mean {folded[close[0]]!r}?" if close else ""


def explain(error: ValidationError, kind: Any, values: Any, at: str = "") -> list[str]:
    """One line for each problem: the key's path, what is allowed, what was given."""
    lines: list[str] = []
    for problem in error.errors(include_url=False):
        keys, holder, siblings = _walk(kind, problem["loc"])
        if problem["type"].startswith("union_tag"):
            keys.append(problem["ctx"]["discriminator"].strip("'"))
        path = ".".join([at, *map(str, keys)] if at else list(map(str, keys)))
        given, context = problem["input"], problem.get("ctx", {})
        match problem["type"]:
            case "extra_forbidden":
                known = list(holder.model_fields) if _is_settings(holder) else []
                line = f"unknown key; known here: {', '.join(known)}{near(keys[-1], known)}"
                line += _elsewhere(str(keys[-1]), siblings)
            case "missing" | "union_tag_not_found":
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


def _walk(kind: Any, location: Iterable[Any]) -> tuple[list[Any], Any, list[Any]]:
    """The keys of a problem's location without pydantic's own marks, what holds the last of them,
    and the members of the union that was chosen from."""
    keys: list[Any] = []
    holder, siblings = kind, []
    for key in location:
        if key == "[key]":
            continue
        kind, union = _members(kind)
        if union:
            # a union by tag: pydantic puts the tag, which is no key, into the location
            siblings = list(_leaves(kind))
            kind = next(member for member in union if _has_tag(member, key))
            continue
        holder = kind
        keys.append(key)
        if _is_settings(kind):
            field = kind.model_fields.get(str(key))
            kind = field.annotation if field else None
        else:  # dict[Name, X] or list[X]: the last argument is what it holds
            kind = next(iter(get_args(kind)[-1:]), None)
    holder, _ = _members(holder)
    return keys, holder, siblings


def _members(kind: Any) -> tuple[Any, list[Any]]:
    """A type without its annotations and without None, and its members if it is a union by tag."""
    while get_origin(kind) is Annotated:
        kind = get_args(kind)[0]
    if get_origin(kind) not in (Union, UnionType):
        return kind, []
    members = [member for member in get_args(kind) if any(True for _ in _leaves(member))]
    if len(members) == 1:  # X | None
        return _members(members[0])
    return kind, members


def _leaves(kind: Any) -> Iterator[type[BaseModel]]:
    """The classes of settings that a type may stand for."""
    if _is_settings(kind):
        yield kind
    elif get_origin(kind) is Annotated:
        yield from _leaves(get_args(kind)[0])
    elif get_origin(kind) in (Union, UnionType):
        for member in get_args(kind):
            yield from _leaves(member)


def _has_tag(kind: Any, tag: Any) -> bool:
    return any(
        tag in get_args(field.annotation)
        for leaf in _leaves(kind)
        for field in leaf.model_fields.values()
    )


def _elsewhere(key: str, siblings: list[Any]) -> str:
    """Which other members of a union have the key; empty for none or for too many to name."""
    having = [member for member in siblings if key in member.model_fields]
    if not having:
        return ""
    # a union is told apart by a key of all its members; those of a union inside it need not count
    shared = set.intersection(*(set(member.model_fields) for member in siblings))

    def tags(members: list[Any]) -> set[str]:
        return {
            values[0]
            for member in members
            for name in shared
            if len(values := get_args(member.model_fields[name].annotation)) == 1
            and isinstance(values[0], str)
        }

    names = sorted(tags(having) - tags([member for member in siblings if member not in having]))
    return f"; {key} is a key of {', '.join(names)}" if names else ""
