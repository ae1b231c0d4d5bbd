"""`python -m benchmarks.figure RESULTS FIGURE ...`: draw what a run of the benchmark stored."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from benchmarks.summary import Measurement, by_case, quartiles, ratio
from benchmarks.tools import PEERS
from urnn.figures import style
from urnn.figures.style import BLACK, BLUE, GREEN, GREY, PURPLE, VERMILLION
from urnn.settings.style import Style

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: colour, marker and line of a tool
_LOOKS: dict[str, tuple[str, str, Any]] = {
    "Keras": (PURPLE, "D", "-"),
    "torch.nn": (BLUE, "s", "-"),
    "JAX": (GREEN, "^", "-"),
    "urnn, one model": (VERMILLION, "o", (0, (4, 2))),
    "urnn": (VERMILLION, "o", "-"),
}
_LABELS = {"urnn": "urnn, many models at once", "urnn, one model": "urnn, one model"}
_MODELS = {"rnn": "RNN", "urnn": "URNN", "lstm": "LSTM", "gru": "GRU"}
_COLUMNS = 3
#: of a row of panels, inches
_HEIGHT = 2.45
_PLAIN = FuncFormatter(lambda value, _: f"{value:g}")


def draw(results: Path, path: Path) -> None:
    """The figure of stored results into a file, .png or .svg."""
    stored = json.loads(results.read_text(encoding="utf-8"))
    measurements = [Measurement.read(each) for each in stored["measurements"]]
    rows = -(-(len(_panels(measurements)) + 1) // _COLUMNS)
    look = Style(height=_HEIGHT * rows)
    style.save(plot(measurements, stored["machine"]["architecture"], look), path, look)


def _panels(
    measurements: Sequence[Measurement],
) -> dict[tuple[str, str], list[dict[str, Measurement]]]:
    """The comparisons of each task and model, by size and tool."""
    panels: dict[tuple[str, str], list[dict[str, Measurement]]] = {}
    for case, tools in by_case(measurements, "comparison").items():
        panels.setdefault((case.task, case.model), []).append(tools)
    return panels


def plot(
    measurements: Sequence[Measurement], architecture: str, look: Style = style.DEFAULT
) -> Figure:
    """Time of a training step of one model against its hidden units; a panel for each model.

    Medians over the rounds with quartiles, on a logarithmic axis. The number below a size is
    how many of our steps take the time of one step of the fastest other tool.

    Args:
        measurements: of the comparison; others are not looked at.
        architecture: of the processor, for the title.
        look: sizes.

    Raises:
        ValueError: there is no comparison.
    """
    panels = _panels(measurements)
    if not panels:
        raise ValueError("there is no comparison among the measurements")
    rows = -(-(len(panels) + 1) // _COLUMNS)
    with style.applied(look):
        figure = Figure(figsize=(look.width, look.height), layout="constrained")
        axes = figure.subplots(rows, _COLUMNS, sharey=True, squeeze=False).ravel()
        for panel, ((task, model), sizes) in zip(axes, panels.items(), strict=False):
            _draw_panel(panel, sizes)
            case = sizes[0]["urnn"].case
            shape = f"T = {case.time}, batch {case.batch}"
            panel.set_title(f"{_MODELS[model]}, {task}\n{shape}", loc="left")
            panel.set_xlabel("Hidden units")
        for row in range(rows):
            axes[row * _COLUMNS].set_ylabel("Time of a step per model (ms)")
        # room for the ratios below the lowest points
        axes[0].set_ylim(bottom=axes[0].get_ylim()[0] / 3)
        axes[0].yaxis.set_major_formatter(_PLAIN)
        for panel in axes[len(panels) :]:
            panel.set_axis_off()
        axes[-1].legend(handles=_handles(measurements), loc="center left", borderaxespad=0)
        figure.suptitle(f"A training step, everything included, on one core ({architecture})")
    return figure


def _draw_panel(panel: Axes, sizes: Sequence[dict[str, Measurement]]) -> None:
    sizes = sorted(sizes, key=lambda tools: tools["urnn"].case.hidden)
    for name in _LOOKS:
        there = [tools[name] for tools in sizes if name in tools]
        low, median, high = np.array([quartiles(m.milliseconds) for m in there]).reshape(-1, 3).T
        panel.errorbar(
            [m.case.hidden for m in there],
            median,
            yerr=[median - low, high - median],
            elinewidth=1.0,
            zorder=3,
            **_line(name),
        )
    for tools in sizes:
        _mark_ratio(panel, tools)
    panel.set_yscale("log")
    panel.set_xscale("log")
    hidden = [tools["urnn"].case.hidden for tools in sizes]
    panel.xaxis.set_major_locator(FixedLocator(hidden))
    panel.xaxis.set_minor_locator(NullLocator())
    panel.xaxis.set_major_formatter(_PLAIN)
    panel.set_xlim(hidden[0] / 1.35, hidden[-1] * 1.35)


def _mark_ratio(panel: Axes, tools: dict[str, Measurement]) -> None:
    """A line from our time to that of the fastest other tool, and how often ours fits in."""
    others = [tools[name] for name in PEERS if name in tools]
    if not others:
        return
    ours, fastest = tools["urnn"], min(others, key=lambda m: m.median)
    hidden = ours.case.hidden
    panel.plot([hidden] * 2, [ours.median, fastest.median], color=GREY, linewidth=0.7, zorder=2)
    times = ratio(fastest.milliseconds, ours.milliseconds)
    panel.annotate(
        f"{times:.0f}×" if times >= 10 else f"{times:.1f}×",
        (hidden, ours.median),
        # below, where nothing else is drawn: the tools come close to one another above
        xytext=(0, -7),
        textcoords="offset points",
        ha="center",
        va="top",
        fontsize="small",
        color=BLACK,
    )


def _line(name: str) -> dict[str, Any]:
    """How a tool is drawn; hollow and thin where one model at once is trained by ours."""
    colour, marker, line = _LOOKS[name]
    look: dict[str, Any] = {"color": colour, "marker": marker, "linestyle": line}
    if name == "urnn, one model":
        return {**look, "markerfacecolor": "white", "markersize": 3.5, "linewidth": 1.0}
    return {**look, "markeredgecolor": "white", "markeredgewidth": 0.6}


def _handles(measurements: Sequence[Measurement]) -> list[Line2D]:
    there = {m.tool for m in measurements}
    handles = [
        Line2D([], [], label=_LABELS.get(name, name), **_line(name))
        for name in _LOOKS
        if name in there
    ]
    if there & set(PEERS):
        label = "fastest other tool / urnn"
        handles.append(Line2D([], [], color=GREY, linewidth=0.7, label=label))
    return handles


def main() -> None:
    """Draw from the command line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.figure", description=__doc__)
    parser.add_argument("results", type=Path)
    parser.add_argument("figures", type=Path, nargs="+", help="files, .png or .svg")
    options = parser.parse_args()
    for path in options.figures:
        draw(options.results, path)


if __name__ == "__main__":
    main()
