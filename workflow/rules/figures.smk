rule figure:
    input:
        scores=lambda wildcards: [
            f"results/{name}/scores.nc"
            for name in run.figures[wildcards.figure].sources
        ],
        published=lambda wildcards: published_files([run.figures[wildcards.figure]]),
    output:
        svg=report(
            "reports/figures/{figure}.svg",
            caption="../report/figure.rst",
            category="Figures",
        ),
        png="reports/figures/{figure}.png",
        csv="reports/figures/{figure}.csv",
        narrow="reports/figures/narrow/{figure}.svg",
    log:
        "results/logs/figure/{figure}.log",
    benchmark:
        "results/benchmarks/figure/{figure}.tsv"
    localrule: True
    conda:
        "../envs/urnn.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        code=lambda wildcards: code(
            "figure", figures.POINT.module(run.figures[wildcards.figure].kind)
        ),
        settings=lambda wildcards: as_json(
            figures.POINT.part(run.figures[wildcards.figure])
        ),
        labels=lambda wildcards: as_json(run.labels(wildcards.figure)),
        style=lambda wildcards: as_json(run.style),
        caption=lambda wildcards: run.figures[wildcards.figure].text,
    message:
        "{wildcards.figure}"
    shell:
        "python3 -m urnn figure {input.scores:q} --settings {params.settings:q} "
        "--labels {params.labels:q} --style {params.style:q} "
        "--output {output.svg:q} {output.png:q} {output.csv:q} --narrow {output.narrow:q} > {log:q} 2>&1"
