"""Lesson 1's exercises: the solutions pass, stubs are told apart, and wrong functions that people write fail."""

import math

import pytest
import torch

from lossbook.exercises import check
from lossbook.exercises.recipe import EXERCISES

FUNCTIONS = [exercise.function for exercise in EXERCISES]
HALF_LOG_2PI = 0.5 * math.log(2 * math.pi)


@pytest.fixture(scope="module")
def solved(solutions):
    return solutions("01-recipe")


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_solution_passes(solved, name):
    report = check(solved[name])
    assert report.passed, repr(report)
    assert report.points == report.out_of


@pytest.mark.parametrize("name", FUNCTIONS)
def test_the_stub_is_not_attempted(named, name):
    def stub(*arguments):
        raise NotImplementedError

    report = check(named(name, stub))
    assert (report.state, report.points) == ("not attempted", 0)


def counted(p, dtype, *, kept_in):
    """Count factors, the product kept in another format than was asked for."""
    product, count = torch.ones((), dtype=kept_in), 0
    while product > 0:
        product, count = product * torch.tensor(p, dtype=kept_in), count + 1
    return count


def log_of_product(theta, y):
    return torch.log(torch.prod(theta**y * (1 - theta) ** (1 - y)))


def sum_of_squares(y):
    return ((y - y.mean()) ** 2).sum()


def naive_class_entropy(y, K):
    f = torch.bincount(y, minlength=K) / len(y)
    return -(f * torch.log(f)).sum()


WRONG = {
    "coin_log_likelihood: the product's logarithm": log_of_product,
    "coin_log_likelihood: a minus too many": lambda t, y: -(y * t.log() + (1 - y) * (1 - t).log()).sum(),
    "coin_log_likelihood: the mean": lambda t, y: (y * t.log() + (1 - y) * (1 - t).log()).mean(),
    "coin_log_likelihood: the likelihood": lambda t, y: (t**y * (1 - t) ** (1 - y)).prod(),
    "coin_log_likelihood: heads alone": lambda t, y: (y * t.log()).sum(),
    "coin_log_likelihood: heads and tails swapped": lambda t, y: ((1 - y) * t.log() + y * (1 - t).log()).sum(),
    "coin_log_likelihood: bits": lambda t, y: (y * t.log2() + (1 - y) * (1 - t).log2()).sum(),
    "coin_log_likelihood: cut off from autograd": lambda t, y: (y * t.detach().log() + (1 - y) * (1 - t).log()).sum(),
    "best_constant_squares: divided by N − 1": lambda y: y.var(),
    "best_constant_squares: the sum": sum_of_squares,
    "best_constant_squares: the constant itself": lambda y: y.mean(),
    "best_constant_squares: the standard deviation": lambda y: y.std(correction=0),
    "best_constant_squares: the median": lambda y: ((y - y.median()) ** 2).mean(),
    "best_constant_squares: the constant 0": lambda y: (y**2).mean(),
    "best_constant_classes: 0 · log 0": naive_class_entropy,
    "best_constant_classes: always ln K": lambda y, K: torch.tensor(math.log(K)),
    "best_constant_classes: the mean over classes": lambda y, K: (
        -torch.special.xlogy(torch.bincount(y, minlength=K) / len(y), torch.bincount(y, minlength=K) / len(y)).mean()
    ),
    "best_constant_classes: counts for shares": lambda y, K: (
        -torch.xlogy(torch.bincount(y, minlength=K).float(), torch.bincount(y, minlength=K).float()).sum()
    ),
    "recipe_sgd_step: upwards": lambda mu, y, lr, r: mu + lr * ((mu - y).mean() if r == "mean" else (mu - y).sum()),
    "recipe_sgd_step: always the mean": lambda mu, y, lr, r: mu - lr * (mu - y).mean(),
    "recipe_sgd_step: always the sum": lambda mu, y, lr, r: mu - lr * (mu - y).sum(),
    "recipe_sgd_step: the two swapped": lambda mu, y, lr, r: (
        mu - lr * ((mu - y).sum() if r == "mean" else (mu - y).mean())
    ),
    "recipe_sgd_step: a factor 2": lambda mu, y, lr, r: (
        mu - 2 * lr * ((mu - y).mean() if r == "mean" else (mu - y).sum())
    ),
    "map_of_mean: no prior": lambda y, s, t: y.mean(),
    "map_of_mean: tau over sigma": lambda y, s, t: y.sum() / (len(y) + t**2 / s**2),
    "map_of_mean: not squared": lambda y, s, t: y.sum() / (len(y) + s / t),
    "map_of_mean: N forgotten": lambda y, s, t: y.mean() / (1 + s**2 / t**2),
    "map_of_mean: a factor 2": lambda y, s, t: y.sum() / (len(y) + 2 * s**2 / t**2),
    "decay_for_prior: as beside the sum": lambda s, t, N: 2 * s**2 / t**2,
    "decay_for_prior: without the 2": lambda s, t, N: s**2 / (N * t**2),
    "decay_for_prior: as beside the NLL": lambda s, t, N: 1 / (N * t**2),
    "decay_for_prior: upside down": lambda s, t, N: 2 * t**2 / (N * s**2),
    "decay_for_prior: times N": lambda s, t, N: 2 * N * s**2 / t**2,
    "recipe_python_sum: the sum": lambda m, y: sum((m - y) ** 2 / 2 + HALF_LOG_2PI),
    "recipe_python_sum: the squared error": lambda m, y: sum((m - y) ** 2) / len(y),
    "recipe_torch_sum: no minus": lambda m, y: -torch.sum((m - y) ** 2 / 2 + HALF_LOG_2PI) / len(y),
    "recipe_torch_sum: no constant": lambda m, y: torch.sum((m - y) ** 2 / 2) / len(y),
    "predict_recipe_ratio: nothing": lambda: 0,
    "predict_recipe_ratio: words": lambda: "a lot",
    "tosses_until_zero: in float64": lambda p, dtype: counted(p, dtype, kept_in=torch.float64),
    "tosses_until_zero: in float32": lambda p, dtype: counted(p, dtype, kept_in=torch.float32),
    "tosses_until_zero: one too few": lambda p, dtype: counted(p, dtype, kept_in=dtype) - 1,
    "tosses_until_zero: from the smallest normal number": lambda p, dtype: math.ceil(
        math.log(torch.finfo(dtype).tiny) / math.log(p)
    ),
}


@pytest.mark.parametrize("what", WRONG)
def test_a_wrong_function_fails(named, what):
    report = check(named(what.partition(":")[0], WRONG[what]))
    assert (report.state, report.points) == ("failed", 0), repr(report)
    assert report.failures


def toss_loop(theta, y):
    total = torch.zeros(())
    for toss in y:
        total = total + torch.log(theta if toss == 1 else 1 - theta)
    return total


def in_place(mu, y):
    y -= mu
    y *= y
    y /= 2
    y += HALF_LOG_2PI
    return torch.sum(y) / y.numel()


def step_by_autograd(mu, y, lr, reduction):
    mu = mu.clone().requires_grad_()
    losses = (mu - y) ** 2 / 2
    getattr(losses, reduction)().backward()
    return (mu - lr * mu.grad).detach()


RIGHT = {
    "coin_log_likelihood: a loop": toss_loop,
    "coin_log_likelihood: counting": lambda t, y: y.sum() * t.log() + (len(y) - y.sum()) * torch.log1p(-t),
    "coin_log_likelihood: where": lambda t, y: torch.where(y > 0.5, t, 1 - t).log().sum(),
    "best_constant_squares: the variance": lambda y: y.var(correction=0),
    "best_constant_squares: mean of squares less square of mean": lambda y: (
        (y.double() ** 2).mean() - y.double().mean() ** 2
    ),
    "best_constant_classes: torch.special": lambda y, K: torch.special.entr(
        torch.nn.functional.one_hot(y, K).double().mean(dim=0)
    ).sum(),
    "recipe_sgd_step: autograd": step_by_autograd,
    "map_of_mean: shrinking the mean": lambda y, s, t: y.mean() / (1 + s**2 / (len(y) * t**2)),
    "map_of_mean: precisions": lambda y, s, t: (y.sum() / s**2) / (len(y) / s**2 + 1 / t**2),
    "decay_for_prior: a tensor": lambda s, t, N: torch.tensor(2 * (s / t) ** 2 / N),
    "recipe_python_sum: a generator": lambda m, y: (
        sum((a - b) ** 2 / 2 + HALF_LOG_2PI for a, b in zip(m, y, strict=True)) / len(y)
    ),
    "recipe_torch_sum: in place": in_place,
    "recipe_torch_sum: the constant added last": lambda m, y: torch.sum((m - y) ** 2) / (2 * len(y)) + HALF_LOG_2PI,
    "predict_recipe_ratio: any positive number": lambda: 12.5,
    "tosses_until_zero: a tensor": lambda p, dtype: torch.tensor(counted(p, dtype, kept_in=dtype)),
}


@pytest.mark.parametrize("what", RIGHT)
def test_a_right_function_in_another_style_passes(named, what):
    report = check(named(what.partition(":")[0], RIGHT[what]))
    assert report.passed, repr(report)


def test_every_exercise_has_wrong_functions_that_fail():
    assert {what.partition(":")[0] for what in WRONG} == set(FUNCTIONS)
