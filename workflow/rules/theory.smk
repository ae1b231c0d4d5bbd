THEOREMS = ["theorem1", "theorem2", "theorem3"] if run.theory else []


rule theory:
    input:
        code=code("theory"),
    output:
        "results/theory/{theorem}.nc",
    log:
        "results/logs/theory/{theorem}.log",
    benchmark:
        "results/benchmarks/theory/{theorem}.tsv"
    group:
        grouped("start")
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 1000 * attempt,
        runtime=lambda wildcards, attempt: 20 * attempt,
    params:
        settings=lambda wildcards: as_json(getattr(run.theory, wildcards.theorem)),
        seed=run.seed,
    message:
        "{wildcards.theorem}: numbers"
    shell:
        "{PYTHON} -m urnn theory {wildcards.theorem} --settings {params.settings:q} "
        "--seed {params.seed} --output {output:q} > {log:q} 2>&1"


rule theory_figure:
    input:
        code=code("theory_figure"),
        numbers="results/theory/{theorem}.nc",
    output:
        report(
            "reports/figures/{theorem}.svg",
            caption="../report/{theorem}.rst",
            category="Figures",
        ),
        "reports/figures/{theorem}.png",
    log:
        "results/logs/figure/{theorem}.log",
    benchmark:
        "results/benchmarks/figure/{theorem}.tsv"
    localrule: True
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        style=as_json(run.style),
    message:
        "{wildcards.theorem}"
    shell:
        "{PYTHON} -m urnn theory_figure {wildcards.theorem} {input.numbers:q} "
        "--style {params.style:q} --output {output:q} > {log:q} 2>&1"
