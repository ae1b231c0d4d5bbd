"""The drawings of a page, inline; what several of them draw with stands in the page once."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from pathlib import Path

from urnn.errors import DataError

_SVG, _LINK = "http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"
#: elements that a drawing of ours has; nothing else gets into a page
_DRAWN = frozenset(
    f"{{{_SVG}}}{name}"
    for name in (
        "svg", "g", "defs", "path", "use", "clipPath", "rect", "title", "image", "text", "tspan",
        "line", "circle", "polygon", "polyline", "ellipse", "linearGradient", "stop", "pattern",
    )
)  # fmt: skip
_DECLARATION = r"\s*[a-z-]+\s*:[-#\w., %]+"
#: a style that can stand in a style sheet: it refers to nothing and closes nothing
_PLAIN_STYLE = re.compile(rf"{_DECLARATION}(?:;{_DECLARATION})*;?\s*")
#: that a point of a drawing takes at most: the widest figures fill the page
_PIXELS = 1.8
_REFERENCE = re.compile(r"url\(#([^)]*)\)")
_LONG = re.compile(r"-?\d+\.\d{3,}")
_SHIFT = re.compile(r"translate\(([-\d.]+)[ ,]+([-\d.]+)\)")


class Drawings:
    """Takes the drawings of one page, and keeps the shapes and styles that they have in common.

    Glyphs and markers are the same in most figures, and take most of a file of matplotlib. Here
    each is written once, in `shared`, and drawings refer to it.
    """

    def __init__(self) -> None:
        #: ids of shapes, by their attributes
        self._shapes: dict[tuple[tuple[str, str], ...], str] = {}
        #: names of classes, by their declarations
        self._classes: dict[str, str] = {}
        #: how many ids of single drawings were given
        self._ids = 0

    def inlined(self, path: Path, prefix: str, label: str, kind: str) -> str:
        """A drawing as an element of the page: unlike those of an image, its points can be asked.

        Nothing but drawing is taken over. The lines of `urnn.figures.series` keep their ids, with
        the prefix; other ids are new, for two drawings have the same ones.

        Args:
            path: an SVG file.
            prefix: of the ids of lines.
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
            _clean(element)
        self._name(root, prefix)
        for element in root.iter():
            self._classify(element)
            _shorten(element)
        _unwrap(root)
        if kind == "wide":
            # or the words of a figure of one panel would be larger than those of the others
            width = float(root.get("viewBox", "0 0 0 0").split()[2])
            root.attrib |= {"style": f"max-width: {_PIXELS * width:.0f}px"}
        for key in ("width", "height", "version"):
            root.attrib.pop(key, None)
        root.attrib |= {"xmlns": _SVG, "role": "img", "aria-label": label, "class": kind}
        # what matplotlib's files say of all their elements
        root.attrib |= {"stroke-linejoin": "round", "stroke-linecap": "butt"}
        return ET.tostring(root, encoding="unicode")

    def shared(self) -> str:
        """The element with the shapes and styles of all drawings so far; it shows nothing."""
        root = ET.Element("svg", {"xmlns": _SVG, "class": "shared", "aria-hidden": "true"})
        rules = [f".{name}{{{style}}}" for style, name in self._classes.items()]
        ET.SubElement(root, "style").text = "\n".join(rules)
        shapes = ET.SubElement(root, "defs")
        for attributes, name in self._shapes.items():
            ET.SubElement(shapes, "path", {"id": name, **dict(attributes)})
        return ET.tostring(root, encoding="unicode")

    def _name(self, root: ET.Element, prefix: str) -> None:
        """New ids, for what is referred to; shapes that can be shared are taken out."""
        names: dict[str, str] = {}
        referred = {name for element in root.iter() for name in _referred(element)}
        for definitions in root.iter("defs"):
            for shape in list(definitions):
                if shape.tag == "path" and shape.get("id") in referred and not _refers(shape):
                    name = shape.attrib.pop("id", "")
                    names[name] = self._share(shape)
                    definitions.remove(shape)
        for element in root.iter():
            name = element.attrib.pop("id", "")
            if name and "data-series" in element.attrib:
                names[name] = prefix + name
            elif name and name in referred:
                self._ids += 1
                names[name] = f"part-{self._ids}"
            if name in names:
                element.set("id", names[name])
        for element in root.iter():
            for key, value in element.attrib.items():
                if key == "href":
                    element.set(key, f"#{names.get(value[1:], '')}")
                elif "url(" in value:
                    element.set(
                        key, _REFERENCE.sub(lambda of: f"url(#{names.get(of[1], '')})", value)
                    )

    def _share(self, shape: ET.Element) -> str:
        """The id of a shape that drawings share."""
        self._classify(shape)
        _shorten(shape)
        return self._shapes.setdefault(tuple(shape.attrib.items()), f"s{len(self._shapes) + 1}")

    def _classify(self, element: ET.Element) -> None:
        """Put a style into the style sheet of the page."""
        style = element.get("style", "")
        if _PLAIN_STYLE.fullmatch(style):
            short = re.sub(r"\s*([:;])\s*", r"\1", style.strip()).rstrip(";")
            name = self._classes.setdefault(short, f"c{len(self._classes) + 1}")
            del element.attrib["style"]
            element.set("class", name)


def _keep_drawing(element: ET.Element) -> None:
    for child in list(element):
        if child.tag in _DRAWN:
            _keep_drawing(child)
        else:
            element.remove(child)


def _clean(element: ET.Element) -> None:
    """Without namespaces, handlers of events, links to elsewhere, and space between elements."""
    element.tag = element.tag.replace(f"{{{_SVG}}}", "")
    for key, value in list(element.attrib.items()):
        del element.attrib[key]
        key = key.replace(f"{{{_LINK}}}", "")
        if key == "href" and not value.startswith("#"):
            value = "#"
        if not key.startswith("on") and key != "class":
            element.set(key, value)
    element.tail = None if element.tag != "tspan" else element.tail
    if element.tag not in ("title", "text", "tspan"):
        element.text = None


def _referred(element: ET.Element) -> list[str]:
    """The ids that an element refers to."""
    href = element.get("href", "")
    found = [name for value in element.attrib.values() for name in _REFERENCE.findall(value)]
    return [*found, href[1:]] if href else found


def _refers(element: ET.Element) -> bool:
    return any("url(" in value for value in element.attrib.values())


def _shorten(element: ET.Element) -> None:
    """Numbers with two digits after the point: a hundredth of a point is not seen."""
    for key, value in list(element.attrib.items()):
        if key in ("d", "x", "y", "points"):
            value = _LONG.sub(_shorter, value)
        if key == "d":
            value = re.sub(r"\s*([A-Za-z])\s*", r"\1", value).strip()
        elif key == "transform":
            value = _SHIFT.sub(lambda shift: _LONG.sub(_shorter, shift[0]), value)
        element.set(key, value)
    shift = _SHIFT.fullmatch(element.get("transform", ""))
    if element.tag == "use" and shift and not {"x", "y"} & {*element.attrib}:
        # what it means for this element, in fewer letters
        del element.attrib["transform"]
        element.attrib |= {
            key: at for key, at in zip("xy", shift.groups(), strict=True) if at != "0"
        }


def _shorter(found: re.Match[str]) -> str:
    return f"{float(found[0]):.2f}".rstrip("0").rstrip(".")


def _unwrap(element: ET.Element) -> None:
    """Leave out groups that say nothing and definitions of nothing."""
    kept: list[ET.Element] = []
    for child in list(element):
        _unwrap(child)
        bare = child.tag == "g" and not child.attrib and child.find("title") is None
        if bare:
            kept += list(child)
        elif child.tag not in ("g", "defs") or len(child):
            kept.append(child)
    element[:] = kept
