# Where MNIST lies is no parameter: its content is checked, so another folder changes no output.
if run.mnist_folder:
    os.environ["URNN_MNIST_DIR"] = run.mnist_folder


def task_options(wildcards):
    """What defines the data of an experiment beside the seed, as options of the command."""
    experiment = run.experiments[wildcards.experiment]
    if experiment.task == "synthetic":
        return ["--system", as_json(experiment.system), f"--snr-db={experiment.snr_db}"]
    return ["--task", experiment.task, "--images", as_json(experiment.images)]


rule data:
    input:
        code=code("data"),
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
        mem_mb=lambda wildcards, attempt: 1000 * attempt,
        runtime=lambda wildcards, attempt: 2 * attempt,
    params:
        task=task_options,
        seed=run.seed,
    message:
        "{wildcards.experiment}: data of realization {wildcards.realization}"
    shell:
        "{PYTHON} -m urnn data {params.task:q} --seed {params.seed} "
        "--realization {wildcards.realization} --output {output:q} > {log:q} 2>&1"
