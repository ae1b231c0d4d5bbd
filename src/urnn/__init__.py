"""urnn: what a unitary recurrent network can and cannot do, settled by computation."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__all__ = ["RNN", "__version__"]

if TYPE_CHECKING:
    from urnn.rnn import RNN

    __version__: str


def __getattr__(name: str) -> Any:
    # lazily, so that `import urnn` (the Snakefile does it) loads nothing heavy
    if name == "RNN":
        from urnn.rnn import RNN

        return RNN
    if name == "__version__":
        from importlib.metadata import version

        return version("urnn")
    raise AttributeError(f"module 'urnn' has no attribute {name!r}")
