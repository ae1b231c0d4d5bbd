"""`python -m urnn train`: train one model of one size on a block of realizations."""

from __future__ import annotations

import argparse
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from urnn.commands import overwrite_argument, whole
from urnn.settings.base import parse
from urnn.settings.model import AnyModel, code_of
from urnn.settings.training import Recipe

if TYPE_CHECKING:
    from urnn.recurrence import Backend, Spec
    from urnn.training import Progress
    from urnn.trials import Trials


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "data", type=Path, nargs="+", help="data files, one for each realization of the block"
    )
    parser.add_argument(
        "--experiment", required=True, help="name of the experiment; it enters the seeds"
    )
    parser.add_argument("--name", required=True, help="name of the model; it enters the seeds")
    parser.add_argument("--model", default="{}", help="model settings, JSON or @FILE (YAML)")
    parser.add_argument("--recipe", default="{}", help="training settings, JSON or @FILE (YAML)")
    parser.add_argument("--hidden-units", type=int, required=True, help="size of the model")
    parser.add_argument(
        "--seed", type=whole(0), default=2019, help="the run's seed (default: 2019)"
    )
    parser.add_argument(
        "--device",
        default="auto",
        help="cpu, cuda, cuda:N, mps, reference, or auto: a GPU if there is one for the kernels, "
        "else the CPU (default: auto)",
    )
    parser.add_argument(
        "--checkpoint-seconds",
        type=float,
        default=60,
        help="how often the state is saved beside the output, to resume from (default: 60)",
    )
    parser.add_argument("--output", type=Path, required=True, help="NetCDF file to write")
    overwrite_argument(parser)


def run(options: argparse.Namespace) -> None:
    model = parse(AnyModel, options.model, "--model")
    recipe = parse(Recipe, options.recipe, "--recipe")
    from urnn import checkpoints, closure, devices, models, results, storage, training, trials
    from urnn.recurrence import backend
    from urnn.seeds import generator

    options.device = devices.resolve(options.device)
    where = backend(options.device)
    storage.check_new(options.output, options.data, options.overwrite)
    storage.check_writable(options.output)
    block = trials.to_train(options.data, recipe)
    sizes = options.hidden_units, block.x.shape[-1], block.output_size
    spec = models.specification(model, *sizes, block.loss.name)
    identity = (options.experiment, options.name, options.hidden_units)
    config = {"model": model.definition(), "recipe": recipe.model_dump()}
    key = checkpoints.digest(
        {
            **config,
            "seed": options.seed,
            "device": options.device,
            "identity": identity,
            "realizations": block.realizations.tolist(),
            "validation": block.validation_trials,
            "loss": block.loss.name,
            "code": closure.digest(
                "urnn.commands.train", *code_of(model), *devices.code(options.device)
            ),
        },
        (block.x, block.y),
    )
    replicas = [(s, i) for s in range(len(block.realizations)) for i in range(recipe.restarts)]
    numbers = [int(block.realizations[s]) for s, _ in replicas]
    checkpoint = checkpoints.FileCheckpoint(options.output, key, options.checkpoint_seconds)
    with checkpoint.listening():
        result = training.train(
            spec,
            model.transition_plug,
            recipe,
            block.x,
            block.y,
            [s for s, _ in replicas],
            [
                partial(generator, options.seed, *identity, number, i)
                for number, (_, i) in zip(numbers, replicas, strict=True)
            ],
            where,
            block.validation_trials,
            _Bar() if sys.stderr.isatty() else _line,
            checkpoint,
        )
    attributes = storage.provenance(
        config, options.seed, **_attributes(options, where, spec, block)
    )
    dataset = results.trained(spec, model, recipe, result, block, attributes)
    storage.write(dataset, options.output)
    checkpoint.remove()


def _attributes(
    options: argparse.Namespace, where: Backend, spec: Spec, block: Trials
) -> dict[str, Any]:
    by = getattr(where, "computed_by", None)
    return {
        "title": f"{options.name} with {options.hidden_units} hidden units, trained",
        "experiment": options.experiment,
        "model": options.name,
        "hidden_units": options.hidden_units,
        # the one that was resolved: results of different devices differ in rounding
        "device": options.device,
        "computed_by": by(spec) if by else options.device,
        **block.attributes,
    }


def _line(progress: Progress) -> None:
    """A line of the job's log for each epoch."""
    print(
        f"epoch {progress.epoch}/{progress.epochs}  loss {progress.loss:.6g}  "
        f"diverged {progress.diverged}  left {progress.seconds_left:.0f} s",
        file=sys.stderr,
        flush=True,
    )


class _Bar:
    """A progress bar on a terminal."""

    def __init__(self) -> None:
        self._bar: Any = None

    def __call__(self, progress: Progress) -> None:
        from tqdm import tqdm

        if self._bar is None:  # not before the first epoch, which may be one of a resumed training
            self._bar = tqdm(total=progress.epochs, initial=progress.epoch - 1, unit="epoch")
        self._bar.set_postfix(loss=f"{progress.loss:.4g}", diverged=progress.diverged)
        self._bar.update(progress.epoch - self._bar.n)
        if progress.epoch == progress.epochs:
            self._bar.close()
