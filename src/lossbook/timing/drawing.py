"""Two pictures: the repeats of a measurement, and calls under the roof of a device."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.transforms import Bbox

from lossbook.figures import BLUE, COLOURS, GREY, SKY, VERMILION, figure
from lossbook.timing.speed import Machine
from lossbook.timing.texts import bytes_text, quartiles, three_digits
from lossbook.timing.work import Work

MARKERS = "osD^vP*X"


def draw_times(seconds: Sequence[float], bound: float | None, title: str) -> Figure:
    """Draw every repeat as a dot, the median, the interquartile range as a band, and the bound.

    Args:
        seconds: The repeats' times, in the order measured.
        bound: The least time that is possible, if it is known.
        title: What stands above the picture.

    """
    median = statistics.median(seconds)
    units = (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6), ("ns", 1e-9))
    unit, size = next(((name, size) for name, size in units if median >= size), units[-1])
    drawn, (axes,) = figure(height=3.4)
    times = [t / size for t in seconds]
    low, high = (t / size for t in quartiles(seconds))
    axes.axhspan(low, high, color=BLUE, alpha=0.15, linewidth=0, label="middle half")
    axes.axhline(median / size, color=BLUE, linestyle="-", label="median")
    axes.plot(range(1, len(times) + 1), times, "o", color=BLUE, markersize=4, alpha=0.7, label="one repeat")
    shown = list(times)
    if bound is not None:
        axes.axhline(bound / size, color=VERMILION, linestyle="--", label="bound")
        shown.append(bound / size)
    axes.set(xlabel="repeat", ylabel=f"time of a call ({unit})", title=title)
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
        points: For each name, the work of a call and the seconds that it took; what took nan is left out.

    Returns:
        The figure. A call that computes nothing has no place on logarithmic axes, and is left out.

    Raises:
        ValueError: There is no call to draw, or a time is not positive.

    """
    for name, (_, seconds) in points.items():
        if seconds <= 0:
            raise ValueError(f"points[{name!r}] took {seconds} seconds; it must be more than 0")
    shown = {name: (w.intensity, w.operations / s) for name, (w, s) in points.items() if w.operations and w.bytes}
    if not shown:
        raise ValueError("points has no call that moves bytes and computes; there must be one at least")
    shown = {name: point for name, point in shown.items() if not math.isnan(point[1])}
    drawn, (axes,) = figure(height=4.4, width=7.4)
    ridge = machine.peak / machine.bandwidth
    left = min([ridge, *(at for at, _ in shown.values())]) / 4
    right = max([ridge, *(at for at, _ in shown.values())]) * 12
    corners = [left, ridge, right]
    fastest = max(speed for _, speed in machine.bandwidths)
    axes.plot(
        [left, machine.peak / fastest, right],
        [left * fastest, machine.peak, machine.peak],
        color=SKY,
        linestyle="--",
        label=f"from the cache, up to {bytes_text(fastest)}/s",
    )
    axes.plot(
        corners,
        [min(at * machine.bandwidth, machine.peak) for at in corners],
        color=GREY,
        linestyle="-",
        label=f"from memory, {bytes_text(machine.bandwidth)}/s",
    )
    axes.set(xscale="log", yscale="log", xlim=(left, right))
    bottom = min([machine.peak, *(speed for _, speed in shown.values())]) / 4
    axes.set_ylim(bottom, machine.peak * 3)
    for i, (at, speed) in enumerate(shown.values()):
        axes.plot(
            [at],
            [speed],
            marker=MARKERS[i % len(MARKERS)],
            color=COLOURS[i % 5],
            markersize=9,
            linestyle="none",
            markeredgecolor="white",
            zorder=3,
        )
    axes.text(right, machine.peak * 1.15, f"peak, {_speed_text(machine.peak)}  ", ha="right", va="bottom", color=GREY)
    axes.set(xlabel="operations for each byte that must move", ylabel="operations a second")
    axes.set_title(f"Under the roof of {machine.name}")
    axes.legend(loc="lower right")
    _label(axes, shown)
    return drawn


def _label(axes: Axes, points: Mapping[str, tuple[float, float]]) -> None:
    """Write each point's name beside it, where it covers nothing; a line leads to one further off."""
    drawn = axes.figure
    drawn.canvas.draw()
    centres = {name: axes.transData.transform(point) for name, point in points.items()}
    taken = [Bbox.from_bounds(x - 9, y - 9, 18, 18) for x, y in centres.values()]
    taken += [text.get_window_extent() for text in axes.texts]
    legend = axes.get_legend()
    taken += [legend.get_window_extent()] if legend else []
    room = axes.get_window_extent()
    for name in sorted(centres, key=lambda name: -centres[name][1]):
        x, y = centres[name]
        text = axes.text(0, 0, name, transform=None, va="center", zorder=4)
        box = text.get_window_extent()
        for far in range(24):
            up = (far + 1) // 2 * (1 if far % 2 else -1) * box.height * 0.6
            places = [
                Bbox.from_bounds(x + 14, y + up - box.height / 2, box.width, box.height),
                Bbox.from_bounds(x - 14 - box.width, y + up - box.height / 2, box.width, box.height),
            ]
            free = [p for p in places if p.count_overlaps(taken) == 0 and room.containsx(p.x0) and room.containsx(p.x1)]
            if free:
                break
        place = free[0] if free else places[0]
        taken.append(place)
        text.remove()
        scale = 72 / drawn.dpi
        label = axes.annotate(
            name,
            points[name],
            ((place.x0 - x) * scale, (place.y0 + place.height / 2 - y) * scale),
            textcoords="offset points",
            va="center",
            bbox={"facecolor": "white", "alpha": 0.8, "linewidth": 0, "pad": 0.5},
            arrowprops={"arrowstyle": "-", "color": GREY, "linewidth": 0.8} if abs(up) > box.height else None,
        )
        label.set_in_layout(False)  # or it would move what it was placed by


def _speed_text(speed: float) -> str:
    """Return operations a second with three digits and a unit."""
    for unit, size in (("T", 1e12), ("G", 1e9), ("M", 1e6)):
        if speed >= size:
            return f"{three_digits(speed / size)} {unit}op/s"
    return f"{speed:,.0f} op/s"
