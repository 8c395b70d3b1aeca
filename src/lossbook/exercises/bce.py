"""The exercises of lesson 03: binary cross-entropy."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Generator, Tensor

from lossbook.exercises.core import Case, Exercise, integers, normal, prediction, uniform
from lossbook.losses import binary_cross_entropy, binary_cross_entropy_with_logits


def sigmoid_cases(generator: Generator) -> Sequence[Case]:
    """Draw logits: by hand, at the extremes, and at random."""
    return [
        Case((torch.tensor([0.0, 1.0, -1.0]),), note="σ(0) is one half"),
        Case((torch.tensor([-1000.0, 1000.0]),), note="e^1000 overflows"),
        Case((torch.tensor([-100.0, -20.0, 20.0, 100.0]),), note="far from zero"),
        Case((normal(generator, 7, scale=3.0),), note="random"),
        Case((normal(generator, 4, 3, scale=3.0),), note="random, two dimensions"),
    ]


def probability_cases(generator: Generator) -> Sequence[Case]:
    """Draw probabilities inside (0, 1) and labels."""
    return [
        Case((torch.tensor([0.5]), torch.tensor([1.0])), note="a coin: ln 2"),
        Case((torch.tensor([0.9, 0.9]), torch.tensor([1.0, 0.0])), note="right once, wrong once"),
        Case((torch.tensor([0.2, 0.4, 0.6]), torch.tensor([0.0, 0.3, 1.0])), note="a soft label"),
        Case((uniform(generator, 9, low=0.05, high=0.95), integers(generator, 2, 9).float()), note="random"),
        Case((uniform(generator, 5, low=0.05, high=0.95), uniform(generator, 5)), note="random soft labels"),
        Case((uniform(generator, 200, low=0.05, high=0.95), integers(generator, 2, 200).float()), note="200 of them"),
    ]


def logit_cases(generator: Generator) -> Sequence[Case]:
    """Draw logits and labels, far from zero too.

    No logit is exactly zero: there max(z, 0) and |z| have a kink, at which a right formula may have any slope.
    """
    return [
        Case((torch.tensor([1e-6]), torch.tensor([1.0])), note="a coin: p is one half"),
        Case((torch.tensor([2.0, -1.0]), torch.tensor([1.0, 0.0])), note="right twice"),
        Case((torch.tensor([200.0]), torch.tensor([0.0])), note="sure and wrong: the sigmoid rounds to 1"),
        Case((torch.tensor([-1000.0, 1000.0]), torch.tensor([1.0, 1.0])), note="e^1000 overflows"),
        Case((torch.tensor([0.5, -0.5]), torch.tensor([0.3, 0.8])), note="soft labels"),
        Case((normal(generator, 9, scale=4.0), integers(generator, 2, 9).float()), note="random"),
        Case((normal(generator, 6, scale=30.0), uniform(generator, 6)), note="random, soft, far from zero"),
    ]


def gradient_of_bce(z: Tensor, y: Tensor) -> Tensor:
    """Return the gradient of the mean binary cross-entropy from logits: (σ(z) − y) / N."""
    return (torch.sigmoid(z) - y) / z.numel()


def weighted_cases(generator: Generator) -> Sequence[Case]:
    """Draw logits, labels and a weight for the positive class."""
    return [
        Case((torch.tensor([0.5, 0.5]), torch.tensor([1.0, 0.0]), 3.0), note="only the positive is weighted"),
        Case((torch.tensor([1.0, -2.0]), torch.tensor([1.0, 1.0]), 1.0), note="a weight of 1 changes nothing"),
        Case((torch.tensor([-500.0, 500.0]), torch.tensor([1.0, 0.0]), 2.0), note="far from zero"),
        Case((normal(generator, 8, scale=3.0), integers(generator, 2, 8).float(), 5.0), note="random"),
        Case((normal(generator, 5), uniform(generator, 5), 0.5), note="soft labels"),
    ]


def sum_cases(generator: Generator) -> Sequence[Case]:
    """Draw numbers to add."""
    return [
        Case((torch.tensor([1.0, 2.0, 3.0, 4.0]),), note="four numbers"),
        Case((torch.tensor([5.0]),), note="one number"),
        Case((torch.tensor([1.0, 2.0, 3.0, 4.0, 5.0]),), note="an odd count"),
        Case((uniform(generator, 1000),), note="random"),
        Case((torch.full((2**18,), 0.1),), note="0.1, 262,144 times: one running total drifts"),
    ]


def exact_sum(x: Tensor) -> Tensor:
    """Return the sum, added up in float64."""
    return x.double().sum().float()


EXERCISES = (
    Exercise("bce.sigmoid", 2, torch.sigmoid, sigmoid_cases),
    Exercise("bce.bce", 2, binary_cross_entropy, probability_cases, gradient=True),
    Exercise("bce.bce_gradient", 2, gradient_of_bce, logit_cases),
    Exercise("bce.bce_with_logits", 3, binary_cross_entropy_with_logits, logit_cases, gradient=True),
    Exercise(
        "bce.bce_pos_weight",
        2,
        lambda z, y, w: binary_cross_entropy_with_logits(z, y, pos_weight=torch.tensor(w)),
        weighted_cases,
        gradient=True,
    ),
    Exercise("bce.bce_python_sum", 1, binary_cross_entropy, probability_cases),
    Exercise("bce.bce_torch_sum", 1, binary_cross_entropy, probability_cases),
    prediction("bce.predict_bce_ratio"),
    # A running float32 total of 2^18 terms is off by 2.5e-3 of itself; adding by pairs is right to 1e-7.
    Exercise("bce.pairwise_sum", 2, exact_sum, sum_cases, rtol=2e-6),
)
