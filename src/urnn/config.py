"""The configuration of a whole run: its types, its checks, its JSON schema, and errors for people.

Light on purpose: the Snakefile imports it, and every cluster job parses the Snakefile again.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import product
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError, model_validator

from urnn.settings.base import ConfigError, Count, Name, Settings, explain, near
from urnn.settings.figures import (
    AccuracySettings,
    GapSettings,
    HistorySettings,
    R2Settings,
    StatisticsSettings,
    Style,
    with_kind,
)
from urnn.settings.model import ModelSettings
from urnn.settings.permuted_digits import PermutedDigitsSettings
from urnn.settings.permuted_mnist import PermutedMNISTSettings
from urnn.settings.synthetic import SyntheticSettings
from urnn.settings.theory import TheorySettings
from urnn.settings.training import Recipe


def _distinct(values: list[Any]) -> list[Any]:
    repeated = sorted({value for value in values if values.count(value) > 1})
    if repeated:
        raise ValueError(f"each entry once, but {repeated[0]!r} stands here twice")
    return values


class ModelEntry(ModelSettings):
    """A row of the table of models."""

    label: str = Field(min_length=1, max_length=40, description="name in figures and tables")


def _whole(key: Any) -> Any:
    # YAML has whole numbers as keys, JSON only texts
    return int(key) if isinstance(key, str) and key.isdecimal() else key


class RecipeEntry(Recipe):
    """A recipe, and what differs from it for single models and sizes."""

    models: dict[Name, dict[str, Any]] = Field(
        default_factory=dict, description="by model: the keys of the recipe that differ for it"
    )

    hidden_units: dict[Annotated[Count, BeforeValidator(_whole)], dict[str, Any]] = Field(
        default_factory=dict, description="by size: the keys that differ for it, of every model"
    )

    def resolve(self, model: str, hidden_units: int) -> Recipe:
        """The recipe as it holds for one model of one size."""
        common = self.model_dump(exclude={"models", "hidden_units"})
        return Recipe.model_validate(
            common | self.models.get(model, {}) | self.hidden_units.get(hidden_units, {})
        )


class Experiment(Settings):
    """What experiments of all tasks have: models of several sizes, trained on each realization."""

    realizations: Annotated[int, Field(ge=1, le=1000)] = Field(
        description="independent draws of the task's data"
    )
    block_size: Count = Field(16, description="realizations that one job trains in lock step")
    models: Annotated[list[Name], Field(min_length=1), AfterValidator(_distinct)] = Field(
        description="which models, by their names in the table of models"
    )
    hidden_units: Annotated[
        list[Annotated[int, Field(ge=1, le=128)]], Field(min_length=1), AfterValidator(_distinct)
    ] = Field(description="sizes of every model")
    recipe: Name = Field("paper", description="how they are trained, by its name in recipes")
    data_of: Name | None = Field(
        None,
        description="another experiment with the same data, whose files are used: "
        "recipes can be compared without making the data for each; null: its own",
    )

    def blocks(self) -> list[tuple[int, int]]:
        """First and last realization of each job's block."""
        starts = range(0, self.realizations, self.block_size)
        return [(i, min(i + self.block_size, self.realizations) - 1) for i in starts]


class SyntheticExperiment(Experiment):
    """Slowly varying systems; a realization is a true system with its trials."""

    task: Literal["synthetic"] = Field("synthetic", description="where the data comes from")
    system: SyntheticSettings = Field(
        default_factory=lambda: SyntheticSettings(), description="the true systems and their trials"
    )
    snr_db: Annotated[float, Field(ge=-100, le=200)] = Field(
        description="signal-to-noise ratio at the output, dB"
    )

    @property
    def data(self) -> SyntheticSettings:
        """The settings of the task."""
        return self.system


class PermutedMNISTExperiment(Experiment):
    """MNIST pixel by pixel; a realization is a draw of the validation images."""

    task: Literal["permuted_mnist"] = Field(description="where the data comes from")
    images: PermutedMNISTSettings = Field(
        default_factory=lambda: PermutedMNISTSettings(), description="how the images are split"
    )

    @property
    def data(self) -> PermutedMNISTSettings:
        """The settings of the task."""
        return self.images


class PermutedDigitsExperiment(Experiment):
    """8x8 digits pixel by pixel; a realization is a split and a permutation of the pixels."""

    task: Literal["permuted_digits"] = Field(description="where the data comes from")
    images: PermutedDigitsSettings = Field(
        default_factory=lambda: PermutedDigitsSettings(), description="how the images are split"
    )

    @property
    def data(self) -> PermutedDigitsSettings:
        """The settings of the task."""
        return self.images


def _synthetic_by_default(values: Any) -> Any:
    if isinstance(values, Mapping) and "task" not in values:
        return {"task": "synthetic", **values}
    return values


#: an experiment; its key ``task`` says which keys it has
AnyExperiment = Annotated[
    Annotated[
        SyntheticExperiment | PermutedMNISTExperiment | PermutedDigitsExperiment,
        Field(discriminator="task"),
    ],
    BeforeValidator(_synthetic_by_default),
]


class R2Figure(R2Settings):
    """Figures 2 and 3 of the paper."""

    experiment: Name = Field(description="whose scores it shows")

    @property
    def sources(self) -> list[str]:
        """The experiments whose scores it shows."""
        return [self.experiment]


class GapFigure(GapSettings):
    """Recipes side by side."""

    experiments: Annotated[
        list[Name], Field(min_length=1, max_length=4), AfterValidator(_distinct)
    ] = Field(description="whose scores it shows, by the names of their recipes")

    @property
    def sources(self) -> list[str]:
        """The experiments whose scores it shows."""
        return self.experiments


class StatisticsFigure(StatisticsSettings):
    """Models paired by realization; its tables and sentences stand on the report page."""

    experiment: Name = Field(description="whose scores it shows")

    @property
    def sources(self) -> list[str]:
        """The experiments whose scores it shows."""
        return [self.experiment]


class AccuracyFigure(AccuracySettings):
    """Figure 4 of the paper."""

    experiment: Name = Field(description="whose scores it shows")

    @property
    def sources(self) -> list[str]:
        """The experiments whose scores it shows."""
        return [self.experiment]


class HistoryFigure(HistorySettings):
    """How training went."""

    experiment: Name = Field(description="whose scores it shows")

    @property
    def sources(self) -> list[str]:
        """The experiments whose scores it shows."""
        return [self.experiment]


#: a figure; its key ``kind`` says which keys it has
AnyFigure = Annotated[
    Annotated[
        R2Figure | GapFigure | StatisticsFigure | AccuracyFigure | HistoryFigure,
        Field(discriminator="kind"),
    ],
    BeforeValidator(with_kind),
]


class Shape(NamedTuple):
    """What kernels are compiled for."""

    recurrence: str
    activation: str
    loss: str
    hidden_units: int
    input_size: int
    output_size: int


class Config(Settings):
    """Everything that defines a run."""

    seed: Annotated[int, Field(ge=0)] = Field(2019, description="all other seeds derive from it")
    device: Annotated[str, Field(pattern=r"^(cpu|reference|cuda(:\d+)?)$")] = Field(
        "cpu",
        description="cpu (compiled kernels), cuda or cuda:N (torch), reference (torch, float64)",
    )
    mnist_folder: Annotated[str, Field(min_length=1)] | None = Field(
        None,
        description="folder of MNIST's four IDX files, plain or .gz; null: the one that the "
        "environment variable URNN_MNIST_DIR names, else they are downloaded",
    )
    experiments: Annotated[dict[Name, AnyExperiment], Field(min_length=1)]
    models: Annotated[dict[Name, ModelEntry], Field(min_length=1)]
    recipes: Annotated[dict[Name, RecipeEntry], Field(min_length=1)]
    figures: dict[Name, AnyFigure] = Field(default_factory=dict)
    theory: TheorySettings | None = Field(
        None, description="the numbers and figures of the three theorems; {} for the usual sizes"
    )
    style: Style = Field(default_factory=lambda: Style())

    @model_validator(mode="after")
    def _references(self) -> Config:
        problems: list[str] = []

        def known(path: str, name: str, table: Mapping[str, Any], kind: str) -> None:
            if name not in table:
                names = ", ".join(table)
                problems.append(
                    f"{path}: {name!r} is not in {kind}, which has {names}{near(name, table)}"
                )

        for name, recipe in self.recipes.items():
            for model, changes in recipe.models.items():
                path = f"recipes.{name}.models.{model}"
                known(path, model, self.models, "models")
                problems.extend(_wrong(changes, path))
            for size, changes in recipe.hidden_units.items():
                problems.extend(_wrong(changes, f"recipes.{name}.hidden_units.{size}"))
        for name, experiment in self.experiments.items():
            path = f"experiments.{name}"
            known(f"{path}.recipe", experiment.recipe, self.recipes, "recipes")
            for model in experiment.models:
                known(f"{path}.models", model, self.models, "models")
            if problems:
                continue
            for model in experiment.models:
                for size in experiment.hidden_units:
                    problem = self.models[model].size_problem(size)
                    if problem:
                        problems.append(f"{path}.hidden_units: for {model}, {problem}")
            train = experiment.data.training_trials
            for model, size in product(experiment.models, experiment.hidden_units):
                resolved = self.recipe(name, model, size)
                at = f"recipes.{experiment.recipe}"
                if resolved.validation_ratio and experiment.task != "synthetic":
                    problems.append(
                        f"{at}.validation_ratio: {resolved.validation_ratio} for {model}, but "
                        f"{path} has validation images of its own; leave it out"
                    )
                elif (
                    resolved.patience is not None
                    and experiment.task == "synthetic"
                    and not round(train * resolved.validation_ratio)
                ):
                    problems.append(
                        f"{at}.patience: {resolved.patience} for {model}, but {path} has no "
                        "validation trials; set validation_ratio, such as 0.1"
                    )
                used = train - round(train * resolved.validation_ratio)
                if resolved.batch_size > used:
                    problems.append(
                        f"recipes.{experiment.recipe}.batch_size: {resolved.batch_size} trials for "
                        f"{model}, but {path} leaves {used} training trials; at most that many"
                    )
        for name, experiment in self.experiments.items():
            if experiment.data_of is not None:
                problems.extend(self._other_data(name, experiment.data_of))
        for name, figure in self.figures.items():
            path = f"figures.{name}"
            for source in figure.sources:
                key = "experiments" if isinstance(figure, GapFigure) else "experiment"
                known(f"{path}.{key}", source, self.experiments, "experiments")
                if source not in self.experiments:
                    continue
                loss = self.experiments[source].data.loss
                if isinstance(figure, HistoryFigure) and figure.shows == "violation":
                    continue
                wanted = (
                    "cross_entropy"
                    if isinstance(figure, AccuracyFigure | HistoryFigure)
                    else "squared"
                )
                if loss != wanted:
                    score = "an accuracy" if loss == "cross_entropy" else "an R^2"
                    problems.append(
                        f"{path}.{key}: {source} has {score}, which a figure of kind "
                        f"{figure.kind} does not show"
                    )
            if isinstance(figure, StatisticsFigure) and figure.experiment in self.experiments:
                models = self.experiments[figure.experiment].models
                if figure.reference not in models:
                    problems.append(
                        f"{path}.reference: {figure.reference!r} is not a model of "
                        f"{figure.experiment}, which has {', '.join(models)}"
                    )
        if problems:  # the same for several sizes of a model is said once
            raise ValueError("\n".join(dict.fromkeys(problems)))
        return self

    def _other_data(self, name: str, source: str) -> list[str]:
        """What is wrong with an experiment's use of the data of another."""
        path, experiments = f"experiments.{name}.data_of", self.experiments
        usable = [n for n, e in experiments.items() if e.data_of is None and n != name]
        if source not in usable:
            names = ", ".join(usable) or "none"
            return [
                f"{path}: {source!r} is not an experiment with data of its own; there "
                f"{'are' if len(usable) > 1 else 'is'} {names}{near(source, usable)}"
            ]
        ours, theirs = experiments[name].model_dump(), experiments[source].model_dump()
        here = {"block_size", "models", "hidden_units", "recipe", "realizations", "data_of"}
        problems = [
            f"experiments.{name}.{key}: {ours[key]!r} is not what {source} has, whose data it uses"
            for key in ours
            if key not in here and ours[key] != theirs.get(key)
        ]
        if ours["realizations"] > theirs["realizations"]:
            problems.append(
                f"experiments.{name}.realizations: {ours['realizations']}, but {source}, whose "
                f"data it uses, has {theirs['realizations']}; at most that many"
            )
        return problems

    def recipe(self, experiment: str, model: str, hidden_units: int) -> Recipe:
        """The recipe of a model of one size in an experiment."""
        return self.recipes[self.experiments[experiment].recipe].resolve(model, hidden_units)

    def kernels(self) -> dict[Shape, dict[str, list[int]]]:
        """What trainings and scores compute: sizes of minibatches and numbers of scored trials."""
        found: dict[Shape, dict[str, list[int]]] = {}
        for name, experiment in self.experiments.items():
            data = experiment.data
            for model in experiment.models:
                for size in experiment.hidden_units:
                    recipe = self.recipe(name, model, size)
                    kept = round(data.training_trials * recipe.validation_ratio)
                    last = (data.training_trials - kept) % recipe.batch_size
                    needed = found.setdefault(self.shape(name, model, size), {})
                    for key, numbers in {
                        "batches": {recipe.batch_size, last},
                        "trials": {*data.scored_trials, kept},
                    }.items():
                        needed[key] = sorted((numbers | {*needed.get(key, [])}) - {0})
        return found

    def shape(self, experiment: str, model: str, hidden_units: int) -> Shape:
        """Which kernels a training runs on."""
        entry, data = self.models[model], self.experiments[experiment].data
        return Shape(entry.recurrence, entry.activation, data.loss, hidden_units, *data.sizes)

    def model(self, model: str) -> ModelSettings:
        """The settings that define a model, without its label."""
        return ModelSettings.model_validate(self.models[model].model_dump(exclude={"label"}))


def _wrong(changes: dict[str, Any], path: str) -> list[str]:
    """What is wrong with keys of a recipe that differ."""
    try:
        Recipe.model_validate(changes)
    except ValidationError as error:
        return explain(error, Recipe, changes, path)
    return []


def load(values: Mapping[str, Any]) -> Config:
    """The typed configuration of a mapping, as YAML gives it.

    Raises:
        ConfigError: one line for each problem: the key's path, what is allowed, what was given.
    """
    try:
        return Config.model_validate(dict(values))
    except ValidationError as error:
        problems = explain(error, Config, values)
    count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
    lines = "\n".join(f"  {line}" for line in problems)
    raise ConfigError(f"{count} in the configuration, nothing was run:\n{lines}")


def schema() -> dict[str, Any]:
    """The JSON schema of the configuration, for editors."""
    return {"$schema": "https://json-schema.org/draft/2020-12/schema"} | Config.model_json_schema()
