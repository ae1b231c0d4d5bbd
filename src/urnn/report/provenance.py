"""What a page was made with: the commit of the code, the versions of packages, the machine."""

from __future__ import annotations

import os
import platform
import subprocess
from pathlib import Path

from urnn import storage
from urnn.figures.findings import counted

#: Packages whose version is stated, where they are installed.
PACKAGES = (
    "numpy",
    "llvmlite",
    "torch",
    "scipy",
    "xarray",
    "netCDF4",
    "matplotlib",
    "seaborn",
    "pydantic",
    "snakemake",
)
_PACKAGE = Path(storage.__file__).parent


def versions() -> list[tuple[str, str]]:
    """Names and versions of Python, of the platform and of packages."""
    python, *others = storage.versions(PACKAGES).items()
    return [python, ("platform", platform.platform()), *others]


def commit() -> str | None:
    """The commit of the checkout that this code belongs to; None outside of one.

    It ends in "with changes" where files that git knows were edited after it.
    """
    if _git("ls-files", "--error-unmatch", "__init__.py") is None:
        return None
    head = _git("rev-parse", "HEAD")
    changed = _git("status", "--porcelain", "--untracked-files=no", "--", ".")
    return head and (f"{head}, with changes" if changed else head)


def _git(*arguments: str) -> str | None:
    command = ["git", "-C", str(_PACKAGE), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def machine() -> str:
    """Processor, cores and memory, as far as they are known; no name of the machine."""
    parts = [processor()]
    cores = os.cpu_count()
    if cores:
        parts.append(counted(cores, "core"))
    try:
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
        parts.append(f"{memory / 2**30:.0f} GiB of memory")
    except (AttributeError, OSError, ValueError):
        pass
    return ", ".join(parts)


def processor() -> str:
    """The name of the processor, as far as it is known."""
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            name, _, value = line.partition(":")
            if name.strip() == "model name" and value.strip():
                return value.strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
