"""The exercises of lesson 01: what a loss is."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Generator, Tensor

from lossbook.checks.bounds import Array, Traffic, bound_exercise
from lossbook.checks.exercise import RACED, Case, Curve, Exercise, Work, integers, normal, uniform
from lossbook.exercises.misconceptions.recipe import MISCONCEPTIONS
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
        Case((torch.tensor(1e-30), torch.tensor([1.0, 0.0, 1.0])), note="heads that hardly ever come, twice"),
        Case((torch.tensor(1 - 2**-24), torch.tensor([1.0, 0.0])), note="tails that hardly ever come"),
        Case((uniform(generator, 1, low=0.2, high=0.8)[0], integers(generator, 2, 12).float()), note="random"),
        Case((torch.tensor(0.3), integers(generator, 2, 500).float()), note="500 tosses: the product is 0 in float32"),
    ]


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
        Case((torch.tensor([0, 0]), 1), note="there is one class only"),
        Case((torch.cat([torch.arange(6), integers(generator, 6, 30)]), 6), note="random"),
    ]


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
        Case((torch.tensor([0.0, 3.0]), torch.tensor([15.0, -47.0])), note="15 and 50 away: the density itself is 0"),
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
        Case((0.331, torch.bfloat16), note="no bfloat16 is 0.331: the factor is rounded too"),
        Case((0.5, torch.float32), note="the smallest float32 is 2^−149"),
        Case((0.1, torch.float16), note="one chance in ten"),
        Case((1e-9, torch.float16), note="a factor that is 0 in float16 from the start"),
        Case((0.1, torch.float64), note="and in float64"),
        Case((round(0.05 + 0.3 * uniform(generator, 1).item(), 3), torch.float32), note="random"),
    ]


def pairs(generator: Generator, n: int) -> Case:
    """Draw n means and n observations."""
    return Case((normal(generator, n), normal(generator, n)))


def steps(first: float, last: float, count: int) -> tuple[float, ...]:
    """Return so many evenly spaced numbers, both ends included."""
    return tuple(round(first + (last - first) * k / (count - 1), 6) for k in range(count))


def share_case(x: float) -> Case:
    """Return 40 labels of two classes, x of them of class 1."""
    return Case(((torch.arange(40) < x).long(), 2))


COIN_CURVE = Curve(
    steps(0.02, 0.98, 41),
    lambda x: Case((torch.tensor(x), torch.tensor([1.0, 1.0, 0.0]))),
    "θ",
    "log-likelihood of heads, heads, tails",
)
SQUARES_CURVE = Curve(
    steps(-4.0, 5.0, 37), lambda x: Case((torch.tensor([0.0, 1.0, x]),)), "y, beside the labels 0 and 1", "score"
)
CLASSES_CURVE = Curve(steps(0, 40, 41), share_case, "labels of class 1 among 40", "score")
STEP_CURVE = Curve(
    steps(-4.0, 8.0, 25),
    lambda x: Case((torch.tensor(x), torch.tensor([1.0, 3.0]), 0.25, "sum")),
    "μ before the step",
    "μ after it, η = ¼, sum, labels 1 and 3",
)
POSTERIOR_CURVE = Curve(
    steps(0.1, 4.0, 40),
    lambda x: Case((torch.tensor([1.0, 2.0, 3.0]), 1.0, x)),
    "τ, with σ = 1",
    "estimate from 1, 2, 3",
)
DECAY_CURVE = Curve(steps(4, 40, 37), lambda x: Case((2.0, 1.0, int(x))), "N, with σ = 2 and τ = 1", "weight_decay")
GAUSSIAN_CURVE = Curve(
    steps(-3.0, 5.0, 33),
    lambda x: Case((torch.tensor([x, x]), torch.tensor([0.0, 2.0]))),
    "μ of both elements",
    "loss at y = 0 and y = 2",
)
ZERO_CURVE = Curve(steps(0.1, 0.5, 33), lambda x: Case((x, torch.float16)), "p", "factors until 0 in float16")

TOSS_HINTS = (
    "The logarithm of a product is the sum of the logarithms. Take the logarithm of each toss first, then add.",
    r"The exponents of $\theta^{y} (1 - \theta)^{1 - y}$ are a switch between heads and tails. Its logarithm is "
    r"$y \log \theta + (1 - y) \log (1 - \theta)$.",
)
SQUARES_HINTS = (
    r"The derivative of $\frac{1}{N} \sum_n (c - y_n)^2$ is $2 (c - \bar{y})$.",
    "`y.var()` divides by $N - 1$; a mean divides by $N$.",
    "Two steps: the constant at which that derivative is 0, then the mean squared error of predicting it everywhere.",
)
CLASSES_HINTS = (
    "`torch.bincount(y, minlength=K)` counts each class.",
    r"`0 * torch.log(0)` is `nan`. Its limit is 0, and `torch.xlogy(x, x)` computes $x \log x$ with that limit.",
)
STEP_HINTS = (
    r"One loss has the derivative $\mu - y_n$.",
    r"If $\mu$ runs away from the labels, the step has the wrong sign.",
    "The gradient of a sum is the sum of the derivatives, and the gradient of a mean is their mean.",
)
POSTERIOR_HINTS = (
    r"Set the derivative to zero: $-\frac{1}{\sigma^2} \sum_n (y_n - w) + \frac{w}{\tau^2} = 0$.",
    r"Multiply by $\sigma^2$: $\bigl( N + \frac{\sigma^2}{\tau^2} \bigr) \, w = \sum_n y_n$. The prior counts as "
    r"$\sigma^2 / \tau^2$ more samples, all of them 0.",
)
DECAY_HINTS = (
    r"By what must the objective of exercise 4 be multiplied, so that its first term is the mean of $(y_n - w)^2$? "
    "Multiply its second term by the same.",
    r"The factor is $2 \sigma^2 / N$, and the second term becomes $\frac{\sigma^2}{N \tau^2} w^2$. Its gradient is "
    r"$d \, w$.",
)
PYTHON_HINTS = (
    r"Two factors, so two terms: $-\log \frac{1}{\sqrt{2 \pi}} = \frac{1}{2} \log 2 \pi$, and minus the exponent.",
    "Make the N losses first, as one tensor. `sum` walks through a tensor element by element; divide at the end.",
)
TORCH_HINTS = (
    "Only the adding differs from the function above: the losses of the elements are the same.",
    "Make the N losses first, as one tensor, without a loop; give that tensor to `torch.sum`, and divide at the end.",
)
ZERO_HINTS = (
    "A `while` loop: multiply, count, stop when the product is 0.",
    "A Python float is float64: a product that is kept as one lasts too long. Keep it a tensor of the format.",
)

EXERCISES = (
    Exercise(
        "recipe.coin_log_likelihood",
        2,
        log_likelihood_of_tosses,
        toss_cases,
        signature="(theta, y)",
        gradient=True,
        misconceptions=MISCONCEPTIONS["coin_log_likelihood"],
        curve=COIN_CURVE,
        hints=TOSS_HINTS,
    ),
    Exercise(
        "recipe.best_constant_squares",
        1,
        best_constant_mse,
        number_cases,
        signature="(y)",
        no_slope="The score is one of labels, which are not learnt.",
        misconceptions=MISCONCEPTIONS["best_constant_squares"],
        curve=SQUARES_CURVE,
        hints=SQUARES_HINTS,
    ),
    Exercise(
        "recipe.best_constant_classes",
        1,
        best_constant_cross_entropy,
        class_cases,
        signature="(y, K)",
        no_slope="The score is one of class indices, which have no gradient.",
        misconceptions=MISCONCEPTIONS["best_constant_classes"],
        curve=CLASSES_CURVE,
        hints=CLASSES_HINTS,
    ),
    Exercise(
        "recipe.recipe_sgd_step",
        2,
        gaussian_step,
        step_cases,
        signature="(mu, y, lr, reduction)",
        forbidden=frozenset({"backward", "grad"}),
        no_slope="The step is taken, not differentiated.",
        misconceptions=MISCONCEPTIONS["recipe_sgd_step"],
        curve=STEP_CURVE,
        hints=STEP_HINTS,
    ),
    Exercise(
        "recipe.map_of_mean",
        2,
        posterior_mode,
        posterior_cases,
        signature="(y, sigma, tau)",
        no_slope="The estimate is the end of the fit: nothing is trained through it.",
        misconceptions=MISCONCEPTIONS["map_of_mean"],
        curve=POSTERIOR_CURVE,
        hints=POSTERIOR_HINTS,
    ),
    Exercise(
        "recipe.decay_for_prior",
        2,
        decay_of_prior,
        prior_cases,
        signature="(sigma, tau, N)",
        misconceptions=MISCONCEPTIONS["decay_for_prior"],
        curve=DECAY_CURVE,
        hints=DECAY_HINTS,
    ),
    Exercise(
        "recipe.recipe_python_sum",
        1,
        unit_gaussian_nll,
        pair_cases,
        signature="(mu, y)",
        number_too=RACED,
        no_slope=RACED,
        misconceptions=MISCONCEPTIONS["recipe_python_sum"],
        curve=GAUSSIAN_CURVE,
        work=Work(pairs, vectorised=False),
        hints=PYTHON_HINTS,
    ),
    Exercise(
        "recipe.recipe_torch_sum",
        1,
        unit_gaussian_nll,
        pair_cases,
        signature="(mu, y)",
        gradient=True,
        misconceptions=MISCONCEPTIONS["recipe_torch_sum"],
        curve=GAUSSIAN_CURVE,
        work=Work(pairs, vectorised=True),
        hints=TORCH_HINTS,
    ),
    bound_exercise(
        "recipe.predict_recipe_seconds",
        Traffic(Array("mu"), Array("y")),
        misconceptions=MISCONCEPTIONS["predict_recipe_seconds"],
    ),
    Exercise(
        "recipe.tosses_until_zero",
        2,
        count_until_zero,
        zero_cases,
        signature="(p, dtype)",
        rtol=0.0,
        atol=0.0,
        why="A count is right or wrong: one more or one less is a mistake.",
        misconceptions=MISCONCEPTIONS["tosses_until_zero"],
        curve=ZERO_CURVE,
        hints=ZERO_HINTS,
    ),
)
