"""What people write instead of the answers of lesson 01."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from lossbook.checks.bounds import operation_by_operation
from lossbook.checks.exercise import BY_PYTHON, BY_TORCH, Misconception, exact_sum_for_pythons

HALF_LOG_2PI = 0.5 * math.log(2 * math.pi)


def each_toss(theta: Tensor, y: Tensor) -> Tensor:
    """Return the log-likelihood of each toss."""
    return y * theta.log() + (1 - y) * (1 - theta).log()


TOSSES = (
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
        "A probability is at most 1, so its logarithm is at most 0. The sign is turned only when a loss is made of it.",
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
        "theta turned into a plain number, so that no gradient reaches it",
        lambda theta, y: each_toss(theta.detach(), y).sum(),
        "The value is right, but `math.log`, `.item()` and `.detach()` cut theta off. Stay with PyTorch's operations.",
    ),
)

SQUARES = (
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
)


def shares(y: Tensor, K: int) -> Tensor:
    """Return the share of each class."""
    return torch.bincount(y, minlength=K) / len(y)


CLASSES = (
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
)


def slope(mu: Tensor, y: Tensor, reduction: str) -> Tensor:
    """Return the gradient of the reduced loss."""
    return (mu - y).sum() if reduction == "sum" else (mu - y).mean()


STEP = (
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
)

POSTERIOR = (
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
)

DECAY = (
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
        "`MSELoss` knows neither the ½ nor the noise, and divides by N. Scale the objective until its first term is "
        "that loss.",
    ),
)


SLOW = Misconception(
    "Python's sum, where torch.sum is asked for",
    lambda mu, y: sum((mu - y) ** 2 / 2 + HALF_LOG_2PI) / len(y),
    "The number is right, but the elements are added one at a time. Let one call of PyTorch add them all.",
    **BY_PYTHON,
)
FAST = Misconception(
    "torch.sum, where Python's sum is asked for",
    lambda mu, y: torch.sum((mu - y) ** 2 / 2 + HALF_LOG_2PI) / len(y),
    "The number is right, but PyTorch did the adding. This is the slow version: use Python's built-in `sum`.",
    **BY_TORCH,
)
EXACT = exact_sum_for_pythons(lambda mu, y: math.fsum(((mu - y) ** 2 / 2 + HALF_LOG_2PI).tolist()) / len(y))


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


def factors(p: float, dtype: torch.dtype, above: float = 0.0) -> int:
    """Return how many factors it takes until the product, kept in a dtype, is no longer above a number."""
    factor, product, count = torch.tensor(p, dtype=dtype), torch.ones((), dtype=dtype), 0
    while product > above:
        product, count = product * factor, count + 1
    return count


ZERO = (
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
        "Below `finfo(dtype).tiny` there are smaller numbers still, with fewer digits. Go on until the product is 0.",
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
)

MISCONCEPTIONS: dict[str, tuple[Misconception, ...]] = {
    "coin_log_likelihood": TOSSES,
    "best_constant_squares": SQUARES,
    "best_constant_classes": CLASSES,
    "recipe_sgd_step": STEP,
    "map_of_mean": POSTERIOR,
    "decay_for_prior": DECAY,
    "recipe_python_sum": (FAST, EXACT, *gaussian(one_at_a_time)),
    "recipe_torch_sum": (SLOW, *gaussian(torch.sum)),
    "tosses_until_zero": ZERO,
    "predict_recipe_seconds": (operation_by_operation(40),),
}
