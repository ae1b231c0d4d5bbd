"""`urnn predict`: the outputs that a trained model simulates for a record, as a CSV file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from urnn import record_files, records, scoring, storage, trained
from urnn.errors import ConfigError, DataError

if TYPE_CHECKING:
    from urnn.records import Piece, Record
    from urnn.signals import Signals


def rows(text: str) -> tuple[int, int | None]:
    """FIRST and LAST of "FIRST:LAST", each may be left out.

    Raises:
        ConfigError: it is something else.
    """
    first, colon, last = text.partition(":")
    digits = all(part.isdecimal() or not part for part in (first, last))
    if not colon or not digits or (first and last and int(last) <= int(first)):
        raise ConfigError(f"--rows: must be FIRST:LAST such as 1000:2000 or 1000:, but is {text!r}")
    return int(first or 0), int(last) if last else None


def run(
    model: Path, path: Path, output: Path, first: int, last: int | None, realization: int | None
) -> None:
    """Simulate rows of a record, write the outputs, and print the errors where they are known.

    Raises:
        DataError: the model was not trained on records, or the record lacks its inputs.
    """
    replica = trained.read(model, realization)
    described = replica.signals
    if described is None:
        raise DataError(
            f"{model} was not trained on records, so it does not know the names and units of its "
            "inputs; `urnn fit` makes models that do"
        )
    record, compared = _read(path, described)
    number = len(record.values)
    last = number if last is None else last
    if first >= number or last > number:
        raise ConfigError(f"--rows: {path} has the rows 0 to {number}")
    pieces = records.pieces(record, len(described.inputs), described.missing, first, last)
    if not pieces:
        raise DataError(f"{path} has no row with all inputs; there is nothing to simulate")
    y = replica.simulate(pieces, number)[first:last]
    _write(record, described, y, first, output)
    print(f"{output}: {last - first} rows")
    if compared:
        for line in errors(pieces, described, y, first):
            print(line)


def _read(path: Path, described: Signals) -> tuple[Record, bool]:
    """The record, outputs included where it has values of all; missing else."""
    names = [*described.inputs, *described.outputs]
    compared = True
    try:
        record = records.read(path, names, described.time)
    except record_files.MissingColumn:
        inputs, compared = records.read(path, described.inputs, described.time), False
        absent = np.full((len(inputs.values), len(described.outputs)), np.nan)
        values = np.concatenate([inputs.values, absent], axis=1)
        record = records.Record(path, tuple(names), values, inputs.sample_time)
    _check_sample_time(record, described)
    return record, compared


def _check_sample_time(record: Record, described: Signals) -> None:
    """Refuse a record with other steps than those of the training.

    Raises:
        DataError: names both sampling times.
    """
    ours, theirs = described.sample_time, record.sample_time
    if not records.of_one_sample_time(ours, theirs):
        raise DataError(
            f"{record.path}: the samples are {theirs:g} apart, but the model was trained on "
            f"samples {ours:g} apart; resample the record"
        )


def errors(
    pieces: Sequence[Piece], described: Signals, y: NDArray[np.float64], first: int
) -> list[str]:
    """Lines on the errors, without the warm-up of each piece, as scores have them.

    y (rows, output) are the simulated rows from ``first`` on.
    """
    measured = np.full_like(y, np.nan)
    for piece in pieces:
        begin = piece.first - first
        counted = piece.y[described.warm_up :]
        measured[begin + described.warm_up : begin + len(piece.y)] = counted
    if np.isnan(measured).all(0).any():
        return ["The record has no outputs to compare after the warm-up."]
    rmse = zip(described.outputs, scoring.rmse(measured, y), strict=True)
    lines = [f"RMSE of {name}: {value:.6g}" for name, value in rmse]
    if (np.nanmin(measured, 0) == np.nanmax(measured, 0)).all():
        return [*lines, "R² is not defined: the measured outputs are constant in these rows."]
    std = np.array(described.output_std)
    found = scoring.compute(("r2", "r2_centred"), measured / std, y / std)
    told = f"R²: {found['r2']:.6f}, centred R²: {found['r2_centred']:.6f}"
    return [*lines, f"{told} (without the first {described.warm_up} samples)"]


def _write(
    record: Record, described: Signals, y: NDArray[np.float64], first: int, output: Path
) -> None:
    """A column of the row, of the time where it is known, and of each output."""
    import pandas as pd

    number = first + np.arange(len(y))
    table: dict[str, NDArray] = {"row": number}
    if record.sample_time is not None:
        table["time_since_start"] = number * record.sample_time
    table |= {name: y[:, k] for k, name in enumerate(described.outputs)}
    frame = pd.DataFrame(table)
    storage.replace(output, lambda path: frame.to_csv(path, index=False))
