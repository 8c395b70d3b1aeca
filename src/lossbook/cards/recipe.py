"""Chapter 1: no loss of its own, but the likelihood as a product, and the functions that every loss shares."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, log

from lossbook.cards import lazy_mpmath as mpmath
from lossbook.cards.card import Case, Hard, Number, Numbers
from lossbook.losses.recipe import negative_log_likelihood


def likelihood(p: Tensor) -> Tensor:
    """Return the negative logarithm of the likelihood, a product."""
    return -log(p.prod())


def _exact(
    p: Numbers, y: Numbers, option: Number
) -> tuple[Number, list[Number]]:
    r"""Return :math:`-\sum_n \log p_n` and its slopes by the probabilities: equation (recipe)."""
    return -mpmath.fsum(mpmath.log(value) for value in p), [
        -1 / value for value in p
    ]


HARD = (
    Hard(
        name="likelihood",
        paper="−log Π p, of N = 1000",
        on_paper=lambda p, y, option: likelihood(p),
        ours=lambda p, y, option: negative_log_likelihood(log(p), "sum"),
        pytorch=lambda p, y, option: F.nll_loss(
            log(p)[:, None],
            torch.zeros(len(p), dtype=torch.long),
            reduction="sum",
        ),
        exact=_exact,
        cases=(
            Case("every p = 1", (1.0,) * 1000, (0.0,)),
            Case("every p = 0.9", (0.9,) * 1000, (0.0,)),
            Case("every p = 0.5", (0.5,) * 1000, (0.0,)),
            Case("every p = 0.1", (0.1,) * 1000, (0.0,)),
        ),
    ),
)

_SAMPLES = r"""
n: {is: number of a sample, runs: N}
x_n: {is: inputs, in: real}
p(y_n \mid x_n): {is: any model, in: positive function}
"""
_THREE = r"""
N: {is: number of samples, size: 3}
"""
_LABELS = r"""
y_n: {is: labels, in: real}
"""

SYMBOLS = {
    "negative_log_likelihood": f"{_SAMPLES}{_THREE}{_LABELS}"
    r"""
\ell_n:
  is: the losses
  code: negative_log_likelihood(\log p(y_n \mid x_n), 'none')
""",
    "reduce": f"{_SAMPLES}{_THREE}{_LABELS}"
    r"""
w_n: {is: weights, in: positive}
\ell_n: {is: the losses, in: real}
\ell_{\text{sum}}:
  is: their sum
  code: reduce(\ell_n, 'sum')
\ell_{\text{mean}}:
  is: their mean
  code: reduce(\ell_n, 'mean')
\ell_{\text{weighted}}:
  is: their weighted mean
  code: reduce(w_n \ell_n, 'mean', \sum_n w_n)
""",
    "best_constant_mse": f"{_SAMPLES}{_THREE}{_LABELS}"
    r"""
c: {is: any constant, in: real}
\bar{y}:
  is: the labels' mean
  equals: \frac{1}{N} \sum_n y_n
\min_c \frac{1}{N} \sum_n (c - y_n)^2:
  is: the result
  code: best_constant_mse(y_n)
""",
    "best_constant_bce": f"{_SAMPLES}{_THREE}"
    r"""
y_n:
  is: labels
  in: (0, 1)
p:
  is: any constant
  in: (0, 1)
\bar{y}:
  is: the labels' mean
  equals: \frac{1}{N} \sum_n y_n
\ell(p):
  is: the mean loss
  equals: -\frac{1}{N} \sum_n [ y_n \log p + (1 - y_n) \log (1 - p) ]
\min_p \ell(p):
  is: the result
  code: best_constant_bce(y_n)
""",
    "best_constant_cross_entropy": f"{_SAMPLES}"
    r"""
N: {is: number of samples, size: 7}
k: {is: number of a class, runs: K}
K: {is: number of classes, size: 3}
y_n:
  is: classes
  in: \{1, \dots, K\}
p_k: {is: any constant probabilities, in: probabilities}
\ell(p):
  is: the mean loss
  equals: -\frac{1}{N} \sum_n \log p_{y_n}
\min_p \ell(p):
  is: the result
  code: best_constant_cross_entropy(y_n, K)
""",
}
