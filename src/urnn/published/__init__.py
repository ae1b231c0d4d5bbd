"""The curves of the published figures, read off by pixel position, to be drawn beside ours.

Source: Emami, Sahraee-Ardakan, Rangan, Fletcher, "Input-Output Equivalence of Unitary and
Contractive RNNs", NeurIPS 2019, figures 2, 3 and 4. The reading error is in each file's first line.
"""

from __future__ import annotations

import re
from importlib import resources
from typing import TYPE_CHECKING, Literal, get_args

from urnn.errors import ArgumentError

if TYPE_CHECKING:
    import pandas as pd

#: The figures of test R^2 and those of test accuracy.
OfR2 = Literal["figure2", "figure3"]
OfAccuracy = Literal["figure4"]
NAMES: tuple[str, ...] = (*get_args(OfR2), *get_args(OfAccuracy))


def load(name: str) -> pd.DataFrame:
    """The curves of one published figure: one row per hidden size, one column per model.

    The index is ``hidden_units``; a size at which a curve has no point is NaN. Columns have the
    names that the models have in our configurations. They are test R^2 (figures 2 and 3) or test
    accuracy (figure 4, where ``rnn_fast`` is ``rnn`` with ten times the learning rate), without
    units. ``attrs`` holds "name", "comment" (the file's first line) and "optimal" (the dashed line,
    a float; None where the figure has none).

    Raises:
        ArgumentError: there is no published figure of this name.
    """
    import pandas as pd

    if name not in NAMES:
        raise ArgumentError(f"name must be one of {', '.join(NAMES)}, but it is {name!r}")
    with resources.files(__name__).joinpath(f"{name}.csv").open(encoding="utf-8") as file:
        comment = file.readline().lstrip("#").strip()
        curves = pd.read_csv(file, index_col="hidden_units").astype(float)
    optimal = re.search(r"optimal\s*=\s*([0-9.]+)", comment)
    curves.attrs = {
        "name": name,
        "comment": comment,
        "optimal": float(optimal[1]) if optimal else None,
    }
    return curves
