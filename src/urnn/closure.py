"""The code that a result came from: a module, all that it imports, and the plugs that were used.

One notion for the workflow's rules, for checkpoints and for the cache of compiled kernels. It is
read from the syntax trees of the files: comments, docstrings, formatting and what only a type
checker reads do not count. Imports are followed wherever they stand, in functions too. Members of
an extension point (`urnn.plugs`) are imported by name, which no tree shows, so they are entered by
name, and the list of them does not count: an edit of one concerns what it made and nothing else.
The same holds for the code of a GPU (`urnn.devices.code`), whose C++ counts with its package.
"""

from __future__ import annotations

import ast
import hashlib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parent


def digest(*modules: str) -> str:
    """A digest of the code behind modules of this package: of all that they reach.

    A folder that is named stands for all modules in it.
    """
    whole = hashlib.sha256()
    for name in sorted(closure(*modules)):
        whole.update(f"{name} {_essence(name)[0]}\n".encode())
    return whole.hexdigest()[:16]


def closure(*modules: str) -> set[str]:
    """The names of all modules that running these can load, the packages around them included."""
    found: set[str] = set()
    todo = [name for module in modules for name in (module, *_inside(module))]
    for module in modules:
        if _file(module) is None and not _inside(module):
            raise ModuleNotFoundError(f"there is no module {module}")
    while todo:
        name = todo.pop()
        # importing a.b.c runs a and a.b first, where these are more than folders
        for depth in range(name.count(".") + 1):
            part = name.rsplit(".", depth)[0]
            if part not in found and _file(part) is not None:
                found.add(part)
                todo.extend(_essence(part)[1] - found)
    return found


def _file(module: str) -> Path | None:
    top, *rest = module.split(".")
    path = ROOT.joinpath(*rest)
    if top != ROOT.name:
        return None
    for candidate in (path / "__init__.py", path.with_suffix(".py")):
        if candidate.is_file():
            return candidate
    return None


def _inside(module: str) -> list[str]:
    """The modules in a folder; none for a module that is a file."""
    top, *rest = module.split(".")
    files = ROOT.joinpath(*rest).glob("*.py") if top == ROOT.name else ()
    return [f"{module}.{file.stem}" for file in files if file.name != "__init__.py"]


@cache
def _essence(module: str) -> tuple[str, set[str]]:
    """A digest of what can change what a module computes, and the modules that it imports."""
    path, essence = _file(module), _read(module)
    assert path is not None, module
    whole = hashlib.sha256(" ".join(essence.words).encode())
    package = module
    if path.name != "__init__.py":
        package = module.rpartition(".")[0]
    else:
        # a package's sources in CUDA C++, as they are
        for source in sorted(path.parent.glob("*.cu*")):
            whole.update(source.read_bytes())
    names = {name for node in essence.imports for name in _named(node, package)}
    return whole.hexdigest(), {name for name in names if _file(name) is not None}


@cache
def _read(module: str) -> _Essence:
    path = _file(module)
    assert path is not None, module
    essence = _Essence()
    essence.write(ast.parse(path.read_text(encoding="utf-8")))
    return essence


class _Essence:
    """The nodes of a syntax tree in words, each visited once, for that is most of the time.

    Without docstrings, what is for type checkers alone, and the lists of extension points.
    """

    def __init__(self) -> None:
        self.words: list[str] = []
        self.imports: list[ast.Import | ast.ImportFrom] = []

    def write(self, node: Any) -> None:
        """A node, or a value or a list of a node's."""
        kind: Any = type(node)
        if kind is list:
            self.words.append("[")
            for part in node:
                self.write(part)
            self.words.append("]")
        elif not issubclass(kind, ast.AST):
            self.words.append(repr(node))
        elif kind is ast.If and ast.unparse(node.test) == "TYPE_CHECKING":
            for part in node.orelse:
                self.write(part)
        elif not (kind in _ASSIGNMENTS and _is_point(node.value)):
            if kind in _IMPORTS:
                self.imports.append(node)
            self.words.append(kind.__name__)
            before = len(self.imports)
            for field in kind._fields:
                value: Any = getattr(node, field, None)
                if field == "type_params" and not value:  # from Python 3.12 on
                    continue
                in_body = field == "body" and kind in _WITH_DOCSTRING and _is_text(value)
                self.write(value[1:] if in_body else value)
            if kind is ast.FunctionDef and node.name == "__getattr__":
                # it hands a package's names out to people, lazily; no code of ours asks for one
                del self.imports[before:]


_ASSIGNMENTS = {ast.Assign, ast.AnnAssign}
_IMPORTS = {ast.Import, ast.ImportFrom}
_WITH_DOCSTRING = {ast.Module, ast.ClassDef, ast.FunctionDef}


def _is_text(body: list[ast.stmt]) -> bool:
    """Whether a body begins with a docstring."""
    first = body[0] if body else None
    return (
        isinstance(first, ast.Expr)
        and isinstance(first.value, ast.Constant)
        and isinstance(first.value.value, str)
    )


def _is_point(value: ast.AST | None) -> bool:
    return isinstance(value, ast.Call) and ast.unparse(value.func).split("[")[0] == "Point"


def _named(node: ast.AST, package: str) -> Iterator[str]:
    """The modules that an import statement may load."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        base = node.module or ""
        if node.level:
            parts = package.split(".")
            base = ".".join([*parts[: len(parts) - node.level + 1], *filter(None, [node.module])])
        yield base
        yield from (f"{base}.{alias.name}" for alias in node.names)
