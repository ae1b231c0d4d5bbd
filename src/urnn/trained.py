"""A trained model of the workflow as a `urnn.RNN`, to be run, saved or converted."""

from __future__ import annotations

import json
from pathlib import Path

from urnn import storage
from urnn.errors import DataError
from urnn.rnn import RNN

_PARAMETERS = ("W", "F", "b", "C", "h_init", "d")
#: activations that act on each unit alone, so that RNN has them for the same parameters
_ACTIVATIONS = ("relu", "tanh", "sigmoid", "identity")


def network(path: str | Path, realization: int | None = None, restart: int | None = None) -> RNN:
    """The network of a file of `python -m urnn train`, float64.

    Args:
        path: results/<experiment>/models/<model>/hidden-NN/realizations-NNN-NNN.nc.
        realization: its number; default: the first in the file.
        restart: default: the one that the scores report.

    Raises:
        DataError: no such file, a cell other than rnn, an activation of pairs, no such realization
            or restart, or a training that diverged.
    """
    path = Path(path)
    file = storage.read(path, ("W", "best_restart", "diverged"))
    model = json.loads(file.attrs["config"])["model"]
    if model["cell"] != "rnn" or model["activation"] not in _ACTIVATIONS:
        kind = model["cell"] if model["cell"] != "rnn" else model["activation"]
        raise DataError(f"{path} holds models with {kind}, which are no urnn.RNN")
    numbers = file["realization"].values.tolist()
    number = numbers[0] if realization is None else realization
    if number not in numbers:
        raise DataError(
            f"{path} holds the realizations {numbers[0]} to {numbers[-1]}, not {number}"
        )
    chosen = file.isel(realization=numbers.index(number))
    index = int(chosen["best_restart"]) if restart is None else restart
    if not 0 <= index < file.sizes["restart"]:
        raise DataError(f"{path} holds {file.sizes['restart']} restarts, from 0, not {index}")
    chosen = chosen.isel(restart=index)
    if chosen["diverged"]:
        raise DataError(f"{path}: the training of realization {number} diverged")
    values = {name: chosen[name].values for name in _PARAMETERS}
    return RNN(**values, activation=model["activation"])
