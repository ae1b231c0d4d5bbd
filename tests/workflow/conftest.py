"""A copy of the project in which the test configuration has run to the end, once for all tests."""

from __future__ import annotations

import fcntl
import io
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import chdir, contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path

import pytest

from tests import preloaded
from tests.conftest import shared_folder
from urnn.__main__ import main

ROOT = Path(__file__).parents[2]
CONFIG = ("--configfile", "config/test.yaml")
PARTS = ("Snakefile", "config", "profiles", "slurm", "workflow", "src", "pyproject.toml")


def urnn(*arguments: str | Path, folder: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """``urnn ARGUMENTS`` in a folder, without a process of its own."""
    said, printed = io.StringIO(), io.StringIO()
    words = [str(argument) for argument in arguments]
    with redirect_stderr(said), redirect_stdout(printed), chdir(folder):
        status = main(words)
    return subprocess.CompletedProcess(words, status, printed.getvalue(), said.getvalue())


class Project:
    """A folder with the project's files, and `snakemake` in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def snakemake(self, *arguments: str, check: bool = True) -> str:
        """Run snakemake on the test configuration on this machine; what it prints."""
        return self.run("--cores", "2", *arguments, check=check)

    def run(self, *arguments: str, check: bool = True) -> str:
        """Run snakemake on the test configuration; what it prints."""
        status, output = preloaded.run([*CONFIG, *arguments], self.folder, self.environment)
        assert not check or status == 0, output[-6000:]
        return output

    @property
    def environment(self) -> dict[str, str]:
        """This project's package is used, and what is compiled of it stays for copies of it."""
        # the tests are there too, for what stands in for a GPU
        path = f"{self.folder / 'src'}{os.pathsep}{ROOT}"
        return {**os.environ, "PYTHONPATH": path, "PYTHONDONTWRITEBYTECODE": ""}

    @contextmanager
    def start(self, *arguments: str) -> Iterator[subprocess.Popen[str]]:
        """Snakemake on the test configuration, at work while the block runs and ended with it."""
        with subprocess.Popen(
            [sys.executable, "-m", "snakemake", *CONFIG, *arguments],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as process:
            try:
                yield process
            finally:
                if process.poll() is None:
                    process.send_signal(signal.SIGINT)  # cancels what it has submitted
                    process.communicate()

    def stale(self) -> list[str]:
        """The jobs that a dry run lists, by their messages, without the target rule `all`."""
        output = self.snakemake("--dry-run")
        jobs = re.findall(r"^Job \d+: (.*)$", output, flags=re.MULTILINE)
        assert jobs or "Nothing to be done" in output, output
        return sorted(jobs)

    def edit(self, path: str, old: str, new: str) -> None:
        file = self.folder / path
        text = file.read_text()
        assert old in text, f"{path} has no {old!r}"
        file.write_text(text.replace(old, new, 1))

    def copy(self, folder: Path) -> Project:
        shutil.copytree(self.folder, folder, dirs_exist_ok=True)
        return Project(folder)


@pytest.fixture(scope="session")
def fresh(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Path], Project]:
    """A function that makes a copy of the project in which nothing has run."""

    def make(folder: Path) -> Project:
        folder.mkdir(parents=True)
        for part in PARTS:
            source = ROOT / part
            if source.is_dir():
                ignore = shutil.ignore_patterns("__pycache__", "*.egg-info")
                shutil.copytree(source, folder / part, ignore=ignore)
            else:
                shutil.copy2(source, folder / part)
        return Project(folder)

    return make


@pytest.fixture(scope="session")
def finished(
    fresh: Callable[[Path], Project],
    tmp_path_factory: pytest.TempPathFactory,
    request: pytest.FixtureRequest,
) -> Project:
    """The test configuration, run to the end; the first process that asks runs it for all."""
    shared = shared_folder(request, tmp_path_factory)
    with (shared / "finished.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        folder, done = shared / "finished", shared / "finished.done"
        if not done.exists():
            assert not folder.exists(), "the test configuration failed in another process"
            fresh(folder).snakemake()
            done.touch()
    return Project(folder)


@pytest.fixture
def project(finished: Project, tmp_path: Path) -> Project:
    """A copy of the finished one, to be changed by a test."""
    return finished.copy(tmp_path / "project")
