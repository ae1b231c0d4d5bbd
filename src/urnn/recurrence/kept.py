"""Where compiled kernels are kept, and how a file of one appears: whole, or not at all."""

from __future__ import annotations

import os
import uuid
import warnings
from pathlib import Path


def folder() -> Path:
    """$URNN_CACHE_DIR, or urnn in $XDG_CACHE_HOME or ~/.cache."""
    base = os.environ.get("URNN_CACHE_DIR") or os.path.join(
        os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "urnn"
    )
    return Path(base)


def keep(path: Path, content: bytes) -> None:
    """Write a file; where that is impossible, a warning says that every process compiles anew."""
    # an unfinished file has a name of its own, and replacing is atomic
    unfinished = path.with_name(f"{path.name}.{uuid.uuid4().hex}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            unfinished.write_bytes(content)
            unfinished.replace(path)
        finally:
            unfinished.unlink(missing_ok=True)
    except OSError as error:
        warnings.warn(
            f"compiled kernels are not kept, and every process compiles its own: {error}; "
            "set URNN_CACHE_DIR to a folder that can be written",
            RuntimeWarning,
            stacklevel=3,
        )
