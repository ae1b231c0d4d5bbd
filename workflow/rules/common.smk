# The checked configuration and what all rules share. Nothing heavy is imported here.
import json
import os
import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.settings.types import DeploymentMethod

try:
    from urnn import block_sizes, blocks, closure, devices, figures, tasks, theorems
    from urnn.config import load
    from urnn.errors import ConfigError, UserError
    from urnn.recurrence import cells
    from urnn.settings.model import code_of
except ModuleNotFoundError as error:
    raise WorkflowError(
        f"{error}: the environment of this project is not active. Make it with `make .venv/installed`, then "
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

# The rules call python3: this one, or with --sdm conda that of the environment, which comes first
# and into which envs/urnn.post-deploy.sh installs this project.
search = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
os.environ.update(PATH=search)
if DeploymentMethod.CONDA in workflow.deployment_settings.deployment_method:
    project = Path(closure.__file__).parents[2]
    if not (project / "pyproject.toml").is_file():
        raise WorkflowError(
            "--sdm conda installs urnn from the folder of the project, but this one was installed "
            "as a package: run it without --sdm, or install it with `pip install --editable`"
        )
    os.environ.update(URNN_PROJECT=str(project))

# of the package; relative if it is inside the working directory, so that a copy of that is not stale
PACKAGE = Path(closure.__file__).parent
if PACKAGE.is_relative_to(Path.cwd()):
    PACKAGE = PACKAGE.relative_to(Path.cwd())
# a module's prefix, which Snakemake puts before all paths
PREFIX = Path(workflow.modifier.path_modifier.prefix or "")
# by name: what is compiled, for which sizes of minibatches and numbers of scored trials
KERNELS = run.kernels()
THEOREMS = list(theorems.POINT) if run.theory else []


def code(stage, *plugs):
    """A digest of the code that a job's result comes from: that of its command and of the plugs.

    A parameter of every rule, so that an edit reruns what it can change, and a comment nothing.
    """
    return closure.digest(f"urnn.commands.{stage}", *plugs)


def as_json(settings):
    """Settings as they go to a command: one line of JSON, the same for the same values."""
    values = settings if isinstance(settings, dict) else settings.model_dump()
    return json.dumps(values, sort_keys=True)


def as_it_is(value):
    """A parameter whose braces are no wildcards."""
    return lambda wildcards: value


def data_files(experiment, first, last):
    """The data of a block of realizations, an experiment's own or another's."""
    source = run.experiments[experiment].data_of or experiment
    return [
        f"results/{source}/data/realization-{number:03d}.nc"
        for number in range(first, last + 1)
    ]


def realizations_of(files):
    """The realizations whose data are in these files."""
    return [int(Path(file).stem.removeprefix("realization-")) for file in files]


def data_blocks():
    """(experiment, first, last) of each job that makes data."""
    return [
        (name, *block)
        for name, experiment in run.experiments.items()
        if not experiment.data_of
        for block in blocks.of_data(
            experiment.realizations, PREFIX / f"results/{name}/data"
        )
    ]


def model_files(experiment):
    """Everything that is trained in an experiment."""
    settings = run.experiments[experiment]
    files = []
    for model in settings.models:
        for size in settings.hidden_units:
            folder = f"results/{experiment}/models/{model}/hidden-{size:02d}"
            try:
                most = block_sizes.of_training(run, experiment, model, size, DEVICE)
            except ConfigError as error:
                raise WorkflowError(str(error))
            found = blocks.of_training(settings, most, PREFIX / folder)
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


def kernel(wildcards):
    """What a kernel computes."""
    return KERNELS[wildcards.kernel][0]


def theorem(wildcards):
    """The settings of a theorem's numbers."""
    return getattr(run.theory, wildcards.theorem)


def published_files(figures):
    """The files of the published curves that figures draw, each once."""
    names = {figure.curves for figure in figures if figure.curves}
    return [f"{PACKAGE}/published/{name}.csv" for name in sorted(names)]


def models_code(wildcards):
    """The code of all models of an experiment."""
    models = [run.models[name] for name in run.experiments[wildcards.experiment].models]
    return [module for model in models for module in code_of(model)]


def page_code():
    """The code of the page: its command, and the figures and theorems on it."""
    shown = [figures.POINT.module(figure.kind) for figure in run.figures.values()]
    proved = [f"{theorems.POINT.module(name)}.settings" for name in THEOREMS]
    return code("report", *shown, *proved)


# On a cluster the cap of profiles/default on GPUs, which one machine needs, holds in each job.
resource_scopes:
    gpu="local",


wildcard_constraints:
    experiment="|".join(run.experiments),
    model="|".join(run.models),
    figure="|".join(run.figures) or "none",
    theorem="|".join(theorems.POINT),
    kernel="|".join(KERNELS),
    hidden=r"\d+",
    first=r"\d+",
    last=r"\d+",
