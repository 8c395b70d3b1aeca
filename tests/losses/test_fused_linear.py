"""The fused linear cross-entropy: its chunks, against the two steps, on any machine."""

import itertools

import pytest
import torch
import torch.nn.functional as F
from torch.autograd import gradcheck
from torch.utils._python_dispatch import TorchDispatchMode

from lossbook.losses import fused, fused_linear

REDUCTIONS = ("none", "mean", "sum")
DTYPES = (torch.float64, torch.float32, torch.bfloat16, torch.float16)


def layer(N, D, V, dtype=torch.float64):
    torch.manual_seed(N)
    h, v, b, w = torch.randn(N, D), torch.randn(V, D), torch.randn(V), torch.rand(V)
    y = torch.randint(0, V, (N,)).masked_fill(torch.arange(N) == 3, -100)
    return *(x.to(dtype) for x in (h, v, b, w)), y


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.filterwarnings("error")
def test_equals_the_two_steps(dtype):
    h, v, b, w, y = layer(7, 5, 11, dtype)
    eps = torch.finfo(dtype).eps
    for reduction, smoothing, weight, bias, chunk in itertools.product(
        REDUCTIONS, (0.0, 0.1), (None, w), (None, b), (None, 2)
    ):
        mine = [x if x is None else x.clone().requires_grad_() for x in (h, v, bias)]
        theirs = [x if x is None else x.double().clone().requires_grad_() for x in (h, v, bias)]
        options = {"reduction": reduction, "label_smoothing": smoothing}
        a = fused.linear_cross_entropy(mine[0], mine[1], y, mine[2], weight, chunk=chunk, **options)
        b_ = F.cross_entropy(F.linear(*theirs), y, None if weight is None else weight.double(), **options)
        assert (a.dtype, a.shape) == (dtype, b_.shape)
        g = torch.linspace(0.5, 1.5, a.numel()).reshape(a.shape).to(dtype)
        a.backward(g)
        b_.backward(g.double())
        pairs = [(a, b_), *((p.grad, q.grad) for p, q in zip(mine, theirs, strict=True) if p is not None)]
        for one, other in pairs:
            assert one.dtype == dtype
            scale = other.abs().max().item()
            torch.testing.assert_close(one.double(), other.double(), rtol=0, atol=8 * eps * scale)


def test_gradcheck():
    h, v, b, w, y = layer(4, 2, 3)
    for reduction in REDUCTIONS:

        def loss(h, v, b, reduction=reduction):
            return fused.linear_cross_entropy(h, v, y, b, w, reduction=reduction, label_smoothing=0.1, chunk=3)

        assert gradcheck(loss, [x.requires_grad_() for x in (h, v, b)])


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_of_nothing_and_of_what_does_not_count(reduction):
    h, v, _, _, _ = layer(4, 2, 3)
    for rows, y in ((0, torch.zeros(0, dtype=torch.long)), (2, torch.full((2,), -100))):
        mine = fused.linear_cross_entropy(h[:rows], v, y, reduction=reduction)
        torch.testing.assert_close(mine, F.cross_entropy(h[:rows] @ v.T, y, reduction=reduction), equal_nan=True)


class Largest(TorchDispatchMode):
    """Watches for the largest tensor that any operation makes."""

    numel = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        made = func(*args, **(kwargs or {}))
        for x in made if isinstance(made, tuple | list) else (made,):
            # A view, and the shape that is checked, take no memory.
            if isinstance(x, torch.Tensor) and x.device.type != "meta":
                self.numel = max(self.numel, x.untyped_storage().nbytes() // x.element_size())
        return made


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_never_holds_all_logits(reduction):
    N, D, V = 64, 8, 200
    h, v, _, _, y = layer(N, D, V)
    h.requires_grad_()
    v.requires_grad_()
    for chunk, most in ((4, V * D), (16, 16 * V), (None, V * D)):
        with Largest() as largest:
            fused.linear_cross_entropy(h, v, y, reduction=reduction, chunk=chunk, label_smoothing=0.1).sum().backward()
        assert largest.numel == most
        h.grad = v.grad = None
    with Largest() as largest:
        F.cross_entropy(h @ v.T, y)
    assert largest.numel == N * V


def test_a_chunk_takes_the_memory_of_what_is_held_anyway():
    for N, V, D in ((64, 200, 8), (10_000, 200, 8), (3, 200, 8), (0, 5, 2), (4, 0, 2), (4, 5, 0)):
        chunk = fused_linear.default_chunk(N, V, D)
        assert 1 <= chunk <= max(N, 1)
        assert chunk == 1 or chunk * V <= max(N * D, V * D)


def test_backward_again():
    h, v, _, _, y = layer(4, 2, 3)
    for reduction in ("mean", "sum"):
        loss = fused.linear_cross_entropy(h.requires_grad_(), v, y, reduction=reduction)
        (first,) = torch.autograd.grad(3 * loss, h, retain_graph=True)
        (second,) = torch.autograd.grad(loss, h)
        torch.testing.assert_close(first, 3 * second)
        with pytest.raises(RuntimeError, match="retain_graph"):
            torch.autograd.grad(loss, h)


def test_refusals():
    h, v, b, w, y = layer(4, 2, 3)

    def refused(error, name, *args, **kwargs):
        with pytest.raises(error, match=rf"^{name}"):
            fused.linear_cross_entropy(*args, **kwargs)

    refused(TypeError, "hidden", [1.0], v, y)
    refused(TypeError, "bias", h, v, y, 1.0)
    refused(TypeError, "chunk", h, v, y, chunk=1.5)
    refused(TypeError, "ignore_index", h, v, y, ignore_index=1.5)
    refused(ValueError, "chunk", h, v, y, chunk=0)
    refused(ValueError, "reduction", h, v, y, reduction="batchmean")
    refused(ValueError, "target", h, v, y[:3])
    refused(IndexError, "target", h, v, torch.tensor([0, 1, 2, 3]))
    refused(RuntimeError, "hidden", h[0], v, y)
    refused(RuntimeError, "vocabulary", h, v.T, y)
    refused(RuntimeError, "vocabulary", h, v.float(), y)
    refused(RuntimeError, "hidden", h.long(), v.long(), y)
    refused(RuntimeError, "bias", h, v, y, b[:2])
    refused(RuntimeError, "bias", h, v, y, b.float())
    refused(RuntimeError, "weight", h, v, y, weight=w[:2])
    refused(RuntimeError, "weight", h, v, y, weight=w.requires_grad_())
    refused(RuntimeError, "target", h, v, y.int())
    refused(RuntimeError, "label_smoothing", h, v, y, label_smoothing=2.0)
    refused(RuntimeError, "vocabulary", h, v.to("meta"), y)
