def training_megabytes(wildcards, attempt):
    """Memory of a training job: the trials of its block, twice while they are stacked, and a base."""
    settings = run.experiments[wildcards.experiment]
    system = settings.system
    realizations = int(wildcards.last) - int(wildcards.first) + 1
    values = realizations * system.trials * system.time_steps
    values *= system.input_size + 2 * system.output_size
    return attempt * (1000 + 2 * 4 * values // 10**6)


rule train:
    input:
        code=code("train"),
        data=lambda wildcards: data_files(
            wildcards.experiment, int(wildcards.first), int(wildcards.last)
        ),
    output:
        "results/{experiment}/models/{model}/hidden-{hidden}/realizations-{first}-{last}.nc",
    log:
        "results/logs/train/{experiment}/{model}/hidden-{hidden}/realizations-{first}-{last}.log",
    benchmark:
        "results/benchmarks/train/{experiment}/{model}/hidden-{hidden}/realizations-{first}-{last}.tsv"
    threads: 1
    resources:
        mem_mb=training_megabytes,
        runtime=lambda wildcards, attempt: 120 * attempt,
        gpu=int(run.device.startswith("cuda")),
    params:
        model=lambda wildcards: as_json(run.model(wildcards.model)),
        recipe=lambda wildcards: as_json(
            run.recipe(wildcards.experiment, wildcards.model)
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
