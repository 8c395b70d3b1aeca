"""The Kullback-Leibler divergence equals PyTorch's, obeys its laws and refuses what PyTorch refuses."""

import itertools
import math
import warnings

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.autograd import gradcheck

from lossbook.losses import cross_entropy, kl_div

INF, NAN = math.inf, math.nan
REDUCTIONS = ("none", "mean", "sum", "batchmean")
LAW = settings(deadline=None, max_examples=50, derandomize=True)
LOGITS = st.lists(st.tuples(st.floats(-20, 20), st.floats(-20, 20)), min_size=2, max_size=8)


def test_equals_pytorch(agrees, dtype):
    torch.manual_seed(0)
    for shape, sizes in (
        ((), ()),
        ((0,), (0,)),
        ((0, 3), (0, 3)),
        ((5,), (5,)),
        ((3, 4), (3, 4)),
        ((2, 3, 2, 2), (2, 3, 2, 2)),
        ((3, 4), (4,)),
        ((3, 4), ()),
        ((4,), (3, 4)),
        ((), (3, 4)),
        ((3, 1), (2, 3, 4)),
    ):
        log_p, q = -3 * torch.rand(shape).to(dtype), torch.rand(sizes).to(dtype)
        for log_target, reduction, grads in itertools.product(
            (True, False), REDUCTIONS, ((True, True), (True, False), (False, True))
        ):
            target = -3 * q if log_target else q
            options = {"log_target": log_target, "reduction": reduction}
            agrees("kl_div", log_p, target, grads=grads, floor=2.0, **options)


def test_equals_pytorch_at_extremes(agrees, dtype):
    values = (0, -1, -INF, -1000, 0.5, NAN)
    for log_target in (False, True):
        targets = (0, 1, 0.5, 1e-7, -0.5, NAN, *((-INF, -1000) if log_target else ()))
        log_p, q = (torch.tensor(c, dtype=dtype) for c in zip(*itertools.product(values, targets), strict=True))
        for reduction in ("none", "sum"):
            agrees("kl_div", log_p, q, grads=(True, True), log_target=log_target, reduction=reduction)


def test_mixed_dtypes(agrees):
    dtypes = (torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.bool, torch.complex64)
    x, y = torch.tensor([-2.0, -1]), torch.tensor([0.25, 1])
    for a, b, log_target, reduction in itertools.product(dtypes, dtypes, (True, False), ("none", "mean")):
        grads = (False, False)
        agrees("kl_div", x.to(a), y.to(b), grads=grads, log_target=log_target, reduction=reduction)


def test_mean_warns_at_the_callers_line_and_batchmean_does_not():
    x = torch.rand(3, 2)
    with pytest.warns(UserWarning, match="batchmean") as record:
        kl_div(x, x)
    assert record[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for reduction in ("none", "sum", "batchmean"):
            kl_div(x, x, reduction=reduction)


def test_refusals(both_refuse):
    x = torch.rand(3, 2)
    both_refuse("kl_div", "size of tensor", x, torch.rand(3))
    both_refuse("kl_div", "reduction", x, x, reduction="avg")
    both_refuse("kl_div", "input", [1.0], x)
    both_refuse("kl_div", "target", x, 1.0)
    both_refuse("kl_div", "input", x.long(), x)
    both_refuse("kl_div", "target", x, x.bool())
    for value in (1, "yes", None):
        both_refuse("kl_div", "log_target", x, x, log_target=value)


def distributions(logits):
    """Return log p and q of one sample."""
    z = torch.tensor(logits, dtype=torch.float64).T
    return z[:1].log_softmax(1), z[1:].softmax(1)


@LAW
@given(LOGITS)
def test_never_negative_and_zero_only_at_itself(logits):
    log_p, q = distributions(logits)
    assert kl_div(log_p, q, reduction="batchmean") >= -1e-12
    assert kl_div(q.log(), q, reduction="batchmean").abs() < 1e-12


@LAW
@given(LOGITS)
def test_it_is_cross_entropy_less_entropy(logits):
    log_p, q = distributions(logits)
    divergence = cross_entropy(log_p, q) - cross_entropy(q.log(), q)
    torch.testing.assert_close(kl_div(log_p, q, reduction="batchmean"), divergence, atol=1e-9, rtol=1e-7)


@LAW
@given(LOGITS)
def test_log_target_says_the_same(logits):
    log_p, q = distributions(logits)
    same = kl_div(log_p, q.log(), reduction="sum", log_target=True)
    torch.testing.assert_close(same, kl_div(log_p, q, reduction="sum"))


@LAW
@given(LOGITS)
def test_reductions_divide_one_sum(logits):
    log_p, q = (x.expand(3, -1) for x in distributions(logits))
    total = kl_div(log_p, q, reduction="sum")
    torch.testing.assert_close(kl_div(log_p, q, reduction="batchmean") * 3, total)
    with pytest.warns(UserWarning, match="batchmean"):
        torch.testing.assert_close(kl_div(log_p, q) * log_p.numel(), total)


def test_gradcheck():
    log_p = torch.randn(4, 3, dtype=torch.float64, requires_grad=True)
    q = (torch.rand(4, 3, dtype=torch.float64) + 0.1).requires_grad_()
    for log_target in (True, False):
        assert gradcheck(lambda x, q, t=log_target: kl_div(x, q, reduction="batchmean", log_target=t), (log_p, q))
