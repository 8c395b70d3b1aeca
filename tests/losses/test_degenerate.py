"""Where a formula degenerates: nothing counts, a weight is infinite, a branch changes, there is nothing at all.

What holds for one loss is tried for every exported one that has the option in question.
"""

import inspect
import itertools
import math

import mpmath
import pytest
import torch
import torch.nn.functional as F

from lossbook import cards, losses

INF = math.inf
DTYPES = (torch.float64, torch.float32, torch.bfloat16, torch.float16)
REDUCTIONS = ("none", "mean", "sum")
F64 = torch.float64


def with_option(option):
    return [name for name in losses.__all__ if option in inspect.signature(getattr(losses, name)).parameters]


OF_CLASSES = with_option("ignore_index")


def smoothings(name):
    return (0.0, 0.1) if name in with_option("label_smoothing") else (None,)


def options(**given):
    return {key: value for key, value in given.items() if value is not None}


# --- Integer targets, in their own dtype --------------------------------------------------------------------------


@pytest.mark.parametrize("name", OF_CLASSES)
@pytest.mark.parametrize(("ignore_index", "void"), [(-1, 255), (-100, 156), (-2, 254), (300, 44)])
def test_a_byte_is_not_taken_for_a_negative_index(name, ignore_index, void):
    input, target = torch.randn(3, 21), torch.tensor([1, void, 2], dtype=torch.uint8)
    with pytest.raises(IndexError, match=f"class {void}"):
        getattr(losses, name)(input, target, ignore_index=ignore_index)
    with pytest.raises((IndexError, UnicodeDecodeError)):  # PyTorch's own message has the byte in it, unprintable
        cards.of(name).held_against(input, target, ignore_index=ignore_index)


@pytest.mark.parametrize("name", OF_CLASSES)
@pytest.mark.parametrize("void", [255, 156, 7])
def test_a_byte_is_ignored_by_its_own_value(agrees, name, void):
    for classes, target in ((21, [1, void, 2]), (256, [void, void, 3])):
        target = torch.tensor(target, dtype=torch.uint8)
        for reduction in REDUCTIONS:
            agrees(name, torch.randn(3, classes, dtype=F64), target, ignore_index=void, reduction=reduction, floor=1.0)


@pytest.mark.parametrize("name", OF_CLASSES)
def test_a_class_that_is_a_byte_of_minus_100_counts(agrees, name):
    target = torch.tensor([156, 3], dtype=torch.uint8)
    agrees(name, torch.randn(2, 200, dtype=F64), target, floor=1.0)
    agrees(name, torch.randn(2, 200, dtype=F64), target, ignore_index=-1, floor=1.0)


# --- Weights ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", OF_CLASSES)
@pytest.mark.parametrize("absent", [0, 1, 2])
def test_the_infinite_weight_of_a_class_that_nothing_counts_in_does_no_harm(agrees, name, absent):
    """As weights of 1 / count have: ``1 / torch.bincount(y, minlength=K)``."""
    torch.manual_seed(0)
    weight = torch.tensor([0.5, 1.0, 2.0], dtype=F64)
    weight[absent] = INF
    present = [k for k in range(3) if k != absent]
    for ignore_index, reduction in itertools.product((-100, absent), REDUCTIONS):
        target = torch.tensor([present[0], present[1], ignore_index, present[1]])
        args = torch.randn(4, 3, dtype=F64), target
        agrees(name, *args, weight=weight, ignore_index=ignore_index, reduction=reduction, floor=1.0)
        loss = getattr(losses, name)(*args, weight=weight, ignore_index=ignore_index)
        assert loss.isfinite()


# --- Nothing counts -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", OF_CLASSES)
@pytest.mark.parametrize("dtype", DTYPES)
def test_where_nothing_counts_the_gradient_is_0(agrees, name, dtype):
    input = torch.randn(4, 3).to(dtype)
    for reduction, smoothing, weight in itertools.product(
        REDUCTIONS, smoothings(name), (None, torch.tensor([1.0, 2, 3]).to(dtype), torch.tensor([INF, 2, 3]).to(dtype))
    ):
        if smoothing and weight is not None and weight.isinf().any():
            continue  # smoothing gives every label a share of every class: nothing is finite
        given = options(reduction=reduction, label_smoothing=smoothing, weight=weight)
        target = torch.full((4,), -100)
        agrees(name, input, target, **given)
        leaf = input.clone().requires_grad_()
        loss = getattr(losses, name)(leaf, target, **given)
        (gradient,) = torch.autograd.grad(loss.sum(), leaf, create_graph=True)
        assert loss.isnan().all() == (reduction == "mean")
        assert gradient.eq(0).all()
        if gradient.requires_grad:
            (again,) = torch.autograd.grad(gradient.sum(), leaf, allow_unused=True)
            assert again is None or again.eq(0).all()


@pytest.mark.parametrize("name", OF_CLASSES)
def test_weights_of_0_alone_are_as_pytorchs(agrees, name):
    input, target = torch.randn(4, 3, dtype=F64), torch.tensor([0, 1, 0, -100])
    for reduction in REDUCTIONS:
        agrees(name, input, target, weight=torch.tensor([0.0, 0.0, 1.0], dtype=F64), reduction=reduction)


SHAPES = ((0,), (0, 3), (3, 0), (2, 0, 3))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", [name for name in losses.__all__ if name not in OF_CLASSES])
@pytest.mark.parametrize("shape", SHAPES)
def test_of_nothing(agrees, name, shape):
    count = sum(p.default is p.empty for p in inspect.signature(getattr(losses, name)).parameters.values())
    for reduction in REDUCTIONS:
        agrees(name, *[torch.empty(shape)] * count, grads=(True,) * count, reduction=reduction)


@pytest.mark.parametrize("name", OF_CLASSES)
@pytest.mark.parametrize("shape", [(0, 3), (0, 3, 2), (2, 3, 0), (2, 0), (0, 0)])
def test_of_no_samples_or_no_classes(agrees, name, shape):
    target = torch.full(shape[:1] + shape[2:], -100)
    for reduction, weight in itertools.product(REDUCTIONS, (None, torch.ones(shape[1]))):
        agrees(name, torch.empty(shape), target, reduction=reduction, weight=weight)


# --- Where a formula changes branch: derivatives of first and second order -----------------------------------------


def derivatives(loss, *args):
    """The slopes, and the second derivatives by the slopes' own arguments: each by each."""
    leaves = [torch.tensor(arg, dtype=F64, requires_grad=True) for arg in args]
    first = torch.autograd.grad(loss(*leaves), leaves, create_graph=True)
    second = [torch.autograd.grad(slope, leaves, retain_graph=True, materialize_grads=True) for slope in first]
    return [slope.item() for slope in first], [[entry.item() for entry in row] for row in second]


@pytest.mark.parametrize("width", [1.0, 0.5])
@pytest.mark.parametrize(
    ("name", "option", "at_end"), [("huber_loss", "delta", True), ("smooth_l1_loss", "beta", False)]
)
def test_at_the_ends_of_the_parabola_slope_and_curvature_are_the_formulas(name, option, at_end, width):
    """The parabola of Huber's loss has its ends, |r| <= δ; that of Smooth L1 has not, |r| < β."""
    bend = 1.0 if name == "huber_loss" else 1 / width
    zero = torch.zeros((), dtype=F64)
    for r in (0.0, width, -width, width * 0.9, -width * 1.1, 2 * width, INF, -INF):
        loss, theirs = (lambda x, y=zero, m=module: getattr(m, name)(x, y, **{option: width}) for module in (losses, F))
        x = torch.tensor(r, dtype=F64)
        inside = abs(r) < width or (at_end and abs(r) == width)
        first, second = derivatives(loss, r, 0.0)
        slope = bend * max(-width, min(width, r))
        assert first == [slope, -slope]
        curvature = bend if inside else 0.0
        assert second == [[curvature, -curvature], [-curvature, curvature]]
        for transform in (torch.func.grad, torch.func.hessian):
            assert transform(loss)(x) == transform(theirs)(x), (transform, r)


def test_at_0_the_slope_and_curvature_of_the_logit_loss_are_the_formulas():
    for y, c in itertools.product((0.0, 0.25, 1.0), (1.0, 3.0)):
        weight = torch.tensor(c, dtype=F64)
        loss = lambda z, y, w=weight: losses.binary_cross_entropy_with_logits(z, y, pos_weight=w)  # noqa: E731
        first, second = derivatives(loss, 0.0, y)
        either = 1 + (c - 1) * y
        log_2 = math.log(2)
        torch.testing.assert_close(first, [either / 2 - c * y, (c - 1) * log_2])
        torch.testing.assert_close(second, [[either / 4, (c - 1) / 2 - c], [(c - 1) / 2 - c, 0.0]])


def truth_at(p, y):
    """Slope and curvature of the loss by p, to fifty digits."""
    with mpmath.workdps(50):
        p, y = mpmath.mpf(p), mpmath.mpf(y)
        of_one = 0 if y == 0 else y / p**2
        of_zero = 0 if y == 1 else (1 - y) / (1 - p) ** 2
        return float(of_one + of_zero)


@pytest.mark.parametrize(
    ("p", "y"), [(0.0, 0.0), (1.0, 1.0), (1e-20, 0.0), (1e-9, 0.0), (0.3, 0.0), (0.3, 0.7), (1e-9, 1.0)]
)
def test_the_curvature_of_a_probabilitys_loss_is_the_truth_to_the_ends(p, y):
    _, second = derivatives(losses.binary_cross_entropy, p, y)
    assert math.isclose(second[0][0], truth_at(p, y), rel_tol=1e-9)


@pytest.mark.parametrize(("p", "y"), [(0.0, 1.0), (1.0, 0.0), (0.0, 0.5), (1.0, 0.5)])
def test_where_the_curvature_is_infinite_it_is_held_as_pytorchs_is(p, y):
    mine, theirs = (derivatives(module.binary_cross_entropy, p, y) for module in (losses, F))
    assert mine[0][0] == theirs[0][0]
    assert math.isclose(mine[1][0][0], theirs[1][0][0], rel_tol=1e-6)
    assert math.isclose(mine[1][0][1], theirs[1][0][1], rel_tol=1e-6)


def test_probabilities_at_the_ends_do_not_spoil_their_neighbours():
    p = torch.tensor([0.0, 0.3, 1.0, 0.6], requires_grad=True)
    y = torch.tensor([0.0, 1.0, 1.0, 0.0])
    (slope,) = torch.autograd.grad(losses.binary_cross_entropy(p, y, reduction="sum"), p, create_graph=True)
    torch.testing.assert_close(slope.detach(), torch.tensor([0.0, -1 / 0.3, 0.0, 1 / 0.4]))
    (curvature,) = torch.autograd.grad(slope.sum(), p)
    torch.testing.assert_close(curvature, torch.tensor([1.0, 1 / 0.09, 1.0, 1 / 0.16]))


def test_curvature_far_from_0_is_0_and_not_nan():
    z = torch.tensor([1e4, -1e4, 800.0, -800.0], requires_grad=True)
    for y in (0.0, 1.0):
        loss = losses.binary_cross_entropy_with_logits(z, torch.full_like(z, y), reduction="sum")
        (slope,) = torch.autograd.grad(loss, z, create_graph=True)
        assert torch.autograd.grad(slope.sum(), z)[0].eq(0).all()
    (slope,) = torch.autograd.grad(losses.cross_entropy(z, torch.tensor(1)), z, create_graph=True)
    assert torch.autograd.grad(slope.square().sum(), z)[0].isfinite().all()


# --- Mixed dtypes -------------------------------------------------------------------------------------------------


def of_first_and_second_order(loss, *leaves):
    value = loss(*leaves, reduction="sum")
    first = torch.autograd.grad(value, leaves, create_graph=True)
    second = [torch.autograd.grad(slope.sum(), leaves, retain_graph=True) for slope in first]
    return [x.detach() for x in (value, *first, *itertools.chain(*second))]


@pytest.mark.parametrize("name", ["mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss"])
def test_second_derivatives_of_mixed_dtypes_are_right_and_of_their_variables_dtypes(name):
    values = [0.5, 0.75, 2.0], [0.0, 0.0, 0.5]
    truth = of_first_and_second_order(
        getattr(F, name), *(torch.tensor(value, dtype=F64, requires_grad=True) for value in values)
    )
    for dtypes in itertools.product(DTYPES, DTYPES):
        leaves = [torch.tensor(x, dtype=dtype, requires_grad=True) for x, dtype in zip(values, dtypes, strict=True)]
        found = of_first_and_second_order(getattr(losses, name), *leaves)
        assert found[0].dtype == getattr(F, name)(*leaves).dtype
        assert [x.dtype for x in found[1:]] == [*dtypes] * 3
        for mine, right in zip(found, truth, strict=True):
            torch.testing.assert_close(mine.to(F64), right)


@pytest.mark.parametrize(
    ("name", "args", "options"),
    [
        ("cross_entropy", (torch.randn(3), torch.tensor(1)), {"label_smoothing": 0.1}),
        ("cross_entropy", (torch.randn(4, 3), torch.tensor([0, 1, 2, 2])), {"label_smoothing": 0.1}),
        ("gaussian_nll_loss", (torch.tensor(0.3), torch.tensor(1.0), torch.tensor(0.5)), {"full": True}),
        ("poisson_nll_loss", (torch.tensor(0.3), torch.tensor(2.0)), {"full": True}),
        ("huber_loss", (torch.tensor(0.3), torch.tensor(2.0)), {"delta": 0.5}),
        ("smooth_l1_loss", (torch.tensor(0.3), torch.tensor(2.0)), {"beta": 0.5}),
        ("binary_cross_entropy", (torch.tensor(0.3), torch.tensor(1.0)), {}),
        ("kl_div", (torch.tensor(-1.0), torch.tensor(0.2)), {"reduction": "batchmean"}),
    ],
)
def test_the_tangent_of_a_single_loss_has_its_dtype(name, args, options):
    """PyTorch's tangent of a tensor without dimensions, times a Python number, is in float64."""
    primals = tuple(arg for arg in args if arg.is_floating_point())
    rest = args[len(primals) :]
    value, tangent = torch.func.jvp(
        lambda *x: getattr(losses, name)(*x, *rest, **options), primals, tuple(map(torch.ones_like, primals))
    )
    assert (value.dtype, tangent.dtype) == (torch.float32, torch.float32)
