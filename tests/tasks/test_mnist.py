"""MNIST's files from a folder, the cache or a mirror; whatever is wrong is named."""

from __future__ import annotations

import gzip
import hashlib
import os
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest

from urnn.errors import DataError
from urnn.tasks.permuted_mnist import mnist

REAL = os.environ.get(mnist.FOLDER_VARIABLE, "")
#: nothing listens there
NOWHERE = "http://127.0.0.1:9/"


@pytest.fixture
def contents(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, bytes]:
    """Small files in the place of MNIST's, by name; an empty cache, no folder and no network."""
    random = np.random.default_rng(0)
    made: dict[str, bytes] = {}
    files = []
    for file, trials in zip(mnist.FILES, (20, 20, 5, 5), strict=True):
        shape = (trials, *file.shape[1:])
        raw = bytes(file.header) + random.integers(0, 10, shape, dtype=np.uint8).tobytes()
        made[file.name] = raw
        files.append(mnist.IDXFile(file.name, shape, hashlib.sha256(raw).hexdigest()))
    monkeypatch.setattr(mnist, "FILES", tuple(files))
    monkeypatch.setattr(mnist, "MIRRORS", (NOWHERE, NOWHERE))
    monkeypatch.setenv(mnist.CACHE_VARIABLE, str(tmp_path / "cache"))
    monkeypatch.delenv(mnist.FOLDER_VARIABLE, raising=False)
    return made


@pytest.fixture
def folder(contents: dict[str, bytes], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The small files in the folder that the environment names, every other one compressed."""
    path = tmp_path / "mnist"
    path.mkdir()
    for i, (name, raw) in enumerate(contents.items()):
        target = path / (f"{name}.gz" if i % 2 else name)
        target.write_bytes(gzip.compress(raw) if i % 2 else raw)
    monkeypatch.setenv(mnist.FOLDER_VARIABLE, str(path))
    return path


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *arguments: object) -> None:
        """Nothing on the terminal of the tests."""


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """The address of a web server on this machine, and the folder that it offers."""
    offered = tmp_path / "offered"
    offered.mkdir()
    http = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(offered)))
    thread = threading.Thread(target=http.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{http.server_port}/", offered
    http.shutdown()
    thread.join()
    http.server_close()


def left(folder: Path) -> list[str]:
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def test_plain_and_compressed_files_of_a_folder(folder: Path, contents: dict[str, bytes]) -> None:
    data = mnist.load()
    for values, file in zip(data, mnist.FILES, strict=True):
        assert values.shape == file.shape
        assert values.dtype == np.uint8
        assert values.tobytes() == contents[file.name][file.header :]


def test_a_missing_folder_is_named(contents: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(mnist.FOLDER_VARIABLE, "no/such/folder")
    with pytest.raises(DataError, match=r"no/such/folder, which does not exist.*to download MNIST"):
        mnist.load()


def test_a_folder_without_one_of_the_files_is_named(folder: Path) -> None:
    (folder / "t10k-images-idx3-ubyte").unlink()
    words = r"mnist has neither t10k-images-idx3-ubyte nor t10k-images-idx3-ubyte\.gz\. Put"
    with pytest.raises(DataError, match=words):
        mnist.load()


@pytest.mark.parametrize(
    ("name", "damage", "words"),
    [
        ("train-images-idx3-ubyte", lambda raw: raw[:-1], "is truncated: it holds 15695 of 15696"),
        ("train-images-idx3-ubyte", lambda raw: b"", "is truncated: it holds 0 of 15696"),
        ("train-labels-idx1-ubyte.gz", lambda raw: raw[:-9], "is truncated: it ends in the midst"),
        ("train-labels-idx1-ubyte.gz", lambda raw: raw[:10] + b"\xff" * 20, "is damaged"),
        ("train-images-idx3-ubyte", lambda raw: raw[:-1] + b"\x0b", "the SHA-256 of its content"),
        ("train-images-idx3-ubyte", lambda raw: raw + b"\x00", "the SHA-256 of its content"),
    ],
)
def test_a_damaged_file_is_named(folder: Path, name: str, damage: object, words: str) -> None:
    path = folder / name
    path.write_bytes(damage(path.read_bytes()))  # type: ignore[operator]
    before = left(folder)
    with pytest.raises(DataError) as caught:
        mnist.load()
    message = str(caught.value)
    assert message.startswith(f"{path} is ")
    assert words in message
    assert "Replace the file" in message
    assert "\n" not in message
    assert left(folder) == before


def test_mirrors_are_tried_one_after_the_other(
    contents: dict[str, bytes],
    server: tuple[str, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    url, offered = server
    for kind in ("wrong", "cut", "good"):
        (offered / kind).mkdir()
        for name, raw in contents.items():
            sent = gzip.compress(raw[:-1] + b"\x0c" if kind == "wrong" else raw)
            path = offered / kind / f"{name}.gz"
            path.write_bytes(sent[: len(sent) // 2] if kind == "cut" else sent)
    mirrors = (NOWHERE, f"{url}none/", f"{url}wrong/", f"{url}cut/", f"{url}good/")
    monkeypatch.setattr(mnist, "MIRRORS", mirrors)
    cache = tmp_path / "cache"

    data = mnist.load()
    assert data.train_images.tobytes() == contents["train-images-idx3-ubyte"][16:]
    assert left(cache) == sorted(f"mnist/{name}.gz" for name in contents)

    # from the cache, without a network
    monkeypatch.setattr(mnist, "MIRRORS", (NOWHERE,))
    np.testing.assert_array_equal(mnist.load().test_labels, data.test_labels)

    # a file of the cache that was damaged is downloaded again
    damaged = cache / "mnist" / "t10k-labels-idx1-ubyte.gz"
    damaged.write_bytes(damaged.read_bytes()[:-3])
    with pytest.raises(DataError, match=r"cannot download t10k-labels-idx1-ubyte\.gz"):
        mnist.load()
    monkeypatch.setattr(mnist, "MIRRORS", mirrors)
    np.testing.assert_array_equal(mnist.load().test_labels, data.test_labels)


def test_without_a_network_every_mirror_and_the_remedy_are_named(
    contents: dict[str, bytes],
    server: tuple[str, Path],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    url, offered = server
    (offered / "train-images-idx3-ubyte.gz").write_bytes(b"<html>sign in to this network</html>")
    monkeypatch.setattr(mnist, "MIRRORS", (NOWHERE, f"{url}none/", url))
    with pytest.raises(DataError) as caught:
        mnist.load()
    assert str(caught.value).splitlines() == [
        "cannot download train-images-idx3-ubyte.gz, no mirror has given it:",
        f"  {NOWHERE}train-images-idx3-ubyte.gz cannot be read: ConnectionError",
        f"  {url}none/train-images-idx3-ubyte.gz cannot be read: the server answers 404",
        f"  {url}train-images-idx3-ubyte.gz is truncated: it holds 36 of 15696 bytes",
        "Try again with a network, or put MNIST's four files into a folder and name it in "
        "URNN_MNIST_DIR (the key folder of the experiment).",
    ]
    assert list((tmp_path / "cache" / "mnist").iterdir()) == []


def test_a_cache_that_cannot_be_made_is_named(contents: object, tmp_path: Path) -> None:
    (tmp_path / "cache").write_text("a file in its place")
    with pytest.raises(DataError, match=r"cannot write into the cache .*cache/mnist"):
        mnist.load()


@pytest.mark.skipif(
    not Path(REAL or "none").is_dir(), reason="needs MNIST: URNN_MNIST_DIR must name its folder"
)
def test_the_real_files_are_mnist() -> None:
    data = mnist.load()
    assert data.train_images.shape == (60_000, 28, 28)
    assert data.test_images.shape == (10_000, 28, 28)
    counts = [5923, 6742, 5958, 6131, 5842, 5421, 5918, 6265, 5851, 5949]
    assert np.bincount(data.train_labels).tolist() == counts
    assert data.test_labels[:5].tolist() == [7, 2, 1, 0, 4]
    assert data.train_images.mean() / 255 == pytest.approx(0.1307, abs=5e-5)
