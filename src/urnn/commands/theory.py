"""`python -m urnn theory`: compute the numbers of a theorem's figure."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from urnn.settings.base import parse
from urnn.settings.theory import Theorem1Settings, Theorem2Settings, Theorem3Settings

if TYPE_CHECKING:
    import xarray as xr


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("theorem", choices=list(_THEOREMS), help="which theorem")
    parser.add_argument("--settings", default="{}", help="its settings, JSON or @FILE (YAML)")
    parser.add_argument("--seed", type=int, default=2019, help="the run's seed (default: 2019)")
    parser.add_argument("--output", type=Path, required=True, help="NetCDF file to write")


def run(options: argparse.Namespace) -> None:
    dataset = _THEOREMS[options.theorem](options.settings, options.seed, options.output)
    print(f"{options.theorem}: {', '.join(map(str, dataset.data_vars))}")


def _write(dataset: xr.Dataset, config: dict, seed: int, path: Path) -> xr.Dataset:
    from urnn import storage

    dataset.attrs |= storage.provenance(config, seed)
    storage.write(dataset, path)
    return dataset


def _theorem1(text: str, seed: int, path: Path) -> xr.Dataset:
    settings = parse(Theorem1Settings, text, "--settings")
    from urnn.equivalence import experiments

    # 0.9 to 1.1, and one part in a thousand below the proved bias
    fractions = sorted([0.999, *(0.9 + 0.005 * step for step in range(41))])
    dataset = experiments.theorem1(
        settings.hidden_units, settings.systems, settings.steps, fractions, seed=seed
    )
    return _write(dataset, settings.model_dump(), seed, path)


def _theorem2(text: str, seed: int, path: Path) -> xr.Dataset:
    settings = parse(Theorem2Settings, text, "--settings")
    import xarray as xr

    from urnn.equivalence import experiments

    cliff = experiments.cliff(
        settings.hidden_units,
        settings.rho,
        settings.budgets,
        settings.restarts,
        settings.iterations,
        seed,
    )
    counts = experiments.state_counts(settings.sizes, settings.systems, seed=seed)
    # two experiments in one file: what holds for the cliff alone says so in its name
    dataset = xr.merge([cliff, counts], combine_attrs="drop")
    dataset.attrs = {
        "title": "Theorem 2: 2n states are needed to be equal, not to come near",
        "cliff_hidden_units": settings.hidden_units,
        "cliff_rho": settings.rho,
    }
    return _write(dataset, settings.model_dump(), seed, path)


def _theorem3(text: str, seed: int, path: Path) -> xr.Dataset:
    settings = parse(Theorem3Settings, text, "--settings")
    import numpy as np

    from urnn.equivalence import experiments

    dataset = experiments.theorem3(
        np.arange(0, settings.largest_bias + 1e-9, 4).tolist(),
        chain_units=range(2, settings.largest_chain + 1),
        fit_units=settings.fit_units,
        bias_cap=settings.bias_cap,
        restarts=settings.restarts,
        iterations=settings.iterations,
        seed=seed,
    )
    return _write(dataset, settings.model_dump(), seed, path)


_THEOREMS = {"theorem1": _theorem1, "theorem2": _theorem2, "theorem3": _theorem3}
