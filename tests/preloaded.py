"""Snakemake in a process of its own that is forked from one which has imported it already.

Two thirds of a start of Snakemake are imports, and the tests start it about two hundred times. Our
package is not among what is imported before: each project of a test brings its own.
"""

from __future__ import annotations

import multiprocessing
import os
import runpy
import sys
import tempfile
from collections.abc import Iterable, Mapping
from multiprocessing.context import ForkServerProcess
from pathlib import Path

ROOT = Path(__file__).parents[1]
_forked = multiprocessing.get_context("forkserver")
# what a dry run imports, but for urnn
_forked.set_forkserver_preload(
    [
        "snakemake.cli",
        "snakemake.assets",
        "snakemake.report.html_reporter",
        "snakemake.storage",
        "snakemake_executor_plugin_slurm",
        "pydantic",
    ]
)


def start(
    arguments: Iterable[str | Path],
    folder: Path,
    temporary: Path,
    environment: Mapping[str, str] | None = None,
) -> ForkServerProcess:
    """``python -m snakemake`` at work in a folder, by default with this project's package.

    What it prints goes to the file ``printed`` in the folder ``temporary``.
    """
    words = [str(argument) for argument in arguments]
    variables = {**os.environ, "PYTHONPATH": str(ROOT / "src"), **(environment or {})}
    process = _forked.Process(target=_main, args=(words, folder, variables, temporary))
    process.start()
    return process


def run(
    arguments: Iterable[str | Path], folder: Path, environment: Mapping[str, str] | None = None
) -> tuple[int | None, str]:
    """``python -m snakemake``, run to its end: its status and what it printed."""
    with tempfile.TemporaryDirectory() as temporary:
        process = start(arguments, folder, Path(temporary), environment)
        process.join()
        return process.exitcode, (Path(temporary) / "printed").read_text("utf-8")


def _main(words: list[str], folder: Path, environment: dict[str, str], temporary: Path) -> None:
    """The forked process made like one that was started."""
    printed = os.open(temporary / "printed", os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)
    for stream in (1, 2):
        os.dup2(printed, stream)
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    sys.dont_write_bytecode = bool(environment.get("PYTHONDONTWRITEBYTECODE"))
    # a forked process ends without the functions that remove Snakemake's temporary folders
    tempfile.tempdir = str(temporary)
    installed = [path for path in sys.path if Path(path).is_relative_to(sys.prefix)]
    library = [path for path in sys.path if Path(path).is_relative_to(sys.base_prefix)]
    given = filter(None, environment.get("PYTHONPATH", "").split(os.pathsep))
    sys.path[:] = ["", *given, *library, *installed]
    sys.argv = ["snakemake", *words]
    runpy.run_module("snakemake", run_name="__main__", alter_sys=True)
