# How much memory and time a job may take, and which jobs share a job of a cluster.
import math


def grouped(name, short=lambda wildcards: True):
    """The group of short jobs, where a profile gives its size (group-components); else none.

    So no cluster job lasts seconds, and a local run and its dry run show single jobs. A function,
    because the profile's sizes are known only after the rules are read.
    """

    def group(wildcards):
        sized = name in workflow.group_settings.group_components
        return name if sized and short(wildcards) else None

    return group


def data_megabytes(experiment):
    """Memory of a job that makes data: of a user's files about four times their size, and a base."""
    size = sum(Path(path).stat().st_size for path in SOURCES[experiment])
    return lambda wildcards, attempt: attempt * (1000 + 4 * size // 10**6)


def data_minutes(first, last):
    """The time limit of a job that makes a block of data."""
    return lambda wildcards, attempt: attempt * (2 + last - first)


def training_megabytes(wildcards, attempt):
    """Memory of a training job: the trials of its block, twice while they are stacked, and a base."""
    realizations = int(wildcards.last) - int(wildcards.first) + 1
    numbers = realizations * run.experiments[wildcards.experiment].numbers
    return attempt * (1000 + 2 * 4 * numbers // 10**6)


def scoring_megabytes(wildcards, attempt):
    """Memory of a job that scores: the test trials, twice while they are stacked, and a base."""
    settings = run.experiments[wildcards.experiment]
    trials = (
        settings.training_trials + settings.validation_trials + settings.test_trials
    )
    numbers = settings.numbers * settings.realizations * settings.test_trials / trials
    return attempt * (2000 + 2 * 4 * math.ceil(numbers) // 10**6)


def expected_minutes(wildcards):
    """How long a training takes on one core with the compiled kernels: a measured rule of thumb."""
    recipe = run.recipe(wildcards.experiment, wildcards.model, int(wildcards.hidden))
    numbers = run.experiments[wildcards.experiment].numbers
    numbers *= (int(wildcards.last) - int(wildcards.first) + 1) * recipe.restarts
    gates = run.models[wildcards.model].cell_plug.gates
    hidden = int(wildcards.hidden)
    seconds = 2e-10 * recipe.epochs * numbers * gates * hidden * (1 + hidden / 16)
    return (5 + seconds) / 60


def training_runtime(wildcards, attempt):
    """The time limit in minutes: far more than expected, and more with every attempt."""
    if DEVICE != "cpu":
        return 240 * attempt  # there is no such rule for other devices
    return attempt * (5 + math.ceil(10 * expected_minutes(wildcards)))


def is_short(wildcards):
    """Whether a training may share a cluster job; a long one has its own, so that its loss is its own."""
    return DEVICE == "cpu" and expected_minutes(wildcards) < 2
