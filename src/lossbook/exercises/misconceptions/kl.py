"""What people really write wrong in lesson 06: entropy, cross-entropy, divergence, distillation, bytes."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from lossbook.checks.bounds import operation_by_operation
from lossbook.checks.exercise import BY_PYTHON, BY_TORCH, Misconception, exact_sum_for_pythons

BITS = "The result is to the base 2. Nats come from the natural logarithm."
CROSS = "A model that is right must score 0, and yours scores the entropy of q."
MEAN = "The probabilities are the weights of the average already. Dividing by K averages a second time."
SIGN = "A divergence is never negative, and yours is never positive."
SWAPPED = "This is KL(p ‖ q). The target q has to stand in front of the logarithms."
UNDONE = "A very small probability becomes 0 in `exp`, and its logarithm −inf. Keep the logarithm you were given."
TWICE = "The first argument holds log-probabilities already. Only q still needs its logarithm."


def happens(q: Tensor, x: Tensor) -> Tensor:
    """Return q · x where q is positive, and 0 where q is 0, whatever x is."""
    return torch.where(q > 0, q * x, torch.zeros_like(q))


def terms(log_p: Tensor, q: Tensor) -> Tensor:
    """Return the terms of KL(q ‖ p), for finite log p."""
    return torch.xlogy(q, q) - q * log_p


def both(log_p: Tensor, log_q: Tensor) -> tuple[Tensor, Tensor]:
    """Return KL(q ‖ p) and KL(p ‖ q), terms not summed."""
    return log_q.exp() * (log_q - log_p), log_p.exp() * (log_p - log_q)


def from_probabilities(log_p: Tensor, log_q: Tensor) -> Tensor:
    """Return both directions by taking the logarithms of exponentials."""
    p, q = log_p.exp(), log_q.exp()
    return torch.stack([(q * (q.log() - p.log())).sum(1), (p * (p.log() - q.log())).sum(1)])


def soft(z: Tensor, v: Tensor, T: float, teacher_T: float | None = None, reduction: str = "batchmean") -> Tensor:
    """Return the divergence of a student's distribution from a teacher's, without the factor T²."""
    log_p, log_q = (z / T).log_softmax(1), (v / (teacher_T or T)).log_softmax(1)
    value = F.kl_div(log_p, log_q, reduction="sum", log_target=True)
    return value / (len(z) if reduction == "batchmean" else z.numel())


def unmended(z: Tensor, v: Tensor, y: Tensor, T: float, alpha: float) -> Tensor:
    """Return what the lesson's faulty loss returns."""
    student, teacher = F.softmax(z[:0:2] / T, dim=1), F.softmax(v[:0:2], dim=1)
    return (1 - alpha) * F.cross_entropy(z, y) + alpha * F.binary_cross_entropy(student, teacher)


def mixed(z: Tensor, y: Tensor, alpha: float, divergence: Tensor) -> Tensor:
    """Return the weighted sum of the labels' loss and the teacher's."""
    return (1 - alpha) * F.cross_entropy(z, y) + alpha * divergence


def binary(z: Tensor, v: Tensor, T: float) -> Tensor:
    """Return the binary cross-entropy of two categorical distributions."""
    return F.binary_cross_entropy((z / T).softmax(1), (v / T).softmax(1))


def of_probabilities(z: Tensor, v: Tensor, T: float) -> Tensor:
    """Return the divergence by the logarithms of probabilities, infinite where one has become 0."""
    p, q = (z / T).softmax(1), (v / T).softmax(1)
    return (q * (q.log() - p.log())).sum(1).mean()


def probabilities_first(z: Tensor, v: Tensor, T: float) -> Tensor:
    """Return what F.kl_div gives for probabilities where it expects log-probabilities."""
    return F.kl_div((z / T).softmax(1), (v / T).softmax(1), reduction="batchmean")


def of_a_softmax(z: Tensor, v: Tensor, T: float) -> Tensor:
    """Return the divergence by the logarithm of the student's probabilities, infinite where one has become 0."""
    return F.kl_div((z / T).softmax(1).log(), (v / T).softmax(1), reduction="batchmean")


def no_log_target(z: Tensor, v: Tensor, T: float) -> Tensor:
    """Return what F.kl_div gives for log-probabilities as the target, where it expects probabilities."""
    return F.kl_div((z / T).log_softmax(1), (v / T).log_softmax(1), reduction="batchmean")


def of_vectors(add: Callable[[Tensor], Any]) -> tuple[Misconception, ...]:
    """Return what goes wrong with one distribution over n classes, whoever adds the terms up."""
    return (
        Misconception(
            "the logarithm undone and taken again",
            lambda log_p, q: add(terms(log_p.exp().log(), q)),
            UNDONE,
        ),
        Misconception(
            "divided by n",
            lambda log_p, q: add(terms(log_p, q)) / len(q),
            "The weights q average already: the terms are added up, and not divided by n.",
        ),
        Misconception("cross-entropy for the divergence", lambda log_p, q: add(-q * log_p), CROSS),
        Misconception("the logarithms the wrong way round", lambda log_p, q: add(q * (log_p - q.log())), SIGN),
        Misconception(
            "the two distributions exchanged", lambda log_p, q: add(log_p.exp() * (log_p - q.log())), SWAPPED
        ),
        Misconception("bits instead of nats", lambda log_p, q: add(q * (q.log2() - log_p / 0.6931472)), BITS),
        Misconception("the logarithm taken twice", lambda log_p, q: add(q * (q.log() - log_p.log())), TWICE),
    )


ENTROPY = (
    Misconception(
        "0 log 0 computed as nan",
        lambda q: -(q * q.log()).sum(1),
        "The logarithm of 0 is −inf, and 0 times −inf is nan. What never happens must count as 0.",
    ),
    Misconception(
        "the minus forgotten",
        lambda q: torch.xlogy(q, q).sum(1),
        "Logarithms of probabilities are negative or 0; an average surprise is not. Look at the sign.",
    ),
    Misconception("the mean over outcomes instead of their sum", lambda q: -torch.xlogy(q, q).mean(1), MEAN),
    Misconception("bits instead of nats", lambda q: -(torch.xlogy(q, q) / torch.tensor(2.0).log()).sum(1), BITS),
    Misconception(
        "one number for all rows",
        lambda q: -torch.xlogy(q, q).sum(),
        "Each row is a distribution of its own and has its own entropy: sum along one dimension only.",
    ),
    Misconception(
        "summed down the columns",
        lambda q: -torch.xlogy(q, q).sum(0),
        "The outcomes of one distribution lie along a row. Which dimension runs along it?",
    ),
    Misconception(
        "a small number inside the logarithm that shows",
        lambda q: -(q * (q + 1e-4).log()).sum(1),
        "The number added against log 0 changes every other term too. Choose the terms instead of shifting them.",
    ),
)

CROSS_ENTROPY = (
    Misconception(
        "the logarithm undone and taken again",
        lambda log_p, q: -happens(q, log_p.exp().log()).sum(1),
        UNDONE,
    ),
    Misconception(
        "0 times −inf computed as nan",
        lambda log_p, q: -(q * log_p).sum(1),
        "Where q is 0 and log p is −inf the product is nan. Such a term has to be set to 0 by choice.",
    ),
    Misconception(
        "the logarithm taken twice",
        lambda log_p, q: -torch.xlogy(q, log_p).sum(1),
        "The first argument holds log-probabilities already, and a negative number has no real logarithm.",
    ),
    Misconception(
        "averaged over the model instead of over q",
        lambda log_p, q: -torch.xlogy(log_p.exp(), q).sum(1),
        "The outcomes come from q and the surprises from the model: here the two have changed places.",
    ),
    Misconception(
        "an infinite surprise cut off",
        lambda log_p, q: -(q * log_p.clamp(min=-100)).sum(1),
        "A model that rules out what happens pays inf. A bound under log p turns that into a finite price.",
    ),
    Misconception(
        "nan_to_num on infinities too",
        lambda log_p, q: -torch.nan_to_num(q * log_p).sum(1),
        "`nan_to_num` replaces infinities as well as nan, unless it is told otherwise. An inf that is right must stay.",
    ),
    Misconception(
        "the minus forgotten",
        lambda log_p, q: happens(q, log_p).sum(1),
        "Log-probabilities are negative or 0, and a cost is not. Look at the sign.",
    ),
    Misconception("the mean over outcomes instead of their sum", lambda log_p, q: -happens(q, log_p).mean(1), MEAN),
)

EACH = (
    Misconception(
        "the logarithm undone and taken again",
        lambda log_p, q: happens(q, q.log() - log_p.exp().log()).sum(1),
        UNDONE,
    ),
    Misconception(
        "0 log 0 computed as nan",
        lambda log_p, q: (q * (q.log() - log_p)).sum(1),
        "Where q is 0 its logarithm is −inf, and 0 times −inf is nan. What never happens must count as 0.",
    ),
    Misconception(
        "0 times −inf computed as nan",
        lambda log_p, q: terms(log_p, q).sum(1),
        "One of your parts minds q = 0, the other does not: where log p is −inf as well, the product is nan.",
    ),
    Misconception(
        "the two distributions exchanged", lambda log_p, q: happens(log_p.exp(), log_p - q.log()).sum(1), SWAPPED
    ),
    Misconception("cross-entropy for the divergence", lambda log_p, q: -happens(q, log_p).sum(1), CROSS),
    Misconception(
        "the entropy added instead of subtracted",
        lambda log_p, q: -happens(q, log_p).sum(1) - torch.xlogy(q, q).sum(1),
        "A model that is right must score 0, and yours scores twice the entropy of q. Mind the sign of entropy.",
    ),
    Misconception("the logarithm taken twice", lambda log_p, q: happens(q, q.log() - log_p.log()).sum(1), TWICE),
    Misconception("the logarithms the wrong way round", lambda log_p, q: happens(q, log_p - q.log()).sum(1), SIGN),
    Misconception(
        "negative terms cut off",
        lambda log_p, q: happens(q, q.log() - log_p).clamp(min=0).sum(1),
        "Single terms may be negative; it is their sum that never is. Keep them all.",
    ),
)

BATCHMEAN = (
    Misconception(
        "the logarithm undone and taken again",
        lambda log_p, q: terms(log_p.exp().log(), q).sum() / len(q),
        UNDONE,
    ),
    Misconception(
        "the mean over all elements",
        lambda log_p, q: terms(log_p, q).mean(),
        "A mean over elements divides by N times K. Divide by the number of samples alone.",
    ),
    Misconception(
        "the sum not divided",
        lambda log_p, q: terms(log_p, q).sum(),
        "This grows with the batch. How many samples are there?",
    ),
    Misconception(
        "the mean over tokens",
        lambda log_p, q: terms(log_p, q).sum(-1).mean(),
        "Right for shape (N, K); for shape (N, L, K) it divides by L too. N is the first size alone.",
    ),
    Misconception(
        "divided by the second size",
        lambda log_p, q: terms(log_p, q).sum() / log_p.shape[1],
        "The samples lie along the first dimension, whose index is 0.",
    ),
    Misconception("the logarithms the wrong way round", lambda log_p, q: -terms(log_p, q).sum() / len(q), SIGN),
    Misconception("cross-entropy for the divergence", lambda log_p, q: -(q * log_p).sum() / len(q), CROSS),
    Misconception(
        "the two distributions exchanged",
        lambda log_p, q: (log_p.exp() * (log_p - (q + 1e-9).log())).sum() / len(q),
        SWAPPED,
    ),
    Misconception(
        "0 log 0 computed as nan",
        lambda log_p, q: (q * (q.log() - log_p)).sum() / len(q),
        "A target may hold zeros, and 0 times the logarithm of 0 is nan. Such a term counts as 0.",
    ),
    Misconception(
        "the gradient cut",
        lambda log_p, q: terms(log_p.detach(), q).sum() / len(q) + 0 * log_p.sum(),
        "The value is right, and no gradient comes back to log p: leave out `detach`, `item`, `torch.no_grad`.",
    ),
)

DISTILLATION = (
    Misconception(
        "the empty slice left in",
        unmended,
        "Between the start and index 0 there is nothing, and a mean of nothing is nan. Every sample is to be used.",
    ),
    Misconception(
        "binary cross-entropy for the divergence",
        lambda z, v, y, T, a: mixed(z, y, a, T**2 * binary(z, v, T)),
        "Binary cross-entropy takes each class for a coin of its own, and is not 0 for a student equal to its teacher.",
    ),
    Misconception(
        "the teacher not divided by T",
        lambda z, v, y, T, a: mixed(z, y, a, T**2 * soft(z, v, T, teacher_T=1.0)),
        "A student equal to its teacher must be charged nothing. Which of the two is softened here, and which is not?",
    ),
    Misconception(
        "the factor T² missing",
        lambda z, v, y, T, a: mixed(z, y, a, soft(z, v, T)),
        "At T = 1 all is well; the larger T, the weaker the teacher. What restores its pull?",
    ),
    Misconception(
        "T instead of T²",
        lambda z, v, y, T, a: mixed(z, y, a, T * soft(z, v, T)),
        "One T comes from dividing the logits; the divergence itself shrinks too. What power makes up for both?",
    ),
    Misconception(
        "the labels at the temperature too",
        lambda z, v, y, T, a: mixed(z / T, y, a, T**2 * soft(z, v, T)),
        "The labels are compared with the student as it is: the temperature belongs to the second part.",
    ),
    Misconception(
        "α and 1 − α exchanged",
        lambda z, v, y, T, a: mixed(z, y, 1 - a, torch.zeros(())) + (1 - a) * T**2 * soft(z, v, T),
        "At α = 0 only the labels should count. What counts in yours?",
    ),
    Misconception(
        "the mean over all elements",
        lambda z, v, y, T, a: mixed(z, y, a, T**2 * soft(z, v, T, reduction="mean")),
        'The second part is divided by N times K. `"mean"`, the default of `F.kl_div`, is not the mean over samples.',
    ),
    Misconception(
        "student and teacher exchanged in the divergence",
        lambda z, v, y, T, a: mixed(z, y, a, T**2 * soft(v, z, T)),
        "The teacher is the target, and the average is over its distribution. `F.kl_div` takes the target second.",
    ),
    Misconception(
        "probabilities where F.kl_div expects logarithms",
        lambda z, v, y, T, a: mixed(z, y, a, T**2 * probabilities_first(z, v, T)),
        "`F.kl_div` wants log-probabilities as its first argument, and raises nothing when it gets probabilities.",
    ),
    Misconception(
        "cross-entropy for the divergence",
        lambda z, v, y, T, a: mixed(z, y, a, T**2 * F.cross_entropy(z / T, (v / T).softmax(1))),
        "A student equal to its teacher must be charged nothing, and cross-entropy charges it the teacher's entropy.",
    ),
    Misconception(
        "the logarithm of a softmax that has become 0",
        lambda z, v, y, T, a: mixed(z, y, a, T**2 * of_a_softmax(z, v, T)),
        "Where the student is very sure, a softmax is 0 and its logarithm −inf. Ask for the log-probabilities "
        "directly.",
    ),
    Misconception(
        "log_target forgotten",
        lambda z, v, y, T, a: mixed(z, y, a, T**2 * no_log_target(z, v, T)),
        "The target is given as log-probabilities, and `F.kl_div` takes it for probabilities unless it is told.",
    ),
    Misconception(
        "logarithms of probabilities that have become 0",
        lambda z, v, y, T, a: mixed(z, y, a, T**2 * of_probabilities(z, v, T)),
        "Where someone is very sure, a softmax is 0 and its logarithm −inf. Ask for the log-probabilities directly.",
    ),
)

DIRECTIONS = (
    Misconception(
        "the two rows exchanged",
        lambda log_p, log_q: torch.stack([x.sum(1) for x in both(log_p, log_q)[::-1]]),
        "Row 0 is KL(q ‖ p): the distribution that stands first, the target, is the one to average over.",
    ),
    Misconception(
        "the same direction twice",
        lambda log_p, log_q: torch.stack([both(log_p, log_q)[0].sum(1)] * 2),
        "The divergence is not symmetric: the two rows differ in general.",
    ),
    Misconception(
        "the other direction by a change of sign",
        lambda log_p, log_q: torch.stack([both(log_p, log_q)[0].sum(1), -both(log_p, log_q)[0].sum(1)]),
        "Neither direction is ever negative. Besides the logarithms, the weights in front of them change too.",
    ),
    Misconception(
        "columns for rows",
        lambda log_p, log_q: torch.stack([x.sum(1) for x in both(log_p, log_q)], 1),
        "The shape is to be (2, C): the two directions lie along the first dimension.",
    ),
    Misconception(
        "summed over the candidates",
        lambda log_p, log_q: torch.stack([x.sum(0) for x in both(log_p, log_q)]),
        "Each candidate has its own divergences: sum over its outcomes, the last dimension.",
    ),
    Misconception(
        "the mean over outcomes instead of their sum",
        lambda log_p, log_q: torch.stack([x.mean(1) for x in both(log_p, log_q)]),
        MEAN,
    ),
    Misconception(
        "logarithms of exponentials that have become 0",
        from_probabilities,
        "A very small probability becomes 0 in `exp`, and its logarithm −inf. Keep the logarithms you were given.",
    ),
)

PYTHON_SUM = (
    Misconception(
        "torch's sum instead of Python's",
        lambda log_p, q: torch.sum(terms(log_p, q)),
        "The number is right, and torch added it up. This one is for Python's built-in `sum`.",
        **BY_TORCH,
    ),
    exact_sum_for_pythons(lambda log_p, q: math.fsum(terms(log_p, q).tolist())),
    *of_vectors(sum),
)

TORCH_SUM = (
    Misconception(
        "Python's sum instead of torch's",
        lambda log_p, q: sum(terms(log_p, q)),
        "The number is right, and Python added it up one element at a time. This one is for `torch.sum`.",
        **BY_PYTHON,
    ),
    *of_vectors(torch.sum),
)

BYTES = (
    Misconception(
        "bits for bytes", lambda n, fused: 32 * n * (2 if fused else 9), "float32 has 32 bits. How many bytes are they?"
    ),
    Misconception(
        "eight bytes a number",
        lambda n, fused: 8 * n * (2 if fused else 9),
        "Eight bytes are a float64; the numbers here are float32.",
    ),
    Misconception(
        "numbers counted instead of bytes",
        lambda n, fused: n * (2 if fused else 9),
        "You have counted numbers. Each of them takes several bytes.",
    ),
    Misconception(
        "what is read and not what is written",
        lambda n, fused: 4 * n * (2 if fused else 6),
        "Run step by step, each operation also writes its result back to memory.",
    ),
    Misconception(
        "the fused chain taken for the other",
        lambda n, fused: 4 * n * (9 if fused else 2),
        "One pass moves fewer bytes than four operations. Which of them does `fused` mean?",
    ),
    Misconception(
        "the sum's reading left out",
        lambda n, fused: 4 * n * (2 if fused else 8),
        "What is not worth counting is the one number that the sum writes. Before that it reads all the terms.",
    ),
    Misconception(
        "the fused terms written back",
        lambda n, fused: 4 * n * (3 if fused else 9),
        "In one pass the terms stay in registers and are added up there: nothing of length n is written.",
    ),
)

MISCONCEPTIONS: dict[str, tuple[Misconception, ...]] = {
    "kl_entropy": ENTROPY,
    "kl_cross_entropy": CROSS_ENTROPY,
    "kl_each": EACH,
    "kl_batchmean": BATCHMEAN,
    "kl_distillation": DISTILLATION,
    "kl_directions": DIRECTIONS,
    "kl_python_sum": PYTHON_SUM,
    "kl_torch_sum": TORCH_SUM,
    "kl_bytes": BYTES,
    "predict_kl_seconds": (operation_by_operation(36),),
}
