"""The exercises of lesson 01: what a loss is."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Generator, Tensor

from lossbook.exercises.core import Case, Exercise, integers, normal, prediction, uniform
from lossbook.losses.recipe import best_constant_cross_entropy, best_constant_mse

HALF_LOG_2PI = 0.5 * math.log(2 * math.pi)


def log_likelihood_of_tosses(theta: Tensor, y: Tensor) -> Tensor:
    """Return the log-likelihood of coin tosses under one probability of heads."""
    return (torch.xlogy(y, theta) + torch.xlogy(1 - y, 1 - theta)).sum()


def toss_cases(generator: Generator) -> Sequence[Case]:
    """Draw a probability of heads and tosses."""
    heads, tails = torch.ones(1), torch.zeros(1)
    return [
        Case((torch.tensor(0.9), heads), note="one head: log 0.9, which is negative"),
        Case((torch.tensor(0.9), tails), note="one tail: log 0.1"),
        Case((torch.tensor(0.6), torch.tensor([1.0, 1.0, 0.0])), note="heads, heads, tails: log(0.6 · 0.6 · 0.4)"),
        Case((uniform(generator, 1, low=0.2, high=0.8)[0], integers(generator, 2, 12).float()), note="random"),
        Case((torch.tensor(0.5), integers(generator, 2, 500).float()), note="500 tosses: the product is 0 in float32"),
    ]


def entropy_of_classes(y: Tensor, K: int) -> Tensor:
    """Return the score of the best constant distribution, 0 and not −0 where the labels are all alike."""
    return best_constant_cross_entropy(y, K) + 0.0


def number_cases(generator: Generator) -> Sequence[Case]:
    """Draw real labels."""
    return [
        Case((torch.tensor([1.0, 3.0]),), note="the mean is 2: each label is 1 away from it"),
        Case((torch.tensor([5.0]),), note="one label is hit exactly, so divide by N, not by N − 1"),
        Case((torch.tensor([0.0, 0.0, 0.0, 4.0]),), note="1 away three times, 3 away once"),
        Case((10 + normal(generator, 12, scale=2.0),), note="random"),
        Case((normal(generator, 5, 2),), note="random, two dimensions"),
    ]


def class_cases(generator: Generator) -> Sequence[Case]:
    """Draw class indices, with classes that never occur among them."""
    return [
        Case((torch.tensor([0, 1, 2]), 3), note="three even classes: ln 3"),
        Case((torch.tensor([0, 0, 0, 1]), 2), note="shares ¾ and ¼"),
        Case((torch.tensor([0, 1]), 5), note="three classes never occur: 0 · log 0 = 0"),
        Case((torch.tensor([2, 2, 2]), 4), note="one class alone: nothing is uncertain"),
        Case((integers(generator, 6, 30), 6), note="random"),
    ]


def gaussian_step(mu: Tensor, y: Tensor, lr: float, reduction: str) -> Tensor:
    """Return mu after one step of gradient descent on the losses ½ (mu − y)²."""
    slopes = mu - y
    return mu - lr * (slopes.mean() if reduction == "mean" else slopes.sum())


def step_cases(generator: Generator) -> Sequence[Case]:
    """Draw a start, labels, a rate and a reduction."""
    labels = 3 + normal(generator, 8)
    return [
        Case((torch.tensor(0.0), torch.tensor([1.0]), 0.5, "mean"), note="halfway from 0 to the label 1"),
        Case((torch.tensor(0.0), torch.tensor([1.0, 1.0]), 0.25, "sum"), note="two gradients of −1 each"),
        Case((torch.tensor(4.0), torch.tensor([1.0, 3.0]), 1.0, "mean"), note="rate 1: to the mean at once"),
        Case((torch.tensor(0.5), labels, 0.1, "mean"), note="random"),
        Case((torch.tensor(0.5), labels, 0.1, "sum"), note="the same, with the sum: 8 times as far"),
    ]


def posterior_mode(y: Tensor, sigma: float, tau: float) -> Tensor:
    """Return the MAP estimate of a Gaussian's mean under the prior N(0, tau²)."""
    return y.sum() / (len(y) + sigma**2 / tau**2)


def posterior_cases(generator: Generator) -> Sequence[Case]:
    """Draw observations, their noise and a prior."""
    return [
        Case((torch.tensor([2.0]), 1.0, 1.0), note="one sample, as trusted as the prior: halfway to 0"),
        Case((torch.tensor([1.0, 2.0, 3.0]), 1.0, 1e6), note="a prior that says nothing: the mean"),
        Case((torch.tensor([1.0, 2.0, 3.0]), 1.0, 0.01), note="a firm prior: nearly 0"),
        Case((torch.tensor([4.0, 4.0]), 2.0, 1.0), note="σ² = 4, τ² = 1: the prior counts as 4 samples at 0"),
        Case((1 + normal(generator, 20), 0.8, 0.5), note="random"),
    ]


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


def unit_gaussian_nll(mu: Tensor, y: Tensor) -> Tensor:
    """Return the mean negative log-likelihood of y under Gaussians of variance 1."""
    return ((mu - y) ** 2 / 2 + HALF_LOG_2PI).mean()


def pair_cases(generator: Generator) -> Sequence[Case]:
    """Draw means and observations."""
    return [
        Case((torch.tensor([0.0]), torch.tensor([0.0])), note="at the centre: ½ ln 2π = 0.9189"),
        Case((torch.tensor([1.0, 2.0]), torch.tensor([1.0, 4.0])), note="0 and 2 away: ½ · 0² and ½ · 2²"),
        Case((normal(generator, 9), normal(generator, 9)), note="random"),
        Case((normal(generator, 200), normal(generator, 200)), note="200 of them"),
    ]


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
        Case((0.5, torch.float32), note="the smallest float32 is 2^−149"),
        Case((0.1, torch.float16), note="one chance in ten"),
        Case((round(0.05 + 0.3 * uniform(generator, 1).item(), 3), torch.float32), note="random"),
    ]


EXERCISES = (
    Exercise("recipe.coin_log_likelihood", 2, log_likelihood_of_tosses, toss_cases, gradient=True),
    Exercise("recipe.best_constant_squares", 1, best_constant_mse, number_cases),
    Exercise("recipe.best_constant_classes", 1, entropy_of_classes, class_cases),
    Exercise("recipe.recipe_sgd_step", 2, gaussian_step, step_cases),
    Exercise("recipe.map_of_mean", 2, posterior_mode, posterior_cases),
    Exercise("recipe.decay_for_prior", 2, decay_of_prior, prior_cases),
    Exercise("recipe.recipe_python_sum", 1, unit_gaussian_nll, pair_cases),
    Exercise("recipe.recipe_torch_sum", 1, unit_gaussian_nll, pair_cases),
    prediction("recipe.predict_recipe_ratio"),
    Exercise("recipe.tosses_until_zero", 2, count_until_zero, zero_cases, rtol=0.0, atol=0.0),
)
