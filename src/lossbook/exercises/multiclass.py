"""The exercises of lesson 04: one-hot multiclass cross-entropy."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Generator, Tensor

from lossbook.checks.exercise import (
    ACTIVATIONS,
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
    held_out,
    integers,
    normal,
    uniform,
)
from lossbook.data import anes96
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
SHIFTED = torch.tensor([[2.0, 0.0, -1.0]])
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
    predictions=(
        Prediction(
            "shifted",
            "what changes when 100 is added to each logit",
            lambda: "nothing" if torch.equal(p(SHIFTED), p(SHIFTED + 100)) else "all",
            "A factor of e^100 stands above and below the line, and cancels.",
            ("nothing", "the largest", "all"),
        ),
        Prediction(
            "on_paper",
            "the formula as it stands, at a logit of 1000,",
            lambda: f"{over(torch.exp(torch.tensor([[1000.0, 0.0]])))[0, 0]:g}",
            "e^1000 is infinite in float32, above the line and below it.",
            ("1", "inf", "nan"),
        ),
    ),
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
    predictions=(
        Prediction(
            "most",
            "what the log-sum-exp of five logits is above the largest, at most,",
            lambda: float(row_logsumexp(torch.zeros(1, 5))),
            "With m taken out, the sum has five terms of which none is above 1: it is ln 5 where all logits are equal.",
        ),
    ),
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
    predictions=(
        Prediction(
            "equal",
            "the loss of ten equal logits",
            lambda: float(cross_entropy(torch.zeros(1, 10), torch.tensor([0]))),
            "Each class gets a tenth, and −log of a tenth is ln 10.",
        ),
    ),
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


def slopes_of_pets() -> Tensor:
    """Return the slopes where a model says 0.6, 0.3 and 0.1, and the second class happens."""
    return gradient_of_cross_entropy(torch.tensor([[0.6, 0.3, 0.1]]).double().log(), torch.tensor([1]))[0]


CROSS_ENTROPY_GRADIENT = Exercise(
    "multiclass.cross_entropy_gradient",
    points=2,
    reference=gradient_of_cross_entropy,
    cases=label_cases,
    forbidden=BY_HAND | {"backward", "grad"},  # the lesson: "from the formula and not by backward"
    no_slope="The answer is a gradient itself, from its formula.",
    curve=Curve(LOGITS, swept(torch.tensor([0])), RIGHT_LOGIT, "its entry in the gradient"),
    predictions=(
        Prediction(
            "dog",
            "the slope in the dog's logit",
            lambda: float(slopes_of_pets()[1]),
            "It is what the model said minus what happened, 0.3 − 1.",
        ),
        Prediction(
            "total",
            "the sum of the three slopes",
            lambda: round(float(slopes_of_pets().sum()), 6),
            "The probabilities add up to 1, and so does what happened.",
        ),
    ),
    hints=(
        r"One sample's loss is $\operatorname{lse}(z) - z_y$. What does each of the two do when a single logit grows"
        " a little?",
        r"The gradient of log-sum-exp is the softmax; that of $z_y$ is 1 for the right class and 0 for the others. The "
        r"mean over $N$ samples leaves a factor $1 / N$.",
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


def smoothed_cost(lead: float) -> float:
    """Return the smoothed loss of one sample of ten classes whose right logit leads."""
    z, y, eps = leading(lead).args
    return float(cross_entropy(z, y, label_smoothing=eps))


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
    predictions=(
        Prediction(
            "lead",
            "the lead of the right logit that costs least",
            lambda: math.log((1 - 0.1 + 0.1 / 10) / (0.1 / 10)),
            "The model should say what the target says, 0.91 and 0.01, and logits differ by the logarithm of the "
            "ratio.",
        ),
        Prediction(
            "more",
            "the cost of a larger lead",
            lambda: "higher" if smoothed_cost(6.0) > smoothed_cost(math.log(91)) else "lower",
            "It makes the other nine classes less likely than the target says, and each of them costs.",
            ("lower", "higher"),
        ),
    ),
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


def weighed_alone(weight: float) -> float:
    """Return the weighted mean over the second of the samples alone, to six decimals."""
    z, y, w = weighed(weight).args
    return round(float(cross_entropy(z[1:2], y[1:2], w)), 6)


CROSS_ENTROPY_WEIGHTED = Exercise(
    "multiclass.cross_entropy_weighted",
    points=2,
    reference=lambda z, y, w: cross_entropy(z, y, w),
    cases=weighted_cases,
    forbidden=BY_HAND,
    gradient=True,
    curve=Curve(QUARTERS, weighed, "weight of class 1; that of class 0 is 1", "mean of 0.2 and 0.3, 0.4"),
    predictions=(
        Prediction(
            "mean",
            "the weighted mean",
            lambda: float(cross_entropy(*weighed(2.0).args)),
            "It is 0.2 + 2 · 0.3 + 2 · 0.4, over the weights of the three samples, 1 + 2 + 2.",
        ),
        Prediction(
            "left",
            "what is left of the weights in a batch of one",
            lambda: "nothing" if weighed_alone(2.0) == weighed_alone(7.0) else "the weight",
            "The loss is multiplied by its weight and divided by it.",
            ("nothing", "the weight", "its share"),
        ),
    ),
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


# ------------------------------------------------------------------------------------- label_loss


def one_hot_rows(generator: Generator, n: int, k: int) -> Tensor:
    """Draw n one-hot rows of k classes."""
    return torch.eye(k)[integers(generator, k, n)]


def coins(generator: Generator, n: int, k: int) -> Tensor:
    """Draw n rows of k zeros and ones that know nothing of each other, not all of them with a single one."""
    rows = integers(generator, 2, n, k).float()
    rows[0] = 0
    rows[1] = 1
    return rows


def tables(generator: Generator) -> Sequence[Case]:
    """Draw tables of labels of three kinds."""
    n, k = 6 + int(integers(generator, 10)), 3 + int(integers(generator, 5))
    votes = torch.stack([one_hot_rows(generator, n, k) for _ in range(5)]).mean(0)
    votes[0] = torch.eye(k)[0]  # of one mind, once
    said = exact_softmax(normal(generator, n, k))
    while bool((said.sum(1) == 1).all()):  # to the last digit: mostly they are not
        said = exact_softmax(normal(generator, n, k))
    balanced = torch.zeros(4, k)
    balanced[:2, :2] = 1
    some = coins(generator, n, k)
    some[some.sum(1) == 0, 0] = 1
    at_most_one = one_hot_rows(generator, n, k)
    at_most_one[int(integers(generator, n))] = 0
    columns = one_hot_rows(generator, k, k).T
    columns[:, 0] = torch.eye(k)[1]
    columns[:, 1] = torch.eye(k)[1]
    absent = one_hot_rows(generator, n, k - 1)
    found = [
        Case((one_hot_rows(generator, n, k),), note="what each photograph shows"),
        Case((torch.cat([absent, torch.zeros(n, 1)], 1),), note="the last class does not happen here"),
        Case((one_hot_rows(generator, n, 2),), note="two classes"),
        Case((votes,), note="five people looked at each photograph"),
        Case((said,), note="what another model said of the classes"),
        Case((coins(generator, n, k),), note="tags: several, or none"),
        Case((some,), note="tags: one at least"),
        Case((balanced[torch.randperm(4, generator=generator)],), note="tags, as many of them as there are messages"),
        Case((at_most_one,), note="tags: one, or none"),
        Case((columns,), note="tags: each is used once or twice"),
        Case((uniform(generator, n, k),), note="tags, and how many of those who were asked would set each"),
    ]
    return [found[index] for index in torch.randperm(len(found), generator=generator).tolist()]


def kind_of_labels(q: Tensor, *, sums: Tensor | None = None, slack: float = 1e-4) -> int:
    """Return 0 for rows with a single one, 1 for other rows that share out a unit, 2 for the rest."""
    sums = q.sum(1) if sums is None else sums
    if bool(((sums - 1).abs() > slack).any()):
        return 2
    return 0 if bool(((q == 0) | (q == 1)).all()) else 1


def throw(*rows: tuple[float, ...]) -> str:
    """Say whether rows of labels are thrown with one die, or with coins."""
    return "coins" if kind_of_labels(torch.tensor(rows)) == 2 else "a die"


LABEL_LOSS = Exercise(
    "multiclass.label_loss",
    points=2,
    reference=lambda q: kind_of_labels(q),
    cases=tables,
    predictions=(
        Prediction(
            "animals",
            "what the animals are thrown with",
            lambda: throw((1.0, 0.0, 0.0), (0.0, 0.0, 1.0)),
            "One of them is there, so that the others are not: they share one unit of probability.",
            ("a die", "coins"),
        ),
        Prediction(
            "tags",
            "what the tags are thrown with",
            lambda: throw((1.0, 0.0, 1.0), (0.0, 0.0, 0.0)),
            "One tag says nothing against another, and a message without any is a message too.",
            ("a die", "coins"),
        ),
    ),
    hints=(
        "What do the numbers of a row add up to, if the classes exclude each other? And if each tag has a coin of its "
        "own?",
        "One row decides: where a single one does not add up to 1, there is no die for the table. Sums of float32 "
        "numbers are right to some seven digits, so leave a little slack.",
    ),
    misconceptions=(
        Misconception(
            "rows added up together",
            lambda q: kind_of_labels(q, sums=q.sum(1).mean(0, keepdim=True)),
            "On average tags may add up to 1 as well. Each single row of a die does.",
        ),
        Misconception(
            "a row of zeros overlooked",
            lambda q: kind_of_labels(q, sums=q.sum(1).clamp(min=1)),
            "In one table there are rows without a single class. A softmax gives each sample one; what would it cost "
            "there?",
        ),
        Misconception(
            "columns for rows",
            lambda q: kind_of_labels(q, sums=q.sum(0)),
            "You add up down the columns: that is how often each class happens. A sample is a row.",
        ),
        Misconception(
            "sums compared to the last digit",
            lambda q: kind_of_labels(q, slack=0.0),
            "Numbers in float32 that should add up to 1 may miss it in the seventh digit: allow for a small "
            "difference.",
        ),
        Misconception(
            "whatever is not 0 or 1 taken for coins",
            lambda q: 0 if kind_of_labels(q) == 0 else 2,
            "Labels may be soft and still share one unit: where people do not agree, or another model says them.",
        ),
        Misconception(
            "zeros and ones taken for one class",
            lambda q: 0 if bool(((q == 0) | (q == 1)).all()) else kind_of_labels(q),
            "Tags are zeros and ones too. How many ones may a row have if one class happens?",
        ),
        Misconception(
            "counted from 1",
            lambda q: kind_of_labels(q) + 1,
            "Each number is too large by one: the table begins at 0.",
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
    predictions=(
        Prediction(
            "bytes",
            "the bytes of the rows over those of the indices",
            lambda: 1000 * torch.float32.itemsize / torch.int64.itemsize,
            "A row has a thousand numbers of four bytes, where an index is one of eight.",
        ),
    ),
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


# ----------------------------------------------------------------------------------- party_logits


VOTERS = 600  # to learn from; the others are held out
SAID = ("leaning", "clinton", "dole", "age", "education", "income", "news", "population", "vote")


def party_cases(generator: Generator) -> Sequence[Case]:
    """Draw, three times, who of the 944 voters is learnt from, and who is held out."""
    table = anes96()
    x = torch.stack([table[name] for name in SAID], 1).float()
    return held_out(generator, x, table["party"].long(), VOTERS, "voters")


def held_back(x: Tensor, y: Tensor, x_new: Tensor) -> Tensor:
    """Return the logits of a linear model on scaled inputs, whose weights are held back by a price on their squares."""
    mean, spread = x.mean(0), x.std(0)
    rows, w, b = (x - mean) / spread, x.new_zeros(x.shape[1], 7), x.new_zeros(7)
    for _ in range(60):
        slope = (p(rows @ w + b) - torch.eye(7)[y]) / len(y)
        w, b = w - (rows.T @ slope + 0.003 * w), b - slope.sum(0)
    return (x_new - mean) / spread @ w + b


def _party_loss(z: Tensor, y: Tensor) -> float:
    return float(cross_entropy(z, y))


PARTY_TO_BEAT = (
    1.6  # 1.86 is the best constant's; 1.74 is reached with decisions, 1.62 with `leaning` alone, 1.42 with all
)


def _best_guess(x: Tensor, y: Tensor, x_new: Tensor) -> Tensor:
    return (torch.bincount(y, minlength=7) / len(y)).log().expand(len(x_new), 7)


def _in_another_order(z: Tensor, y: Tensor) -> bool:
    return any(_party_loss(other, y) < PARTY_TO_BEAT for other in (z.flip(1), z.roll(1, 1), z.roll(-1, 1)))


def _far_too_sure(z: Tensor, y: Tensor) -> bool:
    return any(_party_loss(z / c, y) < PARTY_TO_BEAT for c in (2, 4, 16, 64, 256, 1024))


PARTY_LOGITS = Exercise(
    "multiclass.party_logits",
    points=3,
    reference=held_back,
    cases=party_cases,
    score=Score("the loss on voters held out", _party_loss, PARTY_TO_BEAT),
    no_slope="What is asked for is what a trained model says; nothing is trained through it.",
    predictions=(
        Prediction(
            "at_most",
            "the most that the best constant costs",
            lambda: float(cross_entropy(torch.zeros(1, 7), torch.tensor([0]))),
            "It costs the entropy of the shares, which is largest, ln 7, where all are alike.",
        ),
    ),
    hints=(
        "The population goes up to 7,300, the vote to 1. Subtract the mean of each column and divide by its spread, "
        "and do the same, with the same numbers, to `x_new`.",
        r"A linear model is enough: $z = x W + b$ with $W$ of shape $(9, 7)$, from zeros, as in exercise 4. The "
        r"gradient by $W$ is $x^{\top}$ times that by the logits. A step may be 1 once the columns are scaled.",
    ),
    misconceptions=(
        Misconception(
            "logits that are not finite",
            lambda x, y, x_new: held_back(x, y, x_new) / 0,
            "Some are infinite or nan: training has run away. Scale the columns, or take smaller steps.",
            sign=lambda z, y: not bool(z.isfinite().all()),
        ),
        Misconception(
            "one answer for all voters",
            _best_guess,
            "All voters get the same logits: what they said has no part in it. That is the best constant at most.",
            sign=lambda z, y: bool((z == z[0]).all()),
        ),
        Misconception(
            "decisions in place of logits",
            lambda x, y, x_new: torch.eye(7)[held_back(x, y, x_new).argmax(1)],
            "What is scored is how sure you are, and not the likeliest party alone: return the logits themselves.",
            sign=lambda z, y: bool(((z == 0) | (z == 1)).all()),
        ),
        Misconception(
            "probabilities in place of logits",
            lambda x, y, x_new: p(held_back(x, y, x_new)),
            "All your numbers lie between 0 and 1, and a softmax comes after them: leave it to the loss.",
            sign=lambda z, y: bool(((z >= 0) & (z <= 1)).all()),
        ),
        Misconception(
            "the sign turned",
            lambda x, y, x_new: -held_back(x, y, x_new),
            "With the opposite sign your logits would do it: the step goes uphill.",
            sign=lambda z, y: _party_loss(-z, y) < PARTY_TO_BEAT,
        ),
        Misconception(
            "the parties in another order",
            lambda x, y, x_new: held_back(x, y, x_new).roll(1, 1),
            "With its columns in another order your table would do it: the first column is for 0, a strong Democrat.",
            sign=_in_another_order,
        ),
        Misconception(
            "far too sure",
            lambda x, y, x_new: 20 * held_back(x, y, x_new),
            "Divided by some number your logits would do it: the model tells the parties apart and is far too sure. "
            "Inputs that are not scaled, or steps that are too long, do that.",
            sign=_far_too_sure,
        ),
    ),
)
