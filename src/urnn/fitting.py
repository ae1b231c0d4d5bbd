"""`urnn fit`: a configuration for a user's records, the workflow run on it, and what came out.

Everything is written to one folder: the configuration, which can be edited and run by Snakemake
alone, the results, the report page, and the models to use.
"""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING, Any

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
            ``overwrite`` also an edited configuration, or that of another record.
        DataError: a record cannot be used.
        Interrupted: the workflow was interrupted or failed; what is finished is kept.
    """
    _check_folder(folder, fit, overwrite)
    print("Reading the records ...", file=sys.stderr, flush=True)
    config = configuration(fit)
    load(config)
    _write(config, folder)
    _run_workflow(folder, cores, profile)
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
    epochs = fit.epochs or min(max(round(_STEPS * size / training), _EPOCHS[0]), _EPOCHS[1])
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


def _run_workflow(folder: Path, cores: int, profile: str | None) -> None:
    """Run Snakemake with a progress bar; its messages go to a log.

    Raises:
        Interrupted: it was interrupted, or a job failed.
    """
    from tqdm import tqdm

    log = folder / "snakemake.log"
    ours = workflow().parent / (profile or "")
    if profile and (ours / "config.yaml").is_file():
        profile = str(ours)  # such as slurm: Snakemake would look for it in the folder of the fit
    command = [
        *(sys.executable, "-m", "snakemake", "--snakefile", str(workflow())),
        *("--directory", str(folder), "--configfile", str(folder / "config.yaml")),
        *(("--profile", profile) if profile else ("--cores", str(cores))),
    ]
    # Snakemake writes what it does to stderr
    with (
        log.open("w", encoding="utf-8") as kept,
        subprocess.Popen(
            command, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True, bufsize=1
        ) as process,
        tqdm(total=None, unit="job", desc="Fitting", disable=None) as bar,
    ):
        assert process.stderr is not None
        try:
            for line in process.stderr:
                kept.write(line)
                done = re.match(r"(\d+) of (\d+) steps", line)
                if done:
                    bar.total = int(done[2])
                    bar.update(int(done[1]) - bar.n)
        except KeyboardInterrupt:
            process.wait()  # it has the signal too, and ends its jobs
            raise Interrupted(
                "interrupted; run the same command again to continue from what is finished"
            ) from None
    if process.returncode:
        raise Interrupted(
            f"the workflow failed; what is finished is kept, and the same command goes on from "
            f"there.\n{_last_error(log)}"
        )


def _last_error(log: Path) -> str:
    """What the log says of the failure."""
    lines = log.read_text(encoding="utf-8").splitlines()
    told = [line for line in lines if re.match(r"urnn \w+: ", line.strip())]
    return "\n".join(dict.fromkeys(told[-3:])) or f"See {os.path.relpath(log)}."


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
    for path, told in _keep_models(folder, scores, figure).items():
        print(f"  {os.path.relpath(path)}: {told}")
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
