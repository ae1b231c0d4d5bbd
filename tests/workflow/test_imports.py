"""What rules declare as code is what their commands reach; parsing the Snakefile is light."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "urnn"


def file_of(module: str) -> Path | None:
    path = ROOT / "src" / Path(*module.split("."))
    for candidate in (path / "__init__.py", path.with_suffix(".py")):
        if candidate.is_file():
            return candidate
    return None


def imports(module: str) -> set[str]:
    """Modules of the package that a file imports anywhere, but not for type checkers alone."""
    path = file_of(module)
    assert path is not None
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    found: set[str] = set()

    def visit(node: ast.AST) -> None:
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            for child in node.orelse:
                visit(child)
            return
        if isinstance(node, ast.FunctionDef) and node.name == "__getattr__":
            return  # a package's names for people, handed out lazily; no stage asks for one
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                parents = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*parents, base]).rstrip(".")
            for alias in node.names:
                found.add(base)
                found.add(f"{base}.{alias.name}")
        for child in ast.iter_child_nodes(node):
            visit(child)

    visit(ast.parse(path.read_text(encoding="utf-8")))
    return {name for name in found if name.split(".")[0] == "urnn" and file_of(name)}


def closure(module: str) -> set[str]:
    """Everything that importing a module and calling all its functions can load of the package."""
    seen: set[str] = set()
    todo = [module]
    while todo:
        name = todo.pop()
        # importing a.b.c runs a/__init__ and a.b/__init__ first
        for parent in [name.rsplit(".", i)[0] for i in range(name.count(".") + 1)]:
            if parent not in seen:
                seen.add(parent)
                todo.extend(imports(parent) - seen)
    return seen


def declared() -> dict[str, list[str]]:
    """The lists in common.smk, evaluated as the Snakefile does."""
    source = (ROOT / "workflow/rules/common.smk").read_text()
    start = source.index("SETTINGS =")
    stop = source.index("\n}\n", start) + 3
    scope: dict[str, dict[str, list[str]]] = {}
    exec(source[start:stop], scope)
    return scope["MODULES"]


@pytest.mark.parametrize("stage", sorted(declared()))
def test_declared_modules_are_the_true_closure(stage: str) -> None:
    true = closure(f"urnn.commands.{stage}") - {"urnn", "urnn.commands", f"urnn.commands.{stage}"}
    assert sorted(f"urnn.{name}" for name in declared()[stage]) == sorted(true)


def test_every_workflow_stage_declares_its_modules() -> None:
    called = set()
    for path in (ROOT / "workflow/rules").glob("*.smk"):
        called.update(re.findall(r"-m urnn (\w+)", path.read_text()))
    assert called == set(declared())


def test_nothing_reached_imports_upwards() -> None:
    """workflow -> command line -> modules, and never back; figures and storage never train."""
    for path in PACKAGE.rglob("*.py"):
        module = ".".join(path.relative_to(ROOT / "src").with_suffix("").parts)
        module = module.removesuffix(".__init__")
        if module.startswith("urnn.commands") or module == "urnn.__main__":
            continue
        reached = closure(module)
        assert not any(name.startswith("urnn.commands") for name in reached), module
        if module.startswith(("urnn.figures", "urnn.storage", "urnn.scoring")):
            assert "urnn.training" not in reached, module


def test_the_snakefile_imports_nothing_heavy() -> None:
    script = "import sys, urnn.config; print(*sorted(m.split('.')[0] for m in sys.modules))"
    result = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    loaded = set(result.stdout.split())
    assert not loaded & {"numpy", "torch", "xarray", "numba", "matplotlib", "scipy", "pandas"}
