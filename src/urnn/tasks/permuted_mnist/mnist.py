"""MNIST's four files: found in a folder or downloaded, and checked whatever the source.

Source: Y. LeCun, C. Cortes and C. J. C. Burges, "The MNIST database of handwritten digits". The
files are in the IDX format: a header with the sizes, then unsigned bytes.
"""

from __future__ import annotations

import gzip
import hashlib
import os
import sys
import tempfile
import zlib
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from urnn.errors import DataError

#: environment variable that names the folder of the files
FOLDER_VARIABLE = "URNN_MNIST_DIR"
#: environment variable that names another folder than the user's usual one for what is kept
CACHE_VARIABLE = "URNN_CACHE_DIR"
#: places that offer the files, compressed with gzip; tried one after the other
MIRRORS = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
    "https://raw.githubusercontent.com/fgnt/mnist/master/",
)
#: seconds without an answer after which the next place is tried
TIMEOUT = 30


class MNIST(NamedTuple):
    """The images, uint8 (n, 28, 28) from 0 to 255, and the digits, uint8 (n,)."""

    train_images: NDArray[np.uint8]
    train_labels: NDArray[np.uint8]
    test_images: NDArray[np.uint8]
    test_labels: NDArray[np.uint8]


class IDXFile(NamedTuple):
    """A file: its name without .gz, its sizes, the SHA-256 of its uncompressed content."""

    name: str
    shape: tuple[int, ...]
    sha256: str

    @property
    def header(self) -> int:
        """Bytes before the data: a magic number, then the size of each dimension."""
        return 4 + 4 * len(self.shape)


#: in the order of `MNIST`
FILES = (
    IDXFile(
        "train-images-idx3-ubyte",
        (60_000, 28, 28),
        "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
    ),
    IDXFile(
        "train-labels-idx1-ubyte",
        (60_000,),
        "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
    ),
    IDXFile(
        "t10k-images-idx3-ubyte",
        (10_000, 28, 28),
        "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
    ),
    IDXFile(
        "t10k-labels-idx1-ubyte",
        (10_000,),
        "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    ),
)


def load() -> MNIST:
    """MNIST from the folder that URNN_MNIST_DIR names, else from the cache or the network.

    Raises:
        DataError: the folder or one of its files is missing, a file is damaged or not MNIST's, or
            no mirror can be reached; the message names the file and the remedy.
    """
    folder = os.environ.get(FOLDER_VARIABLE)
    if folder:
        return MNIST(*(from_folder(file, Path(folder).expanduser()) for file in FILES))
    import pooch

    cache = Path(os.environ.get(CACHE_VARIABLE) or pooch.os_cache("urnn")) / "mnist"
    return MNIST(*(from_cache(file, cache) for file in FILES))


def from_folder(file: IDXFile, folder: Path) -> NDArray[np.uint8]:
    """One file of a folder, plain or compressed with gzip; raises as :func:`load`."""
    download = f"unset {FOLDER_VARIABLE} (the key folder of the experiment) to download MNIST"
    if not folder.is_dir():
        raise DataError(
            f"{FOLDER_VARIABLE} names the folder {folder}, which does not exist. Name the folder "
            f"of MNIST's four files, or {download}."
        )
    names = (file.name, f"{file.name}.gz")
    path = next((folder / name for name in names if (folder / name).is_file()), None)
    if path is None:
        raise DataError(
            f"{folder} has neither {names[0]} nor {names[1]}. Put the file there, or {download}."
        )
    try:
        return parse(path.read_bytes(), file)
    except (OSError, _Damaged) as error:
        raise DataError(f"{path} {_reason(error)}. Replace the file, or {download}.") from error


def from_cache(file: IDXFile, cache: Path) -> NDArray[np.uint8]:
    """One file of the cache, downloaded if missing or damaged; raises as :func:`load`."""
    path = cache / f"{file.name}.gz"
    if path.is_file():
        try:
            return parse(path.read_bytes(), file)
        except (OSError, _Damaged) as error:
            print(f"{path} {_reason(error)}; it is downloaded again", file=sys.stderr)
    return _download(file, path)


def _download(file: IDXFile, path: Path) -> NDArray[np.uint8]:
    """Download one file; only what was checked gets its name in the cache."""
    import pooch

    pooch.get_logger().setLevel("WARNING")  # it would advise to state the hash of the .gz
    problems = []
    for mirror in MIRRORS:
        url = mirror + path.name
        print(f"downloading {url}", file=sys.stderr, flush=True)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            temporary = tempfile.TemporaryDirectory(prefix=".download-", dir=path.parent)
        except OSError as error:
            raise DataError(
                f"cannot write into the cache {path.parent}: {error.strerror}. Make it writable, "
                f"or put MNIST's files into a folder and name it in {FOLDER_VARIABLE}."
            ) from error
        with temporary as folder:
            try:
                got = pooch.retrieve(
                    url,
                    known_hash=None,  # of the .gz, which mirrors may compress anew
                    fname=path.name,
                    path=folder,
                    downloader=pooch.HTTPDownloader(timeout=TIMEOUT),
                )
                values = parse(Path(got).read_bytes(), file)
                os.replace(got, path)
            except (OSError, _Damaged) as error:
                problems.append(f"  {url} {_reason(error)}")
            else:
                return values
    tried = "\n".join(problems)
    raise DataError(
        f"cannot download {path.name}, no mirror has given it:\n{tried}\nTry again with a network, "
        f"or put MNIST's four files into a folder and name it in {FOLDER_VARIABLE} (the key "
        "folder of the experiment)."
    )


class _Damaged(ValueError):
    """Why a content is not the file that it should be; the message continues the file's name."""


def parse(raw: bytes, file: IDXFile) -> NDArray[np.uint8]:
    """The array of a file's bytes, plain or compressed with gzip.

    Raises:
        ValueError: the bytes are truncated, no gzip, or not those of the file by their SHA-256.
    """
    if raw[:2] == b"\x1f\x8b":
        try:
            raw = gzip.decompress(raw)
        except EOFError:
            raise _Damaged("is truncated: it ends in the midst of the gzip stream") from None
        except (gzip.BadGzipFile, zlib.error) as error:
            raise _Damaged(f"is damaged: {error}") from None
    size = file.header + int(np.prod(file.shape))
    if len(raw) < size:
        raise _Damaged(f"is truncated: it holds {len(raw)} of {size} bytes")
    found = hashlib.sha256(raw).hexdigest()
    if found != file.sha256:
        raise _Damaged(
            f"is not MNIST's {file.name}: the SHA-256 of its content is {found}, not {file.sha256}"
        )
    return np.frombuffer(raw, np.uint8, offset=file.header).reshape(file.shape)


def _reason(error: Exception) -> str:
    """What went wrong with a file or an address, as the continuation of its name."""
    if isinstance(error, _Damaged):
        return str(error)
    response = getattr(error, "response", None)
    if response is not None:
        return f"cannot be read: the server answers {response.status_code}"
    # requests repeats the address and names three layers of causes: the kind says enough
    text = getattr(error, "strerror", None) or str(error)
    kind = type(error).__name__
    return f"cannot be read: {text if len(text) <= 100 else kind}"
