# The checked configuration and what all rules share. Nothing heavy is imported here.
import json
import math
import os
import sys

try:
    from urnn.config import load
    from urnn.settings.base import ConfigError
    from urnn.settings.figures import KINDS
except ModuleNotFoundError as error:
    raise WorkflowError(
        f"{error}: the environment of this project is not active. Make it with `make .venv`, then "
        "`. .venv/bin/activate`; or `conda env create -f environment.yml`."
    )

from snakemake.exceptions import WorkflowError

try:
    run = load(config)
except ConfigError as error:
    raise WorkflowError(str(error))

PYTHON = sys.executable

# The modules that each stage reaches: inputs of its rule, so that an edit reruns exactly the stages
# that it can change. tests/workflow compares these lists with the true closure of the imports.
SETTINGS = ["settings", "settings.base"]
TASKS = ["settings.permuted_digits", "settings.permuted_mnist", "settings.synthetic"]
NUMERICS = [
    "recurrence",
    "recurrence.cache",
    "recurrence.cpu",
    "recurrence.reference",
    "recurrence.vector",
]
TRANSITIONS = [
    "transition",
    "transition.arjovsky",
    "transition.contractive",
    "transition.direct",
    "transition.eunn",
    "transition.free",
    "transition.full_capacity",
    "transition.parametrised",
    "transition.torch_maps",
    "transition.unitary",
]
EQUIVALENCE = [
    "equivalence",
    "equivalence.cascade",
    "equivalence.conversion",
    "equivalence.delay_chain",
    "equivalence.dilation",
    "equivalence.experiments",
    "equivalence.fewest_states",
    "equivalence.fits",
    "equivalence.invariance",
    "equivalence.linear_regime",
    "equivalence.minimality",
    "equivalence.saturation",
    "equivalence.scaling",
    "equivalence.sigmoid",
    "equivalence.state_bounds",
    "equivalence.torch_rnn",
]
MODULES = {
    "data": SETTINGS
    + TASKS
    + ["rnn", "seeds", "storage", "tasks", "tasks.mnist", "tasks.permuted_digits"]
    + [
        "tasks.permuted_images",
        "tasks.permuted_mnist",
        "tasks.split",
        "tasks.synthetic",
    ],
    "train": SETTINGS
    + NUMERICS
    + TRANSITIONS
    + [
        "models",
        "optimizers",
        "seeds",
        "settings.model",
        "settings.training",
        "storage",
    ]
    + ["checkpoints", "tasks", "tasks.split", "training"],
    "kernels": NUMERICS + ["storage"],
    "score": SETTINGS
    + NUMERICS
    + TRANSITIONS
    + ["models", "scoring", "settings.model", "settings.training", "storage", "tasks"]
    + ["tasks.split"],
    "figure": SETTINGS
    + ["figures", "figures.accuracy", "figures.gap", "figures.history", "figures.r2"]
    + ["figures.statistics", "figures.style"]
    + ["published", "scoring", "settings.figures", "statistics", "storage"],
    "theory": SETTINGS + EQUIVALENCE + ["rnn", "settings.theory", "storage"],
    "theory_figure": SETTINGS
    + ["figures", "figures.style", "figures.theorem1", "figures.theorem2"]
    + ["figures.theorem3", "settings.figures", "storage"],
    "report": SETTINGS
    + TASKS
    + ["config", "findings", "published", "report", "scoring", "settings.figures"]
    + [
        "settings.model",
        "settings.theory",
        "settings.training",
        "statistics",
        "storage",
    ],
}


def code(stage):
    """The files of the modules that a stage reaches, its command included."""
    modules = ["", "__main__", "commands", f"commands.{stage}", *MODULES[stage]]
    paths = [os.path.join("src", "urnn", *module.split(".")) for module in modules]
    return [
        os.path.join(path, "__init__.py") if os.path.isdir(path) else f"{path}.py"
        for path in (path.rstrip("/") for path in paths)
    ]


def as_json(settings):
    """Settings as they go to a command: one line of JSON, the same for the same values."""
    return json.dumps(settings.model_dump(), sort_keys=True)


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
    return [
        f"results/{experiment}/models/{model}/hidden-{size:02d}/realizations-{first:03d}-{last:03d}.nc"
        for model in settings.models
        for size in settings.hidden_units
        for first, last in settings.blocks()
    ]


def kernel_file(experiment, model, hidden_units):
    """The file of the compiled kernels that a training runs on; models of one shape share it."""
    name = "-".join(map(str, run.shape(experiment, model, hidden_units)))
    return f"results/kernels/{name}.json"


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


def kernel_needs(name):
    """What is computed with a kernel: sizes of minibatches, and numbers of scored trials."""
    return {"-".join(map(str, shape)): needs for shape, needs in run.kernels().items()}[
        name
    ]


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
    theorem=r"theorem[123]",
    realization=r"\d+",
    hidden=r"\d+",
    recurrence="[a-z]+",
    activation="[a-z]+",
    loss="[a-z_]+",
    inputs=r"\d+",
    outputs=r"\d+",
    first=r"\d+",
    last=r"\d+",
