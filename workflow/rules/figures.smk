def of_kind(kind):
    """The figures of one kind."""
    return [name for name, figure in run.figures.items() if figure.kind == kind]


def figure_labels(wildcards):
    """What models and experiments are called in a figure, as JSON."""
    sources = run.figures[wildcards.figure].sources
    recipes = [run.experiments[name].recipe for name in sources]
    distinct = len(set(recipes)) == len(recipes)
    models = [model for name in sources for model in run.experiments[name].models]
    return json.dumps(
        {
            "models": {model: run.models[model].label for model in models},
            "experiments": (
                [f"recipe {name}" for name in recipes] if distinct else sources
            ),
        }
    )


def figure_settings(wildcards):
    """The settings of a figure without its experiments, which are its inputs."""
    settings = run.figures[wildcards.figure].model_dump(
        exclude={"experiment", "experiments"}
    )
    return json.dumps(settings, sort_keys=True)


# One rule for each kind of figure, so that each has its caption in Snakemake's report.
for kind in KINDS:

    rule:
        name:
            f"figure_{kind}"
        input:
            code=code("figure"),
            scores=lambda wildcards: [
                f"results/{name}/scores.nc"
                for name in run.figures[wildcards.figure].sources
            ],
            published=lambda wildcards: [
                f"src/urnn/published/{name}.csv"
                for name in [
                    run.figures[wildcards.figure].model_dump().get("published")
                ]
                if name
            ],
        output:
            report(
                "reports/figures/{figure}.svg",
                caption=f"../report/{kind}.rst",
                category="Figures",
            ),
            "reports/figures/{figure}.png",
        log:
            "results/logs/figure/{figure}.log",
        benchmark:
            "results/benchmarks/figure/{figure}.tsv"
        wildcard_constraints:
            figure="|".join(of_kind(kind)) or "none",
        localrule: True
        threads: 1
        resources:
            mem_mb=1000,
            runtime=10,
        params:
            settings=figure_settings,
            labels=figure_labels,
            style=as_json(run.style),
        message:
            "{wildcards.figure}"
        shell:
            "{PYTHON} -m urnn figure {input.scores:q} --settings {params.settings:q} "
            "--labels {params.labels:q} --style {params.style:q} --output {output:q} > {log:q} 2>&1"
