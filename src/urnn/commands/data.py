"""`python -m urnn data`: make one realization of a task's data."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from urnn.settings.base import ConfigError, parse
from urnn.settings.permuted_digits import PermutedDigitsSettings
from urnn.settings.permuted_mnist import PermutedMNISTSettings
from urnn.settings.synthetic import SyntheticSettings

if TYPE_CHECKING:
    import xarray as xr


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--task",
        choices=["synthetic", "permuted_mnist", "permuted_digits"],
        default="synthetic",
        help="slowly varying systems (default), MNIST (from the folder URNN_MNIST_DIR, else "
        "downloaded) or scikit-learn's digits",
    )
    parser.add_argument("--system", help="synthetic: settings of the systems, JSON or @FILE (YAML)")
    parser.add_argument("--snr-db", type=float, help="synthetic: signal-to-noise ratio, dB")
    parser.add_argument("--images", help="permuted_*: settings of the images, JSON or @FILE (YAML)")
    parser.add_argument("--seed", type=int, default=2019, help="the run's seed (default: 2019)")
    parser.add_argument("--realization", type=int, required=True, help="number of the realization")
    parser.add_argument("--output", type=Path, required=True, help="NetCDF file to write")


def run(options: argparse.Namespace) -> None:
    if options.task == "synthetic":
        _refuse(options, "images")
        if options.snr_db is None:
            raise ConfigError("--snr-db: the task synthetic needs a signal-to-noise ratio in dB")
        make = _synthetic
    else:
        _refuse(options, "system", "snr_db")
        make = _permuted_mnist if options.task == "permuted_mnist" else _permuted_digits
    dataset, config = make(options)
    from urnn import storage

    dataset.attrs |= storage.provenance(config, options.seed)
    # Gaussian noise does not compress; pixels, mostly 0, do
    compressed = () if options.task == "synthetic" else ("x",)
    storage.write(dataset, options.output, compressed)


def _refuse(options: argparse.Namespace, *names: str) -> None:
    for name in names:
        if getattr(options, name) is not None:
            option = f"--{name.replace('_', '-')}"
            raise ConfigError(f"{option}: the task {options.task} has no such option; leave it out")


def _synthetic(options: argparse.Namespace) -> tuple[xr.Dataset, dict[str, Any]]:
    settings = parse(SyntheticSettings, options.system or "{}", "--system")
    from urnn.tasks import synthetic

    dataset = synthetic.generate(settings, options.snr_db, options.seed, options.realization)
    return dataset, {"system": settings.model_dump(), "snr_db": options.snr_db}


def _permuted_mnist(options: argparse.Namespace) -> tuple[xr.Dataset, dict[str, Any]]:
    settings = parse(PermutedMNISTSettings, options.images or "{}", "--images")
    from urnn.tasks import mnist, permuted_mnist

    dataset = permuted_mnist.generate(mnist.load(), settings, options.seed, options.realization)
    return dataset, {"task": options.task, "images": settings.model_dump()}


def _permuted_digits(options: argparse.Namespace) -> tuple[xr.Dataset, dict[str, Any]]:
    settings = parse(PermutedDigitsSettings, options.images or "{}", "--images")
    from urnn.tasks import permuted_digits

    images, labels = permuted_digits.load()
    dataset = permuted_digits.generate(images, labels, settings, options.seed, options.realization)
    return dataset, {"task": options.task, "images": settings.model_dump()}
