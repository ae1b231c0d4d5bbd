# Input-output equivalence of unitary and contractive RNNs: data -> train -> score -> figures -> report.
# One file of rules per stage in workflow/rules; every rule calls `python -m urnn <stage>`.


# A --configfile replaces the default one as a whole instead of being merged into it.
if not workflow.overwrite_configfiles:

    configfile: "config/config.yaml"


include: "workflow/rules/common.smk"
include: "workflow/rules/data.smk"
include: "workflow/rules/train.smk"
include: "workflow/rules/score.smk"
include: "workflow/rules/figures.smk"
include: "workflow/rules/theory.smk"
include: "workflow/rules/report.smk"


rule all:
    default_target: True
    input:
        "reports/index.html",
        expand(
            "reports/figures/{figure}.{kind}",
            figure=[*run.figures, *THEOREMS],
            kind=["svg", "png"],
        ),
    localrule: True
