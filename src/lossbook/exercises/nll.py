"""The exercises of lesson 05: negative log-likelihood."""

from __future__ import annotations

import math
from collections.abc import Sequence

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
    Work,
    exact_sum_for_pythons,
    integers,
    normal,
    uniform,
)
from lossbook.losses import nll_loss, poisson_nll_loss


def log_probabilities(generator: Generator, *shape: int) -> Tensor:
    """Draw log-probabilities of this shape, ``(N, K)`` or ``(N, K, *)``: dimension 1 holds the classes."""
    return torch.log_softmax(normal(generator, *shape, scale=2.0), 1)


def chance(p: float) -> Tensor:
    """Return the log-probabilities of two classes, of which class 0 has the probability p; shape (1, 2)."""
    return torch.tensor([[p, 1 - p]]).log()


THREE = torch.tensor([[0.7, 0.2, 0.1], [0.1, 0.8, 0.1], [0.25, 0.25, 0.5]]).log()


def index_cases(generator: Generator) -> Sequence[Case]:
    """Draw log-probabilities and class indices."""
    return [
        Case((THREE, torch.tensor([0, 1, 2])), note="minus the mean of log 0.7, log 0.8 and log 0.5"),
        Case((torch.full((2, 4), 0.25).log(), torch.tensor([0, 3])), note="a uniform guess: ln 4"),
        Case((THREE, torch.tensor([2, 2, 0])), note="wrong three times"),
        Case((torch.tensor([[-1000.0, 0.0]]), torch.tensor([0])), note="the input is log p already: exp(−1000) is 0"),
        Case(
            (torch.tensor([[0.0, -math.inf]]), torch.tensor([0])),
            note="an impossible class that did not happen: pick, for 0 · ∞ is nan",
        ),
        Case((log_probabilities(generator, 9, 5), integers(generator, 5, 9)), note="random"),
        Case(
            (log_probabilities(generator, 6, 6), integers(generator, 6, 6)), note="random, as many samples as classes"
        ),
    ]


CHANCES = tuple(k / 40 for k in range(2, 40))
BY_CHANCE = Curve(
    CHANCES,
    lambda p: Case((chance(p), torch.tensor([0]))),
    "probability of the class that came",
    "loss",
)
MINUS = "The logarithm of a probability is negative or 0. What sign should a loss have?"


def picked(log_p: Tensor, y: Tensor) -> Tensor:
    """Return the log-probability of each sample's class."""
    return log_p[torch.arange(len(y)), y]


# ----------------------------------------------------------------------------------- nll_by_index


NLL_BY_INDEX = Exercise(
    "nll.nll_by_index",
    points=2,
    reference=lambda log_p, y: nll_loss(log_p, y),
    cases=index_cases,
    gradient=True,
    curve=BY_CHANCE,
    hints=(
        "`log_p[n, y[n]]`, for every $n$ at once. `log_p[:, y]` is not that: it picks whole columns, and has the "
        "shape $(N, N)$.",
        "`log_p[torch.arange(N), y]` pairs the two index tensors. `log_p.gather(1, y[:, None])` does the same and "
        "has the shape $(N, 1)$.",
    ),
    misconceptions=(
        Misconception(
            "the minus forgotten",
            lambda log_p, y: picked(log_p, y).mean(),
            MINUS,
        ),
        Misconception(
            "the sum for the mean",
            lambda log_p, y: -picked(log_p, y).sum(),
            "The loss of twice as many samples should not be twice as large: average over the N samples.",
        ),
        Misconception(
            "a logarithm taken again",
            lambda log_p, y: -picked(log_p, y).log().mean(),
            "The input holds logarithms already, and the logarithm of a negative number is nan.",
        ),
        Misconception(
            "whole columns picked",
            lambda log_p, y: -log_p[:, y].mean(),
            "`log_p[:, y]` has the shape (N, N): each sample is scored on everybody's class. Print it and look.",
        ),
        Misconception(
            "a one-hot product, in which 0 meets infinity",
            lambda log_p, y: -(F.one_hot(y, log_p.shape[1]) * log_p).sum(1).mean(),
            "0 times a log-probability of −∞ is nan, not 0. Look up the one number that you need.",
        ),
        Misconception(
            "the mean over all N · K entries",
            lambda log_p, y: -picked(log_p, y).sum() / log_p.numel(),
            "One number is picked for each sample. By how many numbers do you divide?",
        ),
        Misconception(
            "a plain number, without its gradient",
            lambda log_p, y: -picked(log_p, y).mean().item(),
            "The value is right, but no model can be trained with it. Return a tensor, without `.item()` or `detach`.",
        ),
    ),
)


# ----------------------------------------------------------------------------------- nll_ignoring


def ignoring_cases(generator: Generator) -> Sequence[Case]:
    """Draw log-probabilities, class indices of which some do not count, and the index that says so."""
    nothing = torch.full((1, 3), math.nan)
    padded, holed, rare = (integers(generator, 5, 12) for _ in range(3))
    padded[::3] = 0
    holed[::4] = 255
    rare[1::3] = 2
    return [
        Case((THREE, torch.tensor([0, 1, 2]), -100), note="none is ignored"),
        Case((THREE, torch.tensor([0, -100, 2]), -100), note="two of three count: divide by 2"),
        Case((THREE, torch.tensor([0, 1, 0]), 0), note="class 0 is padding: one of three counts"),
        Case(
            (torch.cat([THREE, nothing]), torch.tensor([0, 1, 2, -100]), -100),
            note="the ignored row is nan, and 0 · nan is nan: leave it out, do not multiply it away",
        ),
        Case((THREE, torch.tensor([-100, -100, -100]), -100), note="nothing counts: 0 / 0 is nan", slope=0),
        Case((THREE, torch.tensor([0, 1, 2]), 1), note="class 1 does not count: it lies between those that do"),
        Case((THREE, torch.tensor([0, 255, 2]), 255), note="the index lies above the classes, as in label maps"),
        Case((THREE[:1], torch.tensor([0]), 255), note="one sample"),
        Case(
            (torch.tensor([[-1000.0, 0.0], [0.0, -math.inf]]), torch.tensor([0, 0]), 255),
            note="exp(−1000) is 0; and an impossible class that did not happen",
        ),
        Case((chance(0.8).expand(3, 2), torch.tensor([1, 0, 0]), 1), note="two classes, of which one does not count"),
        Case((log_probabilities(generator, 12, 5), padded, 0), note="random, padding is 0"),
        Case((log_probabilities(generator, 12, 5), holed, 255), note="random, 255 does not count"),
        Case((log_probabilities(generator, 12, 5), rare, 2), note="random, class 2 does not count"),
    ]


def kept(log_p: Tensor, y: Tensor, counted: Tensor) -> Tensor:
    """Return the log-probabilities of the targets that count."""
    return picked(log_p[counted], y[counted])


def multiplied_away(log_p: Tensor, y: Tensor, ignore_index: int) -> Tensor:
    """Return the mean in which ignored targets are looked up at class 0 and multiplied by 0."""
    counted = y != ignore_index
    return -(picked(log_p, y * counted) * counted).sum() / counted.sum()


def zero_for_nothing(log_p: Tensor, y: Tensor, ignore_index: int) -> Tensor:
    """Return the mean over what counts, and 0 where nothing does."""
    counted = y != ignore_index
    return -kept(log_p, y, counted).sum() / counted.sum().clamp(min=1)


NLL_IGNORING = Exercise(
    "nll.nll_ignoring",
    points=2,
    reference=lambda log_p, y, ignore_index: nll_loss(log_p, y, ignore_index=ignore_index),
    cases=ignoring_cases,
    gradient=True,
    curve=Curve(
        CHANCES,
        lambda p: Case((torch.cat([chance(p), chance(0.5), chance(0.5)]), torch.tensor([0, 1, -100]), -100)),
        "probability of the first of two classes that count",
        "loss; a third target is ignored",
    ),
    hints=(
        "`y != ignore_index` says which targets count. An index of −100 cannot be looked up: choose the rows "
        "before you look, or look up a class that exists and discard it.",
        "Multiplying an ignored loss by 0 is not ignoring it: $0 \\cdot$ `nan` is `nan`. Select with a mask, "
        "`log_p[mask]`, or with `torch.where`.",
    ),
    misconceptions=(
        Misconception(
            "nothing ignored",
            lambda log_p, y, ignore_index: -picked(log_p, y).mean(),
            "All targets are scored, those that should not count too. Which line uses `ignore_index`?",
        ),
        Misconception(
            "targets clamped into the classes, and counted",
            lambda log_p, y, ignore_index: -picked(log_p, y.clamp(min=0)).mean(),
            "Clamping makes the look-up possible, but the ignored target is then scored as class 0, and counted.",
        ),
        Misconception(
            "divided by all targets",
            lambda log_p, y, ignore_index: -kept(log_p, y, y != ignore_index).sum() / len(y),
            "The sum is right. How many terms does it have, once the ignored targets are gone?",
        ),
        Misconception(
            "ignored by multiplying with 0",
            multiplied_away,
            "A row that does not count may hold nan, and 0 · nan is nan. Choose what counts before you multiply.",
        ),
        Misconception(
            "−100 taken for granted",
            lambda log_p, y, ignore_index: -kept(log_p, y, y != -100).mean(),
            "−100 is only PyTorch's default. The index that does not count is an argument, and it may be a class.",
        ),
        Misconception(
            "0 where nothing counts",
            zero_for_nothing,
            "The mean of nothing is 0 / 0. A loss of 0 would report a perfect model where nothing was scored.",
        ),
        Misconception(
            "the ignored counted, the counted ignored",
            lambda log_p, y, ignore_index: -kept(log_p, y, y == ignore_index).mean(),
            "The mask is True at the targets that should be left out. Which ones do you want to keep?",
        ),
    ),
)


# ------------------------------------------------------------------------------ nll_class_weights


def weighted_cases(generator: Generator) -> Sequence[Case]:
    """Draw log-probabilities, class indices and a weight for each class."""
    return [
        Case(
            (-torch.tensor([[0.2, 9.0], [9.0, 0.3], [9.0, 0.4]]), torch.tensor([0, 1, 1]), torch.tensor([1.0, 2.0])),
            note="losses 0.2, 0.3, 0.4 with weights 1, 2, 2: 1.6 / 5 = 0.32",
        ),
        Case((THREE, torch.tensor([0, 1, 2]), torch.ones(3)), note="weights of 1 change nothing"),
        Case(
            (torch.tensor([[-1000.0, 0.0], [0.0, -900.0]]), torch.tensor([0, 0]), torch.tensor([0.5, 3.0])),
            note="the input is log p already: exp(−1000) is 0",
        ),
        Case((THREE, torch.tensor([0, 1, 2]), torch.full((3,), 70.0)), note="weights of 70 change nothing either"),
        Case(
            (THREE, torch.tensor([0, 0, 0]), torch.tensor([0.1, 3.0, 5.0])), note="one class alone: its weight cancels"
        ),
        Case((THREE[:1], torch.tensor([1]), torch.tensor([1.0, 5.0, 2.0])), note="one sample: its weight cancels"),
        Case(
            (THREE, torch.tensor([0, 1, 2]), torch.tensor([1.0, 0.0, 2.0])), note="a weight of 0: class 1 is left out"
        ),
        Case(
            (log_probabilities(generator, 10, 4), integers(generator, 4, 10), uniform(generator, 4, low=0.1, high=3.0)),
            note="random",
        ),
        Case(
            (log_probabilities(generator, 4, 4), integers(generator, 4, 4), uniform(generator, 4, low=0.1, high=3.0)),
            note="random, as many samples as classes",
        ),
    ]


NLL_CLASS_WEIGHTS = Exercise(
    "nll.nll_class_weights",
    points=2,
    reference=lambda log_p, y, w: nll_loss(log_p, y, w),
    cases=weighted_cases,
    gradient=True,
    curve=Curve(
        tuple(k / 4 for k in range(33)),
        lambda weight: Case((-torch.tensor([[0.2, 9.0], [9.0, 1.0]]), torch.arange(2), torch.tensor([1.0, weight]))),
        "weight of class 1; class 0 has 1",
        "mean of the losses 0.2 and 1",
    ),
    hints=(
        "`w[y]` is the weight of each sample, of shape $(N,)$.",
        "The same $N$ weights are used twice: above the fraction line they multiply the losses, below it they are "
        "added up.",
    ),
    folded=1,
    misconceptions=(
        Misconception(
            "the weighted losses averaged by N",
            lambda log_p, y, w: -(w[y] * picked(log_p, y)).mean(),
            "If all weights were 7, this would be 7 times as large. A weighted mean divides by weights, not by N.",
        ),
        Misconception(
            "divided by the weights of all classes",
            lambda log_p, y, w: -(w[y] * picked(log_p, y)).sum() / w.sum(),
            "The denominator has one weight for each sample: a class that came twice counts twice in it.",
        ),
        Misconception(
            "the weights in the order of the samples",
            lambda log_p, y, w: -(w * picked(log_p, y)).sum() / w.sum(),
            "`w` has one weight for each class, and there are N losses. First look up the weight of each sample.",
        ),
        Misconception(
            "the weighted sum, not divided",
            lambda log_p, y, w: -(w[y] * picked(log_p, y)).sum(),
            "A mean is asked for: something is still to be divided by.",
        ),
        Misconception(
            "the weights not used",
            lambda log_p, y, w: -picked(log_p, y).mean(),
            "This is the plain mean, whatever the weights are. Multiply each loss by the weight of its class.",
        ),
        Misconception(
            "the minus forgotten",
            lambda log_p, y, w: (w[y] * picked(log_p, y)).sum() / w[y].sum(),
            MINUS,
        ),
        Misconception(
            "the average of the averages of the classes",
            lambda log_p, y, w: (
                -sum(w[k] * picked(log_p, y)[y == k].mean() for k in y.unique()) / sum(w[k] for k in y.unique())
            ),
            "Here a class with many samples weighs no more than a class with one. Each sample brings its weight.",
        ),
    ),
)


# -------------------------------------------------------------------------------------- nll_dense


def dense_cases(generator: Generator) -> Sequence[Case]:
    """Draw log-probabilities with the classes second, and a class index for each place."""
    return [
        Case((THREE, torch.tensor([0, 1, 2])), note="no further dimension"),
        Case(
            (torch.tensor([[[-1000.0, 0.0], [0.0, -900.0]]]), torch.tensor([[0, 0]])),
            note="the input is log p already: exp(−1000) is 0",
        ),
        Case((log_probabilities(generator, 2, 3, 5), integers(generator, 3, 2, 5)), note="sequences, (N, K, T)"),
        Case((log_probabilities(generator, 1, 3, 1), integers(generator, 3, 1, 1)), note="one sequence of one place"),
        Case((log_probabilities(generator, 2, 3, 5, 6), integers(generator, 3, 2, 5, 6)), note="images, (N, K, H, W)"),
        Case(
            (log_probabilities(generator, 4, 4, 4), integers(generator, 4, 4, 4)),
            note="N = K = T = 4: the classes are still dimension 1",
        ),
        Case((log_probabilities(generator, 1, 2, 2, 2, 2), integers(generator, 2, 1, 2, 2, 2)), note="volumes"),
    ]


NLL_DENSE = Exercise(
    "nll.nll_dense",
    points=3,
    reference=lambda log_p, y: nll_loss(log_p, y, reduction="none"),
    cases=dense_cases,
    gradient=True,
    curve=Curve(
        CHANCES,
        lambda p: Case((chance(p)[:, :, None, None].expand(1, 2, 1, 2), torch.tensor([[[0, 1]]]))),
        "probability of the first pixel’s class",
        "loss of that pixel",
    ),
    hints=(
        "`gather(1, index)` wants an index with as many dimensions as the input. The labels lack one: which, and "
        "where?",
        "`y.unsqueeze(1)` has the shape $(N, 1, *)$. What comes out has it too: take the 1 away again, and only "
        "that one.",
    ),
    misconceptions=(
        Misconception(
            "the mean of the places",
            lambda log_p, y: -log_p.gather(1, y.unsqueeze(1)).mean(),
            "Each place keeps its own loss here: the result has the shape of `y`.",
        ),
        Misconception(
            "the classes taken for the last dimension",
            lambda log_p, y: -log_p.gather(-1, y.unsqueeze(-1)).squeeze(-1),
            "In the shape (N, K, H, W) the classes are dimension 1, not the last one.",
        ),
        Misconception(
            "the dimension of size 1 kept",
            lambda log_p, y: -log_p.gather(1, y.unsqueeze(1)),
            "`gather` returns the shape of its index, (N, 1, *). One dimension has still to go.",
        ),
        Misconception(
            "every dimension of size 1 squeezed away",
            lambda log_p, y: -log_p.gather(1, y.unsqueeze(1)).squeeze(),
            "A `squeeze` without a dimension removes the batch too where N is 1. Say which dimension is to go.",
        ),
        Misconception(
            "flattened without moving the classes",
            lambda log_p, y: -picked(log_p.reshape(-1, log_p.shape[1]), y.reshape(-1)).reshape(y.shape),
            "`reshape` moves no number: its rows of K are neighbouring places. Move the classes to the end first.",
        ),
        Misconception(
            "the minus forgotten",
            lambda log_p, y: log_p.gather(1, y.unsqueeze(1)).squeeze(1),
            MINUS,
        ),
        Misconception(
            "indexed as if there were one label a sample",
            lambda log_p, y: -log_p[torch.arange(len(y)), y],
            "This pairs N samples with N labels, as in exercise 1. With more dimensions `gather` is easier.",
        ),
    ),
)


# ------------------------------------------------------------------------------ corpus_perplexity


def corpus_cases(generator: Generator) -> Sequence[Case]:
    """Draw batches of the losses of single tokens, of different sizes."""
    short, long = uniform(generator, 3, low=4.0, high=6.0), uniform(generator, 40, low=1.0, high=3.0)
    return [
        Case(([torch.full((5,), math.log(50.0))],), note="a uniform guess among 50 words: 50"),
        Case(([torch.zeros(4)],), note="a model that knows the text by heart: 1"),
        Case(([torch.tensor([1.0]), torch.tensor([3.0])],), note="two batches of one token: e^2"),
        Case(([torch.tensor([1.0, 1.0, 1.0]), torch.tensor([5.0])],), note="every token weighs the same: e^2"),
        Case(([torch.full((3,), 7.0)],), note="e^7: as good as a guess among 1097 words"),
        Case(([torch.tensor([0.0, 160.0])],), note="one token of loss 160: e^160 is no float32, e^80 is"),
        Case(([short, long],), note="random, of very different sizes"),
    ]


def corpus_reference(batches: Sequence[Tensor]) -> Tensor:
    """Return the perplexity of all tokens together."""
    return torch.cat(list(batches)).double().mean().exp().float()


def perplexities(batches: Sequence[Tensor]) -> Tensor:
    """Return the perplexity of each batch."""
    return torch.stack([batch.mean().exp() for batch in batches])


CORPUS_PERPLEXITY = Exercise(
    "nll.corpus_perplexity",
    points=2,
    reference=corpus_reference,
    cases=corpus_cases,
    no_slope="A perplexity is reported; what is trained with is the loss.",
    curve=Curve(
        tuple(k / 4 for k in range(29)),
        lambda loss: Case(([torch.tensor([loss]), torch.ones(3)],)),
        "loss of a batch of one token; three others have 1",
        "perplexity",
    ),
    hints=(
        "Add up two things over the batches: the losses and the number of tokens. Divide once. Exponentiate last.",
        "`batch.sum()` and `len(batch)` are what one batch adds to the two.",
    ),
    folded=1,
    misconceptions=(
        Misconception(
            "the mean of the perplexities of the batches",
            lambda batches: perplexities(batches).mean(),
            "The exponential of a mean is not the mean of exponentials: exponentiate once, at the end.",
        ),
        Misconception(
            "the mean of the means of the batches",
            lambda batches: torch.stack([batch.mean() for batch in batches]).mean().exp(),
            "Here a batch of one token weighs as much as a batch of forty. Every token should weigh the same.",
        ),
        Misconception(
            "the exponential of each token averaged",
            lambda batches: torch.cat(batches).exp().mean(),
            "The mean of exponentials is larger, and the largest losses rule it. Which of the two is done first?",
        ),
        Misconception(
            "base 2 for losses in nats",
            lambda batches: torch.cat(batches).mean().exp2(),
            "2 to the mean is the perplexity of losses in bits. These are in nats: natural logarithms were taken.",
        ),
        Misconception(
            "the mean loss, without the exponential",
            lambda batches: torch.cat(batches).mean(),
            "This is the loss of a token. A guess among 50 words has the loss ln 50 and the perplexity 50.",
        ),
        Misconception(
            "divided by the number of batches",
            lambda batches: (torch.cat(batches).sum() / len(batches)).exp(),
            "The sum goes over tokens, so divide by the number of tokens: `len(batches)` counts batches.",
        ),
        Misconception(
            "the probability of a token",
            lambda batches: (-torch.cat(batches).mean()).exp(),
            "The losses have their minus already. A perplexity is 1 or more: yours is its reciprocal.",
        ),
    ),
)


# ------------------------------------------------------------------------------------ poisson_nll


def count_cases(generator: Generator) -> Sequence[Case]:
    """Draw log-rates and counts."""
    return [
        Case((torch.tensor([0.0]), torch.tensor([0.0])), note="rate 1, count 0: the loss is 1"),
        Case((torch.tensor([0.5, 0.5]), torch.tensor([1.0, 2.0])), note="small counts: Stirling would be off by 0.04"),
        Case((torch.tensor([5.0]), torch.tensor([200.0])), note="200! overflows"),
        Case((torch.tensor([5.0]), torch.tensor([0.0])), note="nothing happened: the loss is the rate, e^5"),
        Case((torch.tensor([-30.0]), torch.tensor([0.0])), note="a rate near 0, and nothing happened"),
        Case((torch.tensor([-200.0]), torch.tensor([2.0])), note="a rate of e^−200, which is 0, and two events"),
        Case((torch.tensor([60.0]), torch.tensor([3.0])), note="a rate of e^60"),
        Case((normal(generator, 8), integers(generator, 12, 8).float()), note="random"),
        Case((normal(generator, 3, 4), integers(generator, 5, 3, 4).float()), note="random, two dimensions"),
    ]


def exact_poisson(z: Tensor, y: Tensor) -> Tensor:
    """Return the mean of e^z − y z + log y!, the last term exact."""
    return poisson_nll_loss(z, y) + torch.lgamma(y + 1).mean()


def stirling(y: Tensor) -> Tensor:
    """Return Stirling's approximation of log y!, used where y > 1."""
    return torch.where(y > 1, y * y.log() - y + 0.5 * (2 * math.pi * y).log(), 0)


POISSON_NLL = Exercise(
    "nll.poisson_nll",
    points=3,
    reference=exact_poisson,
    cases=count_cases,
    gradient=True,
    curve=Curve(
        tuple(k / 10 for k in range(-4, 33)),
        lambda z: Case((torch.tensor([z]), torch.tensor([8.0]))),
        "log-rate z, where 8 events were counted",
        "loss",
    ),
    hints=(
        r"$\log \bigl( \lambda^{y} e^{-\lambda} / y! \bigr) = y \log \lambda - \lambda - \log y!$, and "
        r"$\log \lambda$ is what you were given.",
        "Too large by about 115 at $y = 5$? You have written $y!$ where its logarithm belongs. Too large or small "
        r"by little? `lgamma(y)` is $\log (y - 1)!$.",
    ),
    misconceptions=(
        Misconception(
            "log y! left out",
            lambda z, y: (z.exp() - y * z).mean(),
            "This is PyTorch's default: it drops the term without z. Here it is to be kept.",
        ),
        Misconception(
            "Stirling's approximation for log y!",
            lambda z, y: (z.exp() - y * z + stirling(y)).mean(),
            "Stirling's formula is off at small counts, and left out by PyTorch at 0 and 1. Take the exact term.",
        ),
        Misconception(
            "log (y − 1)! for log y!",
            lambda z, y: (z.exp() - y * z + torch.lgamma(y)).mean(),
            "Γ(n) is (n − 1)!. Which argument gives n!?",
        ),
        Misconception(
            "the log-rate taken for the rate",
            lambda z, y: (z - y * z.log() + torch.lgamma(y + 1)).mean(),
            "z is the logarithm of the rate and may be negative. Which term needs the rate itself?",
        ),
        Misconception(
            "y! for its logarithm",
            lambda z, y: (z.exp() - y * z + torch.lgamma(y + 1).exp()).mean(),
            "The logarithm goes over the whole fraction, y! included. It also keeps 200! from overflowing.",
        ),
        Misconception(
            "the minus forgotten",
            lambda z, y: (y * z - z.exp() - torch.lgamma(y + 1)).mean(),
            "This is the log-likelihood, which is to be large. A loss is to be small: turn the sign of the whole.",
        ),
        Misconception(
            "the logarithm of the rate taken again",
            lambda z, y: (z.exp() - y * z.exp().log() + torch.lgamma(y + 1)).mean(),
            "A very small rate is 0 in float32, and its logarithm −∞. The logarithm of the rate is what you were "
            "given.",
        ),
        Misconception(
            "the sum for the mean",
            lambda z, y: (z.exp() - y * z + torch.lgamma(y + 1)).sum(),
            "Each term is right. Average over the counts instead of adding them up.",
        ),
    ),
)


# --------------------------------------------------------------------------------- nll_python_sum


def many(generator: Generator, n: int) -> Case:
    """Draw log-probabilities of three classes and indices, for n samples."""
    return Case((log_probabilities(generator, n, 3), integers(generator, 3, n)), note="random, many samples")


NLL_PYTHON_SUM = Exercise(
    "nll.nll_python_sum",
    points=1,
    reference=lambda log_p, y: nll_loss(log_p, y),
    cases=index_cases,
    number_too=RACED,
    no_slope=RACED,
    curve=BY_CHANCE,
    work=Work(many, vectorised=False),
    hints=(
        "Pick as in exercise 1: you need $N$ numbers, in a tensor of shape $(N,)$. Only then add them up.",
        "`sum` goes along the first dimension, one element after the other. What comes out of `gather` has a "
        "second one, of size 1: take it away first.",
    ),
    folded=0,
    misconceptions=(
        Misconception(
            "torch.sum where Python's sum is asked for",
            lambda log_p, y: -torch.sum(picked(log_p, y)) / len(y),
            "The value is right, but this one is to add the numbers up one at a time, so that it can be timed.",
            **BY_TORCH,
        ),
        exact_sum_for_pythons(lambda log_p, y: -math.fsum(picked(log_p, y).tolist()) / len(y)),
        Misconception(
            "the sum, not divided",
            lambda log_p, y: -sum(picked(log_p, y)),
            "The sum is right. A mean is asked for: divide it by the number of samples.",
        ),
        Misconception(
            "the minus forgotten",
            lambda log_p, y: sum(picked(log_p, y)) / len(y),
            MINUS,
        ),
        Misconception(
            "a dimension of size 1 left over",
            lambda log_p, y: sum(-log_p.gather(1, y[:, None])) / len(y),
            "`gather` gave the shape (N, 1), and `sum` added N tensors of shape (1,). Take the 1 away first.",
        ),
        Misconception(
            "whole rows added up",
            lambda log_p, y: sum(-log_p) / len(y),
            "The labels are not used: pick one number from each row before adding up.",
        ),
        Misconception(
            "divided by the number of classes",
            lambda log_p, y: -sum(picked(log_p, y)) / log_p.shape[1],
            "There is one term for each sample: divide by how many samples there are.",
        ),
    ),
)


# ---------------------------------------------------------------------------------- nll_torch_sum


NLL_TORCH_SUM = Exercise(
    "nll.nll_torch_sum",
    points=1,
    reference=lambda log_p, y: nll_loss(log_p, y),
    cases=index_cases,
    gradient=True,
    curve=BY_CHANCE,
    work=Work(many, vectorised=True),
    hints=("Only the adding up differs from the function before: `torch.sum` takes the whole tensor at once.",),
    folded=0,
    misconceptions=(
        Misconception(
            "Python's sum where torch.sum is asked for",
            lambda log_p, y: -sum(picked(log_p, y)) / len(y),
            "The value is right, but the numbers are added one at a time. Hand the whole tensor to `torch.sum`.",
            **BY_PYTHON,
        ),
        Misconception(
            "the sum, not divided",
            lambda log_p, y: -torch.sum(picked(log_p, y)),
            "The sum is right. A mean is asked for: divide it by the number of samples.",
        ),
        Misconception(
            "the minus forgotten",
            lambda log_p, y: torch.sum(picked(log_p, y)) / len(y),
            MINUS,
        ),
        Misconception(
            "all entries added up, none picked",
            lambda log_p, y: -torch.sum(log_p) / len(y),
            "The labels are not used: pick one number from each row before adding up.",
        ),
        Misconception(
            "divided by all N · K entries",
            lambda log_p, y: -torch.sum(picked(log_p, y)) / log_p.numel(),
            "One number is picked for each sample. By how many numbers do you divide?",
        ),
        Misconception(
            "whole columns picked",
            lambda log_p, y: -torch.sum(log_p[:, y]) / len(y),
            "`log_p[:, y]` has the shape (N, N): each sample is scored on everybody's class. Print it and look.",
        ),
    ),
)
