rule figure:
    input:
        code=code("figure"),
        scores=lambda wildcards: f"results/{run.figures[wildcards.figure].experiment}/scores.nc",
        published=lambda wildcards: (
            [f"src/urnn/published/{run.figures[wildcards.figure].published}.csv"]
            if run.figures[wildcards.figure].published
            else []
        ),
    output:
        report(
            "reports/figures/{figure}.svg",
            caption="../report/r2.rst",
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
        published=lambda wildcards: run.figures[wildcards.figure].published or "",
        labels=lambda wildcards: json.dumps(
            {
                model: run.models[model].label
                for model in run.experiments[
                    run.figures[wildcards.figure].experiment
                ].models
            }
        ),
        style=as_json(run.style),
    message:
        "{wildcards.figure}"
    shell:
        "{PYTHON} -m urnn figure {input.scores:q} --published {params.published:q} "
        "--labels {params.labels:q} --style {params.style:q} --output {output:q} > {log:q} 2>&1"
