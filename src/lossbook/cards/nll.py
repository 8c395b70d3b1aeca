"""Chapter 5: negative log-likelihoods, of classes from log-probabilities and of counts."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import product

import torch
import torch.nn.functional as F
from torch import Tensor, exp, log, log_softmax

from lossbook import losses
from lossbook.cards import lazy_mpmath as mpmath
from lossbook.cards import multiclass
from lossbook.cards.card import (
    REDUCTIONS,
    ZERO_TIMES_INFINITY,
    Card,
    Case,
    Draw,
    Hard,
    Inputs,
    Number,
    Numbers,
    Trial,
)
from lossbook.losses.multiclass import log_softmax as our_log_softmax

INF = math.inf

# On paper


def nll_loss(log_p: Tensor, y: Tensor) -> Tensor:
    return -log_p[torch.arange(len(y)), y]


def poisson_nll_loss(z: Tensor, y: Tensor) -> Tensor:
    rate = exp(z)
    return -log(rate**y * exp(-rate))


# What is tried


def _classes(draw: Draw) -> Inputs:
    z, y = multiclass.indices(draw)
    return log_softmax(z, 1), y


def _of_classes(draw: Draw) -> Iterator[Trial]:
    w = draw.uniform(draw.size[1])
    for (z, y), reduction, weight in product(
        multiclass.shapes(draw), REDUCTIONS, (None, w)
    ):
        log_p = log_softmax(z, 1 if z.ndim > 1 else 0)
        for ignored in (-100, 1):
            yield Trial(
                (log_p, y),
                {
                    "reduction": reduction,
                    "weight": weight,
                    "ignore_index": ignored,
                },
            )
    log_p, y = log_softmax(draw.normal(), 1), multiclass.some_ignored(draw)
    yield Trial((log_p, y), compiled=True)
    yield Trial((log_p, y), {"weight": w}, compiled=True)


def _counts(draw: Draw) -> Inputs:
    return draw.normal() / 2, draw.integers(5).to(draw.dtype)


def _of_counts(draw: Draw) -> Iterator[Trial]:
    z, rate = draw.normal() * 3, draw.uniform()
    y = torch.tensor([0.0, 1, 2, 3, 5, 8], dtype=draw.dtype)[draw.integers(6)]
    for reduction, full in product(REDUCTIONS, (False, True)):
        options = {"reduction": reduction, "full": full}
        yield Trial((z, y), options)
        yield Trial((rate, y), {**options, "log_input": False, "eps": 0.1})
        yield Trial((rate, y + 0.5), options, by=2)
    yield Trial((z, y), {"full": True}, compiled=True)


# The exact values


def _exact_log_rate(
    x: Numbers, y: Numbers, option: Number
) -> tuple[Number, list[Number]]:
    r"""Return :math:`e^z - y z` and its slope by the log-rate: equation (poisson-nll)."""
    z, count = x[0], y[0]
    return mpmath.exp(z) - (count * z if count else 0), [mpmath.exp(z) - count]


def _exact_rate(
    x: Numbers, y: Numbers, option: Number
) -> tuple[Number, list[Number]]:
    r"""Return :math:`\lambda - y \log (\lambda + \varepsilon)` and its slope by the rate."""
    rate, count = x[0], y[0]
    return rate - count * mpmath.log(rate + option), [
        1 - count / (rate + option)
    ]


_NO_GUARD = "ε = 1e−8 is 0 in float16"

CARDS = (
    Card(
        name="nll_loss",
        loss=losses.nll_loss,
        definition=nll_loss,
        twin=F.nll_loss,
        kind="classes",
        inputs=_classes,
        trials=_of_classes,
        hard=(
            # The loss itself takes no logarithm. What is hard is the one before it.
            Hard(
                name="log_softmax, nll_loss",
                paper="−log softmax(z)_y",
                on_paper=lambda z, y, option: nll_loss(
                    log(torch.softmax(z[None], 1)), y.long()
                ),
                ours=lambda z, y, option: losses.nll_loss(
                    our_log_softmax(z[None], 1), y.long()
                ),
                pytorch=lambda z, y, option: F.nll_loss(
                    log_softmax(z[None], 1), y.long()
                ),
                exact=multiclass.exact,
                cases=(
                    Case("z = (0, 0), y = 0", (0.0, 0.0), (0.0,)),
                    Case("z = (0, 20), y = 0", (0.0, 20.0), (0.0,)),
                    Case(
                        "z = (0, 20), y = 1",
                        (0.0, 20.0),
                        (1.0,),
                        misses="≈≠ 00 ∙∙ 00",
                        why=multiclass.SURE,
                    ),
                    Case("z = (0, 200), y = 0", (0.0, 200.0), (0.0,)),
                    Case(
                        "z = (0, 200), y = 1",
                        (0.0, 200.0),
                        (1.0,),
                        misses="00 ∙∙ ∙∙ ∙∙",
                        why="1 + exp(−200) is 1, in float64 too",
                    ),
                    Case("z = (0, 1000), y = 0", (0.0, 1000.0), (0.0,)),
                    Case("z = (−∞, 0), y = 1", (-INF, 0.0), (1.0,)),
                ),
            ),
        ),
        symbols=r"""
n: {is: number of a sample, runs: N}
N: {is: number of samples, size: 3}
k: {is: number of a class, runs: K}
K: {is: number of classes, size: 4}
p_{nk}: {is: probabilities, in: probabilities}
y_n:
  is: class
  in: \{1, \dots, K\}
w_k: {is: weights, in: positive}
\ell_n:
  is: the losses
  code: nll_loss(\log p_{nk}, y_n, w_k, reduction='none')
\ell_{\text{mean}}:
  is: their mean
  code: nll_loss(\log p_{nk}, y_n, w_k)
""",
        picks=True,
    ),
    Card(
        name="poisson_nll_loss",
        loss=losses.poisson_nll_loss,
        definition=poisson_nll_loss,
        twin=F.poisson_nll_loss,
        kind="elements",
        inputs=_counts,
        trials=_of_counts,
        hard=(
            Hard(
                paper="−log(λʸ exp(−λ)), λ = exp(z)",
                exact=_exact_log_rate,
                cases=(
                    Case("z = 0, y = 3", (0.0,), (3.0,)),
                    Case("z = −20, y = 3", (-20.0,), (3.0,)),
                    Case("z = 5, y = 3", (5.0,), (3.0,)),
                    Case("z = 12, y = 3", (12.0,), (3.0,)),
                    Case("z = 200, y = 3", (200.0,), (3.0,)),
                    Case("z = 1000, y = 3", (1000.0,), (3.0,)),
                    Case("z = −1000, y = 0", (-1000.0,), (0.0,)),
                    Case(
                        "z = −∞, y = 0",
                        (-INF,),
                        (0.0,),
                        misses="×∙ ×∙ ×∙ ×∙",
                        why=ZERO_TIMES_INFINITY,
                    ),
                    Case("z = 6, y = 1000", (6.0,), (1000.0,)),
                ),
            ),
            Hard(
                name="poisson_nll_loss, log_input=False",
                paper="−log((λ + ε)ʸ exp(−λ))",
                call=lambda loss, rate, y, option: loss(
                    rate, y, log_input=False, eps=option
                ),
                on_paper=lambda rate, y, option: (
                    -log((rate + option) ** y * exp(-rate))
                ),
                exact=_exact_rate,
                cases=(
                    Case("λ = 1, y = 3", (1.0,), (3.0,), 1e-8),
                    Case("λ = 200, y = 100", (200.0,), (100.0,), 1e-8),
                    Case("λ = 2000, y = 0", (2000.0,), (0.0,), 1e-8),
                    Case(
                        "λ = 1e−30, y = 3",
                        (1e-30,),
                        (3.0,),
                        1e-8,
                        misses="∙∙ ∙∙ ∞∙ ∙∙",
                        why=_NO_GUARD,
                    ),
                    Case(
                        "λ = 0, y = 1",
                        (0.0,),
                        (1.0,),
                        1e-8,
                        misses="∙∙ ∙∙ ∞∙ ∙∙",
                        why=_NO_GUARD,
                    ),
                    Case(
                        "λ = 0, y = 0",
                        (0.0,),
                        (0.0,),
                        1e-8,
                        misses="∙∙ ∙∙ ×× ∙∙",
                        why=f"{_NO_GUARD}: 0 · ∞",
                    ),
                ),
            ),
        ),
        symbols=r"""
z: {is: log-rate, in: real}
\lambda, \varepsilon: {is: rate and what keeps its logarithm finite, in: positive}
y:
  is: count
  in: \{2, 3, \dots\}
\ell(z):
  is: the loss of a log-rate
  code: poisson_nll_loss(z, y, reduction='none')
\ell(\lambda):
  is: the loss of a rate
  code: poisson_nll_loss(\lambda, y, False, eps=\varepsilon, reduction='none')
\ell_{\text{full}}:
  is: with the term of Stirling
  code: poisson_nll_loss(z, y, full=True, reduction='none')
""",
    ),
)
