"""One style for every figure: colours, markers, sizes, and how a figure is written to a file.

Colours are those of Okabe and Ito ("Color Universal Design", 2008), told apart by people with any
of the common colour-vision deficiencies. Each model also has a marker of its own, so that a figure
can be read in grey.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import numpy as np
from numpy.typing import NDArray

from urnn import storage

if TYPE_CHECKING:
    import xarray as xr
    from matplotlib.figure import Figure

BLACK = "#000000"
ORANGE = "#E69F00"
SKY_BLUE = "#56B4E9"
GREEN = "#009E73"
BLUE = "#0072B2"
VERMILLION = "#D55E00"
PURPLE = "#CC79A7"
GREY = "#5F5F5F"

#: Colour and marker of the models that have a name; the same in every figure.
MODELS: dict[str, tuple[str, str]] = {
    "rnn": (BLUE, "o"),
    "urnn": (VERMILLION, "s"),
    "lstm": (GREEN, "^"),
    "contractive_rnn": (PURPLE, "D"),
}
#: What any further model gets, in the order in which it appears.
OTHERS: tuple[tuple[str, str], ...] = tuple(
    # 7 colours and 10 markers: 70 pairs before one comes again
    (colour, "vPX<>p*hdH"[i % 10])
    for i, colour in enumerate(10 * (ORANGE, SKY_BLUE, BLACK, BLUE, VERMILLION, GREEN, PURPLE))
)
#: seaborn's scales.
CONTEXTS = {"paper": 0.8, "notebook": 1.0, "talk": 1.5, "poster": 2.0}


@dataclass(frozen=True)
class Style:
    """Sizes in inches and points; pass another one to a figure's ``plot`` to change its looks.

    The first four have the names and meanings of the configuration's style, so that one is made
    from the other by ``Style(**settings.model_dump())``. ``context`` scales fonts and lines as
    seaborn's contexts of the same names do.
    """

    width: float = 7.2
    height: float = 3.8
    dots_per_inch: int = 200
    context: str = "paper"
    font_size: float = 8.5
    line_width: float = 1.5
    marker_size: float = 5.0
    #: Published curves: thin and light, without markers.
    published_line_width: float = 1.0
    published_alpha: float = 0.55
    models: dict[str, tuple[str, str]] = field(default_factory=lambda: dict(MODELS))

    @property
    def scale(self) -> float:
        """How much larger fonts and lines are than in the context "paper".

        Raises:
            ValueError: there is no such context.
        """
        if self.context not in CONTEXTS:
            raise ValueError(f"context must be one of {', '.join(CONTEXTS)}, not {self.context!r}")
        return CONTEXTS[self.context] / CONTEXTS["paper"]

    def of(self, names: list[str]) -> dict[str, tuple[str, str]]:
        """(colour, marker) of each model: the table's, or the next free one of `OTHERS`."""
        spare = [pair for pair in OTHERS if pair not in self.models.values()]
        strangers = [name for name in names if name not in self.models]
        further = {name: spare[i % len(spare)] for i, name in enumerate(strangers)}
        return {name: self.models.get(name) or further[name] for name in names}

    @property
    def parameters(self) -> dict[str, Any]:
        """The matplotlib parameters, starting from its defaults and not from the user's file."""
        size = self.scale * self.font_size
        defaults: Any = mpl.rcParamsDefault
        return {
            **defaults,
            "font.family": "DejaVu Sans",  # comes with matplotlib: the same on every machine
            "font.size": size,
            "axes.titlesize": size,
            "axes.labelsize": size,
            "figure.titlesize": 1.15 * size,
            "legend.fontsize": 0.92 * size,
            "xtick.labelsize": 0.92 * size,
            "ytick.labelsize": 0.92 * size,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "axes.axisbelow": True,
            "axes.grid": True,
            "axes.grid.axis": "y",
            "grid.color": "#E3E3E3",
            "grid.linewidth": 0.7 * self.scale,
            "axes.linewidth": 0.8 * self.scale,
            "lines.linewidth": self.scale * self.line_width,
            "lines.markersize": self.scale * self.marker_size,
            "legend.frameon": False,
            "figure.facecolor": "white",
            "savefig.facecolor": "white",
            "savefig.dpi": self.dots_per_inch,
            # Text as outlines: an SVG shown as an image may load no font, so only outlines look
            # the same for every reader. The words are in the alt text and the captions.
            "svg.fonttype": "path",
            # The ids in an SVG are random without a salt: the same figure, the same bytes.
            "svg.hashsalt": "urnn",
        }

    @contextmanager
    def applied(self) -> Iterator[None]:
        """The style for everything drawn inside the ``with`` block."""
        parameters: Any = {k: v for k, v in self.parameters.items() if k not in _NOT_STYLE}
        with mpl.rc_context(parameters):
            yield


#: Parameters that have to do with the session, not with looks.
_NOT_STYLE = frozenset({"backend", "backend_fallback", "interactive", "toolbar"})

DEFAULT = Style()


def data_name(scores: xr.Dataset) -> str:
    """What the data of an experiment are called in a title, by the attribute task."""
    task = str(scores.attrs.get("task", "synthetic"))
    return {
        "synthetic": "Synthetic data",
        "permuted_mnist": "Permuted MNIST",
        "permuted_digits": "Permuted 8×8 digits",
    }.get(task, task)


def step_aside(x: NDArray, models: int) -> float:
    """How far each model stands beside the one before, so that no error bar hides another."""
    x = np.unique(x.astype(float))
    # three models side by side take little of the way to the next point; many, less than half
    share = min(0.06, 0.4 / max(models - 1, 1))
    return share * float(np.diff(x).min()) if len(x) > 1 else 0.0


def divergence_note(summary: xr.Dataset, labels: dict[str, str]) -> str:
    """How many trainings of which models a mean leaves out; empty where none."""
    left_out = []
    for model, label in labels.items():
        of_model = summary.sel(model=model)
        diverged = int(of_model["diverged"].sum())
        if diverged:
            total = diverged + int(of_model["averaged"].sum())
            left_out.append(f"{label} ({diverged} of {total})")
    return f"Diverged trainings, left out: {', '.join(left_out)}" if left_out else ""


def save(figure: Figure, path: str | Path, style: Style = DEFAULT) -> Path:
    """Write a figure whole or not at all; the format is the suffix of the path, .svg or .png.

    The same figure gives the same bytes: no date, no version, no random ids.

    Raises:
        ValueError: the suffix is neither .svg nor .png.
        DataError: the folder cannot be written, or the disk is full.
    """
    path = Path(path)
    metadata: dict[str, dict[str, Any]] = {
        ".svg": {"Date": None, "Creator": None},
        ".png": {"Software": None},
    }
    if path.suffix not in metadata:
        raise ValueError(f"path must end in .svg or .png, but it is {str(path)!r}")

    def draw(temporary: Path) -> None:
        with style.applied():
            figure.savefig(temporary, format=path.suffix[1:], metadata=metadata[path.suffix])

    storage.replace(path, draw)
    return path
