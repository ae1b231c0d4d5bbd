"""`python -m benchmarks.records FOLDER ...`: folders of `urnn fit` beside other tools.

Every tool has the same rows to learn from, simulates the same test from the inputs alone, and is
scored by the root mean square error without the warm-up, as in nonlinear_benchmarks (whose
initialisation window is our warm-up). What a peer leaves open (the order, the lags and the degree)
is chosen by its error on the last fifth of the rows to learn from, and the model fitted again to
all of them. Needs `pip install nfoursid sysidentpy`; the table goes to the standard output.
"""

from __future__ import annotations

import sys
import time
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import yaml
from numpy.typing import NDArray

from urnn import signals, storage
from urnn.figures.simulation.findings import choices
from urnn.figures.simulation.settings import SimulationSettings
from urnn.records import Piece
from urnn.tasks import POINT

#: from (inputs, outputs) to learn from to a function that simulates outputs of other inputs
Simulator = Callable[[NDArray], NDArray]


def n4sid(order: int) -> Callable[[NDArray, NDArray], Simulator]:
    """A linear state-space model by subspace identification."""

    def fit(u: NDArray, y: NDArray) -> Simulator:
        import pandas as pd
        from nfoursid.nfoursid import NFourSID

        columns = {f"u{k}": u[:, k] for k in range(u.shape[1])}
        columns |= {f"y{k}": y[:, k] for k in range(y.shape[1])}
        names = list(columns)
        found = NFourSID(
            pd.DataFrame(columns),
            input_columns=names[: u.shape[1]],
            output_columns=names[u.shape[1] :],
            num_block_rows=12,
        )
        found.subspace_identification()
        system, _ = found.system_identification(rank=order)

        def simulate(u: NDArray) -> NDArray:
            x, y = np.zeros((order, 1)), []
            for row in u:
                y.append((system.c @ x + system.d @ row[:, None])[:, 0])
                x = system.a @ x + system.b @ row[:, None]
            return np.array(y)

        return simulate

    return fit


def narx(degree: int, lags: int) -> Callable[[NDArray, NDArray], Simulator]:
    """A polynomial NARX model by forward regression, its terms chosen by BIC."""

    def fit(u: NDArray, y: NDArray) -> Simulator:
        from sysidentpy.basis_function import Polynomial
        from sysidentpy.model_structure_selection import FROLS
        from sysidentpy.parameter_estimation import LeastSquares

        model = FROLS(
            order_selection=True,
            n_info_values=15,
            ylag=lags,
            xlag=lags if u.shape[1] == 1 else [list(range(1, lags + 1))] * u.shape[1],
            info_criteria="bic",
            estimator=LeastSquares(),
            basis_function=Polynomial(degree=degree),
        )
        model.fit(X=u, y=y)
        # it starts from the first outputs, which are not known here: the mean
        return lambda u: np.asarray(model.predict(X=u, y=np.zeros((model.max_lag, 1))))

    return fit


PEERS: dict[str, dict[str, Callable[[NDArray, NDArray], Simulator]]] = {
    "N4SID (nfoursid)": {f"order {n}": n4sid(n) for n in range(1, 9)},
    "polynomial NARX (sysidentpy)": {
        f"degree {d}, {lags} lags": narx(d, lags) for d in (1, 2) for lags in (2, 4, 8)
    },
}


def joined(pieces: list[Piece], described: signals.Signals) -> tuple[NDArray, NDArray]:
    """All rows one after the other, scaled; a missing output is interpolated, which peers need."""
    from urnn.records import interpolated

    u = np.concatenate([described.scaled_inputs(piece.x) for piece in pieces]).astype(float)
    y = np.concatenate([described.scaled_outputs(interpolated(piece.y)) for piece in pieces])
    return u, y.astype(float)


def error(simulate: Simulator, pieces: list[Piece], described: signals.Signals) -> float:
    """Root mean square error of the first output in its unit; inf of what runs away."""
    squares = []
    for piece in pieces:
        y = described.outputs_in_units(simulate(described.scaled_inputs(piece.x).astype(float)))
        squares.append(np.square(y - piece.y)[described.warm_up :, 0])
    mean = float(np.nanmean(np.concatenate(squares)))
    return float(np.sqrt(mean)) if np.isfinite(mean) else np.inf


def of_peers(
    training: list[Piece], test: list[Piece], described: signals.Signals
) -> Iterator[list[str]]:
    """A row for each peer: its name, what was chosen, its error and its time."""
    u, y = joined(training, described)
    kept = round(0.8 * len(u))
    last = [Piece(training[0].record, 0, *in_units(u[kept:], y[kept:], described))]
    for name, candidates in PEERS.items():
        begin, errors = time.perf_counter(), {}
        for choice, fit in candidates.items():
            try:
                errors[choice] = error(fit(u[:kept], y[:kept]), last, described)
            except Exception as failure:  # a peer's own, such as a singular matrix
                print(f"{name}, {choice}: {failure}", file=sys.stderr)
        best = min(errors, key=lambda choice: errors[choice])
        found = error(candidates[best](u, y), test, described)
        yield [name, best, f"{found:.4g}", f"{time.perf_counter() - begin:.0f} s"]


def in_units(u: NDArray, y: NDArray, described: signals.Signals) -> tuple[NDArray, NDArray]:
    """Scaled rows in the units of the record."""
    std, mean = np.array(described.input_std), np.array(described.input_mean)
    return u * std + mean, described.outputs_in_units(y)


def rows(folder: Path) -> Iterator[list[str]]:
    """The table of one folder."""
    config = yaml.safe_load((folder / "config.yaml").read_text(encoding="utf-8"))
    settings: dict[str, Any] = config["experiments"]["fit"]
    task = POINT.plug(settings["task"])
    given = {key: value for key, value in settings.items() if key in task.model_fields}
    generate = POINT.part_module(settings["task"], "generate")
    training, test = generate.pieces(task(**given))
    scores = storage.read(folder / "results/fit/scores.nc")
    described = signals.of(scores.attrs)
    assert described is not None
    mean = np.nanmean(np.concatenate([piece.y for piece in training]), 0)
    scaled = described.scaled_outputs(mean).astype(float)
    flat = error(lambda u: np.tile(scaled, (len(u), 1)), test, described)
    yield ["mean of the outputs", "", f"{flat:.4g}", ""]
    margin = SimulationSettings.model_fields["margin"].default
    for one in choices(scores, margin).values():
        rmse = scores["rmse"].sel(model=one.model, hidden_units=one.hidden_units)[:, 0].values
        label = config["models"][one.model]["label"]
        spread = f"{rmse.mean():.4g} ({rmse.min():.4g} to {rmse.max():.4g})"
        yield [f"{label} (urnn)", f"{one.hidden_units} units", spread, ""]
    yield from of_peers(training, test, described)


def main() -> None:
    """Print a table for each folder."""
    warnings.simplefilter("ignore")
    for folder in map(Path, sys.argv[1:]):
        print(
            f"\n{folder.name}\n\n| model | chosen | test RMSE | time |\n| --- | --- | --- | --- |"
        )
        for row in rows(folder):
            print("| " + " | ".join(row) + " |", flush=True)


if __name__ == "__main__":
    main()
