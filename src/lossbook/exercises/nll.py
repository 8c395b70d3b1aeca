"""The exercises of lesson 05: negative log-likelihood."""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import cache

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
from lossbook.data import prose
from lossbook.losses import nll_loss, poisson_nll_loss
from lossbook.timing import work_of


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
    predictions=(
        Prediction(
            "uniform",
            "the loss of a model that gives each of 4 classes the probability ¼",
            lambda: float(nll_loss(torch.full((1, 4), 0.25).log(), torch.tensor([0]))),
            "It is ln 4, whichever class came: minus the logarithm of ¼.",
        ),
        Prediction(
            "least",
            "the least that the loss can be",
            lambda: abs(float(nll_loss(torch.zeros(1, 1), torch.tensor([0])))),
            "No probability is above 1, so no logarithm is above 0. A negative value is a wrong input.",
        ),
        Prediction(
            "operations",
            "the number of operations that F.cross_entropy runs",
            lambda: float(work_of(F.cross_entropy, torch.zeros(2, 3), torch.tensor([0, 2])).dispatches),
            "A log-softmax, and this loss: the cell below writes them down.",
        ),
    ),
    hints=(
        "One number is wanted of each row: $N$ in all. `log_p[:, y]` picks whole columns, and has the shape $(N, N)$.",
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
    predictions=(
        Prediction(
            "nothing",
            "the mean where every target is ignored",
            lambda: str(float(nll_loss(THREE[:1], torch.tensor([-100])))),
            "The sum of nothing is divided by how many there are: 0 / 0.",
            ("0", "nan", "inf"),
        ),
    ),
    hints=(
        "An index of −100 cannot be looked up: choose the rows before you look, or look up a class that exists and "
        "discard it.",
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


def _weighted(weights: list[float]) -> float:
    """Return the weighted mean of the losses 0.2, 0.3 and 0.4 of the classes 0, 1 and 1."""
    log_p = -torch.tensor([[0.2, 9.0], [9.0, 0.3], [9.0, 0.4]])
    return float(nll_loss(log_p, torch.tensor([0, 1, 1]), torch.tensor(weights)))


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
    predictions=(
        Prediction(
            "mean",
            "the mean with weights 1 and 2",
            lambda: _weighted([1.0, 2.0]),
            "The weights of the three samples are 1, 2 and 2: 0.2 + 0.6 + 0.8 is divided by 1 + 2 + 2.",
        ),
        Prediction(
            "ten_times",
            "the mean with weights 10 and 20",
            lambda: _weighted([10.0, 20.0]),
            "The ten stands above the fraction line and below it.",
        ),
    ),
    hints=(
        "There are $K$ weights and $N$ losses. First find the weight of each sample: it is a look-up.",
        "`w[y]` has the shape $(N,)$. The same $N$ weights are used twice, above the fraction line and below it.",
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
    predictions=(
        Prediction(
            "places",
            "the number of losses",
            lambda: float(nll_loss(torch.zeros(2, 3, 4, 6), torch.zeros(2, 4, 6).long(), reduction="none").numel()),
            "Each image has a loss for each of its pixels, 2 · 4 · 6. The 3 classes are gone: one of them was picked.",
        ),
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


FOUR_TOKENS = [torch.ones(3), torch.full((1,), 5.0)]


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
    predictions=(
        Prediction(
            "perplexity",
            "the perplexity",
            lambda: float(corpus_reference(FOUR_TOKENS)),
            "The mean over four tokens is 2, and e² is the perplexity.",
        ),
        Prediction(
            "averaged",
            "the average of the perplexities of the two batches",
            lambda: float(perplexities(FOUR_TOKENS).mean()),
            "It is the mean of e and e⁵: one token in four decides it.",
        ),
    ),
    hints=(
        "Every token weighs the same, in whatever batch it came. What has to be known of a batch for that?",
        "Two things are added up over the batches, `batch.sum()` and `len(batch)`. Divide once, and exponentiate last.",
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
    predictions=(
        Prediction(
            "z",
            "the z of the least loss",
            lambda: math.log(8),
            "The slope is e^z − y, which is 0 where the rate is what was counted.",
        ),
        Prediction(
            "least",
            "the loss there",
            lambda: float(exact_poisson(torch.tensor([8.0]).log(), torch.tensor([8.0]))),
            "It is not 0: even at the best rate eight events are but one of many things that could have happened.",
        ),
    ),
    hints=(
        r"The logarithm of a product is a sum, here of three terms. In which of them stands the rate itself, and in "
        r"which its logarithm, which is what you were given?",
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
    hints=("Only the adding up differs from the function before, and there is no loop.",),
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


# ---------------------------------------------------------------------------------- nll_diagnosis


LEARNS, PROBABILITIES, ADDED, BLIND, BY_HEART = range(5)
STEPS = 60


def training(generator: Generator, fault: int, K: int, *, easy: bool = False) -> tuple[Tensor, Tensor, Tensor]:
    """Train a linear model, with one thing wrong, by gradient descent from zeros.

    Args:
        generator: Draws the data.
        fault: Which of the five it is.
        K: The number of classes.
        easy: Whether the labels follow from the inputs, so that the loss comes near 0.

    Returns:
        The losses of each step on what is trained on and held out, shape (STEPS,) each, and the entropy of the labels
        that are trained on, shape ().

    """
    n, features = (40, 40) if fault == BY_HEART else (int(integers(generator, 100, 1)) + 300, 6)
    truth = normal(generator, features, K, scale={BY_HEART: 0.3, BLIND: 0.0}.get(fault, 2.0))
    rare = 3.0 * torch.linspace(0, 1, K)[torch.randperm(K, generator=generator)]

    def drawn(count: int) -> tuple[Tensor, Tensor]:
        x = normal(generator, count, features)
        z = x @ truth + rare
        y = z.argmax(1) if easy else torch.multinomial(z.softmax(1), 1, generator=generator)[:, 0]
        return torch.cat([x * (fault != BLIND), torch.ones(count, 1)], 1), y

    def loss(x: Tensor, y: Tensor) -> Tensor:
        z = x @ w
        log_p = z.softmax(1) if fault == PROBABILITIES else z.log_softmax(1)
        return nll_loss(log_p, y, reduction="sum" if fault == ADDED else "mean")

    (x, y), held = drawn(n), drawn(400)
    w, curves = torch.zeros(features + 1, K), []
    for _ in range(STEPS):
        curves.append((loss(x, y), loss(*held)))
        p = (x @ w).softmax(1)
        pull = p.gather(1, y[:, None]) if fault == PROBABILITIES else 1.0
        slope = x.T @ (pull * (p - F.one_hot(y, K))) / n  # the sum is stepped along n times as carefully
        w = w - (8.0 if easy else 1.0) * slope
    shares = torch.bincount(y, minlength=K) / n
    train, held_out = torch.tensor(curves).unbind(1)
    return train, held_out, -torch.xlogy(shares, shares).sum()


def curve_case(generator: Generator, K: int, note: str, *, shuffled: bool = True) -> Case:
    """Return a case of six trainings: one with each fault, and two that learn."""
    kinds = [(fault, False) for fault in range(5)] + [(LEARNS, True)]
    order = torch.randperm(6, generator=generator).tolist() if shuffled else range(6)
    trained = [training(generator, kinds[k][0], K, easy=kinds[k][1]) for k in order]
    train, held, entropy = (torch.stack(column) for column in zip(*trained, strict=True))
    return Case((train, held, entropy, K), note=note, kept=torch.tensor([kinds[k][0] for k in order]))


def diagnosis_cases(generator: Generator) -> Sequence[Case]:
    """Train models in the five ways, several times."""
    few, many = 3 + int(integers(generator, 3, 1)), 8 + int(integers(generator, 8, 1))
    return [
        curve_case(generator, 4, "the five in order, and one more that learns, to almost 0", shuffled=False),
        curve_case(generator, few, "few classes"),
        curve_case(generator, many, "many classes"),
        curve_case(generator, 6, "six classes"),
    ]


def diagnosis(train: Tensor, held: Tensor, entropy: Tensor, K: int) -> Tensor:
    """Return what is wrong with each training, by its curves."""
    told = torch.full((len(train),), LEARNS)
    told[held[:, -1] > 1.05 * held.amin(1)] = BY_HEART
    told[train[:, -1] > 0.95 * entropy] = BLIND
    told[train[:, 0] > 2 * math.log(K)] = ADDED
    told[train.amin(1) < 0] = PROBABILITIES
    return told


def _told(train: Tensor, held: Tensor, entropy: Tensor, K: int, *, heart: Tensor) -> Tensor:
    """Return the diagnosis with another rule for what was learnt by heart."""
    told = diagnosis(train, held, entropy, K)
    told[(told == LEARNS) | (told == BY_HEART)] = LEARNS
    told[heart & (told == LEARNS)] = BY_HEART
    return told


def _in_another_order(train: Tensor, held: Tensor, entropy: Tensor, K: int) -> Tensor:
    told = diagnosis(train, held, entropy, K)
    told[train[:, -1] > 0.95 * entropy] = BLIND
    return told


def _against_uniform(train: Tensor, held: Tensor, entropy: Tensor, K: int) -> Tensor:
    return diagnosis(train, held, torch.full_like(entropy, math.log(K)), K)


NLL_DIAGNOSIS = Exercise(
    "nll.nll_diagnosis",
    points=3,
    reference=diagnosis,
    cases=diagnosis_cases,
    no_slope="What is returned are verdicts; nothing is trained through them.",
    predictions=(
        Prediction(
            "first",
            "the averaged first loss",
            lambda: math.log(6),
            "Zero logits give each class the same probability: ln 6, whatever the labels are.",
        ),
        Prediction(
            "added_up",
            "the summed first loss",
            lambda: 64 * math.log(6),
            "It is 64 times as large. A first value far above ln K is seldom a bad model: it was not averaged.",
        ),
    ),
    hints=(
        "For each of the four faults there is one number of the curves that no sound training shows. Which values can "
        "a mean of minus log-probabilities not have? What does a model score that knows nothing yet, what does the "
        "best one score that must say the same to all, and which of the two curves tells of data that it has not seen?",
        r"Fed probabilities, the loss is below 0. Added up, it begins far above $\ln K$. Without inputs it ends at the "
        "entropy of the labels. Learnt by heart, the curve of what is held out has turned: it ends above its own "
        "lowest point.",
        "A training that was added up ends far above the entropy too. So ask the questions in an order: start with "
        "what `torch.zeros` or `torch.where` gives to all, and let the surest sign write last.",
    ),
    folded=2,
    misconceptions=(
        Misconception(
            "whatever falls is well",
            lambda train, held, entropy, K: torch.where(train[:, -1] < train[:, 0], LEARNS, BLIND),
            "All of these curves fall, and most of them have something wrong. Compare their values with those that are "
            "known beforehand.",
        ),
        Misconception(
            "ln K for the entropy of the labels",
            _against_uniform,
            "Without inputs a model still learns which classes are frequent. What does the best of these models score?",
        ),
        Misconception(
            "a gap taken for learning by heart",
            lambda train, held, entropy, K: _told(
                train, held, entropy, K, heart=held[:, -1] > 1.05 * train[:, -1].clamp(min=0)
            ),
            "The held-out curve lies above the other in sound trainings, too. Learning by heart is where it has turned "
            "and rises.",
        ),
        Misconception(
            "a loss near 0 taken for learning by heart",
            lambda train, held, entropy, K: _told(train, held, entropy, K, heart=train[:, -1] < 0.2 * entropy),
            "Where labels follow from the inputs, a loss near 0 is earned. Look at what was held out.",
        ),
        Misconception(
            "the training curve looked at for the turn",
            lambda train, held, entropy, K: _told(train, held, entropy, K, heart=train[:, -1] > 1.05 * train.amin(1)),
            "What is learnt by heart goes on falling. It is the curve of what is held out that turns.",
        ),
        Misconception(
            "the entropy asked for last",
            _in_another_order,
            "A loss that was added up ends above the entropy as well. The surest sign has to have the last word.",
        ),
        Misconception(
            "verdicts counted from 1",
            lambda train, held, entropy, K: diagnosis(train, held, entropy, K) + 1,
            "The five verdicts are 0 to 4: yours are one more.",
        ),
        Misconception(
            "one verdict for all",
            lambda train, held, entropy, K: torch.full((len(train),), BY_HEART),
            "Each row is a training of its own: return as many verdicts as there are rows.",
        ),
    ),
)


# --------------------------------------------------------------------------------- next_character


LEARNT, PLACES, BEFORE = 60_000, 8_000, 6  # characters to learn from; places held out; what is seen before each
KINDS = 35  # of characters


@cache
def paragraphs() -> tuple[Tensor, ...]:
    """Return the paragraphs of the course's prose, their characters as numbers below KINDS."""
    text = prose()
    kinds = sorted(set(text))
    codes = torch.tensor([kinds.index(character) for character in text])
    ends = (codes == kinds.index("\n")).nonzero().flatten() + 1
    return torch.tensor_split(codes, ends[:-1].tolist())


def character_cases(generator: Generator) -> Sequence[Case]:
    """Draw, three times, which paragraphs are learnt from, and places in the others."""
    pieces = paragraphs()
    cases = []
    for number in ("first", "second", "third"):
        order = torch.randperm(len(pieces), generator=generator).tolist()
        text = torch.cat([pieces[k] for k in order])
        windows = text[LEARNT:].unfold(0, BEFORE + 1, 1)
        places = windows[torch.randperm(len(windows), generator=generator)[:PLACES]]
        note = f"the {number} draw of paragraphs"
        cases.append(Case((text[:LEARNT].clone(), places[:, :BEFORE].clone()), note=note, kept=places[:, BEFORE]))
    return cases


def by_lengths(text: Tensor, before: Tensor, prior: float = 15.0, longest: int = BEFORE) -> Tensor:
    """Return log-probabilities by counts in contexts of every length: the shorter is the prior of the longer."""
    windows = text.unfold(0, longest + 1, 1)
    p = torch.full((len(before), KINDS), 1 / KINDS)
    for n in range(longest + 1):
        contexts = torch.cat([windows[:, longest - n : longest], before[:, before.shape[1] - n :]])
        row = torch.unique(contexts @ KINDS ** torch.arange(n), return_inverse=True)[1]
        counts = torch.zeros(int(row.max()) + 1, KINDS)
        counts.index_put_((row[: len(windows)], windows[:, -1]), torch.ones(len(windows)), accumulate=True)
        counts = counts[row[len(windows) :]]
        p = (counts + prior * p) / (counts.sum(1, keepdim=True) + prior)
    return p.log()


def by_all_lengths(text: Tensor, before: Tensor) -> Tensor:
    """Return the log-probabilities of what comes next, by contexts of up to six characters."""
    return by_lengths(text, before)


def bits_per_character(log_p: Tensor, y: Tensor) -> float:
    """Return the mean negative log-likelihood in bits; infinity where the rows are no distributions."""
    if not bool((log_p.logsumexp(1).abs() < 1e-3).all()):
        return math.inf
    return float(nll_loss(log_p, y)) / math.log(2)


BITS_TO_BEAT = 2.06  # 5.13 is the guess of all alike; 4.2 frequencies, 2.6 two characters, 2.19 three; 1.94 all lengths


def _with_power(log_p: Tensor, y: Tensor, power: float) -> float:
    return bits_per_character((power * log_p).log_softmax(1), y)


NEXT_CHARACTER = Exercise(
    "nll.next_character",
    points=3,
    reference=by_all_lengths,
    cases=character_cases,
    score=Score("bits a character on text held out", bits_per_character, BITS_TO_BEAT),
    no_slope="What is asked for is what a model says; nothing is trained through it.",
    predictions=(
        Prediction(
            "alike",
            "the cost in bits of one of 35 equally likely characters",
            lambda: math.log2(KINDS),
            "It is the logarithm of 35 to the base 2: five questions, answered by yes or no, tell 32 things apart.",
        ),
    ),
    hints=(
        "Begin with one length. How often each character came after each pair of characters is a table of "
        "$35^2 \\cdot 35$ counts, and `torch.bincount` of one number for each three characters makes it. Raise each "
        "count a little, so that nothing is impossible, divide each row by its sum, and look up the rows of `before`.",
        "A long context knows more, where it was seen; a short one was always seen. So let the short one be the prior "
        "of the long one: in place of the same little for each character, add to the counts $c$ times the "
        "probabilities that the context one character shorter gives. Some $c$ from 5 to 30 will do. Begin with no "
        "context at all.",
        "A table of all contexts of six characters would not fit into memory, and most of them never come. Give each "
        "context that comes a row: `contexts.unique(return_inverse=True)[1]`, over those of `text` and those of "
        "`before` together. A dictionary with a count for each context does it as well.",
    ),
    misconceptions=(
        Misconception(
            "probabilities in place of their logarithms",
            lambda text, before: by_all_lengths(text, before).exp(),
            "All your numbers lie between 0 and 1, and each row adds up to 1. Return their logarithms.",
            sign=lambda said, y: bool((said >= 0).all() and ((said.sum(1) - 1).abs() < 1e-3).all()),
        ),
        Misconception(
            "contexts that were never seen",
            lambda text, before: by_lengths(text, before, 0.0, 3),
            "Some numbers are nan: a context that never came has counts of 0, and 0 / 0. Give it something to say.",
            sign=lambda said, y: bool(said.isnan().any()),
        ),
        Misconception(
            "an impossible character that came",
            lambda text, before: torch.where(
                (log_p := by_all_lengths(text, before)) > -5.0, log_p, -math.inf
            ).log_softmax(1),
            "A character to which you gave the probability 0 has come, and that costs infinity. Raise every count a "
            "little.",
            sign=lambda said, y: bool((said.gather(1, y[:, None]) == -math.inf).any()),
        ),
        Misconception(
            "rows that do not add up to 1",
            lambda text, before: by_all_lengths(text, before) + 0.5,
            "The exponentials of a row have to add up to 1: divide each row of counts by its own sum, along dimension "
            "1.",
            sign=lambda said, y: not bool((said.logsumexp(1).abs() < 1e-3).all()),
        ),
        Misconception(
            "the same answer at every place",
            lambda text, before: by_lengths(text, before, longest=0),
            "All rows are alike: what came before has no part in them. That is the frequencies of characters at most.",
            sign=lambda said, y: bool((said - said[0]).abs().max() < 1e-5),
        ),
        Misconception(
            "far too careful",
            lambda text, before: by_lengths(text, before, 300.0),
            "The same rows, but more decided, would score better: what you add to the counts drowns them. Add less.",
            sign=lambda said, y: _with_power(said, y, 1.5) < bits_per_character(said, y) - 0.05,
        ),
        Misconception(
            "far too sure",
            lambda text, before: by_lengths(text, before, 0.3),
            "The same rows, but less decided, would score better: a context seen once or twice proves little. Add more "
            "to its counts.",
            sign=lambda said, y: _with_power(said, y, 0.7) < bits_per_character(said, y) - 0.1,
        ),
    ),
)
