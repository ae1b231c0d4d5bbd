"""`python -m urnn convert`: the unitary network with the outputs of a trained torch.nn.RNN."""

from __future__ import annotations

import argparse
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from urnn.commands import whole

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from urnn.equivalence.nearest_network import Deviation
    from urnn.equivalence.network_conversion import Conversion
    from urnn.rnn import RNN

_TORCH, _NUMPY, _TRAINED = (".pt", ".pth"), ".npz", ".nc"
#: relative RMSE from which a network is no replacement of another; that of outputs 0 is 1
_USELESS = 0.5


def arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "checkpoint",
        type=Path,
        help="a state_dict (.pt, .pth, .safetensors), a network of RNN.save (.npz), or trained "
        "models of the workflow (.nc)",
    )
    parser.add_argument(
        "--nonlinearity",
        choices=["relu", "tanh"],
        help="activation of the network; needed for a state_dict, which does not record it",
    )
    parser.add_argument("--readout", help="linear layer that reads the states, such as fc")
    parser.add_argument("--prefix", help="recurrent network to convert, such as encoder.rnn")
    parser.add_argument(
        "--realization", type=int, help="which of the trained models (default: the first)"
    )
    parser.add_argument(
        "--input-bound",
        type=float,
        help="the largest norm of an input vector (default: that of --inputs)",
    )
    parser.add_argument("--norm", choices=["2", "inf"], default="2", help="that norm (default: 2)")
    parser.add_argument(
        "--horizon", type=int, help="the steps for which the outputs must agree (default: all)"
    )
    parser.add_argument(
        "--inputs", type=Path, help="inputs to compare on as well, (time, input), .npy or .csv"
    )
    parser.add_argument(
        "--seed", type=whole(0), default=0, help="of the random inputs (default: 0)"
    )
    parser.add_argument(
        "--output", type=Path, help="the unitary network: .pt, or .npz for a single layer"
    )
    parser.add_argument("--report", type=Path, help="all numbers as JSON")
    parser.add_argument(
        "--overwrite",
        action="store_true",
        help="replace the output and the report if they are there",
    )


def run(options: argparse.Namespace) -> None:
    import numpy as np

    from urnn.equivalence.network_conversion import convert_network
    from urnn.errors import ArgumentError, DataError

    layers = _layers(options)
    _check_outputs(options, layers)
    norm = 2 if options.norm == "2" else np.inf
    record = None if options.inputs is None else _record(options.inputs)
    bound = options.input_bound
    if bound is None and record is not None:
        bound = float(np.linalg.norm(record, norm, axis=-1).max())
    try:
        conversion = convert_network(
            layers,
            bound,
            norm,
            horizon=options.horizon,
            inputs=record,
            seed=options.seed,
        )
    except ArgumentError as error:
        asked = any(name in str(error) for name in ("input_bound", "horizon"))
        here = ". The options of this command are --input-bound, --norm 2 or inf, and --horizon"
        raise DataError(f"{options.checkpoint}: {error}{here if asked else ''}") from error
    print(_table(conversion))
    print(_verdict(conversion, options.inputs))
    if record is not None:
        outside = int((np.linalg.norm(record, norm, axis=-1) > bound * (1 + 1e-12)).sum())
        if outside:
            print(f"{outside} input vectors of {options.inputs} are outside the bound {bound:g}.")
    _write(conversion, options)


def _layers(options: argparse.Namespace) -> list[RNN]:
    """The layers of the checkpoint."""
    from urnn.equivalence.torch_rnn import from_torch
    from urnn.errors import DataError
    from urnn.rnn import RNN

    path, suffix = options.checkpoint, options.checkpoint.suffix.lower()
    for_torch = ("nonlinearity", "readout", "prefix")
    others = list(for_torch) if suffix in (_NUMPY, _TRAINED) else []
    others += [] if suffix == _TRAINED else ["realization"]
    unused = [f"--{name}" for name in others if getattr(options, name) is not None]
    if unused:
        raise DataError(f"{', '.join(unused)} is not an option for {path}: leave it out")
    if suffix == _NUMPY:
        return [RNN.load(path)]
    if suffix == _TRAINED:
        from urnn import trained  # which needs the packages of the workflow

        return [trained.network(path, options.realization)]
    return from_torch(path, options.nonlinearity, options.readout, options.prefix)


def _check_outputs(options: argparse.Namespace, layers: list[RNN]) -> None:
    """Refuse outputs that would replace an input, that are of no known kind, or not writable."""
    from urnn import storage
    from urnn.errors import DataError

    taken = {
        path.resolve(): name
        for name, path in (("the checkpoint", options.checkpoint), ("--inputs", options.inputs))
        if path is not None
    }
    for name in ("output", "report"):
        path = getattr(options, name)
        if path is None:
            continue
        if path.resolve() in taken:
            raise DataError(
                f"--{name}: {path} is the file of {taken[path.resolve()]}: name another"
            )
        if path.is_dir():
            raise DataError(f"--{name}: {path} is a folder: name a file")
        taken[path.resolve()] = f"--{name}"
        storage.check_new(path, (), options.overwrite, f"--{name}")
        storage.check_writable(path)
    if options.output is None:
        return
    suffix = options.output.suffix.lower()
    if suffix not in (*_TORCH, _NUMPY):
        raise DataError(f"--output: {options.output} must end in .pt, .pth or .npz")
    if suffix == _NUMPY and len(layers) > 1:
        raise DataError(f"--output: {options.output}: {len(layers)} layers need a .pt file")
    if suffix in _TORCH and any(layer.h_init.any() for layer in layers):
        raise DataError(
            f"--output: {options.output}: a torch module starts at 0, but h(-1) of this network is "
            "not 0: name a .npz file"
        )


def _record(path: Path) -> NDArray:
    """Inputs from a .npy or .csv file, (time, input) or (trial, time, input)."""
    import numpy as np

    from urnn.errors import DataError

    try:
        if path.suffix.lower() == ".npy":
            record = np.load(path, allow_pickle=False).astype(np.float64)
        else:
            record = _from_text(path)
    except FileNotFoundError:
        raise DataError(f"{path} does not exist") from None
    except (ValueError, TypeError, EOFError) as error:
        raise DataError(f"{path} is no array of numbers, .npy or .csv: {error}") from error
    if record.ndim not in (2, 3) or record.size == 0 or not np.isfinite(record).all():
        raise DataError(
            f"{path} must hold finite numbers (time, input) or (trial, time, input), but its shape "
            f"is {record.shape}"
        )
    return record


def _from_text(path: Path) -> NDArray:
    """Numbers between commas, a line for each time step; a first line with names is skipped."""
    import numpy as np

    # with a byte order mark, as spreadsheets write it
    lines = [line for line in path.read_text(encoding="utf-8-sig").splitlines() if line.strip()]
    try:
        np.loadtxt(lines[:1], delimiter=",")
    except ValueError:
        lines = lines[1:]
    if not lines:
        raise ValueError("it has no numbers")
    return np.loadtxt(lines, delimiter=",", ndmin=2)


def _table(conversion: Conversion) -> str:
    """A line for each layer, in columns."""
    head = ("layer", "states", "URNN", "||W||_2", "spectral radius", "best scaling", "conversion")
    rows = [head]
    for index, (diagnosis, layer) in enumerate(
        zip(conversion.diagnoses, conversion.layers, strict=True)
    ):
        scaling = diagnosis.scaling
        best = "-" if scaling is None else f"{scaling.norm:.6g} (>= {scaling.lower_bound:.6g})"
        rows.append(
            (
                str(index),
                str(layer.original.hidden_units),
                str(layer.unitary.hidden_units),
                f"{diagnosis.norm:.8g}",
                f"{diagnosis.spectral_radius:.6g}",
                best,
                layer.way if conversion.convertible else "refitted",
            )
        )
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ("  ".join(cell.ljust(w) for cell, w in zip(row, widths, strict=True)) for row in rows)
    return "\n".join(line.rstrip() for line in lines)


def _verdict(conversion: Conversion, inputs: Path | None) -> str:
    """What was found, in sentences, one a line."""
    where = _where(conversion)
    bound, random = conversion.error_bound, conversion.random
    lines = []
    if not conversion.convertible:
        assert conversion.clipped is not None
        start = (
            "Converted instead: a contractive network near it"
            if _is_replacement(conversion)
            else "It has no useful unitary replacement of this size. The best that was found is a "
            "contractive network"
        )
        lines += [
            f"Not convertible: {conversion.reason}.",
            f"{start}, with a relative RMSE of {random.relative_rmse:.3g} "
            f"({conversion.clipped.relative_rmse:.3g} before its parameters were refitted). The "
            f"unitary network has the outputs of that one {where}.",
        ]
    elif bound == 0:
        lines.append(
            f"Convertible: the unitary network has the same outputs, but for rounding, {where}."
        )
    else:
        cause = (
            "near, not equal, as Theorem 3 says of tanh"
            if any("saturated" in layer.way for layer in conversion.layers)
            else "up to the rounding of W"
        )
        known = (
            f"by at most {bound:.3g} in {conversion.plan.steps} steps (2-norm)"
            if bound is not None and math.isfinite(bound)
            else "by an amount for which no bound is known"
        )
        if conversion.plan.input_bound is None and bound is not None and math.isfinite(bound):
            known += " in exact arithmetic, to which the rounding of float64 is added"
        lines.append(f"Convertible, {cause}: the outputs differ {known}, {where}.")
    lines.append(f"Random inputs: {_measured(random)}.")
    if random.steps < conversion.plan.measured:
        lines.append(f"The outputs of the original overflow after {random.steps} steps.")
    if conversion.given is not None:
        lines.append(f"{inputs}: {_measured(conversion.given)}.")
    return "\n".join(lines)


def _is_replacement(conversion: Conversion) -> bool:
    """Whether the unitary network comes near the outputs at all."""
    return conversion.convertible or conversion.random.relative_rmse < _USELESS


def _where(conversion: Conversion) -> str:
    """For which inputs and how long."""
    norm = "2" if conversion.plan.norm == 2 else "inf"
    inputs = "for all inputs"
    if conversion.plan.input_bound is not None:
        inputs += f" with ||x(k)||_{norm} <= {conversion.plan.input_bound:g}"
    horizon = conversion.plan.horizon
    return inputs if horizon is None else f"{inputs}, for {horizon} steps"


def _measured(found: Deviation) -> str:
    size = "outputs 0"
    if found.largest_output:
        size = f"relative RMSE {found.relative_rmse:.3g}, outputs up to {found.largest_output:.3g}"
    return f"largest deviation {found.largest:.3g}, {size} ({found.trials} x {found.steps} steps)"


def _write(conversion: Conversion, options: argparse.Namespace) -> None:
    """The unitary network and the report."""
    import json

    from urnn import storage

    if options.output is not None:
        if options.output.suffix.lower() == _NUMPY:
            conversion.networks[0].save(options.output)
        else:
            conversion.module().save(options.output)
        warning = "" if _is_replacement(conversion) else ", which is no replacement"
        print(f"written: {options.output}{warning}")
    if options.report is not None:
        report = {"checkpoint": str(options.checkpoint), **_report(conversion)}
        text = json.dumps(_plain(report), indent=1, allow_nan=False)
        storage.write_text(text + "\n", options.report)
        print(f"written: {options.report}")
    if options.output is None:
        what = "Nothing" if options.report is None else "No network"
        print(f"{what} was written; to write the unitary network, add --output FILE.pt")


def _report(conversion: Conversion) -> dict[str, Any]:
    """All numbers of a conversion."""
    from urnn import storage

    layers = [
        {
            "states": layer.original.hidden_units,
            "unitary_states": layer.unitary.hidden_units,
            "conversion": layer.way,
            "spectral_norm": diagnosis.norm,
            "spectral_radius": diagnosis.spectral_radius,
            "scaling": None if diagnosis.scaling is None else vars(diagnosis.scaling),
        }
        for diagnosis, layer in zip(conversion.diagnoses, conversion.layers, strict=True)
    ]
    measured = ("random", "given", "clipped")
    return {
        **{name: getattr(conversion, name) for name in ("convertible", "reason", "seed")},
        **vars(conversion.plan),
        "steps": conversion.plan.steps,
        "layers": layers,
        "error_bound": conversion.error_bound,
        **{
            name: None if getattr(conversion, name) is None else vars(getattr(conversion, name))
            for name in measured
        },
        "versions": storage.versions(),
    }


def _plain(value: Any) -> Any:
    """The same in what JSON has: lists for arrays, text for inf and nan."""
    if isinstance(value, dict):
        return {name: _plain(entry) for name, entry in value.items()}
    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, list):
        return [_plain(entry) for entry in value]
    return str(value) if isinstance(value, float) and not math.isfinite(value) else value
