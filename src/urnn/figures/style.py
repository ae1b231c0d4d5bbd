"""The style of all figures: seaborn's theme, our colours and markers, and how files are written.

Colours are those of Okabe and Ito ("Color Universal Design", 2008), which people with any of the
common colour-vision deficiencies can tell apart. Each model also has a marker of its own, so that a
figure can be read in grey.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import matplotlib as mpl
import seaborn as sns
from matplotlib.colors import to_hex, to_rgb

from urnn import storage
from urnn.errors import ArgumentError
from urnn.settings.style import Style

if TYPE_CHECKING:
    from matplotlib.figure import Figure

BLACK = "#000000"
ORANGE = "#E69F00"
SKY_BLUE = "#56B4E9"
GREEN = "#009E73"
BLUE = "#0072B2"
VERMILLION = "#D55E00"
PURPLE = "#CC79A7"
GREY = "#5F5F5F"

#: (colour, marker) of the models that the shipped configurations have; the same in every figure.
MODELS: dict[str, tuple[str, str]] = {
    "rnn": (BLUE, "o"),
    "urnn": (VERMILLION, "s"),
    "lstm": (GREEN, "^"),
    "gru": (SKY_BLUE, "p"),
    "contractive_rnn": (PURPLE, "D"),
}
#: What any further model gets, in the order in which it appears.
OTHERS: tuple[tuple[str, str], ...] = tuple(
    # 7 colours and 10 markers: 70 pairs before one comes again
    (colour, "vPX<>p*hdH"[i % 10])
    for i, colour in enumerate(10 * (ORANGE, SKY_BLUE, BLACK, BLUE, VERMILLION, GREEN, PURPLE))
)

DEFAULT = Style()
#: Size of text in the context "paper", points.
FONT_SIZE = 8.5
#: A marker's rim, which sets it off against lines and other markers.
EDGE: dict[str, Any] = {"markeredgecolor": "white", "markeredgewidth": 0.6}
#: Error bars.
BARS: dict[str, Any] = {"capsize": 2.2, "elinewidth": 1.1}
#: A line that is not data, such as an optimum or a bound.
DASHED: dict[str, Any] = {"color": GREY, "linestyle": (0, (5, 3)), "linewidth": 1.1}


def looks(names: Iterable[str]) -> dict[str, tuple[str, str]]:
    """(colour, marker) of each model: that of the table, or the next free one of `OTHERS`."""
    spare = [pair for pair in OTHERS if pair not in MODELS.values()]
    found: dict[str, tuple[str, str]] = {}
    for name in names:
        further = sum(known not in MODELS for known in found)
        found[name] = MODELS.get(name) or spare[further % len(spare)]
    return found


def tint(colour: str) -> str:
    """A lighter colour for bars, opaque, so that those of several models do not mix."""
    red, green, blue = (1 - 0.58 * (1 - part) for part in to_rgb(colour))
    return to_hex((red, green, blue))


def scale(style: Style) -> float:
    """How much larger fonts and lines are than in the context "paper"."""
    return _font_size(style.context) / _font_size("paper")


def _font_size(context: Any) -> float:
    return float(sns.plotting_context(context)["font.size"])


@contextmanager
def applied(style: Style) -> Iterator[None]:
    """The style for everything drawn inside the ``with`` block."""
    with mpl.rc_context(_parameters(style)):
        yield


def _parameters(style: Style) -> dict[Any, Any]:
    """The matplotlib parameters, starting from its defaults and not from the user's file."""
    defaults = {name: v for name, v in mpl.rcParamsDefault.items() if name not in _NOT_STYLE}
    times = scale(style)
    return {
        **defaults,
        **sns.axes_style("ticks", _AXES),
        **sns.plotting_context(style.context, font_scale=FONT_SIZE / _font_size("paper")),
        **{name: times * size for name, size in _SIZES.items()},
        "font.family": "DejaVu Sans",  # comes with matplotlib: the same on every machine
        "axes.grid.axis": "y",
        "legend.frameon": False,
        "savefig.facecolor": "white",
        "savefig.dpi": style.dots_per_inch,
        # Text as outlines: an SVG shown as an image may load no font, so only outlines look
        # the same for every reader. The words are in the alt text and the captions.
        "svg.fonttype": "path",
        # The ids in an SVG are random without a salt: the same figure, the same bytes.
        "svg.hashsalt": "urnn",
    }


#: What differs from seaborn's style "ticks": a light horizontal grid, black text, no frame.
_AXES: dict[str, Any] = {
    "axes.grid": True,
    "grid.color": "#E3E3E3",
    "axes.spines.top": False,
    "axes.spines.right": False,
    **dict.fromkeys(
        ("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color"), BLACK
    ),
}
#: Sizes in the context "paper" that differ from seaborn's, points.
_SIZES = {
    "figure.titlesize": 1.15 * FONT_SIZE,
    "lines.linewidth": 1.5,
    "lines.markersize": 5.0,
    "axes.linewidth": 0.8,
    "grid.linewidth": 0.7,
    **{f"{axis}tick.major.width": 0.8 for axis in "xy"},
    **{f"{axis}tick.major.size": 3.5 for axis in "xy"},
    **{f"{axis}tick.minor.width": 0.6 for axis in "xy"},
    **{f"{axis}tick.minor.size": 2.0 for axis in "xy"},
}
#: Parameters that have to do with the session, not with looks.
_NOT_STYLE = frozenset({"backend", "backend_fallback", "interactive", "toolbar"})


def save(figure: Figure, path: str | Path, style: Style = DEFAULT) -> Path:
    """Write a figure whole or not at all; the format is the suffix of the path, .svg or .png.

    A path that ends in .csv gets the numbers that the figure shows (`urnn.figures.series`). The
    same figure gives the same bytes: no date, no version, no random ids.

    Raises:
        ArgumentError: the suffix is another one.
        DataError: the folder cannot be written, or the disk is full.
    """
    path = Path(path)
    if path.suffix == ".csv":
        from urnn.figures import series

        storage.write_text(series.csv(figure), path)
        return path
    metadata: dict[str, dict[str, Any]] = {
        ".svg": {"Date": None, "Creator": None},
        ".png": {"Software": None},
    }
    if path.suffix not in metadata:
        raise ArgumentError(f"path must end in .svg, .png or .csv, but it is {str(path)!r}")

    def draw(temporary: Path) -> None:
        with applied(style):
            figure.savefig(temporary, format=path.suffix[1:], metadata=metadata[path.suffix])
        if path.suffix == ".svg":
            from urnn.figures import svg

            svg.describe(temporary, figure)

    storage.replace(path, draw)
    return path


#: Width of a figure for a narrow screen, as a share of the usual.
_NARROW = 0.5


def save_all(
    plot: Callable[[Style], Figure],
    paths: Iterable[Path],
    narrow: Path | None = None,
    style: Style = DEFAULT,
) -> None:
    """Draw a figure and write it to each path, and to ``narrow`` as it is for a narrow screen.

    There its panels stand one above another, so that its words have a size to be read.
    """
    figure = _laid_out(plot(style), style)
    for path in paths:
        save(figure, path, style)
    if narrow is not None:
        look = style.model_copy(update={"width": _NARROW * style.width})
        save(_laid_out(plot(look), look), narrow, look)


def _laid_out(figure: Figure, style: Style) -> Figure:
    """The figure with its panels in their final places, so that all of its files look the same.

    matplotlib lays a figure out each time that it draws it, and begins where it was; the second
    time moves panels with a legend below them by a hundredth, the third time nothing.
    """
    with applied(style):
        for _ in range(2):
            figure.draw_without_rendering()
        figure.set_layout_engine("none")
    return figure
