"""`python -m urnn schema`: print the JSON schema of the configuration."""

from __future__ import annotations

import argparse
import json


def arguments(parser: argparse.ArgumentParser) -> None:
    """None."""


def run(options: argparse.Namespace) -> None:
    from urnn.config import schema

    print(json.dumps(schema(), indent=2, ensure_ascii=False))
