"""Binary cross-entropy equals PyTorch's, obeys its laws and refuses what PyTorch refuses."""

import itertools
import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.autograd import gradcheck, gradgradcheck

from lossbook.losses import binary_cross_entropy, binary_cross_entropy_with_logits

INF, NAN = math.inf, math.nan
REDUCTIONS = ("none", "mean", "sum")
SHAPES = ((), (0,), (5,), (3, 4), (2, 3, 2, 2))
LAW = settings(deadline=None, max_examples=50, derandomize=True)
LOGITS = st.lists(st.floats(-50, 50), min_size=1, max_size=8)
ULP_OF = {dtype: torch.finfo(dtype).eps for dtype in (torch.float64, torch.float32, torch.float16, torch.bfloat16)}
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
                # By y, the loss of a probability has a difference of two logarithms.
                agrees("binary_cross_entropy", p, y, floor=1.0, **options)
                for pos_weight in weights(shape, dtype):
                    # PyTorch adds terms in z that cancel: the next test holds ours against the truth.
                    agrees("binary_cross_entropy_with_logits", z, y, floor=16.0, pos_weight=pos_weight, **options)


@pytest.mark.parametrize("pos_weight", [None, 3.0])
def test_a_logits_loss_and_gradient_are_right_to_the_last_digits(last_digits, dtype, pos_weight):
    z = torch.cat([torch.linspace(-30, 30, 241), torch.tensor([-80.0, 80.0, 1e-3, -1e-3, 0.0])]).to(dtype)
    for label in (0.0, 0.3, 1.0):
        y = torch.full_like(z, label)
        mine, truth = (z.clone().requires_grad_(), z.double().requires_grad_())
        loss = binary_cross_entropy_with_logits(mine, y, reduction="sum", pos_weight=_tensor(pos_weight, dtype))
        each = binary_cross_entropy_with_logits(mine, y, reduction="none", pos_weight=_tensor(pos_weight, dtype))
        c, w = pos_weight or 1.0, y.double()
        exact = c * w * torch.logaddexp(-truth, truth * 0) + (1 - w) * torch.logaddexp(truth, truth * 0)
        (by_z,) = torch.autograd.grad(loss, mine)
        by_truth = c * w * (truth.sigmoid() - 1) + (1 - w) * truth.sigmoid()
        if label in (0, 1):
            by_truth = torch.where(w == 1, -c * (-truth).sigmoid(), truth.sigmoid())
        floor = 0.0 if label in (0, 1) else 1.0  # else the slope may be a difference of larger terms
        assert last_digits(each.detach(), exact.detach().to(dtype), floor) <= 3
        assert last_digits(by_z, by_truth.detach().to(dtype), floor) <= 3


def _tensor(value, dtype):
    return None if value is None else torch.tensor(value, dtype=dtype)


def test_equals_pytorch_at_extremes(agrees, dtype):
    pairs = itertools.product((0, 1e-30, 1e-13, 1e-3, 0.5, 1 - 1e-7, 1), (0, 0.3, 1))
    p, y = (torch.tensor(column, dtype=dtype) for column in zip(*pairs, strict=True))
    pairs = itertools.product((0, 1000, -1000, 200, -20, 20, NAN), (0, 0.3, 1))
    z, labels = (torch.tensor(column, dtype=dtype) for column in zip(*pairs, strict=True))
    for reduction in ("none", "sum"):
        if dtype != torch.float16:  # where PyTorch's epsilon is 0, and a perfect answer's gradient nan
            agrees("binary_cross_entropy", p, y, grads=(True, False), reduction=reduction)
        certain = (p * (1 - p) == 0) | (p.log() < -100)
        agrees("binary_cross_entropy", p[~certain], y[~certain], floor=1.0, grads=(False, True), reduction=reduction)
        for pos_weight in (None, torch.tensor([2.0], dtype=dtype)):
            options = {"reduction": reduction, "pos_weight": pos_weight}
            agrees("binary_cross_entropy_with_logits", z, labels, grads=(True, True), floor=20.0, **options)


def test_in_float16_the_gradient_of_a_perfect_answer_is_0():
    p = torch.tensor([0.0, 1.0, 0.0, 1.0], dtype=torch.float16, requires_grad=True)
    binary_cross_entropy(p, torch.tensor([0.0, 1, 1, 0], dtype=torch.float16), reduction="sum").backward()
    assert p.grad.tolist() == [0, 0, -INF, INF]


def test_by_the_label_a_held_logarithm_is_held():
    """PyTorch's loss is linear in y there, 100 y, and its derivative by y infinite."""
    y = torch.tensor([0.0, 0.5, 1.0], requires_grad=True)
    for p, slope in ((0.0, 100.0), (1.0, -100.0)):
        loss = binary_cross_entropy(torch.full((3,), p), y, reduction="none")
        assert torch.autograd.grad(loss.sum(), y)[0].tolist() == [slope] * 3
        assert (loss[2] - loss[0]).item() == slope


@pytest.mark.parametrize(
    ("value", "label", "truth"), [(INF, 0.3, INF), (-INF, 0.3, INF), (-INF, 1.0, INF), (INF, 0.0, INF)]
)
def test_an_infinite_logit_on_the_wrong_side_costs_without_bound(value, label, truth):
    z, y = torch.tensor(value), torch.tensor(label)
    assert binary_cross_entropy_with_logits(z, y).item() == truth


def test_mixed_dtypes(agrees):
    dtypes = (torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.bool)
    p, y = torch.tensor([0.2, 0.5]), torch.tensor([0.0, 1.0])
    for a, b in itertools.product(dtypes, dtypes):
        for name in BOTH:
            # PyTorch's loss of logits takes some steps in the narrower dtype; ours none.
            floor = max(1.0, ULP_OF.get(a, 0) / ULP_OF.get(b, 1)) if name == BOTH[1] else 0.0
            agrees(name, p.to(a), y.to(b), grads=(a.is_floating_point, False), floor=floor)
        for c in dtypes:
            options = {"weight": torch.ones(2).to(c), "pos_weight": torch.ones(2).to(c)}
            floor = max(1.0, *(ULP_OF.get(a, 0) / ULP_OF.get(d, 1) for d in (b, c)))
            agrees(BOTH[1], p.to(a), y.to(b), grads=(False, False), floor=floor, **options)
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
    of_one, of_zero = (binary_cross_entropy_with_logits(z, torch.full_like(z, y), reduction="none") for y in (1.0, 0.0))
    torch.testing.assert_close(1 - torch.exp(-of_one), torch.exp(-of_zero))
    torch.testing.assert_close(of_zero - of_one, z)


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
