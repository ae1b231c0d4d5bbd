"""The datasets that trainings and scores become: variables, units, coordinates and provenance."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from urnn import models, signals, storage, training
from urnn.losses import LOSSES, Loss
from urnn.recurrence import Spec, unpack
from urnn.settings.model import Model
from urnn.settings.training import Recipe
from urnn.trials import KEPT_ATTRIBUTES, Trials

_BOTH = ("realization", "restart")
_EVERYWHERE = ("model", "hidden_units", "realization")
#: of every epoch, by variable; the scores keep all but the first
_HISTORIES = {
    "loss": "{loss} of the training trials",
    "validation_loss": "{loss} of the validation trials",
    "validation_accuracy": "share of the validation trials classified correctly",
    "constraint_error": "distance of W from its set after each epoch",
}
SCORED_HISTORIES = tuple(_HISTORIES)[1:]
#: samples of the first record of the test that are kept as the models simulate them
_EXCERPT = 500


def _flags(long_name: str, **meanings: int) -> dict[str, Any]:
    """Attributes of a variable whose values are flags, as CF has them."""
    return {
        "long_name": long_name,
        "flag_values": np.array(list(meanings.values()), np.int8),
        "flag_meanings": " ".join(meanings),
    }


def trained(
    spec: Spec,
    model: Model,
    recipe: Recipe,
    result: training.Trained,
    trials: Trials,
    attributes: dict[str, Any],
) -> xr.Dataset:
    """The file of a trained block: parameters, losses, divergence, and which restart to report.

    ``attributes`` are those of `urnn.storage.provenance`; dimensions realization, restart, epoch,
    and those of the parameters.
    """
    shape = (len(trials.realizations), recipe.restarts)
    every = (*_BOTH, "epoch")
    loss_name = LOSSES[spec.loss].long_name
    transition = {} if model.transition_plug.direct else {"p": result.transition_parameters}
    return xr.Dataset(
        {
            **models.to_variables(spec, result.parameters, shape),
            **{
                name: (
                    (*_BOTH, "transition_parameter"),
                    values.reshape(*shape, -1),
                    {"long_name": "values that the transition is made from", "units": "1"},
                )
                for name, values in transition.items()
            },
            **{
                name: (
                    every,
                    getattr(result, name).reshape(*shape, -1),
                    {"long_name": long_name.format(loss=loss_name), "units": "1"},
                )
                for name, long_name in _HISTORIES.items()
            },
            **_ends(spec, model, result, shape),
        },
        coords={
            "realization": trials.realizations,
            "restart": np.arange(recipe.restarts, dtype=np.int32),
            "epoch": np.arange(1, recipe.epochs + 1, dtype=np.int32),
        },
        attrs=attributes,
    )


def _ends(
    spec: Spec, model: Model, result: training.Trained, shape: tuple[int, int]
) -> dict[str, Any]:
    """How each training ended, and which restart to report."""
    kept = result.kept_epoch.reshape(shape)
    diverged = result.diverged.reshape(shape)
    loss, validation_loss = (
        np.take_along_axis(values.reshape(*shape, -1), kept[..., None], 2)[..., 0]
        for values in (result.loss, result.validation_loss)
    )
    W = unpack(spec, result.parameters)["W"]
    error = np.asarray(model.transition_plug.constraint_error(W, np)).reshape(shape)
    return {
        "kept_epoch": (
            _BOTH,
            (kept + 1).astype(np.int32),
            {"long_name": "epoch whose parameters are kept, 0 for none"},
        ),
        "ended": (
            _BOTH,
            result.ended.reshape(shape),
            _why_ended("why the training ended"),
        ),
        "diverged": (
            _BOTH,
            diverged.astype(np.int8),
            _flags("whether the loss or a gradient became NaN or Inf", finite=0, diverged=1),
        ),
        "best_restart": (
            ("realization",),
            training.best_restart(loss, validation_loss, diverged),
            {"long_name": "restart to report, chosen without the test trials"},
        ),
        "steps": (
            _BOTH,
            result.steps.reshape(shape),
            {"long_name": "optimizer steps taken", "units": "1"},
        ),
        "transition_constraint_error": (
            _BOTH,
            error,
            {"long_name": "distance of W from the set it is kept in", "units": "1"},
        ),
        "wall_seconds": (
            (),
            result.wall_seconds,
            {"long_name": "time of the training, all replicas together", "units": "s"},
        ),
    }


def _why_ended(long_name: str) -> dict[str, Any]:
    return _flags(
        long_name,
        all_epochs=training.ALL_EPOCHS,
        early_termination=training.EARLY,
        overflow=training.OVERFLOW,
    )


@dataclass
class ScoreTable:
    """Scores of an experiment while they are filled in: models x sizes x realizations."""

    names: list[str]
    sizes: list[int]
    trials: Trials
    epochs: int
    #: the scores of a perfect model on each realization, by name, where it is known
    optima: dict[str, NDArray]
    scores: dict[str, NDArray] = field(init=False)
    histories: dict[str, NDArray] = field(init=False)
    #: the metric after each epoch, of trainings that validate on the test trials
    by_epoch: NDArray[np.float64] = field(init=False)
    diverged: NDArray[np.int8] = field(init=False)
    ended: NDArray[np.int8] = field(init=False)
    kept_epoch: NDArray[np.int32] = field(init=False)
    parameters: NDArray[np.int64] = field(init=False)
    #: of measured signals: the root mean square errors, and what the models give, in their units
    signals: signals.Signals | None = field(init=False)
    rmse: NDArray[np.float64] = field(init=False)
    simulated: NDArray[np.float32] = field(init=False)
    found: NDArray[np.bool_] = field(init=False)

    def __post_init__(self) -> None:
        shape = (len(self.names), len(self.sizes), len(self.trials.realizations))
        self.scores = {name: np.full(shape, np.nan) for name in self.trials.loss.scores}
        self.histories = {name: np.full((*shape, self.epochs), np.nan) for name in SCORED_HISTORIES}
        self.by_epoch = np.full((*shape, self.epochs), np.nan)
        self.diverged = np.zeros(shape, np.int8)
        self.ended = np.zeros(shape, np.int8)
        self.kept_epoch = np.zeros(shape, np.int32)
        self.parameters = np.zeros(shape[:2], np.int64)
        self.found = np.zeros(shape, bool)
        self.signals = signals.of(self.trials.attributes)
        outputs = self.trials.output_size if self.signals else 0
        steps = min(_EXCERPT, self.trials.x.shape[2]) if self.signals else 0
        self.rmse = np.full((*shape, outputs), np.nan)
        self.simulated = np.full((*shape[:2], steps, outputs), np.nan, np.float32)

    def note_simulation(self, m: int, h: int, s: int, rmse: NDArray, y_hat: NDArray) -> None:
        """Errors (output,) and outputs (trial, time, output) of a realization, in their units."""
        self.rmse[m, h, s] = rmse
        if s == 0:
            self.simulated[m, h] = y_hat[0, : self.simulated.shape[2]]

    def dataset(self, state_factors: Sequence[int], files: Sequence[xr.Dataset]) -> xr.Dataset:
        """The file of scores: dimensions model, hidden_units, realization, epoch."""
        loss = self.trials.loss
        return xr.Dataset(
            {
                **_named(_EVERYWHERE, self.scores, loss.scores),
                **_named(("realization",), self.optima, loss.optima),
                "diverged": (
                    _EVERYWHERE,
                    self.diverged,
                    _flags(
                        "whether every restart diverged; the scores are NaN there",
                        finite=0,
                        diverged=1,
                    ),
                ),
                "ended": (
                    _EVERYWHERE,
                    self.ended,
                    _why_ended("why the training that is scored ended"),
                ),
                **self._histories(loss),
                **self._simulation(),
                "kept_epoch": (
                    _EVERYWHERE,
                    self.kept_epoch,
                    {"long_name": "epoch whose parameters are scored, 0 for none"},
                ),
                "parameters": (
                    ("model", "hidden_units"),
                    self.parameters,
                    {"long_name": "numbers that training may choose", "units": "1"},
                ),
            },
            coords={
                "model": self.names,
                "hidden_units": np.array(self.sizes, np.int32),
                "realization": self.trials.realizations,
                "epoch": np.arange(1, self.epochs + 1, dtype=np.int32),
                **({"output": self.signals.outputs} if self.signals else {}),
                "state_factor": (
                    "model",
                    np.array(state_factors, np.int32),
                    {"long_name": "hidden units per adjusted hidden unit", "units": "1"},
                ),
            },
            attrs=self._attributes(files),
        )

    def _histories(self, loss: Loss) -> dict[str, Any]:
        """What every epoch gave, where there is anything to keep; float32 is exact enough."""
        names = {name: _HISTORIES[name].format(loss=loss.long_name) for name in SCORED_HISTORIES}
        by_epoch = f"{loss.metric}_by_epoch"
        names[by_epoch] = f"{loss.scores[loss.metric]}, after each epoch"
        kept = {
            name: values.astype(np.float32)
            for name, values in {**self.histories, by_epoch: self.by_epoch}.items()
            if np.isfinite(values).any()
        }
        return _named((*_EVERYWHERE, "epoch"), kept, names)

    def _simulation(self) -> dict[str, Any]:
        """Of measured signals: the errors, and an excerpt of the test, in the units of the record.

        The sizes of the dims output and sample are those of the arrays.
        """
        if self.signals is None:
            return {}
        measured = self.signals.outputs_in_units(self.trials.y[0, 0, : self.simulated.shape[2]])
        long_names = {
            "rmse": "root mean square error of the outputs in simulation, in their units",
            "simulated": "outputs that realization 0 gives for the first record of the test",
            "measured": "the same, as measured; NaN where they do not count",
        }
        return {
            "rmse": ((*_EVERYWHERE, "output"), self.rmse, {"long_name": long_names["rmse"]}),
            "simulated": (
                ("model", "hidden_units", "sample", "output"),
                self.simulated,
                {"long_name": long_names["simulated"]},
            ),
            "measured": (("sample", "output"), measured, {"long_name": long_names["measured"]}),
        }

    def _attributes(self, files: Sequence[xr.Dataset]) -> dict[str, Any]:
        first = files[0].attrs
        versions: dict[str, dict[str, None]] = {}
        for file in files:
            for package, version in json.loads(file.attrs.get("versions", "{}")).items():
                versions.setdefault(package, {})[str(version)] = None
        return storage.provenance(
            {file.attrs["model"]: json.loads(file.attrs["config"]) for file in files},
            int(first["seed"]),
            title="Scores on the test trials",
            experiment=first["experiment"],
            epochs=self.epochs,
            # several, where `auto` stood for several: they differ in rounding
            trained_with=json.dumps({name: " and ".join(them) for name, them in versions.items()}),
            computed_by="; ".join(sorted({file.attrs.get("computed_by", "cpu") for file in files})),
            **{key: first[key] for key in KEPT_ATTRIBUTES if key in first},
        )


def _named(
    dims: tuple[str, ...], values: dict[str, NDArray], long_names: dict[str, str]
) -> dict[str, Any]:
    return {
        name: (dims, array, {"long_name": long_names[name], "units": "1"})
        for name, array in values.items()
    }
