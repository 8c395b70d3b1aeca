"""Binary cross-entropy equals PyTorch's, obeys its laws and refuses what PyTorch refuses."""

import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.autograd import gradcheck, gradgradcheck

from lossbook.losses import binary_cross_entropy, binary_cross_entropy_with_logits
from lossbook.losses.bce import neg_log_sigmoid

INF, NAN = math.inf, math.nan
REDUCTIONS = ("none", "mean", "sum")
SHAPES = ((), (0,), (5,), (3, 4), (2, 3, 2, 2))
LAW = settings(deadline=None, max_examples=50, derandomize=True)
LOGITS = st.lists(st.floats(-50, 50), min_size=1, max_size=8)
BOTH = ("binary_cross_entropy", "binary_cross_entropy_with_logits")


def weights(shape, dtype):
    """No weight, and weights of every shape that broadcasts."""
    shapes = {shape, (), shape[-1:], (*shape[:-1], 1) if shape else ()}
    return [None, *(torch.rand(s).to(dtype) * 3 for s in sorted(shapes))]


def test_equals_pytorch(agrees, dtype):
    torch.manual_seed(0)
    for shape in SHAPES:
        p, z = torch.rand(shape).to(dtype), (torch.randn(shape) * 5).to(dtype)
        for y in (torch.rand(shape).to(dtype), (torch.rand(shape) > 0.5).to(dtype)):
            for weight, reduction, grads in itertools.product(
                weights(shape, dtype), REDUCTIONS, ((True, True), (True, False))
            ):
                options = {"weight": weight, "reduction": reduction, "grads": grads}
                agrees("binary_cross_entropy", p, y, **options)
                for pos_weight in weights(shape, dtype):
                    floor = 0.0 if pos_weight is None else 3.0
                    agrees("binary_cross_entropy_with_logits", z, y, floor=floor, pos_weight=pos_weight, **options)


def test_equals_pytorch_at_extremes(agrees, dtype):
    pairs = itertools.product((0, 1e-30, 1e-13, 1e-3, 0.5, 1 - 1e-7, 1), (0, 0.3, 1))
    p, y = (torch.tensor(column, dtype=dtype) for column in zip(*pairs, strict=True))
    pairs = itertools.product((0, 1000, -1000, 200, -20, 20, INF, -INF, NAN), (0, 0.3, 1))
    z, labels = (torch.tensor(column, dtype=dtype) for column in zip(*pairs, strict=True))
    for reduction in ("none", "sum"):
        agrees("binary_cross_entropy", p, y, grads=(True, True), reduction=reduction)
        for pos_weight in (None, torch.tensor([2.0], dtype=dtype)):
            options = {"reduction": reduction, "pos_weight": pos_weight}
            agrees("binary_cross_entropy_with_logits", z, labels, grads=(True, True), floor=1.0, **options)


def test_mixed_dtypes(agrees):
    dtypes = (torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.bool)
    p, y = torch.tensor([0.2, 0.5]), torch.tensor([0.0, 1.0])
    for a, b in itertools.product(dtypes, dtypes):
        for name in BOTH:
            agrees(name, p.to(a), y.to(b), grads=(a.is_floating_point, False))
        for c in dtypes:
            options = {"weight": torch.ones(2).to(c), "pos_weight": torch.ones(2).to(c)}
            agrees(BOTH[1], p.to(a), y.to(b), grads=(False, False), **options)
            agrees(BOTH[0], p.to(a), y.to(b), grads=(False, False), weight=torch.ones(2).to(c))


def test_a_large_sum_in_half_precision(agrees):
    p = torch.full((100_000,), 0.5, dtype=torch.float16)
    for name, reduction in itertools.product(BOTH, ("mean", "sum")):
        agrees(name, p, p, reduction=reduction)


@pytest.mark.parametrize("name", BOTH)
def test_refusals(both_refuse, name):
    p, y = torch.rand(3, 2), torch.rand(3, 2)
    for shape in ((3, 1), (2,), (3, 2, 1), ()):
        both_refuse(name, "target", p, torch.rand(shape))
    for reduction in ("avg", "batchmean", None):
        both_refuse(name, "reduction", p, y, reduction=reduction)
    weights = ("weight",) if name == BOTH[0] else ("weight", "pos_weight")
    for argument in weights:
        for shape in ((3,), (2, 3, 2), (1, 3, 2), (2, 1), (1, 1, 1, 1)):
            both_refuse(name, argument, p, y, **{argument: torch.rand(shape)})
        both_refuse(name, argument, p, y, **{argument: 2.0})
        both_refuse(name, argument, p, y, **{argument: torch.rand(2, requires_grad=True)})
        both_refuse(name, argument, p[0, 0], y[0, 0], **{argument: torch.rand(1)})
    both_refuse(name, "input", 0.5, y)
    both_refuse(name, "input", None, y)
    both_refuse(name, "target", p, [0.5])
    both_refuse(name, "ignore_index", p, y, ignore_index=0)


def test_refuses_what_is_no_probability(both_refuse):
    y = torch.tensor([0.0, 1.0])
    for wrong in (1.5, -0.1, NAN, INF):
        both_refuse(BOTH[0], "input", torch.tensor([wrong, 0.5]), y)
        both_refuse(BOTH[0], "target", torch.tensor([0.5, 0.5]), torch.tensor([wrong, 0.5]))


def test_a_weight_with_a_gradient_is_fine_where_none_is_recorded():
    z, w = torch.rand(2), torch.rand(2, requires_grad=True)
    with torch.no_grad():
        binary_cross_entropy_with_logits(z, z, weight=w, pos_weight=w)


@LAW
@given(LOGITS)
def test_the_two_sigmoids_make_one(logits):
    z = torch.tensor(logits, dtype=torch.float64)
    sigma, other = torch.exp(-neg_log_sigmoid(z)), torch.exp(-neg_log_sigmoid(-z))
    torch.testing.assert_close(1 - sigma, other)
    torch.testing.assert_close(neg_log_sigmoid(-z) - neg_log_sigmoid(z), z)


@LAW
@given(LOGITS, st.floats(0, 1))
def test_swapping_the_label_flips_the_logit(logits, label):
    z = torch.tensor(logits, dtype=torch.float64)
    y = torch.full_like(z, label)
    mine, flipped = (binary_cross_entropy_with_logits(a, b, reduction="none") for a, b in ((z, y), (-z, 1 - y)))
    torch.testing.assert_close(mine, flipped, atol=1e-12, rtol=1e-9)


@LAW
@given(LOGITS, st.floats(0, 1))
def test_logits_are_probabilities_before_the_sigmoid(logits, label):
    z = torch.tensor(logits, dtype=torch.float64).clamp(-15, 15)
    y = torch.full_like(z, label)
    of_p = binary_cross_entropy(z.sigmoid(), y, reduction="none")
    torch.testing.assert_close(binary_cross_entropy_with_logits(z, y, reduction="none"), of_p)


@LAW
@given(LOGITS, st.floats(0.01, 0.99))
def test_never_below_the_labels_own_entropy(logits, label):
    z = torch.tensor(logits, dtype=torch.float64)
    y = torch.full_like(z, label)
    entropy = binary_cross_entropy(y, y, reduction="none")
    assert (binary_cross_entropy_with_logits(z, y, reduction="none") >= entropy - 1e-12).all()


@LAW
@given(LOGITS)
def test_the_gradient_is_what_the_model_said_minus_what_happened(logits):
    z = torch.tensor(logits, dtype=torch.float64, requires_grad=True)
    y = (z.detach() > 1).double()
    (gradient,) = torch.autograd.grad(binary_cross_entropy_with_logits(z, y, reduction="sum"), z)
    torch.testing.assert_close(gradient, z.detach().sigmoid() - y)


def test_gradcheck():
    torch.manual_seed(0)
    z = torch.randn(4, 3, dtype=torch.float64, requires_grad=True)
    y = torch.rand(4, 3, dtype=torch.float64, requires_grad=True)
    p = (torch.rand(4, 3, dtype=torch.float64) * 0.8 + 0.1).requires_grad_()
    w = torch.rand(3, dtype=torch.float64) * 3
    for check in (gradcheck, gradgradcheck):
        assert check(lambda p, y: binary_cross_entropy(p, y, weight=w), (p, y))
        assert check(lambda z, y: binary_cross_entropy_with_logits(z, y, weight=w, pos_weight=w), (z, y))


def test_curvature_at_the_corner_of_the_absolute_value():
    zero, one = torch.zeros((), dtype=torch.float64), torch.ones((), dtype=torch.float64)
    curvature = torch.autograd.functional.hessian(lambda z: binary_cross_entropy_with_logits(z, one), zero)
    assert curvature == 0.25
    per_sample = torch.func.vmap(torch.func.grad(binary_cross_entropy_with_logits))
    assert per_sample(zero[None], one[None]).tolist() == [-0.5]
