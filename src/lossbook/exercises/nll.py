"""The exercises of lesson 05: negative log-likelihood."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Generator, Tensor

from lossbook.exercises.core import Case, Exercise, integers, normal, prediction, uniform
from lossbook.losses import cross_entropy, nll_loss, poisson_nll_loss


def log_probabilities(generator: Generator, *shape: int) -> Tensor:
    """Draw log-probabilities of this shape, ``(N, K)`` or ``(N, K, *)``: dimension 1 holds the classes."""
    return torch.log_softmax(normal(generator, *shape, scale=2.0), 1)


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


def ignoring_cases(generator: Generator) -> Sequence[Case]:
    """Draw log-probabilities, class indices of which some do not count, and the index that says so."""
    nothing = torch.full((1, 3), math.nan)
    padded = integers(generator, 5, 12)
    padded[::3] = 0
    return [
        Case((THREE, torch.tensor([0, 1, 2]), -100), note="none is ignored"),
        Case((THREE, torch.tensor([0, -100, 2]), -100), note="two of three count: divide by 2"),
        Case((THREE, torch.tensor([0, 1, 0]), 0), note="class 0 is padding: one of three counts"),
        Case(
            (torch.cat([THREE, nothing]), torch.tensor([0, 1, 2, -100]), -100),
            note="the ignored row is nan, and 0 · nan is nan: leave it out, do not multiply it away",
        ),
        Case((THREE, torch.tensor([-100, -100, -100]), -100), note="nothing counts: 0 / 0 is nan"),
        Case((log_probabilities(generator, 12, 5), padded, 0), note="random, padding is 0"),
    ]


def weighted_cases(generator: Generator) -> Sequence[Case]:
    """Draw log-probabilities, class indices and a weight for each class."""
    return [
        Case(
            (-torch.tensor([[0.2, 9.0], [9.0, 0.3], [9.0, 0.4]]), torch.tensor([0, 1, 1]), torch.tensor([1.0, 2.0])),
            note="losses 0.2, 0.3, 0.4 with weights 1, 2, 2: 1.6 / 5 = 0.32",
        ),
        Case((THREE, torch.tensor([0, 1, 2]), torch.ones(3)), note="weights of 1 change nothing"),
        Case((THREE, torch.tensor([0, 1, 2]), torch.full((3,), 7.0)), note="weights of 7 change nothing either"),
        Case(
            (THREE, torch.tensor([0, 0, 0]), torch.tensor([0.1, 3.0, 5.0])), note="one class alone: its weight cancels"
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


def dense_cases(generator: Generator) -> Sequence[Case]:
    """Draw log-probabilities with the classes second, and a class index for each place."""
    return [
        Case((THREE, torch.tensor([0, 1, 2])), note="no further dimension"),
        Case((log_probabilities(generator, 2, 3, 5), integers(generator, 3, 2, 5)), note="sequences, (N, K, T)"),
        Case((log_probabilities(generator, 2, 3, 4, 6), integers(generator, 3, 2, 4, 6)), note="images, (N, K, H, W)"),
        Case(
            (log_probabilities(generator, 4, 4, 4), integers(generator, 4, 4, 4)),
            note="N = K = T = 4: the classes are still dimension 1",
        ),
        Case((log_probabilities(generator, 1, 2, 2, 2, 2), integers(generator, 2, 1, 2, 2, 2)), note="volumes"),
    ]


def corpus_cases(generator: Generator) -> Sequence[Case]:
    """Draw batches of the losses of single tokens, of different sizes."""
    short, long = uniform(generator, 3, low=4.0, high=6.0), uniform(generator, 40, low=1.0, high=3.0)
    return [
        Case(([torch.full((5,), math.log(50.0))],), note="a uniform guess among 50 words: 50"),
        Case(([torch.zeros(4)],), note="a model that knows the text by heart: 1"),
        Case(([torch.tensor([1.0]), torch.tensor([3.0])],), note="two batches of one token: e^2"),
        Case(([torch.tensor([1.0, 1.0, 1.0]), torch.tensor([5.0])],), note="every token weighs the same: e^2"),
        Case(([short, long],), note="random, of very different sizes"),
    ]


def corpus_reference(batches: Sequence[Tensor]) -> Tensor:
    """Return the perplexity of all tokens together."""
    return torch.cat(list(batches)).double().mean().exp().float()


def count_cases(generator: Generator) -> Sequence[Case]:
    """Draw log-rates and counts."""
    return [
        Case((torch.tensor([0.0]), torch.tensor([0.0])), note="rate 1, count 0: the loss is 1"),
        Case((torch.tensor([0.5, 0.5]), torch.tensor([1.0, 2.0])), note="small counts: Stirling would be off by 0.04"),
        Case((torch.tensor([5.3]), torch.tensor([200.0])), note="200! overflows"),
        Case((torch.tensor([-30.0]), torch.tensor([0.0])), note="a rate near 0, and nothing happened"),
        Case((normal(generator, 8), integers(generator, 12, 8).float()), note="random"),
        Case((normal(generator, 3, 4), integers(generator, 5, 3, 4).float()), note="random, two dimensions"),
    ]


def exact_poisson(z: Tensor, y: Tensor) -> Tensor:
    """Return the mean of e^z − y z + log y!, the last term exact."""
    return poisson_nll_loss(z, y) + torch.lgamma(y + 1).mean()


def logit_cases(generator: Generator) -> Sequence[Case]:
    """Draw logits and class indices, far from zero too."""
    return [
        Case((torch.zeros(2, 3), torch.tensor([0, 2])), note="a uniform guess: ln 3"),
        Case((torch.tensor([[0.0, 200.0]]), torch.tensor([0])), note="sure and wrong: the loss is 200"),
        Case((torch.tensor([[0.0, 200.0]]), torch.tensor([1])), note="sure and right: the gradient must not be nan"),
        Case((torch.tensor([[1000.0, 999.0]]), torch.tensor([0])), note="e^1000 overflows"),
        Case((normal(generator, 9, 4, scale=3.0), integers(generator, 4, 9)), note="random"),
    ]


EXERCISES = (
    Exercise("nll.nll_by_index", 2, nll_loss, index_cases, gradient=True),
    Exercise(
        "nll.nll_ignoring",
        2,
        lambda log_p, y, ignore_index: nll_loss(log_p, y, ignore_index=ignore_index),
        ignoring_cases,
    ),
    Exercise("nll.nll_class_weights", 2, nll_loss, weighted_cases, gradient=True),
    Exercise("nll.nll_dense", 3, lambda log_p, y: nll_loss(log_p, y, reduction="none"), dense_cases, gradient=True),
    Exercise("nll.corpus_perplexity", 2, corpus_reference, corpus_cases),
    # At a count of 200 the three terms are near 1000 and cancel to 4: float32 leaves four digits or so.
    Exercise("nll.poisson_nll", 3, exact_poisson, count_cases, gradient=True, rtol=1e-3),
    Exercise("nll.nll_python_sum", 1, nll_loss, index_cases),
    Exercise("nll.nll_torch_sum", 1, nll_loss, index_cases),
    prediction("nll.predict_nll_ratio"),
    Exercise("nll.nll_apart", 2, cross_entropy, logit_cases, gradient=True),
    prediction("nll.predict_nll_operations"),
)
