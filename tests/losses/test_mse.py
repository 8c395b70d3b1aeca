"""Squared error and its relatives equal PyTorch's, obey their laws and refuse what PyTorch refuses."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.autograd import gradcheck, gradgradcheck

from lossbook.losses import gaussian_nll_loss, huber_loss, l1_loss, mse_loss, smooth_l1_loss

INF, NAN = math.inf, math.nan
REDUCTIONS = ("none", "mean", "sum")
SHAPES = ((), (0,), (5,), (3, 4), (2, 3, 2, 2))
LAW = settings(deadline=None, max_examples=50, derandomize=True)
NUMBERS = st.lists(st.tuples(st.floats(-1e3, 1e3), st.floats(-1e3, 1e3)), min_size=1, max_size=8)
OPTIONS = {
    "mse_loss": ({}, {"weight": True}),
    "l1_loss": ({}, {"weight": True}),
    "smooth_l1_loss": ({}, {"beta": 0.3}, {"beta": 2}, {"beta": 0}, {"beta": INF}),
    "huber_loss": ({}, {"delta": 0.3}, {"delta": 2}, {"weight": True, "delta": 0.5}, {"delta": INF}),
}


def options_of(name, shape, dtype):
    for options in OPTIONS[name]:
        weight = {"weight": torch.rand(shape).to(dtype)} if "weight" in options else {}
        yield {**options, **weight}


@pytest.mark.parametrize("name", OPTIONS)
def test_equals_pytorch(agrees, dtype, name):
    torch.manual_seed(0)
    for shape in SHAPES:
        x, y = (torch.randn(shape) * 2).to(dtype), torch.randn(shape).to(dtype)
        for options in options_of(name, shape, dtype):
            for reduction in REDUCTIONS:
                for grads in ((True, True), (True, False), (False, True)):
                    agrees(name, x, y, grads=grads, reduction=reduction, **options)


@pytest.mark.parametrize("name", OPTIONS)
def test_broadcasts_and_warns_as_pytorch(agrees, dtype, name):
    torch.manual_seed(0)
    for shape, other in (((3, 4), (4,)), ((3, 1), (4,)), ((3, 4), ()), ((4,), (2, 3, 4)), ((1, 3), (0, 3))):
        x, y = torch.randn(shape).to(dtype), torch.randn(other).to(dtype)
        for options in options_of(name, shape, dtype):
            for reduction in REDUCTIONS:
                agrees(name, x, y, grads=(True, True), floor=2.0, reduction=reduction, **options)


@pytest.mark.parametrize("function", [mse_loss, l1_loss, smooth_l1_loss, huber_loss])
def test_warns_at_the_callers_line(function):
    with pytest.warns(UserWarning, match=r"target has shape \(4,\) and input \(3, 4\)") as record:
        function(torch.rand(3, 4), torch.rand(4))
    assert record[0].filename == __file__


@pytest.mark.parametrize("name", OPTIONS)
def test_equals_pytorch_at_extremes(agrees, dtype, name):
    x = torch.tensor([0, 1, 2, -2, INF, -INF, INF, NAN, 300, 0.5, 1e-5, 60000, 0.3], dtype=dtype)
    y = torch.tensor([0, 0, 0, 0, 0, 0, INF, 0, 0, 0, 0, -60000, 0], dtype=dtype)
    for options in options_of(name, x.shape, dtype):
        if options.get("beta") == INF or options.get("delta") == INF:
            continue
        for reduction in ("none", "sum"):
            agrees(name, x, y, grads=(True, True), reduction=reduction, **options)


@pytest.mark.parametrize("name", OPTIONS)
def test_mixed_dtypes(agrees, name):
    dtypes = (torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.uint8, torch.bool)
    x, y = torch.tensor([2.0, 5, 1]), torch.tensor([0.0, 1, 1])
    for a in dtypes:
        for b in dtypes:
            for reduction in REDUCTIONS:
                for options in ({}, {"weight": x.to(a)} if name in ("mse_loss", "l1_loss", "huber_loss") else {}):
                    agrees(name, x.to(a), y.to(b), grads=(False, False), reduction=reduction, **options)


def test_a_large_sum_in_half_precision(agrees):
    x = torch.full((100_000,), 2.0, dtype=torch.float16)
    for name in OPTIONS:
        for reduction in ("mean", "sum"):
            agrees(name, x, torch.zeros_like(x), reduction=reduction)
    agrees("mse_loss", x, torch.zeros_like(x), weight=torch.ones_like(x))


def test_weight_is_differentiable(agrees):
    torch.manual_seed(0)
    x, y, w = (torch.rand(3, 2, dtype=torch.float64, requires_grad=True) for _ in range(3))
    for function in (mse_loss, l1_loss, huber_loss):
        assert gradcheck(lambda w, f=function: f(x, y, weight=w), w)


@pytest.mark.parametrize("name", OPTIONS)
def test_refusals(both_refuse, name):
    x = torch.rand(3, 2)
    both_refuse(name, "size of tensor", x, torch.rand(3))
    both_refuse(name, "reduction", x, x, reduction="avg")
    both_refuse(name, "input", [1.0], x)
    both_refuse(name, "target", x, 1.0)
    if any("weight" in options for options in OPTIONS[name]):
        for weight in (torch.ones(2), torch.ones(3, 1), torch.ones(())):
            both_refuse(name, "weight", x, x, weight=weight)
        both_refuse(name, "weight", x, x, weight=2.0)
        both_refuse(name, "reduction", x, x, weight=x, reduction="avg")


def test_a_negative_variance_is_refused_even_of_nothing(both_refuse):
    both_refuse("gaussian_nll_loss", "var", torch.rand(0), torch.rand(0), -1.0)


def test_refusals_of_beta_and_delta(both_refuse):
    x = torch.rand(3, 2)
    for beta in (-1.0, NAN, None, "1"):
        both_refuse("smooth_l1_loss", "beta", x, x, beta=beta)
    for delta in (0.0, 0, -1.0, NAN, None, "1"):
        both_refuse("huber_loss", "delta", x, x, delta=delta)
        both_refuse("huber_loss", "delta", x, x, delta=delta, weight=x)


@LAW
@given(NUMBERS, st.floats(0.01, 100))
def test_huber_is_delta_times_smooth_l1(pairs, delta):
    x, y = torch.tensor(pairs, dtype=torch.float64).T
    torch.testing.assert_close(huber_loss(x, y, delta=delta), delta * smooth_l1_loss(x, y, beta=delta))


@LAW
@given(NUMBERS)
def test_huber_lies_between_its_two_limits(pairs):
    x, y = torch.tensor(pairs, dtype=torch.float64).T
    losses = huber_loss(x, y, reduction="none")
    assert (losses <= 0.5 * mse_loss(x, y, reduction="none") + 1e-9).all()
    assert (losses <= l1_loss(x, y, reduction="none") + 1e-9).all()
    torch.testing.assert_close(huber_loss(x, y, delta=1e6), 0.5 * mse_loss(x, y))


@LAW
@given(NUMBERS, st.randoms(use_true_random=False))
def test_order_and_swap_do_not_matter(pairs, random):
    x, y = torch.tensor(pairs, dtype=torch.float64).T
    shuffled = list(range(len(pairs)))
    random.shuffle(shuffled)
    for function in (mse_loss, l1_loss, smooth_l1_loss, huber_loss):
        torch.testing.assert_close(function(x[shuffled], y[shuffled]), function(x, y))
        torch.testing.assert_close(function(y, x), function(x, y))
        torch.testing.assert_close(function(x, y, reduction="sum"), function(x, y) * len(pairs))


def test_gradcheck():
    torch.manual_seed(0)
    x, y = (torch.randn(4, 3, dtype=torch.float64, requires_grad=True) for _ in range(2))
    for function in (mse_loss, l1_loss, smooth_l1_loss, huber_loss):
        assert gradcheck(function, (x, y))
        assert gradgradcheck(function, (x, y))
    v = (torch.rand(4, 3, dtype=torch.float64) + 0.1).requires_grad_()
    assert gradcheck(gaussian_nll_loss, (x, y, v))


def test_curvature_at_a_perfect_prediction():
    zero = torch.zeros((), dtype=torch.float64)
    for function, curvature in ((mse_loss, 2), (smooth_l1_loss, 1), (huber_loss, 1)):
        assert torch.autograd.functional.hessian(lambda x, f=function: f(x, zero), zero) == curvature


# --- Gaussian negative log-likelihood -----------------------------------------------------------------------------


def test_gaussian_equals_pytorch(agrees, dtype):
    torch.manual_seed(0)
    for shape in SHAPES:
        x, y = torch.randn(shape).to(dtype), torch.randn(shape).to(dtype)
        variances = [torch.rand(shape) * 3]
        if shape:
            variances += [torch.rand(shape[:-1]), torch.rand((*shape[:-1], 1)), torch.rand((1, *shape[1:]))]
        for var in variances:
            for full in (False, True):
                for eps in (1e-6, 0.5, 0.0):
                    for reduction in REDUCTIONS:
                        options = {"full": full, "eps": eps, "reduction": reduction}
                        grads = (True, True, True)
                        agrees("gaussian_nll_loss", x, y, var.to(dtype), grads=grads, floor=2.0, **options)
        for var in (0.0, 0.5, 2.0, NAN):
            agrees("gaussian_nll_loss", x, y, grads=(True, True), floor=1.0, var=var)


def test_gaussian_at_extremes(agrees, dtype):
    x = torch.tensor([0, 1, 2, 0, INF, 1], dtype=dtype)
    y = torch.tensor([1, 1, 0, 0, 0, NAN], dtype=dtype)
    v = torch.tensor([0, 1e-7, 0.5, INF, 1, 1], dtype=dtype)
    for full in (False, True):
        agrees("gaussian_nll_loss", x, y, v, grads=(True, True, True), full=full, reduction="none")


def test_gaussian_broadcasts_and_promotes(agrees):
    x, y = torch.randn(3, 2), torch.randn(3, 2)
    agrees("gaussian_nll_loss", x, y[:1], torch.rand(3, 2), grads=(True, True, True), floor=2.0)
    agrees("gaussian_nll_loss", x[:1], y, torch.rand(1, 2), grads=(True, True, True), floor=2.0)
    for a in (torch.float64, torch.float16, torch.int64, torch.bool):
        for b in (torch.float64, torch.float32, torch.bfloat16, torch.int64, torch.bool):
            for c in (torch.float64, torch.float16):
                agrees("gaussian_nll_loss", x.to(a), y.to(b), torch.ones(3, 2).to(c), grads=(False,) * 3, full=True)


def test_gaussian_refusals(both_refuse):
    x = torch.rand(3, 2)
    for shape in ((2,), (1, 1), (), (1,), (3, 2, 1), (4, 2)):
        both_refuse("gaussian_nll_loss", "var", x, x, torch.rand(shape))
    for var in (-1.0, -x, 1, True, None, "1", [1.0], torch.ones(3, 2, dtype=torch.long)):
        both_refuse("gaussian_nll_loss", "var", x, x, var)
    both_refuse("gaussian_nll_loss", "reduction", x, x, 1.0, reduction="avg")
    both_refuse("gaussian_nll_loss", "size of tensor", x, torch.rand(4, 2), 1.0)
    both_refuse("gaussian_nll_loss", "eps", x, x, x, eps="0")
    both_refuse("gaussian_nll_loss", "input", [1.0], x, 1.0)


@LAW
@given(NUMBERS)
def test_unit_variance_is_half_the_squared_error(pairs):
    x, y = torch.tensor(pairs, dtype=torch.float64).T
    torch.testing.assert_close(gaussian_nll_loss(x, y, 1.0), 0.5 * mse_loss(x, y))
