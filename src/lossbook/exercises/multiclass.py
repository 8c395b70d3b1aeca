"""The exercises of lesson 04: one-hot multiclass cross-entropy."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Generator, Tensor

from lossbook.exercises.core import Case, Exercise, integers, normal, prediction, uniform
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
        Case((normal(generator, 6, 5, scale=2.0), integers(generator, 5, 6), 0.1), note="random"),
        Case((normal(generator, 3, 3), integers(generator, 3, 3), 0.3), note="random, as many samples as classes"),
    ]


def weighted_cases(generator: Generator) -> Sequence[Case]:
    """Draw logits, class indices and one weight a class."""
    right = torch.exp(-torch.tensor([0.2, 0.3, 0.4]))
    p = torch.stack([torch.stack([right[0], 1 - right[0]]), *(torch.stack([1 - q, q]) for q in right[1:])])
    return [
        Case(
            (torch.log(p), torch.tensor([0, 1, 1]), torch.tensor([1.0, 2.0])),
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


EXERCISES = (
    Exercise("multiclass.softmax", 2, exact_softmax, row_cases),
    Exercise("multiclass.logsumexp", 2, row_logsumexp, row_cases, gradient=True),
    Exercise("multiclass.cross_entropy_index", 3, cross_entropy, label_cases, gradient=True),
    Exercise("multiclass.cross_entropy_gradient", 2, gradient_of_cross_entropy, label_cases),
    Exercise(
        "multiclass.cross_entropy_smoothed",
        2,
        lambda z, y, eps: cross_entropy(z, y, label_smoothing=eps),
        smoothed_cases,
        gradient=True,
    ),
    Exercise("multiclass.cross_entropy_weighted", 2, cross_entropy, weighted_cases, gradient=True),
    Exercise("multiclass.cross_entropy_python_sum", 1, cross_entropy, label_cases),
    Exercise("multiclass.cross_entropy_torch_sum", 1, cross_entropy, label_cases),
    prediction("multiclass.predict_cross_entropy_ratio"),
    Exercise("multiclass.one_hot_bytes", 1, target_bytes, byte_cases, rtol=1e-9),
    Exercise("multiclass.cross_entropy_one_hot", 1, nll_loss, log_probability_cases, gradient=True),
    Exercise("multiclass.cross_entropy_gather", 1, nll_loss, picked_cases, gradient=True),
    prediction("multiclass.predict_one_hot_ratio"),
)
