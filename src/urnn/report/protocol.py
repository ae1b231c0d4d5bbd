"""Where a configuration differs from what the paper says of its experiments."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import resources
from typing import TYPE_CHECKING, Any, NamedTuple

import yaml

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
    recipes = {
        model: config.recipe(name, model, max(experiment.hidden_units)).model_dump()
        for model in experiment.models
    }
    for key, value in paper["recipe"].items():
        here = {model: recipe[key] for model, recipe in recipes.items()}
        values = list(here.values())
        if all(one == values[0] for one in values):
            yield key, values[0], value
        else:
            for model, one in here.items():
                yield f"{key} of {model}", one, value


def _shown(value: Any) -> str:
    if value is None:
        return "none"
    return str(value).lower() if isinstance(value, bool) else str(value)
