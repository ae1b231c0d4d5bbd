"""Trained models as they are used: one replica of a file of trained models, and its outputs."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
from numpy.typing import NDArray

from urnn import models, signals, storage
from urnn.errors import DataError
from urnn.records import Piece
from urnn.recurrence import Spec, backend, unpack
from urnn.rnn import RNN
from urnn.settings.base import validated
from urnn.settings.model import AnyModel, Model
from urnn.signals import Signals

#: what every file of trained models has
_ATTRIBUTES = ("config",)
_NEEDS = ("best_restart", "diverged", "C", "d")
#: activations that act on each unit alone, so that RNN has them for the same parameters
_ACTIVATIONS = ("relu", "tanh", "sigmoid", "identity")


@dataclass(frozen=True)
class Replica:
    """One trained network of a file."""

    file: xr.Dataset
    #: the number of its realization, and its place in the file
    realization: int
    row: int
    restart: int

    @property
    def validation_loss(self) -> float:
        """At the epoch whose parameters are kept; NaN without validation."""
        epoch = int(self.file["kept_epoch"].values[self.row, self.restart]) - 1
        return float(self.file["validation_loss"].values[self.row, self.restart, epoch])

    @property
    def model(self) -> Model:
        """Its settings."""
        config = json.loads(self.file.attrs["config"])
        return validated(AnyModel, config["model"], "model")

    @property
    def spec(self) -> Spec:
        """What it computes."""
        inputs = self.file.sizes["input"]
        outputs = self.file.sizes["output"]
        size = self.file.sizes["hidden_previous"]
        return models.specification(self.model, size, inputs, outputs)

    @property
    def signals(self) -> Signals | None:
        """The signals that it was trained on; None: no record."""
        return signals.of(self.file.attrs)

    @property
    def theta(self) -> NDArray[np.float32]:
        """Its parameters, (1, K)."""
        one = self.file.isel(realization=[self.row], restart=[self.restart])
        return models.from_variables(self.spec, {str(v): one[v] for v in one.data_vars})

    @property
    def parameters(self) -> dict[str, NDArray[np.float32]]:
        """Its parameters by their names in the equations."""
        return {name: values[0] for name, values in unpack(self.spec, self.theta).items()}

    @property
    def parameters_in_units(self) -> dict[str, NDArray[np.float64]]:
        """Those of the network that takes and gives the units of its record, if it has one.

        F S^-1, b - F S^-1 m, T C and T d + k, where x = S^-1 (u - m) is scaled, y = T y_scaled + k.

        Raises:
            DataError: the network is complex, so that it has no bias for the mean of the inputs.
        """
        values = {name: value.astype(float) for name, value in self.parameters.items()}
        described = self.signals
        if described is None:
            return values
        if self.spec.cell.paired:
            raise DataError(
                "a complex network has no bias that could take the mean of the inputs, so it "
                "cannot have the units of its record"
            )
        std = np.array(described.output_std)
        F = values["F"] / np.array(described.input_std)
        return values | {
            "F": F,
            "b": values["b"] - F @ np.array(described.input_mean),
            "C": std[:, None] * values["C"],
            "d": std * values["d"] + np.array(described.output_mean),
        }

    def alone(self) -> xr.Dataset:
        """A file of trained models that has no other."""
        one = self.file.isel(realization=[self.row], restart=[self.restart])
        best = (("realization",), np.zeros(1, np.int64), self.file["best_restart"].attrs)
        return one.assign(best_restart=best)

    def outputs(self, x: NDArray[np.float32]) -> NDArray[np.float32]:
        """Outputs (time, output) of inputs (time, input), both as the model has them; float32."""
        found = backend("cpu").outputs(self.spec, self.theta, x[None, None], np.zeros(1, np.int64))
        values: NDArray[np.float32] = found[0, 0]
        return values

    def simulate(self, pieces: Sequence[Piece], rows: int) -> NDArray[np.float64]:
        """Outputs (rows, output) of a record in its units; NaN in no piece. Each starts anew."""
        described = self.signals
        assert described is not None
        found = np.full((rows, self.spec.output_size), np.nan)
        for piece in pieces:
            y = self.outputs(described.scaled_inputs(piece.x))
            found[piece.first : piece.first + len(y)] = described.outputs_in_units(y)
        return found


def replicas(file: xr.Dataset) -> Iterator[Replica]:
    """The reported restart of each realization that did not diverge."""
    for row, number in enumerate(file["realization"].values):
        restart = int(file["best_restart"].values[row])
        if not file["diverged"].values[row, restart]:
            yield Replica(file, int(number), row, restart)


def read(path: Path, realization: int | None = None, restart: int | None = None) -> Replica:
    """A trained network of a file.

    Args:
        path: results/<experiment>/models/<model>/hidden-NN/realizations-NNN-NNN.nc.
        realization: its number; default: the first whose training did not diverge.
        restart: default: the one that the scores report.

    Raises:
        DataError: it is no file of trained models, has no such realization or restart, or the
            training diverged.
    """
    file = storage.read(path, _NEEDS, _ATTRIBUTES)
    numbers = [int(number) for number in file["realization"].values]
    if realization is None:
        realization = next((one.realization for one in replicas(file)), numbers[0])
    if realization not in numbers:
        raise DataError(
            f"{path} holds the realizations {numbers[0]} to {numbers[-1]}, not {realization}"
        )
    row = numbers.index(realization)
    index = int(file["best_restart"].values[row]) if restart is None else restart
    if not 0 <= index < file.sizes["restart"]:
        raise DataError(f"{path} holds {file.sizes['restart']} restarts, from 0, not {index}")
    if file["diverged"].values[row, index]:
        raise DataError(f"{path}: the training of realization {realization} diverged")
    return Replica(file, realization, row, index)


def network(path: str | Path, realization: int | None = None, restart: int | None = None) -> RNN:
    """The network of a file of trained models, float64; of a record, in the record's units.

    Raises:
        DataError: as `read`, and for a cell other than the plain recurrence or an activation of
            pairs.
    """
    replica = read(Path(path), realization, restart)
    # which keys it has depends on its cell
    model: Any = replica.model
    cell = model.cell_plug
    if not cell.takes_transition or model.activation not in _ACTIVATIONS:
        kind = model.activation if cell.takes_transition else cell.tag
        raise DataError(f"{path} holds models with {kind}, which are no urnn.RNN")
    return RNN(**replica.parameters_in_units, activation=model.activation)
