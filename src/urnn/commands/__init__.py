"""The stages of the workflow as commands, one file each: arguments and files in, a file out."""

from __future__ import annotations

import argparse
from collections.abc import Callable


def whole(least: int) -> Callable[[str], int]:
    """A type of an option: an integer that is ``least`` or more."""

    def number(text: str) -> int:
        value = int(text)
        if value < least:
            raise argparse.ArgumentTypeError(f"must be {least} or more, not {value}")
        return value

    number.__name__ = "int"  # argparse names the type where the text is no number
    return number


def overwrite_argument(parser: argparse.ArgumentParser) -> None:
    """The option that lets a command replace what is there; see `urnn.storage.check_new`."""
    parser.add_argument(
        "--overwrite", action="store_true", help="replace the output if it is there"
    )
