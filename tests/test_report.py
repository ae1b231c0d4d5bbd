"""The report page: complete, escaped, self-contained."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import xml.etree.ElementTree as ET
from datetime import UTC, datetime
from html.parser import HTMLParser

import numpy as np
import pytest
import xarray as xr
import yaml

from urnn import published, storage
from urnn.__main__ import main
from urnn.errors import DataError
from urnn.figures import POINT
from urnn.figures.findings import uneven
from urnn.report import comparison
from urnn.report import page as report

SVG = (
    b'<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9">'
    b'<g id="line-1" data-series="RNN"><path d="M 0 0"/></g></svg>'
)
HOSTILE = (
    "<script>alert(1)</script>",
    "\"><img src=x onerror=alert('x')>",
    "{{ 7 * 7 }}{% raw %}",
    "</code></pre><b>&amp; ]]>",
)


def make_scores(label: str = "URNN") -> xr.Dataset:
    dims = ("model", "hidden_units", "realization")
    r2 = np.array([[[0.98, 0.97, 0.99], [0.99, 0.98, np.nan]], [[0.95, 0.94, 0.96]] * 2])
    return xr.Dataset(
        {
            "r2": (dims, r2),
            "r2_centred": (dims, r2 - 0.02),
            "diverged": (dims, np.isnan(r2).astype(np.int8)),
            "r2_optimal": ("realization", [0.99, 0.9901, 0.9902]),
            "r2_centred_optimal": ("realization", [0.97, 0.9701, 0.9702]),
        },
        coords={
            "model": ["rnn", "urnn"],
            "hidden_units": [2, 5],
            "realization": [0, 1, 2],
            "model_label": ("model", ["RNN", label]),
            "state_factor": ("model", [1, 2]),
        },
        attrs={"snr_db": 20.0, "epochs": 100, "seed": 7, "versions": '{"numpy": "1.2.3"}'},
    )


@pytest.fixture
def figure(tmp_path):
    path = tmp_path / "figure2.svg"
    path.write_bytes(SVG)
    return {
        "name": "figure2",
        "path": path,
        "title": "Figure 2",
        "caption": "What is\nshown.\n\nSecond paragraph.",
        "findings": {"sentences": [], "tables": []},
    }


@pytest.fixture
def benchmarks(tmp_path):
    rows = {"a": "10.5\t0:00:10\t100.2\t8", "b": "2\t0:00:02\tNA\tNA", "c": "-\t-\t-\t-"}
    for name, row in rows.items():
        (tmp_path / f"{name}.tsv").write_text(f"s\th:m:s\tmax_rss\tcpu_time\n{row}\n")
    train = [tmp_path / "a.tsv", tmp_path / "b.tsv"]
    return {"train": train, "score": [tmp_path / "c.tsv"], "theory": []}


class Resources(HTMLParser):
    """What a browser would load, and whether every element is closed in its turn."""

    VOID = frozenset({"meta", "img", "br", "link", "input", "hr"})

    def __init__(self) -> None:
        super().__init__()
        self.loads: list[str] = []
        self.tags: list[str] = []
        self.open: list[str] = []
        self.attributes: list[str] = []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [name for name, _ in attrs]
        if tag not in self.VOID:
            self.open.append(tag)
        for name, value in attrs:
            if name in ("src", "srcset", "poster", "data", "action") or (
                name == "href" and tag != "a"
            ):
                self.loads.append(value)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in self.VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag


def read(page: str) -> Resources:
    parser = Resources()
    parser.feed(page)
    parser.close()
    assert parser.open == []
    ET.fromstring(page)  # well-formed XML
    return parser


def render(figure, benchmarks, **changes) -> str:
    arguments = {
        "scores": {"synthetic-20dB": make_scores()},
        "figures": [figure],
        "configuration": {"seed": 2019, "experiments": {"synthetic-20dB": {"snr_db": 20}}},
        "benchmarks": benchmarks,
        "shown_by": {"synthetic-20dB": [POINT.make("r2", published="figure2")]},
        "date": datetime(2026, 1, 2, 3, 4, tzinfo=UTC),
    }
    return report.render(**{**arguments, **changes})


def cells(page: str) -> list[list[str]]:
    """The rows of all tables as text."""
    rows = []
    for row in ET.fromstring(page).iter("tr"):
        rows.append([" ".join("".join(cell.itertext()).split()) for cell in row])
    return rows


def test_the_page_is_self_contained_and_well_formed(figure, benchmarks):
    page = render(figure, benchmarks)
    seen = read(page)
    assert all(load.startswith("data:") for load in seen.loads)
    assert not {"link", "iframe", "object", "embed", "img"} & set(seen.tags)
    css = re.search(r"<style>(.*?)</style>", page, re.S)[1]
    assert "url(" not in css and "@import" not in css
    assert "default-src 'none'" in page


def test_the_one_script_is_the_one_that_the_page_allows(figure, benchmarks):
    page = render(figure, benchmarks)
    (script,) = re.findall(r"<script>(.*?)</script>", page, re.S)
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    assert f"script-src 'sha256-{digest}'" in page


def test_the_page_is_accessible(figure, benchmarks):
    root = ET.fromstring(render(figure, benchmarks))
    assert root.get("lang") == "en"
    shared, *drawings = root.iter("{http://www.w3.org/2000/svg}svg")
    assert shared.get("aria-hidden") == "true"
    assert all(one.get("role") == "img" and one.get("aria-label") for one in drawings)
    assert drawings[0].get("aria-label") == "Figure 2. What is shown. Second paragraph."
    assert all(header.get("scope") for header in root.iter("th"))
    assert all(table.find("caption") is not None for table in root.iter("table"))
    ids = [element.get("id") for element in root.iter() if element.get("id")]
    assert len(ids) == len(set(ids))
    labelled = {e.get("aria-labelledby") for e in root.iter() if e.get("aria-labelledby")}
    assert labelled <= set(ids)
    links = {a.get("href")[1:] for a in root.iter("a") if a.get("href").startswith("#")}
    assert links and links <= set(ids)


def test_the_parts_stand_in_their_order(figure, benchmarks):
    for theorem, third in ((True, "theorems"), (False, "figures")):
        page = render({**figure, "theorem": theorem}, benchmarks)
        headings = [heading.get("id") for heading in ET.fromstring(page).iter("h2")]
        top, end = ["asked", "verdict", "contents"], ["tables", "cost", "made", "cite"]
        assert headings == [*top, third, *end]


def scores_table(page: str) -> list[list[str]]:
    """The rows of the first table of scores, its head first."""
    rows = cells(page)
    first = next(i for i, row in enumerate(rows) if row[0] == "Hidden units")
    return rows[first:]


def test_the_table_of_scores(figure, benchmarks):
    rows = scores_table(render(figure, benchmarks))
    assert [head.replace("\u00ad", "") for head in rows[0]] == [
        "Hidden units",
        "Mean R² (95 % interval)",
        "Centred R²",
        "Published (difference)",
        "Averaged (diverged)",
    ]
    rnn, rnn_2, rnn_5, urnn, _, urnn_5 = rows[1:7]
    assert (rnn, urnn) == (["RNN"], ["URNN"])
    assert re.fullmatch(r"0\.9800 0\.9\d{3} to 1\.0\d{3}", rnn_2[1])
    assert rnn_2[2:] == ["0.9600", "0.9155 +0.0645", "3 0"]
    assert rnn_5[0] == "5" and rnn_5[-1] == "2 1"
    assert urnn_5[3] == "– –"  # no published point of URNN at 5


def test_no_published_figure_no_published_columns(figure, benchmarks):
    for shown_by in ({}, {"synthetic-20dB": [POINT.make("r2")]}, {"another": []}):
        rows = scores_table(render(figure, benchmarks, shown_by=shown_by))
        assert len(rows[0]) == len(rows[2]) == 4


def test_the_first_figure_of_the_score_gives_the_published_columns(figure, benchmarks):
    figures = [
        POINT.make("statistics"),
        POINT.make("accuracy", published="figure4"),  # of another score
        POINT.make("gap", published="figure3"),
        POINT.make("r2", published="figure2"),
    ]
    rows = scores_table(render(figure, benchmarks, shown_by={"synthetic-20dB": figures}))
    assert rows[2][3].split()[0] == "0.9247"  # figure3: RNN with 2 units


def test_without_an_optimum_there_is_no_column_of_it(figure, benchmarks):
    scores = make_scores().drop_vars(["r2_optimal", "r2_centred_optimal"])
    page = render(figure, benchmarks, scores={"synthetic-20dB": scores})
    read(page)
    assert "Optimal" not in page


def test_findings_stand_below_their_figure(figure, benchmarks):
    figure["findings"] = {
        "sentences": ["What was found."],
        "tables": [{"caption": "Numbers.", "head": ["Size", "Score"], "rows": [["4", "0.99"]]}],
    }
    page = render(figure, benchmarks)
    read(page)
    assert page.index("Second paragraph.") < page.index("What was found.")
    captions = [caption.text for caption in ET.fromstring(page).iter("caption")]
    assert captions[:2] == ["Numbers.", "Test R² of synthetic-20dB, mean over realizations."]
    assert cells(page)[:2] == [["Size", "Score"], ["4", "0.99"]]


def test_accuracies_and_constraint_errors(figure, benchmarks):
    scores = make_scores().rename(r2="accuracy").drop_vars(["r2_centred", "r2_optimal"])
    scores = scores.drop_vars("r2_centred_optimal").assign(
        constraint_error=(
            ("model", "hidden_units", "realization", "epoch"),
            np.full((2, 2, 3, 4), 3e-7),
        ),
        parameters=(("model", "hidden_units"), [[10, 20], [9, 18]]),
    )
    rows = scores_table(render(figure, benchmarks, scores={"digits": scores}))
    assert [head.replace("\u00ad", "") for head in rows[0][1:]] == [
        "Mean accuracy (95 % interval)",
        "Parameters (constraint error)",
        "Averaged (diverged)",
    ]
    assert rows[2][2] == "10 3e-07"


def test_facts_versions_and_date(figure, benchmarks):
    page = render(figure, benchmarks)
    text = " ".join("".join(ET.fromstring(page).itertext()).split())
    for part in (
        "2026-01-02 03:04 UTC, seed 2019, urnn",
        "20 dB",
        "1 of 12",
        "numpy 1.2.3",  # the scores were made with another version than this machine's
        f"numpy{np.__version__}",
        published.load("figure2").attrs["comment"].split(",")[0].replace("^2", "²"),
    ):
        assert part in text, part


def test_run_times(figure, benchmarks):
    rows = cells(render(figure, benchmarks))
    times = {row[0]: row[1:] for row in rows if row[0] in ("train", "score", "theory", "all")}
    assert times == {
        "train": ["2", "12.5", "10.5", "8.0", "100"],
        "score": ["1", "–", "–", "–", "–"],
        "theory": ["0", "–", "–", "–", "–"],
        "all": ["3", "12.5", "10.5", "8.0", "100"],
    }


def test_the_configuration_can_be_read_back(figure, benchmarks, tmp_path):
    configuration = {"seed": 1, "models": {"a": [1, 2.5, True, None]}, "text": "<é> & #"}
    page = render(figure, benchmarks, configuration=configuration)
    codes = {code.get("class"): code.text for code in ET.fromstring(page).iter("code")}
    assert yaml.safe_load(codes["configuration"]) == configuration
    link = next(a for a in ET.fromstring(page).iter("a") if a.get("download") == "config.yaml")
    kept = base64.b64decode(link.get("href").split(",")[1]).decode()
    assert yaml.safe_load(kept) == configuration
    assert str(tmp_path) in render(figure, benchmarks, configuration={"path": tmp_path})


@pytest.mark.parametrize("text", HOSTILE)
def test_nothing_hostile_gets_through(figure, benchmarks, tmp_path, text):
    calm = read(render(figure, benchmarks))
    page = render(
        {**figure, "name": text, "title": text, "caption": text},
        {text: benchmarks["train"], **benchmarks},
        scores={text: make_scores(label=text).assign_attrs(versions=text, seed=text)},
        configuration={"seed": text, text: {text: [text]}},
        shown_by={text: [POINT.make("r2", published="figure2"), POINT.make("statistics")]},
        title=text,
    )
    seen = read(page)
    # the same elements but for the rows of one more stage, facts and paragraphs; none of another
    # kind, no further attribute, nothing loaded
    assert set(seen.tags) == set(calm.tags)
    assert set(seen.attributes) == set(calm.attributes)
    assert page.count("<script") == 1
    assert all(load.startswith("data:") for load in seen.loads)
    assert text not in page or "<" not in text
    assert "".join(ET.fromstring(page).itertext()).count(text) >= 6


def test_two_figures_do_not_share_ids(figure, benchmarks):
    page = render(figure, benchmarks, figures=[figure, {**figure, "name": "figure3"}])
    ids = re.findall(r' id="([^"]+)"', page)
    assert {"figure2-wide-line-1", "figure3-wide-line-1"} <= set(ids)
    assert len(ids) == len(set(ids))


def test_nothing_but_drawing_gets_out_of_an_svg_file(figure, benchmarks):
    figure["path"].write_text(
        '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink">'
        '<script>alert(1)</script><g onclick="alert(2)"><use xlink:href="https://x.org/#a"/>'
        '<use xlink:href="#a"/><foreignObject><b>no</b></foreignObject></g>'
        '<style>*{color: red}</style><path id="a" d="M 1.23456 2 L 3 4.5"/></svg>'
    )
    page = render(figure, benchmarks)
    read(page)
    assert "alert" not in page and "x.org" not in page and "foreignObject" not in page
    assert '<use href="#" /><use href="#part-1" />' in page
    assert '<path d="M1.23 2L3 4.5" id="part-1" />' in page
    assert "color: red" not in page


DRAWN = (
    '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"><defs>'
    '<path id="glyph" d="M 0 0 L 1 1" transform="scale(0.02)"/>'
    '<clipPath id="panel"><rect width="9"/></clipPath></defs><g id="text_1"><g>'
    '<use xlink:href="#glyph"/><use xlink:href="#glyph" transform="translate(63.623047 0)"/>'
    "</g></g>"
    '<path d="M 0 1" clip-path="url(#panel)" style="fill: none; stroke: #0072b2"/>'
    '<path d="M 0 2" style="fill: {style}"/></svg>'
)


def test_words_have_one_size_in_all_figures(figure, benchmarks):
    """A drawing is shown no larger than by a factor that all have."""
    for width in (9, 400):
        figure["path"].write_text(SVG.decode().replace("0 0 9 9", f"0 0 {width} 9"))
        assert f'style="max-width: {1.8 * width:.0f}px"' in render(figure, benchmarks)


def test_shapes_and_styles_stand_in_the_page_once(figure, benchmarks):
    figure["path"].write_text(DRAWN.format(style="none"))
    page = render(figure, benchmarks, figures=[figure, {**figure, "name": "figure3"}])
    assert page.count("M0 0L1 1") == page.count("stroke:#0072b2") == page.count("{fill:none}") == 1
    glyph = '<use href="#s1" /><use href="#s1" x="63.62" />'
    assert page.count(glyph) == 2 and "text_1" not in page
    for part in ("part-1", "part-2"):  # a panel belongs to one drawing
        assert f'<clipPath id="{part}"' in page and f'd="M0 1" clip-path="url(#{part})"' in page


@pytest.mark.parametrize("style", ["url(#panel)", "red}*{color:red", "&lt;/style&gt;", "a:" * 99])
def test_a_style_that_is_not_plain_stays_where_it_is(figure, benchmarks, style):
    figure["path"].write_text(DRAWN.format(style=style))
    page = render(figure, benchmarks)
    read(page)
    rules = next(svg for svg in ET.fromstring(page).iter() if svg.get("class") == "shared")
    assert next(element.text for element in rules) == ".c1{fill:none;stroke:#0072b2}"
    kept = style.replace("#panel", "#part-1").replace("&lt;", "<").replace("&gt;", ">")
    last = [one for one in ET.fromstring(page).iter() if one.get("d") == "M0 2"]
    assert [one.get("style") for one in last] == [f"fill: {kept}"]


def test_nothing_to_show_is_a_page_too(benchmarks):
    page = report.render({}, [], {}, {}, {})
    read(page)


def test_the_date_can_be_fixed_from_outside(monkeypatch):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "0")
    page = report.render({}, [], {}, {}, {})
    assert "1970-01-01 00:00 UTC" in page
    assert page == report.render({}, [], {}, {}, {})


def test_files_that_cannot_be_shown(figure, benchmarks, tmp_path):
    broken = tmp_path / "broken.svg"
    broken.write_text("<svg>")
    with pytest.raises(DataError, match=r"broken\.svg is no SVG file .* draw the figure again"):
        render({**figure, "path": broken}, benchmarks)
    with pytest.raises(FileNotFoundError):
        render({**figure, "path": tmp_path / "missing.svg"}, benchmarks)
    with pytest.raises(FileNotFoundError):
        render(figure, {"train": [tmp_path / "missing.tsv"]})


CONFIG = {
    "seed": 3,
    "experiments": {
        "ours": {
            "task": "synthetic",
            "snr_db": 20,
            "realizations": 3,
            "models": ["rnn", "urnn"],
            "hidden_units": [2, 5],
            "recipe": "short",
        }
    },
    "models": {
        "rnn": {"label": "Plain"},
        "urnn": {"label": "Unitary", "transition": "unitary"},
    },
    "recipes": {"short": {"epochs": 3, "batch_size": 10}},
    "figures": {
        "figure2-tuned": {"experiment": "ours", "published": "figure2"},
        "statistics": {"kind": "statistics", "experiment": "ours"},
    },
}


def test_the_command_gathers_everything(tmp_path):
    storage.write(make_scores().drop_vars("model_label"), tmp_path / "results/ours/scores.nc")
    names = [*CONFIG["figures"], "theorem1", "theorem2", "theorem3"]
    for name in names:
        path = tmp_path / f"figures/{name}.svg"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(SVG)
    size = "train/ours/rnn/hidden-02"
    for path in (
        f"{size}/realizations-000-002.tsv",
        "figure/statistics.tsv",
        # of other configurations in the same folder
        f"{size}/realizations-000-001.tsv",
        f"{size}/realizations-003-018.tsv",
        "train/ours/rnn/hidden-99/realizations-000-002.tsv",
        "train/ours/lstm/hidden-02/realizations-000-002.tsv",
        "data/ours/realizations-008-015.tsv",
        "kernels/lstm-squared-99-2-2.tsv",
        "figure/other.tsv",
    ):
        path = tmp_path / "results/benchmarks" / path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("s\th:m:s\tmax_rss\n2.5\t0:00:02\t100\n")
    output = tmp_path / "index.html"
    config = json.dumps({**CONFIG, "theory": {}})
    places = ["--results", str(tmp_path / "results"), "--figures", str(tmp_path / "figures")]
    assert main(["report", "--config", config, *places, "--output", str(output)]) == 0
    page = output.read_text(encoding="utf-8")
    read(page)
    root = ET.fromstring(page)
    titles = [figure.find(".//strong").text for figure in root.iter("figure")]
    assert titles[3:] == ["Figure 2 tuned: ours", "Statistics: ours"]
    assert [title.split(":")[0] for title in titles[:3]] == ["Theorem 1", "Theorem 2", "Theorem 3"]
    rows = cells(page)
    scores = scores_table(page)
    assert scores[1] == ["Plain"] and len(scores[2]) == 5
    times = {row[0]: row[1:3] for row in rows if row[0] in ("train", "figure", "all")}
    assert times == {"train": ["1", "2.5"], "figure": ["1", "2.5"], "all": ["2", "5.0"]}
    assert "Plain with n hidden units against Unitary with n: " in page
    output.unlink()
    without = ["report", "--config", json.dumps(CONFIG), *places, "--output", str(output)]
    assert main(without) == 0
    assert "Theorem" not in output.read_text(encoding="utf-8")


def written(tmp_path, *experiments: str, config: dict | None = None):
    """A folder of results with these experiments, and the command that makes their page."""
    for name in experiments:
        storage.write(
            make_scores().drop_vars("model_label"), tmp_path / f"results/{name}/scores.nc"
        )
    two = dict.fromkeys(("ours", "theirs"), CONFIG["experiments"]["ours"])
    config = config or {**CONFIG, "experiments": two}
    places = ["--results", str(tmp_path / "results"), "--figures", str(tmp_path / "figures")]
    output = tmp_path / "index.html"
    return ["report", "--config", json.dumps(config), *places, "--output", str(output)], output


def test_a_partial_run_gives_a_page_that_says_what_is_missing(tmp_path):
    command, output = written(tmp_path, "ours")
    assert main(command) == 0
    root = ET.fromstring(output.read_text(encoding="utf-8"))
    missing = next(part for part in root.iter("section") if part.get("class") == "notice")
    told = ["".join(entry.itertext()) for entry in missing.iter("li")]
    assert told == [
        f"scores of theirs: {tmp_path}/results/theirs/scores.nc",
        f"figure figure2-tuned: {tmp_path}/figures/figure2-tuned.svg",
        f"figure statistics: {tmp_path}/figures/statistics.svg",
    ]
    evidence = [
        row for row in root.iter("tr") if row.find("td[@data-label='Evidence']") is not None
    ]
    assert evidence  # the verdict needs no drawing


def test_a_run_without_results_is_told_so(tmp_path, capsys):
    command, output = written(tmp_path)
    assert main(command) == 1
    assert "there are no scores of ours, theirs and no numbers" in capsys.readouterr().err
    assert not output.exists()


def test_two_folders_of_results_side_by_side(tmp_path, capsys):
    command, output = written(tmp_path, "ours", "theirs")
    other = make_scores().drop_vars("model_label").assign_attrs(epochs=50)
    other["r2"] -= 0.01
    storage.write(other, tmp_path / "other/ours/scores.nc")
    storage.write(other, tmp_path / "other/more/scores.nc")
    assert main([*command, "--compare", str(tmp_path / "other")]) == 0
    page = output.read_text(encoding="utf-8")
    read(page)
    rows = cells(page)
    first = next(i for i, row in enumerate(rows) if row[2:4] == ["Here", "There"])
    assert rows[first + 1][:5] == ["Plain", "2", "0.9800", "0.9700", "+0.0100"]
    assert rows[first + 1][5:] == ["+0.0100 to +0.0100", "3"]
    assert rows[first + 2][:4] == ["Plain", "5", "0.9850", "0.9750"]  # two of three
    text = " ".join("".join(ET.fromstring(page).itertext()).split())
    assert "They differ in epochs 100 and 50." in text
    assert "Only here: theirs." in text and "Only there: more." in text
    assert main([*command, "--overwrite", "--compare", str(tmp_path / "nothing")]) == 1
    assert "has no file */scores.nc; name a folder of results" in capsys.readouterr().err


def test_other_realizations_are_compared_without_an_interval(tmp_path):
    here = make_scores()
    there = here.assign_attrs(seed=8).isel(realization=[0, 1])
    found = comparison.side_by_side({"a": here}, {"a": there})
    (one,) = found["experiments"]
    assert one["facts"] == ["realizations 3 and 2", "seed 7 and 8"]
    assert one["table"]["rows"][0] == ["RNN", "2", "0.9800", "0.9750", "+0.0050", "–", "–"]


def test_the_means_of_pairs_are_those_of_the_difference():
    here, there = make_scores(), make_scores()
    here["diverged"][0, 0, 2] = there["diverged"][0, 0, 0] = 1
    there["r2"] -= 0.01
    table = comparison.side_by_side({"a": here}, {"a": there})["experiments"][0]["table"]
    assert table["rows"][0] == ["RNN", "2", "0.9700", "0.9600", "+0.0100", "–", "1"]
    assert table["caption"].startswith("Test R². Where seeds")
    there["diverged"][0, 0] = 1
    table = comparison.side_by_side({"a": here}, {"a": there})["experiments"][0]["table"]
    assert table["rows"][0] == ["RNN", "2", "–", "–", "–", "–", "0"]


@pytest.mark.parametrize(
    ("here", "there", "paired"),
    [
        ({}, {}, True),
        ({"task_settings": "1"}, {}, True),  # a file of before does not say
        ({"task_settings": "1"}, {"task_settings": "1"}, True),
        ({"task_settings": "1"}, {"task_settings": "2"}, False),
        ({"signals": "1"}, {"signals": "2"}, False),
    ],
)
def test_only_the_same_data_are_paired(here, there, paired):
    scores = make_scores()
    pair = {"a": scores.assign_attrs(here)}, {"a": scores.assign_attrs(there)}
    ((*_, interval, _),) = comparison.side_by_side(*pair)["experiments"][0]["table"]["rows"][:1]
    assert (interval != "–") == paired
    facts = comparison.side_by_side(*pair)["experiments"][0]["facts"]
    assert facts == ([] if paired else ["the data or their settings"])


def test_how_many_realizations_each_size_has_is_said():
    scores = make_scores()
    assert uneven("a", scores) == ""
    scores["diverged"] = scores["diverged"].astype(float)
    for name in ("r2", "r2_centred", "diverged"):
        scores[name][0, 1, 1:] = np.nan
    assert uneven("a", scores) == (
        "Realizations of a: RNN 3 with 2 units, 1 with 5 units; "
        "URNN 3 with 2 units, 3 with 5 units."
    )
    assert " 3 with 1 unit, " in uneven("a", scores.assign_coords(hidden_units=[1, 5]))


def test_a_configuration_that_is_none(tmp_path, capsys):
    output = str(tmp_path / "index.html")
    for config, words in [("[]", "expected a mapping"), ("{", "--config: "), ("{}", "experiments")]:
        assert main(["report", "--config", config, "--output", output]) == 1
        assert words in capsys.readouterr().err
