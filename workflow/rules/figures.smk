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


def published_curves(wildcards):
    """The files of the published curves that a figure draws."""
    name = run.figures[wildcards.figure].curves
    return [f"src/urnn/published/{name}.csv"] if name else []


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
        labels=figure_labels,
        style=as_json(run.style),
        caption=lambda wildcards: run.figures[wildcards.figure].caption,
    message:
        "{wildcards.figure}"
    shell:
        "{PYTHON} -m urnn figure {input.scores:q} --settings {params.settings:q} "
        "--labels {params.labels:q} --style {params.style:q} --output {output:q} > {log:q} 2>&1"
