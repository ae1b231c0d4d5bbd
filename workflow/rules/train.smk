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
    conda:
        "../envs/urnn.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 1000 * attempt,
        runtime=lambda wildcards, attempt: 5 * attempt,
    params:
        code=lambda wildcards: code(
            "kernels", cells.POINT.module(kernel(wildcards).cell.cell)
        ),
        cell=lambda wildcards: as_json(kernel(wildcards).cell),
        loss=lambda wildcards: kernel(wildcards).loss,
        hidden_units=lambda wildcards: kernel(wildcards).hidden_units,
        input_size=lambda wildcards: kernel(wildcards).input_size,
        output_size=lambda wildcards: kernel(wildcards).output_size,
        # made "from the output", which Snakemake compares with nothing: another experiment may ask for
        # more, which concerns no training of before, and its own trainings compile what is missing
        batches=lambda wildcards, output: KERNELS[wildcards.kernel][1]["batches"],
        trials=lambda wildcards, output: KERNELS[wildcards.kernel][1]["trials"],
    message:
        "kernels of {wildcards.kernel}"
    shell:
        "python3 -m urnn kernels --cell {params.cell:q} --loss {params.loss} "
        "--hidden-units {params.hidden_units} "
        "--input-size {params.input_size} --output-size {params.output_size} "
        "--batches {params.batches} --trials {params.trials} "
        "--output {output:q} > {log:q} 2>&1"


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
    conda:
        "../envs/urnn.yaml"
    threads: 1
    resources:
        mem_mb=training_megabytes,
        runtime=training_runtime,
        gpu=int(devices.is_gpu(DEVICE)),
        # not a parameter: what `auto` stands for may change, and reruns nothing
        device=DEVICE,
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
        device=run.device,
    message:
        "{wildcards.experiment}: {wildcards.model} with {wildcards.hidden} hidden units, "
        "realizations {wildcards.first} to {wildcards.last}"
    shell:
        "python3 -m urnn train {input.data:q} --experiment {wildcards.experiment} "
        "--name {wildcards.model} --model {params.model:q} --recipe {params.recipe:q} "
        "--hidden-units {params.hidden_units} --seed {params.seed} --device {resources.device} "
        "--output {output:q} > {log:q} 2>&1"
