"""What holds for every rule of the workflow, read from its text."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests import preloaded

ROOT = Path(__file__).parents[2]
#: a rule by its name; of rules that are made in a loop, what their names begin with
RULES = {
    match[2] or match[3]: match[0]
    for path in sorted((ROOT / "workflow/rules").glob("*.smk"))
    for match in re.finditer(
        r"^( *)rule(?: (\w+):|:\n +name:\n +f\"([a-z]+)_.*)\n(?:(?:\1    .*)?\n)+",
        path.read_text(),
        re.MULTILINE,
    )
}


def test_there_are_rules() -> None:
    assert {"data", "kernels", "train", "score", "figure", "theory", "report"} <= set(RULES)


@pytest.mark.parametrize("rule", RULES)
def test_a_rule_runs_a_command_of_ours_and_knows_its_code(rule: str) -> None:
    text = RULES[rule]
    called = re.findall(r"python3 -m urnn (\w+)", text)
    assert len(called) == 1
    assert (ROOT / f"src/urnn/commands/{called[0]}.py").is_file()
    assert " code=" in text[text.index("params:") :]
    entered = re.search(r'code\(\s*"(\w+)"', text) or re.search(r"code=(\w+)\(\)", text)
    assert entered is not None and entered[1] in (called[0], "page_code")
    for part in ("log:", "benchmark:", "message:", "resources:", "threads: 1"):
        assert part in text


def test_the_rules_name_no_plug() -> None:
    from urnn import figures, tasks, theorems, transition
    from urnn.recurrence import cells

    text = "".join(path.read_text() for path in (ROOT / "workflow/rules").glob("*.smk"))
    words = set(re.findall(r"""["'](\w+)["']""", text))
    for package in (tasks, cells, transition, figures, theorems):
        assert not words & set(package.POINT), package.POINT.package


def test_what_the_snakefile_imports_is_light() -> None:
    imports = [
        line.strip()
        for line in (ROOT / "workflow/rules/common.smk").read_text().splitlines()
        if line.strip().startswith(("import ", "from urnn"))
    ]
    script = "; ".join(
        [*imports, "import sys; print(*sorted(m.split('.')[0] for m in sys.modules))"]
    )
    result = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    heavy = {"numpy", "torch", "xarray", "llvmlite", "matplotlib", "scipy", "pandas", "seaborn"}
    assert "urnn" in result.stdout.split()
    assert not set(result.stdout.split()) & heavy


def test_the_page_draws_the_graph_of_the_rules(tmp_path: Path) -> None:
    """The edges of Snakemake's own graph, without those that a longer way implies."""
    from urnn.report import stages

    status, output = preloaded.run(("--rulegraph", "--configfile", "config/test.yaml"), ROOT)
    assert status == 0, output
    names = dict(re.findall(r'(\d+)\[label = "([\w -]+?)"', output))
    # data have a rule for each block
    names = {number: re.sub(r"^data_.+", "data", name) for number, name in names.items()}
    edges = {(names[a], names[b]) for a, b in re.findall(r"(\d+) -> (\d+)", output)}
    edges = {(a, b) for a, b in edges if b != "all"}
    after = {a: {b for x, b in edges if x == a} for a, _ in edges}

    def reached(start: str) -> set[str]:
        return {one for b in after.get(start, ()) for one in {b, *reached(b)}}

    shortest = {(a, b) for a, b in edges if not any(b in reached(c) for c in after[a] - {b})}
    drawn = {(source, name) for name, needed in stages.GRAPH.items() for source in needed}
    assert drawn == shortest
