"""Extension points: what a task, a cell, a transition or a kind of figure is to the rest.

A *plug* is one member of an extension point: a file, or a folder whose light part is
``settings.py``. It is a class of settings that also owns its facts: its name, its options, what it
needs, what it makes and how it is checked. The package of an extension point lists its members by
name, in one `Point`; whatever else has to know them (the configuration, its JSON schema, choices of
the command line, inputs of rules, tables of the documentation, parametrised tests) asks the point.

A plug's light part imports neither numpy nor torch at its top, for the Snakefile reads it.
"""

from __future__ import annotations

import importlib
import itertools
from collections.abc import Iterator
from functools import cache
from types import ModuleType
from typing import Annotated, Any, Generic, TypeVar, Union, get_args

from pydantic import BeforeValidator, Field, create_model

from urnn.errors import ConfigError
from urnn.settings.base import Settings, near

P = TypeVar("P", bound=Settings)


class Point(Generic[P]):
    """An extension point: the package of its members, their names and the key that chooses one.

    A member's module is ``<package>.<name>`` (or its ``settings``, if it is a folder) and has its
    class as ``PLUG``. The first name is the default, if there is one.
    """

    def __init__(
        self, package: str, kind: type[P], key: str, names: tuple[str, ...], default: bool = False
    ) -> None:
        self.package, self.kind, self.key, self.names = package, kind, key, names
        self.default = names[0] if default else None

    def __iter__(self) -> Iterator[str]:
        return iter(self.names)

    def module(self, name: str) -> str:
        """The full name of a member's module, or of its package.

        Raises:
            ConfigError: there is no such member.
        """
        if name not in self.names:
            raise ConfigError(
                f"{self.key} must be one of {', '.join(self.names)}, but it is {name!r}"
                f"{near(name, self.names)}"
            )
        return f"{self.package}.{name}"

    def plug(self, name: str) -> type[P]:
        """The class of a member; nothing heavy is imported."""
        return _plug(self.module(name))

    def make(self, name: str, **options: Any) -> P:
        """A member with its options.

        Raises:
            ConfigError: no such member, or options that it does not have.
        """
        from urnn.settings.base import validated

        return validated(self.plug(name), {self.key: name, **options}, self.key)

    def variants(self, name: str) -> list[P]:
        """A member with each combination of its options that are choices."""
        fields = self.plug(name).model_fields
        choices = {field: get_args(kind.annotation) for field, kind in fields.items()}
        choices = {field: values for field, values in choices.items() if values}
        combinations = itertools.product(*choices.values())
        return [self.make(name, **dict(zip(choices, taken, strict=True))) for taken in combinations]

    def part(self, settings: Settings) -> P:
        """The member that settings of several points hold, with its own options alone."""
        kind = self.plug(getattr(settings, self.key))
        return kind.model_validate({name: getattr(settings, name) for name in kind.model_fields})

    def part_module(self, name: str, part: str) -> ModuleType:
        """The heavy module of a member that is a folder, such as ``plot`` of a kind of figure."""
        return importlib.import_module(f"{self.module(name)}.{part}")

    def union(self, *bases: type[Settings]) -> Any:
        """The type of settings that choose a member by the key: its options and those of bases."""
        members = [row(self.plug(name), *bases) for name in self.names]
        return self.chosen(members)

    def chosen(self, members: list[Any]) -> Any:
        """A union of types that the key tells apart; without the key, the default."""

        def with_default(values: Any) -> Any:
            if self.default is not None and isinstance(values, dict) and self.key not in values:
                return {self.key: self.default, **values}
            return values

        chosen: Any = Union[tuple(members)]  # noqa: UP007
        return Annotated[chosen, Field(discriminator=self.key), BeforeValidator(with_default)]


@cache
def _plug(module: str) -> Any:
    found = importlib.import_module(module)
    if not hasattr(found, "PLUG"):
        found = importlib.import_module(f"{module}.settings")
    return found.PLUG


def row(plug: type[Settings], *bases: type[Settings]) -> type[Settings]:
    """A class with the fields of a plug and of the bases, the bases' first."""
    if not bases:
        return plug
    name = plug.__name__ + "".join(base.__name__ for base in bases)
    return create_model(name, __base__=(*bases, plug), __doc__=plug.__doc__)
