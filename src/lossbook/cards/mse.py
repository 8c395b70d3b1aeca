"""Chapter 2: the losses of an error, and of an error with a variance."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product

import torch.nn.functional as F
from torch import Tensor, exp, log, sqrt, where

from lossbook import losses
from lossbook.cards import lazy_mpmath as mpmath
from lossbook.cards.card import (
    REDUCTIONS,
    Card,
    Case,
    Draw,
    Hard,
    Inputs,
    Limit,
    Number,
    Numbers,
    Trial,
)

# On paper


def mse_loss(y_hat: Tensor, y: Tensor) -> Tensor:
    return (y_hat - y) ** 2


def l1_loss(y_hat: Tensor, y: Tensor) -> Tensor:
    return abs(y_hat - y)


def smooth_l1_loss(y_hat: Tensor, y: Tensor, beta: float = 1.0) -> Tensor:
    r = y_hat - y
    return where(abs(r) < beta, r**2 / (2 * beta), abs(r) - beta / 2)


def huber_loss(y_hat: Tensor, y: Tensor, delta: float = 1.0) -> Tensor:
    r = y_hat - y
    return where(abs(r) <= delta, r**2 / 2, delta * (abs(r) - delta / 2))


def gaussian_nll_loss(
    mu: Tensor, y: Tensor, var: Tensor, eps: float = 1e-6
) -> Tensor:
    v = var.clamp(min=eps)
    density = exp(-((mu - y) ** 2) / (2 * v)) / sqrt(v)
    return -log(density)


# What is tried


def _pairs(draw: Draw) -> Inputs:
    return draw.normal(), draw.normal()


def _with_variances(draw: Draw) -> Inputs:
    return *_pairs(draw), draw.uniform() + 0.5


def _spread(draw: Draw) -> Inputs:
    """Return predictions and observations on both sides of every bend."""
    return draw.normal() * 2, draw.normal() * 3


def _weighted(draw: Draw) -> Iterator[Trial]:
    y_hat, y = _spread(draw)
    w = draw.uniform()
    for reduction, weight in product(REDUCTIONS, (None, w)):
        yield Trial(
            (y_hat, y), {"reduction": reduction, "weight": weight}, by=2
        )
    yield Trial((y_hat, y), compiled=True)


def _squared(draw: Draw) -> Iterator[Trial]:
    yield from _weighted(draw)
    y_hat, y = _spread(draw)
    for reduction in ("none", "sum"):
        yield Trial((y_hat, y), {"reduction": reduction}, compiled=True)
    yield Trial((y_hat, y), {"weight": draw.uniform()}, compiled=True)
    yield Trial((y_hat.half(), y), compiled=True)


def _smooth(draw: Draw) -> Iterator[Trial]:
    y_hat, y = _spread(draw)
    for reduction, beta in product(REDUCTIONS, (0.0, 0.7)):
        yield Trial((y_hat, y), {"reduction": reduction, "beta": beta}, by=2)
    yield Trial((y_hat, y), {"beta": 0.3}, compiled=True)


def _huber(draw: Draw) -> Iterator[Trial]:
    y_hat, y = _spread(draw)
    for reduction, weight in product(REDUCTIONS, (None, draw.uniform())):
        yield Trial(
            (y_hat, y),
            {"reduction": reduction, "weight": weight, "delta": 0.7},
            by=2,
        )
    yield Trial((y_hat, y), {"delta": 0.3}, compiled=True)
    yield Trial((y_hat.half(), y.half()), compiled=True)
    yield Trial((y_hat.bfloat16(), y.bfloat16()), by=2)


def _gaussian(draw: Draw) -> Iterator[Trial]:
    mu, y = _spread(draw)
    v = draw.uniform()
    for reduction, full in product(REDUCTIONS, (False, True)):
        options = {"reduction": reduction, "full": full}
        # Of the input's shape, without its last dimension, and with one dimension of size 1.
        for var in (v, v[..., 0], v[..., :1], v[:1]) if v.ndim > 1 else ():
            yield Trial((mu, y, var), {**options, "eps": 0.1}, by=3)
        yield Trial((mu, y), {**options, "var": 0.3})
        yield Trial(
            (mu[None], y[None], v[None, ..., 0] if v.ndim > 1 else v[None]),
            options,
            by=3,
        )
    yield Trial((mu, y, v + 0.1), compiled=True)


# The exact values


def _exact_square(
    x: Numbers, y: Numbers, option: Number
) -> tuple[Number, list[Number]]:
    r"""Return :math:`r^2` and :math:`2 r`, with :math:`r = \hat{y} - y`: equation (mse)."""
    r = x[0] - y[0]
    return r**2, [2 * r]


def _exact_distance(
    x: Numbers, y: Numbers, option: Number
) -> tuple[Number, list[Number]]:
    r"""Return :math:`|r|` and its sign: equation (l1)."""
    r = x[0] - y[0]
    return abs(r), [mpmath.sign(r)]


def _exact_smooth(
    x: Numbers, y: Numbers, option: Number
) -> tuple[Number, list[Number]]:
    r"""Return :math:`S_\beta(r)` and its slope: equation (smooth-l1)."""
    r, beta = x[0] - y[0], option
    if abs(r) < beta:
        return r**2 / (2 * beta), [r / beta]
    return abs(r) - beta / 2, [mpmath.sign(r)]


def _exact_huber(
    x: Numbers, y: Numbers, option: Number
) -> tuple[Number, list[Number]]:
    r"""Return :math:`H_\delta(r)` and its slope: equation (huber)."""
    r, delta = x[0] - y[0], option
    if abs(r) <= delta:
        return r**2 / 2, [r]
    return delta * (abs(r) - delta / 2), [delta * mpmath.sign(r)]


def _exact_gaussian(
    x: Numbers, y: Numbers, option: Number
) -> tuple[Number, list[Number]]:
    r"""Return equation (gaussian-nll) and its slope by the mean; the target is the observation and the variance."""
    r, v = x[0] - y[0], max(y[1], option)
    return (mpmath.log(v) + r**2 / v) / 2, [r / v]


# Symbols

_PAIR = r"""
\hat{y}, y: {is: prediction and observation, in: real}
w: {is: weight, in: positive}
"""

CARDS = (
    Card(
        name="mse_loss",
        loss=losses.mse_loss,
        definition=mse_loss,
        twin=F.mse_loss,
        kind="elements",
        inputs=_pairs,
        trials=_squared,
        hard=(
            Hard(
                paper="ŷ² − 2ŷy + y²",
                exact=_exact_square,
                on_paper=lambda y_hat, y, option: (
                    y_hat**2 - 2 * y_hat * y + y**2
                ),
                cases=(
                    Case("ŷ = 1, y = 0", (1.0,), (0.0,)),
                    Case("ŷ = 1001, y = 1000", (1001.0,), (1000.0,)),
                    Case("ŷ = 60000.1, y = 60000", (60000.1,), (60000.0,)),
                    Case("ŷ = 300, y = 0", (300.0,), (0.0,)),
                    Case("ŷ = 1e−4, y = 0", (1e-4,), (0.0,)),
                ),
            ),
        ),
        symbols=r"""
\ell:
  is: the loss
  code: mse_loss(\hat{y}, y, weight=w, reduction='none')
"""
        + _PAIR,
    ),
    Card(
        name="l1_loss",
        loss=losses.l1_loss,
        definition=l1_loss,
        twin=F.l1_loss,
        kind="elements",
        inputs=_pairs,
        trials=_weighted,
        hard=(
            Hard(
                paper="|ŷ − y|",
                exact=_exact_distance,
                cases=(
                    Case("ŷ = 1001, y = 1000", (1001.0,), (1000.0,)),
                    Case("ŷ = 60000, y = −60000", (60000.0,), (-60000.0,)),
                    Case("ŷ = 1e−7, y = 0", (1e-7,), (0.0,)),
                ),
            ),
        ),
        symbols=r"""
\ell:
  is: the loss
  code: l1_loss(\hat{y}, y, weight=w, reduction='none')
"""
        + _PAIR,
    ),
    Card(
        name="smooth_l1_loss",
        loss=losses.smooth_l1_loss,
        definition=smooth_l1_loss,
        twin=F.smooth_l1_loss,
        kind="elements",
        inputs=_pairs,
        trials=_smooth,
        hard=(
            Hard(
                paper="r²/2β, |r| − β/2",
                exact=_exact_smooth,
                call=lambda loss, y_hat, y, option: loss(y_hat, y, beta=option),
                cases=(
                    Case("r = 300, β = 1", (300.0,), (0.0,), 1.0),
                    Case("r = 300, β = 1000", (300.0,), (0.0,), 1000.0),
                    Case(
                        "r = 1e−4, β = 1e−3",
                        (1e-4,),
                        (0.0,),
                        1e-3,
                        twin_differs=True,
                    ),
                    Case(
                        "r = 1e30, β = 1e35",
                        (1e30,),
                        (0.0,),
                        1e35,
                        twin_differs=True,
                    ),
                ),
            ),
        ),
        symbols=r"""
\ell:
  is: the loss
  code: smooth_l1_loss(\hat{y}, y, 'none', beta=\beta)
\beta: {is: where the parabola ends, in: positive}
"""
        + _PAIR,
    ),
    Card(
        name="huber_loss",
        loss=losses.huber_loss,
        definition=huber_loss,
        twin=F.huber_loss,
        kind="elements",
        inputs=_pairs,
        trials=_huber,
        hard=(
            Hard(
                paper="r²/2, δ(|r| − δ/2)",
                exact=_exact_huber,
                call=lambda loss, y_hat, y, option: loss(
                    y_hat, y, delta=option
                ),
                cases=(
                    Case("r = 300, δ = 1", (300.0,), (0.0,), 1.0),
                    Case("r = 300, δ = 1000", (300.0,), (0.0,), 1000.0),
                    Case("r = 4e−4, δ = 1", (4e-4,), (0.0,), 1.0),
                ),
            ),
        ),
        symbols=r"""
\ell:
  is: the loss
  code: huber_loss(\hat{y}, y, 'none', delta=\delta, weight=w)
\delta: {is: where the gradient is clipped, in: positive}
"""
        + _PAIR,
        limit=Limit(
            7,
            "the backward pass of clamp compares with each bound in a pass of its own",
        ),
    ),
    Card(
        name="gaussian_nll_loss",
        loss=losses.gaussian_nll_loss,
        definition=gaussian_nll_loss,
        twin=F.gaussian_nll_loss,
        kind="elements",
        inputs=_with_variances,
        trials=_gaussian,
        hard=(
            Hard(
                paper="−log(exp(−r²/2v) / √v)",
                exact=_exact_gaussian,
                call=lambda loss, mu, y, option: loss(
                    mu, y[:1], y[1:], eps=option
                ),
                cases=(
                    Case("r = 1, v = 1", (1.0,), (0.0, 1.0), 1e-6),
                    Case("r = 10, v = 1", (10.0,), (0.0, 1.0), 1e-6),
                    Case("r = 100, v = 1", (100.0,), (0.0, 1.0), 1e-6),
                    Case(
                        "r = 300, v = 1000",
                        (300.0,),
                        (0.0, 1000.0),
                        1e-6,
                        misses="∙∙ ∙∙ ∞∙ ∙∙",
                        why="r² leaves the range of float16 before v divides it",
                    ),
                    Case("r = 0.5, v = 0", (0.5,), (0.0, 0.0), 1e-6),
                    Case(
                        "r = 0.01, v = 0",
                        (0.01,),
                        (0.0, 0.0),
                        1e-6,
                        misses="∙∙ ∙∙ ≈∞ ∙∙",
                        why="the floor ε = 1e−6 is rounded by more than 1 % in float16, and 1/2ε is infinite there",
                    ),
                ),
            ),
        ),
        symbols=r"""
\ell:
  is: the loss
  code: gaussian_nll_loss(\mu, y, \mathrm{var}, full=a, eps=\varepsilon, reduction='none')
\mu, y: {is: predicted mean and observation, in: real}
\mathrm{var}, \varepsilon: {is: predicted variance and its least value, in: positive}
a:
  is: whether the constant is added
  in: \{0, 1\}
""",
    ),
)
