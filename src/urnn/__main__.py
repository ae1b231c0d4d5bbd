"""Fit, train, score and convert recurrent networks; `urnn COMMAND --help` explains a command."""

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
    subparsers = parser.add_subparsers(dest="stage", required=True, metavar="COMMAND")
    stages = {
        name: subparsers.add_parser(name, help=summary, description=summary)
        for name, summary in _stages().items()
    }
    try:
        if argv and argv[0] in stages:  # only the stage that runs is imported
            command = importlib.import_module(f"urnn.commands.{argv[0]}")
            command.arguments(stages[argv[0]])
        options, unknown = parser.parse_known_args(argv)
        if unknown:
            stages[options.stage].error(f"unrecognized arguments: {' '.join(unknown)}")
        command.run(options)
    except KeyboardInterrupt:
        print(f"urnn {argv[0]}: interrupted", file=sys.stderr)
        return 130
    except ModuleNotFoundError as error:
        message = _to_install(error)
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
    print(f"urnn {argv[0]}: {message}", file=sys.stderr)
    return 1


def _to_install(error: ModuleNotFoundError) -> str:
    """What to do about a package of the workflow that is not there; raises what is a bug."""
    package = str(error.name).partition(".")[0]
    if package == "urnn" or package in sys.stdlib_module_names:
        raise error
    return f'this needs {package}, which comes with the workflow: pip install "urnn[workflow]"'


if __name__ == "__main__":
    sys.exit(main())
