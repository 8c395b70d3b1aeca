"""The fused kernel's extras, and every derivative, in Triton's interpreter. `test_fused.py` runs this file, too."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from fused_interpreted import (  # noqa: F401
    DTYPES,
    INF,
    NAN,
    REDUCTIONS,
    draw,
    patched_once,
    run,
    small_blocks,
    sums,
)
from torch.autograd import forward_ad, gradgradcheck

from lossbook.losses import fused, fused_kernels

EXTRAS = {"softcap": 5.0, "z_loss": 0.1, "divisor": 3.0}


def plain(z, y, weight=None, ignore_index=-100, reduction="mean", label_smoothing=0.0, **extras):
    """The extras in a few plain lines, for logits (N, V)."""
    softcap, z_loss, divisor = (extras.get(name) for name in EXTRAS)
    if softcap is not None:
        z = softcap * torch.tanh(z / softcap)
    counted = y != ignore_index
    losses = F.cross_entropy(z, y, weight, ignore_index=ignore_index, reduction="none", label_smoothing=label_smoothing)
    losses = losses + (z_loss or 0) * torch.where(counted, z.logsumexp(1), 0) ** 2
    losses = losses / (1 if divisor is None else divisor)
    if reduction == "none":
        return losses
    total = (counted.sum() if weight is None else weight[y[counted]].sum()) if reduction == "mean" else 1
    return losses.sum() / total


def agrees_with_plain(z, y, weight=None, **options):
    mine = run(fused.cross_entropy, z, y, weight=weight, **options)
    theirs = run(plain, z.double(), y, weight=None if weight is None else weight.double(), **options)
    eps = torch.finfo(z.dtype).eps
    for a, b in zip(mine, theirs, strict=True):
        scale = b.abs().max().item()
        # The slope of a cap is 1 less a number near 1.
        torch.testing.assert_close(a.double(), b, rtol=4 * eps, atol=8 * eps * scale)


@pytest.mark.parametrize("extras", [dict([item]) for item in EXTRAS.items()] + [EXTRAS], ids=lambda e: " ".join(e))
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_extras_equal_a_few_plain_lines(extras, reduction):
    z, y, w = draw(3, 130 if len(extras) > 1 else 7, torch.float64)
    options = {"reduction": reduction, "label_smoothing": 0.1, **extras}
    agrees_with_plain(z, y, reduction=reduction, **extras)
    agrees_with_plain(z, y.clamp(min=0), w, ignore_index=int(y[0]), **options)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_extras_in_every_dtype(dtype):
    z, y, w = draw(3, 300, dtype)
    agrees_with_plain(z, y, w, label_smoothing=0.1, **EXTRAS)
    agrees_with_plain(z, y, reduction="sum", **EXTRAS)


def test_extras_change_nothing_where_nothing_counts():
    z, _, _ = draw(3, 7, torch.float32)
    z[0, 0] = NAN
    loss, g = run(fused.cross_entropy, z, torch.full((3,), -100), reduction="sum", **EXTRAS)
    assert loss == 0
    assert g.eq(0).all()


def test_a_capped_mask_masks_no_longer():
    z, y = torch.tensor([[-INF, 0.0, INF, 1e30]]), torch.tensor([1])
    agrees_with_plain(z, y, softcap=5.0)
    loss, g = run(fused.cross_entropy, z, y, softcap=5.0)
    assert loss.item() == pytest.approx(math.log(math.exp(-5) + 1 + 2 * math.exp(5)))
    assert g.isfinite().all()
    assert g[0, 0] == 0


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_a_divisor_costs_no_pass_over_the_gradient(dtype, monkeypatch):
    z, y, _ = draw(5, 7, dtype)
    factors = []
    original = fused_kernels.run_scale
    monkeypatch.setattr(
        fused_kernels, "run_scale", lambda g, f, *rest: factors.append(f.clone()) or original(g, f, *rest)
    )
    count = (y != -100).sum()
    values = []
    for divisor in (count, count.item(), count.double()):
        leaf = z.clone().requires_grad_()
        loss = fused.cross_entropy(leaf, y, reduction="sum", divisor=divisor)
        loss.backward()
        values.append((loss, leaf.grad))
    # In float16 alone the division waits for the incoming gradient.
    assert all(f.eq(1).all() == (dtype != torch.float16) for f in factors)
    expected = run(F.cross_entropy, z.double(), y)
    eps = torch.finfo(dtype).eps
    for loss, g in values:
        torch.testing.assert_close(loss.double(), expected[0], rtol=4 * eps, atol=0)
        torch.testing.assert_close(g.double(), expected[1] / 0.5, rtol=4 * eps, atol=4 * eps)
    mean = run(lambda z, y: fused.cross_entropy(z, y, divisor=4), z, y)
    torch.testing.assert_close(mean[0].double(), expected[0] / 4, rtol=4 * eps, atol=0)


def test_a_divisor_of_zero_is_pytorchs():
    z, y, _ = draw(3, 7, torch.float32)
    for labels in (y, torch.full_like(y, -100)):
        mine = run(lambda z, y: fused.cross_entropy(z, y, reduction="sum", divisor=0), z, labels)
        theirs = run(lambda z, y: F.cross_entropy(z, y, reduction="sum") / 0, z, labels)
        torch.testing.assert_close(mine[0], theirs[0], equal_nan=True)
        assert torch.equal(mine[1].isfinite(), theirs[1].isfinite())


def test_log_sum_exp_comes_with_the_loss():
    for dtype in DTYPES:
        z, y, w = draw(3, 131, dtype)
        for softcap in (None, 2.0):
            leaf = z.clone().requires_grad_()
            loss, lse = fused.cross_entropy(leaf, y, w, softcap=softcap, label_smoothing=0.1, return_lse=True)
            assert torch.equal(loss, fused.cross_entropy(leaf, y, w, softcap=softcap, label_smoothing=0.1))
            exact = z.double() if softcap is None else softcap * torch.tanh(z.double() / softcap)
            expected = torch.where(y == -100, 0, exact.logsumexp(1))
            assert (lse.dtype, lse.requires_grad) == (sums(dtype), False)
            torch.testing.assert_close(lse.double(), expected, rtol=1e-6, atol=0)
            loss.backward()
            assert leaf.grad.isfinite().all()
    _, lse = fused.cross_entropy(torch.zeros(2, 5, 3), torch.zeros(2, 3, dtype=torch.long), return_lse=True)
    assert lse.shape == (2, 3)
    _, lse = fused.cross_entropy(torch.zeros(5), torch.tensor(1), return_lse=True)
    assert lse.item() == pytest.approx(math.log(5))


# --- What PyTorch does to a function ---------------------------------------------------------------------------------


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_second_derivatives(reduction):
    z, y, w = draw(3, 2, torch.float64)
    for options in ({}, {"label_smoothing": 0.1, "weight": w, **EXTRAS}):

        def loss(z, options=options):
            return fused.cross_entropy(z.sin(), y, reduction=reduction, **options)

        assert gradgradcheck(loss, z.requires_grad_(), fast_mode=True)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_a_penalty_on_the_gradient_counts(dtype):
    z, y, _ = draw(3, 7, dtype)
    # The incoming gradient is 1 and has no graph: nothing but grad mode says that more is to come.
    slopes = []
    for loss, leaf in ((fused.cross_entropy, z.clone()), (F.cross_entropy, z.double())):
        value = loss(leaf.requires_grad_(), y)
        (g,) = torch.autograd.grad(value, leaf, create_graph=True)
        assert g.dtype == leaf.dtype
        (value + 10 * g.pow(2).sum()).backward()
        slopes.append(leaf.grad.double())
    eps = torch.finfo(dtype).eps
    torch.testing.assert_close(*slopes, rtol=8 * eps, atol=8 * eps)
    assert slopes[0][1].eq(0).all()


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_autocast_is_pytorchs(dtype):
    z, y, w = draw(3, 9, dtype)
    with torch.autocast("cpu", dtype=torch.float16 if dtype == torch.float16 else torch.bfloat16):
        for weight in (None, w) if dtype == torch.float64 else (None, w, w.float()):
            for reduction in REDUCTIONS:
                mine = run(fused.cross_entropy, z, y, weight=weight, reduction=reduction)
                theirs = run(F.cross_entropy, z, y, weight=weight, reduction=reduction)
                for a, b in zip(mine, theirs, strict=True):
                    assert a.dtype == b.dtype
                    torch.testing.assert_close(a, b)


TRANSFORMS = {
    "grad": lambda loss, z, y: torch.func.grad(loss)(z, y),
    "grad with the loss": lambda loss, z, y: torch.func.grad_and_value(loss)(z, y)[0],
    "vmap": lambda loss, z, y: torch.func.vmap(loss, (0, None))(torch.stack([z, 2 * z]), y),
    "vmap of grad": lambda loss, z, y: torch.func.vmap(torch.func.grad(loss), (0, None))(torch.stack([z, 2 * z]), y),
    "vmap of grad over targets": lambda loss, z, y: torch.func.vmap(torch.func.grad(loss))(z, y),
    "jvp": lambda loss, z, y: torch.func.jvp(lambda z: loss(z, y), (z,), (z.cos(),))[1],
    "jvp without grad mode": lambda loss, z, y: torch.no_grad()(
        lambda: torch.func.jvp(lambda z: loss(z, y), (z,), (z.cos(),))[1]
    )(),
    "compiled grad": lambda loss, z, y: torch.compile(torch.func.grad(loss), backend="aot_eager")(z, y),
    "jacrev": lambda loss, z, y: torch.func.jacrev(loss)(z, y),
    "jacfwd": lambda loss, z, y: torch.func.jacfwd(loss)(z, y),
    "hessian": lambda loss, z, y: torch.func.hessian(loss)(z, y),
    "dual": lambda loss, z, y: forward_ad.unpack_dual(loss(forward_ad.make_dual(z, z.cos()), y)).tangent,
}


@pytest.mark.parametrize("name", TRANSFORMS)
@pytest.mark.filterwarnings("ignore::lossbook.losses.fused.FusedFallback")
def test_transforms_are_pytorchs(name):
    z, y, _ = draw(4, 5, torch.float64)
    y = y.clamp(min=0) if "targets" in name else y

    def plainly(z, y):
        return plain(z[None] if z.ndim == 1 else z, y.reshape(-1), **EXTRAS)

    def with_extras(z, y):
        return fused.cross_entropy(z, y, **EXTRAS)

    with forward_ad.dual_level() if name == "dual" else torch.enable_grad():
        for mine, theirs in ((fused.cross_entropy, F.cross_entropy), (with_extras, plainly)):
            torch.testing.assert_close(TRANSFORMS[name](mine, z, y), TRANSFORMS[name](theirs, z, y))


def test_a_batch_of_incoming_gradients():
    z, y, _ = draw(3, 7, torch.float64)
    results = []
    for loss in (fused.cross_entropy, F.cross_entropy):
        leaf = z.clone().requires_grad_()
        value = loss(leaf, y, reduction="none")
        results += torch.autograd.grad(value, leaf, torch.eye(3).double(), is_grads_batched=True)
    torch.testing.assert_close(*results)


def test_compiled_it_is_one_graph_and_the_kernel_is_called_outside(monkeypatch):
    z, y, _ = draw(3, 7, torch.float32)
    calls = []
    original = fused_kernels.run_loss_and_gradient
    monkeypatch.setattr(fused_kernels, "run_loss_and_gradient", lambda *args: calls.append(1) or original(*args))
    expected = run(F.cross_entropy, z, y)
    compiled = torch.compile(fused.cross_entropy, backend="aot_eager", fullgraph=True)
    for a, b in zip(run(compiled, z, y), expected, strict=True):
        torch.testing.assert_close(a, b)
    assert not calls
    outside = torch.compiler.disable(fused.cross_entropy)
    mixed = torch.compile(lambda z, y: outside(2 * z, y), backend="aot_eager")
    for a, b in zip(run(mixed, z, y), run(lambda z, y: F.cross_entropy(2 * z, y), z, y), strict=True):
        torch.testing.assert_close(a, b)
    assert calls


@pytest.mark.filterwarnings("ignore::lossbook.losses.fused.FusedFallback")
def test_tensors_without_values():
    from torch._subclasses.fake_tensor import FakeTensorMode

    z, y, _ = draw(3, 7, torch.bfloat16)
    with FakeTensorMode(allow_non_fake_inputs=False) as mode:
        fakes = mode.from_tensor(z), mode.from_tensor(y)
    metas = z.to("meta"), y.to("meta")
    for x, t in (fakes, metas):
        with fakes[0].fake_mode if x is fakes[0] else torch.enable_grad():
            each = fused.cross_entropy(x, t, reduction="none")
            mean, lse = fused.cross_entropy(x, t, return_lse=True, **EXTRAS)
        assert (each.shape, each.dtype) == ((3,), torch.float32)
        assert (mean.shape, mean.dtype) == ((), torch.bfloat16)
        assert (lse.shape, lse.dtype) == ((3,), torch.float32)


def test_options_may_be_numbers_of_numpy_and_of_tensors():
    z, y = draw(3, 7, torch.float64)[0], torch.tensor([1, 2, 3])
    expected = fused.cross_entropy(z, y, ignore_index=2, label_smoothing=0.25, softcap=2, z_loss=0.5, divisor=4)
    for make in (np.float64, torch.tensor):
        mine = fused.cross_entropy(
            z, y, ignore_index=np.int64(2) if make is np.float64 else make(2), label_smoothing=make(0.25),
            softcap=make(2.0), z_loss=make(0.5), divisor=make(4.0),
        )  # fmt: skip
        assert torch.equal(mine, expected)


def test_refusals_of_the_extras():
    z, y = torch.randn(4, 3), torch.tensor([0, 1, 2, 1])
    for error, name, options in (
        (ValueError, "softcap is 0", {"softcap": 0}),
        (ValueError, "softcap is -1", {"softcap": -1.0}),
        (ValueError, "softcap is inf", {"softcap": INF}),
        (TypeError, "softcap is a str", {"softcap": "30"}),
        (ValueError, "z_loss is -1", {"z_loss": -1}),
        (ValueError, "z_loss is nan", {"z_loss": NAN}),
        (TypeError, "z_loss is a NoneType", {"z_loss": None}),
        (TypeError, "divisor is a str", {"divisor": "4"}),
        (RuntimeError, r"divisor has shape \(4,\)", {"divisor": torch.ones(4)}),
        (RuntimeError, "divisor requires a gradient", {"divisor": torch.tensor(1.0, requires_grad=True)}),
    ):
        with pytest.raises(error, match=f"^{name}"):
            fused.cross_entropy(z, y, **options)
    for options in ({"softcap": 1.0}, {"z_loss": 0.1}, {"divisor": 2}, {"return_lse": True}):
        with pytest.raises(RuntimeError, match="need class indices"):
            fused.cross_entropy(z, z.softmax(1), **options)
