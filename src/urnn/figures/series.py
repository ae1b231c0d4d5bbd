"""The numbers behind the lines of a figure, for its CSV file and for the report page.

A line that shows data is noted with a table of its points. The line then has an id in the SVG, and
the rows of the CSV with that id are its points in their order.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Literal, NamedTuple
from weakref import WeakKeyDictionary

import numpy as np
import pandas as pd
from matplotlib.container import ErrorbarContainer

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure, SubFigure
    from matplotlib.lines import Line2D

#: Where numbers come from: a run, the published figures, or neither, such as a bound.
Source = Literal["this run", "published", "reference"]
#: What a point may have besides its place; empty where there is none.
OPTIONAL = ("lower", "upper", "lowest", "highest", "realizations", "diverged", "overflowed")
COLUMNS = ("line", "panel", "series", "source", "x_label", "x", "y_label", "y", *OPTIONAL)


class Series(NamedTuple):
    """A line and its points."""

    panel: Axes
    line: Line2D
    name: str
    source: Source
    #: columns x, y, and those of `OPTIONAL` that there are
    points: pd.DataFrame
    #: what the panel is called, where its title does not say it
    title: str = ""
    #: of x and y, where those of the axes are others
    labels: tuple[str, str] | None = None


_NOTED: WeakKeyDictionary[Figure | SubFigure, list[Series]] = WeakKeyDictionary()


def note(
    panel: Axes,
    line: Line2D,
    name: str,
    source: Source,
    points: pd.DataFrame,
    title: str = "",
    labels: tuple[str, str] | None = None,
) -> None:
    """Note the points of a line, in the order in which it draws them."""
    noted = _NOTED.setdefault(panel.figure, [])
    line.set_gid(f"line-{len(noted) + 1}")
    noted.append(Series(panel, line, unescaped(name), source, points, title, labels))


def attach(line: Line2D, *artists: Artist) -> None:
    """Let artists, such as bars, belong to a line that was noted."""
    for artist in artists:
        artist.set_gid(f"{line.get_gid()}-with")


def note_line(panel: Axes, line: Line2D, name: str, source: Source = "this run") -> None:
    """Note a line whose points are nothing but their places."""
    x, y = (np.asarray(values, float) for values in (line.get_xdata(), line.get_ydata()))
    note(panel, line, name, source, pd.DataFrame({"x": x, "y": y}))


def note_lines(panel: Axes) -> None:
    """Note every line of a panel that the legend names and that has markers or many points."""
    bars = {
        container.lines[0]: container.get_label()
        for container in panel.containers
        if isinstance(container, ErrorbarContainer)
    }
    for line in panel.lines:
        name = str(bars.get(line) or line.get_label())
        if not name.startswith("_") and np.size(line.get_xdata()) > 2 and line.get_gid() is None:
            note_line(panel, line, name)


def noted(panel: Axes) -> list[Series]:
    """The series of a panel."""
    return [series for series in _NOTED.get(panel.figure, []) if series.panel is panel]


def lines(figure: Figure) -> dict[str, Series]:
    """All series of a figure, by the id of their line."""
    return {f"line-{i}": series for i, series in enumerate(_NOTED.get(figure, []), 1)}


def table(figure: Figure) -> pd.DataFrame:
    """All points of a figure: the columns `COLUMNS`, a row for each point."""
    parts = []
    for line, series in lines(figure).items():
        panel = series.panel
        x_label, y_label = series.labels or (
            panel.get_xlabel() or _shared(panel, "x"),
            panel.get_ylabel() or _shared(panel, "y"),
        )
        words = {
            "line": line,
            "panel": _label(series.title or panel.get_title("left") or panel.get_title()),
            "series": series.name,
            "source": series.source,
            "x_label": _label(x_label),
            "y_label": _label(y_label),
        }
        parts.append(series.points.assign(**{k: unescaped(v) for k, v in words.items()}))
    everything = pd.concat(parts) if parts else pd.DataFrame()
    return everything.reindex(columns=list(COLUMNS)).reset_index(drop=True)


def csv(figure: Figure) -> str:
    """The `table` as CSV, with 7 digits."""
    return table(figure).to_csv(index=False, float_format="%.7g", lineterminator="\n")


def _shared(panel: Axes, axis: Literal["x", "y"]) -> str:
    """The label of the first panel that shares the axis and has one."""
    group = panel.get_shared_x_axes() if axis == "x" else panel.get_shared_y_axes()
    labels = [getattr(other, f"get_{axis}label")() for other in group.get_siblings(panel)]
    return next((label for label in labels if label), "")


def _label(text: str) -> str:
    return " ".join(text.split())


def unescaped(text: str) -> str:
    """A label of matplotlib as plain text."""
    text = re.sub(r"(?<!\\)\$([^$]*)(?<!\\)\$", lambda formula: _plain(formula[1]), text)
    return text.replace(r"\$", "$")


def _plain(formula: str) -> str:
    for command, sign in (("^T", "ᵀ"), ("_u", "ᵤ"), ("_0", "₀"), ("_1", "₁")):
        formula = formula.replace(command, sign)
    return re.sub(r"[{}^]", "", formula)
