"""No module but a plug's own names the plug; and what else holds for all of the source: sizes."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from urnn import figures, tasks, theorems, transition
from urnn.plugs import Point
from urnn.recurrence import cells

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "urnn"
SOURCES = sorted(PACKAGE.rglob("*.py"))
POINTS: list[Point[Any]] = [
    tasks.POINT,
    cells.POINT,
    transition.POINT,
    figures.POINT,
    theorems.POINT,
]
#: every plug: its name and its module, or the folder of its modules
PLUGS = [(name, point.module(name)) for point in POINTS for name in point]

#: texts that are equal to a plug's name and mean something else: (module, text) and what
HOMONYMS: dict[tuple[str, str], str] = {
    ("urnn.losses", "r2"): "the score",
    ("urnn.losses", "accuracy"): "the score",
    ("urnn.scoring", "r2"): "the score, a variable of files",
    ("urnn.scoring", "accuracy"): "the score, a variable of files",
    ("urnn.statistics", "r2"): "the score, a variable of files",
    ("urnn.report.page", "r2"): "the score in a heading",
    ("urnn.prediction", "r2"): "the score",
    ("urnn.figures.gap.settings", "r2"): "the score that the figure needs",
    ("urnn.figures.statistics.settings", "r2"): "the score that the figure needs",
    ("urnn.figures.reproduction.settings", "r2"): "the score that the figure needs",
    ("urnn.figures.reproduction.deviations", "r2"): "the score, a variable of files",
    ("urnn.figures.simulation.settings", "r2"): "the score that the figure needs",
    ("urnn.figures.simulation.findings", "r2"): "the score, a variable of files",
    ("urnn.figures.history.settings", "accuracy"): "the score that the figure needs",
    ("urnn.figures.statistics.settings", "rnn"): "a model's name in the shipped configurations",
    ("urnn.nn.unitary", "unitary"): "the set of the layer that is named after it",
    ("urnn.figures.style", "rnn"): "a model's name in the shipped configurations",
    ("urnn.figures.style", "lstm"): "a model's name in the shipped configurations",
    ("urnn.figures.style", "gru"): "a model's name in the shipped configurations",
}
#: names that are ordinary words too, and may be a part of a text
ORDINARY = {
    *("free", "contractive", "unitary", "synthetic", "rnn"),
    *("r2", "gap", "statistics", "reproduction", "accuracy", "history"),
    *("recorded", "simulation"),
}

#: functions of more lines than the limit: (module, name) and why they are better whole
LONG: dict[tuple[str, str], str] = {}
LIMIT = 60


def module_of(path: Path) -> str:
    parts = path.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts).removesuffix(".__init__")


def inside(module: str, plug: str) -> bool:
    """Whether a module is a plug's own."""
    return module == plug or module.startswith(f"{plug}.")


def texts(node: ast.AST) -> Iterator[Any]:
    """The texts of a module, without docstrings and without the list of an extension point."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Expr) and isinstance(child.value, ast.Constant):
            continue
        if isinstance(child, ast.Call) and ast.unparse(child.func).split("[")[0] == "Point":
            continue
        if isinstance(child, ast.Constant) and isinstance(child.value, str):
            yield child
        yield from texts(child)


def imported(tree: ast.AST) -> Iterator[tuple[int, str]]:
    """The line and the name of everything that a module imports anywhere, for types too."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.lineno, str(node.module)
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)


def parsed(path: Path) -> ast.Module:
    return ast.parse(path.read_text(encoding="utf-8"))


def test_no_text_names_a_plug_outside_it() -> None:
    found, used = [], set()
    for path in SOURCES:
        module = module_of(path)
        named = {name for name, plug in PLUGS if not inside(module, plug)}
        # a name that several points have is a plug's own wherever one of them is
        named -= {name for name, plug in PLUGS if inside(module, plug)}
        for text in texts(parsed(path)):
            if text.value in named:
                used.add((module, text.value))
                if (module, text.value) not in HOMONYMS:
                    found.append(f"{path.relative_to(ROOT)}:{text.lineno}: {text.value!r}")
    assert not found, "\n".join(found)
    assert used == set(HOMONYMS), "homonyms that are no longer there"


def test_no_longer_text_has_the_name_of_a_plug() -> None:
    """Of those that are no ordinary words: in a description, a message, a caption."""
    found = []
    for path in SOURCES:
        module = module_of(path)
        named = {name for name, plug in PLUGS if not inside(module, plug)} - ORDINARY
        for text in texts(parsed(path)):
            words = set(re.findall(r"\w+", text.value)) & named
            if words and (module, text.value) not in HOMONYMS:
                found.append(f"{path.relative_to(ROOT)}:{text.lineno}: {text.value!r}")
    assert not found, "\n".join(found)


def test_no_module_imports_a_plug_but_its_own() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{line}: {name}"
        for path in SOURCES
        for line, name in imported(parsed(path))
        for _, plug in PLUGS
        if inside(name, plug) and not inside(module_of(path), plug)
    ]
    assert not found, "\n".join(dict.fromkeys(found))


def test_the_test_finds_what_it_should() -> None:
    tree = ast.parse(
        '"""eunn"""\nPOINT = Point("p", K, "k", ("eunn",))\nx: "cayley" = f(b="free")\n'
        'def f():\n    """gru"""\n    return {"lstm": f"{x}rnn"}\n'
    )
    assert {text.value for text in texts(tree)} == {"cayley", "free", "lstm", "rnn"}
    tree = ast.parse("import a.b\nfrom c import d\ndef f():\n    from e.f import g as h\n")
    assert {name for _, name in imported(tree)} == {"a.b", "c", "c.d", "e.f", "e.f.g"}


def functions() -> Iterator[tuple[str, str, int]]:
    """The module, the name and the number of lines of every function; decorators do not count."""
    for path in SOURCES:
        for node in ast.walk(parsed(path)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                assert node.end_lineno is not None
                yield module_of(path), node.name, node.end_lineno - node.lineno + 1


def test_no_function_is_longer_than_a_page() -> None:
    long = {(module, name): lines for module, name, lines in functions() if lines > LIMIT}
    found = [f"{module}.{name}: {lines} lines" for (module, name), lines in long.items()]
    assert set(long) <= set(LONG), "\n".join(found)
    assert set(LONG) <= set(long), "exceptions that are no longer needed"
    assert len(LONG) <= 4 and all(LONG.values())


@pytest.mark.parametrize("path", SOURCES, ids=module_of)
def test_every_module_says_what_it_is(path: Path) -> None:
    assert ast.get_docstring(parsed(path)), f"{path} has no docstring"
