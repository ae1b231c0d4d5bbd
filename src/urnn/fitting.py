"""`urnn fit`: a configuration for a user's records, the workflow run on it, and what came out.

Everything is written to one folder: the configuration, which can be edited and run by Snakemake
alone, the results, the report page, and the models to use.
"""

from __future__ import annotations

import fcntl
import hashlib
import itertools
import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import yaml

from urnn.config import load
from urnn.errors import ConfigError, DataError, Interrupted
from urnn.tasks import POINT

if TYPE_CHECKING:
    import xarray as xr

_NAME = "fit"  # of the experiment and the recipe
_FIRST_LINE = "# Written by urnn fit."
_DIGEST_LINE = "# Edited, it is not written over: the digest of what follows was"
#: optimizer steps that a training takes, about, and the bounds of its epochs
_STEPS, _EPOCHS = 6000, (50, 1000)
_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
#: windows, at most; and samples of a window and of its warm-up, where they are not given
_MOST_WINDOWS, _WINDOW = 2000, (20, 250)


@dataclass(frozen=True)
class Fit:
    """What is asked for; the fields are the options of the command."""

    records: list[str]
    inputs: list[str]
    outputs: list[str]
    test_records: list[str]
    test_share: float
    time: str | None
    sample_time: float | None
    missing: str
    models: list[str]
    hidden_units: list[int]
    activation: str
    window: int | None
    warm_up: int | None
    epochs: int | None
    restarts: int
    realizations: int
    seed: int
    device: str


def run(fit: Fit, folder: Path, cores: int, profile: str | None, overwrite: bool) -> None:
    """Write the configuration, run the workflow, and print the verdict.

    Raises:
        ConfigError: an option is not allowed, or the folder holds something else: without
            ``overwrite`` also an edited configuration, or that of another record. Or another
            process is at work there.
        DataError: a record cannot be used.
        Interrupted: the workflow was interrupted or failed; what is finished is kept.
    """
    from urnn.records import check_kind

    for path in map(Path, (*fit.records, *fit.test_records)):
        if not path.is_dir():
            check_kind(path)
    _check_folder(folder, fit, overwrite)
    print("Reading the records ...", file=sys.stderr, flush=True)
    config = configuration(fit)
    load(config)
    with _alone(folder) as log:
        _write(config, folder)
        _run_workflow(folder, log, cores, profile)
        _tell(folder, config)


def configuration(fit: Fit) -> dict[str, Any]:
    """The configuration of the workflow; the records are read to choose what was left open.

    Raises:
        DataError: a record cannot be used.
        ConfigError: an option is not allowed.
    """
    config = template()
    task = _task(fit, config["experiments"][_NAME]["task"])
    recipe = config["recipes"][_NAME]
    training = task.training_trials
    size = min(recipe["batch_size"], training)
    epochs = fit.epochs
    if epochs is None:
        epochs = min(max(round(_STEPS * size / training), _EPOCHS[0]), _EPOCHS[1])
    # none ends early, and the best epoch by validation is kept
    recipe |= {"epochs": epochs, "patience": epochs, "batch_size": size, "restarts": fit.restarts}
    config |= {"seed": fit.seed, "device": fit.device}
    config["experiments"][_NAME] |= task.model_dump(exclude_defaults=True) | {
        "realizations": fit.realizations,
        "models": fit.models,
        "hidden_units": sorted(fit.hidden_units),
    }
    config["models"] = {
        name: model | ({"activation": fit.activation} if "activation" in model else {})
        for name, model in config["models"].items()
        if name in fit.models
    }
    return config


def template() -> dict[str, Any]:
    """What every fit starts from."""
    text = resources.files("urnn").joinpath("fit.yaml").read_text(encoding="utf-8")
    config: dict[str, Any] = yaml.safe_load(text)
    return config


def _task(fit: Fit, name: str) -> Any:
    """The settings of the task of that name, with windows that suit the records."""
    given = {
        "task": name,
        "records": [str(Path(path).resolve()) for path in fit.records],
        "inputs": fit.inputs,
        "outputs": fit.outputs,
        "test_records": [str(Path(path).resolve()) for path in fit.test_records],
        "test_share": fit.test_share,
        "time": fit.time,
        "sample_time": fit.sample_time,
        "missing": fit.missing,
    }
    whole = POINT.make(name, **given, window=2, warm_up=0, windows=5)
    generate = POINT.part_module(name, "generate")
    training, test = generate.pieces(whole)
    lengths = [len(piece.x) for piece in training]
    window = fit.window
    if window is None:
        window = min(max(sum(lengths) // 40, _WINDOW[0]), _WINDOW[1], max(lengths, default=2))
    warm_up = fit.warm_up if fit.warm_up is not None else window // 5
    fitting = sum(length for length in lengths if length >= window)
    windows = min(max(-(-fitting // max(window - warm_up, 1)), 5), _MOST_WINDOWS)
    task = POINT.make(name, **given, window=window, warm_up=warm_up, windows=windows)
    # whatever is wrong with the records is said now
    generate.assembled(task, training, test, fit.seed, 0)
    return task


def _check_folder(folder: Path, fit: Fit, overwrite: bool) -> None:
    """Refuse a folder that holds something that would be lost.

    Raises:
        ConfigError: it does.
    """
    config = folder / "config.yaml"
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    text = config.read_text(encoding="utf-8") if config.is_file() else ""
    if not text.startswith(_FIRST_LINE):
        raise ConfigError(
            f"--folder: {folder} is there and was not made by `urnn fit`; choose another name"
        )
    problem = _reason_to_keep(text, fit)
    if problem and not overwrite:
        raise ConfigError(
            f"--folder: {folder} is there, and {problem}; choose another name, or add --overwrite"
        )


def _reason_to_keep(text: str, fit: Fit) -> str | None:
    """Why a configuration of ours should not be written over, or None."""
    _, _, rest = text.partition(_DIGEST_LINE)
    digest, _, body = rest.partition("\n")
    if digest.strip() != _digest(body):
        return "its config.yaml was edited"
    first = yaml.safe_load(body)["experiments"][_NAME]["records"][0]
    if first != str(Path(fit.records[0]).resolve()):
        return f"it holds a fit of {first}"
    return None


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _write(config: Mapping[str, Any], folder: Path) -> None:
    from urnn import storage

    text = yaml.safe_dump(dict(config), sort_keys=False, allow_unicode=True)
    head = (
        f"{_FIRST_LINE} To run it again, from this folder:\n"
        f"# snakemake -s {workflow()} --configfile config.yaml --cores 2\n"
        f"{_DIGEST_LINE} {_digest(text)}\n"
    )
    path = folder / "config.yaml"
    if not path.is_file() or path.read_text(encoding="utf-8") != head + text:
        storage.write_text(head + text, path)


def workflow() -> Path:
    """The Snakefile: inside the package where that is installed, beside src in a checkout."""
    inside = Path(__file__).parent / "workflow" / "Snakefile"
    return inside if inside.is_file() else Path(__file__).parents[2] / "Snakefile"


@contextmanager
def _alone(folder: Path) -> Iterator[TextIO]:
    """The log of Snakemake, locked as long as this process or its Snakemake runs.

    Raises:
        ConfigError: another process is at work in the folder, or may be.
    """
    folder.mkdir(parents=True, exist_ok=True)
    # what it holds is another process's until it is locked
    with (folder / "snakemake.log").open("a", encoding="utf-8", buffering=1) as log:
        last = os.fstat(log.fileno()).st_mtime_ns
        try:
            fcntl.flock(log, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ConfigError(
                f"--folder: another `urnn fit` is at work in {folder}; wait until it ends, or "
                "choose another name"
            ) from None
        except OSError:  # a file system without such locks
            last = 0
        # one that is older than the end of the log was left by a `urnn fit` that was killed
        if any(lock.stat().st_mtime_ns > last for lock in _locks(folder)):
            raise ConfigError(
                f"--folder: Snakemake is at work in {folder}, or was killed there. If it does not "
                f"run any more: {shlex.join([*_snakemake(folder), '--cores', '1', '--unlock'])}"
            )
        log.truncate(0)
        yield log


def _locks(folder: Path) -> list[Path]:
    """What Snakemake locks a folder with; left there when it was killed."""
    return list((folder / ".snakemake" / "locks").glob("*.lock"))


def _snakemake(folder: Path) -> list[str]:
    """The command that runs the workflow of a folder, without the number of cores."""
    return [
        *(sys.executable, "-m", "snakemake", "--snakefile", str(workflow())),
        *("--directory", str(folder), "--configfile", str(folder / "config.yaml")),
    ]


def _run_workflow(folder: Path, log: TextIO, cores: int, profile: str | None) -> None:
    """Run Snakemake with a progress bar; its messages go to the log.

    Raises:
        Interrupted: it was interrupted, or it failed.
    """
    ours = workflow().parent / (profile or "")
    if profile and (ours / "config.yaml").is_file():
        profile = str(ours)  # such as slurm: Snakemake would look for it in the folder of the fit
    how = ["--profile", profile] if profile else ["--cores", str(cores)]
    status = 0
    if _locks(folder):  # left over, see _alone
        status = _logged([*_snakemake(folder), "--cores", "1", "--unlock"], log)
    status = status or _logged([*_snakemake(folder), *how], log)
    if status:
        raise Interrupted(_failure(Path(log.name)))


def _logged(command: list[str], log: TextIO) -> int:
    """The exit status of Snakemake, whose messages go to the log and move a progress bar.

    Raises:
        Interrupted: by Ctrl-C, SIGTERM or SIGHUP.
    """
    from tqdm import tqdm

    interrupted = False
    started: list[subprocess.Popen[str]] = []

    def stop(*_: object) -> None:
        nonlocal interrupted
        interrupted = True
        for process in started:
            with suppress(ProcessLookupError, PermissionError):  # all have ended
                os.killpg(process.pid, signal.SIGINT)  # trainings leave checkpoints

    # a group of its own, so that one signal ends it and its jobs; it writes what it does to stderr
    with (
        _handled(stop),
        subprocess.Popen(
            command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL,
            text=True, bufsize=1, process_group=0, pass_fds=[log.fileno()],
        ) as process,
        tqdm(total=None, unit="job", desc="Fitting", disable=None) as bar,
    ):  # fmt: skip
        started.append(process)
        if interrupted:  # while it started
            stop()
        assert process.stderr is not None
        for line in process.stderr:
            log.write(line)
            done = re.match(r"(\d+) of (\d+) steps", line)
            if done:
                bar.total = int(done[2])
                bar.update(int(done[1]) - bar.n)
    if interrupted:
        raise Interrupted(
            "interrupted; run the same command again to continue from what is finished"
        )
    return process.returncode


@contextmanager
def _handled(stop: Callable[..., None]) -> Iterator[None]:
    """Within, Ctrl-C, SIGTERM and SIGHUP call a function.

    A signal that is ignored, as by nohup, stays so. But a process that is started within does not
    ignore SIGINT.
    """
    before = {number: signal.getsignal(number) for number in _SIGNALS}
    for number, handler in before.items():
        if handler != signal.SIG_IGN:
            signal.signal(number, stop)
        elif number == signal.SIGINT:  # a new process inherits SIG_IGN, but no handler
            signal.signal(number, lambda *_: None)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _failure(log: Path) -> str:
    """What the log of Snakemake says of a failure."""
    lines = log.read_text(encoding="utf-8").splitlines()
    told = [line.strip() for line in lines if re.match(r"\s*urnn \w+: ", line)][-3:]
    if not told:
        # "Error: " and the message, or a line with the class and the message from the next one on
        starts = [k for k, line in enumerate(lines) if line.startswith("Error: ")] or [
            k + 1 for k, line in enumerate(lines) if re.match(r"\w+(Error|Exception)\b.*:$", line)
        ]
        rest = lines[starts[-1] :] if starts else []
        told = list(itertools.takewhile(lambda line: line[:1].strip(), rest))
    head = "Snakemake could not run the workflow."
    if any(line.startswith(("Error in rule ", "Error in group ")) for line in lines):
        head = (
            "the workflow failed; what is finished is kept, and the same command goes on from "
            "there."
        )
    return "\n".join([head, *dict.fromkeys(told or [f"See {os.path.relpath(log)}."])])


def _tell(folder: Path, config: Mapping[str, Any]) -> None:
    """Print what was found, and keep the models to use."""
    from tabulate import tabulate

    from urnn import storage
    from urnn.figures.base import labelled

    (figure,) = load(config).figures.values()
    scores = storage.read(folder / "results" / _NAME / "scores.nc", figure.needs())
    labels = {name: model["label"] for name, model in config["models"].items()}
    scores = labelled(scores, labels)
    found = figure.findings({_NAME: scores}, None)
    for table in found["tables"]:
        print(tabulate(table["rows"], table["head"], disable_numparse=True))
    print()
    print("\n".join(found["sentences"]))
    print("\nModels, of the realization with the lowest validation loss:")
    kept = _keep_models(folder, scores, figure)
    for path, told in kept.items():
        print(f"  {os.path.relpath(path)}: {told}")
    earlier = sorted({*(folder / "models").glob("*.nc")} - {*kept})
    if earlier:
        print(f"Of an earlier fit: {', '.join(map(os.path.relpath, earlier))}")
    print(f"Page: {os.path.relpath(folder / 'reports' / 'index.html')}")


def _keep_models(folder: Path, scores: xr.Dataset, figure: Any) -> dict[Path, str]:
    """A file for each network that is enough; and what is said of it."""
    from urnn import storage, trained

    kept = {}
    for choice in figure.choices(scores).values():
        size = choice.hidden_units
        source = folder / f"results/{_NAME}/models/{choice.model}/hidden-{size:02d}"
        files = [storage.read(path) for path in sorted(source.glob("realizations-*.nc"))]
        found = [one for file in files for one in trained.replicas(file)]
        if not found:
            raise DataError(f"{source} has no trained model; run the same command again")
        best = min(found, key=lambda one: one.validation_loss)
        path = folder / "models" / f"{choice.model}-{size:02d}.nc"
        storage.write(best.alone(), path)
        rmse = scores["rmse"].sel(
            model=choice.model, hidden_units=size, realization=best.realization
        )
        errors = ", ".join(
            f"{float(value):.4g} of {name}"
            for name, value in zip(scores["output"].values, rmse.values, strict=True)
        )
        kept[path] = f"test RMSE {errors}"
    return kept
