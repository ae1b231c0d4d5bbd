"""A real Slurm of one node, this machine, for the time of a test: munge, controller and node."""

from __future__ import annotations

import contextlib
import fcntl
import os
import secrets
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

PROGRAMS = ("munged", "slurmctld", "slurmd", "sbatch", "srun", "squeue", "scancel", "setpriv")
#: the one place where jobs look: the executor plugin takes SLURM_CONF out of their environment
CONFIGURATION = Path("/etc/slurm/slurm.conf")
MARK = "# A Slurm of urnn's tests: they made this file, and they remove it.\n"

# More processors than a small machine has, so that a job that only sleeps keeps none from working.
TEXT = """
ClusterName=urnn
SlurmctldHost=localhost
SlurmUser=root
SlurmdUser=root
AuthType=auth/munge
AuthInfo=socket={folder}/munge.sock
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
JobAcctGatherType=jobacct_gather/linux
AccountingStorageType=accounting_storage/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
SlurmdParameters=config_overrides
ReturnToService=2
MinJobAge=3600
MpiDefault=none
SwitchType=switch/none
StateSaveLocation={folder}/state
SlurmdSpoolDir={folder}/spool
SlurmctldPidFile={folder}/slurmctld.pid
SlurmdPidFile={folder}/slurmd.pid
SlurmctldLogFile={folder}/slurmctld.log
SlurmdLogFile={folder}/slurmd.log
NodeName=localhost CPUs=3 RealMemory=8000 State=UNKNOWN
PartitionName=main Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""


def reason_against() -> str | None:
    """Why no Slurm can be started here; None where one can."""
    missing = [name for name in PROGRAMS if shutil.which(name) is None]
    if missing:
        return f"{', '.join(missing)} not found (Debian: slurmctld slurmd slurm-client munge)"
    if os.geteuid() != 0:
        return "only root can start a Slurm"
    if CONFIGURATION.exists() and not CONFIGURATION.read_text().startswith(MARK):
        return f"this machine has a Slurm of its own: {CONFIGURATION}"
    return None


def squeue(columns: str) -> list[list[str]]:
    """All jobs, finished ones too: the columns as squeue --format names them."""
    call = ["squeue", "--states=all", "--noheader", f"--format={columns}"]
    output = subprocess.run(call, capture_output=True, text=True, check=True).stdout
    return [line.split("|") for line in output.splitlines()]


@contextlib.contextmanager
def one_node_slurm() -> Iterator[None]:
    """Slurm runs inside the block; afterwards its jobs, its processes and its files are gone."""
    CONFIGURATION.parent.mkdir(exist_ok=True)
    with contextlib.ExitStack() as stack:
        # tests that run at the same time on this machine take turns
        lock = stack.enter_context((Path(tempfile.gettempdir()) / "urnn-slurm.lock").open("w"))
        fcntl.flock(lock, fcntl.LOCK_EX)
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="urnn-slurm-")))
        for name in ("state", "spool"):
            (folder / name).mkdir()
        key = folder / "munge.key"
        key.touch(mode=0o600)
        key.write_bytes(secrets.token_bytes(1024))
        stack.callback(CONFIGURATION.unlink, missing_ok=True)
        CONFIGURATION.write_text(MARK + TEXT.format(folder=folder))

        files = {name: folder / f"munge.{name}" for name in ("sock", "pid", "log", "seed")}
        munged = ["munged", "--foreground", "--force", "--key-file", str(key)]
        munged += ["--socket", str(files["sock"]), "--pid-file", str(files["pid"])]
        munged += ["--log-file", str(files["log"]), "--seed-file", str(files["seed"])]
        stack.enter_context(_daemon(munged))
        _wait(files["sock"].exists, "munged", folder)
        stack.enter_context(_daemon(["slurmctld", "-D"]))
        stack.enter_context(_daemon(["slurmd", "-D", "-N", "localhost"]))
        _wait(_idle, "slurmd", folder)
        stack.callback(_cancel_all)
        yield


@contextlib.contextmanager
def _daemon(command: list[str]) -> Iterator[None]:
    """A process that ends with the block, and with the tests even if those are killed."""
    process = subprocess.Popen(
        ["setpriv", "--pdeathsig", "TERM", *command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _idle() -> bool:
    call = ["sinfo", "--noheader", "--format=%T"]
    return "idle" in subprocess.run(call, capture_output=True, text=True, check=False).stdout


def _cancel_all() -> None:
    """Jobs outlive the node's daemon, so they are ended before it."""
    subprocess.run(["scancel", "--full", "--user=root"], check=False)
    with contextlib.suppress(subprocess.CalledProcessError):
        _wait(lambda: not _unfinished(), "a job", None)


def _unfinished() -> list[list[str]]:
    waiting = {"PENDING", "RUNNING", "COMPLETING"}
    return [job for job in squeue("%i|%T") if job[1] in waiting]


def _wait(condition, what: str, folder: Path | None, seconds: float = 45) -> None:
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            logs = sorted(folder.glob("*.log")) if folder else []
            tails = "\n".join(f"{log.name}: {log.read_text()[-1500:]}" for log in logs)
            raise TimeoutError(f"{what} is not ready after {seconds:g} s\n{tails}")
        time.sleep(0.2)
