rule report:
    input:
        template=expand(
            f"{PACKAGE}/report/page.{{part}}", part=["html.jinja", "css", "js"]
        ),
        published=[
            f"{PACKAGE}/published/protocol.yaml",
            *published_files(run.figures.values()),
        ],
        scores=expand("results/{experiment}/scores.nc", experiment=run.experiments),
        numbers=expand("results/theory/{theorem}.nc", theorem=THEOREMS),
        figures=expand(
            "reports/figures/{figure}.{kind}",
            figure=[*run.figures, *THEOREMS],
            kind=["svg", "csv"],
        ),
        narrow=expand(
            "reports/figures/narrow/{figure}.svg", figure=[*run.figures, *THEOREMS]
        ),
    output:
        report("reports/index.html", caption="../report/index.rst", category="Report"),
    log:
        "results/logs/report/index.log",
    benchmark:
        "results/benchmarks/report/index.tsv"
    localrule: True
    conda:
        "../envs/urnn.yaml"
    threads: 1
    resources:
        mem_mb=1000,
        runtime=10,
    params:
        code=page_code(),
        config=as_it_is(json.dumps(config, sort_keys=False, default=str)),
        # with the prefix of a module
        results=lambda wildcards, input: Path(input.scores[0]).parents[1],
        figures=lambda wildcards, output: Path(output[0]).parent / "figures",
    message:
        "Report page"
    shell:
        "python3 -m urnn report --config {params.config:q} --results {params.results:q} "
        "--figures {params.figures:q} --output {output:q} > {log:q} 2>&1"
