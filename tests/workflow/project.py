"""A folder with the project's files, and `snakemake` in it."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class Project:
    """A folder with the project's files, and `snakemake` in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def snakemake(self, *arguments: str, check: bool = True) -> str:
        """Run snakemake on the test configuration on this machine; what it prints."""
        return self.run("--cores", "2", *arguments, check=check)

    def run(self, *arguments: str, check: bool = True) -> str:
        """Run snakemake on the test configuration; what it prints."""
        with self.start(*arguments) as process:
            output, _ = process.communicate()
        assert not check or process.returncode == 0, output[-6000:]
        return output

    @contextmanager
    def start(self, *arguments: str) -> Iterator[subprocess.Popen[str]]:
        """Snakemake on the test configuration, at work while the block runs and ended with it."""
        command = [sys.executable, "-m", "snakemake", "--configfile", "config/test.yaml"]
        with subprocess.Popen(
            [*command, *arguments],
            cwd=self.folder,
            env={**os.environ, "PYTHONPATH": str(self.folder / "src")},
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
