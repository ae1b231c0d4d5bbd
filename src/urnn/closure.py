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

ROOT = Path(__file__).parent


def digest(*modules: str) -> str:
    """A digest of the code behind modules of this package: of all that they reach.

    A folder that is named stands for all modules in it.
    """
    whole = hashlib.sha256()
    for name in sorted(closure(*modules)):
        whole.update(f"{name} {_fingerprint(name)}\n".encode())
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
                todo.extend(_imports(part) - found)
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
def _tree(module: str) -> ast.Module:
    """The statements of a module that can change what it computes."""
    path = _file(module)
    assert path is not None, module
    tree = _Essence().visit(ast.parse(path.read_text(encoding="utf-8")))
    assert isinstance(tree, ast.Module)
    return tree


@cache
def _fingerprint(module: str) -> str:
    whole = hashlib.sha256(ast.dump(_tree(module)).encode())
    path = _file(module)
    if path is not None and path.name == "__init__.py":
        # a package's sources in CUDA C++, as they are
        for source in sorted(path.parent.glob("*.cu*")):
            whole.update(source.read_bytes())
    return whole.hexdigest()


class _Essence(ast.NodeTransformer):
    """Takes out docstrings, what is for type checkers alone, and the lists of extension points."""

    def generic_visit(self, node: ast.AST) -> ast.AST:
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and _is_text(node.body):
            node.body = node.body[1:]
        return super().generic_visit(node)

    def visit_If(self, node: ast.If) -> ast.AST | list[ast.stmt]:
        if ast.unparse(node.test) == "TYPE_CHECKING":
            return [self.visit(statement) for statement in node.orelse]
        return self.generic_visit(node)

    def visit_Assign(self, node: ast.Assign) -> ast.AST | None:
        return None if _is_point(node.value) else self.generic_visit(node)

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST | None:
        return None if _is_point(node.value) else self.generic_visit(node)


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


@cache
def _imports(module: str) -> set[str]:
    """Modules of this package that a module imports anywhere."""
    path = _file(module)
    assert path is not None
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    names = {name for node in _statements(_tree(module)) for name in _named(node, package)}
    return {name for name in names if _file(name) is not None}


def _statements(node: ast.AST) -> Iterator[ast.AST]:
    """All nodes below this one, without those of a module's `__getattr__`.

    That hands a package's names out to people, lazily; no code of ours asks for one.
    """
    for child in ast.iter_child_nodes(node):
        if not (isinstance(child, ast.FunctionDef) and child.name == "__getattr__"):
            yield child
            yield from _statements(child)


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
