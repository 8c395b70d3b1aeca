r"""Sums in floating point: one running total, pairs of pairs, and a total that remembers what it lost."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from lossbook.losses.arguments import require_floating, require_tensors

METHODS = ("sequential", "pairwise")


def sequential_sum(x: Tensor) -> Tensor:
    r"""Add the terms to one running total, from the first to the last.

    .. math::

        s = \sum_{n=1}^{N} x_n

    It gives what Python's ``sum`` gives, to the bit: each addition is rounded
    to the dtype of ``x``, and is dispatched by itself.

    Args:
        x: The terms, floating-point, shape ``(N,)``; N may be 0.

    Returns:
        Their sum in the dtype of ``x``, shape ``()``; 0 for no terms. It is off
        by at most ``sum_error_bound(N, x.dtype, "sequential")`` times the sum
        of the terms' absolute values, unless it overflows.

    Raises:
        TypeError: ``x`` is not a tensor.
        ValueError: ``x`` is not one-dimensional.
        NotImplementedError: ``x`` is not floating-point.

    Source:
        Equation (sum-running) of chapter 7; Higham (1993).
    """
    _require_terms(x)
    total = x.new_zeros(())
    for term in x:
        total = total + term
    return total


def pairwise_sum(x: Tensor, block: int = 1) -> Tensor:
    r"""Add neighbours, then neighbouring sums, until one sum is left.

    .. math::

        s = \sum_{n=1}^{N} x_n

    Every pass leaves half of the terms, rounded up, so a term goes through
    :math:`\lceil \log_2 N \rceil` additions instead of up to N − 1. The
    additions are as many as those of a running total, but for one of a 0 in
    each pass with a term left over; the passes are few, and so are the
    operations that are dispatched.

    Args:
        x: The terms, floating-point, shape ``(N,)``; N may be 0.
        block: How many neighbouring terms get one running total each before
            these totals are added in pairs; at least 1.

    Returns:
        Their sum in the dtype of ``x``, shape ``()``; 0 for no terms. It is off
        by at most ``sum_error_bound(N, x.dtype, "pairwise", block)`` times the
        sum of the terms' absolute values, unless it overflows.

    Raises:
        TypeError: ``x`` is not a tensor, or ``block`` not an integer.
        ValueError: ``x`` is not one-dimensional, or ``block`` less than 1.
        NotImplementedError: ``x`` is not floating-point.

    Source:
        Equation (sum-pairwise) of chapter 7; Higham (1993).
    """
    _require_terms(x)
    _require_at_least("block", block, 1)
    if len(x) == 0:
        return x.new_zeros(())
    blocks = _padded(x, min(block, len(x)))
    sums = blocks[:, 0]
    for column in blocks.unbind(1)[1:]:
        sums = sums + column
    while len(sums) > 1:
        pairs = _padded(sums, 2)
        sums = pairs[:, 0] + pairs[:, 1]
    return sums[0]


def compensated_sum(x: Tensor) -> Tensor:
    r"""Keep one running total, and beside it what its additions have lost.

    .. math::

        s = \sum_{n=1}^{N} x_n

    What an addition loses is itself a floating-point number. Subtracting the
    larger of its two terms from the rounded sum, and the rest from the smaller,
    gives that number exactly (Kahan's idea; which of the two is larger is
    Neumaier's).

    Args:
        x: The terms, floating-point, shape ``(N,)``; N may be 0.

    Returns:
        Their sum in the dtype of ``x``, shape ``()``; 0 for no terms. Where the
        running total overflows, or a term is infinite or nan, it is that total.

    Raises:
        TypeError: ``x`` is not a tensor.
        ValueError: ``x`` is not one-dimensional.
        NotImplementedError: ``x`` is not floating-point.

    Source:
        Equation (sum-lost) of chapter 7; Kahan (1965), Neumaier (1974).
    """
    _require_terms(x)
    total, lost = x.new_zeros(()), x.new_zeros(())
    for term in x:
        rounded = total + term
        lost = lost + torch.where(
            total.abs() >= term.abs(),
            (total - rounded) + term,
            (term - rounded) + total,
        )
        total = rounded
    return torch.where(lost.isfinite(), total + lost, total)


def unit_roundoff(dtype: torch.dtype) -> float:
    """Return u: rounding a number to ``dtype`` changes it by at most u times itself.

    That holds where the dtype neither overflows nor underflows. It is half the
    distance from 1 to the next number of the dtype.

    Args:
        dtype: A floating-point dtype.

    Returns:
        The unit roundoff, a power of two.

    Raises:
        TypeError: ``dtype`` is not a floating-point dtype.

    Source:
        Equation (sum-rounding) of chapter 7; Higham (2002), section 2.1.
    """
    if not isinstance(dtype, torch.dtype) or not dtype.is_floating_point:
        raise TypeError(
            f"dtype is {dtype!r}; it must be a floating-point torch.dtype"
        )
    return torch.finfo(dtype).eps / 2


def sum_error_bound(
    n: int, dtype: torch.dtype, method: str, block: int = 1
) -> float:
    r"""Bound the error of a sum of n terms, relative to the sum of their absolute values.

    .. math::

        \gamma_k = \frac{k u}{1 - k u} = \frac{1}{1 - k u} - 1

    Here u is the dtype's unit roundoff and k the number of additions that a
    term can go through: n − 1 in a running total, :math:`\lceil \log_2 n
    \rceil` in pairs.

    Args:
        n: How many terms, at least 0.
        dtype: The floating-point dtype that every addition is rounded to.
        method: ``"sequential"`` or ``"pairwise"``.
        block: As in ``pairwise_sum``; only for ``"pairwise"``.

    Returns:
        The bound, which is infinite where k u is 1 or more: then there is none.

    Raises:
        TypeError: ``n`` or ``block`` is not an integer, or ``dtype`` not a
            floating-point dtype.
        ValueError: ``n`` is negative, ``block`` less than 1, or ``method``
            unknown.

    Source:
        Equations (sum-gamma), (sum-sequential-bound) and (sum-pairwise-bound)
        of chapter 7; Higham (1993).
    """
    _require_at_least("n", n, 0)
    _require_at_least("block", block, 1)
    u = unit_roundoff(dtype)
    if method not in METHODS:
        raise ValueError(
            f"method is {method!r}; it must be one of {', '.join(map(repr, METHODS))}"
        )
    k = max(n - 1, 0) if method == "sequential" else _depth(n, block)
    return k * u / (1 - k * u) if k * u < 1 else math.inf


def _depth(n: int, block: int) -> int:
    """Return how many additions a term goes through at most: those in its block, and those of the blocks' sums."""
    if n < 2:
        return 0
    block = min(block, n)
    blocks = -(-n // block)
    return block - 1 + (blocks - 1).bit_length()


def _padded(x: Tensor, size: int) -> Tensor:
    """Return the terms in rows of ``size``, the last row filled up with zeros, which add no error."""
    missing = -len(x) % size
    if missing:
        x = torch.cat([x, x.new_zeros(missing)])
    return x.reshape(-1, size)


def _require_terms(x: Tensor) -> None:
    """Refuse terms that are no tensor of floating-point numbers of shape ``(N,)``."""
    require_tensors(x=x)
    if x.ndim != 1:
        raise ValueError(
            f"x has shape {tuple(x.shape)}; it must be one-dimensional"
        )
    require_floating(x=x)


def _require_at_least(name: str, value: int, least: int) -> None:
    """Raise ``TypeError`` unless the value is an integer, and ``ValueError`` unless it is large enough."""
    if not isinstance(value, int) or isinstance(value, bool):
        raise TypeError(
            f"{name} is a {type(value).__name__}; it must be an int"
        )
    if value < least:
        raise ValueError(f"{name} is {value}; it must be at least {least}")
