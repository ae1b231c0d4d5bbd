"""`python -m urnn train`: train one model of one size on a block of realizations."""

from __future__ import annotations

import argparse
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from urnn.settings.base import ConfigError, parse
from urnn.settings.model import ModelSettings
from urnn.settings.training import Recipe

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from urnn.training import Progress


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
    parser.add_argument(
        "--checkpoint-seconds",
        type=float,
        default=60,
        help="how often the state is saved beside the output, to resume from (default: 60)",
    )
    parser.add_argument("--output", type=Path, required=True, help="NetCDF file to write")


class Block(NamedTuple):
    """The trials of a block of realizations."""

    #: (S, N, time, input) float32, validation trials last
    x: NDArray
    #: (S, N, time, output) float32, or labels (S, N) int64
    y: NDArray
    #: size of the readout
    outputs: int
    #: numbers of the realizations
    realizations: list[int]
    validation_trials: int
    #: attributes that the output takes over
    attributes: dict[str, Any]


def run(options: argparse.Namespace) -> None:
    model = parse(ModelSettings, options.model, "--model")
    recipe = parse(Recipe, options.recipe, "--recipe")
    import numpy as np
    import xarray as xr

    from urnn import checkpoints, models, storage, training
    from urnn.recurrence import backend, unpack
    from urnn.seeds import generator

    storage.check_writable(options.output)
    block = _read(options.data, recipe)
    spec = models.specification(
        model,
        options.hidden_units,
        block.x.shape[-1],
        block.outputs,
        "cross_entropy" if block.y.ndim == 2 else "squared",
    )
    realizations = block.realizations
    replicas = [(s, i) for s in range(len(realizations)) for i in range(recipe.restarts)]
    identity = (options.experiment, options.name, options.hidden_units)
    config = {"model": model.model_dump(), "recipe": recipe.model_dump()}
    defines = {**config, "seed": options.seed, "device": options.device}
    defines |= {"identity": identity, "realizations": realizations}
    key = checkpoints.digest(defines, (block.x, block.y))
    checkpoint = checkpoints.FileCheckpoint(options.output, key, options.checkpoint_seconds)
    with checkpoint.listening():
        trained = training.train(
            spec,
            models.transition(model),
            recipe,
            block.x,
            block.y,
            [s for s, _ in replicas],
            [partial(generator, options.seed, *identity, realizations[s], i) for s, i in replicas],
            backend(options.device),
            block.validation_trials,
            _bar if sys.stderr.isatty() else _line,
            checkpoint,
        )
    shape = (len(realizations), recipe.restarts)
    kept = trained.kept_epoch.reshape(shape)
    loss = trained.loss.reshape(*shape, -1)
    validation_loss = trained.validation_loss.reshape(*shape, -1)
    diverged = trained.diverged.reshape(shape)
    at_kept = [
        np.take_along_axis(values, kept[..., None], 2)[..., 0] for values in (loss, validation_loss)
    ]
    W = unpack(spec, trained.parameters)["W"]

    both = ("realization", "restart")
    every = (*both, "epoch")
    kind = "cross-entropy" if spec.loss == "cross_entropy" else "mean squared error"
    dataset = xr.Dataset(
        {
            **models.to_variables(spec, trained.parameters, shape),
            **models.transition_variables(trained.transition_parameters, shape),
            "loss": (every, loss, {"long_name": f"{kind} of the training trials", "units": "1"}),
            "validation_loss": (
                every,
                validation_loss,
                {"long_name": f"{kind} of the validation trials", "units": "1"},
            ),
            "validation_accuracy": (
                every,
                trained.validation_accuracy.reshape(*shape, -1),
                {"long_name": "share of the validation trials recognised", "units": "1"},
            ),
            "violation": (
                every,
                trained.violation.reshape(*shape, -1),
                {"long_name": "distance of W from its set after each epoch", "units": "1"},
            ),
            "kept_epoch": (
                both,
                (kept + 1).astype(np.int32),
                {"long_name": "epoch whose parameters are kept, 0 for none"},
            ),
            "ended": (
                both,
                trained.ended.reshape(shape),
                {
                    "long_name": "why the training ended",
                    "flag_values": np.array(
                        [training.ALL_EPOCHS, training.EARLY, training.OVERFLOW], np.int8
                    ),
                    "flag_meanings": "all_epochs early_termination overflow",
                },
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
                training.best_restart(at_kept[0], at_kept[1], diverged),
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
            config,
            options.seed,
            title=f"{options.name} with {options.hidden_units} hidden units, trained",
            experiment=options.experiment,
            model=options.name,
            hidden_units=options.hidden_units,
            device=options.device,
            **block.attributes,
        ),
    )
    storage.write(dataset, options.output)
    checkpoint.remove()


def _read(paths: list[Path], recipe: Recipe) -> Block:
    """Training and validation trials of all files, which must be of one task.

    A file with validation trials has them for validation; of others the recipe's share is taken.
    """
    import numpy as np

    from urnn import storage
    from urnn.tasks.split import SPLIT

    x: list[np.ndarray] = []
    y: list[np.ndarray] = []
    realizations: list[int] = []
    validation = 0
    for path in paths:
        data = storage.read(path, ("x", "split"))
        target = "label" if "label" in data else "y"
        if target not in data:
            raise storage.DataError(f"{path} lacks y or label: it is another kind of file")
        storage.check_finite(data, path, ("x", target))
        parts = [np.flatnonzero(data["split"].values == SPLIT[n]) for n in ("train", "validation")]
        chosen = np.concatenate(parts)
        values, wanted = data["x"].values[chosen], data[target].values[chosen]
        if x and (values.shape, wanted.shape) != (x[0].shape, y[0].shape):
            raise storage.DataError(
                f"{path}: x of the training trials has the shape {values.shape}, but "
                f"{paths[0]} has {x[0].shape}. All files of a block must be of one task: "
                "delete the one that is not and run again."
            )
        x.append(values)
        y.append(wanted)
        realizations.append(int(data.attrs["realization"]))
        validation = len(parts[1])
    if not validation:
        validation = round(len(x[0]) * recipe.validation_ratio)
    elif recipe.validation_ratio:
        raise ConfigError("--recipe.validation_ratio: the data has validation trials; leave it out")
    if recipe.patience is not None and not validation:
        raise ConfigError("--recipe.patience: needs validation trials; set validation_ratio")
    outputs = int(data.attrs["classes"]) if target == "label" else y[0].shape[-1]
    known = {key: data.attrs[key] for key in ("task", "snr_db") if key in data.attrs}
    return Block(np.stack(x), np.stack(y), outputs, realizations, validation, known)


def _line(progress: Progress) -> None:
    """A line of the job's log for each epoch."""
    print(
        f"epoch {progress.epoch}/{progress.epochs}  loss {progress.loss:.6g}  "
        f"diverged {progress.diverged}  left {progress.seconds_left:.0f} s",
        file=sys.stderr,
        flush=True,
    )


def _bar(progress: Progress) -> None:
    """One line on a terminal, drawn anew after each epoch."""
    width = 30
    done = round(width * progress.epoch / progress.epochs)
    end = "\n" if progress.epoch == progress.epochs else ""
    print(
        f"\r[{'#' * done}{'.' * (width - done)}] epoch {progress.epoch}/{progress.epochs}  "
        f"loss {progress.loss:.4g}  diverged {progress.diverged}  "
        f"left {progress.seconds_left:.0f} s \x1b[K",
        end=end,
        file=sys.stderr,
        flush=True,
    )
