"""`python -m urnn score`: score the trained models of an experiment on its test trials."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from urnn.settings.base import parse
from urnn.settings.model import ModelSettings

if TYPE_CHECKING:
    import xarray as xr
    from numpy.typing import NDArray


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--data", type=Path, nargs="+", required=True, help="data files of all realizations"
    )
    parser.add_argument(
        "--models", type=Path, nargs="+", required=True, help="files of the trained models"
    )
    parser.add_argument("--output", type=Path, required=True, help="NetCDF file to write")


class Test(NamedTuple):
    """The test trials of all realizations of an experiment."""

    #: (S, N, time, input) float32
    x: NDArray
    #: (S, N, time, output) float32, or labels (S, N) int64
    y: NDArray
    #: size of the readout
    outputs: int
    #: (S,) numbers of the realizations
    realizations: NDArray
    #: scores of a perfect model, (S,) each, by name
    optima: dict[str, NDArray]


def run(options: argparse.Namespace) -> None:
    import numpy as np
    import xarray as xr

    from urnn import models, storage
    from urnn.recurrence import backend

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
    test = _read(options.data)
    labels = test.y.ndim == 2
    shape = (len(names), len(sizes), len(test.realizations))
    epochs = max(model.sizes["epoch"] for model in trained)
    scores = {name: np.full(shape, np.nan) for name in (_ACCURACY if labels else _R2)}
    histories = {name: np.full((*shape, epochs), np.nan) for name in _HISTORIES}
    diverged = np.zeros(shape, np.int8)
    kept_epoch = np.zeros(shape, np.int32)
    parameters = np.zeros(shape[:2], np.int64)
    found = np.zeros(shape, bool)
    cpu = backend("cpu")
    for model in trained:
        name, hidden = model.attrs["model"], int(model.attrs["hidden_units"])
        m, h = names.index(name), sizes.index(hidden)
        # the file's replicas that are to be reported, and where their realizations lie in x
        trained_on = model["realization"].values
        rows = np.flatnonzero(np.isin(trained_on, test.realizations))
        places = [int(np.flatnonzero(test.realizations == r)[0]) for r in trained_on[rows]]
        best = xr.DataArray(model["best_restart"].values[rows], dims="realization")
        replicas = model.isel(realization=rows).isel(restart=best)
        loss = "cross_entropy" if labels else "squared"
        spec = models.specification(settings[name], hidden, test.x.shape[-1], test.outputs, loss)
        recipe = json.loads(model.attrs["config"])["recipe"]
        parameters[m, h] = models.trained_numbers(
            settings[name], spec, recipe["train_initial_state"]
        )
        theta = models.from_variables(
            spec, {str(variable): replicas[variable] for variable in replicas.data_vars}
        )
        y_hat = cpu.outputs(spec, theta, test.x, np.array(places, np.int64))
        finite = np.isfinite(y_hat).reshape(len(places), -1).all(1)
        for r, s in enumerate(places):
            found[m, h, s] = True
            for key, values in histories.items():
                values[m, h, s, : model.sizes["epoch"]] = replicas[key].values[r]
            kept_epoch[m, h, s] = replicas["kept_epoch"].values[r]
            if replicas["diverged"].values[r] or not finite[r]:
                diverged[m, h, s] = 1  # left out of the averages by rule, and counted
                continue
            for key, value in _scores(test.y[s], y_hat[r]).items():
                scores[key][m, h, s] = value
    if not found.all():
        m, h, s = np.argwhere(~found)[0]
        raise storage.DataError(
            f"--models: no file has {names[m]} with {sizes[h]} hidden units for realization "
            f"{test.realizations[s]}; train it first, or give every model the same sizes"
        )

    everywhere = ("model", "hidden_units", "realization")
    long_names = _R2 | _ACCURACY | _OPTIMA
    dataset = xr.Dataset(
        {
            **{
                name: (everywhere, values, {"long_name": long_names[name], "units": "1"})
                for name, values in scores.items()
            },
            **{
                name: ("realization", values, {"long_name": long_names[name], "units": "1"})
                for name, values in test.optima.items()
            },
            "diverged": (
                everywhere,
                diverged,
                {
                    "long_name": "whether every restart diverged; the scores are NaN there",
                    "flag_values": np.array([0, 1], np.int8),
                    "flag_meanings": "finite diverged",
                },
            ),
            **{
                name: (
                    (*everywhere, "epoch"),
                    values,
                    {"long_name": f"{_HISTORIES[name]} after each epoch", "units": "1"},
                )
                for name, values in histories.items()
                if np.isfinite(values).any()
            },
            "kept_epoch": (
                everywhere,
                kept_epoch,
                {"long_name": "epoch whose parameters are scored, 0 for none"},
            ),
            "parameters": (
                ("model", "hidden_units"),
                parameters,
                {"long_name": "numbers that training may choose", "units": "1"},
            ),
        },
        coords={
            "model": names,
            "hidden_units": np.array(sizes, np.int32),
            "realization": test.realizations,
            "epoch": np.arange(1, epochs + 1, dtype=np.int32),
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
            epochs=epochs,
            **{key: trained[0].attrs[key] for key in ("task", "snr_db") if key in trained[0].attrs},
        ),
    )
    storage.write(dataset, options.output)


_R2 = {
    "r2": "test R^2 = 1 - MSE / mean(y^2)",
    "r2_centred": "test R^2 about the mean of each output",
}
_HISTORIES = {
    "validation_loss": "validation loss",
    "validation_accuracy": "validation accuracy",
    "violation": "distance of W from its set",
}
_ACCURACY = {"accuracy": "share of the test trials recognised"}
_OPTIMA = {
    "r2_optimal": "test R^2 of the output without noise",
    "r2_centred_optimal": "test R^2 about the mean of the output without noise",
}


def _scores(y: NDArray, y_hat: NDArray) -> dict[str, float]:
    """The scores of one replica: of outputs (N, time, output), or of classes (N, class)."""
    from urnn import scoring

    if y.ndim == 1:
        return {"accuracy": float((y_hat.argmax(1) == y).mean())}
    return {"r2": scoring.r2(y, y_hat), "r2_centred": scoring.r2_centred(y, y_hat)}


def _read(paths: list[Path]) -> Test:
    """The test trials of all files, which must be of one task."""
    import numpy as np

    from urnn import scoring, storage
    from urnn.tasks.split import SPLIT

    x: list[np.ndarray] = []
    y: list[np.ndarray] = []
    realizations: list[int] = []
    optima: dict[str, list[float]] = {}
    for path in paths:
        data = storage.read(path, ("x", "split"))
        names = ("label",) if "label" in data else ("y", "y_clean")
        if not all(name in data for name in names):
            raise storage.DataError(f"{path} lacks y, y_clean or label: it is another kind of file")
        storage.check_finite(data, path, ("x", *names))
        chosen = np.flatnonzero(data["split"].values == SPLIT["test"])
        values, wanted = data["x"].values[chosen], data[names[0]].values[chosen]
        if x and (values.shape, wanted.shape) != (x[0].shape, y[0].shape):
            raise storage.DataError(
                f"{path}: x of the test trials has the shape {values.shape}, but "
                f"{paths[0]} has {x[0].shape}. All files must be of one task: delete "
                "the one that is not and run again."
            )
        realizations.append(int(data.attrs["realization"]))
        x.append(values)
        y.append(wanted)
        if "y_clean" in names:
            clean = data["y_clean"].values[chosen]
            for name, optimum in (
                ("r2_optimal", scoring.r2_optimal),
                ("r2_centred_optimal", scoring.r2_centred_optimal),
            ):
                optima.setdefault(name, []).append(optimum(wanted, clean))
    outputs = int(data.attrs["classes"]) if "label" in data else y[0].shape[-1]
    return Test(
        np.stack(x),
        np.stack(y),
        outputs,
        np.array(realizations, np.int32),
        {name: np.array(values) for name, values in optima.items()},
    )


def _open(path: Path) -> xr.Dataset:
    from urnn import storage

    return storage.read(path, ("W", "F", "b", "C", "d", "h_init", "diverged", "best_restart"))
