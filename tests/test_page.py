"""The page in a real browser, from the kept results: accessible, whole, small and silent."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import matplotlib.image
import numpy as np
import pandas as pd
import pytest
import yaml

from tests.browser import SKIPPED, Browser, Tab
from urnn.__main__ import main
from urnn.config import load
from urnn.figures import POINT, svg
from urnn.theorems import POINT as THEOREMS

ROOT = Path(__file__).parents[1]
KEPT = ROOT / "reports/paper"
SVG = "{http://www.w3.org/2000/svg}"
#: As many points as in the configuration, from fewer random networks.
FEWER = {"theorem1": {"systems": 1, "steps": 8}}

pytestmark = pytest.mark.skipif(SKIPPED, reason="there is no Chromium")


class Page(NamedTuple):
    """A page and the folder of the figures in it."""

    path: Path
    figures: Path
    names: list[str]


def draw(command: list[str], name: str, folder: Path) -> None:
    """A figure as it stands in a page, by the command that the workflow has for it."""
    outputs = [str(folder / f"{name}.{kind}") for kind in ("svg", "csv", "png")]
    narrow = str(folder / f"narrow/{name}.svg")
    assert main([*command, "--output", *outputs, "--narrow", narrow]) == 0


@pytest.fixture(scope="module", params=["paper", "mnist"])
def page(request, tmp_path_factory) -> Page:
    """The whole page of a configuration: kept scores, and theorems computed now.

    Of permuted MNIST there are kept results of one experiment; its page has another folder beside.
    """
    folder = tmp_path_factory.mktemp(request.param)
    values = yaml.safe_load((ROOT / f"config/{request.param}.yaml").read_text())
    config = load(values)
    figures, results = folder / "figures", folder / "results"
    for path in KEPT.glob("*/scores.nc"):
        (results / path.parent.name).mkdir(parents=True)
        (results / path.parent.name / "scores.nc").symlink_to(path)
    drawn = []
    for name, figure in config.figures.items():
        scores = [str(results / source / "scores.nc") for source in figure.sources]
        command = ["figure", *scores, "--settings", json.dumps(POINT.part(figure).model_dump())]
        draw([*command, "--labels", json.dumps(config.labels(name))], name, figures)
        drawn.append(name)
    for name in THEOREMS if config.theory else ():
        numbers = str(results / f"theory/{name}.nc")
        settings = json.dumps(FEWER.get(name, {}))
        assert main(["theory", name, "--settings", settings, "--output", numbers]) == 0
        draw(["theory_figure", name, numbers], name, figures)
        drawn.append(name)
    path = folder / "index.html"
    beside = ["--compare", str(KEPT)] if request.param == "mnist" else []
    command = ["report", "--config", json.dumps(values), "--results", str(results), *beside]
    assert main([*command, "--figures", str(figures), "--output", str(path)]) == 0
    return Page(path, figures, drawn)


@pytest.fixture(scope="module")
def browser(tmp_path_factory) -> Iterator[Browser]:
    with Browser(tmp_path_factory.mktemp("browser")) as browser:
        yield browser


@pytest.mark.parametrize("width", [1400, 390])
@pytest.mark.parametrize("dark", [False, True])
def test_axe_finds_nothing_and_nothing_is_cut_off(page, browser, width, dark):
    found = Tab(browser, page.path, width, dark=dark).audit()
    assert (found["width"], found["dark"]) == (width, dark)
    assert found["violations"] == [] and found["passes"] > 20
    assert found["scroll"] <= width and found["cut"] == []
    assert found["shown"] == ["narrow" if width == 390 else "wide"] * len(page.names)
    assert found["tips"] > 50 and found["off"] > 0  # values on hover; curves can be switched off


def test_the_page_says_nothing_to_the_console_and_asks_for_nothing(page, browser):
    tab = Tab(browser, page.path)
    assert tab.said() == [] and tab.asked() == []
    assert tab.evaluate('document.querySelectorAll(".tools").length') > 0  # its script has run


def test_the_page_can_be_sent(page):
    """A page of all figures, theorems too, is far below the 4 MB that it may have."""
    assert page.path.stat().st_size < 3e6
    text = page.path.read_text(encoding="utf-8")
    assert 'id="missing"' not in text
    assert all(f'id="figure-{name}"' in text for name in page.names)


def test_every_figure_can_be_downloaded(page, browser):
    tab = Tab(browser, page.path, dark=True)
    for name in page.names:
        files = {
            kind: tab.saved(f'#figure-{name} a[download="{name}.{kind}"]')
            for kind in ("csv", "svg", "png")
        }
        assert [path.name for path in files.values()] == [f"{name}.{kind}" for kind in files]
        assert files["csv"].read_bytes() == (page.figures / f"{name}.csv").read_bytes()
        drawing = ET.parse(files["svg"]).getroot()
        check_whole(drawing)
        assert check_values(drawing, pd.read_csv(files["csv"], dtype={"x": object})) > 5
        check_picture(files["png"], page.figures / f"{name}.png")


def check_whole(drawing: ET.Element) -> None:
    """All that a drawing refers to is in its file."""
    ids = [element.get("id") for element in drawing.iter() if element.get("id")]
    assert len(ids) == len({*ids})
    used = [one.get("href", one.get("{http://www.w3.org/1999/xlink}href")) for one in
            drawing.iter(f"{SVG}use")]  # fmt: skip
    used += [
        "#" + of for one in drawing.iter() for of in re.findall(r"url\(#(.*?)\)", str(one.attrib))
    ]
    assert len(used) > 50 and {*used} <= {f"#{name}" for name in ids}
    rules = "".join(style.text or "" for style in drawing.iter(f"{SVG}style"))
    classes = {one.get("class") for one in drawing.iter() if one.get("class")}
    assert classes and all(f".{name}{{" in rules for name in classes)


def check_values(drawing: ET.Element, numbers: pd.DataFrame) -> int:
    """What the drawing says of points are the rows of the CSV file; returns how many it says."""
    count = 0
    for line in drawing.iter(f"{SVG}g"):
        if not line.get("id", "").partition("-line-")[1]:
            continue
        rows = numbers[numbers["line"] == "line-" + line.get("id").rpartition("-line-")[2]]
        assert {*rows["series"]} == {line.get("data-series")}
        rows = rows.assign(x=[_number(x) for x in rows["x"]])
        expected = [_parts(svg.told(row)) for row in rows.to_dict("records")]
        marks = [mark.findtext(f"{SVG}title") for mark in line.iter(f"{SVG}use")]
        for words, values in map(_parts, filter(None, marks)):
            # the file has seven digits, of which a mark says four
            assert any(
                words == theirs and values == pytest.approx(said, rel=1e-3)
                for theirs, said in expected
            ), (words, values)
            count += 1
        if not marks and len(rows) < 128:  # matplotlib draws longer lines with fewer points
            (path,) = line.iter(f"{SVG}path")
            assert len(re.findall("[ML]", path.get("d"))) == rows["y"].notna().sum()
            count += len(rows)
    return count


def _parts(text: str) -> tuple[str, list[float]]:
    """Words without their numbers, and the numbers."""
    number = r"[-−]?\d+(?:\.\d+)?(?:e[-−+]?\d+)?"
    found = [float(one.replace("−", "-")) for one in re.findall(number, text)]
    return re.sub(number, "#", text), found


def _number(text: object) -> object:
    try:
        return float(str(text))
    except ValueError:
        return text


def check_picture(path: Path, drawn: Path) -> None:
    """A picture of the browser looks like that of matplotlib."""
    here, there = (matplotlib.image.imread(one)[..., :3] for one in (path, drawn))
    assert here.shape[1] / here.shape[0] == pytest.approx(there.shape[1] / there.shape[0], rel=5e-3)
    small = [
        np.array([[cell.mean() for cell in np.array_split(row, 60, axis=1)]
                  for row in np.array_split(picture, 40)])
        for picture in (here, there)
    ]  # fmt: skip
    # without letters or markers it would be 0.7 at most
    assert np.corrcoef(*(picture.ravel() for picture in small))[0, 1] > 0.95


@pytest.mark.parametrize("page", ["mnist"], indirect=True)
def test_a_browser_would_tell(page, browser, tmp_path):
    """The tests above can fail."""
    text = page.path.read_text(encoding="utf-8")
    broken = tmp_path / "broken.html"
    text = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", text)
    worse = '<img src="http://127.0.0.1:9/x.png"/><script>undefined.x</script></main>'
    broken.write_text(text.replace("</main>", worse, 1), encoding="utf-8")
    tab = Tab(browser, broken)
    assert "image-alt" in [name for name, _ in tab.audit()["violations"]]
    assert "TypeError" in "".join(tab.said()) and tab.asked() == ["http://127.0.0.1:9/x.png"]
