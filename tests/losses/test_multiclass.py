"""Cross-entropy equals PyTorch's, obeys its laws and refuses what PyTorch refuses."""

import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.autograd import gradcheck, gradgradcheck

from lossbook.losses import binary_cross_entropy_with_logits, cross_entropy, nll_loss
from lossbook.losses.multiclass import log_softmax, logsumexp

INF, NAN = math.inf, math.nan
REDUCTIONS = ("none", "mean", "sum")
SMOOTHINGS = (0.0, 0.1, 1.0, 1, -0.2, NAN)
# Logits, and the targets that go with them.
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
# Log-probabilities near 0 are differences of larger numbers, and PyTorch rounds those to half precision on the way.
FLOOR = 0.5
LAW = settings(deadline=None, max_examples=50, derandomize=True)
LOGITS = st.lists(st.floats(-50, 50), min_size=2, max_size=8)


def draw(shape, sizes, dtype):
    """Draw logits, weights, class indices, and the same with some and with all of them ignored."""
    torch.manual_seed(0)
    K = shape[0 if len(shape) == 1 else 1]
    y = torch.randint(0, K, sizes)
    some = y.masked_fill(torch.rand(sizes) < 0.3, -100)
    return (torch.randn(shape) * 3).to(dtype), (torch.rand(K) * 2).to(dtype), (y, some, torch.full(sizes, -100))


@pytest.mark.parametrize(("shape", "sizes"), SHAPES)
def test_equals_pytorch_with_indices(agrees, dtype, shape, sizes):
    z, w, (y, some, none) = draw(shape, sizes, dtype)
    targets = ((y, -100), (some, -100), (none, -100), (y, 1), (y, 0), (some.clamp(min=-1), -1), (y, 7))
    for (target, ignore_index), weight, reduction, smoothing in itertools.product(
        targets, (None, w), REDUCTIONS, SMOOTHINGS
    ):
        options = {"weight": weight, "reduction": reduction, "label_smoothing": smoothing}
        agrees("cross_entropy", z, target, floor=FLOOR, ignore_index=ignore_index, **options)


@pytest.mark.parametrize(("shape", "sizes"), SHAPES)
def test_equals_pytorch_with_probabilities(agrees, dtype, shape, sizes):
    torch.manual_seed(0)
    z, q = (torch.randn(shape) * 3).to(dtype), torch.rand(shape).to(dtype)
    w = torch.rand(shape[0 if len(shape) == 1 else 1]).to(dtype)
    for weight, reduction, smoothing, grads in itertools.product(
        (None, w), REDUCTIONS, SMOOTHINGS, ((True, True), (True, False))
    ):
        options = {"weight": weight, "reduction": reduction, "label_smoothing": smoothing}
        agrees("cross_entropy", z, q, grads=grads, floor=FLOOR, **options)


def test_equals_pytorch_at_extremes(agrees, dtype):
    rows = [[INF, 0, 1], [-INF, 0, 1], [-INF, -INF, -INF], [1000, -1000, 0], [NAN, 0, 0], [-1000, -1000, -1000]]
    for row, y, smoothing in itertools.product(rows, range(3), (0.0, 0.1)):
        z, q = torch.tensor([row], dtype=dtype), torch.eye(3, dtype=dtype)[y : y + 1]
        agrees("cross_entropy", z, torch.tensor([y]), label_smoothing=smoothing, floor=FLOOR)
        agrees("cross_entropy", z, q, label_smoothing=smoothing, floor=FLOOR)


def test_uint8_targets(agrees):
    z, y = torch.randn(4, 3), torch.tensor([0, 1, 2, 1], dtype=torch.uint8)
    for ignore_index in (-100, 1, 255, 156):
        agrees("cross_entropy", z, y, ignore_index=ignore_index)
        agrees("cross_entropy", z[0], y[0], ignore_index=ignore_index)
        agrees("cross_entropy", z, y, ignore_index=ignore_index, label_smoothing=0.1)


def test_mixed_dtypes_of_probabilities():
    z, q = torch.randn(4, 3), torch.rand(4, 3)
    dtypes = (torch.float64, torch.float32, torch.float16, torch.bfloat16)
    for a, b, c in itertools.product(dtypes, dtypes, (*dtypes, torch.int64, torch.bool)):
        for smoothing in (0.0, 0.1):
            args = (z.to(a), q.to(b), torch.ones(3).to(c))
            mine = cross_entropy(*args, label_smoothing=smoothing)
            theirs = torch.nn.functional.cross_entropy(*args, label_smoothing=smoothing)
            # The dtype is that of the widest, the precision that of the narrowest.
            eps = max(torch.finfo(dtype).eps for dtype in (a, b))
            torch.testing.assert_close(mine, theirs, rtol=2 * eps, atol=0)


def test_weights_of_probabilities_are_differentiable():
    z, q = torch.randn(4, 3, dtype=torch.float64), torch.rand(4, 3, dtype=torch.float64)
    assert gradcheck(lambda w: cross_entropy(z, q, weight=w), torch.rand(3, dtype=torch.float64, requires_grad=True))


def test_overflow_of_sums_in_half_precision(agrees):
    z = torch.zeros(1000, 100, dtype=torch.float16)
    y = torch.zeros(1000, dtype=torch.long)
    for smoothing, reduction in itertools.product((0.0, 0.1), ("mean", "sum")):
        agrees("cross_entropy", z, y, label_smoothing=smoothing, reduction=reduction)
    assert cross_entropy(z, y).isfinite()
    assert not cross_entropy(z, y, label_smoothing=0.1).isfinite()
    many = torch.zeros(70_000, 2, dtype=torch.float16)
    agrees("cross_entropy", many, torch.zeros(70_000, dtype=torch.long))


def test_refusals(both_refuse):
    z, y, q = torch.randn(4, 3), torch.tensor([0, 1, 2, 1]), torch.rand(4, 3)
    name = "cross_entropy"
    for wrong in (3, -1, 100, -101):
        target = torch.tensor([0, wrong, 2, 1])
        both_refuse(name, "target", z, target)
        both_refuse(name, "target", z, target, label_smoothing=0.1)
        both_refuse(name, "target", z.T.reshape(1, 3, 2, 2), target.reshape(1, 2, 2))
        both_refuse(name, "target", z[0], target[1])
    for shape, sizes in (
        ((3,), (2,)),
        ((4, 3), (4, 1)),
        ((4, 3), (3,)),
        ((4, 3), ()),
        ((2, 3, 5), (2, 4)),
        ((2, 3, 5), (2, 5, 1)),
        ((2, 3, 5), (2,)),
        ((2, 3, 5), (5, 2)),
        ((2, 3, 5, 4), (2, 4, 5)),
        ((2, 3, 2, 2, 2), (2, 2, 2, 3)),
        ((4, 0), (4,)),
        ((4, 3), (4, 3)),
        ((), ()),
        ((), (1,)),
    ):
        argument = "input" if shape == () and sizes else "target"
        both_refuse(name, argument, torch.randn(shape), torch.zeros(sizes, dtype=torch.long))
    both_refuse(name, "input", torch.rand(()), torch.rand(()))
    for dtype in (torch.int32, torch.int16, torch.int8, torch.bool, torch.float32):
        both_refuse(name, "target", z, y.to(dtype))
        both_refuse(name, "target", z, y.to(dtype), label_smoothing=0.1)
    both_refuse(name, "target", z.reshape(1, 3, 2, 2), y.reshape(1, 2, 2).to(torch.uint8))
    for dtype in (torch.int64, torch.bool, torch.complex64):
        both_refuse(name, "input", z.to(dtype), y)
        both_refuse(name, "target", z, q.to(dtype))
    for target in (y, q):
        for weight in (torch.ones(2), torch.ones(4), torch.ones(3, 1), torch.ones(1), torch.ones(()), 2.0, [1.0]):
            both_refuse(name, "weight", z, target, weight=weight)
        both_refuse(name, "label_smoothing", z, target, label_smoothing=1.1)
        both_refuse(name, "label_smoothing", z, target, label_smoothing=None)
        both_refuse(name, "label_smoothing", z, target, label_smoothing="1")
        both_refuse(name, "ignore_index", z, target, ignore_index=None)
        both_refuse(name, "ignore_index", z, target, ignore_index=1.5)
        both_refuse(name, "reduction", z, target, reduction="batchmean")
        both_refuse(name, "input", [1.0], target)
        both_refuse(name, "input", None, target)
    both_refuse(name, "target", z, [0, 1, 2, 1])
    for dtype in (torch.float64, torch.float16, torch.int64):
        both_refuse(name, "weight", z, y, weight=torch.ones(3, dtype=dtype))
    both_refuse(name, "weight", z, y, weight=torch.ones(3, requires_grad=True))
    for ignore_index in (0, 5):
        both_refuse(name, "ignore_index", z, q, ignore_index=ignore_index)


def one_row(values):
    return torch.tensor([values], dtype=torch.float64)


@LAW
@given(LOGITS, st.floats(-1e3, 1e3))
def test_a_shift_of_all_logits_changes_nothing(logits, shift):
    z, y = one_row(logits), torch.tensor([0])
    torch.testing.assert_close(cross_entropy(z + shift, y), cross_entropy(z, y), atol=1e-9, rtol=1e-9)


@LAW
@given(LOGITS)
def test_probabilities_sum_to_one_and_gradients_to_zero(logits):
    z = one_row(logits).requires_grad_()
    assert log_softmax(z, 1).exp().sum().item() == pytest.approx(1)
    (gradient,) = torch.autograd.grad(cross_entropy(z, torch.tensor([0])), z)
    happened = torch.eye(len(logits), dtype=torch.float64)[:1]
    torch.testing.assert_close(gradient, z.detach().softmax(1) - happened)
    assert gradient.sum().item() == pytest.approx(0, abs=1e-12)


@LAW
@given(st.floats(-50, 50), st.floats(-50, 50), st.integers(0, 1))
def test_two_classes_are_binary_cross_entropy(first, second, label):
    of_two = cross_entropy(one_row([first, second]), torch.tensor([label]))
    z, y = one_row([second - first])[0], one_row([float(label)])[0]
    torch.testing.assert_close(of_two, binary_cross_entropy_with_logits(z, y), atol=1e-12, rtol=1e-9)


@LAW
@given(LOGITS, st.integers(0, 7))
def test_indices_are_one_hot_probabilities(logits, label):
    z, y = one_row(logits), torch.tensor([label % len(logits)])
    one_hot = torch.eye(len(logits), dtype=torch.float64)[y]
    for smoothing in (0.0, 0.3):
        of_indices, of_probabilities = (cross_entropy(z, target, label_smoothing=smoothing) for target in (y, one_hot))
        torch.testing.assert_close(of_indices, of_probabilities)


@LAW
@given(LOGITS)
def test_never_below_the_targets_own_entropy(logits):
    z = one_row(logits)
    q = z.flip(1).softmax(1)
    assert cross_entropy(z, q) >= -torch.xlogy(q, q).sum() - 1e-12


@LAW
@given(LOGITS, st.randoms(use_true_random=False))
def test_renaming_the_classes_changes_nothing(logits, random):
    z, w = one_row(logits), torch.linspace(1, 2, len(logits), dtype=torch.float64)
    order = list(range(len(logits)))
    random.shuffle(order)
    renamed = torch.tensor([order.index(0)])
    torch.testing.assert_close(
        cross_entropy(z[:, order], renamed, w[order], reduction="sum"),
        cross_entropy(z, torch.tensor([0]), w, reduction="sum"),
    )


@LAW
@given(LOGITS)
def test_it_is_the_log_likelihood_of_its_log_softmax(logits):
    z, y = one_row(logits), torch.tensor([1])
    assert torch.equal(cross_entropy(z, y), nll_loss(log_softmax(z, 1), y))
    torch.testing.assert_close(log_softmax(z, 1), z - logsumexp(z, 1))


@pytest.mark.parametrize("level", [-1000.0, 0.0, 1000.0])
def test_logsumexp_never_overflows(level):
    z = torch.full((2, 3), level)
    torch.testing.assert_close(logsumexp(z, 1), torch.full((2, 1), level + math.log(3)))
    z = torch.tensor([[-INF, level]], requires_grad=True)
    assert torch.autograd.grad(logsumexp(z, 1).sum(), z)[0].tolist() == [[0, 1]]


def test_gradcheck():
    torch.manual_seed(0)
    w = torch.rand(3, dtype=torch.float64)
    for shape, sizes in (((3,), ()), ((4, 3), (4,)), ((2, 3, 2), (2, 2))):
        z = torch.randn(shape, dtype=torch.float64, requires_grad=True)
        q = torch.rand(shape, dtype=torch.float64, requires_grad=True)
        y = torch.randint(0, 3, sizes)
        for check, smoothing in itertools.product((gradcheck, gradgradcheck), (0.0, 0.2)):
            options = {"weight": w, "label_smoothing": smoothing}
            assert check(lambda z, y=y, o=options: cross_entropy(z, y, ignore_index=1, reduction="sum", **o), z)
            assert check(lambda z, q, o=options: cross_entropy(z, q, **o), (z, q))


def test_the_curvature_is_the_covariance_of_the_classes():
    z = torch.tensor([0.5, -1, 2], dtype=torch.float64)
    p = z.softmax(0)
    hessian = torch.autograd.functional.hessian(lambda z: cross_entropy(z, torch.tensor(0)), z)
    torch.testing.assert_close(hessian, p.diag() - p[:, None] * p)
