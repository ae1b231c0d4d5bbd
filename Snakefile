# For `snakemake` in this folder; the workflow is in workflow/.
include: "workflow/Snakefile"


# which an included file cannot choose
workflow.default_target = "all"
