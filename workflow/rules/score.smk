rule score:
    input:
        code=code("score"),
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
    group:
        grouped("score")
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 2000 * attempt,
        runtime=lambda wildcards, attempt: 30 * attempt,
    message:
        "{wildcards.experiment}: scores"
    shell:
        "{PYTHON} -m urnn score --data {input.data:q} --models {input.models:q} "
        "--output {output:q} > {log:q} 2>&1"
