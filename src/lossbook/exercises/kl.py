"""The exercises of lesson 06: the Kullback-Leibler divergence."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from lossbook.checks.exercise import (
    BY_PYTHON,
    BY_TORCH,
    RACED,
    Case,
    Curve,
    Exercise,
    Misconception,
    Prediction,
    Score,
    Work,
    exact_sum_for_pythons,
    integers,
    normal,
    uniform,
)
from lossbook.data import randhie
from lossbook.losses import cross_entropy, kl_div


def rows(*values: Sequence[float]) -> Tensor:
    """Return rows of numbers as a float32 tensor, shape (N, K)."""
    return torch.tensor(values, dtype=torch.float32)


def times(q: Tensor, x: Tensor) -> Tensor:
    """Return q · x where q is positive, and 0 where q is 0, whatever x is."""
    return torch.where(q > 0, q * x, torch.zeros_like(q))


def coin(heads: float) -> Tensor:
    """Return a coin's two probabilities, shape (1, 2)."""
    return rows([heads, 1 - heads])


def between(low: float, high: float, count: int = 41) -> tuple[float, ...]:
    """Return evenly spaced numbers, both ends among them."""
    return tuple(low + (high - low) * i / (count - 1) for i in range(count))


HEADS = "the model's probability of heads"
PAIR = Curve(between(0.02, 0.98), lambda x: Case((coin(x).log(), coin(0.7))), HEADS, "the coin shows heads with 0.7")
BITS = "The result is to the base 2. Nats come from the natural logarithm."
CROSS = "A model that is right must score 0, and yours scores the entropy of q."
MEAN = "The probabilities are the weights of the average already. Dividing by K averages a second time."
SIGN = "A divergence is never negative, and yours is never positive."
SWAPPED = "This is KL(p ‖ q). The target q has to stand in front of the logarithms."
UNDONE = "A very small probability becomes 0 in `exp`, and its logarithm −inf. Keep the logarithm you were given."
TWICE = "The first argument holds log-probabilities already. Only q still needs its logarithm."


def terms(log_p: Tensor, q: Tensor) -> Tensor:
    """Return the terms of KL(q ‖ p), for finite log p."""
    return torch.xlogy(q, q) - q * log_p


# Six distributions over six outcomes, and a batch of two samples, for what the lesson asks beforehand.
SOME = torch.stack([torch.softmax(torch.arange(6.0).roll(k).sin() * k, 0) for k in range(1, 7)])
THREE = torch.tensor([[0.5, 1.0, 0.8], [0.2, 0.4, 0.6]]).log_softmax(1), rows([0.3, 0.4, 0.3], [0.1, 0.5, 0.4])


# ------------------------------------------------------------------------------------- kl_entropy


def entropy_cases(generator: Generator) -> Sequence[Case]:
    """Draw distributions: by hand, with zeros, and at random."""
    return [
        Case((rows([0.25, 0.25, 0.25, 0.25]),), note="uniform over four outcomes: log 4"),
        Case((rows([0.1, 0.5, 0.4], [0.8, 0.1, 0.1]),), note="one entropy for each row"),
        Case((rows([0.5, 0.5, 0.0]),), note="0 log 0 is 0, not nan"),
        Case((rows([0.0, 1.0, 0.0]),), note="sure: no surprise at all"),
        Case((rows([0.5, 0.5, 0.0], [0.0, 0.2, 0.8], [1.0, 0.0, 0.0]),), note="zeros in other places in each row"),
        Case((rows([1e-4, 0.9999, 0.0]),), note="a rare outcome counts a little"),
        Case((normal(generator, 4, 6).softmax(1),), note="random"),
        Case((normal(generator, 3, 50, scale=3.0).softmax(1),), note="random, 50 outcomes"),
    ]


def entropy(q: Tensor) -> Tensor:
    """Return the entropy of each row: −Σ q log q."""
    return 0.0 - times(q, q.log()).sum(1)  # 0 − 0 is 0, where −0 would be shown as −0


KL_ENTROPY = Exercise(
    "kl.kl_entropy",
    points=2,
    reference=entropy,
    cases=entropy_cases,
    no_slope="The entropy is the target's own, which is not learnt; at 0 its slope is infinite.",
    curve=Curve(between(0.0, 1.0), lambda x: Case((coin(x),)), "probability of heads", "entropy of a coin"),
    predictions=(
        Prediction(
            "fair", "the entropy of a fair coin", lambda: float(entropy(coin(0.5))), "Each side surprises by ln 2."
        ),
        Prediction(
            "sure",
            "the entropy of a coin that always shows heads",
            lambda: float(entropy(coin(1.0))),
            "What always happens surprises nobody, and what never happens is never met.",
        ),
        Prediction(
            "most",
            "the distribution of most entropy",
            lambda: "uniform" if float(entropy(SOME).max()) < float(entropy(torch.ones(1, 6) / 6)) else "none",
            "Nothing is less predictable than outcomes that are all alike. Over K of them it is ln K.",
            ("uniform", "sure", "none"),
        ),
    ),
    hints=(
        "An average weighs each surprise by how often it is met. There is one number for each row: along which "
        "dimension lie a row's outcomes?",
        "`torch.xlogy(x, y)` is $x \\log y$, and 0 where $x = 0$. `torch.where(q > 0, …, 0)` does it too.",
    ),
    misconceptions=(
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
    ),
)


# ------------------------------------------------------------------------------- kl_cross_entropy


def pair_cases(generator: Generator) -> Sequence[Case]:
    """Draw log-probabilities of a model and target distributions, zeros on either side among them."""
    even = rows([0.25, 0.25, 0.5])
    p = rows([0.05, 0.95, 0.0], [0.0, 0.3, 0.7], [0.0, 1.0, 0.0], [0.0, 0.4, 0.6])
    q = rows([0.96, 0.04, 0.0], [0.0, 0.5, 0.5], [0.0, 1.0, 0.0], [1e-8, 0.5, 0.5])
    return [
        Case((even.log(), rows([0.1, 0.5, 0.4])), note="the average is over q, the second argument"),
        Case((even.log(), even), note="the model is right"),
        Case((even.log(), rows([0.5, 0.5, 0.0])), note="q = 0: the outcome costs nothing"),
        Case((rows([0.5, 0.5, 0.0]).log(), rows([0.3, 0.7, 0.0])), note="q = 0 and log p = −inf: still nothing"),
        Case((rows([1.0, 0.0]).log(), rows([0.5, 0.5])), note="the model ruled out what happens: inf", slope=0),
        Case((rows([-200.0, 0.0]), rows([0.5, 0.5])), note="e^−200 is 0 in float32, its logarithm is −200"),
        Case((rows([-30.0, 0.0]), rows([1e-4, 0.9999])), note="a rare outcome, to the model far rarer: it counts"),
        Case((p.log(), q), note="zeros in other places in each row; the last: impossible, and it happens", slope=0),
        Case((normal(generator, 5, 4).log_softmax(1), normal(generator, 5, 4).softmax(1)), note="random"),
        Case((normal(generator, 2, 60).log_softmax(1), normal(generator, 2, 60).softmax(1)), note="60 outcomes"),
    ]


def cross_entropy_of_rows(log_p: Tensor, q: Tensor) -> Tensor:
    """Return the cross-entropy of each row: −Σ q log p."""
    return -times(q, log_p).sum(1)


def happens(q: Tensor, x: Tensor) -> Tensor:
    """Return q · x where q is positive, and 0 where q is 0, whatever x is."""
    return torch.where(q > 0, q * x, torch.zeros_like(q))


KL_CROSS_ENTROPY = Exercise(
    "kl.kl_cross_entropy",
    points=2,
    reference=cross_entropy_of_rows,
    cases=pair_cases,
    gradient=True,
    curve=PAIR,
    predictions=(
        Prediction(
            "below",
            'the answer to "can it be less than the entropy of q?"',
            lambda: (
                "yes" if bool((cross_entropy_of_rows(SOME.log(), SOME[:1]) < entropy(SOME[:1]) - 1e-6).any()) else "no"
            ),
            "Who believes q itself is surprised least. What a false belief costs beyond that is the next exercise.",
            ("yes", "no"),
        ),
    ),
    hints=(
        "`0 * -inf` is `nan` in floating point, so the product alone will not do. Choose the terms with `torch.where`.",
        "The model is already in logarithms. If you take a log of the first argument, you take it twice.",
        "`torch.where(condition, a, b)` is $a$ where the condition holds, else $b$. Ask about $q$ alone: an "
        "infinite price must stay.",
    ),
    folded=2,
    misconceptions=(
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
            "`nan_to_num` replaces infinities as well as nan, unless it is told otherwise. An inf that is right must "
            "stay.",
        ),
        Misconception(
            "the minus forgotten",
            lambda log_p, q: happens(q, log_p).sum(1),
            "Log-probabilities are negative or 0, and a cost is not. Look at the sign.",
        ),
        Misconception("the mean over outcomes instead of their sum", lambda log_p, q: -happens(q, log_p).mean(1), MEAN),
    ),
)


# ---------------------------------------------------------------------------------------- kl_each


def divergence_of_rows(log_p: Tensor, q: Tensor) -> Tensor:
    """Return the divergence of each row: Σ q (log q − log p)."""
    return times(q, q.log() - log_p).sum(1)


KL_EACH = Exercise(
    "kl.kl_each",
    points=2,
    reference=divergence_of_rows,
    cases=pair_cases,
    gradient=True,
    curve=PAIR,
    predictions=(
        Prediction(
            "terms",
            "the number of negative terms",
            lambda: float((coin(0.5) * (coin(0.5) / coin(0.95)).log() < 0).sum()),
            "A term is negative where the model gives more than there is to give: here to the first outcome.",
        ),
        Prediction(
            "below",
            'the answer to "can the sum be negative?"',
            lambda: "yes" if bool((divergence_of_rows(SOME.log(), SOME[:1]) < -1e-6).any()) else "no",
            "What is given to one outcome is taken from others, and there it costs more than was saved.",
            ("yes", "no"),
        ),
    ),
    hints=(
        "You have written both parts already.",
        "Or write it in one, and choose the terms with `torch.where`. If a model that is right does not score 0, the "
        "wrong distribution stands in front of the logarithm.",
    ),
    misconceptions=(
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
    ),
)


# ----------------------------------------------------------------------------------- kl_batchmean


def batch_cases(generator: Generator) -> Sequence[Case]:
    """Draw batches: the example that tutorials print, sequences, and a target with a zero."""
    z = rows([0.5, 1.0, 0.8], [0.2, 0.4, 0.6])
    q = rows([0.3, 0.4, 0.3], [0.1, 0.5, 0.4])
    sure = rows([-50.0, 0.0, -60.0], [0.0, -45.0, -30.0]), rows([0.96, 0.0395, 0.0005], [0.0, 0.02, 0.98])
    sequences = normal(generator, 3, 4, 5).log_softmax(2), normal(generator, 3, 4, 5).softmax(2)
    return [
        Case((z.log_softmax(1), q), note="two samples, three classes: divide by 2, not by 6"),
        Case((z[:1].log_softmax(1), rows([0.5, 0.5, 0.0])), note="0 log 0 is 0"),
        Case((q.log(), q), note="the model is right: 0"),
        Case(sure, note="a model that is sure, and wrong"),
        Case((rows([-200.0, 0.0]), rows([0.5, 0.5])), note="e^−200 is 0 in float32, its logarithm is −200"),
        Case((normal(generator, 7, 3).log_softmax(1), normal(generator, 7, 3).softmax(1)), note="random"),
        Case(sequences, note="shape (N, L, K): divide by N alone"),
    ]


KL_BATCHMEAN = Exercise(
    "kl.kl_batchmean",
    points=2,
    reference=lambda log_p, q: kl_div(log_p, q, reduction="batchmean"),
    cases=batch_cases,
    gradient=True,
    curve=Curve(
        between(0.02, 0.98),
        lambda x: Case((coin(x).log().repeat(3, 1), coin(0.7).repeat(3, 1))),
        HEADS,
        "three coins, each with heads 0.7",
    ),
    predictions=(
        Prediction(
            "divided_by",
            "what yours is divided by to give PyTorch's default",
            lambda: float(
                kl_div(THREE[0], THREE[1], reduction="batchmean") / kl_div(THREE[0], THREE[1], reduction="none").mean()
            ),
            "The default divides by all elements, and there are 3 to a sample. The loss is a third, and the step with "
            "it.",
        ),
    ),
    hints=(
        "How many samples are there, and how many numbers would `.mean()` divide by?",
        r"The terms are those of exercise 3. `torch.xlogy` minds the zeros in $q \log q$; $\log p$ is finite here.",
    ),
    folded=1,
    misconceptions=(
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
    ),
)


# -------------------------------------------------------------------------------- kl_distillation


def distillation(z: Tensor, z_teacher: Tensor, y: Tensor, T: float, alpha: float) -> Tensor:
    """Return (1 − α) · CE(z, y) + α · T² · KL(softmax(teacher / T) ‖ softmax(student / T)), averaged over samples."""
    log_p = (z / T).log_softmax(1)
    log_q = (z_teacher / T).log_softmax(1)
    soft = kl_div(log_p, log_q, reduction="batchmean", log_target=True)
    return (1 - alpha) * cross_entropy(z, y) + alpha * T**2 * soft


def distillation_cases(generator: Generator) -> Sequence[Case]:
    """Draw logits of a student and of a teacher, labels, a temperature and a weight."""
    T, alpha = round(float(uniform(generator, 1, low=0.4, high=5.0)), 2), round(float(uniform(generator, 1)), 2)
    z, z_teacher = rows([1.0, -0.5, 0.2], [0.3, 0.9, -1.0]), rows([2.0, 1.0, 0.0], [-1.0, 0.5, 3.0])
    y = torch.tensor([0, 2])
    low = rows([-80.0, -81.5, -83.25], [-90.0, -84.0, -90.5]), rows([-62.0, -60.5, -61.0], [-70.0, -70.25, -65.0])
    student, teacher = normal(generator, 6, 5), normal(generator, 6, 5, scale=3.0)
    return [
        Case((z, z_teacher, y, 1.0, 0.0), note="α = 0: the labels alone"),
        Case((rows([0.0, 40.0]), rows([1.0, 0.5]), y[:1] + 1, 2.0, 0.0), note="α = 0, sure and right: 0"),
        Case((*low, y, 2.0, 0.5), note="logits far below 0: only differences count"),
        Case((z, z_teacher, y, 1.0, 1.0), note="T = 1, α = 1: KL alone, every sample used"),
        Case((z_teacher, z_teacher, y, 4.0, 1.0), note="the student equals the teacher: 0"),
        Case((z, z_teacher, y, 4.0, 1.0), note="T = 4: both divided by T, and the factor T²"),
        Case((student, teacher, integers(generator, 5, 6), 2.0, 0.5), note="random"),
        Case((student, 100 * teacher, integers(generator, 5, 6), 3.0, 0.7), note="a very sure teacher: 0 log 0"),
        Case((100 * student, teacher, integers(generator, 5, 6), 0.5, 0.4), note="a very sure student, and T below 1"),
        Case((*(2 * normal(generator, 2, 3, 4)), integers(generator, 4, 3), T, alpha), note="random T and α"),
    ]


# The names that F.cross_entropy, F.nll_loss and F.kl_div pass through, and that of the loss to be mended: an answer
# that still calls it is wrong by its numbers.
DISTILLING = frozenset(["binary_cross_entropy", "cross_entropy", "cross_entropy_loss", "kl_div"])
DISTILLING |= frozenset(["nll_loss", "nll_loss_nd", "nll_loss_forward"])


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


KL_DISTILLATION = Exercise(
    "kl.kl_distillation",
    points=3,
    reference=distillation,
    cases=distillation_cases,
    gradient=True,
    atol=1e-5,
    why="The factor T² multiplies the rounding of a divergence whose terms cancel.",
    allowed=DISTILLING,
    curve=Curve(
        between(0.5, 8.0, 31),
        lambda x: Case((rows([1.0, -0.5, 0.2]), rows([4.0, 1.0, 0.0]), torch.tensor([1]), x, 0.5)),
        "the temperature T",
        "the loss at α = 0.5",
    ),
    predictions=(
        Prediction(
            "equal",
            "the loss of a student that equals its teacher",
            lambda: float(distillation(SOME.log(), SOME.log(), torch.zeros(len(SOME)).long(), 4.0, 1.0)),
            "At α = 1 the divergence is all there is, and it is 0 between equals.",
        ),
        Prediction(
            "weaker",
            "the factor by which the teacher is too weak",
            lambda: float(
                distillation(SOME.log(), SOME.flip(1).log(), torch.zeros(len(SOME)).long(), 4.0, 1.0)
                / soft(SOME.log(), SOME.flip(1).log(), 4.0)
            ),
            "T² is 16. No curve shows that it is missing: the loss falls, and the labels have the last word.",
        ),
    ),
    hints=(
        "Print `z[:0:2].shape`. What is the mean of nothing?",
        "A student that equals its teacher should be charged nothing by the second part. Is it?",
        r"At $\alpha = 1$ the best student has softmax($z / T$) equal to the teacher's side. Solve for $z$: is it "
        "the teacher's logits?",
        "The gradient of the second part shrinks as $1 / T^2$. What restores it?",
        'For the second part take `F.kl_div` with `reduction="batchmean"`. It wants log-probabilities first, and '
        "the target as probabilities, unless `log_target=True`.",
    ),
    folded=4,
    misconceptions=(
        Misconception(
            "the empty slice left in",
            unmended,
            "Between the start and index 0 there is nothing, and a mean of nothing is nan. Every sample is to be used.",
        ),
        Misconception(
            "binary cross-entropy for the divergence",
            lambda z, v, y, T, a: mixed(z, y, a, T**2 * binary(z, v, T)),
            "Binary cross-entropy takes each class for a coin of its own, and is not 0 for a student equal to its "
            "teacher.",
        ),
        Misconception(
            "the teacher not divided by T",
            lambda z, v, y, T, a: mixed(z, y, a, T**2 * soft(z, v, T, teacher_T=1.0)),
            "A student equal to its teacher must be charged nothing. Which of the two is softened here, and which is "
            "not?",
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
            'The second part is divided by N times K. `"mean"`, the default of `F.kl_div`, is not the mean over '
            "samples.",
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
            "A student equal to its teacher must be charged nothing, and cross-entropy charges it the teacher's "
            "entropy.",
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
            "Where someone is very sure, a softmax is 0 and its logarithm −inf. Ask for the log-probabilities "
            "directly.",
        ),
    ),
)


# ---------------------------------------------------------------------------------- kl_directions


def both_directions(log_p: Tensor, log_q: Tensor) -> Tensor:
    """Return KL(q ‖ p) and KL(p ‖ q) of one target and C candidates, shape (2, C)."""
    q_to_p = (log_q.exp() * (log_q - log_p)).sum(1)
    p_to_q = (log_p.exp() * (log_p - log_q)).sum(1)
    return torch.stack([q_to_p, p_to_q])


def direction_cases(generator: Generator) -> Sequence[Case]:
    """Draw candidates, shape (C, K), and one target, shape (K,), as log-probabilities."""
    peaks = torch.tensor([0.49, 0.01, 0.01, 0.49]).log()
    wide, narrow = rows([0.25, 0.25, 0.25, 0.25]).log(), rows([0.97, 0.01, 0.01, 0.01]).log()
    far = rows([0.0, -200.0, -150.0], [-200.0, 0.0, -1.0]).log_softmax(1)
    return [
        Case((torch.cat([wide, narrow]), peaks), note="row 0 averages over q, row 1 over p"),
        Case((torch.cat([wide, peaks[None]]), narrow[0]), note="a narrow target"),
        Case((peaks[None], peaks), note="one candidate, the target itself: zeros, shape (2, 1)"),
        Case((far, torch.tensor([-120.0, 0.5, 0.0]).log_softmax(0)), note="exp underflows to 0, the logarithms do not"),
        Case((normal(generator, 4, 5).log_softmax(1), normal(generator, 5).log_softmax(0)), note="random"),
        Case((normal(generator, 4, 4).log_softmax(1), normal(generator, 4).log_softmax(0)), note="as many as outcomes"),
    ]


def both(log_p: Tensor, log_q: Tensor) -> tuple[Tensor, Tensor]:
    """Return KL(q ‖ p) and KL(p ‖ q), terms not summed."""
    return log_q.exp() * (log_q - log_p), log_p.exp() * (log_p - log_q)


def from_probabilities(log_p: Tensor, log_q: Tensor) -> Tensor:
    """Return both directions by taking the logarithms of exponentials."""
    p, q = log_p.exp(), log_q.exp()
    return torch.stack([(q * (q.log() - p.log())).sum(1), (p * (p.log() - q.log())).sum(1)])


def _widths_of_the_nearest() -> Tensor:
    """Return the widths of the Gaussians that are nearest to a target with two peaks, in the two directions."""
    x, widths = torch.linspace(-10, 10, 201), torch.linspace(0.3, 4, 38)
    mu, sigma = torch.meshgrid(torch.linspace(-4, 4, 41), widths, indexing="ij")

    def on_grid(mu: Tensor, sigma: Tensor) -> Tensor:
        return (-0.5 * ((x - mu) / sigma) ** 2).log_softmax(-1)

    peaks = torch.logaddexp(*(on_grid(torch.tensor(at), torch.tensor(0.7)) for at in (-2.0, 2.5)))
    candidates = on_grid(mu.reshape(-1, 1), sigma.reshape(-1, 1))
    return sigma.flatten()[both_directions(candidates, peaks.log_softmax(0)).argmin(1)]


KL_DIRECTIONS = Exercise(
    "kl.kl_directions",
    points=2,
    reference=both_directions,
    cases=direction_cases,
    gradient=True,
    curve=Curve(
        between(0.02, 0.98),
        lambda x: Case((coin(x).log(), coin(0.7).log()[0])),
        "the candidate's probability of heads",
        "KL(q ‖ p), q with heads 0.7",
    ),
    predictions=(
        Prediction(
            "covers",
            "the direction that covers both peaks",
            lambda: ("KL(q ‖ p)", "KL(p ‖ q)")[int(_widths_of_the_nearest().argmax())],
            "Averaged over q, what the model leaves out costs most, so it leaves nothing out. Averaged over p, what it "
            "makes up costs most, so it keeps to one peak.",
            ("KL(q ‖ p)", "KL(p ‖ q)"),
        ),
    ),
    hints=(
        "The distribution that stands first is the one you average over: it stands in front of the logarithms.",
        "`log_q` of shape $(K,)$ broadcasts against `log_p` of shape $(C, K)$. Sum over the last dimension, then "
        "`torch.stack` the two.",
    ),
    misconceptions=(
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
    ),
)


# ---------------------------------------------------------------------------------- kl_python_sum


def vector_cases(generator: Generator) -> Sequence[Case]:
    """Draw one distribution over n classes, and a target over them."""
    return [
        Case((torch.tensor([0.5, 0.25, 0.25]).log(), torch.tensor([0.1, 0.5, 0.4])), note="three classes"),
        Case((torch.tensor([0.5, 0.5]).log(), torch.tensor([0.5, 0.5])), note="the model is right: 0"),
        Case((torch.tensor([-50.0, 0.0]), torch.tensor([0.97, 0.03])), note="a model that is sure, and wrong"),
        Case((torch.tensor([-200.0, 0.0]), torch.tensor([0.5, 0.5])), note="e^−200 is 0, its logarithm is −200"),
        Case((normal(generator, 40).log_softmax(0), normal(generator, 40).softmax(0)), note="random"),
        Case((normal(generator, 300).log_softmax(0), normal(generator, 300).softmax(0)), note="300 classes"),
    ]


def divergence_of_vectors(log_p: Tensor, q: Tensor) -> Tensor:
    """Return the divergence of one target over n classes, shape ()."""
    return kl_div(log_p, q, reduction="sum")


VECTOR = Curve(between(0.02, 0.98), lambda x: Case((coin(x).log()[0], coin(0.7)[0])), HEADS, PAIR.ylabel)


def vector_work(generator: Generator, n: int) -> Case:
    """Draw a model and a target over n classes."""
    return Case((normal(generator, n).log_softmax(0), normal(generator, n).softmax(0)))


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


KL_PYTHON_SUM = Exercise(
    "kl.kl_python_sum",
    points=1,
    reference=divergence_of_vectors,
    cases=vector_cases,
    number_too=RACED,
    no_slope=RACED,
    curve=VECTOR,
    work=Work(vector_work, vectorised=False),
    hints=(
        "The terms are those of exercise 3. They may all be computed at once; only their sum is Python's.",
        "`sum(x)` walks through a tensor of shape (n,) and adds up its elements, one after another.",
    ),
    folded=0,
    misconceptions=(
        Misconception(
            "torch's sum instead of Python's",
            lambda log_p, q: torch.sum(terms(log_p, q)),
            "The number is right, and torch added it up. This one is for Python's built-in `sum`.",
            **BY_TORCH,
        ),
        exact_sum_for_pythons(lambda log_p, q: math.fsum(terms(log_p, q).tolist())),
        *of_vectors(sum),
    ),
)


# ----------------------------------------------------------------------------------- kl_torch_sum


KL_TORCH_SUM = Exercise(
    "kl.kl_torch_sum",
    points=1,
    reference=divergence_of_vectors,
    cases=vector_cases,
    gradient=True,
    curve=VECTOR,
    work=Work(vector_work, vectorised=True),
    hints=(
        "The terms are those of Python's sum. No probability is zero here, so there is nothing to choose.",
        "`torch.sum` of a whole tensor gives one of shape ().",
    ),
    folded=0,
    misconceptions=(
        Misconception(
            "Python's sum instead of torch's",
            lambda log_p, q: sum(terms(log_p, q)),
            "The number is right, and Python added it up one element at a time. This one is for `torch.sum`.",
            **BY_PYTHON,
        ),
        *of_vectors(torch.sum),
    ),
)


# -------------------------------------------------------------------------------------- kl_choice


COVERING, KEEPING = ("forecast", "imitate"), ("publish", "sample")  # KL(q ‖ p) for these, and KL(p ‖ q)


def candidates_that_tell(generator: Generator, C: int, K: int) -> tuple[Tensor, Tensor]:
    """Draw candidates and a target for which the two directions, and their sum, each choose another one."""
    while True:
        log_p = normal(generator, C, K, scale=2.0).log_softmax(1)
        log_q = normal(generator, K, scale=2.0).log_softmax(0)
        found = both_directions(log_p, log_q)
        chosen = [int(each.argmin()) for each in (found[0], found[1], found.sum(0))]
        gaps = [float(each.sort().values.diff()[0]) for each in (found[0], found[1])]
        if len({*chosen}) == 3 and min(gaps) > 0.01:
            return log_p, log_q


def choice_cases(generator: Generator) -> Sequence[Case]:
    """Draw candidates and targets, for each aim three times."""
    peaks = torch.tensor([0.49, 0.01, 0.01, 0.49]).log()
    wide, narrow = rows([0.25, 0.25, 0.25, 0.25]).log(), rows([0.97, 0.01, 0.01, 0.01]).log()
    two = torch.cat([wide, narrow])
    cases = [Case((two, torch.tensor([0.75, 0.02, 0.02, 0.21]).log(), aim), note="one is wide") for aim in KEEPING]
    cases += [Case((two, peaks, aim), note="two peaks, and one candidate is wide") for aim in COVERING]
    for aim in (*COVERING, *KEEPING):
        for C, K in ((8, 5), (6, 9)):
            cases.append(Case((*candidates_that_tell(generator, C, K), aim), note="random"))
    return cases


def best_candidate(log_p: Tensor, log_q: Tensor, aim: str) -> int:
    """Return the index of the candidate of least divergence, in the direction that the aim asks for."""
    return int(both_directions(log_p, log_q)[int(aim in KEEPING)].argmin())


def _by_row(row: int) -> Callable[[Tensor, Tensor, str], int]:
    return lambda log_p, log_q, aim: int(both_directions(log_p, log_q)[row].argmin())


KL_CHOICE = Exercise(
    "kl.kl_choice",
    points=2,
    reference=best_candidate,
    cases=choice_cases,
    hints=(
        "Ask of each aim: from which of the two are the outcomes drawn that are paid for? That one is averaged over, "
        "and it stands first.",
        "A forecast is scored on what happens, and a file holds what happened: both are draws from $q$. What is "
        "published, and what a machine can draw, comes from $p$.",
        "`kl_directions` gives both rows: take one of them by the aim. `.argmin()` is the place of the least.",
    ),
    folded=2,
    misconceptions=(
        Misconception(
            "KL(q ‖ p) whatever the aim",
            _by_row(0),
            "One direction does for all aims in yours. Where the outcomes that are paid for come from the model, it is "
            "the model that is averaged over.",
        ),
        Misconception(
            "KL(p ‖ q) whatever the aim",
            _by_row(1),
            "One direction does for all aims in yours. Where the outcomes that are paid for are those that happen, it "
            "is what happens that is averaged over.",
        ),
        Misconception(
            "the two directions exchanged",
            lambda log_p, log_q, aim: int(both_directions(log_p, log_q)[int(aim in COVERING)].argmin()),
            "You tell the aims apart, and give each the other's direction. What stands first is averaged over.",
        ),
        Misconception(
            "the sum of both directions",
            lambda log_p, log_q, aim: int(both_directions(log_p, log_q).sum(0).argmin()),
            "The sum serves no aim fully: decide for each which of the two mistakes is paid for.",
        ),
        Misconception(
            "the worst candidate",
            lambda log_p, log_q, aim: int(both_directions(log_p, log_q)[int(aim in KEEPING)].argmax()),
            "A divergence is a cost: the best candidate has the least.",
        ),
        Misconception(
            "the divergence for the candidate",
            lambda log_p, log_q, aim: float(both_directions(log_p, log_q)[int(aim in KEEPING)].min()),
            "That is what the best candidate costs. Which one is it?",
        ),
        Misconception(
            "imitation taken for publishing",
            lambda log_p, log_q, aim: best_candidate(log_p, log_q, "publish" if aim == "imitate" else aim),
            "Who has a file of examples can average over these alone: over draws from q.",
        ),
        Misconception(
            "sampling taken for forecasting",
            lambda log_p, log_q, aim: best_candidate(log_p, log_q, "forecast" if aim == "sample" else aim),
            "Nobody can draw from that q. An average can only be taken over what can be drawn.",
        ),
    ),
)


# --------------------------------------------------------------------------------- distilled_logits


TAUGHT, UNSEEN = 60, 8_000  # people to learn from, and people held out
TOLD = ("health", "diseases", "limited", "coinsurance", "deductible")


@cache
def people() -> tuple[Tensor, Tensor]:
    """Return what is known of people, shape (20190, 5), and how often they see a doctor, four classes."""
    table = randhie()
    x = torch.stack([table[name] for name in TOLD], 1).float()
    return x, torch.bucketize(table["visits"], torch.tensor([0.5, 2.5, 5.5], dtype=torch.float64))


@cache
def teacher() -> tuple[Tensor, Tensor]:
    """Return who is not among the teacher's 9,990 people, and its logits of all, shape (20190, 4).

    It is a linear model of the five facts, their squares and their products. Rows that follow each other are often of
    one person, so whole blocks of 30 are the teacher's.
    """
    x, y = people()
    blocks = torch.arange(len(x)).view(-1, 30)[torch.randperm(673, generator=Generator().manual_seed(0))]
    its, others = blocks[:333].flatten(), blocks[333:].flatten()
    facts = (x - x.mean(0)) / x.std(0)
    products = [facts[:, i : i + 1] * facts[:, i:] for i in range(4)]  # what is 0 or 1 needs no square
    wide = torch.linalg.qr(torch.cat([torch.ones(len(x), 1), facts, *products], 1))[0] * len(x) ** 0.5
    w = torch.zeros(wide.shape[1], 4)
    hot = F.one_hot(y[its], 4).float()
    for _ in range(60):
        w = w - 2.0 * wide[its].T @ ((wide[its] @ w).softmax(1) - hot) / len(its)
    return others, wide @ w


def teaching_cases(generator: Generator) -> Sequence[Case]:
    """Draw, three times, 60 people whom the teacher is asked about, and 8,000 who are held out."""
    (x, y), (others, said) = people(), teacher()
    cases = []
    for number in ("first", "second", "third"):
        order = others[torch.randperm(len(others), generator=generator)]
        seen, new = order[:TAUGHT], order[TAUGHT : TAUGHT + UNSEEN]
        cases.append(Case((x[seen], said[seen], y[seen], x[new]), note=f"the {number} draw of people", kept=y[new]))
    return cases


def by_targets(x: Tensor, q: Tensor, x_new: Tensor) -> Tensor:
    """Return the logits of a linear softmax regression on target distributions, by gradient descent."""
    mean, spread = x.mean(0), x.std(0).clamp(min=1e-6)

    def scaled(rows: Tensor) -> Tensor:
        return torch.cat([(rows - mean) / spread, rows.new_ones(len(rows), 1)], 1)

    rows = scaled(x)
    w = rows.new_zeros(rows.shape[1], q.shape[1])
    for _ in range(100):
        w = w - rows.T @ ((rows @ w).softmax(1) - q) / len(rows)
    return scaled(x_new) @ w


def by_the_teacher(x: Tensor, z_teacher: Tensor, y: Tensor, x_new: Tensor) -> Tensor:
    """Return the logits of a student that learns from the teacher's distributions alone."""
    return by_targets(x, z_teacher.softmax(1), x_new)


def by_labels(x: Tensor, z_teacher: Tensor, y: Tensor, x_new: Tensor) -> Tensor:
    """Return the logits of a student that learns from the labels alone."""
    return by_targets(x, F.one_hot(y, 4).float(), x_new)


def _visits_loss(z: Tensor, y: Tensor) -> float:
    return float(cross_entropy(z, y))


# 1.343 is the best constant's; 1.60 a student's of labels alone, 1.36 of both by halves, 1.312 of the teacher alone;
# 1.306 is the teacher's own.
VISITS_TO_BEAT = 1.33


def _one_draw() -> tuple[Tensor, ...]:
    (case, *_) = teaching_cases(Generator().manual_seed(0))
    return (*case.args, case.kept)


def _of_labels_against_a_constant() -> str:
    x, z_teacher, y, x_new, new = _one_draw()
    constant = entropy(torch.bincount(new, minlength=4)[None] / len(new))
    return "worse" if _visits_loss(by_labels(x, z_teacher, y, x_new), new) > float(constant) else "better"


DISTILLED_LOGITS = Exercise(
    "kl.distilled_logits",
    points=3,
    reference=by_the_teacher,
    cases=teaching_cases,
    allowed=DISTILLING,
    score=Score("the loss on people held out", _visits_loss, VISITS_TO_BEAT),
    no_slope="What is asked for is what a trained model says; nothing is trained through it.",
    predictions=(
        Prediction(
            "constant",
            "the score of the best constant",
            lambda: float(entropy(rows([0.31, 0.33, 0.21, 0.15]))),
            "It is the entropy of the four shares.",
        ),
        Prediction(
            "labels",
            "what labels alone make of 60 people, against that constant,",
            _of_labels_against_a_constant,
            "Sixty labels are few, and chance is great: what a linear model makes of them is mostly learnt by heart.",
            ("better", "worse"),
        ),
    ),
    hints=(
        "Look at the inputs first: one goes up to 100, another to 1. Subtract the mean of each column and divide by "
        "its spread, and do the same, with the same numbers, to `x_new`.",
        r"A linear model will do, $z = x^{\top} W + b$ from zeros, trained by your loss of exercise 5. "
        "`torch.autograd.grad(loss, [W, b])` gives the slopes; a hundred steps of size 1 are enough once the columns "
        "are scaled.",
        "Who is to be believed, the teacher or the labels? A label says what happened once, and the teacher how often "
        r"each of the four happens to people like this one. Try $\alpha = 0$, ½ and 1.",
    ),
    misconceptions=(
        Misconception(
            "logits that are not finite",
            lambda x, z_teacher, y, x_new: by_the_teacher(x, z_teacher, y, x_new) / 0,
            "Some are infinite or nan: training has run away. Scale the columns first, or take smaller steps.",
            sign=lambda z, y: not bool(z.isfinite().all()),
        ),
        Misconception(
            "the same answer for all people",
            lambda x, z_teacher, y, x_new: z_teacher.mean(0).expand(len(x_new), 4),
            "Everyone gets the same logits: what is known of a person has no part in them. That is the best constant "
            "at most.",
            sign=lambda z, y: bool((z - z[0]).abs().max() < 1e-6),
        ),
        Misconception(
            "probabilities in place of logits",
            lambda x, z_teacher, y, x_new: by_the_teacher(x, z_teacher, y, x_new).softmax(1),
            "Each row lies in 0 to 1 and adds up to 1. A logit is any real number: leave the softmax to the loss.",
            sign=lambda z, y: bool(((z >= 0) & (z <= 1)).all() and ((z.sum(1) - 1).abs() < 1e-3).all()),
        ),
        Misconception(
            "the sign turned",
            lambda x, z_teacher, y, x_new: -by_the_teacher(x, z_teacher, y, x_new),
            "With the opposite sign your logits would do it: the step goes uphill.",
            sign=lambda z, y: _visits_loss(-z, y) < VISITS_TO_BEAT,
        ),
        Misconception(
            "labels alone, learnt by heart",
            by_labels,
            "Half of your logits would score better: this model is too sure. Few labels, or classes that a teacher "
            "would have chosen, are learnt by heart. How much of the teacher's distribution is in your loss?",
            sign=lambda z, y: _visits_loss(z / 2, y) < _visits_loss(z, y) - 0.01,
        ),
        Misconception(
            "logits that are far too small",
            lambda x, z_teacher, y, x_new: by_the_teacher(x, z_teacher, y, x_new) / 8,
            "Three times your logits would score better. They were divided by a temperature, or training has hardly "
            "begun: without scaled columns a step is far too short for some of them.",
            sign=lambda z, y: _visits_loss(3 * z, y) < _visits_loss(z, y) - 0.01,
        ),
    ),
)
