"""`python -m urnn train`: train one model of one size on a block of realizations."""

from __future__ import annotations

import argparse
import sys
from functools import partial
from pathlib import Path

from urnn.settings.base import parse
from urnn.settings.model import ModelSettings
from urnn.settings.training import Recipe


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "data", type=Path, nargs="+", help="data files, one for each realization of the block"
    )
    parser.add_argument("--experiment", required=True, help="name; the seeds derive from it too")
    parser.add_argument("--name", required=True, help="name of the model; so do they from this")
    parser.add_argument("--model", default="{}", help="model settings, JSON or @FILE (YAML)")
    parser.add_argument("--recipe", default="{}", help="training settings, JSON or @FILE (YAML)")
    parser.add_argument("--hidden-units", type=int, required=True, help="size of the model")
    parser.add_argument("--seed", type=int, default=2019, help="the run's seed (default: 2019)")
    parser.add_argument("--device", default="cpu", help="cpu, cuda, cuda:N or reference")
    parser.add_argument("--output", type=Path, required=True, help="NetCDF file to write")


def run(options: argparse.Namespace) -> None:
    model = parse(ModelSettings, options.model, "--model")
    recipe = parse(Recipe, options.recipe, "--recipe")
    import numpy as np
    import xarray as xr

    from urnn import models, storage, training
    from urnn.recurrence import backend, unpack
    from urnn.seeds import generator
    from urnn.tasks.split import SPLIT

    x: list[np.ndarray] = []
    y: list[np.ndarray] = []
    realizations: list[int] = []
    for path in options.data:
        data = storage.read(path, ("x", "y", "split"))
        storage.check_finite(data, path, ("x", "y"))
        data = data.isel(trial=np.flatnonzero(data["split"].values == SPLIT["train"]))
        if x and data["x"].shape != x[0].shape:
            raise storage.DataError(
                f"{path}: x of the training trials has the shape {data['x'].shape}, but "
                f"{options.data[0]} has {x[0].shape}. All files of a block must be of one task: "
                "delete the one that is not and run again."
            )
        x.append(data["x"].values)
        y.append(data["y"].values)
        realizations.append(int(data.attrs["realization"]))

    spec = models.specification(model, options.hidden_units, x[0].shape[-1], y[0].shape[-1])
    replicas = [(s, i) for s in range(len(x)) for i in range(recipe.restarts)]
    identity = (options.experiment, options.name, options.hidden_units)
    trained = training.train(
        spec,
        models.transition(model),
        recipe,
        np.stack(x),
        np.stack(y),
        [s for s, _ in replicas],
        [partial(generator, options.seed, *identity, realizations[s], i) for s, i in replicas],
        backend(options.device),
        report=lambda p: print(
            f"epoch {p.epoch}/{p.epochs}  loss {p.loss:.6g}  diverged {p.diverged}  "
            f"left {p.seconds_left:.0f} s",
            file=sys.stderr,
            flush=True,
        ),
    )
    shape = (len(x), recipe.restarts)
    loss = trained.loss.reshape(*shape, -1)
    validation_loss = trained.validation_loss.reshape(*shape, -1)
    diverged = trained.diverged.reshape(shape)
    W = unpack(spec, trained.parameters)["W"]

    both = ("realization", "restart")
    dataset = xr.Dataset(
        {
            **models.to_variables(spec, trained.parameters, shape),
            **models.transition_variables(trained.transition_parameters, shape),
            "loss": (
                (*both, "epoch"),
                loss,
                {"long_name": "mean squared error of the training trials", "units": "1"},
            ),
            "validation_loss": (
                (*both, "epoch"),
                validation_loss,
                {"long_name": "mean squared error of the validation trials", "units": "1"},
            ),
            "diverged": (
                both,
                diverged.astype(np.int8),
                {
                    "long_name": "whether the loss or a gradient became NaN or Inf",
                    "flag_values": np.array([0, 1], np.int8),
                    "flag_meanings": "finite diverged",
                },
            ),
            "best_restart": (
                ("realization",),
                training.best_restart(loss[..., -1], validation_loss[..., -1], diverged),
                {"long_name": "restart to report, chosen without the test trials"},
            ),
            "steps": (
                both,
                trained.steps.reshape(shape),
                {"long_name": "optimizer steps taken", "units": "1"},
            ),
            "transition_violation": (
                both,
                np.asarray(models.transition(model).violation(W, np)).reshape(shape),
                {"long_name": "distance of W from the set it is kept in", "units": "1"},
            ),
            "wall_seconds": (
                (),
                trained.wall_seconds,
                {"long_name": "time of the training, all replicas together", "units": "s"},
            ),
        },
        coords={
            "realization": np.array(realizations, np.int32),
            "restart": np.arange(recipe.restarts, dtype=np.int32),
            "epoch": np.arange(1, recipe.epochs + 1, dtype=np.int32),
        },
        attrs=storage.provenance(
            {"model": model.model_dump(), "recipe": recipe.model_dump()},
            options.seed,
            title=f"{options.name} with {options.hidden_units} hidden units, trained",
            experiment=options.experiment,
            model=options.name,
            hidden_units=options.hidden_units,
            device=options.device,
            snr_db=data.attrs["snr_db"],
        ),
    )
    storage.write(dataset, options.output)
