"""The fused kernels in Triton's interpreter. `test_fused.py` runs this file in a process that asks for it."""

import itertools
import math
from types import SimpleNamespace

import pytest
import torch
import torch.nn.functional as F
import triton.language as tl
from torch.autograd import gradcheck
from triton.runtime import interpreter

from lossbook.losses import fused, fused_kernels

INF, NAN = math.inf, math.nan
DTYPES = (torch.float64, torch.float32, torch.bfloat16, torch.float16)
REDUCTIONS = ("none", "mean", "sum")


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch):
    """Let 300 classes take several blocks, and three rows two programs."""
    monkeypatch.setattr(fused_kernels, "BLOCK", 128)


@pytest.fixture(autouse=True, scope="session")
def patched_once():
    """Let a kernel's helpers find Triton's language patched.

    The interpreter patches it for a kernel, and again for each helper that the kernel calls: two fifths of its time,
    and nothing is left to patch.
    """
    original = interpreter._patch_lang

    def patch(function):
        seen = [value for value in function.__globals__.values() if value is tl or value is tl.core]
        if any(tl.core.is_builtin(language.arange) for language in seen):
            return original(function)
        return SimpleNamespace(restore=lambda: None)

    with pytest.MonkeyPatch.context() as patches:
        patches.setattr(interpreter, "_patch_lang", patch)
        yield


def run(function, z, y, **options):
    """Return a loss and its gradient, the incoming one being 0.5 to 1.5."""
    z = z.detach().clone(memory_format=torch.preserve_format).requires_grad_()
    loss = function(z, y, **options)
    incoming = torch.linspace(0.5, 1.5, loss.numel()).reshape(loss.shape).to(loss.dtype)
    return loss.detach(), torch.autograd.grad(loss, z, incoming)[0]


def sums(dtype):
    """The dtype of losses that are not reduced."""
    return torch.float64 if dtype == torch.float64 else torch.float32


def agrees(z, y, weight=None, **options):
    """Compare with PyTorch's in float64, to a few roundings to the dtype."""
    mine = run(fused.cross_entropy, z, y, weight=weight, **options)
    weight = None if weight is None else weight.double()
    theirs = run(F.cross_entropy, z.double(), y, weight=weight, **options)
    eps, V = torch.finfo(z.dtype).eps, z.shape[0 if z.ndim == 1 else 1]
    for what, a, b in zip(("loss", "gradient"), mine, theirs, strict=True):
        single = what == "loss" and options.get("reduction") == "none"
        assert (a.dtype, a.shape) == (sums(z.dtype) if single else z.dtype, b.shape), what
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


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_nothing_that_counts_weighs_nothing_or_weighs_infinitely(dtype, reduction):
    z = torch.tensor([[1.0, 2, 3], [3, 1, 0], [0, 0, 2]]).to(dtype)
    absent, zero = torch.tensor([INF, 2, 1]), torch.tensor([0.0, 0, 1])
    for y, weight in (
        ((-100, -100, -100), None),
        ((-100, -100, -100), zero),
        ((0, -100, 1), zero),  # what counts weighs nothing
        ((0, -100, 2), zero),
        ((1, -100, 2), absent),
    ):
        weight = None if weight is None else weight.to(dtype)
        agrees(z, torch.tensor(y), weight, reduction=reduction)
    agrees(z, torch.tensor([0, 2, 1]), absent.to(dtype), reduction=reduction, ignore_index=0)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_what_comes_in_reaches_no_row_that_does_not_count(dtype):
    z, y, _ = draw(3, 7, dtype)
    for incoming in (NAN, INF, 0.0):
        for reduction in ("mean", "sum"):
            leaf = z.clone().requires_grad_()
            loss = fused.cross_entropy(leaf, y, reduction=reduction)
            (g,) = torch.autograd.grad(loss, leaf, torch.tensor(incoming, dtype=loss.dtype))
            assert g[1].eq(0).all()
            assert incoming == 0 or not g[[0, 2]].isfinite().all()


def test_small_integers_are_targets_as_int64_is():
    z, _, _ = draw(3, 256, torch.float32)
    y = torch.tensor([156, 255, 0], dtype=torch.uint8)
    for ignore_index in (-100, -1, 156, 255, 256):
        agrees(z, y, ignore_index=ignore_index)
    with pytest.raises(IndexError, match="target has the class 255"):
        fused.cross_entropy(z[:, :21], y.clamp(max=20).where(y < 255, y), ignore_index=-1)


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
    fused_kernels.run_scale(g, torch.tensor([1.0, 3.0, NAN]), torch.tensor([0, 1, 2]), -100)
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
    losses = fused_kernels.run_loss_and_gradient(z, *rest, g, -100, 0.1)
    again = fused_kernels.run_loss_and_gradient(z, *rest, z, -100, 0.1)
    assert torch.equal(z, g)
    assert torch.equal(losses, again)


def test_a_target_that_names_no_class_poisons_its_row():
    z, _, _ = draw(3, 7, torch.float32)
    g = torch.empty_like(z)
    y = torch.tensor([0, 7, -1])
    losses = fused_kernels.run_loss_and_gradient(z, y, None, None, g, -100, 0.0)
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


PIECES = {torch.bfloat16: 8, torch.float32: 4, torch.float64: 2}


@pytest.mark.parametrize("dtype", PIECES, ids=str)
@pytest.mark.parametrize("V", [1, 7, 9, 137])
def test_rows_that_start_inside_a_piece(dtype, V):
    z, y, w = draw(5, V, dtype)
    plan = fused_kernels.plan(z)
    assert plan[2:4] == (PIECES[dtype], True)
    agrees(z, y, w, label_smoothing=0.1, reduction="sum")


@pytest.mark.parametrize("dtype", PIECES, ids=str)
@pytest.mark.parametrize(("start", "V"), [(1, 137), (3, 130), (8, 136), (9, 2), (0, 151)])
def test_what_is_beside_the_rows_is_neither_used_nor_written(dtype, start, V):
    z, y, _ = draw(3, V, dtype)
    expected = torch.empty_like(z)
    losses = fused_kernels.run_loss_and_gradient(z, y, None, None, expected, -100, 0.1)
    wide, other = torch.full((3, 153), NAN, dtype=dtype), torch.full((3, 153), NAN, dtype=dtype)
    view, g = (x[:, start : start + V] for x in (wide, other))
    view.copy_(z)
    assert PIECES[dtype] == fused_kernels.plan(view, g).E
    for logits, gradient in ((view, g), (view, view)):  # the second in the same memory
        found = fused_kernels.run_loss_and_gradient(logits, y, None, None, gradient, -100, 0.1)
        torch.testing.assert_close(found, losses)
        torch.testing.assert_close(gradient, expected)
    before, factors = g.clone(), torch.tensor([2.0, 1, 4])
    fused_kernels.run_scale(g, factors, torch.zeros(3, dtype=torch.long), -100)
    assert torch.equal(g, before * factors[:, None].to(dtype))
    for x in (wide, other):
        assert x[:, :start].isnan().all()
        assert x[:, start + V :].isnan().all()


def test_rows_of_two_alignments_are_read_one_by_one():
    a, b = torch.zeros(3, 333)[:, 1:308], torch.zeros(3, 307)
    assert fused_kernels.plan(a, b).E == 1
    assert fused_kernels.plan(a.mT).E == 1
    assert max(fused_kernels.plan(b).R // 2, 1) == fused_kernels.plan(b, heavy=True).R
