"""The negative log-likelihoods of classes and counts equal PyTorch's, obey their laws and refuse what it refuses."""

import itertools
import math
import os
import shutil

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.autograd import gradcheck

from lossbook.losses import nll_loss, poisson_nll_loss

INF, NAN = math.inf, math.nan
REDUCTIONS = ("none", "mean", "sum")
SHAPES = (
    ((3,), ()),
    ((0, 3), (0,)),
    ((6, 3), (6,)),
    ((4, 1), (4,)),
    ((2, 3, 5), (2, 5)),
    ((2, 3, 2, 2), (2, 2, 2)),
    ((2, 3, 2, 1, 2), (2, 2, 1, 2)),
    ((2, 3, 0), (2, 0)),
)
LAW = settings(deadline=None, max_examples=50, derandomize=True)


@pytest.mark.parametrize(("shape", "sizes"), SHAPES)
def test_equals_pytorch(agrees, dtype, shape, sizes):
    torch.manual_seed(0)
    K = shape[0 if len(shape) == 1 else 1]
    log_p, w = -torch.rand(shape).to(dtype) * 9, (torch.rand(K) * 2).to(dtype)
    y = torch.randint(0, K, sizes)
    some = y.masked_fill(torch.rand(sizes) < 0.3, -100)
    targets = ((y, -100), (some, -100), (torch.full(sizes, -100), -100), (y, 1), (y, 0), (some.clamp(min=-1), -1))
    for (target, ignore_index), weight, reduction in itertools.product(targets, (None, w, w * 0), REDUCTIONS):
        agrees("nll_loss", log_p, target, weight=weight, ignore_index=ignore_index, reduction=reduction)


def test_equals_pytorch_at_extremes(agrees, dtype):
    log_p = torch.tensor([[-INF, 0], [0, -INF], [NAN, 0], [-1000, 5]], dtype=dtype)
    for labels in itertools.product((0, 1, -100), repeat=4):
        for weight in (None, torch.tensor([0, 1], dtype=dtype)):
            for reduction in REDUCTIONS:
                agrees("nll_loss", log_p, torch.tensor(labels), weight=weight, reduction=reduction)


def test_one_target_in_a_row_of_its_own(agrees):
    log_p = torch.tensor([-1.0, -2, -3])
    for reduction in REDUCTIONS:
        agrees("nll_loss", log_p, torch.tensor([1]), grads=(False, False), reduction=reduction)


def test_uint8_targets(agrees):
    log_p, y = -torch.rand(4, 3), torch.tensor([0, 1, 2, 1], dtype=torch.uint8)
    for ignore_index, weight in itertools.product((-100, 1, 255, 156), (None, torch.rand(3))):
        agrees("nll_loss", log_p, y, ignore_index=ignore_index, weight=weight)
        agrees("nll_loss", log_p[0], y[0], ignore_index=ignore_index, weight=weight)


def test_more_targets_than_half_precision_counts(agrees):
    log_p, y = torch.full((70_000, 2), -0.5, dtype=torch.float16), torch.zeros(70_000, dtype=torch.long)
    agrees("nll_loss", log_p, y)
    agrees("nll_loss", log_p, y, reduction="sum")
    assert nll_loss(log_p, y).item() == 0  # 35,000 over infinity


def test_refusals(both_refuse):
    log_p, y = -torch.rand(4, 3), torch.tensor([0, 1, 2, 1])
    for wrong in (3, -1, 100, -101):
        target = torch.tensor([0, wrong, 2, 1])
        both_refuse("nll_loss", "target", log_p, target)
        both_refuse("nll_loss", "target", log_p, target, weight=torch.ones(3), reduction="none")
        both_refuse("nll_loss", "target", log_p.reshape(1, 3, 2, 2), target.reshape(1, 2, 2))
        both_refuse("nll_loss", "target", log_p[0], target[1])
    for shape, sizes in (
        ((3,), (3,)),
        ((4, 3), (4, 1)),
        ((4, 3), (3,)),
        ((4, 3), ()),
        ((4, 3), (4, 3)),
        ((2, 3, 5), (2, 4)),
        ((2, 3, 5), (2, 5, 1)),
        ((2, 3, 5), (2,)),
        ((2, 3, 5, 4), (2, 5)),
        ((2, 3, 5, 4), (2, 4, 5)),
        ((4, 0), (4,)),
        ((0,), ()),
    ):
        both_refuse("nll_loss", "target", torch.randn(shape), torch.zeros(sizes, dtype=torch.long))
    both_refuse("nll_loss", "input", torch.rand(()), torch.tensor(0))
    for dtype in (torch.int32, torch.int16, torch.int8, torch.bool, torch.float32):
        both_refuse("nll_loss", "target", log_p, y.to(dtype))
    both_refuse("nll_loss", "target", log_p.reshape(1, 3, 2, 2), y.reshape(1, 2, 2).to(torch.uint8))
    for dtype in (torch.int64, torch.bool, torch.complex64):
        both_refuse("nll_loss", "input", log_p.to(dtype), y)
    for weight in (torch.ones(2), torch.ones(4), torch.ones(3, 1), torch.ones(1), torch.ones(()), 2.0, [1.0]):
        both_refuse("nll_loss", "weight", log_p, y, weight=weight)
    for dtype in (torch.float64, torch.float16, torch.int64):
        both_refuse("nll_loss", "weight", log_p, y, weight=torch.ones(3, dtype=dtype))
    both_refuse("nll_loss", "weight", log_p, y, weight=torch.ones(3, requires_grad=True))
    both_refuse("nll_loss", "ignore_index", log_p, y, ignore_index=1.5)
    both_refuse("nll_loss", "reduction", log_p, y, reduction="batchmean")
    both_refuse("nll_loss", "input", None, y)
    both_refuse("nll_loss", "target", log_p, [0, 1, 2, 1])


@LAW
@given(st.lists(st.integers(0, 2), min_size=1, max_size=8))
def test_an_ignored_target_is_an_absent_one(labels):
    torch.manual_seed(0)
    y = torch.tensor(labels)
    log_p, w = -torch.rand(len(labels), 3, dtype=torch.float64), torch.rand(3, dtype=torch.float64)
    kept = y != 1
    for reduction in ("mean", "sum"):
        ignoring = nll_loss(log_p, y, w, ignore_index=1, reduction=reduction)
        absent = nll_loss(log_p[kept], y[kept], w, reduction=reduction)
        torch.testing.assert_close(ignoring, absent, equal_nan=True)


@LAW
@given(st.lists(st.integers(0, 2), min_size=1, max_size=8), st.floats(0.1, 10))
def test_scaling_all_weights_leaves_the_mean_alone(labels, scale):
    torch.manual_seed(0)
    y, w = torch.tensor(labels), torch.rand(3, dtype=torch.float64) + 0.1
    log_p = -torch.rand(len(labels), 3, dtype=torch.float64)
    torch.testing.assert_close(nll_loss(log_p, y, scale * w), nll_loss(log_p, y, w))
    torch.testing.assert_close(nll_loss(log_p, y, w, reduction="sum"), nll_loss(log_p, y, w) * w[y].sum())


def test_gradcheck():
    log_p = torch.randn(4, 3, dtype=torch.float64, requires_grad=True)
    y, w = torch.tensor([0, 2, 1, 2]), torch.rand(3, dtype=torch.float64)
    assert gradcheck(lambda x: nll_loss(x, y, w, ignore_index=1), log_p)


# --- Poisson ------------------------------------------------------------------------------------------------------


def test_poisson_equals_pytorch(agrees, dtype):
    torch.manual_seed(0)
    for shape, sizes in (((), ()), ((0,), (0,)), ((5,), (5,)), ((3, 4), (4,)), ((3, 1), (4,)), ((4,), (3, 4))):
        z, y = torch.randn(shape).to(dtype) * 2, (torch.rand(sizes) * 5).to(dtype)
        for log_input, full, eps, reduction in itertools.product((True, False), (True, False), (1e-8, 0.1), REDUCTIONS):
            options = {"log_input": log_input, "full": full, "eps": eps, "reduction": reduction}
            x = z if log_input else z.abs()
            agrees("poisson_nll_loss", x, y, grads=(True, True), floor=2.0, **options)
            agrees("poisson_nll_loss", x, y.round(), grads=(True, False), floor=2.0, **options)


def test_poisson_at_extremes(agrees, dtype):
    x = torch.tensor([0, 1, 2, -INF, INF, -1, 200, -1e-8, 3, 0, NAN], dtype=dtype)
    y = torch.tensor([0, 1, 2, 0, 1, 0, 1, 1, 1.5, -2, 1], dtype=dtype)
    for log_input, full in itertools.product((True, False), (True, False)):
        agrees("poisson_nll_loss", x, y, grads=(True, True), log_input=log_input, full=full, reduction="none")


def test_poisson_mixed_dtypes(agrees):
    dtypes = (torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.bool)
    x, y = torch.tensor([2.0, 5]), torch.tensor([0.0, 1])
    for a, b, log_input, full, reduction in itertools.product(
        dtypes, dtypes, (True, False), (True, False), ("none", "mean")
    ):
        options = {"log_input": log_input, "full": full, "reduction": reduction}
        agrees("poisson_nll_loss", x.to(a), y.to(b), grads=(False, False), **options)


def test_poisson_refusals(both_refuse):
    x = torch.rand(3, 2)
    both_refuse("poisson_nll_loss", "size of tensor", x, x[:2])
    both_refuse("poisson_nll_loss", "reduction", x, x, reduction="avg")
    both_refuse("poisson_nll_loss", "input", [1.0], x)
    both_refuse("poisson_nll_loss", "target", x, 1.0)
    for value in (1, "yes", None):
        both_refuse("poisson_nll_loss", "log_input", x, x, log_input=value)
        both_refuse("poisson_nll_loss", "full", x, x, full=value)
    for value in (None, "0"):
        both_refuse("poisson_nll_loss", "eps", x, x, eps=value)


@LAW
@given(st.lists(st.integers(2, 50), min_size=1, max_size=8), st.floats(-2, 3))
def test_full_poisson_is_near_its_log_probability(counts, z):
    y = torch.tensor(counts, dtype=torch.float64)
    exact = -torch.distributions.Poisson(math.exp(z)).log_prob(y)
    mine = poisson_nll_loss(torch.full_like(y, z), y, full=True, reduction="none")
    # Stirling's series continues with 1 / 12 y.
    torch.testing.assert_close(mine + 1 / (12 * y), exact, atol=1e-3, rtol=1e-4)


@LAW
@given(st.lists(st.integers(0, 20), min_size=1, max_size=8))
def test_the_best_rate_is_the_mean_count(counts):
    y = torch.tensor(counts, dtype=torch.float64) + 0.5
    z = y.mean().log().requires_grad_()
    (gradient,) = torch.autograd.grad(poisson_nll_loss(z.expand_as(y), y), z)
    assert gradient.item() == pytest.approx(0, abs=1e-9)


def test_poisson_gradcheck():
    z = torch.randn(4, 3, dtype=torch.float64, requires_grad=True)
    y = (torch.rand(4, 3, dtype=torch.float64) * 5 + 2).requires_grad_()
    for full in (False, True):
        assert gradcheck(lambda z, y, full=full: poisson_nll_loss(z, y, full=full), (z, y))
        assert gradcheck(lambda z, y, full=full: poisson_nll_loss(z.exp(), y, log_input=False, full=full), (z, y))


def test_a_compiled_loss_refuses_what_is_no_class():
    if shutil.which("g++") is None and os.environ.get("CI") != "true":
        pytest.skip("there is no C++ compiler")
    compiled = torch.compile(nll_loss)
    log_p = torch.log_softmax(torch.randn(3, 4), 1)
    y = torch.tensor([0, 3, -100])
    assert torch.allclose(compiled(log_p, y), nll_loss(log_p, y))
    for wrong in (4, -1):
        with pytest.raises(RuntimeError, match="out of bounds"):
            compiled(log_p, torch.tensor([0, 3, wrong]))
