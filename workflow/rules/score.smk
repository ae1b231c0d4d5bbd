rule score:
    input:
        data=lambda wildcards: data_files(
            wildcards.experiment,
            0,
            run.experiments[wildcards.experiment].realizations - 1,
        ),
        models=lambda wildcards: model_files(wildcards.experiment),
        kernels=lambda wildcards: kernel_files(wildcards.experiment),
    output:
        "results/{experiment}/scores.nc",
    log:
        "results/logs/score/{experiment}/scores.log",
    benchmark:
        "results/benchmarks/score/{experiment}/scores.tsv"
    conda:
        "../envs/urnn.yaml"
    threads: 1
    resources:
        mem_mb=scoring_megabytes,
        runtime=lambda wildcards, attempt: 30 * attempt,
    params:
        code=lambda wildcards: code("score", *models_code(wildcards)),
        # the order in which the files of models are given, and so that of tables and legends
        models=lambda wildcards: run.experiments[wildcards.experiment].models,
    message:
        "{wildcards.experiment}: scores"
    shell:
        "python3 -m urnn score --data {input.data:q} --models {input.models:q} "
        "--output {output:q} > {log:q} 2>&1"
