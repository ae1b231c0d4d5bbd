# Where data lie is no parameter: their content is checked, so another folder changes no output.
for experiment in run.experiments.values():
    os.environ.update(experiment.environment)


def source(wildcards):
    """The task of an experiment."""
    return run.experiments[wildcards.experiment].source


def data_megabytes(wildcards, attempt):
    """Memory of a job that makes data: of a user's files about four times their size, and a base."""
    size = sum(Path(path).stat().st_size for path in SOURCES[wildcards.experiment])
    return attempt * (1000 + 4 * size // 10**6)


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
    threads: 1
    resources:
        mem_mb=data_megabytes,
        runtime=lambda wildcards, attempt: 2 * attempt,
    params:
        code=lambda wildcards: code("data", tasks.POINT.module(source(wildcards).task)),
        task=lambda wildcards: as_json(source(wildcards).identity()),
        # of the user's files; when they were written is no matter
        content=lambda wildcards: source(wildcards).content(),
        seed=run.seed,
    message:
        "{wildcards.experiment}: data of realization {wildcards.realization}"
    shell:
        "{PYTHON} -m urnn data --task {params.task:q} --seed {params.seed} "
        "--realization {wildcards.realization} --output {output:q} > {log:q} 2>&1"
