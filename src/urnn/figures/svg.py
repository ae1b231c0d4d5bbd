"""SVG files of figures: the values of points as titles, and ids fit for a page with several."""

from __future__ import annotations

import math
import re
import xml.etree.ElementTree as ET
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from urnn.errors import DataError
from urnn.figures import series

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_SVG, _LINK = "http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"
#: elements that a drawing of ours has; nothing else gets into a page
_DRAWN = frozenset(
    f"{{{_SVG}}}{name}"
    for name in (
        "svg", "g", "defs", "path", "use", "clipPath", "rect", "title", "image", "text", "tspan",
        "line", "circle", "polygon", "polyline", "ellipse", "linearGradient", "stop", "pattern",
    )
)  # fmt: skip


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
    for key, word in (("realizations", "realization"), ("diverged", "diverged training")):
        if _is_there(row[key]) and (row[key] or key == "realizations"):
            more.append(f"{row[key]:g} {word}{'s' if row[key] != 1 else ''}")
    return f"{text} ({'; '.join(more)})" if more else text


def _is_there(value: object) -> bool:
    return isinstance(value, int | float | np.number) and math.isfinite(value)


def _number(value: object) -> str:
    return f"{value:.4g}".replace("-", "−") if _is_there(value) else str(value)


def inlined(path: Path, prefix: str, label: str, kind: str) -> str:
    """A drawing as an element of a page, which an image could not be: its points can be asked.

    Its ids get a prefix, for two drawings have the same ones; nothing but drawing is taken over.

    Args:
        path: an SVG file.
        prefix: of the ids.
        label: what it shows, for those who cannot see it.
        kind: of the drawing, the class of the element.

    Raises:
        DataError: it is no SVG file.
    """
    try:
        root = ET.parse(path).getroot()
    except ET.ParseError as error:
        raise DataError(f"{path} is no SVG file ({error}); draw the figure again") from error
    _keep_drawing(root)
    for element in root.iter():
        for key, value in list(element.attrib.items()):
            element.attrib.pop(key)
            key = key.replace(f"{{{_LINK}}}", "")
            if key == "id":
                value = prefix + value
            elif key == "href":
                value = f"#{prefix}{value[1:]}" if value.startswith("#") else "#"
            elif "url(" in value:
                value = re.sub(r"url\(#", f"url(#{prefix}", value)
            elif key in ("d", "x", "y", "points"):
                value = re.sub(r"-?\d+\.\d{3,}", _shorter, value)
            if not key.startswith("on"):
                element.set(key, value)
        element.tag = element.tag.replace(f"{{{_SVG}}}", "")
    for key in ("width", "height", "version"):
        root.attrib.pop(key, None)
    root.attrib |= {"xmlns": _SVG, "role": "img", "aria-label": label, "class": kind}
    return ET.tostring(root, encoding="unicode")


def _keep_drawing(element: ET.Element) -> None:
    for child in list(element):
        if child.tag in _DRAWN:
            _keep_drawing(child)
        else:
            element.remove(child)


def _shorter(found: re.Match[str]) -> str:
    return f"{float(found[0]):.2f}".rstrip("0").rstrip(".")
