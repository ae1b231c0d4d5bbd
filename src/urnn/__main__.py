"""The command line: `python -m urnn <stage> ...`. Each stage is a file in `urnn.commands`."""

from __future__ import annotations

import argparse
import ast
import importlib
import pkgutil
import sys
from collections.abc import Sequence
from pathlib import Path

from urnn import commands
from urnn.errors import UserError


def _stages() -> dict[str, str]:
    """Every stage and the first line of its file, read without importing it, so --help is quick."""
    found = {}
    for module in pkgutil.iter_modules(commands.__path__):
        source = Path(commands.__path__[0], f"{module.name}.py").read_text(encoding="utf-8")
        first_line = (ast.get_docstring(ast.parse(source)) or "").partition("\n")[0]
        found[module.name] = first_line.partition(": ")[2]
    return found


def main(argv: Sequence[str] | None = None) -> int:
    """Run one stage; the exit status is 0, 1 after a `UserError`, or 130."""
    argv = sys.argv[1:] if argv is None else list(argv)
    parser = argparse.ArgumentParser(prog="python -m urnn", description=__doc__)
    subparsers = parser.add_subparsers(dest="stage", required=True, metavar="STAGE")
    for name, summary in _stages().items():
        stage = subparsers.add_parser(name, help=summary, description=summary)
        if argv[:1] == [name]:  # only the stage that runs is imported
            command = importlib.import_module(f"urnn.commands.{name}")
            command.arguments(stage)
    options = parser.parse_args(argv)
    try:
        command.run(options)
    except KeyboardInterrupt:
        print(f"urnn {options.stage}: interrupted", file=sys.stderr)
        return 130
    except MemoryError:
        message = "out of memory; give the job more, or use a smaller block_size"
    except (UserError, OSError) as error:
        message = str(error)  # anything else is a bug and deserves its traceback
    except RuntimeError as error:
        # torch's, by its name, for most stages do not import torch
        if type(error).__name__ != "OutOfMemoryError":
            raise
        message = (
            f"out of memory: {str(error).splitlines()[0]} Use a smaller gpu_memory or block_size, "
            "or fewer jobs at once: snakemake --resources gpu=1"
        )
    else:
        return 0
    print(f"urnn {options.stage}: {message}", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
