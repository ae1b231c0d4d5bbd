rule report:
    input:
        code=code("report"),
        template="src/urnn/page.html.jinja",
        published=expand(
            "src/urnn/published/{name}.csv", name=["figure2", "figure3", "figure4"]
        ),
        captions=expand("workflow/report/{name}.rst", name=[*KINDS, *THEOREMS]),
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
        config=json.dumps(config, sort_keys=False, default=str),
    message:
        "Report page"
    shell:
        "{PYTHON} -m urnn report --config {params.config:q} --captions workflow/report "
        "--output {output:q} > {log:q} 2>&1"
