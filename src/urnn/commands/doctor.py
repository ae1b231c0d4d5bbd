"""`python -m urnn doctor`: which devices there are, whether they compute right, and how fast."""

from __future__ import annotations

import argparse
import json
import sys


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--device",
        nargs="+",
        help="devices to check: cpu, cuda, cuda:N, mps (default: cpu, and a GPU if there is one)",
    )
    parser.add_argument(
        "--json", action="store_true", help="all of it as JSON, for a report of a bug"
    )
    parser.add_argument("--no-times", action="store_true", help="check, and measure no times")


def run(options: argparse.Namespace) -> None:
    from urnn import devices, doctor
    from urnn.errors import DataError

    chosen = options.device or doctor.usual_devices()
    chosen = list(dict.fromkeys(map(devices.resolve, chosen)))

    def say(line: str) -> None:
        if not options.json:
            print(line, flush=True)

    found = doctor.examine(chosen, say, times=not options.no_times)
    if options.json:
        json.dump(found, sys.stdout, indent=1)
        print()
    if found["failed"]:
        raise DataError(
            f"{found['failed']} of {len(found['checks'])} checks failed; please report it, with "
            "what `python -m urnn doctor --json` prints"
        )
