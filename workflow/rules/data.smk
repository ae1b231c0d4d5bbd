# Where data lie is no parameter: their content is checked, so another folder changes no output.
for experiment in run.experiments.values():
    os.environ.update(experiment.environment)

# A job makes the files of a block of realizations, so that a process starts once for all of them.
for experiment, first, last in data_blocks():

    rule:
        name:
            f"data_{experiment}_{first:03d}"
        input:
            ancient(SOURCES[experiment]),
        output:
            data_files(experiment, first, last),
        log:
            f"results/logs/data/{experiment}/realizations-{first:03d}-{last:03d}.log",
        benchmark:
            f"results/benchmarks/data/{experiment}/realizations-{first:03d}-{last:03d}.tsv"
        conda:
            "../envs/urnn.yaml"
        threads: 1
        resources:
            mem_mb=data_megabytes(experiment),
            runtime=data_minutes(first, last),
        params:
            code=code(
                "data", tasks.POINT.module(run.experiments[experiment].source.task)
            ),
            task=as_it_is(as_json(run.experiments[experiment].source.identity())),
            # of the user's files; when they were written is no matter
            content=as_it_is(run.experiments[experiment].source.content()),
            seed=run.seed,
            # made from the output, so that another division into blocks changes no parameter
            realizations=lambda wildcards, output: realizations_of(output),
        message:
            f"{experiment}: data of realizations {first:03d} to {last:03d}"
        shell:
            "python3 -m urnn data --task {params.task:q} --seed {params.seed} "
            "--realization {params.realizations} --output {output:q} > {log:q} 2>&1"
