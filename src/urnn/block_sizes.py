"""How many realizations a block of trainings has, by the device and its memory.

The number follows from the configuration and the kind of the device, never from what a machine has
free, for all processes of a run must agree on it.
"""

from __future__ import annotations

import math

from urnn.config import Config
from urnn.devices import is_gpu
from urnn.errors import ArgumentError, ConfigError
from urnn.recurrence import Spec, parameter_count
from urnn.recurrence.gpu.layouts import layout, state_row

#: realizations of a block on a CPU: enough for its vectors, few enough to share the cores
ON_CPU = 16
#: copies of theta on a GPU, with the optimizer's state, gradients and the best epoch
_COPIES = 8
#: arrays of the size of the validation trials' outputs
_VALIDATION = 4


def of_training(run: Config, experiment: str, model: str, hidden_units: int, device: str) -> int:
    """Realizations of a block of one model of one size, on a resolved device.

    Raises:
        ConfigError: the network is too large for a GPU's kernels, or one realization for
            `gpu_memory`.
    """
    given = run.experiments[experiment].block_size
    if given is not None:
        return given
    return _on_gpu(run, experiment, model, hidden_units) if is_gpu(device) else ON_CPU


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
