# The checked configuration and what all rules share. Nothing heavy is imported here.
import json
import math
import os
import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError

try:
    from urnn import blocks, closure, devices, figures, tasks, theorems
    from urnn.config import load
    from urnn.errors import ConfigError, UserError
    from urnn.recurrence import cells
    from urnn.settings.model import code_of
except ModuleNotFoundError as error:
    raise WorkflowError(
        f"{error}: the environment of this project is not active. Make it with `make .venv`, then "
        "`. .venv/bin/activate`; or `conda env create -f environment.yml`."
    )

# Jobs of a cluster, of which `jobs` says how many, run elsewhere; and this may be one of them.
on_cluster = workflow.remote_exec or workflow.resource_settings.nodes is not None

try:
    run = load(config)
    # where the trainings run; never auto
    DEVICE = devices.resolve(run.device, on_cluster)
    # what does not exist is said before any job starts
    SOURCES = {
        name: experiment.source_files for name, experiment in run.experiments.items()
    }
except UserError as error:
    raise WorkflowError(str(error))

PYTHON = sys.executable
# of the package; relative if it is inside the working directory, so that a copy of that is not stale
PACKAGE = Path(closure.__file__).parent
if PACKAGE.is_relative_to(Path.cwd()):
    PACKAGE = PACKAGE.relative_to(Path.cwd())
# by name: what is compiled, for which sizes of minibatches and numbers of scored trials
KERNELS = run.kernels()


def code(stage, *plugs):
    """A digest of the code that a job's result comes from: that of its command and of the plugs.

    A parameter of every rule, so that an edit reruns what it can change, and a comment nothing.
    """
    return closure.digest(f"urnn.commands.{stage}", *plugs)


def as_json(settings):
    """Settings as they go to a command: one line of JSON, the same for the same values."""
    values = settings if isinstance(settings, dict) else settings.model_dump()
    return json.dumps(values, sort_keys=True)


def data_files(experiment, first, last):
    """The data of a block of realizations, an experiment's own or another's."""
    source = run.experiments[experiment].data_of or experiment
    return [
        f"results/{source}/data/realization-{number:03d}.nc"
        for number in range(first, last + 1)
    ]


def model_files(experiment):
    """Everything that is trained in an experiment."""
    settings = run.experiments[experiment]
    files = []
    for model in settings.models:
        for size in settings.hidden_units:
            folder = f"results/{experiment}/models/{model}/hidden-{size:02d}"
            try:
                found = blocks.of_training(
                    run, experiment, model, size, DEVICE, Path(folder)
                )
            except ConfigError as error:
                raise WorkflowError(str(error))
            files += [
                f"{folder}/realizations-{first:03d}-{last:03d}.nc"
                for first, last in found
            ]
    return files


def kernel_file(experiment, model, hidden_units):
    """The file of the compiled kernels that a training runs on; models of one shape share it."""
    return f"results/kernels/{run.spec(experiment, model, hidden_units).name}.json"


def kernel_files(experiment):
    """The files of all compiled kernels of an experiment, each once."""
    settings = run.experiments[experiment]
    return sorted(
        {
            kernel_file(experiment, model, size)
            for model in settings.models
            for size in settings.hidden_units
        }
    )


def grouped(name, short=lambda wildcards: True):
    """The group of short jobs, where a profile gives its size (group-components); else none.

    So no cluster job lasts seconds, and a local run and its dry run show single jobs. A function,
    because the profile's sizes are known only after the rules are read.
    """

    def group(wildcards):
        sized = name in workflow.group_settings.group_components
        return name if sized and short(wildcards) else None

    return group


# On a cluster the cap of profiles/default on GPUs, which one machine needs, holds in each job.
resource_scopes:
    gpu="local",


wildcard_constraints:
    experiment="|".join(run.experiments),
    model="|".join(run.models),
    figure="|".join(run.figures) or "none",
    theorem="|".join(theorems.POINT),
    kernel="|".join(KERNELS),
    realization=r"\d+",
    hidden=r"\d+",
    first=r"\d+",
    last=r"\d+",
