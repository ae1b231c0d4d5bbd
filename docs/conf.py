"""The documentation as a site: make docs. Pages link to each other as they do in the repository.

The source folder is the root of the repository. The notebook is run in every build, and every
warning is an error: a link that leads nowhere, a page that no contents list, a docstring's markup.
"""

from __future__ import annotations

import re
from importlib import metadata
from typing import Any

project = "urnn"
author = "The urnn developers"
release = metadata.version("urnn")
extensions = ["myst_nb", "sphinx.ext.autodoc", "sphinx.ext.napoleon"]

include_patterns = [
    *("README.md", "CHANGELOG.md", "CONTRIBUTING.md", "config/*.md", "benchmarks/*.md"),
    *("reports/paper/*.md", "docs/**.md", "docs/**.ipynb"),
]
root_doc = "docs/index"
html_theme = "furo"
html_title = "urnn"
html_show_copyright = False
html_copy_source = False

myst_heading_anchors = 4
#: names in a code span link to nothing; docstrings have many that are equations
default_role = "code"
# a page of one table has no heading of the second level
suppress_warnings = ["myst.header"]

nb_execution_mode = "force"
nb_execution_raise_on_error = True
nb_execution_timeout = 300

autodoc_member_order = "bysource"
autodoc_typehints = "none"  # docstrings say types, shapes and units


def for_sphinx(*arguments: Any) -> None:
    """A docstring, which is written to be read as it is, with the marks that Sphinx needs.

    Equations, which are indented, and tables, whose columns two spaces part, are kept as they
    stand. Bars are absolute values, and a plural may follow a name in backticks.
    """
    table = re.compile(r"[A-Z]?\w+( \d)? {2,}\S")
    lines, made, kept = arguments[-1], [], False
    for before, line in zip(["", *lines], lines, strict=False):
        if not before:
            equation = line.startswith("    ") or (kept and not line)
            kept = equation or table.match(line) is not None
            if kept and line:
                made += ["::", ""]
        if kept:
            made.append(f"  {line}")
        else:
            made.append(re.sub(r"(`[^`]+`)(?=\w)", r"\1\\ ", line.replace("|", r"\|")))
    lines[:] = made


def setup(app: Any) -> None:
    app.connect("autodoc-process-docstring", for_sphinx)
