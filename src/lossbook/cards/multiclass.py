"""Chapter 4: the loss of one class among K, from logits."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import product

import torch
import torch.nn.functional as F
from torch import Tensor, exp, log

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


def cross_entropy(z: Tensor, y: Tensor) -> Tensor:
    p = exp(z) / exp(z).sum(1, keepdim=True)
    return -log(p[torch.arange(len(y)), y])


def cross_entropy_of_distributions(z: Tensor, q: Tensor) -> Tensor:
    p = exp(z) / exp(z).sum(1, keepdim=True)
    return -(q * log(p)).sum(1)


# What is tried


def indices(draw: Draw) -> Inputs:
    """Return logits and a class index for each row."""
    return draw.normal(), draw.classes()


def shapes(draw: Draw) -> Iterator[Inputs]:
    """Return logits and class indices in every shape that they may have: the classes are dimension 1, or the only."""
    N, K = draw.size
    z, y = draw.normal() * 3, draw.classes()
    yield z, y
    yield z.reshape(1, K, N), y.reshape(1, N)
    yield z.reshape(2, K, N // 2, 1), y.reshape(2, N // 2, 1)
    yield z[0], y[0]


def some_ignored(draw: Draw) -> Tensor:
    """Return class indices of which some are -100."""
    y = draw.classes()
    return y.masked_fill(torch.arange(len(y)) % 3 == 0, -100)


def trials(draw: Draw) -> Iterator[Trial]:
    """Yield the trials of a cross-entropy of logits."""
    w = draw.uniform(draw.size[1])
    for (z, y), reduction, weight in product(
        shapes(draw), REDUCTIONS, (None, w)
    ):
        options = {"reduction": reduction, "weight": weight}
        for smoothing in (0.0, 0.2):
            for ignored in (-100, 1):
                yield Trial(
                    (z, y),
                    {
                        **options,
                        "label_smoothing": smoothing,
                        "ignore_index": ignored,
                    },
                )
            yield Trial(
                (z, z.sigmoid()),
                {**options, "label_smoothing": smoothing},
                by=2,
            )
    z, y = draw.normal(), some_ignored(draw)
    yield Trial((z, y), compiled=True)
    yield Trial(
        (z, y),
        {"weight": w, "label_smoothing": 0.1, "reduction": "sum"},
        compiled=True,
    )
    yield Trial((z, draw.normal().softmax(1)), compiled=True)
    yield Trial((z.bfloat16(), draw.classes()))
    z = torch.tensor(
        [[0.0, 1000, -1000], [1000, 1000, -1000]], dtype=draw.dtype
    )
    yield Trial((z, torch.tensor([0, 2])), {"reduction": "none"})


# The exact values


def exact(
    x: Numbers, y: Numbers, option: Number
) -> tuple[Number, list[Number]]:
    r"""Return :math:`-\log p_y` and its slopes by the logits: equation (cross-entropy); the target is the class."""
    q = [mpmath.mpf(k == int(y[0])) for k in range(len(x))]
    return _cross_entropy(x, q)


def _exact_of_distribution(
    x: Numbers, y: Numbers, option: Number
) -> tuple[Number, list[Number]]:
    r"""Return :math:`-\sum_k q_k \log p_k` and its slopes by the logits; the target is q."""
    return _cross_entropy(x, y)


def _exact_smoothed(
    x: Numbers, y: Numbers, option: Number
) -> tuple[Number, list[Number]]:
    r"""Return the cross-entropy of a label of which the share :math:`\varepsilon` is given to all classes alike."""
    share = option / len(x)
    q = [(1 - option) * (k == int(y[0])) + share for k in range(len(x))]
    return _cross_entropy(x, q)


def _cross_entropy(z: Numbers, q: Numbers) -> tuple[Number, list[Number]]:
    r"""Return :math:`-\sum_k q_k \log p_k` and its slopes, :math:`p_k \sum_{j \ne k} q_j - q_k \sum_{j \ne k} p_j`.

    That is :math:`p_k \sum_j q_j - q_k`, in the order in which nothing cancels.
    """
    m = max(z)
    top = list(z).index(m)
    if mpmath.isinf(m) and m > 0:
        log_p = [
            mpmath.mpf(0) if k == top else -mpmath.inf for k in range(len(z))
        ]
    else:
        rest = mpmath.log1p(
            mpmath.fsum(mpmath.exp(v - m) for k, v in enumerate(z) if k != top)
        )
        log_p = [(v - m if k != top else 0) - rest for k, v in enumerate(z)]
    p = [mpmath.exp(v) for v in log_p]
    value = -mpmath.fsum(
        share * v for share, v in zip(q, log_p, strict=True) if share
    )
    slopes = [
        p[k] * mpmath.fsum(q[j] for j in range(len(z)) if j != k)
        - q[k] * mpmath.fsum(p[j] for j in range(len(z)) if j != k)
        for k in range(len(z))
    ]
    return value, slopes


def _smoothed(z: Tensor, y: Tensor, option: float) -> Tensor:
    """Return the cross-entropy of the smoothed label, :math:`q = (1 - ε) [k = y] + ε / K`."""
    q = torch.zeros_like(z) + option / len(z)
    q[int(y[0])] += 1 - option
    return cross_entropy_of_distributions(z[None], q[None])


SURE = "1 + exp(−20) is rounded before its logarithm is taken, and p − y is a difference of neighbours"

SYMBOLS_OF_CLASSES = r"""
j, k: {is: number of a class, runs: K}
K: {is: number of classes, size: 4}
z_k: {is: logits, in: real}
p_k:
  is: the model's probabilities
  equals: \frac{e^{z_k}}{\sum_j e^{z_j}}
y:
  is: class
  in: \{1, \dots, K\}
q_k:
  is: class probabilities
  in: (0, 1)
w_k: {is: weights, in: positive}
\ell(y):
  is: the loss of a class
  code: cross_entropy(z_k, y, w_k, reduction='none')
\ell(q):
  is: the loss of class probabilities
  code: cross_entropy(z_k, q_k, w_k, reduction='none')
"""

CARDS = (
    Card(
        name="cross_entropy",
        loss=losses.cross_entropy,
        definition=cross_entropy,
        twin=F.cross_entropy,
        kind="classes",
        inputs=indices,
        trials=trials,
        hard=(
            Hard(
                paper="−log(exp(z_y) / Σ exp(z))",
                exact=exact,
                call=lambda loss, z, y, option: loss(z[None], y.long()),
                cases=(
                    Case("z = (0, 0), y = 0", (0.0, 0.0), (0.0,)),
                    Case(
                        "z = (20, 0), y = 0",
                        (20.0, 0.0),
                        (0.0,),
                        misses="≈≠ 00 ∙∙ 00",
                        why=SURE,
                    ),
                    Case("z = (20, 0), y = 1", (20.0, 0.0), (1.0,)),
                    Case("z = (200, 0), y = 1", (200.0, 0.0), (1.0,)),
                    Case("z = (1000, 0), y = 1", (1000.0, 0.0), (1.0,)),
                    Case("z = (1000, 1001), y = 0", (1000.0, 1001.0), (0.0,)),
                    Case(
                        "z = (−1000, −1001), y = 0", (-1000.0, -1001.0), (0.0,)
                    ),
                    Case("z = (0, −∞), y = 0", (0.0, -INF), (0.0,)),
                    Case(
                        "z = (∞, 0), y = 0",
                        (INF, 0.0),
                        (0.0,),
                        misses="×× ×× ×× ××",
                        why="∞ − ∞",
                    ),
                ),
            ),
            Hard(
                name="cross_entropy, target q",
                paper="−Σ q log(exp(z) / Σ exp(z))",
                call=lambda loss, z, q, option: loss(z[None], q[None]),
                on_paper=lambda z, q, option: cross_entropy_of_distributions(
                    z[None], q[None]
                ),
                exact=_exact_of_distribution,
                cases=(
                    Case(
                        "z = (20, 0), q = (1, 0)",
                        (20.0, 0.0),
                        (1.0, 0.0),
                        misses="≈≠ 00 ∙∙ 00",
                        why=SURE,
                    ),
                    Case(
                        "z = (200, 0), q = (¾, ¼)", (200.0, 0.0), (0.75, 0.25)
                    ),
                    Case(
                        "z = (1000, 0), q = (1, 0)", (1000.0, 0.0), (1.0, 0.0)
                    ),
                    Case(
                        "z = (0, −∞), q = (1, 0)",
                        (0.0, -INF),
                        (1.0, 0.0),
                        misses="×∙ ×∙ ×∙ ×∙",
                        why=ZERO_TIMES_INFINITY,
                    ),
                ),
            ),
            Hard(
                name="cross_entropy, label_smoothing",
                paper="the same of the smoothed q, ε = 0.2",
                call=lambda loss, z, y, option: loss(
                    z[None], y.long(), label_smoothing=option
                ),
                on_paper=_smoothed,
                exact=_exact_smoothed,
                cases=(
                    Case("z = (20, 0), y = 0", (20.0, 0.0), (0.0,), 0.2),
                    Case("z = (200, 0), y = 1", (200.0, 0.0), (1.0,), 0.2),
                    Case("z = (1000, 0), y = 0", (1000.0, 0.0), (0.0,), 0.2),
                    Case("z = (0, −∞), y = 0", (0.0, -INF), (0.0,), 0.2),
                ),
            ),
        ),
        symbols=SYMBOLS_OF_CLASSES,
    ),
)

SYMBOLS = {
    "log_softmax": SYMBOLS_OF_CLASSES
    + r"""
\log p_k:
  is: the result
  code: log_softmax(z_k, 0)
m:
  is: the largest logit
  equals: \max_j z_j
""",
    "logsumexp": SYMBOLS_OF_CLASSES
    + r"""
\log \sum_{j=1}^{K} e^{z_j}:
  is: the result
  code: logsumexp(z_k, 0)
""",
}
