"""The exercises of lesson 04: one-hot multiclass cross-entropy."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Generator, Tensor

from lossbook.checks.bounds import Array, Traffic, bound_exercise
from lossbook.checks.exercise import (
    ACTIVATIONS,
    RACED,
    Case,
    Curve,
    Exercise,
    Work,
    integers,
    normal,
    prediction,
    uniform,
)
from lossbook.exercises.misconceptions.multiclass import MISCONCEPTIONS
from lossbook.losses import cross_entropy, multiclass, nll_loss


def exact_softmax(z: Tensor) -> Tensor:
    """Return the softmax of each row, from its logarithm."""
    return multiclass.log_softmax(z, 1).exp()


def row_logsumexp(z: Tensor) -> Tensor:
    """Return the log-sum-exp of each row, shape (N,)."""
    return multiclass.logsumexp(z, 1).squeeze(1)


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


def gradient_of_cross_entropy(z: Tensor, y: Tensor) -> Tensor:
    """Return the gradient of the mean cross-entropy from logits: (p − one-hot) / N."""
    return (exact_softmax(z) - torch.nn.functional.one_hot(y, z.shape[1])) / len(z)


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


def picked_cases(generator: Generator) -> Sequence[Case]:
    """Draw the same, and a class that is impossible."""
    impossible = torch.tensor([[-math.inf, math.log(0.25), math.log(0.75)]])
    return [
        *log_probability_cases(generator),
        Case((impossible, torch.tensor([1])), note="class 0 is impossible; class 1 happened, and costs −log 0.25"),
    ]


# The lesson: the functions of torch.nn.functional, and torch.softmax, torch.log_softmax and torch.logsumexp, "are for
# checking, not for the answer".
BY_HAND = ACTIVATIONS | {"logsumexp"}
LOGITS = tuple(0.25 * i for i in range(-16, 17))
QUARTERS = tuple(0.25 * i for i in range(41))


def swept(*more: object) -> Callable[[float], Case]:
    """Return what sweeps the first of three logits, the others being 0, with these arguments after them."""
    return lambda x: Case((torch.tensor([[x, 0.0, 0.0]]), *more))


def looked_up(x: float) -> Case:
    """Return one sample whose class had the probability x."""
    return Case((torch.log(torch.tensor([[x, (1 - x) / 2, (1 - x) / 2]])), torch.tensor([0])))


def leading(x: float) -> Case:
    """Return one sample of ten classes whose right logit leads by x."""
    return Case((torch.tensor([[x] + [0.0] * 9]), torch.tensor([0]), 0.1))


def weighed(x: float) -> Case:
    """Return losses of 0.2 in class 0 and of 0.3 and 0.4 in class 1, which has the weight x."""
    return Case((torch.log(losing_by_hand()), torch.tensor([0, 1, 1]), torch.tensor([1.0, x])))


RIGHT_LOGIT = "the right logit, the two others 0"
FIRST_LOGIT = "the first logit, the two others 0"
SOFTMAX_CURVE = Curve(LOGITS, swept(), FIRST_LOGIT, "its probability")
LOGSUMEXP_CURVE = Curve(LOGITS, swept(), FIRST_LOGIT, "log-sum-exp")
LOSS_CURVE = Curve(LOGITS, swept(torch.tensor([0])), RIGHT_LOGIT, "loss")
GRADIENT_CURVE = Curve(LOGITS, swept(torch.tensor([0])), RIGHT_LOGIT, "its entry in the gradient")
SMOOTHED_CURVE = Curve(QUARTERS, leading, "lead of the right logit, ten classes, ε = 0.1", "loss")
WEIGHTED_CURVE = Curve(QUARTERS, weighed, "weight of class 1; that of class 0 is 1", "mean of 0.2 and 0.3, 0.4")
LOOK_UP_CURVE = Curve(tuple(0.03 * i for i in range(1, 33)), looked_up, "probability of what happened", "loss")

PROBABILITIES = "Probabilities are what is asked for; the losses further down are what is trained with."

HINTS: dict[str, tuple[str, ...]] = {
    "softmax": (
        "`x.sum(1, keepdim=True)` adds along each row and has the shape $(N, 1)$, by which an $(N, K)$ tensor can be "
        "divided. `x.sum()` adds everything.",
        r"A constant $c$ added to all logits of a row cancels: $e^{z_k + c} / \sum_j e^{z_j + c} = e^{z_k} / \sum_j "
        "e^{z_j}$. Choose the $c$ that makes no exponent positive.",
        "That $c$ is minus the largest logit of the row, and `z.amax(1, keepdim=True)` has them all, in the shape "
        "$(N, 1)$.",
    ),
    "logsumexp": (
        r"Take $e^m$ out of the sum, with $m$ the largest logit of the row: $\log \bigl( e^m \sum_j e^{z_j - m} "
        r"\bigr)$.",
        r"$m + \log \sum_j e^{z_j - m}$. Each row has its own $m$: `z.amax(1)` has the shape $(N,)$, `z.amax(1, "
        "keepdim=True)` has $(N, 1)$.",
    ),
    "cross_entropy_index": (
        r"$-\log p_y = -\log \bigl( e^{z_y} / \sum_j e^{z_j} \bigr)$. The logarithm of a quotient is a difference, "
        "and you have written one of its two terms.",
        "`z[torch.arange(len(z)), y]`, or `z.gather(1, y[:, None])`, picks one entry of each row. `z[:, y]` is "
        "something else: look at its shape.",
        r"A sample costs $\operatorname{lse}(z) - z_y$: your log-sum-exp minus the right logit. Then comes the mean.",
    ),
    "cross_entropy_gradient": (
        r"One sample's loss is $\operatorname{lse}(z) - z_y$. The gradient of log-sum-exp is the softmax.",
        r"What the model said minus what happened: $p_k - [\,y = k\,]$. The mean over $N$ samples leaves a factor $1 "
        "/ N$.",
    ),
    "cross_entropy_smoothed": (
        r"$-\log p_k = \operatorname{lse}(z) - z_k$ for every class at once, by broadcasting $(N, 1)$ against $(N, "
        "K)$.",
        r"The uniform part is the mean of $-\log p_k$ over *all* $K$ classes, the right one too. Spread over the $K - "
        "1$ wrong ones, it would be another loss.",
    ),
    "cross_entropy_weighted": (
        "`w` has one weight a *class*. `w[y]` has one weight a *sample*.",
        r"Three different sums could stand below: $N$, $\sum_k w_k$ and $\sum_n w_{y_n}$. If one and the same weight "
        "for every class changes your result, it is not the third.",
    ),
    "cross_entropy_python_sum": (
        "Begin as in exercise 3, and stop before the mean: a tensor of shape $(N,)$, one loss a sample.",
        "Python's `sum` takes a tensor of shape $(N,)$ as it takes a list. `len` says how many losses it has.",
    ),
    "cross_entropy_torch_sum": (
        "The first line is that of the function with Python's sum: one loss a sample, in a tensor of shape $(N,)$.",
        "Only the name of the sum changes: `torch.sum` adds the whole tensor up in one call.",
    ),
    "one_hot_bytes": (
        "A byte is 8 bits: how many bytes does one int64 take, and how many one float32?",
        "Count the numbers that are stored: one for each label in the first way, a row of $K$ for each in the second.",
    ),
    "cross_entropy_one_hot": (
        "`torch.zeros_like(log_p)` is the empty table. Row $n$ gets its 1 in column $y_n$.",
        "The table times `log_p`, entry by entry, leaves one number other than 0 in each row. Add up each row, and "
        "then take the mean over the rows.",
    ),
    "cross_entropy_gather": (
        r"$0 \cdot (-\infty)$ is `nan`. A look-up does not multiply.",
        "`gather` along the classes wants the indices as a column: `y[:, None]` has the shape $(N, 1)$.",
    ),
}


def asked(
    function: str,
    points: int,
    reference: Callable[..., Any],
    cases: Callable[[Generator], Sequence[Case]],
    signature: str,
    **more: Any,
) -> Exercise:
    """Return an exercise of this lesson, with its hints and misconceptions."""
    told = {"hints": HINTS[function], "misconceptions": MISCONCEPTIONS[function], "forbidden": BY_HAND, **more}
    return Exercise(f"multiclass.{function}", points, reference, cases, signature, **told)


# So large that a step a sample is more than the lines that PyTorch itself runs for the operations of a loss.
SIZES = (120, 1200)


def summed(generator: Generator, n: int) -> Case:
    """Draw n samples of three classes."""
    return Case((normal(generator, n, 3), integers(generator, 3, n)))


EXERCISES = (
    asked("softmax", 2, exact_softmax, row_cases, "(z)", curve=SOFTMAX_CURVE, no_slope=PROBABILITIES),
    asked("logsumexp", 2, row_logsumexp, row_cases, "(z)", gradient=True, curve=LOGSUMEXP_CURVE),
    asked("cross_entropy_index", 3, cross_entropy, label_cases, "(z, y)", gradient=True, curve=LOSS_CURVE),
    asked(
        "cross_entropy_gradient",
        2,
        gradient_of_cross_entropy,
        label_cases,
        "(z, y)",
        forbidden=BY_HAND | {"backward", "grad"},  # the lesson: "from the formula and not by backward"
        no_slope="The answer is a gradient itself, from its formula.",
        curve=GRADIENT_CURVE,
    ),
    asked(
        "cross_entropy_smoothed",
        2,
        lambda z, y, eps: cross_entropy(z, y, label_smoothing=eps),
        smoothed_cases,
        "(z, y, eps)",
        gradient=True,
        curve=SMOOTHED_CURVE,
    ),
    asked("cross_entropy_weighted", 2, cross_entropy, weighted_cases, "(z, y, w)", gradient=True, curve=WEIGHTED_CURVE),
    asked(
        "cross_entropy_python_sum",
        1,
        cross_entropy,
        label_cases,
        "(z, y)",
        number_too=RACED,
        no_slope=RACED,
        work=Work(summed, vectorised=False, sizes=SIZES),
        curve=LOSS_CURVE,
    ),
    asked(
        "cross_entropy_torch_sum",
        1,
        cross_entropy,
        label_cases,
        "(z, y)",
        gradient=True,
        work=Work(summed, vectorised=True, sizes=SIZES),
        curve=LOSS_CURVE,
    ),
    bound_exercise(
        "multiclass.predict_cross_entropy_seconds",
        Traffic(Array("z", columns=4), Array("y", width=8)),
        misconceptions=MISCONCEPTIONS["predict_cross_entropy_seconds"],
    ),
    asked(
        "one_hot_bytes",
        1,
        target_bytes,
        byte_cases,
        "(N, K)",
        rtol=1e-9,
        why="Bytes are counted: a number of them is right to the last digit.",
        forbidden=frozenset(),
    ),
    asked(
        "cross_entropy_one_hot", 1, nll_loss, log_probability_cases, "(log_p, y)", gradient=True, curve=LOOK_UP_CURVE
    ),
    asked("cross_entropy_gather", 1, nll_loss, picked_cases, "(log_p, y)", gradient=True, curve=LOOK_UP_CURVE),
    prediction("multiclass.predict_one_hot_ratio", 0.01, 1e6, "a ratio of times"),
)
