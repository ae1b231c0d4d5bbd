"""A folder with the project's files, and `snakemake` in it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path


class Project:
    """A folder with the project's files, and `snakemake` in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def snakemake(self, *arguments: str, check: bool = True) -> str:
        """Run snakemake on the test configuration; what it prints."""
        result = subprocess.run(
            [
                *(sys.executable, "-m", "snakemake", "--cores", "2"),
                *("--configfile", "config/test.yaml", *arguments),
            ],
            cwd=self.folder,
            env={**os.environ, "PYTHONPATH": str(self.folder / "src")},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert not check or result.returncode == 0, result.stdout[-6000:]
        return result.stdout

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
