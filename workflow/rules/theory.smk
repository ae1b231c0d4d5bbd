rule theory:
    output:
        "results/theory/{theorem}.nc",
    log:
        "results/logs/theory/{theorem}.log",
    benchmark:
        "results/benchmarks/theory/{theorem}.tsv"
    group:
        grouped("start")
    conda:
        "../envs/urnn.yaml"
    threads: 1
    resources:
        mem_mb=lambda wildcards, attempt: 1000 * attempt,
        runtime=lambda wildcards, attempt: 20 * attempt,
    params:
        code=lambda wildcards: code(
            "theory", f"{theorems.POINT.module(wildcards.theorem)}.numbers"
        ),
        settings=lambda wildcards: as_json(theorem(wildcards)),
        title=lambda wildcards: theorem(wildcards).title,
        seed=run.seed,
    message:
        "{wildcards.theorem}: numbers"
    shell:
        "python3 -m urnn theory {wildcards.theorem} --settings {params.settings:q} "
        "--seed {params.seed} --output {output:q} > {log:q} 2>&1"


rule theory_figure:
    input:
        numbers="results/theory/{theorem}.nc",
    output:
        svg=report(
            "reports/figures/{theorem}.svg",
            caption="../report/figure.rst",
            category="Figures",
        ),
        png="reports/figures/{theorem}.png",
        csv="reports/figures/{theorem}.csv",
        narrow="reports/figures/narrow/{theorem}.svg",
    log:
        "results/logs/figure/{theorem}.log",
    benchmark:
        "results/benchmarks/figure/{theorem}.tsv"
    localrule: True
    conda:
        "../envs/urnn.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        code=lambda wildcards: code(
            "theory_figure", f"{theorems.POINT.module(wildcards.theorem)}.plot"
        ),
        style=lambda wildcards: as_json(run.style),
        caption=lambda wildcards: theorem(wildcards).caption,
    message:
        "{wildcards.theorem}"
    shell:
        "python3 -m urnn theory_figure {wildcards.theorem} {input.numbers:q} "
        "--style {params.style:q} "
        "--output {output.svg:q} {output.png:q} {output.csv:q} --narrow {output.narrow:q} > {log:q} 2>&1"
