"""The exercises of lesson 04: one-hot multiclass cross-entropy."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Generator, Tensor

from lossbook.checks.bounds import Array, Traffic, bound_exercise, for_each_sample
from lossbook.checks.exercise import (
    ACTIVATIONS,
    BY_PYTHON,
    BY_TORCH,
    RACED,
    Case,
    Curve,
    Exercise,
    Misconception,
    Work,
    integers,
    normal,
    prediction,
    uniform,
)
from lossbook.losses import cross_entropy, multiclass, nll_loss


def exact_softmax(z: Tensor) -> Tensor:
    """Return the softmax of each row, from its logarithm."""
    return multiclass.log_softmax(z, 1).exp()


def label_cases(generator: Generator) -> Sequence[Case]:
    """Draw logits and the indices of the classes that happened."""
    return [
        Case((torch.zeros(1, 3), torch.tensor([1])), note="a uniform guess: every p is ⅓"),
        Case((torch.tensor([[2.0, 0.0, -1.0], [0.0, 1.0, 3.0]]), torch.tensor([0, 0])), note="right once, wrong once"),
        Case((torch.tensor([[200.0, 0.0, 0.0]]), torch.tensor([2])), note="sure and wrong: 200 behind"),
        Case((torch.tensor([[-1000.0, 0.0], [1000.0, 0.0]]), torch.tensor([0, 1])), note="e^1000 overflows"),
        Case(
            (torch.tensor([[-1000.0, -1001.0], [500.0, 499.5]]), torch.tensor([1, 0])),
            note="far from zero, both ways: one maximum a row",
        ),
        Case((torch.tensor([[4.0], [-2.0]]), torch.tensor([0, 0])), note="a single class: nothing to be learnt"),
        Case((torch.tensor([[0.0, 9.003]]), torch.tensor([0])), note="in float32: float16 knows no 9.003"),
        Case((normal(generator, 4, 4), integers(generator, 4, 4)), note="random, as many samples as classes"),
        Case((normal(generator, 9, 3, scale=3.0), integers(generator, 3, 9)), note="random"),
        Case((normal(generator, 50, 10), integers(generator, 10, 50)), note="50 samples of 10 classes"),
    ]


# The lesson: the functions of torch.nn.functional, and torch.softmax, torch.log_softmax and torch.logsumexp, "are for
# checking, not for the answer".
BY_HAND = ACTIVATIONS | {"logsumexp"}
LOGITS = tuple(0.25 * i for i in range(-16, 17))


def swept(*more: object) -> Callable[[float], Case]:
    """Return what sweeps the first of three logits, the others being 0, with these arguments after them."""
    return lambda x: Case((torch.tensor([[x, 0.0, 0.0]]), *more))


RIGHT_LOGIT = "the right logit, the two others 0"
LOSS_CURVE = Curve(LOGITS, swept(torch.tensor([0])), RIGHT_LOGIT, "loss")


def lse(z: Tensor) -> Tensor:
    """Return the log-sum-exp of each row, shape (N,)."""
    m = z.amax(1)
    return m + torch.log(torch.exp(z - m[:, None]).sum(1))


def log_p(z: Tensor) -> Tensor:
    """Return the log-probabilities, shape (N, K)."""
    return z - lse(z)[:, None]


def p(z: Tensor) -> Tensor:
    """Return the probabilities, shape (N, K)."""
    e = torch.exp(z - z.amax(1, keepdim=True))
    return e / e.sum(1, keepdim=True)


def at(table: Tensor, y: Tensor) -> Tensor:
    """Return one entry of each row, shape (N,)."""
    return table[torch.arange(len(y)), y]


def losses(z: Tensor, y: Tensor) -> Tensor:
    """Return the losses of single samples, shape (N,)."""
    return -at(log_p(z), y)


def hot(table: Tensor, y: Tensor) -> Tensor:
    """Return the labels as rows of floats, shape (N, K)."""
    return torch.eye(table.shape[1])[y]


def over(e: Tensor) -> Tensor:
    """Return each row over its sum."""
    return e / e.sum(1, keepdim=True)


# ---------------------------------------------------------------------------------------- softmax


def row_cases(generator: Generator) -> Sequence[Case]:
    """Draw rows of logits: by hand, at the extremes, and at random."""
    return [
        Case((torch.tensor([[0.0, 0.0, 0.0]]),), note="all alike"),
        Case((torch.tensor([[0.5, 1.0, 0.8], [0.2, 0.4, 0.6]]),), note="each row is one sample"),
        Case(
            (torch.tensor([[2.0, 0.0], [102.0, 100.0]]),), note="the second row is the first, shifted: e^102 overflows"
        ),
        Case((torch.tensor([[1000.0, 0.0, -1000.0], [-1000.0, -1001.0, -1002.0]]),), note="far from zero, both ways"),
        Case((torch.tensor([[-500.0, -500.5], [300.0, 299.0]]),), note="one maximum a row, not one for all rows"),
        Case((torch.tensor([[7.0], [-3.0]]),), note="a single class"),
        Case((normal(generator, 3, 3, scale=2.0),), note="random, as many samples as classes"),
        Case((normal(generator, 5, 4, scale=3.0),), note="random"),
    ]


FIRST_LOGIT = "the first logit, the two others 0"
PROBABILITIES = "Probabilities are what is asked for; the losses further down are what is trained with."


def without_keepdim(z: Tensor) -> Tensor:
    """Divide by a sum whose shape is (N,)."""
    e = torch.exp(z - z.amax(1, keepdim=True))
    return e / e.sum(1)


SOFTMAX = Exercise(
    "multiclass.softmax",
    points=2,
    reference=exact_softmax,
    cases=row_cases,
    forbidden=BY_HAND,
    curve=Curve(LOGITS, swept(), FIRST_LOGIT, "its probability"),
    no_slope=PROBABILITIES,
    hints=(
        "`x.sum(1, keepdim=True)` adds along each row and has the shape $(N, 1)$, by which an $(N, K)$ tensor can be "
        "divided. `x.sum()` adds everything.",
        r"A constant $c$ added to all logits of a row cancels: $e^{z_k + c} / \sum_j e^{z_j + c} = e^{z_k} / \sum_j "
        "e^{z_j}$. Choose the $c$ that makes no exponent positive.",
        "That $c$ is minus the largest logit of the row, and `z.amax(1, keepdim=True)` has them all, in the shape "
        "$(N, 1)$.",
    ),
    folded=2,
    misconceptions=(
        Misconception(
            "the formula as on paper, which overflows",
            lambda z: over(torch.exp(z)),
            "e^1000 is no float. The answer stays the same when a constant is added to a row: choose one that helps.",
        ),
        Misconception(
            "a softmax down the columns",
            lambda z: p(z.T).T,
            "A sample is a row, and its probabilities sum to 1. Look at what `dim` your sum and maximum run over.",
        ),
        Misconception(
            "one maximum for all rows",
            lambda z: over(torch.exp(z - z.max())),
            "A row far below the largest logit of the batch becomes 0 / 0. Give each row a maximum of its own.",
        ),
        Misconception(
            "the sum has lost its dimension",
            without_keepdim,
            "A sum of shape (N,) is laid along the columns, not the rows. What does `keepdim=True` change?",
        ),
        Misconception(
            "a sigmoid for each class",
            torch.sigmoid,
            "The classes share one unit of probability, so each divides by the sum over all of them.",
        ),
        Misconception(
            "the logarithm of the softmax",
            log_p,
            "What is asked for are the probabilities themselves: positive, and with a sum of 1.",
        ),
        Misconception(
            "the softmax applied twice",
            lambda z: p(p(z)),
            "Probabilities went through the softmax again, as if they were logits. Once is enough.",
        ),
    ),
)


# -------------------------------------------------------------------------------------- logsumexp


def row_logsumexp(z: Tensor) -> Tensor:
    """Return the log-sum-exp of each row, shape (N,)."""
    return multiclass.logsumexp(z, 1).squeeze(1)


LOGSUMEXP = Exercise(
    "multiclass.logsumexp",
    points=2,
    reference=row_logsumexp,
    cases=row_cases,
    forbidden=BY_HAND,
    gradient=True,
    curve=Curve(LOGITS, swept(), FIRST_LOGIT, "log-sum-exp"),
    hints=(
        r"Take $e^m$ out of the sum, with $m$ the largest logit of the row: $\log \bigl( e^m \sum_j e^{z_j - m} "
        r"\bigr)$.",
        r"$m + \log \sum_j e^{z_j - m}$. Each row has its own $m$: `z.amax(1)` has the shape $(N,)$, `z.amax(1, "
        "keepdim=True)` has $(N, 1)$.",
    ),
    misconceptions=(
        Misconception(
            "the formula as on paper, which overflows",
            lambda z: torch.log(torch.exp(z).sum(1)),
            "e^1000 is no float. Take the largest factor out of the sum before anything is exponentiated.",
        ),
        Misconception(
            "the maximum taken off and not added back",
            lambda z: lse(z) - z.amax(1),
            "Adding 5 to all logits of a row must add 5 to its log-sum-exp. What you took out of the sum belongs back.",
        ),
        Misconception(
            "the maximum alone",
            lambda z: z.amax(1),
            "Two equal logits of 0 give log 2, not 0. The other terms of the sum count too.",
        ),
        Misconception(
            "a dimension too many",
            lambda z: lse(z)[:, None],
            "The result has one number a row, in the shape (N,); a column has the shape (N, 1).",
        ),
        Misconception(
            "summed down the columns",
            lambda z: lse(z.T),
            "A sample is a row. Look at what `dim` your sum and maximum run over.",
        ),
        Misconception(
            "one maximum for all rows",
            lambda z: z.max() + torch.log(torch.exp(z - z.max()).sum(1)),
            "A row far below the largest logit of the batch becomes log 0. Give each row a maximum of its own.",
        ),
        Misconception(
            "the gradient cut off",
            lambda z: lse(z.detach()),
            "The numbers are right, but nothing flows back to the logits: stay with tensors, no `detach`, no `item`.",
        ),
    ),
)


# ---------------------------------------------------------------------------- cross_entropy_index


CROSS_ENTROPY_INDEX = Exercise(
    "multiclass.cross_entropy_index",
    points=3,
    reference=lambda z, y: cross_entropy(z, y),
    cases=label_cases,
    forbidden=BY_HAND,
    gradient=True,
    curve=LOSS_CURVE,
    hints=(
        r"$-\log p_y = -\log \bigl( e^{z_y} / \sum_j e^{z_j} \bigr)$. The logarithm of a quotient is a difference, "
        "and you have written one of its two terms.",
        "`z[torch.arange(len(z)), y]`, or `z.gather(1, y[:, None])`, picks one entry of each row. `z[:, y]` is "
        "something else: look at its shape.",
        r"A sample costs $\operatorname{lse}(z) - z_y$: your log-sum-exp minus the right logit. Then comes the mean.",
    ),
    folded=2,
    misconceptions=(
        Misconception(
            "the minus forgotten",
            lambda z, y: -losses(z, y).mean(),
            "A logarithm of a probability is never positive, and a loss here is never negative.",
        ),
        Misconception(
            "the sum for the mean",
            lambda z, y: losses(z, y).sum(),
            "The loss of twice as many samples would be twice as large. What is asked for is the mean.",
        ),
        Misconception(
            "a mean over N·K numbers",
            lambda z, y: -(hot(z, y) * log_p(z)).mean(),
            "Each sample has one loss, however many classes there are. The zeros of a one-hot row are no samples.",
        ),
        Misconception(
            "the logits taken for log-probabilities",
            lambda z, y: -at(z, y).mean(),
            "Logits are not normalised. The log-probability of a class is its logit minus something of the whole row.",
        ),
        Misconception(
            "a softmax too many",
            lambda z, y: losses(p(z), y).mean(),
            "The probabilities went through another softmax, as if they were logits. The loss starts from `z`.",
        ),
        Misconception(
            "the logarithm of a probability that has become 0",
            lambda z, y: -torch.log(at(p(z), y)).mean(),
            "A probability of e^−200 is 0 in float32, and its logarithm infinite. Subtract logarithms: never divide.",
        ),
        Misconception(
            "every column, not one entry a row",
            lambda z, y: -log_p(z)[:, y].mean(),
            "`[:, y]` takes N whole columns, an N by N table. Each row needs one entry, in a column of its own.",
        ),
    ),
)


# ------------------------------------------------------------------------- cross_entropy_gradient


def gradient_of_cross_entropy(z: Tensor, y: Tensor) -> Tensor:
    """Return the gradient of the mean cross-entropy from logits: (p − one-hot) / N."""
    return (exact_softmax(z) - torch.nn.functional.one_hot(y, z.shape[1])) / len(z)


CROSS_ENTROPY_GRADIENT = Exercise(
    "multiclass.cross_entropy_gradient",
    points=2,
    reference=gradient_of_cross_entropy,
    cases=label_cases,
    forbidden=BY_HAND | {"backward", "grad"},  # the lesson: "from the formula and not by backward"
    no_slope="The answer is a gradient itself, from its formula.",
    curve=Curve(LOGITS, swept(torch.tensor([0])), RIGHT_LOGIT, "its entry in the gradient"),
    hints=(
        r"One sample's loss is $\operatorname{lse}(z) - z_y$. The gradient of log-sum-exp is the softmax.",
        r"What the model said minus what happened: $p_k - [\,y = k\,]$. The mean over $N$ samples leaves a factor $1 "
        "/ N$.",
    ),
    misconceptions=(
        Misconception(
            "the other sign",
            lambda z, y: (hot(z, y) - p(z)) / len(z),
            "A step *against* the gradient must raise the right logit, so its entry in the gradient is negative.",
        ),
        Misconception(
            "the gradient of the sum",
            lambda z, y: p(z) - hot(z, y),
            "The loss is a mean over the samples. What does that do to each of its gradients?",
        ),
        Misconception(
            "divided by N·K",
            lambda z, y: (p(z) - hot(z, y)) / z.numel(),
            "The mean is over the samples alone: the number of classes is no part of it.",
        ),
        Misconception(
            "the logits taken for probabilities",
            lambda z, y: (z - hot(z, y)) / len(z),
            "What happened is compared with a *probability*. A row of the gradient sums to 0; does yours?",
        ),
        Misconception(
            "the number of the class for its indicator",
            lambda z, y: (p(z) - y[:, None]) / len(z),
            "`y` holds names of classes, not amounts: 1 is taken off in one column, and nothing in the others.",
        ),
        Misconception(
            "a softmax down the columns",
            lambda z, y: (p(z.T).T - hot(z, y)) / len(z),
            "A sample is a row, and its probabilities sum to 1. Look at what `dim` the softmax runs over.",
        ),
        Misconception(
            "the right class alone",
            lambda z, y: (p(z) - 1) * hot(z, y) / len(z),
            "The other logits are in the log-sum-exp too: each of them is pushed down by its probability.",
        ),
    ),
)


# ------------------------------------------------------------------------- cross_entropy_smoothed


def smoothed_cases(generator: Generator) -> Sequence[Case]:
    """Draw logits, class indices and a share given to all classes alike."""
    return [
        Case((torch.zeros(1, 4), torch.tensor([2]), 0.1), note="a uniform guess: ln 4, however much is smoothed"),
        Case((torch.tensor([[2.0, 0.0, -1.0]]), torch.tensor([0]), 0.0), note="no smoothing"),
        Case((torch.tensor([[2.0, 0.0, -1.0]]), torch.tensor([0]), 1.0), note="nothing left of the label"),
        Case(
            (torch.tensor([[2.0, 0.0]]), torch.tensor([0]), 0.2),
            note="the right class keeps 1 − ε + ε/K = 0.9: the uniform part has all K classes in it",
        ),
        Case((torch.tensor([[300.0, 0.0, 0.0]]), torch.tensor([0]), 0.1), note="far from zero: too sure costs 20"),
        Case((torch.tensor([[0.0, 300.0, 300.0]]), torch.tensor([0]), 0.1), note="far from zero: sure and wrong"),
        Case(
            (torch.tensor([[-1000.0, -1001.0], [500.0, 499.5]]), torch.tensor([1, 0]), 0.25),
            note="far from zero, both ways: one maximum a row",
        ),
        Case((normal(generator, 6, 5, scale=2.0), integers(generator, 5, 6), 0.1), note="random"),
        Case((normal(generator, 3, 3), integers(generator, 3, 3), 0.3), note="random, as many samples as classes"),
    ]


QUARTERS = tuple(0.25 * i for i in range(41))


def leading(x: float) -> Case:
    """Return one sample of ten classes whose right logit leads by x."""
    return Case((torch.tensor([[x] + [0.0] * 9]), torch.tensor([0]), 0.1))


def spread_over_the_others(z: Tensor, y: Tensor, eps: float) -> Tensor:
    """Give ε to the K − 1 wrong classes."""
    q = eps / (z.shape[1] - 1) * (1 - hot(z, y)) + (1 - eps) * hot(z, y)
    return -(q * log_p(z)).sum(1).mean()


def smoothed_on_paper(z: Tensor, y: Tensor, eps: float) -> Tensor:
    """Take the logarithm of a softmax that overflows."""
    log = torch.log(over(torch.exp(z)))
    return (-(1 - eps) * at(log, y) - eps * log.mean(1)).mean()


CROSS_ENTROPY_SMOOTHED = Exercise(
    "multiclass.cross_entropy_smoothed",
    points=2,
    reference=lambda z, y, eps: cross_entropy(z, y, label_smoothing=eps),
    cases=smoothed_cases,
    forbidden=BY_HAND,
    gradient=True,
    curve=Curve(QUARTERS, leading, "lead of the right logit, ten classes, ε = 0.1", "loss"),
    hints=(
        r"$-\log p_k = \operatorname{lse}(z) - z_k$ for every class at once, by broadcasting $(N, 1)$ against $(N, "
        "K)$.",
        r"The uniform part is the mean of $-\log p_k$ over *all* $K$ classes, the right one too. Spread over the $K - "
        "1$ wrong ones, it would be another loss.",
    ),
    misconceptions=(
        Misconception(
            "spread over the K − 1 wrong classes",
            spread_over_the_others,
            "The uniform distribution has all K classes in it: the right one gets its share back.",
        ),
        Misconception(
            "nothing taken off the label",
            lambda z, y, eps: (losses(z, y) - eps * log_p(z).mean(1)).mean(),
            "The mixture's probabilities must sum to 1. What is given to all classes is taken from the label.",
        ),
        Misconception(
            "no smoothing",
            lambda z, y, eps: losses(z, y).mean(),
            "This is the loss of exercise 3: `eps` makes no difference to it.",
        ),
        Misconception(
            "ε and 1 − ε swapped",
            lambda z, y, eps: (eps * losses(z, y) - (1 - eps) * log_p(z).mean(1)).mean(),
            "With ε = 0 the loss is that of exercise 3. Which of the two parts is left in yours?",
        ),
        Misconception(
            "ε for every class, not ε / K",
            lambda z, y, eps: ((1 - eps) * losses(z, y) - eps * log_p(z).sum(1)).mean(),
            "The K classes share ε between them. Count how much probability your target has in all.",
        ),
        Misconception(
            "the formula as on paper, which overflows",
            smoothed_on_paper,
            "Build it on the log-sum-exp of exercise 2: a probability that has become 0 has no logarithm.",
        ),
    ),
)


# ------------------------------------------------------------------------- cross_entropy_weighted


def losing_by_hand() -> Tensor:
    """Return probabilities of two classes that cost 0.2, 0.3 and 0.4 where the classes 0, 1 and 1 happen."""
    right = torch.exp(-torch.tensor([0.2, 0.3, 0.4]))
    return torch.stack([torch.stack([right[0], 1 - right[0]]), *(torch.stack([1 - q, q]) for q in right[1:])])


def weighted_cases(generator: Generator) -> Sequence[Case]:
    """Draw logits, class indices and one weight a class."""
    return [
        Case(
            (torch.log(losing_by_hand()), torch.tensor([0, 1, 1]), torch.tensor([1.0, 2.0])),
            note="losses 0.2, 0.3, 0.4; the mean is 1.6 / (1 + 2 + 2) = 0.32",
        ),
        Case((normal(generator, 4, 3), integers(generator, 3, 4), torch.ones(3)), note="weights of 1 change nothing"),
        Case(
            (normal(generator, 4, 3), integers(generator, 3, 4), torch.full((3,), 5.0)),
            note="nor do weights that are all 5",
        ),
        Case(
            (normal(generator, 1, 3), torch.tensor([2]), torch.tensor([1.0, 1.0, 9.0])),
            note="one sample: its weight cancels",
        ),
        Case((torch.tensor([[400.0, 0.0]]), torch.tensor([1]), torch.tensor([1.0, 0.5])), note="far from zero"),
        Case(
            (torch.tensor([[-1000.0, -1001.0], [500.0, 499.5]]), torch.tensor([1, 0]), torch.tensor([3.0, 0.5])),
            note="far from zero, both ways: one maximum a row",
        ),
        Case(
            (normal(generator, 3, 3), torch.tensor([0, 2, 2]), torch.tensor([0.0, 4.0, 1.5])),
            note="a weight of 0: the class does not count",
        ),
        Case(
            (normal(generator, 9, 4, scale=2.0), integers(generator, 4, 9), uniform(generator, 4, low=0.1, high=3.0)),
            note="random",
        ),
    ]


def weighed(x: float) -> Case:
    """Return losses of 0.2 in class 0 and of 0.3 and 0.4 in class 1, which has the weight x."""
    return Case((torch.log(losing_by_hand()), torch.tensor([0, 1, 1]), torch.tensor([1.0, x])))


CROSS_ENTROPY_WEIGHTED = Exercise(
    "multiclass.cross_entropy_weighted",
    points=2,
    reference=lambda z, y, w: cross_entropy(z, y, w),
    cases=weighted_cases,
    forbidden=BY_HAND,
    gradient=True,
    curve=Curve(QUARTERS, weighed, "weight of class 1; that of class 0 is 1", "mean of 0.2 and 0.3, 0.4"),
    hints=(
        "`w` has one weight a *class*. `w[y]` has one weight a *sample*.",
        r"Three different sums could stand below: $N$, $\sum_k w_k$ and $\sum_n w_{y_n}$. If one and the same weight "
        "for every class changes your result, it is not the third.",
    ),
    misconceptions=(
        Misconception(
            "divided by N",
            lambda z, y, w: (w[y] * losses(z, y)).mean(),
            "Weights of 5 for every class would multiply your result by 5. Divide by the weights that were used.",
        ),
        Misconception(
            "divided by the sum over the classes",
            lambda z, y, w: (w[y] * losses(z, y)).sum() / w.sum(),
            "A class with many samples counts many times above, and so it must below: add the weights of the samples.",
        ),
        Misconception(
            "not divided",
            lambda z, y, w: (w[y] * losses(z, y)).sum(),
            "This is a weighted sum. In a weighted mean the weights add up to 1.",
        ),
        Misconception(
            "not weighted",
            lambda z, y, w: losses(z, y).mean(),
            "This is the loss of exercise 3: `w` makes no difference to it.",
        ),
        Misconception(
            "the logits weighted",
            lambda z, y, w: losses(z * w, y).mean(),
            "A weight multiplies the *loss* of a sample. The probabilities stay those of exercise 1.",
        ),
        Misconception(
            "the weights inside the logarithm",
            lambda z, y, w: (losses(z, y) - torch.log(w[y])).mean(),
            "A weight inside the logarithm only adds a constant. It belongs in front of it.",
        ),
        Misconception(
            "divided twice",
            lambda z, y, w: (w[y] * losses(z, y)).mean() / w[y].sum(),
            "The sum of the weights of the samples already stands for N. One division is enough.",
        ),
    ),
)


# ----------------------------------------------------------------------- cross_entropy_python_sum


# So large that a step a sample is more than the lines that PyTorch itself runs for the operations of a loss.
SIZES = (120, 1200)


def summed(generator: Generator, n: int) -> Case:
    """Draw n samples of three classes."""
    return Case((normal(generator, n, 3), integers(generator, 3, n)))


def both_ways(total: Callable[[Tensor], Any]) -> tuple[Misconception, ...]:
    """Return what goes wrong in the sum over the samples, whoever adds it up."""
    return (
        Misconception(
            "the minus forgotten",
            lambda z, y: -total(losses(z, y)) / len(y),
            "A logarithm of a probability is never positive, and a loss here is never negative.",
        ),
        Misconception(
            "the sum, not divided",
            lambda z, y: total(losses(z, y)),
            "The loss of twice as many samples would be twice as large. Divide by how many there are.",
        ),
        Misconception(
            "divided by N·K",
            lambda z, y: total(losses(z, y)) / z.numel(),
            "Each sample has one loss, however many classes there are: count the losses you added, not the logits.",
        ),
        Misconception(
            "divided by the number of classes",
            lambda z, y: total(losses(z, y)) / z.shape[1],
            "`z` has a row for each sample: its first size is N and its second K. The mean is over the samples.",
        ),
        Misconception(
            "the logits taken for log-probabilities",
            lambda z, y: -total(at(z, y)) / len(y),
            "The log-probability of the right class is its logit minus the log-sum-exp of the row.",
        ),
        Misconception(
            "the exponentials overflow",
            lambda z, y: total(torch.log(torch.exp(z).sum(1)) - at(z, y)) / len(y),
            "e^1000 is no float. Use the log-sum-exp of exercise 2, which takes the largest logit out first.",
        ),
    )


CROSS_ENTROPY_PYTHON_SUM = Exercise(
    "multiclass.cross_entropy_python_sum",
    points=1,
    reference=lambda z, y: cross_entropy(z, y),
    cases=label_cases,
    forbidden=BY_HAND,
    number_too=RACED,
    no_slope=RACED,
    work=Work(summed, vectorised=False, sizes=SIZES),
    curve=LOSS_CURVE,
    hints=(
        "Begin as in exercise 3, and stop before the mean: a tensor of shape $(N,)$, one loss a sample.",
        "Python's `sum` takes a tensor of shape $(N,)$ as it takes a list. `len` says how many losses it has.",
    ),
    folded=0,
    misconceptions=(
        Misconception(
            "torch.sum for Python's sum",
            lambda z, y: losses(z, y).sum() / len(y),
            "The number is right. Here it is to be added up one sample at a time, by Python's built-in `sum`.",
            **BY_TORCH,
        ),
        *both_ways(lambda each: sum(each)),
    ),
)


# ------------------------------------------------------------------------ cross_entropy_torch_sum


CROSS_ENTROPY_TORCH_SUM = Exercise(
    "multiclass.cross_entropy_torch_sum",
    points=1,
    reference=lambda z, y: cross_entropy(z, y),
    cases=label_cases,
    forbidden=BY_HAND,
    gradient=True,
    work=Work(summed, vectorised=True, sizes=SIZES),
    curve=LOSS_CURVE,
    hints=(
        "The first line is that of the function with Python's sum: one loss a sample, in a tensor of shape $(N,)$.",
        "Only the name of the sum changes: `torch.sum` adds the whole tensor up in one call.",
    ),
    folded=0,
    misconceptions=(
        Misconception(
            "Python's sum for torch.sum",
            lambda z, y: sum(losses(z, y)) / len(y),
            "The number is right. Here one call of PyTorch is to add up all samples, with no step of Python for each.",
            **BY_PYTHON,
        ),
        *both_ways(torch.sum),
    ),
)


# ------------------------------------------------------------------ predict_cross_entropy_seconds


PREDICT_CROSS_ENTROPY_SECONDS = bound_exercise(
    "multiclass.predict_cross_entropy_seconds",
    Traffic(Array("z", columns=4), Array("y", width=8)),
    misconceptions=(
        for_each_sample(
            12,
            "one logit of each row, and its index",
            "The right class's logit is looked up. And what does the log-sum-exp look at?",
        ),
    ),
)


# ---------------------------------------------------------------------------------- one_hot_bytes


def byte_cases(generator: Generator) -> Sequence[Case]:
    """Draw numbers of samples and classes."""
    return [
        Case((1, 2), note="8 bytes for an index, two floats of 4 for its one-hot row"),
        Case((100, 10), note="100 labels of 10 classes"),
        Case((8192, 50257), note="a language model"),
        Case((int(integers(generator, 1000, 1)) + 1, int(integers(generator, 1000, 1)) + 2), note="random"),
    ]


def target_bytes(N: int, K: int) -> tuple[int, int]:
    """Return the bytes of N int64 class indices, and of the same labels as float32 one-hot rows."""
    return 8 * N, 4 * N * K


ONE_HOT_BYTES = Exercise(
    "multiclass.one_hot_bytes",
    points=1,
    reference=target_bytes,
    cases=byte_cases,
    rtol=1e-9,
    why="Bytes are counted: a number of them is right to the last digit.",
    hints=(
        "A byte is 8 bits: how many bytes does one int64 take, and how many one float32?",
        "Count the numbers that are stored: one for each label in the first way, a row of $K$ for each in the second.",
    ),
    folded=0,
    misconceptions=(
        Misconception(
            "the two swapped",
            lambda N, K: (4 * N * K, 8 * N),
            "The docstring gives the order: indices first, one-hot rows second.",
        ),
        Misconception(
            "8 bytes for a number of a one-hot row",
            lambda N, K: (8 * N, 8 * N * K),
            "The rows are float32: 32 bits a number. How many bytes are that?",
        ),
        Misconception(
            "4 bytes for an index",
            lambda N, K: (4 * N, 4 * N * K),
            "The indices are int64: 64 bits each. How many bytes are that?",
        ),
        Misconception(
            "the numbers counted, not their bytes",
            lambda N, K: (N, N * K),
            "Each count is right. Multiply it by the bytes of one number of its type.",
        ),
        Misconception(
            "bits for bytes",
            lambda N, K: (64 * N, 32 * N * K),
            "The 64 of int64 and the 32 of float32 are bits: a byte has 8 of them.",
        ),
        Misconception(
            "one byte for a number of a one-hot row",
            lambda N, K: (8 * N, N * K),
            "A 0 or a 1 would fit a byte, but these rows are float32: what does one number take there?",
        ),
        Misconception(
            "the one-hot rows alone",
            lambda N, K: 4 * N * K,
            "Two numbers are asked for: return a pair, as in `return a, b`.",
        ),
    ),
)


# -------------------------------------------------------------------------- cross_entropy_one_hot


def log_probability_cases(generator: Generator) -> Sequence[Case]:
    """Draw log-probabilities and the indices of the classes that happened."""
    return [
        Case(
            (torch.log(torch.tensor([[0.2, 0.7, 0.1]])), torch.tensor([1])),
            note="one sample: −log 0.7; no label is the last class",
        ),
        Case(
            (torch.log(torch.tensor([[0.5, 0.5], [0.9, 0.1], [0.25, 0.75]])), torch.tensor([0, 1, 1])),
            note="three samples",
        ),
        Case((torch.full((4, 5), -math.log(5)), torch.tensor([4, 0, 4, 2])), note="a uniform guess: ln 5"),
        Case(
            (torch.tensor([[-200.0, -math.log(2), -math.log(2)]]), torch.tensor([0])), note="sure and wrong: costs 200"
        ),
        Case(
            (multiclass.log_softmax(normal(generator, 4, 4), 1), integers(generator, 4, 4)),
            note="random, as many samples as classes",
        ),
        Case((multiclass.log_softmax(normal(generator, 30, 7), 1), integers(generator, 7, 30)), note="random"),
    ]


def looked_up(x: float) -> Case:
    """Return one sample whose class had the probability x."""
    return Case((torch.log(torch.tensor([[x, (1 - x) / 2, (1 - x) / 2]])), torch.tensor([0])))


LOOK_UP_CURVE = Curve(tuple(0.03 * i for i in range(1, 33)), looked_up, "probability of what happened", "loss")


def with_its_absence(log_p: Tensor, y: Tensor) -> Tensor:
    """Add the binary cross-entropies of K classes."""
    q = hot(log_p, y)
    return -(q * log_p + (1 - q) * torch.log1p(-torch.exp(log_p))).sum(1).mean()


CROSS_ENTROPY_ONE_HOT = Exercise(
    "multiclass.cross_entropy_one_hot",
    points=1,
    reference=lambda log_p, y: nll_loss(log_p, y),
    cases=log_probability_cases,
    forbidden=BY_HAND,
    gradient=True,
    curve=LOOK_UP_CURVE,
    hints=(
        "`torch.zeros_like(log_p)` is the empty table. Row $n$ gets its 1 in column $y_n$.",
        "The table times `log_p`, entry by entry, leaves one number other than 0 in each row. Add up each row, and "
        "then take the mean over the rows.",
    ),
    folded=1,
    misconceptions=(
        Misconception(
            "the minus forgotten",
            lambda log_p, y: (hot(log_p, y) * log_p).sum(1).mean(),
            "A log-probability is never positive, and a loss here is never negative.",
        ),
        Misconception(
            "a mean over N·K numbers",
            lambda log_p, y: -(hot(log_p, y) * log_p).mean(),
            "The products of a row are added up; the mean is over the samples alone.",
        ),
        Misconception(
            "the sum for the mean",
            lambda log_p, y: -(hot(log_p, y) * log_p).sum(),
            "The loss of twice as many samples would be twice as large. What is asked for is the mean.",
        ),
        Misconception(
            "the number of the class for its one-hot row",
            lambda log_p, y: -(y[:, None] * log_p).sum(1).mean(),
            "`y` holds names of classes, not amounts. Its row has a single 1, in that column.",
        ),
        Misconception(
            "a second logarithm",
            lambda log_p, y: -(hot(log_p, y) * torch.log(log_p)).sum(1).mean(),
            "Log-probabilities are given: the logarithm has been taken already, and they have none of their own.",
        ),
        Misconception(
            "the absence of the other classes counted too",
            with_its_absence,
            "This is the loss of K separate yes-or-no questions. Here the zeros of the row cost nothing.",
        ),
        Misconception(
            "a product of matrices for one of entries",
            lambda log_p, y: -(hot(log_p, y).T @ log_p).mean(),
            "`@` mixes the samples. Entry meets entry with `*`, and then each row is added up.",
        ),
    ),
)


# --------------------------------------------------------------------------- cross_entropy_gather


def picked_cases(generator: Generator) -> Sequence[Case]:
    """Draw the same, and a class that is impossible."""
    impossible = torch.tensor([[-math.inf, math.log(0.25), math.log(0.75)]])
    return [
        *log_probability_cases(generator),
        Case((impossible, torch.tensor([1])), note="class 0 is impossible; class 1 happened, and costs −log 0.25"),
    ]


CROSS_ENTROPY_GATHER = Exercise(
    "multiclass.cross_entropy_gather",
    points=1,
    reference=lambda log_p, y: nll_loss(log_p, y),
    cases=picked_cases,
    forbidden=BY_HAND,
    gradient=True,
    curve=LOOK_UP_CURVE,
    hints=(
        r"$0 \cdot (-\infty)$ is `nan`. A look-up does not multiply.",
        "`gather` along the classes wants the indices as a column: `y[:, None]` has the shape $(N, 1)$.",
    ),
    folded=1,
    misconceptions=(
        Misconception(
            "multiplied after all",
            lambda log_p, y: -(hot(log_p, y) * log_p).sum(1).mean(),
            "0 · (−∞) is `nan`. Pick the entry that counts and leave the others untouched.",
        ),
        Misconception(
            "the minus forgotten",
            lambda log_p, y: at(log_p, y).mean(),
            "A log-probability is never positive, and a loss here is never negative.",
        ),
        Misconception(
            "the sum for the mean",
            lambda log_p, y: -at(log_p, y).sum(),
            "The loss of twice as many samples would be twice as large. What is asked for is the mean.",
        ),
        Misconception(
            "every column, not one entry a row",
            lambda log_p, y: -log_p[:, y].mean(),
            "`[:, y]` takes N whole columns, an N by N table. Each row needs one entry, in a column of its own.",
        ),
        Misconception(
            "looked up down the columns",
            lambda log_p, y: -log_p.gather(0, y[:, None]).mean(),
            "The classes lie along dimension 1. An index into dimension 0 is the number of a sample.",
        ),
        Misconception(
            "a dimension too many",
            lambda log_p, y: -log_p.gather(1, y[:, None]).mean(0),
            "The looked-up entries form a column of shape (N, 1). Its mean is to be a single number, of shape ().",
        ),
        Misconception(
            "classes counted from 1",
            lambda log_p, y: -at(log_p, y - 1).mean(),
            "The indices start at 0, as Python's do: class 0 is the first column.",
        ),
    ),
)


# -------------------------------------------------------------------------- predict_one_hot_ratio


PREDICT_ONE_HOT_RATIO = prediction(
    "multiclass.predict_one_hot_ratio",
    0.01,
    1e6,
    "a ratio of times",
)
