"""`python -m urnn data`: make one realization of the synthetic systems."""

from __future__ import annotations

import argparse
from pathlib import Path

from urnn.settings.base import parse
from urnn.settings.synthetic import SyntheticSettings


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--system", default="{}", help="settings of the systems, JSON or @FILE (YAML)"
    )
    parser.add_argument("--snr-db", type=float, required=True, help="signal-to-noise ratio, dB")
    parser.add_argument("--seed", type=int, default=2019, help="the run's seed (default: 2019)")
    parser.add_argument("--realization", type=int, required=True, help="number of the system")
    parser.add_argument("--output", type=Path, required=True, help="NetCDF file to write")


def run(options: argparse.Namespace) -> None:
    settings = parse(SyntheticSettings, options.system, "--system")
    from urnn import storage
    from urnn.tasks import synthetic

    dataset = synthetic.generate(settings, options.snr_db, options.seed, options.realization)
    config = {"system": settings.model_dump(), "snr_db": options.snr_db}
    dataset.attrs |= storage.provenance(config, options.seed)
    storage.write(dataset, options.output)
