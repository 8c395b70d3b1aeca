"""Recordings as pictures: a line for each loss, a mark for each implementation."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator

from lossbook.bench.plan import IMPLEMENTATIONS, LOSSES, PASSES, spaced
from lossbook.bench.running import MEASURED, Row
from lossbook.figures import BLUE, GREEN, GREY, ORANGE, PURPLE, SKY, VERMILION, figure
from lossbook.timing.texts import bytes_text, seconds_text

MARKS = dict(
    zip(
        IMPLEMENTATIONS,
        (
            (VERMILION, "X"),
            (ORANGE, "s"),
            (BLUE, "o"),
            (GREEN, "*"),
            (GREY, "D"),
            (PURPLE, "^"),
            (SKY, "v"),
        ),
        strict=True,
    )
)
NAMES = {"definition": "by definition", "pytorch": "PyTorch's", "pytorch compiled": "PyTorch's, compiled"}


def groups(rows: Sequence[Row]) -> dict[tuple[str, str], list[Row]]:
    """Return what is drawn together: for each device and dtype, the largest measured size of each loss."""
    found: dict[tuple[str, str], list[Row]] = {}
    largest: dict[tuple[str, str, str], tuple[int, ...]] = {}
    measured = [row for row in rows if row.status == MEASURED]
    for row in measured:
        key = (row.case.device, row.case.dtype, row.case.loss)
        largest[key] = max(largest.get(key, ()), row.case.size)
    for row in measured:
        if largest[row.case.device, row.case.dtype, row.case.loss] == row.case.size:
            found.setdefault((row.case.device, row.case.dtype), []).append(row)
    return found


def _by_pass(rows: Sequence[Row]) -> dict[str, list[Row]]:
    return {passes: [row for row in rows if row.case.passes == passes] for passes in PASSES}


def draw_times(rows: Sequence[Row]) -> Figure:
    """Draw the time of one call of each loss, and the bound, forward and with gradients.

    Args:
        rows: Measured cases of one device and dtype, one size for each loss.

    """
    return _draw(_by_pass(rows), timed=True)


def draw_memory(rows: Sequence[Row]) -> Figure:
    """Draw the peak memory of each loss beyond its arguments, forward and with gradients.

    Args:
        rows: Measured cases of one device and dtype, one size for each loss.

    """
    return _draw(_by_pass(rows), timed=False)


def draw_beside(machines: Mapping[str, Sequence[Row]]) -> Figure:
    """Draw the times of the same cases on several machines, side by side on one axis.

    Args:
        machines: For the title of each panel, measured cases of one device and dtype, one size for each loss.

    """
    drawn = _draw(machines, timed=True)
    spans = [axes.get_xlim() for axes in drawn.axes]
    for axes in drawn.axes:
        axes.set_xlim(min(low for low, _ in spans), max(high for _, high in spans))
    return drawn


def _draw(parts: Mapping[str, Sequence[Row]], *, timed: bool) -> Figure:
    rows = [row for part in parts.values() for row in part]
    names = [name for name in LOSSES if any(row.case.loss == name for row in rows)]
    lines = {name: len(names) - 1 - n for n, name in enumerate(names)}
    drawn, panels = figure(len(parts), height=1.6 + 0.42 * len(names), width=8.4)
    for axes, (title, part) in zip(panels, parts.items(), strict=True):
        for row in part:
            line = lines[row.case.loss]
            at = row.seconds if timed else row.numbers["memory"]
            _mark(axes, row, at, line + _beside(row, rows), hollow=timed and row.numbers["noisy"])
            if timed and row.numbers["bound"] is not None:
                ends = [line - 0.36, line + 0.36]
                axes.plot([row.numbers["bound"]] * 2, ends, color="black", linewidth=1.6, linestyle="-")
        axes.set(xscale="log", xlabel="time of one call" if timed else "peak memory", title=title)
        axes.set(yticks=range(len(names)), ylim=(-0.6, len(names) - 0.4))
        axes.xaxis.set_major_locator(LogLocator(numticks=6))
        axes.xaxis.set_major_formatter(FuncFormatter(partial(_tick, timed)))
        axes.tick_params(axis="x", labelsize=9)
        axes.set_yticklabels([])
    panels[0].set_yticklabels([_named(name, rows) for name in reversed(names)], fontsize=9)
    handles = _handles(rows, timed)
    columns = len(handles) if len(handles) <= 6 else -(-len(handles) // 2)
    drawn.legend(handles=handles, loc="outside lower center", ncols=columns, fontsize=9, handletextpad=0.3)
    return drawn


def _tick(timed: bool, at: float, place: int | None) -> str:
    """Return a power of ten with its unit: ``10 ms``, ``1 MB``."""
    text = (seconds_text if timed else bytes_text)(at * 1.0001)
    return re.sub(r"\.0+(?= )", "", text).replace("bytes", "B")


def _beside(row: Row, rows: Sequence[Row]) -> float:
    """Return how far above its loss's line a mark stands, so that equal times do not hide each other."""
    present = [name for name in IMPLEMENTATIONS if any(other.case.implementation == name for other in rows)]
    return 0.5 * (0.5 - (present.index(row.case.implementation) + 0.5) / len(present))


def _mark(axes: Axes, row: Row, at: float, line: float, *, hollow: bool) -> None:
    colour, marker = MARKS[row.case.implementation]
    face = "white" if hollow else colour
    axes.plot([at], [line], color=colour, marker=marker, markersize=7, markerfacecolor=face, linestyle="none")


def _handles(rows: Sequence[Row], timed: bool) -> list[Line2D]:
    present = {row.case.implementation for row in rows}
    handles = [
        Line2D([], [], color=colour, marker=marker, markersize=7, linestyle="none", label=NAMES.get(name, name))
        for name, (colour, marker) in MARKS.items()
        if name in present
    ]
    if timed and any(row.numbers["noisy"] for row in rows):
        handles.append(
            Line2D([], [], color="black", marker="o", markerfacecolor="white", linestyle="none", label="hollow: noisy")
        )
    if timed:
        handles.append(Line2D([], [], color="black", marker="|", markersize=11, linestyle="none", label="bound"))
    return handles


def _named(name: str, rows: Sequence[Row]) -> str:
    size = next(row.case.size for row in rows if row.case.loss == name)
    return f"{name.replace('binary_cross_entropy_with_logits', 'bce_with_logits')}\n{spaced(size)}"


def draw_all(rows: Sequence[Row], folder: Path) -> list[Path]:
    """Draw every device and dtype, times and memory, as PNG; return the files.

    Args:
        rows: What became of the cases.
        folder: Where the pictures go; made if it is missing.

    """
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for (device, dtype), mine in groups(rows).items():
        for what, draw in (("times", draw_times), ("memory", draw_memory)):
            path = folder / f"{device}-{dtype}-{what}.png"
            draw(mine).savefig(path, dpi=150)
            files.append(path)
    return files
