"""What people really write wrong in lesson 03: binary cross-entropy."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor, exp, log

from lossbook.checks.bounds import operation_by_operation
from lossbook.checks.exercise import BY_PYTHON, BY_TORCH, exact_sum_for_pythons
from lossbook.checks.exercise import Misconception as Wrong


def _each(p: Tensor, y: Tensor) -> Tensor:
    """Return the loss of each element."""
    return -(y * log(p) + (1 - y) * log(1 - p))


def _softplus(z: Tensor) -> Tensor:
    """Return log(1 + e^z)."""
    return torch.logaddexp(z, torch.zeros_like(z))


def _from_logits(z: Tensor, y: Tensor, c: float = 1.0, other: float = 1.0) -> Tensor:
    """Return the loss of each element, with a weight for either term."""
    return c * y * _softplus(-z) + other * (1 - y) * _softplus(z)


def _through_a_probability(z: Tensor, y: Tensor, c: float = 1.0) -> Tensor:
    p = 1 / (1 + exp(-z))
    return -(c * y * log(p) + (1 - y) * log(1 - p)).mean()


def _held_logarithms(z: Tensor, y: Tensor) -> Tensor:
    p = torch.sigmoid(z)
    return -(y * log(p).clamp(min=-100) + (1 - y) * log(1 - p).clamp(min=-100)).mean()


def _by_pairs(x: Tensor, odd: str) -> Tensor:
    """Add up in pairs, with something wrong at an odd count."""
    while len(x) > 1:
        if len(x) % 2 and odd == "dropped":
            x = x[:-1]
        if len(x) % 2 and odd == "twice":
            x = torch.cat([x, x[-1:]])
        x = x[0::2] + x[1::2]
    return x[0]


def _running_total(x: Tensor) -> Tensor:
    """Add up one after the other in the dtype of x, by NumPy where it has that, which is quicker."""
    if x.dtype == torch.float32:
        return torch.as_tensor(np.cumsum(x.numpy(), dtype=np.float32)[-1])
    total = x.new_zeros(())
    for term in x:
        total = total + term
    return total


def _pairs(x: Tensor, divided_by: float = 1.0) -> Tensor:
    """Add up in pairs, right but for a division; give back a tensor of one element."""
    while len(x) > 1:
        if len(x) % 2:
            x = torch.cat([x, x.new_zeros(1)])
        x = (x[0::2] + x[1::2]) / divided_by
    return x


NO_MINUS = "Each logarithm of a probability is negative, and a loss is positive: look for the minus."
NOT_DIVIDED = "A loss that grows with the number of samples is a sum: divide by how many there are."
POSITIVE_ALONE = "At y = 0 your loss is zero, whatever p is. Add the term that speaks when the label is 0."
BASE_TWO = "The course's logarithm is the natural one, `torch.log`: p = ½ scores 0.6931, and yours scores 1."
ONE_MINUS = "The minus belongs before both terms: put them in brackets."

MISCONCEPTIONS: dict[str, tuple[Wrong, ...]] = {
    "sigmoid": (
        Wrong(
            "the exponential of z itself, above and below the line",
            lambda z: exp(z) / (1 + exp(z)),
            "Right on paper; at z = 1000 it is inf / inf. Write it with an exponential that may overflow harmlessly.",
        ),
        Wrong(
            "the minus in the exponent forgotten",
            lambda z: 1 / (1 + exp(z)),
            "Your curve falls where it should rise: the larger the log-odds, the likelier the event.",
        ),
        Wrong(
            "tanh in place of the sigmoid", torch.tanh, "A probability lies between 0 and 1; yours goes from −1 to 1."
        ),
        Wrong(
            "the brackets below the line forgotten",
            lambda z: 1 / 1 + exp(-z),
            "Python divides before it adds: `1 / 1 + a` is `1 + a`. Put the denominator in brackets.",
        ),
        Wrong(
            "the log-odds computed once more",
            lambda z: log(z / (1 - z)),
            "z is the log-odds already. Solve the equation for p and return that.",
        ),
        Wrong(
            "the sign of z lost",
            lambda z: 1 / (1 + exp(-z.abs())),
            "Your curve is never below one half: −|z| serves where z is positive; the other side needs its own form.",
        ),
        Wrong(
            "a softmax over all elements",
            lambda z: exp(z) / exp(z).sum(),
            "Each logit has its own probability, whatever the others are: nothing is to be divided by their sum.",
        ),
    ),
    "bce": (
        Wrong("the minus forgotten", lambda p, y: -_each(p, y).mean(), NO_MINUS),
        Wrong("the sum in place of the mean", lambda p, y: _each(p, y).sum(), NOT_DIVIDED),
        Wrong("the positive term alone", lambda p, y: -(y * log(p)).mean(), POSITIVE_ALONE),
        Wrong(
            "the minus before the first term alone", lambda p, y: (-y * log(p) + (1 - y) * log(1 - p)).mean(), ONE_MINUS
        ),
        Wrong(
            "divided by the rows alone",
            lambda p, y: _each(p, y).sum() / len(p),
            "`len` of a table is the number of its rows. The mean is over all elements, whatever the shape.",
        ),
        Wrong(
            "labels and probabilities swapped",
            lambda p, y: _each(y, p).mean(),
            "The logarithm is of the model's probability. A label of 0 has no logarithm.",
        ),
        Wrong("the logarithm to base 2", lambda p, y: _each(p, y).mean() / log(torch.tensor(2.0)), BASE_TWO),
        Wrong(
            "a small number added inside the logarithms",
            lambda p, y: -(y * log(p + 1e-7) + (1 - y) * log(1 - p + 1e-7)).mean(),
            "Here p is never 0 or 1, and the small number changes the loss and its gradient where p is smaller still.",
        ),
        Wrong(
            "the gradient lost on the way",
            lambda p, y: _each(p, y).mean().detach(),
            "The numbers are right, but nothing can be trained with them: return the tensor, without item or detach.",
        ),
    ),
    "bce_gradient": (
        Wrong(
            "the sign turned",
            lambda z, y: (y - torch.sigmoid(z)) / len(z),
            "The gradient points to where the loss grows: for a label of 0 that is towards larger logits.",
        ),
        Wrong(
            "the gradient of the sum",
            lambda z, y: torch.sigmoid(z) - y,
            "The mean over N samples leaves a factor in front of each.",
        ),
        Wrong(
            "the gradient of the squared error",
            lambda z, y: 2 * (torch.sigmoid(z) - y) * torch.sigmoid(z) * (1 - torch.sigmoid(z)) / len(z),
            "That is the gradient of (p − y)². Differentiate the logarithms: a sure and wrong model is pushed hardest.",
        ),
        Wrong(
            "the gradient by the probability",
            lambda z, y: (torch.sigmoid(z) - y) / (torch.sigmoid(z) * (1 - torch.sigmoid(z))) / len(z),
            "That is the slope in p. By the chain rule, multiply by the sigmoid's own slope and see what cancels.",
        ),
        Wrong(
            "the logit taken for the probability",
            lambda z, y: (z - y) / len(z),
            "z is a logit, any real number: turn it into a probability before you compare it with a label.",
        ),
        Wrong(
            "one number for all samples",
            lambda z, y: (torch.sigmoid(z) - y).mean(),
            "Each logit has a slope of its own: the result has the shape of z.",
        ),
        Wrong(
            "the label forgotten",
            lambda z, y: torch.sigmoid(z) / len(z),
            "That is the slope of log(1 + exp(z)). The term with the label has a slope too.",
        ),
    ),
    "bce_with_logits": (
        Wrong(
            "a probability formed first",
            _through_a_probability,
            "Once the sigmoid has rounded to 0 or 1, its logarithm is infinite: simplify before you compute.",
        ),
        Wrong(
            "log(1 + exp(z)) as it stands",
            lambda z, y: (log(1 + exp(z)) - y * z).mean(),
            "The formula is right and exp(1000) overflows: take the large part out of the bracket.",
        ),
        Wrong(
            "a small number added inside the logarithms",
            lambda z, y: -(y * log(torch.sigmoid(z) + 1e-7) + (1 - y) * log(1 - torch.sigmoid(z) + 1e-7)).mean(),
            "That bounds the loss near 16, and the gradient is lost where the model is most wrong: avoid p altogether.",
        ),
        Wrong(
            "the probability held away from 0 and 1",
            lambda z, y: _each(torch.sigmoid(z).clamp(1e-7, 1 - 1e-7), y).mean(),
            "Where it is held the gradient is zero, so that a sure and wrong model learns nothing: avoid p altogether.",
        ),
        Wrong(
            "the logarithms held at −100",
            _held_logarithms,
            "The loss at z = 200 is 200, not 100, and its slope is not zero there: avoid p altogether.",
        ),
        Wrong(
            "logits taken for probabilities",
            lambda z, y: _each(z, y).mean(),
            "z may be any real number, and a negative one has no logarithm: p = σ(z) must be in the formula first.",
        ),
        Wrong(
            "labels taken for −1 and 1",
            lambda z, y: _softplus(-y * z).mean(),
            "That short form is for labels −1 and 1. Here they are 0 and 1, and a label of 0 must cost something too.",
        ),
    ),
    "bce_pos_weight": (
        Wrong(
            "both terms weighted",
            lambda z, y, c: c * _from_logits(z, y).mean(),
            "A factor on everything changes no decision: c belongs to the term with y alone.",
        ),
        Wrong(
            "the negative term weighted",
            lambda z, y, c: _from_logits(z, y, 1.0, c).mean(),
            "c says how much more a missed positive costs: which of the two terms is that?",
        ),
        Wrong(
            "divided by the sum of the weights",
            lambda z, y, c: _from_logits(z, y, c).sum() / (1 + (c - 1) * y).sum(),
            "This mean divides by the number of elements, whatever the weights are.",
        ),
        Wrong(
            "c for the positives and 1 − c for the negatives",
            lambda z, y, c: _from_logits(z, y, c, 1 - c).mean(),
            "c is any positive number, not a share: the negative term keeps its weight of 1.",
        ),
        Wrong(
            "a probability formed first",
            _through_a_probability,
            "Once the sigmoid has rounded to 0 or 1, its logarithm is infinite: make each logarithm stable on its own.",
        ),
        Wrong(
            "the weight forgotten",
            lambda z, y, c: _from_logits(z, y).mean(),
            "Your loss is the same for every c.",
        ),
        Wrong(
            "the weight inside the logarithm",
            lambda z, y, c: (_from_logits(z, y) - y * log(torch.tensor(c))).mean(),
            "Inside the logarithm a factor only adds a constant, which has no gradient: multiply the logarithm itself.",
        ),
    ),
    "bce_python_sum": (
        Wrong(
            "torch.sum for Python's sum",
            lambda p, y: _each(p, y).sum() / len(p),
            "The number is right. This one is the slow way, on purpose: let Python's `sum` walk over the elements.",
            **BY_TORCH,
        ),
        exact_sum_for_pythons(lambda p, y: math.fsum(_each(p, y).tolist()) / len(p)),
        Wrong("the sum not divided", lambda p, y: sum(_each(p, y)), NOT_DIVIDED),
        Wrong("the minus forgotten", lambda p, y: sum(-_each(p, y)) / len(p), NO_MINUS),
        Wrong(
            "divided by the number of positives",
            lambda p, y: sum(_each(p, y)) / sum(y),
            "Divide by the number of elements, whatever their labels are.",
        ),
        Wrong("the positive term alone", lambda p, y: sum(-y * log(p)) / len(p), POSITIVE_ALONE),
        Wrong(
            "the first element left out",
            lambda p, y: sum(_each(p[1:], y[1:])) / len(p),
            "Python counts from 0: `range(1, n)` begins at the second element.",
        ),
        Wrong(
            "the first element alone",
            lambda p, y: _each(p[0], y[0]) / len(p),
            "A `return` inside the loop ends it after one turn: move it out to the left.",
        ),
    ),
    "bce_torch_sum": (
        Wrong(
            "Python's sum for torch.sum",
            lambda p, y: sum(_each(p, y)) / len(p),
            "The number is right, and it is added up one element at a time: name the `sum` that is PyTorch's.",
            **BY_PYTHON,
        ),
        Wrong("the sum not divided", lambda p, y: torch.sum(_each(p, y)), NOT_DIVIDED),
        Wrong("the minus forgotten", lambda p, y: torch.sum(-_each(p, y)) / len(p), NO_MINUS),
        Wrong(
            "the minus before the first term alone", lambda p, y: (-y * log(p) + (1 - y) * log(1 - p)).mean(), ONE_MINUS
        ),
        Wrong(
            "the logarithm to base 2", lambda p, y: torch.sum(_each(p, y)) / len(p) / log(torch.tensor(2.0)), BASE_TWO
        ),
        Wrong(
            "a sum that keeps its dimension",
            lambda p, y: torch.sum(_each(p, y), 0, keepdim=True) / len(p),
            "The result is one number, of shape (): sum without `keepdim`.",
        ),
        Wrong(
            "divided twice",
            lambda p, y: _each(p, y).mean() / len(p),
            "A mean is divided already: either take the mean, or the sum and divide once.",
        ),
    ),
    "predict_bce_seconds": (operation_by_operation(80),),
    "pairwise_sum": (
        Wrong(
            "one running total",
            _running_total,
            "The total grows large and each next term is rounded to fit it: add terms of like size, pair by pair.",
        ),
        Wrong(
            "one running total, in float32",
            lambda x: _running_total(x.float()),
            "The total grows large and each next term is rounded to fit it: add terms of like size, pair by pair. And "
            "what is begun with `torch.tensor(0.0)` is float32, whatever x is.",
        ),
        Wrong(
            "added up in a wider format",
            lambda x: torch.tensor(math.fsum(x.tolist()), dtype=x.dtype),
            "In float64, in Python's numbers or by `math.fsum` nothing is lost, and pairs have no part in it. Stay in "
            "the dtype of x: the order of the additions is what is to keep the error small.",
        ),
        Wrong(
            "the odd one dropped",
            lambda x: _by_pairs(x, "dropped"),
            "With five numbers the last has no neighbour, and is left out: it needs a partner that changes nothing.",
        ),
        Wrong(
            "an odd count not provided for",
            lambda x: _by_pairs(x, "as it is"),
            "With five numbers `x[0::2]` has three and `x[1::2]` has two: give the odd one a partner first.",
        ),
        Wrong(
            "the odd one paired with itself",
            lambda x: _by_pairs(x, "twice"),
            "The last of an odd count is added twice: its partner should change nothing.",
        ),
        Wrong(
            "the result left in a tensor of one element",
            _pairs,
            "At the end x holds one number, in shape (1,): return the number itself, of shape ().",
        ),
        Wrong(
            "one round of pairs only",
            lambda x: x[0::2] + x[1::2],
            "That halves the count once: repeat it until one number is left.",
        ),
        Wrong("pairs averaged", lambda x: _pairs(x, 2)[0], "You halve every pair on the way: only add."),
    ),
}
