"""`python -m urnn kernels`: compile what trainings and scores of one shape will run."""

from __future__ import annotations

import argparse
import json
from pathlib import Path


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--recurrence", required=True, help="rnn or lstm")
    parser.add_argument("--activation", default="relu", help="of an rnn")
    parser.add_argument(
        "--loss", default="squared", help="squared, or cross_entropy of the last step"
    )
    parser.add_argument("--hidden-units", type=int, required=True, help="size of the model")
    parser.add_argument("--input-size", type=int, required=True)
    parser.add_argument("--output-size", type=int, required=True)
    parser.add_argument(
        "--batches", type=int, nargs="+", required=True, help="sizes of the minibatches"
    )
    parser.add_argument(
        "--trials", type=int, nargs="+", required=True, help="numbers of trials that are scored"
    )
    parser.add_argument("--output", type=Path, required=True, help="file that says what is there")


def run(options: argparse.Namespace) -> None:
    from urnn import storage
    from urnn.recurrence import Spec
    from urnn.recurrence.cpu import compile_kernels

    spec = Spec(
        options.recurrence,
        options.hidden_units,
        options.input_size,
        options.output_size,
        options.activation,
        options.loss,
    )
    compile_kernels(spec, options.batches, options.trials)
    there = {"batches": options.batches, "trials": options.trials}
    storage.write_text(json.dumps(vars(spec) | there, indent=1) + "\n", options.output)
