"""What holds for every theorem: its settings, its numbers by the command, its figure."""

from __future__ import annotations

import subprocess
import sys

import pytest
import xarray as xr

from urnn.__main__ import main
from urnn.settings.style import Style
from urnn.settings.theory import TheorySettings
from urnn.theorems import POINT


@pytest.mark.parametrize("name", POINT.names)
def test_settings_own_the_facts(name):
    settings = POINT.make(name)
    assert settings.theorem == name
    # the name is in the key of the configuration, so it is not stored again
    assert "theorem" not in settings.model_dump()
    assert settings.title.startswith("Theorem")
    assert settings.caption.startswith(settings.title.partition(":")[0] + ".")
    assert getattr(TheorySettings(), name) == settings


def test_the_settings_import_nothing_heavy():
    code = (
        "import sys, urnn.settings.theory; "
        "sys.exit(bool({'numpy', 'xarray', 'matplotlib', 'torch'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("name", POINT.names)
def test_each_is_redrawn_alone_from_its_file(files, tmp_path, name):
    outputs = [tmp_path / f"{name}{kind}" for kind in (".svg", ".png")]
    numbers = str(files / f"{name}.nc")
    assert main(["theory_figure", name, numbers, "--output", *map(str, outputs)]) == 0
    first = [path.read_bytes() for path in outputs]
    again = ["theory_figure", name, numbers, "--overwrite", "--output", *map(str, outputs)]
    assert main(again) == 0
    assert first == [path.read_bytes() for path in outputs]


def test_the_wrong_file_is_refused(files, tmp_path, capsys):
    output = str(tmp_path / "a.svg")
    wrong = str(files / "theorem1.nc")
    assert main(["theory_figure", "theorem2", wrong, "--output", output]) == 1
    assert "lacks best_error" in capsys.readouterr().err


@pytest.mark.parametrize("name", POINT.names)
def test_every_panel_is_labelled_and_the_style_holds(files, name):
    dataset = xr.load_dataset(files / f"{name}.nc")
    figure = POINT.part_module(name, "plot").plot(dataset, Style(width=9.0))
    assert figure.get_size_inches()[0] == 9
    for panel in figure.axes:
        assert panel.get_xlabel() and panel.get_ylabel() and panel.get_title("left")
    assert figure.get_suptitle() == POINT.plug(name).title
