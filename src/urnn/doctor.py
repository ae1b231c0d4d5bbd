"""What a machine has, whether its backends compute what they should, and how fast.

Every backend is compared with the readable one in float64 for every cell with each of its options
and both losses; a replica must be the same bits whatever stack it is in; the states of
`urnn.recurrence` and whole trainings are compared too.
"""

from __future__ import annotations

import os
import platform
import shutil
import statistics
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import numpy as np
import torch
from llvmlite import binding
from numpy.typing import NDArray

from urnn import devices, models, storage, training
from urnn.recurrence import LOSSES, Backend, Spec, backend, pack, parameter_shapes, unpack
from urnn.recurrence.cells import POINT as CELLS
from urnn.recurrence.cells.base import Cell
from urnn.recurrence.emitter import LANES
from urnn.recurrence.function import cell_states
from urnn.settings.base import validated
from urnn.settings.model import AnyModel
from urnn.settings.training import Recipe
from urnn.transition import POINT as TRANSITIONS

#: largest relative error of float32 that a check allows
ALLOWED = 1e-5
#: packages whose version matters, where they are installed
PACKAGES = (
    "numpy", "llvmlite", "torch", "cuda-bindings", "cuda-core",
    "nvidia-cuda-nvrtc", "nvidia-cuda-nvrtc-cu12", "nvidia-cuda-nvrtc-cu13", "snakemake", "jax",
)  # fmt: skip
#: hidden units of the checks: of every variant, and of every cell, one for each regime of kernels
_SMALL, _LARGE = 4, 18
_INPUTS, _OUTPUTS, _REPLICAS, _TRIALS, _BATCH, _STEPS = 2, 3, 3, 7, 5, 12
#: hidden units, replicas, trials and time steps of what is timed
_TIMED = (4, 14)
_MANY, _TIMED_BATCH, _TIMED_STEPS = 30, 10, 1000

Say = Callable[[str], None]


@dataclass(frozen=True)
class Check:
    """What was compared."""

    device: str
    name: str
    #: largest relative error; None: nothing to measure, or it could not be computed
    error: float | None
    #: whether a replica is the same bits in another stack; None: not claimed
    same_bits: bool | None
    #: what went wrong
    problem: str = ""

    @property
    def passed(self) -> bool:
        """Whether it computes what it should."""
        accurate = self.error is None or self.error <= ALLOWED
        return accurate and self.same_bits is not False and not self.problem


def usual_devices() -> list[str]:
    """The CPU, and a GPU if torch or a test's driver has one."""
    there = devices.gpus().number != 0 and (
        torch.cuda.is_available() or bool(os.environ.get(devices.DRIVER_VARIABLE))
    )
    return ["cpu", "cuda"] if there else ["cpu"]


def examine(chosen: list[str], say: Say, times: bool = True) -> dict[str, Any]:
    """Everything that is found, as JSON has it; lines for people are said as they are known."""
    about = machine()
    for line in describe(about):
        say(line)
    checks: list[Check] = []
    say(f"\nChecks against torch in float64, relative errors up to {ALLOWED:g} allowed")
    for device in chosen:
        say(f"\n  {device:<36} error    same bits in any stack")
        for check in every_check(device):
            checks.append(check)
            say(line_of(check))
    timed = timings(chosen, say) if times else []
    failed = sum(not check.passed for check in checks)
    say(f"\n{len(checks) - failed} of {len(checks)} checks passed.")
    return {
        "machine": about,
        "checks": [asdict(check) | {"passed": check.passed} for check in checks],
        "times": timed,
        "failed": failed,
    }


# what there is


def machine() -> dict[str, Any]:
    """Versions and devices."""
    found = devices.gpus()
    number = torch.cuda.device_count()
    return {
        "platform": platform.platform(),
        "versions": storage.versions(PACKAGES),
        "torch_built_for": devices.torch_build(),
        "cpu": {
            "name": binding.get_host_cpu_name(),
            "cores": os.cpu_count(),
            "floats_in_a_vector": LANES,
        },
        "gpus": [_gpu(index) for index in range(number)],
        "gpu_driver": _driver_version(),
        "gpu_problem": found.problem,
        "auto": devices.resolve("auto"),
        "stand_in": os.environ.get(devices.DRIVER_VARIABLE),
    }


def _gpu(index: int) -> dict[str, Any]:
    properties = torch.cuda.get_device_properties(index)
    return {
        "device": f"cuda:{index}",
        "name": properties.name,
        "capability": f"{properties.major}.{properties.minor}",
        "processors": properties.multi_processor_count,
        "memory_gb": round(properties.total_memory / 1e9, 1),
    }


def _driver_version() -> str | None:
    """Of NVIDIA's driver, as its tool says it."""
    tool = shutil.which("nvidia-smi")
    if tool is None:
        return None
    query = [tool, "--query-gpu=driver_version", "--format=csv,noheader"]
    result = subprocess.run(query, capture_output=True, text=True, timeout=30)
    return result.stdout.split("\n")[0].strip() or None


def describe(about: dict[str, Any]) -> Iterator[str]:
    """The machine in lines of at most 80 columns."""
    yield about["platform"][:80]
    words = [f"{name} {version}" for name, version in about["versions"].items()]
    built = about["torch_built_for"]
    words.append("torch is built for " + (" ".join(next(iter(built.items()))) if built else "CPUs"))
    line = ""
    for word in words:
        if len(line) + len(word) > 78:
            yield line.rstrip(", ") + ","
            line = ""
        line += f"{word}, "
    yield line.rstrip(", ")
    cpu = about["cpu"]
    yield "\nDevices"
    yield (
        f"  cpu      {cpu['name']}, {cpu['cores']} cores, vectors of "
        f"{cpu['floats_in_a_vector']} floats"
    )
    for gpu in about["gpus"]:
        yield (
            f"  {gpu['device']:<8} {gpu['name']}, {gpu['memory_gb']:g} GB, compute capability "
            f"{gpu['capability']}"
        )
    if about["gpu_driver"]:
        yield f"           driver {about['gpu_driver']}"
    if about["stand_in"]:
        yield f"  cuda     stands for {about['stand_in']}"
    if about["gpu_problem"]:
        kind = "the kernels do not run" if about["gpus"] else "none"
        yield f"  GPU      {kind}: {about['gpu_problem']}"
    yield f"  auto     is {about['auto']}"


def line_of(check: Check) -> str:
    """A check as one line, or two if it went wrong."""
    error = "-" if check.error is None else f"{check.error:.1e}"
    bits = {True: "yes", False: "NO", None: "-"}[check.same_bits]
    line = f"    {check.name:<34} {error:<8} {bits:<4} {'ok' if check.passed else 'FAILED'}"
    return f"{line}\n      {check.problem}" if check.problem else line


# checks


def every_check(device: str) -> Iterator[Check]:
    """All checks of a device, one after the other."""
    try:
        where, reference = backend(device), backend("reference")
    except Exception as error:
        yield Check(device, "the device", None, None, _text(error))
        return
    # torch's loop sums in an order that depends on the stack
    exact = device == "cpu" or hasattr(where, "driver")
    if device.startswith("cuda") and torch.version.cuda and not exact:
        problem = "they do not run, and torch's loop takes their place; the warning says why"
        yield Check(device, "the compiled kernels", None, None, problem)
    for spec in specs():
        name = f"{spec.cell.tag} {spec.loss} {spec.hidden_units}"
        yield _guarded(device, name, partial(_step, where, reference, spec, exact))
    for cell in map(CELLS.make, CELLS):
        yield _guarded(device, f"{cell.tag} states, torch.nn", partial(_states, where, cell))
    for transition, hidden_units in trainings():
        name = f"a training, {transition} {hidden_units}"
        yield _guarded(device, name, partial(_training, where, exact, transition, hidden_units))


def _guarded(device: str, name: str, compute: Callable[[], tuple[float, bool | None]]) -> Check:
    """What a check gives, or what went wrong in it: a broken backend must not end the others."""
    try:
        error, same = compute()
    except Exception as raised:
        return Check(device, name, None, None, _text(raised))
    problem = "" if np.isfinite(error) else "NaN or Inf"
    return Check(device, name, None if problem else error, same, problem)


def _text(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"[:300]


def specs() -> Iterator[Spec]:
    """Every cell with each of its options and both losses, and a larger one of every cell."""
    for loss in LOSSES:
        for name in CELLS:
            for cell in CELLS.variants(name):
                yield Spec(cell, _SMALL, _INPUTS, _OUTPUTS, loss)
            yield Spec(CELLS.make(name), _LARGE, _INPUTS, _OUTPUTS, loss)


def _problem(spec: Spec, seed: int) -> tuple[NDArray, ...]:
    """theta, x, y, dataset and trials at random; the network forgets, so that rounding stays."""
    random = np.random.default_rng(seed)
    shapes = parameter_shapes(spec)
    values = {name: random.standard_normal((_REPLICAS, *shape)) for name, shape in shapes.items()}
    size = 0.9 if spec.cell.gates == 1 else 2.0
    values["W"] *= size / np.linalg.norm(values["W"], 2, axis=(1, 2))[:, None, None]
    x = random.standard_normal((2, _TRIALS, _STEPS, _INPUTS)).astype(np.float32)
    y: NDArray = random.standard_normal((2, _TRIALS, _STEPS, _OUTPUTS)).astype(np.float32)
    if spec.loss == "cross_entropy":
        y = random.integers(_OUTPUTS, size=(2, _TRIALS))
    trials = np.stack([random.permutation(_TRIALS)[:_BATCH] for _ in range(_REPLICAS)])
    theta = pack(spec, values).astype(np.float32)
    return theta, x, y, random.integers(2, size=_REPLICAS), trials


def _smooth(reference: Backend, spec: Spec) -> tuple[NDArray, ...]:
    """The first problem in which no rounding can cross a kink, as that of a ReLU."""
    for seed in range(100):
        theta, *others = _problem(spec, seed)
        one, two = (_of_step(reference, spec, theta * f, *others)[1] for f in (1.0, 1 + 1e-6))
        if np.abs(one - two).max() <= 1e-4 * np.abs(one).max():
            return theta, *others
    raise AssertionError("no problem without a kink")


def _of_step(where: Backend, spec: Spec, *problem: NDArray) -> tuple[NDArray, NDArray]:
    """Loss and gradient."""
    *arrays, dataset, trials = problem
    loss, gradient = where.step(spec)(*map(where.asarray, arrays), dataset, trials)
    return np.array(where.to_numpy(loss)), np.array(where.to_numpy(gradient))


def _step(where: Backend, reference: Backend, spec: Spec, exact: bool) -> tuple[float, bool | None]:
    """Loss, gradients and outputs; and one replica alone."""
    theta, x, y, dataset, trials = problem = _smooth(reference, spec)
    ours, theirs = (_of_step(at, spec, *problem) for at in (where, reference))
    outputs = [at.to_numpy(at.outputs(spec, theta, x, dataset)) for at in (where, reference)]
    error = max(_error(ours[0], theirs[0]), _error(*outputs))
    parts, wanted = (unpack(spec, gradient) for _, gradient in (ours, theirs))
    for name in parts:
        # one that vanished on its way back cannot be closer than the rounding of the others
        scale = max(np.abs(wanted[name]).max(), 1e-2 * np.abs(theirs[1]).max())
        error = max(error, float(np.abs(parts[name] - wanted[name]).max() / scale))
    if not exact:
        return error, None
    one = slice(1, 2)
    alone = _of_step(where, spec, theta[one], x, y, dataset[one], trials[one])
    same = all(np.array_equal(a, b[one]) for a, b in zip(alone, ours, strict=True))
    output = where.to_numpy(where.outputs(spec, theta[one], x, dataset[one]))
    return error, same and np.array_equal(output, outputs[0][one])


def _error(ours: NDArray, theirs: NDArray) -> float:
    return float(np.abs(ours - theirs).max() / np.abs(theirs).max())


def _states(where: Backend, cell: Cell) -> tuple[float, bool | None]:
    """States and their gradients, as `urnn.nn` computes them on the backend's device."""
    device = torch.empty(0).device if where.xp is np else where.asarray(np.zeros(1)).device
    spec = Spec(cell, _SMALL, _INPUTS, 1)
    theta, x, *_ = _problem(Spec(cell, _SMALL, _INPUTS, _OUTPUTS), 0)
    values = unpack(Spec(cell, _SMALL, _INPUTS, _OUTPUTS), theta)
    names = [name for name in parameter_shapes(spec) if name not in ("C", "d")]
    results = []
    for kind, at in ((torch.float32, device), (torch.float64, torch.device("cpu"))):
        leaves = [torch.tensor(values[n], dtype=kind, device=at).requires_grad_() for n in names]
        given = dict(zip(names, leaves, strict=True))
        initial = [given.pop(name) for name in cell.initial_states]
        inputs = torch.tensor(x[:1], dtype=kind, device=at).expand(_REPLICAS, -1, -1, -1)
        h, _ = cell_states(cell, inputs, given, *initial)
        gradients = torch.autograd.grad(h.sin().sum(), leaves)
        results.append([v.detach().cpu().double().numpy() for v in (h, *gradients)])
    return max(_error(a, b) for a, b in zip(*results, strict=True)), None


def trainings() -> list[tuple[str, int]]:
    """Set and hidden units of the checks of whole trainings: each set that has C++ of its own.

    A GPU has one kernel for an epoch of a small network, and two for that of a large one.
    """
    names = [name for name in TRANSITIONS if hasattr(TRANSITIONS.plug(name), "cuda")]
    return [(names[0], _SMALL), *((name, _LARGE) for name in names)]


def _training(
    where: Backend, exact: bool, transition: str, hidden_units: int
) -> tuple[float, bool | None]:
    """Three epochs of a small training: close to float64's, and the same bits alone."""
    model = validated(AnyModel, {"transition": transition}, "model")
    spec = models.specification(model, hidden_units, _INPUTS, _OUTPUTS, LOSSES[0])
    recipe = Recipe(epochs=3, batch_size=4, learning_rate=0.001, clip_norm=1.0)
    _, x, y, *_ = _problem(spec, 0)

    def trained(at: Backend, replicas: list[int]) -> training.Trained:
        def generator(replica: int, purpose: str) -> np.random.Generator:
            return np.random.default_rng([replica, *purpose.encode()])

        rows = [replica % 2 for replica in replicas]
        generators = [partial(generator, replica) for replica in replicas]
        return training.train(
            spec, model.transition_plug, recipe, x, y, rows, generators, at, validation_trials=2
        )

    together, wanted = trained(where, [0, 1, 2]), trained(backend("reference"), [0, 1, 2])
    error = _error(together.loss, wanted.loss)
    if not exact:
        return error, None
    alone = trained(where, [1])
    return error, np.array_equal(alone.parameters[0], together.parameters[1])


# times


def timings(chosen: list[str], say: Say) -> list[dict[str, Any]]:
    """Milliseconds of the gradient of a minibatch of many models of every cell, on each device."""
    say(
        f"\nMilliseconds for the gradients of {_MANY} models, {_TIMED_BATCH} trials of "
        f"{_TIMED_STEPS} steps each\n"
    )
    say(f"  {'cell':<24}{'hidden units':<14}" + "".join(f"{name:>12}" for name in chosen))
    found = []
    for cell in map(CELLS.make, CELLS):
        for hidden_units in _TIMED:
            taken = {name: _milliseconds(name, cell, hidden_units) for name in chosen}
            row = {"cell": cell.tag, "hidden_units": hidden_units, "milliseconds": taken}
            found.append(row)
            cells = ("-" if ms is None else f"{ms:.3g}" for ms in taken.values())
            say(f"  {cell.tag:<24}{hidden_units:<14}" + "".join(f"{text:>12}" for text in cells))
    return found


def _milliseconds(device: str, cell: Cell, hidden_units: int) -> float | None:
    """The median of some steps; None if they cannot be computed, which a check has said."""
    try:
        where = backend(device)
        spec = Spec(cell, hidden_units, _INPUTS, 2)
        random = np.random.default_rng(0)
        shapes = parameter_shapes(spec)
        values = {n: 0.1 * random.standard_normal((_MANY, *shape)) for n, shape in shapes.items()}
        data = random.standard_normal((4, _TIMED_BATCH, _TIMED_STEPS, _INPUTS))
        theta, x = where.asarray(pack(spec, values)), where.asarray(data)
        dataset = np.arange(_MANY) % 4
        trials = np.tile(np.arange(_TIMED_BATCH), (_MANY, 1))
        step = where.step(spec)

        def once() -> float:
            begin = time.perf_counter()
            where.to_numpy(step(theta, x, x, dataset, trials)[0])
            return 1000 * (time.perf_counter() - begin)

        once()
        return statistics.median(once() for _ in range(7))
    except Exception:
        return None
