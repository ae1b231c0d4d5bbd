# Where data lie is no parameter: their content is checked, so another folder changes no output.
for experiment in run.experiments.values():
    os.environ.update(experiment.environment)


rule data:
    input:
        lambda wildcards: ancient(SOURCES[wildcards.experiment]),
    output:
        "results/{experiment}/data/realization-{realization}.nc",
    log:
        "results/logs/data/{experiment}/realization-{realization}.log",
    benchmark:
        "results/benchmarks/data/{experiment}/realization-{realization}.tsv"
    group:
        grouped("start")
    conda:
        "../envs/urnn.yaml"
    threads: 1
    resources:
        mem_mb=data_megabytes,
        runtime=lambda wildcards, attempt: 2 * attempt,
    params:
        code=lambda wildcards: code(
            "data",
            tasks.POINT.module(run.experiments[wildcards.experiment].source.task),
        ),
        task=lambda wildcards: as_json(
            run.experiments[wildcards.experiment].source.identity()
        ),
        # of the user's files; when they were written is no matter
        content=lambda wildcards: run.experiments[wildcards.experiment].source.content(),
        seed=run.seed,
    message:
        "{wildcards.experiment}: data of realization {wildcards.realization}"
    shell:
        "python3 -m urnn data --task {params.task:q} --seed {params.seed} "
        "--realization {wildcards.realization} --output {output:q} > {log:q} 2>&1"
