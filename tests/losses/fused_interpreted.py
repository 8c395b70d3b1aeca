"""The fused kernels in Triton's interpreter. `test_fused.py` runs this file in a process that asks for it."""

import itertools
import math

import pytest
import torch
import torch.nn.functional as F
from torch.autograd import gradcheck

from lossbook.losses import fused, fused_kernels

INF, NAN = math.inf, math.nan
DTYPES = (torch.float64, torch.float32, torch.bfloat16, torch.float16)
REDUCTIONS = ("none", "mean", "sum")


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    """Let 300 classes take several blocks, and three rows two programs."""
    monkeypatch.setattr(fused_kernels, "BLOCK", 128)


def run(function, z, y, **options):
    """Return a loss and its gradient, the incoming one being 0.5 to 1.5."""
    z = z.detach().clone(memory_format=torch.preserve_format).requires_grad_()
    loss = function(z, y, **options)
    incoming = torch.linspace(0.5, 1.5, loss.numel()).reshape(loss.shape).to(loss.dtype)
    return loss.detach(), torch.autograd.grad(loss, z, incoming)[0]


def agrees(z, y, weight=None, **options):
    """Compare with PyTorch's in float64, to a few roundings to the dtype."""
    mine = run(fused.cross_entropy, z, y, weight=weight, **options)
    weight = None if weight is None else weight.double()
    theirs = run(F.cross_entropy, z.double(), y, weight=weight, **options)
    eps, V = torch.finfo(z.dtype).eps, z.shape[0 if z.ndim == 1 else 1]
    for what, a, b in zip(("loss", "gradient"), mine, theirs, strict=True):
        assert (a.dtype, a.shape) == (z.dtype, b.shape), what
        scale = 1 if what == "loss" or V == 1 else max(b[b.isfinite()].abs().tolist(), default=0)
        torch.testing.assert_close(
            a.double(), b, rtol=3 * eps, atol=4 * eps * scale, equal_nan=True, msg=lambda m, what=what: f"{what}: {m}"
        )


def draw(N, V, dtype):
    torch.manual_seed(N * V)
    y = torch.randint(0, V, (N,))
    return (torch.randn(N, V) * 3).to(dtype), y.masked_fill(torch.arange(N) == 1, -100), (torch.rand(V) * 2).to(dtype)


def test_the_interpreter_is_what_runs():
    assert fused_kernels.interpreted
    assert fused.available("cpu")[0]
    assert "interpreter" in fused.available("cpu")[1]


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_equals_pytorch(dtype, reduction):
    z, y, w = draw(3, 300, dtype)
    agrees(z, y, w, reduction=reduction, label_smoothing=0.1)
    if dtype == torch.float64:
        agrees(z, y, reduction=reduction)


@pytest.mark.parametrize(("weighted", "smoothing"), [*itertools.product((False, True), (0.0, 0.1, 1.0, -0.2))])
def test_equals_pytorch_for_every_option(weighted, smoothing):
    z, y, w = draw(2, 7, torch.float64)
    agrees(z, y, w if weighted else None, label_smoothing=smoothing)


@pytest.mark.parametrize("V", [1, 2, 128, 129, 256])
def test_any_number_of_classes(V):
    agrees(*draw(2, V, torch.float32)[:2], label_smoothing=0.1)


def test_any_index_is_ignored():
    z, y, _ = draw(3, 7, torch.float64)
    for ignore_index in (3, 0, 10**12):
        agrees(z, y.clamp(min=0), ignore_index=ignore_index)
    for ignore_index in (-100, 3):
        agrees(z, torch.tensor([0, 6, 3], dtype=torch.uint8), ignore_index=ignore_index)


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_all_ignored(reduction):
    y = torch.tensor([-100, -100])
    agrees(torch.tensor([[1.0, 1, 2], [-INF, 0, 0]]), y, reduction=reduction)
    # What does not count is not even read.
    _, g = run(fused.cross_entropy, torch.tensor([[NAN, 1, 2], [INF, 0, 0]]), y, reduction=reduction)
    assert g.eq(0).all()


def test_every_shape():
    z, y, _ = draw(6, 5, torch.float64)
    agrees(z[0], y[0])
    assert fused.cross_entropy(z[0], y[:1]).item() == pytest.approx(F.cross_entropy(z[0], y[:1]).item())
    agrees(z.reshape(2, 5, 3), y.reshape(2, 3), reduction="none")
    agrees(z.reshape(1, 5, 3, 2), y.reshape(1, 3, 2), label_smoothing=0.1)
    for shape, sizes in (((0, 3), (0,)), ((2, 3, 0), (2, 0))):
        agrees(torch.zeros(shape), torch.zeros(sizes, dtype=torch.long))


def test_any_strides():
    z, y, _ = draw(4, 132, torch.float32)
    wide = torch.zeros(4, 160)
    wide[:, 8:140] = z
    for view in (z.T.contiguous().T, wide[:, 8:140], wide[:, 7:139], z[:1].expand(4, -1), z.flip(0)[::2, ::3]):
        y[0] = 17
        agrees(view, y[: len(view)].clamp(max=43))


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_extremes(smoothing):
    rows = [
        [INF, 0, 1],
        [-INF, 0, 1],
        [-INF, -INF, -INF],
        [1000, -1000, 0],
        [NAN, 0, 0],
        [-1000, -1000, -1000],
        [1e37, -1e37, 0],
        [-3.4e38, -3.4e38, -3.4e38],
        [1001, 1000, 999.5],
    ]
    for y in range(3):
        agrees(torch.tensor(rows), torch.full((len(rows),), y), reduction="none", label_smoothing=smoothing)
    many = torch.full((1, 300), -INF)
    many[0, 290] = 2.0
    for y in (290, 0):
        agrees(many, torch.tensor([y]), reduction="none", label_smoothing=smoothing)


def test_weights_of_zero():
    z, y, w = draw(3, 7, torch.float32)
    agrees(z, y, torch.zeros(7))
    agrees(z, y, -w, reduction="sum")


def test_gradcheck():
    z, y, w = draw(3, 2, torch.float64)
    for reduction in ("none", "mean"):
        options = {"reduction": reduction, "label_smoothing": 0.1, "weight": w}
        assert gradcheck(lambda z, o=options: fused.cross_entropy(z, y, **o), z.requires_grad_())


def test_an_incoming_gradient_of_one_leaves_the_gradient_alone():
    z, y, _ = draw(3, 7, torch.float32)
    torch.testing.assert_close(
        run(lambda *a: 2 * fused.cross_entropy(*a), z, y), run(lambda *a: 2 * F.cross_entropy(*a), z, y)
    )
    leaf = z.clone().requires_grad_()
    loss = fused.cross_entropy(leaf, y)
    kept, held = loss.grad_fn.gradient.clone(), loss.grad_fn.gradient.data_ptr()
    loss.backward()
    assert leaf.grad.data_ptr() == held, "no copy is made"
    assert torch.equal(leaf.grad, kept)
    # Rows are left alone one by one; NaN is no 1.
    g = torch.full((3, 300), 2.0)
    fused_kernels.run_scale(g, torch.tensor([1.0, 3.0, NAN]))
    assert g[0].eq(2).all()
    assert g[1].eq(6).all()
    assert g[2].isnan().all()


def test_one_backward_pass_unless_the_graph_is_kept():
    z, y, _ = draw(3, 7, torch.float64)
    z.requires_grad_()
    loss = fused.cross_entropy(z, y)
    (first,) = torch.autograd.grad(3 * loss, z, retain_graph=True)
    (second,) = torch.autograd.grad(loss, z)
    torch.testing.assert_close(first, 3 * second)
    with pytest.raises(RuntimeError, match="retain_graph"):
        torch.autograd.grad(loss, z)


def test_no_second_derivative():
    z, y, _ = draw(3, 7, torch.float64)
    z.requires_grad_()
    (g,) = torch.autograd.grad(fused.cross_entropy(z, y) ** 2, z, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        g.sum().backward()


def test_no_gradient_is_made_where_none_is_wanted(monkeypatch):
    z, y, _ = draw(3, 7, torch.float32)
    seen = []
    original = fused_kernels.run_loss_and_gradient
    monkeypatch.setattr(
        fused_kernels, "run_loss_and_gradient", lambda *args: seen.append(args[4] is not None) or original(*args)
    )
    with torch.no_grad():
        torch.testing.assert_close(fused.cross_entropy(z.requires_grad_(), y), F.cross_entropy(z, y))
    fused.cross_entropy(z.detach(), y)
    fused.cross_entropy(z, y)
    assert seen == [False, False, True]


def test_small_gradients_survive_float16():
    z, y = torch.zeros(2, 8, dtype=torch.float16), torch.tensor([0, 1])
    z, y = z.repeat(2000, 1).requires_grad_(), y.repeat(2000)
    loss = fused.cross_entropy(z[:8], y[:8]) / 4096
    (g,) = torch.autograd.grad(loss, z, torch.tensor(32768.0, dtype=torch.float16))
    torch.testing.assert_close(g[0, 1].item(), 8 / 8 / 8, rtol=1e-3, atol=0)


def test_the_gradient_may_take_the_place_of_the_logits():
    z, y, w = draw(3, 300, torch.float32)
    g = torch.empty_like(z)
    rest = (y, w, None)
    losses = fused_kernels.run_loss_and_gradient(z, *rest, g, -100, 0.1, False)
    again = fused_kernels.run_loss_and_gradient(z, *rest, z, -100, 0.1, False)
    assert torch.equal(z, g)
    assert torch.equal(losses, again)


def test_a_target_that_names_no_class_poisons_its_row():
    z, _, _ = draw(3, 7, torch.float32)
    g = torch.empty_like(z)
    y = torch.tensor([0, 7, -1])
    losses = fused_kernels.run_loss_and_gradient(z, y, None, None, g, -100, 0.0, False)
    assert losses.isnan().tolist() == [False, True, True]
    assert g.isnan().all(1).tolist() == [False, True, True]
    with pytest.raises(IndexError, match="target has the class 7"):
        fused.cross_entropy(z, y)


def test_every_row_is_dealt_once():
    device = torch.device("cpu")
    assert fused_kernels.programs(1, 32, device) == 1
    assert fused_kernels.programs(5, 32, device) == fused_kernels.INTERPRETED


def test_refusals(both_refuse, monkeypatch):
    monkeypatch.setattr("lossbook.losses.cross_entropy", fused.cross_entropy)
    z, y = torch.randn(4, 3), torch.tensor([0, 1, 2, 1])
    name = "cross_entropy"
    for wrong in (3, -1):
        both_refuse(name, "target", z, torch.tensor([0, wrong, 2, 1]))
    both_refuse(name, "target", z, y[:3])
    both_refuse(name, "target", z, y.to(torch.int32))
    both_refuse(name, "target", z[None].mT, y[None, :2])
    both_refuse(name, "input", z.long(), y)
    both_refuse(name, "input", [1.0], y)
    both_refuse(name, "target", z, [0, 1])
    for weight in (torch.ones(2), torch.ones(3, dtype=torch.float64), 2.0, torch.ones(3, requires_grad=True)):
        both_refuse(name, "weight", z, y, weight=weight)
    both_refuse(name, "label_smoothing", z, y, label_smoothing=1.1)
    both_refuse(name, "ignore_index", z, y, ignore_index=None)
    both_refuse(name, "reduction", z, y, reduction="batchmean")


def test_what_the_kernel_cannot_do_falls_back_and_says_so(monkeypatch):
    monkeypatch.setattr(fused, "_told", set())
    z, q = torch.randn(4, 3), torch.rand(4, 3)
    with pytest.warns(fused.FusedFallback, match="probabilities"):
        torch.testing.assert_close(fused.cross_entropy(z, q), F.cross_entropy(z, q))


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("places", [(), (2,)], ids=str)
def test_the_linear_form_uses_the_kernel(monkeypatch, places, dtype):
    calls = []
    original = fused_kernels.run_loss_and_gradient
    monkeypatch.setattr(
        fused_kernels, "run_loss_and_gradient", lambda *args: calls.append(len(args[0])) or original(*args)
    )
    torch.manual_seed(0)
    h, v = torch.randn(5, 4).to(dtype), torch.randn(7, *places, 4).to(dtype)
    y = torch.tensor([0, 6, -100, 3, 3]).reshape(5, *[1] * len(places)).expand(5, *places)
    given, exact = ([x.to(d).requires_grad_() for x in (h, v)] for d in (dtype, torch.float64))
    for reduction in ("none", "mean"):
        calls.clear()
        mine = fused.linear_cross_entropy(*given, y, chunk=2, label_smoothing=0.1, reduction=reduction)
        slopes = torch.autograd.grad(mine.sum(), given)
        many = 2 if places else 1
        assert calls == [2 * many, 2 * many, many] * (2 if reduction == "none" else 1)
        z = torch.einsum("nd,v...d->nv...", *exact)
        theirs = F.cross_entropy(z, y, label_smoothing=0.1, reduction=reduction)
        truth = torch.autograd.grad(theirs.sum(), exact)
        for a, b in zip((mine, *slopes), (theirs, *truth), strict=True):
            torch.testing.assert_close(a.double(), b, rtol=0, atol=8 * torch.finfo(dtype).eps * b.abs().max().item())
