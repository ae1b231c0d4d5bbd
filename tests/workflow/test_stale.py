"""After each kind of change, a dry run lists exactly the jobs that the change makes stale."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.workflow.conftest import Project

CONFIG = "config/test.yaml"
MODELS = {
    "test-20dB": ["rnn", "contractive_rnn", "urnn", "lstm"],
    "test-15dB": ["rnn", "urnn"],
}
FIGURES = ["figure2", "figure3", "gap", "reproduction", "statistics"]
ALL_FIGURES = [*FIGURES, "figure4", "history"]
THEOREMS = ["theorem1", "theorem2", "theorem3"]
BLOCKS = [(0, 1), (2, 2)]


def data(experiments: Iterable[str] = MODELS, first: int = 0, last: int = 2) -> list[str]:
    return [f"{e}: data of realizations {first:03d} to {last:03d}" for e in experiments]


def trainings(
    experiments: Iterable[str] = MODELS,
    models: Iterable[str] | None = None,
    sizes: Iterable[int] = (2, 4),
    blocks: Iterable[tuple[int, int]] = BLOCKS,
) -> list[str]:
    return [
        f"{e}: {model} with {size:02d} hidden units, realizations {first:03d} to {last:03d}"
        for e in experiments
        for model in MODELS[e]
        if models is None or model in models
        for size in sizes
        for first, last in blocks
    ]


def scores(experiments: Iterable[str] = MODELS) -> list[str]:
    return [f"{e}: scores" for e in experiments]


def numbers(theorems: Iterable[str] = THEOREMS) -> list[str]:
    return [f"{theorem}: numbers" for theorem in theorems]


def expect(project: Project, *jobs: list[str]) -> None:
    assert project.stale() == sorted(itertools.chain(*jobs))


REPORT = ["Report page"]
# the experiment on images, beside the synthetic ones that the functions above mean
IMAGES = "test-digits"
IMAGE_DATA = data([IMAGES], 0, 0)
IMAGE_TRAININGS = [
    f"{IMAGES}: {model} with 04 hidden units, realizations 000 to 000"
    for model in ("urnn", "eunn", "rnn")
]
IMAGE_SCORES = [f"{IMAGES}: scores"]
IMAGE_KERNELS = [f"kernels of rnn-{phi}-cross_entropy-4-1-10" for phi in ("relu", "modrelu")]


def kernels(
    sizes: Iterable[int] = (2, 4), cells: Iterable[str] = ("rnn-relu", "lstm")
) -> list[str]:
    return [f"kernels of {cell}-squared-{n}-2-2" for cell in cells for n in sizes]


def test_nothing_changed(project: Project) -> None:
    expect(project, [])


def test_figure_style(project: Project) -> None:
    with (project.folder / CONFIG).open("a") as file:
        file.write("\nstyle: {dots_per_inch: 100}\n")
    expect(project, ALL_FIGURES, THEOREMS, REPORT)


def test_sizes_of_one_theorem(project: Project) -> None:
    project.edit(CONFIG, "largest_chain: 6", "largest_chain: 7")
    expect(project, numbers(["theorem3"]), ["theorem3"], REPORT)


def test_without_the_theorems(project: Project) -> None:
    text = (project.folder / CONFIG).read_text()
    (project.folder / CONFIG).write_text(text[: text.index("theory:")])
    expect(project, REPORT)


def test_label_of_a_model(project: Project) -> None:
    project.edit(CONFIG, "label: LSTM", "label: Long short-term memory")
    expect(project, ["figure2", "gap", "statistics"], REPORT)  # figure 3 has no LSTM


def test_learning_rate_of_one_model(project: Project) -> None:
    project.edit(
        CONFIG, "lstm: {learning_rate", "urnn: {learning_rate: 0.02}\n      lstm: {learning_rate"
    )
    expect(project, trainings(models=["urnn"]), scores(), FIGURES, REPORT)


def test_learning_rate_of_all(project: Project) -> None:
    project.edit(CONFIG, "learning_rate: 0.01", "learning_rate: 0.011")
    others = trainings(models=["rnn", "contractive_rnn", "urnn"])  # the LSTM has its own
    expect(project, others, scores(), FIGURES, REPORT)


def test_one_more_hidden_size(project: Project) -> None:
    project.edit(CONFIG, "hidden_units: [2, 4]", "hidden_units: [2, 3, 4]")
    expect(project, kernels([3]), trainings(sizes=[3]), scores(), FIGURES, REPORT)


def test_one_more_model(project: Project) -> None:
    project.edit(CONFIG, "models: [rnn, urnn]", "models: [rnn, urnn, lstm]")
    size_and_block = [(size, block) for size in (2, 4) for block in BLOCKS]
    new = [
        f"test-15dB: lstm with {size:02d} hidden units, realizations {first:03d} to {last:03d}"
        for size, (first, last) in size_and_block
    ]
    expect(project, new, scores(["test-15dB"]), ["figure3", "gap", "reproduction"], REPORT)


def test_another_recipe_on_the_same_data(project: Project) -> None:
    other = (
        "  again:\n    <<: *synthetic\n    snr_db: 15\n    data_of: test-15dB\n    models: [urnn]\n"
    )
    other += "    hidden_units: [2]\n    realizations: 1\n    recipe: other\n\nmodels:\n"
    project.edit(CONFIG, "\nmodels:\n", other)
    project.edit(CONFIG, "recipes:\n", "recipes:\n  other: {epochs: 2, batch_size: 8}\n")
    new = ["again: urnn with 02 hidden units, realizations 000 to 000"]
    # other minibatches need other kernels, which makes no training of before stale
    expect(project, new, scores(["again"]), REPORT)


def test_more_realizations_train_only_the_new_block(project: Project) -> None:
    # as 10 -> 20 with blocks of 10: here 2 -> 4 with blocks of 2
    project.edit(CONFIG, "realizations: 3", "realizations: 2")
    project.snakemake()
    expect(project, [])
    project.edit(CONFIG, "realizations: 2", "realizations: 4")
    project_jobs = project.stale()
    assert project_jobs == sorted(
        data(first=3, last=3)  # 0 to 2 are there
        + trainings(blocks=[(2, 3)])
        + scores()
        + FIGURES
        + REPORT
    )


def test_one_snr(project: Project) -> None:
    project.edit(CONFIG, "snr_db: 15", "snr_db: 10")
    one = ["test-15dB"]
    expect(
        project, data(one), trainings(one), scores(one), ["figure3", "gap", "reproduction"], REPORT
    )


def test_seed(project: Project) -> None:
    project.edit(CONFIG, "seed: 2019", "seed: 2020")
    everything = [data(), trainings(), scores(), numbers(), ALL_FIGURES, THEOREMS, REPORT]
    expect(project, *everything, IMAGE_DATA, IMAGE_TRAININGS, IMAGE_SCORES)


def test_patience_of_the_recipe_of_one_experiment(project: Project) -> None:
    project.edit(CONFIG, "patience: 2", "patience: 1")
    expect(project, IMAGE_TRAININGS, IMAGE_SCORES, ["figure4", "history"], REPORT)


def test_capacity_of_one_model(project: Project) -> None:
    project.edit(CONFIG, "transition: eunn", "transition: eunn, capacity: 1")
    expect(project, IMAGE_TRAININGS[1:2], IMAGE_SCORES, ["figure4", "history"], REPORT)


EVERY_DATA, EVERY_TRAINING = data() + IMAGE_DATA, trainings() + IMAGE_TRAININGS
EVERY_SCORE, EVERY_KERNEL = scores() + IMAGE_SCORES, kernels() + IMAGE_KERNELS
TRAINED = [EVERY_TRAINING, EVERY_SCORE, ALL_FIGURES, REPORT]
IMAGES_TRAINED = [IMAGE_SCORES, ["figure4", "history"], REPORT]
THEORY = [numbers(), THEOREMS]
RNNS = ["rnn", "contractive_rnn", "urnn"]
#: by edited module: the jobs whose result comes from its code, and what follows from them
REACHED = {
    "storage": [EVERY_DATA, EVERY_KERNEL, *TRAINED, *THEORY],
    "rnn": [data(), trainings(), scores(), FIGURES, *THEORY, REPORT],
    "recurrence/vector": [EVERY_KERNEL, *TRAINED],
    "recurrence/cells/base": [EVERY_KERNEL, *TRAINED],
    "recurrence/cells/lstm": [
        kernels(cells=["lstm"]),
        trainings(models=["lstm"]),
        scores(["test-20dB"]),
        ["figure2", "gap", "statistics"],
        REPORT,
    ],
    "recurrence/cells/rnn": [
        kernels(cells=["rnn-relu"]),
        IMAGE_KERNELS,
        trainings(models=RNNS),
        IMAGE_TRAININGS,
        EVERY_SCORE,
        ALL_FIGURES,
        REPORT,
    ],
    "recurrence/cells/gru": [],
    "recurrence/gpu/backend": [],
    "recurrence/accelerator": [],
    "blocks": [REPORT],  # it counts the jobs of the blocks in use
    "block_sizes": [],
    "transition/eunn": [IMAGE_TRAININGS[1:2], *IMAGES_TRAINED],
    "transition/contractive": [
        trainings(models=["contractive_rnn"]),
        scores(["test-20dB"]),
        ["figure2", "gap", "statistics"],
        REPORT,
    ],
    "transition/householder": [],
    "tasks/synthetic/generate": [data(), trainings(), scores(), FIGURES, REPORT],
    "tasks/permuted_digits/generate": [IMAGE_DATA, IMAGE_TRAININGS, *IMAGES_TRAINED],
    "tasks/permuted_mnist/mnist": [],
    "training": TRAINED,
    # what figures share counts realizations, and so do those of the theorems
    "scoring": [EVERY_SCORE, ALL_FIGURES, THEOREMS, REPORT],
    # the claims of figures 2 and 3 are paired
    "statistics": [FIGURES, REPORT],
    "equivalence/cascade": [*THEORY, REPORT],
    "figures/style": [ALL_FIGURES, THEOREMS, REPORT],
    "figures/r2/plot": [["figure2", "figure3"], REPORT],
    "figures/statistics/findings": [["statistics"], REPORT],
    "figures/reproduction/deviations": [["reproduction"], REPORT],
    "theorems/theorem2/plot": [["theorem2"], REPORT],
    "theorems/theorem2/numbers": [numbers(["theorem2"]), ["theorem2"], REPORT],
    "report/page": [REPORT],
    "config": [REPORT],
}


@pytest.mark.parametrize("module", REACHED)
def test_an_edited_module_reruns_exactly_what_its_code_made(project: Project, module: str) -> None:
    with (project.folder / f"src/urnn/{module}.py").open("a") as file:
        file.write("\nEDITED = True\n")
    expect(project, *REACHED[module])


def test_comments_docstrings_and_formatting_rerun_nothing(project: Project) -> None:
    for path in (project.folder / "src/urnn").rglob("*.py"):
        text = path.read_text()
        assert text.startswith('"""')
        text = text.replace('"""', '"""In other words. ', 1).replace(
            "\n\n\n", "\n\n\n\n# noted\n\n"
        )
        path.write_text(text + "\n# edited\n")
    expect(project, [])


def test_touched_but_unchanged_modules_rerun_nothing(project: Project) -> None:
    for path in (project.folder / "src/urnn").rglob("*.py"):
        os.utime(path)
    expect(project, [])


def test_comments_and_resources_rerun_nothing(project: Project) -> None:
    project.edit(CONFIG, "seed: 2019", "seed: 2019  # a comment")
    project.edit("workflow/rules/resources.smk", "attempt * (5", "attempt * (6")
    expect(project, [])


def test_deleted_files_are_made_again_when_something_needs_them(project: Project) -> None:
    # data may be deleted to save space while everything made from them stands
    (project.folder / "results/test-20dB/data/realization-002.nc").unlink()
    expect(project, [])
    (project.folder / "reports/figures/figure2.png").unlink()
    expect(project, ["figure2"], REPORT)
    project.edit(CONFIG, "hidden_units: [2, 4]", "hidden_units: [2, 3, 4]")
    again = data(["test-20dB"], 2, 2)
    old = trainings(["test-20dB"], blocks=[(2, 2)])
    new = sorted({*old, *trainings(sizes=[3])})
    expect(project, kernels([3]), again, new, scores(), FIGURES, REPORT)
