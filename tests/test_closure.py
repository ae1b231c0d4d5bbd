"""The code that a result came from, on copies of the tree that are edited; and the import rules."""

from __future__ import annotations

import ast
import graphlib
import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from urnn import closure, figures, tasks, theorems
from urnn.recurrence import cells
from urnn.settings.base import validated
from urnn.settings.model import AnyModel, code_of
from urnn.transition import POINT as TRANSITIONS

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "src" / "urnn"
MODULES = {
    ".".join(("urnn", *path.relative_to(PACKAGE).with_suffix("").parts)).removesuffix(".__init__")
    for path in PACKAGE.rglob("*.py")
}


def of_model(**options: Any) -> list[str]:
    return code_of(validated(AnyModel, options, "model"))


def entries() -> dict[str, tuple[str, ...]]:
    """What the rules enter: a command, and the plugs that were used."""
    models = {name: of_model(cell=name) for name in cells.POINT}
    models |= {name: of_model(transition=name) for name in TRANSITIONS.names[1:]}
    plugs = {
        **{f"data {name}": [tasks.POINT.module(name)] for name in tasks.POINT},
        **{f"train {name}": code for name, code in models.items()},
        **{f"kernels {name}": [cells.POINT.module(name)] for name in cells.POINT},
        "score rnn": of_model(),
        "score eunn": of_model(transition="eunn"),
        **{f"figure {name}": [figures.POINT.module(name)] for name in figures.POINT},
        **{f"theory {name}": [f"{theorems.POINT.module(name)}.numbers"] for name in theorems.POINT},
        **{
            f"theory_figure {name}": [f"{theorems.POINT.module(name)}.plot"]
            for name in theorems.POINT
        },
    }
    return {
        name: (f"urnn.commands.{name.partition(' ')[0]}", *modules)
        for name, modules in plugs.items()
    }


ENTRIES = entries()
#: cells that take a transition; without a word on it, the first
WITH_TRANSITION = [name for name in cells.POINT if cells.POINT.make(name).takes_transition]
FREE = TRANSITIONS.names[0]


def forget() -> None:
    closure._read.cache_clear()
    closure._essence.cache_clear()


def digests() -> dict[str, str]:
    forget()
    return {name: closure.digest(*modules) for name, modules in ENTRIES.items()}


class Tree:
    """A copy of the package, which the closure reads in its place."""

    def __init__(self, folder: Path, before: dict[str, str]) -> None:
        self.folder, self.before = folder, before

    def changed(self) -> set[str]:
        """The entries whose digest is another than when this was asked before."""
        before, self.before = self.before, digests()
        return {name for name, digest in self.before.items() if digest != before[name]}

    def edit(self, path: str, edit: Callable[[str], str]) -> None:
        file = self.folder / path
        before = file.read_text(encoding="utf-8")
        after = edit(before)
        assert after != before
        ast.parse(after)
        file.write_text(after, encoding="utf-8")


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Tree:
    """The package as it is when the tests begin, and its digests."""
    folder = tmp_path_factory.mktemp("original") / "urnn"
    shutil.copytree(PACKAGE, folder, ignore=shutil.ignore_patterns("__pycache__"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(closure, "ROOT", folder)
        tree = Tree(folder, digests())
    forget()
    return tree


@pytest.fixture
def tree(original: Tree, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Tree]:
    folder = tmp_path / "urnn"
    shutil.copytree(original.folder, folder)
    monkeypatch.setattr(closure, "ROOT", folder)
    yield Tree(folder, original.before)
    forget()


def add_code(text: str) -> str:
    return f"{text}\n_ADDED = 1\n"


# what changes nothing


def commented(text: str) -> str:
    return "# a comment\n" + text.replace("\n\n\n", "\n\n\n# and another\n")


def formatted(text: str) -> str:
    """Other line breaks, quotes and brackets, and no comments."""
    return ast.unparse(ast.parse(text)) + "\n\n\n"


def documented(text: str) -> str:
    """Other docstrings, and some where there were none."""
    tree = ast.parse(text)
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef):
            docstring = ast.Expr(ast.Constant("Other words."))
            has = ast.get_docstring(node) is not None
            node.body[: 1 if has else 0] = [docstring]
    # imports of the future come first, but for the docstring
    return ast.unparse(ast.fix_missing_locations(tree))


def typed(text: str) -> str:
    """Another import for type checkers."""
    if "if TYPE_CHECKING:\n" in text:
        return text.replace("if TYPE_CHECKING:\n", "if TYPE_CHECKING:\n    import other\n", 1)
    future = "from __future__ import annotations\n"
    block = "\nfrom typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import urnn.training\n"
    return text.replace(future, future + block, 1)


@pytest.mark.parametrize("edit", [commented, formatted, documented])
def test_comments_docstrings_and_formatting_change_nothing(
    edit: Callable[[str], str], tree: Tree
) -> None:
    for path in sorted(tree.folder.rglob("*.py")):
        if path.read_text(encoding="utf-8").strip():
            tree.edit(str(path.relative_to(tree.folder)), edit)
    assert tree.changed() == set()


def test_a_newer_python_changes_nothing(tree: Tree, monkeypatch: pytest.MonkeyPatch) -> None:
    """From 3.12 on the nodes of functions and classes have a list of type parameters."""
    for kind in (ast.FunctionDef, ast.ClassDef):
        fields = [field for field in kind._fields if field != "type_params"]
        if len(fields) == len(kind._fields):
            fields.append("type_params")
        monkeypatch.setattr(kind, "_fields", tuple(fields))
    assert tree.changed() == set()


def test_what_only_type_checkers_read_changes_nothing(tree: Tree) -> None:
    edited = 0
    for path in sorted(tree.folder.rglob("*.py")):
        if "if TYPE_CHECKING:\n" in path.read_text(encoding="utf-8"):
            tree.edit(str(path.relative_to(tree.folder)), typed)
            edited += 1
    assert edited > 10
    assert tree.changed() == set()


@pytest.mark.parametrize(
    ("path", "last"),
    [
        ("transition/__init__.py", TRANSITIONS.names[-1]),
        ("tasks/__init__.py", tasks.POINT.names[-1]),
        ("recurrence/cells/__init__.py", cells.POINT.names[-1]),
        ("figures/__init__.py", figures.POINT.names[-1]),
        ("theorems/__init__.py", theorems.POINT.names[-1]),
    ],
)
def test_one_more_member_of_an_extension_point_changes_nothing(
    path: str, last: str, tree: Tree
) -> None:
    tree.edit(path, lambda text: text.replace(f'"{last}"', f'"{last}", "another"'))
    assert tree.changed() == set()


# what an edit changes


@pytest.mark.parametrize("name", TRANSITIONS.names)
def test_an_edit_of_a_transition_concerns_its_models_alone(name: str, tree: Tree) -> None:
    tree.edit(f"transition/{name}.py", add_code)
    if name == FREE:  # a cell that takes no transition has a free W
        expected = {f"train {cell}" for cell in cells.POINT} | {"score rnn"}
    else:
        expected = {f"train {name}"}
    assert tree.changed() == expected | {f"score {name}"} & set(ENTRIES)


@pytest.mark.parametrize("name", cells.POINT.names)
def test_an_edit_of_a_cell_concerns_its_models_and_kernels_alone(name: str, tree: Tree) -> None:
    tree.edit(f"recurrence/cells/{name}.py", add_code)
    expected = {f"train {name}", f"kernels {name}"}
    if name in WITH_TRANSITION:
        expected |= {f"train {transition}" for transition in TRANSITIONS.names[1:]}
        expected |= {"score rnn", "score eunn"}
    assert tree.changed() == expected


@pytest.mark.parametrize("name", tasks.POINT.names)
@pytest.mark.parametrize("part", ["settings", "generate"])
def test_an_edit_of_a_task_concerns_its_data_alone(name: str, part: str, tree: Tree) -> None:
    tree.edit(f"tasks/{name}/{part}.py", add_code)
    assert tree.changed() == {f"data {name}"}


def test_an_edit_of_what_some_plugs_share_concerns_those(tree: Tree) -> None:
    tree.edit("tasks/permuted_mnist/mnist.py", add_code)
    assert tree.changed() == {"data permuted_mnist"}
    tree.edit("tasks/images.py", add_code)
    assert tree.changed() == {"data permuted_mnist", "data permuted_digits"}
    tree.edit("transition/torch_maps.py", add_code)
    assert tree.changed() == {"train matrix_exp", "train cayley", "train householder"}


@pytest.mark.parametrize("name", figures.POINT.names)
@pytest.mark.parametrize("part", ["settings", "plot"])
def test_an_edit_of_a_kind_of_figure_concerns_its_figures_alone(
    name: str, part: str, tree: Tree
) -> None:
    tree.edit(f"figures/{name}/{part}.py", add_code)
    assert tree.changed() == {f"figure {name}"}


@pytest.mark.parametrize("name", theorems.POINT.names)
def test_an_edit_of_a_theorem_concerns_its_numbers_or_its_figure(name: str, tree: Tree) -> None:
    tree.edit(f"theorems/{name}/plot.py", add_code)
    assert tree.changed() == {f"theory_figure {name}"}
    tree.edit(f"theorems/{name}/numbers.py", add_code)
    assert tree.changed() == {f"theory {name}"}


def starting(*stages: str) -> set[str]:
    return {name for name in ENTRIES if name.partition(" ")[0] in stages}


@pytest.mark.parametrize(
    ("path", "stages"),
    [
        ("training.py", ("train", "score")),
        ("checkpoints.py", ("train",)),
        ("commands/train.py", ("train",)),
        ("commands/data.py", ("data",)),
        ("recurrence/lanes.py", ("train", "score", "kernels")),
        ("figures/style.py", ("figure", "theory_figure")),
        ("storage.py", ("data", "train", "score", "kernels", "figure", "theory", "theory_figure")),
    ],
)
def test_an_edit_of_what_stages_share_concerns_those(
    path: str, stages: tuple[str, ...], tree: Tree
) -> None:
    tree.edit(path, add_code)
    assert tree.changed() == starting(*stages)


def test_a_digest_does_not_depend_on_where_the_tree_lies(tree: Tree) -> None:
    assert tree.changed() == set()
    assert all(re.fullmatch("[0-9a-f]{16}", digest) for digest in tree.before.values())


# which modules are reached, on a small package


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., None]]:
    """A function that writes the files of a package in the place of this one."""
    folder = tmp_path / "urnn"
    folder.mkdir()
    (folder / "__init__.py").write_text("")
    monkeypatch.setattr(closure, "ROOT", folder)
    forget()

    def write(**files: str) -> None:
        for name, text in files.items():
            path = folder.joinpath(*name.split("__DOT__")).with_suffix(".py")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        forget()

    yield write
    forget()


def test_imports_are_followed_wherever_they_stand(small: Callable[..., None]) -> None:
    small(
        a="import urnn.b\ndef f():\n    from urnn import c\n    class C:\n        import urnn.d\n",
        b="import numpy\nfrom other import thing\n",
        c="from urnn.e import name\n",
        d="",
        e="name = 1",
        lonely="",
    )
    reached = {"urnn", *(f"urnn.{name}" for name in "abcde")}
    assert closure.closure("urnn.a") == reached
    assert closure.closure("urnn.e", "urnn.lonely") == {"urnn", "urnn.e", "urnn.lonely"}


def test_relative_imports_and_the_packages_around_them(small: Callable[..., None]) -> None:
    small(
        sub__DOT____init__="from urnn import shared",
        sub__DOT__a="from . import b\nfrom .c import x\nfrom ..top import y\n",
        sub__DOT__b="",
        sub__DOT__c="x = 1",
        top="y = 1",
        shared="",
    )
    expected = {"urnn", "urnn.sub", "urnn.shared", "urnn.top"}
    assert closure.closure("urnn.sub.a") == expected | {f"urnn.sub.{name}" for name in "abc"}


def test_a_folder_stands_for_all_modules_in_it(small: Callable[..., None]) -> None:
    small(plug__DOT__settings="x = 1", plug__DOT__generate="from urnn import other", other="")
    inside = {"urnn", "urnn.plug.settings", "urnn.plug.generate", "urnn.other"}
    assert closure.closure("urnn.plug") == inside
    before = closure.digest("urnn.plug")
    small(plug__DOT__more="")
    assert closure.digest("urnn.plug") != before


def test_what_type_checkers_and_people_ask_for_is_not_reached(small: Callable[..., None]) -> None:
    small(
        a="from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from urnn import b\n"
        "else:\n    from urnn import c\n",
        b="",
        c="def __getattr__(name):\n    from urnn import d\n    return d\n",
        d="",
    )
    assert closure.closure("urnn.a") == {"urnn", "urnn.a", "urnn.c"}


def test_the_names_that_a_package_hands_out_are_not_reached() -> None:
    text = (PACKAGE / "__init__.py").read_text()
    assert "def __getattr__" in text and "urnn.rnn" in text
    assert closure.closure("urnn.seeds") == {"urnn", "urnn.seeds"}


def test_a_module_that_is_not_there_is_an_error() -> None:
    for wrong in ("urnn.transition.none", "urnn.none", "numpy", "urnn.tasks.synthetic.none"):
        with pytest.raises(ModuleNotFoundError, match=f"there is no module {wrong}"):
            closure.digest("urnn.commands.train", wrong)


# the rules of imports


def test_nothing_reached_imports_upwards() -> None:
    """workflow -> command line -> modules, and never back; figures and storage never train."""
    checked = 0
    for module in sorted(MODULES):
        # the folder of the whole package has the command line too
        if module.startswith("urnn.commands") or module in ("urnn", "urnn.__main__"):
            continue
        reached = closure.closure(module)
        assert not any(name.startswith("urnn.commands") for name in reached), module
        if module.startswith(("urnn.figures", "urnn.storage", "urnn.scoring")):
            assert "urnn.training" not in reached, module
        checked += 1
    assert checked > 80


def at_import(module: str) -> set[str]:
    """The modules that a module's import statements at its top name, those of classes too."""
    parts = module.split(".")[1:]
    path = PACKAGE.joinpath(*parts)
    path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
    found: set[str] = set()

    def visit(node: ast.AST) -> None:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            return
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            for child in node.orelse:
                visit(child)
            return
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{module}: this project imports by full names"
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                found.add(inner if inner in MODULES else str(node.module))
        for child in ast.iter_child_nodes(node):
            visit(child)

    visit(ast.parse(path.read_text(encoding="utf-8")))
    return found & MODULES


def test_modules_import_each_other_in_no_circle() -> None:
    graph = {module: at_import(module) - {module} for module in MODULES}
    assert sum(map(len, graph.values())) > 200
    order = list(graphlib.TopologicalSorter(graph).static_order())  # raises with the circle
    assert set(order) == MODULES
