"""The exercises of lesson 01: what a loss is."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import NamedTuple

import torch
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
    held_out,
    integers,
    normal,
    uniform,
)
from lossbook.data import anes96
from lossbook.losses.recipe import best_constant_cross_entropy, best_constant_mse


def steps(first: float, last: float, count: int) -> tuple[float, ...]:
    """Return so many evenly spaced numbers, both ends included."""
    return tuple(round(first + (last - first) * k / (count - 1), 6) for k in range(count))


# ---------------------------------------------------------------------------- coin_log_likelihood


def log_likelihood_of_tosses(theta: Tensor, y: Tensor) -> Tensor:
    """Return the log-likelihood of tosses of one coin, or of a coin each."""
    return (torch.xlogy(y, theta) + torch.xlogy(1 - y, 1 - theta)).sum()


def toss_cases(generator: Generator) -> Sequence[Case]:
    """Draw a probability of heads and tosses."""
    heads, tails = torch.ones(1), torch.zeros(1)
    return [
        Case((torch.tensor(0.9), heads), note="one head: log 0.9, which is negative"),
        Case((torch.tensor(0.9), tails), note="one tail: log 0.1"),
        Case((torch.tensor(0.6), torch.tensor([1.0, 1.0, 0.0])), note="heads, heads, tails: log(0.6 · 0.6 · 0.4)"),
        Case((torch.tensor(1e-30), torch.tensor([1.0, 0.0, 1.0])), note="heads that hardly ever come, twice"),
        Case((torch.tensor(1 - 2**-24), torch.tensor([1.0, 0.0])), note="tails that hardly ever come"),
        Case((uniform(generator, 1, low=0.2, high=0.8)[0], integers(generator, 2, 12).float()), note="random"),
        Case((torch.tensor(0.3), integers(generator, 2, 500).float()), note="500 tosses: the product is 0 in float32"),
        Case(
            (uniform(generator, 5, low=0.2, high=0.8), integers(generator, 2, 5).float()), note="five coins, one each"
        ),
    ]


def toss_by_toss(theta: Tensor, y: Tensor) -> Tensor:
    """Return the logarithms of what each toss was given, heads and tails counted, as if there were one coin."""
    return y.sum() * theta.log() + (1 - y).sum() * (1 - theta).log()


HEADS_HEADS_TAILS = torch.tensor([1.0, 1.0, 0.0])


def each_toss(theta: Tensor, y: Tensor) -> Tensor:
    """Return the log-likelihood of each toss."""
    return y * theta.log() + (1 - y) * (1 - theta).log()


COIN_LOG_LIKELIHOOD = Exercise(
    "recipe.coin_log_likelihood",
    points=2,
    reference=log_likelihood_of_tosses,
    cases=toss_cases,
    gradient=True,
    curve=Curve(
        steps(0.02, 0.98, 41),
        lambda x: Case((torch.tensor(x), torch.tensor([1.0, 1.0, 0.0]))),
        "θ",
        "log-likelihood of heads, heads, tails",
    ),
    predictions=(
        Prediction(
            "sign",
            "the sign of the log-likelihood of tosses",
            lambda: "negative" if log_likelihood_of_tosses(torch.tensor(0.6), HEADS_HEADS_TAILS) < 0 else "positive",
            "A probability is below 1, and the logarithm of a number below 1 is negative.",
            ("positive", "negative"),
        ),
        Prediction(
            "best",
            "the θ that explains heads, heads, tails best",
            lambda: float(HEADS_HEADS_TAILS.mean()),
            "It is the share of heads.",
        ),
    ),
    hints=(
        "What becomes of a product under a logarithm? The product itself is then never needed.",
        r"The exponents of $\theta^{y} (1 - \theta)^{1 - y}$ are a switch between heads and tails. Its logarithm is "
        r"$y \log \theta + (1 - y) \log (1 - \theta)$.",
    ),
    misconceptions=(
        Misconception(
            "the logarithm taken after the product, which is 0 by then",
            lambda theta, y: (theta**y * (1 - theta) ** (1 - y)).prod().log(),
            "A product of 500 probabilities is smaller than any float32. Where must the logarithm go instead?",
        ),
        Misconception(
            "the likelihood, without its logarithm",
            lambda theta, y: (theta**y * (1 - theta) ** (1 - y)).prod(),
            "This is the product itself. The exercise asks for its logarithm.",
        ),
        Misconception(
            "a minus too many: the loss, and not the log-likelihood",
            lambda theta, y: -each_toss(theta, y).sum(),
            "A probability is at most 1, so its logarithm is at most 0. The sign is turned only when a loss is made of "
            "it.",
        ),
        Misconception(
            "the mean over the tosses, and not their sum",
            lambda theta, y: each_toss(theta, y).mean(),
            "The logarithm of a product of N factors has N terms. Nothing in it divides by N.",
        ),
        Misconception(
            "the tails left out",
            lambda theta, y: (y * theta.log()).sum(),
            "A tail has a probability too, and it says something about the coin. Try your function on one tail.",
        ),
        Misconception(
            "heads and tails swapped",
            lambda theta, y: each_toss(theta, 1 - y).sum(),
            "Try one head, y = 1: what remains should be the logarithm of the probability of heads.",
        ),
        Misconception(
            "heads counted, as if one coin had made all tosses",
            toss_by_toss,
            "With one coin each, a toss has a probability of its own: pair every toss with its coin, then add.",
        ),
        Misconception(
            "theta turned into a plain number, so that no gradient reaches it",
            lambda theta, y: each_toss(theta.detach(), y).sum(),
            "The value is right, but `math.log`, `.item()` and `.detach()` cut theta off. Stay with PyTorch's "
            "operations.",
        ),
    ),
)


# -------------------------------------------------------------------------- best_constant_squares


def number_cases(generator: Generator) -> Sequence[Case]:
    """Draw real labels."""
    return [
        Case((torch.tensor([1.0, 3.0]),), note="the mean is 2: each label is 1 away from it"),
        Case((torch.tensor([5.0]),), note="one label is hit exactly, so divide by N, not by N − 1"),
        Case((torch.tensor([0.0, 0.0, 0.0, 4.0]),), note="1 away three times, 3 away once"),
        Case((10 + normal(generator, 12, scale=2.0),), note="random"),
        Case((normal(generator, 5, 2),), note="random, two dimensions"),
    ]


BAG = torch.tensor([0.0, 0.0, 0.0, 4.0])


BEST_CONSTANT_SQUARES = Exercise(
    "recipe.best_constant_squares",
    points=1,
    reference=best_constant_mse,
    cases=number_cases,
    no_slope="The score is one of labels, which are not learnt.",
    curve=Curve(
        steps(-4.0, 5.0, 37), lambda x: Case((torch.tensor([0.0, 1.0, x]),)), "y, beside the labels 0 and 1", "score"
    ),
    predictions=(
        Prediction(
            "constant",
            "the best constant for 0, 0, 0 and 4",
            lambda: float(BAG.mean()),
            "At the mean the errors add up to zero, and so the slope of the squared error is zero.",
        ),
        Prediction(
            "score",
            "its mean squared error",
            lambda: float(best_constant_mse(BAG)),
            "Three labels are 1 away from it and one is 3 away: 12 in all, for four labels.",
        ),
    ),
    hints=(
        r"The derivative of $\frac{1}{N} \sum_n (c - y_n)^2$ is $2 (c - \bar{y})$.",
        "`y.var()` divides by $N - 1$; a mean divides by $N$.",
        "Two steps: the constant at which that derivative is 0, then the mean squared error of predicting it "
        "everywhere.",
    ),
    folded=2,
    misconceptions=(
        Misconception(
            "the squares divided by N − 1",
            lambda y: y.var(),
            "The mean squared error of N labels divides by N. Try it on a single label.",
        ),
        Misconception(
            "the sum of the squares, and not their mean",
            lambda y: ((y - y.mean()) ** 2).sum(),
            "The score must not grow when every label is written down twice.",
        ),
        Misconception(
            "the best constant itself, and not its score",
            lambda y: y.mean(),
            "You found the constant. Now return how well it does: the mean squared error of predicting it everywhere.",
        ),
        Misconception(
            "the root of the score",
            lambda y: y.std(correction=0),
            "This is in the labels' unit. The mean squared error is in the unit's square.",
        ),
        Misconception(
            "the median as the constant",
            lambda y: ((y - y.median()) ** 2).mean(),
            "The median is best for absolute errors. Set the derivative of the squared ones to zero.",
        ),
        Misconception(
            "absolute errors for squared ones",
            lambda y: (y - y.mean()).abs().mean(),
            "The loss here is the squared error: each distance counts with its square.",
        ),
    ),
)


# -------------------------------------------------------------------------- best_constant_classes


def class_cases(generator: Generator) -> Sequence[Case]:
    """Draw class indices, with classes that never occur among them."""
    return [
        Case((torch.tensor([0, 1, 2]), 3), note="three even classes: ln 3"),
        Case((torch.tensor([0, 0, 0, 1]), 2), note="shares ¾ and ¼"),
        Case((torch.tensor([0, 1]), 5), note="three classes never occur: 0 · log 0 = 0"),
        Case((torch.tensor([2, 2, 2]), 4), note="one class alone: nothing is uncertain"),
        Case((torch.tensor([0, 0]), 1), note="there is one class only"),
        Case((torch.cat([torch.arange(6), integers(generator, 6, 30)]), 6), note="random"),
    ]


def share_case(x: float) -> Case:
    """Return 40 labels of two classes, x of them of class 1."""
    return Case(((torch.arange(40) < x).long(), 2))


def shares(y: Tensor, K: int) -> Tensor:
    """Return the share of each class."""
    return torch.bincount(y, minlength=K) / len(y)


SIX_AND_FOUR = torch.tensor([0] * 6 + [1] * 4)


BEST_CONSTANT_CLASSES = Exercise(
    "recipe.best_constant_classes",
    points=1,
    reference=best_constant_cross_entropy,
    cases=class_cases,
    no_slope="The score is one of class indices, which have no gradient.",
    curve=Curve(steps(0, 40, 41), share_case, "labels of class 1 among 40", "score"),
    predictions=(
        Prediction(
            "beside_ln2",
            "the score of six labels of class 0 and four of class 1, compared with ln 2,",
            lambda: "below" if best_constant_cross_entropy(SIX_AND_FOUR, 2) < math.log(2) else "above",
            "It is largest where the shares are equal: what is uneven is easier to guess.",
            ("below", "equal", "above"),
        ),
    ),
    hints=(
        "`torch.bincount(y, minlength=K)` counts each class.",
        r"`0 * torch.log(0)` is `nan`. Its limit is 0, and `torch.xlogy(x, x)` computes $x \log x$ with that limit.",
    ),
    misconceptions=(
        Misconception(
            "0 · log 0, which is nan in floating point",
            lambda y, K: -(shares(y, K) * shares(y, K).log()).sum(),
            "A class that never occurs has the share 0 and should add nothing. Which function knows that limit?",
        ),
        Misconception(
            "log K, as if the classes were always even",
            lambda y, K: torch.tensor(math.log(K)),
            "That is the score where every class is as frequent as any other. Count how frequent each one is.",
        ),
        Misconception(
            "the mean over the classes, and not the sum",
            lambda y, K: -torch.xlogy(shares(y, K), shares(y, K)).mean(),
            "The shares are already weights that add to 1. The formula has a sum over k, and nothing divides by K.",
        ),
        Misconception(
            "counts where shares belong",
            lambda y, K: -torch.xlogy(len(y) * shares(y, K), len(y) * shares(y, K)).sum(),
            "The best constant is a distribution: its entries add to 1. Divide the counts by something first.",
        ),
        Misconception(
            "the minus forgotten",
            lambda y, K: torch.xlogy(shares(y, K), shares(y, K)).sum(),
            "A cross-entropy is never negative, and the logarithm of a share is never positive.",
        ),
        Misconception(
            "logarithms to base 2",
            lambda y, K: -torch.xlogy(shares(y, K), shares(y, K)).sum() / math.log(2),
            "This is the score in bits. Losses, and this course, use the natural logarithm.",
        ),
    ),
)


# -------------------------------------------------------------------------------- recipe_sgd_step


def gaussian_step(mu: Tensor, y: Tensor, lr: float, reduction: str) -> Tensor:
    """Return mu after one step of gradient descent on the losses ½ (mu − y)²."""
    slopes = mu - y
    return mu - lr * (slopes.mean() if reduction == "mean" else slopes.sum())


def step_cases(generator: Generator) -> Sequence[Case]:
    """Draw a start, labels, a rate and a reduction."""
    labels, start = 3 + normal(generator, 8), normal(generator, 1)[0]
    return [
        Case((torch.tensor(0.0), torch.tensor([-1.0]), 0.5, "mean"), note="halfway from 0 to the label −1"),
        Case((torch.tensor(0.0), torch.tensor([1.0, 1.0]), 0.25, "sum"), note="two gradients of −1 each"),
        Case((torch.tensor(4.0), torch.tensor([1.0, 3.0]), 1.0, "mean"), note="rate 1: to the mean at once"),
        Case((start, labels, 0.1, "mean"), note="random"),
        Case((start, labels, 0.1, "sum"), note="the same, with the sum: 8 times as far"),
    ]


def slope(mu: Tensor, y: Tensor, reduction: str) -> Tensor:
    """Return the gradient of the reduced loss."""
    return (mu - y).sum() if reduction == "sum" else (mu - y).mean()


def distance_after(reduction: str) -> float:
    """Return where a step from 1 arrives, if all 32 labels are 0 and the rate is 0.1."""
    return float(gaussian_step(torch.tensor(1.0), torch.zeros(32), 0.1, reduction))


RECIPE_SGD_STEP = Exercise(
    "recipe.recipe_sgd_step",
    points=2,
    reference=gaussian_step,
    cases=step_cases,
    forbidden=frozenset({"backward", "grad"}),
    no_slope="The step is taken, not differentiated.",
    curve=Curve(
        steps(-4.0, 8.0, 25),
        lambda x: Case((torch.tensor(x), torch.tensor([1.0, 3.0]), 0.25, "sum")),
        "μ before the step",
        "μ after it, η = ¼, sum, labels 1 and 3",
    ),
    predictions=(
        Prediction(
            "fails",
            "the reduction that does not converge with 32 labels and η = 0.1",
            lambda: next(how for how in ("sum", "mean") if abs(distance_after(how)) > 1),
            "The gradient of the sum is that of the mean, 32 times.",
            ("sum", "mean"),
        ),
        Prediction(
            "factor",
            "what its step multiplies the distance to the minimum by",
            lambda: max(distance_after("sum"), distance_after("mean"), key=abs),
            "A step takes 0.1 · 32 times the distance away: more than twice too much, so it lands on the other side, "
            "farther off.",
        ),
    ),
    hints=(
        r"One loss has the derivative $\mu - y_n$.",
        r"If $\mu$ runs away from the labels, the step has the wrong sign.",
        "The gradient of a sum is the sum of the derivatives, and the gradient of a mean is their mean.",
    ),
    folded=2,
    misconceptions=(
        Misconception(
            "a step up the slope, away from the labels",
            lambda mu, y, lr, reduction: mu + lr * slope(mu, y, reduction),
            "Descent goes against the gradient. From 0, with all labels above it, mu must grow.",
        ),
        Misconception(
            "the mean, whatever the reduction",
            lambda mu, y, lr, reduction: mu - lr * slope(mu, y, "mean"),
            'With `reduction="sum"` the losses are added, and so are their derivatives.',
        ),
        Misconception(
            "the sum, whatever the reduction",
            lambda mu, y, lr, reduction: mu - lr * slope(mu, y, "sum"),
            'With `reduction="mean"` the losses are averaged, and so are their derivatives.',
        ),
        Misconception(
            "sum and mean swapped",
            lambda mu, y, lr, reduction: mu - lr * slope(mu, y, "mean" if reduction == "sum" else "sum"),
            "Look at the two branches: which one runs when the reduction is the sum?",
        ),
        Misconception(
            "a factor 2 too many: the ½ of the loss forgotten",
            lambda mu, y, lr, reduction: mu - 2 * lr * slope(mu, y, reduction),
            "The loss has a factor ½. Derive it again with that factor.",
        ),
        Misconception(
            "the change, and not the new mu",
            lambda mu, y, lr, reduction: -lr * slope(mu, y, reduction),
            "This is by how much mu moves. Return where it arrives.",
        ),
    ),
)


# -------------------------------------------------------------------------------- told_by_a_curve


WELL, TOO_LARGE, BY_HEART, NOTHING = range(4)
POINTS = 30  # of a curve


class Run(NamedTuple):
    """A training run: the losses of the samples learnt from and of others, and the score to beat on the others."""

    seen: Tensor
    held: Tensor
    constant: float


def descent(generator: Generator, powers: int, count: int, rate: float, slope: float, stride: int) -> Run:
    """Descend on the squared error of a polynomial, and return the losses at every so many steps.

    Args:
        generator: Draws the samples.
        powers: The highest power.
        count: How many samples are learnt from.
        rate: The learning rate, as a part of the largest that converges.
        slope: How much the labels have to do with the input.
        stride: How many steps lie between two points of the curve.

    """
    x, noise = uniform(generator, count + 200, low=-1.0).double(), normal(generator, count + 200).double()
    rows, y = torch.stack([x**power for power in range(powers + 1)], 1), 2 + slope * x + noise
    mine, others = rows[:count], rows[count:]
    size, axes = torch.linalg.eigh(2 * mine.T @ mine / count)
    rate, size = rate * 2 / float(size[-1]), size.clamp(min=1e-9)
    step = stride * torch.arange(POINTS).double().unsqueeze(1)
    along = (1 - (1 - rate * size) ** step) / size * (axes.T @ (2 * mine.T @ y[:count] / count))
    w = (along @ axes.T).T  # the weights after each of these steps, all at once: the descent along each axis is known
    seen, held = ((mine @ w - y[:count, None]) ** 2).mean(0), ((others @ w - y[count:, None]) ** 2).mean(0)
    return Run(seen.float(), held.float(), float(best_constant_mse(y[count:])))


def clear(kind: int, run: Run) -> bool:
    """Tell whether a run shows what it is to show so plainly that nobody could see another thing in it."""
    seen, held, constant = run
    if kind == TOO_LARGE:
        return not bool(seen[-1] < 3 * seen[0])
    learnt = bool(held.min() < 0.75 * constant and seen[-1] < 0.75 * seen[0])
    if kind == BY_HEART:
        return learnt and bool(held[-1] > 1.4 * held.min() and seen[-1] < 0.8 * seen[held.argmin()])
    if kind == NOTHING:
        return bool(held.min() > 0.97 * constant and held[-1] < 1.03 * held.min())
    return learnt and bool(held[-1] < 0.6 * constant and held[-1] < 1.02 * held.min() and held[-1] > 1.02 * seen[-1])


# What each kind of run is made with: highest power, samples, rate, slope and stride, one after the other.
MADE = {
    WELL: ((1, 60, 0.1, 3.0, 4), (3, 100, 0.3, 3.0, 2)),
    TOO_LARGE: ((1, 40, 1.05, 3.0, 2), (1, 40, 30.0, 3.0, 10), (2, 60, 1.3, 3.0, 1)),
    BY_HEART: ((8, 14, 0.9, 1.7, 300), (8, 14, 0.9, 2.4, 1000), (7, 12, 0.9, 2.4, 300)),
    NOTHING: ((1, 200, 0.2, 0.0, 2), (1, 120, 0.05, 0.0, 10)),
}


def varied(kind: int, number: int, run: Run) -> bool:
    """Tell whether a run shows its kind in its own way.

    Of those learnt by heart, the last alone ends above its beginning. Of those that learnt nothing, the last alone is
    once better than the constant, by a hair.
    """
    last = number == len(MADE[kind]) - 1
    if kind == BY_HEART:
        return bool(run.held[-1] > run.held[0]) == last
    return kind != NOTHING or bool(run.held.min() < run.constant) == last


def run_of(kind: int, number: int, generator: Generator) -> Run:
    """Draw runs of one kind until one is clear, and give its labels some unit."""
    while True:
        run = descent(generator, *MADE[kind][number])
        if clear(kind, run) and varied(kind, number, run):
            unit = 10 ** float(uniform(generator, 1, low=-1.0))
            return Run(unit * run.seen, unit * run.held, unit * run.constant)


def diagnosis(seen: Tensor, held: Tensor, constant: float) -> int:
    """Return what a run's curves tell."""
    if not bool(seen[-1] < seen[0]):  # nan included
        return TOO_LARGE
    if held.min() > 0.9 * constant:
        return NOTHING
    return BY_HEART if held[-1] > 1.1 * held.min() else WELL


def curve_cases(generator: Generator) -> Sequence[Case]:
    """Draw curves of each kind."""
    notes = {
        WELL: "the loss of the others lies a little above, as it always does",
        TOO_LARGE: "it grows, and in one run is no number in the end",
        BY_HEART: "the one falls to the last, and the other has begun to rise",
        NOTHING: "it fell, and no farther than the best constant",
    }
    kinds = [(kind, number) for kind, made in MADE.items() for number in range(len(made))]
    order = torch.randperm(len(kinds), generator=generator).tolist()
    drawn = (kinds[at] for at in order)
    return [Case(run_of(kind, number, generator), note=notes[kind]) for kind, number in drawn]


def grown(seen: Tensor) -> bool:
    """Tell whether a loss has grown, or is no number any more."""
    return not bool(seen[-1] < seen[0])


def judged(
    seen: Tensor,
    held: Tensor,
    constant: float,
    *,
    too_large: bool | None = None,
    nothing: bool | None = None,
    by_heart: bool | None = None,
) -> int:
    """Return a diagnosis, in which one criterion may be another."""
    if grown(seen) if too_large is None else too_large:
        return TOO_LARGE
    nothing = bool(held.min() > 0.9 * constant) if nothing is None else nothing
    by_heart = bool(held[-1] > 1.1 * held.min()) if by_heart is None else by_heart
    if nothing:
        return NOTHING
    return BY_HEART if by_heart else WELL


TOLD_BY_A_CURVE = Exercise(
    "recipe.told_by_a_curve",
    points=2,
    reference=diagnosis,
    cases=curve_cases,
    rtol=0.0,
    atol=0.0,
    why="The answer is one of four numbers.",
    hints=(
        "Look at the ends first: which of the four can be told from `seen` alone, and which only from `held`?",
        "A comparison with nan is false, whichever way round: `math.isfinite` tells whether a number is one.",
        "Of `held`, two numbers tell the rest: its least and its last. One is compared with the constant, and the two "
        "with each other.",
    ),
    misconceptions=(
        Misconception(
            "a loss that is nan taken for one that is not too large",
            lambda seen, held, constant: judged(seen, held, constant, too_large=bool(seen[-1] > seen[0])),
            "A step that is far too large ends in nan, and `nan > 1` is false. Which comparison does a good run pass, "
            "and nan does not?",
        ),
        Misconception(
            "by heart judged by the samples that were learnt from",
            lambda seen, held, constant: judged(seen, held, constant, by_heart=bool(seen[-1] > 1.1 * seen.min())),
            "Their loss goes on falling when they are learnt by heart. It is the others who notice.",
        ),
        Misconception(
            "by heart wherever the others' loss is the higher one",
            lambda seen, held, constant: judged(seen, held, constant, by_heart=bool(held[-1] > seen[-1])),
            "A gap alone is no fault: a model is always a little better on what it learnt from. Did more training make "
            "it worse on the others?",
        ),
        Misconception(
            "by heart judged by where the others' loss began",
            lambda seen, held, constant: judged(seen, held, constant, by_heart=bool(held[-1] > held[0])),
            "The start is worse than nearly anything that follows. Compare the end with the best that there was.",
        ),
        Misconception(
            "the constant left out: whatever falls has learnt",
            lambda seen, held, constant: judged(seen, held, constant, nothing=False),
            "A loss can fall far and arrive at what a constant scores. Nothing was learnt of the inputs then.",
        ),
        Misconception(
            "better than the constant by a hair taken for something learnt",
            lambda seen, held, constant: judged(seen, held, constant, nothing=bool(held.min() >= constant)),
            "Chance alone makes a model a little better than the constant somewhere on the way. Ask for a clear part "
            "of it.",
        ),
        Misconception(
            "the last loss alone compared with the constant",
            lambda seen, held, constant: judged(seen, held, constant, nothing=bool(held[-1] > 0.9 * constant)),
            "A run that beat the constant once and lost it again has learnt something, and then too much. Look at the "
            "least loss.",
        ),
    ),
)


# ------------------------------------------------------------------------------------ map_of_mean


def posterior_mode(y: Tensor, sigma: float, tau: float) -> Tensor:
    """Return the MAP estimate of a Gaussian's mean under the prior N(0, tau²)."""
    return y.sum() / (len(y) + sigma**2 / tau**2)


def posterior_cases(generator: Generator) -> Sequence[Case]:
    """Draw observations, their noise and a prior."""
    return [
        Case((torch.tensor([2.0]), 1.0, 1.0), note="one sample, as trusted as the prior: halfway to 0"),
        Case((torch.tensor([1.0, 2.0, 3.0]), 1.0, 1e6), note="a prior that says nothing: the mean"),
        Case((torch.tensor([1.0, 2.0, 3.0]), 1.0, 0.01), note="a firm prior: nearly 0"),
        Case((torch.tensor([-4.0, -4.0]), 2.0, 1.0), note="σ² = 4, τ² = 1: the prior counts as 4 samples at 0"),
        Case((1 + normal(generator, 20), 0.8, 0.5), note="random"),
    ]


MAP_OF_MEAN = Exercise(
    "recipe.map_of_mean",
    points=2,
    reference=posterior_mode,
    cases=posterior_cases,
    no_slope="The estimate is the end of the fit: nothing is trained through it.",
    curve=Curve(
        steps(0.1, 4.0, 40),
        lambda x: Case((torch.tensor([1.0, 2.0, 3.0]), 1.0, x)),
        "τ, with σ = 1",
        "estimate from 1, 2, 3",
    ),
    predictions=(
        Prediction(
            "estimate",
            "the estimate from one sample of 2, noise and prior equally wide,",
            lambda: float(posterior_mode(torch.tensor([2.0]), 1.0, 1.0)),
            "The sample and the prior are trusted alike, so it lies halfway between 2 and 0.",
        ),
    ),
    hints=(
        "At the least point the slopes of the two terms cancel. What is the slope of each?",
        r"Set the derivative to zero: $-\frac{1}{\sigma^2} \sum_n (y_n - w) + \frac{w}{\tau^2} = 0$.",
        r"Multiply by $\sigma^2$: $\bigl( N + \frac{\sigma^2}{\tau^2} \bigr) \, w = \sum_n y_n$. The prior counts as "
        r"$\sigma^2 / \tau^2$ more samples,"
        "\nall of them 0.",
    ),
    misconceptions=(
        Misconception(
            "no prior at all: the mean",
            lambda y, sigma, tau: y.mean(),
            "Without the second term the best w is the mean. What does its derivative add?",
        ),
        Misconception(
            "sigma and tau swapped",
            lambda y, sigma, tau: y.sum() / (len(y) + tau**2 / sigma**2),
            "Check the ends: a very small tau is a firm belief in 0, and a very large one no belief at all.",
        ),
        Misconception(
            "the standard deviations not squared",
            lambda y, sigma, tau: y.sum() / (len(y) + sigma / tau),
            "The objective divides by variances. Follow both squares through to the end.",
        ),
        Misconception(
            "the prior counted once for every sample",
            lambda y, sigma, tau: y.mean() / (1 + sigma**2 / tau**2),
            "The samples' term is a sum of N squares, and the prior's stands there once. More samples must outvote it.",
        ),
        Misconception(
            "the noise taken as 1",
            lambda y, sigma, tau: y.sum() / (len(y) + 1 / tau**2),
            "How far the prior pulls depends on the noise of the samples too. Where did sigma go?",
        ),
        Misconception(
            "the prior's term with the wrong sign, which pushes away from 0",
            lambda y, sigma, tau: y.sum() / (len(y) - sigma**2 / tau**2),
            "A prior around 0 must bring the estimate closer to 0 than the mean is. Collect the terms in w again.",
        ),
    ),
)


# -------------------------------------------------------------------------------- decay_for_prior


def decay_of_prior(sigma: float, tau: float, N: int) -> float:
    """Return the weight_decay that stands for the prior N(0, tau²) beside MSELoss with its mean."""
    return 2 * sigma**2 / (N * tau**2)


def prior_cases(generator: Generator) -> Sequence[Case]:
    """Draw a noise, a prior and a number of samples."""
    sigma, tau = (uniform(generator, 2, low=0.3, high=2.0)).tolist()
    return [
        Case((1.0, 1.0, 1), note="one sample: (y − w)² + w² needs d/2 = 1"),
        Case((1.0, 1.0, 100), note="the mean divides the data term by N, so the prior's too"),
        Case((2.0, 1.0, 10), note="noisier data: more decay"),
        Case((1.0, 2.0, 10), note="a wider prior: less decay"),
        Case((sigma, tau, 37), note="random"),
    ]


DECAY_FOR_PRIOR = Exercise(
    "recipe.decay_for_prior",
    points=2,
    reference=decay_of_prior,
    cases=prior_cases,
    curve=Curve(steps(4, 40, 37), lambda x: Case((2.0, 1.0, int(x))), "N, with σ = 2 and τ = 1", "weight_decay"),
    predictions=(
        Prediction(
            "factor",
            "what the decay is multiplied by when the training set doubles",
            lambda: decay_of_prior(1.0, 1.0, 200) / decay_of_prior(1.0, 1.0, 100),
            "The prior stays one term beside twice as many, and their mean has half as much room for it.",
        ),
    ),
    hints=(
        r"By what must the objective of exercise 4 be multiplied, so that its first term is the mean of $(y_n - w)^2$? "
        "Multiply its second term by the same.",
        r"The factor is $2 \sigma^2 / N$, and the second term becomes $\frac{\sigma^2}{N \tau^2} w^2$. Its gradient is "
        r"$d \, w$.",
    ),
    misconceptions=(
        Misconception(
            "the decay that fits beside the sum of the squares",
            lambda sigma, tau, N: 2 * sigma**2 / tau**2,
            "`MSELoss` takes the mean: it divides the data's term by N. The prior's term must be divided alike.",
        ),
        Misconception(
            "a factor 2 too few",
            lambda sigma, tau, N: sigma**2 / (N * tau**2),
            "`weight_decay` is added to the gradient, and the gradient of c · w² is 2 c w.",
        ),
        Misconception(
            "the decay that fits beside the objective divided by N, with its factor 1 / (2 σ²)",
            lambda sigma, tau, N: 1 / (N * tau**2),
            "`MSELoss` knows neither the ½ nor the noise. Scale the objective until its first term is that loss.",
        ),
        Misconception(
            "sigma and tau swapped",
            lambda sigma, tau, N: 2 * tau**2 / (N * sigma**2),
            "A wide prior believes little, and should hold the weights back less.",
        ),
        Misconception(
            "multiplied by N, and not divided",
            lambda sigma, tau, N: 2 * N * sigma**2 / tau**2,
            "The more samples, the less the prior has to say beside their mean.",
        ),
        Misconception(
            "the standard deviations not squared",
            lambda sigma, tau, N: 2 * sigma / (N * tau),
            "The objective divides by variances, so both standard deviations stay squared.",
        ),
        Misconception(
            "the brackets below the line forgotten",
            lambda sigma, tau, N: 2 * sigma**2 / N * tau**2,
            "Python goes from left to right: `a / b * c` multiplies by c. Put what is below the line in brackets.",
        ),
        Misconception(
            "the decay that fits beside the objective as it stands",
            lambda sigma, tau, N: 1 / tau**2,
            "`MSELoss` knows neither the ½ nor the noise, and divides by N. Scale the objective until its first term "
            "is "
            "that loss.",
        ),
    ),
)


# ------------------------------------------------------------------------------ recipe_python_sum


HALF_LOG_2PI = 0.5 * math.log(2 * math.pi)


def unit_gaussian_nll(mu: Tensor, y: Tensor) -> Tensor:
    """Return the mean negative log-likelihood of y under Gaussians of variance 1."""
    return ((mu - y) ** 2 / 2 + HALF_LOG_2PI).mean()


def pair_cases(generator: Generator) -> Sequence[Case]:
    """Draw means and observations."""
    return [
        Case((torch.tensor([0.0]), torch.tensor([0.0])), note="at the centre: ½ ln 2π = 0.9189"),
        Case((torch.tensor([1.0, 2.0]), torch.tensor([1.0, 4.0])), note="0 and 2 away: ½ · 0² and ½ · 2²"),
        Case((torch.tensor([0.0, 3.0]), torch.tensor([15.0, -47.0])), note="15 and 50 away: the density itself is 0"),
        Case((normal(generator, 9), normal(generator, 9)), note="random"),
        Case((normal(generator, 200), normal(generator, 200)), note="200 of them"),
    ]


def pairs(generator: Generator, n: int) -> Case:
    """Draw n means and n observations."""
    return Case((normal(generator, n), normal(generator, n)))


GAUSSIAN_CURVE = Curve(
    steps(-3.0, 5.0, 33),
    lambda x: Case((torch.tensor([x, x]), torch.tensor([0.0, 2.0]))),
    "μ of both elements",
    "loss at y = 0 and y = 2",
)


def one_at_a_time(terms: Tensor) -> Tensor:
    """Add up as the slow exercise asks, with the built-in sum of the moment of the call: its steps are counted."""
    return torch.as_tensor(sum(terms))


def gaussian(total: Callable[[Tensor], Tensor]) -> tuple[Misconception, ...]:
    """Return the wrong losses, added up as the exercise asks."""
    return (
        Misconception(
            "the sum, not divided by N",
            lambda mu, y: total((mu - y) ** 2 / 2 + HALF_LOG_2PI),
            "The last step of the recipe here is to average over all elements.",
        ),
        Misconception(
            "the squared error, without its ½ and without the constant",
            lambda mu, y: total((mu - y) ** 2) / len(y),
            "That is the loss that is left when constants and factors are dropped. This exercise keeps them.",
        ),
        Misconception(
            "the minus forgotten: the log-likelihood",
            lambda mu, y: -total((mu - y) ** 2 / 2 + HALF_LOG_2PI) / len(y),
            "The logarithm is taken, and the sign has still to be turned: a loss is to be made small.",
        ),
        Misconception(
            "the density first, and then its logarithm",
            lambda mu, y: -total(torch.log(torch.exp(-((mu - y) ** 2) / 2) / math.sqrt(2 * math.pi))) / len(y),
            "Far from the mean the density is 0 in float32, and its logarithm −∞. Simplify on paper first: the "
            "logarithm of an exponential is its exponent.",
        ),
        Misconception(
            "the constant left out",
            lambda mu, y: total((mu - y) ** 2 / 2) / len(y),
            "The factor in front of the exponential has a logarithm too, and the exercise keeps it.",
        ),
        Misconception(
            "the root of 2π forgotten: its logarithm without the ½",
            lambda mu, y: total((mu - y) ** 2 / 2 + 2 * HALF_LOG_2PI) / len(y),
            "The density divides by a square root. What does a root become under a logarithm?",
        ),
        Misconception(
            "the constant added once, and not for every element",
            lambda mu, y: (total((mu - y) ** 2 / 2) + HALF_LOG_2PI) / len(y),
            "Every element has a density of its own, with a factor in front: there are N constants before the mean.",
        ),
    )


RECIPE_PYTHON_SUM = Exercise(
    "recipe.recipe_python_sum",
    points=1,
    reference=unit_gaussian_nll,
    cases=pair_cases,
    number_too=RACED,
    no_slope=RACED,
    curve=GAUSSIAN_CURVE,
    work=Work(pairs, vectorised=False),
    hints=(
        "The density is a product. How many terms does its logarithm have, and which of them depends on the data?",
        r"Two factors, so two terms: $-\log \frac{1}{\sqrt{2 \pi}} = \frac{1}{2} \log 2 \pi$, and minus the exponent.",
        "Make the N losses first, as one tensor. `sum` walks through a tensor element by element; divide at the end.",
    ),
    folded=1,
    misconceptions=(
        Misconception(
            "torch.sum, where Python's sum is asked for",
            lambda mu, y: torch.sum((mu - y) ** 2 / 2 + HALF_LOG_2PI) / len(y),
            "The number is right, but PyTorch did the adding. This is the slow version: use Python's built-in `sum`.",
            **BY_TORCH,
        ),
        exact_sum_for_pythons(lambda mu, y: math.fsum(((mu - y) ** 2 / 2 + HALF_LOG_2PI).tolist()) / len(y)),
        *gaussian(one_at_a_time),
    ),
)


# ------------------------------------------------------------------------------- recipe_torch_sum


RECIPE_TORCH_SUM = Exercise(
    "recipe.recipe_torch_sum",
    points=1,
    reference=unit_gaussian_nll,
    cases=pair_cases,
    gradient=True,
    curve=GAUSSIAN_CURVE,
    work=Work(pairs, vectorised=True),
    hints=(
        "Only the adding differs from the function above: the losses of the elements are the same.",
        "Make the N losses first, as one tensor, without a loop; give that tensor to `torch.sum`, and divide at the "
        "end.",
    ),
    folded=0,
    misconceptions=(
        Misconception(
            "Python's sum, where torch.sum is asked for",
            lambda mu, y: sum((mu - y) ** 2 / 2 + HALF_LOG_2PI) / len(y),
            "The number is right, but the elements are added one at a time. Let one call of PyTorch add them all.",
            **BY_PYTHON,
        ),
        *gaussian(torch.sum),
    ),
)


# ------------------------------------------------------------------------------ tosses_until_zero


def count_until_zero(p: float, dtype: torch.dtype) -> int:
    """Return how many factors p, multiplied one by one in a dtype, it takes to reach 0."""
    product, factor, count = torch.ones((), dtype=dtype), torch.tensor(p, dtype=dtype), 0
    while product > 0:
        product, count = product * factor, count + 1
    return count


def zero_cases(generator: Generator) -> Sequence[Case]:
    """Draw probabilities and formats. No p is above ½: there the product can stick above 0 for ever."""
    return [
        Case((0.5, torch.float16), note="the smallest float16 is 2^−24, and half of it rounds to 0"),
        Case((0.5, torch.bfloat16), note="the smallest bfloat16 is 2^−133"),
        Case((0.331, torch.bfloat16), note="no bfloat16 is 0.331: the factor is rounded too"),
        Case((0.5, torch.float32), note="the smallest float32 is 2^−149"),
        Case((0.1, torch.float16), note="one chance in ten"),
        Case((1e-9, torch.float16), note="a factor that is 0 in float16 from the start"),
        Case((0.1, torch.float64), note="and in float64"),
        Case((round(0.05 + 0.3 * uniform(generator, 1).item(), 3), torch.float32), note="random"),
    ]


def factors(p: float, dtype: torch.dtype, above: float = 0.0) -> int:
    """Return how many factors it takes until the product, kept in a dtype, is no longer above a number."""
    factor, product, count = torch.tensor(p, dtype=dtype), torch.ones((), dtype=dtype), 0
    while product > above:
        product, count = product * factor, count + 1
    return count


TOSSES_UNTIL_ZERO = Exercise(
    "recipe.tosses_until_zero",
    points=2,
    reference=count_until_zero,
    cases=zero_cases,
    rtol=0.0,
    atol=0.0,
    why="A count is right or wrong: one more or one less is a mistake.",
    curve=Curve(steps(0.1, 0.5, 33), lambda x: Case((x, torch.float16)), "p", "factors until 0 in float16"),
    predictions=(
        Prediction(
            "float32",
            "the count for a fair coin in float32",
            lambda: count_until_zero(0.5, torch.float32),
            "Half of the smallest number lies as near to 0 as to it, and is rounded to 0: one factor more.",
            rtol=0.0,
        ),
        Prediction(
            "float16",
            "the count in float16",
            lambda: count_until_zero(0.5, torch.float16),
            "The same, with another smallest number.",
            rtol=0.0,
        ),
    ),
    hints=(
        "A `while` loop: multiply, count, stop when the product is 0.",
        "A Python float is float64: a product that is kept as one lasts too long. Keep it a tensor of the format.",
    ),
    misconceptions=(
        Misconception(
            "the product kept as a Python float, which is float64",
            lambda p, dtype: factors(p, torch.float64),
            "Both the product and the factor must be tensors of the format: `torch.tensor(…, dtype=dtype)`.",
        ),
        Misconception(
            "float32 whatever the format",
            lambda p, dtype: factors(p, torch.float32),
            "Without `dtype=` a tensor of a float is float32. Both the product and the factor need the format.",
        ),
        Misconception(
            "one too few",
            lambda p, dtype: factors(p, dtype) - 1,
            "The factor that makes the product 0 counts too. Look at where the count grows and what it starts from.",
        ),
        Misconception(
            "stopped at the smallest normal number, which is not yet 0",
            lambda p, dtype: factors(p, dtype, above=torch.finfo(dtype).tiny),
            "Below `finfo(dtype).tiny` there are smaller numbers still, with fewer digits. Go on until the product is "
            "0.",
        ),
        Misconception(
            "stopped at the machine epsilon",
            lambda p, dtype: factors(p, dtype, above=torch.finfo(dtype).eps),
            "`finfo(dtype).eps` is the gap beside 1, and far smaller numbers exist. Go on until the product is 0.",
        ),
        Misconception(
            "computed with logarithms from the smallest positive number, without rounding",
            lambda p, dtype: math.ceil(math.log(torch.finfo(dtype).tiny * torch.finfo(dtype).eps) / math.log(p)),
            "Each product is rounded to the format, and that shifts the end. Multiply one factor at a time and look.",
        ),
    ),
)


# --------------------------------------------------------------------------------- voter_chances


FEW = 24  # voters to learn from; the others are held out
POWERS = 8


def few_voters(generator: Generator) -> Sequence[Case]:
    """Draw, three times, which 24 of the 944 voters are learnt from; the inputs are powers of the party."""
    table = anes96()
    place = table["party"] / 3 - 1  # from −1, a strong Democrat, to 1, a strong Republican
    x = torch.stack([place**power for power in range(1, POWERS + 1)], 1).float()
    return held_out(generator, x, table["vote"].float(), FEW, "voters")


def most_probable(x: Tensor, y: Tensor, x_new: Tensor, tau: float) -> Tensor:
    """Return the probabilities that a line in the powers gives, its weights the MAP estimate, by Newton's method."""

    def rows(x: Tensor) -> Tensor:
        return torch.cat([torch.ones(len(x), 1), x], 1).double()

    a, w, eye = rows(x), torch.zeros(x.shape[1] + 1).double(), torch.eye(x.shape[1] + 1).double()
    for _ in range(30):
        p = torch.sigmoid(a @ w)
        slope = a.T @ (p - y) + w / tau**2
        step = torch.linalg.solve((a.T * (p * (1 - p))) @ a + eye / tau**2, slope)
        w = w - step * min(1.0, 20 / float(step.norm().clamp(min=1e-9)))
    return torch.sigmoid(rows(x_new) @ w).float()


def with_a_prior(x: Tensor, y: Tensor, x_new: Tensor) -> Tensor:
    """Return the probabilities under the prior N(0, 1) of each weight."""
    return most_probable(x, y, x_new, 1.0)


def _chances_loss(p: Tensor, y: Tensor) -> float:
    return float(-torch.where(y == 1, p, 1 - p).log().mean())


CHANCES_TO_BEAT = 0.55  # 0.68 is the best constant's at best; 0.35 is usual under N(0, 1), and 2 without a prior


def _by_factors(p: Tensor, y: Tensor, *factors: float) -> bool:
    """Tell whether the same answers, their log-odds multiplied by one of these factors, would do it."""
    z = p.clamp(1e-7, 1 - 1e-7).logit()
    return any(_chances_loss(torch.sigmoid(factor * z), y) < CHANCES_TO_BEAT for factor in factors)


def rest_of_a_parting_weight() -> str:
    """Say where descent without a prior takes the weight of an input that parts the labels."""
    x, y, w, reached = torch.tensor([-1.0, -0.3, 0.3, 1.0]), torch.tensor([0.0, 0.0, 1.0, 1.0]), torch.zeros(()), []
    for step in range(4000):
        w = w + (x * (y - torch.sigmoid(w * x))).mean()
        if step % 1000 == 999:
            reached.append(w.item())
    still = [later - earlier for earlier, later in pairwise(reached)]
    return "nowhere" if min(still) > 0.01 else "at 1" if abs(reached[-1] - 1) < 0.01 else "at 0"


VOTER_CHANCES = Exercise(
    "recipe.voter_chances",
    points=3,
    reference=with_a_prior,
    cases=few_voters,
    score=Score("the loss on voters held out", _chances_loss, CHANCES_TO_BEAT),
    no_slope="What is asked for is what a trained model says; nothing is trained through it.",
    predictions=(
        Prediction(
            "firmest",
            "the loss under the firmest prior, which holds every weight at 0,",
            lambda: _chances_loss(torch.full((10,), 0.5), torch.ones(10)),
            "Weights of 0 give one half to everyone, whoever they vote for: ln 2.",
        ),
        Prediction(
            "rests",
            "the resting place of a weight without a prior, if its input parts the voters,",
            rest_of_a_parting_weight,
            "Each larger weight gives what happened a larger probability, so the likelihood has no largest value.",
            ("at 0", "at 1", "nowhere"),
        ),
    ),
    hints=(
        "Write what is to be least as in exercise 4, with the tosses' log-likelihood in place of the squares: "
        r"$-\log L(w) + \frac{1}{2 \tau^2} \lVert w \rVert^2$. Its first term is your function of exercise 1, with a "
        "probability for each voter.",
        "Let PyTorch take the gradient: `w = torch.zeros(8, requires_grad=True)`, `p = torch.sigmoid(x @ w)`, and some "
        "hundred steps of an optimiser. A column of ones beside the eight gives the model a constant. If an error "
        "speaks of overflow, a weight has run away, and a probability was rounded to 0 or 1.",
        "Which τ would you have believed in before you saw a voter? An input goes from −1 to 1: how far does a weight "
        "of 1 move a probability from ½, and how far one of ten? `torch.sigmoid` tells.",
    ),
    misconceptions=(
        Misconception(
            "probabilities that are not finite",
            lambda x, y, x_new: with_a_prior(x, y, x_new) * math.nan,
            "Some are nan. Without a prior the weights grow until a probability is rounded to 1, and 0 · log 0 is nan. "
            "A step that is too long does it as well.",
            sign=lambda p, y: not bool(p.isfinite().all()),
        ),
        Misconception(
            "numbers that are no probabilities",
            lambda x, y, x_new: with_a_prior(x, y, x_new).logit(),
            "A probability lies between 0 and 1. Squeeze the line: `torch.sigmoid`.",
            sign=lambda p, y: bool((p < 0).any() or (p > 1).any()),
        ),
        Misconception(
            "the same for all voters",
            lambda x, y, x_new: y.mean().expand(len(x_new)),
            "What is known of a voter has no part in it. That is the best constant at most.",
            sign=lambda p, y: bool((p == p[0]).all()),
        ),
        Misconception(
            "a prior so firm that nearly the same is said of all",
            lambda x, y, x_new: most_probable(x, y, x_new, 0.1),
            "Surer by some factor, the same answers would do it, or they are hardly different. The prior holds the "
            "weights so near to 0 that the voters cannot move them far: believe in it less.",
            sign=lambda p, y: bool(p.max() - p.min() < 0.3) or _by_factors(p, y, 2.0, 4.0),
        ),
        Misconception(
            "decisions in place of probabilities",
            lambda x, y, x_new: (with_a_prior(x, y, x_new) > 0.5).float(),
            "Only 0 and 1 are said, and one sure answer that is wrong costs without limit. Return the probabilities.",
            sign=lambda p, y: bool(((p == 0) | (p == 1)).all()),
        ),
        Misconception(
            "the probabilities of the other candidate",
            lambda x, y, x_new: 1 - with_a_prior(x, y, x_new),
            "Turned round they would do it: either the step goes uphill, or 1 is taken for Clinton.",
            sign=lambda p, y: _chances_loss(1 - p, y) < CHANCES_TO_BEAT,
        ),
        Misconception(
            "learnt by heart: far too sure of too few voters",
            lambda x, y, x_new: most_probable(x, y, x_new, 1e3),
            "Many of the answers are nearly 0 or 1. So few voters cannot tell that much: weights that were believed to "
            "be near 0 would be smaller. Is there a prior in what you minimise, and is it firm enough?",
            sign=lambda p, y: (
                bool(((p < 0.02) | (p > 0.98)).float().mean() > 0.3) or _by_factors(p, y, 1 / 2, 1 / 4, 1 / 8, 1 / 16)
            ),
        ),
    ),
)
