"""Chapter 3: the losses of a yes or a no, from a probability and from a logit."""

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
    Limit,
    Number,
    Numbers,
    Trial,
)

INF = math.inf

# On paper


def binary_cross_entropy(p: Tensor, y: Tensor) -> Tensor:
    return -(y * log(p) + (1 - y) * log(1 - p))


def binary_cross_entropy_with_logits(z: Tensor, y: Tensor) -> Tensor:
    return log(1 + exp(z)) - y * z


# What is tried


def _probabilities(draw: Draw) -> Inputs:
    return draw.uniform(), draw.labels()


def _logits(draw: Draw) -> Inputs:
    return draw.normal(), draw.labels()


def _of_probabilities(draw: Draw) -> Iterator[Trial]:
    p, q, w = draw.uniform(), draw.uniform(), draw.uniform()
    for reduction, weight in product(REDUCTIONS, (None, w)):
        yield Trial((p, q), {"reduction": reduction, "weight": weight}, by=2)
    yield Trial((p, q), compiled=True)
    certain = p.round()
    yield Trial((certain, certain), {"reduction": "none"}, compiled=True)
    # Certain and right, certain and wrong, and a label in between.
    p = torch.tensor([[0.0, 1, 0.3], [0, 1, 0]], dtype=draw.dtype)
    y = torch.tensor([[0.0, 1, 0], [0, 0.5, 1]], dtype=draw.dtype)
    yield Trial((p, y), {"reduction": "none"})


def _of_logits(draw: Draw) -> Iterator[Trial]:
    z, q = draw.normal() * 3, draw.uniform()
    w, price = draw.uniform(), 3 * draw.uniform()[:1]
    for reduction, weight, pos_weight in product(
        REDUCTIONS, (None, w), (None, price)
    ):
        yield Trial(
            (z, q),
            {
                "reduction": reduction,
                "weight": weight,
                "pos_weight": pos_weight,
            },
            by=2,
        )
    yield Trial((z, q), compiled=True)
    z = torch.tensor(
        [[0.0, 1000, -1000], [1000, 1000, -1000]], dtype=draw.dtype
    )
    y = torch.tensor([[0.0, 1, 0], [0, 0.5, 1]], dtype=draw.dtype)
    yield Trial((z, y), {"reduction": "none"}, by=2)


# The exact values


def _exact_of_probability(
    x: Numbers, y: Numbers, option: Number
) -> tuple[Number, list[Number]]:
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


def _exact_of_logit(
    x: Numbers, y: Numbers, option: Number
) -> tuple[Number, list[Number]]:
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


def _softplus(z: Number) -> Number:
    r"""Return :math:`\log(1 + e^z)`, in the form whose exponent is never positive: equation (softplus-stable)."""
    return max(z, mpmath.mpf(0)) + mpmath.log1p(mpmath.exp(-abs(z)))


_HELD = (
    "log p is held at −100 and p (1 − p) at 1e−12, which float16 rounds to 0"
)
_COMPLEMENT = "the sigmoid has rounded: 1 − p keeps few digits or none, and then log(1 − p) is held at −100"

CARDS = (
    Card(
        name="binary_cross_entropy",
        loss=losses.binary_cross_entropy,
        definition=binary_cross_entropy,
        twin=F.binary_cross_entropy,
        kind="elements",
        inputs=_probabilities,
        trials=_of_probabilities,
        hard=(
            Hard(
                paper="−y log p − (1 − y) log(1 − p)",
                exact=_exact_of_probability,
                bound=100.0,
                cases=(
                    Case("p = 0.5, y = 1", (0.5,), (1.0,)),
                    Case("p = 1e−7, y = 1", (1e-7,), (1.0,)),
                    Case(
                        "p = 1e−30, y = 1",
                        (1e-30,),
                        (1.0,),
                        misses="∙≠ ∙≠ ⊤∙ ∙≠",
                        why=_HELD,
                    ),
                    Case(
                        "p = 0, y = 1",
                        (0.0,),
                        (1.0,),
                        misses="⊤⊤ ⊤⊤ ⊤∙ ⊤⊤",
                        why=_HELD,
                    ),
                    Case("p = 1e−7, y = 0", (1e-7,), (0.0,)),
                    Case(
                        "p = 1e−30, y = 0",
                        (1e-30,),
                        (0.0,),
                        misses="∙≠ ∙≠ ∙0 ∙≠",
                        why=_HELD,
                        twin_differs=True,
                    ),
                    Case(
                        "p = 0, y = 0",
                        (0.0,),
                        (0.0,),
                        misses="∙0 ∙0 ∙0 ∙0",
                        why="the gradient is (p − y) / (p (1 − p)), its denominator held: 0 / 1e−12",
                        twin_differs=True,
                    ),
                    Case(
                        "p = 1, y = 0",
                        (1.0,),
                        (0.0,),
                        misses="⊤⊤ ⊤⊤ ⊤∙ ⊤⊤",
                        why=_HELD,
                    ),
                ),
            ),
            Hard(
                name="binary_cross_entropy(sigmoid(z))",
                paper="the same of p = 1/(1 + exp(−z))",
                call=lambda loss, z, y, option: loss(torch.sigmoid(z), y),
                on_paper=lambda z, y, option: binary_cross_entropy(
                    1 / (1 + exp(-z)), y
                ),
                exact=_exact_of_logit,
                bound=100.0,
                cases=(
                    Case(
                        "z = −1000, y = 0",
                        (-1000.0,),
                        (0.0,),
                        twin_differs=True,
                    ),
                    Case("z = −20, y = 0", (-20.0,), (0.0,), twin_differs=True),
                    Case("z = 0, y = 0", (0.0,), (0.0,)),
                    Case(
                        "z = 12, y = 0",
                        (12.0,),
                        (0.0,),
                        misses="≈∙ ≈∙ ⊤× ⊤0",
                        why=_COMPLEMENT,
                    ),
                    Case(
                        "z = 20, y = 0",
                        (20.0,),
                        (0.0,),
                        misses="≈∙ ⊤0 ⊤× ⊤0",
                        why=_COMPLEMENT,
                    ),
                    Case(
                        "z = 200, y = 0",
                        (200.0,),
                        (0.0,),
                        misses="⊤0 ⊤0 ⊤× ⊤0",
                        why=_COMPLEMENT,
                    ),
                ),
            ),
        ),
        symbols=r"""
\ell:
  is: the loss
  code: binary_cross_entropy(p, y, w, 'none')
p, y:
  is: probability and label
  in: (0, 1)
w: {is: weight, in: positive}
""",
        limit=Limit(
            11,
            "PyTorch's logarithms of probabilities are so slow that ours is faster, for all that it moves",
        ),
    ),
    Card(
        name="binary_cross_entropy_with_logits",
        loss=losses.binary_cross_entropy_with_logits,
        definition=binary_cross_entropy_with_logits,
        twin=F.binary_cross_entropy_with_logits,
        kind="elements",
        inputs=_logits,
        trials=_of_logits,
        hard=(
            Hard(
                paper="log(1 + exp(z)) − y z",
                exact=_exact_of_logit,
                cases=(
                    Case("z = −1000, y = 0", (-1000.0,), (0.0,)),
                    Case("z = −20, y = 0", (-20.0,), (0.0,), twin_differs=True),
                    Case("z = 0, y = 0", (0.0,), (0.0,)),
                    Case("z = 12, y = 0", (12.0,), (0.0,)),
                    Case("z = 20, y = 0", (20.0,), (0.0,)),
                    Case("z = 200, y = 0", (200.0,), (0.0,)),
                    Case("z = 1000, y = 0", (1000.0,), (0.0,)),
                    Case("z = ∞, y = 0", (INF,), (0.0,)),
                    Case(
                        "z = −∞, y = 0",
                        (-INF,),
                        (0.0,),
                        misses="×∙ ×∙ ×∙ ×∙",
                        why=ZERO_TIMES_INFINITY,
                    ),
                    Case("z = −1000, y = 1", (-1000.0,), (1.0,)),
                    Case("z = 20, y = 1", (20.0,), (1.0,), twin_differs=True),
                    Case("z = 1000, y = 1", (1000.0,), (1.0,)),
                    Case(
                        "z = ∞, y = 1",
                        (INF,),
                        (1.0,),
                        misses="×∙ ×∙ ×∙ ×∙",
                        why=ZERO_TIMES_INFINITY,
                    ),
                ),
            ),
        ),
        symbols=r"""
\ell:
  is: the loss
  code: binary_cross_entropy_with_logits(z, y, w, 'none', pos_weight=w_{\text{+}})
z: {is: logit, in: real}
y:
  is: label
  in: (0, 1)
w, w_{\text{+}}: {is: weights, in: positive}
\sigma(z):
  is: the sigmoid
  equals: \frac{1}{1 + e^{-z}}
""",
    ),
)
