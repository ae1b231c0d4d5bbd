"""`--profile slurm`: what each job asks for, and the workflow on a real Slurm of one node."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pytest
import xarray as xr

from tests.workflow.one_node_slurm import one_node_slurm, reason_against, squeue

if TYPE_CHECKING:
    from tests.workflow.conftest import Project

# A Slurm without accounts has no sacct, and a node that is this machine needs no patience.
HERE = ("--profile", "slurm", "--slurm-no-account", "--slurm-status-command", "squeue")
#: seconds each and nothing but drawing and text: they stay where snakemake runs
LOCAL = {"figure", "theory_figure", "report", "all"}
#: the output that the job with a time limit makes
SLOW = "results/test-20dB/models/urnn/hidden-02/realizations-000-001.nc"


def resources(project: Project, *arguments: str) -> dict[str, list[dict[str, str]]]:
    """What each job of a dry run asks for, by rule. Messages hide that, so they are taken out."""
    for path in (project.folder / "workflow/rules").glob("*.smk"):
        text = re.sub(
            r"^( *)    message:\n(\1        .*\n)+", "", path.read_text(), flags=re.MULTILINE
        )
        path.write_text(text)
    output = project.run("--profile", "slurm", "--dry-run", "--forceall", *arguments)
    found: dict[str, list[dict[str, str]]] = {}
    for block in re.findall(r"^ *rule [^\n]*:\n(?: +\w+:[^\n]*\n)+", output, re.MULTILINE):
        rule = re.search(r"rule (data|\w+)", block)  # data_EXPERIMENT_FIRST
        asked = re.search(r"resources: (.*)", block)
        assert rule and asked, block
        pairs = dict(pair.split("=", 1) for pair in asked[1].split(", "))
        found.setdefault(rule[1], []).append(pairs)
    return found


def test_every_job_says_what_it_needs_and_more_after_a_failure(project: Project) -> None:
    first, second = (resources(project, "--attempt", attempt) for attempt in "12")
    submitted = set(first) - LOCAL
    assert submitted == {"kernels", "data", "train", "score", "theory"}
    for rule in submitted:
        for before, after in zip(first[rule], second[rule], strict=True):
            assert 0 < int(before["runtime"]) < int(after["runtime"])
            assert 0 < int(before["mem_mb"]) < int(after["mem_mb"])
            assert before.get("gpu", "0") == "0"


def test_only_training_asks_for_a_gpu(project: Project) -> None:
    project.edit("config/test.yaml", "device: cpu", "device: cuda")
    asked = resources(project)
    assert {job["gpu"] for job in asked.pop("train")} == {"1"}
    assert not any("gpu" in job for jobs in asked.values() for job in jobs)


def test_short_jobs_go_together_and_long_ones_alone(project: Project) -> None:
    def groups() -> list[str]:
        output = project.run("--profile", "slurm", "--dry-run", "--forceall")
        return sorted(re.findall(r"Group job (\w+)", output))

    # data and scores are in none: a failure in one experiment would stop the others
    assert groups() == ["start", "train", "train", "train"]
    project.edit("config/test.yaml", "epochs: 4", "epochs: 100000000")
    assert groups() == ["start", "train"]  # those of the images are short still


def test_a_profile_of_ones_own_replaces_or_completes_this_one(
    project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The two ways that docs/snakemake.md gives, because this folder's profile hides the user's."""
    own = tmp_path / "home" / "snakemake" / "slurm"
    own.mkdir(parents=True)
    (own / "config.yaml").write_text(
        "executor: slurm\njobs: 7\nset-resources: {train: {mem_mb: 77}}\n"
    )
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "home"))

    def run(*profiles: str) -> tuple[bool, bool]:
        """Whether our groups and whether the user's memory are in force."""
        asked = [word for profile in profiles for word in ("--profile", profile)]
        output = project.run(*asked, "--dry-run", "--forceall")
        return "Group job train" in output, "mem_mb=77," in output

    resources(project)  # takes the messages out
    assert run("slurm") == (True, False)
    assert run(str(own)) == (False, True)
    assert run("slurm", str(own)) == (True, True)
    shutil.rmtree(project.folder / "slurm")
    assert run("slurm") == (False, True)


class Runs(NamedTuple):
    """Two copies of the project, in which snakemake works on the same Slurm."""

    whole: Project
    ended: subprocess.Popen[str]
    limited: Project


def limit_the_first_attempt(project: Project) -> None:
    """A training of many epochs stops in its first attempt once it has left a checkpoint, and waits
    for the end of its time, Slurm's shortest: a minute."""
    project.edit("config/test.yaml", "epochs: 4", "epochs: 3000")
    project.edit("workflow/rules/resources.smk", "return attempt * (5", "return attempt or (5")
    last_lines = '--device {resources.device} "\n        "--output {output:q} > {log:q} 2>&1"'
    project.edit("workflow/rules/train.smk", last_lines, (
        '--device {resources.device} "'
        '"--output {output:q} --checkpoint-seconds 0.5 > {log:q} 2>&1 & "'
        '"if test {resources.runtime} = 1; then "'
        '"while ! ls $(dirname {output})/.*.checkpoint.nc; do sleep 0.1; done; "'
        '"kill -STOP $!; sleep 600; fi; wait $!"'
    ))  # fmt: skip


@pytest.fixture(scope="module")
def runs(finished: Project, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runs]:
    reason = reason_against()
    if reason and os.environ.get("URNN_NEEDS_SLURM"):
        pytest.fail(f"URNN_NEEDS_SLURM is set, but {reason}")
    if reason:
        pytest.skip(reason)
    whole, limited = (
        finished.copy(tmp_path_factory.mktemp(name) / "project") for name in ("whole", "limited")
    )
    for made in ("results", "reports", ".snakemake"):
        shutil.rmtree(whole.folder / made)
    # half of the trainings; two cluster jobs where one would do, so that two cores are busy
    whole.edit("config/test.yaml", "hidden_units: [2, 4]", "hidden_units: [2]")
    whole.edit("slurm/config.yaml", "train: 12", "train: 8")
    whole.edit("slurm/config.yaml", "start: 500", "start: 7")
    limit_the_first_attempt(limited)
    wait = "--slurm-init-seconds-before-status-checks"
    with contextlib.ExitStack() as stack:
        stack.enter_context(one_node_slurm())
        # its checks come after 23, 56 and 99 s; Slurm ends the job when it looks, after 90 s
        stack.enter_context(limited.start(*HERE, wait, "23", "--", SLOW))
        ended = stack.enter_context(whole.start(*HERE, wait, "6"))
        yield Runs(whole, ended, limited)


def test_the_results_of_a_cluster_are_those_of_one_machine(runs: Runs, finished: Project) -> None:
    output, _ = runs.ended.communicate(timeout=400)
    assert runs.ended.returncode == 0, output[-6000:]
    assert (runs.whole.folder / "reports/index.html").is_file()
    jobs = [job for job in squeue("%Z|%T|%C") if job[0] == str(runs.whole.folder)]
    # kernels and theory, trainings twice, data and scores of three experiments
    assert [job[1:] for job in jobs] == [["COMPLETED", "1"]] * (1 + 2 + 3 + 3)
    results = runs.whole.folder / "results"
    made = {path.relative_to(results) for path in results.rglob("*.nc")}
    paths = sorted(path for path in made if path.name != "scores.nc")  # those hold all sizes
    assert len([path for path in paths if "models" in path.parts]) == 12 + 3
    assert len(made) == (12 + 3) + (6 + 1) + 3 + 3
    for path in paths:
        with (
            xr.open_dataset(finished.folder / "results" / path) as here,
            xr.open_dataset(results / path) as there,
        ):
            assert set(here.variables) == set(there.variables)
            for name in set(here.variables) - {"wall_seconds"}:
                assert here[name].dtype == there[name].dtype
                np.testing.assert_array_equal(here[name], there[name], err_msg=f"{path} {name}")


def test_a_job_that_exceeds_its_time_limit_is_resubmitted_and_goes_on(
    runs: Runs, finished: Project, tmp_path: Path
) -> None:
    end = time.monotonic() + 240
    jobs: list[list[str]] = []
    while time.monotonic() < end and not any(job[2] == "COMPLETED" for job in jobs):
        time.sleep(1)
        jobs = [job for job in squeue("%Z|%i|%T|%l") if job[0] == str(runs.limited.folder)]
    assert [job[2:] for job in sorted(jobs, key=lambda job: int(job[1]))] == [
        ["TIMEOUT", "1:00"],
        ["COMPLETED", "2:00"],
    ]
    log = runs.limited.folder / SLOW.replace("models", "").replace("results", "results/logs/train")
    log = log.with_suffix(".log")
    assert re.search(r"^resumed from .* at epoch [0-9]+, batch", log.read_text(), re.MULTILINE)
    assert "epoch 3000/3000" in log.read_text()
    # the same training on this machine, from beginning to end
    local = finished.copy(tmp_path / "local")
    local.edit("config/test.yaml", "epochs: 4", "epochs: 3000")
    local.snakemake(SLOW)
    with (
        xr.open_dataset(runs.limited.folder / SLOW) as again,
        xr.open_dataset(local.folder / SLOW) as once,
    ):
        for name in set(once.variables) - {"wall_seconds"}:
            np.testing.assert_array_equal(again[name], once[name], err_msg=str(name))
    assert list((runs.limited.folder / SLOW).parent.glob(".*")) == []
