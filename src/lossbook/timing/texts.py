"""Numbers as a reader wants them: three digits, and a unit that fits."""

from __future__ import annotations

import statistics
from collections.abc import Sequence


def quartiles(times: Sequence[float]) -> tuple[float, float]:
    """Return the bounds of the middle half of the times, which of one time are the time itself."""
    if len(times) < 2:
        return times[0], times[0]
    low, _, high = statistics.quantiles(times, n=4, method="inclusive")
    return low, high


def seconds_text(seconds: float) -> str:
    """Return a time with three digits and its unit."""
    for unit, size in (("s", 1.0), ("ms", 1e-3), ("µs", 1e-6)):
        if seconds >= size:
            return f"{three_digits(seconds / size)} {unit}"
    return f"{three_digits(seconds / 1e-9)} ns"


def bytes_text(count: float) -> str:
    """Return a number of bytes with three digits and its unit; a kilobyte has 1000."""
    for unit, size in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= size:
            return f"{three_digits(count / size)} {unit}"
    return f"{count:.0f} bytes"


def three_digits(number: float) -> str:
    """Return a number with three digits, and never in powers of ten."""
    decimals = 2 if number < 9.995 else 1 if number < 99.95 else 0
    return f"{number:,.{decimals}f}"


def counted_text(count: int, noun: str, plural: str) -> str:
    """Return a count with its noun."""
    return f"{count:,} {noun}{plural if count != 1 else ''}"


def share_text(share: float) -> str:
    """Return a part of a whole in per cent, with two digits at least."""
    return (
        f"{share:.0%}"
        if share >= 0.0995 or share == 0
        else f"{float(f'{100 * share:.2g}'):f}".rstrip("0").rstrip(".") + "%"
    )
