def training_megabytes(wildcards, attempt):
    """Memory of a training job: the trials of its block, twice while they are stacked, and a base."""
    realizations = int(wildcards.last) - int(wildcards.first) + 1
    numbers = realizations * run.experiments[wildcards.experiment].data.numbers
    return attempt * (1000 + 2 * 4 * numbers // 10**6)


# A kernel is compiled once, before the jobs that need it, so that no two of them do it at once. It is
# kept in the cache of kernels; the file only says so. Whoever does not find it there compiles it.
rule kernels:
    input:
        code=code("kernels"),
    output:
        "results/kernels/{recurrence}-{activation}-{loss}-{hidden}-{inputs}-{outputs}.json",
    log:
        "results/logs/kernels/{recurrence}-{activation}-{loss}-{hidden}-{inputs}-{outputs}.log",
    benchmark:
        "results/benchmarks/kernels/{recurrence}-{activation}-{loss}-{hidden}-{inputs}-{outputs}.tsv"
    group:
        grouped("start")
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 1000 * attempt,
        runtime=lambda wildcards, attempt: 10 * attempt,
    params:
        batches=lambda wildcards: kernel_needs("-".join(wildcards))["batches"],
        trials=lambda wildcards: kernel_needs("-".join(wildcards))["trials"],
    message:
        "kernels of {wildcards.recurrence}, {wildcards.activation}, {wildcards.loss}, "
        "with {wildcards.hidden} hidden units"
    shell:
        "{PYTHON} -m urnn kernels --recurrence {wildcards.recurrence} "
        "--activation {wildcards.activation} --loss {wildcards.loss} "
        "--hidden-units {wildcards.hidden} "
        "--input-size {wildcards.inputs} --output-size {wildcards.outputs} "
        "--batches {params.batches} --trials {params.trials} "
        "--output {output:q} > {log:q} 2>&1"


def expected_minutes(wildcards):
    """How long a training takes on one core with the compiled kernels: a measured rule of thumb."""
    recipe = run.recipe(wildcards.experiment, wildcards.model, int(wildcards.hidden))
    numbers = run.experiments[wildcards.experiment].data.numbers
    numbers *= (int(wildcards.last) - int(wildcards.first) + 1) * recipe.restarts
    gates = 4 if run.model(wildcards.model).recurrence == "lstm" else 1
    hidden = int(wildcards.hidden)
    seconds = 2e-10 * recipe.epochs * numbers * gates * hidden * (1 + hidden / 16)
    return (5 + seconds) / 60


def training_runtime(wildcards, attempt):
    """The time limit in minutes: far more than expected, and more with every attempt."""
    if run.device != "cpu":
        return 240 * attempt  # torch's loop: its time has no such rule
    return attempt * (5 + math.ceil(10 * expected_minutes(wildcards)))


def is_short(wildcards):
    """Whether a training may share a cluster job; a long one has its own, so that its loss is its own."""
    return run.device == "cpu" and expected_minutes(wildcards) < 2


rule train:
    input:
        code=code("train"),
        kernels=lambda wildcards: (
            kernel_file(wildcards.experiment, wildcards.model, int(wildcards.hidden))
            if run.device == "cpu"
            else []
        ),
        data=lambda wildcards: data_files(
            wildcards.experiment, int(wildcards.first), int(wildcards.last)
        ),
    output:
        "results/{experiment}/models/{model}/hidden-{hidden}/realizations-{first}-{last}.nc",
    log:
        "results/logs/train/{experiment}/{model}/hidden-{hidden}/realizations-{first}-{last}.log",
    benchmark:
        "results/benchmarks/train/{experiment}/{model}/hidden-{hidden}/realizations-{first}-{last}.tsv"
    group:
        grouped("train", is_short)
    threads: 1
    resources:
        mem_mb=training_megabytes,
        runtime=training_runtime,
        gpu=int(run.device.startswith("cuda")),
    params:
        model=lambda wildcards: as_json(run.model(wildcards.model)),
        recipe=lambda wildcards: as_json(
            run.recipe(wildcards.experiment, wildcards.model, int(wildcards.hidden))
        ),
        hidden_units=lambda wildcards: int(wildcards.hidden),
        seed=run.seed,
        device=run.device,
    message:
        "{wildcards.experiment}: {wildcards.model} with {wildcards.hidden} hidden units, "
        "realizations {wildcards.first} to {wildcards.last}"
    shell:
        "{PYTHON} -m urnn train {input.data:q} --experiment {wildcards.experiment} "
        "--name {wildcards.model} --model {params.model:q} --recipe {params.recipe:q} "
        "--hidden-units {params.hidden_units} --seed {params.seed} --device {params.device} "
        "--output {output:q} > {log:q} 2>&1"
