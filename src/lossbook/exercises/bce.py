"""The exercises of lesson 03: binary cross-entropy."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Generator, Tensor, exp, log, tensor

from lossbook.checks.exercise import (
    ACTIVATIONS,
    ADDING,
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
from lossbook.losses import binary_cross_entropy, binary_cross_entropy_with_logits

LOGITS = tuple(0.4 * k - 7.8 for k in range(40))  # zero is not among them


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


def entropy(share: float) -> float:
    """Return the loss of the best constant, where this share of the labels is positive."""
    return float(binary_cross_entropy(tensor(share), tensor(share)))


def _each(p: Tensor, y: Tensor) -> Tensor:
    """Return the loss of each element."""
    return -(y * log(p) + (1 - y) * log(1 - p))


NO_MINUS = "Each logarithm of a probability is negative, and a loss is positive: look for the minus."
NOT_DIVIDED = "A loss that grows with the number of samples is a sum: divide by how many there are."
POSITIVE_ALONE = "At y = 0 your loss is zero, whatever p is. Add the term that speaks when the label is 0."
BASE_TWO = "The course's logarithm is the natural one, `torch.log`: p = ½ scores 0.6931, and yours scores 1."
ONE_MINUS = "The minus belongs before both terms: put them in brackets."


# ---------------------------------------------------------------------------------------- sigmoid


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


def right_sigmoid(z: Tensor) -> Tensor:
    """Return 1 / (1 + exp(−z)): where the exponential overflows, its reciprocal is 0, as it should be."""
    return 1 / (1 + torch.exp(-z))


SIGMOID = Exercise(
    "bce.sigmoid",
    points=2,
    reference=right_sigmoid,
    cases=sigmoid_cases,
    # The lesson: the functions of torch.nn.functional and torch.sigmoid are for checking, not for the answer.
    forbidden=ACTIVATIONS | {"sigmoid", "special_expit", "expit"},
    no_slope="A probability is what is asked for; the losses further down are what is trained with.",
    curve=Curve(LOGITS, lambda z: Case((tensor([z]),)), "logit z", "probability"),
    predictions=(
        Prediction(
            "at_zero",
            "σ(0)",
            lambda: float(right_sigmoid(tensor(0.0))),
            "Log-odds of zero: both outcomes are as likely.",
        ),
        Prediction(
            "sum_at_two",
            "σ(−2) + σ(2)",
            lambda: float(right_sigmoid(tensor([-2.0, 2.0], dtype=torch.float64)).sum()),
            "With the sign of the log-odds the two outcomes change places, and their probabilities add up to 1.",
        ),
    ),
    hints=(
        r"Exponentiate both sides of $z = \log \frac{p}{1 - p}$, then collect the terms with $p$.",
        r"$1 / (1 + e^{-z})$ is right on paper, and here at the extremes too: $e^{1000}$ is `inf`, and"
        r" $1 / \infty = 0$. Written as $e^{z} / (1 + e^{z})$ it gives"
        "\n`inf / inf`, which is `nan`.",
    ),
    misconceptions=(
        Misconception(
            "the exponential of z itself, above and below the line",
            lambda z: exp(z) / (1 + exp(z)),
            "Right on paper; at z = 1000 it is inf / inf. Write it with an exponential that may overflow harmlessly.",
        ),
        Misconception(
            "the minus in the exponent forgotten",
            lambda z: 1 / (1 + exp(z)),
            "Your curve falls where it should rise: the larger the log-odds, the likelier the event.",
        ),
        Misconception(
            "tanh in place of the sigmoid", torch.tanh, "A probability lies between 0 and 1; yours goes from −1 to 1."
        ),
        Misconception(
            "the brackets below the line forgotten",
            lambda z: 1 / 1 + exp(-z),
            "Python divides before it adds: `1 / 1 + a` is `1 + a`. Put the denominator in brackets.",
        ),
        Misconception(
            "the log-odds computed once more",
            lambda z: log(z / (1 - z)),
            "z is the log-odds already. Solve the equation for p and return that.",
        ),
        Misconception(
            "the sign of z lost",
            lambda z: 1 / (1 + exp(-z.abs())),
            "Your curve is never below one half: −|z| serves where z is positive; the other side needs its own form.",
        ),
        Misconception(
            "a softmax over all elements",
            lambda z: exp(z) / exp(z).sum(),
            "Each logit has its own probability, whatever the others are: nothing is to be divided by their sum.",
        ),
    ),
)


# -------------------------------------------------------------------------------------------- bce


PROBABILITIES = tuple(0.025 * k for k in range(1, 40))


def shaped_probability_cases(generator: Generator) -> Sequence[Case]:
    """Draw probabilities and labels, in two dimensions too."""
    p, y = probabilities_and_labels(generator, 12)
    return [
        *probability_cases(generator),
        Case((p.view(4, 3), y.view(4, 3)), note="two dimensions: the mean is over all elements"),
    ]


def by_probability(ylabel: str) -> Curve:
    """Return the curve of a loss over p, where the label is 1."""
    return Curve(PROBABILITIES, lambda p: Case((tensor([p]), tensor([1.0]))), "probability p, where y = 1", ylabel)


BCE = Exercise(
    "bce.bce",
    points=2,
    reference=lambda p, y: binary_cross_entropy(p, y),
    cases=shaped_probability_cases,
    gradient=True,
    forbidden=ACTIVATIONS,
    curve=by_probability("loss"),
    predictions=(
        Prediction(
            "one_half",
            "the loss of always one half",
            lambda: entropy(0.5),
            "Each label costs −log ½ = ln 2, whichever it is.",
        ),
    ),
    hints=(
        "The logarithm of a product is a sum of logarithms, and an exponent comes down as a factor: there are two"
        " terms, one for each label.",
        "If your loss is negative, a minus is missing. If it grows with the number of samples, you have summed and"
        " not averaged.",
    ),
    misconceptions=(
        Misconception("the minus forgotten", lambda p, y: -_each(p, y).mean(), NO_MINUS),
        Misconception("the sum in place of the mean", lambda p, y: _each(p, y).sum(), NOT_DIVIDED),
        Misconception("the positive term alone", lambda p, y: -(y * log(p)).mean(), POSITIVE_ALONE),
        Misconception(
            "the minus before the first term alone", lambda p, y: (-y * log(p) + (1 - y) * log(1 - p)).mean(), ONE_MINUS
        ),
        Misconception(
            "divided by the rows alone",
            lambda p, y: _each(p, y).sum() / len(p),
            "`len` of a table is the number of its rows. The mean is over all elements, whatever the shape.",
        ),
        Misconception(
            "labels and probabilities swapped",
            lambda p, y: _each(y, p).mean(),
            "The logarithm is of the model's probability. A label of 0 has no logarithm.",
        ),
        Misconception("the logarithm to base 2", lambda p, y: _each(p, y).mean() / log(torch.tensor(2.0)), BASE_TWO),
        Misconception(
            "a small number added inside the logarithms",
            lambda p, y: -(y * log(p + 1e-7) + (1 - y) * log(1 - p + 1e-7)).mean(),
            "Here p is never 0 or 1, and the small number changes the loss and its gradient where p is smaller still.",
        ),
        Misconception(
            "the gradient lost on the way",
            lambda p, y: _each(p, y).mean().detach(),
            "The numbers are right, but nothing can be trained with them: return the tensor, without item or detach.",
        ),
    ),
)


# ----------------------------------------------------------------------------------- bce_gradient


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


def gradient_of_bce(z: Tensor, y: Tensor) -> Tensor:
    """Return the gradient of the mean binary cross-entropy from logits: (σ(z) − y) / N."""
    return (torch.sigmoid(z) - y) / z.numel()


def _slope_of_spam(p: float) -> float:
    """Return the slope in the logit where the model says p and the label is 0."""
    return float(gradient_of_bce(tensor([p]).logit(), tensor([0.0])))


BCE_GRADIENT = Exercise(
    "bce.bce_gradient",
    points=2,
    reference=gradient_of_bce,
    cases=logit_cases,
    forbidden=ACTIVATIONS | {"backward", "grad"},  # the lesson: from the formula and not by backward
    no_slope="The answer is a gradient itself, from its formula.",
    curve=Curve(LOGITS, lambda z: Case((tensor([z]), tensor([1.0]))), "logit z, where y = 1", "gradient of the loss"),
    predictions=(
        Prediction(
            "slope",
            "the slope at p = 0.9, y = 0",
            lambda: _slope_of_spam(0.9),
            "It is what the model said minus what happened, 0.9 − 0.",
        ),
        Prediction(
            "pushed",
            "the way that the logit is pushed",
            lambda: "down" if _slope_of_spam(0.9) > 0 else "up",
            "A step goes against the slope, and the message was not spam.",
            ("up", "down"),
        ),
    ),
    hints=(
        r"In terms of the logit, one sample's loss is $\log (1 + e^{z}) - y z$. Differentiate it.",
        "What the model said minus what happened. The mean over $N$ samples leaves a factor $1 / N$.",
    ),
    misconceptions=(
        Misconception(
            "the sign turned",
            lambda z, y: (y - torch.sigmoid(z)) / len(z),
            "The gradient points to where the loss grows: for a label of 0 that is towards larger logits.",
        ),
        Misconception(
            "the gradient of the sum",
            lambda z, y: torch.sigmoid(z) - y,
            "The mean over N samples leaves a factor in front of each.",
        ),
        Misconception(
            "the gradient of the squared error",
            lambda z, y: 2 * (torch.sigmoid(z) - y) * torch.sigmoid(z) * (1 - torch.sigmoid(z)) / len(z),
            "That is the gradient of (p − y)². Differentiate the logarithms: a sure and wrong model is pushed hardest.",
        ),
        Misconception(
            "the gradient by the probability",
            lambda z, y: (torch.sigmoid(z) - y) / (torch.sigmoid(z) * (1 - torch.sigmoid(z))) / len(z),
            "That is the slope in p. By the chain rule, multiply by the sigmoid's own slope and see what cancels.",
        ),
        Misconception(
            "the logit taken for the probability",
            lambda z, y: (z - y) / len(z),
            "z is a logit, any real number: turn it into a probability before you compare it with a label.",
        ),
        Misconception(
            "one number for all samples",
            lambda z, y: (torch.sigmoid(z) - y).mean(),
            "Each logit has a slope of its own: the result has the shape of z.",
        ),
        Misconception(
            "the label forgotten",
            lambda z, y: torch.sigmoid(z) / len(z),
            "That is the slope of log(1 + exp(z)). The term with the label has a slope too.",
        ),
    ),
)


# ---------------------------------------------------------------------------------- bce_diagnosis


LEARNS, STUCK, TOO_LONG, BY_HEART, ADDED_UP = range(5)


@dataclass(frozen=True)
class Run:
    """A run of logistic regression on points whose first two coordinates say something of their labels.

    Args:
        shows: What the run shows.
        n: How many samples are learnt from; as many are held out, with as many positives among them.
        share: The share of positive labels.
        signal: How much the coordinates say.
        step: The length of a step.
        steps: How many steps.
        coordinates: How many coordinates a point has.
        unit: What they are multiplied by before the model sees them.

    """

    shows: int
    n: int
    share: float
    signal: float
    step: float
    steps: int
    coordinates: int = 2
    unit: float = 1.0

    def curves(self, generator: Generator) -> tuple[Tensor, Tensor, Tensor]:
        """Train, and return the losses on both halves, to four decimals, and the labels of the first."""
        x = normal(generator, 2 * self.n, self.coordinates)
        score = self.signal * (x[:, 0] - x[:, 1] / 2) + normal(generator, 2 * self.n)
        order = score.argsort(descending=True)
        positives = 2 * round(self.share * self.n)
        halves = [
            part[torch.randperm(len(part), generator=generator)] for part in (order[:positives], order[positives:])
        ]
        order = torch.cat([torch.cat(half) for half in zip(*(part.chunk(2) for part in halves), strict=True)])
        y = torch.cat([torch.ones(positives // 2), torch.zeros(self.n - positives // 2)])
        x = x[order] * self.unit
        w, b, losses = torch.zeros(self.coordinates), tensor(0.0), []
        for _ in range(self.steps):
            z = x @ w + b
            losses.append((_softplus(z) - y.repeat(2) * z).view(2, -1).mean(1))
            slope = gradient_of_bce(z[: self.n], y)
            w, b = w - self.step * (x[: self.n].T @ slope), b - self.step * slope.sum()
        train, held = torch.stack(losses, 1) * (self.n if self.shows == ADDED_UP else 1)
        return train.round(decimals=4), held.round(decimals=4), y[torch.randperm(self.n, generator=generator)]


def _clear(shows: int, train: Tensor, held: Tensor, y: Tensor) -> bool:
    """Tell whether a run shows what it is to show so plainly that every fair rule sees it."""
    constant, ends, kept = entropy(float(y.mean())), float(train[-1]), float(held[-1] / held.min())
    if shows == LEARNS:  # and no share of labels stands for its entropy
        return (
            float(y.mean()) < ends < 0.85 * constant and 1.02 * ends < float(held[-1]) < 0.9 * constant and kept < 1.03
        )
    if shows == TOO_LONG:
        return bool(ends > 1.5 * train[0]) and kept > 1.5
    if shows == BY_HEART:
        return ends < 0.4 * constant and kept > 1.4 and bool(held[-1] > 1.1 * held[0])
    if shows == STUCK:  # noise says a little of the samples that are learnt from, by chance
        return ends > 0.965 * constant and kept < 1.03 and (ends < 0.985 * constant or bool((train == held).all()))
    return True


def diagnosis_cases(generator: Generator) -> Sequence[Case]:
    """Train models that learn, and models that do not."""
    n = 150 + 10 * int(integers(generator, 10))
    rare, often = 0.08 + 0.01 * int(integers(generator, 6)), 0.4 + 0.01 * int(integers(generator, 20))
    runs = {
        "half of the labels are positive": Run(LEARNS, n, 0.5, 0.75, 0.5, 50),
        "few labels are positive": Run(LEARNS, n, rare, 2.0, 2.0, 80),
        "few labels are positive, once more": Run(STUCK, n, rare, 0.0, 3.0, 80),
        "few labels are positive, and a curve that runs flat": Run(STUCK, n, rare, 0.0, 3.0, 60, unit=0.0),
        "a run that ends where it began, or nearly": Run(STUCK, n, often, 0.0, 1.0, 40, unit=0.0),
        "a curve that leaps": Run(TOO_LONG, n, often, 0.3, 60.0, 40),
        "a few samples of many coordinates": Run(BY_HEART, 40, 0.5, 0.9, 2.0, 60, 30),
        "large numbers": Run(ADDED_UP, n, often, 1.5, 1.0, 40),
        "few labels are positive, and the numbers are large": Run(ADDED_UP, n, rare, 2.5, 2.0, 60),
    }
    cases = []
    for note, run in runs.items():
        curves = run.curves(generator)
        while not _clear(run.shows, *curves):
            curves = run.curves(generator)
        cases.append(Case(curves, note=note))
    return [cases[k] for k in torch.randperm(len(cases), generator=generator).tolist()]


def what_a_run_shows(
    train: Tensor,
    held: Tensor,
    y: Tensor,
    *,
    constant: float | None = None,
    begins: float = math.log(2),
    by_heart: Callable[[Tensor, Tensor], bool] = lambda train, held: bool(held[-1] > 1.2 * held.min()),
    blind: int | None = None,
) -> int:
    """Return the number of what a run shows, from 0 to 4; ``blind`` is the fault that is not looked for.

    Args:
        train: The losses on what is learnt from.
        held: The losses on what is held out.
        y: The labels learnt from.
        constant: What is taken for the loss of the best constant; the entropy of the labels unless given.
        begins: What is taken for the loss of logits of zero.
        by_heart: What is taken for learning by heart.
        blind: The fault that is not looked for.

    """
    constant = entropy(float(y.mean())) if constant is None else constant
    found = {
        ADDED_UP: bool(train[0] > 1.5 * begins),
        TOO_LONG: bool(train[-1] > 1.2 * train[0]),
        BY_HEART: by_heart(train, held),
        STUCK: bool(train[-1] > 0.93 * constant),
    }
    return next((fault for fault, seen in found.items() if seen and fault != blind), LEARNS)


BCE_DIAGNOSIS = Exercise(
    "bce.bce_diagnosis",
    points=2,
    reference=lambda train, held, y: what_a_run_shows(train, held, y),
    cases=diagnosis_cases,
    predictions=(
        Prediction(
            "learnt",
            "the run that has learnt something from its inputs",
            lambda: {(True, False): "the first", (False, True): "the second", (True, True): "both"}.get(
                (entropy(0.5) > 0.4, entropy(0.1) > 0.4), "neither"
            ),
            "The best constant scores 0.69 where half of the labels are positive, and 0.33 where a tenth is: the second"
            " run is worse than that.",
            ("the first", "the second", "both", "neither"),
        ),
    ),
    hints=(
        "Five things are to be told apart, and each is a comparison: with the loss at the start, with the lowest loss"
        " so far, with the loss of the best constant, with what a mean is at logits of zero. Which is which?",
        "The best constant is the share of positive labels, and your `bce` says what it costs. A mean of losses at"
        " logits of zero is ln 2. Who learns by heart gets worse again on what is held out.",
        "Ask in an order in which each question can be trusted: first whether the losses are a mean at all, then"
        " whether the run ends above its start, then the samples held out, and the best constant last.",
    ),
    folded=2,
    misconceptions=(
        Misconception(
            "compared with ln 2, whatever the labels are",
            lambda train, held, y: what_a_run_shows(train, held, y, constant=math.log(2)),
            "Where a tenth of the labels is positive, a constant scores far less than ln 2, and has learnt nothing: "
            "compare with the best constant for these labels.",
        ),
        Misconception(
            "the samples held out not looked at",
            lambda train, held, y: what_a_run_shows(train, held, y, blind=BY_HEART),
            "One of the runs has a loss near zero on what it learns from. Look at its other curve.",
        ),
        Misconception(
            "any gap taken for learning by heart",
            lambda train, held, y: what_a_run_shows(
                train, held, y, by_heart=lambda train, held: bool(held[-1] > train[-1])
            ),
            "Every model does a little better on what it was trained on. Learning by heart shows where the loss on "
            "other samples has been lower before.",
        ),
        Misconception(
            "a sum taken for a run that is stuck",
            lambda train, held, y: what_a_run_shows(train, held, y, blind=ADDED_UP),
            "Before the first step a mean loss is ln 2. What is it in the runs with large numbers, and in relation to "
            "how many labels there are?",
        ),
        Misconception(
            "steps that are too long not seen",
            lambda train, held, y: what_a_run_shows(train, held, y, blind=TOO_LONG),
            "One of the runs ends far above where it began, on what it learns from too: no model that is only stuck, "
            "or that learns by heart, does that.",
        ),
        Misconception(
            "a start above the best constant taken for a sum",
            lambda train, held, y: what_a_run_shows(train, held, y, begins=entropy(float(y.mean())) / 1.5),
            "Logits of zero say one half, which costs ln 2 whatever the labels are: a mean begins there, also where "
            "few labels are positive.",
        ),
        Misconception(
            "no room for chance",
            lambda train, held, y: what_a_run_shows(train, held, y, constant=0.99 / 0.93 * entropy(float(y.mean()))),
            "One run ends a hair below the best constant, on what it learns from. Any inputs fit some samples a "
            "little, by chance: ask for more than that.",
        ),
        Misconception(
            "counted from 1",
            lambda train, held, y: what_a_run_shows(train, held, y) + 1,
            "Each number is too large by one: the table begins at 0, with the run that learns.",
        ),
    ),
)


# -------------------------------------------------------------------------------- bce_with_logits


def shaped_logit_cases(generator: Generator) -> Sequence[Case]:
    """Draw logits and labels, in two dimensions too."""
    z, y = normal(generator, 3, 4, scale=2.0), integers(generator, 2, 3, 4).float()
    return [*logit_cases(generator), Case((z, y), note="two dimensions: the mean is over all elements")]


def _softplus(z: Tensor) -> Tensor:
    """Return log(1 + e^z)."""
    return torch.logaddexp(z, torch.zeros_like(z))


def _through_a_probability(z: Tensor, y: Tensor, c: float = 1.0) -> Tensor:
    p = 1 / (1 + exp(-z))
    return -(c * y * log(p) + (1 - y) * log(1 - p)).mean()


def _held_logarithms(z: Tensor, y: Tensor) -> Tensor:
    p = torch.sigmoid(z)
    return -(y * log(p).clamp(min=-100) + (1 - y) * log(1 - p).clamp(min=-100)).mean()


BCE_WITH_LOGITS = Exercise(
    "bce.bce_with_logits",
    points=3,
    reference=lambda z, y: binary_cross_entropy_with_logits(z, y),
    cases=shaped_logit_cases,
    gradient=True,
    forbidden=ACTIVATIONS,
    curve=Curve(
        tuple(5 * z for z in LOGITS), lambda z: Case((tensor([z]), tensor([0.0]))), "logit z, where y = 0", "loss"
    ),
    predictions=(
        Prediction(
            "through_p",
            "`bce(sigmoid(z), y)` at z = 200, y = 0",
            lambda: f"{_through_a_probability(tensor([200.0]), tensor([0.0])).item():g}",
            "The sigmoid has rounded to 1, so 1 − p is 0, and minus its logarithm is infinite.",
            ("0", "200", "inf", "nan"),
        ),
    ),
    hints=(
        r"Start from $\log (1 + e^{z}) - y z$. For $z > 0$, take $e^{z}$ out of the bracket.",
        r"$\log (1 + e^{z}) = \max(z, 0) + \log (1 + e^{-|z|})$, and `torch.log1p(x)` is $\log (1 + x)$ without the"
        " loss of a small $x$.",
    ),
    misconceptions=(
        Misconception(
            "a probability formed first",
            _through_a_probability,
            "Once the sigmoid has rounded to 0 or 1, its logarithm is infinite: simplify before you compute.",
        ),
        Misconception(
            "log(1 + exp(z)) as it stands",
            lambda z, y: (log(1 + exp(z)) - y * z).mean(),
            "The formula is right and exp(1000) overflows: take the large part out of the bracket.",
        ),
        Misconception(
            "a small number added inside the logarithms",
            lambda z, y: -(y * log(torch.sigmoid(z) + 1e-7) + (1 - y) * log(1 - torch.sigmoid(z) + 1e-7)).mean(),
            "That bounds the loss near 16, and the gradient is lost where the model is most wrong: avoid p altogether.",
        ),
        Misconception(
            "the probability held away from 0 and 1",
            lambda z, y: _each(torch.sigmoid(z).clamp(1e-7, 1 - 1e-7), y).mean(),
            "Where it is held the gradient is zero, so that a sure and wrong model learns nothing: avoid p altogether.",
        ),
        Misconception(
            "the logarithms held at −100",
            _held_logarithms,
            "The loss at z = 200 is 200, not 100, and its slope is not zero there: avoid p altogether.",
        ),
        Misconception(
            "logits taken for probabilities",
            lambda z, y: _each(z, y).mean(),
            "z may be any real number, and a negative one has no logarithm: p = σ(z) must be in the formula first.",
        ),
        Misconception(
            "labels taken for −1 and 1",
            lambda z, y: _softplus(-y * z).mean(),
            "That short form is for labels −1 and 1. Here they are 0 and 1, and a label of 0 must cost something too.",
        ),
    ),
)


# --------------------------------------------------------------------------------- bce_pos_weight


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


def weighted_bce(z: Tensor, y: Tensor, c: float) -> Tensor:
    """Return the mean binary cross-entropy from logits, the positive term weighted by c."""
    return binary_cross_entropy_with_logits(z, y, pos_weight=tensor(c))


def _from_logits(z: Tensor, y: Tensor, c: float = 1.0, other: float = 1.0) -> Tensor:
    """Return the loss of each element, with a weight for either term."""
    return c * y * _softplus(-z) + other * (1 - y) * _softplus(z)


BCE_POS_WEIGHT = Exercise(
    "bce.bce_pos_weight",
    points=2,
    reference=weighted_bce,
    cases=weighted_cases,
    gradient=True,
    forbidden=ACTIVATIONS,
    curve=Curve(
        LOGITS,
        lambda z: Case((tensor([z, z]), tensor([1.0, 0.0]), 4.0)),
        "logit z, the same for one positive and one negative; c = 4",
        "loss",
    ),
    predictions=(
        Prediction(
            "constant",
            "the best constant probability",
            lambda: 4 * 2 / (4 * 2 + 8),
            "Two positives at a price of 4 weigh as much as the eight negatives: 8 of 16.",
        ),
    ),
    hints=(
        r"The loss has two terms, $-\log \sigma(z)$ for a positive and $-\log (1 - \sigma(z))$ for a negative. Make"
        " each stable by itself, and then ask which has the price.",
        r"$-\log \sigma(z) = \log (1 + e^{-z})$ and $-\log (1 - \sigma(z)) = \log (1 + e^{z})$. Exercise 4 has the"
        r" stable form of $\log (1 + e^{z})$, and the two differ by $z$:"
        r" $\log (1 + e^{z}) = \log (1 + e^{-z}) + z$.",
    ),
    folded=1,
    misconceptions=(
        Misconception(
            "both terms weighted",
            lambda z, y, c: c * _from_logits(z, y).mean(),
            "A factor on everything changes no decision: c belongs to the term with y alone.",
        ),
        Misconception(
            "the negative term weighted",
            lambda z, y, c: _from_logits(z, y, 1.0, c).mean(),
            "c says how much more a missed positive costs: which of the two terms is that?",
        ),
        Misconception(
            "divided by the sum of the weights",
            lambda z, y, c: _from_logits(z, y, c).sum() / (1 + (c - 1) * y).sum(),
            "This mean divides by the number of elements, whatever the weights are.",
        ),
        Misconception(
            "c for the positives and 1 − c for the negatives",
            lambda z, y, c: _from_logits(z, y, c, 1 - c).mean(),
            "c is any positive number, not a share: the negative term keeps its weight of 1.",
        ),
        Misconception(
            "a probability formed first",
            _through_a_probability,
            "Once the sigmoid has rounded to 0 or 1, its logarithm is infinite: make each logarithm stable on its own.",
        ),
        Misconception(
            "the weight forgotten",
            lambda z, y, c: _from_logits(z, y).mean(),
            "Your loss is the same for every c.",
        ),
        Misconception(
            "the weight inside the logarithm",
            lambda z, y, c: (_from_logits(z, y) - y * log(torch.tensor(c))).mean(),
            "Inside the logarithm a factor only adds a constant, which has no gradient: multiply the logarithm itself.",
        ),
    ),
)


# --------------------------------------------------------------------------------- bce_python_sum


SPEED = Work(lambda generator, n: Case(probabilities_and_labels(generator, n)), vectorised=True)


BCE_PYTHON_SUM = Exercise(
    "bce.bce_python_sum",
    points=1,
    reference=lambda p, y: binary_cross_entropy(p, y),
    cases=probability_cases,
    forbidden=ACTIVATIONS,
    number_too=RACED,
    no_slope=RACED,
    work=Work(SPEED.case, vectorised=False),
    hints=(
        "Compute the loss of every element first, as one tensor: it is exercise 2 before its mean.",
        "Python's `sum` takes anything that can be walked through, a tensor of one dimension too; `len` says how"
        " many elements there are.",
    ),
    folded=0,
    misconceptions=(
        Misconception(
            "torch.sum for Python's sum",
            lambda p, y: _each(p, y).sum() / len(p),
            "The number is right. This one is the slow way, on purpose: let Python's `sum` walk over the elements.",
            **BY_TORCH,
        ),
        exact_sum_for_pythons(lambda p, y: math.fsum(_each(p, y).tolist()) / len(p)),
        Misconception("the sum not divided", lambda p, y: sum(_each(p, y)), NOT_DIVIDED),
        Misconception("the minus forgotten", lambda p, y: sum(-_each(p, y)) / len(p), NO_MINUS),
        Misconception(
            "divided by the number of positives",
            lambda p, y: sum(_each(p, y)) / sum(y),
            "Divide by the number of elements, whatever their labels are.",
        ),
        Misconception("the positive term alone", lambda p, y: sum(-y * log(p)) / len(p), POSITIVE_ALONE),
        Misconception(
            "the first element left out",
            lambda p, y: sum(_each(p[1:], y[1:])) / len(p),
            "Python counts from 0: `range(1, n)` begins at the second element.",
        ),
        Misconception(
            "the first element alone",
            lambda p, y: _each(p[0], y[0]) / len(p),
            "A `return` inside the loop ends it after one turn: move it out to the left.",
        ),
    ),
)


# ---------------------------------------------------------------------------------- bce_torch_sum


BCE_TORCH_SUM = Exercise(
    "bce.bce_torch_sum",
    points=1,
    reference=lambda p, y: binary_cross_entropy(p, y),
    cases=probability_cases,
    forbidden=ACTIVATIONS,
    gradient=True,
    work=SPEED,
    hints=("It is the function above with one name changed: the sum is PyTorch's, and there is no loop.",),
    folded=0,
    misconceptions=(
        Misconception(
            "Python's sum for torch.sum",
            lambda p, y: sum(_each(p, y)) / len(p),
            "The number is right, and it is added up one element at a time: name the `sum` that is PyTorch's.",
            **BY_PYTHON,
        ),
        Misconception("the sum not divided", lambda p, y: torch.sum(_each(p, y)), NOT_DIVIDED),
        Misconception("the minus forgotten", lambda p, y: torch.sum(-_each(p, y)) / len(p), NO_MINUS),
        Misconception(
            "the minus before the first term alone", lambda p, y: (-y * log(p) + (1 - y) * log(1 - p)).mean(), ONE_MINUS
        ),
        Misconception(
            "the logarithm to base 2", lambda p, y: torch.sum(_each(p, y)) / len(p) / log(torch.tensor(2.0)), BASE_TWO
        ),
        Misconception(
            "a sum that keeps its dimension",
            lambda p, y: torch.sum(_each(p, y), 0, keepdim=True) / len(p),
            "The result is one number, of shape (): sum without `keepdim`.",
        ),
        Misconception(
            "divided twice",
            lambda p, y: _each(p, y).mean() / len(p),
            "A mean is divided already: either take the mean, or the sum and divide once.",
        ),
    ),
)


# ----------------------------------------------------------------------------------- pairwise_sum


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


def sum_by_pairs(x: Tensor) -> Tensor:
    """Return the sum, added up in pairs, in the dtype of x."""
    while len(x) > 1:
        if len(x) % 2:
            x = torch.cat([x, x.new_zeros(1)])
        x = x[0::2] + x[1::2]
    return x[0]


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


PAIRWISE_SUM = Exercise(
    "bce.pairwise_sum",
    points=2,
    reference=sum_by_pairs,
    cases=sum_cases,
    rtol=2e-6,
    why="A running float32 total of 16,384 terms is off by 1.5e-4 of itself, and adding by pairs is right to 1e-7.",
    # The lesson: slices and +, and no torch.sum.
    forbidden=ACTIVATIONS | ADDING - {"einsum"},  # which is told as what it calls: a sum, or a product
    no_slope="The sum is compared with itself in other orders; nothing is trained through it.",
    predictions=(
        Prediction(
            "running",
            "the number of additions in a running total",
            lambda: 2**18 - 1,
            "Each term that comes after it is added to a total that holds it.",
        ),
        Prediction(
            "pairs",
            "the number of additions in pairs",
            lambda: math.log2(2**18),
            "Each round halves how many numbers are left, and a term is in one addition a round.",
        ),
    ),
    hints=(
        "`x[0::2]` is every second element from the first, `x[1::2]` every second from the second. An odd one out"
        " needs a partner: zero.",
        "Each round replaces x by a tensor half as long: go on while `len(x) > 1`.",
    ),
    folded=1,
    misconceptions=(
        Misconception(
            "one running total",
            _running_total,
            "The total grows large and each next term is rounded to fit it: add terms of like size, pair by pair.",
        ),
        Misconception(
            "one running total, in float32",
            lambda x: _running_total(x.float()),
            "The total grows large and each next term is rounded to fit it: add terms of like size, pair by pair. And "
            "what is begun with `torch.tensor(0.0)` is float32, whatever x is.",
        ),
        Misconception(
            "added up in a wider format",
            lambda x: torch.tensor(math.fsum(x.tolist()), dtype=x.dtype),
            "In float64, in Python's numbers or by `math.fsum` nothing is lost, and pairs have no part in it. Stay in "
            "the dtype of x: the order of the additions is what is to keep the error small.",
        ),
        Misconception(
            "the odd one dropped",
            lambda x: _by_pairs(x, "dropped"),
            "With five numbers the last has no neighbour, and is left out: it needs a partner that changes nothing.",
        ),
        Misconception(
            "an odd count not provided for",
            lambda x: _by_pairs(x, "as it is"),
            "With five numbers `x[0::2]` has three and `x[1::2]` has two: give the odd one a partner first.",
        ),
        Misconception(
            "the odd one paired with itself",
            lambda x: _by_pairs(x, "twice"),
            "The last of an odd count is added twice: its partner should change nothing.",
        ),
        Misconception(
            "the result left in a tensor of one element",
            _pairs,
            "At the end x holds one number, in shape (1,): return the number itself, of shape ().",
        ),
        Misconception(
            "one round of pairs only",
            lambda x: x[0::2] + x[1::2],
            "That halves the count once: repeat it until one number is left.",
        ),
        Misconception("pairs averaged", lambda x: _pairs(x, 2)[0], "You halve every pair on the way: only add."),
    ),
)


# ----------------------------------------------------------------------------------- voter_logits


VOTERS = 600  # to learn from; the others are held out
SAID = ("leaning", "party", "age", "education", "income", "news", "population")


def voter_cases(generator: Generator) -> Sequence[Case]:
    """Draw, three times, who of the 944 voters is learnt from, and who is held out."""
    table = anes96()
    x, y = torch.stack([table[name] for name in SAID], 1).float(), table["vote"].float()
    return held_out(generator, x, y, VOTERS, "voters")


def logits_by_newton(x: Tensor, y: Tensor, x_new: Tensor) -> Tensor:
    """Return the logits of a logistic regression on scaled inputs, fitted by Newton's method."""
    mean, spread = x.mean(0), x.std(0)

    def scaled(rows: Tensor) -> Tensor:
        return torch.cat([(rows - mean) / spread, rows.new_ones(len(rows), 1)], 1)

    rows = scaled(x)
    w = rows.new_zeros(rows.shape[1])
    for _ in range(8):
        p = torch.sigmoid(rows @ w)
        curvature = (rows.T * (p * (1 - p))) @ rows
        w = w - torch.linalg.solve(curvature, rows.T @ (p - y))
    return scaled(x_new) @ w


def _voters_loss(z: Tensor, y: Tensor) -> float:
    return float(binary_cross_entropy_with_logits(z, y))


TO_BEAT = 0.38  # 0.68 is the best constant's; 0.48 is reached with `leaning` alone, 0.28 with everything


def _decided(z: Tensor, y: Tensor) -> bool:
    return bool(((z == z.min()) | (z == z.max())).all() and z.min() < z.max() and z.abs().max() <= 1)


def _too_sure(z: Tensor, y: Tensor) -> bool:
    return _voters_loss(z, y) > 0.5 and any(_voters_loss(z / c, y) < TO_BEAT for c in (4, 16, 64, 256, 1024))


VOTER_LOGITS = Exercise(
    "bce.voter_logits",
    points=3,
    reference=logits_by_newton,
    cases=voter_cases,
    score=Score("the loss on voters held out", _voters_loss, TO_BEAT),
    no_slope="What is asked for is what a trained model says; nothing is trained through it.",
    predictions=(
        Prediction(
            "constant",
            "the loss of the best constant",
            lambda: entropy(0.42),
            "It is the entropy of the base rate, hardly less than ln 2: the two parties are nearly as many.",
        ),
    ),
    hints=(
        "Look at the inputs first: the population goes up to 7,300, the news to 7. A step that is right for the one is"
        " far too long or too short for the other. Subtract the mean of each column and divide by its spread, and do"
        " the same, with the same numbers, to `x_new`.",
        r"A linear model is enough: $z = x^{\top} w + b$, from zeros. The gradient by $w$ is $x^{\top}$ times that of"
        " exercise 3, and its step may be 1 once the columns are scaled; a few hundred steps will do.",
    ),
    misconceptions=(
        Misconception(
            "decisions in place of logits",
            lambda x, y, x_new: (logits_by_newton(x, y, x_new) > 0).float(),
            "What is scored is how sure you are, and not only on which side: return the logits themselves.",
            sign=_decided,
        ),
        Misconception(
            "one answer for all voters",
            lambda x, y, x_new: y.mean().logit().expand(len(x_new)),
            "Every voter gets the same logit: what they said has no part in it. That is the best constant at most.",
            sign=lambda z, y: bool((z == z[0]).all()),
        ),
        Misconception(
            "probabilities in place of logits",
            lambda x, y, x_new: torch.sigmoid(logits_by_newton(x, y, x_new)),
            "All your numbers lie between 0 and 1. A logit is any real number: leave the sigmoid to the loss.",
            sign=lambda z, y: bool(((z >= 0) & (z <= 1)).all()),
        ),
        Misconception(
            "logits that are not finite",
            lambda x, y, x_new: torch.sigmoid(40 * logits_by_newton(x, y, x_new)).logit(),
            "Some are infinite or nan. Either training has run away, which scaled inputs or a smaller step prevent, or "
            "they went through a probability that was rounded to 0 or 1.",
            sign=lambda z, y: not bool(z.isfinite().all()),
        ),
        Misconception(
            "the sign turned",
            lambda x, y, x_new: -logits_by_newton(x, y, x_new),
            "With the opposite sign your logits would do it: either the step goes uphill, or 1 is taken for Clinton.",
            sign=lambda z, y: _voters_loss(-z, y) < TO_BEAT,
        ),
        Misconception(
            "far too sure",
            lambda x, y, x_new: 40 * logits_by_newton(x, y, x_new),
            "Divided by some number they would do it: the model ranks voters well and is far too sure. Inputs that are "
            "not scaled, steps that are too long or too many do that.",
            sign=_too_sure,
        ),
    ),
)
