"""The command line: `python -m urnn <stage> ...`. Each stage is a file in `urnn.commands`."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence

#: stage: what it does. Light, so that `--help` is instant.
STAGES = {
    "data": "make one realization of a task",
    "train": "train one model of one size on a block of realizations",
    "score": "score the trained models of an experiment on its test trials",
    "figure": "draw a figure from scores",
    "report": "write the report page",
    "schema": "print the JSON schema of the configuration",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one stage; the exit status is 0, or 1 after an error that is the user's to mend."""
    argv = sys.argv[1:] if argv is None else list(argv)
    parser = argparse.ArgumentParser(prog="python -m urnn", description=__doc__)
    stages = parser.add_subparsers(dest="stage", required=True, metavar="STAGE")
    for name, help_text in STAGES.items():
        stage = stages.add_parser(name, help=help_text, description=help_text)
        if argv[:1] == [name]:  # only the stage that runs is imported
            command = importlib.import_module(f"urnn.commands.{name}")
            command.arguments(stage)
    options = parser.parse_args(argv)
    try:
        command.run(options)
    except KeyboardInterrupt:
        print("urnn: interrupted", file=sys.stderr)
        return 130
    except (ValueError, RuntimeError, OSError) as error:
        # what our own checks raise is for people; anything else deserves its traceback
        if type(error).__module__.startswith("urnn.") or isinstance(error, OSError):
            print(f"urnn {options.stage}: {error}", file=sys.stderr)
            return 1
        raise
    return 0


if __name__ == "__main__":
    sys.exit(main())
