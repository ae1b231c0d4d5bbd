rule data:
    input:
        code=code("data"),
    output:
        "results/{experiment}/data/realization-{realization}.nc",
    log:
        "results/logs/data/{experiment}/realization-{realization}.log",
    benchmark:
        "results/benchmarks/data/{experiment}/realization-{realization}.tsv"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=lambda wildcards, attempt: 10 * attempt,
    params:
        system=lambda wildcards: as_json(run.experiments[wildcards.experiment].system),
        snr_db=lambda wildcards: run.experiments[wildcards.experiment].snr_db,
        seed=run.seed,
    message:
        "{wildcards.experiment}: data of realization {wildcards.realization}"
    shell:
        "{PYTHON} -m urnn data --system {params.system:q} --snr-db={params.snr_db} "
        "--seed {params.seed} --realization {wildcards.realization} --output {output:q} "
        "> {log:q} 2>&1"
