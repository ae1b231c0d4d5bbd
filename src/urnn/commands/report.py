"""`python -m urnn report`: write the report page."""

from __future__ import annotations

import argparse
import itertools
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from urnn import blocks
from urnn.commands import overwrite_argument
from urnn.config import Config, load
from urnn.errors import ConfigError, DataError
from urnn.figures.base import labelled
from urnn.settings.base import values_of
from urnn.theorems import POINT as THEOREMS

if TYPE_CHECKING:
    import xarray as xr

    from urnn.report.page import FigureEntry, Missing, Verdict
    from urnn.verdict import Claim


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--config", required=True, help="the merged configuration, JSON or @FILE (YAML)"
    )
    parser.add_argument("--results", type=Path, default=Path("results"), help="folder of scores")
    parser.add_argument(
        "--figures", type=Path, default=Path("reports/figures"), help="folder of figures"
    )
    parser.add_argument(
        "--compare", type=Path, metavar="OTHER", help="folder of other results to put beside these"
    )
    parser.add_argument("--output", type=Path, required=True, help="HTML file to write")
    overwrite_argument(parser)


def run(options: argparse.Namespace) -> None:
    values = values_of(options.config, "--config")
    if not isinstance(values, dict):
        raise ConfigError("--config: expected a mapping of keys to values")
    config = load(values)
    from urnn import storage
    from urnn.report import page, protocol

    storage.check_new(options.output, (), options.overwrite)
    scores = _scores(config, options.results)
    numbers = _numbers(config, options.results)
    if not scores and not numbers:
        raise DataError(
            f"{options.results}: there are no scores of {', '.join(config.experiments)} and no "
            "numbers of theorems; run the workflow, or name another folder with --results"
        )
    figures = _figures(config, options.figures, scores, options.output.parent)
    shown_by = {
        name: [figure for figure in config.figures.values() if name in figure.sources]
        for name in config.experiments
    }
    drawn = [figure["name"] for figure in figures]
    text = page.render(
        scores,
        figures,
        values,
        _benchmarks(config, scores, drawn, options.results),
        shown_by,
        verdict=_verdict(config, scores, numbers, options.results),
        missing=_missing(config, scores, numbers, drawn, options),
        differences=protocol.differences(config),
        compared=_compared(config, scores, options.compare),
    )
    storage.write_text(text, options.output)


def _scores(config: Config, folder: Path) -> dict[str, xr.Dataset]:
    """The scores of the experiments that are there."""
    from urnn import storage

    labels = {name: model.label for name, model in config.models.items()}
    paths = {name: folder / name / "scores.nc" for name in config.experiments}
    return {
        name: labelled(storage.read(path, ("diverged",)), labels)
        for name, path in paths.items()
        if path.exists()
    }


def _numbers(config: Config, folder: Path) -> dict[str, xr.Dataset]:
    """The numbers of the theorems that are there."""
    from urnn import storage

    paths = {name: folder / "theory" / f"{name}.nc" for name in (THEOREMS if config.theory else ())}
    return {
        name: storage.read(path, THEOREMS.part_module(name, "claims").VARIABLES)
        for name, path in paths.items()
        if path.exists()
    }


def _figures(
    config: Config, folder: Path, scores: Mapping[str, xr.Dataset], page: Path
) -> list[FigureEntry]:
    """The figures of the theorems and of the configuration whose files and scores are there."""
    from urnn import published
    from urnn.figures.findings import uneven

    entries: list[Any] = []
    for name in THEOREMS if config.theory else ():
        plug = THEOREMS.plug(name)
        entries.append(
            {
                **_files(name, folder, page),
                "caption": plug.caption,
                "title": plug.title,
                "findings": {"sentences": [], "tables": []},
                "theorem": True,
            }
        )
    for name, figure in config.figures.items():
        if not {*figure.sources} <= {*scores}:
            continue
        labels = config.labels(name)["experiments"]
        shown = {
            label: figure.chosen(scores[source])
            for label, source in zip(labels, figure.sources, strict=True)
        }
        curves = published.load(figure.curves) if figure.curves else None
        counts = [uneven(label, dataset) for label, dataset in shown.items()]
        entries.append(
            {
                **_files(name, folder, page),
                "caption": "\n\n".join([figure.text, *filter(None, counts)]),
                "title": f"{_title(name)}: {', '.join(figure.sources)}",
                "findings": figure.findings(shown, curves),
            }
        )
    return [entry for entry in entries if Path(entry["path"]).exists()]


def _files(name: str, folder: Path, page: Path) -> Any:
    """The name of a figure and its files, as far as they are there."""
    narrow, numbers = folder / "narrow" / f"{name}.svg", folder / f"{name}.csv"
    links = {
        kind: Path(os.path.relpath(folder / f"{name}.{kind}", page)).as_posix()
        for kind in ("svg", "png")
    }
    found: dict[str, Any] = {"name": name, "path": folder / f"{name}.svg", "links": links}
    if narrow.exists():
        found["narrow"] = narrow
    if numbers.exists():
        found["numbers"] = numbers
    return found


def _title(name: str) -> str:
    """figure2-tuned-20dB: Figure 2 tuned 20 dB."""
    words = re.sub(r"^figure(?=\d)", "figure ", name).replace("-", " ")
    words = re.sub(r"(\d)dB\b", r"\1 dB", words)
    return words[:1].upper() + words[1:]


def _verdict(
    config: Config,
    scores: Mapping[str, xr.Dataset],
    numbers: Mapping[str, xr.Dataset],
    folder: Path,
) -> Verdict:
    """The claims that the theorems' numbers and the figures' scores bear on."""
    from urnn import published
    from urnn.report.page import Verdict

    claims: list[tuple[str, Claim]] = []
    for name, dataset in numbers.items():
        settings = getattr(config.theory, name)
        claims += [(name, claim) for claim in settings.claims(dataset, name)]
    for name, figure in config.figures.items():
        if {*figure.sources} <= {*scores}:
            shown = {source: figure.chosen(scores[source]) for source in figure.sources}
            curves = published.load(figure.curves) if figure.curves else None
            claims += [(name, claim) for claim in figure.claims(shown, curves)]
    files = {name: folder / name / "scores.nc" for name in scores}
    files |= {name: folder / "theory" / f"{name}.nc" for name in numbers}
    curves_of = {name: f"urnn/published/{name}.csv" for name in published.NAMES}
    return Verdict(claims, curves_of | {name: path.as_posix() for name, path in files.items()})


def _missing(
    config: Config,
    scores: Mapping[str, xr.Dataset],
    numbers: Mapping[str, xr.Dataset],
    drawn: Iterable[str],
    options: argparse.Namespace,
) -> list[Missing]:
    """What the configuration names and is not there."""
    from urnn.report.page import Missing

    found = [
        Missing(f"scores of {name}", (options.results / name / "scores.nc").as_posix())
        for name in config.experiments
        if name not in scores
    ]
    theorems = list(THEOREMS) if config.theory else []
    found += [
        Missing(f"numbers of {name}", (options.results / "theory" / f"{name}.nc").as_posix())
        for name in theorems
        if name not in numbers
    ]
    found += [
        Missing(f"figure {name}", (options.figures / f"{name}.svg").as_posix())
        for name in (*theorems, *config.figures)
        if name not in drawn
    ]
    return found


def _compared(
    config: Config, scores: Mapping[str, xr.Dataset], other: Path | None
) -> dict[str, Any] | None:
    """Another folder of results beside this one."""
    if other is None:
        return None
    from urnn import storage
    from urnn.report import comparison

    paths = {path.parent.name: path for path in sorted(other.glob("*/scores.nc"))}
    if not paths:
        raise DataError(f"--compare: {other} has no file */scores.nc; name a folder of results")
    labels = {name: model.label for name, model in config.models.items()}
    there = {
        name: labelled(storage.read(path, ("diverged",)), labels) for name, path in paths.items()
    }
    return {"name": other.as_posix(), **comparison.side_by_side(scores, there)}


def _benchmarks(
    config: Config, experiments: Iterable[str], figures: Iterable[str], results: Path
) -> dict[str, list[Path]]:
    """By stage, the benchmark files of the jobs that made what is on the page.

    Other configurations that ran in the folder, and settings of before, have left theirs too.
    """
    folder = results / "benchmarks"
    files: dict[str, list[Path]] = {"data": [], "train": [], "score": []}
    for name in experiments:
        settings = config.experiments[name]
        files["score"] += (folder / "score" / name).glob("*.tsv")
        for path in (folder / "data" / name).glob("realizations-*.tsv"):
            if int(path.stem.split("-")[1]) < settings.realizations:
                files["data"].append(path)
        for model, size in itertools.product(settings.models, settings.hidden_units):
            place = f"{model}/hidden-{size:02d}"
            most = settings.block_size or settings.realizations
            used = blocks.of_training(settings, most, results / name / "models" / place)
            files["train"] += [
                folder / "train" / name / place / f"realizations-{first:03d}-{last:03d}.tsv"
                for first, last in used
            ]
    files["kernels"] = [folder / "kernels" / f"{name}.tsv" for name in config.kernels()]
    for stage in ("theory", "figure"):
        files[stage] = [folder / stage / f"{name}.tsv" for name in figures]
    there = {
        stage: sorted(path for path in paths if path.exists()) for stage, paths in files.items()
    }
    return {stage: paths for stage, paths in there.items() if paths}
