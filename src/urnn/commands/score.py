"""`python -m urnn score`: score the trained models of an experiment on its test trials."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING

from urnn.settings.base import parse
from urnn.settings.model import ModelSettings

if TYPE_CHECKING:
    import xarray as xr


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--data", type=Path, nargs="+", required=True, help="data files of all realizations"
    )
    parser.add_argument(
        "--models", type=Path, nargs="+", required=True, help="files of the trained models"
    )
    parser.add_argument("--output", type=Path, required=True, help="NetCDF file to write")


def run(options: argparse.Namespace) -> None:
    import numpy as np
    import xarray as xr

    from urnn import models, scoring, storage
    from urnn.recurrence import backend
    from urnn.tasks.split import SPLIT

    trained = [_open(path) for path in options.models]
    if len({model.attrs["experiment"] for model in trained}) > 1:
        raise storage.DataError("--models: the files are of several experiments; give one's")
    names = list(dict.fromkeys(model.attrs["model"] for model in trained))
    sizes = sorted({int(model.attrs["hidden_units"]) for model in trained})
    settings = {
        model.attrs["model"]: parse(
            ModelSettings, json.dumps(json.loads(model.attrs["config"])["model"]), "model"
        )
        for model in trained
    }
    shape = (len(names), len(sizes), len(options.data))
    r2, r2_centred = np.full(shape, np.nan), np.full(shape, np.nan)
    optimal, optimal_centred = np.full(shape[2], np.nan), np.full(shape[2], np.nan)
    diverged = np.zeros(shape, np.int8)
    found = np.zeros(shape, bool)
    realizations = np.zeros(shape[2], np.int32)
    cpu = backend("cpu")
    inputs: list[np.ndarray] = []
    outputs: list[np.ndarray] = []
    for s, path in enumerate(options.data):
        data = storage.read(path, ("x", "y", "y_clean", "split"))
        storage.check_finite(data, path, ("x", "y", "y_clean"))
        data = data.isel(trial=np.flatnonzero(data["split"].values == SPLIT["test"]))
        if inputs and data["x"].shape != inputs[0].shape:
            raise storage.DataError(
                f"{path}: x of the test trials has the shape {data['x'].shape}, but "
                f"{options.data[0]} has {inputs[0].shape}. All files must be of one task: delete "
                "the one that is not and run again."
            )
        realizations[s] = data.attrs["realization"]
        inputs.append(data["x"].values)
        outputs.append(data["y"].values)
        optimal[s] = scoring.r2_optimal(outputs[s], data["y_clean"].values)
        optimal_centred[s] = scoring.r2_centred_optimal(outputs[s], data["y_clean"].values)
    x = np.stack(inputs)
    for model in trained:
        name, hidden = model.attrs["model"], int(model.attrs["hidden_units"])
        m, h = names.index(name), sizes.index(hidden)
        # the file's replicas that are to be reported, and where their realizations lie in x
        trained_on = model["realization"].values
        rows = np.flatnonzero(np.isin(trained_on, realizations))
        places = [int(np.flatnonzero(realizations == r)[0]) for r in trained_on[rows]]
        best = xr.DataArray(model["best_restart"].values[rows], dims="realization")
        replicas = model.isel(realization=rows).isel(restart=best)
        spec = models.specification(settings[name], hidden, x.shape[-1], outputs[0].shape[-1])
        theta = models.from_variables(
            spec, {str(variable): replicas[variable] for variable in replicas.data_vars}
        )
        y_hat = cpu.outputs(spec, theta, x, np.array(places, np.int64))
        finite = np.isfinite(y_hat).all((1, 2, 3))
        for r, s in enumerate(places):
            found[m, h, s] = True
            if replicas["diverged"].values[r] or not finite[r]:
                diverged[m, h, s] = 1  # left out of the averages by rule, and counted
                continue
            r2[m, h, s] = scoring.r2(outputs[s], y_hat[r])
            r2_centred[m, h, s] = scoring.r2_centred(outputs[s], y_hat[r])
    if not found.all():
        m, h, s = np.argwhere(~found)[0]
        raise storage.DataError(
            f"--models: no file has {names[m]} with {sizes[h]} hidden units for realization "
            f"{realizations[s]}; train it first, or give every model the same sizes"
        )

    everywhere = ("model", "hidden_units", "realization")
    dataset = xr.Dataset(
        {
            "r2": (
                everywhere,
                r2,
                {"long_name": "test R^2 = 1 - MSE / mean(y^2)", "units": "1"},
            ),
            "r2_centred": (
                everywhere,
                r2_centred,
                {"long_name": "test R^2 about the mean of each output", "units": "1"},
            ),
            "r2_optimal": (
                "realization",
                optimal,
                {"long_name": "test R^2 of the output without noise", "units": "1"},
            ),
            "r2_centred_optimal": (
                "realization",
                optimal_centred,
                {
                    "long_name": "test R^2 about the mean of the output without noise",
                    "units": "1",
                },
            ),
            "diverged": (
                everywhere,
                diverged,
                {
                    "long_name": "whether every restart diverged; the scores are NaN there",
                    "flag_values": np.array([0, 1], np.int8),
                    "flag_meanings": "finite diverged",
                },
            ),
        },
        coords={
            "model": names,
            "hidden_units": np.array(sizes, np.int32),
            "realization": realizations,
            "state_factor": (
                "model",
                np.array([models.transition(settings[n]).state_factor for n in names], np.int32),
                {"long_name": "hidden units per adjusted hidden unit", "units": "1"},
            ),
        },
        attrs=storage.provenance(
            {model.attrs["model"]: json.loads(model.attrs["config"]) for model in trained},
            int(trained[0].attrs["seed"]),
            title="Scores on the test trials",
            experiment=trained[0].attrs["experiment"],
            snr_db=float(trained[0].attrs["snr_db"]),
            epochs=max(model.sizes["epoch"] for model in trained),
        ),
    )
    storage.write(dataset, options.output)


def _open(path: Path) -> xr.Dataset:
    from urnn import storage

    return storage.read(path, ("W", "F", "b", "C", "d", "h_init", "diverged", "best_restart"))
