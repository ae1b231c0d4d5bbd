"""`python -m urnn score`: score the trained models of an experiment on its test trials."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from urnn.commands import overwrite_argument
from urnn.settings.base import validated
from urnn.settings.model import AnyModel

if TYPE_CHECKING:
    import xarray as xr

    from urnn.results import ScoreTable
    from urnn.settings.model import Model

#: what is read of a file of trained models, besides the parameters of its cell
_NEEDS = ("diverged", "best_restart", "kept_epoch", "ended")
_ATTRIBUTES = ("experiment", "model", "hidden_units", "config", "seed")


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--data", type=Path, nargs="+", required=True, help="data files of all realizations"
    )
    parser.add_argument(
        "--models", type=Path, nargs="+", required=True, help="files of the trained models"
    )
    parser.add_argument("--output", type=Path, required=True, help="NetCDF file to write")
    overwrite_argument(parser)


def run(options: argparse.Namespace) -> None:
    from urnn import scoring, storage, trials
    from urnn.errors import DataError
    from urnn.results import SCORED_HISTORIES, ScoreTable

    storage.check_new(options.output, [*options.data, *options.models], options.overwrite)
    files = [
        storage.read(path, (*_NEEDS, *SCORED_HISTORIES), _ATTRIBUTES) for path in options.models
    ]
    if len({file.attrs["experiment"] for file in files}) > 1:
        raise DataError("--models: the files are of several experiments; name those of one")
    settings = {
        file.attrs["model"]: validated(AnyModel, json.loads(file.attrs["config"])["model"], "model")
        for file in files
    }
    test = trials.to_test(options.data)
    for path, file in zip(options.models, files, strict=True):
        lacking = [n for n in settings[file.attrs["model"]].cell_plug.dimensions if n not in file]
        if lacking:
            raise DataError(f"{path} lacks {', '.join(lacking)}: it is another kind of file")
        sizes = file.sizes["input"], file.sizes["output"]
        if sizes != (test.x.shape[-1], test.output_size):
            raise DataError(
                f"{path}: the model has {sizes[0]} inputs and {sizes[1]} outputs, but "
                f"{options.data[0]} has {test.x.shape[-1]} and {test.output_size}; give the data "
                "that it was trained on"
            )
    table = ScoreTable(
        list(settings),
        sorted({int(file.attrs["hidden_units"]) for file in files}),
        test,
        max(file.sizes["epoch"] for file in files),
        scoring.optima(test.loss.optima, test.y, test.y_clean),
    )
    for file in files:
        _score(file, settings[file.attrs["model"]], table)
    _check_complete(table)
    factors = [settings[name].transition_plug.state_factor for name in table.names]
    scores = table.dataset(factors, files)
    storage.write(scores, options.output, [str(n) for n in scores if "epoch" in scores[n].dims])


def _score(file: xr.Dataset, model: Model, table: ScoreTable) -> None:
    """Fill in the scores of one file: the restart to report of each of its realizations."""
    import numpy as np
    import xarray as xr

    from urnn import models, scoring
    from urnn.recurrence import backend

    test, hidden_units = table.trials, int(file.attrs["hidden_units"])
    m, h = table.names.index(file.attrs["model"]), table.sizes.index(hidden_units)
    # the file's replicas that are to be reported, and where their realizations lie in x
    trained_on = file["realization"].values
    rows = np.flatnonzero(np.isin(trained_on, test.realizations))
    places = [int(np.flatnonzero(test.realizations == r)[0]) for r in trained_on[rows]]
    best = xr.DataArray(file["best_restart"].values[rows], dims="realization")
    replicas = file.isel(realization=rows).isel(restart=best)
    sizes = hidden_units, test.x.shape[-1], test.output_size
    spec = models.specification(model, *sizes, test.loss.name)
    recipe = json.loads(file.attrs["config"])["recipe"]
    table.parameters[m, h] = models.trained_numbers(model, spec, recipe["train_initial_state"])
    theta = models.from_variables(spec, {str(v): replicas[v] for v in replicas.data_vars})
    y_hat = backend("cpu").outputs(spec, theta, test.x, np.array(places, np.int64))
    finite = np.isfinite(y_hat).reshape(len(places), -1).all(1)
    for r, s in enumerate(places):
        table.found[m, h, s] = True
        histories = table.histories
        if recipe.get("validate_on_test"):  # then the loss says no more than the score does
            histories = {k: v for k, v in histories.items() if k != "validation_loss"}
            table.by_epoch[m, h, s, : file.sizes["epoch"]] = test.loss.score(
                replicas["validation_loss"].values[r],
                replicas["validation_accuracy"].values[r],
                test.y[s],
            )
        for key, values in histories.items():
            values[m, h, s, : file.sizes["epoch"]] = replicas[key].values[r]
        table.kept_epoch[m, h, s] = replicas["kept_epoch"].values[r]
        table.ended[m, h, s] = replicas["ended"].values[r]
        if replicas["diverged"].values[r] or not finite[r]:
            table.diverged[m, h, s] = 1  # left out of the averages by rule, and counted
            continue
        y, outputs = test.y[s], y_hat[r]
        if table.signals is not None:
            measured, simulated = map(table.signals.outputs_in_units, (y, outputs))
            table.note_simulation(m, h, s, scoring.rmse(measured, simulated), simulated)
            y, outputs = map(table.signals.about_zero, (y, outputs))
        for key, value in scoring.compute(test.loss.scores, y, outputs).items():
            table.scores[key][m, h, s] = value


def _check_complete(table: ScoreTable) -> None:
    """Refuse files that lack a model of a size for a realization."""
    import numpy as np

    from urnn.errors import DataError

    if not table.found.all():
        m, h, s = np.argwhere(~table.found)[0]
        raise DataError(
            f"--models: no file has {table.names[m]} with {table.sizes[h]} hidden units for "
            f"realization {table.trials.realizations[s]}; train it first, or give every model the "
            "same sizes"
        )
