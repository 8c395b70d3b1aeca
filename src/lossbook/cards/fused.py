"""Chapter 8: cross-entropy in one pass over memory, and from a layer whose logits are never all there."""

from __future__ import annotations

import math
from collections.abc import Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, exp, log

from lossbook import losses
from lossbook.cards import multiclass
from lossbook.cards.card import Card, Draw, Inputs, Trial
from lossbook.cards.multiclass import cross_entropy
from lossbook.losses import fused

# On paper


def linear_cross_entropy(H: Tensor, W: Tensor, y: Tensor) -> Tensor:
    z = H @ W.T
    p = exp(z) / exp(z).sum(1, keepdim=True)
    return -log(p[torch.arange(len(y)), y])


# What is tried


def _hidden(draw: Draw) -> Inputs:
    N, D, V = draw.size
    vocabulary = draw.normal(V, D) / math.sqrt(D)
    return draw.normal(N, D), vocabulary, draw.integers(V, N)


def _trials(draw: Draw) -> Iterator[Trial]:
    for reduction in ("none", "mean", "sum"):
        yield Trial(_hidden(draw), {"reduction": reduction}, by=2)


def _reference(input: Tensor, linear_weight: Tensor, target: Tensor) -> Tensor:
    return losses.cross_entropy(input @ linear_weight.T, target)


def _pytorch(
    input: Tensor,
    linear_weight: Tensor,
    target: Tensor,
    reduction: str = "mean",
) -> Tensor:
    """Return the same in PyTorch's two steps: its function of this name is newer than what is supported."""
    return F.cross_entropy(
        F.linear(input, linear_weight), target, reduction=reduction
    )


CARDS = (
    Card(
        name="fused.cross_entropy",
        loss=fused.cross_entropy,
        definition=cross_entropy,
        twin=F.cross_entropy,
        kind="classes",
        inputs=multiclass.indices,
        trials=multiclass.trials,
        hard=(),
        symbols=r"""
j, k: {is: number of a class, runs: K}
K: {is: number of classes, size: 4}
z_k: {is: logits, in: real}
p_k:
  is: the model's probabilities
  equals: \frac{e^{z_k}}{\sum_j e^{z_j}}
y:
  is: class
  in: \{1, \dots, K\}
w_k: {is: weights, in: positive}
m:
  is: the largest logit
  equals: \max_j z_j
d:
  is: the sum of exponentials from it
  equals: \sum_j e^{z_j - m}
\ell(y):
  is: the loss of a class
  code: cross_entropy(z_k, y, w_k, reduction='none')
""",
        unfused=losses.cross_entropy,
    ),
    Card(
        name="fused.linear_cross_entropy",
        loss=fused.linear_cross_entropy,
        definition=linear_cross_entropy,
        twin=_pytorch,
        kind="vocabulary",
        inputs=_hidden,
        trials=_trials,
        hard=(),
        symbols=r"""
n: {is: number of a row, runs: N}
N: {is: number of rows, size: 4}
j, k: {is: number of a class, runs: V}
V: {is: number of classes, size: 5}
i: {is: number of a feature, runs: D}
D: {is: number of features, size: 2}
h_{ni}: {is: hidden, in: real}
v_{ki}: {is: vocabulary, in: real}
b_k: {is: bias, in: real}
y_n:
  is: class
  in: \{1, \dots, V\}
g_{nk}:
  is: the gradient by the logits
  equals: \frac{e^{z_{nk}}}{\sum_{j=1}^{V} e^{z_{nj}}} - [\, k = y_n \,]
\ell:
  is: the loss
  code: cross_entropy(z_{nk}, y_n, reduction='sum')
  equals: \sum_{n=1}^{N} \bigl( \log \sum_{j=1}^{V} e^{z_{nj}} - z_{n, y_n} \bigr)
""",
        differentiated=2,
        unfused=_reference,
    ),
)

SYMBOLS = {
    "fused.online_softmax": r"""
z_k: {is: the next logit, in: real}
m: {is: the largest logit so far, in: real}
d: {is: the sum of exponentials from it, in: positive}
""",
}
