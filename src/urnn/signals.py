"""The signals of a record as its models know them: names, scaling, sampling."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

#: the attribute that holds them, of data files, trained models and scores
ATTRIBUTE = "signals"


@dataclass(frozen=True)
class Signals:
    """Models see (u - input_mean) / input_std, and give (y - output_mean) / output_std."""

    inputs: list[str]
    outputs: list[str]
    input_mean: list[float]
    input_std: list[float]
    output_mean: list[float]
    output_std: list[float]
    #: between samples; None: not known
    sample_time: float | None
    #: the column of the times of the samples, if there is one
    time: str | None
    #: samples at the start of a record that do not count in scores
    warm_up: int
    #: "mask" or "cut", see `urnn.records.pieces`
    missing: str

    def scaled_inputs(self, u: NDArray) -> NDArray[np.float32]:
        """(..., inputs) as models see them."""
        return ((u - np.array(self.input_mean)) / np.array(self.input_std)).astype(np.float32)

    def scaled_outputs(self, y: NDArray) -> NDArray[np.float32]:
        """(..., outputs) as models give them."""
        return ((y - np.array(self.output_mean)) / np.array(self.output_std)).astype(np.float32)

    def about_zero(self, y: NDArray) -> NDArray[np.float64]:
        """Scaled outputs (..., outputs) in units of output_std alone, so that 0 is the record's 0.

        R^2 of several outputs is pooled in these units; that of one is that of the record's.
        """
        values: NDArray[np.float64] = y + np.array(self.output_mean) / np.array(self.output_std)
        return values

    def outputs_in_units(self, y: NDArray) -> NDArray[np.float64]:
        """What models give, (..., outputs), in the units of the record."""
        values: NDArray[np.float64] = y * np.array(self.output_std) + np.array(self.output_mean)
        return values


def of(attributes: Mapping[Any, Any]) -> Signals | None:
    """The signals of a file, by its attributes; None: its data are no records."""
    text = attributes.get(ATTRIBUTE)
    return None if text is None else Signals(**json.loads(text))
