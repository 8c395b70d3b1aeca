"""Chapter 6: the divergence of a model from a whole target distribution."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import product

import torch.nn.functional as F
from torch import Tensor, exp, log, log_softmax, softmax

from lossbook import losses
from lossbook.cards import lazy_mpmath as mpmath
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

INF = math.inf

# On paper


def kl_div(log_p: Tensor, q: Tensor) -> Tensor:
    return q * (log(q) - log_p)


def kl_div_of_logs(log_p: Tensor, log_q: Tensor) -> Tensor:
    p, q = exp(log_p), exp(log_q)
    return q * log(q / p)


# What is tried


def _distributions(draw: Draw) -> Inputs:
    return log_softmax(draw.normal(), 1), softmax(draw.normal(), 1)


def _trials(draw: Draw) -> Iterator[Trial]:
    log_p, q = draw.normal() * 3, draw.uniform()
    for reduction, log_target in product(REDUCTIONS, (False, True)):
        yield Trial(
            (log_p, q), {"reduction": reduction, "log_target": log_target}, by=2
        )
    yield Trial((log_p, q), {"reduction": "batchmean"}, by=2)
    yield Trial((log_p[0, 0], q[0, 0]), {"reduction": "batchmean"}, by=2)
    yield Trial(_distributions(draw), {"reduction": "batchmean"}, compiled=True)


# The exact values


def _exact(
    x: Numbers, y: Numbers, option: Number
) -> tuple[Number, list[Number]]:
    r"""Return :math:`\sum_k q_k (\log q_k - \log p_k)` and its slopes by the log-probabilities: equation (kl)."""
    terms = [
        q * (mpmath.log(q) - log_p) for log_p, q in zip(x, y, strict=True) if q
    ]
    return mpmath.fsum(terms), [-q for q in y]


def _exact_of_logs(
    x: Numbers, y: Numbers, option: Number
) -> tuple[Number, list[Number]]:
    r"""Return the same where the target is :math:`\log q`."""
    terms = [
        mpmath.exp(b) * (b - a)
        for a, b in zip(x, y, strict=True)
        if mpmath.isfinite(b)
    ]
    return mpmath.fsum(terms), [-mpmath.exp(b) for b in y]


_CANCEL = "terms of both signs cancel"
_LOG_P = (math.log(0.301), math.log(0.699))

CARDS = (
    Card(
        name="kl_div",
        loss=losses.kl_div,
        definition=kl_div,
        twin=F.kl_div,
        kind="classes",
        inputs=_distributions,
        trials=_trials,
        hard=(
            Hard(
                paper="Σ q (log q − log p)",
                exact=_exact,
                cases=(
                    Case("q = ½, log p = −1", (-1.0,), (0.5,)),
                    Case("q = 0, log p = −1", (-1.0,), (0.0,)),
                    Case("q = 0, log p = −1e4", (-1e4,), (0.0,)),
                    Case(
                        "q = 0, log p = −∞",
                        (-INF,),
                        (0.0,),
                        misses="×∙ ×∙ ×∙ ×∙",
                        why=ZERO_TIMES_INFINITY,
                    ),
                    Case("q = ½, log p = −1000", (-1000.0,), (0.5,)),
                    Case("q = ½, log p = −∞", (-INF,), (0.5,)),
                    Case("q = 1e−30, log p = −1", (-1.0,), (1e-30,)),
                    Case(
                        "q = (0.3, 0.7), p 1e−3 off",
                        _LOG_P,
                        (0.3, 0.7),
                        misses="≈∙ ≈∙ ≈∙ 0∙",
                        why=_CANCEL,
                    ),
                ),
            ),
            Hard(
                name="kl_div, log_target=True",
                paper="Σ q log(q/p), q = exp(log q), p = exp(log p)",
                call=lambda loss, log_p, log_q, option: loss(
                    log_p, log_q, log_target=True
                ),
                on_paper=lambda log_p, log_q, option: kl_div_of_logs(
                    log_p, log_q
                ),
                exact=_exact_of_logs,
                cases=(
                    Case("log q = −1, log p = −1000", (-1000.0,), (-1.0,)),
                    Case("log q = −1000, log p = −1", (-1.0,), (-1000.0,)),
                    Case(
                        "log q = −∞, log p = −1",
                        (-1.0,),
                        (-INF,),
                        misses="×∙ ×∙ ×∙ ×∙",
                        why=ZERO_TIMES_INFINITY,
                    ),
                    Case(
                        "q = (0.3, 0.7), p 1e−3 off",
                        _LOG_P,
                        (math.log(0.3), math.log(0.7)),
                        misses="≈∙ ≈∙ ∙∙ ∙∙",
                        why=_CANCEL,
                    ),
                ),
            ),
        ),
        symbols=r"""
k: {is: number of a class, runs: K}
K: {is: number of classes, size: 4}
p_k, q_k: {is: probabilities, in: probabilities}
\ell_k:
  is: the terms
  code: kl_div(\log p_k, q_k, 'none')
D_{\mathrm{KL}}(q \,\|\, p):
  is: the divergence
  code: kl_div(\log p_k, q_k, 'sum')
""",
        options={"reduction": "batchmean"},
    ),
)
