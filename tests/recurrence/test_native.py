"""Compiled kernels between processes: kept, never stale, never mixed up."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import urnn
from urnn.errors import ArgumentError
from urnn.recurrence import native
from urnn.recurrence.emitter import Emitter, Offset
from urnn.recurrence.native import Integers, Kernel, shared

ADDING = """
import numpy as np
from urnn.recurrence.native import Integers, Kernel

def adding(SIZE):
    def add(e, values: "Integers"):
        values[0] = values[0] + SIZE
    return Kernel(add)

def call(kernel, value):
    values = np.array([value])
    kernel(values)
    return int(values[0])
"""


def adding(SIZE: int) -> Kernel:
    """A small kernel of the form of the real ones: the same function for every size."""

    def add(e: Emitter, values: Integers) -> None:
        values[0] = values[0] + SIZE

    return Kernel(add)


def call(kernel: Kernel, value: int) -> int:
    values = np.array([value])
    kernel(values)
    return int(values[0])


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(native, "folder", lambda: tmp_path / "kernels")
    return tmp_path / "kernels"


def test_a_kernel_is_compiled_once_for_each_size(folder: Path) -> None:
    for found in (False, True):
        for size in (1, 2):
            kernel = adding(size)
            assert call(kernel, 10) == 10 + size
            assert kernel.found == found
    assert len(list(folder.iterdir())) == 2  # one file for each, and no index that they share


@shared
def sum_below(e: Emitter, count: Offset, total: Integers) -> None:
    """total[0] = 0 + 1 + ... + (count - 1)"""
    total[0] = 0
    with e.loop(count) as k:
        total[0] = total[0] + k


def test_kernels_share_a_function_and_what_is_compiled_of_it(folder: Path) -> None:
    def of_seven(e: Emitter, total: Integers) -> None:
        sum_below(e, 7, total)

    def of_given(e: Emitter, count: Offset, total: Integers) -> None:
        sum_below(e, (count + 1,), total)

    total = np.zeros(1, np.int64)
    Kernel(of_seven)(total)
    assert total[0] == 21
    Kernel(of_given)(9, total)
    assert total[0] == 45
    assert len(list(folder.iterdir())) == 3


def test_integers_are_those_of_python(folder: Path) -> None:
    def compute(e: Emitter, a: Offset, b: Offset, out: Integers) -> None:
        found = (a + b, a - b, 7 - a, a * b, 3 * a, a // b, 100 // b, a % b, a & 6, 5 + a, a * 1)
        for k, value in enumerate(found):
            out[k] = value
        out[11] = e.minimum(a, b)
        out[12] = e.either(a >= b, a, b)
        out[13] = 0
        with e.when(a.equals(17)):
            out[13:][0] = 1

    out = np.zeros(14, np.int64)
    Kernel(compute)(17, 5, out)
    assert out.tolist() == [22, 12, -10, 85, 51, 3, 20, 2, 0, 22, 17, 5, 17, 1]


@pytest.mark.parametrize("wrong", [np.zeros(1), np.zeros(1, np.int32), np.zeros((2, 2), int).T])
def test_an_array_that_would_be_misread_is_refused(folder: Path, wrong: np.ndarray) -> None:
    with pytest.raises(ArgumentError, match="values must be a C-contiguous int64 array"):
        adding(1)(wrong)


def test_a_file_cut_short_or_damaged_is_compiled_again(folder: Path) -> None:
    call(adding(1), 10)
    (file,) = folder.iterdir()
    whole = file.read_bytes()
    damaged = bytearray(whole)
    damaged[len(whole) // 2] ^= 1
    for content in (b"", whole[:100], whole[: len(whole) // 2], bytes(damaged)):
        file.write_bytes(content)
        kernel = adding(1)
        assert call(kernel, 10) == 11
        assert not kernel.found
        assert file.read_bytes() == whole
    assert [f.name for f in folder.iterdir()] == [file.name]


def test_without_a_folder_kernels_work_and_a_warning_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setattr(native, "folder", lambda: tmp_path / "file" / "kernels")
    with pytest.warns(RuntimeWarning, match="set URNN_CACHE_DIR to a folder"):
        assert call(adding(1), 10) == 11


def test_processes_that_compile_at_once_do_not_mix_their_kernels(tmp_path: Path) -> None:
    script = tmp_path / "script.py"
    script.write_text(
        ADDING + "import sys\nfrom pathlib import Path\n"
        "folder, me = Path(sys.argv[1]), sys.argv[2]\n"
        "(folder / me).touch()\n"
        "while len(list(folder.iterdir())) < 3:\n"
        "    pass\n"
        "for size in map(int, sys.argv[3:]):\n"
        "    kernel = adding(size)\n"
        "    print(call(kernel, 10), int(kernel.found))\n"
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


STEP = """
import numpy as np
from urnn.recurrence import Spec, backend, cpu, lanes, parameter_count
for cell in ("rnn", "lstm"):
    s = Spec(cell, 2, 1, 1); k = parameter_count(s); theta = np.full((1, k), .5, "f")
    x = np.ones((1, 1, 3, 1), "f"); i = np.zeros(1, int); b = backend("cpu")
    b.step(s)(theta, x, x, i, i[None])
    kernel = cpu._step(s, lanes.layout(s.cell, 2, 1))
    print(b.step(s)(theta, x, x, i, i[None])[0][0], int(kernel.found))
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
