def page_code():
    """The code of the page: its command, and the figures and theorems on it."""
    shown = [figures.POINT.module(figure.kind) for figure in run.figures.values()]
    proved = [f"{theorems.POINT.module(name)}.settings" for name in THEOREMS]
    return code("report", *shown, *proved)


rule report:
    input:
        template=f"{PACKAGE}/page.html.jinja",
        published=sorted(
            {
                f"{PACKAGE}/published/{figure.curves}.csv"
                for figure in run.figures.values()
                if figure.curves
            }
        ),
        scores=expand("results/{experiment}/scores.nc", experiment=run.experiments),
        figures=expand("reports/figures/{figure}.svg", figure=[*run.figures, *THEOREMS]),
    output:
        report("reports/index.html", category="Report"),
    log:
        "results/logs/report/index.log",
    benchmark:
        "results/benchmarks/report/index.tsv"
    localrule: True
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        code=page_code(),
        config=json.dumps(config, sort_keys=False, default=str),
    message:
        "Report page"
    shell:
        "{PYTHON} -m urnn report --config {params.config:q} --output {output:q} > {log:q} 2>&1"
