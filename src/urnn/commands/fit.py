"""`urnn fit`: fit networks to measured records, and say whether a unitary one is enough."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from urnn.commands import whole
from urnn.fitting import Fit, template


def arguments(parser: argparse.ArgumentParser) -> None:
    add, usual = parser.add_argument, template()
    models = usual["experiments"]["fit"]["models"]
    add(
        "records", nargs="+", help="files (.csv, .txt, .tsv, .npz, .nc) or folders of them; a CSV "
        "file starts with a line of names",
    )  # fmt: skip
    add("--inputs", nargs="+", required=True, metavar="NAME", help="columns of the inputs")
    add("--outputs", nargs="+", required=True, metavar="NAME", help="columns of the outputs")
    add(
        "--test-records", nargs="+", default=[], metavar="FILE",
        help="other records for the test (default: the end of each record)",
    )  # fmt: skip
    add(
        "--test-share", type=float, default=0.25,
        help="share of each record, at its end, for the test (default: 0.25)",
    )  # fmt: skip
    add("--time", metavar="NAME", help="column of the times of the samples (default: none)")
    add("--sample-time", type=float, help="time between samples (default: that of --time)")
    add(
        "--missing", choices=["mask", "cut"], default="mask",
        help="mask: what is missing does not count; cut: cut the records there (default: mask)",
    )  # fmt: skip
    add(
        "--models", nargs="+", choices=list(usual["models"]), default=models,
        help=f"what is fitted (default: {' '.join(models)})",
    )  # fmt: skip
    add(
        "--hidden-units", nargs="+", type=int, default=[1, 2, 4, 8], metavar="N",
        help="sizes of every model (default: 1 2 4 8)",
    )  # fmt: skip
    add(
        "--activation", choices=["relu", "tanh"], default="relu",
        help="activation of the RNNs and the URNN (default: relu)",
    )  # fmt: skip
    add("--window", type=int, help="samples in a training window (default: from the records)")
    add("--warm-up", type=int, help="first samples of a window, not counted (default: a fifth)")
    add("--epochs", type=whole(1), help="passes over the windows (default: from their number)")
    add("--restarts", type=int, default=8, help="trainings; validation picks one (default: 8)")
    add(
        "--realizations", type=int, default=3,
        help="repetitions with other initial values and validation windows (default: 3)",
    )  # fmt: skip
    add("--seed", type=int, default=2019, help="of all random draws (default: 2019)")
    add("--device", default="auto", help="auto, cpu, cuda, cuda:N or mps (default: auto)")
    add(
        "--folder", type=Path,
        help="where to write everything (default: NAME-fit here, after the first record's NAME)",
    )  # fmt: skip
    add(
        "--overwrite", action="store_true",
        help="use the folder even if its configuration was edited or is of another record",
    )  # fmt: skip
    add("--cores", type=whole(1), default=os.cpu_count(), help="jobs at once (default: all cores)")
    add("--profile", help="a profile of Snakemake, such as one for Slurm (default: none)")


def run(options: argparse.Namespace) -> None:
    from urnn import fitting

    chosen = {name: getattr(options, name) for name in Fit.__dataclass_fields__}
    folder = options.folder or Path(f"{Path(options.records[0]).resolve().stem}-fit")
    fitting.run(Fit(**chosen), folder, options.cores, options.profile, options.overwrite)
