"""The parts that all losses share, and the baselines of chapter 1."""

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


def test_a_value_is_read_where_there_is_one():
    assert recipe.value_of(torch.tensor(3)) == 3
    assert recipe.value_of(torch.tensor(True)) is True
    assert recipe.value_of(torch.tensor(3, device="meta")) is None
    seen = []
    torch.vmap(lambda x: (seen.append(recipe.value_of(x)), x)[1])(torch.ones(2))
    assert seen == [None]


def test_autocast_widens_halves_alone_and_on_its_own_device():
    half, wide, index = torch.ones(1).half(), torch.ones(1, dtype=torch.float64), torch.ones(1, dtype=torch.int64)
    assert recipe.autocasted(half, wide)[0] is half
    with torch.autocast("cpu", dtype=torch.bfloat16):
        dtypes = [x.dtype for x in recipe.autocasted(half, half.bfloat16(), wide, index, half.to("meta"))]
        assert dtypes == [torch.float32, torch.float32, torch.float64, torch.int64, torch.float16]
        assert recipe.autocasted(None, 2.0) == (None, 2.0)


def test_ignored_targets_weigh_nothing():
    y = torch.tensor([0, -100, 2])
    indices, counted, w = recipe.counted_targets(y, -100, torch.tensor([2.0, 3, 5]))
    assert indices.tolist() == [0, 0, 2]
    assert counted.tolist() == [True, False, True]
    assert w.tolist() == [2, 0, 5]
    assert recipe.counted_targets(y, -100, None)[2] is None
    assert recipe.counted_targets(y, -100, torch.tensor([2.0, 3, float("inf")]))[2].tolist() == [2, 0, float("inf")]
    assert recipe.counted_targets(y, -100, torch.tensor([float("inf"), 3, 5]))[2].tolist() == [float("inf"), 0, 5]
    losses, total = recipe.counted_losses(torch.tensor([1.0, float("nan"), 3]), counted, w)
    assert (losses.tolist(), total.item()) == ([2, 0, 15], 7)
    losses, total = recipe.counted_losses(torch.tensor([1.0, float("nan"), 3]), counted, None)
    assert (losses.tolist(), total.item()) == ([1, 0, 3], 2)


@pytest.mark.parametrize("weight", [None, torch.tensor([2.0, 3, 5])])
def test_where_all_targets_are_known_to_count_the_losses_are_the_same(weight):
    y, each = torch.tensor([0, 1, 2, 2]), torch.tensor([1.0, 2, 3, 4])
    known = recipe.counted_targets(y, -100, weight, all_count=True)
    assert known[1] is None
    found = recipe.counted_targets(y, -100, weight)
    assert found[1].all()
    for a, b in zip(recipe.counted_losses(each, *known[1:]), recipe.counted_losses(each, *found[1:]), strict=True):
        assert torch.equal(a, b)


@pytest.mark.parametrize(
    ("target", "ignore_index", "known"),
    [
        ([0, 3, 1], -100, True),
        ([0, 3, 1], 9, True),
        ([1, 3, 3], 0, True),
        ([0, 3, 1], 3, False),
        ([0, 3, 1], 2, False),  # which no target is; the least and the most do not tell
        ([0, -100, 1], -100, False),
        ([], -100, True),
    ],
)
def test_what_the_check_of_the_classes_finds_out(target, ignore_index, known):
    target = torch.tensor(target, dtype=torch.long)
    assert recipe.require_class_indices(torch.zeros(len(target), 4), target, ignore_index) is known
