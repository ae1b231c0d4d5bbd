"""Where a configuration differs from what the paper says of its experiments."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import resources
from typing import TYPE_CHECKING, Any, NamedTuple

import yaml

from urnn.figures.findings import counted

if TYPE_CHECKING:
    from urnn.config import Config


class Difference(NamedTuple):
    """A setting of an experiment that is not the paper's."""

    experiment: str
    setting: str
    here: str
    paper: str


def protocol() -> dict[str, dict[str, Any]]:
    """By published figure: the settings that the paper gives, as a configuration would."""
    text = resources.files("urnn.published").joinpath("protocol.yaml").read_text(encoding="utf-8")
    found: dict[str, dict[str, Any]] = yaml.safe_load(text)
    return found


def differences(config: Config) -> list[Difference]:
    """Every difference of every experiment from the published figure that it is nearest to.

    An experiment on measured records is near to none.
    """
    known = protocol()
    found = []
    for name, experiment in config.experiments.items():
        figure = _nearest(experiment.source.model_dump(), experiment.loss, known)
        if figure is not None:
            for setting, here, paper in _compared(config, name, known[figure]):
                if here != paper:
                    found.append(Difference(name, setting, _shown(here), _shown(paper)))
    return found


def _nearest(task: dict[str, Any], loss: str, known: dict[str, dict[str, Any]]) -> str | None:
    """The published figure with the same task and noise, else one with the same kind of loss."""
    for figure, its in known.items():
        if its["task"] == task["task"] and its.get("snr_db") == task.get("snr_db"):
            return figure
    if "snr_db" in task:
        return "figure2"
    return "figure4" if loss == "cross_entropy" else None


def _compared(config: Config, name: str, paper: dict[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    """Setting, value here, value of the paper."""
    experiment = config.experiments[name]
    task = experiment.source.model_dump()
    for key in ("task", "snr_db"):
        if key in paper:
            yield key, task.get(key), paper[key]
    for key, value in paper.get("system", {}).items():
        yield f"system.{key}", task.get("system", {}).get(key), value
    if "realizations" in paper:
        yield "realizations", experiment.realizations, paper["realizations"]
    yield from _of_recipe(config, name, paper["recipe"])


def _of_recipe(config: Config, name: str, paper: dict[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    """The same of the recipe, for each model by itself where the paper has several values."""
    experiment = config.experiments[name]
    own = paper.get("models", {})
    for key, value in paper.items():
        if key == "models":
            continue
        here = {
            size: {m: getattr(config.recipe(name, m, size), key) for m in experiment.models}
            for size in experiment.hidden_units
        }
        theirs = {model: own.get(model, {}).get(key, value) for model in experiment.models}
        parts = [(key, here, value)]
        if any(one != value for one in theirs.values()):
            parts = [
                (f"{key} of {m}", {size: {m: row[m]} for size, row in here.items()}, theirs[m])
                for m in experiment.models
            ]
        for setting, values, its in parts:
            for told, one in _grouped(setting, values):
                yield told, one, its


def _grouped(key: str, here: dict[int, dict[str, Any]]) -> Iterator[tuple[str, Any]]:
    """A setting of each size and model as few lines: what the largest has, and what differs."""
    usual = here[max(here)]
    yield from _of_models(key, usual, usual)
    for size in sorted(here):
        odd = {model: one for model, one in here[size].items() if one != usual[model]}
        for setting, one in _of_models(key, odd, usual):
            yield f"{setting} with {counted(size, 'hidden unit')}", one


def _of_models(
    key: str, values: dict[str, Any], every: dict[str, Any]
) -> Iterator[tuple[str, Any]]:
    """One line if all models have the same value, else one for each."""
    distinct = [one for i, one in enumerate(values.values()) if one not in [*values.values()][:i]]
    if len(values) == len(every) and len(distinct) == 1:
        yield key, distinct[0]
    else:
        for model, one in values.items():
            yield f"{key} of {model}", one


def _shown(value: Any) -> str:
    if value is None:
        return "none"
    return str(value).lower() if isinstance(value, bool) else str(value)
