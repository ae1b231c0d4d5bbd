"""The configuration of a whole run: its types, its checks, its JSON schema, and errors for people.

Light on purpose: the Snakefile imports it, and every cluster job parses the Snakefile again. What a
task, a cell, a transition, a kind of figure or a theorem adds comes from its extension point.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from itertools import product
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError, model_validator

from urnn import devices
from urnn.errors import ConfigError
from urnn.figures import POINT as FIGURES
from urnn.figures.base import FigureSettings, OneExperiment, SeveralExperiments
from urnn.losses import LOSSES
from urnn.plugs import row
from urnn.recurrence import Spec
from urnn.settings.base import Count, Name, PositiveNumber, Settings, distinct, explain, near
from urnn.settings.model import Model, model_type
from urnn.settings.style import Style
from urnn.settings.theory import TheorySettings
from urnn.settings.training import Recipe
from urnn.tasks import POINT as TASKS
from urnn.tasks.base import Task
from urnn.theorems import POINT as THEOREMS


class Labelled(Settings):
    """What a row of the table of models has besides the model."""

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

    def problems(self, path: str, models: Mapping[str, Any]) -> Iterator[str]:
        """What is wrong with the keys that differ."""
        for model, changes in self.models.items():
            yield from _unknown(f"{path}.models.{model}", model, models, "models")
            yield from _wrong(changes, f"{path}.models.{model}")
        for size, changes in self.hidden_units.items():
            yield from _wrong(changes, f"{path}.hidden_units.{size}")


class Experiment(Settings):
    """What experiments of all tasks have: models of several sizes, trained on each realization."""

    label: Annotated[str, Field(min_length=1, max_length=60)] | None = Field(
        None,
        description="name in figures of several experiments; null: that of its recipe, or its own",
    )
    realizations: Annotated[int, Field(ge=1, le=1000)] = Field(
        description="independent draws of the task's data"
    )
    block_size: Count | None = Field(
        None,
        description="realizations that one job trains in lock step; null: 16 on a CPU, as many as "
        "gpu_memory allows on a GPU, and files that are there already stay as they are",
    )
    models: Annotated[list[Name], Field(min_length=1), AfterValidator(distinct)] = Field(
        description="which models, by their names in the table of models"
    )
    hidden_units: Annotated[
        list[Annotated[int, Field(ge=1, le=128)]], Field(min_length=1), AfterValidator(distinct)
    ] = Field(description="sizes of every model")
    recipe: Name = Field(description="how they are trained, by its name in recipes")
    data_of: Name | None = Field(
        None,
        description="another experiment with the same data, whose files are used: "
        "recipes can be compared without making the data for each; null: its own",
    )

    @property
    def source(self) -> Task:
        """The task, with its own settings alone."""
        return TASKS.part(self)


if TYPE_CHECKING:

    class AnyExperiment(Experiment, Task):
        """An experiment; its key ``task`` says which further keys it has."""

    class AnyModel(Labelled, Model):
        """A row of the table of models."""

    class AnyFigure(FigureSettings):
        """A figure; its key ``kind`` says which further keys it has."""

else:
    AnyExperiment = TASKS.union(Experiment)
    AnyModel = model_type(Labelled)
    AnyFigure = FIGURES.chosen(
        [
            row(plug, SeveralExperiments if plug.several else OneExperiment)
            for plug in map(FIGURES.plug, FIGURES)
        ]
    )


class Config(Settings):
    """Everything that defines a run."""

    seed: Annotated[int, Field(ge=0)] = Field(2019, description="all other seeds derive from it")
    device: Annotated[str, Field(pattern=devices.PATTERN)] = Field(
        "auto",
        description="where models are trained. auto: on a GPU if there is one for the kernels, "
        "else the CPU; on a cluster always the CPU. cuda or cuda:N: a GPU. mps: that of a "
        "Mac, by torch's loop. cpu. reference: torch in float64, slow",
    )
    gpu_memory: PositiveNumber = Field(
        4.0,
        description="GB of a GPU's memory that the blocks of one training job may take, where no "
        "block_size is given",
    )
    experiments: Annotated[dict[Name, AnyExperiment], Field(min_length=1)]
    models: Annotated[dict[Name, AnyModel], Field(min_length=1)]
    recipes: Annotated[dict[Name, RecipeEntry], Field(min_length=1)]
    figures: dict[Name, AnyFigure] = Field(default_factory=dict)
    theory: TheorySettings | None = Field(
        None, description="the numbers and figures of the theorems; {} for the usual sizes"
    )
    style: Style = Field(default_factory=lambda: Style())

    @model_validator(mode="after")
    def _references(self) -> Config:
        problems: list[str] = []
        for name, recipe in self.recipes.items():
            problems.extend(recipe.problems(f"recipes.{name}", self.models))
        for name in self.experiments:
            unknown = list(self._unknown_names(name))
            problems.extend(unknown or ([] if problems else self._trainings(name)))
            problems.extend(self._other_data(name))
        for name, figure in self.figures.items():
            if name in THEOREMS:
                problems.append(f"figures.{name}: a theorem's figure has this name; choose another")
            problems.extend(self._figure(f"figures.{name}", figure))
        if problems:  # the same for several sizes of a model is said once
            raise ValueError("\n".join(dict.fromkeys(problems)))
        return self

    def _unknown_names(self, name: str) -> Iterator[str]:
        """What an experiment names and the other tables do not have."""
        experiment, path = self.experiments[name], f"experiments.{name}"
        yield from _unknown(f"{path}.recipe", experiment.recipe, self.recipes, "recipes")
        for model in experiment.models:
            yield from _unknown(f"{path}.models", model, self.models, "models")

    def _trainings(self, name: str) -> Iterator[str]:
        """What is wrong with the sizes and recipes of an experiment's models."""
        experiment, path = self.experiments[name], f"experiments.{name}"
        for model, size in product(experiment.models, experiment.hidden_units):
            problem = self.models[model].size_problem(size)
            if problem:
                yield f"{path}.hidden_units: for {model}, {problem}"
        train = experiment.training_trials
        for model, size in product(experiment.models, experiment.hidden_units):
            recipe, at = self.recipe(name, model, size), f"recipes.{experiment.recipe}"
            on_test = recipe.validate_on_test
            if on_test and experiment.test_apart:
                yield (
                    f"{at}.validate_on_test: true for {model}, but the test of {path} has another "
                    "length than its windows; leave it out"
                )
            own = experiment.test_trials if on_test else experiment.validation_trials
            share = recipe.validation_trials(train)
            if recipe.validation_ratio and own:
                has = "the test trials" if on_test else "validation trials of its own"
                yield (
                    f"{at}.validation_ratio: {recipe.validation_ratio} for {model}, but {path} has "
                    f"{has} for validation; leave it out"
                )
            elif recipe.patience is not None and not own and not share:
                yield (
                    f"{at}.patience: {recipe.patience} for {model}, but {path} has no "
                    "validation trials; set validation_ratio, such as 0.1"
                )
            if recipe.batch_size > train - share:
                yield (
                    f"{at}.batch_size: {recipe.batch_size} trials for {model}, but {path} leaves "
                    f"{train - share} training trials; at most that many"
                )

    def _other_data(self, name: str) -> Iterator[str]:
        """What is wrong with an experiment's use of the data of another."""
        path, experiments = f"experiments.{name}", self.experiments
        source = experiments[name].data_of
        if source is None:
            return
        usable = [n for n, e in experiments.items() if e.data_of is None and n != name]
        if source not in usable:
            names = ", ".join(usable) or "none"
            yield (
                f"{path}.data_of: {source!r} is not an experiment with data of its own; there "
                f"{'are' if len(usable) > 1 else 'is'} {names}{near(source, usable)}"
            )
            return
        ours, theirs = experiments[name], experiments[source]
        identity = theirs.source.identity()
        for key, value in ours.source.identity().items():
            if value != identity.get(key):
                yield f"{path}.{key}: {value!r} differs from {source}, whose data it uses"
        if ours.realizations > theirs.realizations:
            yield (
                f"{path}.realizations: {ours.realizations}, but {source}, whose data it uses, has "
                f"{theirs.realizations}; at most that many"
            )

    def _figure(self, path: str, figure: AnyFigure) -> Iterator[str]:
        """What is wrong with a figure's experiments."""
        key = "experiments" if figure.several else "experiment"
        for source in figure.sources:
            if source not in self.experiments:
                yield from _unknown(f"{path}.{key}", source, self.experiments, "experiments")
                continue
            experiment = self.experiments[source]
            metric = LOSSES[experiment.loss].metric
            if figure.metric not in (None, metric):
                yield (
                    f"{path}.{key}: {source} is scored by {metric}, but a figure of kind "
                    f"{figure.kind} shows {figure.metric}"
                )
            elif figure.needs_optimum and not experiment.knows_optimum:
                yield (
                    f"{path}.{key}: a figure of kind {figure.kind} shows the distance to the "
                    f"optimum, which is not known for {source}"
                )
            for model in figure.models or ():
                yield from _unknown(f"{path}.models", model, experiment.models, source)
            for name, problem in figure.problems(figure.models or experiment.models):
                yield f"{path}.{name}: {problem}"
        given = [e.label for e in map(self.experiments.get, figure.sources) if e and e.label]
        for label in sorted({label for label in given if given.count(label) > 1}):
            yield f"{path}.{key}: two have the label {label!r} and cannot be told apart"

    def labels(self, figure: str) -> dict[str, Any]:
        """What a figure calls its models, by name, and its experiments, in their order."""
        sources = self.figures[figure].sources
        recipes = [self.experiments[name].recipe for name in sources]
        distinct_recipes = len(set(recipes)) == len(recipes)
        usual = [f"recipe {name}" for name in recipes] if distinct_recipes else sources
        models = [model for name in sources for model in self.experiments[name].models]
        return {
            "models": {model: self.models[model].label for model in models},
            "experiments": [
                self.experiments[name].label or label
                for name, label in zip(sources, usual, strict=True)
            ],
        }

    def recipe(self, experiment: str, model: str, hidden_units: int) -> Recipe:
        """The recipe of a model of one size in an experiment."""
        return self.recipes[self.experiments[experiment].recipe].resolve(model, hidden_units)

    def spec(self, experiment: str, model: str, hidden_units: int) -> Spec:
        """What a training computes; its kernels are compiled for it."""
        source = self.experiments[experiment]
        return Spec(self.models[model].cell_plug, hidden_units, *source.sizes, source.loss)

    def kernels(self) -> dict[str, tuple[Spec, dict[str, list[int]]]]:
        """By name, what trainings and scores run: with which sizes of minibatches ("batches"), and
        on how many scored trials ("trials")."""
        found: dict[str, tuple[Spec, dict[str, list[int]]]] = {}
        for name, experiment in self.experiments.items():
            train = experiment.training_trials
            for model, size in product(experiment.models, experiment.hidden_units):
                recipe = self.recipe(name, model, size)
                share = recipe.validation_trials(train)
                last = (train - share) % recipe.batch_size
                spec = self.spec(name, model, size)
                _, needed = found.setdefault(spec.name, (spec, {}))
                for key, numbers in {
                    "batches": {recipe.batch_size, last},
                    "trials": {experiment.validation_trials, experiment.test_trials, share},
                }.items():
                    needed[key] = sorted((numbers | {*needed.get(key, [])}) - {0})
        return found


def _unknown(path: str, name: str, table: Collection[str], kind: str) -> Iterator[str]:
    if name not in table:
        names = ", ".join(table)
        yield f"{path}: {name!r} is not in {kind}, which has {names}{near(name, table)}"


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
