"""Values, calls and curves as text and as pictures, short enough to read."""

from __future__ import annotations

import base64
import html
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy
from torch import Tensor

from lossbook.checks.trial import Other

LONG = 8  # elements beyond which a tensor is not shown whole
WIDTH, HEIGHT = 420, 208  # pixels of a picture
LEFT, RIGHT, TOP, BOTTOM = 52, 8, 28, 38  # pixels around the curves
KEY = 15  # pixels down to the line that names the curves, above them
MINE, RIGHT_ONE = "#d55e00", "#0072b2"  # told apart by the colour-blind too; the student's is dashed besides


ROUND = 6  # digits of a number that is shown as it is: 10000.5 is not 1e+04


def _number(value: float, digits: int) -> str:
    """Return a number as text: as it is where that is short, or where rounding would make it look round."""
    text = f"{value:.{digits}g}"
    if not math.isfinite(value) or float(text) == value:
        return f"{value:.{ROUND}g}" if abs(value) < 10**ROUND else text
    with numpy.errstate(over="ignore"):
        single = numpy.float32(value)
    exact = (str(single) if float(single) == value else repr(value)).removesuffix(".0")
    mantissa = exact.partition("e")[0].lstrip("-0.").replace(".", "")
    shown = text.partition("e")[0].lstrip("-0.").replace(".", "")
    return exact if len(mantissa) <= ROUND or len(shown) < digits - 1 else text


def show(value: Any, digits: int = 4) -> str:
    """Return a value as short text: numbers to so many significant digits, long tensors cut. Never raises."""
    if isinstance(value, Other):
        what, _, text = value.what.partition(", ")
        return text if what == "a str" else value.what
    if isinstance(value, Tensor):
        value = value.detach()
        if value.numel() > LONG:
            return f"tensor of shape {tuple(value.shape)}, first {show(value.flatten()[:4], digits)}"
        return show(value.tolist(), digits)
    if isinstance(value, bool) or value is None:
        return str(value)
    if isinstance(value, float):
        return _number(value, digits)
    if isinstance(value, (list, tuple)):
        if len(value) > LONG:
            return f"{len(value)} items, first {show(value[:4], digits)}"
        return "[" + ", ".join(show(item, digits) for item in value) + "]"
    try:
        text = repr(value)
    except Exception:  # an object of the student's own
        text = f"a {type(value).__name__}"
    return text if len(text) <= 80 else text[:77] + "..."


def show_call(name: str, args: Sequence[Any], kwargs: Mapping[str, Any]) -> str:
    """Return a call as text."""
    arguments = [show(value) for value in args]
    arguments += [f"{key}={show(value)}" for key, value in kwargs.items()]
    return f"{name}({', '.join(arguments)})"


def ticks(low: float, high: float, most: int = 6) -> list[float]:
    """Return round numbers between low and high, at most so many and at least two where they can be had."""
    span = high - low
    step: float = 10 ** math.floor(math.log10(span / most))
    for factor in (1, 2, 5, 10, 20):
        if span / (step * factor) <= most:
            step *= factor
            break
    first = math.ceil(low / step - 1e-9)
    return [k * step for k in range(first, math.floor(high / step + 1e-9) + 1)]


def _range(values: Sequence[float], margin: float) -> tuple[float, float]:
    low, high = min(values), max(values)
    if high - low < 1e-12 * max(1.0, abs(low)):
        low, high = low - 0.5, high + 0.5
    return low - margin * (high - low), high + margin * (high - low)


def _path(x: Sequence[float], y: Sequence[float | None]) -> str:
    """Return the path of a curve, lifted off the paper where there is no height."""
    words, down = [], False
    for across, up in zip(x, y, strict=True):
        if up is None:
            down = False
            continue
        words.append(f"{'L' if down else 'M'}{across:.1f} {up:.1f}")
        down = True
    return "".join(words)


def svg(
    x: Sequence[float],
    mine: Sequence[float | None],
    right: Sequence[float | None],
    xlabel: str,
    ylabel: str,
    ground: str = "",
) -> str:
    """Return a student's curve and the right one as an SVG element: numbers alone reach it from the student.

    Heights far outside the right curve's range are cut off at the frame, so that the right curve stays visible.

    Args:
        x: Where the curves are known.
        mine: The student's heights; None where there is none.
        right: The right heights.
        xlabel: What goes across, as XML wants it.
        ylabel: What goes up, as XML wants it.
        ground: The colour behind the curves; none unless given.

    """
    known = [height for height in right if height is not None]
    seen = [height for height in mine if height is not None]
    low, high = _range(known, 0.0)
    reach = high - low
    bounded = [min(max(height, low - reach), high + reach) for height in seen]
    bottom, top = _range([*known, *bounded], 0.06)
    first, last = _range(x, 0.0)

    def across(value: float) -> float:
        return LEFT + (value - first) / (last - first) * (WIDTH - LEFT - RIGHT)

    def up(value: float) -> float:
        return TOP + (top - min(max(value, bottom), top)) / (top - bottom) * (HEIGHT - TOP - BOTTOM)

    floor = HEIGHT - BOTTOM
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}" '
        'role="img" style="max-width:100%;height:auto;font:11px sans-serif" fill="currentColor">',
        f"<title>{ylabel} against {xlabel}: the right curve, and yours, dashed</title>",
        *([f'<rect width="{WIDTH}" height="{HEIGHT}" fill="{ground}"/>'] if ground else []),
        f'<path d="M{LEFT} {TOP}V{floor}H{WIDTH - RIGHT}" fill="none" stroke="currentColor" opacity=".4"/>',
    ]
    for tick in ticks(first, last):
        parts.append(f'<text x="{across(tick):.1f}" y="{floor + 14}" text-anchor="middle">{tick:g}</text>')
    for tick in ticks(bottom, top):
        parts.append(f'<text x="{LEFT - 5}" y="{up(tick) + 4:.1f}" text-anchor="end">{tick:.4g}</text>')
    xs = [across(value) for value in x]
    for heights, colour, dashes in ((right, RIGHT_ONE, ""), (mine, MINE, ' stroke-dasharray="5 3"')):
        path = _path(xs, [None if height is None else up(height) for height in heights])
        parts.append(f'<path d="{path}" fill="none" stroke="{colour}" stroke-width="2"{dashes}/>')
    parts += [
        f'<text x="{(LEFT + WIDTH - RIGHT) / 2}" y="{HEIGHT - 6}" text-anchor="middle">{xlabel} → {ylabel}</text>',
        f'<text x="{LEFT + 8}" y="{KEY}" fill="{RIGHT_ONE}">— right</text>',
        f'<text x="{LEFT + 62}" y="{KEY}" fill="{MINE}">- - yours</text>',
        "</svg>",
    ]
    return "".join(parts)


def words(
    x: Sequence[float],
    mine: Sequence[float | None],
    right: Sequence[float | None],
    xlabel: str,
    ylabel: str,
) -> str:
    """Return in words what the picture of two curves shows, and where they are furthest apart; as ``svg``'s arguments.

    What is far only where both are large does not count as far: distances are relative to the right height there, and
    to the range of the right curve where that is larger.
    """
    known = [(at, height) for at, height in zip(x, right, strict=True) if height is not None]
    (first, start), (last, end) = known[0], known[-1]
    said = [
        f"{ylabel} against {xlabel}, from {first:.4g} to {last:.4g}.",
        f"The right curve goes from {start:.4g} to {end:.4g}.",
    ]
    both = [(at, own, height) for at, own, height in zip(x, mine, right, strict=True) if None not in (own, height)]
    missing = sum(own is None for own in mine)
    if not both:
        where = "anywhere" if missing == len(mine) else "where the right curve has one"
        return " ".join([*said, f"Yours has no value {where}."])
    span = max(height for _, height in known) - min(height for _, height in known)
    gaps = [
        abs(own - height) / (max(span, abs(height)) or 1.0)
        for _, own, height in both
        if own is not None and height is not None
    ]
    at, own, height = both[gaps.index(max(gaps))]
    said.append(
        f"Yours differs most at {at:.4g}: {own:.4g}, where {height:.4g} is right." if max(gaps) else "Yours lies on it."
    )
    if missing:
        said.append(f"Yours has no value at {missing} of {len(mine)} points.")
    return " ".join(said)


def picture(
    x: Sequence[float],
    mine: Sequence[float | None],
    right: Sequence[float | None],
    xlabel: str,
    ylabel: str,
) -> str:
    """Return a student's curve and the right one as an image element that says in words what it shows.

    JupyterLab takes an SVG element out of a notebook that it does not trust, and leaves its labels as a heap of words.
    An image stays. Its ground is light, so that it can be read on a dark page too.

    Args:
        x: Where the curves are known.
        mine: The student's heights; None where there is none.
        right: The right heights.
        xlabel: What goes across.
        ylabel: What goes up.

    """
    element = svg(x, mine, right, html.escape(xlabel), html.escape(ylabel), ground="white")
    drawn = base64.b64encode(element.encode()).decode()
    told = html.escape(words(x, mine, right, xlabel, ylabel))
    return f'<img src="data:image/svg+xml;base64,{drawn}" width="{WIDTH}" height="{HEIGHT}" alt="{told}">'
