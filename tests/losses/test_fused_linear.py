"""The fused linear cross-entropy against PyTorch's: arguments, values, derivatives, transforms, precision, memory."""

import inspect
import itertools
import math
import shutil

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.autograd import forward_ad, gradcheck, gradgradcheck
from torch.utils._pytree import tree_leaves
from torch.utils.checkpoint import checkpoint

from lossbook.bench import memory
from lossbook.losses import fused, fused_chunks

REDUCTIONS = ("none", "mean", "sum")
HALVES = (torch.bfloat16, torch.float16)
DTYPES = (torch.float64, torch.float32, *HALVES)
PLACES = ((), (2,), (2, 3))  # of the output, each with logits of its own

mine = fused.linear_cross_entropy


def two_steps(
    input, linear_weight, target, *, linear_bias=None, ignore_index=None, options=None, label_smoothing=0.0, **others
):
    """Do what PyTorch's function documents; it has one since 2.13."""
    assert options is None
    bias = None if linear_bias is None else linear_bias.flatten()
    z = F.linear(input, linear_weight.flatten(0, -2), bias).unflatten(-1, linear_weight.shape[:-1])
    ignored = -100 if ignore_index is None else ignore_index
    return F.cross_entropy(z, target, ignore_index=ignored, label_smoothing=label_smoothing, **others)


theirs = getattr(F, "linear_cross_entropy", two_steps)


def layer(N, D, V, dtype=torch.float64, places=()):
    torch.manual_seed(N)
    h, v, b, w = torch.randn(N, D), torch.randn(V, *places, D), torch.randn(V, *places), torch.rand(V)
    y = torch.randint(0, V, (N, *places))
    y[3:4] = -100
    return *(x.to(dtype) for x in (h, v, b, w)), y


def leaves(*tensors, dtype=None):
    return [None if x is None else x.detach().to(dtype or x.dtype).clone().requires_grad_() for x in tensors]


def outcome(loss, tensors, target, incoming=None, **options):
    """Return value and gradients of a loss by input, weight and bias, or the error that it raises."""
    h, v, b = leaves(*tensors)
    try:
        value = loss(h, v, target, linear_bias=b, **options)
    except Exception as error:
        return error
    given = [x for x in (h, v, b) if x is not None]
    slopes = torch.autograd.grad(value, given, torch.ones_like(value) if incoming is None else incoming)
    return [value.detach(), *slopes]


def assert_same(found, expected, rtol, dtypes=True):
    """Compare values and gradients, each within a part of the largest."""
    assert not isinstance(found, Exception), found
    assert not isinstance(expected, Exception), expected
    for a, b in zip(found, expected, strict=True):
        assert a.shape == b.shape
        assert a.dtype == b.dtype or not dtypes
        scale = b[b.isfinite()].abs().max().item() if b.isfinite().any() else 0
        torch.testing.assert_close(a.double(), b.double(), rtol=0, atol=rtol * scale, equal_nan=True)


# --- The arguments ------------------------------------------------------------------------------------------------


@pytest.mark.skipif(not hasattr(F, "linear_cross_entropy"), reason="PyTorch has the function since 2.13")
def test_the_arguments_are_pytorchs_and_chunk():
    def parameters(function):
        return [(p.name, p.default, p.kind) for p in inspect.signature(function).parameters.values()]

    *shared, chunk = parameters(mine)
    assert shared == parameters(F.linear_cross_entropy)
    assert chunk == ("chunk", None, inspect.Parameter.KEYWORD_ONLY)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("places", PLACES, ids=str)
@pytest.mark.filterwarnings("error")
def test_equals_pytorchs_for_every_option(dtype, places):
    """The truth is PyTorch's in float64; the dtypes are PyTorch's in the dtype."""
    h, v, b, w, y = layer(7, 5, 11, dtype, places)
    q = torch.rand(7, 11, *places, dtype=torch.float64).to(dtype)
    eps = torch.finfo(dtype).eps
    grid = itertools.product(REDUCTIONS, (0.0, 0.1), (None, w), (None, b), (None, 2), (y, q))
    for reduction, smoothing, weight, bias, chunk, target in grid:
        options = {"reduction": reduction, "label_smoothing": smoothing}
        exact = {**options, "weight": None if weight is None else weight.double()}
        precise = [None if x is None else x.double() for x in (h, v, bias)]
        expected = outcome(theirs, (h, v, bias), target, weight=weight, **options)
        incoming = torch.linspace(0.5, 1.5, expected[0].numel()).reshape(expected[0].shape)
        in_doubles = q.double() if target is q else target
        truth = outcome(theirs, precise, in_doubles, incoming.double(), **exact)
        wide = torch.float32 if reduction == "none" and dtype in HALVES else dtype
        found = outcome(mine, (h, v, bias), target, incoming.to(dtype).to(wide), weight=weight, chunk=chunk, **options)
        assert_same(found, truth, 8 * eps, dtypes=False)
        assert [x.dtype for x in found] == [wide, *(x.dtype for x in expected[1:])]


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_takes_one_sample(reduction):
    h, v, b, w, y = layer(1, 5, 11)
    options = {"reduction": reduction, "weight": w}
    for target in (y[0], torch.rand(11, dtype=torch.float64)):
        assert_same(
            outcome(mine, (h[0], v, b), target, **options), outcome(theirs, (h[0], v, b), target, **options), 1e-14
        )
    # Of a target of shape (1,) PyTorch has the value, in new versions, and fails in the backward pass.
    found = outcome(mine, (h[0], v, b), y, **options)
    assert_same(found, outcome(theirs, (h[0], v, b), y[0], **options), 1e-14)
    assert found[0].shape == ()


def test_ignores_what_it_is_told_to():
    h, v, b, _, y = layer(7, 5, 11)
    for ignored in (None, -100, y[0].item(), np.int64(5), torch.tensor(5)):
        options = {"ignore_index": ignored, "label_smoothing": np.float32(0.1)}
        assert_same(
            outcome(mine, (h, v, b), y.abs() % 11, **options),
            outcome(theirs, (h, v, b), y.abs() % 11, **options),
            1e-14,
        )


@pytest.mark.parametrize("ignored", [255, 200, -100, -1, 0])
def test_targets_in_bytes_are_compared_as_numbers(ignored):
    """In uint8, -100 would be the class 156, and -1 the class 255."""
    h, v, b, _, _ = layer(5, 3, 200)
    y = torch.tensor([0, 156, 199, 3, 255 if ignored == 255 else 7], dtype=torch.uint8)
    options = {"ignore_index": ignored}
    assert_same(outcome(mine, (h, v, b), y, **options), outcome(theirs, (h, v, b), y, **options), 1e-14)
    with pytest.raises(IndexError, match="target has the class 255"):
        mine(h, v, torch.full_like(y, 255), ignore_index=-1)


def test_options_of_pytorchs_give_the_chunk(monkeypatch):
    kind = getattr(torch.nn, "LinearCrossEntropyOptions", None)
    h, v, b, _, y = layer(7, 5, 11)
    with pytest.raises(TypeError, match=r"^options is a dict; it must be a LinearCrossEntropyOptions"):
        mine(h, v, y, options={})
    if kind is None:
        pytest.skip("PyTorch has LinearCrossEntropyOptions since 2.13")
    seen = []
    whole = fused_chunks._plain
    monkeypatch.setattr(fused_chunks, "_plain", lambda z, *others: (seen.append(len(z)), whole(z, *others))[1])
    for options, chunk, sizes in (
        (kind(), None, [7]),
        (kind(), 4, [4, 3]),
        (kind(batch_chunk_size=4), None, [4, 3]),
        (kind(batch_chunk_size=4), 4, [4, 3]),
        (kind(acc_policy="compact", chunking_method="aspect_ratio:2"), 7, [7]),
    ):
        seen.clear()
        found = outcome(mine, (h, v, b), y, options=options, chunk=chunk)
        assert seen == sizes
        assert_same(found, outcome(theirs, (h, v, b), y), 1e-14)
    with pytest.raises(ValueError, match="chunk is 3; it must be the batch_chunk_size"):
        mine(h, v, y, options=kind(batch_chunk_size=4), chunk=3)


def test_equals_pytorchs_own_chunks():
    if not hasattr(torch.nn, "LinearCrossEntropyOptions"):
        pytest.skip("PyTorch has its own chunks since 2.13")
    h, v, b, w, y = layer(7, 5, 11)
    for reduction, weight in itertools.product(REDUCTIONS, (None, w)):
        options = {"reduction": reduction, "weight": weight, "options": torch.nn.LinearCrossEntropyOptions()}
        assert_same(outcome(mine, (h, v, b), y, **options), outcome(theirs, (h, v, b), y, **options), 1e-14)


def test_refuses_what_pytorchs_refuses():
    h, v, b, w, y = layer(4, 2, 3)
    q = torch.rand(4, 3, dtype=torch.float64)
    deep = torch.randn(3, 5, 2, dtype=torch.float64)

    def refused(error, name, *args, alone=False, **kwargs):
        with pytest.raises(error, match=rf"^{name} "):
            mine(*args, **kwargs)
        if not alone and theirs is not two_steps:
            with pytest.raises((error, AttributeError)):
                theirs(*args, **kwargs)

    refused(TypeError, "input", [1.0], v, y)
    refused(TypeError, "linear_weight", h, [1.0], y)
    refused(TypeError, "target", h, v, [1])
    refused(TypeError, "linear_bias", h, v, y, linear_bias=1.0)
    refused(TypeError, "ignore_index", h, v, y, ignore_index=1.5)
    refused(TypeError, "label_smoothing", h, v, y, label_smoothing="0.1")
    refused(TypeError, "label_smoothing", h, v, y, label_smoothing=None)
    refused(TypeError, "chunk", h, v, y, chunk=1.5, alone=True)
    refused(ValueError, "chunk", h, v, y, chunk=0, alone=True)
    refused(ValueError, "reduction", h, v, y, reduction="batchmean")
    refused(ValueError, "target", h, v, y[:3])
    refused(IndexError, "target", h, v, torch.tensor([0, 1, 2, 3]))
    refused(IndexError, "target", h, v, torch.tensor([0, 1, 2, -1]))
    refused(RuntimeError, "input", h[0, 0], v, y)
    refused(RuntimeError, "input", h[None], v, y)
    refused(RuntimeError, "input", h[0], deep, y)
    refused(RuntimeError, "linear_weight", h, v[0], y)
    refused(RuntimeError, "linear_weight", h, v.T, y)
    refused(RuntimeError, "linear_weight", h, v.float(), y)
    refused(RuntimeError, "input", h.long(), v.long(), y)
    refused(RuntimeError, "linear_bias", h, v, y, linear_bias=b[:2])
    refused(RuntimeError, "linear_bias", h, v, y, linear_bias=b.float())
    refused(RuntimeError, "linear_bias", h, deep, y, linear_bias=b)
    refused(RuntimeError, "weight", h, v, y, weight=w[:2])
    refused(RuntimeError, "weight", h, v, y, weight=w.float())
    refused(RuntimeError, "weight", h, v, y, weight=w.clone().requires_grad_())
    refused(RuntimeError, "target", h, v, y.int())
    refused(RuntimeError, "target", h, v, q.long())
    refused(RuntimeError, "target", h, deep, y[:, None].expand(4, 2))
    refused(RuntimeError, "target", h, deep, y[:, None].expand(4, 5).byte())
    refused(RuntimeError, "label_smoothing", h, v, y, label_smoothing=2.0)
    refused(RuntimeError, "ignore_index", h, v, q, ignore_index=-100)
    refused(RuntimeError, "linear_weight", h, v.to("meta"), y, alone=True)


def test_class_probabilities_and_their_weights_have_gradients():
    h, v, _, w, _ = layer(4, 2, 3)
    q = torch.rand(4, 3, dtype=torch.float64)
    found, expected = ([], [])
    for loss, into in ((mine, found), (theirs, expected)):
        given = leaves(h, v, q, w)
        into += torch.autograd.grad(loss(*given[:3], weight=given[3], label_smoothing=0.1), given)
    assert_same(found, expected, 1e-14)


# --- Where nothing counts -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_targets_that_do_not_count_leave_the_layer_alone(reduction, dtype):
    """Of a batch of padding the mean is nan, as PyTorch's, and the gradient 0: training goes on."""
    h, v, b, w, y = layer(4, 2, 3, dtype)
    nothing = torch.full_like(y, -100)
    for target, weight, smoothing in (
        (nothing, None, 0.0),
        (nothing, w, 0.1),
        (nothing, torch.full_like(w, math.inf), 0.0),
        (y, torch.zeros_like(w), 0.0),
        (y, torch.zeros_like(w), 0.1),
    ):
        options = {"reduction": reduction, "weight": weight, "label_smoothing": smoothing}
        value, *slopes = outcome(mine, (h, v, b), target, **options)
        torch.testing.assert_close(value.double(), theirs(h, v, target, **options).double(), equal_nan=True)
        assert all((g == 0).all() for g in slopes)
        # And with a graph of the gradients, as a penalty on them needs.
        given = leaves(h, v, b)
        loss = mine(given[0], given[1], target, linear_bias=given[2], **options).sum()
        if weight is None or weight.isfinite().all():
            for g in torch.autograd.grad(loss, given, create_graph=True):
                assert (g == 0).all()


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_a_mean_over_weights_of_0_is_nan_although_the_smoothed_label_weighs(dtype):
    h, v, b, _, y = layer(4, 2, 3, dtype)
    weight = torch.tensor([0, 0, 1], dtype=dtype)
    for smoothing in (0.0, 0.1):
        options = {"weight": weight, "label_smoothing": smoothing}
        value, *slopes = outcome(mine, (h, v, b), y % 2, **options)
        assert value.isnan()
        assert theirs(h, v, y % 2, **options).isnan()
        assert all((g == 0).all() for g in slopes)


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_a_class_of_no_target_may_have_an_infinite_weight(reduction):
    """As 1 / count has it for a class that is absent; an ignored target is looked up as the class 0."""
    h, v, b, w, y = layer(5, 2, 4)
    y = y.clamp(min=-100).where((y == -100) | (y != 0), 1)
    w[0] = math.inf
    kept = torch.where(torch.arange(4) == 0, 1.0, w)
    found = outcome(mine, (h, v, b), y, weight=w, reduction=reduction)
    assert_same(found, outcome(theirs, (h, v, b), y, weight=kept, reduction=reduction), 1e-14)


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_of_nothing(reduction):
    h, v, b, _, y = layer(4, 2, 3)
    none = torch.full((4,), -100)
    for tensors, target in (
        ((h[:0], v, b), y[:0]),
        ((h[:, :0], v[:, :0], b), y),
        ((h, v[:0], b[:0]), none),
        ((h, v[:, None][:, :0], b[:, None][:, :0]), y[:, None][:, :0]),
    ):
        assert_same(
            outcome(mine, tensors, target, reduction=reduction),
            outcome(theirs, tensors, target, reduction=reduction),
            1e-14,
        )


# --- Derivatives --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("places", PLACES[:2], ids=str)
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_first_and_second_derivatives(reduction, places):
    h, v, b, w, y = layer(4, 2, 3, places=places)

    def loss(h, v, b):
        return mine(h, v, y, linear_bias=b, weight=w, reduction=reduction, label_smoothing=0.1, chunk=3)

    given = leaves(h, v, b)
    assert gradcheck(loss, given)
    assert gradgradcheck(loss, given)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_a_penalty_on_the_gradient_is_not_dropped(reduction, dtype):
    """The incoming gradient is a plain 1 here: once_differentiable would not have objected."""
    h, v, _, _, y = layer(4, 2, 3, dtype)
    found, expected = [], []
    for loss, into, wide in ((mine, found, dtype), (theirs, expected, torch.float64)):
        given = leaves(h, v, dtype=wide)
        value = loss(*given, y, reduction=reduction).sum()
        (g,) = torch.autograd.grad(value, given[0], create_graph=True)
        into += torch.autograd.grad(value + 10 * g.pow(2).sum(), given)
    assert_same(found, expected, 32 * torch.finfo(dtype).eps, dtypes=False)


def test_backward_again():
    h, v, _, _, y = layer(4, 2, 3)
    for reduction, dtype in itertools.product(REDUCTIONS, (torch.float32, torch.bfloat16)):
        given = leaves(h, v, dtype=dtype)
        loss = mine(*given, y, reduction=reduction).sum()
        first = torch.autograd.grad(loss, given, retain_graph=True)
        second = torch.autograd.grad(loss, given)
        for a, b in zip(first, second, strict=True):
            assert torch.equal(a, b)
        with pytest.raises(RuntimeError, match="retain_graph"):
            torch.autograd.grad(loss, given)


def test_a_frozen_layer_and_no_grad():
    h, v, b, _, y = layer(4, 2, 3)
    for needed in itertools.product((False, True), repeat=3):
        given = [x.clone().requires_grad_(n) for x, n in zip((h, v, b), needed, strict=True)]
        value = mine(given[0], given[1], y, linear_bias=given[2])
        assert value.requires_grad is any(needed)
        if any(needed):
            value.backward()
        assert [x.grad is not None for x in given] == list(needed)
    with torch.no_grad():
        assert not mine(h.clone().requires_grad_(), v, y).requires_grad


def test_tied_weights_and_a_checkpoint():
    _, v, _, _, y = layer(4, 2, 3)
    found, expected = [], []
    for loss, into in ((mine, found), (theirs, expected)):
        for use_reentrant in (False, True):
            (table,) = leaves(v)
            embedded = table[y.abs() % 3].tanh()
            into.append(checkpoint(loss, embedded, table, y, use_reentrant=use_reentrant))
            into += torch.autograd.grad(into[-1], table) if not use_reentrant else []
    assert_same(found, expected, 1e-14)


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_batched_gradients_and_hessians(reduction):
    h, v, _, _, y = layer(4, 2, 3)

    def batched(loss):
        given = leaves(h, v)
        value = loss(*given, y, reduction=reduction)
        incoming = torch.arange(6 * value.numel()).reshape(6, *value.shape).double()
        return torch.autograd.grad(value, given, incoming, is_grads_batched=True)

    assert_same(batched(mine), batched(theirs), 1e-14)
    for vectorize in (False, True):
        found, expected = (
            torch.autograd.functional.hessian(
                lambda h, v, loss=loss: loss(h, v, y, reduction=reduction).sum(), (h, v), vectorize=vectorize
            )
            for loss in (mine, theirs)
        )
        assert_same(tree_leaves(found), tree_leaves(expected), 1e-13)


# --- torch.func, the compiler, tensors without values ---------------------------------------------------------------


def dual_numbers(loss, h, v, y):
    with forward_ad.dual_level():
        return forward_ad.unpack_dual(loss(forward_ad.make_dual(h, 2 * h), v, y)).tangent


TRANSFORMS = {
    "grad": lambda loss, h, v, y: torch.func.grad(loss, (0, 1))(h, v, y),
    "grad_and_value": lambda loss, h, v, y: torch.func.grad_and_value(loss, (0, 1))(h, v, y),
    "vjp": lambda loss, h, v, y: torch.func.vjp(lambda h, v: loss(h, v, y), h, v)[1](torch.ones((), dtype=h.dtype)),
    "jacrev": lambda loss, h, v, y: torch.func.jacrev(lambda h: loss(h, v, y, reduction="none"))(h),
    "jacrev of jacrev": lambda loss, h, v, y: torch.func.jacrev(torch.func.jacrev(loss))(h, v, y),
    "vmap of grad over inputs": lambda loss, h, v, y: torch.func.vmap(torch.func.grad(loss), (0, None, None))(
        torch.stack([h, 2 * h]), v, y
    ),
    "jvp": lambda loss, h, v, y: torch.func.jvp(lambda h, v: loss(h, v, y), (h, v), (2 * h, v + 1)),
    "jvp under no_grad": lambda loss, h, v, y: torch.no_grad()(torch.func.jvp)(
        lambda h, v: loss(h, v, y), (h, v), (2 * h, v + 1)
    ),
    "jacfwd": lambda loss, h, v, y: torch.func.jacfwd(lambda h: loss(h, v, y, reduction="none"))(h),
    "hessian": lambda loss, h, v, y: torch.func.hessian(loss)(h, v, y),
    "dual numbers": dual_numbers,
    "per-sample gradients": lambda loss, h, v, y: torch.func.vmap(torch.func.grad(loss, 1), (0, None, 0))(
        h, v, y.clamp(min=0)
    ),
    "vmap over batches": lambda loss, h, v, y: torch.func.vmap(loss, (0, None, 0))(
        torch.stack([h, 2 * h]), v, torch.stack([y, y.flip(0)])
    ),
}


@pytest.mark.parametrize("name", TRANSFORMS)
def test_transforms_of_torch_func(name):
    h, v, _, _, y = layer(4, 2, 3)
    found, expected = (tree_leaves(TRANSFORMS[name](loss, h, v, y)) for loss in (mine, theirs))
    assert_same(found, expected, 1e-13)


def test_transforms_of_class_probabilities():
    h, v, _, _, _ = layer(4, 2, 3)
    q = torch.rand(2, 4, 3, dtype=torch.float64)
    found, expected = (torch.func.vmap(torch.func.grad(loss), (None, None, 0))(h, v, q) for loss in (mine, theirs))
    assert_same([found], [expected], 1e-13)


COMPILED = {
    "default": {},
    "none": {"reduction": "none"},
    "sum, smoothed": {"reduction": "sum", "label_smoothing": 0.1},
    "weighted, by two": {"weight": torch.tensor([0.5, 1.0, 2.0]), "chunk": 2},
}


@pytest.mark.parametrize(("name", "half"), [*((name, False) for name in COMPILED), ("default", True)])
def test_compiled_it_is_one_graph_of_any_size(name, half):
    h, v, _, _, y = layer(6, 2, 3, torch.float32)
    options = COMPILED[name]
    torch.compiler.reset()
    compiled = torch.compile(mine, backend="aot_eager", fullgraph=True, dynamic=None if half else True)
    for rows in (6, 5):
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=half):
            found, expected = (outcome(loss, (h[:rows], v, None), y[:rows], **options) for loss in (compiled, mine))
            without = compiled(h[:rows], v, y[:rows], **options)
        assert_same([*found, without], [*expected, expected[0]], 1e-6)


def test_compiled_it_holds_no_more_and_refuses_as_much(monkeypatch):
    h, v, _, _, y = layer(6, 2, 3, torch.float32)
    seen = []
    whole = fused_chunks._plain
    monkeypatch.setattr(fused_chunks, "_plain", lambda z, *others: (seen.append(len(z)), whole(z, *others))[1])
    torch.compiler.reset()
    compiled = torch.compile(mine, backend="aot_eager", fullgraph=True)
    outcome(compiled, (h, v, None), y, chunk=4)
    assert seen == [4, 2]
    with pytest.raises(IndexError, match="target has the class 3"):
        compiled(h, v, torch.full_like(y, 3))


def test_its_operation_is_one_of_pytorchs_kind():
    """Its schema, what it says of tensors without values, and its gradients, traced too: PyTorch's own check."""
    h, v, b, w, y = layer(6, 2, 3)
    layers = (*leaves(h, v), None), leaves(h, v, b)
    for (h, v, b), weight, each in itertools.product(layers, (None, w), (False, True)):
        needs = [not each and x is not None for x in (h, v, b)]
        options = fused_chunks.Options(3, -100, 0.1, torch.float64, 4)
        torch.library.opcheck(fused_chunks.in_chunks, (h, v, b, y, weight, None, each, needs, *options))


def test_its_gradient_function_compiles():
    h, v, _, _, y = layer(6, 2, 3)
    of_all, of_each = torch.func.grad(mine, (0, 1)), torch.func.vmap(torch.func.grad(mine, 1), (0, None, 0))
    for function, target in ((of_all, y), (of_each, y.clamp(min=0))):
        torch.compiler.reset()
        found = torch.compile(function, backend="aot_eager", fullgraph=True)(h, v, target)
        assert_same(tree_leaves(found), tree_leaves(function(h, v, target)), 1e-13)
    assert_same(of_all(h, v, y), torch.func.grad(theirs, (0, 1))(h, v, y), 1e-13)


def test_compiled_by_inductor():
    if shutil.which("g++") is None:
        pytest.skip("there is no C++ compiler")
    h, v, b, _, y = layer(6, 2, 3, torch.float32)
    torch.compiler.reset()
    compiled = torch.compile(mine, fullgraph=True)
    assert_same(outcome(compiled, (h, v, b), y), outcome(mine, (h, v, b), y), 1e-6)


@pytest.mark.filterwarnings("ignore")
def test_exported_and_traced():
    class Head(torch.nn.Module):
        def forward(self, h, v, y):
            return mine(h, v, y)

    given = layer(6, 2, 3)
    h, v, y = given[0], given[1], given[4]
    expected = mine(h, v, y)
    assert_same([torch.export.export(Head(), (h, v, y)).module()(h, v, y)], [expected], 1e-14)
    assert_same([torch.jit.trace(lambda h, v: mine(h, v, y), (h, v))(h, v)], [expected], 1e-14)


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_tensors_without_values(reduction):
    h, v, b, _, y = layer(4, 2, 3, torch.bfloat16)
    expected = outcome(mine, (h, v, b), y, reduction=reduction)
    found = outcome(mine, [x.to("meta") for x in (h, v, b)], y.to("meta"), reduction=reduction)
    with FakeTensorMode() as mode:
        h, v, b, y = (mode.from_tensor(x) for x in (h, v, b, y))
        fake = outcome(mine, (h, v, b), y, reduction=reduction)
    for of_each in zip(expected, found, fake, strict=True):
        assert len({x.shape for x in of_each}) == len({x.dtype for x in of_each}) == 1


# --- Precision ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("half", HALVES, ids=str)
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_autocast_is_pytorchs(half, reduction):
    h, v, b, w, y = layer(7, 5, 11, torch.float32)
    q = torch.rand(7, 11)
    cases = itertools.product((*HALVES, torch.float32, torch.float64), (*HALVES, torch.float32, torch.float64))
    for of_input, of_layer in cases:
        tensors = h.to(of_input), v.to(of_layer), b.to(of_layer)
        for target, weight in itertools.product((y, q), (None, w, w.bfloat16(), w.double())):
            options = {"reduction": reduction, "weight": weight, "label_smoothing": 0.1}
            with torch.autocast("cpu", dtype=half):
                found, expected = (outcome(loss, tensors, target, **options) for loss in (mine, theirs))
            if isinstance(expected, Exception):
                assert type(found) is type(expected), (of_input, of_layer, weight)
            else:
                assert_same(found, expected, 8 * torch.finfo(half).eps)


def test_under_autocast_a_float32_layer_gets_float32_gradients():
    """They are not rounded to the products' dtype on the way, as PyTorch's are."""
    h, v, _, _, y = layer(64, 5, 11, torch.float32)
    rounded, given = leaves(h.bfloat16().float(), v.bfloat16().float(), dtype=torch.float64), leaves(h.bfloat16(), v)
    (truth,) = torch.autograd.grad(theirs(*rounded, y), rounded[1])
    errors = []
    for loss in (mine, theirs):
        with torch.autocast("cpu", dtype=torch.bfloat16):
            value = loss(*given, y)
        (g,) = torch.autograd.grad(value, given[1])
        assert g.dtype == torch.float32
        errors.append((g - truth).abs().max().item())
        if loss is mine:
            assert not torch.equal(g, g.bfloat16().float())
    assert errors[0] < errors[1]


def test_mixed_dtypes_are_refused_without_autocast():
    h, v, b, w, y = layer(4, 2, 3, torch.float32)
    for name, tensors, weight in (
        ("linear_weight", (h.bfloat16(), v, b), None),
        ("linear_bias", (h, v, b.bfloat16()), None),
        ("weight", (h, v, b), w.bfloat16()),
    ):
        for loss in (mine, theirs):
            error = outcome(loss, tensors, y, weight=weight)
            assert isinstance(error, RuntimeError)
            assert loss is theirs or str(error).startswith(name)


@pytest.mark.parametrize("dtype", HALVES, ids=str)
def test_the_loss_of_each_token_is_float32(dtype):
    """A token's loss is the log-probability that a policy is trained by: three digits are too few."""
    h, v, _, _, y = layer(64, 5, 11, dtype)
    value = mine(h, v, y, reduction="none")
    assert value.dtype == torch.float32
    assert theirs(h, v, y, reduction="none").dtype == dtype
    logits = (h @ v.T).double()  # rounded to the dtype, as the product is
    torch.testing.assert_close(value.double(), F.cross_entropy(logits, y, reduction="none"), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_each_token_may_have_a_weight(dtype):
    h, v, b, _, y = layer(7, 5, 11, dtype)
    of_token = torch.rand(7).masked_fill(torch.arange(7) == 5, 0)
    found = outcome(lambda *args, **kw: (of_token * mine(*args, **kw)).sum(), (h, v, b), y, reduction="none", chunk=2)
    exact = [x.double() for x in (h, v, b)]
    truth = outcome(lambda *args, **kw: (of_token * theirs(*args, **kw)).sum(), exact, y, reduction="none")
    assert_same(found, truth, 8 * torch.finfo(dtype).eps, dtypes=False)


@pytest.mark.parametrize("dtype", HALVES, ids=str)
def test_the_gradient_of_the_layer_is_summed_in_float32(dtype):
    """Whatever the chunk, a float32 layer gets it so, under autocast, and one in half precision rounded once."""
    h, v, _, _, y = layer(512, 16, 64, dtype)
    exact = leaves(h, v, dtype=torch.float64)
    z = F.linear(*exact)
    z = z + ((h @ v.T).double() - z).detach()  # the logits as they are rounded
    (truth,) = torch.autograd.grad(F.cross_entropy(z, y, reduction="sum"), exact[1])

    def error(g):
        return (g.double() - truth).abs().max().item()

    for chunk in (1, 7, 64, 512):
        for reduction in ("sum", "none"):
            _, _, g = outcome(mine, (h, v, None), y, reduction=reduction, chunk=chunk)
            assert error(g) <= 1.01 * error(truth.to(dtype))
            with torch.autocast("cpu", dtype=dtype):
                _, _, g = outcome(mine, (h, v.float(), None), y, reduction=reduction, chunk=chunk)
            assert error(g) <= 0.01 * error(truth.to(dtype))


@pytest.mark.skipif(not fused.available("cuda")[0], reason=fused.available("cuda")[1])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_on_a_gpu(reduction, dtype):
    h, v, b, w, y = (x.cuda() for x in layer(300, 64, 1000, dtype))
    precise, weight = [x.double() for x in (h, v, b)], w.double()
    for chunk in (None, 64):
        found = outcome(mine, (h, v, b), y, weight=w, reduction=reduction, chunk=chunk)
        truth = outcome(theirs, precise, y, weight=weight, reduction=reduction)
        assert_same(found, truth, 16 * torch.finfo(dtype).eps + 1e-6 * (dtype != torch.float64), dtypes=False)


# --- What it holds ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_holds_a_chunk_and_the_gradients(reduction, dtype):
    """The gradients in float32, and rounded; a chunk in float32, and in half precision before; never all logits."""
    N, D, V = 64, 64, 1024
    h, v, _, _, y = layer(N, D, V, dtype)
    half = dtype.itemsize if dtype in HALVES else 0
    for chunk in (4, 16):
        sums, rounded = 4 * (N + V) * D, half * (N + V) * D
        pieces = half and 4 * chunk * V  # of the table, for a product in float32
        most = sums + max(rounded, (4 + half) * chunk * V + pieces)
        held = memory.peak(lambda: outcome(mine, (h, v, None), y, reduction=reduction, chunk=chunk), "cpu")  # noqa: B023
        leaves_and_small = dtype.itemsize * (N + V) * D + 64 * (N + chunk) + 8192
        assert most <= held <= most + leaves_and_small
    whole = memory.peak(lambda: outcome(theirs, (h, v, None), y, reduction=reduction), "cpu")
    assert whole > 2 * dtype.itemsize * N * V


def test_a_chunk_takes_a_quarter_of_what_is_held_anyway():
    sizes = ((64, 200, 8), (10_000, 200, 8), (1000, 200, 2000), (0, 5, 2), (4, 0, 2), (4, 5, 0), (8192, 131_072, 4096))
    for (N, V, D), dtype in itertools.product(sizes, DTYPES):
        chunk = fused_chunks.default_chunk(N, V, D, dtype)
        sums = 8 if dtype == torch.float64 else 4
        quarter = max(N * D * dtype.itemsize, V * D * sums) / 4
        assert min(N, 128) <= chunk <= max(N, 1)
        assert chunk <= 128 or chunk * V * dtype.itemsize <= quarter
        assert chunk in (1, N) or quarter < (chunk + 1) * V * dtype.itemsize
    assert fused_chunks.default_chunk(8192, 131_072, 4096, torch.bfloat16) == 2048
    assert fused_chunks.default_chunk(8192, 131_072, 4096, torch.float32) == 1024
    assert fused_chunks.default_chunk(8192, 4096, 32, torch.float32) == 128
