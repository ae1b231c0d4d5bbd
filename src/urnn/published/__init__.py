"""The curves of the published figures, read off by pixel position, to be drawn beside ours.

Source: Emami, Sahraee-Ardakan, Rangan, Fletcher, "Input-Output Equivalence of Unitary and
Contractive RNNs", NeurIPS 2019, figures 2, 3 and 4. The reading error is in each file's first line.
"""

from __future__ import annotations

import re
from importlib import resources
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pandas as pd

#: Curves of figure 4 by our names of the models: rnn_fast is rnn with ten times the learning rate.
_MODELS = {
    "urnn_lr0.001": "urnn",
    "contractive_lr0.001": "contractive_rnn",
    "rnn_lr0.0001": "rnn",
    "rnn_lr0.001": "rnn_fast",
}
#: The figures there are.
NAMES = ("figure2", "figure3", "figure4")


def load(name: str) -> pd.DataFrame:
    """The curves of one published figure: one row per hidden size, one column per model.

    The index is ``hidden_units``; a size at which a curve has no point is NaN. Columns are test
    R^2 (figures 2 and 3: "rnn", "urnn", "lstm") or test accuracy (figure 4: "urnn",
    "contractive_rnn", "rnn" with a learning rate of 0.0001, "rnn_fast" with 0.001), without units.
    ``attrs`` holds "name", "comment" (the file's first line) and "optimal" (the dashed line,
    a float; None where the figure has none).

    Raises:
        ValueError: there is no published figure of this name.
    """
    import pandas as pd

    if name not in NAMES:
        raise ValueError(f"name must be one of {', '.join(NAMES)}, but it is {name!r}")
    with resources.files(__name__).joinpath(f"{name}.csv").open(encoding="utf-8") as file:
        comment = file.readline().lstrip("#").strip()
        curves = pd.read_csv(file, index_col="hidden").rename_axis("hidden_units").astype(float)
        curves = curves.rename(columns=_MODELS)
    optimal = re.search(r"optimal\s*=\s*([0-9.]+)", comment)
    curves.attrs = {
        "name": name,
        "comment": comment,
        "optimal": float(optimal[1]) if optimal else None,
    }
    return curves
