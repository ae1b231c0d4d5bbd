"""SVG files of figures: lines that say what they are, and markers that say their values."""

from __future__ import annotations

import math
import re
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from urnn.figures import series
from urnn.figures.findings import counted

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_SVG, _LINK = "http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"


def describe(path: Path, figure: Figure) -> None:
    """Give the lines of an SVG file what they are, and each marker its value, which browsers show.

    Args:
        path: the file, just written by matplotlib.
        figure: that it was written from.
    """
    ET.register_namespace("", _SVG)
    ET.register_namespace("xlink", _LINK)
    tree = ET.parse(path)
    groups = {element.get("id"): element for element in tree.iter(f"{{{_SVG}}}g")}
    labels = series.table(figure)
    for line, one in series.lines(figure).items():
        if line not in groups:
            continue
        group = groups[line]
        group.set("data-series", one.name)
        group.set("data-source", one.source)
        rows = labels[labels["line"] == line].to_dict("records")
        if not _titles(group, figure, one, rows):
            _title(group, one.name)
    for element in tree.iter(f"{{{_SVG}}}g"):
        with_line = re.fullmatch(r"(line-\d+)-with", element.get("id", ""))
        if with_line:
            owner = series.lines(figure)[with_line[1]]
            element.set("data-series", owner.name)
            element.set("data-source", owner.source)
            # the value of the marker below it is said
            element.set("pointer-events", "none")
            del element.attrib["id"]  # several have it
    tree.write(path, encoding="utf-8", xml_declaration=True)


def _titles(group: ET.Element, figure: Figure, one: series.Series, rows: list[dict]) -> bool:
    """Title the markers of a line; whether there were any."""
    markers = list(group.iter(f"{{{_SVG}}}use"))
    xy = np.asarray(one.line.get_xydata(), float)
    # in units of the file: 72 per inch, downwards
    width, height = 72 * figure.get_size_inches()
    places = one.line.get_transform().transform(xy) / figure.bbox.size * (width, height)
    for marker in markers:
        at = float(marker.get("x", "nan")), height - float(marker.get("y", "nan"))
        off = np.hypot(*(places - at).T)
        nearest = int(np.nanargmin(off)) if np.isfinite(off).any() else 0
        if len(rows) == len(places) and off[nearest] < 0.01:
            _title(marker, told(rows[nearest]))
    return bool(markers)


def _title(element: ET.Element, text: str) -> None:
    title = ET.Element(f"{{{_SVG}}}title")
    title.text = text
    element.insert(0, title)


def told(row: dict) -> str:
    """What is said of a point, a row of `urnn.figures.series.table`."""
    text = f"{row['series']}: {row['x_label']} {_number(row['x'])}, {row['y_label']} "
    text += _number(row["y"])
    more = []
    if _is_there(row["lower"]):
        more.append(f"{_number(row['lower'])} to {_number(row['upper'])}")
    for key, word in (
        ("realizations", "realization"),
        ("diverged", "diverged training"),
        ("overflowed", "later overflow"),
    ):
        if _is_there(row[key]) and (row[key] or key == "realizations"):
            more.append(counted(int(row[key]), word))
    return f"{text} ({'; '.join(more)})" if more else text


def _is_there(value: object) -> bool:
    return isinstance(value, int | float | np.number) and math.isfinite(value)


def _number(value: object) -> str:
    return f"{value:.4g}".replace("-", "−") if _is_there(value) else str(value)
