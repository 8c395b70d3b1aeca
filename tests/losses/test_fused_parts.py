"""What the fused losses share, each part by itself."""

import math

import numpy as np
import pytest
import torch
from torch.autograd import gradgradcheck

from lossbook.losses import fused_parts as parts


def test_small_targets_are_compared_as_int64():
    y = torch.tensor([0, 156, 255], dtype=torch.uint8)
    assert parts.indices(y).tolist() == [0, 156, 255]
    assert parts.total_weight(y, None, -100).item() == 3
    assert parts.total_weight(y, None, 255).item() == 2


def test_the_infinite_weight_of_an_absent_class_is_not_counted():
    weight = torch.tensor([math.inf, 2.0, 3.0])
    assert parts.total_weight(torch.tensor([1, 2, -100]), weight, -100).item() == 5
    assert parts.total_weight(torch.tensor([1, 2, 0]), weight, 0).item() == 5
    assert parts.total_weight(torch.tensor([1, 2, 0]), weight, -100).item() == math.inf


class Squared(torch.autograd.Function):
    """A loss with a first derivative of its own, as a kernel has."""

    @staticmethod
    def forward(ctx, x, y):
        ctx.save_for_backward(x, y)
        return (x * x * y).sum()

    @staticmethod
    def backward(ctx, incoming):
        x, y = ctx.saved_tensors
        if torch.is_grad_enabled():
            return parts.differentiable_gradients(
                lambda x, y: (x * x * y).sum(), (x, y), ctx.needs_input_grad, incoming
            )
        return 2 * x * y * incoming, x * x * incoming


def test_gradients_can_be_differentiated_again():
    x, y = (torch.randn(3, dtype=torch.float64, requires_grad=True) for _ in range(2))
    assert gradgradcheck(Squared.apply, (x, y))
    assert gradgradcheck(lambda x: Squared.apply(x.sin(), y.detach()) ** 2, x)
    # The incoming gradient is a plain 1 here: once_differentiable would be silent.
    (g,) = torch.autograd.grad(Squared.apply(x, y), x, create_graph=True)
    (again,) = torch.autograd.grad(g.pow(2).sum(), x)
    torch.testing.assert_close(again, 8 * x * y**2)


def test_a_divisor_is_a_number_or_a_tensor_that_stays_where_it_is():
    z = torch.zeros(2, dtype=torch.bfloat16)
    assert parts.divisor_for(z, None) is None
    for given in (4, np.float32(4), torch.tensor(4), torch.tensor(4.0, dtype=torch.float64)):
        divisor = parts.divisor_for(z, given)
        assert (divisor.item(), divisor.dtype, divisor.shape) == (4, torch.float32, ())
    assert parts.divisor_for(z.double(), 0.1).item() == 0.1
    with pytest.raises(TypeError, match="divisor is a str"):
        parts.divisor_for(z, "4")
    with pytest.raises(RuntimeError, match=r"divisor has shape \(1,\)"):
        parts.divisor_for(z, torch.ones(1))
    with pytest.raises(RuntimeError, match="divisor requires a gradient"):
        parts.divisor_for(z, torch.tensor(4.0, requires_grad=True))


def test_weights_have_the_dtype_of_the_logits_and_under_autocast_of_their_sums():
    half, single, double = (torch.zeros(2, dtype=d) for d in (torch.bfloat16, torch.float32, torch.float64))
    parts.require_weight_dtype(half, None)
    parts.require_weight_dtype(half, half)
    with pytest.raises(RuntimeError, match=r"weight has dtype torch\.float32"):
        parts.require_weight_dtype(half, single)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        parts.require_weight_dtype(half, single)
        parts.require_weight_dtype(single, half)
        with pytest.raises(RuntimeError, match=r"weight has dtype torch\.float32"):
            parts.require_weight_dtype(double, single)


def test_a_kernel_takes_plain_tensors_alone():
    z = torch.randn(3)
    assert parts.why_not_plain(z, None, torch.nn.Parameter(z)) == ""
    seen = []
    torch.func.grad(lambda z: (seen.append(parts.why_not_plain(z)), z.sum())[1])(z)
    with torch.autograd.forward_ad.dual_level():
        seen.append(parts.why_not_plain(torch.autograd.forward_ad.make_dual(z, z)))
    from torch._subclasses.fake_tensor import FakeTensorMode

    with FakeTensorMode() as mode:
        seen.append(parts.why_not_plain(mode.from_tensor(z)))
    seen.append(parts.why_not_plain(z.to("meta")))
    for why, part in zip(seen, ("torch.func", "forward mode", "FakeTensor", "meta"), strict=True):
        assert part in why
