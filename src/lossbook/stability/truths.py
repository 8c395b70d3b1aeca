r"""The truth: every loss and its gradient, in closed form and to 120 digits.

A truth takes the input and the target as they are after rounding to a dtype, exactly, and returns the loss and its
derivative by each entry of the input. A term of weight 0 is not there, so :math:`0 \cdot \infty` never arises; an
infinite input has the limit of the loss.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import mpmath

Number: TypeAlias = Any  # an mpmath.mpf: mpmath has no types
Numbers = Sequence[Number]
Truth = Callable[[Numbers, Numbers, Number], tuple[Number, list[Number]]]

DIGITS = 120


def _exact(truth: Truth) -> Truth:
    """Compute a truth to ``DIGITS`` digits, whatever the precision outside."""

    @functools.wraps(truth)
    def computed(x: Numbers, y: Numbers, option: Number) -> tuple[Number, list[Number]]:
        with mpmath.workdps(DIGITS):
            value, gradient = truth(x, y, option)
            return +value, [+entry for entry in gradient]

    return computed


@_exact
def squared(x: Numbers, y: Numbers, option: Number) -> tuple[Number, list[Number]]:
    r"""Return :math:`r^2` and :math:`2 r`, with :math:`r = \hat{y} - y`: equation (mse)."""
    r = x[0] - y[0]
    return r**2, [2 * r]


@_exact
def absolute(x: Numbers, y: Numbers, option: Number) -> tuple[Number, list[Number]]:
    r"""Return :math:`|r|` and its sign: equation (l1)."""
    r = x[0] - y[0]
    return abs(r), [mpmath.sign(r)]


@_exact
def smooth(x: Numbers, y: Numbers, option: Number) -> tuple[Number, list[Number]]:
    r"""Return :math:`S_\beta(r)` and its slope: equation (smooth-l1)."""
    r, beta = x[0] - y[0], option
    if abs(r) < beta:
        return r**2 / (2 * beta), [r / beta]
    return abs(r) - beta / 2, [mpmath.sign(r)]


@_exact
def huber(x: Numbers, y: Numbers, option: Number) -> tuple[Number, list[Number]]:
    r"""Return :math:`H_\delta(r)` and its slope: equation (huber)."""
    r, delta = x[0] - y[0], option
    if abs(r) <= delta:
        return r**2 / 2, [r]
    return delta * (abs(r) - delta / 2), [delta * mpmath.sign(r)]


@_exact
def gaussian(x: Numbers, y: Numbers, option: Number) -> tuple[Number, list[Number]]:
    r"""Return equation (gaussian-nll) and its slope by the mean; the target is the observation and the variance."""
    r, v = x[0] - y[0], max(y[1], option)
    return (mpmath.log(v) + r**2 / v) / 2, [r / v]


@_exact
def bernoulli(x: Numbers, y: Numbers, option: Number) -> tuple[Number, list[Number]]:
    r"""Return :math:`-y \log p - (1 - y) \log(1 - p)` and its slope by the probability: equation (bce)."""
    p, label = x[0], y[0]
    value, slope = mpmath.mpf(0), mpmath.mpf(0)
    if label != 0:
        value -= label * mpmath.log(p) if p else -mpmath.inf
        slope -= label / p if p else mpmath.inf
    if label != 1:
        value -= (1 - label) * mpmath.log1p(-p) if p != 1 else -mpmath.inf
        slope += (1 - label) / (1 - p) if p != 1 else mpmath.inf
    return value, [slope]


@_exact
def logistic(x: Numbers, y: Numbers, option: Number) -> tuple[Number, list[Number]]:
    r"""Return :math:`\log(1 + e^z) - y z` and its slope by the logit: equation (bce-logit)."""
    z, label = x[0], y[0]
    value, slope = mpmath.mpf(0), mpmath.mpf(0)
    if label != 0:
        value += label * _softplus(-z)
        slope -= label / (1 + mpmath.exp(z))
    if label != 1:
        value += (1 - label) * _softplus(z)
        slope += (1 - label) / (1 + mpmath.exp(-z))
    return value, [slope]


@_exact
def categorical(x: Numbers, y: Numbers, option: Number) -> tuple[Number, list[Number]]:
    r"""Return :math:`-\log p_y` and its slopes by the logits: equation (cross-entropy); the target is the class."""
    q = [mpmath.mpf(k == int(y[0])) for k in range(len(x))]
    return _cross_entropy(x, q)


@_exact
def mixed(x: Numbers, y: Numbers, option: Number) -> tuple[Number, list[Number]]:
    r"""Return :math:`-\sum_k q_k \log p_k` and its slopes by the logits; the target is q."""
    return _cross_entropy(x, y)


@_exact
def smoothed(x: Numbers, y: Numbers, option: Number) -> tuple[Number, list[Number]]:
    r"""Return the cross-entropy of a label of which the share :math:`\varepsilon` is given to all classes alike."""
    share = option / len(x)
    q = [(1 - option) * (k == int(y[0])) + share for k in range(len(x))]
    return _cross_entropy(x, q)


@_exact
def poisson(x: Numbers, y: Numbers, option: Number) -> tuple[Number, list[Number]]:
    r"""Return :math:`e^z - y z` and its slope by the log-rate: equation (poisson-nll)."""
    z, count = x[0], y[0]
    return mpmath.exp(z) - (count * z if count else 0), [mpmath.exp(z) - count]


@_exact
def poisson_rate(x: Numbers, y: Numbers, option: Number) -> tuple[Number, list[Number]]:
    r"""Return :math:`\lambda - y \log (\lambda + \varepsilon)` and its slope by the rate."""
    rate, count = x[0], y[0]
    return rate - count * mpmath.log(rate + option), [1 - count / (rate + option)]


@_exact
def divergence(x: Numbers, y: Numbers, option: Number) -> tuple[Number, list[Number]]:
    r"""Return :math:`\sum_k q_k (\log q_k - \log p_k)` and its slopes by the log-probabilities: equation (kl)."""
    terms = [q * (mpmath.log(q) - log_p) for log_p, q in zip(x, y, strict=True) if q]
    return mpmath.fsum(terms), [-q for q in y]


@_exact
def divergence_of_logs(x: Numbers, y: Numbers, option: Number) -> tuple[Number, list[Number]]:
    r"""Return the same where the target is :math:`\log q`."""
    terms = [mpmath.exp(b) * (b - a) for a, b in zip(x, y, strict=True) if mpmath.isfinite(b)]
    return mpmath.fsum(terms), [-mpmath.exp(b) for b in y]


@_exact
def likelihood(x: Numbers, y: Numbers, option: Number) -> tuple[Number, list[Number]]:
    r"""Return :math:`-\sum_n \log p_n` and its slopes by the probabilities: equation (recipe)."""
    return -mpmath.fsum(mpmath.log(p) for p in x), [-1 / p for p in x]


def _softplus(z: Number) -> Number:
    r"""Return :math:`\log(1 + e^z)`, in the form whose exponent is never positive: equation (softplus-stable)."""
    return max(z, mpmath.mpf(0)) + mpmath.log1p(mpmath.exp(-abs(z)))


def _cross_entropy(z: Numbers, q: Numbers) -> tuple[Number, list[Number]]:
    r"""Return :math:`-\sum_k q_k \log p_k` and its slopes, :math:`p_k \sum_{j \ne k} q_j - q_k \sum_{j \ne k} p_j`.

    That is :math:`p_k \sum_j q_j - q_k`, in the order in which nothing cancels.
    """
    m = max(z)
    top = list(z).index(m)
    if mpmath.isinf(m) and m > 0:
        log_p = [mpmath.mpf(0) if k == top else -mpmath.inf for k in range(len(z))]
    else:
        rest = mpmath.log1p(mpmath.fsum(mpmath.exp(v - m) for k, v in enumerate(z) if k != top))
        log_p = [(v - m if k != top else 0) - rest for k, v in enumerate(z)]
    p = [mpmath.exp(v) for v in log_p]
    value = -mpmath.fsum(share * v for share, v in zip(q, log_p, strict=True) if share)
    slopes = [
        p[k] * mpmath.fsum(q[j] for j in range(len(z)) if j != k)
        - q[k] * mpmath.fsum(p[j] for j in range(len(z)) if j != k)
        for k in range(len(z))
    ]
    return value, slopes
