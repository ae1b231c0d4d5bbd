def kernel(wildcards):
    """What a kernel computes."""
    return KERNELS[wildcards.kernel][0]


def training_megabytes(wildcards, attempt):
    """Memory of a training job: the trials of its block, twice while they are stacked, and a base."""
    realizations = int(wildcards.last) - int(wildcards.first) + 1
    numbers = realizations * run.experiments[wildcards.experiment].numbers
    return attempt * (1000 + 2 * 4 * numbers // 10**6)


# A kernel is compiled once, before the jobs that need it, so that no two of them do it at once. It is
# kept in the cache of kernels; the file only says so. Whoever does not find it there compiles it.
rule kernels:
    output:
        "results/kernels/{kernel}.json",
    log:
        "results/logs/kernels/{kernel}.log",
    benchmark:
        "results/benchmarks/kernels/{kernel}.tsv"
    group:
        grouped("start")
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 1000 * attempt,
        runtime=lambda wildcards, attempt: 10 * attempt,
    params:
        code=lambda wildcards: code(
            "kernels", cells.POINT.module(kernel(wildcards).cell.cell)
        ),
        cell=lambda wildcards: as_json(kernel(wildcards).cell),
        loss=lambda wildcards: kernel(wildcards).loss,
        hidden_units=lambda wildcards: kernel(wildcards).hidden_units,
        input_size=lambda wildcards: kernel(wildcards).input_size,
        output_size=lambda wildcards: kernel(wildcards).output_size,
        batches=lambda wildcards: KERNELS[wildcards.kernel][1]["batches"],
        trials=lambda wildcards: KERNELS[wildcards.kernel][1]["trials"],
    message:
        "kernels of {wildcards.kernel}"
    shell:
        "{PYTHON} -m urnn kernels --cell {params.cell:q} --loss {params.loss} "
        "--hidden-units {params.hidden_units} "
        "--input-size {params.input_size} --output-size {params.output_size} "
        "--batches {params.batches} --trials {params.trials} "
        "--output {output:q} > {log:q} 2>&1"


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


rule train:
    input:
        kernels=lambda wildcards: (
            kernel_file(wildcards.experiment, wildcards.model, int(wildcards.hidden))
            if run.device in ("auto", "cpu")
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
        gpu=int(devices.is_gpu(DEVICE)),
    params:
        code=lambda wildcards: code(
            "train", *code_of(run.models[wildcards.model]), *devices.code(run.device)
        ),
        model=lambda wildcards: as_json(run.models[wildcards.model].definition()),
        recipe=lambda wildcards: as_json(
            run.recipe(wildcards.experiment, wildcards.model, int(wildcards.hidden))
        ),
        hidden_units=lambda wildcards: int(wildcards.hidden),
        seed=run.seed,
        # as it is configured: what `auto` stands for may change, and reruns nothing
        device=run.device,
    message:
        "{wildcards.experiment}: {wildcards.model} with {wildcards.hidden} hidden units, "
        "realizations {wildcards.first} to {wildcards.last}"
    shell:
        "{PYTHON} -m urnn train {input.data:q} --experiment {wildcards.experiment} "
        "--name {wildcards.model} --model {params.model:q} --recipe {params.recipe:q} "
        "--hidden-units {params.hidden_units} --seed {params.seed} --device {DEVICE} "
        "--output {output:q} > {log:q} 2>&1"
