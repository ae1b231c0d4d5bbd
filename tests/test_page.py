"""The page in a real browser, from the kept results: accessible, whole, and silent."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml

from tests import browser
from urnn.__main__ import main
from urnn.config import load
from urnn.figures import POINT

ROOT = Path(__file__).parents[1]
KEPT = ROOT / "reports/paper"
FIGURES = {
    "paper": ("figure2", "recipes-20dB", "statistics-tuned-20dB", "evidence-20dB"),
    "mnist": ("figure4", "history"),
}

pytestmark = pytest.mark.skipif(browser.SKIPPED, reason="there is no Chromium")


@pytest.fixture(scope="module", params=FIGURES)
def page(request, tmp_path_factory) -> Path:
    """A page with every kind of figure that the kept results can show."""
    folder = tmp_path_factory.mktemp(request.param)
    values = yaml.safe_load((ROOT / f"config/{request.param}.yaml").read_text())
    values["figures"] = {name: values["figures"][name] for name in FIGURES[request.param]}
    shown = {source for figure in load(values).figures.values() for source in figure.sources}
    values["experiments"] = {name: values["experiments"][name] for name in shown}
    config = load(values)
    for name in FIGURES[request.param]:
        figure, labels = config.figures[name], config.labels(name)
        outputs = [str(folder / f"figures/{name}.{kind}") for kind in ("svg", "csv")]
        scores = [str(KEPT / source / "scores.nc") for source in figure.sources]
        command = ["figure", *scores, "--settings", json.dumps(POINT.part(figure).model_dump())]
        command += ["--labels", json.dumps(labels), "--output", *outputs]
        assert main([*command, "--narrow", str(folder / f"figures/narrow/{name}.svg")]) == 0
    path = folder / "index.html"
    command = ["report", "--config", json.dumps(values), "--results", str(KEPT)]
    command += ["--figures", str(folder / "figures"), "--compare", str(KEPT)]
    assert main([*command, "--output", str(path)]) == 0
    return path


@pytest.mark.parametrize("width", [1400, 390])
@pytest.mark.parametrize("dark", [False, True])
def test_axe_finds_nothing_and_nothing_is_cut_off(page, tmp_path, width, dark):
    found = browser.audit(page, tmp_path, width, dark)
    assert (found["width"], found["dark"]) == (width, dark)
    assert found["violations"] == [] and found["passes"] > 20
    assert found["scroll"] <= width and found["cut"] == []
    assert set(found["shown"]) == {"narrow" if width == 390 else "wide"}
    assert found["tips"] > 50 and found["off"] > 0  # values on hover; curves can be switched off


def test_the_page_says_nothing_to_the_console_and_asks_for_nothing(page, tmp_path):
    elements, said, asked = browser.run(page, tmp_path)
    assert said == "" and asked == []
    assert 'class="tools"' in elements  # its script has run
    assert page.stat().st_size < 4e6


@pytest.mark.parametrize("page", ["mnist"], indirect=True)
def test_a_browser_would_tell(page, tmp_path):
    """The two tests above can fail."""
    text = page.read_text(encoding="utf-8")
    broken = tmp_path / "broken.html"
    text = re.sub(r'<meta http-equiv="Content-Security-Policy"[^>]*>', "", text)
    worse = '<img src="http://127.0.0.1:9/x.png"/><script>undefined.x</script></main>'
    broken.write_text(text.replace("</main>", worse, 1), encoding="utf-8")
    found = browser.audit(broken, tmp_path, 1400, False)
    assert "image-alt" in [name for name, _ in found["violations"]]
    _, said, asked = browser.run(broken, tmp_path)
    assert "TypeError" in said and set(asked) == {"http://127.0.0.1:9/x.png"}
