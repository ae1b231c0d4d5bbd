def published_curves(wildcards):
    """The files of the published curves that a figure draws."""
    name = run.figures[wildcards.figure].curves
    return [f"{PACKAGE}/published/{name}.csv"] if name else []


rule figure:
    input:
        scores=lambda wildcards: [
            f"results/{name}/scores.nc"
            for name in run.figures[wildcards.figure].sources
        ],
        published=published_curves,
    output:
        report(
            "reports/figures/{figure}.svg",
            caption="../report/figure.rst",
            category="Figures",
        ),
        "reports/figures/{figure}.png",
    log:
        "results/logs/figure/{figure}.log",
    benchmark:
        "results/benchmarks/figure/{figure}.tsv"
    localrule: True
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
        style=as_json(run.style),
        caption=lambda wildcards: run.figures[wildcards.figure].text,
    message:
        "{wildcards.figure}"
    shell:
        "{PYTHON} -m urnn figure {input.scores:q} --settings {params.settings:q} "
        "--labels {params.labels:q} --style {params.style:q} --output {output:q} > {log:q} 2>&1"
