"""`pip install urnn` is a light core, and the workflow's packages are an extra."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from functools import cache
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.test_setup import PROJECT
from urnn import closure

ROOT = Path(__file__).parents[1]
#: what works with the core alone
CORE = (
    "urnn.nn",
    "urnn.rnn",
    "urnn.equivalence",
    "urnn.recurrence",
    "urnn.recurrence.cells",
    "urnn.recurrence.gpu",
    "urnn.transition",
    *(f"urnn.commands.{name}" for name in ("doctor", "kernels", "schema")),
)
#: packages of the workflow that it imports all the same, each to read or write a kind of file
FOR_FILES = {
    ("urnn.storage", "xarray"),  # NetCDF
    ("urnn.settings.base", "yaml"),  # --option @FILE
}

#: what is asked for where a user needs it, with a message that says so
OPTIONAL = {"safetensors", "onnx", "cuda"}


def names(requirements: list[str]) -> set[str]:
    """The names of required packages, without those of extras and of other systems."""
    found = map(Requirement, requirements)
    return {
        canonicalize_name(one.name)
        for one in found
        if one.marker is None or one.marker.evaluate({"extra": ""})
    }


def brought(requirements: list[str]) -> set[str]:
    """The packages that are installed with some, theirs included."""
    found: set[str] = set()
    todo = names(requirements)
    while todo:
        name = todo.pop()
        try:
            needed = metadata.requires(name) or []
        except metadata.PackageNotFoundError:
            continue  # such as CUDA's, on a machine without a GPU
        found.add(name)
        todo |= names(needed) - found
    return found


@cache
def modules() -> dict[str, set[str]]:
    """The packages that each top-level module that can be imported here belongs to."""
    return {
        module: set(map(canonicalize_name, packages))
        for module, packages in metadata.packages_distributions().items()
    }


def imported(module: str) -> set[str]:
    """Modules of other packages that a module imports anywhere but for a type checker."""
    found = set()
    for node in closure._read(module).imports:
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.partition(".")[0])
    return found - {"urnn"} - set(sys.stdlib_module_names)


@cache
def package_of(module: str) -> str:
    """The package whose requirement brings a module."""
    (name,) = modules()[module]
    return name


def test_what_the_core_imports_is_required() -> None:
    required = names(PROJECT["dependencies"])
    for module in sorted(closure.closure(*CORE)):
        for name in imported(module) - OPTIONAL:
            if (module, name) not in FOR_FILES:
                assert package_of(name) in required, f"{module} imports {name}"


def test_what_any_module_imports_is_required_by_the_workflow() -> None:
    optional = PROJECT["optional-dependencies"]
    required = names(PROJECT["dependencies"] + optional["workflow"])
    files = sorted((ROOT / "src/urnn").rglob("*.py"))
    used = {"snakemake", "netcdf4"}  # run as a program; xarray's way to its files
    for path in files:
        parts = path.relative_to(ROOT / "src").with_suffix("").parts
        module = ".".join(parts).removesuffix(".__init__")
        for name in imported(module) - OPTIONAL:
            assert package_of(name) in required, f"{module} imports {name}"
            used.add(package_of(name))
    assert used == required, "what no module imports is not required"


def test_the_core_works_alone(tmp_path: Path) -> None:
    allowed = brought(PROJECT["dependencies"]) | {"urnn"}
    blocked = [module for module, packages in modules().items() if not packages & allowed]
    assert {"xarray", "pandas", "yaml", "matplotlib", "snakemake"} <= set(blocked)
    assert not {"torch", "numpy", "urnn", "sympy"} & set(blocked)
    result = subprocess.run(
        [sys.executable, str(ROOT / "tests/core_only.py"), json.dumps(blocked)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr


def test_a_module_of_ours_that_is_not_there_is_a_bug(monkeypatch: pytest.MonkeyPatch) -> None:
    from urnn.__main__ import main
    from urnn.commands import schema

    def broken(options: object) -> None:
        raise ModuleNotFoundError("No module named 'urnn.missing'", name="urnn.missing")

    monkeypatch.setattr(schema, "run", broken)
    with pytest.raises(ModuleNotFoundError, match=r"urnn\.missing"):
        main(["schema"])
