"""Compiled kernels between processes. That an edit of their sources counts: test_backends.py."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

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
