"""Reductions, and the baselines of chapter 1."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lossbook.losses import recipe

LAW = settings(deadline=None, max_examples=50, derandomize=True)
NUMBERS = st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=8)


def tensor(values):
    return torch.tensor(values, dtype=torch.float64)


@LAW
@given(NUMBERS)
def test_sum_is_mean_times_count(values):
    x = tensor(values)
    torch.testing.assert_close(recipe.reduce(x, "sum"), recipe.reduce(x, "mean") * len(values))
    assert recipe.reduce(x, "none") is x


@LAW
@given(NUMBERS)
def test_equal_weights_leave_the_mean_alone(values):
    x = tensor(values)
    weighted_mean = recipe.reduce(3 * x, "mean", total_weight=torch.full_like(x, 3).sum())
    torch.testing.assert_close(weighted_mean, x.mean())


def test_the_mean_of_nothing_is_nan_and_its_sum_is_0():
    assert recipe.reduce(torch.empty(0), "mean").isnan()
    assert recipe.reduce(torch.empty(0), "mean", total_weight=0).isnan()
    assert recipe.reduce(torch.empty(0), "sum") == 0


@pytest.mark.parametrize("reduction", ["avg", "batchmean", "", None, 1])
def test_an_unknown_reduction_is_refused(reduction):
    with pytest.raises(ValueError, match=r"reduction is .* must be one of 'none', 'mean', 'sum'"):
        recipe.reduce(torch.ones(2), reduction)


@LAW
@given(NUMBERS)
def test_likelihood_of_independent_observations_multiplies(values):
    p = tensor(values).abs() / 1e3 + 1e-3
    total = recipe.negative_log_likelihood(p.log(), "sum")
    torch.testing.assert_close(total.neg().exp(), p.prod())


def test_negative_log_likelihood_refuses_a_number():
    with pytest.raises(TypeError, match="log_likelihood is a float"):
        recipe.negative_log_likelihood(0.5)


@LAW
@given(NUMBERS, st.floats(-1e3, 1e3))
def test_no_constant_beats_the_best(values, c):
    y = tensor(values)
    assert recipe.best_constant_mse(y) <= ((y - c) ** 2).mean() + 1e-6


@LAW
@given(st.lists(st.booleans(), min_size=1, max_size=8), st.floats(0.01, 0.99))
def test_no_constant_probability_beats_the_base_rate(labels, p):
    y = tensor([float(label) for label in labels])
    other = -(y * math.log(p) + (1 - y) * math.log(1 - p)).mean()
    assert recipe.best_constant_bce(y) <= other + 1e-12


def test_baselines_at_their_known_values():
    y = torch.tensor([0.0, 1, 1, 0])
    assert recipe.best_constant_bce(y).item() == pytest.approx(math.log(2))
    assert recipe.best_constant_bce(torch.ones(4)).item() == 0
    assert recipe.best_constant_mse(y).item() == pytest.approx(0.25)
    for K in (2, 3, 10):
        uniform = torch.arange(K).repeat(7)
        assert recipe.best_constant_cross_entropy(uniform, K).item() == pytest.approx(math.log(K))
    assert recipe.best_constant_cross_entropy(torch.zeros(5, dtype=torch.long), 3).item() == 0


@LAW
@given(st.lists(st.booleans(), min_size=1, max_size=8))
def test_two_classes_are_a_coin(labels):
    y = torch.tensor(labels)
    coin, classes = recipe.best_constant_bce(y.float()), recipe.best_constant_cross_entropy(y.long(), 2)
    torch.testing.assert_close(coin, classes)
