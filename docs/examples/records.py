"""Records for the examples of docs/your_data.md, as CSV files in the folder `records`.

Two are measured and come with packages (`pip install nitime pvlib`), so nothing is downloaded; one
is simulated. Run from anywhere: python docs/examples/records.py [NAME ...].

- grasshopper: spikes of an auditory receptor of a grasshopper during ten seconds each of two
  sounds, whose level is Gaussian noise of 6 dB up to 200 and up to 800 Hz; as shipped by nitime,
  BSD licence. Input: the level of the sound, dB; output: the spike rate, 1/s.
- weather: a typical meteorological year of Greensboro, North Carolina, by the hour (TMY3 of NREL,
  public domain), as shipped by pvlib, BSD licence. Inputs: irradiance, dew point, wind; output: the
  temperature of the air.
- tanks: two tanks one above the other, the lower one measured; the outflow of a tank goes with the
  root of its level, and both may overflow. Simulated by scipy.
"""

from __future__ import annotations

import csv
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

FOLDER = Path("records")


def of_package(package: str, path: str) -> Path:
    """A file of an installed package, which is not imported."""
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise SystemExit(f"this example needs {package}: pip install {package}")
    return Path(spec.origin).parent / path


def write(name: str, columns: dict[str, Any]) -> None:
    """A CSV file of columns."""
    FOLDER.mkdir(exist_ok=True)
    with (FOLDER / name).open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(columns)
        writer.writerows(zip(*columns.values(), strict=True))
    print(FOLDER / name)


def grasshopper() -> None:
    """Level and spike rate at 2 kHz; the rate is smoothed by a Gaussian of 1 ms."""
    from scipy.ndimage import gaussian_filter1d

    step, width = 500, 1000  # microseconds
    for record in (1, 2):
        stimulus = np.loadtxt(of_package("nitime", f"data/grasshopper_stimulus{record}.txt"))[:, 1]
        spikes = np.loadtxt(of_package("nitime", f"data/grasshopper_spike_times{record}.txt"))
        samples = len(stimulus) * 50 // step
        level = (20 * np.log10(stimulus / 2e-5)).reshape(samples, -1).mean(1)
        counts = np.histogram(spikes, samples, (0, samples * step))[0]
        rate = gaussian_filter1d(counts * 1e6 / step, width / step)
        time = np.arange(samples) * step / 1e6
        write(
            f"grasshopper-{record}.csv",
            {
                "time": [f"{t:.4f}" for t in time],
                "level": [f"{value:.4f}" for value in level],
                "rate": [f"{r:.3f}" for r in rate],
            },
        )


def weather() -> None:
    """Hours of a year; the months are of different years."""
    names = {
        "irradiance": "GHI (W/m^2)",
        "dew_point": "Dew-point (C)",
        "wind": "Wspd (m/s)",
        "temperature": "Dry-bulb (C)",
    }
    with of_package("pvlib", "data/723170TYA.CSV").open(newline="") as file:
        next(file)  # the station
        rows = list(csv.DictReader(file))
    write("weather.csv", {name: [row[key] for row in rows] for name, key in names.items()})


def tanks() -> None:
    """4 s samples of 20 runs of the pump; 30 dB of noise at the output."""
    from scipy.integrate import solve_ivp

    random = np.random.default_rng(2019)
    samples, step = 6000, 4.0
    u = np.repeat(random.uniform(0, 5, samples // 25), 25)

    def flow(t: float, level: Any) -> list[float]:
        upper, lower = np.clip(level, 0, 10)
        pump = u[min(int(t / step), samples - 1)]
        out = 0.1 * np.sqrt(upper)
        inflow = 0.06 * pump
        rise = inflow - out
        over = max(rise, 0) if upper >= 10 else 0.0  # half of what overflows falls into the lower
        fall = out + over / 2 - 0.1 * np.sqrt(lower)
        return [rise - over, 0.0 if lower >= 10 and fall > 0 else fall]

    times = step * np.arange(samples)
    found = solve_ivp(flow, (0, times[-1]), [0.5, 0.5], t_eval=times, max_step=step / 2, rtol=1e-5)
    level = np.clip(found.y[1], 0, 10)
    noise = level.std() * 10 ** (-30 / 20) * random.standard_normal(samples)
    write("tanks.csv", {"time": times, "pump": u, "level": np.round(level + noise, 5)})


EXAMPLES: dict[str, Callable[[], None]] = {
    "grasshopper": grasshopper,
    "weather": weather,
    "tanks": tanks,
}

if __name__ == "__main__":
    for name in sys.argv[1:] or EXAMPLES:
        EXAMPLES[name]()
