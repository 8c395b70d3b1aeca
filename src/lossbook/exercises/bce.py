"""The exercises of lesson 03: binary cross-entropy."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Generator, Tensor, tensor

from lossbook.checks.bounds import Array, Traffic, bound_exercise
from lossbook.checks.exercise import ACTIVATIONS, ADDING, RACED, Case, Curve, Exercise, Work, integers, normal, uniform
from lossbook.exercises.misconceptions.bce import MISCONCEPTIONS
from lossbook.losses import binary_cross_entropy, binary_cross_entropy_with_logits

LOGITS = tuple(0.4 * k - 7.8 for k in range(40))  # zero is not among them
PROBABILITIES = tuple(0.025 * k for k in range(1, 40))


def sigmoid_cases(generator: Generator) -> Sequence[Case]:
    """Draw logits: by hand, at the extremes, and at random."""
    return [
        Case((tensor([0.0, 1.0, -1.0]),), note="σ(0) is one half"),
        Case((tensor([-1000.0, 1000.0]),), note="e^1000 overflows"),
        Case((tensor([-100.0, -20.0, 20.0, 100.0]),), note="far from zero"),
        Case((tensor(-2.0),), note="a single number"),
        Case((normal(generator, 7, scale=3.0),), note="random"),
        Case((normal(generator, 4, 3, scale=3.0),), note="random, two dimensions"),
    ]


def probabilities_and_labels(generator: Generator, n: int, *, soft: bool = False) -> tuple[Tensor, Tensor]:
    """Draw n probabilities inside (0, 1) and as many labels."""
    p = uniform(generator, n, low=0.05, high=0.95)
    return p, uniform(generator, n) if soft else integers(generator, 2, n).float()


def probability_cases(generator: Generator) -> Sequence[Case]:
    """Draw probabilities inside (0, 1) and labels."""
    return [
        Case((tensor([0.5]), tensor([1.0])), note="p = ½: ln 2"),
        Case((tensor([0.9, 0.9]), tensor([1.0, 0.0])), note="right once, wrong once"),
        Case((tensor([0.2, 0.4, 0.6]), tensor([0.0, 0.3, 1.0])), note="a soft label"),
        Case((tensor([1e-9, 1 - 2**-20]), tensor([1.0, 0.0])), note="nearly sure, and wrong"),
        Case((tensor([1 - 2**-20, 1e-9]), tensor([1.0, 0.0])), note="nearly sure, and right"),
        Case((tensor([1e-30, 1 - 2**-24]), tensor([1.0, 0.0])), note="as sure as float32 can say, and wrong", slope=0),
        Case(probabilities_and_labels(generator, 9), note="random"),
        Case(probabilities_and_labels(generator, 5, soft=True), note="random soft labels"),
        Case(probabilities_and_labels(generator, 200), note="200 of them"),
    ]


def shaped_probability_cases(generator: Generator) -> Sequence[Case]:
    """Draw probabilities and labels, in two dimensions too."""
    p, y = probabilities_and_labels(generator, 12)
    return [
        *probability_cases(generator),
        Case((p.view(4, 3), y.view(4, 3)), note="two dimensions: the mean is over all elements"),
    ]


def logit_cases(generator: Generator) -> Sequence[Case]:
    """Draw logits and labels, far from zero too.

    No logit is exactly zero: there max(z, 0) and |z| have a kink, at which a right formula may have any slope.
    """
    return [
        Case((tensor([1e-6]), tensor([1.0])), note="p is one half"),
        Case((tensor([2.0, -1.0]), tensor([1.0, 0.0])), note="right twice"),
        Case((tensor([200.0]), tensor([0.0])), note="sure and wrong: the sigmoid rounds to 1"),
        Case((tensor([-1000.0, 1000.0]), tensor([1.0, 1.0])), note="e^1000 overflows"),
        Case((tensor([-1000.0, 1000.0]), tensor([0.0, 1.0])), note="sure and right: no loss"),
        Case((tensor([0.5, -0.5]), tensor([0.3, 0.8])), note="soft labels"),
        Case((normal(generator, 9, scale=4.0), integers(generator, 2, 9).float()), note="random"),
        Case((normal(generator, 6, scale=30.0), uniform(generator, 6)), note="random, soft, far from zero"),
    ]


def shaped_logit_cases(generator: Generator) -> Sequence[Case]:
    """Draw logits and labels, in two dimensions too."""
    z, y = normal(generator, 3, 4, scale=2.0), integers(generator, 2, 3, 4).float()
    return [*logit_cases(generator), Case((z, y), note="two dimensions: the mean is over all elements")]


def weighted_cases(generator: Generator) -> Sequence[Case]:
    """Draw logits, labels and a weight for the positive class."""
    return [
        Case((tensor([0.5, 0.5]), tensor([1.0, 0.0]), 3.0), note="only the positive is weighted"),
        Case((tensor([1.0, -2.0]), tensor([1.0, 1.0]), 1.0), note="a weight of 1 changes nothing"),
        Case((tensor([-500.0, 500.0]), tensor([1.0, 0.0]), 2.0), note="far from zero, and wrong"),
        Case((tensor([-1000.0, 1000.0]), tensor([0.0, 1.0]), 2.0), note="far from zero, and right"),
        Case((tensor([1e-6, -1e-6]), tensor([1.0, 0.0]), 2.5), note="p is one half, twice"),
        Case((normal(generator, 8, scale=3.0), integers(generator, 2, 8).float(), 5.0), note="random"),
        Case((normal(generator, 5), uniform(generator, 5), 0.5), note="soft labels"),
        Case((normal(generator, 2, 3), integers(generator, 2, 2, 3).float(), 4.0), note="two dimensions"),
    ]


def sum_cases(generator: Generator) -> Sequence[Case]:
    """Draw numbers to add."""
    return [
        Case((tensor([1.0, 2.0, 3.0, 4.0]),), note="four numbers"),
        Case((tensor([500.0]),), note="one number"),
        Case((tensor([300.0, -700.0]),), note="two numbers, one of them negative"),
        Case((tensor([1.0, 2.0, 3.0]),), note="an odd count"),
        Case((tensor([1.0, 2.0, 3.0, 4.0, 5.0]),), note="an odd count: no partner for the last"),
        Case((tensor([1.0, 2.0, 3.0, 4.0, 5.0, 6.0]),), note="an odd count after one round"),
        Case((uniform(generator, 1000, low=-0.5, high=1.5),), note="random"),
        Case((torch.full((2**14,), 0.1),), note="0.1, 16,384 times: one running total drifts"),
        # However these are paired, it is the same: the large number takes up one of the others, and that is lost.
        Case(
            (tensor([256.0, 1.0, 1.0, 1.0], dtype=torch.bfloat16),), note="in bfloat16: 256 + 1 is 256, and 1 + 1 is 2"
        ),
        Case(
            (tensor([2048.0, 1.0, 1.0, 1.0], dtype=torch.float16),), note="in float16: 2048 + 1 is 2048, and 1 + 1 is 2"
        ),
    ]


def right_sigmoid(z: Tensor) -> Tensor:
    """Return 1 / (1 + exp(−z)): where the exponential overflows, its reciprocal is 0, as it should be."""
    return 1 / (1 + torch.exp(-z))


def gradient_of_bce(z: Tensor, y: Tensor) -> Tensor:
    """Return the gradient of the mean binary cross-entropy from logits: (σ(z) − y) / N."""
    return (torch.sigmoid(z) - y) / z.numel()


def weighted_bce(z: Tensor, y: Tensor, c: float) -> Tensor:
    """Return the mean binary cross-entropy from logits, the positive term weighted by c."""
    return binary_cross_entropy_with_logits(z, y, pos_weight=tensor(c))


def sum_by_pairs(x: Tensor) -> Tensor:
    """Return the sum, added up in pairs, in the dtype of x."""
    while len(x) > 1:
        if len(x) % 2:
            x = torch.cat([x, x.new_zeros(1)])
        x = x[0::2] + x[1::2]
    return x[0]


def by_probability(ylabel: str) -> Curve:
    """Return the curve of a loss over p, where the label is 1."""
    return Curve(PROBABILITIES, lambda p: Case((tensor([p]), tensor([1.0]))), "probability p, where y = 1", ylabel)


SPEED = Work(lambda generator, n: Case(probabilities_and_labels(generator, n)), vectorised=True)
COUNTED_IN_PYTHON = Work(SPEED.case, vectorised=False)

EXERCISES = (
    Exercise(
        "bce.sigmoid",
        2,
        right_sigmoid,
        sigmoid_cases,
        signature="(z)",
        # The lesson: the functions of torch.nn.functional and torch.sigmoid are for checking, not for the answer.
        forbidden=ACTIVATIONS | {"sigmoid", "special_expit", "expit"},
        no_slope="A probability is what is asked for; the losses further down are what is trained with.",
        misconceptions=MISCONCEPTIONS["sigmoid"],
        curve=Curve(LOGITS, lambda z: Case((tensor([z]),)), "logit z", "probability"),
        hints=(
            r"Exponentiate both sides of $z = \log \frac{p}{1 - p}$, then collect the terms with $p$.",
            r"$1 / (1 + e^{-z})$ is right on paper, and here at the extremes too: $e^{1000}$ is `inf`, and"
            r" $1 / \infty = 0$. Written as $e^{z} / (1 + e^{z})$ it gives `inf / inf`, which is `nan`.",
        ),
    ),
    Exercise(
        "bce.bce",
        2,
        binary_cross_entropy,
        shaped_probability_cases,
        signature="(p, y)",
        gradient=True,
        forbidden=ACTIVATIONS,
        misconceptions=MISCONCEPTIONS["bce"],
        curve=by_probability("loss"),
        hints=(
            r"$\log \bigl( p^{y} (1 - p)^{1 - y} \bigr) = y \log p + (1 - y) \log (1 - p)$.",
            "If your loss is negative, a minus is missing. If it grows with the number of samples, you have summed and"
            " not averaged.",
        ),
    ),
    Exercise(
        "bce.bce_gradient",
        2,
        gradient_of_bce,
        logit_cases,
        signature="(z, y)",
        forbidden=ACTIVATIONS | {"backward", "grad"},  # the lesson: from the formula and not by backward
        no_slope="The answer is a gradient itself, from its formula.",
        misconceptions=MISCONCEPTIONS["bce_gradient"],
        curve=Curve(
            LOGITS, lambda z: Case((tensor([z]), tensor([1.0]))), "logit z, where y = 1", "gradient of the loss"
        ),
        hints=(
            r"In terms of the logit, one sample's loss is $\log (1 + e^{z}) - y z$. Differentiate it.",
            "What the model said minus what happened. The mean over $N$ samples leaves a factor $1 / N$.",
        ),
    ),
    Exercise(
        "bce.bce_with_logits",
        3,
        binary_cross_entropy_with_logits,
        shaped_logit_cases,
        signature="(z, y)",
        gradient=True,
        forbidden=ACTIVATIONS,
        misconceptions=MISCONCEPTIONS["bce_with_logits"],
        curve=Curve(
            tuple(5 * z for z in LOGITS), lambda z: Case((tensor([z]), tensor([0.0]))), "logit z, where y = 0", "loss"
        ),
        hints=(
            r"Start from $\log (1 + e^{z}) - y z$. For $z > 0$, take $e^{z}$ out of the bracket.",
            r"$\log (1 + e^{z}) = \max(z, 0) + \log (1 + e^{-|z|})$, and `torch.log1p(x)` is $\log (1 + x)$ without the"
            " loss of a small $x$.",
        ),
    ),
    Exercise(
        "bce.bce_pos_weight",
        2,
        weighted_bce,
        weighted_cases,
        signature="(z, y, c)",
        gradient=True,
        forbidden=ACTIVATIONS,
        misconceptions=MISCONCEPTIONS["bce_pos_weight"],
        curve=Curve(
            LOGITS,
            lambda z: Case((tensor([z, z]), tensor([1.0, 0.0]), 4.0)),
            "logit z, the same for one positive and one negative; c = 4",
            "loss",
        ),
        hints=(
            r"$-\log \sigma(z) = \log (1 + e^{-z})$ and $-\log (1 - \sigma(z)) = \log (1 + e^{z})$. Make each stable,"
            " then combine.",
            r"Exercise 4 has the stable form of $\log (1 + e^{z})$, and the two differ by $z$:"
            r" $\log (1 + e^{z}) = \log (1 + e^{-z}) + z$.",
        ),
    ),
    Exercise(
        "bce.bce_python_sum",
        1,
        binary_cross_entropy,
        probability_cases,
        signature="(p, y)",
        forbidden=ACTIVATIONS,
        number_too=RACED,
        no_slope=RACED,
        misconceptions=MISCONCEPTIONS["bce_python_sum"],
        work=COUNTED_IN_PYTHON,
        hints=(
            "Compute the loss of every element first, as one tensor: it is exercise 2 before its mean.",
            "Python's `sum` takes anything that can be walked through, a tensor of one dimension too; `len` says how"
            " many elements there are.",
        ),
    ),
    Exercise(
        "bce.bce_torch_sum",
        1,
        binary_cross_entropy,
        probability_cases,
        signature="(p, y)",
        forbidden=ACTIVATIONS,
        gradient=True,
        misconceptions=MISCONCEPTIONS["bce_torch_sum"],
        work=SPEED,
        hints=("It is the function above with one name changed: the sum is PyTorch's, and there is no loop.",),
    ),
    bound_exercise(
        "bce.predict_bce_seconds",
        Traffic(Array("p"), Array("y")),
        misconceptions=MISCONCEPTIONS["predict_bce_seconds"],
    ),
    Exercise(
        "bce.pairwise_sum",
        2,
        sum_by_pairs,
        sum_cases,
        signature="(x)",
        rtol=2e-6,
        why="A running float32 total of 16,384 terms is off by 1.5e-4 of itself, and adding by pairs is right to 1e-7.",
        # The lesson: slices and +, and no torch.sum.
        forbidden=ACTIVATIONS | ADDING - {"einsum"},  # which is told as what it calls: a sum, or a product
        no_slope="The sum is compared with itself in other orders; nothing is trained through it.",
        misconceptions=MISCONCEPTIONS["pairwise_sum"],
        hints=(
            "`x[0::2]` is every second element from the first, `x[1::2]` every second from the second. An odd one out"
            " needs a partner: zero.",
            "Each round replaces x by a tensor half as long: go on while `len(x) > 1`.",
        ),
    ),
)
