"""Two pictures: the repeats of a measurement, and calls under the roof of a device."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from matplotlib.figure import Figure

from lossbook.figures import BLUE, VERMILION, figure
from lossbook.timing.speed import Machine
from lossbook.timing.work import Work

if TYPE_CHECKING:
    from lossbook.timing.result import Measurement


def draw_times(measured: Measurement) -> Figure:
    """Draw every repeat as a dot, the median, the interquartile range as a band, and the bound."""
    from lossbook.timing.result import quartiles

    unit, size = next((u, s) for u, s in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6), ("ns", 0.0)) if measured.median >= s)
    size = size or 1e-9
    drawn, (axes,) = figure(height=3.4)
    times = [t / size for t in measured.times]
    low, high = (t / size for t in quartiles(measured.times))
    axes.axhspan(low, high, color=BLUE, alpha=0.15, linewidth=0, label="middle half")
    axes.axhline(measured.median / size, color=BLUE, linestyle="-", label="median")
    axes.plot(range(1, len(times) + 1), times, "o", color=BLUE, markersize=4, alpha=0.7, label="one repeat")
    shown = list(times)
    if measured.bound is not None:
        axes.axhline(measured.bound.seconds / size, color=VERMILION, linestyle="--", label="bound")
        shown.append(measured.bound.seconds / size)
    axes.set(xlabel="repeat", ylabel=f"time of a call ({unit})", title=f"{measured.name} on {measured.device}")
    if max(shown) > 8 * min(shown):
        axes.set_yscale("log")
    else:
        axes.set_ylim(0, 1.15 * max(shown))
    axes.legend(loc="center left", bbox_to_anchor=(1.0, 0.5))
    return drawn


def roofline(machine: Machine, points: Mapping[str, tuple[Work, float]]) -> Figure:
    """Draw calls under the roof of a device: arithmetic intensity against operations a second.

    Below the ridge a call can be no faster than its bytes arrive, above it no faster than the device computes.
    Source: Williams, Waterman & Patterson (2009).

    Args:
        machine: What the device can do.
        points: For each name, the work of a call and the seconds that it took.

    """
    raise NotImplementedError
