"""A user's error gives its message and status 1; a bug keeps its traceback."""

from __future__ import annotations

import argparse
import inspect
import os
import subprocess
import sys
from pathlib import Path

import pytest

from urnn import errors
from urnn.__main__ import main
from urnn.commands import schema

KINDS = [
    kind
    for _, kind in inspect.getmembers(errors, inspect.isclass)
    if issubclass(kind, errors.UserError)
]


def raising(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> None:
    """Let the command `schema` raise this error."""

    def run(options: argparse.Namespace) -> None:
        raise error

    monkeypatch.setattr(schema, "run", run)


@pytest.mark.parametrize("kind", KINDS)
def test_a_users_error_gives_its_message_and_status_1(
    kind: type[errors.UserError],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    raising(monkeypatch, kind("--x: must be y"))
    assert main(["schema"]) == 1
    assert capsys.readouterr() == ("", "urnn schema: --x: must be y\n")


def test_a_file_error_of_the_system_gives_its_message_too(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    raising(monkeypatch, FileNotFoundError(2, "No such file or directory", "a.nc"))
    assert main(["schema"]) == 1
    assert "urnn schema: [Errno 2] No such file or directory: 'a.nc'" in capsys.readouterr().err


def test_memory_and_interruption_have_a_word(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    raising(monkeypatch, MemoryError())
    assert main(["schema"]) == 1
    assert capsys.readouterr().err.startswith("urnn schema: out of memory; give the job more")
    raising(monkeypatch, KeyboardInterrupt())
    assert main(["schema"]) == 130
    assert capsys.readouterr().err == "urnn schema: interrupted\n"


@pytest.mark.parametrize("bug", [ValueError("x"), RuntimeError("x"), KeyError("x"), TypeError("x")])
def test_a_bug_keeps_its_traceback(bug: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    raising(monkeypatch, bug)
    with pytest.raises(type(bug)) as caught:
        main(["schema"])
    assert caught.value is bug


def test_arguments_that_a_caller_mixes_up_are_value_errors_too() -> None:
    assert issubclass(errors.ArgumentError, ValueError)
    assert issubclass(errors.ConfigError, ValueError)


def test_the_process_prints_the_message_and_ends_with_status_1(tmp_path: Path) -> None:
    files = ["--data", "none.nc", "--models", "none.nc", "--output", "scores.nc"]
    result = subprocess.run(
        [sys.executable, "-m", "urnn", "score", *files],
        capture_output=True,
        text=True,
        check=False,
        env=dict(os.environ),
        cwd=tmp_path,
    )
    assert result.returncode == 1
    assert result.stderr.startswith("urnn score: none.nc does not exist")
    assert result.stdout == "" and list(tmp_path.iterdir()) == []
