"""Which realizations one job trains in lock step, or makes data of: the blocks of an experiment.

A block of trainings is a file, so blocks must be the same in every process of a run and should stay
what they are in the next one. Automatic blocks therefore keep the files that are there, and follow
from the configuration and the kind of the device, never from what a machine has free. What is
trained does not depend on them by a single bit, and neither do data.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterable
from pathlib import Path

from urnn.config import Config
from urnn.devices import is_gpu
from urnn.errors import ArgumentError, ConfigError
from urnn.recurrence import Spec, parameter_count
from urnn.recurrence.gpu.layouts import layout, state_row

#: realizations of a block on a CPU: enough for its vectors, few enough to share the cores
ON_CPU = 16
#: realizations of a block of data
OF_DATA = 8
#: copies of theta on a GPU, with the optimizer's state, gradients and the best epoch
_COPIES = 8
#: arrays of the size of the validation trials' outputs
_VALIDATION = 4

Block = tuple[int, int]


def blocks(realizations: int, size: int, there: Iterable[Block] = ()) -> list[Block]:
    """First and last realization of each block, in order, at most ``size`` in one.

    Those that are ``there`` stay as they are if they fit; only what they leave is shared out. So
    more realizations add blocks, and another size changes none. While blocks are made, the answer
    stays the same.
    """
    longest: dict[int, int] = {}
    for first, last in there:
        if first <= last < realizations:
            longest[first] = max(last, longest.get(first, last))
    found, first = [], 0
    while first < realizations:
        following = min((start for start in longest if start > first), default=realizations)
        last = longest.get(first, min(first + size, following) - 1)
        found.append((first, last))
        first = last + 1
    return found


def of_data(realizations: int, folder: Path) -> list[Block]:
    """The blocks of an experiment's data, of which each realization has a file in ``folder``.

    At most `OF_DATA` realizations from a multiple of it on, those that are there apart from those
    that are not: more realizations, and files that were lost, are made without the others. While a
    job writes its files one by one, a job of a cluster that divides the realizations anew finds its
    own block where it was.
    """
    there = [(folder / f"realization-{k:03d}.nc").exists() for k in range(realizations)]
    runs = itertools.groupby(range(realizations), key=lambda k: (k // OF_DATA, there[k]))
    numbers = [list(run) for _, run in runs]
    return [(run[0], run[-1]) for run in numbers]


def of_training(
    run: Config, experiment: str, model: str, hidden_units: int, device: str, folder: Path
) -> list[Block]:
    """The blocks of one model of one size, whose files are in ``folder``, on a resolved device.

    Raises:
        ConfigError: the network is too large for a GPU's kernels, or one realization for
            `gpu_memory`.
    """
    settings = run.experiments[experiment]
    size, there = settings.block_size, []
    if size is None:
        there = [
            (int(found[1]), int(found[2]))
            for path in folder.glob("realizations-*-*.nc")
            if (found := re.fullmatch(r"realizations-(\d+)-(\d+)\.nc", path.name))
        ]
        size = _on_gpu(run, experiment, model, hidden_units) if is_gpu(device) else ON_CPU
    return blocks(settings.realizations, size, there)


def _on_gpu(run: Config, experiment: str, model: str, hidden_units: int) -> int:
    """Realizations that fit into the memory that a job may take of a GPU."""
    needed = bytes_of_realization(run, experiment, model, hidden_units)
    size = int(run.gpu_memory * 1e9 / needed)
    if size < 1:
        raise ConfigError(
            f"gpu_memory: {run.gpu_memory:g} GB, but one realization of {experiment} with {model} "
            f"of {hidden_units} hidden units takes about {needed / 1e9:.2g} GB; give it more, or "
            "set block_size: 1 to try with less"
        )
    return size


def bytes_of_realization(run: Config, experiment: str, model: str, hidden_units: int) -> int:
    """Memory of a GPU that one realization takes, its restarts included: at most, about.

    Raises:
        ConfigError: the network is too large for the kernels.
    """
    settings, spec = run.experiments[experiment], run.spec(experiment, model, hidden_units)
    recipe = run.recipe(experiment, model, hidden_units)
    trials = settings.training_trials + settings.validation_trials + settings.test_trials
    per_step = spec.input_size + (0 if spec.loss == "cross_entropy" else spec.output_size)
    length = math.ceil(settings.numbers / (trials * per_step))
    share = settings.test_trials if recipe.validate_on_test else settings.validation_trials
    share = max(share, round(recipe.validation_ratio * settings.training_trials))
    try:
        replica = bytes_of_replica(spec, recipe.batch_size, length, share)
    except ArgumentError as error:
        raise ConfigError(f"experiments.{experiment}: {model}: {error}") from None
    return 4 * settings.numbers + recipe.restarts * replica


def bytes_of_replica(spec: Spec, batch: int, length: int, validation: int) -> int:
    """Memory of a GPU that one replica takes: states, parameters and validation outputs.

    The states are those of a whole batch of trials of ``length`` steps, though the kernels keep
    only what runs at once where a device has less.

    Raises:
        ArgumentError: the network is too large for the kernels.
    """
    plan = layout(spec, batch)
    states = plan.parts(batch) * (length + 1) * plan.teams * state_row(spec, plan)
    steps = 1 if spec.loss == "cross_entropy" else length
    outputs = validation * steps * spec.output_size
    return 4 * (states + _COPIES * parameter_count(spec) + _VALIDATION * outputs)
