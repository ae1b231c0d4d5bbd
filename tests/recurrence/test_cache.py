"""Compiled kernels between processes: kept, never stale, never mixed up."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import urnn
from urnn.recurrence import cache
from urnn.recurrence.cache import kept_kernel


def adding(SIZE: int) -> Callable:
    """A small kernel of the form of the real ones: the same function for every size."""

    def add(value):
        return value + SIZE

    return kept_kernel(add)


def hits(kernel: Callable) -> int:
    return sum(kernel.stats.cache_hits.values())  # type: ignore[attr-defined]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(cache, "folder", lambda: tmp_path / "kernels")
    return tmp_path / "kernels"


def test_a_kernel_is_compiled_once_for_each_size_and_type(folder: Path) -> None:
    for found in (0, 1):
        for size in (1, 2):
            kernel = adding(size)
            assert kernel(10) == 10 + size
            assert kernel(0.5) == 0.5 + size
            assert hits(kernel) == 2 * found
    assert len(list(folder.iterdir())) == 4  # one file for each, and no index that they share


def test_a_file_cut_short_is_compiled_again(folder: Path) -> None:
    adding(1)(10)
    (file,) = folder.iterdir()
    whole = file.read_bytes()
    for length in (0, 100, len(whole) // 2):
        file.write_bytes(whole[:length])
        kernel = adding(1)
        assert kernel(10) == 11
        assert hits(kernel) == 0
        assert len(file.read_bytes()) > length
    assert [f.name for f in folder.iterdir()] == [file.name]


def test_without_a_folder_kernels_work_and_a_warning_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setattr(cache, "folder", lambda: tmp_path / "file" / "kernels")
    with pytest.warns(RuntimeWarning, match="set URNN_CACHE_DIR to a folder"):
        assert adding(1)(10) == 11
    assert not list(Path(__file__).parent.rglob("*.nbi"))


def test_processes_that_compile_at_once_do_not_mix_their_kernels(tmp_path: Path) -> None:
    """Numba's own cache gives one of them the other's kernel, without a word."""
    script = tmp_path / "script.py"
    script.write_text(
        "import sys\nfrom pathlib import Path\nfrom urnn.recurrence.cache import kept_kernel\n"
        "def adding(SIZE):\n"
        "    def add(value):\n"
        "        return value + SIZE\n"
        "    return kept_kernel(add)\n"
        "folder, me = Path(sys.argv[1]), sys.argv[2]\n"
        "(folder / me).touch()\n"
        "while len(list(folder.iterdir())) < 3:\n"
        "    pass\n"
        "for size in map(int, sys.argv[3:]):\n"
        "    kernel = adding(size)\n"
        "    print(kernel(10), sum(kernel.stats.cache_hits.values()))\n"
    )
    ready = tmp_path / "ready"
    ready.mkdir()
    environment = os.environ | {"URNN_CACHE_DIR": str(tmp_path / "cache")}

    def start(*arguments: str) -> subprocess.Popen:
        command = [sys.executable, str(script), str(ready), *arguments]
        return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True)

    together = [start("a", "1", "2", "3"), start("b", "3", "2", "1"), start("c", "2", "3", "1")]
    for process in together:
        assert process.wait() == 0
    for process, sizes in zip(together, ((1, 2, 3), (3, 2, 1), (2, 3, 1)), strict=True):
        printed, _ = process.communicate()
        assert [line.split()[0] for line in printed.splitlines()] == [str(10 + k) for k in sizes]
    after = start("d", "1", "2", "3").communicate()[0]
    assert after.split("\n")[:3] == ["11 1", "12 1", "13 1"]
    assert len(list(next((tmp_path / "cache").iterdir()).iterdir())) == 3


def test_kernels_of_two_processes_are_told_apart_where_a_third_one_calls_both(
    tmp_path: Path,
) -> None:
    """Numba numbers functions in every process anew, and links the first one of a name."""
    script = tmp_path / "script.py"
    script.write_text(
        "import sys\nfrom urnn.recurrence.cache import kept_kernel\n"
        "def adding(SIZE):\n"
        "    def add(value):\n"
        "        return value + SIZE\n"
        "    return kept_kernel(add)\n"
        "def calling(first, second):\n"
        "    def call(value):\n"
        "        return 100 * first(value) + second(value)\n"
        "    return kept_kernel(call)\n"
        "sizes = [int(word) for word in sys.argv[1:]]\n"
        "kernels = [adding(size) for size in sizes]\n"
        "print(kernels[0](10) if len(sizes) < 2 else calling(*kernels)(10))\n"
    )
    environment = os.environ | {"URNN_CACHE_DIR": str(tmp_path / "cache")}

    def run(*sizes: str) -> int:
        command = [sys.executable, str(script), *sizes]
        result = subprocess.run(command, env=environment, capture_output=True, text=True)
        return int(result.stdout)

    assert [run("1"), run("2"), run("1", "2")] == [11, 12, 1112]


STEP = """
import numpy as np
from urnn.recurrence import Spec, backend, cpu, lanes, parameter_count
for cell in ("rnn", "lstm"):
    s = Spec(cell, 2, 1, 1); k = parameter_count(s); theta = np.full((1, k), .5, "f")
    x = np.ones((1, 1, 3, 1), "f"); i = np.zeros(1, int); b = backend("cpu")
    b.step(s)(theta, x, x, i, i[None])
    kernel = cpu._step(s, lanes.layout(s.cell, 2, 1))
    print(b.step(s)(theta, x, x, i, i[None])[0][0], sum(kernel.stats.cache_hits.values()))
"""


def test_an_edit_of_a_cell_compiles_its_kernels_and_no_others(tmp_path: Path) -> None:
    """A second process compiles nothing; after an edit of an emitter nothing old is used."""
    source = tmp_path / "src" / "urnn"
    shutil.copytree(Path(urnn.__file__).parent, source)
    environment = {
        **os.environ,
        "PYTHONPATH": str(source.parent),
        "URNN_CACHE_DIR": str(tmp_path / "cache"),
    }

    def run() -> list[float]:
        """Loss and number of kernels that were found, of an rnn and of an lstm."""
        command = [sys.executable, "-c", STEP]
        result = subprocess.run(
            command, env=environment, capture_output=True, text=True, check=False
        )
        assert result.returncode == 0, result.stderr
        return [float(word) for word in result.stdout.split()]

    def edit(path: str, old: str, new: str) -> None:
        text = (source / "recurrence" / path).read_text()
        assert old in text
        (source / "recurrence" / path).write_text(text.replace(old, new))

    rnn, found, lstm, found_too = run()
    assert (found, found_too) == (0, 0)
    assert run() == [rnn, 1, lstm, 1]
    edit("cells/lstm.py", "# tanh(c) = h / o", "# another comment")
    edit("cells/lstm.py", '"""Long short-term memory."""', '"""Another docstring."""')
    assert run() == [rnn, 1, lstm, 1]
    edit("cells/lstm.py", "b.fmul(opens[k], e.tanh(cells[k]))", "b.fadd(cells[k], cells[k])")
    of_rnn, found, of_lstm, found_too = run()
    assert (of_rnn, found, found_too) == (rnn, 1, 0)
    assert of_lstm != lstm
    relu = 'return e.where("<", z, e.constant(0), e.constant(0), z)'
    edit("activations.py", relu, "return e.builder.fadd(z, z)")
    of_rnn, found, _, found_too = run()
    assert of_rnn != rnn
    assert (found, found_too) == (0, 1)
