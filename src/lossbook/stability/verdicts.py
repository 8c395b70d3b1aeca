"""What is said of one computed number, beside the truth: right, or wrong in one of six ways."""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum

import mpmath
import torch

from lossbook.stability.entries import DIGITS

# A form may be this many units in the last place off and still be right. The longest formula of the book rounds about
# eight times on its way, each time by at most one unit, and an error that is squared or passes through a difference of
# two terms of one size may count twice. That leaves four bits, half of what bfloat16 has. What cancellation or
# underflow loses is hundreds of units, or all of them.
ULPS = 16.0


class Verdict(Enum):
    """One verdict; its value is what the tables print."""

    RIGHT = "right"
    NAN = "nan"
    OVERFLOW = "overflow"
    CLAMPED = "clamped"
    UNDERFLOW = "underflow"
    CANCELLATION = "cancellation"
    WRONG_GRADIENT = "wrong gradient"


# From bad to harmless: of a gradient's entries the worst speaks for all.
SEVERITY = (
    Verdict.NAN,
    Verdict.OVERFLOW,
    Verdict.WRONG_GRADIENT,
    Verdict.CLAMPED,
    Verdict.CANCELLATION,
    Verdict.UNDERFLOW,
    Verdict.RIGHT,
)


def spacing(x: mpmath.mpf, dtype: torch.dtype) -> mpmath.mpf:
    r"""Return the unit in the last place of a dtype at a number.

    .. math::

        \operatorname{ulp}(x) = \varepsilon \cdot \max \bigl( 2^{\lfloor \log_2 |x| \rfloor}, \; x_{\min} \bigr)

    Args:
        x: The number; of an infinite one, or one beyond the range, the unit of the largest finite number is returned.
        dtype: The dtype, whose machine epsilon is :math:`\varepsilon` and smallest normal number :math:`x_{\min}`.

    """
    info = torch.finfo(dtype)
    size = min(abs(x), mpmath.mpf(info.max))
    if size < info.smallest_normal:
        return mpmath.mpf(info.smallest_normal) * info.eps
    _, exponent = mpmath.frexp(size)  # size = fraction * 2**exponent, the fraction in [1/2, 1)
    return mpmath.ldexp(mpmath.mpf(info.eps), int(exponent) - 1)


def rounded(x: mpmath.mpf, dtype: torch.dtype) -> mpmath.mpf:
    """Return the number of a dtype that is nearest to ``x``: half to even, infinite beyond the range.

    Raises:
        ValueError: ``x`` is nan: there is no truth to judge by.

    """
    if mpmath.isnan(x):
        raise ValueError("the truth is nan; it must be a number, or infinite")
    if mpmath.isinf(x):
        return x
    with mpmath.workdps(DIGITS):
        unit = spacing(x, dtype)
        nearest = mpmath.nint(x / unit) * unit
        return mpmath.sign(x) * mpmath.inf if abs(nearest) > torch.finfo(dtype).max else nearest


def error_in_ulps(got: float, truth: mpmath.mpf, dtype: torch.dtype) -> float:
    """Return how far a result lies from the truth rounded to the dtype, in units of the last place there.

    Args:
        got: The result. The error of nan, and of an infinity in the wrong place, is infinite.
        truth: What it should be, exactly.
        dtype: The dtype of the result.

    """
    target, found = rounded(truth, dtype), mpmath.mpf(got)
    if found == target:
        return 0.0
    if not (mpmath.isfinite(found) and mpmath.isfinite(target)):
        return float("inf")
    return float(abs(found - target) / spacing(target, dtype))


def judge(got: float, truth: mpmath.mpf, dtype: torch.dtype, *, bound: float | None = None) -> Verdict:
    """Give one number its verdict. The yardstick is the truth, rounded to the dtype.

    So an infinity is right where the truth leaves the range, and 0 is right where the truth is too small to be held.

    Args:
        got: The result of some form of a loss.
        truth: What it should be, exactly.
        dtype: The dtype of the result.
        bound: A size beyond which the form lets no result go, if it has such a bound.

    Returns:
        ``NAN``; ``OVERFLOW`` for an infinity that the truth is not; ``CLAMPED`` for a finite result where the truth is
        infinite, or for the form's own bound; ``UNDERFLOW`` for 0 where the dtype holds the truth;
        ``CANCELLATION`` for an error of more than ``ULPS`` units in the last place; else ``RIGHT``.

    """
    target, found = rounded(truth, dtype), mpmath.mpf(got)
    if mpmath.isnan(found):
        return Verdict.NAN
    if found == target:
        return Verdict.RIGHT
    if mpmath.isinf(found):
        return Verdict.OVERFLOW
    if mpmath.isinf(truth):
        return Verdict.CLAMPED
    off = error_in_ulps(got, truth, dtype)
    if found == 0 and off > 1:
        return Verdict.UNDERFLOW
    if off <= ULPS:
        return Verdict.RIGHT
    if bound is not None and abs(found) == bound:
        return Verdict.CLAMPED
    return Verdict.CANCELLATION


def judge_gradient(got: Iterable[float], truth: Iterable[mpmath.mpf], dtype: torch.dtype) -> Verdict:
    """Give a gradient its verdict: that of its worst entry.

    An entry that is finite, not 0, and more than ``ULPS`` units in the last place off is a ``WRONG_GRADIENT``; the
    other verdicts are those of ``judge``.

    Args:
        got: The entries of a gradient.
        truth: What they should be, exactly.
        dtype: The dtype of the gradient.

    Raises:
        ValueError: There are not as many entries as there should be.

    """
    verdicts = [judge(mine, exact, dtype) for mine, exact in zip(got, truth, strict=True)]
    verdicts = [Verdict.WRONG_GRADIENT if v is Verdict.CANCELLATION else v for v in verdicts]
    return min(verdicts, key=SEVERITY.index, default=Verdict.RIGHT)
